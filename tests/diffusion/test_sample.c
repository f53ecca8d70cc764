/* hs_sample: batches, edits, windows, strengths, latents, cancellation. */
#include "tiny_model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/direction_file.h"
#include "io/latent_file.h"

#define X 192 /* 3x8x8 */
#define HH 96 /* 6x4x4 */
#define T 10

typedef struct hs_fixture {
    hs_tensor_set *golden;
    hs_model *model;
    hs_denoiser *denoiser;
    hs_sampler *sampler;
    hs_directions *directions; /* 1 direction, T steps: golden's delta_h */
    char notices[400];
    int steps_seen, stop_after; /* calls of progress */
    double done, total;
} hs_fixture;

static void hs_hear(void *ctx, const char *text) {
    hs_fixture *fixture = ctx;
    strncat(fixture->notices, text, sizeof fixture->notices - strlen(fixture->notices) - 1);
}

static bool hs_watch(void *ctx, const char *phase, double done, double total) {
    hs_fixture *fixture = ctx;
    assert_true(done >= fixture->done && done <= total);
    fixture->done = done;
    fixture->total = total;
    return ++fixture->steps_seen != fixture->stop_after;
}

static hs_monitor hs_listen(hs_fixture *fixture) {
    return (hs_monitor){.ctx = fixture, .progress = hs_watch, .notice = hs_hear};
}

static void hs_open(hs_fixture *f, double eta, bool asyrp) {
    hs_error err;
    *f = (hs_fixture){.golden = hs_golden_open("trajectories"), .model = hs_tiny_open("rgb")};
    f->denoiser = hs_tiny_denoiser(f->model);
    hs_sampler_options options = {
        .steps = T, .eta = &eta, .eta_count = 1, .z_seed = HS_Z_CONTINUE, .asyrp = asyrp};
    assert_ok(hs_sampler_create(f->denoiser, &options, NULL, &f->sampler, &err));
    f->directions = hs_directions_new(1, T, T, (int[]){6, 4, 4});
    assert_non_null(f->directions);
    f->directions->delta_h = hs_golden_f32(f->golden, "delta_h", T * HH);
    f->directions->timesteps = calloc(T, sizeof *f->directions->timesteps);
    for (int i = 0; i < T; i++)
        f->directions->timesteps[i] = hs_sampler_timesteps(f->sampler)[i];
}

static void hs_close(hs_fixture *f) {
    hs_directions_free(f->directions);
    hs_sampler_free(f->sampler);
    hs_denoiser_free(f->denoiser);
    hs_tiny_free(f->model);
    hs_tensor_set_free(f->golden);
}

/* Many items give, bit for bit, what they give alone, though the batches that
 * they fall into differ; with eta, edits of their own strengths, and Asyrp. */
static void test_items_alone(void **state) {
    for (int asyrp = 0; asyrp < 2; asyrp++) {
        hs_error err;
        hs_fixture f;
        hs_open(&f, 0.5, asyrp);
        enum { n = 19 };
        int64_t seeds[n];
        double strengths[n];
        static float x_0[n * X], h[n * T * HH], one[X], one_h[T * HH];
        for (int i = 0; i < n; i++) {
            seeds[i] = 100 + i;
            strengths[i] = i % 3 - 1; /* zero for a third of them */
        }
        hs_edit edit = {.directions = f.directions, .strength = 50, .last = -1};
        assert_ok(hs_sample(f.sampler, n, seeds, NULL, &edit, 1, strengths, NULL, x_0, h, &err));
        for (int i = 0; i < n; i += 4) {
            edit.strength = strengths[i];
            assert_ok(
                hs_sample(f.sampler, 1, seeds + i, NULL, &edit, 1, NULL, NULL, one, one_h, &err));
            assert_memory_equal(one, x_0 + i * X, sizeof one);
            assert_memory_equal(one_h, h + i * T * HH, sizeof one_h);
        }
        hs_close(&f);
    }
}

/* A direction of one slice, in a window, at strength 1.5: a PyTorch loop's. */
static void test_window(void **state) {
    hs_error err;
    hs_fixture f;
    hs_open(&f, 0, false);
    hs_directions *flat = hs_directions_new(1, 1, T, (int[]){6, 4, 4});
    assert_non_null(flat);
    flat->delta_h = hs_golden_f32(f.golden, "delta_h", T * HH);
    float x_0[2 * X], split[2 * X], *golden = hs_golden_f32(f.golden, "delta_window", 2 * X);
    hs_edit edit = {.directions = flat, .strength = 1.5, .first = 3, .last = 6};
    const int64_t seeds[] = {3, INT64_C(4294967301)};
    assert_ok(hs_sample(f.sampler, 2, seeds, NULL, &edit, 1, NULL, NULL, x_0, NULL, &err));
    assert_true(hs_test_relative_error(x_0, golden, 2 * X) <= 2e-5);
    /* Edits add up: two halves of it are the whole, and windows join. */
    hs_edit parts[] = {{.directions = flat, .strength = 0.75, .first = 3, .last = 6},
                       {.directions = flat, .strength = 0.75, .first = 3, .last = 4},
                       {.directions = flat, .strength = 0.75, .first = 5, .last = 6}};
    assert_ok(hs_sample(f.sampler, 2, seeds, NULL, parts, 3, NULL, NULL, split, NULL, &err));
    assert_true(hs_test_relative_error(split, x_0, 2 * X) <= 2e-6);
    free(golden);
    hs_directions_free(flat);
    hs_close(&f);
}

