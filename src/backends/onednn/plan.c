/*
 * From the graph to steps, buffers and one arena; see onednn.h.
 */
#include <stdlib.h>
#include <string.h>

#include "backends/onednn/execute.h"
#include "backends/onednn/fuse.h"

const hs_node *hs_od_node(const hs_od_planner *p, hs_value value) {
    return &p->graph->nodes[value];
}

hs_status hs_od_dnnl_error(hs_error *err, const char *what, dnnl_status_t status) {
    if (status == dnnl_out_of_memory)
        return hs_fail(err, HS_ERROR_MEMORY, "%s: oneDNN is out of memory", what);
    return hs_fail(err, HS_ERROR_INTERNAL, "%s: oneDNN answers with status %d", what, (int)status);
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
    exec->steps[exec->step_count++] = step;
    *out = step;
    return HS_OK;
}

hs_status hs_od_new_buffer(hs_od_planner *p, int64_t floats, int *out) {
    hs_exec *exec = p->exec;
    HS_TRY(hs_od_grow((void **)&exec->buffers, exec->buffer_count, &exec->buffer_capacity,
                      sizeof *exec->buffers, p->err));
    int now = exec->step_count - 1;
    exec->buffers[exec->buffer_count] = (hs_lifetime){floats * (int64_t)sizeof(float), now, now, 0};
    *out = exec->buffer_count++;
    return HS_OK;
}

hs_status hs_od_make_place(hs_od_planner *p, hs_value value) {
    const hs_shape *shape = &hs_od_node(p, value)->shape;
    int64_t floats = hs_shape_count(shape);
    hs_od_place place = {.stride = floats / shape->dim[0]};
    HS_TRY(hs_od_new_buffer(p, floats, &place.buffer));
    p->place[value] = place;
    return HS_OK;
}

void hs_od_touch(hs_od_planner *p, int buffer) {
    p->exec->buffers[buffer].last = p->exec->step_count - 1;
    if (p->exec->buffers[buffer].first > p->exec->step_count - 1)
        p->exec->buffers[buffer].first = p->exec->step_count - 1;
}

void hs_od_release(hs_od_planner *p, hs_value value) {
    if (--p->uses[value] == 0 && p->virtual_concat[value])
        for (int i = 0; i < hs_od_node(p, value)->input_count; i++)
            hs_od_release(p, hs_od_node(p, value)->input[i]);
}

bool hs_od_dies_here(const hs_od_planner *p, hs_value value) {
    const hs_shape *shape = &hs_od_node(p, value)->shape;
    return p->uses[value] == 1 && !p->virtual_concat[value] && p->place[value].buffer >= 0 &&
           p->place[value].offset == 0 &&
           p->place[value].stride == hs_shape_count(shape) / shape->dim[0];
}

int hs_od_parts(const hs_od_planner *p, hs_value value, hs_value parts[HS_MAX_INPUTS]) {
    const hs_node *node = hs_od_node(p, value);
    if (!p->virtual_concat[value]) {
        parts[0] = value;
        return 1;
    }
    memcpy(parts, node->input, (size_t)node->input_count * sizeof *parts);
    return node->input_count;
}

void hs_od_need_scratch(hs_od_planner *p, int64_t bytes) {
    bytes = (bytes + HS_ALIGN - 1) / HS_ALIGN * HS_ALIGN;
    if (p->exec->scratch_bytes < bytes)
        p->exec->scratch_bytes = bytes;
}

/* -------------------------------------------------------------- nodes -- */

/* One row of a primal value that serves several tangents, and the adjoint of
 * an odd-size pooling: derivative graphs have them, the steps here do not. */
static bool hs_od_is_broadcast(const hs_od_planner *p, const hs_node *node) {
    if (node->op == HS_OP_UPSAMPLE)
        return node->attr.upsample.odd_h || node->attr.upsample.odd_w;
    bool rows = node->op == HS_OP_ADD_CHANNEL || node->op == HS_OP_DIVIDE_ROWS;
    for (int i = 0; rows && i < node->input_count; i++)
        if (hs_od_node(p, node->input[i])->shape.dim[0] != node->shape.dim[0])
            return true;
    return false;
}

