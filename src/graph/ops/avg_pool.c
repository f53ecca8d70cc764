/* avg_pool: mean of 2x2 squares, stride 2. The last row or column of an odd
 * size is dropped, as PyTorch does. Its adjoint is in upsample.c. */
#include "graph/ops/ops.h"

static hs_status hs_avg_pool_shape(const hs_graph *graph, hs_node *node, hs_error *err) {
    HS_TRY(hs_rule_expect(graph, node, 0, "x", (hs_shape){4, {-1, -1, -1, -1}}, err));
    const hs_shape *x = hs_rule_input(graph, node, 0);
    if (x->dim[2] < 2 || x->dim[3] < 2)
        return hs_rule_fail(node, err, "x is %lld x %lld, expected at least 2 x 2",
                            (long long)x->dim[2], (long long)x->dim[3]);
    node->shape = (hs_shape){4, {x->dim[0], x->dim[1], x->dim[2] / 2, x->dim[3] / 2}};
    return HS_OK;
}

static void hs_avg_pool_reference(const hs_graph *graph, const hs_node *node,
                                  const double *const *in, double *out, double *scratch) {
    const hs_shape *x = hs_rule_input(graph, node, 0);
    int64_t w = x->dim[3], out_h = node->shape.dim[2], out_w = node->shape.dim[3];
    for (int64_t p = 0; p < x->dim[0] * x->dim[1]; p++)
        for (int64_t i = 0; i < out_h; i++)
            for (int64_t j = 0; j < out_w; j++) {
                const double *corner = in[0] + (p * x->dim[2] + 2 * i) * w + 2 * j;
                out[(p * out_h + i) * out_w + j] =
                    (corner[0] + corner[1] + corner[w] + corner[w + 1]) / 4;
            }
}

static hs_status hs_avg_pool_vjp(hs_graph *graph, hs_value value, hs_value u, unsigned wanted,
                                 hs_value *out, hs_error *err) {
    hs_node node = graph->nodes[value];
    const hs_shape *x = hs_rule_input(graph, &node, 0);
    hs_attr attr = {.upsample = {.odd_h = x->dim[2] % 2 == 1, .odd_w = x->dim[3] % 2 == 1}};
    hs_value spread;
    hs_vjp_clear(out, 1);
    if (!(wanted & 1))
        return HS_OK;
    HS_TRY(hs_emit1(graph, HS_OP_UPSAMPLE, u, &attr, &spread, err));
    return hs_emit_scaled(graph, spread, 0.25, &out[0], err);
}

const hs_op_info hs_op_avg_pool = {
    .name = "avg_pool",
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = hs_avg_pool_shape,
    .reference = hs_avg_pool_reference,
    .differentiable = 1,
    .jvp = hs_jvp_linear,
    .vjp = hs_avg_pool_vjp,
};
