/* The denoiser: batches, predictions, refusals, memory, statistics. */
#include "tiny_model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "diffusion/schedule.h"

#define X 192 /* 3x8x8 */
#define HH 96 /* 6x4x4 */

/* 21 are more than a batch, and make one that is smaller than the other. */
static void test_batch_is_items(void **state) {
    hs_error err;
    hs_model *model = hs_tiny_open("rgb");
    hs_denoiser *denoiser = hs_tiny_denoiser(model);
    enum { n = 21 };
    int t[n];
    for (int i = 0; i < n; i++)
        t[i] = (const int[]){999, 0, 500, 500, 21}[i % 5];
    float x[n * X], delta_h[n * HH], eps[n * X], h[n * HH], one[X], one_h[HH];
    hs_test_fill(1, x, n * X);
    hs_test_fill(2, delta_h, n * HH);
    assert_ok(hs_denoiser_eps(denoiser, n, x, t, delta_h, eps, h, &err));
    for (int i = 0; i < n; i++) {
        assert_ok(
            hs_denoiser_eps(denoiser, 1, x + i * X, t + i, delta_h + i * HH, one, one_h, &err));
        assert_memory_equal(one, eps + i * X, sizeof one);
        assert_memory_equal(one_h, h + i * HH, sizeof one_h);
    }
    /* No delta_h is a delta_h of zero, and h is what it was before delta_h. */
    float zeros[HH] = {0}, plain[X], plain_h[HH];
    assert_ok(hs_denoiser_eps(denoiser, 1, x, t, NULL, plain, plain_h, &err));
    assert_ok(hs_denoiser_eps(denoiser, 1, x, t, zeros, one, NULL, &err));
    assert_memory_equal(plain, one, sizeof one);
    assert_memory_equal(plain_h, h, sizeof plain_h);
    assert_true(memcmp(plain, eps, sizeof plain) != 0);
    hs_pass_stats stats;
    hs_denoiser_stats(denoiser, &stats);
    assert_int_equal(stats.passes, 2 * n + 2);
    assert_true(stats.seconds_per_pass > 0 && stats.seconds_per_pass < 1);
    hs_denoiser_free(denoiser);
    hs_tiny_free(model);
}

/* eps of v and sample models leads to the x_0 that the prediction states. */
static void test_predictions(void **state) {
    hs_error err;
    hs_model *model = hs_tiny_open("rgb");
    float x[X], out[X], eps[X];
    hs_test_fill(3, x, X);
    int t = 640;
    hs_denoiser *denoiser = hs_tiny_denoiser(model);
    hs_schedule schedule;
    assert_ok(hs_denoiser_eps(denoiser, 1, x, &t, NULL, out, NULL, &err));
    hs_denoiser_free(denoiser);
    assert_ok(hs_schedule_create(&model->schedule, &schedule, &err));
    double a = schedule.alphas_cumprod[t];
    for (int kind = HS_PREDICT_V; kind <= HS_PREDICT_SAMPLE; kind++) {
        model->schedule.prediction = (hs_prediction)kind;
        denoiser = hs_tiny_denoiser(model);
        assert_ok(hs_denoiser_eps(denoiser, 1, x, &t, NULL, eps, NULL, &err));
        for (int j = 0; j < X; j++) {
            double x_0 = ((double)x[j] - sqrt(1 - a) * (double)eps[j]) / sqrt(a);
            double stated = kind == HS_PREDICT_SAMPLE
                                ? (double)out[j]
                                : sqrt(a) * (double)x[j] - sqrt(1 - a) * (double)out[j];
            assert_true(fabs(x_0 - stated) < 5e-6);
        }
        hs_denoiser_free(denoiser);
    }
    hs_schedule_free(&schedule);
    hs_tiny_free(model);
}

/* What fails in the second batch says so, and leaves what the first one gave. */
static void test_failure_in_a_batch(void **state) {
    hs_error err;
    hs_model *model = hs_tiny_open("rgb");
    hs_denoiser *denoiser = hs_tiny_denoiser(model);
    enum { n = 20 };
    static float x[n * X], eps[n * X], one[X];
    int t[n] = {0};
    hs_test_fill(3, x, n * X);
    x[15 * X] = NAN;
    for (int i = 0; i < n * X; i++)
        eps[i] = 7;
    assert_int_equal(hs_denoiser_eps(denoiser, n, x, t, NULL, eps, NULL, &err), HS_ERROR_NUMERIC);
    assert_non_null(strstr(err.message, "item 15"));
    assert_ok(hs_denoiser_eps(denoiser, 1, x + 9 * X, t, NULL, one, NULL, &err));
    assert_memory_equal(one, eps + 9 * X, sizeof one);
    for (int i = 10 * X; i < n * X; i++)
        assert_true(eps[i] == 7);
    hs_denoiser_free(denoiser);
    hs_tiny_free(model);
}

