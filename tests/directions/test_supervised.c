/* Directions with labels: which samples stand on which side, that a planted
 * direction is found, joint regression against numpy, and the tiny network. */
#include "support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "directions/pca_run_support.h"
#include "directions/sides.h"
#include "io/labels.h"

enum { N = 60, MODEL_STEPS = 3 };

/* Scores of N samples on A, B, C, of seeds 0 ... N-1. */
static hs_labels *make_labels(void) {
    static const char *const names[] = {"A", "B", "C"};
    uint64_t state = 5;
    hs_labels *labels = hs_labels_new(N, 3);
    assert_non_null(labels);
    for (int a = 0; a < 3; a++)
        labels->names[a] = names[a];
    for (int i = 0; i < N; i++) {
        labels->items[i] = "x";
        labels->seeds[i] = i;
        for (int a = 0; a < 3; a++)
            labels->values[3 * i + a] = 0.5 + 0.5 * hs_test_random(&state);
        labels->values[3 * i + 1] = 0.6 * labels->values[3 * i] + 0.4 * labels->values[3 * i + 1];
    }
    return labels;
}

/* h = noise + y_A effect_A + y_B effect_B, the same at all calls. */
typedef struct planted {
    const hs_labels *labels;
    size_t length;
    double noise;
    int calls;
} planted;

static float effect(int a, size_t c) {
    return sinf((float)(c + 1) * (a ? 0.37f : 0.71f));
}

static hs_status plant(void *ctx, int count, const int *rows, const hs_monitor *monitor, float *h,
                       hs_error *err) {
    planted *p = ctx;
    p->calls += count;
    for (int i = 0; i < count; i++) {
        const double *y = p->labels->values + 3 * rows[i];
        float *own = h + (size_t)i * p->length;
        hs_test_fill((uint64_t)rows[i] + 77, own, (int64_t)p->length);
        for (size_t c = 0; c < p->length; c++)
            own[c] =
                (float)p->noise * own[c] + (float)y[0] * effect(0, c) + (float)y[1] * effect(1, c);
    }
    return HS_OK;
}

static double cosine_to(const hs_directions *d, int a, size_t length) {
    double xy = 0, xx = 0, yy = 0;
    for (size_t c = 0; c < length; c++) {
        double x = (double)d->delta_h[c], y = (double)effect(a, c);
        xy += x * y;
        xx += x * x;
        yy += y * y;
    }
    return xy / sqrt(xx * yy);
}

static hs_test_pca open_tiny(size_t *length) {
    hs_test_pca tiny = hs_test_pca_open("rgb", MODEL_STEPS, 1, HS_Z_CONTINUE);
    *length = MODEL_STEPS * hs_denoiser_h_size(tiny.denoiser);
    return tiny;
}

/* The regression finds A's own effect, the mean difference a mixture with B's. */
static void test_planted(void **state) {
    hs_error err;
    planted p = {.labels = make_labels(), .noise = 0.05};
    hs_test_pca tiny = open_tiny(&p.length);
    hs_attribute_options options = hs_attribute_options_default();
    const char *const given[] = {"B", "C"};
    hs_directions *mean = NULL, *joint = NULL;
    hs_attribute_report report;
    options.attribute = "A";
    options.top = 20;
    assert_ok(
        hs_attribute(tiny.sampler, p.labels, &options, plant, &p, NULL, &mean, &report, &err));
    assert_int_equal(p.calls, 40);
    assert_int_equal(report.high, 20);
    assert_int_equal(report.low, 20);
    assert_int_equal(report.held_high, 4);
    assert_int_equal(report.held_low, 4);
    assert_true(report.auc == 1);
    assert_true(report.high_score > 0.6 && report.low_score < 0.4);
    assert_string_equal(mean->unit, "mean difference");
    assert_string_equal(mean->method, "attribute");
    assert_string_equal(mean->names[0], "A");
    char *result = hs_directions_get_metadata(mean, "result");
    assert_non_null(strstr(result, "\"auc\":1"));
    free(result);
    options.given = given;
    options.given_count = 2;
    assert_ok(
        hs_attribute(tiny.sampler, p.labels, &options, plant, &p, NULL, &joint, &report, &err));
    assert_int_equal(report.samples, N);
    double before = fabs(cosine_to(mean, 1, p.length)), after = fabs(cosine_to(joint, 1, p.length));
    assert_true(cosine_to(joint, 0, p.length) > 0.98); /* observed: 0.994 */
    assert_true(after < 0.5 * before);
    hs_directions_free(joint);
    hs_directions_free(mean);
    hs_labels_free((hs_labels *)p.labels);
    hs_test_pca_close(&tiny);
}

