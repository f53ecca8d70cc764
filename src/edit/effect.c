/*
 * The effect matrix (the protocol of the paper's Table I): what edits along
 * directions do to the scores of a classifier. Samples are made in batches and
 * scored at once; of each, only its scores are kept.
 *
 * All lines (see effect.h) are taken a batch of samples at a time, the unedited
 * ones first, so that whatever is stopped has measured all directions alike.
 */
#include "edit/effect.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "denoiser.h"
#include "io/direction_file.h"

/* -------------------------------------------------------------- scoring -- */

static bool hs_effect_progress(void *ctx, const char *phase, double done, double total) {
    const hs_effect_run *run = ctx;
    double part = total > 0 ? done / total : 0;
    return hs_progress(run->monitor, run->phase, run->from + run->share * part, run->total, NULL) ==
           HS_OK;
}

hs_status hs_effect_score(hs_effect_run *run, int64_t seed, int count, int edit_count,
                          const double *per_item, float *out, hs_error *err) {
    const hs_effect_plan *plan = &run->plan;
    hs_model_info info;
    hs_monitor monitor = {.ctx = run, .progress = hs_effect_progress};
    for (int i = 0; i < count; i++)
        run->seeds[i] = seed + i;
    HS_TRY(hs_sample(run->sampler, count, run->seeds, NULL, run->edits, edit_count, per_item,
                     &monitor, run->x_0, NULL, err));
    hs_model_get_info(hs_denoiser_model(run->sampler->denoiser), &info);
    HS_TRY(
        hs_classifier_scores(run->classifier, count, info.image, run->x_0, run->batch_scores, err));
    for (int i = 0; i < count; i++)
        for (int a = 0; a < plan->attributes; a++)
            out[i * plan->attributes + a] = run->batch_scores[i * plan->labels + plan->columns[a]];
    return HS_OK;
}

/* The edits of a line for its samples first ... first + count - 1. */
static int hs_effect_edits(hs_effect_run *run, int l, int64_t first, int count,
                           const double **per_item) {
    const hs_effect_options *o = run->options;
    int rows = run->plan.rows;
    *per_item = NULL;
    if (l == run->plan.lines - 1)
        return 0;
    if (l < rows) {
        run->edits[0] = o->rows[l].edit;
        run->edits[0].strength = run->strength[l];
        return 1;
    }
    for (int r = 0; r < rows; r++) {
        run->edits[r] = o->rows[r].edit;
        run->edits[r].directions = run->random[r];
        run->edits[r].index = 0;
        for (int i = 0; i < count; i++)
            run->per_item[i * rows + r] = (first + i) % rows == r ? run->strength[r] : 0;
    }
    *per_item = run->per_item;
    return rows;
}

/* Line l up to sample `end`, of which others may have done a part before. */
static hs_status hs_effect_advance(hs_effect_run *run, int l, int64_t end, hs_error *err) {
    const hs_effect_plan *plan = &run->plan;
    const double *per_item;
    int64_t first = run->done[l];
    int count = (int)(end - first);
    if (count <= 0)
        return HS_OK;
    int edits = hs_effect_edits(run, l, first, count, &per_item);
    run->share = count;
    HS_TRY(hs_effect_score(run, run->options->first_seed + first, count, edits, per_item,
                           run->scores + (l * plan->samples + first) * plan->attributes, err));
    run->done[l] = end;
    run->from += count;
    return HS_OK;
}

static hs_status hs_effect_lines_run(hs_effect_run *run, hs_error *err) {
    const hs_effect_plan *plan = &run->plan;
    run->phase = "editing";
    run->from = 0;
    run->total = (double)plan->lines * (double)plan->samples;
    for (int l = 0; l < plan->lines; l++)
        run->from += (double)run->done[l];
    HS_TRY(hs_progress(run->monitor, run->phase, run->from, run->total, err));
    for (int64_t end = 0; end < plan->samples;) {
        end = end + plan->batch < plan->samples ? end + plan->batch : plan->samples;
        for (int l = plan->lines - 1; l >= 0; l--) { /* the unedited first */
            hs_status status = hs_effect_advance(run, l, end, err);
            HS_TRY(hs_effect_resume_point(run, status, err));
        }
    }
    return HS_OK;
}

/* ------------------------------------------------------------- identity -- */

static json_t *hs_effect_hash(const void *data, size_t size) {
    XXH128_hash_t hash = XXH3_128bits(data, size);
    char text[33];
    snprintf(text, sizeof text, "%016llx%016llx", (unsigned long long)hash.high64,
             (unsigned long long)hash.low64);
    return json_string(text);
}

