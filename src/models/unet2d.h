/*
 * The U-Net that DDPM checkpoints share: diffusers' UNet2DModel, and, with the
 * last two members, the Keras DDPM family.
 */
#ifndef HS_MODELS_UNET2D_H
#define HS_MODELS_UNET2D_H

#include "models/builder.h"

#define HS_UNET_MAX_LEVELS 12
#define HS_UNET_MAX_LAYERS 16

typedef enum hs_unet_block {
    HS_BLOCK_PLAIN, /* DownBlock2D, UpBlock2D: residual blocks, then resampling */
    HS_BLOCK_ATTN,  /* AttnDownBlock2D, AttnUpBlock2D: attention after each */
    HS_BLOCK_RESNET /* Resnet(Down|Up)sampleBlock2D: a residual block resamples */
} hs_unet_block;

typedef struct hs_unet2d_config {
    int sample_size[2]; /* H, W */
    int in_channels, out_channels;
    bool center_input_sample; /* x -> 2x - 1 */

    bool fourier;           /* Gaussian Fourier embedding of log t, output divided by t */
    int time_channels;      /* of the sinusoids, or frequencies of `fourier` */
    int time_embedding_dim; /* of the two dense layers */
    bool flip_sin_to_cos;
    double freq_shift;

    int levels;
    int block_out_channels[HS_UNET_MAX_LEVELS];
    hs_unet_block down[HS_UNET_MAX_LEVELS], up[HS_UNET_MAX_LEVELS];
    int layers_per_block;
    int downsample_padding;                    /* 1, or 0: one row and column after */
    bool downsample_resnet, upsample_resnet;   /* of attention blocks */
    double mid_block_scale_factor;             /* divides what mid blocks put out */
    bool add_attention;                        /* in the mid block */
    int attention_head_dim;                    /* 0: one head */
    int norm_num_groups, attn_norm_num_groups; /* of the mid block; 0: no norm */
    double norm_eps;
    hs_activation act_fn;
    bool scale_shift; /* resnet_time_scale_shift */

    bool attention_adds_normalised; /* the residual of attention is its normed input */
} hs_unet2d_config;

/* Read and check a UNet2DModel config.json. What hspace does not do is refused
 * by name. */
hs_status hs_unet2d_config_parse(const char *path, const void *data, size_t size,
                                 hs_unet2d_config *out, hs_error *err);
/* The checks that hold for any source of a config (`path` names it). */
hs_status hs_unet2d_config_check(const char *path, const hs_unet2d_config *config, hs_error *err);

/* hs_family.build for a model whose `config` is a hs_unet2d_config. */
hs_status hs_unet2d_build(const hs_model *model, int n, hs_h_space h_space, hs_unet_graph *out,
                          hs_error *err);

/* ---- between unet2d.c and unet2d_blocks.c */

/* A U-Net under construction. */
typedef struct hs_unet {
    hs_builder b;
    const hs_unet2d_config *config;
    hs_h_space h_space;
    hs_value temb; /* act_fn(time embedding) [n, time_embedding_dim], for all blocks */
    hs_unet_graph *out;
    hs_value skip[HS_UNET_MAX_LEVELS * (HS_UNET_MAX_LAYERS + 1) + 1];
    int skips;
} hs_unet;

/* Make x the h of the graph: name it, add the input delta_h. */
hs_value hs_unet_tap(hs_unet *u, hs_value x);
hs_value hs_unet_down_block(hs_unet *u, hs_value x, int level);
hs_value hs_unet_mid_block(hs_unet *u, hs_value x);
hs_value hs_unet_up_block(hs_unet *u, hs_value x, int index);

#endif
