/* divide_rows: y[n] = x[n] / t[n]; t may have one element for all rows. */
#include "graph/ops/ops.h"

static hs_status hs_divide_rows_shape(const hs_graph *graph, hs_node *node, hs_error *err) {
    const hs_shape *x = hs_rule_input(graph, node, 0), *t = hs_rule_input(graph, node, 1);
    HS_TRY(hs_rule_expect(graph, node, 1, "t", (hs_shape){1, {hs_rule_rows(t, x->dim[0])}}, err));
    node->shape = *x;
    return HS_OK;
}

static void hs_divide_rows_reference(const hs_graph *graph, const hs_node *node,
                                     const double *const *in, double *out, double *scratch) {
    int64_t count = hs_shape_count(&node->shape), row = hs_row_size(&node->shape);
    bool one = hs_rule_input(graph, node, 1)->dim[0] == 1;
    for (int64_t i = 0; i < count; i++)
        out[i] = in[0][i] / in[1][one ? 0 : i / row];
}

const hs_op_info hs_op_divide_rows = {
    .name = "divide_rows",
    .min_inputs = 2,
    .max_inputs = 2,
    .shape = hs_divide_rows_shape,
    .reference = hs_divide_rows_reference,
    .differentiable = 1,
    .jvp = hs_jvp_linear,
    .vjp = hs_vjp_self_adjoint,
};
