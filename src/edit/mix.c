/*
 * hs_mix_samples: images between two samples, or with the h of another one
 * (METHODS 8; paper, Fig. 2a).
 *
 * The samples and the mixes go through the steps together: first the samples
 * take a step, which gives their h and z of this step, then the mixes, which
 * need them. So no trajectory is stored. A mix that is one of the samples takes
 * no steps of its own.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "denoiser.h"
#include "diffusion/trajectory.h"
#include "edit/blend.h"
#include "io/latent_file.h"

typedef struct hs_mixing {
    hs_sampler *sampler;
    int count, n;
    const hs_mix *mixes; /* [n] */
    hs_space space;
    hs_blend blend;
    hs_latents_view latents; /* n is 0: from seeds */
    const hs_monitor *monitor;
    size_t image_size, h_size;

    hs_trajectory samples; /* [count] */
    hs_trajectory own;     /* [own_count] the mixes that take steps */
    int *owner;            /* [own_count] the mix of each */
    int own_count, batch;
    float *h;             /* [count,c,h,w] of this step, of the samples */
    float *z;             /* [count,C,H,W] of this step, or NULL */
    float *own_h, *own_z; /* [batch,...] of this step, of the mixes */
    hs_latents *used;     /* or NULL */
    double done, total;
} hs_mixing;

/* --------------------------------------------------------------- checks -- */

static hs_status hs_mix_check(const hs_mixing *job, hs_error *err) {
    if (job->n < 1 || job->count < 1)
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "%d images mixed from %d samples, expected 1 or more", job->n, job->count);
    for (int i = 0; i < job->n; i++) {
        const hs_mix *mix = &job->mixes[i];
        const int sample[] = {mix->base, mix->from, mix->to};
        for (int j = 0; j < 3; j++)
            if (sample[j] < 0 || sample[j] >= job->count)
                return hs_fail(err, HS_ERROR_ARGUMENT, "mix %d: sample %d, expected 0 ... %d", i,
                               sample[j], job->count - 1);
        if (!(mix->weight >= 0 && mix->weight <= 1))
            return hs_fail(err, HS_ERROR_ARGUMENT, "mix %d: weight %g, expected 0 to 1", i,
                           mix->weight);
    }
    return HS_OK;
}

/* The sample that a mix is, or -1: its h is then that sample's own. */
static int hs_mix_is_sample(const hs_mixing *job, const hs_mix *mix) {
    bool own =
        (mix->weight == 0 && mix->from == mix->base) || (mix->weight == 1 && mix->to == mix->base);
    return job->space == HS_SPACE_H && own ? mix->base : -1;
}

/* ---------------------------------------------------------------- start -- */

static hs_status hs_mix_start_samples(hs_mixing *job, const int64_t *seeds, hs_error *err) {
    if (seeds)
        return hs_trajectory_from_seeds(job->sampler, job->count, seeds, &job->samples, err);
    HS_TRY(hs_sampler_check_latents(job->sampler, &job->latents, job->monitor, err));
    return hs_trajectory_from_x_T(job->sampler, job->count, job->latents.x_T, &job->samples, err);
}

/* x_T [C,H,W] of one mix. */
static void hs_mix_x_T(const hs_mixing *job, const hs_mix *mix, float *x_T) {
    size_t size = job->image_size;
    const float *x = job->samples.x;
    if (job->space == HS_SPACE_NOISE)
        hs_blend_vectors(job->blend, mix->weight, size, x + (size_t)mix->from * size,
                         x + (size_t)mix->to * size, x_T);
    else
        memcpy(x_T, x + (size_t)mix->base * size, size * sizeof *x_T);
}

static hs_status hs_mix_start_own(hs_mixing *job, hs_error *err) {
    job->owner = hs_calloc((size_t)job->n, sizeof *job->owner);
    if (!job->owner)
        return hs_fail_memory(err, (size_t)job->n * sizeof *job->owner);
    for (int i = 0; job->space != HS_SPACE_PIXEL && i < job->n; i++)
        if (hs_mix_is_sample(job, &job->mixes[i]) < 0)
            job->owner[job->own_count++] = i;
    if (!job->own_count)
        return HS_OK;
    HS_TRY(hs_trajectory_from_x_T(job->sampler, job->own_count, NULL, &job->own, err));
    for (int i = 0; i < job->own_count; i++)
        hs_mix_x_T(job, &job->mixes[job->owner[i]], job->own.x + (size_t)i * job->image_size);
    return HS_OK;
}

static hs_status hs_mix_scratch(hs_mixing *job, hs_error *err) {
    bool h = job->space == HS_SPACE_H, z = job->sampler->any_eta;
    size_t count = (size_t)job->count, floats = 0;
    job->batch = hs_denoiser_batch(job->sampler->denoiser, job->own_count);
    struct {
        float **out;
        size_t rows, size;
        bool wanted;
    } arrays[] = {{&job->h, count, job->h_size, h},
                  {&job->z, count, job->image_size, z},
                  {&job->own_h, (size_t)job->batch, job->h_size, h || job->used},
                  {&job->own_z, (size_t)job->batch, job->image_size, z}};
    for (int i = 0; i < 4; i++) {
        if (!arrays[i].wanted)
            continue;
        if (__builtin_mul_overflow(arrays[i].rows, arrays[i].size, &floats) ||
            !(*arrays[i].out = hs_alloc_aligned(floats, sizeof(float))))
            return hs_fail_memory(err, arrays[i].rows * arrays[i].size * sizeof(float));
    }
    return HS_OK;
}

