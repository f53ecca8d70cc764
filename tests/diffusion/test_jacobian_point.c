/*
 * Products with d eps / d h of a whole model: adjoint to each other, equal to
 * differences of eps, and the same for any block and for both back ends.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "jacobian.h"
#include "support.h"

#define VECTORS 5

typedef struct fixture {
    hs_model *model;
    hs_denoiser *denoiser;
    hs_jacobian *jacobian;
    size_t image, h;
    float *x, *v, *u; /* x [C,H,W], v [VECTORS,c,h,w], u [VECTORS,C,H,W] */
    float *jv, *jtu;
} fixture;

static void setup(fixture *f, hs_backend_kind backend, hs_h_space h_space, int block,
                  int64_t slope_bytes, hs_prediction prediction) {
    hs_error err;
    assert_ok(hs_model_open("../models/demo/avatars32", NULL, &f->model, &err));
    f->model->schedule.prediction = prediction; /* another reading of the same output */
    hs_denoiser_options options = hs_denoiser_options_default();
    options.backend = backend;
    options.h_space = h_space;
    options.threads = 2;
    assert_ok(hs_denoiser_create(f->model, &options, &f->denoiser, &err));
    assert_ok(hs_jacobian_create(f->denoiser, block, slope_bytes, &f->jacobian, &err));
    f->image = hs_denoiser_image_size(f->denoiser);
    f->h = hs_denoiser_h_size(f->denoiser);
    f->x = malloc(f->image * sizeof(float));
    f->v = malloc(VECTORS * f->h * sizeof(float));
    f->u = malloc(VECTORS * f->image * sizeof(float));
    f->jv = malloc(VECTORS * f->image * sizeof(float));
    f->jtu = malloc(VECTORS * f->h * sizeof(float));
    hs_test_fill(1, f->x, (int64_t)f->image);
    hs_test_fill(2, f->v, (int64_t)(VECTORS * f->h));
    hs_test_fill(3, f->u, (int64_t)(VECTORS * f->image));
}

static void teardown(fixture *f) {
    free(f->jtu);
    free(f->jv);
    free(f->u);
    free(f->v);
    free(f->x);
    hs_jacobian_free(f->jacobian);
    hs_denoiser_free(f->denoiser);
    hs_model_free(f->model);
}

static void some_products(fixture *f, int t, int count) {
    hs_error err;
    assert_ok(hs_jacobian_point(f->jacobian, f->x, t, NULL, NULL, NULL, &err));
    assert_ok(hs_jacobian_apply(f->jacobian, false, count, f->v, f->jv, &err));
    assert_ok(hs_jacobian_apply(f->jacobian, true, count, f->u, f->jtu, &err));
}

static void products(fixture *f, int t) {
    some_products(f, t, VECTORS);
}

