/*
 * concat: along channels (dimension 1), of rank 2 and up. slice takes channels
 * first ... first+count-1 out; pad_channels puts x at `first` among `total`
 * channels of zeros. Slice and pad are each other's adjoints.
 */
#include <string.h>

#include "graph/ops/ops.h"

static hs_status hs_concat_shape(const hs_graph *graph, hs_node *node, hs_error *err) {
    hs_shape expected = *hs_rule_input(graph, node, 0);
    int64_t channels = 0;
    if (expected.rank < 2)
        return hs_rule_fail(node, err, "input 0 has no channels, expected rank 2 or more");
    expected.dim[1] = -1;
    for (int i = 0; i < node->input_count; i++) {
        char what[20] = {'i', 'n', 'p', 'u', 't', ' ', (char)('0' + i)};
        HS_TRY(hs_rule_expect(graph, node, i, what, expected, err));
        if (__builtin_add_overflow(channels, hs_rule_input(graph, node, i)->dim[1], &channels))
            return hs_rule_fail(node, err, "too many channels");
    }
    node->shape = expected;
    node->shape.dim[1] = channels;
    return HS_OK;
}

static hs_status hs_slice_shape(const hs_graph *graph, hs_node *node, hs_error *err) {
    const hs_shape *x = hs_rule_input(graph, node, 0);
    int64_t first = node->attr.channels.first, count = node->attr.channels.count;
    int64_t channels = x->rank >= 2 ? x->dim[1] : 0;
    if (first < 0 || count < 1 || first + count > channels)
        return hs_rule_fail(node, err,
                            "%lld channels from %lld on, expected some of the %lld that x has",
                            (long long)count, (long long)first, (long long)channels);
    node->shape = *x;
    node->shape.dim[1] = count;
    return HS_OK;
}

static hs_status hs_pad_channels_shape(const hs_graph *graph, hs_node *node, hs_error *err) {
    const hs_shape *x = hs_rule_input(graph, node, 0);
    int64_t first = node->attr.channels.first, total = node->attr.channels.total;
    if (x->rank < 2)
        return hs_rule_fail(node, err, "x has no channels, expected rank 2 or more");
    if (first < 0 || x->dim[1] > total || first > total - x->dim[1])
        return hs_rule_fail(node, err, "%lld channels at %lld, expected to fit among %lld",
                            (long long)x->dim[1], (long long)first, (long long)total);
    node->shape = *x;
    node->shape.dim[1] = total;
    return HS_OK;
}

/* Copy `count` channels of every row, from channel `from` of x to `to` of y. */
static void hs_copy_channels(const double *x, const hs_shape *x_shape, int64_t from, double *y,
                             const hs_shape *y_shape, int64_t to, int64_t count) {
    int64_t plane = hs_channel_size(x_shape);
    for (int64_t n = 0; n < x_shape->dim[0]; n++)
        memcpy(y + (n * y_shape->dim[1] + to) * plane, x + (n * x_shape->dim[1] + from) * plane,
               (size_t)(count * plane) * sizeof *y);
}

static void hs_concat_reference(const hs_graph *graph, const hs_node *node, const double *const *in,
                                double *out, double *scratch) {
    int64_t to = 0;
    for (int i = 0; i < node->input_count; i++) {
        const hs_shape *x = hs_rule_input(graph, node, i);
        hs_copy_channels(in[i], x, 0, out, &node->shape, to, x->dim[1]);
        to += x->dim[1];
    }
}

static void hs_slice_reference(const hs_graph *graph, const hs_node *node, const double *const *in,
                               double *out, double *scratch) {
    hs_copy_channels(in[0], hs_rule_input(graph, node, 0), node->attr.channels.first, out,
                     &node->shape, 0, node->shape.dim[1]);
}

static void hs_pad_channels_reference(const hs_graph *graph, const hs_node *node,
                                      const double *const *in, double *out, double *scratch) {
    const hs_shape *x = hs_rule_input(graph, node, 0);
    memset(out, 0, (size_t)hs_shape_count(&node->shape) * sizeof *out);
    hs_copy_channels(in[0], x, 0, out, &node->shape, node->attr.channels.first, x->dim[1]);
}

