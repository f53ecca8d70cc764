/* mul: a v, element by element; a may have one row for all rows of v. It is
 * linear in v; a is a value of the primal point. */
#include "graph/ops/ops.h"

static hs_status hs_mul_shape(const hs_graph *graph, hs_node *node, hs_error *err) {
    HS_TRY(hs_rule_primal(graph, node, 0, "a", 1, "v", err));
    node->shape = *hs_rule_input(graph, node, 1);
    return HS_OK;
}

static void hs_mul_reference(const hs_graph *graph, const hs_node *node, const double *const *in,
                             double *out, double *scratch) {
    int64_t count = hs_shape_count(&node->shape);
    int64_t a_count = hs_shape_count(hs_rule_input(graph, node, 0)); /* all rows, or one */
    for (int64_t i = 0; i < count; i++)
        out[i] = in[0][i % a_count] * in[1][i];
}

const hs_op_info hs_op_mul = {
    .name = "mul",
    .min_inputs = 2,
    .max_inputs = 2,
    .shape = hs_mul_shape,
    .reference = hs_mul_reference,
    .differentiable = 2,
    .jvp = hs_jvp_linear,
    .vjp = hs_vjp_self_adjoint,
};
