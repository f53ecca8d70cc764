/*
 * Directions with labels (paper, section V): the mean difference of h between
 * two sides of an attribute (eq. 11), or its partial effect beside other
 * attributes (joint regression). Either is a weighted sum of the samples' h
 * with weights that scores alone give (sides.h), so h is made again in batches
 * and added up in double; never more than one batch of it is held.
 *
 * Held-out samples are taken last: by then the direction of the others is
 * complete, they are judged by it, and then join the direction that is returned.
 * Several attributes share the samples, and so what is held out.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "denoiser.h"
#include "directions/supervised.h"

hs_attribute_options hs_attribute_options_default(void) {
    return (hs_attribute_options){.held_out = 0.2};
}

/* --------------------------------------------------------------- weights -- */

static double *hs_weights_of(const hs_attribute_run *run, const hs_attribute_part *part, int sum) {
    return part->weights + (size_t)sum * (size_t)run->labels.rows;
}

/* +1/n and -1/n over the first `m` of each side (m < 0: all), perhaps without
 * the held-out ones. */
static void hs_mean_weights(const hs_attribute_run *run, const hs_attribute_part *part, int m,
                            bool train, double *weights) {
    for (int side = 0; side < 2; side++) {
        const int *rows = side ? part->sides.low : part->sides.high;
        int count = side ? part->sides.low_count : part->sides.high_count, used = 0;
        if (m >= 0 && m < count)
            count = m;
        for (int i = 0; i < count; i++)
            used += !train || !run->held[rows[i]];
        for (int i = 0; i < count; i++)
            if (!train || !run->held[rows[i]])
                weights[rows[i]] = (side ? -1.0 : 1.0) / used;
    }
}

/* Rows that attribute `part` is made of. */
static void hs_mark_rows(const hs_attribute_part *part, bool *wanted) {
    for (int i = 0; i < part->sides.high_count; i++)
        wanted[part->sides.high[i]] = true;
    for (int i = 0; i < part->sides.low_count; i++)
        wanted[part->sides.low[i]] = true;
    for (int i = 0; part->options->given_count && i < part->sides.usable_count; i++)
        wanted[part->sides.usable[i]] = true;
}

/* Of one attribute, a share of each side is held out, all over its ranks; of
 * several, a share of all rows. */
static void hs_choose_held(hs_attribute_run *run, const bool *wanted) {
    double share = run->parts[0].options->held_out;
    const hs_sides *sides = &run->parts[0].sides;
    int seen = 0;
    for (int i = 0; run->count > 1 && i < run->labels.rows; i++)
        if (wanted[i])
            run->held[i] = hs_sides_is_held(seen++, share);
    for (int i = 0; run->count == 1 && i < sides->high_count; i++)
        run->held[sides->high[i]] = hs_sides_is_held(i, share);
    for (int i = 0; run->count == 1 && i < sides->low_count; i++)
        run->held[sides->low[i]] |= hs_sides_is_held(i, share);
}

/* Rows to go through, the held-out ones last. */
static void hs_order_rows(hs_attribute_run *run, const bool *wanted) {
    for (int late = 0; late < 2; late++) {
        if (late)
            run->held_from = run->row_count;
        for (int i = 0; i < run->labels.rows; i++)
            if (wanted[i] && run->held[i] == late)
                run->rows[run->row_count++] = i;
    }
}

/* The joint regression on `rows`, in units of the sides' mean difference. */
static hs_status hs_joint_weights(const hs_attribute_run *run, const hs_attribute_part *part,
                                  const int *rows, int count, double *weights, hs_error *err) {
    const hs_attribute_options *options = part->options;
    int columns = options->given_count + 1;
    int *column = hs_calloc((size_t)columns, sizeof *column);
    if (!column)
        return hs_fail_memory(err, (size_t)columns * sizeof *column);
    hs_status status = HS_OK;
    column[0] = part->sides.target;
    for (int g = 0; g < options->given_count && status == HS_OK; g++)
        status = hs_sides_column(&run->labels, options->given[g], &column[g + 1], err);
    if (status == HS_OK)
        status = hs_regression_weights(&run->labels, rows, count, column, columns, weights, err);
    free(column);
    double unit = hs_sides_mean(&run->labels, &part->sides, true) -
                  hs_sides_mean(&run->labels, &part->sides, false);
    for (int i = 0; i < run->labels.rows; i++)
        weights[i] *= unit;
    return status;
}

static hs_status hs_all_joint_weights(const hs_attribute_run *run, const hs_attribute_part *part,
                                      hs_error *err) {
    const hs_sides *sides = &part->sides;
    int count = 0, *train = hs_calloc((size_t)sides->usable_count + 1, sizeof *train);
    if (!train)
        return hs_fail_memory(err, (size_t)sides->usable_count * sizeof *train);
    for (int i = 0; i < sides->usable_count; i++)
        if (!run->held[sides->usable[i]])
            train[count++] = sides->usable[i];
    hs_status status =
        hs_joint_weights(run, part, train, count, hs_weights_of(run, part, HS_TRAIN), err);
    if (status == HS_OK)
        status = hs_joint_weights(run, part, sides->usable, sides->usable_count,
                                  hs_weights_of(run, part, HS_ALL), err);
    free(train);
    return status;
}

