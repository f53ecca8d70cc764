/* What hs_pca refuses, and what it says that it will take. */
#include "directions/pca_run_support.h"

#include <math.h>
#include <string.h>

#include "directions/pca_plan.h"

static hs_pca_options sound(void) {
    hs_pca_options options = hs_pca_options_default();
    options.n = 20;
    options.k = 3;
    return options;
}

static void expect(const hs_test_pca *pca, const hs_pca_options *options, hs_status code,
                   const char *words) {
    hs_error err;
    hs_cost cost;
    hs_directions *d = NULL;
    if (hs_pca_cost(pca->sampler, options, &cost, &err) != code || !strstr(err.message, words))
        fail_msg("expected \"%s\", found: %s", words, err.message);
    assert_int_equal(hs_pca(pca->sampler, options, NULL, &d, &err), code);
    assert_non_null(strstr(err.message, words));
    assert_null(d);
}

static void test_refused(void **state) {
    hs_test_pca pca = hs_test_pca_open("dot", 3, 1, HS_Z_CONTINUE); /* c h w = 6 */
    hs_pca_options o;
    const struct {
        int n, k;
        const char *words;
    } sizes[] = {
        {0, 3, "n is 0, expected 2 to 10000000 samples"},
        {1, 1, "n is 1, expected 2"},
        {-5, 3, "n is -5"},
        {1000000000, 3, "n is 1000000000, expected 2 to 10000000"},
        {20, 0, "k is 0, expected 1 to n-1 = 19"},
        {20, -1, "k is -1"},
        {20, 20, "k is 20, expected 1 to n-1 = 19"},
        {20, 1000000000, "k is 1000000000"},
        {20, 7, "k is 7, expected 1 to 6, the number of values in h"},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        o = sound();
        o.n = sizes[i].n;
        o.k = sizes[i].k;
        expect(&pca, &o, HS_ERROR_ARGUMENT, sizes[i].words);
    }
    o = sound(), o.first_seed = -1;
    expect(&pca, &o, HS_ERROR_ARGUMENT, "first_seed is -1");
    o = sound(), o.first_seed = INT64_MAX - 5;
    expect(&pca, &o, HS_ERROR_ARGUMENT, "first_seed");
    o = sound(), o.align = (hs_align)7;
    expect(&pca, &o, HS_ERROR_ARGUMENT, "align is 7");
    o = sound(), o.incremental = 2;
    expect(&pca, &o, HS_ERROR_ARGUMENT, "incremental is 2");
    o = sound(), o.batch = 5;
    expect(&pca, &o, HS_ERROR_ARGUMENT, "batch is 5, expected at least 2k = 6");
    o = sound(), o.max_mem = -1;
    expect(&pca, &o, HS_ERROR_ARGUMENT, "max_mem is -1");
    o = sound(), o.resume_every = NAN;
    expect(&pca, &o, HS_ERROR_ARGUMENT, "resume_every is nan");
    const double deltas[] = {0, -0.1, 1.01, NAN, INFINITY};
    for (int i = 0; i < 5; i++) {
        o = sound(), o.around = true, o.around_delta = deltas[i];
        expect(&pca, &o, HS_ERROR_ARGUMENT, "around_delta is");
    }
    o = sound(), o.around = true, o.around_seed = -2;
    expect(&pca, &o, HS_ERROR_ARGUMENT, "around_seed is -2");
    hs_test_pca_close(&pca);
}

static void test_too_little_memory(void **state) {
    hs_test_pca pca = hs_test_pca_open("dot", 3, 1, HS_Z_CONTINUE);
    hs_pca_options o = sound();
    o.max_mem = 1000;
    expect(&pca, &o, HS_ERROR_MEMORY, "max_mem is 1 KB, too little for incremental");
    o.incremental = 0;
    expect(&pca, &o, HS_ERROR_MEMORY, "too little for exact per-step PCA");
    o = sound();
    o.n = HS_PCA_MAX_SAMPLES; /* 2 n^2 8 is 1.6 PB */
    o.incremental = 0;
    expect(&pca, &o, HS_ERROR_MEMORY, "max_mem is 8.59 GB, too little for exact");
    hs_test_pca_close(&pca);
}

/* Samples that do not vary are told as such, with the step. */
static void test_rank(void **state) {
    hs_test_pca pca = hs_test_pca_open("dot", 3, 1, 5); /* one z for all */
    hs_error err;
    hs_directions *d = NULL;
    hs_pca_options o = sound();
    o.around = true;
    o.around_delta = 1e-12; /* beyond float's reach: all samples are the same */
    for (o.incremental = 0; o.incremental < 2; o.incremental++) {
        assert_int_equal(hs_pca(pca.sampler, &o, NULL, &d, &err), HS_ERROR_NUMERIC);
        assert_non_null(strstr(err.message, "step 0 (timestep 666): PCA: the samples vary in"));
    }
    o.joint = true;
    for (o.incremental = 0; o.incremental < 2; o.incremental++) {
        assert_int_equal(hs_pca(pca.sampler, &o, NULL, &d, &err), HS_ERROR_NUMERIC);
        assert_non_null(strstr(err.message, "the samples vary in"));
    }
    hs_test_pca_close(&pca);
}