/* What makes a row: values, not names of files. */
static json_t *hs_effect_describe_row(const hs_effect_run *run, int r) {
    const hs_effect_row *row = &run->options->rows[r];
    hs_directions_view view;
    hs_directions_view_get(row->edit.directions, &view);
    bool noise = view.space == HS_SPACE_NOISE;
    size_t image = hs_denoiser_image_size(run->sampler->denoiser), index = (size_t)row->edit.index;
    size_t slice = noise ? image : (size_t)view.S * hs_denoiser_h_size(run->sampler->denoiser);
    json_t *json = json_object();
    json_object_set_new(json, "direction",
                        hs_effect_hash((noise ? view.delta_x_T : view.delta_h) + index * slice,
                                       slice * sizeof(float)));
    slice = (size_t)view.T * image;
    if (view.delta_z)
        json_object_set_new(json, "z",
                            hs_effect_hash(view.delta_z + index * slice, slice * sizeof(float)));
    if (!(run->options->calibrate > 0))
        json_object_set_new(json, "strength", json_real(row->edit.strength));
    json_object_set_new(json, "first", json_integer(row->edit.first));
    json_object_set_new(json, "last", json_integer(row->edit.last));
    if (row->edit.profile)
        json_object_set_new(
            json, "profile",
            hs_effect_hash(row->edit.profile, (size_t)run->sampler->T * sizeof(double)));
    json_object_set_new(json, "target", row->target ? json_string(row->target) : json_null());
    json_object_set_new(json, "group", json_integer(row->group));
    return json;
}

static void hs_effect_describe_samples(const hs_effect_run *run, json_t *json) {
    const hs_effect_options *o = run->options;
    const hs_sampler *sampler = run->sampler;
    json_t *eta = json_array(), *timesteps = json_array();
    for (int i = 0; i < sampler->T; i++) {
        json_array_append_new(eta, json_real(sampler->eta[i]));
        json_array_append_new(timesteps, json_integer(sampler->timesteps[i]));
    }
    json_object_set_new(json, "h_space",
                        json_string(hs_h_space_name(hs_denoiser_h_space(sampler->denoiser))));
    const char *precision = hs_denoiser_precision_name(sampler->denoiser);
    if (precision)
        json_object_set_new(json, "precision", json_string(precision));
    json_object_set_new(json, "timesteps", timesteps);
    json_object_set_new(json, "eta", eta);
    json_object_set_new(json, "z_seed", json_integer(sampler->z_seed));
    json_object_set_new(json, "asyrp", json_boolean(sampler->asyrp));
    json_object_set_new(json, "clip", json_boolean(sampler->schedule.clip));
    json_object_set_new(json, "n", json_integer(o->n));
    json_object_set_new(json, "sets", json_integer(o->sets));
    json_object_set_new(json, "first_seed", json_integer(o->first_seed));
    json_object_set_new(json, "random", o->random ? json_integer(o->random_seed) : json_null());
    json_object_set_new(json, "calibrate", json_real(o->calibrate));
    if (!(o->calibrate > 0))
        return;
    json_object_set_new(json, "calibrate_n", json_integer(o->calibrate_n));
    json_object_set_new(json, "calibrate_seed", json_integer(o->calibrate_seed));
    json_object_set_new(json, "most_strength", json_real(o->most_strength));
}

static hs_status hs_effect_identity(hs_effect_run *run, hs_error *err) {
    char model[33], classifier[33];
    HS_TRY(hs_denoiser_fingerprint(run->sampler->denoiser, model, err));
    HS_TRY(hs_classifier_fingerprint(run->classifier, classifier, err));
    json_t *columns = json_array(), *rows = json_array();
    run->identity = json_object();
    for (int a = 0; a < run->plan.attributes; a++)
        json_array_append_new(columns, json_integer(run->plan.columns[a]));
    for (int r = 0; r < run->options->row_count; r++)
        json_array_append_new(rows, hs_effect_describe_row(run, r));
    json_object_set_new(run->identity, "model", json_string(model));
    json_object_set_new(run->identity, "classifier", json_string(classifier));
    json_object_set_new(run->identity, "attributes", columns);
    json_object_set_new(run->identity, "directions", rows);
    hs_effect_describe_samples(run, run->identity);
    return HS_OK;
}

/* ------------------------------------------------------------------ run -- */

