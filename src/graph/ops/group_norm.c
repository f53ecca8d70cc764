/*
 * group_norm: y = gamma[c] (x - mean) rstd + beta[c], with mean and the
 * population variance of each group of c / groups consecutive channels, and
 * rstd = 1 / sqrt(variance + eps).
 *
 * With xhat = (x - mean) rstd and <.> the mean over a group, the derivative is
 *   tangent    dy = gamma rstd (v - <v> - xhat <v xhat>)
 *   cotangent  dx = rstd (g - <g> - xhat <g xhat>),  g = gamma u
 * group_norm_stats computes mean and rstd once for both; group_norm too uses
 * them where they are its fourth input.
 */
#include <math.h>

#include "graph/ops/ops.h"

static hs_status hs_group_norm_check_groups(const hs_node *node, const hs_shape *x, hs_error *err) {
    int groups = node->attr.group_norm.groups;
    if (groups < 1 || x->dim[1] % groups)
        return hs_rule_fail(node, err, "groups is %d, expected a divisor of the %lld channels",
                            groups, (long long)x->dim[1]);
    if (!(node->attr.group_norm.eps >= 0) || !isfinite(node->attr.group_norm.eps))
        return hs_rule_fail(node, err, "eps is %g, expected a finite number, 0 or more",
                            node->attr.group_norm.eps);
    return HS_OK;
}

static hs_status hs_group_norm_shape(const hs_graph *graph, hs_node *node, hs_error *err) {
    HS_TRY(hs_rule_expect(graph, node, 0, "x", (hs_shape){4, {-1, -1, -1, -1}}, err));
    const hs_shape *x = hs_rule_input(graph, node, 0);
    HS_TRY(hs_group_norm_check_groups(node, x, err));
    HS_TRY(hs_rule_expect(graph, node, 1, "gamma", (hs_shape){1, {x->dim[1]}}, err));
    HS_TRY(hs_rule_expect(graph, node, 2, "beta", (hs_shape){1, {x->dim[1]}}, err));
    if (node->input_count == 4)
        HS_TRY(hs_rule_expect(graph, node, 3, "stats",
                              (hs_shape){3, {x->dim[0], node->attr.group_norm.groups, 2}}, err));
    node->shape = *x;
    return HS_OK;
}

static hs_status hs_group_norm_stats_shape(const hs_graph *graph, hs_node *node, hs_error *err) {
    HS_TRY(hs_rule_expect(graph, node, 0, "x", (hs_shape){4, {-1, -1, -1, -1}}, err));
    const hs_shape *x = hs_rule_input(graph, node, 0);
    HS_TRY(hs_group_norm_check_groups(node, x, err));
    node->shape = (hs_shape){3, {x->dim[0], node->attr.group_norm.groups, 2}};
    return HS_OK;
}

/* (x, stats, gamma, v or u) */
static hs_status hs_group_norm_derivative_shape(const hs_graph *graph, hs_node *node,
                                                hs_error *err) {
    HS_TRY(hs_rule_expect(graph, node, 0, "x", (hs_shape){4, {-1, -1, -1, -1}}, err));
    const hs_shape *x = hs_rule_input(graph, node, 0);
    HS_TRY(hs_group_norm_check_groups(node, x, err));
    HS_TRY(hs_rule_expect(graph, node, 1, "stats",
                          (hs_shape){3, {x->dim[0], node->attr.group_norm.groups, 2}}, err));
    HS_TRY(hs_rule_expect(graph, node, 2, "gamma", (hs_shape){1, {x->dim[1]}}, err));
    HS_TRY(hs_rule_primal(graph, node, 0, "x", 3, "the tangent", err));
    node->shape = *hs_rule_input(graph, node, 3);
    return HS_OK;
}

/* Mean and rstd of one group; two passes, so that a large mean costs no digits. */
static void hs_group_norm_moments(const double *x, int64_t count, double eps, double *mean,
                                  double *rstd) {
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < count; i++)
        sum += x[i];
    *mean = sum / (double)count;
    for (int64_t i = 0; i < count; i++)
        squares += (x[i] - *mean) * (x[i] - *mean);
    *rstd = 1 / sqrt(squares / (double)count + eps);
}

static void hs_group_norm_reference(const hs_graph *graph, const hs_node *node,
                                    const double *const *in, double *out, double *scratch) {
    int64_t n = node->shape.dim[0], channels = node->shape.dim[1];
    int64_t plane = hs_channel_size(&node->shape), groups = node->attr.group_norm.groups;
    int64_t size = channels / groups * plane; /* elements of a group */
    for (int64_t g = 0; g < n * groups; g++) {
        const double *x = in[0] + g * size;
        double mean, rstd;
        if (node->input_count == 4)
            mean = in[3][2 * g], rstd = in[3][2 * g + 1];
        else
            hs_group_norm_moments(x, size, node->attr.group_norm.eps, &mean, &rstd);
        for (int64_t i = 0; i < size; i++) {
            int64_t c = g % groups * (channels / groups) + i / plane;
            out[g * size + i] = (x[i] - mean) * rstd * in[1][c] + in[2][c];
        }
    }
}

static void hs_group_norm_stats_reference(const hs_graph *graph, const hs_node *node,
                                          const double *const *in, double *out, double *scratch) {
    const hs_shape *x = hs_rule_input(graph, node, 0);
    int64_t groups = node->attr.group_norm.groups, size = hs_row_size(x) / groups;
    for (int64_t g = 0; g < x->dim[0] * groups; g++)
        hs_group_norm_moments(in[0] + g * size, size, node->attr.group_norm.eps, &out[2 * g],
                              &out[2 * g + 1]);
}

