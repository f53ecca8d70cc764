/* See trajectory.h. One step is eq. 2-5 of the paper, pixel by pixel in double. */
#include "diffusion/trajectory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "denoiser.h"
#include "diffusion/noise.h"

/* ------------------------------------------------------------- starting -- */

static hs_status hs_trajectory_new(const hs_sampler *sampler, int n, bool streams,
                                   hs_trajectory *out, hs_error *err) {
    size_t size = hs_denoiser_image_size(sampler->denoiser), floats;
    if (n < 1 || __builtin_mul_overflow((size_t)n, size, &floats))
        return hs_fail(err, HS_ERROR_ARGUMENT, "%d samples, expected 1 or more", n);
    *out = (hs_trajectory){.n = n};
    out->x = hs_alloc_aligned(floats, sizeof *out->x);
    if (streams)
        out->z = hs_calloc((size_t)n, sizeof *out->z);
    if (!out->x || (streams && !out->z)) {
        hs_trajectory_free(out);
        return hs_fail_memory(err,
                              floats * sizeof *out->x + (streams ? (size_t)n * sizeof *out->z : 0));
    }
    return HS_OK;
}

hs_status hs_trajectory_from_seeds(const hs_sampler *sampler, int n, const int64_t *seeds,
                                   hs_trajectory *out, hs_error *err) {
    size_t size = hs_denoiser_image_size(sampler->denoiser);
    HS_TRY(hs_trajectory_new(sampler, n, sampler->any_eta, out, err));
    for (int i = 0; i < n; i++) {
        hs_generator generator;
        hs_generator_seed(&generator, (uint64_t)seeds[i]);
        hs_generator_randn(&generator, size, out->x + (size_t)i * size);
        if (!sampler->any_eta)
            continue;
        if (sampler->z_seed == HS_Z_PLUS_ONE)
            hs_generator_seed(&generator, (uint64_t)seeds[i] + 1);
        else if (sampler->z_seed != HS_Z_CONTINUE)
            hs_generator_seed(&generator, (uint64_t)sampler->z_seed);
        out->z[i] = generator;
    }
    return HS_OK;
}

hs_status hs_trajectory_from_x_T(const hs_sampler *sampler, int n, const float *x_T,
                                 hs_trajectory *out, hs_error *err) {
    size_t size = hs_denoiser_image_size(sampler->denoiser);
    HS_TRY(hs_trajectory_new(sampler, n, false, out, err));
    if (x_T)
        memcpy(out->x, x_T, (size_t)n * size * sizeof *out->x);
    return HS_OK;
}

void hs_trajectory_free(hs_trajectory *trajectory) {
    free(trajectory->x);
    free(trajectory->z);
    *trajectory = (hs_trajectory){0};
}

void hs_trajectory_draw_z(const hs_sampler *sampler, hs_generator *generator, int step, float *z) {
    size_t size = hs_denoiser_image_size(sampler->denoiser);
    if (sampler->z_seed == HS_Z_CONTINUE)
        hs_generator_randn(generator, size, z); /* one call a step, as diffusers */
    else
        hs_randn_piece(generator, (size_t)sampler->T * size, (size_t)step * size, size, z);
}

/* ------------------------------------------------------------- stepping -- */

/* Scratch for batches of n; kept in the sampler, so a run allocates it once. */
static hs_status hs_reserve(hs_sampler *sampler, int n, hs_error *err) {
    if (n <= sampler->room)
        return HS_OK;
    size_t size = hs_denoiser_image_size(sampler->denoiser), floats = (size_t)n * size;
    free(sampler->t);
    free(sampler->eps);
    free(sampler->eps_dir);
    free(sampler->z);
    sampler->room = 0;
    sampler->t = hs_calloc((size_t)n, sizeof *sampler->t);
    sampler->eps = hs_alloc_aligned(floats, sizeof(float));
    sampler->eps_dir = sampler->asyrp ? hs_alloc_aligned(floats, sizeof(float)) : NULL;
    sampler->z = hs_alloc_aligned(size, sizeof(float));
    if (!sampler->t || !sampler->eps || (sampler->asyrp && !sampler->eps_dir) || !sampler->z)
        return hs_fail_memory(err, 2 * floats * sizeof(float));
    sampler->room = n;
    return HS_OK;
}

