/*
 * See keras_walk.h. Nothing in a TensorFlow.js folder says how the layers are
 * connected but the topology, and the layers' numbers, which grow in the order
 * in which the example makes them:
 *
 *   conv_in, time dense 1, time dense 2
 *   each level down: residual blocks (shortcut first), stride-2 convolution
 *   residual block, attention, residual block
 *   each level up:   residual blocks one more, upsampling convolution
 *   norm, conv_out
 *
 * The walk takes the layers in that order, reads widths, depth and attention
 * off their shapes, gives the tensors the names that unet2d.c asks for, and
 * holds what it found against the topology: the order of concatenations and
 * skips, and what attention adds.
 */
#include "models/keras_walk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct hs_walk {
    hs_keras_layers *layers;
    hs_unet2d_config *config;
    hs_tensor_set *out; /* renamed, in PyTorch's layout */
    int width;          /* channels of the current feature map */
    const char *at;     /* the node that puts it out */
    const char *skip[HS_UNET_MAX_LEVELS * (HS_UNET_MAX_LAYERS + 1) + 1];
    int skip_width[HS_UNET_MAX_LEVELS * (HS_UNET_MAX_LAYERS + 1) + 1];
    int skips, blocks, attentions, concats;
    hs_status status; /* as in builder.h: the first failure sticks */
    hs_error *err;
} hs_walk;

static void hs_walk_fail(hs_walk *w, const char *layer, const char *expected) {
    if (w->status == HS_OK)
        w->status = hs_fail(w->err, HS_ERROR_UNSUPPORTED,
                            "%s: %s is not what the Keras DDPM family has here, expected %s",
                            w->layers->path, layer, expected);
}

/* ------------------------------------------------------------- tensors -- */

/* [spatial][in][out] to [out][in][spatial], values of 1 or 4 bytes, in tiles that stay
 * in cache. */
static void hs_transpose_kernel(const uint8_t *in, int64_t spatial, int64_t ins, int64_t outs,
                                size_t size, uint8_t *out) {
    enum { TILE = 32 };
    for (int64_t o0 = 0; o0 < outs; o0 += TILE)
        for (int64_t i0 = 0; i0 < ins; i0 += TILE)
            for (int64_t o = o0; o < outs && o < o0 + TILE; o++)
                for (int64_t i = i0; i < ins && i < i0 + TILE; i++)
                    for (int64_t s = 0; s < spatial; s++) {
                        const uint8_t *from = in + (size_t)((s * ins + i) * outs + o) * size;
                        uint8_t *to = out + (size_t)((o * ins + i) * spatial + s) * size;
                        if (size == 1)
                            *to = *from;
                        else
                            memcpy(to, from, sizeof(float));
                    }
}

/* A kernel keeps its bytes where they stand for floats. */
static hs_status hs_walk_copy_kernel(hs_walk *w, const hs_tensor *from, hs_tensor *to) {
    int64_t count = hs_tensor_count(from), ins = to->dim[1], outs = to->dim[0];
    size_t size = from->codes ? 1 : sizeof(float);
    uint8_t *data = hs_arena_alloc(&w->out->arena, (size_t)count, size);
    float *rows = from->codes ? NULL : hs_alloc_aligned((size_t)count, sizeof *rows);
    float *codes = from->codes ? hs_arena_alloc(&w->out->arena, 256, sizeof *codes) : NULL;
    hs_status status = HS_OK;
    if (!data || (from->codes ? !codes : !rows))
        status = hs_fail_memory(w->err, (size_t)count * size);
    else if (rows)
        status = hs_tensor_to_f32(from, 0, count, rows, w->err);
    else
        memcpy(codes, from->codes, 256 * sizeof *codes);
    if (status == HS_OK)
        hs_transpose_kernel(rows ? (const uint8_t *)rows : from->data,
                            outs && ins ? count / ins / outs : 0, ins, outs, size, data);
    free(rows);
    to->dtype = from->codes ? HS_U8 : HS_F32;
    to->codes = codes;
    to->data = data;
    return status;
}

