/* Incremental PCA against exact PCA of the same rows. */
#include "directions/pca_support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "directions/gram_pca.h"
#include "directions/incremental_pca.h"

static void feed(int n, int d, const float *x, int batch, hs_incremental_pca *pca) {
    hs_error err;
    for (int first = 0; first < n; first += batch) {
        int b = n - first < batch ? n - first : batch;
        assert_ok(hs_incremental_pca_add(pca, b, x + (int64_t)first * d, NULL, &err));
    }
}

/* Of rank at most k nothing is forgotten: exact, whatever the batches. */
static void test_low_rank_is_exact(void **state) {
    enum { N = 50, D = 700, R = 4 };
    static const double singular[R] = {8, 5, 2, 1};
    static float x[N * D];
    static double u[R * N], v[R * D];
    static float found[(R + 2) * (D + 5)];
    hs_error err;
    hs_test_spectrum(1, N, D, R, singular, x, u, v);
    const int batches[] = {50, 25, 10, 7, 1};
    for (size_t trial = 0; trial < sizeof batches / sizeof *batches; trial++) {
        hs_incremental_pca pca;
        assert_ok(hs_incremental_pca_create(R + 2, D, found, D + 5, &pca, &err));
        feed(N, D, x, batches[trial], &pca);
        assert_int_equal(pca.count, N);
        double total = 0;
        for (int j = 0; j < R; j++) {
            double along = 0;
            for (int c = 0; c < D; c++)
                along += (double)found[j * (D + 5) + c] * v[j * D + c];
            assert_true(fabs(pca.s[j] / singular[j] - 1) < 1e-6); /* observed: 2e-7 */
            assert_true(fabs(fabs(along) - 1) < 1e-6);
            total += singular[j] * singular[j];
        }
        assert_true(fabs(pca.total / total - 1) < 1e-6);
        hs_incremental_pca_free(&pca);
    }
}

/* sum over components of the variance that exact scores have along them. */
static double explained(int n, int d, int k, const float *x, const double *mean,
                        const float *components) {
    double sum = 0;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < k; j++) {
            double score = 0;
            for (int c = 0; c < d; c++)
                score += ((double)x[i * d + c] - mean[c]) * (double)components[j * d + c];
            sum += score * score;
        }
    return sum;
}

/*
 * A slowly falling spectrum, s_j ~ 1/(j+1)^0.7 over 200 dimensions, and the
 * smallest batch that is allowed, b = 2k: the leading components explain
 * within 1 % of what exact ones do (observed: 0.4 % less).
 */
static void test_explains_as_exact(void **state) {
    enum { N = 300, D = 320, R = 200, K = 8 };
    static double singular[R], u[R * N], v[R * D], sigma[K], ratio[K], mean[D];
    static float x[N * D], components[K * D], found[K * D];
    hs_error err;
    for (int j = 0; j < R; j++)
        singular[j] = 10 * pow(j + 1, -0.7);
    hs_test_spectrum(2, N, D, R, singular, x, u, v);
    assert_ok(hs_gram_pca(N, K, D, x, components, sigma, ratio, mean, NULL, &err));
    double exact = explained(N, D, K, x, mean, components);
    hs_incremental_pca pca;
    assert_ok(hs_incremental_pca_create(K, D, found, D, &pca, &err));
    feed(N, D, x, 2 * K, &pca);
    double incremental = explained(N, D, K, x, mean, pca.components);
    print_message("explained: incremental/exact = %.6f\n", incremental / exact);
    assert_true(incremental > 0.99 * exact);
    assert_true(incremental <= exact * (1 + 1e-6));
    for (int c = 0; c < D; c++)
        assert_true(fabs(pca.mean[c] - mean[c]) < 1e-13);
    double total = sigma[0] * sigma[0] * (N - 1) / ratio[0];
    assert_true(fabs(pca.total / total - 1) < 1e-12);
    hs_incremental_pca_free(&pca);
}

/* One batch is the exact PCA; its scores are s times the exact unit scores. */
static void test_one_batch(void **state) {
    enum { N = 24, D = 90, K = 3 };
    static float x[N * D], components[K * D], found[K * D];
    double sigma[K], ratio[K], mean[D], scores[K * N], got[K * N];
    hs_error err;
    hs_test_fill(3, x, N * D);
    assert_ok(hs_gram_pca(N, K, D, x, components, sigma, ratio, mean, scores, &err));
    hs_incremental_pca pca;
    assert_ok(hs_incremental_pca_create(K, D, found, D, &pca, &err));
    assert_ok(hs_incremental_pca_add(&pca, N, x, got, &err));
    for (int j = 0; j < K; j++) {
        double same = 0;
        for (int i = 0; i < N; i++)
            same += scores[j * N + i] * got[j * N + i];
        assert_true(fabs(fabs(same) - 1) < 1e-12);
        assert_true(fabs(pca.s[j] / sqrt(N - 1.0) / sigma[j] - 1) < 1e-12);
    }
    assert_true(hs_test_span_angle_f32(K, D, components, pca.components) < 1e-6);
    hs_incremental_pca_free(&pca);
}

/* Samples that are all the same, and fewer samples than components. */
static void test_degenerate(void **state) {
    enum { D = 40, K = 6 };
    static float x[4 * D], found[K * D];
    double scores[K * 4];
    hs_error err;
    hs_incremental_pca pca;
    assert_ok(hs_incremental_pca_create(K, D, found, D, &pca, &err));
    for (int i = 0; i < 4 * D; i++)
        x[i] = (float)(i % D);
    assert_ok(hs_incremental_pca_add(&pca, 4, x, scores, &err));
    assert_int_equal(pca.rank, 0);
    hs_test_fill(4, x, 4 * D);
    assert_ok(hs_incremental_pca_add(&pca, 4, x, scores, &err));
    assert_int_equal(pca.rank, 4); /* three, and the way between the two means */
    for (int i = 0; i < (K - 4) * D; i++)
        assert_true(pca.components[4 * D + i] == 0);
    x[3] = INFINITY;
    assert_int_equal(hs_incremental_pca_add(&pca, 4, x, NULL, &err), HS_ERROR_NUMERIC);
    assert_int_equal(hs_incremental_pca_add(&pca, 0, x, NULL, &err), HS_ERROR_ARGUMENT);
    hs_incremental_pca_free(&pca);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_low_rank_is_exact),
        cmocka_unit_test(test_explains_as_exact),
        cmocka_unit_test(test_one_batch),
        cmocka_unit_test(test_degenerate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
