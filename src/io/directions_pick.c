/* hs_directions_pick: one direction of several as a handle of its own. */
#include <stdlib.h>
#include <string.h>

#include "io/direction_file.h"

/* A copy of floats [count]; NULL stays NULL. */
static bool hs_pick_floats(const float *from, size_t count, float **out) {
    if (!from)
        return true;
    *out = hs_calloc(count, sizeof **out);
    if (*out)
        memcpy(*out, from, count * sizeof **out);
    return *out != NULL;
}

static bool hs_pick_text(const char *from, char **out) {
    free(*out);
    *out = from ? hs_strdup(from) : NULL;
    return !from == !*out;
}

hs_status hs_directions_pick(const hs_directions *all, int index, hs_directions **out,
                             hs_error *err) {
    if (index < 0 || index >= all->K)
        return hs_fail(err, HS_ERROR_ARGUMENT, "direction %d, expected 0 ... %d", index,
                       all->K - 1);
    size_t h = (size_t)all->h_shape[0] * (size_t)all->h_shape[1] * (size_t)all->h_shape[2];
    size_t slice = (size_t)all->S * h, k = (size_t)index, T = (size_t)all->T;
    size_t image = (size_t)all->image[0] * (size_t)all->image[1] * (size_t)all->image[2];
    hs_directions *one = hs_directions_new(1, all->S, all->T, all->h_shape);
    if (!one)
        return hs_fail_memory(err, slice * sizeof(float));
    memcpy(one->image, all->image, sizeof one->image);
    one->N = all->N;
    one->h_space = all->h_space;
    one->space = all->space;
    memcpy(one->model, all->model, sizeof one->model);
    bool done = hs_pick_floats(all->delta_h ? all->delta_h + k * slice : NULL, slice, &one->delta_h) &&
                hs_pick_floats(all->sigma ? all->sigma + k * (size_t)all->S : NULL, (size_t)all->S,
                               &one->sigma) &&
                hs_pick_floats(all->mean, T * h, &one->mean) &&
                hs_pick_floats(all->u ? all->u + k * image : NULL, image, &one->u) &&
                hs_pick_floats(all->residual ? all->residual + k : NULL, 1, &one->residual) &&
                hs_pick_floats(all->delta_x_T ? all->delta_x_T + k * image : NULL, image,
                               &one->delta_x_T) &&
                hs_pick_floats(all->delta_z ? all->delta_z + k * T * image : NULL, T * image,
                               &one->delta_z) &&
                hs_pick_text(all->names[index], &one->names[0]) &&
                hs_pick_text(all->unit, &one->unit) && hs_pick_text(all->method, &one->method) &&
                hs_pick_text(all->metadata, &one->metadata);
    if (done && all->timesteps) {
        one->timesteps = hs_calloc(T, sizeof(int64_t));
        done = one->timesteps != NULL;
        if (done)
            memcpy(one->timesteps, all->timesteps, T * sizeof(int64_t));
    }
    hs_status status =
        done ? hs_directions_update_metadata(one, err) : hs_fail_memory(err, slice * sizeof(float));
    if (status == HS_OK)
        *out = one;
    else
        hs_directions_free(one);
    return status;
}
