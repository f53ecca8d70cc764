/* Principal components of h-space (paper IV-A): the public functions. See
 * pca_run.h for how the work is divided. */
#include <stdlib.h>
#include <string.h>

#include "denoiser.h"
#include "directions/pca_run.h"

hs_pca_options hs_pca_options_default(void) {
    return (hs_pca_options){
        .n = 1000, .k = 20, .align = HS_ALIGN_INDEX, .incremental = -1, .around_delta = 0.15};
}

hs_status hs_pca_cost(const hs_sampler *sampler, const hs_pca_options *options, hs_cost *cost,
                      hs_error *err) {
    hs_pca_plan plan;
    hs_pca_options defaults = hs_pca_options_default();
    HS_TRY(hs_pca_plan_make(sampler, options ? options : &defaults, &plan, err));
    *cost = (hs_cost){.bytes = plan.bytes, .passes = plan.passes};
    memcpy(cost->formula, plan.formula, sizeof cost->formula);
    return HS_OK;
}

/* -------------------------------------------------------------- the run -- */

hs_status hs_pca_run_prefix(const hs_pca_run *run, int step, hs_status status, hs_error *err) {
    if (status == HS_OK)
        return HS_OK;
    return hs_fail_prefix(err, status, "step %d (timestep %d)", step,
                          run->sampler->timesteps[step]);
}

hs_status hs_pca_run_start(hs_pca_run *run, int batch, hs_error *err) {
    int first, n = hs_pca_plan_batch(&run->plan, batch, &first);
    if (run->resumed) {
        run->resumed = false;
        return HS_OK;
    }
    return hs_pca_samples_start(&run->samples, run->options, run->options->first_seed + first, n,
                                err);
}

hs_status hs_pca_run_step(hs_pca_run *run, hs_error *err) {
    hs_pca_samples *samples = &run->samples;
    while (samples->done < samples->trajectory.n) {
        int before = samples->done;
        HS_TRY(hs_pca_samples_advance(samples, err));
        run->passes += samples->done - before;
        hs_status status =
            hs_progress(run->monitor, "PCA", (double)run->passes, (double)run->plan.passes, err);
        HS_TRY(hs_pca_resume_point(run, status, err));
    }
    return HS_OK;
}

static void hs_pca_run_free(hs_pca_run *run) {
    hs_pca_samples_free(&run->samples);
    hs_directions_free(run->directions);
    hs_gram_eigen_free(&run->eigen);
    for (int i = 0; run->parts && i < run->sets; i++)
        hs_incremental_pca_free(&run->parts[i]);
    free(run->parts);
    free(run->rows);
    free(run->gram);
    free(run->scores);
    free(run->ratio);
    json_decref(run->identity);
}

/* ------------------------------------------------------------- metadata -- */

static json_t *hs_pca_eta(const hs_sampler *sampler) {
    bool same = true;
    for (int i = 1; i < sampler->T; i++)
        same = same && sampler->eta[i] == sampler->eta[0];
    if (same)
        return json_real(sampler->eta[0]);
    json_t *list = json_array();
    for (int i = 0; i < sampler->T; i++)
        json_array_append_new(list, json_real(sampler->eta[i]));
    return list;
}

/* What the result is the answer to, for its metadata; NULL: no memory. */
static json_t *hs_pca_describe_options(const hs_pca_run *run) {
    const hs_pca_options *o = run->options;
    json_t *json =
        json_pack("{s:i, s:i, s:b, s:s, s:I, s:b}", "n", o->n, "k", o->k, "joint", o->joint,
                  "align", o->align == HS_ALIGN_SCORE ? "score" : "index", "first_seed",
                  (json_int_t)o->first_seed, "incremental", !run->plan.exact);
    if (!run->plan.exact) {
        json_object_set_new(json, "batch", json_integer(run->plan.batch));
        json_object_set_new(json, "kept", json_integer(run->plan.kept));
    }
    const char *precision = hs_denoiser_precision_name(run->sampler->denoiser);
    if (precision)
        json_object_set_new(json, "precision", json_string(precision));
    if (o->around) {
        json_object_set_new(json, "around_seed", json_integer(o->around_seed));
        json_object_set_new(json, "around_delta", json_real(o->around_delta));
    }
    return json;
}

/* What must be the same for two runs to be parts of one: the options, and all
 * that fixes the samples. */
static json_t *hs_pca_identity(const hs_pca_run *run) {
    const hs_sampler *sampler = run->sampler;
    json_t *json = hs_pca_describe_options(run), *timesteps = json_array();
    for (int i = 0; i < sampler->T; i++)
        json_array_append_new(timesteps, json_integer(sampler->timesteps[i]));
    json_object_set_new(json, "model", json_string(run->directions->model));
    json_object_set_new(json, "h_space", json_string(hs_h_space_name(run->directions->h_space)));
    json_object_set_new(json, "steps", json_integer(sampler->T));
    json_object_set_new(json, "eta", hs_pca_eta(sampler));
    json_object_set_new(json, "z_seed", json_integer(sampler->z_seed));
    json_object_set_new(json, "clip", json_boolean(sampler->schedule.clip));
    json_object_set_new(json, "timesteps", timesteps);
    return json;
}

