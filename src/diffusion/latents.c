/* hs_latents_from_seeds: what seeds stand for, as tensors; some items of several. */
#include <jansson.h>
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

/* What `list`, the text of a JSON list with one value an item, has for the items
 * that were picked; NULL where it is no such list. */
static json_t *hs_pick_values(const hs_latents *latents, const char *list, int count,
                              const int *items) {
    json_t *all = list ? json_loads(list, 0, NULL) : NULL, *text = NULL;
    json_t *picked = json_array_size(all) == (size_t)latents->n ? json_array() : NULL;
    for (int i = 0; picked && i < count; i++)
        json_array_append(picked, json_array_get(all, (size_t)items[i]));
    char *dumped = picked ? json_dumps(picked, JSON_COMPACT) : NULL;
    text = dumped ? json_string(dumped) : NULL;
    free(dumped);
    json_decref(picked);
    json_decref(all);
    return text;
}

/* The metadata of the picked items; *out stays NULL where there is none. */
static hs_status hs_pick_metadata(const hs_latents *latents, int count, const int *items,
                                  char **out, hs_error *err) {
    static const char *const lists[] = {"seeds", "psnr", "residual", "images"};
    if (!latents->metadata)
        return HS_OK;
    json_t *object = json_loads(latents->metadata, 0, NULL);
    for (size_t i = 0; object && i < sizeof lists / sizeof *lists; i++) {
        json_t *value = hs_pick_values(
            latents, json_string_value(json_object_get(object, lists[i])), count, items);
        if (value)
            json_object_set_new(object, lists[i], value);
    }
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    *out = text ? hs_strdup(text) : NULL;
    free(text);
    return *out ? HS_OK : hs_fail_memory(err, strlen(latents->metadata));
}

hs_status hs_latents_pick(const hs_latents *latents, int count, const int *items, hs_latents **out,
                          hs_error *err) {
    size_t size = 1, T = (size_t)latents->T, n = (size_t)count, floats;
    if (count < 1)
        return hs_fail(err, HS_ERROR_ARGUMENT, "latents: %d items, expected 1 or more", count);
    for (int i = 0; i < count; i++)
        if (items[i] < 0 || items[i] >= latents->n)
            return hs_fail(err, HS_ERROR_ARGUMENT, "latents: item %d, expected 0 to %d", items[i],
                           latents->n - 1);
    for (int d = 0; d < 3; d++)
        size *= (size_t)latents->image[d];
    if (__builtin_mul_overflow(n * (T + 1), size * sizeof(float), &floats))
        return hs_fail(err, HS_ERROR_ARGUMENT, "latents: %d items are too many", count);
    hs_latents *some = hs_latents_new();
    if (!some)
        return hs_fail_memory(err, sizeof *some);
    hs_status status = HS_OK;
    some->n = count;
    some->T = latents->T;
    memcpy(some->image, latents->image, sizeof some->image);
    some->x_T = hs_alloc_aligned(n * size, sizeof(float));
    some->timesteps = hs_calloc(T + 1, sizeof *some->timesteps);
    some->z = latents->z ? hs_alloc_aligned(n * T * size, sizeof(float)) : NULL;
    if (!some->x_T || !some->timesteps || !some->z != !latents->z)
        HS_CHECK(hs_fail_memory(err, n * (T + 1) * size * sizeof(float)));
    HS_CHECK(hs_pick_metadata(latents, count, items, &some->metadata, err));
    memcpy(some->timesteps, latents->timesteps, T * sizeof *some->timesteps);
    for (size_t i = 0; i < n; i++) {
        size_t item = (size_t)items[i];
        memcpy(some->x_T + i * size, latents->x_T + item * size, size * sizeof(float));
        if (some->z)
            memcpy(some->z + i * T * size, latents->z + item * T * size, T * size * sizeof(float));
    }
    *out = some;
    some = NULL;
cleanup:
    hs_latents_free(some);
    return status;
}

hs_status hs_latents_item(const hs_latents *latents, int item, hs_latents **out, hs_error *err) {
    return hs_latents_pick(latents, 1, &item, out, err);
}
