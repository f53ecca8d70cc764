/* The effect matrix, on the tiny network and a small golden classifier: against the
 * definition, computed here from images and scores; calibration; resume points. */
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "directions/pca_run_support.h"
#include "edit/effect.h"

enum { STEPS = 3, SETS = 2, EACH = 5, ALL = SETS * EACH, ROWS = 3, LABELS = 5 };

/* Everything that a measurement needs: three directions of norm about 1. */
typedef struct bench {
    hs_test_pca tiny;
    hs_classifier *classifier;
    hs_directions *directions;
    hs_effect_row rows[ROWS];
    hs_effect_options options;
} bench;

static bench open_bench(void) {
    hs_error err = {0};
    bench b = {.tiny = hs_test_pca_open("rgb", STEPS, 1, HS_Z_CONTINUE)};
    hs_classifier_options options = hs_classifier_options_default();
    options.backend = HS_BACKEND_REF;
    assert_ok(hs_classifier_open("golden/classifiers/basic", &options, NULL, &b.classifier, &err));
    const int *shape = b.tiny.model->h[HS_H_AFTER];
    int64_t size = (int64_t)STEPS * shape[0] * shape[1] * shape[2];
    b.directions = hs_directions_new(ROWS, STEPS, STEPS, shape);
    assert_non_null(b.directions);
    b.directions->delta_h = malloc((size_t)(ROWS * size) * sizeof(float));
    assert_non_null(b.directions->delta_h);
    hs_test_fill(3, b.directions->delta_h, ROWS * size);
    static const char *const targets[ROWS] = {"Hat", "Smiling", NULL};
    for (int r = 0; r < ROWS; r++)
        b.rows[r] = (hs_effect_row){.edit = {.directions = b.directions,
                                             .index = r,
                                             .strength = 3 - r,
                                             .first = 0,
                                             .last = r == 1 ? 1 : -1},
                                    .target = targets[r],
                                    .group = r == 2};
    b.options = hs_effect_options_default();
    b.options.n = EACH;
    b.options.sets = SETS;
    b.options.first_seed = 40;
    b.options.row_count = ROWS;
    return b;
}

static void close_bench(bench *b) {
    hs_directions_free(b->directions);
    hs_classifier_free(b->classifier);
    hs_test_pca_close(&b->tiny);
}

static hs_effects *measure(bench *b, const hs_monitor *monitor) {
    hs_error err = {0};
    hs_effects *effects = NULL;
    b->options.rows = b->rows;
    assert_ok(
        hs_effect_measure(b->tiny.sampler, b->classifier, &b->options, monitor, &effects, &err));
    return effects;
}

/* Scores [ALL, LABELS] of all samples, the sampler and the classifier called at once. */
static void score_all(bench *b, const hs_edit *edits, int count, const double *per_item,
                      float *scores) {
    hs_error err = {0};
    int64_t seeds[ALL];
    const int *image = b->tiny.model->image;
    float *x_0 = malloc((size_t)(ALL * image[0] * image[1] * image[2]) * sizeof *x_0);
    assert_non_null(x_0);
    for (int i = 0; i < ALL; i++)
        seeds[i] = 40 + i;
    assert_ok(hs_sample(b->tiny.sampler, ALL, seeds, NULL, edits, count, per_item, NULL, x_0, NULL,
                        &err));
    assert_ok(hs_classifier_scores(b->classifier, ALL, image, x_0, scores, &err));
    free(x_0);
}

/* Over samples first, first + stride, ...: mean change, or mean absolute change. */
static double mean_change(const float *edited, const float *plain, int a, int first, int end,
                          int stride, bool absolute) {
    double sum = 0;
    int count = 0;
    for (int i = first; i < end; i += stride, count++) {
        double d = (double)edited[i * LABELS + a] - (double)plain[i * LABELS + a];
        sum += absolute ? fabs(d) : d;
    }
    return sum / count;
}

