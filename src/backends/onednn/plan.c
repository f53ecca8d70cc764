/*
 * From the graph to steps and buffers; see onednn.h. memory.c says where these lie.
 */
#include <stdlib.h>
#include <string.h>

#include "backends/onednn/execute.h"
#include "backends/onednn/fuse.h"
#include "base/threads.h"

const hs_node *hs_od_node(const hs_od_planner *p, hs_value value) {
    return &p->graph->nodes[value];
}

hs_status hs_od_dnnl_error(hs_error *err, const char *what, dnnl_status_t status) {
    if (status == dnnl_out_of_memory)
        return hs_fail(err, HS_ERROR_MEMORY, "%s: oneDNN is out of memory", what);
    return hs_fail(err, HS_ERROR_INTERNAL, "%s: oneDNN answers with status %d", what, (int)status);
}

hs_kernel_act hs_od_act(hs_activation kind) {
    switch (kind) {
    case HS_SILU: return HS_ACT_SILU;
    case HS_MISH: return HS_ACT_MISH;
    case HS_GELU: return HS_ACT_GELU;
    case HS_RELU: return HS_ACT_RELU;
    }
    return HS_ACT_NONE;
}

/* ---------------------------------------------------- steps and buffers -- */

static hs_status hs_od_grow(void **array, int count, int *capacity, size_t size, hs_error *err) {
    if (count < *capacity)
        return HS_OK;
    int wanted = *capacity ? 2 * *capacity : 128;
    void *grown = realloc(*array, (size_t)wanted * size);
    if (!grown)
        return hs_fail_memory(err, (size_t)wanted * size);
    *array = grown;
    *capacity = wanted;
    return HS_OK;
}

hs_status hs_od_new_step(hs_od_planner *p, size_t size, hs_od_run *run, hs_value value,
                         hs_od_step **out) {
    hs_exec *exec = p->exec;
    HS_TRY(hs_od_grow((void **)&exec->steps, exec->step_count, &exec->step_capacity,
                      sizeof *exec->steps, p->err));
    hs_od_step *step = hs_arena_alloc(&exec->memory, 1, size);
    if (!step)
        return hs_fail_memory(p->err, size);
    step->run = run;
    step->value = value;
    step->kind = hs_op_get(hs_od_node(p, value)->op)->name;
    step->flops = 2.0 * (double)hs_node_macs(p->graph, value);
    exec->steps[exec->step_count++] = step;
    *out = step;
    return HS_OK;
}

hs_status hs_od_new_buffer(hs_od_planner *p, int64_t floats, int pieces, int *out) {
    hs_exec *exec = p->exec;
    int capacity = exec->buffer_capacity; /* two arrays grow together */
    HS_TRY(hs_od_grow((void **)&exec->lifetimes, exec->buffer_count, &capacity,
                      sizeof *exec->lifetimes, p->err));
    HS_TRY(hs_od_grow((void **)&exec->buffers, exec->buffer_count, &exec->buffer_capacity,
                      sizeof *exec->buffers, p->err));
    int now = exec->step_count - 1;
    exec->lifetimes[exec->buffer_count] = (hs_lifetime){.first = now, .last = now};
    exec->buffers[exec->buffer_count] = (hs_od_buffer){.floats = floats, .pieces = pieces};
    *out = exec->buffer_count++;
    return HS_OK;
}

hs_shape hs_od_shape(const hs_od_planner *p, hs_value value) {
    hs_shape shape = hs_od_node(p, value)->shape;
    if (p->slice_count[value])
        shape.dim[1] = p->slice_count[value];
    return shape;
}

hs_status hs_od_make_place(hs_od_planner *p, hs_value value) {
    hs_shape shape = hs_od_shape(p, value);
    p->place[value] = (hs_od_place){0};
    return hs_od_new_buffer(p, hs_shape_count(&shape) / shape.dim[0], (int)shape.dim[0],
                            &p->place[value].buffer);
}

hs_od_place hs_od_operand(const hs_od_planner *p, hs_value value, int n) {
    hs_od_place place = p->place[value];
    place.single = n > 1 && hs_od_node(p, value)->shape.dim[0] == 1;
    return place;
}

void hs_od_touch(hs_od_planner *p, int buffer) {
    p->exec->lifetimes[buffer].last = p->exec->step_count - 1;
}

void hs_od_release(hs_od_planner *p, hs_value value) {
    if (--p->uses[value] == 0 && p->virtual_parts[value])
        for (int i = 0; i < hs_od_node(p, value)->input_count; i++)
            hs_od_release(p, hs_od_node(p, value)->input[i]);
}

