/*
 * Resume points of PCA (see pca_run.h): a safetensors file with the position,
 * x_t, the streams of z, the h of the samples that have taken the step, and
 * what was found so far. One table says what that is; it serves both to write
 * a point and to read it back into place.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "directions/pca_run.h"

_Static_assert(sizeof(hs_generator) == 624 * 4 + 4 + 4 + 8, "written as bytes, without padding");

/* ----------------------------------------------------------- the table -- */

typedef struct hs_pca_state {
    hs_arena arena; /* names */
    hs_tensor *tensors;
    int count, capacity;
    bool failed; /* no memory */
} hs_pca_state;

enum { HS_AT_PHASE, HS_AT_BATCH, HS_AT_STEP, HS_AT_DONE, HS_AT_PASSES, HS_AT_COUNT };

/* One tensor [rows, columns]; none if that is empty. `index` < 0: no number. */
static void hs_pca_state_add(hs_pca_state *state, const char *name, int index, hs_dtype dtype,
                             int64_t rows, int64_t columns, const void *data) {
    if (rows < 1 || columns < 1 || !data || state->failed)
        return;
    char text[64];
    if (index < 0)
        snprintf(text, sizeof text, "%s", name);
    else
        snprintf(text, sizeof text, "%s.%d", name, index);
    char *copy = hs_arena_strdup(&state->arena, text);
    if (!copy || state->count == state->capacity) {
        state->failed = true;
        return;
    }
    state->tensors[state->count++] =
        (hs_tensor){.name = copy, .dtype = dtype, .rank = 2, .dim = {rows, columns}, .data = data};
}

static void hs_pca_state_samples(hs_pca_state *state, const hs_pca_samples *s) {
    int64_t n = s->trajectory.n, stream = sizeof(hs_generator);
    hs_pca_state_add(state, "x", -1, HS_F32, n, s->image, s->trajectory.x);
    hs_pca_state_add(state, "streams", -1, HS_U8, n, stream, s->trajectory.z);
    hs_pca_state_add(state, "h", -1, HS_F32, s->done, s->d, s->h);
    if (!s->around)
        return;
    hs_pca_state_add(state, "own_stream", -1, HS_U8, 1, stream, &s->own_generator);
    hs_pca_state_add(state, "own_z", -1, HS_F32, 1, s->image, s->own_z);
}

static void hs_pca_state_exact(hs_pca_state *state, const hs_pca_run *run) {
    const hs_pca_plan *plan = &run->plan;
    int64_t step = run->samples.trajectory.step, n = plan->n, k = plan->k;
    bool joint = run->options->joint;
    int64_t formed = joint && run->phase == 0 ? 0 : step; /* steps with components */
    int64_t means = joint && run->phase == 1 ? plan->T : step;
    for (int j = 0; j < plan->k; j++)
        hs_pca_state_add(state, "delta_h", j, HS_F32, formed, plan->d,
                         run->directions->delta_h + j * plan->T * plan->d);
    hs_pca_state_add(state, "mean", -1, HS_F32, means, plan->d, run->directions->mean);
    hs_pca_state_add(state, "scores", -1, HS_F64, k, n, run->scores);
    if (joint && run->phase == 0)
        hs_pca_state_add(state, "gram", -1, HS_F64, n, n, run->gram);
    if (joint && run->phase == 1) {
        hs_pca_state_add(state, "eigen.scores", -1, HS_F64, k, n, run->eigen.scores);
        hs_pca_state_add(state, "eigen.s", -1, HS_F64, 1, k, run->eigen.s);
        hs_pca_state_add(state, "eigen.total", -1, HS_F64, 1, 1, &run->eigen.total);
    }
}