/* Strength 0 and Asyrp without edits are plain sampling. */
static void test_no_edit(void **state) {
    hs_error err;
    hs_fixture f, a;
    hs_open(&f, 1, false);
    hs_open(&a, 1, true);
    float plain[X], x_0[X];
    const int64_t seed = 9;
    hs_edit edit = {.directions = f.directions, .strength = 0, .last = -1};
    assert_ok(hs_sample(f.sampler, 1, &seed, NULL, NULL, 0, NULL, NULL, plain, NULL, &err));
    assert_ok(hs_sample(f.sampler, 1, &seed, NULL, &edit, 1, NULL, NULL, x_0, NULL, &err));
    assert_memory_equal(plain, x_0, sizeof plain);
    assert_ok(hs_sample(a.sampler, 1, &seed, NULL, NULL, 0, NULL, NULL, x_0, NULL, &err));
    assert_memory_equal(plain, x_0, sizeof plain);
    hs_close(&a);
    hs_close(&f);
}

static void test_progress_and_cancellation(void **state) {
    hs_error err;
    hs_fixture f;
    hs_open(&f, 0, true);
    hs_monitor monitor = hs_listen(&f);
    const int64_t seeds[] = {1, 2, 3};
    float x_0[3 * X];
    hs_edit edit = {.directions = f.directions, .strength = 1, .first = 2, .last = 5};
    assert_ok(hs_sample(f.sampler, 3, seeds, NULL, &edit, 1, NULL, &monitor, x_0, NULL, &err));
    assert_int_equal(f.steps_seen, T + 1);
    assert_true(f.done == f.total && f.total == 3 * (T + 4)); /* Asyrp: 4 steps count twice */
    hs_pass_stats stats;
    hs_denoiser_stats(f.denoiser, &stats);
    assert_int_equal(stats.passes, 3 * (T + 4));
    f.done = f.steps_seen = 0;
    f.stop_after = 4;
    assert_int_equal(hs_sample(f.sampler, 3, seeds, NULL, NULL, 0, NULL, &monitor, x_0, NULL, &err),
                     HS_ERROR_CANCELLED);
    assert_int_equal(f.steps_seen, 4);
    hs_close(&f);
}

/* Item i uses latents item i % count; latents that do not fit are refused. */
static void test_latents(void **state) {
    hs_error err;
    hs_fixture f, still;
    hs_open(&f, 1, false);
    hs_open(&still, 0, false);
    hs_monitor monitor = hs_listen(&f);
    const int64_t seeds[] = {4, 5};
    hs_latents *latents;
    float by_seed[2 * X], x_0[5 * X];
    assert_ok(hs_latents_from_seeds(f.sampler, 2, seeds, &latents, &err));
    assert_ok(hs_sample(f.sampler, 2, seeds, NULL, NULL, 0, NULL, NULL, by_seed, NULL, &err));
    assert_ok(hs_sample(f.sampler, 5, NULL, latents, NULL, 0, NULL, NULL, x_0, NULL, &err));
    for (int i = 0; i < 5; i++)
        assert_memory_equal(x_0 + i * X, by_seed + i % 2 * X, sizeof(float) * X);

    latents->timesteps[3]++;
    assert_int_equal(hs_sample(f.sampler, 1, NULL, latents, NULL, 0, NULL, NULL, x_0, NULL, &err),
                     HS_ERROR_MISMATCH);
    assert_ok(hs_sample(still.sampler, 1, NULL, latents, NULL, 0, NULL, &monitor, x_0, NULL, &err));
    assert_non_null(strstr(f.notices, "another step grid"));
    hs_latents_free(latents);

    assert_ok(hs_latents_from_seeds(still.sampler, 2, seeds, &latents, &err));
    assert_null(latents->z);
    assert_int_equal(hs_sample(f.sampler, 1, NULL, latents, NULL, 0, NULL, NULL, x_0, NULL, &err),
                     HS_ERROR_MISMATCH);
    assert_non_null(strstr(err.message, "z"));
    latents->image[1] = 4;
    assert_int_equal(
        hs_sample(still.sampler, 1, NULL, latents, NULL, 0, NULL, NULL, x_0, NULL, &err),
        HS_ERROR_MISMATCH);
    hs_latents_free(latents);
    hs_close(&still);
    hs_close(&f);
}