/* With every tangent: their concatenation; else the given ones, padded, summed. */
static hs_status hs_concat_jvp(hs_graph *graph, hs_value value, const hs_value *v, hs_value *out,
                               hs_error *err) {
    hs_node node = graph->nodes[value];
    hs_value sum = HS_NO_VALUE;
    bool all = true;
    for (int i = 0; i < node.input_count; i++)
        all = all && v[i] != HS_NO_VALUE;
    if (all)
        return hs_graph_add(graph, HS_OP_CONCAT, v, node.input_count, NULL, NULL, out, err);
    hs_attr attr = {.channels = {.first = 0, .total = (int)node.shape.dim[1]}};
    for (int i = 0; i < node.input_count; i++) {
        int channels = (int)hs_rule_input(graph, &node, i)->dim[1];
        if (v[i] != HS_NO_VALUE) {
            hs_value padded;
            HS_TRY(hs_emit1(graph, HS_OP_PAD_CHANNELS, v[i], &attr, &padded, err));
            HS_TRY(hs_emit_sum(graph, sum, padded, &sum, err));
        }
        attr.channels.first += channels;
    }
    *out = sum;
    return HS_OK;
}

static hs_status hs_concat_vjp(hs_graph *graph, hs_value value, hs_value u, unsigned wanted,
                               hs_value *out, hs_error *err) {
    hs_node node = graph->nodes[value];
    hs_attr attr = {.channels = {.first = 0}};
    hs_vjp_clear(out, node.input_count);
    for (int i = 0; i < node.input_count; i++) {
        attr.channels.count = (int)hs_rule_input(graph, &node, i)->dim[1];
        if (wanted >> i & 1)
            HS_TRY(hs_emit1(graph, HS_OP_SLICE, u, &attr, &out[i], err));
        attr.channels.first += attr.channels.count;
    }
    return HS_OK;
}

static hs_status hs_slice_vjp(hs_graph *graph, hs_value value, hs_value u, unsigned wanted,
                              hs_value *out, hs_error *err) {
    hs_node node = graph->nodes[value];
    hs_attr attr = {.channels = {.first = node.attr.channels.first,
                                 .total = (int)hs_rule_input(graph, &node, 0)->dim[1]}};
    hs_vjp_clear(out, 1);
    return wanted & 1 ? hs_emit1(graph, HS_OP_PAD_CHANNELS, u, &attr, &out[0], err) : HS_OK;
}

static hs_status hs_pad_channels_vjp(hs_graph *graph, hs_value value, hs_value u, unsigned wanted,
                                     hs_value *out, hs_error *err) {
    hs_node node = graph->nodes[value];
    hs_attr attr = {.channels = {.first = node.attr.channels.first,
                                 .count = (int)hs_rule_input(graph, &node, 0)->dim[1]}};
    hs_vjp_clear(out, 1);
    return wanted & 1 ? hs_emit1(graph, HS_OP_SLICE, u, &attr, &out[0], err) : HS_OK;
}

const hs_op_info hs_op_concat = {
    .name = "concat",
    .min_inputs = 1,
    .max_inputs = HS_MAX_INPUTS,
    .shape = hs_concat_shape,
    .reference = hs_concat_reference,
    .differentiable = (1u << HS_MAX_INPUTS) - 1,
    .jvp = hs_concat_jvp,
    .vjp = hs_concat_vjp,
};

const hs_op_info hs_op_slice = {
    .name = "slice",
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = hs_slice_shape,
    .reference = hs_slice_reference,
    .differentiable = 1,
    .jvp = hs_jvp_linear,
    .vjp = hs_slice_vjp,
};

const hs_op_info hs_op_pad_channels = {
    .name = "pad_channels",
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = hs_pad_channels_shape,
    .reference = hs_pad_channels_reference,
    .differentiable = 1,
    .jvp = hs_jvp_linear,
    .vjp = hs_pad_channels_vjp,
};
