/*
 * Directions with labels (paper, section V): the mean difference of h between
 * two sides of an attribute (eq. 11), or its partial effect beside other
 * attributes (joint regression). Either is a weighted sum of the samples' h
 * with weights that scores alone give (sides.h), so h is made again in batches
 * and added up in double; never more than one batch of it is held.
 *
 * Held-out samples are taken last: by then the direction of the others is
 * complete, they are judged by it, and then join the direction that is returned.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "denoiser.h"
#include "diffusion/trajectory.h"
#include "directions/sides.h"
#include "io/direction_file.h"

enum { HS_TRAIN, HS_ALL, HS_FIRST_CURVE }; /* sums */

typedef struct hs_attribute_run {
    hs_sampler *sampler;
    const hs_attribute_options *options;
    hs_labels_view labels;
    const hs_monitor *monitor;
    hs_h_source source;
    void *source_ctx;
    hs_sides sides;

    int *rows; /* [row_count] in the order of the work */
    int row_count;
    int held_from;   /* rows from here on are held out */
    bool *is_high;   /* [labels.rows] of held-out rows */
    int sums;        /* HS_FIRST_CURVE + curve_count */
    double *weights; /* [sums, labels.rows] */
    size_t length;   /* T*c*h*w */
    double *sum;     /* [sums, length] */
    double *score;   /* [labels.rows] of held-out rows, along the train direction */
} hs_attribute_run;

hs_attribute_options hs_attribute_options_default(void) {
    return (hs_attribute_options){.held_out = 0.2};
}

/* --------------------------------------------------------------- weights -- */

static double *hs_weights_of(const hs_attribute_run *run, int sum) {
    return run->weights + (size_t)sum * (size_t)run->labels.rows;
}

/* +1/n and -1/n over the first `m` of each side (m < 0: all), perhaps without
 * the held-out ones. */
static void hs_mean_weights(const hs_attribute_run *run, int m, bool train, double *weights) {
    for (int side = 0; side < 2; side++) {
        const int *rows = side ? run->sides.low : run->sides.high;
        int count = side ? run->sides.low_count : run->sides.high_count, used = 0;
        if (m >= 0 && m < count)
            count = m;
        for (int i = 0; i < count; i++)
            used += !train || !hs_sides_is_held(i, run->options->held_out);
        for (int i = 0; i < count; i++)
            if (!train || !hs_sides_is_held(i, run->options->held_out))
                weights[rows[i]] = (side ? -1.0 : 1.0) / used;
    }
}

/* Rows to go through: those with a weight, the held-out ones last. */
static void hs_order_rows(hs_attribute_run *run, const bool *held) {
    for (int late = 0; late < 2; late++) {
        if (late)
            run->held_from = run->row_count;
        for (int i = 0; i < run->labels.rows; i++) {
            bool any = false;
            for (int s = 0; s < run->sums; s++)
                any = any || hs_weights_of(run, s)[i] != 0;
            if (any && held[i] == late)
                run->rows[run->row_count++] = i;
        }
    }
}

/* The joint regression on `rows`, in units of the sides' mean difference. */
static hs_status hs_joint_weights(const hs_attribute_run *run, const int *rows, int count,
                                  double *weights, hs_error *err) {
    const hs_attribute_options *options = run->options;
    int columns = options->given_count + 1;
    int *column = hs_calloc((size_t)columns, sizeof *column);
    if (!column)
        return hs_fail_memory(err, (size_t)columns * sizeof *column);
    hs_status status = HS_OK;
    column[0] = run->sides.target;
    for (int g = 0; g < options->given_count && status == HS_OK; g++)
        status = hs_sides_column(&run->labels, options->given[g], &column[g + 1], err);
    if (status == HS_OK)
        status = hs_regression_weights(&run->labels, rows, count, column, columns, weights, err);
    free(column);
    double unit = hs_sides_mean(&run->labels, &run->sides, true) -
                  hs_sides_mean(&run->labels, &run->sides, false);
    for (int i = 0; i < run->labels.rows; i++)
        weights[i] *= unit;
    return status;
}

