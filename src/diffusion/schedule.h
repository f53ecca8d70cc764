/*
 * The noise schedule (METHODS 2): alphas_cumprod in double, timestep grids,
 * and the coefficients of one reverse step.
 */
#ifndef HS_DIFFUSION_SCHEDULE_H
#define HS_DIFFUSION_SCHEDULE_H

#include "models/model.h"

typedef struct hs_schedule {
    int N;
    double *alphas_cumprod; /* [N] */
    double final_alpha_cumprod;
    hs_prediction prediction;
    bool clip;
    double clip_range;
} hs_schedule;

hs_status hs_schedule_create(const hs_schedule_config *config, hs_schedule *out, hs_error *err);
void hs_schedule_free(hs_schedule *schedule);

/* T timesteps, noisiest first, by the config's spacing; out [T]. */
hs_status hs_schedule_timesteps(const hs_schedule_config *config, int T, int *out, hs_error *err);

/* x_prev = sqrt(a_prev) x0_hat + direction eps_dir + noise z (eq. 2-5). */
typedef struct hs_step {
    double sqrt_a, sqrt_one_minus_a; /* of alphas_cumprod[t] */
    double sqrt_a_prev, direction;   /* sqrt(1 - a_prev - eta^2 var) */
    double noise;                    /* eta sqrt(var) */
} hs_step;
hs_step hs_schedule_step(const hs_schedule *schedule, int t, int prev, double eta);

#endif
