/* hs_directions_fit: which directions belong to a sampler, and their step grid. */
#include "tiny_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/direction_file.h"

#define HH 96 /* 6x4x4 */

typedef struct hs_fixture {
    hs_model *model;
    hs_denoiser *denoiser;
    hs_sampler *sampler;
    char notices[400];
} hs_fixture;

static void hs_hear(void *ctx, const char *text) {
    hs_fixture *fixture = ctx;
    strncat(fixture->notices, text, sizeof fixture->notices - strlen(fixture->notices) - 1);
}

static void hs_open(hs_fixture *f, int T) {
    hs_error err;
    *f = (hs_fixture){.model = hs_tiny_open("rgb")};
    f->denoiser = hs_tiny_denoiser(f->model);
    hs_sampler_options options = {.steps = T, .z_seed = HS_Z_CONTINUE};
    assert_ok(hs_sampler_create(f->denoiser, &options, NULL, &f->sampler, &err));
}

static void hs_close(hs_fixture *f) {
    hs_sampler_free(f->sampler);
    hs_denoiser_free(f->denoiser);
    hs_tiny_free(f->model);
}

/* K = 2 directions of this model whose values tell direction and step: step i
 * of direction k is all 100 k + i, its sigma 10 k + i, the mean i. */
static hs_directions *hs_make(const hs_fixture *f, int S, int T, const int64_t *timesteps) {
    hs_directions *d = hs_directions_new(2, S, T, (int[]){6, 4, 4});
    assert_non_null(d);
    d->delta_h = calloc((size_t)(2 * S * HH), sizeof(float));
    d->sigma = calloc((size_t)(2 * S), sizeof(float));
    d->mean = calloc((size_t)(T * HH), sizeof(float));
    d->timesteps = calloc((size_t)T, sizeof(int64_t));
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < S; i++) {
            d->sigma[k * S + i] = (float)(10 * k + i);
            for (int j = 0; j < HH; j++)
                d->delta_h[(k * S + i) * HH + j] = (float)(100 * k + i);
        }
    for (int i = 0; i < T; i++) {
        d->timesteps[i] = timesteps[i];
        for (int j = 0; j < HH; j++)
            d->mean[i * HH + j] = (float)i;
    }
    d->N = 1000;
    snprintf(d->model, sizeof d->model, "%s", f->model->fingerprint);
    return d;
}

/* Steps at 900, 700, ... 100 on to 750, 500, 250, 0: 750 is nearest to 700,
 * 500 is there, 250 nearest to 300, and 0 nearest to 100. With 600 and 400
 * in place of 500, the two are equally near, and the noisier 600 is taken. */
static void test_grid(void **state) {
    hs_error err;
    hs_fixture f;
    hs_open(&f, 4);
    assert_int_equal(hs_sampler_timesteps(f.sampler)[0], 750);
    hs_monitor monitor = {.ctx = &f, .notice = hs_hear};
    hs_directions *fitted, *d = hs_make(&f, 5, 5, (const int64_t[]){900, 700, 500, 300, 100});
    assert_ok(hs_directions_fit(d, f.sampler, &monitor, &fitted, &err));
    const int expected[] = {1, 2, 3, 4};
    assert_int_equal(fitted->S, 4);
    assert_int_equal(fitted->T, 4);
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < 4; i++) {
            assert_true(fitted->delta_h[(k * 4 + i) * HH + 5] == (float)(100 * k + expected[i]));
            assert_true(fitted->sigma[k * 4 + i] == (float)(10 * k + expected[i]));
            assert_true(fitted->mean[i * HH + 7] == (float)expected[i]);
            assert_int_equal(fitted->timesteps[i], 750 - 250 * i);
        }
    assert_non_null(strstr(f.notices, "from 5 steps to 4"));
    hs_directions_free(fitted);
    hs_directions_free(d);

    d = hs_make(&f, 2, 2, (const int64_t[]){600, 400});
    assert_ok(hs_directions_fit(d, f.sampler, &monitor, &fitted, &err));
    assert_true(fitted->sigma[1] == 0); /* 500 takes 600 */
    assert_true(fitted->sigma[2] == 1); /* 250 takes 400 */
    hs_directions_free(fitted);
    hs_directions_free(d);
    hs_close(&f);
}