static hs_status hs_all_joint_weights(hs_attribute_run *run, const bool *held, hs_error *err) {
    const hs_sides *sides = &run->sides;
    int count = 0, *train = hs_calloc((size_t)sides->usable_count + 1, sizeof *train);
    if (!train)
        return hs_fail_memory(err, (size_t)sides->usable_count * sizeof *train);
    for (int i = 0; i < sides->usable_count; i++)
        if (!held[sides->usable[i]])
            train[count++] = sides->usable[i];
    hs_status status = hs_joint_weights(run, train, count, hs_weights_of(run, HS_TRAIN), err);
    if (status == HS_OK)
        status = hs_joint_weights(run, sides->usable, sides->usable_count,
                                  hs_weights_of(run, HS_ALL), err);
    free(train);
    return status;
}

static hs_status hs_attribute_weights(hs_attribute_run *run, hs_error *err) {
    const hs_attribute_options *options = run->options;
    bool *held = hs_calloc((size_t)run->labels.rows, sizeof *held);
    hs_status status = HS_OK;
    if (!held)
        return hs_fail_memory(err, (size_t)run->labels.rows);
    for (int i = 0; i < run->sides.high_count; i++)
        if (hs_sides_is_held(i, options->held_out))
            held[run->sides.high[i]] = run->is_high[run->sides.high[i]] = true;
    for (int i = 0; i < run->sides.low_count; i++)
        held[run->sides.low[i]] |= hs_sides_is_held(i, options->held_out);
    if (options->given_count) {
        status = hs_all_joint_weights(run, held, err);
    } else {
        hs_mean_weights(run, -1, true, hs_weights_of(run, HS_TRAIN));
        hs_mean_weights(run, -1, false, hs_weights_of(run, HS_ALL));
    }
    for (int c = 0; c < options->curve_count; c++)
        hs_mean_weights(run, options->curve[c], false, hs_weights_of(run, HS_FIRST_CURVE + c));
    if (status == HS_OK)
        hs_order_rows(run, held);
    free(held);
    return status;
}

/* ------------------------------------------------------------------ sums -- */

/* The sampler's progress within one batch, as part of the whole. */
typedef struct hs_relay {
    const hs_monitor *monitor;
    double from, share, total;
} hs_relay;

static bool hs_relay_progress(void *ctx, const char *phase, double done, double total) {
    const hs_relay *relay = ctx;
    double part = total > 0 ? done / total : 0;
    return hs_progress(relay->monitor, "samples", relay->from + relay->share * part, relay->total,
                       NULL) == HS_OK;
}

static void hs_relay_notice(void *ctx, const char *text) {
    const hs_relay *relay = ctx;
    hs_notice(relay->monitor, "%s", text);
}

/* h of rows that name seeds: made again by the sampler. */
static hs_status hs_source_seeds(void *ctx, int count, const int *rows, const hs_monitor *monitor,
                                 float *h, hs_error *err) {
    const hs_attribute_run *run = ctx;
    size_t image = hs_denoiser_image_size(run->sampler->denoiser);
    int64_t *seeds = hs_calloc((size_t)count, sizeof *seeds);
    float *x_0 = hs_alloc_aligned((size_t)count * image, sizeof *x_0);
    hs_status status = HS_OK;
    if (!seeds || !x_0) {
        status = hs_fail_memory(err, (size_t)count * image * sizeof *x_0);
        goto cleanup;
    }
    for (int i = 0; i < count; i++)
        seeds[i] = run->labels.seeds[rows[i]];
    HS_CHECK(hs_sample(run->sampler, count, seeds, NULL, NULL, 0, NULL, monitor, x_0, h, err));
cleanup:
    free(x_0);
    free(seeds);
    return status;
}

static void hs_add_row(hs_attribute_run *run, int row, const float *h) {
    for (int s = 0; s < run->sums; s++) {
        double weight = hs_weights_of(run, s)[row], *sum = run->sum + (size_t)s * run->length;
        if (weight == 0)
            continue;
        for (size_t c = 0; c < run->length; c++)
            sum[c] += weight * (double)h[c];
    }
}

static void hs_judge_row(hs_attribute_run *run, int row, const float *h) {
    const double *direction = run->sum; /* HS_TRAIN, complete by now */
    double score = 0;
    for (size_t c = 0; c < run->length; c++)
        score += direction[c] * (double)h[c];
    run->score[row] = score;
}

