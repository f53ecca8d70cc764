/* add: a + b, of the same shape. */
#include "graph/ops/ops.h"

static hs_status hs_add_shape(const hs_graph *graph, hs_node *node, hs_error *err) {
    HS_TRY(hs_rule_same(graph, node, 0, "a", 1, "b", err));
    return hs_shape_like_first(graph, node, err);
}

static void hs_add_reference(const hs_graph *graph, const hs_node *node, const double *const *in,
                             double *out, double *scratch) {
    int64_t count = hs_shape_count(&node->shape);
    for (int64_t i = 0; i < count; i++)
        out[i] = in[0][i] + in[1][i];
}

static hs_status hs_add_jvp(hs_graph *graph, hs_value value, const hs_value *v, hs_value *out,
                            hs_error *err) {
    return hs_emit_sum(graph, v[0], v[1], out, err);
}

static hs_status hs_add_vjp(hs_graph *graph, hs_value value, hs_value u, unsigned wanted,
                            hs_value *out, hs_error *err) {
    out[0] = wanted & 1 ? u : HS_NO_VALUE;
    out[1] = wanted & 2 ? u : HS_NO_VALUE;
    return HS_OK;
}

const hs_op_info hs_op_add = {
    .name = "add",
    .min_inputs = 2,
    .max_inputs = 2,
    .shape = hs_add_shape,
    .reference = hs_add_reference,
    .differentiable = 3,
    .jvp = hs_add_jvp,
    .vjp = hs_add_vjp,
};
