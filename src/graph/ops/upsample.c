/*
 * upsample: nearest, twice as high and wide. odd_h and odd_w append a row or
 * column of zeros, which makes it, times 1/4, the adjoint of avg_pool of an
 * odd size; and avg_pool, times 4, is its adjoint in both cases.
 */
#include "graph/ops/ops.h"

static hs_status hs_upsample_shape(const hs_graph *graph, hs_node *node, hs_error *err) {
    HS_TRY(hs_rule_expect(graph, node, 0, "x", (hs_shape){4, {-1, -1, -1, -1}}, err));
    node->shape = *hs_rule_input(graph, node, 0);
    node->shape.dim[2] = 2 * node->shape.dim[2] + node->attr.upsample.odd_h;
    node->shape.dim[3] = 2 * node->shape.dim[3] + node->attr.upsample.odd_w;
    return HS_OK;
}

static void hs_upsample_reference(const hs_graph *graph, const hs_node *node,
                                  const double *const *in, double *out, double *scratch) {
    const hs_shape *x = hs_rule_input(graph, node, 0);
    int64_t h = x->dim[2], w = x->dim[3], out_h = node->shape.dim[2], out_w = node->shape.dim[3];
    for (int64_t p = 0; p < x->dim[0] * x->dim[1]; p++)
        for (int64_t i = 0; i < out_h; i++)
            for (int64_t j = 0; j < out_w; j++)
                out[(p * out_h + i) * out_w + j] =
                    i < 2 * h && j < 2 * w ? in[0][(p * h + i / 2) * w + j / 2] : 0;
}

static hs_status hs_upsample_vjp(hs_graph *graph, hs_value value, hs_value u, unsigned wanted,
                                 hs_value *out, hs_error *err) {
    hs_value pooled;
    hs_vjp_clear(out, 1);
    if (!(wanted & 1))
        return HS_OK;
    HS_TRY(hs_emit1(graph, HS_OP_AVG_POOL, u, NULL, &pooled, err));
    return hs_emit_scaled(graph, pooled, 4, &out[0], err);
}

const hs_op_info hs_op_upsample = {
    .name = "upsample",
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = hs_upsample_shape,
    .reference = hs_upsample_reference,
    .differentiable = 1,
    .jvp = hs_jvp_linear,
    .vjp = hs_upsample_vjp,
};
