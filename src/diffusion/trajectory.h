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
    hs_step *coefficients; /* [T] */
    /* Scratch of hs_trajectory_step, for batches of up to `room`. */
    int room;
    int *t;                   /* [room] */
    float *eps, *eps_dir, *z; /* [room,C,H,W] each; z one sample, [C,H,W] */
};

typedef struct hs_trajectory {
    int n, step;     /* samples; next step to take, 0 ... T */
    float *x;        /* [n,C,H,W] x_t at timesteps[step] (x_0 when step == T) */
    hs_generator *z; /* [n] streams of z, or NULL: eta is 0, or z is passed in */
} hs_trajectory;

/* x_T from seeds [n] and streams placed for z. Free with hs_trajectory_free. */
hs_status hs_trajectory_from_seeds(const hs_sampler *sampler, int n, const int64_t *seeds,
                                   hs_trajectory *out, hs_error *err);
/* The same with x_T [n,C,H,W] given (NULL: the caller fills `x`), and no
 * streams: z is passed to each step. */
hs_status hs_trajectory_from_x_T(const hs_sampler *sampler, int n, const float *x_T,
                                 hs_trajectory *out, hs_error *err);
void hs_trajectory_free(hs_trajectory *trajectory);
/* HS_ERROR_MISMATCH unless latents give the sampler what it needs. */
hs_status hs_sampler_check_latents(const hs_sampler *sampler, const hs_latents_view *view,
                                   const hs_monitor *monitor, hs_error *err);

/*
 * z [C,H,W] of `step` from one sample's stream, by the sampler's z_seed. The
 * steps are asked for in order, noisiest first.
 */
void hs_trajectory_draw_z(const hs_sampler *sampler, hs_generator *generator, int step, float *z);

/*
 * x_t -> x_prev of one sample in place, [C,H,W]: eq. 2 of the paper. z is NULL
 * where the step has no noise; eps_dir differs from eps under Asyrp only.
 */
void hs_step_sample(const hs_sampler *sampler, const hs_step *step, const float *eps,
                    const float *eps_dir, const float *z, float *x);

/*
 * Take step `trajectory->step` for samples first ... first+count-1 (in batches
 * of the denoiser); the caller advances trajectory->step when all are done.
 *   delta_h  [count,c,h,w] or NULL
 *   z        [count,C,H,W] to use instead of the generators, or NULL
 *   h        [count,c,h,w] out, or NULL
 * With Asyrp and a delta_h it takes two U-Net passes. After an error the x and
 * streams of these samples are of no further use.
 */
hs_status hs_trajectory_step(hs_sampler *sampler, hs_trajectory *trajectory, int first, int count,
                             const float *delta_h, const float *z, float *h, hs_error *err);

/* The same with h [count,c,h,w] put in place of the samples' own. With Asyrp it
 * takes two passes: eps_dir is that of the samples' own h. */
hs_status hs_trajectory_step_at_h(hs_sampler *sampler, hs_trajectory *trajectory, int first,
                                  int count, const float *given, const float *z, hs_error *err);

#endif