void hs_od_release_inputs(hs_od_planner *p, hs_value value) {
    const hs_node *node = hs_od_node(p, value);
    for (int i = 0; i < node->input_count; i++) {
        if (p->absorbed[node->input[i]])
            hs_od_release_inputs(p, node->input[i]);
        hs_od_release(p, node->input[i]);
    }
}

bool hs_od_dies_here(const hs_od_planner *p, hs_value value) {
    hs_shape shape = hs_od_shape(p, value);
    const hs_od_place *place = &p->place[value];
    if (p->uses[value] != 1 || p->virtual_parts[value] || place->buffer < 0)
        return false;
    const hs_od_buffer *buffer = &p->exec->buffers[place->buffer];
    return !buffer->linked && place->offset == 0 &&
           buffer->floats == hs_shape_count(&shape) / shape.dim[0];
}

bool hs_od_is_read_through(const hs_od_planner *p, hs_value value) {
    return p->virtual_parts[value] && hs_od_node(p, value)->op == HS_OP_UPSAMPLE;
}

int hs_od_parts(const hs_od_planner *p, hs_value value, hs_od_part parts[HS_MAX_INPUTS]) {
    const hs_node *node = hs_od_node(p, value);
    if (!p->virtual_parts[value]) {
        parts[0] = (hs_od_part){value, 0, (int)node->shape.dim[1]};
        return 1;
    }
    int first = node->op == HS_OP_PAD_CHANNELS ? node->attr.channels.first : 0;
    for (int i = 0; i < node->input_count; i++) {
        parts[i] =
            (hs_od_part){node->input[i], first, (int)hs_od_node(p, node->input[i])->shape.dim[1]};
        first += parts[i].channels;
    }
    return node->input_count;
}

void hs_od_need_scratch(hs_od_planner *p, int64_t bytes) {
    bytes = (bytes + HS_ALIGN - 1) / HS_ALIGN * HS_ALIGN;
    if (p->exec->scratch_bytes < bytes)
        p->exec->scratch_bytes = bytes;
}

/* A linked input is a buffer of this plan without bytes. */
hs_status hs_od_plan_link(hs_od_planner *p, hs_value value) {
    const hs_link *link = p->options->links;
    while (link->value != value)
        link++;
    hs_od_place place = link->source->places[link->source_value];
    const hs_od_buffer *source = &link->source->buffers[place.buffer];
    p->place[value].offset = place.offset;
    HS_TRY(hs_od_new_buffer(p, source->floats, source->pieces, &p->place[value].buffer));
    hs_od_buffer *buffer = &p->exec->buffers[p->place[value].buffer];
    buffer->stride = source->stride;
    buffer->linked = hs_od_piece(link->source, place.buffer, 0);
    return HS_OK;
}

/* -------------------------------------------------------------- nodes -- */

/* What derivative graphs may hold and these steps do not run. */
static hs_status hs_od_refuse(const hs_od_planner *p, const hs_node *node) {
    const char *what = NULL;
    if (node->op == HS_OP_UPSAMPLE && (node->attr.upsample.odd_h || node->attr.upsample.odd_w))
        what = "to an odd size";
    if (node->op == HS_OP_CONV2D_TRANSPOSE && node->attr.conv.stride != 1)
        what = "of a stride other than 1";
    if (node->op == HS_OP_ADD_CHANNEL &&
        hs_od_node(p, node->input[0])->shape.dim[0] != node->shape.dim[0])
        what = "of one map for several";
    if (!what)
        return HS_OK;
    return hs_fail(p->err, HS_ERROR_UNSUPPORTED, "the CPU back end does not run the op %s %s",
                   hs_op_get(node->op)->name, what);
}

static hs_status hs_od_plan_input(hs_od_planner *p, hs_value value) {
    for (int i = 0; i < p->options->link_count; i++)
        if (p->options->links[i].value == value)
            return hs_od_plan_link(p, value);
    return hs_od_plan_import(p, value);
}

