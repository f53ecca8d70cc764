/*
 * activation: SiLU x s(x), mish x tanh(log(1 + e^x)), GELU x Phi(x) (the erf
 * form, PyTorch's default), ReLU max(x, 0), element by element; s is the
 * logistic function. activation_slope is f'(x), for ReLU 0 at 0 as in PyTorch;
 * the derivative's rules are mul(slope, .).
 */
#include <math.h>

#include "graph/ops/ops.h"

static double hs_logistic(double x) {
    return 1 / (1 + exp(-x));
}

/* log(1 + e^x) without overflow. */
static double hs_softplus(double x) {
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

static double hs_activate(hs_activation kind, double x) {
    switch (kind) {
    case HS_SILU: return x * hs_logistic(x);
    case HS_MISH: return x * tanh(hs_softplus(x));
    case HS_GELU: return 0.5 * x * (1 + erf(x * M_SQRT1_2));
    case HS_RELU: return x <= 0 ? 0 : x; /* a NaN stays one */
    }
    return NAN;
}

static double hs_slope(hs_activation kind, double x) {
    double s, t;
    switch (kind) {
    case HS_SILU: s = hs_logistic(x); return s * (1 + x * (1 - s));
    case HS_MISH: t = tanh(hs_softplus(x)); return t + x * (1 - t * t) * hs_logistic(x);
    case HS_GELU: return 0.5 * (1 + erf(x * M_SQRT1_2)) + x * exp(-0.5 * x * x) / sqrt(2 * M_PI);
    case HS_RELU: return x > 0 ? 1 : 0;
    }
    return NAN;
}

static hs_status hs_activation_shape(const hs_graph *graph, hs_node *node, hs_error *err) {
    int kind = (int)node->attr.activation.kind;
    if (kind != HS_SILU && kind != HS_MISH && kind != HS_GELU && kind != HS_RELU)
        return hs_rule_fail(node, err, "kind is %d, expected SiLU, mish, GELU or ReLU", kind);
    return hs_shape_like_first(graph, node, err);
}

static void hs_activation_reference(const hs_graph *graph, const hs_node *node,
                                    const double *const *in, double *out, double *scratch) {
    int64_t count = hs_shape_count(&node->shape);
    for (int64_t i = 0; i < count; i++)
        out[i] = hs_activate(node->attr.activation.kind, in[0][i]);
}

static void hs_activation_slope_reference(const hs_graph *graph, const hs_node *node,
                                          const double *const *in, double *out, double *scratch) {
    int64_t count = hs_shape_count(&node->shape);
    for (int64_t i = 0; i < count; i++)
        out[i] = hs_slope(node->attr.activation.kind, in[0][i]);
}

static hs_status hs_activation_jvp(hs_graph *graph, hs_value value, const hs_value *v,
                                   hs_value *out, hs_error *err) {
    hs_node node = graph->nodes[value];
    hs_value slope;
    HS_TRY(hs_emit_shared(graph, HS_OP_ACTIVATION_SLOPE, node.input, 1, &node.attr, &slope, err));
    return hs_emit2(graph, HS_OP_MUL, slope, v[0], NULL, out, err);
}

static hs_status hs_activation_vjp(hs_graph *graph, hs_value value, hs_value u, unsigned wanted,
                                   hs_value *out, hs_error *err) {
    hs_vjp_clear(out, 1);
    return wanted & 1 ? hs_activation_jvp(graph, value, &u, &out[0], err) : HS_OK;
}

const hs_op_info hs_op_activation = {
    .name = "activation",
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = hs_activation_shape,
    .reference = hs_activation_reference,
    .differentiable = 1,
    .jvp = hs_activation_jvp,
    .vjp = hs_activation_vjp,
};

const hs_op_info hs_op_activation_slope = {
    .name = "activation_slope",
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = hs_activation_shape,
    .reference = hs_activation_slope_reference,
};