static hs_status hs_attribute_sums(hs_attribute_run *run, hs_error *err) {
    hs_status status = HS_OK;
    int batch = hs_denoiser_batch(run->sampler->denoiser, run->row_count);
    float *h = hs_alloc_aligned((size_t)batch * run->length, sizeof *h);
    if (!h)
        return hs_fail_memory(err, (size_t)batch * run->length * sizeof *h);
    for (int first = 0, count; first < run->row_count; first += count) {
        count = run->row_count - first < batch ? run->row_count - first : batch;
        hs_relay relay = {
            .monitor = run->monitor, .from = first, .share = count, .total = run->row_count};
        hs_monitor monitor = {
            .ctx = &relay, .progress = hs_relay_progress, .notice = hs_relay_notice};
        HS_CHECK(run->source(run->source_ctx, count, run->rows + first, &monitor, h, err));
        for (int i = 0; i < count; i++) {
            const float *own = h + (size_t)i * run->length;
            if (first + i >= run->held_from)
                hs_judge_row(run, run->rows[first + i], own);
            hs_add_row(run, run->rows[first + i], own);
        }
    }
cleanup:
    free(h);
    return status;
}

/* ---------------------------------------------------------------- figures -- */

/* Of pairs of a high and a low held-out sample, the share that the direction
 * puts in the right order; NAN without such a pair. */
static double hs_attribute_auc(const hs_attribute_run *run, int *highs, int *lows) {
    double right = 0;
    *highs = *lows = 0;
    for (int i = run->held_from; i < run->row_count; i++) {
        int row = run->rows[i];
        if (!run->is_high[row]) {
            (*lows)++;
            continue;
        }
        (*highs)++;
        for (int j = run->held_from; j < run->row_count; j++) {
            int other = run->rows[j];
            if (!run->is_high[other])
                right += run->score[row] > run->score[other]    ? 1
                         : run->score[row] == run->score[other] ? 0.5
                                                                : 0;
        }
    }
    return *highs && *lows ? right / ((double)*highs * *lows) : NAN;
}

static double hs_dot_sums(const hs_attribute_run *run, int a, int b) {
    const double *x = run->sum + (size_t)a * run->length, *y = run->sum + (size_t)b * run->length;
    double sum = 0;
    for (size_t c = 0; c < run->length; c++)
        sum += x[c] * y[c];
    return sum;
}

static hs_status hs_attribute_figures(const hs_attribute_run *run, hs_attribute_report *report,
                                      hs_error *err) {
    *report = (hs_attribute_report){
        .high = run->sides.high_count,
        .low = run->sides.low_count,
        .samples = run->row_count,
        .high_score = hs_sides_mean(&run->labels, &run->sides, true),
        .low_score = hs_sides_mean(&run->labels, &run->sides, false),
        .norm = sqrt(hs_dot_sums(run, HS_ALL, HS_ALL)),
        .curve_count = run->options->curve_count,
    };
    report->auc = hs_attribute_auc(run, &report->held_high, &report->held_low);
    if (!isfinite(report->norm) || report->norm == 0)
        return hs_fail(err, HS_ERROR_NUMERIC,
                       "attribute '%.60s': the direction has norm %g: its h are not finite, or all "
                       "the same",
                       run->options->attribute, report->norm);
    for (int c = 0; c < report->curve_count; c++) {
        int sum = HS_FIRST_CURVE + c, last = HS_FIRST_CURVE + report->curve_count - 1;
        report->curve[c] = run->options->curve[c];
        report->cosine[c] = hs_dot_sums(run, sum, last) /
                            sqrt(hs_dot_sums(run, sum, sum) * hs_dot_sums(run, last, last));
    }
    return HS_OK;
}

/* --------------------------------------------------------------- metadata -- */

static hs_status hs_attribute_put(hs_directions *directions, const char *key, json_t *value,
                                  hs_error *err) {
    char *text = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    json_decref(value);
    if (!text)
        return hs_fail_memory(err, 4096);
    hs_status status = hs_directions_set_metadata(directions, key, text, err);
    free(text);
    return status;
}

static json_t *hs_json_words(const char *const *words, int count) {
    json_t *list = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(list, json_string(words[i]));
    return list;
}

static json_t *hs_describe_options(const hs_attribute_options *o, int top) {
    json_t *json = json_object();
    json_object_set_new(json, "attribute", json_string(o->attribute));
    if (o->by_threshold) {
        json_object_set_new(json, "low", json_real(o->low));
        json_object_set_new(json, "high", json_real(o->high));
    } else {
        json_object_set_new(json, "top", json_integer(top));
    }
    json_object_set_new(json, "balance", hs_json_words(o->balance, o->balance_count));
    json_object_set_new(json, "given", hs_json_words(o->given, o->given_count));
    json_object_set_new(json, "held_out", json_real(o->held_out));
    return json;
}