static hs_status hs_od_plan_node(hs_od_planner *p, hs_value value) {
    const hs_node *node = hs_od_node(p, value);
    bool map = node->shape.rank == 4, fused = p->fused[value] != HS_NO_VALUE;
    HS_TRY(hs_od_refuse(p, node));
    switch (node->op) {
    case HS_OP_INPUT: return hs_od_plan_input(p, value);
    case HS_OP_WEIGHT: return HS_OK;
    case HS_OP_CONV2D:
    case HS_OP_CONV2D_TRANSPOSE: return hs_od_plan_conv2d(p, value);
    case HS_OP_LINEAR: return hs_od_plan_linear(p, value);
    case HS_OP_GROUP_NORM:
    case HS_OP_GROUP_NORM_STATS: return hs_od_plan_group_norm(p, value);
    case HS_OP_GROUP_NORM_TANGENT:
    case HS_OP_GROUP_NORM_COTANGENT: return hs_od_plan_norm_tangent(p, value);
    case HS_OP_MUL:
        return fused ? hs_od_plan_norm_tangent(p, value) : hs_od_plan_elementwise(p, value);
    case HS_OP_MODULATE:
    case HS_OP_ACTIVATION:
        if (fused)
            return hs_od_plan_group_norm(p, value);
        return map ? hs_od_plan_elementwise(p, value) : hs_od_plan_small(p, value);
    case HS_OP_ADD:
    case HS_OP_ADD_CHANNEL:
        if (fused)
            return hs_od_plan_conv2d(p, value);
        return map ? hs_od_plan_elementwise(p, value) : hs_od_plan_small(p, value);
    case HS_OP_AFFINE:
    case HS_OP_DIVIDE_ROWS:
    case HS_OP_MODULATE_SCALE:
    case HS_OP_ACTIVATION_SLOPE:
        return map ? hs_od_plan_elementwise(p, value) : hs_od_plan_small(p, value);
    case HS_OP_TIME_EMBED:
    case HS_OP_FOURIER_EMBED: return hs_od_plan_small(p, value);
    case HS_OP_CONCAT:
    case HS_OP_PAD_CHANNELS: return p->virtual_parts[value] ? HS_OK : hs_od_plan_resample(p, value);
    case HS_OP_SLICE:
        if (!fused)
            return hs_od_plan_resample(p, value);
        p->place[value] = p->place[p->fused[value]];
        hs_od_release(p, p->fused[value]);
        return HS_OK;
    case HS_OP_UPSAMPLE: return p->virtual_parts[value] ? HS_OK : hs_od_plan_resample(p, value);
    case HS_OP_AVG_POOL: return hs_od_plan_resample(p, value);
    case HS_OP_MAX_POOL:
    case HS_OP_MEAN_SPATIAL: return hs_od_plan_pool(p, value);
    case HS_OP_ATTENTION:
    case HS_OP_ATTENTION_PROBS: return hs_od_plan_attention(p, value);
    case HS_OP_ATTENTION_TANGENT:
    case HS_OP_ATTENTION_COTANGENT: return hs_od_plan_attention_tangent(p, value);
    default: break;
    }
    return hs_fail(p->err, HS_ERROR_UNSUPPORTED, "the CPU back end does not run the op %s",
                   hs_op_get(node->op)->name);
}

static bool hs_od_is_asked_for(const hs_plan_options *options, hs_value value) {
    for (int i = 0; i < options->output_count; i++)
        if (options->outputs[i] == value)
            return true;
    return false;
}

/* What the choices for a layer need to know of the whole network. */
static void hs_od_measure_network(hs_od_planner *p) {
    for (hs_value i = 0; i < p->graph->count; i++) {
        const hs_shape *shape = &p->graph->nodes[i].shape;
        hs_op op = p->graph->nodes[i].op;
        bool conv = op == HS_OP_CONV2D || op == HS_OP_CONV2D_TRANSPOSE;
        if (op == HS_OP_WEIGHT)
            p->weight_bytes += hs_shape_count(shape) * (int64_t)sizeof(float);
        else if (conv && shape->dim[2] * shape->dim[3] > p->largest_map)
            p->largest_map = shape->dim[2] * shape->dim[3];
    }
}

static void hs_od_find_normed(hs_od_planner *p) {
    for (hs_value i = 0; i < p->graph->count; i++) {
        const hs_node *node = &p->graph->nodes[i];
        if (!p->needed[i] || (node->op != HS_OP_GROUP_NORM && node->op != HS_OP_GROUP_NORM_STATS))
            continue;
        hs_od_part parts[HS_MAX_INPUTS];
        int count = hs_od_parts(p, node->input[0], parts);
        for (int k = 0; k < count; k++)
            p->normed[parts[k].value] = true;
    }
}

static hs_status hs_od_plan_nodes(hs_od_planner *p) {
    for (int i = 0; i < p->options->output_count; i++)
        p->is_output[p->options->outputs[i]] = true;
    hs_od_measure_network(p);
    hs_od_fuse(p);
    for (hs_value i = 0; i < p->graph->count; i++)
        p->place[i].buffer = p->tile_sums[i].buffer = -1;
    hs_od_find_normed(p);
    for (hs_value i = 0; i < p->graph->count; i++) {
        if (!p->needed[i] || p->absorbed[i])
            continue;
        HS_TRY(hs_od_plan_node(p, i));
        if (hs_od_is_asked_for(p->options, i))
            HS_TRY(hs_od_plan_export(p, i));
    }
    for (int i = 0; i < p->options->kept_count; i++)
        hs_od_touch(p, p->place[p->options->kept[i]].buffer); /* to the end */
    return HS_OK;
}

