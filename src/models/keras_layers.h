/*
 * The layers of a Keras model, as a TensorFlow.js graph model names them:
 * ".../conv2d_67/Conv2D/ReadVariableOp" is the kernel of the 67th convolution
 * that its author's session created. Within a kind the numbers grow in the
 * order of creation, wherever they begin.
 */
#ifndef HS_MODELS_KERAS_LAYERS_H
#define HS_MODELS_KERAS_LAYERS_H

#include <jansson.h>

#include "io/tensor_set.h"

typedef enum hs_keras_kind {
    HS_KERAS_CONV,
    HS_KERAS_DENSE,
    HS_KERAS_NORM, /* group_normalization */
    HS_KERAS_KINDS
} hs_keras_kind;

typedef struct hs_keras_layer {
    int number;
    char *path;              /* ".../conv2d_67" */
    const hs_tensor *kernel; /* conv [kh,kw,in,out], dense [in,out], norm: gamma [c] */
    const hs_tensor *bias;   /* norm: beta */
    int stride;              /* conv */
    bool over_pixels;        /* dense: a Tensordot, as in attention */
} hs_keras_layer;

typedef struct hs_keras_layers {
    const char *path;                     /* of model.json, for messages */
    hs_tensor_set *set;                   /* as read */
    json_t *root;                         /* model.json */
    json_t *nodes;                        /* the topology's nodes by name */
    hs_keras_layer *list[HS_KERAS_KINDS]; /* sorted by number */
    int count[HS_KERAS_KINDS];
    int next[HS_KERAS_KINDS]; /* the walk's place */
    char **adds;              /* [add_count] names of the Add layers' nodes, in order of creation */
    int add_count;
    char **concats; /* the same of Concatenate layers */
    int concat_count;
    int groups; /* of all norms */
    double eps;
    hs_arena arena;
} hs_keras_layers;

/* Gather the layers of `set` and what the topology says of them. Tensors that
 * belong to no layer of the family are refused by name. Free the result also
 * after a failure. Takes neither `set` nor `root`. */
hs_status hs_keras_layers_gather(const char *path, hs_tensor_set *set, json_t *root,
                                 hs_keras_layers *out, hs_error *err);
void hs_keras_layers_free(hs_keras_layers *layers);

/* The node's input, without the ":0" of its output; NULL if there is none. */
const char *hs_keras_node_input(const hs_keras_layers *layers, const char *node, int input);

/* Refuse ops that are not the family's, or not as many as so many residual
 * blocks, attention blocks and levels have (keras_topology.c). */
hs_status hs_keras_check_topology(const hs_keras_layers *layers, int blocks, int attentions,
                                  int levels, hs_error *err);

/* The last component of a path: "conv2d_67". */
const char *hs_keras_base(const char *path);

#endif
