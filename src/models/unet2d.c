/*
 * UNet2DModel as a graph: time embedding, the way down, the mid block with h,
 * the way up. The blocks are in unet2d_blocks.c, the config in
 * unet2d_config.c.
 */
#include "models/unet2d.h"

/* Everything that depends on t alone: [n, time_embedding_dim], activated, for
 * every residual block projects the same activated embedding. */
static hs_value hs_unet_time(hs_unet *u) {
    const hs_unet2d_config *c = u->config;
    hs_builder *b = &u->b;
    hs_value x;
    if (c->fourier) {
        hs_value w =
            hs_build_weight(b, "time_proj", "weight", hs_shape_make(1, (int64_t)c->time_channels));
        hs_attr attr = {.fourier = {.flip_sin_to_cos = false, .log = true}};
        x = hs_build_op(b, HS_OP_FOURIER_EMBED, (hs_value[]){u->out->t, w}, 2, &attr, "time_proj");
    } else {
        hs_attr attr = {.time_embed = {.dim = c->time_channels,
                                       .flip_sin_to_cos = c->flip_sin_to_cos,
                                       .freq_shift = c->freq_shift,
                                       .max_period = 10000}};
        x = hs_build_op(b, HS_OP_TIME_EMBED, &u->out->t, 1, &attr, "time_proj");
    }
    x = hs_build_linear(b, x, "time_embedding.linear_1", c->time_embedding_dim);
    x = hs_build_activation(b, x, HS_SILU);
    x = hs_build_linear(b, x, "time_embedding.linear_2", c->time_embedding_dim);
    return hs_build_activation(b, x, c->act_fn);
}

hs_value hs_unet_tap(hs_unet *u, hs_value x) {
    hs_builder *b = &u->b;
    hs_value delta_h = hs_build_input(b, "delta_h", hs_build_shape(b, x));
    hs_value edited = hs_build_add(b, x, delta_h, "h_edited");
    if (b->status == HS_OK)
        hs_graph_set_name(b->graph, x, "h");
    u->out->h = x;
    u->out->delta_h = delta_h;
    u->out->h_edited = edited;
    return edited;
}

static void hs_unet_layers(hs_unet *u, int n) {
    const hs_unet2d_config *c = u->config;
    hs_builder *b = &u->b;
    int64_t batch = n, height = c->sample_size[0], width = c->sample_size[1];
    hs_value x = u->out->x =
        hs_build_input(b, "x", hs_shape_make(4, batch, (int64_t)c->in_channels, height, width));
    u->out->t = hs_build_input(b, "t", hs_shape_make(1, batch));
    if (c->center_input_sample)
        x = hs_build_affine(b, x, 2, -1);
    u->temb = hs_unet_time(u);
    x = hs_build_conv(b, x, "conv_in", c->block_out_channels[0], 3, 1, 1, 1);
    u->skip[u->skips++] = x;
    for (int level = 0; level < c->levels; level++)
        x = hs_unet_down_block(u, x, level);
    x = hs_unet_mid_block(u, x);
    for (int index = 0; index < c->levels; index++)
        x = hs_unet_up_block(u, x, index);
    x = hs_build_group_norm(b, x, "conv_norm_out", c->norm_num_groups, c->norm_eps);
    x = hs_build_activation(b, x, HS_SILU);
    x = hs_build_conv(b, x, "conv_out", c->out_channels, 3, 1, 1, 1);
    if (c->fourier)
        x = hs_build_op(b, HS_OP_DIVIDE_ROWS, (hs_value[]){x, u->out->t}, 2, NULL, "out");
    else if (b->status == HS_OK)
        hs_graph_set_name(b->graph, x, "out");
    u->out->out = x;
}

hs_status hs_unet2d_build(const hs_model *model, int n, hs_h_space h_space, hs_unet_graph *out,
                          hs_error *err) {
    hs_unet_graph result = {.graph = hs_graph_new()};
    if (!result.graph)
        return hs_fail_memory(err, sizeof *result.graph);
    hs_unet u = {.b = {.graph = result.graph, .model = model, .err = err},
                 .config = model->config,
                 .h_space = h_space,
                 .out = &result};
    hs_unet_layers(&u, n);
    if (u.b.status != HS_OK) {
        hs_graph_free(result.graph);
        return u.b.status;
    }
    *out = result;
    return HS_OK;
}

const hs_family hs_family_unet2d = {.architecture = "UNet2DModel", .build = hs_unet2d_build};
