/* See pca_samples.h. */
#include "directions/pca_samples.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "denoiser.h"

void hs_pca_samples_free(hs_pca_samples *samples) {
    hs_trajectory_free(&samples->trajectory);
    free(samples->h);
    free(samples->own_x);
    free(samples->own_z);
    free(samples->z);
    *samples = (hs_pca_samples){0};
}

static hs_status hs_pca_samples_around(hs_pca_samples *samples, const hs_pca_options *options,
                                       hs_error *err) {
    const hs_sampler *sampler = samples->sampler;
    size_t image = (size_t)samples->image;
    double delta = options->around_delta;
    samples->around = true;
    samples->own_share = sqrt(1 - delta * delta);
    samples->fresh_share = delta;
    samples->fresh_z = sampler->z_seed == HS_Z_CONTINUE || sampler->z_seed == HS_Z_PLUS_ONE;
    samples->own_x = hs_calloc(image, sizeof(float));
    samples->own_z = hs_calloc(image, sizeof(float));
    samples->z = hs_calloc((size_t)samples->batch, image * sizeof(float));
    if (!samples->own_x || !samples->own_z || !samples->z)
        return hs_fail_memory(err, ((size_t)samples->batch + 2) * image * sizeof(float));
    return HS_OK;
}

hs_status hs_pca_samples_create(hs_sampler *sampler, const hs_pca_options *options, int n,
                                hs_pca_samples *out, hs_error *err) {
    hs_status status = HS_OK;
    hs_pca_samples samples = {.sampler = sampler};
    samples.batch = hs_denoiser_batch(sampler->denoiser, n);
    samples.d = (int64_t)hs_denoiser_h_size(sampler->denoiser);
    samples.image = (int64_t)hs_denoiser_image_size(sampler->denoiser);
    samples.h = hs_alloc_aligned((size_t)n, (size_t)samples.d * sizeof(float));
    if (!samples.h) {
        status = hs_fail_memory(err, (size_t)n * (size_t)samples.d * sizeof(float));
        goto cleanup;
    }
    if (options->around)
        HS_CHECK(hs_pca_samples_around(&samples, options, err));
    *out = samples;
    samples = (hs_pca_samples){0};
cleanup:
    hs_pca_samples_free(&samples);
    return status;
}

static void hs_pca_mix(const hs_pca_samples *samples, const float *own, float *fresh) {
    for (int64_t i = 0; i < samples->image; i++)
        fresh[i] =
            (float)(samples->own_share * (double)own[i] + samples->fresh_share * (double)fresh[i]);
}

static hs_status hs_pca_samples_start_around(hs_pca_samples *samples, const hs_pca_options *options,
                                             hs_error *err) {
    hs_trajectory own = {0}, *fresh = &samples->trajectory;
    HS_TRY(hs_trajectory_from_seeds(samples->sampler, 1, &options->around_seed, &own, err));
    memcpy(samples->own_x, own.x, (size_t)samples->image * sizeof(float));
    if (own.z)
        samples->own_generator = own.z[0];
    for (int i = 0; i < fresh->n; i++)
        hs_pca_mix(samples, samples->own_x, fresh->x + i * samples->image);
    hs_trajectory_free(&own);
    return HS_OK;
}

hs_status hs_pca_samples_start(hs_pca_samples *samples, const hs_pca_options *options,
                               int64_t first_seed, int n, hs_error *err) {
    int64_t *seeds = hs_calloc((size_t)n, sizeof *seeds);
    if (!seeds)
        return hs_fail_memory(err, (size_t)n * sizeof *seeds);
    for (int i = 0; i < n; i++)
        seeds[i] = first_seed + i;
    hs_trajectory_free(&samples->trajectory);
    samples->first_seed = first_seed;
    samples->done = 0;
    hs_status status =
        hs_trajectory_from_seeds(samples->sampler, n, seeds, &samples->trajectory, err);
    if (status == HS_OK && samples->around)
        status = hs_pca_samples_start_around(samples, options, err);
    free(seeds);
    return status;
}

/* The mixed z of the next `count` samples, into samples->z. */
static void hs_pca_samples_draw(hs_pca_samples *samples, int count) {
    hs_trajectory *trajectory = &samples->trajectory;
    if (samples->done == 0)
        hs_trajectory_draw_z(samples->sampler, &samples->own_generator, trajectory->step,
                             samples->own_z);
    for (int i = 0; i < count; i++) {
        float *z = samples->z + i * samples->image;
        if (!samples->fresh_z) {
            memcpy(z, samples->own_z, (size_t)samples->image * sizeof *z);
            continue;
        }
        hs_trajectory_draw_z(samples->sampler, &trajectory->z[samples->done + i], trajectory->step,
                             z);
        hs_pca_mix(samples, samples->own_z, z);
    }
}

static hs_status hs_pca_samples_check(const hs_pca_samples *samples, int count, hs_error *err) {
    int step = samples->trajectory.step;
    for (int i = samples->done; i < samples->done + count; i++)
        for (int64_t c = 0; c < samples->d; c++)
            if (!isfinite(samples->h[i * samples->d + c]))
                return hs_fail(err, HS_ERROR_NUMERIC,
                               "PCA: h of seed %lld at step %d (timestep %d) holds %g, expected "
                               "finite values",
                               (long long)(samples->first_seed + i), step,
                               samples->sampler->timesteps[step],
                               (double)samples->h[i * samples->d + c]);
    return HS_OK;
}

hs_status hs_pca_samples_advance(hs_pca_samples *samples, hs_error *err) {
    int left = samples->trajectory.n - samples->done;
    int count = left < samples->batch ? left : samples->batch;
    bool mixed = samples->around && samples->sampler->any_eta;
    if (count < 1)
        return HS_OK;
    if (mixed)
        hs_pca_samples_draw(samples, count);
    hs_status status =
        hs_trajectory_step(samples->sampler, &samples->trajectory, samples->done, count, NULL,
                           mixed ? samples->z : NULL, samples->h + samples->done * samples->d, err);
    if (status != HS_OK) /* "item j" in the message is the seed plus j */
        return hs_fail_prefix(err, status, "PCA: seeds %lld to %lld at step %d",
                              (long long)(samples->first_seed + samples->done),
                              (long long)(samples->first_seed + samples->done + count - 1),
                              samples->trajectory.step);
    HS_TRY(hs_pca_samples_check(samples, count, err));
    samples->done += count;
    return HS_OK;
}

void hs_pca_samples_next(hs_pca_samples *samples) {
    samples->trajectory.step++;
    samples->done = 0;
}
