/* Exact PCA against decompositions that were built, and its properties. */
#include "directions/pca_support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/threads.h"
#include "directions/gram_pca.h"

enum { N = 30, D = 1300, R = 9, K = 5 };
static const double singular[R] = {9, 7, 4, 3.7, 1.2, 0.9, 0.5, 0.2, 0.05};

typedef struct pca_result {
    float components[K * D];
    double sigma[K], ratio[K], mean[D], scores[K * N];
} pca_result;

static void run(const float *x, int threads, pca_result *out) {
    hs_threads_saved saved = hs_threads_push(threads);
    hs_error err;
    assert_ok(hs_gram_pca(N, K, D, x, out->components, out->sigma, out->ratio, out->mean,
                          out->scores, &err));
    hs_threads_pop(saved);
}

static void test_known_spectrum(void **state) {
    static float x[N * D];
    static double u[R * N], v[R * D];
    static pca_result got;
    hs_test_spectrum(1, N, D, R, singular, x, u, v);
    run(x, 1, &got);
    double total = 0;
    for (int j = 0; j < R; j++)
        total += singular[j] * singular[j];
    for (int j = 0; j < K; j++) {
        double sigma = singular[j] / sqrt(N - 1.0), ratio = singular[j] * singular[j] / total;
        double along = 0, score = 0;
        for (int c = 0; c < D; c++)
            along += (double)got.components[j * D + c] * v[j * D + c];
        for (int i = 0; i < N; i++)
            score += got.scores[j * N + i] * u[j * N + i];
        assert_true(fabs(got.sigma[j] / sigma - 1) < 5e-7); /* observed: 1e-7, x is float */
        assert_true(fabs(got.ratio[j] / ratio - 1) < 1e-6);
        assert_true(fabs(fabs(along) - 1) < 1e-6);
        assert_true(fabs(score - (along > 0 ? 1 : -1)) < 1e-6); /* the sign goes along */
        float largest = 0;
        for (int c = 0; c < D; c++)
            if (fabsf(got.components[j * D + c]) > fabsf(largest))
                largest = got.components[j * D + c];
        assert_true(largest > 0);
    }
}

/* Orthonormal components, scores that reproduce them: X^T u = s v. */
static void test_properties(void **state) {
    static float x[N * D];
    static pca_result got;
    hs_test_fill(2, x, N * D);
    run(x, 1, &got);
    for (int i = 0; i < K; i++)
        for (int j = 0; j < K; j++) {
            double sum = 0;
            for (int c = 0; c < D; c++)
                sum += (double)got.components[i * D + c] * (double)got.components[j * D + c];
            assert_true(fabs(sum - (i == j)) < 2e-7);
        }
    for (int j = 0; j < K; j++) {
        double worst = 0, s = got.sigma[j] * sqrt(N - 1.0);
        for (int c = 0; c < D; c++) {
            double sum = 0;
            for (int i = 0; i < N; i++)
                sum += got.scores[j * N + i] * ((double)x[i * D + c] - got.mean[c]);
            worst = fmax(worst, fabs(sum / s - (double)got.components[j * D + c]));
        }
        assert_true(worst < 2e-8); /* float's rounding of entries near 0.1 */
    }
}

static void test_permutation_and_threads(void **state) {
    static float x[N * D], shuffled[N * D];
    static double u[R * N], v[R * D];
    static pca_result one, two;
    hs_test_spectrum(3, N, D, R, singular, x, u, v);
    for (int i = 0; i < N; i++)
        memcpy(shuffled + i * D, x + (i * 7 + 3) % N * D, D * sizeof(float));
    run(x, 1, &one);
    run(shuffled, 2, &two);
    for (int j = 0; j < K; j++)
        assert_true(fabs(one.sigma[j] / two.sigma[j] - 1) < 1e-12);
    assert_true(hs_test_span_angle_f32(K, D, one.components, two.components) < 5e-7);
    for (int j = 0; j < K; j++) /* signs are fixed, so whole components agree */
        assert_true(hs_test_relative_error(one.components + j * D, two.components + j * D, D) <
                    1e-6);
    static pca_result again;
    for (int threads = 1; threads <= 5; threads++) {
        run(x, threads, &again);
        assert_memory_equal(&one, &again, sizeof one);
    }
}

