/*
 * The reference back end: one op after the other by its plain C rule, in
 * double. It is the oracle that other back ends are compared with, and is not
 * fast: one thread, no fusion, no layouts.
 *
 * With double_precision every result stays a double. Without, weights, inputs
 * and the result of every op are rounded to float32: arithmetic within an op
 * is then better than any float back end's, and what passes between ops is
 * what they can hold.
 *
 * A kept value is one that lives to the end of the arena's schedule; a linked
 * input is a pointer into the arena of its source.
 */
#include <stdlib.h>
#include <string.h>

#include "backends/backend.h"
#include "graph/optable.h"
#include "graph/plan.h"

struct hs_exec {
    const hs_graph *graph;
    int count; /* nodes of the graph when it was planned */
    bool double_precision;
    bool *needed;    /* [count] some output or kept value depends on it */
    bool *is_output; /* [count] */
    bool *is_kept;   /* [count] */
    bool *is_linked; /* [count] */
    double **data;   /* [count] into `arena`, `weights` or a linked plan's; NULL: not needed */
    double *arena, *weights, *scratch;
    int64_t arena_bytes, weight_bytes, scratch_bytes;
};

static void hs_ref_free(hs_exec *exec) {
    if (!exec)
        return;
    free(exec->scratch);
    free(exec->weights);
    free(exec->arena);
    free(exec->data);
    free(exec->is_linked);
    free(exec->is_kept);
    free(exec->is_output);
    free(exec->needed);
    free(exec);
}

static const char *hs_ref_name(const hs_graph *graph, hs_value value) {
    return graph->nodes[value].name ? graph->nodes[value].name : "(unnamed)";
}

static hs_status hs_ref_mark_kept(hs_exec *exec, const hs_plan_options *options, hs_error *err) {
    for (int i = 0; i < options->kept_count; i++) {
        hs_value value = options->kept[i];
        if (value < 0 || value >= exec->count || exec->graph->nodes[value].op == HS_OP_WEIGHT)
            return hs_fail(err, HS_ERROR_ARGUMENT,
                           "kept value %d is %d, expected one of the graph's %d that is no weight",
                           i, (int)value, exec->count);
        exec->needed[value] = exec->is_kept[value] = true;
    }
    return HS_OK;
}

/* Linked inputs lie in the arena of their source. */
static hs_status hs_ref_link(hs_exec *exec, const hs_plan_options *options, hs_error *err) {
    for (int i = 0; i < options->link_count; i++) {
        const hs_link *link = &options->links[i];
        const hs_exec *source = link->source;
        if (link->value < 0 || link->value >= exec->count ||
            exec->graph->nodes[link->value].op != HS_OP_INPUT || exec->is_linked[link->value])
            return hs_fail(err, HS_ERROR_ARGUMENT,
                           "link %d: value %d is no input, or is linked twice", i,
                           (int)link->value);
        if (link->source_value < 0 || link->source_value >= source->count ||
            !source->is_kept[link->source_value])
            return hs_fail(err, HS_ERROR_ARGUMENT, "link %d: value %d is not kept by its source", i,
                           (int)link->source_value);
        const hs_shape *shape = &exec->graph->nodes[link->value].shape;
        const hs_shape *found = &source->graph->nodes[link->source_value].shape;
        if (!hs_shape_equal(shape, found)) {
            char text[100], found_text[100];
            hs_shape_describe(shape, text);
            hs_shape_describe(found, found_text);
            return hs_fail(err, HS_ERROR_MISMATCH, "link %d: input %s is %s, its source %s", i,
                           hs_ref_name(exec->graph, link->value), text, found_text);
        }
        exec->is_linked[link->value] = true;
        exec->data[link->value] = source->data[link->source_value];
    }
    return HS_OK;
}

/* Mark what the outputs depend on, from the end to the beginning. */
static hs_status hs_ref_mark(hs_exec *exec, const hs_plan_options *options, hs_error *err) {
    for (int i = 0; i < options->output_count; i++) {
        hs_value value = options->outputs[i];
        if (value < 0 || value >= exec->count)
            return hs_fail(err, HS_ERROR_ARGUMENT, "output %d is value %d, the graph has %d", i,
                           (int)value, exec->count);
        exec->needed[value] = exec->is_output[value] = true;
    }
    HS_TRY(hs_ref_mark_kept(exec, options, err));
    for (int i = exec->count - 1; i >= 0; i--) {
        const hs_node *node = &exec->graph->nodes[i];
        for (int j = 0; exec->needed[i] && j < node->input_count; j++)
            exec->needed[node->input[j]] = true;
    }
    return HS_OK;
}

/* One arena for all results that are needed; a result lives from its node to
 * the last that uses it, an output or kept value to the end. */
