/* The samples that PCA looks at: trajectories from seeds, or variations around
 * one sample, and their h, step by step and in pieces of the denoiser's batch. */
#ifndef HS_DIRECTIONS_PCA_SAMPLES_H
#define HS_DIRECTIONS_PCA_SAMPLES_H

#include "directions/pca_plan.h"

typedef struct hs_pca_samples {
    hs_sampler *sampler;
    int64_t first_seed; /* of this batch */
    int batch;          /* samples a piece */
    int64_t d, image;
    hs_trajectory trajectory; /* n samples at step trajectory.step */
    int done;                 /* samples that have taken that step */
    float *h;                 /* [n,c,h,w] of that step, rows below `done` */
    /* around one sample: sqrt(1-delta^2) own + delta fresh */
    bool around;
    double own_share, fresh_share;
    bool fresh_z;               /* the fresh samples' z differ from the own one */
    float *own_x;               /* [C,H,W] x_T */
    hs_generator own_generator; /* stream of its z, behind this step's draw */
    float *own_z;               /* [C,H,W] of this step */
    float *z;                   /* [batch,C,H,W] mixed */
} hs_pca_samples;

/*
 * Room for batches of up to `n` samples; follow with hs_pca_samples_start. With
 * `options->around`, x_T and z are mixed from those of around_seed and fresh
 * ones; where the sampler's z_seed makes all z the same, z is that one.
 */
hs_status hs_pca_samples_create(hs_sampler *sampler, const hs_pca_options *options, int n,
                                hs_pca_samples *out, hs_error *err);
void hs_pca_samples_free(hs_pca_samples *samples);

/* Put n samples, seeds first_seed ..., at step 0; what was before is dropped. */
hs_status hs_pca_samples_start(hs_pca_samples *samples, const hs_pca_options *options,
                               int64_t first_seed, int n, hs_error *err);

/*
 * Take the current step for the next piece: `done` grows by up to `batch`.
 * HS_ERROR_NUMERIC names the step, and the seed or the piece's seeds, of an h or
 * eps that is not finite.
 */
hs_status hs_pca_samples_advance(hs_pca_samples *samples, hs_error *err);

/* All have taken the step: go to the next. */
void hs_pca_samples_next(hs_pca_samples *samples);

#endif
