/* Disentangling (eq. 12): what a projection promises, numpy's values, and what
 * is refused. */
#include "support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/direction_file.h"
#include "io/tensor_set.h"

enum { T = 4, D = 2 * 3 * 5 };

static hs_directions *make(uint64_t seed, int K, int S, int steps) {
    hs_directions *d = hs_directions_new(K, S, steps, (const int[3]){2, 3, 5});
    assert_non_null(d);
    d->delta_h = calloc((size_t)(K * S * D), sizeof(float));
    d->timesteps = calloc((size_t)steps, sizeof(int64_t));
    assert_true(d->delta_h && d->timesteps);
    hs_test_fill(seed, d->delta_h, K * S * D);
    for (int i = 0; i < steps; i++)
        d->timesteps[i] = 10 * (steps - 1 - i);
    d->N = 100;
    memcpy(d->model, "0123456789abcdef0123456789abcdef", 33);
    return d;
}

static double dot(const float *a, const float *b, int count) {
    double sum = 0;
    for (int c = 0; c < count; c++)
        sum += (double)a[c] * (double)b[c];
    return sum;
}

/* What the monitor was told last. */
static void remember(void *ctx, const char *text) {
    strncpy(ctx, text, 299);
}

static hs_directions *clean(const hs_directions *of, const hs_directions *from, int count,
                            bool per_step, double *left, char *notice) {
    hs_error err;
    hs_directions *out = NULL;
    hs_direction_ref refs[4];
    hs_monitor monitor = {.ctx = notice, .notice = notice ? remember : NULL};
    for (int i = 0; i < count; i++)
        refs[i] = (hs_direction_ref){from, i};
    assert_ok(hs_directions_disentangle(of, refs, count, per_step, &monitor, &out, left, &err));
    return out;
}

/* Largest |cosine| of what is left with any column, over all or by step. */
static double worst_cosine(const hs_directions *of, const hs_directions *from, bool per_step) {
    double worst = 0;
    int pieces = per_step ? T : 1, length = per_step ? D : T * D;
    for (int k = 0; k < of->K; k++)
        for (int j = 0; j < from->K; j++)
            for (int p = 0; p < pieces; p++) {
                const float *a = of->delta_h + k * T * D + p * length;
                const float *b = from->delta_h + j * T * D + p * length;
                double cosine = dot(a, b, length) / sqrt(dot(a, a, length) * dot(b, b, length));
                worst = fmax(worst, fabs(cosine));
            }
    return worst;
}

static void test_projects(void **state) {
    for (int per_step = 0; per_step < 2; per_step++) {
        double left[2], again[2];
        hs_directions *of = make(1, 2, T, T), *from = make(2, 3, T, T);
        hs_directions *once = clean(of, from, 3, per_step, left, NULL);
        assert_true(worst_cosine(of, from, per_step) > 0.02);
        assert_true(worst_cosine(once, from, per_step) < 1e-6); /* observed: 2e-8 */
        hs_directions *twice = clean(once, from, 3, per_step, again, NULL);
        assert_true(hs_test_relative_error(twice->delta_h, once->delta_h, 2 * T * D) < 1e-6);
        for (int k = 0; k < 2; k++) {
            const float *a = of->delta_h + k * T * D, *b = once->delta_h + k * T * D;
            double share = sqrt(dot(b, b, T * D) / dot(a, a, T * D));
            assert_true(left[k] < 1 && fabs(left[k] - share) < 1e-6);
            assert_true(fabs(again[k] - 1) < 1e-6);
        }
        assert_string_equal(once->unit, of->unit);
        assert_string_equal(once->method, "disentangle");
        assert_string_equal(once->model, of->model);
        char *stored = hs_directions_get_metadata(once, "norm_left");
        assert_true(fabs(strtod(stored + 1, NULL) - left[0]) < 1e-12);
        free(stored);
        hs_directions_free(twice);
        hs_directions_free(once);
        hs_directions_free(from);
        hs_directions_free(of);
    }
}

/* clean(a + 2 b) = clean(a) + 2 clean(b), whatever the order of the columns. */
static void test_linear(void **state) {
    hs_error err;
    hs_directions *of = make(3, 3, T, T), *from = make(4, 3, T, T), *turned = NULL;
    float *x = of->delta_h;
    for (int c = 0; c < T * D; c++)
        x[2 * T * D + c] = x[c] + 2 * x[T * D + c];
    hs_directions *out = clean(of, from, 3, false, NULL, NULL);
    const float *y = out->delta_h;
    for (int c = 0; c < T * D; c++)
        assert_true(fabsf(y[2 * T * D + c] - y[c] - 2 * y[T * D + c]) < 1e-6f);
    const hs_direction_ref refs[] = {{from, 2}, {from, 0}, {from, 1}};
    assert_ok(hs_directions_disentangle(of, refs, 3, false, NULL, &turned, NULL, &err));
    assert_true(hs_test_relative_error(turned->delta_h, y, 3 * T * D) < 1e-6);
    hs_directions_free(turned);
    hs_directions_free(out);
    hs_directions_free(from);
    hs_directions_free(of);
}

/* A column that is a sum of the others, and one of zeros, change nothing and
 * are told. */