/* The two derivatives differ in where gamma stands: after the projection
 * (tangent) or before it (cotangent). */
static void hs_group_norm_derivative(const hs_graph *graph, const hs_node *node,
                                     const double *const *in, double *out, bool cotangent) {
    int64_t n = node->shape.dim[0], channels = node->shape.dim[1];
    int64_t plane = hs_channel_size(&node->shape), groups = node->attr.group_norm.groups;
    int64_t size = channels / groups * plane;
    bool one_row = hs_rule_input(graph, node, 0)->dim[0] == 1;
    for (int64_t g = 0; g < n * groups; g++) {
        int64_t primal = one_row ? g % groups : g;
        const double *x = in[0] + primal * size, *v = in[3] + g * size;
        const double *gamma = in[2] + g % groups * (channels / groups);
        double mean = in[1][2 * primal], rstd = in[1][2 * primal + 1];
        double sum = 0, product = 0;
        for (int64_t i = 0; i < size; i++) {
            double value = cotangent ? gamma[i / plane] * v[i] : v[i];
            sum += value;
            product += value * (x[i] - mean) * rstd;
        }
        sum /= (double)size;
        product /= (double)size;
        for (int64_t i = 0; i < size; i++) {
            double weight = gamma[i / plane];
            double value =
                (cotangent ? weight * v[i] : v[i]) - sum - (x[i] - mean) * rstd * product;
            out[g * size + i] = (cotangent ? 1 : weight) * rstd * value;
        }
    }
}

static void hs_group_norm_tangent_reference(const hs_graph *graph, const hs_node *node,
                                            const double *const *in, double *out, double *scratch) {
    hs_group_norm_derivative(graph, node, in, out, false);
}

static void hs_group_norm_cotangent_reference(const hs_graph *graph, const hs_node *node,
                                              const double *const *in, double *out,
                                              double *scratch) {
    hs_group_norm_derivative(graph, node, in, out, true);
}

/* The tangent or cotangent op of group_norm node `value` on `v`. */
static hs_status hs_group_norm_emit(hs_graph *graph, hs_op op, hs_value value, hs_value v,
                                    hs_value *out, hs_error *err) {
    hs_node node = graph->nodes[value];
    hs_value stats = node.input[3];
    if (node.input_count == 3)
        HS_TRY(
            hs_emit_shared(graph, HS_OP_GROUP_NORM_STATS, node.input, 1, &node.attr, &stats, err));
    const hs_value inputs[] = {node.input[0], stats, node.input[1], v};
    return hs_graph_add(graph, op, inputs, 4, &node.attr, NULL, out, err);
}

static hs_status hs_group_norm_jvp(hs_graph *graph, hs_value value, const hs_value *v,
                                   hs_value *out, hs_error *err) {
    return hs_group_norm_emit(graph, HS_OP_GROUP_NORM_TANGENT, value, v[0], out, err);
}

static hs_status hs_group_norm_vjp(hs_graph *graph, hs_value value, hs_value u, unsigned wanted,
                                   hs_value *out, hs_error *err) {
    hs_vjp_clear(out, graph->nodes[value].input_count);
    if (!(wanted & 1))
        return HS_OK;
    return hs_group_norm_emit(graph, HS_OP_GROUP_NORM_COTANGENT, value, u, &out[0], err);
}

/* Tangent and cotangent are each other's adjoints in their last input. */
static hs_status hs_group_norm_derivative_vjp(hs_graph *graph, hs_value value, hs_value u,
                                              unsigned wanted, hs_value *out, hs_error *err) {
    hs_node node = graph->nodes[value];
    hs_vjp_clear(out, node.input_count);
    if (!(wanted & 8))
        return HS_OK;
    node.input[3] = u;
    hs_op adjoint =
        node.op == HS_OP_GROUP_NORM_TANGENT ? HS_OP_GROUP_NORM_COTANGENT : HS_OP_GROUP_NORM_TANGENT;
    return hs_graph_add(graph, adjoint, node.input, 4, &node.attr, NULL, &out[3], err);
}

const hs_op_info hs_op_group_norm = {
    .name = "group_norm",
    .min_inputs = 3,
    .max_inputs = 4,
    .shape = hs_group_norm_shape,
    .reference = hs_group_norm_reference,
    .differentiable = 1,
    .jvp = hs_group_norm_jvp,
    .vjp = hs_group_norm_vjp,
};

const hs_op_info hs_op_group_norm_stats = {
    .name = "group_norm_stats",
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = hs_group_norm_stats_shape,
    .reference = hs_group_norm_stats_reference,
};

const hs_op_info hs_op_group_norm_tangent = {
    .name = "group_norm_tangent",
    .min_inputs = 4,
    .max_inputs = 4,
    .shape = hs_group_norm_derivative_shape,
    .reference = hs_group_norm_tangent_reference,
    .differentiable = 8,
    .jvp = hs_jvp_linear,
    .vjp = hs_group_norm_derivative_vjp,
};

const hs_op_info hs_op_group_norm_cotangent = {
    .name = "group_norm_cotangent",
    .min_inputs = 4,
    .max_inputs = 4,
    .shape = hs_group_norm_derivative_shape,
    .reference = hs_group_norm_cotangent_reference,
    .differentiable = 8,
    .jvp = hs_jvp_linear,
    .vjp = hs_group_norm_derivative_vjp,
};
