/* The latents that an inversion fills: their arrays, metadata, and the PSNR. */
#include "diffusion/inversion.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "denoiser.h"

#define HS_PSNR_EQUAL 200.0 /* dB, of images that do not differ */

hs_status hs_inversion_allocate(hs_inversion *job, const float *x_0, hs_error *err) {
    const hs_sampler *sampler = job->sampler;
    size_t n = (size_t)job->n, T = (size_t)sampler->T;
    int64_t images, steps, z, h;
    if (!hs_mul_i64(job->n, (int64_t)job->image_size, &images) ||
        !hs_mul_i64(job->n, sampler->T, &steps) ||
        !hs_mul_i64(steps, (int64_t)job->image_size, &z) ||
        !hs_mul_i64(steps, (int64_t)job->h_size, &h) || z > INT64_MAX / 16 || h > INT64_MAX / 16)
        return hs_fail(err, HS_ERROR_ARGUMENT, "invert: %d images at %d steps are too many", job->n,
                       sampler->T);
    bool ddim = job->options.method == HS_INVERT_DDIM, fixed = hs_inversion_fixed_point(job);
    hs_latents *latents = job->latents = hs_latents_new();
    if (!latents)
        return hs_fail_memory(err, sizeof *latents);
    latents->n = job->n;
    latents->T = sampler->T;
    memcpy(latents->image, sampler->model->image, sizeof latents->image);
    memcpy(latents->h_shape, sampler->model->h[hs_denoiser_h_space(sampler->denoiser)],
           sizeof latents->h_shape);
    latents->x_T = hs_alloc_aligned((size_t)images, sizeof(float));
    latents->x_0 = hs_alloc_aligned((size_t)images, sizeof(float));
    latents->h = hs_alloc_aligned((size_t)h, sizeof(float));
    latents->z = ddim ? NULL : hs_alloc_aligned((size_t)z, sizeof(float));
    latents->timesteps = hs_calloc(T, sizeof *latents->timesteps);
    job->psnr = hs_calloc(n, sizeof *job->psnr);
    for (size_t i = 0; job->psnr && i < n; i++)
        job->psnr[i] = NAN;
    job->reconstruction =
        hs_alloc_aligned(job->options.unchecked ? 1 : (size_t)images, sizeof(float));
    job->residual = fixed ? hs_calloc(n, sizeof *job->residual) : NULL;
    if (!latents->x_T || !latents->x_0 || !latents->h || (!ddim && !latents->z) ||
        !latents->timesteps || !job->psnr || !job->reconstruction || (fixed && !job->residual))
        return hs_fail_memory(err, (size_t)(3 * images + h + (ddim ? 0 : z)) * sizeof(float));
    memcpy(latents->x_0, x_0, (size_t)images * sizeof *x_0);
    for (size_t i = 0; i < T; i++)
        latents->timesteps[i] = sampler->timesteps[i];
    return HS_OK;
}

void hs_inversion_measure(hs_inversion *job, int first, int count) {
    size_t size = job->image_size;
    for (int i = first; i < first + count; i++) {
        const float *a = job->reconstruction + (size_t)i * size;
        const float *b = job->latents->x_0 + (size_t)i * size;
        double sum = 0;
        for (size_t j = 0; j < size; j++) {
            double difference = (double)a[j] - (double)b[j];
            sum += difference * difference;
        }
        job->psnr[i] = fmin(HS_PSNR_EQUAL, 10 * log10(4 * (double)size / sum));
    }
}

/* ------------------------------------------------------------- metadata -- */

/* A list of numbers, as the text that a metadata value is. */
static bool hs_put_numbers(json_t *object, const char *key, const double *values, int count,
                           int digits) {
    json_t *list = json_array();
    bool ok = list != NULL;
    for (int i = 0; i < count; i++)
        ok = ok && json_array_append_new(list, json_real(values[i])) == 0;
    char *text = ok ? json_dumps(list, JSON_COMPACT | JSON_REAL_PRECISION((size_t)digits)) : NULL;
    ok = text && json_object_set_new(object, key, json_string(text)) == 0;
    free(text);
    json_decref(list);
    return ok;
}

static bool hs_put_seeds(const hs_inversion *job, json_t *object) {
    json_t *list = json_array();
    bool ok = list != NULL;
    for (int i = 0; i < job->n; i++)
        ok = ok && json_array_append_new(list, json_integer(job->options.seed + i)) == 0;
    char *text = ok ? json_dumps(list, JSON_COMPACT) : NULL;
    ok = text && json_object_set_new(object, "seeds", json_string(text)) == 0;
    free(text);
    json_decref(list);
    return ok;
}

hs_status hs_inversion_describe(hs_inversion *job, hs_error *err) {
    static const char *const methods[] = {"ddim", "x0", "x_prev", "dpm"};
    static const char *const positions[] = {"before", "middle", "after"};
    const hs_sampler *sampler = job->sampler;
    char fingerprint[33];
    HS_TRY(hs_denoiser_fingerprint(sampler->denoiser, fingerprint, err));
    const char *position = positions[hs_denoiser_h_space(sampler->denoiser)];
    json_t *object = json_object();
    bool ok =
        json_object_set_new(object, "model", json_string(fingerprint)) == 0 &&
        json_object_set_new(object, "h_space", json_string(position)) == 0 &&
        json_object_set_new(object, "inversion", json_string(methods[job->options.method])) == 0 &&
        hs_put_numbers(object, "eta", sampler->eta, sampler->T, 17) &&
        (job->options.unchecked || hs_put_numbers(object, "psnr", job->psnr, job->n, 6));
    const char *precision = hs_denoiser_precision_name(sampler->denoiser);
    if (ok && precision)
        ok = json_object_set_new(object, "precision", json_string(precision)) == 0;
    if (ok && job->options.method != HS_INVERT_DDIM)
        ok = hs_put_seeds(job, object);
    if (ok && job->residual)
        ok = hs_put_numbers(object, "residual", job->residual, job->n, 4);
    char *text = ok ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    if (text)
        job->latents->metadata = hs_strdup(text);
    free(text);
    return job->latents->metadata ? HS_OK : hs_fail_memory(err, 1024);
}