void hs_step_sample(const hs_sampler *sampler, const hs_step *step, const float *eps,
                    const float *eps_dir, const float *z, float *x) {
    size_t size = hs_denoiser_image_size(sampler->denoiser);
    double range = sampler->schedule.clip ? sampler->schedule.clip_range : INFINITY;
    for (size_t j = 0; j < size; j++) {
        double x0_hat = ((double)x[j] - step->sqrt_one_minus_a * (double)eps[j]) / step->sqrt_a;
        x0_hat = x0_hat < -range ? -range : x0_hat > range ? range : x0_hat;
        double noise = z ? step->noise * (double)z[j] : 0;
        x[j] = (float)(step->sqrt_a_prev * x0_hat + step->direction * (double)eps_dir[j] + noise);
    }
}

/* What happens to h in a step, for its first sample; all NULL: nothing. */
typedef struct hs_step_h {
    const float *delta; /* added */
    const float *given; /* put in its place */
    float *own;         /* gets what it was */
} hs_step_h;

static hs_step_h hs_step_h_at(const hs_step_h *all, size_t offset) {
    return (hs_step_h){.delta = all->delta ? all->delta + offset : NULL,
                       .given = all->given ? all->given + offset : NULL,
                       .own = all->own ? all->own + offset : NULL};
}

/* The eps of one batch into sampler->eps, and what eps_dir is to point at. */
static hs_status hs_predict(hs_sampler *sampler, int n, const float *x, int t, hs_step_h h,
                            const float **eps_dir, hs_error *err) {
    for (int i = 0; i < n; i++)
        sampler->t[i] = t;
    *eps_dir = sampler->eps;
    if (sampler->asyrp && (h.delta || h.given)) {
        HS_TRY(hs_denoiser_eps(sampler->denoiser, n, x, sampler->t, NULL, sampler->eps_dir, h.own,
                               err));
        *eps_dir = sampler->eps_dir;
        h.own = NULL;
    }
    if (h.given)
        return hs_denoiser_eps_at_h(sampler->denoiser, n, x, sampler->t, h.given, sampler->eps,
                                    err);
    return hs_denoiser_eps(sampler->denoiser, n, x, sampler->t, h.delta, sampler->eps, h.own, err);
}

static hs_status hs_advance(hs_sampler *sampler, hs_trajectory *trajectory, int first, int count,
                            const hs_step_h *all, const float *z, hs_error *err) {
    size_t size = hs_denoiser_image_size(sampler->denoiser);
    size_t h_size = hs_denoiser_h_size(sampler->denoiser);
    int step = trajectory->step;
    if (step < 0 || step >= sampler->T || first < 0 || count < 1 || count > trajectory->n - first)
        return hs_fail(err, HS_ERROR_INTERNAL, "trajectory: step %d of %d, samples %d+%d of %d",
                       step, sampler->T, first, count, trajectory->n);
    if (sampler->any_eta && !z && !trajectory->z)
        return hs_fail(err, HS_ERROR_INTERNAL, "trajectory: eta > 0, but there is no z");
    int batch = hs_denoiser_batch(sampler->denoiser, count);
    HS_TRY(hs_reserve(sampler, batch, err));
    const hs_step *coefficients = &sampler->coefficients[step];
    for (int done = 0; done < count; done += batch) {
        int n = count - done < batch ? count - done : batch;
        float *x = trajectory->x + (size_t)(first + done) * size;
        const float *eps_dir;
        HS_TRY(hs_predict(sampler, n, x, sampler->timesteps[step],
                          hs_step_h_at(all, (size_t)done * h_size), &eps_dir, err));
        for (int i = 0; i < n; i++) {
            const float *noise = z ? z + (size_t)(done + i) * size : NULL;
            if (!z && sampler->any_eta) { /* drawn even where this step's own eta is 0 */
                hs_trajectory_draw_z(sampler, &trajectory->z[first + done + i], step, sampler->z);
                noise = sampler->z;
            }
            hs_step_sample(sampler, coefficients, sampler->eps + (size_t)i * size,
                           eps_dir + (size_t)i * size, coefficients->noise > 0 ? noise : NULL,
                           x + (size_t)i * size);
        }
    }
    return HS_OK;
}

hs_status hs_trajectory_step(hs_sampler *sampler, hs_trajectory *trajectory, int first, int count,
                             const float *delta_h, const float *z, float *h, hs_error *err) {
    hs_step_h all = {.delta = delta_h, .own = h};
    return hs_advance(sampler, trajectory, first, count, &all, z, err);
}

hs_status hs_trajectory_step_at_h(hs_sampler *sampler, hs_trajectory *trajectory, int first,
                                  int count, const float *given, const float *z, hs_error *err) {
    hs_step_h all = {.given = given};
    return hs_advance(sampler, trajectory, first, count, &all, z, err);
}
