/*
 * Residual networks that classify images: as transformers publishes them
 * (ResNetForImageClassification), and torchvision's state dicts, Hopenet's
 * among them. Both become one list of convolutions, whose batch norms are
 * folded into them when the model is opened, and one linear head.
 *
 *   resnet_config.c       config.json            \
 *                                                 > hs_resnet -> resnet.c: graph
 *   resnet_torchvision.c  names of a state dict  /
 */
#ifndef HS_MODELS_RESNET_H
#define HS_MODELS_RESNET_H

#include "graph/graph.h"
#include "io/json.h"
#include "io/tensor_set.h"

#define HS_RESNET_STAGES 8
#define HS_RESNET_DEPTH 256
#define HS_RESNET_HEADS 1024 /* of separate heads */
#define HS_RESNET_WIDTH 65536
#define HS_POSE_BINS 66 /* of 3 degrees, from -99 on */

typedef struct hs_resnet_config {
    int channels, embedding_size;
    int stages;
    int widths[HS_RESNET_STAGES], depths[HS_RESNET_STAGES];
    int reduced[HS_RESNET_STAGES]; /* channels inside a bottleneck */
    bool bottleneck;
    bool downsample_in_first_stage, downsample_in_bottleneck;
    hs_activation act;  /* after the stem and after each residual sum */
    bool torchvision;   /* how tensors are named */
    const char *prefix; /* before every name: "", "module." or "model."; static */
} hs_resnet_config;

/* A convolution with its batch norm folded in:
 *   weight' = weight g, bias' = beta - mean g, g = gamma / sqrt(var + 1e-5) */
typedef struct hs_resnet_conv {
    int kernel, stride;
    hs_tensor weight; /* F32 [out,in,kernel,kernel] */
    hs_tensor bias;   /* F32 [out] */
} hs_resnet_conv;

/* How the outputs of the head become scores; the first four are public too. */
typedef enum hs_resnet_head {
    HS_HEAD_SINGLE,     /* softmax over all */
    HS_HEAD_MULTI,      /* the logistic function of each */
    HS_HEAD_REGRESSION, /* as they are */
    HS_HEAD_PAIRS,      /* softmax of each pair (no, yes): the second */
    HS_HEAD_POSE        /* Hopenet: sum_b p_b 3 b - 99 over 66 bins, in degrees */
} hs_resnet_head;

typedef struct hs_resnet {
    hs_resnet_config config;
    hs_resnet_conv *convs; /* [conv_count] in the order in which they are used */
    int conv_count;
    hs_tensor head_weight, head_bias; /* F32 [outputs, width], [outputs]; heads one after another */
    int outputs;
    hs_resnet_head head;       /* what the checkpoint says, or its convention */
    bool head_said;            /* false: nothing says it; `head` is a default */
    const char *const *labels; /* [label_count]; NULL: the checkpoint has none */
    int label_count;
    int64_t parameters; /* of the checkpoint, batch norm's statistics not counted */
    hs_arena arena;
} hs_resnet;

/* Parse config.json into r->config, head and labels. `path` is for messages. */
hs_status hs_resnet_config_parse(const char *path, const json_t *json, hs_resnet *r, hs_error *err);
/* Find r->config in a state dict's names and shapes. */
hs_status hs_resnet_torchvision_config(const char *path, const hs_tensor_set *set, hs_resnet *r,
                                       hs_error *err);

/* Fold and copy the weights; a tensor that is missing, of another shape, not
 * finite or superfluous is HS_ERROR_FORMAT or HS_ERROR_NUMERIC, by name. */
hs_status hs_resnet_load(const char *path, const hs_tensor_set *set, hs_resnet *r, hs_error *err);

/*
 * The names of the heads of a state dict, in the order of their outputs:
 * "fc"; "fc.0", "fc.1", ... or the same with fcs, heads, classifiers; Hopenet's
 * "fc_yaw", "fc_pitch", "fc_roll"; transformers' "classifier.1". `index` counts
 * from 0; false when there is no such head.
 */
bool hs_resnet_head_name(const hs_resnet_config *config, const hs_tensor_set *set, int index,
                         char name[64]);

void hs_resnet_free(hs_resnet *r); /* what it holds, not `r` itself */

typedef struct hs_resnet_graph {
    hs_graph *graph; /* hs_graph_free */
    hs_value x;      /* input [n,channels,height,width], normalised */
    hs_value logits; /* [n,outputs] */
} hs_resnet_graph;

/* The resnet must outlive the graph. */
hs_status hs_resnet_build(const hs_resnet *r, int n, int height, int width, hs_resnet_graph *out,
                          hs_error *err);

/*
 * The walk over the convolutions, in the order of hs_resnet.convs: the stem,
 * then, layer by layer, the convolutions of the branch and the shortcut's, if
 * there is one.
 */
typedef struct hs_resnet_layer {
    int count; /* convolutions of the branch: 2, or 3 of a bottleneck */
    int in[4], out[4], kernel[4], stride[4]; /* the last, [count], is the shortcut's */
    bool shortcut;
} hs_resnet_layer;
hs_resnet_layer hs_resnet_layer_of(const hs_resnet_config *config, int stage, int layer);

#endif