static hs_status hs_part_weights(const hs_attribute_run *run, hs_attribute_part *part,
                                 hs_error *err) {
    const hs_attribute_options *options = part->options;
    const hs_sides *sides = &part->sides;
    for (int i = 0; i < sides->low_count; i++)
        if (run->held[sides->low[i]])
            part->side[sides->low[i]] = -1;
    for (int i = 0; i < sides->high_count; i++)
        if (run->held[sides->high[i]])
            part->side[sides->high[i]] = 1;
    for (int c = 0; c < options->curve_count; c++)
        hs_mean_weights(run, part, options->curve[c], false,
                        hs_weights_of(run, part, HS_FIRST_CURVE + c));
    if (options->given_count)
        return hs_all_joint_weights(run, part, err);
    hs_mean_weights(run, part, -1, true, hs_weights_of(run, part, HS_TRAIN));
    hs_mean_weights(run, part, -1, false, hs_weights_of(run, part, HS_ALL));
    return HS_OK;
}

static hs_status hs_attribute_weights(hs_attribute_run *run, hs_error *err) {
    bool *wanted = hs_calloc((size_t)run->labels.rows, sizeof *wanted);
    hs_status status = HS_OK;
    if (!wanted)
        return hs_fail_memory(err, (size_t)run->labels.rows);
    for (int p = 0; p < run->count; p++)
        hs_mark_rows(&run->parts[p], wanted);
    hs_choose_held(run, wanted);
    hs_order_rows(run, wanted);
    for (int p = 0; p < run->count && status == HS_OK; p++)
        status = hs_part_weights(run, &run->parts[p], err);
    free(wanted);
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

/* x_T and z of rows that name seeds. */
static hs_status hs_source_noise(void *ctx, int count, const int *rows, const hs_monitor *monitor,
                                 float *noise, hs_error *err) {
    const hs_attribute_run *run = ctx;
    size_t image = hs_denoiser_image_size(run->sampler->denoiser);
    HS_TRY(hs_progress(monitor, "samples", 0, 1, err));
    for (int i = 0; i < count; i++) {
        hs_latents *latents = NULL;
        hs_latents_view view;
        float *own = noise + (size_t)i * run->length;
        HS_TRY(hs_latents_from_seeds(run->sampler, 1, &run->labels.seeds[rows[i]], &latents, err));
        hs_latents_view_get(latents, &view);
        memcpy(own, view.x_T, image * sizeof *own);
        if (view.z)
            memcpy(own + image, view.z, (size_t)view.T * image * sizeof *own);
        hs_latents_free(latents);
    }
    return HS_OK;
}

static void hs_add_row(const hs_attribute_run *run, const hs_attribute_part *part, int row,
                       const float *h) {
    for (int s = 0; s < part->sums; s++) {
        double weight = hs_weights_of(run, part, s)[row], *sum = hs_part_sum(run, part, s);
        if (weight == 0)
            continue;
        for (size_t c = 0; c < run->length; c++)
            sum[c] += weight * (double)h[c];
    }
}

static void hs_judge_row(const hs_attribute_run *run, const hs_attribute_part *part, int row,
                         const float *h) {
    const double *direction = hs_part_sum(run, part, HS_TRAIN); /* complete by now */
    double score = 0;
    for (size_t c = 0; c < run->length; c++)
        score += direction[c] * (double)h[c];
    part->score[row] = score;
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
            for (int p = 0; p < run->count; p++) {
                if (first + i >= run->held_from)
                    hs_judge_row(run, &run->parts[p], run->rows[first + i], own);
                hs_add_row(run, &run->parts[p], run->rows[first + i], own);
            }
        }
    }
cleanup:
    free(h);
    return status;
}

/* -------------------------------------------------------------------- run -- */

static hs_status hs_attribute_check(const hs_attribute_run *run, const hs_attribute_options *o,
                                    hs_error *err) {
    if (o->space != run->space || o->space == HS_SPACE_PIXEL)
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "directions are of h or of noise, and all of one call of the same");
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
    if (o->curve_count && run->count > 1)
        return hs_fail(err, HS_ERROR_ARGUMENT, "a curve is of one attribute, not of %d",
                       run->count);
    return HS_OK;
}

