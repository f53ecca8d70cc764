/* What all methods of hs_svd_run promise: the same triplets, few products, clear
 * errors, bounded memory, determinism. */
#include "directions/svd_support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/threads.h"

static const hs_svd_method methods[] = {HS_SVD_KRYLOV, HS_SVD_SUBSPACE, HS_SVD_BATCHED};

static void make(int m, int n, int r, double first, double power, int block, hs_test_operator *a) {
    double s[512];
    for (int j = 0; j < r; j++)
        s[j] = first * pow(j + 1, -power);
    hs_test_operator_make(11, m, n, r, s, block, a);
}

static hs_svd_options want(int k, hs_svd_method method) {
    hs_svd_options options = hs_svd_options_default();
    options.k = k;
    options.method = method;
    options.max_products = 20000;
    return options;
}

static void test_methods_agree(void **state) {
    const double tolerances[] = {1e-3, 1e-5};
    hs_error err;
    for (int t = 0; t < 2; t++)
        for (int i = 0; i < 3; i++) {
            hs_test_operator a;
            hs_svd svd;
            make(150, 90, 90, 4, 1.2, 4, &a);
            hs_svd_options options = want(5, methods[i]);
            options.tol = tolerances[t];
            assert_ok(hs_svd_run(&a.op, &options, NULL, &svd, &err));
            hs_test_quality q = hs_test_judge(&a, &svd);
            hs_test_print(hs_svd_method_name(methods[i]), &svd, &q);
            assert_true(q.residual <= options.tol * 1.01 && q.claim < 1e-7);
            assert_true(q.sigma < options.tol && q.angle < 8 * options.tol);
            assert_true(q.orthogonal < 1e-6);
            hs_svd_free(&svd);
            hs_test_operator_free(&a);
        }
}

/* Heap that a run takes while products are made, less its result: no more than
 * hs_svd_bytes says (observed: 0.89 to 0.99 of it). */
static void test_bytes(void **state) {
    hs_error err;
    for (int i = 0; i < 3; i++)
        for (int tight = 0; tight < 2; tight++) {
            hs_test_operator a;
            hs_svd svd;
            int64_t bytes;
            make(3000, 700, 20, 3, 0.1, 8, &a);
            hs_svd_options options = want(3, methods[i]);
            options.max_mem = tight ? 700 << 10 : 0;
            assert_ok(hs_svd_bytes(&a.op, &options, &bytes, &err));
            assert_true(!tight || bytes <= options.max_mem);
            int64_t before = hs_test_heap();
            assert_ok(hs_svd_run(&a.op, &options, NULL, &svd, &err));
            int64_t took = a.heap - before - 3 * (3000 + 700) * (int64_t)sizeof(float);
            print_message("%s: %d bytes, said %d, %d products\n", hs_svd_method_name(methods[i]),
                          (int)took, (int)bytes, (int)svd.products);
            assert_true(took <= bytes);
            hs_svd_free(&svd);
            hs_test_operator_free(&a);
        }
}

/* Restarts: a slow spectrum, a tight tolerance, the least memory. */
static void test_restarts(void **state) {
    hs_error err;
    hs_test_operator a;
    hs_svd svd;
    make(300, 250, 250, 3, 0.3, 3, &a);
    hs_svd_options options = want(5, HS_SVD_KRYLOV);
    options.tol = 1e-5;
    options.max_mem = 1;
    assert_int_equal(hs_svd_run(&a.op, &options, NULL, &svd, &err), HS_ERROR_MEMORY);
    options.max_mem = strtoll(strstr(err.message, "at least ") + 9, NULL, 10);
    assert_ok(hs_svd_run(&a.op, &options, NULL, &svd, &err));
    hs_test_quality q = hs_test_judge(&a, &svd);
    hs_test_print("many restarts", &svd, &q);
    assert_true(q.residual <= 1.01e-5 && q.sigma < 1e-5 && q.angle < 3e-4);
    hs_svd_free(&svd);
    hs_test_operator_free(&a);
}

/* A slowly falling spectrum: what Krylov is for. Observed: 82 products, 210 and
 * 220 for the others. */
static void test_products_compared(void **state) {
    hs_error err;
    int64_t products[3];
    for (int i = 0; i < 3; i++) {
        hs_test_operator a;
        hs_svd svd;
        make(160, 140, 140, 3, 0.2, 8, &a);
        hs_svd_options options = want(3, methods[i]);
        assert_ok(hs_svd_run(&a.op, &options, NULL, &svd, &err));
        products[i] = svd.products;
        assert_int_equal(a.products, svd.products);
        hs_svd_free(&svd);
        hs_test_operator_free(&a);
    }
    print_message("products: krylov %d, subspace %d, batched %d\n", (int)products[0],
                  (int)products[1], (int)products[2]);
    assert_true(products[0] * 2 < products[1]);
    assert_true(products[0] * 2 < products[2]);
}

