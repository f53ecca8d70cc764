/* Directions with labels, their end: AUC, curve, metadata, and the handle. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "denoiser.h"
#include "directions/supervised.h"

/* ---------------------------------------------------------------- figures -- */

/* Of pairs of a high and a low held-out sample, the share that the direction
 * puts in the right order; NAN without such a pair. */
static double hs_attribute_auc(const hs_attribute_run *run, const hs_attribute_part *part,
                               int *highs, int *lows) {
    double right = 0;
    *highs = *lows = 0;
    for (int i = run->held_from; i < run->row_count; i++) {
        int row = run->rows[i];
        *lows += part->side[row] < 0;
        *highs += part->side[row] > 0;
        for (int j = run->held_from; part->side[row] > 0 && j < run->row_count; j++) {
            int other = run->rows[j];
            if (part->side[other] < 0)
                right += part->score[row] > part->score[other]    ? 1
                         : part->score[row] == part->score[other] ? 0.5
                                                                  : 0;
        }
    }
    return *highs && *lows ? right / ((double)*highs * *lows) : NAN;
}

static double hs_dot_sums(const hs_attribute_run *run, const hs_attribute_part *part, int a,
                          int b) {
    const double *x = hs_part_sum(run, part, a), *y = hs_part_sum(run, part, b);
    double sum = 0;
    for (size_t c = 0; c < run->length; c++)
        sum += x[c] * y[c];
    return sum;
}

hs_status hs_attribute_figures(const hs_attribute_run *run, const hs_attribute_part *part,
                               hs_attribute_report *report, hs_error *err) {
    int samples = 0;
    for (int i = 0; i < run->labels.rows; i++)
        samples += part->weights[HS_ALL * (size_t)run->labels.rows + (size_t)i] != 0;
    *report = (hs_attribute_report){
        .high = part->sides.high_count,
        .low = part->sides.low_count,
        .samples = samples,
        .high_score = hs_sides_mean(&run->labels, &part->sides, true),
        .low_score = hs_sides_mean(&run->labels, &part->sides, false),
        .norm = sqrt(hs_dot_sums(run, part, HS_ALL, HS_ALL)),
        .curve_count = part->options->curve_count,
    };
    report->auc = hs_attribute_auc(run, part, &report->held_high, &report->held_low);
    if (!isfinite(report->norm) || report->norm == 0)
        return hs_fail(err, HS_ERROR_NUMERIC,
                       "attribute '%.60s': the direction has norm %g: its h are not finite, or all "
                       "the same",
                       part->options->attribute, report->norm);
    for (int c = 0; c < report->curve_count; c++) {
        int sum = HS_FIRST_CURVE + c, last = HS_FIRST_CURVE + report->curve_count - 1;
        report->curve[c] = part->options->curve[c];
        report->cosine[c] =
            hs_dot_sums(run, part, sum, last) /
            sqrt(hs_dot_sums(run, part, sum, sum) * hs_dot_sums(run, part, last, last));
    }
    return HS_OK;
}

/* --------------------------------------------------------------- metadata -- */

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

/* One attribute: its own object; several: a list of them, in order. */
static json_t *hs_attribute_each(const hs_attribute_run *run, const hs_attribute_report *reports,
                                 bool options) {
    json_t *list = json_array();
    for (int p = 0; p < run->count; p++) {
        json_t *one = options ? hs_describe_options(run->parts[p].options, reports[p].high)
                              : hs_describe_report(&reports[p]);
        if (run->count == 1) {
            json_decref(list);
            return one;
        }
        if (options && hs_denoiser_precision_name(run->sampler->denoiser))
            json_object_set_new(one, "precision",
                                json_string(hs_denoiser_precision_name(run->sampler->denoiser)));
        json_array_append_new(list, one);
    }
    return list;
}

static hs_status hs_attribute_metadata(const hs_attribute_run *run,
                                       const hs_attribute_report *reports,
                                       hs_directions *directions, hs_error *err) {
    HS_TRY(hs_directions_put_json(directions, "options", hs_attribute_each(run, reports, true), 17,
                                  err));
    HS_TRY(hs_directions_put_json(directions, "result", hs_attribute_each(run, reports, false), 17,
                                  err));
    HS_TRY(hs_directions_put_json(directions, "eta", hs_attribute_eta(run->sampler), 17, err));
    if (run->own_source) {
        char *seeds = hs_attribute_seeds(run);
        hs_status status = seeds ? hs_directions_set_metadata(directions, "seeds", seeds, err)
                                 : hs_fail_memory(err, 64);
        free(seeds);
        HS_TRY(status);
    }
    return hs_directions_update_metadata(directions, err);
}

