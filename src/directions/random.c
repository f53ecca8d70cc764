/*
 * The baseline that every unsupervised result is shown against (paper, Fig. 4):
 * random directions that have, at each step, the norm of those that were found.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "io/direction_file.h"

/*
 * A gaussian direction has no preferred orientation, so scaling it to a norm
 * gives a uniform point of that sphere. Each step gets a draw of its own, as
 * each step of a per-step PCA has components of its own.
 */
static void hs_random_slice(hs_generator *generator, size_t d, const float *like, float *out) {
    double norm = 0, drawn = 0;
    for (size_t c = 0; c < d; c++)
        norm += (double)like[c] * (double)like[c];
    do { /* a draw that is all zeros has no direction */
        hs_generator_randn(generator, d, out);
        drawn = 0;
        for (size_t c = 0; c < d; c++)
            drawn += (double)out[c] * (double)out[c];
    } while (!(drawn > 0));
    double scale = sqrt(norm) / sqrt(drawn);
    for (size_t c = 0; c < d; c++)
        out[c] = (float)(scale * (double)out[c]);
}

/* The members that are not tensors. */
static hs_status hs_random_describe(const hs_directions *like, int64_t seed, hs_directions *out,
                                    hs_error *err) {
    out->N = like->N;
    out->h_space = like->h_space;
    memcpy(out->model, like->model, sizeof out->model);
    char *unit = like->unit ? hs_format("norm of one %s", like->unit) : NULL;
    char *method = hs_strdup("random"), *text = hs_format("%lld", (long long)seed);
    bool failed = (like->unit && !unit) || !method || !text;
    free(out->unit);
    free(out->method);
    out->unit = unit;
    out->method = method;
    for (int j = 0; j < out->K; j++) {
        free(out->names[j]);
        out->names[j] = hs_format("random%d", j);
        failed = failed || !out->names[j];
    }
    hs_status status =
        failed ? hs_fail_memory(err, 64) : hs_directions_set_metadata(out, "seeds", text, err);
    free(text);
    return status == HS_OK ? hs_directions_update_metadata(out, err) : status;
}

/* Directions of noise: x_T and z of each step keep their own norms. */
static hs_status hs_random_noise(const hs_directions *like, hs_generator *generator,
                                 hs_directions *random, hs_error *err) {
    size_t K = (size_t)like->K, T = (size_t)like->T, d = 1;
    for (int i = 0; i < 3; i++) {
        random->image[i] = like->image[i];
        d *= (size_t)like->image[i];
    }
    random->space = HS_SPACE_NOISE;
    random->delta_x_T = hs_calloc(K, d * sizeof(float));
    random->delta_z = like->delta_z ? hs_calloc(K * T, d * sizeof(float)) : NULL;
    if (!random->delta_x_T || (like->delta_z && !random->delta_z))
        return hs_fail_memory(err, K * (T + 1) * d * sizeof(float));
    for (size_t k = 0; k < K; k++) {
        hs_random_slice(generator, d, like->delta_x_T + k * d, random->delta_x_T + k * d);
        for (size_t i = k * T; like->delta_z && i < (k + 1) * T; i++)
            hs_random_slice(generator, d, like->delta_z + i * d, random->delta_z + i * d);
    }
    return HS_OK;
}

hs_status hs_directions_random_like(const hs_directions *like, int64_t seed, hs_directions **out,
                                    hs_error *err) {
    hs_status status = HS_OK;
    hs_generator generator;
    size_t d = (size_t)like->h_shape[0] * (size_t)like->h_shape[1] * (size_t)like->h_shape[2];
    size_t slices = (size_t)like->K * (size_t)like->S, T = (size_t)like->T;
    hs_directions *random = hs_directions_new(like->K, like->S, like->T, like->h_shape);
    if (!random)
        return hs_fail_memory(err, slices * d * sizeof(float));
    bool noise = like->space == HS_SPACE_NOISE;
    random->delta_h = noise ? NULL : hs_calloc(slices, d * sizeof(float));
    random->timesteps = like->timesteps ? hs_calloc(T, sizeof(int64_t)) : NULL;
    if ((!noise && !random->delta_h) || (like->timesteps && !random->timesteps)) {
        status = hs_fail_memory(err, slices * d * sizeof(float));
        goto cleanup;
    }
    if (like->timesteps)
        memcpy(random->timesteps, like->timesteps, T * sizeof(int64_t));
    hs_generator_seed(&generator, (uint64_t)seed);
    if (noise)
        HS_CHECK(hs_random_noise(like, &generator, random, err));
    for (size_t i = 0; i < slices && !noise; i++)
        hs_random_slice(&generator, d, like->delta_h + i * d, random->delta_h + i * d);
    HS_CHECK(hs_random_describe(like, seed, random, err));
    *out = random;
    random = NULL;
cleanup:
    hs_directions_free(random);
    return status;
}