static hs_status hs_walk_copy(hs_walk *w, const hs_tensor *from, const char *name) {
    hs_tensor to = {.name = name, .dtype = HS_F32, .rank = from->rank};
    to.dim[0] = from->dim[from->rank - 1];
    if (from->rank > 1)
        to.dim[1] = from->dim[from->rank - 2];
    for (int i = 2; i < from->rank; i++)
        to.dim[i] = from->dim[i - 2];
    if (from->rank > 1) {
        HS_TRY(hs_walk_copy_kernel(w, from, &to));
        return hs_tensor_set_add(w->out, &to, w->err);
    }
    int64_t count = hs_tensor_count(from);
    float *data = hs_arena_alloc(&w->out->arena, (size_t)count, sizeof *data);
    if (!data)
        return hs_fail_memory(w->err, (size_t)count * sizeof *data);
    to.data = data;
    HS_TRY(hs_tensor_to_f32(from, 0, count, data, w->err));
    return hs_tensor_set_add(w->out, &to, w->err);
}

/* ---------------------------------------------------------------- walk -- */

/* The next layer of a kind, which may be looked at before it is taken. */
static const hs_keras_layer *hs_walk_peek(const hs_walk *w, hs_keras_kind kind) {
    int next = w->layers->next[kind];
    return next < w->layers->count[kind] ? &w->layers->list[kind][next] : NULL;
}

/* Take the next layer and name its weights "prefix.part.weight" and ".bias". */
static const hs_keras_layer *hs_walk_take(hs_walk *w, hs_keras_kind kind, const char *prefix,
                                          const char *part) {
    const hs_keras_layer *layer = hs_walk_peek(w, kind);
    char name[256];
    if (w->status != HS_OK)
        return NULL;
    if (!layer) {
        hs_walk_fail(w, prefix, "more layers");
        return NULL;
    }
    w->layers->next[kind]++;
    snprintf(name, sizeof name, "%s%s.weight", prefix, part);
    w->status = hs_walk_copy(w, layer->kernel, name);
    snprintf(name, sizeof name, "%s%s.bias", prefix, part);
    if (w->status == HS_OK)
        w->status = hs_walk_copy(w, layer->bias, name);
    return w->status == HS_OK ? layer : NULL;
}

/* A convolution of this size, stride and input; the result's channels. */
static int hs_walk_conv(hs_walk *w, const char *prefix, const char *part, int kernel, int stride,
                        int in) {
    const hs_keras_layer *layer = hs_walk_take(w, HS_KERAS_CONV, prefix, part);
    if (!layer)
        return 0;
    const int64_t *dim = layer->kernel->dim;
    char expected[100];
    snprintf(expected, sizeof expected, "a convolution [%d, %d, %d, out] of stride %d", kernel,
             kernel, in, stride);
    if (dim[0] != kernel || dim[1] != kernel || dim[2] != in || layer->stride != stride ||
        dim[3] < 1 || dim[3] > 65536)
        hs_walk_fail(w, layer->path, expected);
    return (int)dim[3];
}

static void hs_walk_norm(hs_walk *w, const char *prefix, const char *part, int channels) {
    const hs_keras_layer *layer = hs_walk_take(w, HS_KERAS_NORM, prefix, part);
    if (layer && layer->kernel->dim[0] != channels)
        hs_walk_fail(w, layer->path, "a group norm of the channels of its input");
}

static void hs_walk_dense(hs_walk *w, const char *prefix, const char *part, bool over_pixels,
                          int in, int out) {
    const hs_keras_layer *layer = hs_walk_take(w, HS_KERAS_DENSE, prefix, part);
    if (layer && (layer->kernel->dim[0] != in || layer->kernel->dim[1] != out ||
                  layer->over_pixels != over_pixels))
        hs_walk_fail(w, layer->path, "a dense layer from its input to the block's channels");
}

/* Attention follows when the next dense layer works on pixels. */
static bool hs_walk_attends(const hs_walk *w) {
    const hs_keras_layer *dense = hs_walk_peek(w, HS_KERAS_DENSE);
    return dense && dense->over_pixels;
}