static void hs_expect(hs_fixture *f, hs_edit edit, hs_status expected, const char *word) {
    hs_error err = {0};
    const int64_t seed = 1;
    float x_0[X];
    assert_int_equal(hs_sample(f->sampler, 1, &seed, NULL, &edit, 1, NULL, NULL, x_0, NULL, &err),
                     expected);
    if (!strstr(err.message, word))
        fail_msg("the message does not say '%s': %s", word, err.message);
}

static void test_refused_edits(void **state) {
    hs_error err;
    hs_fixture f;
    hs_open(&f, 0, false);
    const hs_edit good = {.directions = f.directions, .strength = 1, .last = -1};
    hs_edit edit = good;
    edit.index = 1;
    hs_expect(&f, edit, HS_ERROR_ARGUMENT, "direction 1");
    edit = good;
    edit.strength = NAN;
    hs_expect(&f, edit, HS_ERROR_ARGUMENT, "strength");
    edit = good;
    edit.last = T;
    hs_expect(&f, edit, HS_ERROR_ARGUMENT, "window");
    edit = good;
    edit.first = 5;
    edit.last = 4;
    hs_expect(&f, edit, HS_ERROR_ARGUMENT, "window");
    edit = good;
    edit.first = T;
    hs_expect(&f, edit, HS_ERROR_ARGUMENT, "window");
    f.directions->timesteps[0]++;
    hs_expect(&f, good, HS_ERROR_MISMATCH, "hs_directions_fit");
    f.directions->h_shape[0] = 5;
    hs_expect(&f, good, HS_ERROR_MISMATCH, "5 x 4 x 4");

    const int64_t seed = 1;
    float x_0[X];
    assert_int_equal(hs_sample(f.sampler, 0, &seed, NULL, NULL, 0, NULL, NULL, x_0, NULL, &err),
                     HS_ERROR_ARGUMENT);
    assert_int_equal(hs_sample(f.sampler, 1, NULL, NULL, NULL, 0, NULL, NULL, x_0, NULL, &err),
                     HS_ERROR_ARGUMENT);
    hs_close(&f);
}

static void hs_expect_sampler(hs_denoiser *denoiser, hs_sampler_options options, const char *word) {
    hs_error err = {0};
    hs_sampler *sampler = NULL;
    assert_int_equal(hs_sampler_create(denoiser, &options, NULL, &sampler, &err),
                     HS_ERROR_ARGUMENT);
    if (!strstr(err.message, word))
        fail_msg("the message does not say '%s': %s", word, err.message);
    assert_null(sampler);
}

static void test_sampler_options(void **state) {
    hs_error err;
    hs_fixture f;
    hs_open(&f, 0, false);
    static const double bad[] = {0.5, -1, NAN, 1e9};
    hs_sampler_options good = hs_sampler_options_default(), o = good;
    assert_int_equal(good.steps, 50);
    for (int k = 0; k < 4; k++) {
        o.steps = (const int[]){0, -5, 1001, 1000000000}[k];
        hs_expect_sampler(f.denoiser, o, "steps");
    }
    o = good;
    o.eta = bad;
    o.eta_count = 3;
    hs_expect_sampler(f.denoiser, o, "eta has 3 values");
    for (int k = 1; k < 4; k++) {
        o.eta = bad + k;
        o.eta_count = 1;
        hs_expect_sampler(f.denoiser, o, "eta");
    }
    o = good;
    o.z_seed = -3;
    hs_expect_sampler(f.denoiser, o, "z_seed");

    /* Clipping that the config asks for is off, which is said; or on. */
    f.model->schedule.clip_sample = true;
    f.model->schedule.absent = true;
    hs_monitor monitor = hs_listen(&f);
    hs_sampler *sampler;
    assert_ok(hs_sampler_create(f.denoiser, &good, &monitor, &sampler, &err));
    assert_non_null(strstr(f.notices, "clip_sample"));
    assert_non_null(strstr(f.notices, "no scheduler config"));
    hs_sampler_free(sampler);
    f.notices[0] = '\0';
    f.model->schedule.absent = false;
    good.clip = true;
    assert_ok(hs_sampler_create(f.denoiser, &good, &monitor, &sampler, &err));
    assert_string_equal(f.notices, "");
    hs_sampler_free(sampler);
    hs_close(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_items_alone),    cmocka_unit_test(test_window),
        cmocka_unit_test(test_no_edit),        cmocka_unit_test(test_progress_and_cancellation),
        cmocka_unit_test(test_latents),        cmocka_unit_test(test_refused_edits),
        cmocka_unit_test(test_sampler_options)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