static double dot(const float *a, const float *b, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

/* <u, J v> = <J^T u, v> relative to |u| |J v|; largest seen 2e-8. */
static void test_adjoint(void **state) {
    static const hs_h_space spaces[] = {HS_H_BEFORE, HS_H_MIDDLE, HS_H_AFTER};
    for (int s = 0; s < 3; s++) {
        fixture f;
        setup(&f, HS_BACKEND_ONEDNN, spaces[s], 0, HS_SLOPE_BYTES, HS_PREDICT_EPSILON);
        products(&f, 300);
        for (size_t i = 0; i < VECTORS; i++) {
            const float *u = f.u + i * f.image, *jv = f.jv + i * f.image;
            double left = dot(u, jv, f.image), right = dot(f.jtu + i * f.h, f.v + i * f.h, f.h);
            double size = sqrt(dot(u, u, f.image) * dot(jv, jv, f.image));
            assert_true(size > 0);
            assert_true(fabs(left - right) <= 2e-7 * size);
        }
        teardown(&f);
    }
}

/* (eps(h + d v) - eps(h - d v)) / 2d: the truncation and float's rounding leave
 * some 1e-3; largest seen 4e-4. */
static void test_differences(void **state) {
    static const hs_prediction predictions[] = {HS_PREDICT_EPSILON, HS_PREDICT_V,
                                                HS_PREDICT_SAMPLE};
    for (int p = 0; p < 3; p++) {
        hs_error err;
        fixture f;
        setup(&f, HS_BACKEND_ONEDNN, HS_H_AFTER, 0, HS_SLOPE_BYTES, predictions[p]);
        int t = 300;
        products(&f, t);
        float *delta = malloc(f.h * sizeof *delta), *ahead = malloc(f.image * sizeof *ahead);
        float *behind = malloc(f.image * sizeof *behind);
        for (size_t i = 0; i < f.h; i++)
            delta[i] = 0.01f * f.v[i];
        assert_ok(hs_denoiser_eps(f.denoiser, 1, f.x, &t, delta, ahead, NULL, &err));
        for (size_t i = 0; i < f.h; i++)
            delta[i] = -delta[i];
        assert_ok(hs_denoiser_eps(f.denoiser, 1, f.x, &t, delta, behind, NULL, &err));
        for (size_t i = 0; i < f.image; i++)
            ahead[i] = (ahead[i] - behind[i]) / 0.02f;
        double error = hs_test_relative_error(ahead, f.jv, (int64_t)f.image);
        if (error > 3e-3)
            fail_msg("prediction %d: %.3g", p, error);
        free(behind);
        free(ahead);
        free(delta);
        teardown(&f);
    }
}

/* The point gives what a pass gives, and any block the same bits, with slopes that are
 * kept and with slopes that are not. */
static void test_blocks_and_point(void **state) {
    hs_error err;
    fixture whole, one;
    int t = 120;
    setup(&whole, HS_BACKEND_ONEDNN, HS_H_AFTER, 3, HS_SLOPE_BYTES, HS_PREDICT_EPSILON); /* 3 + 2 */
    setup(&one, HS_BACKEND_ONEDNN, HS_H_AFTER, 1, 0, HS_PREDICT_EPSILON);
    products(&whole, t);
    products(&one, t);
    assert_memory_equal(whole.jv, one.jv, VECTORS * one.image * sizeof(float));
    assert_memory_equal(whole.jtu, one.jtu, VECTORS * one.h * sizeof(float));
    float *eps = malloc(2 * one.image * sizeof *eps), *h = malloc(2 * one.h * sizeof *h);
    assert_ok(hs_jacobian_point(one.jacobian, one.x, t, one.v, eps, h, &err));
    assert_ok(hs_denoiser_eps(one.denoiser, 1, one.x, &t, one.v, eps + one.image, h + one.h, &err));
    assert_memory_equal(eps, eps + one.image, one.image * sizeof *eps);
    assert_memory_equal(h, h + one.h, one.h * sizeof *h);
    int64_t count;
    double seconds;
    hs_jacobian_stats(one.jacobian, &count, &seconds);
    assert_int_equal(count, 2 * VECTORS);
    assert_true(seconds > 0);
    free(h);
    free(eps);
    teardown(&one);
    teardown(&whole);
}

/* Against the reference back end; largest seen 1e-6. */
static void test_back_ends(void **state) {
    fixture fast, slow;
    setup(&fast, HS_BACKEND_ONEDNN, HS_H_AFTER, 2, HS_SLOPE_BYTES, HS_PREDICT_EPSILON);
    setup(&slow, HS_BACKEND_REF, HS_H_AFTER, 1, 0, HS_PREDICT_EPSILON);
    some_products(&fast, 700, 1);
    some_products(&slow, 700, 1);
    double jv = hs_test_relative_error(fast.jv, slow.jv, (int64_t)fast.image);
    double jtu = hs_test_relative_error(fast.jtu, slow.jtu, (int64_t)fast.h);
    if (jv > 5e-6 || jtu > 5e-6)
        fail_msg("J v %.3g, J^T u %.3g", jv, jtu);
    teardown(&slow);
    teardown(&fast);
}

static void test_refusals(void **state) {
    hs_error err;
    fixture f;
    setup(&f, HS_BACKEND_ONEDNN, HS_H_AFTER, 2, HS_SLOPE_BYTES, HS_PREDICT_EPSILON);
    hs_jacobian *none = NULL;
    assert_int_equal(hs_jacobian_create(f.denoiser, -1, 0, &none, &err), HS_ERROR_ARGUMENT);
    assert_null(none);
    assert_int_equal(hs_jacobian_apply(f.jacobian, false, 1, f.v, f.jv, &err), HS_ERROR_ARGUMENT);
    assert_non_null(strstr(err.message, "no point"));
    assert_int_equal(hs_jacobian_point(f.jacobian, f.x, 1000, NULL, NULL, NULL, &err),
                     HS_ERROR_ARGUMENT);
    f.x[5] = NAN;
    assert_int_equal(hs_jacobian_point(f.jacobian, f.x, 10, NULL, NULL, NULL, &err),
                     HS_ERROR_NUMERIC);
    assert_int_equal(hs_jacobian_apply(f.jacobian, false, 1, f.v, f.jv, &err), HS_ERROR_ARGUMENT);
    teardown(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adjoint),          cmocka_unit_test(test_differences),
        cmocka_unit_test(test_blocks_and_point), cmocka_unit_test(test_back_ends),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
