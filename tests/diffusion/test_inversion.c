/*
 * Inversion of real images: DDIM and the edit-friendly kinds against PyTorch
 * (golden/make_inversion.py), and the property that they are for: decoding
 * gives the image back.
 */
#include "golden.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "denoiser.h"
#include "models/model.h"

static const char *const hs_kinds[] = {"ddim", "x0", "x_prev", "dpm"};

/* A golden model with a sampler; offset: steps_offset 1, set_alpha_to_one false. */
typedef struct hs_bench {
    hs_model *model;
    hs_denoiser *denoiser;
    hs_sampler *sampler;
    hs_tensor_set *set;
    float *x_0; /* [2,C,H,W] */
    int64_t size, h_size;
} hs_bench;

static hs_bench hs_open_bench(const char *name, int T, const double *eta, int eta_count,
                              bool offset) {
    hs_error err;
    char path[100];
    hs_bench bench = {.set = hs_golden_open("inversion")};
    snprintf(path, sizeof path, "golden/models/%s", name);
    assert_ok(hs_model_open(path, NULL, &bench.model, &err));
    bench.model->schedule.steps_offset = offset ? 1 : 0;
    bench.model->schedule.set_alpha_to_one = !offset;
    hs_denoiser_options options = hs_denoiser_options_default();
    options.threads = 1;
    assert_ok(hs_denoiser_create(bench.model, &options, &bench.denoiser, &err));
    hs_sampler_options sampling = hs_sampler_options_default();
    sampling.steps = T;
    sampling.eta = eta;
    sampling.eta_count = eta_count;
    assert_ok(hs_sampler_create(bench.denoiser, &sampling, NULL, &bench.sampler, &err));
    bench.size = (int64_t)hs_denoiser_image_size(bench.denoiser);
    bench.h_size = (int64_t)hs_denoiser_h_size(bench.denoiser);
    snprintf(path, sizeof path, "x_0.%s", name);
    bench.x_0 = hs_golden_f32(bench.set, path, 2 * bench.size);
    return bench;
}

static void hs_close_bench(hs_bench *bench) {
    free(bench->x_0);
    hs_sampler_free(bench->sampler);
    hs_denoiser_free(bench->denoiser);
    hs_model_free(bench->model);
    hs_tensor_set_free(bench->set);
}

static double hs_against(const hs_bench *bench, const char *name, const float *found,
                         int64_t count) {
    float *golden = hs_golden_f32(bench->set, name, count);
    double error = hs_test_relative_error(found, golden, count);
    free(golden);
    print_message("%-28s %.3g\n", name, error);
    return error;
}

/* x_T and h by the recursion in PyTorch. Largest relative difference seen:
 * 4.1e-5, of x_T of "gray", which amplifies an error of its image up to 106
 * times (the largest singular value of the whole recursion); 5.3e-6 without it. */
static void test_ddim(void **state) {
    static const struct {
        const char *model;
        int T;
    } cases[] = {{"plain", 10}, {"plain", 50},       {"mid_scale", 10},  {"wide", 7},
                 {"gray", 10},  {"scale_shift", 10}, {"one_level", 1000}};
    hs_error err;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        int T = cases[k].T;
        char name[60];
        hs_bench bench = hs_open_bench(cases[k].model, T, NULL, 0, false);
        hs_latents *latents;
        hs_latents_view view;
        assert_ok(hs_invert(bench.sampler, NULL, 2, bench.x_0, NULL, &latents, NULL, NULL, &err));
        hs_latents_view_get(latents, &view);
        assert_true(view.n == 2 && view.T == T && !view.z);
        assert_memory_equal(view.x_0, bench.x_0, (size_t)(2 * bench.size) * sizeof(float));
        for (int i = 0; i < T; i++)
            assert_int_equal(view.timesteps[i], (T - 1 - i) * (1000 / T));
        snprintf(name, sizeof name, "x_T.%s.%d", cases[k].model, T);
        assert_true(hs_against(&bench, name, view.x_T, 2 * bench.size) <= 1e-4);
        snprintf(name, sizeof name, "h.%s.%d", cases[k].model, T);
        if (T <= 50)
            assert_true(hs_against(&bench, name, view.h, 2 * T * bench.h_size) <= 1e-4);
        hs_latents_free(latents);
        hs_close_bench(&bench);
    }
}

/* The drawn x_T and the solved z, so the seeds and the distributions. Largest
 * relative differences seen: x_T 8.6e-8, z 7.1e-7. */
