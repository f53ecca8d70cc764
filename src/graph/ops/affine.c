/* affine: alpha x + beta, two scalars. */
#include <math.h>

#include "graph/ops/ops.h"

static hs_status hs_affine_shape(const hs_graph *graph, hs_node *node, hs_error *err) {
    if (!isfinite(node->attr.affine.alpha) || !isfinite(node->attr.affine.beta))
        return hs_rule_fail(node, err, "alpha is %g and beta %g, expected finite numbers",
                            node->attr.affine.alpha, node->attr.affine.beta);
    return hs_shape_like_first(graph, node, err);
}

static void hs_affine_reference(const hs_graph *graph, const hs_node *node, const double *const *in,
                                double *out, double *scratch) {
    int64_t count = hs_shape_count(&node->shape);
    for (int64_t i = 0; i < count; i++)
        out[i] = node->attr.affine.alpha * in[0][i] + node->attr.affine.beta;
}

static hs_status hs_affine_jvp(hs_graph *graph, hs_value value, const hs_value *v, hs_value *out,
                               hs_error *err) {
    return hs_emit_scaled(graph, v[0], graph->nodes[value].attr.affine.alpha, out, err);
}

static hs_status hs_affine_vjp(hs_graph *graph, hs_value value, hs_value u, unsigned wanted,
                               hs_value *out, hs_error *err) {
    hs_vjp_clear(out, 1);
    return wanted & 1 ? hs_affine_jvp(graph, value, &u, &out[0], err) : HS_OK;
}

const hs_op_info hs_op_affine = {
    .name = "affine",
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = hs_affine_shape,
    .reference = hs_affine_reference,
    .differentiable = 1,
    .jvp = hs_affine_jvp,
    .vjp = hs_affine_vjp,
};