static void test_definition(void **state) {
    bench b = open_bench();
    float plain[ALL * LABELS], edited[ALL * LABELS];
    hs_effects_view v;
    score_all(&b, NULL, 0, NULL, plain);
    hs_effects *effects = measure(&b, NULL);
    hs_effects_view_get(effects, &v);
    assert_int_equal(v.rows, ROWS + 2); /* two groups, each with random directions */
    assert_int_equal(v.groups, 2);
    assert_int_equal(v.attributes, LABELS);
    static const int row_of[ROWS] = {0, 1, 3}, target[] = {1, 0, -1, -1, -1};
    double on = 0, off = 0;
    for (int r = 0; r < v.rows; r++)
        assert_int_equal(v.target[r], target[r]);
    for (int r = 0; r < ROWS; r++) {
        score_all(&b, &b.rows[r].edit, 1, NULL, edited);
        for (int a = 0; a < LABELS; a++) {
            int at = row_of[r] * LABELS + a;
            double one = mean_change(edited, plain, a, 0, EACH, 1, false);
            double two = mean_change(edited, plain, a, EACH, ALL, 1, false);
            double loud = mean_change(edited, plain, a, 0, ALL, 1, true);
            assert_true(fabs(v.change[at] - 0.5 * (one + two)) < 1e-12);
            assert_true(fabs(v.change_deviation[at] - fabs(one - two) / sqrt(2)) < 1e-12);
            assert_true(fabs(v.absolute[at] - loud) < 1e-12);
            if (r < 2 && a == target[r])
                on += 0.5 * (one + two) / 2;
            else if (r < 2)
                off += loud / (LABELS - 1) / 2;
        }
    }
    assert_true(on != 0 && off > 0);
    assert_true(fabs(v.summaries[0].on - on) < 1e-12);
    assert_true(fabs(v.summaries[0].off - off) < 1e-12);
    assert_int_equal(v.summaries[0].rows, 2);
    assert_int_equal(v.summaries[1].rows, 0); /* its direction has no target */
    hs_effects_free(effects);
    close_bench(&b);
}

/* Sample i takes the random direction that is like row i modulo their number. */
static void test_random_rows(void **state) {
    bench b = open_bench();
    hs_error err = {0};
    float plain[ALL * LABELS], edited[ALL * LABELS];
    hs_effects_view v;
    score_all(&b, NULL, 0, NULL, plain);
    hs_effects *effects = measure(&b, NULL);
    hs_effects_view_get(effects, &v);
    hs_directions *one, *random;
    assert_ok(hs_directions_pick(b.directions, 2, &one, &err));
    assert_ok(hs_directions_random_like(one, 2, &random, &err));
    hs_edit edit = b.rows[2].edit;
    edit.directions = random;
    edit.index = 0;
    edit.strength = v.strength[3];
    score_all(&b, &edit, 1, NULL, edited);
    assert_true(v.random[4] && isnan(v.strength[4]));
    for (int a = 0; a < LABELS; a++) {
        double sets = 0; /* samples 2; 5, 8 of the second set */
        sets += 0.5 * mean_change(edited, plain, a, 2, EACH, 3, true);
        sets += 0.5 * mean_change(edited, plain, a, EACH, ALL, 3, true);
        assert_true(sets > 0 && fabs(v.absolute[4 * LABELS + a] - sets) < 1e-12);
    }
    hs_directions_free(random);
    hs_directions_free(one);
    hs_effects_free(effects);
    close_bench(&b);
}

/* No strength, no effect, and no ratio. */
static void test_nothing(void **state) {
    bench b = open_bench();
    hs_effects_view v;
    for (int r = 0; r < ROWS; r++)
        b.rows[r].edit.strength = 0;
    hs_effects *effects = measure(&b, NULL);
    hs_effects_view_get(effects, &v);
    for (int i = 0; i < v.rows * LABELS; i++)
        assert_true(v.change[i] == 0 && v.absolute[i] == 0);
    assert_true(isnan(v.summaries[0].ratio));
    assert_int_equal(v.summaries[0].strongest, 0);
    hs_effects_free(effects);
    close_bench(&b);
}

/* The search, on curves that are known. */
static double curve_of(int kind, double s) {
    return kind == 0   ? 0.9 / (1 + exp(4 - 3 * s)) - 0.9 / (1 + exp(4.0))
           : kind == 1 ? 0.05 * s
                       : 1 - exp(-9 * s);
}