static void test_edit_friendly_golden(void **state) {
    static const double eta = 0.5;
    hs_error err;
    for (int k = 0; k < 6; k++) {
        int kind = 1 + k % 3;
        bool offset = k >= 3;
        const char *tail = offset ? ".offset" : "";
        char name[60];
        hs_bench bench = hs_open_bench("heads", 10, &eta, 1, offset);
        hs_invert_options options = {.method = (hs_invert_method)kind, .seed = 40};
        hs_latents *latents;
        hs_latents_view view;
        assert_ok(
            hs_invert(bench.sampler, &options, 2, bench.x_0, NULL, &latents, NULL, NULL, &err));
        hs_latents_view_get(latents, &view);
        snprintf(name, sizeof name, "x_T.heads.%s%s", hs_kinds[kind], tail);
        assert_true(hs_against(&bench, name, view.x_T, 2 * bench.size) <= 5e-7);
        snprintf(name, sizeof name, "z.heads.%s%s", hs_kinds[kind], tail);
        assert_true(hs_against(&bench, name, view.z, 20 * bench.size) <= 5e-6);
        bool last_is_zero = true;
        for (int64_t j = 9 * bench.size; j < 10 * bench.size; j++)
            last_is_zero = last_is_zero && view.z[j] == 0;
        assert_int_equal(last_is_zero, !offset);
        hs_latents_free(latents);
        hs_close_bench(&bench);
    }
}

/* PSNR recomputed here from what hs_sample makes of the latents. */
static double hs_decoded_psnr(const hs_bench *bench, const hs_latents *latents, int image,
                              const float *reconstruction) {
    hs_error err;
    float *x = malloc((size_t)(2 * bench->size) * sizeof *x);
    assert_ok(hs_sample(bench->sampler, 2, NULL, latents, NULL, 0, NULL, NULL, x, NULL, &err));
    assert_memory_equal(x, reconstruction, (size_t)(2 * bench->size) * sizeof *x);
    double sum = 0;
    for (int64_t j = image * bench->size; j < (image + 1) * bench->size; j++)
        sum += pow((double)x[j] - (double)bench->x_0[j], 2);
    free(x);
    return fmin(200, 10 * log10(4 * (double)bench->size / sum));
}

/* Every kind at every eta decodes to the image; the smallest PSNR seen is 157.9 dB. */
static void test_round_trip(void **state) {
    static const double mixed[] = {1, 0.3, 0.5, 0.7, 0.2, 1, 0.9, 0.4, 0.6, 0.8};
    static const double single[] = {0.3, 0.5, 1};
    const double *const etas[] = {&single[0], &single[1], &single[2], mixed};
    static const char *const models[] = {"plain", "heads", "wide", "gray"};
    hs_error err;
    double least = INFINITY;
    for (size_t k = 0; k < 4 * 4 * 3 * 2; k++) {
        size_t e = k / 6 % 4;
        bool offset = k / 3 % 2;
        hs_bench bench = hs_open_bench(models[k / 24], 10, etas[e], e == 3 ? 10 : 1, offset);
        hs_invert_options options = {.method = (hs_invert_method)(1 + k % 3), .seed = 7};
        hs_latents *latents;
        double psnr[2];
        float *x = malloc((size_t)(2 * bench.size) * sizeof *x);
        assert_ok(hs_invert(bench.sampler, &options, 2, bench.x_0, NULL, &latents, psnr, x, &err));
        for (int i = 0; i < 2; i++) {
            assert_true(fabs(psnr[i] - hs_decoded_psnr(&bench, latents, i, x)) < 1e-6);
            least = fmin(least, psnr[i]);
        }
        free(x);
        hs_latents_free(latents);
        hs_close_bench(&bench);
    }
    print_message("smallest PSNR of a round trip: %.1f dB\n", least);
    assert_true(least >= 150);
}

/* set_alpha_to_one false without an offset: the last step changes nothing, so
 * its fixed point is the image itself; and grids that are not "leading". */