static hs_status hs_effect_allocate(hs_effect_run *run, hs_error *err) {
    const hs_effect_plan *plan = &run->plan;
    const hs_effect_options *o = run->options;
    size_t lines = (size_t)plan->lines, rows = (size_t)o->row_count, batch = (size_t)plan->batch;
    size_t table = lines * (size_t)plan->samples * (size_t)plan->attributes;
    size_t baseline = (o->calibrate > 0 ? (size_t)o->calibrate_n : 1) * (size_t)plan->attributes;
    run->scores = hs_calloc(table, sizeof *run->scores);
    run->done = hs_calloc(lines, sizeof *run->done);
    run->strength = hs_calloc(rows, sizeof *run->strength);
    run->reached = hs_calloc(rows, sizeof *run->reached);
    run->trials = hs_calloc(rows * HS_EFFECT_TRIALS, sizeof *run->trials);
    run->trial_count = hs_calloc(rows, sizeof *run->trial_count);
    run->baseline = hs_calloc(baseline, sizeof *run->baseline);
    run->edits = hs_calloc(rows, sizeof *run->edits);
    run->per_item = hs_calloc(batch * rows, sizeof *run->per_item);
    run->seeds = hs_calloc(batch, sizeof *run->seeds);
    run->x_0 = hs_alloc_aligned(batch * plan->image, sizeof *run->x_0);
    run->batch_scores = hs_calloc(batch * (size_t)plan->labels, sizeof *run->batch_scores);
    if (!run->scores || !run->done || !run->strength || !run->reached || !run->trials ||
        !run->trial_count || !run->baseline || !run->edits || !run->per_item || !run->seeds ||
        !run->x_0 || !run->batch_scores)
        return hs_fail_memory(err, (size_t)plan->bytes);
    for (size_t r = 0; r < rows; r++) {
        run->strength[r] = o->rows[r].edit.strength;
        run->reached[r] = NAN;
    }
    return HS_OK;
}

/* A random direction for each row, of its norm at every step. */
static hs_status hs_effect_draw(hs_effect_run *run, hs_error *err) {
    const hs_effect_options *o = run->options;
    run->random = hs_calloc((size_t)o->row_count, sizeof *run->random);
    if (!run->random)
        return hs_fail_memory(err, (size_t)o->row_count * sizeof *run->random);
    for (int r = 0; r < o->row_count; r++) {
        hs_directions *one = NULL;
        HS_TRY(hs_directions_pick(o->rows[r].edit.directions, o->rows[r].edit.index, &one, err));
        hs_status status = hs_directions_random_like(one, o->random_seed + r, &run->random[r], err);
        hs_directions_free(one);
        HS_TRY(status);
    }
    return HS_OK;
}

static void hs_effect_close(hs_effect_run *run) {
    for (int r = 0; run->random && r < run->options->row_count; r++)
        hs_directions_free(run->random[r]);
    free(run->random);
    free(run->batch_scores);
    free(run->x_0);
    free(run->seeds);
    free(run->per_item);
    free(run->edits);
    free(run->baseline);
    free(run->trial_count);
    free(run->trials);
    free(run->reached);
    free(run->strength);
    free(run->done);
    free(run->scores);
    json_decref(run->identity);
    hs_effect_plan_free(&run->plan);
}

/* An edit that hs_sample would refuse only after all before it were made. */
static hs_status hs_effect_check_edits(const hs_effect_run *run, hs_error *err) {
    const hs_effect_options *o = run->options;
    for (int r = 0; r < o->row_count; r++) {
        const hs_edit *edit = &o->rows[r].edit;
        hs_directions_view view;
        hs_directions_view_get(edit->directions, &view);
        if (edit->index < 0 || edit->index >= view.K)
            return hs_fail(err, HS_ERROR_ARGUMENT, "effect: row %d: direction %d, expected 0 to %d",
                           r, edit->index, view.K - 1);
        bool noise = view.space == HS_SPACE_NOISE;
        const int *shape = noise ? view.image : view.h_shape;
        size_t size = (size_t)shape[0] * (size_t)shape[1] * (size_t)shape[2];
        size_t wanted = noise ? hs_denoiser_image_size(run->sampler->denoiser)
                              : hs_denoiser_h_size(run->sampler->denoiser);
        if (size != wanted || (view.S != 1 && view.S != run->sampler->T))
            return hs_fail(err, HS_ERROR_MISMATCH,
                           "effect: row %d: a direction of %d steps x %zu, the sampler has %d x "
                           "%zu: bring it to the sampler first (hs_directions_fit)",
                           r, view.S, size, run->sampler->T, wanted);
    }
    return HS_OK;
}

hs_status hs_effect_measure(hs_sampler *sampler, hs_classifier *classifier,
                            const hs_effect_options *options, const hs_monitor *monitor,
                            hs_effects **out, hs_error *err) {
    hs_status status;
    hs_effect_options own = *options;
    if (own.calibrate_seed < 0)
        own.calibrate_seed = own.first_seed + (int64_t)own.n * own.sets;
    hs_effect_run run = {
        .sampler = sampler, .classifier = classifier, .options = &own, .monitor = monitor};
    HS_CHECK(hs_effect_plan_make(sampler, classifier, &own, &run.plan, err));
    HS_CHECK(hs_effect_check_edits(&run, err));
    HS_CHECK(hs_effect_allocate(&run, err));
    if (own.random)
        HS_CHECK(hs_effect_draw(&run, err));
    HS_CHECK(hs_effect_identity(&run, err));
    HS_CHECK(hs_effect_resume_begin(&run, err));
    if (own.calibrate > 0)
        HS_CHECK(hs_effect_calibrate(&run, err));
    HS_CHECK(hs_effect_lines_run(&run, err));
    HS_CHECK(hs_effect_result(&run, out, err));
cleanup:
    hs_effect_close(&run);
    return status;
}
