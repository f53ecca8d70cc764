/* Building a graph: values, names, shapes. See graph.h. The rules of each op
 * stand in ops/; this file knows none of them. */
#include "graph/graph.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/optable.h"

hs_graph *hs_graph_new(void) {
    return hs_calloc(1, sizeof(hs_graph));
}

void hs_graph_free(hs_graph *graph) {
    if (!graph)
        return;
    free(graph->nodes);
    hs_arena_free(&graph->arena);
    free(graph);
}

hs_shape hs_shape_make(int rank, ...) {
    hs_shape shape = {.rank = rank};
    va_list args;
    va_start(args, rank);
    for (int i = 0; i < rank && i < 4; i++)
        shape.dim[i] = va_arg(args, int64_t);
    va_end(args);
    return shape;
}

int64_t hs_shape_count(const hs_shape *shape) {
    int64_t count = 1;
    for (int i = 0; i < shape->rank; i++)
        count *= shape->dim[i];
    return count;
}

bool hs_shape_equal(const hs_shape *a, const hs_shape *b) {
    if (a->rank != b->rank)
        return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i])
            return false;
    return true;
}

void hs_shape_describe(const hs_shape *shape, char text[100]) {
    size_t used = (size_t)snprintf(text, 100, "[");
    for (int i = 0; i < shape->rank && i < 4; i++) {
        const char *comma = i ? ", " : "";
        if (shape->dim[i] < 0)
            used += (size_t)snprintf(text + used, 100 - used, "%s*", comma);
        else
            used += (size_t)snprintf(text + used, 100 - used, "%s%lld", comma,
                                     (long long)shape->dim[i]);
    }
    snprintf(text + used, 100 - used, "]");
}

/* Every dimension is at least 1, and the tensor's size in doubles fits int64_t:
 * what is computed from shapes later on need not be checked again. */
static hs_status hs_graph_check_shape(const hs_node *node, hs_error *err) {
    char text[100];
    const hs_shape *shape = &node->shape;
    int64_t bytes = (int64_t)sizeof(double);
    bool ok = shape->rank >= 1 && shape->rank <= 4;
    for (int i = 0; ok && i < shape->rank; i++)
        ok = shape->dim[i] >= 1 && hs_mul_i64(bytes, shape->dim[i], &bytes);
    if (ok && bytes <= INT64_MAX / 4)
        return HS_OK;
    hs_shape_describe(shape, text);
    return hs_fail(err, HS_ERROR_MISMATCH,
                   "%s%s%s: shape %s, expected 1 to 4 dimensions of at least 1 that fit memory",
                   hs_op_get(node->op)->name, node->name ? " " : "", node->name ? node->name : "",
                   text);
}

/* Append `node` once it is complete but for its name's copy. */
static hs_status hs_graph_append(hs_graph *graph, hs_node node, hs_value *out, hs_error *err) {
    HS_TRY(hs_graph_check_shape(&node, err));
    if (graph->count == graph->capacity) {
        size_t capacity = graph->capacity ? 2 * (size_t)graph->capacity : 64;
        if (capacity > INT32_MAX)
            return hs_fail_memory(err, capacity * sizeof(hs_node));
        hs_node *nodes = realloc(graph->nodes, capacity * sizeof *nodes);
        if (!nodes)
            return hs_fail_memory(err, capacity * sizeof *nodes);
        graph->nodes = nodes;
        graph->capacity = (int32_t)capacity;
    }
    if (node.name && !(node.name = hs_arena_strdup(&graph->arena, node.name)))
        return hs_fail_memory(err, 1);
    graph->nodes[graph->count] = node;
    *out = graph->count++;
    return HS_OK;
}

hs_status hs_graph_input(hs_graph *graph, const char *name, hs_shape shape, hs_value *out,
                         hs_error *err) {
    return hs_graph_append(graph, (hs_node){.op = HS_OP_INPUT, .shape = shape, .name = name}, out,
                           err);
}

hs_status hs_graph_weight(hs_graph *graph, const hs_tensor *tensor, hs_shape shape, hs_value *out,
                          hs_error *err) {
    hs_node node = {.op = HS_OP_WEIGHT, .shape = shape, .name = tensor->name, .weight = tensor};
    HS_TRY(hs_graph_check_shape(&node, err));
    if (hs_tensor_count(tensor) != hs_shape_count(&shape)) {
        char found[200], expected[100];
        hs_tensor_describe(tensor, found);
        hs_shape_describe(&shape, expected);
        return hs_fail(err, HS_ERROR_MISMATCH, "tensor %s is %s, expected as many values as %s",
                       tensor->name ? tensor->name : "(unnamed)", found, expected);
    }
    return hs_graph_append(graph, node, out, err);
}

hs_status hs_graph_add(hs_graph *graph, hs_op op, const hs_value *inputs, int input_count,
                       const hs_attr *attr, const char *name, hs_value *out, hs_error *err) {
    const hs_op_info *info = hs_op_get(op);
    if (!info || !info->shape)
        return hs_fail(err, HS_ERROR_ARGUMENT, "op number %d is none that can be added", (int)op);
    hs_node node = {.op = op, .input_count = input_count, .name = name};
    const char *label = name ? name : "(unnamed)";
    if (input_count < info->min_inputs || input_count > info->max_inputs)
        return hs_fail(err, HS_ERROR_MISMATCH, "%s %s: %d inputs, expected %d to %d", info->name,
                       label, input_count, info->min_inputs, info->max_inputs);
    for (int i = 0; i < input_count; i++) {
        if (inputs[i] < 0 || inputs[i] >= graph->count)
            return hs_fail(err, HS_ERROR_MISMATCH,
                           "%s %s: input %d is value %d, expected one of the %d before it",
                           info->name, label, i, (int)inputs[i], (int)graph->count);
        node.input[i] = inputs[i];
    }
    if (attr)
        node.attr = *attr;
    HS_TRY(info->shape(graph, &node, err));
    return hs_graph_append(graph, node, out, err);
}

void hs_graph_make_input(hs_graph *graph, hs_value value) {
    hs_node *node = &graph->nodes[value];
    *node = (hs_node){.op = HS_OP_INPUT, .shape = node->shape, .name = node->name};
}

void hs_graph_set_name(hs_graph *graph, hs_value value, const char *name) {
    char *copy = hs_arena_strdup(&graph->arena, name);
    if (copy) /* without memory the value keeps the name it has */
        graph->nodes[value].name = copy;
}

hs_value hs_graph_find(const hs_graph *graph, const char *name) {
    for (int32_t i = 0; i < graph->count; i++)
        if (graph->nodes[i].name && strcmp(graph->nodes[i].name, name) == 0)
            return i;
    return HS_NO_VALUE;
}

int64_t hs_node_macs(const hs_graph *graph, hs_value value) {
    const hs_node *node = &graph->nodes[value];
    const hs_op_info *info = hs_op_get(node->op);
    return info->macs ? info->macs(graph, node) : 0;
}