static void test_other_grids(void **state) {
    static const double eta = 1;
    static const char *const spacings[] = {"leading", "trailing", "linspace"};
    hs_error err;
    for (int k = 0; k < 9; k++) {
        hs_bench bench = hs_open_bench("plain", 7, NULL, 0, false);
        bench.model->schedule.set_alpha_to_one = k / 3 == 0;
        snprintf(bench.model->schedule.timestep_spacing,
                 sizeof bench.model->schedule.timestep_spacing, "%s", spacings[k / 3]);
        hs_sampler *sampler;
        hs_sampler_options sampling = hs_sampler_options_default();
        sampling.steps = 7;
        sampling.eta = &eta;
        sampling.eta_count = 1;
        assert_ok(hs_sampler_create(bench.denoiser, &sampling, NULL, &sampler, &err));
        hs_invert_options options = {.method = (hs_invert_method)(1 + k % 3)};
        hs_latents *latents;
        double psnr[2];
        assert_ok(hs_invert(sampler, &options, 2, bench.x_0, NULL, &latents, psnr, NULL, &err));
        print_message("%-9s %-7s %.1f dB\n", spacings[k / 3], hs_kinds[1 + k % 3], psnr[0]);
        assert_true(psnr[0] >= 150 && psnr[1] >= 150);
        hs_latents_free(latents);
        hs_sampler_free(sampler);
        hs_close_bench(&bench);
    }
}

/* An image's latents do not depend on the batch; seeds run with the images. */
static void test_batch(void **state) {
    static const double eta = 1;
    hs_error err;
    hs_bench bench = hs_open_bench("heads", 10, &eta, 1, false);
    for (int kind = 1; kind <= 3; kind++) {
        hs_invert_options options = {.method = (hs_invert_method)kind, .seed = 5};
        hs_latents *both, *second;
        hs_latents_view a, b;
        assert_ok(hs_invert(bench.sampler, &options, 2, bench.x_0, NULL, &both, NULL, NULL, &err));
        options.seed = 6;
        assert_ok(hs_invert(bench.sampler, &options, 1, bench.x_0 + bench.size, NULL, &second, NULL,
                            NULL, &err));
        hs_latents_view_get(both, &a);
        hs_latents_view_get(second, &b);
        size_t size = (size_t)bench.size;
        assert_memory_equal(a.x_T + size, b.x_T, size * sizeof(float));
        assert_memory_equal(a.z + 10 * size, b.z, 10 * size * sizeof(float));
        assert_memory_equal(a.h + 10 * bench.h_size, b.h,
                            10 * (size_t)bench.h_size * sizeof(float));
        hs_latents_free(both);
        hs_latents_free(second);
    }
    hs_close_bench(&bench);
}

/* What the file says: method, eta, seeds, psnr. */
static void test_metadata(void **state) {
    static const double eta = 0.25;
    hs_error err;
    hs_bench bench = hs_open_bench("plain", 2, &eta, 1, false);
    hs_invert_options options = {.method = HS_INVERT_DPM, .seed = 8};
    hs_latents *latents, *loaded;
    hs_latents_view view;
    char *folder = hs_test_make_folder(), path[500];
    snprintf(path, sizeof path, "%s/l.safetensors", folder);
    assert_ok(hs_invert(bench.sampler, &options, 2, bench.x_0, NULL, &latents, NULL, NULL, &err));
    hs_latents_view_get(latents, &view);
    assert_ok(hs_latents_save(path, &view, &err));
    assert_ok(hs_latents_load(path, &loaded, &err));
    hs_latents_view_get(loaded, &view);
    static const char *const parts[] = {"\"inversion\":\"dpm\"", "\"eta\":\"[0.25,0.25]\"",
                                        "\"seeds\":\"[8,9]\"",   "\"psnr\":\"[1",
                                        "\"residual\":\"[",      "\"h_space\":\"after\""};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!strstr(view.metadata, parts[i]))
            fail_msg("%s is not in %s", parts[i], view.metadata);
    hs_latents_free(loaded);
    hs_latents_free(latents);
    hs_test_remove_folder(folder);
    free(folder);
    hs_close_bench(&bench);
}

/* ------------------------------------------------------------- refusals -- */

static void hs_refuse(hs_sampler *sampler, hs_invert_options options, int n, const float *x_0,
                      hs_status code, const char *part) {
    hs_error err;
    hs_latents *latents = NULL;
    double psnr = -7;
    assert_int_equal(hs_invert(sampler, &options, n, x_0, NULL, &latents, &psnr, NULL, &err), code);
    if (!strstr(err.message, part))
        fail_msg("\"%s\" is not in \"%s\"", part, err.message);
    assert_null(latents);
    assert_true(psnr == -7);
}

