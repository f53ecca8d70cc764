/*
 * The blocks of a U-Net: residual block, self-attention, resampling, and how
 * down, mid and up blocks are made of them.
 *
 *   residual block                     attention
 *     norm1, act, (resample), conv1      group norm
 *     + time embedding, norm2            q, k, v: 1x1
 *       or norm2, scale and shift        softmax(q k' / sqrt(d)) v
 *     act, conv2                         1x1, + its input
 *     + (resampled, 1x1) input
 */
#include <math.h>
#include <stdio.h>

#include "models/unet2d.h"

typedef enum hs_resample { HS_SAME_SIZE, HS_HALVE, HS_DOUBLE } hs_resample;

typedef struct hs_resnet {
    const char *prefix;
    int out_channels;
    hs_resample resample;
    double scale; /* what comes out is divided by it */
    bool tap;     /* h is what norm2 puts out */
} hs_resnet;

static hs_value hs_unet_resample(hs_unet *u, hs_value x, hs_resample how) {
    if (how == HS_SAME_SIZE)
        return x;
    return hs_build_op(&u->b, how == HS_HALVE ? HS_OP_AVG_POOL : HS_OP_UPSAMPLE, &x, 1, NULL, NULL);
}

/* norm2 and what the time embedding does before or after it. */
static hs_value hs_unet_conditioned_norm(hs_unet *u, hs_value x, const hs_resnet *r) {
    const hs_unet2d_config *c = u->config;
    hs_builder *b = &u->b;
    char name[256];
    int width = c->scale_shift ? 2 * r->out_channels : r->out_channels;
    hs_value t =
        hs_build_linear(b, u->temb, hs_build_join(r->prefix, "time_emb_proj", name), width);
    if (!c->scale_shift)
        x = hs_build_op(b, HS_OP_ADD_CHANNEL, (hs_value[]){x, t}, 2, NULL, NULL);
    x = hs_build_group_norm(b, x, hs_build_join(r->prefix, "norm2", name), c->norm_num_groups,
                            c->norm_eps);
    if (r->tap)
        x = hs_unet_tap(u, x);
    if (c->scale_shift)
        x = hs_build_op(b, HS_OP_MODULATE, (hs_value[]){x, t}, 2, NULL, NULL);
    return x;
}

static hs_value hs_unet_resnet(hs_unet *u, hs_value input, const hs_resnet *r) {
    const hs_unet2d_config *c = u->config;
    hs_builder *b = &u->b;
    char name[256];
    hs_value x = hs_build_group_norm(b, input, hs_build_join(r->prefix, "norm1", name),
                                     c->norm_num_groups, c->norm_eps);
    x = hs_build_activation(b, x, c->act_fn);
    input = hs_unet_resample(u, input, r->resample);
    x = hs_unet_resample(u, x, r->resample);
    x = hs_build_conv(b, x, hs_build_join(r->prefix, "conv1", name), r->out_channels, 3, 1, 1, 1);
    x = hs_unet_conditioned_norm(u, x, r);
    x = hs_build_activation(b, x, c->act_fn);
    x = hs_build_conv(b, x, hs_build_join(r->prefix, "conv2", name), r->out_channels, 3, 1, 1, 1);
    if (hs_build_channels(b, input) != r->out_channels)
        input = hs_build_conv(b, input, hs_build_join(r->prefix, "conv_shortcut", name),
                              r->out_channels, 1, 1, 0, 0);
    x = hs_build_add(b, input, x, r->prefix);
    return hs_build_affine(b, x, 1 / r->scale, 0);
}

/* groups 0: no group norm. As in diffusers, channels that do not fill a whole
 * head are left out of q, k and v. */
static hs_value hs_unet_attention(hs_unet *u, hs_value input, const char *prefix, int groups,
                                  double scale) {
    const hs_unet2d_config *c = u->config;
    hs_builder *b = &u->b;
    char name[256];
    int channels = hs_build_channels(b, input);
    int head_dim = c->attention_head_dim ? c->attention_head_dim : channels;
    if (b->status != HS_OK)
        return HS_NO_VALUE;
    int heads = channels / head_dim, inner = heads * head_dim;
    hs_value x = input;
    if (groups)
        x = hs_build_group_norm(b, x, hs_build_join(prefix, "group_norm", name), groups,
                                c->norm_eps);
    if (c->attention_adds_normalised)
        input = x;
    hs_value q = hs_build_conv(b, x, hs_build_join(prefix, "to_q", name), inner, 1, 1, 0, 0);
    hs_value k = hs_build_conv(b, x, hs_build_join(prefix, "to_k", name), inner, 1, 1, 0, 0);
    hs_value v = hs_build_conv(b, x, hs_build_join(prefix, "to_v", name), inner, 1, 1, 0, 0);
    hs_attr attr = {.attention = {.heads = heads, .scale = 1 / sqrt(head_dim)}};
    x = hs_build_op(b, HS_OP_ATTENTION, (hs_value[]){q, k, v}, 3, &attr, prefix);
    x = hs_build_conv(b, x, hs_build_join(prefix, "to_out.0", name), channels, 1, 1, 0, 0);
    return hs_build_affine(b, hs_build_add(b, x, input, NULL), 1 / scale, 0);
}