static void hs_walk_attention(hs_walk *w, const char *prefix) {
    static const char *const parts[] = {".to_q", ".to_k", ".to_v", ".to_out.0"};
    const hs_keras_layer *first = hs_walk_peek(w, HS_KERAS_DENSE);
    hs_walk_norm(w, prefix, ".group_norm", w->width);
    for (int i = 0; i < 4; i++)
        hs_walk_dense(w, prefix, parts[i], true, w->width, w->width);
    if (w->status != HS_OK)
        return;
    /* ".../attention_block_11/dense_75": what does ".../add" add to the result? */
    int length = (int)(hs_keras_base(first->path) - first->path);
    char *node = hs_format("%.*sadd", length, first->path);
    char *normed = hs_format("%.*sgroup_normalization", length, first->path);
    const char *residual = node ? hs_keras_node_input(w->layers, node, 0) : NULL;
    const char *result = node ? hs_keras_node_input(w->layers, node, 1) : NULL;
    bool known = residual && result && normed && !strncmp(result, first->path, (size_t)length);
    bool normalised = known && !strncmp(residual, normed, strlen(normed));
    if (!known || (!normalised && strcmp(residual, w->at)))
        hs_walk_fail(w, node ? node : prefix, "its input or normalised input plus its result");
    if (w->config->attention_adds_normalised && !normalised)
        hs_walk_fail(w, node ? node : prefix, "the normalised input, as in other blocks");
    w->config->attention_adds_normalised = normalised;
    w->attentions++;
    if (w->status == HS_OK && !(w->at = hs_arena_strdup(&w->layers->arena, node)))
        w->status = hs_fail_memory(w->err, 256);
    free(node);
    free(normed);
}

/* A residual block from `in` channels; its first convolution tells its width. */
static void hs_walk_resnet(hs_walk *w, const char *prefix, int in) {
    const hs_keras_layer *conv = hs_walk_peek(w, HS_KERAS_CONV);
    int width = in;
    if (conv && conv->kernel->dim[0] == 1)
        width = hs_walk_conv(w, prefix, ".conv_shortcut", 1, 1, in);
    hs_walk_norm(w, prefix, ".norm1", in);
    if (hs_walk_conv(w, prefix, ".conv1", 3, 1, in) != width)
        hs_walk_fail(w, prefix, "a convolution to the width of its shortcut");
    hs_walk_dense(w, prefix, ".time_emb_proj", false, w->config->time_embedding_dim, width);
    hs_walk_norm(w, prefix, ".norm2", width);
    if (hs_walk_conv(w, prefix, ".conv2", 3, 1, width) != width)
        hs_walk_fail(w, prefix, "a convolution to the width of its shortcut");
    w->width = width;
    if (2 * w->blocks + 1 >= w->layers->add_count)
        hs_walk_fail(w, prefix, "two additions in the topology");
    else
        w->at = w->layers->adds[2 * w->blocks + 1];
    w->blocks++;
}

static void hs_walk_push(hs_walk *w) {
    int most = (int)(sizeof w->skip / sizeof *w->skip);
    if (w->skips == most) {
        hs_walk_fail(w, w->at, "fewer blocks");
        return;
    }
    w->skip_width[w->skips] = w->width;
    w->skip[w->skips++] = w->at;
}

/* The node of a convolution that is not in a residual block. */
static void hs_walk_at_conv(hs_walk *w) {
    const hs_keras_layer *layer =
        &w->layers->list[HS_KERAS_CONV][w->layers->next[HS_KERAS_CONV] - 1];
    char *node = hs_format("%s/BiasAdd", layer->path);
    if (w->status == HS_OK && (!node || !(w->at = hs_arena_strdup(&w->layers->arena, node))))
        w->status = hs_fail_memory(w->err, 256);
    free(node);
}

