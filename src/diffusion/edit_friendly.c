/*
 * Edit-friendly DDPM inversion (Huberman-Spiegelglas et al., 2024): noisy images
 * x_t of an image are drawn first, then every step is solved for the z that
 * leads from its x_t to the next one.
 *
 * Until its step is solved, slot i of z holds the image that step i must lead
 * to, so the drawn images take no memory of their own:
 *
 *     x_T    z[0]     z[1]    ...  z[T-2]     z[T-1]
 *     x_t0   x_t1     x_t2    ...  x_t(T-1)   x_0        drawn
 *     x_t0   z_t0     z_t1    ...  z_t(T-2)   z_t(T-1)   solved
 *
 * A step is taken with the z that was found, as the decoder will take it: its
 * rounding error is seen, and corrected, by the next step. What is left is the
 * rounding of the last step, which is why decoding agrees to float precision.
 */
#include "diffusion/inversion.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "denoiser.h"
#include "diffusion/anderson.h"

#define HS_FIXED_POINT_ROUNDS 50
#define HS_FIXED_POINT_STALE 6 /* rounds without a better x before it ends */
/* Residuals, of a pixel in [-1, 1]: not worth another round; worth a notice. */
#define HS_FIXED_POINT_EXACT 6e-8
#define HS_FIXED_POINT_POOR 1e-3

bool hs_inversion_fixed_point(const hs_inversion *job) {
    const hs_sampler *sampler = job->sampler;
    return job->options.method != HS_INVERT_DDIM &&
           !(sampler->coefficients[sampler->T - 1].noise > 0);
}

/* Where x_{t_i} of an image waits: see the drawing above. i is 0 ... T. */
static float *hs_slot(const hs_inversion *job, int image, int i) {
    if (i == 0)
        return job->latents->x_T + (size_t)image * job->image_size;
    size_t step = (size_t)image * (size_t)job->sampler->T + (size_t)(i - 1);
    return job->latents->z + step * job->image_size;
}

static const float *hs_image(const hs_inversion *job, int image) {
    return job->latents->x_0 + (size_t)image * job->image_size;
}

/* --------------------------------------------------------- fixed point -- */

/*
 * The last step, x_0 = sqrt(a_prev) (x - sqrt(1-a) eps) / sqrt(a) + direction
 * eps, solved for the x outside of eps(x): x = f(x). Writes f(x) and returns the
 * largest error of a pixel that decoding x would make.
 */
static double hs_fixed_point_map(const hs_step *step, size_t size, const float *x_0,
                                 const float *eps, const float *x, float *f) {
    double ratio = step->sqrt_a / step->sqrt_a_prev, worst = 0;
    for (size_t j = 0; j < size; j++) {
        double e = (double)eps[j];
        double value = ratio * ((double)x_0[j] - step->direction * e) + step->sqrt_one_minus_a * e;
        worst = fmax(worst, fabs((double)x[j] - value) / ratio);
        f[j] = (float)value;
    }
    return worst;
}

/* One round of one image, whose eps is known: the next x. False: it is done. */
static bool hs_fixed_point_round(hs_inversion *job, int image, const float *eps, float *x,
                                 hs_anderson *anderson) {
    const hs_step *step = &job->sampler->coefficients[job->sampler->T - 1];
    double worst =
        hs_fixed_point_map(step, job->image_size, hs_image(job, image), eps, x, job->noise);
    hs_anderson_next(anderson, x, job->noise);
    if (anderson->stale == 0)
        job->residual[image] = worst;
    return anderson->stale < HS_FIXED_POINT_STALE && worst > HS_FIXED_POINT_EXACT;
}

/* All rounds for `count` images, whose first x stand in job->x. An image's
 * rounds end on their own, whatever its neighbours need. */
static hs_status hs_fixed_point_rounds(hs_inversion *job, int first, int count,
                                       hs_anderson *anderson, hs_error *err) {
    const hs_sampler *sampler = job->sampler;
    for (int round = 0, active = count; round < HS_FIXED_POINT_ROUNDS && active > 0; round++) {
        HS_TRY(hs_inversion_eps(job, count, sampler->timesteps[sampler->T - 1], NULL, err));
        active = 0;
        for (int i = 0; i < count; i++) {
            size_t at = (size_t)i * job->image_size;
            if (!job->settled[i])
                job->settled[i] =
                    !hs_fixed_point_round(job, first + i, job->eps + at, job->x + at, &anderson[i]);
            active += !job->settled[i];
        }
        HS_TRY(hs_progress(job->monitor, "inverting", job->done, job->total, err));
    }
    return HS_OK;
}

/* The x of the last step for `count` images into their slots. */
static hs_status hs_solve_fixed_point(hs_inversion *job, int first, int count, hs_error *err) {
    const hs_step *step = &job->sampler->coefficients[job->sampler->T - 1];
    size_t size = job->image_size;
    hs_status status = HS_OK;
    hs_anderson *anderson = hs_calloc((size_t)count, sizeof *anderson);
    if (!anderson)
        return hs_fail_memory(err, (size_t)count * sizeof *anderson);
    for (int i = 0; i < count; i++) {
        HS_CHECK(hs_anderson_create(size, &anderson[i], err));
        const float *x_0 = hs_image(job, first + i);
        for (size_t j = 0; j < size; j++)
            job->x[(size_t)i * size + j] =
                (float)(step->sqrt_a / step->sqrt_a_prev * (double)x_0[j]);
        job->settled[i] = 0;
    }
    HS_CHECK(hs_fixed_point_rounds(job, first, count, anderson, err));
    for (int i = 0; i < count; i++) {
        memcpy(hs_slot(job, first + i, job->sampler->T - 1), anderson[i].best,
               size * sizeof(float));
        if (job->residual[first + i] > HS_FIXED_POINT_POOR)
            hs_notice(job->monitor,
                      "invert: image %d: the fixed point of the last step was not reached, a pixel "
                      "is off by up to %.2g",
                      first + i, job->residual[first + i]);
    }
    HS_CHECK(hs_inversion_advance(job, count, err));
cleanup:
    for (int i = 0; i < count; i++)
        hs_anderson_free(&anderson[i]);
    free(anderson);
    return status;
}

