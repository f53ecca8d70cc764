/* hs_directions_fit: a direction file for this model, on this step grid. */
#include <stdlib.h>
#include <string.h>

#include "denoiser.h"
#include "diffusion/trajectory.h"
#include "io/direction_file.h"

/* -------------------------------------------------------------- checks -- */

static hs_status hs_check_model(const hs_directions *directions, const hs_sampler *sampler,
                                const hs_monitor *monitor, hs_error *err) {
    if (directions->model[0] == '\0') {
        hs_notice(monitor, "the directions name no model: accepted because their shape fits");
        return HS_OK;
    }
    char fingerprint[33];
    HS_TRY(hs_denoiser_fingerprint(sampler->denoiser, fingerprint, err));
    if (strcmp(directions->model, fingerprint) != 0)
        return hs_fail(err, HS_ERROR_MISMATCH,
                       "the directions belong to another model: fingerprint %.32s, but %s has %s",
                       directions->model, sampler->model->name, fingerprint);
    return HS_OK;
}

static hs_status hs_check_space(const hs_directions *directions, const hs_sampler *sampler,
                                hs_error *err) {
    hs_h_space h_space = hs_denoiser_h_space(sampler->denoiser);
    bool noise = directions->space == HS_SPACE_NOISE;
    const int *have = noise ? directions->image : directions->h_shape;
    const int *want = noise ? sampler->model->image : sampler->model->h[h_space];
    if (!noise && directions->h_space != h_space)
        return hs_fail(err, HS_ERROR_MISMATCH,
                       "the directions belong to h-space '%s', the sampler works in '%s'",
                       hs_h_space_name(directions->h_space), hs_h_space_name(h_space));
    if (have[0] != want[0] || have[1] != want[1] || have[2] != want[2])
        return hs_fail(err, HS_ERROR_MISMATCH,
                       "the directions are %d x %d x %d, but %s of %s is %d x %d x %d", have[0],
                       have[1], have[2], noise ? "the image" : "h", sampler->model->name, want[0],
                       want[1], want[2]);
    if (directions->N != 0 && directions->N != sampler->schedule.N)
        return hs_fail(err, HS_ERROR_MISMATCH,
                       "the directions were made with %d training timesteps, %s has %d",
                       directions->N, sampler->model->name, sampler->schedule.N);
    if (!directions->timesteps && directions->S != 1 && directions->S != sampler->T)
        return hs_fail(err, HS_ERROR_MISMATCH,
                       "the directions do not say their timesteps and have %d steps, the sampler "
                       "has %d",
                       directions->S, sampler->T);
    return HS_OK;
}

/* ---------------------------------------------------------------- grid -- */

/* The index in timesteps [T] nearest to t; of two equally near the noisier. */
static int hs_nearest(const int64_t *timesteps, int T, int t) {
    int best = 0;
    for (int i = 1; i < T; i++) {
        int64_t distance = llabs((long long)timesteps[i] - t);
        int64_t least = llabs((long long)timesteps[best] - t);
        if (distance < least || (distance == least && timesteps[i] > timesteps[best]))
            best = i;
    }
    return best;
}

/* from[i]: the file's step that step i of the sampler takes. True if that
 * changes anything. Without timesteps the steps are taken as they stand. */
static bool hs_map_steps(const hs_directions *directions, const hs_sampler *sampler, int *from) {
    bool changed = directions->T != sampler->T;
    for (int i = 0; i < sampler->T; i++) {
        int t = sampler->timesteps[i];
        from[i] = i < directions->T ? i : directions->T - 1;
        if (directions->timesteps)
            from[i] = hs_nearest(directions->timesteps, directions->T, t);
        changed = changed || (directions->timesteps && directions->timesteps[from[i]] != t);
    }
    return changed;
}

/* A copy of rows [groups, steps, size], of which row i of a group becomes its
 * row from[i] for i < to; from NULL: all rows as they are. NULL stays NULL. */
static hs_status hs_pick_steps(const float *rows, int groups, int steps, size_t size, int to,
                               const int *from, float **out, hs_error *err) {
    if (!rows)
        return HS_OK;
    size_t count = from ? (size_t)to : (size_t)steps, floats;
    if (__builtin_mul_overflow((size_t)groups * count, size, &floats))
        return hs_fail(err, HS_ERROR_MEMORY, "the directions are too large for %d steps", to);
    *out = hs_alloc_aligned(floats, sizeof **out);
    if (!*out)
        return hs_fail_memory(err, floats * sizeof **out);
    for (size_t k = 0; k < (size_t)groups; k++)
        for (size_t i = 0; i < count; i++) {
            size_t row = k * (size_t)steps + (from ? (size_t)from[i] : i);
            memcpy(*out + (k * count + i) * size, rows + row * size, size * sizeof **out);
        }
    return HS_OK;
}