static hs_status hs_ref_plan_arena(hs_exec *exec, hs_error *err) {
    hs_status status = HS_OK;
    const hs_graph *graph = exec->graph;
    hs_lifetime *lives = hs_calloc((size_t)exec->count, sizeof *lives);
    if (!lives)
        return hs_fail_memory(err, (size_t)exec->count * sizeof *lives);
    for (int i = 0; i < exec->count; i++) {
        const hs_node *node = &graph->nodes[i];
        bool stays = exec->is_output[i] || exec->is_kept[i];
        lives[i] = (hs_lifetime){.first = i, .last = stays ? exec->count : i};
        if (!exec->needed[i])
            continue;
        if (node->op != HS_OP_WEIGHT && !exec->is_linked[i])
            lives[i].bytes = hs_shape_count(&node->shape) * (int64_t)sizeof(double);
        for (int j = 0; j < node->input_count; j++)
            if (lives[node->input[j]].last < i)
                lives[node->input[j]].last = i;
    }
    HS_CHECK(hs_plan_arena(lives, exec->count, HS_SHARE_ALL, &exec->arena_bytes, err));
    exec->arena = hs_alloc_aligned((size_t)exec->arena_bytes, 1);
    if (!exec->arena) {
        status = hs_fail_memory(err, (size_t)exec->arena_bytes);
        goto cleanup;
    }
    for (int i = 0; i < exec->count; i++)
        if (exec->needed[i] && graph->nodes[i].op != HS_OP_WEIGHT && !exec->is_linked[i])
            exec->data[i] = exec->arena + lives[i].offset / (int64_t)sizeof(double);
cleanup:
    free(lives);
    return status;
}

/* Widen one tensor into out; doubles on disk stay exact in double precision. */
static hs_status hs_ref_widen(const hs_tensor *tensor, bool double_precision, double *out,
                              hs_error *err) {
    int64_t count = hs_tensor_count(tensor);
    if (tensor->dtype == HS_F64 && double_precision) {
        memcpy(out, tensor->data, (size_t)count * sizeof *out);
        return HS_OK;
    }
    float chunk[512];
    for (int64_t i = 0; i < count; i += 512) {
        int64_t part = count - i < 512 ? count - i : 512;
        HS_TRY(hs_tensor_to_f32(tensor, i, part, chunk, err));
        for (int64_t j = 0; j < part; j++)
            out[i + j] = (double)chunk[j];
    }
    return HS_OK;
}

static hs_status hs_ref_convert_weights(hs_exec *exec, hs_error *err) {
    int64_t total = 0;
    for (int i = 0; i < exec->count; i++)
        if (exec->needed[i] && exec->graph->nodes[i].op == HS_OP_WEIGHT &&
            __builtin_add_overflow(total, hs_shape_count(&exec->graph->nodes[i].shape), &total))
            return hs_fail_memory(err, SIZE_MAX);
    exec->weights = hs_alloc_aligned((size_t)total, sizeof(double));
    if (!exec->weights)
        return hs_fail_memory(err, (size_t)total * sizeof(double));
    exec->weight_bytes = total * (int64_t)sizeof(double);
    double *next = exec->weights;
    for (int i = 0; i < exec->count; i++) {
        const hs_node *node = &exec->graph->nodes[i];
        if (!exec->needed[i] || node->op != HS_OP_WEIGHT)
            continue;
        HS_TRY(hs_ref_widen(node->weight, exec->double_precision, next, err));
        exec->data[i] = next;
        next += hs_shape_count(&node->shape);
    }
    return HS_OK;
}

static hs_status hs_ref_plan_scratch(hs_exec *exec, hs_error *err) {
    int64_t largest = 0;
    for (int i = 0; i < exec->count; i++) {
        const hs_op_info *info = hs_op_get(exec->graph->nodes[i].op);
        int64_t count = info->scratch ? info->scratch(exec->graph, &exec->graph->nodes[i]) : 0;
        largest = count > largest ? count : largest;
    }
    exec->scratch = hs_alloc_aligned((size_t)largest, sizeof(double));
    exec->scratch_bytes = largest * (int64_t)sizeof(double);
    return exec->scratch ? HS_OK : hs_fail_memory(err, (size_t)exec->scratch_bytes);
}

static hs_status hs_ref_plan(const hs_graph *graph, const hs_plan_options *options, hs_exec **out,
                             hs_error *err) {
    hs_status status = HS_OK;
    size_t count = (size_t)graph->count;
    hs_exec *exec = hs_calloc(1, sizeof *exec);
    *out = NULL;
    if (!exec)
        return hs_fail_memory(err, sizeof *exec);
    exec->graph = graph;
    exec->count = graph->count;
    exec->double_precision = options->double_precision;
    exec->needed = hs_calloc(count, sizeof *exec->needed);
    exec->is_output = hs_calloc(count, sizeof *exec->is_output);
    exec->is_kept = hs_calloc(count, sizeof *exec->is_kept);
    exec->is_linked = hs_calloc(count, sizeof *exec->is_linked);
    exec->data = hs_calloc(count, sizeof *exec->data);
    if (!exec->needed || !exec->is_output || !exec->is_kept || !exec->is_linked || !exec->data) {
        status = hs_fail_memory(err, count * sizeof *exec->data);
        goto cleanup;
    }
    HS_CHECK(hs_ref_mark(exec, options, err));
    HS_CHECK(hs_ref_link(exec, options, err));
    HS_CHECK(hs_ref_plan_arena(exec, err));
    HS_CHECK(hs_ref_convert_weights(exec, err));
    HS_CHECK(hs_ref_plan_scratch(exec, err));
    *out = exec;
    return HS_OK;
cleanup:
    hs_ref_free(exec);
    return status;
}