/* -------------------------------------------------------------- drawing -- */

/* x = scale from + offset x_0 + deviation noise. */
static void hs_combine(const hs_inversion *job, double scale, const float *from, double offset,
                       const float *x_0, double deviation, float *x) {
    for (size_t j = 0; j < job->image_size; j++)
        x[j] = (float)(scale * (double)from[j] + offset * (double)x_0[j] +
                       deviation * (double)job->noise[j]);
}

/* alphas_cumprod on the inference grid; that of x_0 beyond its end. */
static double hs_grid_alpha(const hs_sampler *sampler, int i) {
    if (i < sampler->T)
        return sampler->schedule.alphas_cumprod[sampler->timesteps[i]];
    double sqrt_a = sampler->coefficients[sampler->T - 1].sqrt_a_prev;
    return sqrt_a * sqrt_a;
}

/* x_{t_i} of one image from job->noise and, by the kind, its neighbour. */
static void hs_draw(const hs_inversion *job, int image, int i) {
    const float *x_0 = hs_image(job, image);
    float *x = hs_slot(job, image, i);
    double a = hs_grid_alpha(job->sampler, i);
    if (job->options.method == HS_INVERT_X_PREV) {
        double a_prev = hs_grid_alpha(job->sampler, i + 1);
        hs_combine(job, sqrt(a / a_prev), hs_slot(job, image, i + 1), 0, x_0, sqrt(1 - a / a_prev),
                   x);
        return;
    }
    if (job->options.method == HS_INVERT_X0 || i == 0) {
        hs_combine(job, 0, x_0, sqrt(a), x_0, sqrt(1 - a), x);
        return;
    }
    /* q(x_{t_i} | x_{t_{i-1}}, x_0): the noisier one is known. */
    double noisier = hs_grid_alpha(job->sampler, i - 1), ratio = noisier / a;
    double var = (1 - a) / (1 - noisier) * (1 - ratio);
    hs_combine(job, sqrt(ratio) * (1 - a) / (1 - noisier), hs_slot(job, image, i - 1),
               sqrt(a) * (1 - ratio) / (1 - noisier), x_0, sqrt(var), x);
}

/* All x_t of one image; that of the last step stays if it is a fixed point,
 * but its noise is drawn all the same: one randn a step. */
static void hs_draw_all(hs_inversion *job, int image) {
    int T = job->sampler->T;
    bool keep_last = hs_inversion_fixed_point(job);
    hs_generator generator;
    hs_generator_seed(&generator, (uint64_t)(job->options.seed + image));
    memcpy(hs_slot(job, image, T), hs_image(job, image), job->image_size * sizeof(float));
    for (int k = 0; k < T; k++) {
        int i = job->options.method == HS_INVERT_X_PREV ? T - 1 - k : k;
        hs_generator_randn(&generator, job->image_size, job->noise);
        if (i < T - 1 || !keep_last)
            hs_draw(job, image, i);
    }
}

/* -------------------------------------------------------------- solving -- */

/* z of one image's step in place of the x_prev that it must lead to, and the
 * step taken with it. */
static hs_status hs_solve_step(hs_inversion *job, int image, int step, const float *eps, float *x,
                               hs_error *err) {
    const hs_step *c = &job->sampler->coefficients[step];
    float *z = hs_slot(job, image, step + 1);
    if (!(c->noise > 0)) { /* the last step: x is its fixed point */
        memset(z, 0, job->image_size * sizeof *z);
        return HS_OK;
    }
    for (size_t j = 0; j < job->image_size; j++) {
        double e = (double)eps[j];
        double x0_hat = ((double)x[j] - c->sqrt_one_minus_a * e) / c->sqrt_a;
        double mu = c->sqrt_a_prev * x0_hat + c->direction * e;
        z[j] = (float)(((double)z[j] - mu) / c->noise);
        if (!isfinite(z[j]))
            return hs_fail(err, HS_ERROR_NUMERIC,
                           "invert: image %d, step %d: z is not finite (eta sqrt(var) is %g)",
                           image, step, c->noise);
    }
    hs_step_sample(job->sampler, c, eps, eps, z, x);
    return HS_OK;
}

hs_status hs_invert_edit_friendly(hs_inversion *job, int first, int count, hs_error *err) {
    const hs_sampler *sampler = job->sampler;
    size_t size = job->image_size;
    if (hs_inversion_fixed_point(job))
        HS_TRY(hs_solve_fixed_point(job, first, count, err));
    for (int i = 0; i < count; i++) {
        hs_draw_all(job, first + i);
        memcpy(job->x + (size_t)i * size, hs_slot(job, first + i, 0), size * sizeof *job->x);
    }
    for (int step = 0; step < sampler->T; step++) {
        HS_TRY(hs_inversion_eps(job, count, sampler->timesteps[step], job->h, err));
        hs_inversion_keep_h(job, first, count, step);
        for (int i = 0; i < count; i++)
            HS_TRY(hs_solve_step(job, first + i, step, job->eps + (size_t)i * size,
                                 job->x + (size_t)i * size, err));
        HS_TRY(hs_inversion_advance(job, count, err));
    }
    return HS_OK;
}