/* NaN weights: the step and the seed are named. */
static void test_nan(void **state) {
    hs_test_pca pca = hs_test_pca_open("dot", 3, 1, HS_Z_CONTINUE);
    hs_error err;
    hs_directions *d = NULL;
    hs_pca_options o = sound();
    o.first_seed = 11;
    hs_tensor *bias = (hs_tensor *)(uintptr_t)hs_tensor_set_find(pca.model->weights, "conv_h.bias");
    assert_non_null(bias);
    float broken[6] = {0, 0, 0, NAN, 0, 0};
    bias->data = broken;
    hs_status status = hs_pca(pca.sampler, &o, NULL, &d, &err);
    assert_int_equal(status, HS_ERROR_NUMERIC);
    assert_null(d);
    assert_non_null(strstr(err.message, "PCA: seeds 11 to "));
    assert_non_null(strstr(err.message, "item 0, timestep 666"));
    hs_test_pca_close(&pca);
}

static hs_cost cost_of(const hs_test_pca *pca, const hs_pca_options *o) {
    hs_error err;
    hs_cost cost;
    assert_ok(hs_pca_cost(pca->sampler, o, &cost, &err));
    return cost;
}

static void test_cost(void **state) {
    hs_test_pca pca = hs_test_pca_open("rgb", 5, 1, HS_Z_CONTINUE); /* 3x8x8, h 6x4x4 */
    hs_pca_options o = hs_pca_options_default();
    o.n = 500;
    o.k = 10;
    hs_cost cost = cost_of(&pca, &o);
    assert_int_equal(cost.passes, 500 * 5);
    assert_non_null(strstr(cost.formula, "exact per-step PCA: n (C H W + c h w) 4 + 2 n^2 8"));
    /* The formula's terms, and not much beside: streams of z (2.5 KB a sample). */
    double formula = 500.0 * (192 + 96) * 4 + 2.0 * 500 * 500 * 8 + 5 * 11.0 * 96 * 4;
    assert_true((double)cost.bytes >= formula);
    assert_true((double)cost.bytes < formula + 500 * 2600.0 + 200000);
    o.joint = true;
    assert_int_equal(cost_of(&pca, &o).passes, 2 * 500 * 5);
    assert_non_null(strstr(cost_of(&pca, &o).formula, "2 n T passes"));
    o.incremental = 1;
    assert_int_equal(cost_of(&pca, &o).passes, 500 * 5);
    assert_non_null(strstr(cost_of(&pca, &o).formula, "incremental joint"));
    /* The authors' size is incremental by itself. */
    o = hs_pca_options_default();
    o.n = 50000;
    o.k = 25;
    cost = cost_of(&pca, &o);
    assert_non_null(strstr(cost.formula, "incremental per-step PCA: T r c h w 4 + (r+b) c h w 8"));
    assert_non_null(
        strstr(cost.formula, "b = 1000, n = 50000, k = 25, r = 50 components kept, T = 5"));
    assert_int_equal(cost.passes, 50000 * 5);
    /* Less memory, smaller batches, never below 2k. */
    o.max_mem = cost.bytes / 4;
    hs_cost smaller = cost_of(&pca, &o);
    assert_true(smaller.bytes <= o.max_mem);
    assert_null(strstr(smaller.formula, "b = 1000"));
    /* Too much memory for exact, at a small n. */
    o.n = 5000;
    o.max_mem = 100000000; /* exact: 400 MB */
    assert_non_null(strstr(cost_of(&pca, &o).formula, "incremental"));
    o.max_mem = 0;
    assert_non_null(strstr(cost_of(&pca, &o).formula, "exact"));
    hs_test_pca_close(&pca);
}

static void test_batches(void **state) {
    hs_test_pca pca = hs_test_pca_open("dot", 3, 1, HS_Z_CONTINUE);
    hs_error err;
    hs_pca_options o = sound();
    o.incremental = 1;
    for (o.n = 4; o.n < 40; o.n++)
        for (o.batch = 6; o.batch < 45; o.batch += 3) {
            hs_pca_plan plan;
            assert_ok(hs_pca_plan_make(pca.sampler, &o, &plan, &err));
            int next = 0, first;
            for (int i = 0; i < plan.batches; i++) {
                int count = hs_pca_plan_batch(&plan, i, &first);
                assert_int_equal(first, next);
                assert_in_range(count, 1, plan.batch);
                next += count;
            }
            assert_int_equal(next, o.n);
        }
    hs_test_pca_close(&pca);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused), cmocka_unit_test(test_too_little_memory),
        cmocka_unit_test(test_rank),    cmocka_unit_test(test_nan),
        cmocka_unit_test(test_cost),    cmocka_unit_test(test_batches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