/* The least memory gives the same triplets, and what a run allocates is bounded
 * by what it says; a smaller bound is refused with the number. */
static void test_memory(void **state) {
    hs_error err;
    hs_test_operator a;
    hs_svd full, tight;
    int64_t bytes, least;
    make(300, 200, 200, 3, 0.8, 8, &a);
    hs_svd_options options = want(3, HS_SVD_KRYLOV);
    assert_ok(hs_svd_bytes(&a.op, &options, &bytes, &err));
    assert_ok(hs_svd_run(&a.op, &options, NULL, &full, &err));
    options.max_mem = 1;
    assert_int_equal(hs_svd_run(&a.op, &options, NULL, &tight, &err), HS_ERROR_MEMORY);
    const char *at = strstr(err.message, "at least ");
    assert_non_null(at);
    least = strtoll(at + 9, NULL, 10);
    assert_true(least > 0 && least < bytes / 2);
    options.max_mem = least - 1;
    assert_int_equal(hs_svd_run(&a.op, &options, NULL, &tight, &err), HS_ERROR_MEMORY);
    options.max_mem = least;
    assert_ok(hs_svd_bytes(&a.op, &options, &bytes, &err));
    assert_int_equal(bytes, least);
    a.products = a.calls = 0;
    assert_ok(hs_svd_run(&a.op, &options, NULL, &tight, &err));
    hs_test_quality q = hs_test_judge(&a, &tight);
    print_message("full: %lld products\n", (long long)full.products);
    hs_test_print("least memory", &tight, &q);
    assert_true(q.residual <= 1.01e-3 && q.angle < 1e-2);
    for (int j = 0; j < 3; j++)
        assert_true(fabs(full.sigma[j] / tight.sigma[j] - 1) < 1e-4);
    for (int i = 0; i < 3 * 200; i++)
        assert_true(fabsf(full.v[i] - tight.v[i]) < 5e-3F); /* the sign too */
    hs_svd_free(&full);
    hs_svd_free(&tight);
    hs_test_operator_free(&a);
}

static void test_determinism(void **state) {
    hs_error err;
    for (int i = 0; i < 3; i++) {
        hs_test_operator a;
        hs_svd one, two, other;
        make(120, 100, 100, 3, 1, 3, &a);
        hs_svd_options options = want(4, methods[i]);
        assert_ok(hs_svd_run(&a.op, &options, NULL, &one, &err));
        hs_threads_saved saved = hs_threads_push(3);
        assert_ok(hs_svd_run(&a.op, &options, NULL, &two, &err));
        hs_threads_pop(saved);
        options.seed = 99;
        assert_ok(hs_svd_run(&a.op, &options, NULL, &other, &err));
        assert_memory_equal(one.v, two.v, 4 * 100 * sizeof(float));
        assert_memory_equal(one.u, two.u, 4 * 120 * sizeof(float));
        assert_memory_equal(one.sigma, two.sigma, 4 * sizeof(double));
        assert_int_equal(one.products, two.products);
        for (int c = 0; c < 4 * 100; c++) /* another start, the same vectors and signs */
            assert_true(fabsf(one.v[c] - other.v[c]) < 1e-2F);
        hs_svd_free(&one);
        hs_svd_free(&two);
        hs_svd_free(&other);
        hs_test_operator_free(&a);
    }
}

static void test_rank(void **state) {
    hs_error err;
    for (int i = 0; i < 3; i++)
        for (int rank = 0; rank < 4; rank++) {
            hs_test_operator a;
            hs_svd svd = {0};
            make(80, 60, rank, 3, 0.5, 4, &a);
            hs_svd_options options = want(4, methods[i]);
            char wanted[40];
            snprintf(wanted, sizeof wanted, "has rank %d ", rank);
            assert_int_equal(hs_svd_run(&a.op, &options, NULL, &svd, &err), HS_ERROR_NUMERIC);
            assert_non_null(strstr(err.message, wanted));
            assert_non_null(strstr(err.message, "k = 4"));
            assert_null(svd.v);
            options.partial = true;
            a.products = a.calls = 0;
            assert_ok(hs_svd_run(&a.op, &options, NULL, &svd, &err));
            assert_int_equal(svd.k, rank);
            assert_int_equal(svd.rank, rank);
            hs_test_quality q = hs_test_judge(&a, &svd);
            assert_true(q.residual <= 1e-3 && q.sigma < 1e-3 && q.angle < 1e-2);
            hs_svd_free(&svd);
            hs_test_operator_free(&a);
        }
}

