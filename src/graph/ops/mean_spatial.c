/*
 * mean_spatial: y[n,c] = mean over y, x of x[n,c,y,x], the global average
 * pooling before a classifier's head. Its adjoint spreads u / (h w) over the
 * plane.
 */
#include "graph/ops/ops.h"

static hs_status hs_mean_spatial_shape(const hs_graph *graph, hs_node *node, hs_error *err) {
    HS_TRY(hs_rule_expect(graph, node, 0, "x", (hs_shape){4, {-1, -1, -1, -1}}, err));
    const hs_shape *x = hs_rule_input(graph, node, 0);
    node->shape = (hs_shape){2, {x->dim[0], x->dim[1]}};
    return HS_OK;
}

static void hs_mean_spatial_reference(const hs_graph *graph, const hs_node *node,
                                      const double *const *in, double *out, double *scratch) {
    int64_t planes = hs_shape_count(&node->shape);
    int64_t plane = hs_channel_size(hs_rule_input(graph, node, 0));
    for (int64_t p = 0; p < planes; p++) {
        double sum = 0;
        for (int64_t i = 0; i < plane; i++)
            sum += in[0][p * plane + i];
        out[p] = sum / (double)plane;
    }
}

static hs_status hs_mean_spatial_vjp(hs_graph *graph, hs_value value, hs_value u, unsigned wanted,
                                     hs_value *out, hs_error *err) {
    hs_value x = graph->nodes[value].input[0], share, zero;
    double plane = (double)hs_channel_size(&graph->nodes[x].shape);
    hs_vjp_clear(out, 1);
    if (!(wanted & 1))
        return HS_OK;
    HS_TRY(hs_emit_scaled(graph, u, 1 / plane, &share, err));
    HS_TRY(hs_emit_scaled(graph, x, 0, &zero, err)); /* a plane to add to */
    return hs_emit2(graph, HS_OP_ADD_CHANNEL, zero, share, NULL, &out[0], err);
}

const hs_op_info hs_op_mean_spatial = {
    .name = "mean_spatial",
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = hs_mean_spatial_shape,
    .reference = hs_mean_spatial_reference,
    .differentiable = 1,
    .jvp = hs_jvp_linear,
    .vjp = hs_mean_spatial_vjp,
};
