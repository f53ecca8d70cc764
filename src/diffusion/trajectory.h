/*
 * n samples on their way from x_T to x_0, advanced step by step: what hs_sample
 * and the streaming PCA share. The state is plain data (x and generators), so
 * a resume point is a copy of it.
 */
#ifndef HS_DIFFUSION_TRAJECTORY_H
#define HS_DIFFUSION_TRAJECTORY_H

#include "base/random.h"
#include "diffusion/schedule.h"

struct hs_sampler {
    hs_denoiser *denoiser;
    const hs_model *model;
    hs_schedule schedule;
    int T;
    int *timesteps; /* [T] */
    double *eta;    /* [T] */
    bool any_eta;
    int64_t z_seed;
    bool asyrp;
};

typedef struct hs_trajectory {
    int n, step;         /* samples; next step to take, 0 ... T */
    float *x;            /* [n,C,H,W] x_t at timesteps[step] (x_0 when step == T) */
    hs_generator *z;     /* [n] streams of z; unused where z comes from latents */
} hs_trajectory;

/* x_T from seeds [n] and streams placed for z. Free with hs_trajectory_free. */
hs_status hs_trajectory_from_seeds(const hs_sampler *sampler, int n, const int64_t *seeds,
                                   hs_trajectory *out, hs_error *err);
void hs_trajectory_free(hs_trajectory *trajectory);

/*
 * Take step `trajectory->step` for samples first ... first+count-1 (in batches
 * of the denoiser); the caller advances trajectory->step when all are done.
 *   delta_h  [count,c,h,w] or NULL
 *   z        [count,C,H,W] to use instead of the generators, or NULL
 *   h        [count,c,h,w] out, or NULL
 */
hs_status hs_trajectory_step(hs_sampler *sampler, hs_trajectory *trajectory, int first, int count,
                             const float *delta_h, const float *z, float *h, hs_error *err);

#endif