static void test_search(void **state) {
    static const double wanted[] = {0.4, 0.3, 0.4}, strength[] = {1.28, 6, 0.0568};
    for (int kind = 0; kind < 3; kind++) {
        hs_effect_trial trials[HS_EFFECT_TRIALS];
        int count = 0, found = -1;
        double next;
        while ((next = hs_effect_next_trial(trials, count, wanted[kind], 8, &found)) > 0) {
            assert_true(count < HS_EFFECT_TRIALS && next <= 8);
            trials[count++] = (hs_effect_trial){next, curve_of(kind, next)};
        }
        assert_true(count > 2 && trials[0].strength == 1);
        assert_true(trials[found].effect >= wanted[kind]);
        assert_true(trials[found].effect < wanted[kind] + 0.02);
        assert_true(fabs(trials[found].strength - strength[kind]) < 0.06 * strength[kind] + 0.01);
    }
    hs_effect_trial trials[HS_EFFECT_TRIALS]; /* out of reach: the best one */
    int count = 0, found = -1;
    double next;
    while ((next = hs_effect_next_trial(trials, count, 0.5, 8, &found)) > 0)
        trials[count++] = (hs_effect_trial){next, curve_of(1, next)};
    assert_int_equal(count, 4);
    assert_true(trials[found].strength == 8);
}

typedef struct told {
    char text[300];
    int stop_after, calls;
} told;

static void on_notice(void *ctx, const char *text) {
    snprintf(((told *)ctx)->text, sizeof((told *)ctx)->text, "%s", text);
}

static bool on_progress(void *ctx, const char *phase, double done, double total) {
    told *t = ctx;
    assert_true(done >= 0 && done <= total);
    return !t->stop_after || ++t->calls < t->stop_after;
}

static void test_calibrate(void **state) {
    bench b = open_bench();
    told t = {.text = ""};
    hs_monitor monitor = {.ctx = &t, .notice = on_notice, .progress = on_progress};
    float plain[ALL * LABELS], edited[ALL * LABELS];
    hs_effects_view v;
    score_all(&b, NULL, 0, NULL, plain);
    score_all(&b, &b.rows[0].edit, 1, NULL, edited);
    int labels, target = 0;
    const char *const *names = hs_classifier_labels(b.classifier, &labels);
    for (int a = 1; a < LABELS; a++) /* what this direction adds the most of */
        if (mean_change(edited, plain, a, 0, ALL, 1, false) >
            mean_change(edited, plain, target, 0, ALL, 1, false))
            target = a;
    double reach = mean_change(edited, plain, target, 0, ALL, 1, false);
    assert_true(reach > 0);
    b.rows[0].target = names[target];
    b.options.row_count = 1;
    b.options.calibrate = 0.5 * reach;
    b.options.calibrate_n = ALL; /* the samples that are measured, for once */
    b.options.calibrate_seed = 40;
    hs_effects *effects = measure(&b, &monitor);
    hs_effects_view_get(effects, &v);
    assert_true(v.calibrated[0] >= b.options.calibrate);
    assert_true(fabs(v.change[target] - v.calibrated[0]) < 1e-12);
    assert_true(v.strength[0] > 0 && v.strength[0] < 3);
    hs_effects_free(effects);
    b.options.calibrate = 1.5; /* no probability gets there */
    effects = measure(&b, &monitor);
    hs_effects_view_get(effects, &v);
    assert_non_null(strstr(t.text, "does not reach an effect of 1.5 on "));
    assert_true(v.calibrated[0] < 1.5);
    hs_effects_free(effects);
    close_bench(&b);
}

static void same_effects(const hs_effects *a, const hs_effects *b) {
    hs_effects_view x, y;
    hs_effects_view_get(a, &x);
    hs_effects_view_get(b, &y);
    size_t cells = (size_t)x.rows * (size_t)x.attributes * sizeof(double);
    assert_int_equal(x.rows, y.rows);
    assert_memory_equal(x.change, y.change, cells);
    assert_memory_equal(x.absolute, y.absolute, cells);
    assert_memory_equal(x.strength, y.strength, (size_t)x.rows * sizeof(double));
}

