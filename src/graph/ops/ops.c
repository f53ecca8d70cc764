/* Helpers for the rules of ops. See ops.h. */
#include "graph/ops/ops.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const hs_shape *hs_rule_input(const hs_graph *graph, const hs_node *node, int i) {
    return &graph->nodes[node->input[i]].shape;
}

hs_status hs_rule_fail(const hs_node *node, hs_error *err, const char *format, ...) {
    char text[600];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return hs_fail(err, HS_ERROR_MISMATCH, "%s %s: %s", hs_op_get(node->op)->name,
                   node->name ? node->name : "(unnamed)", text);
}

hs_status hs_rule_expect(const hs_graph *graph, const hs_node *node, int i, const char *what,
                         hs_shape expected, hs_error *err) {
    const hs_shape *shape = hs_rule_input(graph, node, i);
    bool ok = shape->rank == expected.rank;
    for (int axis = 0; ok && axis < shape->rank; axis++)
        ok = expected.dim[axis] < 0 || expected.dim[axis] == shape->dim[axis];
    if (ok)
        return HS_OK;
    char found[100], wanted[100];
    hs_shape_describe(shape, found);
    hs_shape_describe(&expected, wanted);
    return hs_rule_fail(node, err, "%s is %s, expected %s", what, found, wanted);
}

hs_status hs_rule_same(const hs_graph *graph, const hs_node *node, int i, const char *what_i, int j,
                       const char *what_j, hs_error *err) {
    const hs_shape *a = hs_rule_input(graph, node, i), *b = hs_rule_input(graph, node, j);
    if (hs_shape_equal(a, b))
        return HS_OK;
    char found[100], wanted[100];
    hs_shape_describe(b, found);
    hs_shape_describe(a, wanted);
    return hs_rule_fail(node, err, "%s is %s, expected %s as %s", what_j, found, wanted, what_i);
}

hs_status hs_rule_primal(const hs_graph *graph, const hs_node *node, int i, const char *what_i,
                         int j, const char *what_j, hs_error *err) {
    const hs_shape *primal = hs_rule_input(graph, node, i);
    hs_shape expected = *hs_rule_input(graph, node, j);
    expected.dim[0] = hs_rule_rows(primal, expected.dim[0]);
    if (hs_shape_equal(primal, &expected))
        return HS_OK;
    char found[100], wanted[100];
    hs_shape_describe(primal, found);
    hs_shape_describe(&expected, wanted);
    return hs_rule_fail(node, err, "%s is %s, expected %s (or one row) as %s", what_i, found,
                        wanted, what_j);
}

int64_t hs_rule_rows(const hs_shape *primal, int64_t rows) {
    return primal->dim[0] == 1 ? 1 : rows;
}

hs_status hs_shape_like_first(const hs_graph *graph, hs_node *node, hs_error *err) {
    node->shape = *hs_rule_input(graph, node, 0);
    return HS_OK;
}

int64_t hs_row_size(const hs_shape *shape) {
    return hs_shape_count(shape) / shape->dim[0];
}

int64_t hs_channel_size(const hs_shape *shape) {
    return hs_row_size(shape) / shape->dim[1];
}

hs_status hs_emit1(hs_graph *graph, hs_op op, hs_value a, const hs_attr *attr, hs_value *out,
                   hs_error *err) {
    return hs_graph_add(graph, op, &a, 1, attr, NULL, out, err);
}

hs_status hs_emit2(hs_graph *graph, hs_op op, hs_value a, hs_value b, const hs_attr *attr,
                   hs_value *out, hs_error *err) {
    const hs_value inputs[] = {a, b};
    return hs_graph_add(graph, op, inputs, 2, attr, NULL, out, err);
}

hs_status hs_emit_shared(hs_graph *graph, hs_op op, const hs_value *inputs, int input_count,
                         const hs_attr *attr, hs_value *out, hs_error *err) {
    for (hs_value i = inputs[0] + 1; i < graph->count; i++) {
        const hs_node *node = &graph->nodes[i];
        /* Attributes are compared as bytes: those of one primal node are copies
         * of each other, and two that only look different cost a node at most. */
        if (node->op == op && node->input_count == input_count &&
            memcmp(node->input, inputs, (size_t)input_count * sizeof *inputs) == 0 &&
            memcmp(&node->attr, attr, sizeof *attr) == 0) {
            *out = i;
            return HS_OK;
        }
    }
    return hs_graph_add(graph, op, inputs, input_count, attr, NULL, out, err);
}

hs_status hs_emit_scaled(hs_graph *graph, hs_value a, double factor, hs_value *out, hs_error *err) {
    hs_attr attr = {.affine = {.alpha = factor}};
    return hs_emit1(graph, HS_OP_AFFINE, a, &attr, out, err);
}

hs_status hs_emit_sum(hs_graph *graph, hs_value a, hs_value b, hs_value *out, hs_error *err) {
    if (a == HS_NO_VALUE || b == HS_NO_VALUE) {
        *out = a == HS_NO_VALUE ? b : a;
        return HS_OK;
    }
    return hs_emit2(graph, HS_OP_ADD, a, b, NULL, out, err);
}

hs_status hs_jvp_linear(hs_graph *graph, hs_value value, const hs_value *v, hs_value *out,
                        hs_error *err) {
    hs_node node = graph->nodes[value]; /* adding nodes may move the array */
    for (int i = 0; i < node.input_count; i++)
        if (v[i] != HS_NO_VALUE)
            node.input[i] = v[i];
    return hs_graph_add(graph, node.op, node.input, node.input_count, &node.attr, NULL, out, err);
}

hs_status hs_vjp_self_adjoint(hs_graph *graph, hs_value value, hs_value u, unsigned wanted,
                              hs_value *out, hs_error *err) {
    hs_node node = graph->nodes[value];
    hs_vjp_clear(out, node.input_count);
    for (int i = 0; i < node.input_count; i++) {
        if (!(wanted >> i & 1))
            continue;
        node.input[i] = u;
        return hs_graph_add(graph, node.op, node.input, node.input_count, &node.attr, NULL, &out[i],
                            err);
    }
    return HS_OK;
}

void hs_vjp_clear(hs_value *out, int count) {
    for (int i = 0; i < count; i++)
        out[i] = HS_NO_VALUE;
}