static void test_refuses(void **state) {
    static const double etas[] = {1, 0, 1}, tiny = 1e-40;
    hs_error err;
    hs_bench ddim = hs_open_bench("plain", 3, NULL, 0, false);
    hs_bench mixed = hs_open_bench("plain", 3, etas, 3, false);
    hs_bench small = hs_open_bench("plain", 3, &tiny, 1, false);
    hs_invert_options x0 = {.method = HS_INVERT_X0}, none = {.method = (hs_invert_method)9};
    hs_invert_options negative = {.seed = -1}, plain = {0};
    hs_refuse(ddim.sampler, x0, 2, ddim.x_0, HS_ERROR_ARGUMENT, "step 0 has 0");
    hs_refuse(mixed.sampler, x0, 2, ddim.x_0, HS_ERROR_ARGUMENT, "step 1 has 0");
    hs_refuse(mixed.sampler, plain, 2, ddim.x_0, HS_ERROR_ARGUMENT, "needs eta 0");
    hs_refuse(small.sampler, x0, 2, ddim.x_0, HS_ERROR_NUMERIC, "z is not finite");
    hs_refuse(ddim.sampler, plain, 0, ddim.x_0, HS_ERROR_ARGUMENT, "0 images");
    hs_refuse(ddim.sampler, plain, 1, NULL, HS_ERROR_ARGUMENT, "NULL");
    hs_refuse(ddim.sampler, none, 1, ddim.x_0, HS_ERROR_ARGUMENT, "method 9");
    hs_refuse(ddim.sampler, negative, 1, ddim.x_0, HS_ERROR_ARGUMENT, "seed -1");
    ddim.x_0[ddim.size + 3] = NAN;
    hs_refuse(ddim.sampler, plain, 2, ddim.x_0, HS_ERROR_NUMERIC, "image 1: value 3");
    ddim.model->schedule.clip_sample = true;
    hs_sampler *clipping;
    hs_sampler_options sampling = hs_sampler_options_default();
    sampling.steps = 3;
    sampling.clip = true;
    assert_ok(hs_sampler_create(ddim.denoiser, &sampling, NULL, &clipping, &err));
    hs_refuse(clipping, plain, 1, ddim.x_0, HS_ERROR_ARGUMENT, "clips");
    hs_sampler_free(clipping);
    hs_close_bench(&small);
    hs_close_bench(&mixed);
    hs_close_bench(&ddim);
}

/* Stop at the k-th report, whichever it is: nothing is left behind, and the
 * reports are in order. */
typedef struct hs_watch {
    int calls, stop_at;
    double last;
    char phase[20];
} hs_watch;

static bool hs_watch_progress(void *ctx, const char *phase, double done, double total) {
    hs_watch *watch = ctx;
    assert_true(done >= 0 && done <= total);
    if (strcmp(phase, watch->phase) == 0)
        assert_true(done >= watch->last);
    snprintf(watch->phase, sizeof watch->phase, "%s", phase);
    watch->last = done;
    return ++watch->calls != watch->stop_at;
}

static void test_cancel(void **state) {
    static const double eta = 1;
    hs_error err;
    hs_bench bench = hs_open_bench("plain", 4, &eta, 1, false);
    hs_invert_options options = {.method = HS_INVERT_X_PREV};
    hs_watch watch = {0};
    hs_monitor monitor = {.ctx = &watch, .progress = hs_watch_progress};
    hs_latents *latents = NULL;
    assert_ok(
        hs_invert(bench.sampler, &options, 2, bench.x_0, &monitor, &latents, NULL, NULL, &err));
    assert_string_equal(watch.phase, "inverting");
    hs_latents_free(latents);
    latents = NULL;
    int calls = watch.calls;
    for (int k = 1; k <= calls; k++) {
        watch = (hs_watch){.stop_at = k};
        assert_int_equal(
            hs_invert(bench.sampler, &options, 2, bench.x_0, &monitor, &latents, NULL, NULL, &err),
            HS_ERROR_CANCELLED);
        assert_null(latents);
    }
    hs_close_bench(&bench);
}

/* Without the round trip: the same latents, no PSNR, no picture. */
static void test_unchecked(void **state) {
    hs_error err;
    hs_bench bench = hs_open_bench("plain", 4, NULL, 0, false);
    hs_invert_options options = hs_invert_options_default();
    hs_latents *whole = NULL, *latents = NULL;
    hs_latents_view a, b;
    double psnr[2] = {0};
    assert_ok(hs_invert(bench.sampler, &options, 2, bench.x_0, NULL, &whole, NULL, NULL, &err));
    options.unchecked = true;
    assert_ok(hs_invert(bench.sampler, &options, 2, bench.x_0, NULL, &latents, psnr, NULL, &err));
    assert_true(isnan(psnr[0]) && isnan(psnr[1]));
    hs_latents_view_get(whole, &a);
    hs_latents_view_get(latents, &b);
    assert_memory_equal(a.x_T, b.x_T, (size_t)(2 * bench.size) * sizeof(float));
    assert_memory_equal(a.h, b.h, (size_t)(8 * bench.h_size) * sizeof(float));
    assert_null(strstr(b.metadata, "psnr"));
    float *x = malloc((size_t)(2 * bench.size) * sizeof *x);
    hs_latents *none = NULL;
    assert_int_equal(hs_invert(bench.sampler, &options, 2, bench.x_0, NULL, &none, NULL, x, &err),
                     HS_ERROR_ARGUMENT);
    assert_non_null(strstr(err.message, "not checked"));
    free(x);
    hs_latents_free(latents);
    hs_latents_free(whole);
    hs_close_bench(&bench);
}

