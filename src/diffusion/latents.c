/* hs_latents_from_seeds: what seeds stand for, as tensors; one item of several. */
#include <stdlib.h>
#include <string.h>

#include "denoiser.h"
#include "diffusion/trajectory.h"
#include "io/latent_file.h"

/* The latents' arrays, by shape; z where any eta > 0. */
static hs_status hs_latents_allocate(const hs_sampler *sampler, int n, hs_latents *latents,
                                     hs_error *err) {
    int64_t size = (int64_t)hs_denoiser_image_size(sampler->denoiser), floats;
    if (!hs_mul_i64(size, sampler->T, &floats) || !hs_mul_i64(floats, n, &floats) ||
        floats > INT64_MAX / 8)
        return hs_fail(err, HS_ERROR_ARGUMENT, "latents: %d samples are too many", n);
    latents->n = n;
    latents->T = sampler->T;
    for (int i = 0; i < 3; i++)
        latents->image[i] = sampler->model->image[i];
    latents->timesteps = hs_calloc((size_t)sampler->T, sizeof *latents->timesteps);
    if (sampler->any_eta)
        latents->z = hs_alloc_aligned((size_t)floats, sizeof *latents->z);
    if (!latents->timesteps || (sampler->any_eta && !latents->z))
        return hs_fail_memory(err, (size_t)floats * sizeof *latents->z);
    return HS_OK;
}

hs_status hs_latents_from_seeds(const hs_sampler *sampler, int n, const int64_t *seeds,
                                hs_latents **out, hs_error *err) {
    if (n < 1)
        return hs_fail(err, HS_ERROR_ARGUMENT, "latents: %d samples, expected 1 or more", n);
    size_t size = hs_denoiser_image_size(sampler->denoiser), T = (size_t)sampler->T;
    hs_trajectory trajectory = {0};
    hs_latents *latents = hs_latents_new();
    hs_status status;
    if (!latents)
        return hs_fail_memory(err, sizeof *latents);
    HS_CHECK(hs_latents_allocate(sampler, n, latents, err));
    HS_CHECK(hs_trajectory_from_seeds(sampler, n, seeds, &trajectory, err));
    for (int i = 0; i < sampler->T; i++)
        latents->timesteps[i] = sampler->timesteps[i];
    for (size_t i = 0; latents->z && i < (size_t)n; i++)
        for (size_t step = 0; step < T; step++)
            hs_trajectory_draw_z(sampler, &trajectory.z[i], (int)step,
                                 latents->z + (i * T + step) * size);
    latents->x_T = trajectory.x;
    trajectory.x = NULL;
    *out = latents;
    latents = NULL;
cleanup:
    hs_trajectory_free(&trajectory);
    hs_latents_free(latents);
    return status;
}

hs_status hs_latents_item(const hs_latents *latents, int item, hs_latents **out, hs_error *err) {
    if (item < 0 || item >= latents->n)
        return hs_fail(err, HS_ERROR_ARGUMENT, "latents: item %d, expected 0 to %d", item,
                       latents->n - 1);
    size_t size = 1, T = (size_t)latents->T, i = (size_t)item;
    for (int d = 0; d < 3; d++)
        size *= (size_t)latents->image[d];
    hs_latents *one = hs_latents_new();
    if (!one)
        return hs_fail_memory(err, sizeof *one);
    one->n = 1;
    one->T = latents->T;
    memcpy(one->image, latents->image, sizeof one->image);
    one->x_T = hs_alloc_aligned(size, sizeof(float));
    one->timesteps = hs_calloc(T + 1, sizeof *one->timesteps);
    one->z = latents->z ? hs_alloc_aligned(T * size, sizeof(float)) : NULL;
    one->metadata = latents->metadata ? hs_strdup(latents->metadata) : NULL;
    if (!one->x_T || !one->timesteps || !one->z != !latents->z ||
        !one->metadata != !latents->metadata) {
        hs_latents_free(one);
        return hs_fail_memory(err, (T + 1) * size * sizeof(float));
    }
    memcpy(one->x_T, latents->x_T + i * size, size * sizeof(float));
    memcpy(one->timesteps, latents->timesteps, T * sizeof *one->timesteps);
    if (one->z)
        memcpy(one->z, latents->z + i * T * size, T * size * sizeof(float));
    *out = one;
    return HS_OK;
}
