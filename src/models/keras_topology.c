/*
 * What a Keras model's topology may hold beside its layers: the ops of the
 * family and no others, as many of each as the walk (keras_ddpm.c) found
 * blocks, so that another activation, norm or resampling is refused and not
 * taken for the family's.
 */
#include <string.h>

#include "models/keras_layers.h"

/* Ops that carry shapes, or of which the walk knows the meaning. */
static const char *const hs_keras_ops[] = {"Const",
                                           "Placeholder",
                                           "Identity",
                                           "Cast",
                                           "Shape",
                                           "Reshape",
                                           "Pack",
                                           "StridedSlice",
                                           "GatherV2",
                                           "Prod",
                                           "FloorDiv",
                                           "Transpose",
                                           "ExpandDims",
                                           "Squeeze",
                                           "NoOp",
                                           "Conv2D",
                                           "_FusedConv2D",
                                           "MatMul",
                                           "_FusedMatMul",
                                           "BatchMatMulV2",
                                           "BiasAdd",
                                           "Einsum",
                                           "Softmax",
                                           "AddV2",
                                           "Sub",
                                           "Mul",
                                           "Mean",
                                           "SquaredDifference",
                                           "Rsqrt",
                                           "Sigmoid",
                                           "Sin",
                                           "Cos",
                                           "ConcatV2",
                                           "ResizeNearestNeighbor",
                                           NULL};

static const char *hs_keras_op(const hs_keras_layers *layers, const char *node) {
    const char *op = json_string_value(json_object_get(json_object_get(layers->nodes, node), "op"));
    return op ? op : "?";
}

/* attr.fused_ops.list.s must be BiasAdd alone, in base64. */
static bool hs_keras_fuses_more(const json_t *node) {
    const json_t *fused = json_object_get(json_object_get(node, "attr"), "fused_ops");
    const json_t *list = json_object_get(json_object_get(fused, "list"), "s");
    const char *first = json_string_value(json_array_get(list, 0));
    return json_array_size(list) > 1 || (first && strcmp(first, "Qmlhc0FkZA=="));
}

static hs_status hs_keras_check_node(const hs_keras_layers *layers, const char *name,
                                     const json_t *node, hs_error *err) {
    const char *op = hs_keras_op(layers, name);
    int i = 0;
    while (hs_keras_ops[i] && strcmp(hs_keras_ops[i], op))
        i++;
    if (!hs_keras_ops[i] || hs_keras_fuses_more(node))
        return hs_fail(err, HS_ERROR_UNSUPPORTED,
                       "%s: node %.200s, %.60s, is not of the Keras DDPM family", layers->path,
                       name, op);
    const char *first = hs_keras_node_input(layers, name, 0);
    if (!strcmp(op, "ConcatV2") && first && !strcmp(hs_keras_op(layers, first), "Cos"))
        return hs_fail(err, HS_ERROR_UNSUPPORTED,
                       "%s: node %.200s puts cosines before sines, expected the family's order",
                       layers->path, name);
    return HS_OK;
}

hs_status hs_keras_check_topology(const hs_keras_layers *layers, int blocks, int attentions,
                                  int levels, hs_error *err) {
    struct {
        const char *op;
        int expected, found;
    } counts[] = {
        {"Sigmoid", 3 * blocks + 2, 0}, /* SiLU: three a block, time and the end */
        {"Softmax", attentions, 0},
        {"ResizeNearestNeighbor", levels - 1, 0},
        {"Sin", 1, 0},
        {"Cos", 1, 0},
    };
    const char *name;
    json_t *node;
    json_object_foreach(layers->nodes, name, node) {
        HS_TRY(hs_keras_check_node(layers, name, node, err));
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
            counts[i].found += !strcmp(hs_keras_op(layers, name), counts[i].op);
    }
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (counts[i].found != counts[i].expected)
            return hs_fail(err, HS_ERROR_UNSUPPORTED,
                           "%s: %d nodes of op %s, expected %d for %d blocks of the family",
                           layers->path, counts[i].found, counts[i].op, counts[i].expected, blocks);
    return HS_OK;
}
