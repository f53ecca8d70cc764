/*
 * A direction file and a latent file: what is accepted must have the shapes it
 * says, be found by its names, and be writable again. The input is the header's
 * text up to the first zero byte, then the data; the length is put before it
 * here, so that the fuzzer need not keep it right (fuzz_safetensors tries that).
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/direction_file.h"
#include "io/latent_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void hs_fuzz_require(bool condition) {
    if (!condition)
        abort();
}

static void hs_fuzz_finite(const float *values, int64_t count) {
    for (int64_t i = 0; values && i < count; i++)
        hs_fuzz_require(isfinite(values[i]));
}

static void hs_fuzz_directions(const hs_directions *d) {
    hs_directions_view v;
    hs_error err;
    hs_directions_view_get(d, &v);
    int64_t h = (int64_t)v.h_shape[0] * v.h_shape[1] * v.h_shape[2];
    hs_fuzz_require(v.K >= 1 && v.T >= 1 && (v.S == v.T || v.S == 1) && h >= 1);
    hs_fuzz_finite(v.delta_h, v.K * v.S * h);
    hs_fuzz_finite(v.sigma, (int64_t)v.K * v.S);
    hs_fuzz_finite(v.mean, v.T * h);
    hs_fuzz_finite(d->u, (int64_t)d->K * d->image[0] * d->image[1] * d->image[2]);
    for (int t = 1; v.timesteps && t < v.T; t++)
        hs_fuzz_require(v.timesteps[t] < v.timesteps[t - 1]);
    for (int k = 0; k < v.K && k < 100; k++)
        hs_fuzz_require(hs_directions_find(d, hs_directions_name(d, k)) == k);
    hs_fuzz_require(hs_directions_save(d, "/dev/null", &err) == HS_OK);
}

static void hs_fuzz_file(const uint8_t *file, size_t size) {
    hs_directions *directions = NULL;
    hs_latents *latents = NULL;
    hs_error err;
    if (hs_directions_parse("fuzz", file, size, &directions, &err) == HS_OK)
        hs_fuzz_directions(directions);
    hs_directions_free(directions);
    if (hs_latents_parse("fuzz", file, size, &latents, &err) == HS_OK) {
        hs_latents_view view;
        hs_latents_view_get(latents, &view);
        hs_fuzz_require(hs_latents_save("/dev/null", &view, &err) == HS_OK);
    }
    hs_latents_free(latents);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    size_t length = zero ? (size_t)(zero - data) : size, rest = zero ? size - length - 1 : 0;
    uint8_t *file = malloc(8 + length + rest);
    if (!file)
        return 0;
    for (int i = 0; i < 8; i++)
        file[i] = (uint8_t)((uint64_t)length >> (8 * i));
    if (length)
        memcpy(file + 8, data, length);
    if (rest)
        memcpy(file + 8 + length, zero + 1, rest);
    hs_fuzz_file(file, 8 + length + rest);
    free(file);
    return 0;
}