static const hs_binding *hs_ref_find(hs_value value, const hs_binding *bindings, int count) {
    for (int i = 0; i < count; i++)
        if (bindings[i].value == value)
            return &bindings[i];
    return NULL;
}

static hs_status hs_ref_check_bindings(const hs_exec *exec, const hs_binding *inputs,
                                       int input_count, const hs_binding *outputs, int output_count,
                                       hs_error *err) {
    const hs_graph *graph = exec->graph;
    for (int i = 0; i < input_count; i++) {
        hs_value value = inputs[i].value;
        if (value < 0 || value >= exec->count || graph->nodes[value].op != HS_OP_INPUT)
            return hs_fail(err, HS_ERROR_ARGUMENT, "value %d is bound as an input but is none",
                           (int)value);
        if (exec->is_linked[value])
            return hs_fail(err, HS_ERROR_ARGUMENT, "input %s is linked and bound",
                           hs_ref_name(graph, value));
        if (!inputs[i].f32 == !inputs[i].f64)
            return hs_fail(err, HS_ERROR_ARGUMENT, "input %s: expected data of one type",
                           hs_ref_name(graph, value));
    }
    for (int i = 0; i < output_count; i++) {
        hs_value value = outputs[i].value;
        if (value < 0 || value >= exec->count || !exec->is_output[value])
            return hs_fail(err, HS_ERROR_ARGUMENT, "value %d is read but was not planned to be",
                           (int)value);
        if (!outputs[i].f32 == !outputs[i].f64)
            return hs_fail(err, HS_ERROR_ARGUMENT, "output %s: expected data of one type",
                           hs_ref_name(graph, value));
    }
    for (int i = 0; i < exec->count; i++)
        if (graph->nodes[i].op == HS_OP_INPUT && exec->needed[i] && !exec->is_linked[i] &&
            !hs_ref_find(i, inputs, input_count))
            return hs_fail(err, HS_ERROR_ARGUMENT, "input %s is not bound", hs_ref_name(graph, i));
    return HS_OK;
}

static void hs_ref_read(const hs_binding *binding, int64_t count, double *out) {
    for (int64_t i = 0; i < count; i++)
        out[i] = binding->f64 ? binding->f64[i] : (double)binding->f32[i];
}

static void hs_ref_run_node(const hs_exec *exec, int index, const hs_binding *inputs,
                            int input_count) {
    const hs_node *node = &exec->graph->nodes[index];
    int64_t count = hs_shape_count(&node->shape);
    double *out = exec->data[index];
    if (node->op == HS_OP_INPUT) {
        hs_ref_read(hs_ref_find(index, inputs, input_count), count, out);
    } else {
        const double *in[HS_MAX_INPUTS] = {NULL};
        for (int i = 0; i < node->input_count; i++)
            in[i] = exec->data[node->input[i]];
        hs_op_get(node->op)->reference(exec->graph, node, in, out, exec->scratch);
    }
    if (!exec->double_precision)
        for (int64_t i = 0; i < count; i++)
            out[i] = (double)(float)out[i];
}

static hs_status hs_ref_execute(hs_exec *exec, const hs_binding *inputs, int input_count,
                                const hs_binding *outputs, int output_count, hs_error *err) {
    HS_TRY(hs_ref_check_bindings(exec, inputs, input_count, outputs, output_count, err));
    for (int i = 0; i < exec->count; i++)
        if (exec->needed[i] && exec->graph->nodes[i].op != HS_OP_WEIGHT && !exec->is_linked[i])
            hs_ref_run_node(exec, i, inputs, input_count);
    for (int i = 0; i < output_count; i++) {
        const double *data = exec->data[outputs[i].value];
        int64_t count = hs_shape_count(&exec->graph->nodes[outputs[i].value].shape);
        if (outputs[i].f64)
            memcpy(outputs[i].f64, data, (size_t)count * sizeof *data);
        else
            for (int64_t j = 0; j < count; j++)
                outputs[i].f32[j] = (float)data[j];
    }
    return HS_OK;
}

static void hs_ref_bytes(const hs_exec *exec, hs_exec_bytes *bytes) {
    *bytes = (hs_exec_bytes){.own = exec->arena_bytes + exec->scratch_bytes,
                             .weights = exec->weight_bytes};
}

const hs_backend hs_backend_ref = {
    .name = "ref",
    .plan = hs_ref_plan,
    .execute = hs_ref_execute,
    .bytes = hs_ref_bytes,
    .free = hs_ref_free,
};