static hs_value hs_unet_downsample(hs_unet *u, hs_value x, int level) {
    const hs_unet2d_config *c = u->config;
    char name[256];
    int channels = c->block_out_channels[level];
    snprintf(name, sizeof name, "down_blocks.%d.downsamplers.0", level);
    if (c->down[level] == HS_BLOCK_RESNET ||
        (c->down[level] == HS_BLOCK_ATTN && c->downsample_resnet))
        return hs_unet_resnet(u, x, &(hs_resnet){name, channels, HS_HALVE, 1, false});
    snprintf(name, sizeof name, "down_blocks.%d.downsamplers.0.conv", level);
    return hs_build_conv(&u->b, x, name, channels, 3, 2, c->downsample_padding, 1);
}

static hs_value hs_unet_upsample(hs_unet *u, hs_value x, int index) {
    const hs_unet2d_config *c = u->config;
    char name[256];
    int channels = c->block_out_channels[c->levels - 1 - index];
    snprintf(name, sizeof name, "up_blocks.%d.upsamplers.0", index);
    if (c->up[index] == HS_BLOCK_RESNET || (c->up[index] == HS_BLOCK_ATTN && c->upsample_resnet))
        return hs_unet_resnet(u, x, &(hs_resnet){name, channels, HS_DOUBLE, 1, false});
    snprintf(name, sizeof name, "up_blocks.%d.upsamplers.0.conv", index);
    x = hs_unet_resample(u, x, HS_DOUBLE);
    return hs_build_conv(&u->b, x, name, channels, 3, 1, 1, 1);
}

/* One residual block of block `side`.`index`, and its attention. */
static hs_value hs_unet_layer(hs_unet *u, hs_value x, const char *side, int index, int layer,
                              int channels, bool attention) {
    char name[256];
    snprintf(name, sizeof name, "%s_blocks.%d.resnets.%d", side, index, layer);
    x = hs_unet_resnet(u, x, &(hs_resnet){name, channels, HS_SAME_SIZE, 1, false});
    snprintf(name, sizeof name, "%s_blocks.%d.attentions.%d", side, index, layer);
    return attention ? hs_unet_attention(u, x, name, u->config->norm_num_groups, 1) : x;
}

hs_value hs_unet_down_block(hs_unet *u, hs_value x, int level) {
    const hs_unet2d_config *c = u->config;
    for (int layer = 0; layer < c->layers_per_block; layer++) {
        x = hs_unet_layer(u, x, "down", level, layer, c->block_out_channels[level],
                          c->down[level] == HS_BLOCK_ATTN);
        u->skip[u->skips++] = x;
    }
    if (level == c->levels - 1)
        return x;
    x = hs_unet_downsample(u, x, level);
    u->skip[u->skips++] = x;
    return x;
}

hs_value hs_unet_mid_block(hs_unet *u, hs_value x) {
    const hs_unet2d_config *c = u->config;
    int channels = c->block_out_channels[c->levels - 1];
    double scale = c->mid_block_scale_factor;
    if (u->h_space == HS_H_BEFORE)
        x = hs_unet_tap(u, x);
    x = hs_unet_resnet(u, x,
                       &(hs_resnet){"mid_block.resnets.0", channels, HS_SAME_SIZE, scale, false});
    if (c->add_attention)
        x = hs_unet_attention(u, x, "mid_block.attentions.0", c->attn_norm_num_groups, scale);
    x = hs_unet_resnet(u, x,
                       &(hs_resnet){"mid_block.resnets.1", channels, HS_SAME_SIZE, scale,
                                    u->h_space == HS_H_MIDDLE});
    return u->h_space == HS_H_AFTER ? hs_unet_tap(u, x) : x;
}

hs_value hs_unet_up_block(hs_unet *u, hs_value x, int index) {
    const hs_unet2d_config *c = u->config;
    for (int layer = 0; layer <= c->layers_per_block; layer++) {
        hs_value skip = u->skip[--u->skips];
        x = hs_build_op(&u->b, HS_OP_CONCAT, (hs_value[]){x, skip}, 2, NULL, NULL);
        x = hs_unet_layer(u, x, "up", index, layer, c->block_out_channels[c->levels - 1 - index],
                          c->up[index] == HS_BLOCK_ATTN);
    }
    return index == c->levels - 1 ? x : hs_unet_upsample(u, x, index);
}
