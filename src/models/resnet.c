/*
 * A residual network as a graph:
 *
 *   stem    7x7 convolution, stride 2; activation; 3x3 max pooling, stride 2
 *   layer   x + branch(x), or shortcut(x) + branch(x), then the activation;
 *           the branch is conv3, ReLU, conv3, or conv1, ReLU, conv3, ReLU, conv1
 *   head    the mean over all positions; linear
 *
 * Every convolution has its batch norm folded in (resnet_load.c).
 */
#include "models/resnet.h"

#include "models/builder.h"

typedef struct hs_resnet_builder {
    hs_builder b;
    const hs_resnet *r;
    int next; /* convolution */
} hs_resnet_builder;

hs_resnet_layer hs_resnet_layer_of(const hs_resnet_config *config, int stage, int layer) {
    hs_resnet_layer l = {.count = config->bottleneck ? 3 : 2};
    bool first = layer == 0;
    int in = !first  ? config->widths[stage]
             : stage ? config->widths[stage - 1]
                     : config->embedding_size;
    int out = config->widths[stage], reduced = config->reduced[stage];
    int stride = first && (stage || config->downsample_in_first_stage) ? 2 : 1;
    for (int i = 0; i <= l.count; i++)
        l.stride[i] = 1;
    if (config->bottleneck) {
        const int widths[] = {in, reduced, reduced, out};
        for (int i = 0; i < 3; i++) {
            l.in[i] = widths[i];
            l.out[i] = widths[i + 1];
            l.kernel[i] = i == 1 ? 3 : 1;
        }
        l.stride[config->downsample_in_bottleneck ? 0 : 1] = stride;
    } else {
        for (int i = 0; i < 2; i++) {
            l.in[i] = i ? out : in;
            l.out[i] = out;
            l.kernel[i] = 3;
        }
        l.stride[0] = stride;
    }
    l.shortcut = stride != 1 || in != out;
    l.in[l.count] = in;
    l.out[l.count] = out;
    l.kernel[l.count] = 1;
    l.stride[l.count] = stride;
    return l;
}

static hs_value hs_resnet_weight(hs_builder *b, const hs_tensor *tensor) {
    hs_shape shape = {.rank = tensor->rank};
    hs_value value = HS_NO_VALUE;
    for (int i = 0; i < tensor->rank; i++)
        shape.dim[i] = tensor->dim[i];
    if (b->status == HS_OK)
        b->status = hs_graph_weight(b->graph, tensor, shape, &value, b->err);
    return b->status == HS_OK ? value : HS_NO_VALUE;
}

static hs_value hs_resnet_next_conv(hs_resnet_builder *rb, hs_value x) {
    const hs_resnet_conv *conv = &rb->r->convs[rb->next++];
    int pad = conv->kernel / 2;
    hs_attr attr = {.conv = {.stride = conv->stride,
                             .pad_top = pad,
                             .pad_left = pad,
                             .pad_bottom = pad,
                             .pad_right = pad}};
    hs_value w = hs_resnet_weight(&rb->b, &conv->weight);
    hs_value bias = hs_resnet_weight(&rb->b, &conv->bias);
    return hs_build_op(&rb->b, HS_OP_CONV2D, (hs_value[]){x, w, bias}, 3, &attr, conv->weight.name);
}

static hs_value hs_resnet_residual(hs_resnet_builder *rb, hs_value x, int stage, int layer) {
    hs_resnet_layer l = hs_resnet_layer_of(&rb->r->config, stage, layer);
    hs_value branch = x, shortcut = x;
    for (int i = 0; i < l.count; i++) {
        branch = hs_resnet_next_conv(rb, branch);
        if (i + 1 < l.count) /* ReLU here, whatever hidden_act: as transformers does */
            branch = hs_build_activation(&rb->b, branch, HS_RELU);
    }
    if (l.shortcut)
        shortcut = hs_resnet_next_conv(rb, x);
    return hs_build_activation(&rb->b, hs_build_add(&rb->b, branch, shortcut, NULL),
                               rb->r->config.act);
}

static hs_value hs_resnet_layers(hs_resnet_builder *rb, hs_value x) {
    const hs_resnet_config *c = &rb->r->config;
    hs_builder *b = &rb->b;
    hs_attr pool = {.pool = {.kernel = 3, .stride = 2, .pad = 1}};
    x = hs_build_activation(b, hs_resnet_next_conv(rb, x), c->act);
    x = hs_build_op(b, HS_OP_MAX_POOL, &x, 1, &pool, "stem.pool");
    for (int stage = 0; stage < c->stages; stage++)
        for (int layer = 0; layer < c->depths[stage]; layer++)
            x = hs_resnet_residual(rb, x, stage, layer);
    x = hs_build_op(b, HS_OP_MEAN_SPATIAL, &x, 1, NULL, "pool");
    hs_value w = hs_resnet_weight(b, &rb->r->head_weight);
    hs_value bias = hs_resnet_weight(b, &rb->r->head_bias);
    return hs_build_op(b, HS_OP_LINEAR, (hs_value[]){x, w, bias}, 3, NULL, "logits");
}

hs_status hs_resnet_build(const hs_resnet *r, int n, int height, int width, hs_resnet_graph *out,
                          hs_error *err) {
    hs_resnet_graph result = {.graph = hs_graph_new()};
    if (!result.graph)
        return hs_fail_memory(err, sizeof *result.graph);
    hs_resnet_builder rb = {.b = {.graph = result.graph, .err = err}, .r = r};
    result.x = hs_build_input(
        &rb.b, "x",
        hs_shape_make(4, (int64_t)n, (int64_t)r->config.channels, (int64_t)height, (int64_t)width));
    result.logits = hs_resnet_layers(&rb, result.x);
    if (rb.b.status != HS_OK) {
        hs_graph_free(result.graph);
        return rb.b.status;
    }
    *out = result;
    return HS_OK;
}

void hs_resnet_free(hs_resnet *r) {
    hs_arena_free(&r->arena);
    *r = (hs_resnet){0};
}
