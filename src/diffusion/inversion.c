/*
 * hs_invert: latents of real images, and the round trip that judges them. DDIM
 * inversion (Song, Meng and Ermon, 2021) stands here; the edit-friendly kinds
 * are in edit_friendly.c.
 *
 * A reverse step is x_prev = f(x_t, eps(x_t, t)). DDIM inversion walks the other
 * way by eps(x_prev, t) in place of eps(x_t, t), an error of the order of the
 * step size: why the round trip is measured for every image.
 */
#include "diffusion/inversion.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "denoiser.h"

hs_invert_options hs_invert_options_default(void) {
    return (hs_invert_options){.method = HS_INVERT_DDIM};
}

/* -------------------------------------------------------------- shared -- */

hs_status hs_inversion_eps(hs_inversion *job, int count, int t, float *h, hs_error *err) {
    for (int i = 0; i < count; i++)
        job->t[i] = t;
    return hs_denoiser_eps(job->sampler->denoiser, count, job->x, job->t, NULL, job->eps, h, err);
}

void hs_inversion_keep_h(hs_inversion *job, int first, int count, int step) {
    size_t T = (size_t)job->sampler->T;
    for (int i = 0; i < count; i++)
        memcpy(job->latents->h + ((size_t)(first + i) * T + (size_t)step) * job->h_size,
               job->h + (size_t)i * job->h_size, job->h_size * sizeof *job->h);
}

hs_status hs_inversion_advance(hs_inversion *job, int count, hs_error *err) {
    job->done += count;
    return hs_progress(job->monitor, "inverting", job->done, job->total, err);
}

/* ---------------------------------------------------------------- DDIM -- */

/* The timestep that DDIM inversion moves to from t. */
static int hs_next_timestep(const hs_sampler *sampler, int t) {
    int N = sampler->schedule.N, next = t + N / sampler->T;
    next = next > N - 2 ? N - 2 : next;
    return next < 0 ? 0 : next;
}

static hs_status hs_invert_ddim(hs_inversion *job, int first, int count, hs_error *err) {
    const hs_sampler *sampler = job->sampler;
    const double *alphas_cumprod = sampler->schedule.alphas_cumprod;
    size_t floats = (size_t)count * job->image_size, at = (size_t)first * job->image_size;
    memcpy(job->x, job->latents->x_0 + at, floats * sizeof *job->x);
    for (int step = sampler->T - 1; step >= 0; step--) {
        int t = sampler->timesteps[step];
        double a = alphas_cumprod[t], a_next = alphas_cumprod[hs_next_timestep(sampler, t)];
        double sqrt_a = sqrt(a), sqrt_one_minus_a = sqrt(1 - a);
        double sqrt_a_next = sqrt(a_next), direction = sqrt(1 - a_next);
        HS_TRY(hs_inversion_eps(job, count, t, job->h, err));
        hs_inversion_keep_h(job, first, count, step);
        for (size_t j = 0; j < floats; j++) {
            double eps = (double)job->eps[j];
            double x0_hat = ((double)job->x[j] - sqrt_one_minus_a * eps) / sqrt_a;
            job->x[j] = (float)(sqrt_a_next * x0_hat + direction * eps);
        }
        HS_TRY(hs_inversion_advance(job, count, err));
    }
    memcpy(job->latents->x_T + at, job->x, floats * sizeof *job->x);
    return HS_OK;
}

/* -------------------------------------------------------------- checks -- */