static void test_not_converged(void **state) {
    hs_error err;
    for (int i = 0; i < 3; i++) {
        hs_test_operator a;
        hs_svd svd = {0};
        make(160, 140, 140, 3, 0.1, 8, &a);
        hs_svd_options options = want(3, methods[i]);
        options.max_products = 30;
        assert_int_equal(hs_svd_run(&a.op, &options, NULL, &svd, &err), HS_ERROR_NUMERIC);
        assert_non_null(strstr(err.message, "residuals "));
        assert_non_null(strstr(err.message, "expected at most 0.001"));
        assert_true(a.products <= 30);
        options.partial = true;
        a.products = a.calls = 0;
        assert_ok(hs_svd_run(&a.op, &options, NULL, &svd, &err));
        assert_int_equal(svd.k, 3);
        assert_false(svd.converged[2]);
        hs_test_quality q = hs_test_judge(&a, &svd);
        assert_true(q.residual > 1e-3 && q.claim < 1e-7); /* and says so */
        assert_true(svd.products <= 30);
        hs_svd_free(&svd);
        hs_test_operator_free(&a);
    }
}

/* A tolerance below what float products can give ends in an error, not in a
 * long run. */
static void test_tolerance_too_small(void **state) {
    hs_error err;
    for (int i = 0; i < 3; i++) {
        hs_test_operator a;
        hs_svd svd = {0};
        make(100, 80, 80, 3, 2, 8, &a);
        hs_svd_options options = want(3, methods[i]);
        options.tol = 1e-10;
        assert_int_equal(hs_svd_run(&a.op, &options, NULL, &svd, &err), HS_ERROR_NUMERIC);
        assert_non_null(strstr(err.message, "not exact enough"));
        assert_true(a.products < 3000);
        hs_test_operator_free(&a);
    }
}

static bool stop_later(void *ctx, const char *phase, double done, double total) {
    int *calls = ctx;
    assert_true(done >= 0 && done <= total);
    assert_non_null(strstr(phase, "products, residual"));
    return ++*calls < 3;
}

static void test_operator_fails(void **state) {
    hs_error err;
    for (int i = 0; i < 3; i++) {
        hs_test_operator a;
        hs_svd svd = {0};
        make(160, 140, 140, 3, 0.2, 2, &a);
        hs_svd_options options = want(3, methods[i]);
        a.nan_at = 14;
        assert_int_equal(hs_svd_run(&a.op, &options, NULL, &svd, &err), HS_ERROR_NUMERIC);
        assert_non_null(strstr(err.message, "product 15"));
        assert_non_null(strstr(err.message, "nan in entry 0"));
        a.nan_at = -1;
        a.products = 0;
        a.fail_at = 9;
        assert_int_equal(hs_svd_run(&a.op, &options, NULL, &svd, &err), HS_ERROR_IO);
        assert_string_equal(err.message, "the operator failed");
        a.fail_at = -1;
        int calls = 0;
        hs_monitor monitor = {.ctx = &calls, .progress = stop_later};
        assert_int_equal(hs_svd_run(&a.op, &options, &monitor, &svd, &err), HS_ERROR_CANCELLED);
        assert_int_equal(calls, 3);
        assert_null(svd.v);
        hs_test_operator_free(&a);
    }
}

static void refused(const hs_linop *op, hs_svd_options options, const char *text) {
    hs_error err;
    hs_svd svd = {0};
    assert_int_equal(hs_svd_run(op, &options, NULL, &svd, &err), HS_ERROR_ARGUMENT);
    if (!strstr(err.message, text))
        fail_msg("'%s' does not hold '%s'", err.message, text);
    assert_null(svd.v);
}

static void test_arguments(void **state) {
    hs_test_operator a;
    make(30, 20, 20, 3, 1, 4, &a);
    for (int i = 0; i < 3; i++) {
        hs_svd_options good = want(3, methods[i]), o = good;
        o.k = 0;
        refused(&a.op, o, "k is 0, expected 1 to 20");
        o.k = 21;
        refused(&a.op, o, "k is 21, expected 1 to 20");
        o = good;
        o.tol = 0;
        refused(&a.op, o, "tol is 0");
        o.tol = NAN;
        refused(&a.op, o, "tol is");
        o = good;
        o.max_products = 5;
        refused(&a.op, o, "max_products is 5, expected at least");
        o = good;
        o.max_mem = -1;
        refused(&a.op, o, "max_mem -1");
        o = good;
        o.noise = 1;
        refused(&a.op, o, "noise is 1");
    }
    hs_svd_options o = want(3, HS_SVD_KRYLOV);
    o.block = 3;
    refused(&a.op, o, "block is 3, expected at least 4");
    o.method = HS_SVD_SUBSPACE;
    o.block = 2;
    refused(&a.op, o, "block is 2, expected at least 3");
    o.method = HS_SVD_BATCHED;
    o.block = 4;
    refused(&a.op, o, "block is 4, expected at most 3");
    o.method = (hs_svd_method)7;
    o.block = 0;
    refused(&a.op, o, "method is 7");
    hs_test_operator_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_restarts),
        cmocka_unit_test(test_methods_agree),
        cmocka_unit_test(test_products_compared),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_determinism),
        cmocka_unit_test(test_rank),
        cmocka_unit_test(test_not_converged),
        cmocka_unit_test(test_tolerance_too_small),
        cmocka_unit_test(test_operator_fails),
        cmocka_unit_test(test_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
