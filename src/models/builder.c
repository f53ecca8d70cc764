/* See builder.h. */
#include "models/builder.h"

#include <stdio.h>

#include "models/names.h"

const char *hs_build_join(const char *prefix, const char *part, char text[256]) {
    snprintf(text, 256, "%s.%s", prefix, part);
    return text;
}

hs_value hs_build_op(hs_builder *b, hs_op op, const hs_value *inputs, int count,
                     const hs_attr *attr, const char *name) {
    hs_value value = HS_NO_VALUE;
    if (b->status == HS_OK)
        b->status = hs_graph_add(b->graph, op, inputs, count, attr, name, &value, b->err);
    return b->status == HS_OK ? value : HS_NO_VALUE;
}

hs_value hs_build_input(hs_builder *b, const char *name, hs_shape shape) {
    hs_value value = HS_NO_VALUE;
    if (b->status == HS_OK)
        b->status = hs_graph_input(b->graph, name, shape, &value, b->err);
    return b->status == HS_OK ? value : HS_NO_VALUE;
}

hs_shape hs_build_shape(const hs_builder *b, hs_value value) {
    return b->status == HS_OK ? b->graph->nodes[value].shape : (hs_shape){0};
}

int hs_build_channels(const hs_builder *b, hs_value value) {
    return (int)hs_build_shape(b, value).dim[1];
}

/* Equal up to trailing dimensions of 1. */
static bool hs_tensor_fits(const hs_tensor *tensor, const hs_shape *shape) {
    int rank = tensor->rank > shape->rank ? tensor->rank : shape->rank;
    for (int i = 0; i < rank; i++) {
        int64_t found = i < tensor->rank ? tensor->dim[i] : 1;
        int64_t expected = i < shape->rank ? shape->dim[i] : 1;
        if (found != expected)
            return false;
    }
    return true;
}

static hs_status hs_weight_check(const hs_builder *b, const char *name, const hs_tensor *tensor,
                                 const hs_shape *shape) {
    char expected[100], found[200];
    hs_shape_describe(shape, expected);
    if (!tensor)
        return hs_fail(b->err, HS_ERROR_FORMAT, "%s: tensor %s is missing, expected %s",
                       b->model->name, name, expected);
    hs_tensor_describe(tensor, found);
    if (!hs_tensor_fits(tensor, shape))
        return hs_fail(b->err, HS_ERROR_FORMAT, "%s: tensor %s is %s, expected the shape %s",
                       b->model->name, tensor->name, found, expected);
    if (!hs_tensor_is_real(tensor))
        return hs_fail(b->err, HS_ERROR_FORMAT, "%s: tensor %s is %s, expected a floating type",
                       b->model->name, tensor->name, found);
    return HS_OK;
}

hs_value hs_build_weight(hs_builder *b, const char *prefix, const char *suffix, hs_shape shape) {
    if (b->status != HS_OK)
        return HS_NO_VALUE;
    char name[256];
    const hs_tensor *tensor = hs_names_find(b->model->weights, hs_build_join(prefix, suffix, name));
    hs_value value = HS_NO_VALUE;
    b->status = hs_weight_check(b, name, tensor, &shape);
    if (b->status == HS_OK)
        b->status = hs_graph_weight(b->graph, tensor, shape, &value, b->err);
    return b->status == HS_OK ? value : HS_NO_VALUE;
}

hs_value hs_build_conv(hs_builder *b, hs_value x, const char *prefix, int out_channels, int kernel,
                       int stride, int pad_before, int pad_after) {
    int64_t in = hs_build_channels(b, x), out = out_channels, k = kernel;
    hs_value w = hs_build_weight(b, prefix, "weight", hs_shape_make(4, out, in, k, k));
    hs_value bias = hs_build_weight(b, prefix, "bias", hs_shape_make(1, out));
    hs_attr attr = {.conv = {.stride = stride,
                             .pad_top = pad_before,
                             .pad_left = pad_before,
                             .pad_bottom = pad_after,
                             .pad_right = pad_after}};
    return hs_build_op(b, HS_OP_CONV2D, (hs_value[]){x, w, bias}, 3, &attr, prefix);
}

hs_value hs_build_linear(hs_builder *b, hs_value x, const char *prefix, int out_channels) {
    int64_t in = hs_build_channels(b, x), out = out_channels;
    hs_value w = hs_build_weight(b, prefix, "weight", hs_shape_make(2, out, in));
    hs_value bias = hs_build_weight(b, prefix, "bias", hs_shape_make(1, out));
    return hs_build_op(b, HS_OP_LINEAR, (hs_value[]){x, w, bias}, 3, NULL, prefix);
}

hs_value hs_build_group_norm(hs_builder *b, hs_value x, const char *prefix, int groups,
                             double eps) {
    int64_t channels = hs_build_channels(b, x);
    hs_value gamma = hs_build_weight(b, prefix, "weight", hs_shape_make(1, channels));
    hs_value beta = hs_build_weight(b, prefix, "bias", hs_shape_make(1, channels));
    hs_attr attr = {.group_norm = {.groups = groups, .eps = eps}};
    return hs_build_op(b, HS_OP_GROUP_NORM, (hs_value[]){x, gamma, beta}, 3, &attr, prefix);
}

hs_value hs_build_activation(hs_builder *b, hs_value x, hs_activation kind) {
    hs_attr attr = {.activation = {.kind = kind}};
    return hs_build_op(b, HS_OP_ACTIVATION, &x, 1, &attr, NULL);
}

hs_value hs_build_add(hs_builder *b, hs_value x, hs_value y, const char *name) {
    return hs_build_op(b, HS_OP_ADD, (hs_value[]){x, y}, 2, NULL, name);
}

hs_value hs_build_affine(hs_builder *b, hs_value x, double alpha, double beta) {
    if (alpha == 1 && beta == 0)
        return x;
    hs_attr attr = {.affine = {.alpha = alpha, .beta = beta}};
    return hs_build_op(b, HS_OP_AFFINE, &x, 1, &attr, NULL);
}