static void hs_walk_head(hs_walk *w) {
    hs_unet2d_config *c = w->config;
    const hs_keras_layer *conv = hs_walk_peek(w, HS_KERAS_CONV);
    const hs_keras_layer *dense = hs_walk_peek(w, HS_KERAS_DENSE);
    const int64_t sizes[] = {conv->kernel->dim[2], dense->kernel->dim[0], dense->kernel->dim[1]};
    for (int i = 0; i < 3; i++)
        if (sizes[i] < 1 || sizes[i] > 65536) {
            hs_walk_fail(w, conv->path, "1 to 65536 channels, of time as well");
            return;
        }
    c->in_channels = c->out_channels = (int)conv->kernel->dim[2];
    w->width = hs_walk_conv(w, "conv_in", "", 3, 1, c->in_channels);
    c->time_channels = (int)dense->kernel->dim[0];
    c->time_embedding_dim = (int)dense->kernel->dim[1];
    hs_walk_dense(w, "time_embedding.linear_1", "", false, c->time_channels, c->time_embedding_dim);
    hs_walk_dense(w, "time_embedding.linear_2", "", false, c->time_embedding_dim,
                  c->time_embedding_dim);
    hs_walk_at_conv(w);
    hs_walk_push(w);
}

/* How many of the next convolutions' residual blocks keep to one resolution and
 * take no skip: on the last level those of the mid block are among them. */
static int hs_walk_blocks_ahead(hs_walk *w) {
    int next = w->layers->next[HS_KERAS_CONV], blocks = 0, width = w->width;
    const hs_keras_layer *list = w->layers->list[HS_KERAS_CONV];
    while (next < w->layers->count[HS_KERAS_CONV] && list[next].stride == 1 &&
           list[next].kernel->dim[2] == width) {
        bool shortcut = list[next].kernel->dim[0] == 1;
        width = (int)list[next].kernel->dim[3];
        next += shortcut ? 3 : 2;
        blocks++;
    }
    return blocks;
}

static void hs_walk_down_level(hs_walk *w, int level, int layers) {
    hs_unet2d_config *c = w->config;
    char name[64];
    for (int layer = 0; layer < layers && w->status == HS_OK; layer++) {
        snprintf(name, sizeof name, "down_blocks.%d.resnets.%d", level, layer);
        hs_walk_resnet(w, name, w->width);
        bool attends = hs_walk_attends(w);
        snprintf(name, sizeof name, "down_blocks.%d.attentions.%d", level, layer);
        if (layer && attends != (c->down[level] == HS_BLOCK_ATTN))
            hs_walk_fail(w, name, "attention after each block of a level, or after none");
        c->down[level] = attends ? HS_BLOCK_ATTN : HS_BLOCK_PLAIN;
        if (attends)
            hs_walk_attention(w, name);
        hs_walk_push(w);
    }
    c->block_out_channels[level] = w->width;
}

static void hs_walk_down(hs_walk *w) {
    hs_unet2d_config *c = w->config;
    char name[64];
    for (int level = 0; w->status == HS_OK; level++) {
        int blocks = hs_walk_blocks_ahead(w);
        int end = w->layers->next[HS_KERAS_CONV];
        if (level == HS_UNET_MAX_LEVELS || blocks < 1 || blocks > HS_UNET_MAX_LAYERS + 2) {
            hs_walk_fail(w, w->at, "levels of residual blocks");
            return;
        }
        c->levels = level + 1;
        const hs_keras_layer *list = w->layers->list[HS_KERAS_CONV];
        for (int b = 0; b < blocks; b++)
            end += list[end].kernel->dim[0] == 1 ? 3 : 2;
        bool last = end >= w->layers->count[HS_KERAS_CONV] || list[end].stride == 1;
        int layers = last ? blocks - 2 : blocks;
        if (!level)
            c->layers_per_block = layers;
        if (layers != c->layers_per_block || layers < 1 || layers > HS_UNET_MAX_LAYERS) {
            hs_walk_fail(w, w->at, "as many residual blocks on every level");
            return;
        }
        hs_walk_down_level(w, level, layers);
        if (last)
            return;
        snprintf(name, sizeof name, "down_blocks.%d.downsamplers.0.conv", level);
        int width = hs_walk_conv(w, name, "", 3, 2, w->width);
        if (width != w->width)
            hs_walk_fail(w, name, "a downsampling that keeps the channels");
        hs_walk_at_conv(w);
        hs_walk_push(w);
    }
}

static void hs_walk_mid(hs_walk *w) {
    hs_walk_resnet(w, "mid_block.resnets.0", w->width);
    w->config->add_attention = hs_walk_attends(w);
    if (w->config->add_attention)
        hs_walk_attention(w, "mid_block.attentions.0");
    hs_walk_resnet(w, "mid_block.resnets.1", w->width);
}