/* Stopped anywhere, then again: what is done is kept, and the rest done once, to
 * the bits of a run that was never stopped. */
static void hs_check_resumed(const hs_latents *whole, const hs_latents *latents, int64_t size,
                             int64_t h_size, int n) {
    hs_latents_view a, b;
    hs_latents_view_get(whole, &a);
    hs_latents_view_get(latents, &b);
    size_t T = (size_t)a.T, bytes = (size_t)(n * size) * sizeof(float);
    assert_memory_equal(a.x_T, b.x_T, bytes);
    assert_memory_equal(a.x_0, b.x_0, bytes);
    assert_memory_equal(a.h, b.h, (size_t)(n * h_size) * T * sizeof(float));
    assert_int_equal(!a.z, !b.z);
    if (a.z)
        assert_memory_equal(a.z, b.z, bytes * T);
    assert_string_equal(a.metadata, b.metadata);
}

static void test_resume(void **state) {
    static const double etas[] = {0, 1};
    char *folder = hs_test_make_folder(), path[400];
    hs_error err;
    snprintf(path, sizeof path, "%s/resume", folder);
    for (int k = 0; k < 2; k++) {
        hs_bench bench = hs_open_bench("plain", 3, &etas[k], 1, false);
        size_t bytes = (size_t)(2 * bench.size) * sizeof(float);
        enum { N = 34 }; /* three batches */
        float *x_0 = malloc(N / 2 * bytes), *x = malloc(N / 2 * bytes), *y = malloc(N / 2 * bytes);
        for (int i = 0; i < N / 2; i++)
            memcpy(x_0 + 2 * i * bench.size, bench.x_0, bytes);
        hs_invert_options options = {.method = k ? HS_INVERT_DPM : HS_INVERT_DDIM};
        hs_watch watch = {0};
        hs_monitor monitor = {.ctx = &watch, .progress = hs_watch_progress};
        hs_latents *whole = NULL, *latents = NULL;
        double psnr[N], again[N];
        assert_ok(hs_invert(bench.sampler, &options, N, x_0, &monitor, &whole, psnr, x, &err));
        int calls = watch.calls, pieces = 0;
        options.resume = path;
        while (!latents) { /* a bit more than one of the three batches each time */
            watch = (hs_watch){.stop_at = calls / 3 + 3};
            hs_status status =
                hs_invert(bench.sampler, &options, N, x_0, &monitor, &latents, again, y, &err);
            assert_int_equal(status, latents ? HS_OK : HS_ERROR_CANCELLED);
            assert_int_equal(access(path, F_OK), 0);
            pieces++;
        }
        assert_true(pieces >= 3 && pieces <= 4);
        hs_check_resumed(whole, latents, bench.size, bench.h_size, N);
        assert_memory_equal(psnr, again, sizeof psnr);
        assert_memory_equal(x, y, N / 2 * bytes);
        hs_latents *none = NULL;
        x_0[7] += 0.5F;
        assert_int_equal(hs_invert(bench.sampler, &options, N, x_0, NULL, &none, NULL, NULL, &err),
                         HS_ERROR_MISMATCH);
        assert_non_null(strstr(err.message, "another run: pixels"));
        assert_int_equal(
            hs_invert(bench.sampler, &options, N - 1, x_0, NULL, &none, NULL, NULL, &err),
            HS_ERROR_MISMATCH);
        assert_int_equal(unlink(path), 0);
        hs_latents_free(latents);
        hs_latents_free(whole);
        free(y);
        free(x);
        free(x_0);
        hs_close_bench(&bench);
    }
    hs_test_remove_folder(folder);
    free(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ddim),       cmocka_unit_test(test_edit_friendly_golden),
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_other_grids),
        cmocka_unit_test(test_batch),      cmocka_unit_test(test_metadata),
        cmocka_unit_test(test_refuses),    cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_resume),     cmocka_unit_test(test_unchecked)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