static hs_status hs_part_begin(const hs_attribute_run *run, const hs_attribute_options *options,
                               hs_attribute_part *part, hs_error *err) {
    size_t rows = (size_t)run->labels.rows;
    part->options = options;
    HS_TRY(hs_attribute_check(run, options, err));
    HS_TRY(hs_sides_choose(&run->labels, options, &part->sides, err));
    part->sums = HS_FIRST_CURVE + options->curve_count;
    part->side = hs_calloc(rows, sizeof *part->side);
    part->score = hs_calloc(rows, sizeof *part->score);
    part->weights = hs_calloc((size_t)part->sums * rows, sizeof *part->weights);
    part->sum = hs_calloc((size_t)part->sums * run->length, sizeof *part->sum);
    if (!part->side || !part->score || !part->weights || !part->sum)
        return hs_fail_memory(err, (size_t)part->sums * run->length * sizeof *part->sum);
    for (int c = 0; c < options->curve_count; c++)
        if (options->curve[c] < 1 || options->curve[c] > part->sides.high_count)
            return hs_fail(err, HS_ERROR_ARGUMENT, "curve: %d a side, expected 1 to %d",
                           options->curve[c], part->sides.high_count);
    return HS_OK;
}

static hs_status hs_attribute_begin(hs_attribute_run *run, const hs_attribute_options *options,
                                    hs_error *err) {
    size_t rows = (size_t)run->labels.rows;
    for (int i = 0; run->own_source && i < run->labels.rows; i++)
        if (run->labels.seeds[i] < 0)
            return hs_fail(err, HS_ERROR_ARGUMENT, "\"%.100s\" names no seed to make h from",
                           run->labels.items[i]);
    run->space = options[0].space;
    run->length = hs_denoiser_h_size(run->sampler->denoiser) * (size_t)run->sampler->T;
    if (run->space == HS_SPACE_NOISE)
        run->length = hs_denoiser_image_size(run->sampler->denoiser) *
                      (run->sampler->any_eta ? (size_t)run->sampler->T + 1 : 1);
    if (run->own_source && run->space == HS_SPACE_NOISE)
        run->source = hs_source_noise;
    run->parts = hs_calloc((size_t)run->count, sizeof *run->parts);
    run->rows = hs_calloc(rows, sizeof *run->rows);
    run->held = hs_calloc(rows, sizeof *run->held);
    if (!run->parts || !run->rows || !run->held)
        return hs_fail_memory(err, rows * sizeof *run->rows);
    for (int p = 0; p < run->count; p++)
        HS_TRY(hs_part_begin(run, &options[p], &run->parts[p], err));
    return HS_OK;
}

static void hs_attribute_end(hs_attribute_run *run) {
    for (int p = 0; run->parts && p < run->count; p++) {
        hs_attribute_part *part = &run->parts[p];
        free(part->sum);
        free(part->weights);
        free(part->score);
        free(part->side);
        hs_sides_free(&part->sides);
    }
    free(run->parts);
    free(run->held);
    free(run->rows);
}

hs_status hs_attribute_many(hs_sampler *sampler, const hs_labels *labels,
                            const hs_attribute_options *options, int count, hs_h_source source,
                            void *ctx, const hs_monitor *monitor, hs_directions **out,
                            hs_attribute_report *reports, hs_directions **curve, hs_error *err) {
    hs_status status;
    hs_directions *made = NULL, *points = NULL;
    hs_attribute_run run = {.sampler = sampler,
                            .monitor = monitor,
                            .source = source ? source : hs_source_seeds,
                            .source_ctx = source ? ctx : &run,
                            .own_source = !source,
                            .count = count};
    if (count < 1)
        return hs_fail(err, HS_ERROR_ARGUMENT, "no attribute is named");
    hs_attribute_report *figures = hs_calloc((size_t)count, sizeof *figures);
    if (!figures)
        return hs_fail_memory(err, (size_t)count * sizeof *figures);
    hs_labels_view_get(labels, &run.labels);
    HS_CHECK(hs_attribute_begin(&run, options, err));
    HS_CHECK(hs_attribute_weights(&run, err));
    HS_CHECK(hs_progress(monitor, "samples", 0, run.row_count, err));
    HS_CHECK(hs_attribute_sums(&run, err));
    for (int p = 0; p < count; p++)
        HS_CHECK(hs_attribute_figures(&run, &run.parts[p], &figures[p], err));
    if (curve)
        HS_CHECK(hs_attribute_curve(&run, &points, err));
    HS_CHECK(hs_attribute_result(&run, figures, &made, err));
    if (reports)
        memcpy(reports, figures, (size_t)count * sizeof *figures);
    if (curve)
        *curve = points;
    *out = made;
    points = NULL;
cleanup:
    hs_directions_free(points);
    hs_attribute_end(&run);
    free(figures);
    return status;
}

hs_status hs_attribute(hs_sampler *sampler, const hs_labels *labels,
                       const hs_attribute_options *options, hs_h_source source, void *ctx,
                       const hs_monitor *monitor, hs_directions **out, hs_attribute_report *report,
                       hs_error *err) {
    return hs_attribute_many(sampler, labels, options, 1, source, ctx, monitor, out, report, NULL,
                             err);
}