static json_t *hs_pca_ratios(const hs_pca_run *run) {
    json_t *sets = json_array();
    for (int i = 0; i < run->sets; i++) {
        json_t *set = json_array();
        for (int j = 0; j < run->plan.k; j++)
            json_array_append_new(set, json_real(run->ratio[(int64_t)i * run->plan.k + j]));
        json_array_append_new(sets, set);
    }
    return sets;
}

/* explained_variance_ratio is [T][k], for joint PCA [1][k]; seeds is a list as
 * the command line takes it. */
static hs_status hs_pca_metadata(hs_pca_run *run, hs_error *err) {
    hs_directions *directions = run->directions;
    const hs_pca_options *o = run->options;
    char *seeds =
        hs_format("%lld-%lld", (long long)o->first_seed, (long long)(o->first_seed + o->n - 1));
    if (!seeds)
        return hs_fail_memory(err, 64);
    hs_status status = hs_directions_set_metadata(directions, "seeds", seeds, err);
    free(seeds);
    HS_TRY(status);
    HS_TRY(hs_directions_put_json(directions, "options", hs_pca_describe_options(run), 17, err));
    HS_TRY(hs_directions_put_json(directions, "eta", hs_pca_eta(run->sampler), 17, err));
    HS_TRY(hs_directions_put_json(directions, "explained_variance_ratio", hs_pca_ratios(run), 17,
                                  err));
    return hs_directions_update_metadata(directions, err);
}

/* --------------------------------------------------------------- result -- */

static hs_status hs_pca_set_text(char **member, const char *text, hs_error *err) {
    char *copy = hs_strdup(text);
    if (!copy)
        return hs_fail_memory(err, strlen(text) + 1);
    free(*member);
    *member = copy;
    return HS_OK;
}

/* The result with room for all of it; what fixes it is filled in. */
static hs_status hs_pca_result(hs_pca_run *run, hs_error *err) {
    const hs_pca_plan *plan = &run->plan;
    const hs_sampler *sampler = run->sampler;
    size_t T = (size_t)plan->T, k = (size_t)plan->k, d = (size_t)plan->d;
    size_t kept = (size_t)plan->kept;
    hs_h_space h_space = hs_denoiser_h_space(sampler->denoiser);
    hs_directions *directions =
        hs_directions_new(plan->k, plan->T, plan->T, sampler->model->h[h_space]);
    if (!directions)
        return hs_fail_memory(err, k * sizeof(char *));
    run->directions = directions;
    directions->h_space = h_space;
    directions->N = sampler->model->schedule.num_train_timesteps;
    directions->delta_h = hs_calloc(kept * T, d * sizeof(float));
    directions->sigma = hs_calloc(k, T * sizeof(float));
    directions->mean = hs_calloc(T, d * sizeof(float));
    directions->timesteps = hs_calloc(T, sizeof(int64_t));
    run->ratio = hs_calloc((size_t)run->sets, k * sizeof(double));
    if (!directions->delta_h || !directions->sigma || !directions->mean || !directions->timesteps ||
        !run->ratio)
        return hs_fail_memory(err, kept * T * d * sizeof(float));
    for (int i = 0; i < plan->T; i++)
        directions->timesteps[i] = sampler->timesteps[i];
    HS_TRY(hs_pca_set_text(&directions->unit, "standard deviation", err));
    HS_TRY(hs_pca_set_text(&directions->method, "pca", err));
    return hs_denoiser_fingerprint(sampler->denoiser, directions->model, err);
}

/* Give back the room of components that were kept beyond k. */
static void hs_pca_trim(hs_pca_run *run) {
    size_t row = (size_t)run->plan.T * (size_t)run->plan.d * sizeof(float);
    float *trimmed = realloc(run->directions->delta_h, (size_t)run->plan.k * row);
    if (trimmed)
        run->directions->delta_h = trimmed;
}

hs_status hs_pca(hs_sampler *sampler, const hs_pca_options *options, const hs_monitor *monitor,
                 hs_directions **out, hs_error *err) {
    hs_status status;
    hs_pca_options defaults = hs_pca_options_default();
    hs_pca_run run = {
        .sampler = sampler, .options = options ? options : &defaults, .monitor = monitor};
    HS_TRY(hs_pca_plan_make(sampler, run.options, &run.plan, err));
    run.sets = run.options->joint ? 1 : run.plan.T;
    if (!run.plan.exact && run.options->incremental < 0)
        hs_notice(monitor, "PCA is incremental: %s", run.plan.formula);
    HS_CHECK(hs_pca_result(&run, err));
    run.identity = hs_pca_identity(&run);
    if (!run.identity) {
        status = hs_fail_memory(err, 4096);
        goto cleanup;
    }
    HS_CHECK(hs_pca_samples_create(sampler, run.options, run.plan.batch, &run.samples, err));
    HS_CHECK(run.plan.exact ? hs_pca_exact_prepare(&run, err)
                            : hs_pca_incremental_prepare(&run, err));
    HS_CHECK(hs_pca_resume_begin(&run, err));
    HS_CHECK(hs_progress(monitor, "PCA", (double)run.passes, (double)run.plan.passes, err));
    HS_CHECK(run.plan.exact ? hs_pca_exact(&run, err) : hs_pca_incremental(&run, err));
    hs_pca_trim(&run);
    HS_CHECK(hs_pca_metadata(&run, err));
    *out = run.directions;
    run.directions = NULL;
cleanup:
    hs_pca_run_free(&run);
    return status;
}