/* A label turned round turns the direction round; the order of rows is nothing. */
static void test_properties(void **state) {
    hs_error err;
    planted p = {.labels = make_labels(), .noise = 0.3};
    hs_test_pca tiny = open_tiny(&p.length);
    hs_labels *turned = make_labels();
    for (int i = 0; i < N; i++)
        turned->values[3 * i] = 1 - turned->values[3 * i];
    hs_attribute_options options = hs_attribute_options_default();
    options.attribute = "A";
    options.top = 15;
    hs_directions *a = NULL, *b = NULL;
    assert_ok(hs_attribute(tiny.sampler, p.labels, &options, plant, &p, NULL, &a, NULL, &err));
    assert_ok(hs_attribute(tiny.sampler, turned, &options, plant, &p, NULL, &b, NULL, &err));
    for (size_t c = 0; c < p.length; c++)
        assert_true(fabsf(a->delta_h[c] + b->delta_h[c]) < 1e-6f);
    hs_directions_free(b);
    hs_directions_free(a);
    hs_labels_free(turned);
    hs_labels_free((hs_labels *)p.labels);
    hs_test_pca_close(&tiny);
}

/* From seeds: the mean difference of the h that hs_sample gives. */
static void test_from_seeds(void **state) {
    hs_error err;
    size_t length;
    hs_test_pca tiny = open_tiny(&length);
    hs_labels *labels = make_labels();
    hs_attribute_options options = hs_attribute_options_default();
    int64_t seeds[N];
    options.attribute = "C";
    options.by_threshold = true;
    options.low = 0.3;
    options.high = 0.75;
    hs_directions *d = NULL;
    hs_attribute_report report;
    assert_ok(hs_attribute(tiny.sampler, labels, &options, NULL, NULL, NULL, &d, &report, &err));
    for (int i = 0; i < N; i++)
        seeds[i] = i;
    size_t image = hs_denoiser_image_size(tiny.denoiser);
    float *x_0 = malloc(N * image * sizeof *x_0), *h = malloc(N * length * sizeof *h);
    float *expected = malloc(length * sizeof *expected);
    assert_ok(hs_sample(tiny.sampler, N, seeds, NULL, NULL, 0, NULL, NULL, x_0, h, &err));
    int high = 0, low = 0;
    for (int i = 0; i < N; i++) {
        high += labels->values[3 * i + 2] >= 0.75;
        low += labels->values[3 * i + 2] <= 0.3;
    }
    assert_int_equal(report.high, high);
    assert_int_equal(report.low, low);
    for (size_t c = 0; c < length; c++) {
        double sum = 0;
        for (int i = 0; i < N; i++) {
            double y = labels->values[3 * i + 2], x = (double)h[(size_t)i * length + c];
            sum += y >= 0.75 ? x / high : y <= 0.3 ? -x / low : 0;
        }
        expected[c] = (float)sum;
    }
    assert_true(hs_test_relative_error(d->delta_h, expected, (int64_t)length) < 1e-6);
    free(expected);
    free(h);
    free(x_0);
    hs_directions_free(d);
    hs_labels_free(labels);
    hs_test_pca_close(&tiny);
}

