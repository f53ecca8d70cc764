/* What hs_effect_measure is going to do: options checked, lines laid out, memory and
 * passes reckoned, before anything of that size is allocated. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "denoiser.h"
#include "edit/effect.h"

#define HS_EFFECT_MAX_SAMPLES 10000000 /* more is a slip of the keyboard */

hs_effect_options hs_effect_options_default(void) {
    return (hs_effect_options){.n = 100,
                               .sets = 10,
                               .first_seed = 1000000,
                               .random = true,
                               .calibrate_n = 50,
                               .calibrate_seed = -1,
                               .most_strength = 8};
}

/* --------------------------------------------------------------- checks -- */

static hs_status hs_effect_check_numbers(const hs_effect_options *o, hs_error *err) {
    if (o->row_count < 1 || !o->rows)
        return hs_fail(err, HS_ERROR_ARGUMENT, "effect: there is no direction");
    if (o->n < 1 || o->sets < 1 || o->n > HS_EFFECT_MAX_SAMPLES / o->sets)
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "effect: %d sets of %d samples, expected 1 or more, and at most %d in all",
                       o->sets, o->n, HS_EFFECT_MAX_SAMPLES);
    if (o->first_seed < 0 || o->first_seed > INT64_MAX - 2 * (int64_t)HS_EFFECT_MAX_SAMPLES)
        return hs_fail(err, HS_ERROR_ARGUMENT, "effect: seed %lld, expected 0 or more",
                       (long long)o->first_seed);
    if (!(o->calibrate >= 0) || isinf(o->calibrate))
        return hs_fail(err, HS_ERROR_ARGUMENT, "effect: calibrate %g, expected 0 (no) or more",
                       o->calibrate);
    if (o->calibrate > 0 && (o->calibrate_n < 1 || o->calibrate_n > HS_EFFECT_MAX_SAMPLES ||
                             !(o->most_strength > 0) || isinf(o->most_strength)))
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "effect: calibration on %d samples up to strength %g, expected both above 0",
                       o->calibrate_n, o->most_strength);
    return HS_OK;
}

/* The columns: labels of the classifier, each once. */
static hs_status hs_effect_columns(const hs_classifier *classifier, const hs_effect_options *o,
                                   hs_effect_plan *plan, hs_error *err) {
    hs_classifier_info info;
    hs_classifier_labels(classifier, &plan->labels);
    hs_classifier_get_info(classifier, &info);
    plan->attributes = o->attribute_count ? o->attribute_count : plan->labels;
    plan->columns = hs_calloc((size_t)plan->attributes, sizeof *plan->columns);
    if (!plan->columns)
        return hs_fail_memory(err, (size_t)plan->attributes * sizeof *plan->columns);
    for (int a = 0; a < plan->attributes; a++) {
        plan->columns[a] =
            o->attribute_count ? hs_classifier_find(classifier, o->attributes[a]) : a;
        if (plan->columns[a] < 0)
            return hs_fail(err, HS_ERROR_ARGUMENT,
                           "effect: %.200s has no attribute '%.60s' among its %d labels", info.name,
                           o->attributes[a], plan->labels);
        for (int b = 0; b < a; b++)
            if (plan->columns[a] == plan->columns[b])
                return hs_fail(err, HS_ERROR_ARGUMENT, "effect: attribute '%.60s' is named twice",
                               o->attributes[a]);
    }
    return HS_OK;
}

/* The column of row r's target, or -1 where it has none. */
static hs_status hs_effect_target(const hs_classifier *classifier, const hs_effect_options *o,
                                  const hs_effect_plan *plan, int r, int *out, hs_error *err) {
    const char *target = o->rows[r].target;
    int count;
    const char *const *labels = hs_classifier_labels(classifier, &count);
    *out = -1;
    for (int a = 0; target && a < plan->attributes; a++)
        if (!strcmp(labels[plan->columns[a]], target))
            *out = a;
    if (target && *out < 0)
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "effect: direction %d is meant to change '%.60s', which is none of the %d "
                       "attributes measured",
                       r, target, plan->attributes);
    if (!target && o->calibrate > 0)
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "effect: direction %d has no target, by which it could be calibrated", r);
    return HS_OK;
}

/* -------------------------------------------------------------- layout -- */

