/*
 * modulate: y = x (1 + scale[n,c]) + shift[n,c] with s = [scale, shift], the
 * time conditioning of "scale_shift" blocks. modulate_scale is its derivative
 * in x, v (1 + scale), and its own adjoint.
 */
#include "graph/ops/ops.h"

static hs_status hs_modulate_shape(const hs_graph *graph, hs_node *node, hs_error *err) {
    HS_TRY(hs_rule_expect(graph, node, 0, "x", (hs_shape){4, {-1, -1, -1, -1}}, err));
    const hs_shape *x = hs_rule_input(graph, node, 0);
    HS_TRY(hs_rule_expect(graph, node, 1, "s", (hs_shape){2, {x->dim[0], 2 * x->dim[1]}}, err));
    node->shape = *x;
    return HS_OK;
}

static hs_status hs_modulate_scale_shape(const hs_graph *graph, hs_node *node, hs_error *err) {
    HS_TRY(hs_rule_expect(graph, node, 1, "v", (hs_shape){4, {-1, -1, -1, -1}}, err));
    const hs_shape *s = hs_rule_input(graph, node, 0), *v = hs_rule_input(graph, node, 1);
    int64_t rows = hs_rule_rows(s, v->dim[0]);
    HS_TRY(hs_rule_expect(graph, node, 0, "s", (hs_shape){2, {rows, 2 * v->dim[1]}}, err));
    node->shape = *v;
    return HS_OK;
}

static void hs_modulate_reference(const hs_graph *graph, const hs_node *node,
                                  const double *const *in, double *out, double *scratch) {
    int64_t n = node->shape.dim[0], channels = node->shape.dim[1];
    int64_t plane = hs_channel_size(&node->shape);
    for (int64_t p = 0; p < n * channels; p++) {
        const double *s = in[1] + p / channels * 2 * channels + p % channels;
        for (int64_t i = p * plane; i < (p + 1) * plane; i++)
            out[i] = in[0][i] * (1 + s[0]) + s[channels];
    }
}

static void hs_modulate_scale_reference(const hs_graph *graph, const hs_node *node,
                                        const double *const *in, double *out, double *scratch) {
    int64_t n = node->shape.dim[0], channels = node->shape.dim[1];
    int64_t plane = hs_channel_size(&node->shape);
    bool one_row = hs_rule_input(graph, node, 0)->dim[0] == 1;
    for (int64_t p = 0; p < n * channels; p++) {
        int64_t row = one_row ? 0 : p / channels;
        double scale = 1 + in[0][row * 2 * channels + p % channels];
        for (int64_t i = p * plane; i < (p + 1) * plane; i++)
            out[i] = in[1][i] * scale;
    }
}

/* x dscale + dshift, both spread over the plane. */
static hs_status hs_modulate_jvp_s(hs_graph *graph, const hs_node *node, hs_value ds, hs_value *out,
                                   hs_error *err) {
    int channels = (int)node->shape.dim[1];
    hs_attr scale_part = {.channels = {.first = 0, .count = channels}};
    hs_attr shift_part = {.channels = {.first = channels, .count = channels}};
    hs_value scale, shift, zero, spread, product;
    HS_TRY(hs_emit1(graph, HS_OP_SLICE, ds, &scale_part, &scale, err));
    HS_TRY(hs_emit1(graph, HS_OP_SLICE, ds, &shift_part, &shift, err));
    HS_TRY(hs_emit_scaled(graph, node->input[0], 0, &zero, err));
    HS_TRY(hs_emit2(graph, HS_OP_ADD_CHANNEL, zero, scale, NULL, &spread, err));
    HS_TRY(hs_emit2(graph, HS_OP_MUL, node->input[0], spread, NULL, &product, err));
    return hs_emit2(graph, HS_OP_ADD_CHANNEL, product, shift, NULL, out, err);
}

static hs_status hs_modulate_jvp(hs_graph *graph, hs_value value, const hs_value *v, hs_value *out,
                                 hs_error *err) {
    hs_node node = graph->nodes[value];
    hs_value by_x = HS_NO_VALUE, by_s = HS_NO_VALUE;
    if (v[0] != HS_NO_VALUE)
        HS_TRY(hs_emit2(graph, HS_OP_MODULATE_SCALE, node.input[1], v[0], NULL, &by_x, err));
    if (v[1] != HS_NO_VALUE)
        HS_TRY(hs_modulate_jvp_s(graph, &node, v[1], &by_s, err));
    return hs_emit_sum(graph, by_x, by_s, out, err);
}

static hs_status hs_modulate_vjp(hs_graph *graph, hs_value value, hs_value u, unsigned wanted,
                                 hs_value *out, hs_error *err) {
    hs_node node = graph->nodes[value];
    hs_vjp_clear(out, 2);
    if (wanted & 1)
        HS_TRY(hs_emit2(graph, HS_OP_MODULATE_SCALE, node.input[1], u, NULL, &out[0], err));
    if (wanted & 2) {
        hs_value product, scale, shift;
        HS_TRY(hs_emit2(graph, HS_OP_MUL, node.input[0], u, NULL, &product, err));
        HS_TRY(hs_emit1(graph, HS_OP_SUM_SPATIAL, product, NULL, &scale, err));
        HS_TRY(hs_emit1(graph, HS_OP_SUM_SPATIAL, u, NULL, &shift, err));
        HS_TRY(hs_emit2(graph, HS_OP_CONCAT, scale, shift, NULL, &out[1], err));
    }
    return HS_OK;
}

const hs_op_info hs_op_modulate = {
    .name = "modulate",
    .min_inputs = 2,
    .max_inputs = 2,
    .shape = hs_modulate_shape,
    .reference = hs_modulate_reference,
    .differentiable = 3,
    .jvp = hs_modulate_jvp,
    .vjp = hs_modulate_vjp,
};

const hs_op_info hs_op_modulate_scale = {
    .name = "modulate_scale",
    .min_inputs = 2,
    .max_inputs = 2,
    .shape = hs_modulate_scale_shape,
    .reference = hs_modulate_scale_reference,
    .differentiable = 2,
    .jvp = hs_jvp_linear,
    .vjp = hs_vjp_self_adjoint,
};