/* What no step grid changes. */
static hs_status hs_copy_rest(const hs_directions *directions, hs_directions *fitted,
                              hs_error *err) {
    size_t K = (size_t)directions->K, u = K;
    for (int i = 0; i < 3; i++) {
        fitted->image[i] = directions->image[i];
        u *= (size_t)directions->image[i];
    }
    fitted->h_space = directions->h_space;
    fitted->space = directions->space;
    memcpy(fitted->model, directions->model, sizeof fitted->model);
    HS_TRY(hs_pick_steps(directions->u, 1, 1, u, 1, NULL, &fitted->u, err));
    HS_TRY(hs_pick_steps(directions->delta_x_T, 1, 1, u, 1, NULL, &fitted->delta_x_T, err));
    HS_TRY(hs_pick_steps(directions->residual, 1, 1, K, 1, NULL, &fitted->residual, err));
    for (size_t k = 0; k < K; k++) {
        free(fitted->names[k]);
        fitted->names[k] = hs_strdup(directions->names[k]);
    }
    free(fitted->unit);
    free(fitted->method);
    fitted->unit = hs_strdup(directions->unit);
    fitted->method = hs_strdup(directions->method);
    free(fitted->metadata);
    fitted->metadata = directions->metadata ? hs_strdup(directions->metadata) : NULL;
    bool complete = fitted->unit && fitted->method && !fitted->metadata == !directions->metadata;
    for (size_t k = 0; k < K; k++)
        complete = complete && fitted->names[k];
    return complete ? HS_OK : hs_fail(err, HS_ERROR_MEMORY, "out of memory: names of directions");
}

static hs_status hs_convert(const hs_directions *directions, const hs_sampler *sampler,
                            const int *from, hs_directions *fitted, hs_error *err) {
    int T = sampler->T, K = directions->K, S = directions->S;
    size_t h_size = hs_denoiser_h_size(sampler->denoiser);
    fitted->timesteps = hs_calloc((size_t)T, sizeof *fitted->timesteps);
    if (!fitted->timesteps)
        return hs_fail_memory(err, (size_t)T * sizeof *fitted->timesteps);
    for (int i = 0; i < T; i++)
        fitted->timesteps[i] = sampler->timesteps[i];
    fitted->N = sampler->schedule.N;
    const int *pick = S == 1 ? NULL : from; /* one slice serves all steps */
    HS_TRY(hs_pick_steps(directions->delta_h, K, S, h_size, T, pick, &fitted->delta_h, err));
    HS_TRY(hs_pick_steps(directions->delta_z, K, directions->T,
                         hs_denoiser_image_size(sampler->denoiser), T, from, &fitted->delta_z,
                         err));
    HS_TRY(hs_pick_steps(directions->sigma, K, S, 1, T, pick, &fitted->sigma, err));
    HS_TRY(hs_pick_steps(directions->mean, 1, directions->T, h_size, T, from, &fitted->mean, err));
    return hs_copy_rest(directions, fitted, err);
}

hs_status hs_directions_fit(const hs_directions *directions, const hs_sampler *sampler,
                            const hs_monitor *monitor, hs_directions **out, hs_error *err) {
    HS_TRY(hs_check_space(directions, sampler, err));
    HS_TRY(hs_check_model(directions, sampler, monitor, err));
    int T = sampler->T;
    hs_status status;
    int *from = hs_calloc((size_t)T, sizeof *from);
    hs_directions *fitted = hs_directions_new(
        directions->K, directions->S == 1 ? 1 : T, T,
        (int[]){directions->h_shape[0], directions->h_shape[1], directions->h_shape[2]});
    if (!from || !fitted)
        HS_CHECK(hs_fail(err, HS_ERROR_MEMORY, "out of memory: %d directions", directions->K));
    bool changed = hs_map_steps(directions, sampler, from);
    HS_CHECK(hs_convert(directions, sampler, from, fitted, err));
    HS_CHECK(hs_directions_update_metadata(fitted, err));
    if (changed && directions->S != 1)
        hs_notice(monitor,
                  "the directions were converted from %d steps to %d: each step takes the nearest "
                  "timestep",
                  directions->T, T);
    if (fitted->space == HS_SPACE_NOISE && sampler->any_eta != (fitted->delta_z != NULL))
        hs_notice(monitor, sampler->any_eta
                               ? "the directions have no z (eta was 0): x_T alone is moved"
                               : "at eta 0 there is no z: x_T alone is moved");
    *out = fitted;
    fitted = NULL;
cleanup:
    free(from);
    hs_directions_free(fitted);
    return status;
}
