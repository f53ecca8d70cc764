/*
 * Putting a network's layers into a graph. The first failure sticks: after it
 * every call returns HS_NO_VALUE and does nothing, so that a block reads like
 * the formula it is, and `status` is looked at once, at the end.
 */
#ifndef HS_MODELS_BUILDER_H
#define HS_MODELS_BUILDER_H

#include "models/model.h"

typedef struct hs_builder {
    hs_graph *graph;
    const hs_model *model; /* its weights, by the names of names.h */
    hs_status status;
    hs_error *err;
} hs_builder;

/* Any op; `name` may be NULL. */
hs_value hs_build_op(hs_builder *b, hs_op op, const hs_value *inputs, int count,
                     const hs_attr *attr, const char *name);
hs_value hs_build_input(hs_builder *b, const char *name, hs_shape shape);

/* The shape of a value; all zeros after a failure. */
hs_shape hs_build_shape(const hs_builder *b, hs_value value);
/* Its channels, or 0 after a failure. */
int hs_build_channels(const hs_builder *b, hs_value value);

/* The weight "prefix.suffix", which must be of this shape, up to trailing
 * dimensions of 1 (a linear layer may be stored as a 1x1 convolution). */
hs_value hs_build_weight(hs_builder *b, const char *prefix, const char *suffix, hs_shape shape);

/* Layers with their weights "prefix.weight" and "prefix.bias". */
hs_value hs_build_conv(hs_builder *b, hs_value x, const char *prefix, int out_channels, int kernel,
                       int stride, int pad_before, int pad_after);
hs_value hs_build_linear(hs_builder *b, hs_value x, const char *prefix, int out_channels);
hs_value hs_build_group_norm(hs_builder *b, hs_value x, const char *prefix, int groups, double eps);

hs_value hs_build_activation(hs_builder *b, hs_value x, hs_activation kind);
hs_value hs_build_add(hs_builder *b, hs_value x, hs_value y, const char *name);
/* alpha * x + beta; x itself for 1 and 0 */
hs_value hs_build_affine(hs_builder *b, hs_value x, double alpha, double beta);

/* "prefix.part" into text; the result is text. */
const char *hs_build_join(const char *prefix, const char *part, char text[256]);

#endif
