/* Alignment undoes flips and permutations that were put in. */
#include "support.h"

#include <string.h>

#include "directions/align.h"

enum { K = 5, D = 300, N = 64 };

static void test_sign(void **state) {
    float positive[4] = {-1, 2, -2, 0}, negative[4] = {1, -3, 2, 2.9F}, zero[2] = {0, 0};
    assert_int_equal(hs_align_sign(4, positive), 1);
    assert_int_equal(hs_align_sign(4, negative), -1);
    assert_int_equal(hs_align_sign(2, zero), 1);
}

static void test_index(void **state) {
    hs_error err;
    static float first[K * (D + 3)], step[K * D], expected[K * D];
    hs_test_fill(1, first, K * (D + 3));
    hs_test_fill(2, step, K * D);
    int flip[K], put_in[K] = {-1, 1, 1, -1, -1};
    for (int j = 0; j < K; j++) /* positive inner products, then flipped */
        for (int i = 0; i < D; i++) {
            expected[j * D + i] = first[j * (D + 3) + i] + 0.3F * step[j * D + i];
            step[j * D + i] = (float)put_in[j] * expected[j * D + i];
        }
    hs_align_index(K, D, first, D + 3, step, flip);
    assert_memory_equal(flip, put_in, sizeof flip);
    assert_ok(hs_align_rows_f32(K, D, NULL, flip, step, &err));
    assert_memory_equal(step, expected, sizeof step);
}

static void test_score(void **state) {
    hs_error err;
    static double previous[K * N], scores[K * N], expected[K * N];
    uint64_t stream = 3;
    /* Place j of `previous` is found at row `where[j]`, times sign[j]. */
    int where[K] = {2, 0, 1, 4, 3}, sign[K] = {1, -1, -1, 1, -1}, order[K], flip[K];
    for (int i = 0; i < K * N; i++)
        previous[i] = hs_test_random(&stream);
    for (int j = 0; j < K; j++)
        for (int i = 0; i < N; i++) {
            expected[j * N + i] = 7 + 3 * previous[j * N + i] + 0.8 * hs_test_random(&stream);
            scores[where[j] * N + i] = sign[j] * expected[j * N + i];
        }
    assert_ok(hs_align_score(K, N, previous, scores, order, flip, &err));
    assert_memory_equal(order, where, sizeof order);
    assert_memory_equal(flip, sign, sizeof flip);
    assert_ok(hs_align_rows_f64(K, N, order, flip, scores, &err));
    assert_memory_equal(scores, expected, sizeof scores);
}

/* Where the greedy choice is wrong: 0-0 correlates best, but then 1-1 is left
 * with nothing, while 0-1 and 1-0 together are better. */
static void test_score_is_an_assignment(void **state) {
    hs_error err;
    double previous[2 * 4] = {1, -1, 0, 0, 1, -1, 0.9, -0.9};
    double scores[2 * 4] = {1, -1, 0.2, -0.2, 1, -1, -0.1, 0.1};
    int order[2], flip[2];
    assert_ok(hs_align_score(2, 4, previous, scores, order, flip, &err));
    /* correlations: (0.98, 0.995; 0.86, 0.68): 0-1 and 1-0 */
    assert_int_equal(order[0], 1);
    assert_int_equal(order[1], 0);
    assert_int_equal(flip[0], 1);
    assert_int_equal(flip[1], 1);
}

static void test_constant_scores(void **state) {
    hs_error err;
    double previous[2 * 3] = {1, 1, 1, 1, 2, 3}, scores[2 * 3] = {-1, -2, -3, 5, 5, 5};
    int order[2], flip[2];
    assert_ok(hs_align_score(2, 3, previous, scores, order, flip, &err));
    assert_int_equal(order[1], 0);
    assert_int_equal(flip[1], -1);
    assert_int_equal(order[0], 1);
    assert_int_equal(flip[0], 1);
}

static void test_every_permutation(void **state) {
    hs_error err;
    for (int code = 0; code < 5 * 5 * 5 * 5 * 5; code++) {
        int order[K], rest = code, used = 0;
        for (int j = 0; j < K; j++, rest /= 5) {
            order[j] = rest % 5;
            used |= 1 << order[j];
        }
        if (used != 31)
            continue;
        float rows[K * 2];
        for (int j = 0; j < K; j++)
            rows[2 * j] = rows[2 * j + 1] = (float)j;
        assert_ok(hs_align_rows_f32(K, 2, order, NULL, rows, &err));
        for (int j = 0; j < K; j++)
            if ((int)rows[2 * j] != order[j] || (int)rows[2 * j + 1] != order[j])
                fail_msg("code %d place %d", code, j);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sign),
        cmocka_unit_test(test_index),
        cmocka_unit_test(test_score),
        cmocka_unit_test(test_score_is_an_assignment),
        cmocka_unit_test(test_constant_scores),
        cmocka_unit_test(test_every_permutation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
