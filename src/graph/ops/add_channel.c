/*
 * add_channel: y[n,c,y,x] = x[n,c,y,x] + b[n,c]; x may have one row for all
 * rows of b, so that 0 x + b spreads b over a plane: the adjoint of
 * sum_spatial, s[n,c] = sum over y, x of x[n,c,y,x], which is also here.
 */
#include "graph/ops/ops.h"

static hs_status hs_add_channel_shape(const hs_graph *graph, hs_node *node, hs_error *err) {
    HS_TRY(hs_rule_expect(graph, node, 0, "x", (hs_shape){4, {-1, -1, -1, -1}}, err));
    const hs_shape *x = hs_rule_input(graph, node, 0);
    int64_t rows = x->dim[0] == 1 ? -1 : x->dim[0];
    HS_TRY(hs_rule_expect(graph, node, 1, "b", (hs_shape){2, {rows, x->dim[1]}}, err));
    node->shape = *x;
    node->shape.dim[0] = hs_rule_input(graph, node, 1)->dim[0];
    return HS_OK;
}

static hs_status hs_sum_spatial_shape(const hs_graph *graph, hs_node *node, hs_error *err) {
    HS_TRY(hs_rule_expect(graph, node, 0, "x", (hs_shape){4, {-1, -1, -1, -1}}, err));
    const hs_shape *x = hs_rule_input(graph, node, 0);
    node->shape = (hs_shape){2, {x->dim[0], x->dim[1]}};
    return HS_OK;
}

static void hs_add_channel_reference(const hs_graph *graph, const hs_node *node,
                                     const double *const *in, double *out, double *scratch) {
    int64_t count = hs_shape_count(&node->shape), plane = hs_channel_size(&node->shape);
    int64_t x_count = hs_shape_count(hs_rule_input(graph, node, 0)); /* all rows, or one */
    for (int64_t i = 0; i < count; i++)
        out[i] = in[0][i % x_count] + in[1][i / plane];
}

static void hs_sum_spatial_reference(const hs_graph *graph, const hs_node *node,
                                     const double *const *in, double *out, double *scratch) {
    int64_t planes = hs_shape_count(&node->shape);
    int64_t plane = hs_channel_size(hs_rule_input(graph, node, 0));
    for (int64_t p = 0; p < planes; p++) {
        double sum = 0;
        for (int64_t i = 0; i < plane; i++)
            sum += in[0][p * plane + i];
        out[p] = sum;
    }
}

/* b [k,c] spread over planes of the size of `like` [k or 1,c,h,w]. */
static hs_status hs_emit_spread(hs_graph *graph, hs_value like, hs_value b, hs_value *out,
                                hs_error *err) {
    hs_value zero;
    HS_TRY(hs_emit_scaled(graph, like, 0, &zero, err));
    return hs_emit2(graph, HS_OP_ADD_CHANNEL, zero, b, NULL, out, err);
}

static hs_status hs_add_channel_jvp(hs_graph *graph, hs_value value, const hs_value *v,
                                    hs_value *out, hs_error *err) {
    if (v[1] == HS_NO_VALUE) {
        *out = v[0];
        return HS_OK;
    }
    if (v[0] == HS_NO_VALUE)
        return hs_emit_spread(graph, graph->nodes[value].input[0], v[1], out, err);
    return hs_emit2(graph, HS_OP_ADD_CHANNEL, v[0], v[1], NULL, out, err);
}

static hs_status hs_add_channel_vjp(hs_graph *graph, hs_value value, hs_value u, unsigned wanted,
                                    hs_value *out, hs_error *err) {
    hs_node node = graph->nodes[value];
    hs_vjp_clear(out, 2);
    if (wanted & 1) {
        if (hs_rule_input(graph, &node, 0)->dim[0] != node.shape.dim[0])
            return hs_fail(err, HS_ERROR_UNSUPPORTED,
                           "add_channel %s: no cotangent of an x whose one row serves several",
                           node.name ? node.name : "(unnamed)");
        out[0] = u;
    }
    return wanted & 2 ? hs_emit1(graph, HS_OP_SUM_SPATIAL, u, NULL, &out[1], err) : HS_OK;
}

static hs_status hs_sum_spatial_vjp(hs_graph *graph, hs_value value, hs_value u, unsigned wanted,
                                    hs_value *out, hs_error *err) {
    hs_vjp_clear(out, 1);
    if (!(wanted & 1))
        return HS_OK;
    return hs_emit_spread(graph, graph->nodes[value].input[0], u, &out[0], err);
}

const hs_op_info hs_op_add_channel = {
    .name = "add_channel",
    .min_inputs = 2,
    .max_inputs = 2,
    .shape = hs_add_channel_shape,
    .reference = hs_add_channel_reference,
    .differentiable = 3,
    .jvp = hs_add_channel_jvp,
    .vjp = hs_add_channel_vjp,
};

const hs_op_info hs_op_sum_spatial = {
    .name = "sum_spatial",
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = hs_sum_spatial_shape,
    .reference = hs_sum_spatial_reference,
    .differentiable = 1,
    .jvp = hs_jvp_linear,
    .vjp = hs_sum_spatial_vjp,
};