static hs_status hs_check_eta(const hs_sampler *sampler, hs_invert_method method, hs_error *err) {
    for (int i = 0; i < sampler->T; i++) {
        if (method == HS_INVERT_DDIM && sampler->eta[i] > 0)
            return hs_fail(err, HS_ERROR_ARGUMENT,
                           "invert: DDIM inversion needs eta 0 at every step, step %d has %g (the "
                           "methods x0, x_prev and dpm invert eta above 0)",
                           i, sampler->eta[i]);
        if (method != HS_INVERT_DDIM && !(sampler->eta[i] > 0))
            return hs_fail(err, HS_ERROR_ARGUMENT,
                           "invert: edit-friendly inversion needs eta above 0 at every step, step "
                           "%d has 0 (the method ddim inverts eta 0)",
                           i);
        /* Only the last step may lack variance: a z of it could not be solved. */
        if (method != HS_INVERT_DDIM && i < sampler->T - 1 && !(sampler->coefficients[i].noise > 0))
            return hs_fail(err, HS_ERROR_UNSUPPORTED,
                           "invert: step %d (timestep %d) has no variance, so no noise leads "
                           "through it: use fewer steps",
                           i, sampler->timesteps[i]);
    }
    return HS_OK;
}

static hs_status hs_check_images(const hs_inversion *job, const float *x_0, hs_error *err) {
    for (int i = 0; i < job->n; i++)
        for (size_t j = 0; j < job->image_size; j++)
            if (!isfinite(x_0[(size_t)i * job->image_size + j]))
                return hs_fail(err, HS_ERROR_NUMERIC,
                               "invert: image %d: value %zu is not finite, expected [-1, 1]", i, j);
    return HS_OK;
}

static hs_status hs_check_invert(const hs_inversion *job, const float *x_0, bool wants_image,
                                 hs_error *err) {
    if (job->n < 1 || !x_0)
        return hs_fail(err, HS_ERROR_ARGUMENT, "invert: %d images%s, expected 1 or more", job->n,
                       x_0 ? "" : " (NULL)");
    if (job->options.method < HS_INVERT_DDIM || job->options.method > HS_INVERT_DPM)
        return hs_fail(err, HS_ERROR_ARGUMENT, "invert: method %d, expected ddim, x0, x_prev, dpm",
                       (int)job->options.method);
    if (!(job->options.resume_every >= 0))
        return hs_fail(err, HS_ERROR_ARGUMENT, "invert: resume_every is %g, expected 0 or more",
                       job->options.resume_every);
    if (job->options.unchecked && wants_image)
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "invert: there is no reconstruction of an "
                       "inversion that is not checked");
    if (job->options.seed < 0 || job->options.seed > INT64_MAX - job->n)
        return hs_fail(err, HS_ERROR_ARGUMENT, "invert: seed %lld, expected 0 or more",
                       (long long)job->options.seed);
    if (job->sampler->schedule.clip)
        return hs_fail(
            err, HS_ERROR_ARGUMENT,
            "invert: the sampler clips x0_hat, which cannot be inverted: leave clip out");
    HS_TRY(hs_check_eta(job->sampler, job->options.method, err));
    return hs_check_images(job, x_0, err);
}

/* ------------------------------------------------------------------ run -- */

static hs_status hs_inversion_scratch(hs_inversion *job, hs_error *err) {
    size_t batch = (size_t)job->batch;
    job->t = hs_calloc(batch, sizeof *job->t);
    job->settled = hs_calloc(batch, sizeof *job->settled);
    job->x = hs_alloc_aligned(batch * job->image_size, sizeof *job->x);
    job->eps = hs_alloc_aligned(batch * job->image_size, sizeof *job->eps);
    job->h = hs_alloc_aligned(batch * job->h_size, sizeof *job->h);
    job->noise = hs_alloc_aligned(job->image_size, sizeof *job->noise);
    if (!job->t || !job->settled || !job->x || !job->eps || !job->h || !job->noise)
        return hs_fail_memory(err, batch * (2 * job->image_size + job->h_size) * sizeof *job->x);
    return HS_OK;
}

/* hs_sample calls what it does "sampling"; here it is the check, and counts on. */
static bool hs_decode_progress(void *ctx, const char *phase, double done, double total) {
    const hs_inversion *job = ctx;
    const hs_monitor *outer = job->monitor;
    double passes = total > 0 ? job->decoding * done / total : 0;
    return !outer || !outer->progress ||
           outer->progress(outer->ctx, "inverting", job->done + passes, job->total);
}