/* Concatenate([x, skip]): that order, and that skip. */
static void hs_walk_concat(hs_walk *w) {
    const char *node =
        w->concats < w->layers->concat_count ? w->layers->concats[w->concats] : "up path";
    if (!w->skips)
        hs_walk_fail(w, node, "as many skips as blocks");
    if (w->status != HS_OK)
        return;
    const char *first = hs_keras_node_input(w->layers, node, 0);
    const char *second = hs_keras_node_input(w->layers, node, 1);
    w->skips--;
    w->concats++;
    if (!first || !second || strcmp(first, w->at) || strcmp(second, w->skip[w->skips])) {
        char expected[256];
        snprintf(expected, sizeof expected, "a concatenation of %.80s and %.80s",
                 hs_keras_base(w->at), w->skip[w->skips]);
        hs_walk_fail(w, node, expected);
    }
}

static void hs_walk_up_level(hs_walk *w, int index) {
    hs_unet2d_config *c = w->config;
    int level = c->levels - 1 - index;
    char name[64];
    for (int layer = 0; layer <= c->layers_per_block && w->status == HS_OK; layer++) {
        hs_walk_concat(w);
        snprintf(name, sizeof name, "up_blocks.%d.resnets.%d", index, layer);
        hs_walk_resnet(w, name, w->width + w->skip_width[w->skips]);
        if (w->width != c->block_out_channels[level])
            hs_walk_fail(w, name, "the level's width");
        bool attends = hs_walk_attends(w);
        snprintf(name, sizeof name, "up_blocks.%d.attentions.%d", index, layer);
        if (layer && attends != (c->up[index] == HS_BLOCK_ATTN))
            hs_walk_fail(w, name, "attention after each block of a level, or after none");
        c->up[index] = attends ? HS_BLOCK_ATTN : HS_BLOCK_PLAIN;
        if (attends)
            hs_walk_attention(w, name);
    }
    if (!level || w->status != HS_OK)
        return;
    snprintf(name, sizeof name, "up_blocks.%d.upsamplers.0.conv", index);
    if (hs_walk_conv(w, name, "", 3, 1, w->width) != w->width)
        hs_walk_fail(w, name, "an upsampling that keeps the channels");
    hs_walk_at_conv(w);
}

static void hs_walk_tail(hs_walk *w) {
    hs_walk_norm(w, "conv_norm_out", "", w->width);
    if (hs_walk_conv(w, "conv_out", "", 3, 1, w->width) != w->config->out_channels)
        hs_walk_fail(w, "the last convolution", "as many channels as the input has");
    for (int kind = 0; kind < HS_KERAS_KINDS; kind++) {
        const hs_keras_layer *left = hs_walk_peek(w, (hs_keras_kind)kind);
        if (left)
            hs_walk_fail(w, left->path, "no more layers");
    }
}

static void hs_walk_all(hs_walk *w) {
    hs_unet2d_config *c = w->config;
    c->freq_shift = 1;
    c->mid_block_scale_factor = 1;
    c->norm_num_groups = c->attn_norm_num_groups = w->layers->groups;
    c->norm_eps = w->layers->eps;
    c->act_fn = HS_SILU;
    hs_walk_head(w);
    hs_walk_down(w);
    if (w->status == HS_OK)
        hs_walk_mid(w);
    for (int index = 0; index < c->levels && w->status == HS_OK; index++)
        hs_walk_up_level(w, index);
    if (w->status == HS_OK)
        hs_walk_tail(w);
    if (w->status == HS_OK)
        w->status = hs_keras_check_topology(w->layers, w->blocks, w->attentions, c->levels, w->err);
}

hs_status hs_keras_walk(hs_keras_layers *layers, hs_unet2d_config *config, hs_tensor_set *out,
                        hs_error *err) {
    hs_walk *walk = hs_calloc(1, sizeof *walk);
    if (!walk)
        return hs_fail_memory(err, sizeof *walk);
    *walk = (hs_walk){.layers = layers, .config = config, .out = out, .err = err};
    hs_walk_all(walk);
    hs_status status = walk->status;
    free(walk);
    return status;
}