/* Both sides have the same kinds of samples, and the extremes of each kind. */
static void test_balance(void **state) {
    hs_error err;
    hs_labels *labels = make_labels();
    hs_labels_view view;
    hs_sides sides;
    const char *const balance[] = {"B", "C"};
    hs_attribute_options options = {.attribute = "A", .top = 12};
    hs_labels_view_get(labels, &view);
    double gap[2] = {0, 0};
    for (int balanced = 0; balanced < 2; balanced++) {
        options.balance = balance;
        options.balance_count = balanced ? 2 : 0;
        assert_ok(hs_sides_choose(&view, &options, &sides, &err));
        assert_int_equal(sides.high_count, 12);
        assert_int_equal(sides.low_count, 12);
        for (int i = 0; i < 12; i++)
            gap[balanced] += view.values[3 * sides.high[i] + 1] - view.values[3 * sides.low[i] + 1];
        for (int i = 0; i < 12; i++)
            for (int j = 0; j < 12; j++)
                assert_int_not_equal(sides.high[i], sides.low[j]);
        hs_sides_free(&sides);
    }
    assert_true(fabs(gap[1]) < 0.7 * fabs(gap[0]));
    hs_labels_free(labels);
}

static void test_curve(void **state) {
    hs_error err;
    planted p = {.labels = make_labels(), .noise = 1};
    hs_test_pca tiny = open_tiny(&p.length);
    const int points[] = {2, 5, 25};
    hs_attribute_options options = hs_attribute_options_default();
    options.attribute = "A";
    options.top = 25;
    options.curve = points;
    options.curve_count = 3;
    hs_attribute_report report;
    hs_directions *d = NULL, *curve = NULL;
    assert_ok(hs_attribute_many(tiny.sampler, p.labels, &options, 1, plant, &p, NULL, &d, &report,
                                &curve, &err));
    assert_int_equal(report.curve_count, 3);
    assert_true(fabs(report.cosine[2] - 1) < 1e-12);
    assert_true(report.cosine[0] < report.cosine[1] && report.cosine[1] < 1);
    /* The last point has all that the direction has. */
    assert_int_equal(hs_directions_count(curve), 3);
    assert_string_equal(hs_directions_name(curve, 1), "5");
    assert_true(hs_test_relative_error(curve->delta_h + 2 * p.length, d->delta_h,
                                       (int64_t)p.length) < 1e-6);
    hs_directions_free(curve);
    hs_directions_free(d);
    hs_labels_free((hs_labels *)p.labels);
    hs_test_pca_close(&tiny);
}

/* Several at once are what each is alone, from one pass over the samples. */
static void test_many(void **state) {
    hs_error err;
    planted p = {.labels = make_labels(), .noise = 0.5};
    hs_test_pca tiny = open_tiny(&p.length);
    static const char *const given[] = {"B", "C"};
    hs_attribute_options options[3];
    hs_attribute_report reports[3], report;
    hs_directions *all = NULL;
    for (int k = 0; k < 3; k++) {
        options[k] = hs_attribute_options_default();
        options[k].attribute = k == 1 ? "C" : "A";
        options[k].top = 12;
    }
    options[2].given = given;
    options[2].given_count = 2;
    options[2].name = "A@B+C";
    assert_ok(hs_attribute_many(tiny.sampler, p.labels, options, 3, plant, &p, NULL, &all, reports,
                                NULL, &err));
    assert_int_equal(p.calls, N); /* the regression takes all, the others some of them */
    assert_string_equal(hs_directions_name(all, 1), "C");
    assert_string_equal(hs_directions_name(all, 2), "A@B+C");
    for (int k = 0; k < 3; k++) {
        hs_directions *one = NULL;
        assert_ok(hs_attribute(tiny.sampler, p.labels, &options[k], plant, &p, NULL, &one, &report,
                               &err));
        /* observed: 6e-8, the sums are in another order */
        assert_true(hs_test_relative_error(all->delta_h + (size_t)k * p.length, one->delta_h,
                                           (int64_t)p.length) < 6e-7);
        assert_int_equal(reports[k].samples, report.samples);
        assert_true(reports[k].held_high + reports[k].held_low > 0 && reports[k].auc > 0.5);
        hs_directions_free(one);
    }
    char *result = hs_directions_get_metadata(all, "result");
    assert_true(result[0] == '[');
    free(result);
    hs_directions_free(all);
    hs_labels_free((hs_labels *)p.labels);
    hs_test_pca_close(&tiny);
}