static void hs_pca_state_incremental(hs_pca_state *state, const hs_pca_run *run) {
    const hs_pca_plan *plan = &run->plan;
    int64_t length = plan->T * plan->d, kept = plan->kept;
    hs_pca_state_add(state, "components", -1, HS_F32, kept, length, run->directions->delta_h);
    hs_pca_state_add(state, "rows", -1, HS_F32, run->samples.trajectory.n, length, run->rows);
    hs_pca_state_add(state, "scores", -1, HS_F64, run->sets, kept * plan->batch, run->scores);
    for (int i = 0; i < run->sets; i++) {
        hs_incremental_pca *part = &run->parts[i];
        hs_pca_state_add(state, "part.mean", i, HS_F64, 1, part->d, part->mean);
        hs_pca_state_add(state, "part.s", i, HS_F64, 1, kept, part->s);
        hs_pca_state_add(state, "part.total", i, HS_F64, 1, 1, &part->total);
        hs_pca_state_add(state, "part.count", i, HS_I64, 1, 1, &part->count);
        hs_pca_state_add(state, "part.rank", i, HS_I64, 1, 1, &part->rank);
    }
}

static void hs_pca_state_free(hs_pca_state *state) {
    free(state->tensors);
    hs_arena_free(&state->arena);
}

/* Everything that makes up the run at its position. */
static hs_status hs_pca_state_create(const hs_pca_run *run, hs_pca_state *state, hs_error *err) {
    *state = (hs_pca_state){.capacity = run->plan.k + 5 * run->sets + 16};
    state->tensors = hs_calloc((size_t)state->capacity, sizeof *state->tensors);
    if (!state->tensors)
        return hs_fail_memory(err, (size_t)state->capacity * sizeof *state->tensors);
    hs_pca_state_samples(state, &run->samples);
    if (run->plan.exact)
        hs_pca_state_exact(state, run);
    else
        hs_pca_state_incremental(state, run);
    hs_pca_state_add(state, "sigma", -1, HS_F32, run->plan.k, run->plan.T, run->directions->sigma);
    hs_pca_state_add(state, "ratio", -1, HS_F64, run->sets, run->plan.k, run->ratio);
    return state->failed ? hs_fail_memory(err, 64) : HS_OK;
}

/* -------------------------------------------------------------- writing -- */

static hs_status hs_pca_resume_save(hs_pca_run *run, hs_error *err) {
    hs_pca_state state = {0};
    int64_t position[HS_AT_COUNT] = {run->phase, run->batch, run->samples.trajectory.step,
                                     run->samples.done, run->passes};
    hs_status status = hs_pca_state_create(run, &state, err);
    if (status == HS_OK) {
        hs_pca_state_add(&state, "position", -1, HS_I64, 1, HS_AT_COUNT, position);
        status = hs_resume_save(&run->resume, run->identity, state.tensors, state.count, err);
    }
    hs_pca_state_free(&state);
    return status;
}

hs_status hs_pca_resume_point(hs_pca_run *run, hs_status status, hs_error *err) {
    const char *path = run->options->resume;
    hs_error failure = {0};
    if (!path || (status != HS_OK && status != HS_ERROR_CANCELLED))
        return status;
    if (status == HS_ERROR_CANCELLED) {
        if (hs_pca_resume_save(run, &failure) == HS_OK)
            return hs_fail(err, status, "stopped on request; to be resumed from %s", path);
        return hs_fail(err, status, "stopped on request; the resume point was not written: %.700s",
                       failure.message);
    }
    if (hs_resume_due(&run->resume) && hs_pca_resume_save(run, &failure) != HS_OK)
        hs_notice(run->monitor, "the resume point was not written, the run goes on: %s",
                  failure.message);
    return HS_OK;
}

/* -------------------------------------------------------------- reading -- */