static hs_status hs_od_plan_node(hs_od_planner *p, hs_value value) {
    const hs_node *node = hs_od_node(p, value);
    bool map = node->shape.rank == 4;
    if (hs_od_is_broadcast(p, node))
        return hs_fail(p->err, HS_ERROR_UNSUPPORTED,
                       "the CPU back end does not run the op %s of one row for several",
                       hs_op_get(node->op)->name);
    switch (node->op) {
    case HS_OP_INPUT: return hs_od_plan_import(p, value);
    case HS_OP_WEIGHT: return HS_OK;
    case HS_OP_CONV2D: return hs_od_plan_conv2d(p, value);
    case HS_OP_LINEAR: return hs_od_plan_linear(p, value);
    case HS_OP_GROUP_NORM: return hs_od_plan_group_norm(p, value);
    case HS_OP_MODULATE:
        return p->fused[value] != HS_NO_VALUE ? hs_od_plan_group_norm(p, value)
                                              : hs_od_plan_elementwise(p, value);
    case HS_OP_ACTIVATION:
        if (p->fused[value] != HS_NO_VALUE)
            return hs_od_plan_group_norm(p, value);
        return map ? hs_od_plan_elementwise(p, value) : hs_od_plan_small(p, value);
    case HS_OP_ADD:
    case HS_OP_ADD_CHANNEL:
        if (p->fused[value] != HS_NO_VALUE)
            return hs_od_plan_conv2d(p, value);
        return map ? hs_od_plan_elementwise(p, value) : hs_od_plan_small(p, value);
    case HS_OP_AFFINE:
    case HS_OP_DIVIDE_ROWS:
        return map ? hs_od_plan_elementwise(p, value) : hs_od_plan_small(p, value);
    case HS_OP_TIME_EMBED:
    case HS_OP_FOURIER_EMBED: return hs_od_plan_small(p, value);
    case HS_OP_CONCAT:
        if (p->virtual_concat[value])
            return HS_OK;
        return hs_od_plan_concat(p, value);
    case HS_OP_UPSAMPLE:
    case HS_OP_AVG_POOL: return hs_od_plan_resample(p, value);
    case HS_OP_MAX_POOL:
    case HS_OP_MEAN_SPATIAL: return hs_od_plan_pool(p, value);
    case HS_OP_ATTENTION: return hs_od_plan_attention(p, value);
    default: break;
    }
    return hs_fail(p->err, HS_ERROR_UNSUPPORTED, "the CPU back end does not run the op %s",
                   hs_op_get(node->op)->name);
}

static hs_status hs_od_plan_nodes(hs_od_planner *p, const hs_plan_options *options) {
    for (int i = 0; i < options->output_count; i++)
        p->is_output[options->outputs[i]] = true;
    hs_od_fuse(p);
    for (hs_value i = 0; i < p->graph->count; i++)
        p->place[i].buffer = -1;
    for (hs_value i = 0; i < p->graph->count; i++) {
        if (!p->needed[i] || p->absorbed[i])
            continue;
        HS_TRY(hs_od_plan_node(p, i));
        if (p->is_output[i])
            HS_TRY(hs_od_plan_export(p, i));
    }
    return HS_OK;
}

static hs_status hs_od_start(hs_exec *exec, const hs_plan_options *options, hs_error *err) {
    hs_status status = HS_OK;
    exec->kernels = hs_kernels_get();
    exec->threads = options->threads > 0 ? options->threads : hs_cpu_count();
    exec->cache = options->cache;
    if (!exec->cache) {
        exec->cache = hs_od_weights_new();
        exec->owns_cache = true;
    }
    exec->bound = hs_calloc((size_t)exec->graph->count, sizeof *exec->bound);
    exec->streams = hs_calloc((size_t)exec->threads, sizeof *exec->streams);
    if (!exec->cache || !exec->bound || !exec->streams)
        return hs_fail_memory(err, (size_t)exec->graph->count * sizeof *exec->bound);
    HS_DNNL(dnnl_engine_create(&exec->engine, dnnl_cpu, 0), "CPU back end");
    for (int i = 0; i < exec->threads; i++)
        HS_DNNL(dnnl_stream_create(&exec->streams[i], exec->engine, dnnl_stream_default_flags),
                "CPU back end");
cleanup:
    return status;
}

static hs_status hs_od_finish(hs_exec *exec, hs_error *err) {
    HS_TRY(hs_plan_arena(exec->buffers, exec->buffer_count, &exec->arena_bytes, err));
    exec->arena = hs_pages_alloc((size_t)exec->arena_bytes);
    if (!exec->arena)
        return hs_fail_memory(err, (size_t)exec->arena_bytes);
    exec->scratch = hs_alloc_aligned((size_t)exec->threads, (size_t)exec->scratch_bytes);
    if (!exec->scratch)
        return hs_fail_memory(err, (size_t)(exec->threads * exec->scratch_bytes));
    return hs_od_weights_convert(exec, err);
}

hs_status hs_od_plan(const hs_graph *graph, const hs_plan_options *options, hs_exec **out,
                     hs_error *err) {
    size_t count = (size_t)graph->count;
    hs_exec *exec = hs_calloc(1, sizeof *exec);
    if (!exec)
        return hs_fail_memory(err, sizeof *exec);
    exec->graph = graph;
    hs_od_planner p = {.exec = exec, .graph = graph, .err = err};
    p.uses = hs_calloc(count, sizeof *p.uses);
    p.needed = hs_calloc(count, sizeof *p.needed);
    p.is_output = hs_calloc(count, sizeof *p.is_output);
    p.absorbed = hs_calloc(count, sizeof *p.absorbed);
    p.virtual_concat = hs_calloc(count, sizeof *p.virtual_concat);
    p.fused = hs_calloc(count, sizeof *p.fused);
    p.place = hs_calloc(count, sizeof *p.place);
    hs_threads_saved saved = hs_threads_push(1); /* primitives run inside a team */
    hs_status status =
        p.uses && p.needed && p.is_output && p.absorbed && p.virtual_concat && p.fused && p.place
            ? hs_od_start(exec, options, err)
            : hs_fail_memory(err, count * sizeof *p.place);
    if (status == HS_OK)
        status = hs_od_plan_nodes(&p, options);
    if (status == HS_OK)
        status = hs_od_finish(exec, err);
    hs_threads_pop(saved);
    free(p.place);
    free(p.fused);
    free(p.virtual_concat);
    free(p.absorbed);
    free(p.is_output);
    free(p.needed);
    free(p.uses);
    if (status != HS_OK) {
        hs_od_free(exec);
        return status;
    }
    *out = exec;
    return HS_OK;
}