/* A large common offset must not cost accuracy. */
static void test_offset(void **state) {
    static float x[N * D], moved[N * D];
    static pca_result one, two;
    hs_test_fill(4, x, N * D);
    for (int i = 0; i < N * D; i++) {
        x[i] = roundf(x[i] * 1024) / 1024;
        moved[i] = x[i] + 4096; /* exact in float */
    }
    run(x, 1, &one);
    run(moved, 1, &two);
    for (int j = 0; j < K; j++)
        assert_true(fabs(one.sigma[j] / two.sigma[j] - 1) < 1e-11);
}

/* The same rows as numpy (observed: sigma and ratio 2e-15, angle 1e-16; the
 * angle may be an ulp of the float components where a sum falls otherwise). */
static void golden_case(const hs_tensor_set *set, const char *name, int n, int d) {
    enum { GK = 12 };
    hs_error err;
    char text[40];
    float *components = malloc(sizeof(float) * GK * (size_t)d);
    double sigma[GK], ratio[GK], *mean = malloc(sizeof(double) * (size_t)d);
    assert_true(components && mean);
    snprintf(text, sizeof text, "%s.h", name);
    const float *h = hs_test_golden_f32(set, text, (int64_t)n * d);
    assert_ok(hs_gram_pca(n, GK, d, h, components, sigma, ratio, mean, NULL, &err));
    snprintf(text, sizeof text, "%s.sigma", name);
    const double *wanted = hs_test_golden_f64(set, text, GK);
    double sigma_error = 0;
    for (int j = 0; j < GK; j++)
        sigma_error = fmax(sigma_error, fabs(sigma[j] / wanted[j] - 1));
    snprintf(text, sizeof text, "%s.components", name);
    const float *rows = hs_test_golden_f32(set, text, (int64_t)GK * d);
    double angle = hs_test_spans_angle(GK, d, wanted, components, d, rows, d);
    snprintf(text, sizeof text, "%s.ratio", name);
    double ratio_error = hs_test_relative_error_f64(ratio, hs_test_golden_f64(set, text, GK), GK);
    print_message("%s: sigma %.2g, angle %.2g, ratio %.2g\n", name, sigma_error, angle,
                  ratio_error);
    assert_true(sigma_error < 2e-14);
    assert_true(angle < 1e-7);
    assert_true(ratio_error < 2e-14);
    free(mean);
    free(components);
}

static void test_golden(void **state) {
    hs_tensor_set *set = hs_test_pca_golden();
    golden_case(set, "wide", 30, 400);
    golden_case(set, "tall", 120, 40);
    hs_tensor_set_free(set);
}

static void test_errors(void **state) {
    static float x[N * D];
    static pca_result out;
    hs_error err;
    hs_test_fill(5, x, N * D);
    const struct {
        int n, k, d;
    } bad[] = {{1, 1, D},  {0, 1, D},          {N, 0, D}, {N, N, D},
               {N, -1, D}, {N, 1000000000, D}, {N, 4, 3}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(hs_gram_pca(bad[i].n, bad[i].k, bad[i].d, x, out.components, out.sigma,
                                     out.ratio, out.mean, out.scores, &err),
                         HS_ERROR_ARGUMENT);
    x[17] = NAN;
    assert_int_equal(
        hs_gram_pca(N, K, D, x, out.components, out.sigma, out.ratio, out.mean, out.scores, &err),
        HS_ERROR_NUMERIC);
    for (int i = 0; i < N; i++) /* varies in three dimensions */
        for (int c = 0; c < D; c++)
            x[i * D + c] = (float)((i % 2) * (c % 3 == 0) + (i % 5) * (c % 7) + (i % 3) * (c % 11));
    assert_int_equal(
        hs_gram_pca(N, K, D, x, out.components, out.sigma, out.ratio, out.mean, out.scores, &err),
        HS_ERROR_NUMERIC);
    assert_non_null(strstr(err.message, "vary in 3 dimensions"));
    memset(x, 0, sizeof x);
    assert_int_equal(
        hs_gram_pca(N, K, D, x, out.components, out.sigma, out.ratio, out.mean, out.scores, &err),
        HS_ERROR_NUMERIC);
    assert_non_null(strstr(err.message, "vary in 0 dimensions"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_spectrum),
        cmocka_unit_test(test_properties),
        cmocka_unit_test(test_permutation_and_threads),
        cmocka_unit_test(test_offset),
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