/* The position decides which tensors there are, so it comes first. */
static hs_status hs_pca_resume_position(hs_pca_run *run, const hs_tensor_set *set, hs_error *err) {
    const hs_pca_plan *plan = &run->plan;
    const char *path = run->options->resume;
    int64_t at[HS_AT_COUNT], most[HS_AT_COUNT];
    int first;
    hs_tensor tensor = {
        .name = "position", .dtype = HS_I64, .rank = 2, .dim = {1, HS_AT_COUNT}, .data = at};
    HS_TRY(hs_resume_copy(&run->resume, set, &tensor, err));
    most[HS_AT_PHASE] = plan->exact && run->options->joint;
    most[HS_AT_BATCH] = plan->batches - 1;
    most[HS_AT_STEP] = plan->T - 1;
    most[HS_AT_DONE] = plan->batch;
    most[HS_AT_PASSES] = plan->passes;
    for (int i = 0; i < HS_AT_COUNT; i++)
        if (at[i] < 0 || at[i] > most[i])
            return hs_fail(err, HS_ERROR_FORMAT,
                           "%s: tensor position: value %d is %lld, expected 0 to %lld", path, i,
                           (long long)at[i], (long long)most[i]);
    int n = hs_pca_plan_batch(plan, (int)at[HS_AT_BATCH], &first);
    if (at[HS_AT_DONE] > n)
        return hs_fail(err, HS_ERROR_FORMAT,
                       "%s: tensor position: value %d is %lld, expected 0 to %d", path, HS_AT_DONE,
                       (long long)at[HS_AT_DONE], n);
    run->phase = (int)at[HS_AT_PHASE];
    run->batch = (int)at[HS_AT_BATCH];
    run->passes = at[HS_AT_PASSES];
    HS_TRY(hs_pca_samples_start(&run->samples, run->options, run->options->first_seed + first, n,
                                err));
    run->samples.trajectory.step = (int)at[HS_AT_STEP];
    run->samples.done = (int)at[HS_AT_DONE];
    return HS_OK;
}

/* Numbers that are used as indices; all others are only reckoned with. */
static hs_status hs_pca_resume_validate(const hs_pca_run *run, hs_error *err) {
    const hs_trajectory *trajectory = &run->samples.trajectory;
    const hs_generator *own = &run->samples.own_generator;
    bool good = own->index >= 0 && own->index <= 624;
    for (int i = 0; trajectory->z && i < trajectory->n; i++)
        good = good && trajectory->z[i].index >= 0 && trajectory->z[i].index <= 624;
    for (int i = 0; run->parts && i < run->sets; i++) {
        const hs_incremental_pca *part = &run->parts[i];
        good = good && part->rank >= 0 && part->rank <= part->k && part->count >= 0 &&
               part->count <= run->plan.n;
    }
    if (!good)
        return hs_fail(
            err, HS_ERROR_FORMAT,
            "%s: a stream's index (expected 0 to 624) or a rank or count is out of range",
            run->options->resume);
    return HS_OK;
}

static hs_status hs_pca_resume_load(hs_pca_run *run, const hs_tensor_set *set, hs_error *err) {
    hs_status status;
    hs_pca_state state = {0};
    size_t n = (size_t)run->plan.n, k = (size_t)run->plan.k;
    HS_CHECK(hs_pca_resume_position(run, set, err));
    if (run->phase == 1) {
        run->eigen = (hs_gram_eigen){.n = run->plan.n, .k = run->plan.k};
        run->eigen.scores = hs_alloc_aligned(k, n * sizeof(double));
        run->eigen.s = hs_calloc(k, sizeof(double));
        if (!run->eigen.scores || !run->eigen.s) {
            status = hs_fail_memory(err, k * n * sizeof(double));
            goto cleanup;
        }
    }
    HS_CHECK(hs_pca_state_create(run, &state, err));
    for (int i = 0; i < state.count; i++)
        HS_CHECK(hs_resume_copy(&run->resume, set, &state.tensors[i], err));
    HS_CHECK(hs_pca_resume_validate(run, err));
    run->resumed = true;
cleanup:
    hs_pca_state_free(&state);
    return status;
}

hs_status hs_pca_resume_begin(hs_pca_run *run, hs_error *err) {
    const char *path = run->options->resume;
    hs_tensor_set *set;
    run->resume = (hs_resume){path, "hspace.pca-resume.1", run->options->resume_every, 0, 0};
    HS_TRY(hs_resume_open(&run->resume, run->identity, &set, err));
    if (!set)
        return HS_OK;
    hs_status status = hs_pca_resume_load(run, set, err);
    hs_tensor_set_free(set);
    if (status == HS_OK)
        hs_notice(run->monitor, "%s: going on at step %d of %d, %lld of %lld passes done", path,
                  run->samples.trajectory.step, run->plan.T, (long long)run->passes,
                  (long long)run->plan.passes);
    return status;
}