static json_t *hs_describe_report(const hs_attribute_report *report) {
    json_t *json = json_object(), *curve = json_array();
    json_object_set_new(json, "high", json_integer(report->high));
    json_object_set_new(json, "low", json_integer(report->low));
    json_object_set_new(json, "samples", json_integer(report->samples));
    json_object_set_new(json, "high_score", json_real(report->high_score));
    json_object_set_new(json, "low_score", json_real(report->low_score));
    json_object_set_new(json, "norm", json_real(report->norm));
    if (isfinite(report->auc))
        json_object_set_new(json, "auc", json_real(report->auc));
    json_object_set_new(json, "held_high", json_integer(report->held_high));
    json_object_set_new(json, "held_low", json_integer(report->held_low));
    for (int c = 0; c < report->curve_count; c++)
        json_array_append_new(curve, json_pack("[i,f]", report->curve[c], report->cosine[c]));
    if (report->curve_count)
        json_object_set_new(json, "curve", curve);
    else
        json_decref(curve);
    return json;
}

static int hs_compare_int64(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The seeds that went in, as the command line takes them: "0-3,7"; free() it. */
static char *hs_attribute_seeds(const hs_attribute_run *run) {
    size_t n = (size_t)run->row_count, used = 0, room = n * 21 + 1;
    int64_t *seeds = hs_calloc(n, sizeof *seeds);
    char *text = hs_calloc(room, 1);
    for (size_t i = 0; seeds && i < n; i++)
        seeds[i] = run->labels.seeds[run->rows[i]];
    if (seeds && text) {
        qsort(seeds, n, sizeof *seeds, hs_compare_int64);
        for (size_t i = 0, last; i < n; i = last + 1) {
            for (last = i; last + 1 < n && seeds[last + 1] <= seeds[last] + 1; last++)
                ;
            int length =
                snprintf(text + used, room - used, "%s%lld", used ? "," : "", (long long)seeds[i]);
            used += length > 0 ? (size_t)length : 0;
            if (seeds[last] > seeds[i])
                length = snprintf(text + used, room - used, "-%lld", (long long)seeds[last]);
            used += seeds[last] > seeds[i] && length > 0 ? (size_t)length : 0;
        }
    } else {
        free(text);
        text = NULL;
    }
    free(seeds);
    return text;
}

static json_t *hs_attribute_eta(const hs_sampler *sampler) {
    json_t *list = json_array();
    for (int i = 0; i < sampler->T; i++)
        json_array_append_new(list, json_real(sampler->eta[i]));
    return list;
}

static hs_status hs_attribute_metadata(const hs_attribute_run *run,
                                       const hs_attribute_report *report, hs_directions *directions,
                                       hs_error *err) {
    HS_TRY(hs_attribute_put(directions, "options", hs_describe_options(run->options, report->high),
                            err));
    HS_TRY(hs_attribute_put(directions, "result", hs_describe_report(report), err));
    HS_TRY(hs_attribute_put(directions, "eta", hs_attribute_eta(run->sampler), err));
    if (run->source == hs_source_seeds) {
        char *seeds = hs_attribute_seeds(run);
        hs_status status = seeds ? hs_directions_set_metadata(directions, "seeds", seeds, err)
                                 : hs_fail_memory(err, 64);
        free(seeds);
        HS_TRY(status);
    }
    return hs_directions_update_metadata(directions, err);
}

/* ----------------------------------------------------------------- result -- */

static hs_status hs_attribute_result(const hs_attribute_run *run, const hs_attribute_report *report,
                                     hs_directions **out, hs_error *err) {
    hs_status status = HS_OK;
    const hs_sampler *sampler = run->sampler;
    int T = sampler->T;
    hs_h_space h_space = hs_denoiser_h_space(sampler->denoiser);
    hs_directions *d = hs_directions_new(1, T, T, sampler->model->h[h_space]);
    if (!d)
        return hs_fail_memory(err, run->length * sizeof(float));
    d->h_space = h_space;
    d->N = sampler->model->schedule.num_train_timesteps;
    d->delta_h = hs_calloc(run->length, sizeof(float));
    d->timesteps = hs_calloc((size_t)T, sizeof(int64_t));
    free(d->unit);
    free(d->method);
    free(d->names[0]);
    d->unit = hs_strdup("mean difference");
    d->method = hs_strdup("attribute");
    d->names[0] = hs_strdup(run->options->attribute);
    if (!d->delta_h || !d->timesteps || !d->unit || !d->method || !d->names[0]) {
        status = hs_fail_memory(err, run->length * sizeof(float));
        goto cleanup;
    }
    for (int i = 0; i < T; i++)
        d->timesteps[i] = sampler->timesteps[i];
    for (size_t c = 0; c < run->length; c++)
        d->delta_h[c] = (float)run->sum[HS_ALL * run->length + c];
    HS_CHECK(hs_denoiser_fingerprint(sampler->denoiser, d->model, err));
    HS_CHECK(hs_attribute_metadata(run, report, d, err));
    *out = d;
    d = NULL;
cleanup:
    hs_directions_free(d);
    return status;
}

/* -------------------------------------------------------------------- run -- */

static hs_status hs_attribute_check(const hs_attribute_run *run, hs_error *err) {
    const hs_attribute_options *o = run->options;
    if (!o->attribute)
        return hs_fail(err, HS_ERROR_ARGUMENT, "no attribute is named");
    if (o->top < 0 || !(o->held_out >= 0 && o->held_out <= 0.5))
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "top %d, held_out %g: expected 0 or more, and 0 to 0.5", o->top,
                       o->held_out);
    if (o->curve_count < 0 || o->curve_count > HS_CURVE_MAX ||
        (o->curve_count && (o->given_count || o->by_threshold || o->balance_count)))
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "a curve has up to %d points, of the plain mean difference by rank",
                       HS_CURVE_MAX);
    if (run->source)
        return HS_OK;
    for (int i = 0; i < run->labels.rows; i++)
        if (run->labels.seeds[i] < 0)
            return hs_fail(err, HS_ERROR_ARGUMENT, "\"%.100s\" names no seed to make h from",
                           run->labels.items[i]);
    return HS_OK;
}