static void test_regression_golden(void **state) {
    hs_error err;
    hs_tensor_set *set = NULL;
    enum { n = 60, A = 3, d = 24 };
    static const char *const names[] = {"a", "b", "c"};
    assert_ok(hs_safetensors_open("golden/directions/supervised.safetensors", &set, &err));
    double y[n * A], joint[A * d], weights[n];
    float h[n * d];
    memcpy(y, hs_tensor_set_find(set, "regression.y")->data, sizeof y);
    memcpy(h, hs_tensor_set_find(set, "regression.h")->data, sizeof h);
    memcpy(joint, hs_tensor_set_find(set, "regression.joint")->data, sizeof joint);
    hs_labels_view view = {.rows = n, .attributes = A, .names = names, .values = y};
    int rows[n];
    for (int i = 0; i < n; i++)
        rows[i] = n - 1 - i;
    for (int a = 0; a < A; a++) {
        const int columns[] = {a, (a + 1) % A, (a + 2) % A};
        assert_ok(hs_regression_weights(&view, rows, n, columns, A, weights, &err));
        for (int c = 0; c < d; c++) {
            double sum = 0;
            for (int i = 0; i < n; i++)
                sum += weights[i] * (double)h[i * d + c];
            assert_true(fabs(sum - joint[a * d + c]) < 1e-12); /* observed: 4e-14 */
        }
    }
    hs_tensor_set_free(set);
}

/* One refusal: labels changed by `values` in column A, and its message. */
static void refuse(hs_labels *labels, const hs_attribute_options *options, const char *why) {
    hs_error err;
    hs_sides sides;
    hs_labels_view view;
    hs_labels_view_get(labels, &view);
    assert_int_equal(hs_sides_choose(&view, options, &sides, &err), HS_ERROR_ARGUMENT);
    if (!strstr(err.message, why))
        fail_msg("'%s' does not say '%s'", err.message, why);
}

static void test_refuses(void **state) {
    hs_labels *labels = make_labels();
    const char *const own[] = {"A"}, *const unknown[] = {"Z"};
    hs_attribute_options options = {.attribute = "Z"};
    refuse(labels, &options, "there is no attribute 'Z'");
    options.attribute = "A";
    options.top = 31;
    refuse(labels, &options, "31 a side, but 60 samples with scores give at most 30");
    options.top = 5;
    options.balance = unknown;
    options.balance_count = 1;
    refuse(labels, &options, "there is no attribute 'Z'");
    options.balance = own;
    refuse(labels, &options, "cannot be held against itself");
    options.balance_count = 0;
    options.by_threshold = true;
    options.low = -2;
    options.high = 0.5;
    refuse(labels, &options, "0 samples score -2 or less");
    options.low = 0.6;
    refuse(labels, &options, "expected the lower one first");
    options.by_threshold = false;
    for (int i = 0; i < N; i++)
        labels->values[3 * i] = i < 3;
    refuse(labels, &options, "meet at 0: take fewer");
    for (int i = 0; i < N; i++)
        labels->values[3 * i] = 1;
    refuse(labels, &options, "all 60 samples have the score 1: there are no two sides");
    for (int i = 0; i < N; i++)
        labels->values[3 * i] = NAN;
    refuse(labels, &options, "none of the 60 samples has a score");
    hs_labels_free(labels);
}

static void test_held(void **state) {
    for (int share = 0; share <= 5; share++) {
        int held = 0;
        for (int i = 0; i < 100; i++)
            held += hs_sides_is_held(i, share / 10.0);
        assert_int_equal(held, 10 * share);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_planted),    cmocka_unit_test(test_properties),
        cmocka_unit_test(test_from_seeds), cmocka_unit_test(test_balance),
        cmocka_unit_test(test_curve),      cmocka_unit_test(test_regression_golden),
        cmocka_unit_test(test_refuses),    cmocka_unit_test(test_held),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