/* Room for what the mixes use; x_T at once. */
static hs_status hs_mix_start_used(hs_mixing *job, hs_error *err) {
    const hs_sampler *sampler = job->sampler;
    int64_t T = sampler->T, images, z, h;
    if (!hs_mul_i64(job->n, (int64_t)job->image_size, &images) || !hs_mul_i64(images, T, &z) ||
        !hs_mul_i64(job->n * T, (int64_t)job->h_size, &h) || z > INT64_MAX / 16 ||
        h > INT64_MAX / 16)
        return hs_fail(err, HS_ERROR_ARGUMENT, "%d mixed images are too many to keep", job->n);
    hs_latents *used = job->used = hs_latents_new();
    if (!used)
        return hs_fail_memory(err, sizeof *used);
    used->n = job->n;
    used->T = sampler->T;
    memcpy(used->image, sampler->model->image, sizeof used->image);
    memcpy(used->h_shape, sampler->model->h[hs_denoiser_h_space(sampler->denoiser)],
           sizeof used->h_shape);
    used->x_T = hs_alloc_aligned((size_t)images, sizeof(float));
    used->z = sampler->any_eta ? hs_alloc_aligned((size_t)z, sizeof(float)) : NULL;
    used->h = hs_alloc_aligned((size_t)h, sizeof(float));
    used->timesteps = hs_calloc((size_t)T, sizeof *used->timesteps);
    if (!used->x_T || !used->h || !used->timesteps || (sampler->any_eta && !used->z))
        return hs_fail_memory(err, (size_t)(images + z + h) * sizeof(float));
    for (int i = 0; i < sampler->T; i++)
        used->timesteps[i] = sampler->timesteps[i];
    for (int i = 0; i < job->n; i++)
        hs_mix_x_T(job, &job->mixes[i], used->x_T + (size_t)i * job->image_size);
    return HS_OK;
}

/* ---------------------------------------------------------------- steps -- */

/* z of `step` of all samples. */
static void hs_mix_draw_z(hs_mixing *job, int step) {
    size_t size = job->image_size, T = (size_t)job->sampler->T;
    for (int i = 0; job->z && i < job->count; i++) {
        float *z = job->z + (size_t)i * size;
        if (job->latents.n)
            memcpy(z, job->latents.z + ((size_t)i * T + (size_t)step) * size, size * sizeof *z);
        else
            hs_trajectory_draw_z(job->sampler, &job->samples.z[i], step, z);
    }
}

/* z [C,H,W] of one mix. */
static void hs_mix_z(const hs_mixing *job, const hs_mix *mix, float *z) {
    size_t size = job->image_size;
    if (job->space == HS_SPACE_NOISE)
        hs_blend_vectors(job->blend, mix->weight, size, job->z + (size_t)mix->from * size,
                         job->z + (size_t)mix->to * size, z);
    else
        memcpy(z, job->z + (size_t)mix->base * size, size * sizeof *z);
}

/* h [c,h,w] of one mix, in h-space. */
static void hs_mix_h(const hs_mixing *job, const hs_mix *mix, float *h) {
    size_t size = job->h_size;
    hs_blend_vectors(job->blend, mix->weight, size, job->h + (size_t)mix->from * size,
                     job->h + (size_t)mix->to * size, h);
}

static hs_status hs_mix_progress(hs_mixing *job, double passes, hs_error *err) {
    job->done += passes;
    return hs_progress(job->monitor, "sampling", job->done, job->total, err);
}

static hs_status hs_mix_step_samples(hs_mixing *job, hs_error *err) {
    if (job->space == HS_SPACE_NOISE)
        return HS_OK; /* their images are not needed */
    int batch = hs_denoiser_batch(job->sampler->denoiser, job->count);
    for (int first = 0, n; first < job->count; first += n) {
        n = job->count - first < batch ? job->count - first : batch;
        HS_TRY(hs_trajectory_step(job->sampler, &job->samples, first, n, NULL,
                                  job->z ? job->z + (size_t)first * job->image_size : NULL,
                                  job->h ? job->h + (size_t)first * job->h_size : NULL, err));
        HS_TRY(hs_mix_progress(job, n, err));
    }
    return HS_OK;
}

static double hs_mix_passes(const hs_mixing *job) { /* of a mix in one step */
    return job->space == HS_SPACE_H && job->sampler->asyrp ? 2 : 1;
}