/* Stopped again and again, at each place once: the same bits in the end. */
static void test_resume(void **state) {
    bench b = open_bench();
    hs_error err = {0};
    char *folder = hs_test_make_folder(), path[400];
    snprintf(path, sizeof path, "%s/x.resume", folder);
    b.rows[2].target = "Beard";
    b.options.calibrate = 1e-4;
    b.options.calibrate_n = 3;
    hs_effects *whole = measure(&b, NULL), *effects = NULL;
    b.options.resume = path;
    int runs = 0;
    hs_status status;
    do {
        told t = {.stop_after = 6};
        hs_monitor monitor = {.ctx = &t, .progress = on_progress};
        status =
            hs_effect_measure(b.tiny.sampler, b.classifier, &b.options, &monitor, &effects, &err);
        assert_true(status == HS_OK || status == HS_ERROR_CANCELLED);
        assert_int_equal(access(path, R_OK), 0);
    } while (status != HS_OK && ++runs < 200);
    assert_true(status == HS_OK && runs > 3);
    same_effects(whole, effects);
    hs_effects_free(effects);
    /* Of another run: refused, and the reason named. */
    b.options.n++;
    assert_int_equal(
        hs_effect_measure(b.tiny.sampler, b.classifier, &b.options, NULL, &effects, &err),
        HS_ERROR_MISMATCH);
    assert_non_null(strstr(err.message, "x.resume: the resume point is of another run: n:"));
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fputs("not a resume point at all", file);
    fclose(file);
    assert_int_equal(
        hs_effect_measure(b.tiny.sampler, b.classifier, &b.options, NULL, &effects, &err),
        HS_ERROR_FORMAT);
    hs_effects_free(whole);
    hs_test_remove_folder(folder);
    free(folder);
    close_bench(&b);
}

static void refuse(bench *b, hs_status expected, const char *fragment) {
    hs_error err = {0};
    hs_effects *effects = NULL;
    b->options.rows = b->rows;
    hs_status status =
        hs_effect_measure(b->tiny.sampler, b->classifier, &b->options, NULL, &effects, &err);
    if (status != expected || !strstr(err.message, fragment))
        fail_msg("expected %s with \"%s\", found %s: %s", hs_status_name(expected), fragment,
                 hs_status_name(status), err.message);
}

static void test_refuses(void **state) {
    static const char *const unknown[] = {"Hat", "Wings"}, *const twice[] = {"Hat", "Hat"},
                             *const few[] = {"Hat", "Beard"};
    bench b = open_bench();
    hs_effect_options good = b.options;
    b.options.attribute_count = 2;
    b.options.attributes = unknown;
    refuse(&b, HS_ERROR_ARGUMENT, "no attribute 'Wings' among its 5 labels");
    b.options.attributes = twice;
    refuse(&b, HS_ERROR_ARGUMENT, "'Hat' is named twice");
    b.options.attributes = few;
    refuse(&b, HS_ERROR_ARGUMENT, "'Smiling', which is none of the 2");
    b.options = good;
    b.options.calibrate = 0.4;
    refuse(&b, HS_ERROR_ARGUMENT, "direction 2 has no target");
    b.options = good;
    b.options.n = 0;
    refuse(&b, HS_ERROR_ARGUMENT, "2 sets of 0 samples");
    b.options = good;
    b.options.sets = 1;
    b.options.n = 2;
    refuse(&b, HS_ERROR_ARGUMENT, "2 samples for random directions like 3");
    b.options = good;
    b.options.max_mem = 1000;
    refuse(&b, HS_ERROR_MEMORY, "scores of 5 lines x 10 samples x 5 attributes");
    b.options = good;
    b.rows[2].group = 2;
    refuse(&b, HS_ERROR_ARGUMENT, "direction 2 is of group 2 after group 0");
    b.rows[2].group = 1;
    b.rows[1].edit.index = ROWS;
    refuse(&b, HS_ERROR_ARGUMENT, "row 1: direction 3, expected 0 to 2");
    close_bench(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_definition), cmocka_unit_test(test_random_rows),
        cmocka_unit_test(test_nothing),    cmocka_unit_test(test_search),
        cmocka_unit_test(test_calibrate),  cmocka_unit_test(test_resume),
        cmocka_unit_test(test_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