/* Decode the latents of images first ... first+count-1, and judge them. */
static hs_status hs_round_trip(hs_inversion *job, int first, int count, hs_error *err) {
    const hs_latents *all = job->latents;
    size_t at = (size_t)first * job->image_size, T = (size_t)all->T;
    hs_latents part = *all;
    hs_monitor monitor = {.ctx = job, .progress = hs_decode_progress};
    part.n = count;
    part.x_T += at;
    part.x_0 += at;
    part.h += (size_t)first * T * job->h_size;
    if (part.z)
        part.z += at * T;
    job->decoding = (double)count * all->T;
    HS_TRY(hs_sample(job->sampler, count, NULL, &part, NULL, 0, NULL, &monitor,
                     job->reconstruction + at, NULL, err));
    job->done += job->decoding;
    hs_inversion_measure(job, first, count);
    return HS_OK;
}

/* One batch there and back. */
static hs_status hs_inversion_batch(hs_inversion *job, hs_error *err) {
    bool ddim = job->options.method == HS_INVERT_DDIM;
    int first = job->ready, count = job->n - first < job->batch ? job->n - first : job->batch;
    HS_TRY(ddim ? hs_invert_ddim(job, first, count, err)
                : hs_invert_edit_friendly(job, first, count, err));
    if (!job->options.unchecked)
        HS_TRY(hs_round_trip(job, first, count, err));
    job->ready += count;
    return HS_OK;
}

static hs_status hs_inversion_run(hs_inversion *job, hs_error *err) {
    int passes = (job->options.unchecked ? 1 : 2) * job->sampler->T +
                 (hs_inversion_fixed_point(job) ? 1 : 0);
    job->total = (double)job->n * passes;
    job->done = (double)job->ready * passes;
    HS_TRY(hs_progress(job->monitor, "inverting", job->done, job->total, err));
    while (job->ready < job->n) {
        hs_status status = hs_inversion_batch(job, err);
        HS_TRY(hs_inversion_resume_point(job, status, err));
    }
    return HS_OK;
}

hs_status hs_invert(hs_sampler *sampler, const hs_invert_options *options, int n, const float *x_0,
                    const hs_monitor *monitor, hs_latents **out, double *psnr,
                    float *reconstruction, hs_error *err) {
    hs_inversion job = {.sampler = sampler,
                        .options = options ? *options : hs_invert_options_default(),
                        .n = n,
                        .monitor = monitor,
                        .image_size = hs_denoiser_image_size(sampler->denoiser),
                        .h_size = hs_denoiser_h_size(sampler->denoiser)};
    hs_status status;
    HS_CHECK(hs_check_invert(&job, x_0, reconstruction != NULL, err));
    job.batch = hs_denoiser_batch(sampler->denoiser, n);
    HS_CHECK(hs_inversion_allocate(&job, x_0, err));
    HS_CHECK(hs_inversion_scratch(&job, err));
    HS_CHECK(hs_inversion_resume_begin(&job, err));
    HS_CHECK(hs_inversion_run(&job, err));
    HS_CHECK(hs_inversion_describe(&job, err));
    if (reconstruction)
        memcpy(reconstruction, job.reconstruction,
               (size_t)n * job.image_size * sizeof *reconstruction);
    if (psnr)
        memcpy(psnr, job.psnr, (size_t)n * sizeof *psnr);
    *out = job.latents;
    job.latents = NULL;
cleanup:
    hs_latents_free(job.latents);
    free(job.residual);
    free(job.psnr);
    free(job.reconstruction);
    json_decref(job.identity);
    free(job.t);
    free(job.settled);
    free(job.x);
    free(job.eps);
    free(job.h);
    free(job.noise);
    return status;
}