static hs_status hs_mix_step_own(hs_mixing *job, int step, hs_error *err) {
    size_t T = (size_t)job->sampler->T;
    for (int first = 0, n; first < job->own_count; first += n) {
        n = job->own_count - first < job->batch ? job->own_count - first : job->batch;
        for (int i = 0; i < n; i++) {
            const hs_mix *mix = &job->mixes[job->owner[first + i]];
            if (job->z)
                hs_mix_z(job, mix, job->own_z + (size_t)i * job->image_size);
            if (job->h)
                hs_mix_h(job, mix, job->own_h + (size_t)i * job->h_size);
        }
        HS_TRY(job->h ? hs_trajectory_step_at_h(job->sampler, &job->own, first, n, job->own_h,
                                                job->own_z, err)
                      : hs_trajectory_step(job->sampler, &job->own, first, n, NULL, job->own_z,
                                           job->own_h, err));
        for (int i = 0; job->used && !job->h && i < n; i++)
            memcpy(job->used->h + ((size_t)job->owner[first + i] * T + (size_t)step) * job->h_size,
                   job->own_h + (size_t)i * job->h_size, job->h_size * sizeof(float));
        HS_TRY(hs_mix_progress(job, n * hs_mix_passes(job), err));
    }
    return HS_OK;
}

/* z and, in h-space, h of this step of every mix, those that are samples too. */
static void hs_mix_keep(hs_mixing *job, int step) {
    size_t T = (size_t)job->sampler->T;
    for (int i = 0; job->used && i < job->n; i++) {
        size_t row = (size_t)i * T + (size_t)step;
        if (job->z)
            hs_mix_z(job, &job->mixes[i], job->used->z + row * job->image_size);
        if (job->h)
            hs_mix_h(job, &job->mixes[i], job->used->h + row * job->h_size);
    }
}

/* --------------------------------------------------------------- result -- */

static void hs_mix_finish(const hs_mixing *job, float *x_0) {
    size_t size = job->image_size;
    const float *sample = job->samples.x;
    for (int i = 0; i < job->n; i++) {
        const hs_mix *mix = &job->mixes[i];
        int same = hs_mix_is_sample(job, mix);
        if (job->space == HS_SPACE_PIXEL)
            hs_blend_vectors(job->blend, mix->weight, size, sample + (size_t)mix->from * size,
                             sample + (size_t)mix->to * size, x_0 + (size_t)i * size);
        else if (same >= 0)
            memcpy(x_0 + (size_t)i * size, sample + (size_t)same * size, size * sizeof *x_0);
    }
    for (int i = 0; i < job->own_count; i++)
        memcpy(x_0 + (size_t)job->owner[i] * size, job->own.x + (size_t)i * size,
               size * sizeof *x_0);
}

static hs_status hs_mix_run(hs_mixing *job, hs_error *err) {
    int T = job->sampler->T;
    job->total =
        T * ((job->space == HS_SPACE_NOISE ? 0 : job->count) + job->own_count * hs_mix_passes(job));
    HS_TRY(hs_progress(job->monitor, "sampling", 0, job->total, err));
    for (int step = 0; step < T; step++) {
        hs_mix_draw_z(job, step);
        HS_TRY(hs_mix_step_samples(job, err));
        HS_TRY(hs_mix_step_own(job, step, err));
        hs_mix_keep(job, step);
        job->samples.step++;
        job->own.step++;
    }
    return HS_OK;
}

hs_status hs_mix_samples(hs_sampler *sampler, int count, const int64_t *seeds,
                         const hs_latents *latents, hs_space space, hs_blend blend, int n,
                         const hs_mix *mixes, const hs_monitor *monitor, float *x_0,
                         hs_latents **used, hs_error *err) {
    if (!seeds == !latents)
        return hs_fail(err, HS_ERROR_ARGUMENT, "expected either seeds or latents");
    if (used && space == HS_SPACE_PIXEL)
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "images mixed in pixel space have no x_T, z and h of their own");
    hs_mixing job = {.sampler = sampler,
                     .count = count,
                     .n = n,
                     .mixes = mixes,
                     .space = space,
                     .blend = blend,
                     .monitor = monitor,
                     .image_size = hs_denoiser_image_size(sampler->denoiser),
                     .h_size = hs_denoiser_h_size(sampler->denoiser)};
    if (latents) {
        hs_latents_view_get(latents, &job.latents);
        job.count = job.latents.n;
    }
    hs_status status;
    HS_CHECK(hs_mix_check(&job, err));
    HS_CHECK(hs_mix_start_samples(&job, seeds, err));
    HS_CHECK(hs_mix_start_own(&job, err));
    if (used)
        HS_CHECK(hs_mix_start_used(&job, err));
    HS_CHECK(hs_mix_scratch(&job, err));
    HS_CHECK(hs_mix_run(&job, err));
    hs_mix_finish(&job, x_0);
    if (used) {
        *used = job.used;
        job.used = NULL;
    }
cleanup:
    hs_latents_free(job.used);
    free(job.own_z);
    free(job.own_h);
    free(job.z);
    free(job.h);
    free(job.owner);
    hs_trajectory_free(&job.own);
    hs_trajectory_free(&job.samples);
    return status;
}