static hs_status hs_attribute_begin(hs_attribute_run *run, hs_error *err) {
    size_t rows = (size_t)run->labels.rows;
    run->sums = HS_FIRST_CURVE + run->options->curve_count;
    run->length = (size_t)run->sampler->T * hs_denoiser_h_size(run->sampler->denoiser);
    run->rows = hs_calloc(rows, sizeof *run->rows);
    run->is_high = hs_calloc(rows, sizeof *run->is_high);
    run->score = hs_calloc(rows, sizeof *run->score);
    run->weights = hs_calloc((size_t)run->sums * rows, sizeof *run->weights);
    run->sum = hs_calloc((size_t)run->sums * run->length, sizeof *run->sum);
    if (!run->rows || !run->is_high || !run->score || !run->weights || !run->sum)
        return hs_fail_memory(err, (size_t)run->sums * run->length * sizeof *run->sum);
    for (int c = 0; c < run->options->curve_count; c++)
        if (run->options->curve[c] < 1 || run->options->curve[c] > run->sides.high_count)
            return hs_fail(err, HS_ERROR_ARGUMENT, "curve: %d a side, expected 1 to %d",
                           run->options->curve[c], run->sides.high_count);
    return HS_OK;
}

hs_status hs_attribute(hs_sampler *sampler, const hs_labels *labels,
                       const hs_attribute_options *options, hs_h_source source, void *ctx,
                       const hs_monitor *monitor, hs_directions **out, hs_attribute_report *report,
                       hs_error *err) {
    hs_status status;
    hs_attribute_report figures;
    hs_attribute_run run = {.sampler = sampler,
                            .options = options,
                            .monitor = monitor,
                            .source = source,
                            .source_ctx = ctx};
    hs_labels_view_get(labels, &run.labels);
    HS_CHECK(hs_attribute_check(&run, err));
    if (!source) {
        run.source = hs_source_seeds;
        run.source_ctx = &run;
    }
    HS_CHECK(hs_sides_choose(&run.labels, options, &run.sides, err));
    HS_CHECK(hs_attribute_begin(&run, err));
    HS_CHECK(hs_attribute_weights(&run, err));
    HS_CHECK(hs_progress(monitor, "samples", 0, run.row_count, err));
    HS_CHECK(hs_attribute_sums(&run, err));
    HS_CHECK(hs_attribute_figures(&run, &figures, err));
    HS_CHECK(hs_attribute_result(&run, &figures, out, err));
    if (report)
        *report = figures;
cleanup:
    free(run.sum);
    free(run.weights);
    free(run.score);
    free(run.is_high);
    free(run.rows);
    hs_sides_free(&run.sides);
    return status;
}