static void test_refusals(void **state) {
    hs_error err;
    hs_model *model = hs_tiny_open("dot");
    hs_denoiser *denoiser = hs_tiny_denoiser(model);
    float x[4] = {0}, eps[4] = {7, 7, 7, 7}, delta_h[6] = {0};
    for (int k = 0; k < 3; k++) {
        int t = (const int[]){-1, 1000, INT32_MAX}[k];
        assert_int_equal(hs_denoiser_eps(denoiser, 1, x, &t, NULL, eps, NULL, &err),
                         HS_ERROR_ARGUMENT);
        assert_non_null(strstr(err.message, "0 ... 999"));
    }
    int t = 10;
    assert_int_equal(hs_denoiser_eps(denoiser, 0, x, &t, NULL, eps, NULL, &err), HS_ERROR_ARGUMENT);
    x[2] = NAN;
    assert_int_equal(hs_denoiser_eps(denoiser, 1, x, &t, NULL, eps, NULL, &err), HS_ERROR_NUMERIC);
    assert_non_null(strstr(err.message, "input image"));
    x[2] = 0;
    delta_h[1] = INFINITY;
    assert_int_equal(hs_denoiser_eps(denoiser, 1, x, &t, delta_h, eps, NULL, &err),
                     HS_ERROR_NUMERIC);
    assert_non_null(strstr(err.message, "delta_h"));
    for (int j = 0; j < 4; j++)
        assert_true(eps[j] == 7); /* untouched by what failed */
    hs_denoiser_free(denoiser);

    hs_denoiser_options options = hs_denoiser_options_default();
    options.h_space = (hs_h_space)3;
    assert_int_equal(hs_denoiser_create(model, &options, &denoiser, &err), HS_ERROR_ARGUMENT);
    options = hs_denoiser_options_default();
    options.max_mem = -1;
    assert_int_equal(hs_denoiser_create(model, &options, &denoiser, &err), HS_ERROR_ARGUMENT);
    hs_tiny_free(model);
}

/* The batch follows the work in a pass, cut evenly, and max_mem bounds it. */
static void test_batch_and_memory(void **state) {
    hs_error err;
    hs_model *model = hs_tiny_open("rgb");
    hs_denoiser *denoiser = hs_tiny_denoiser(model);
    int64_t bytes_1, bytes_4, bytes_16;
    assert_int_equal(hs_denoiser_batch(denoiser, 1), 1);
    assert_int_equal(hs_denoiser_batch(denoiser, 16), 16);
    assert_int_equal(hs_denoiser_batch(denoiser, 20), 10);
    assert_int_equal(hs_denoiser_batch(denoiser, 1000000000), 16);
    assert_ok(hs_denoiser_bytes(denoiser, 1, &bytes_1, &err));
    assert_ok(hs_denoiser_bytes(denoiser, 4, &bytes_4, &err));
    assert_ok(hs_denoiser_bytes(denoiser, 16, &bytes_16, &err));
    assert_true(bytes_1 > 0 && bytes_1 < bytes_4 && bytes_4 < bytes_16);
    hs_denoiser_free(denoiser);
    model->macs = INT64_C(240000000000);
    denoiser = hs_tiny_denoiser(model);
    assert_int_equal(hs_denoiser_batch(denoiser, 100), 1);
    int64_t parameters = model->parameters;
    model->macs = INT64_C(11800000000);
    assert_int_equal(hs_denoiser_batch(denoiser, 100), 1);
    model->parameters = 82000000; /* more than caches hold: samples share them */
    assert_int_equal(hs_denoiser_batch(denoiser, 16), 8);
    model->parameters = parameters;
    hs_denoiser_free(denoiser);

    model->macs = 1000000;
    hs_denoiser_options options = {
        .backend = HS_BACKEND_REF, .threads = 1, .h_space = HS_H_AFTER, .max_mem = bytes_4};
    assert_ok(hs_denoiser_create(model, &options, &denoiser, &err));
    assert_int_equal(hs_denoiser_batch(denoiser, 16), 4);
    assert_int_equal(hs_denoiser_batch(denoiser, 16), 4);
    assert_int_equal(hs_denoiser_batch(denoiser, 3), 3);
    int64_t bytes;
    assert_ok(hs_denoiser_bytes(denoiser, 16, &bytes, &err)); /* told, although refused */
    assert_int_equal(bytes, bytes_16);
    static float x[16 * X], eps[16 * X];
    int t[16] = {0};
    assert_ok(hs_denoiser_eps(denoiser, 16, x, t, NULL, eps, NULL, &err)); /* four by four */
    for (int n = 1; n <= 4; n++) /* plans give way to each other */
        assert_ok(hs_denoiser_eps(denoiser, n, x, t, NULL, eps, NULL, &err));
    hs_denoiser_free(denoiser);

    options.max_mem = bytes_1 - 1;
    assert_ok(hs_denoiser_create(model, &options, &denoiser, &err));
    assert_int_equal(hs_denoiser_eps(denoiser, 16, x, t, NULL, eps, NULL, &err), HS_ERROR_MEMORY);
    assert_non_null(strstr(err.message, "batch of 1 needs"));
    hs_denoiser_free(denoiser);
    hs_tiny_free(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batch_is_items), cmocka_unit_test(test_predictions),
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_failure_in_a_batch),
        cmocka_unit_test(test_batch_and_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