/* The same grid, and one slice for all steps, come through as they are. */
static void test_unchanged(void **state) {
    hs_error err;
    hs_fixture f;
    hs_open(&f, 4);
    hs_monitor monitor = {.ctx = &f, .notice = hs_hear};
    hs_directions *fitted, *d = hs_make(&f, 4, 4, (const int64_t[]){750, 500, 250, 0});
    free(d->names[1]);
    d->names[1] = strdup("smile");
    assert_ok(hs_directions_set_metadata(d, "seeds", "0-9", &err));
    assert_ok(hs_directions_fit(d, f.sampler, &monitor, &fitted, &err));
    assert_string_equal(f.notices, "");
    assert_memory_equal(d->delta_h, fitted->delta_h, 2 * 4 * HH * sizeof(float));
    assert_int_equal(hs_directions_find(fitted, "smile"), 1);
    char *seeds = hs_directions_get_metadata(fitted, "seeds");
    assert_string_equal(seeds, "0-9");
    free(seeds);
    hs_directions_free(fitted);
    hs_directions_free(d);

    d = hs_make(&f, 1, 3, (const int64_t[]){600, 400, 200});
    assert_ok(hs_directions_fit(d, f.sampler, &monitor, &fitted, &err));
    assert_string_equal(f.notices, "");
    assert_int_equal(fitted->S, 1);
    assert_int_equal(fitted->T, 4);
    float x_0[192];
    const int64_t seed = 1;
    hs_edit edit = {.directions = fitted, .index = 1, .strength = 0.1, .last = -1};
    assert_ok(hs_sample(f.sampler, 1, &seed, NULL, &edit, 1, NULL, NULL, x_0, NULL, &err));
    hs_directions_free(fitted);
    hs_directions_free(d);
    hs_close(&f);
}

static void hs_expect(hs_fixture *f, hs_directions *d, const char *word) {
    hs_error err = {0};
    hs_directions *fitted = NULL;
    assert_int_equal(hs_directions_fit(d, f->sampler, NULL, &fitted, &err), HS_ERROR_MISMATCH);
    if (!strstr(err.message, word))
        fail_msg("the message does not say '%s': %s", word, err.message);
    assert_null(fitted);
}

static void test_refusals(void **state) {
    hs_error err;
    hs_fixture f;
    hs_open(&f, 4);
    hs_monitor monitor = {.ctx = &f, .notice = hs_hear};
    hs_directions *fitted, *d = hs_make(&f, 4, 4, (const int64_t[]){750, 500, 250, 0});
    d->model[0] = 'f';
    hs_expect(&f, d, "another model");
    d->model[0] = '\0'; /* written by hand: accepted, and said */
    assert_ok(hs_directions_fit(d, f.sampler, &monitor, &fitted, &err));
    assert_non_null(strstr(f.notices, "name no model"));
    hs_directions_free(fitted);
    d->N = 300;
    hs_expect(&f, d, "training timesteps");
    d->N = 0;
    d->h_space = HS_H_MIDDLE;
    hs_expect(&f, d, "'middle'");
    d->h_space = HS_H_AFTER;
    d->h_shape[2] = 5;
    hs_expect(&f, d, "6 x 4 x 5");
    hs_directions_free(d);

    d = hs_make(&f, 3, 3, (const int64_t[]){600, 400, 200});
    free(d->timesteps);
    d->timesteps = NULL;
    hs_expect(&f, d, "do not say their timesteps");
    hs_directions_free(d);
    hs_close(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_grid),
                                       cmocka_unit_test(test_unchanged),
                                       cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