/* Targets and groups of the rows. */
static hs_status hs_effect_layout(const hs_classifier *classifier, const hs_effect_options *o,
                                  hs_effect_plan *plan, hs_error *err) {
    plan->rows = o->row_count;
    plan->lines = plan->rows + (o->random ? 2 : 1);
    plan->targets = hs_calloc((size_t)plan->rows, sizeof *plan->targets);
    if (!plan->targets)
        return hs_fail_memory(err, (size_t)plan->rows * sizeof *plan->targets);
    for (int r = 0; r < plan->rows; r++) {
        int group = o->rows[r].group, before = r ? o->rows[r - 1].group : 0;
        if (r ? group != before && group != before + 1 : group != 0)
            return hs_fail(err, HS_ERROR_ARGUMENT,
                           "effect: direction %d is of group %d after group %d", r, group, before);
        HS_TRY(hs_effect_target(classifier, o, plan, r, &plan->targets[r], err));
    }
    plan->groups = o->rows[plan->rows - 1].group + 1;
    if (o->random && (int64_t)o->n * o->sets < plan->rows)
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "effect: %lld samples for random directions like %d: expected one each, or "
                       "no random directions",
                       (long long)o->n * o->sets, plan->rows);
    return HS_OK;
}

static hs_status hs_effect_reckon(const hs_sampler *sampler, const hs_effect_options *o,
                                  hs_effect_plan *plan, hs_error *err) {
    hs_directions_view view;
    plan->samples = (int64_t)o->n * o->sets;
    plan->image = hs_denoiser_image_size(sampler->denoiser);
    plan->batch = hs_denoiser_batch(sampler->denoiser, (int)plan->samples);
    for (int r = 0; o->random && r < o->row_count; r++) {
        hs_directions_view_get(o->rows[r].edit.directions, &view);
        bool noise = view.space == HS_SPACE_NOISE;
        const int *shape = noise ? view.image : view.h_shape;
        size_t slices = (size_t)view.S + (noise && view.delta_z); /* x_T beside z */
        plan->delta_h += slices * (size_t)shape[0] * (size_t)shape[1] * (size_t)shape[2];
    }
    int64_t made = plan->lines * plan->samples, batch = plan->batch;
    if (o->calibrate > 0)
        made += ((int64_t)o->row_count * HS_EFFECT_TRIALS + 1) * o->calibrate_n;
    int64_t scores = plan->lines * plan->samples * plan->attributes * 4;
    int64_t images = batch * (int64_t)(plan->image + (size_t)plan->labels) * 4;
    plan->bytes = scores + images + (int64_t)plan->delta_h * 4;
    plan->passes = made * sampler->T * (sampler->asyrp ? 2 : 1);
    snprintf(plan->formula, sizeof plan->formula,
             "scores of %d lines x %lld samples x %d attributes, batches of %d, random directions "
             "of %zu numbers",
             plan->lines, (long long)plan->samples, plan->attributes, plan->batch, plan->delta_h);
    if (o->max_mem > 0 && plan->bytes > o->max_mem)
        return hs_fail(err, HS_ERROR_MEMORY,
                       "effect: takes %lld MiB (%s), %lld MiB are allowed: measure fewer samples "
                       "or directions at once",
                       (long long)(plan->bytes >> 20) + 1, plan->formula,
                       (long long)(o->max_mem >> 20));
    return HS_OK;
}

hs_status hs_effect_plan_make(const hs_sampler *sampler, const hs_classifier *classifier,
                              const hs_effect_options *options, hs_effect_plan *plan,
                              hs_error *err) {
    *plan = (hs_effect_plan){0};
    hs_status status;
    HS_CHECK(hs_effect_check_numbers(options, err));
    HS_CHECK(hs_effect_columns(classifier, options, plan, err));
    HS_CHECK(hs_effect_layout(classifier, options, plan, err));
    HS_CHECK(hs_effect_reckon(sampler, options, plan, err));
    return HS_OK;
cleanup:
    hs_effect_plan_free(plan);
    return status;
}

void hs_effect_plan_free(hs_effect_plan *plan) {
    free(plan->columns);
    free(plan->targets);
    *plan = (hs_effect_plan){0};
}

hs_status hs_effect_cost(const hs_sampler *sampler, const hs_classifier *classifier,
                         const hs_effect_options *options, hs_cost *cost, hs_error *err) {
    hs_effect_plan plan;
    HS_TRY(hs_effect_plan_make(sampler, classifier, options, &plan, err));
    *cost = (hs_cost){.bytes = plan.bytes, .passes = plan.passes};
    memcpy(cost->formula, plan.formula, sizeof cost->formula);
    hs_effect_plan_free(&plan);
    return HS_OK;
}
