/* Random directions: the norms are those of the directions they are shown
 * beside, and nothing else is. */
#include "support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/direction_file.h"

enum { K = 3, D = 2 * 4 * 5 };

static hs_directions *make(int S, int T) {
    hs_directions *d = hs_directions_new(K, S, T, (const int[3]){2, 4, 5});
    assert_non_null(d);
    d->delta_h = calloc((size_t)(K * S * D), sizeof(float));
    d->timesteps = calloc((size_t)T, sizeof(int64_t));
    assert_true(d->delta_h && d->timesteps);
    hs_test_fill(1, d->delta_h, K * S * D);
    for (int i = 0; i < K * S; i++) /* norms of their own, one of them zero */
        for (int c = 0; c < D; c++)
            d->delta_h[i * D + c] *= (float)i;
    for (int i = 0; i < T; i++)
        d->timesteps[i] = 10 * (T - 1 - i);
    d->N = 100;
    d->h_space = HS_H_MIDDLE;
    memcpy(d->model, "0123456789abcdef0123456789abcdef", 33);
    return d;
}

static double dot(const float *a, const float *b) {
    double sum = 0;
    for (int c = 0; c < D; c++)
        sum += (double)a[c] * (double)b[c];
    return sum;
}

static void check(int S, int T) {
    hs_error err;
    hs_directions *like = make(S, T), *a = NULL, *b = NULL, *other = NULL;
    assert_ok(hs_directions_random_like(like, 7, &a, &err));
    assert_ok(hs_directions_random_like(like, 7, &b, &err));
    assert_ok(hs_directions_random_like(like, 8, &other, &err));
    assert_int_equal(a->K, K);
    assert_int_equal(a->S, S);
    assert_int_equal(a->T, T);
    assert_int_equal(a->N, 100);
    assert_int_equal(a->h_space, HS_H_MIDDLE);
    assert_string_equal(a->model, like->model);
    assert_string_equal(a->method, "random");
    assert_string_equal(hs_directions_name(a, 2), "random2");
    assert_memory_equal(a->timesteps, like->timesteps, (size_t)T * sizeof(int64_t));
    assert_memory_equal(a->delta_h, b->delta_h, sizeof(float) * (size_t)(K * S * D));
    for (int i = 0; i < K * S; i++) {
        const float *v = a->delta_h + i * D, *w = like->delta_h + i * D;
        double norm = sqrt(dot(w, w));
        assert_true(fabs(sqrt(dot(v, v)) - norm) <= 5e-7 * norm); /* observed: 5e-8 */
        if (i == 0)
            continue;
        assert_true(fabs(dot(v, w)) < 0.6 * norm * norm);
        for (int j = 1; j < i; j++) { /* steps and directions are independent */
            const float *u = a->delta_h + j * D;
            assert_true(fabs(dot(u, v)) < 0.6 * sqrt(dot(u, u)) * norm);
        }
        assert_true(fabs(dot(v, other->delta_h + i * D)) < 0.6 * norm * norm);
    }
    hs_directions_free(other);
    hs_directions_free(b);
    hs_directions_free(a);
    hs_directions_free(like);
}

static void test_norms(void **state) {
    check(6, 6);
    check(1, 6);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_norms)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
