/* linear: y = x w^T + bias, w [o,i]; linear_transpose is its adjoint in x, u w. */
#include <string.h>

#include "graph/ops/ops.h"

static hs_status hs_linear_shape(const hs_graph *graph, hs_node *node, hs_error *err) {
    HS_TRY(hs_rule_expect(graph, node, 0, "x", (hs_shape){2, {-1, -1}}, err));
    const hs_shape *x = hs_rule_input(graph, node, 0), *w = hs_rule_input(graph, node, 1);
    HS_TRY(hs_rule_expect(graph, node, 1, "weight", (hs_shape){2, {-1, x->dim[1]}}, err));
    if (node->input_count == 3)
        HS_TRY(hs_rule_expect(graph, node, 2, "bias", (hs_shape){1, {w->dim[0]}}, err));
    node->shape = (hs_shape){2, {x->dim[0], w->dim[0]}};
    return HS_OK;
}

static hs_status hs_linear_transpose_shape(const hs_graph *graph, hs_node *node, hs_error *err) {
    HS_TRY(hs_rule_expect(graph, node, 1, "weight", (hs_shape){2, {-1, -1}}, err));
    const hs_shape *u = hs_rule_input(graph, node, 0), *w = hs_rule_input(graph, node, 1);
    HS_TRY(hs_rule_expect(graph, node, 0, "u", (hs_shape){2, {-1, w->dim[0]}}, err));
    node->shape = (hs_shape){2, {u->dim[0], w->dim[1]}};
    return HS_OK;
}

static void hs_linear_reference(const hs_graph *graph, const hs_node *node, const double *const *in,
                                double *out, double *scratch) {
    int64_t n = node->shape.dim[0], to = node->shape.dim[1];
    int64_t from = hs_rule_input(graph, node, 0)->dim[1];
    for (int64_t row = 0; row < n; row++)
        for (int64_t o = 0; o < to; o++) {
            double sum = node->input_count == 3 ? in[2][o] : 0;
            for (int64_t i = 0; i < from; i++)
                sum += in[0][row * from + i] * in[1][o * from + i];
            out[row * to + o] = sum;
        }
}

static void hs_linear_transpose_reference(const hs_graph *graph, const hs_node *node,
                                          const double *const *in, double *out, double *scratch) {
    int64_t n = node->shape.dim[0], to = node->shape.dim[1];
    int64_t from = hs_rule_input(graph, node, 0)->dim[1];
    memset(out, 0, (size_t)(n * to) * sizeof *out);
    for (int64_t row = 0; row < n; row++)
        for (int64_t o = 0; o < from; o++)
            for (int64_t i = 0; i < to; i++)
                out[row * to + i] += in[0][row * from + o] * in[1][o * to + i];
}

static hs_status hs_linear_jvp(hs_graph *graph, hs_value value, const hs_value *v, hs_value *out,
                               hs_error *err) {
    hs_value w = graph->nodes[value].input[1]; /* the tangent has no bias */
    return hs_emit2(graph, HS_OP_LINEAR, v[0], w, NULL, out, err);
}

static hs_status hs_linear_vjp(hs_graph *graph, hs_value value, hs_value u, unsigned wanted,
                               hs_value *out, hs_error *err) {
    hs_node node = graph->nodes[value];
    hs_op adjoint = node.op == HS_OP_LINEAR ? HS_OP_LINEAR_TRANSPOSE : HS_OP_LINEAR;
    hs_vjp_clear(out, node.input_count);
    return wanted & 1 ? hs_emit2(graph, adjoint, u, node.input[1], NULL, &out[0], err) : HS_OK;
}

static int64_t hs_linear_macs(const hs_graph *graph, const hs_node *node) {
    return node->shape.dim[0] * hs_shape_count(hs_rule_input(graph, node, 1));
}

const hs_op_info hs_op_linear = {
    .name = "linear",
    .min_inputs = 2,
    .max_inputs = 3,
    .shape = hs_linear_shape,
    .reference = hs_linear_reference,
    .differentiable = 1,
    .jvp = hs_linear_jvp,
    .vjp = hs_linear_vjp,
    .macs = hs_linear_macs,
};

const hs_op_info hs_op_linear_transpose = {
    .name = "linear_transpose",
    .min_inputs = 2,
    .max_inputs = 2,
    .shape = hs_linear_transpose_shape,
    .reference = hs_linear_transpose_reference,
    .differentiable = 1,
    .jvp = hs_jvp_linear,
    .vjp = hs_linear_vjp,
    .macs = hs_linear_macs,
};