static hs_status hs_od_start(hs_exec *exec, const hs_plan_options *options, hs_error *err) {
    hs_status status = HS_OK;
    exec->kernels = options->kernels ? options->kernels : hs_kernels_get();
    exec->threads = options->threads > 0 ? options->threads : hs_cpu_count();
    exec->cache = options->cache;
    exec->profile = options->profile;
    if (!exec->cache) {
        exec->cache = hs_od_weights_new();
        exec->owns_cache = true;
    }
    exec->bound = hs_calloc((size_t)exec->graph->count, sizeof *exec->bound);
    exec->streams = hs_calloc((size_t)exec->threads, sizeof *exec->streams);
    if (!exec->cache || !exec->bound || !exec->streams)
        return hs_fail_memory(err, (size_t)exec->graph->count * sizeof *exec->bound);
    HS_CHECK(hs_od_crew(exec->cache, exec->threads, &exec->crew, err));
    HS_DNNL(dnnl_engine_create(&exec->engine, dnnl_cpu, 0), "CPU back end");
    for (int i = 0; i < exec->threads; i++)
        HS_DNNL(dnnl_stream_create(&exec->streams[i], exec->engine, dnnl_stream_default_flags),
                "CPU back end");
cleanup:
    return status;
}

static hs_status hs_od_finish(hs_od_planner *p) {
    hs_exec *exec = p->exec;
    hs_od_profile_plan(exec);
    HS_TRY(hs_od_plan_walk(p));
    HS_TRY(hs_od_plan_memory(p));
    exec->scratch = hs_pages_alloc((size_t)(exec->threads * exec->scratch_bytes));
    if (!exec->scratch)
        return hs_fail_memory(p->err, (size_t)(exec->threads * exec->scratch_bytes));
    return hs_od_weights_convert(exec, p->err);
}

static hs_status hs_od_plan_all(hs_od_planner *p) {
    HS_TRY(hs_od_start(p->exec, p->options, p->err));
    HS_TRY(hs_od_plan_nodes(p));
    return hs_od_finish(p);
}

hs_status hs_od_plan(const hs_graph *graph, const hs_plan_options *options, hs_exec **out,
                     hs_error *err) {
    size_t count = (size_t)graph->count;
    hs_exec *exec = hs_calloc(1, sizeof *exec);
    if (!exec)
        return hs_fail_memory(err, sizeof *exec);
    exec->graph = graph;
    hs_arena memory = {0}; /* what planning alone needs */
    hs_od_planner p = {.exec = exec, .graph = graph, .options = options, .err = err};
    p.uses = hs_arena_alloc(&memory, count, sizeof *p.uses);
    p.needed = hs_arena_alloc(&memory, count, sizeof *p.needed);
    p.is_output = hs_arena_alloc(&memory, count, sizeof *p.is_output);
    p.absorbed = hs_arena_alloc(&memory, count, sizeof *p.absorbed);
    p.virtual_parts = hs_arena_alloc(&memory, count, sizeof *p.virtual_parts);
    p.slice_first = hs_arena_alloc(&memory, count, sizeof *p.slice_first);
    p.slice_count = hs_arena_alloc(&memory, count, sizeof *p.slice_count);
    p.fused = hs_arena_alloc(&memory, count, sizeof *p.fused);
    p.slope = hs_arena_alloc(&memory, count, sizeof *p.slope);
    p.normed = hs_arena_alloc(&memory, count, sizeof *p.normed);
    p.loaded = hs_arena_alloc(&memory, count, sizeof *p.loaded);
    p.norms = hs_arena_alloc(&memory, count, sizeof *p.norms);
    p.tile_sums = hs_arena_alloc(&memory, count, sizeof *p.tile_sums);
    p.place = exec->places = hs_arena_alloc(&exec->memory, count, sizeof *p.place);
    hs_status status;
    hs_threads_saved saved = hs_threads_push(1); /* primitives run inside a crew */
    if (p.uses && p.needed && p.is_output && p.absorbed && p.virtual_parts && p.slice_first &&
        p.slice_count && p.fused && p.slope && p.normed && p.loaded && p.norms && p.tile_sums &&
        p.place)
        status = hs_od_plan_all(&p);
    else
        status = hs_fail_memory(err, count * sizeof *p.place);
    hs_threads_pop(saved);
    hs_arena_free(&memory);
    if (status != HS_OK) {
        hs_od_free(exec);
        return status;
    }
    *out = exec;
    return HS_OK;
}
