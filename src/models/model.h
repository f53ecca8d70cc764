/*
 * A checkpoint that was opened: its config, its weights, its noise schedule's
 * parameters, and how to build its graph. The public hs_model.
 */
#ifndef HS_MODELS_MODEL_H
#define HS_MODELS_MODEL_H

#include "graph/graph.h"
#include "io/tensor_set.h"

/* The scheduler config as read; diffusion/schedule.c computes from it. */
typedef struct hs_schedule_config {
    int num_train_timesteps;
    char beta_schedule[32]; /* "linear", "scaled_linear", "squaredcos_cap_v2",
                               "keras_cosine" */
    double beta_start, beta_end;
    const double *trained_betas; /* [num_train_timesteps] or NULL; owned by the model */
    hs_prediction prediction;
    char timestep_spacing[16]; /* "leading", "trailing", "linspace" */
    int steps_offset;
    bool set_alpha_to_one;
    bool clip_sample;
    double clip_sample_range;
    bool rescale_betas_zero_snr;
    bool thresholding;
    bool absent; /* no scheduler file was found: defaults, with a notice */
} hs_schedule_config;

/* How to build the graph: filled in by the family's config reader. */
typedef struct hs_family hs_family;

struct hs_model {
    char *name;
    const hs_family *family;
    void *config;      /* the family's own struct, in `arena` */
    char *config_json; /* the config as canonical JSON, for the fingerprint; in `arena` */
    char *folder;      /* on disk, of the config and weights; NULL: in memory; in `arena` */
    hs_tensor_set *weights;
    hs_schedule_config schedule;
    int image[3];
    int h[3][3];
    int64_t parameters, macs, macs_to_h;
    const char *weight_dtype; /* of most of the weights' bytes, as on disk */
    int64_t weight_bytes;     /* on disk */
    char fingerprint[33];     /* empty: not computed yet */
    hs_arena arena;
};

/* Inputs and outputs of a U-Net graph. */
typedef struct hs_unet_graph {
    hs_graph *graph;
    hs_value x;        /* input [n,C,H,W] */
    hs_value t;        /* input [n] */
    hs_value delta_h;  /* input [n,c,h,w], added to h */
    hs_value h;        /* [n,c,h,w], before delta_h */
    hs_value h_edited; /* h + delta_h: where the graph is cut for derivatives */
    hs_value out;      /* [n,C,H,W], the network's own prediction */
} hs_unet_graph;

struct hs_family {
    const char *architecture; /* for people: "UNet2DModel" */
    /* Build the graph for a batch of n with h at `h_space`. Missing tensors
     * and wrong shapes are errors that name them. */
    hs_status (*build)(const hs_model *model, int n, hs_h_space h_space, hs_unet_graph *out,
                       hs_error *err);
};

extern const hs_family hs_family_unet2d;     /* unet2d.c */
extern const hs_family hs_family_keras_ddpm; /* keras_ddpm.c */

/* HS_ERROR_NUMERIC that names the first weight with a NaN or an infinity. Reads
 * all weights; back ends that convert weights use hs_tensor_first_bad instead. */
hs_status hs_model_check_weights(const hs_model *model, hs_error *err);

/* The caller frees out->graph with hs_graph_free. */
hs_status hs_model_build(const hs_model *model, int n, hs_h_space h_space, hs_unet_graph *out,
                         hs_error *err);

#endif