static void test_rank(void **state) {
    for (int per_step = 0; per_step < 2; per_step++) {
        char notice[300] = "";
        hs_directions *of = make(5, 1, T, T), *from = make(6, 4, T, T);
        float *x = from->delta_h;
        for (int c = 0; c < T * D; c++) {
            x[2 * T * D + c] = 0.5f * x[c] - 3 * x[T * D + c];
            x[3 * T * D + c] = 0;
        }
        hs_directions *two = clean(of, from, 2, per_step, NULL, notice);
        assert_string_equal(notice, "");
        hs_directions *four = clean(of, from, 4, per_step, NULL, notice);
        assert_non_null(strstr(notice, "linearly dependent"));
        assert_non_null(strstr(notice, per_step ? "at 4 of 4 steps (rank 2" : "(rank 2)"));
        assert_true(hs_test_relative_error(four->delta_h, two->delta_h, T * D) < 1e-6);
        hs_directions_free(four);
        hs_directions_free(two);
        hs_directions_free(from);
        hs_directions_free(of);
    }
}

/* One slice stands for the same slice at every step, on either side. */
static void test_one_slice(void **state) {
    hs_directions *of = make(7, 1, T, T), *single = make(8, 1, 1, 7), *spread = make(9, 1, T, T);
    for (int s = 0; s < T; s++)
        memcpy(spread->delta_h + s * D, single->delta_h, D * sizeof(float));
    hs_directions *a = clean(of, single, 1, false, NULL, NULL);
    hs_directions *b = clean(of, spread, 1, false, NULL, NULL);
    assert_true(hs_test_relative_error(a->delta_h, b->delta_h, T * D) < 1e-7);
    hs_directions *c = clean(single, of, 1, false, NULL, NULL);
    hs_directions *d = clean(spread, of, 1, false, NULL, NULL);
    assert_int_equal(c->S, T);
    assert_int_equal(c->T, T);
    assert_memory_equal(c->timesteps, of->timesteps, T * sizeof(int64_t));
    assert_true(hs_test_relative_error(c->delta_h, d->delta_h, T * D) < 1e-7);
    hs_directions_free(d);
    hs_directions_free(c);
    hs_directions_free(b);
    hs_directions_free(a);
    hs_directions_free(spread);
    hs_directions_free(single);
    hs_directions_free(of);
}

static void test_golden(void **state) {
    hs_error err;
    hs_tensor_set *set = NULL;
    assert_ok(hs_safetensors_open("golden/directions/supervised.safetensors", &set, &err));
    const hs_tensor *v = hs_tensor_set_find(set, "v"), *V = hs_tensor_set_find(set, "V");
    hs_directions *of = make(1, 1, T, T), *from = make(1, 3, T, T);
    memcpy(of->delta_h, v->data, T * D * sizeof(float));
    memcpy(from->delta_h, V->data, 3 * T * D * sizeof(float));
    for (int per_step = 0; per_step < 2; per_step++) {
        const hs_tensor *expected = hs_tensor_set_find(set, per_step ? "clean_per_step" : "clean");
        float *values = malloc(T * D * sizeof *values);
        memcpy(values, expected->data, T * D * sizeof *values);
        hs_directions *out = clean(of, from, 3, per_step, NULL, NULL);
        assert_true(hs_test_relative_error(out->delta_h, values, T * D) < 1e-6); /* 6e-8 */
        hs_directions_free(out);
        free(values);
    }
    hs_directions_free(from);
    hs_directions_free(of);
    hs_tensor_set_free(set);
}

static void refuse(const hs_directions *of, const hs_directions *from, int count, hs_status status,
                   const char *why) {
    hs_error err;
    hs_directions *out = NULL;
    hs_direction_ref refs[1] = {{from, 0}};
    assert_int_equal(hs_directions_disentangle(of, refs, count, false, NULL, &out, NULL, &err),
                     status);
    assert_null(out);
    if (!strstr(err.message, why))
        fail_msg("'%s' does not say '%s'", err.message, why);
}

static void test_refuses(void **state) {
    hs_directions *of = make(1, 1, T, T), *from = make(2, 1, T, T), *longer = make(2, 1, 5, 5);
    refuse(of, of, 1, HS_ERROR_NUMERIC, "nothing of it");
    refuse(of, from, 0, HS_ERROR_ARGUMENT, "expected 1 to 1000");
    refuse(of, longer, 1, HS_ERROR_MISMATCH, "step grid (5 steps, expected 4");
    from->timesteps[0]++;
    refuse(of, from, 1, HS_ERROR_MISMATCH, "step grid");
    from->timesteps[0]--;
    from->model[0] = 'f';
    refuse(of, from, 1, HS_ERROR_MISMATCH, "another model");
    from->model[0] = '0';
    from->h_space = HS_H_BEFORE;
    refuse(of, from, 1, HS_ERROR_MISMATCH, "h-space 'before', expected 'after'");
    from->h_space = HS_H_AFTER;
    from->h_shape[2] = 3;
    from->h_shape[1] = 5;
    refuse(of, from, 1, HS_ERROR_MISMATCH, "2 x 5 x 3, expected 2 x 3 x 5");
    hs_directions_free(longer);
    hs_directions_free(from);
    hs_directions_free(of);
}

static void test_pick(void **state) {
    hs_error err;
    hs_directions *all = make(1, 3, T, T), *one = NULL;
    assert_ok(hs_directions_pick(all, 2, &one, &err));
    assert_int_equal(one->K, 1);
    assert_string_equal(one->names[0], "2");
    assert_memory_equal(one->delta_h, all->delta_h + 2 * T * D, T * D * sizeof(float));
    assert_int_equal(hs_directions_pick(all, 3, &one, &err), HS_ERROR_ARGUMENT);
    hs_directions_free(one);
    hs_directions_free(all);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_projects), cmocka_unit_test(test_linear),
        cmocka_unit_test(test_rank),     cmocka_unit_test(test_one_slice),
        cmocka_unit_test(test_golden),   cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_pick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