/* ----------------------------------------------------------------- result -- */

/* K directions, all but their values, names and metadata. */
static hs_status hs_attribute_handle(const hs_attribute_run *run, int K, hs_directions **out,
                                     hs_error *err) {
    const hs_sampler *sampler = run->sampler;
    int T = sampler->T;
    hs_h_space h_space = hs_denoiser_h_space(sampler->denoiser);
    bool noise = run->space == HS_SPACE_NOISE, z = noise && sampler->any_eta;
    size_t image = hs_denoiser_image_size(sampler->denoiser);
    const int none[3] = {0};
    hs_directions *d =
        hs_directions_new(K, noise && !z ? 1 : T, T, noise ? none : sampler->model->h[h_space]);
    if (!d)
        return hs_fail_memory(err, run->length * sizeof(float));
    d->h_space = h_space;
    d->space = run->space;
    if (noise)
        memcpy(d->image, sampler->model->image, sizeof d->image);
    d->N = sampler->model->schedule.num_train_timesteps;
    d->delta_h = noise ? NULL : hs_calloc((size_t)K * run->length, sizeof(float));
    d->delta_x_T = noise ? hs_calloc((size_t)K * image, sizeof(float)) : NULL;
    d->delta_z = z ? hs_calloc((size_t)K * (size_t)T * image, sizeof(float)) : NULL;
    d->timesteps = hs_calloc((size_t)T, sizeof(int64_t));
    free(d->unit);
    free(d->method);
    d->unit = hs_strdup("mean difference");
    d->method = hs_strdup("attribute");
    bool values = noise ? d->delta_x_T && (d->delta_z || !z) : d->delta_h != NULL;
    hs_status status = values && d->timesteps && d->unit && d->method
                           ? hs_denoiser_fingerprint(sampler->denoiser, d->model, err)
                           : hs_fail_memory(err, (size_t)K * run->length * sizeof(float));
    if (status != HS_OK) {
        hs_directions_free(d);
        return status;
    }
    for (int i = 0; i < T; i++)
        d->timesteps[i] = sampler->timesteps[i];
    *out = d;
    return HS_OK;
}

/* Direction k: a sum, and a name that it takes over (NULL: no memory). */
static hs_status hs_attribute_set(const hs_attribute_run *run, const double *sum, int k, char *name,
                                  hs_directions *d, hs_error *err) {
    free(d->names[k]);
    d->names[k] = name;
    if (!name)
        return hs_fail_memory(err, 64);
    /* x_T stands before z in a sum. */
    bool noise = run->space == HS_SPACE_NOISE;
    size_t x_T = noise ? hs_denoiser_image_size(run->sampler->denoiser) : 0,
           rest = run->length - x_T;
    float *after = noise ? d->delta_z : d->delta_h;
    for (size_t c = 0; c < x_T; c++)
        d->delta_x_T[(size_t)k * x_T + c] = (float)sum[c];
    for (size_t c = 0; c < rest; c++)
        after[(size_t)k * rest + c] = (float)sum[x_T + c];
    return HS_OK;
}

hs_status hs_attribute_result(const hs_attribute_run *run, const hs_attribute_report *reports,
                              hs_directions **out, hs_error *err) {
    hs_directions *d = NULL;
    HS_TRY(hs_attribute_handle(run, run->count, &d, err));
    hs_status status = HS_OK;
    for (int p = 0; p < run->count; p++) {
        const hs_attribute_options *o = run->parts[p].options;
        HS_CHECK(hs_attribute_set(run, hs_part_sum(run, &run->parts[p], HS_ALL), p,
                                  hs_strdup(o->name ? o->name : o->attribute), d, err));
    }
    HS_CHECK(hs_attribute_metadata(run, reports, d, err));
    *out = d;
    d = NULL;
cleanup:
    hs_directions_free(d);
    return status;
}

hs_status hs_attribute_curve(const hs_attribute_run *run, hs_directions **out, hs_error *err) {
    const hs_attribute_part *part = &run->parts[0];
    hs_directions *d = NULL;
    int points = part->options->curve_count;
    if (!points)
        return hs_fail(err, HS_ERROR_ARGUMENT, "a curve without points");
    HS_TRY(hs_attribute_handle(run, points, &d, err));
    hs_status status = HS_OK;
    for (int c = 0; c < points; c++)
        HS_CHECK(hs_attribute_set(run, hs_part_sum(run, part, HS_FIRST_CURVE + c), c,
                                  hs_format("%d", part->options->curve[c]), d, err));
    HS_CHECK(hs_directions_update_metadata(d, err));
    *out = d;
    d = NULL;
cleanup:
    hs_directions_free(d);
    return status;
}
