/*
 * Resume points of hs_effect_measure (see effect.h): a safetensors file with the
 * scores of all samples that were made, the strengths that were tried, and in its
 * metadata what the run was asked for.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "edit/effect.h"
#include "io/tensor_set.h"

#define HS_RESUME_FORMAT "hspace.effect-resume.1"
#define HS_RESUME_SECONDS 10
/* Writing takes at most this share of the time, however large a point is. */
#define HS_RESUME_SHARE 0.05

enum { HS_RESUME_TENSORS = 6 };

static double hs_effect_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Everything that makes up the run at its position. */
static void hs_effect_tensors(const hs_effect_run *run, hs_tensor out[HS_RESUME_TENSORS]) {
    const hs_effect_plan *plan = &run->plan;
    int64_t lines = plan->lines, rows = run->options->row_count, a = plan->attributes;
    int64_t baseline = run->options->calibrate > 0 ? run->options->calibrate_n : 1;
    out[0] = (hs_tensor){"scores", HS_F32, 3, {lines, plan->samples, a}, run->scores};
    out[1] = (hs_tensor){"done", HS_I64, 1, {lines}, run->done};
    out[2] = (hs_tensor){"trials", HS_F64, 3, {rows, HS_EFFECT_TRIALS, 2}, run->trials};
    out[3] = (hs_tensor){"trial_count", HS_I64, 1, {rows}, run->trial_count};
    out[4] = (hs_tensor){"baseline", HS_F32, 2, {baseline, a}, run->baseline};
    out[5] = (hs_tensor){"baseline_done", HS_I64, 1, {1}, &run->baseline_done};
}

/* -------------------------------------------------------------- writing -- */

static hs_status hs_effect_resume_save(hs_effect_run *run, hs_error *err) {
    hs_tensor tensors[HS_RESUME_TENSORS];
    hs_status status;
    double start = hs_effect_now();
    char *identity = json_dumps(run->identity, JSON_COMPACT | JSON_SORT_KEYS);
    json_t *metadata =
        json_pack("{s:s, s:s}", "format", HS_RESUME_FORMAT, "run", identity ? identity : "");
    char *text = metadata ? json_dumps(metadata, JSON_COMPACT) : NULL;
    if (!identity || !text) {
        status = hs_fail_memory(err, 4096);
        goto cleanup;
    }
    hs_effect_tensors(run, tensors);
    status = hs_safetensors_write(run->options->resume, tensors, HS_RESUME_TENSORS, text, err);
    run->saved_at = hs_effect_now();
    run->save_seconds = run->saved_at - start;
cleanup:
    free(text);
    json_decref(metadata);
    free(identity);
    return status;
}

hs_status hs_effect_resume_point(hs_effect_run *run, hs_status status, hs_error *err) {
    const char *path = run->options->resume;
    hs_error failure = {0};
    if (!path)
        return status;
    if (status != HS_OK) {
        if (hs_effect_resume_save(run, &failure) != HS_OK)
            hs_notice(run->monitor, "what was finished could not be kept: %s", failure.message);
        else if (status == HS_ERROR_CANCELLED)
            return hs_fail(err, status, "stopped on request; to be resumed from %s", path);
        return status;
    }
    double every = run->options->resume_every > 0 ? run->options->resume_every : HS_RESUME_SECONDS;
    double rest = run->save_seconds / HS_RESUME_SHARE;
    if (hs_effect_now() - run->saved_at < (every > rest ? every : rest))
        return HS_OK;
    if (hs_effect_resume_save(run, &failure) != HS_OK) {
        hs_notice(run->monitor, "the resume point was not written, the run goes on: %s",
                  failure.message);
        run->saved_at = hs_effect_now();
    }
    return HS_OK;
}

/* -------------------------------------------------------------- reading -- */

/* HS_ERROR_MISMATCH that names the first key in which two runs differ. */
static hs_status hs_effect_compare(const char *path, const json_t *wanted, const json_t *found,
                                   hs_error *err) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)wanted, key, value) {
        json_t *other = json_object_get(found, key);
        if (other && json_equal(value, other))
            continue;
        char *a = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        char *b = other ? json_dumps(other, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
        hs_status status = hs_fail(
            err, HS_ERROR_MISMATCH,
            "%s: the resume point is of another run: %s: expected %.200s, found %.200s (remove "
            "the file to start anew)",
            path, key, a ? a : "?", b ? b : "nothing");
        free(b);
        free(a);
        return status;
    }
    return HS_OK;
}

static hs_status hs_effect_resume_check(const hs_effect_run *run, const hs_tensor_set *set,
                                        hs_error *err) {
    const char *path = run->options->resume;
    json_t *metadata = set->metadata ? json_loads(set->metadata, 0, NULL) : NULL;
    const char *format = json_string_value(json_object_get(metadata, "format"));
    const char *text = json_string_value(json_object_get(metadata, "run"));
    json_t *found = text ? json_loads(text, 0, NULL) : NULL;
    hs_status status;
    if (!format || strcmp(format, HS_RESUME_FORMAT) || !json_is_object(found))
        status = hs_fail(err, HS_ERROR_FORMAT,
                         "%s: expected a resume point (metadata format %s), found %.100s", path,
                         HS_RESUME_FORMAT, format ? format : "none");
    else
        status = hs_effect_compare(path, run->identity, found, err);
    json_decref(found);
    json_decref(metadata);
    return status;
}

/* Copy one tensor of the file to where the run has it. */
static hs_status hs_effect_resume_copy(const char *path, const hs_tensor_set *set,
                                       const hs_tensor *wanted, hs_error *err) {
    const hs_tensor *found = hs_tensor_set_find(set, wanted->name);
    if (found && found->dtype == wanted->dtype && found->rank == wanted->rank &&
        !memcmp(found->dim, wanted->dim, (size_t)wanted->rank * sizeof *found->dim)) {
        if (hs_tensor_bytes(wanted) > 0)
            memcpy((void *)(uintptr_t)wanted->data, found->data, (size_t)hs_tensor_bytes(wanted));
        return HS_OK;
    }
    char expected[200], other[200] = "none";
    hs_tensor_describe(wanted, expected);
    if (found)
        hs_tensor_describe(found, other);
    return hs_fail(err, HS_ERROR_FORMAT, "%s: tensor %s: expected %s, found %s", path, wanted->name,
                   expected, other);
}

/* Numbers that are used as counts; all others are only reckoned with. */
static hs_status hs_effect_resume_validate(const hs_effect_run *run, hs_error *err) {
    bool good = run->baseline_done >= 0 && run->baseline_done <= run->options->calibrate_n;
    for (int l = 0; l < run->plan.lines; l++)
        good = good && run->done[l] >= 0 && run->done[l] <= run->plan.samples;
    for (int r = 0; r < run->options->row_count; r++)
        good = good && run->trial_count[r] >= 0 && run->trial_count[r] <= HS_EFFECT_TRIALS;
    if (!good)
        return hs_fail(err, HS_ERROR_FORMAT,
                       "%s: a count of samples or trials is out of range (0 to %lld, 0 to %d)",
                       run->options->resume, (long long)run->plan.samples, HS_EFFECT_TRIALS);
    return HS_OK;
}

static hs_status hs_effect_resume_load(hs_effect_run *run, const hs_tensor_set *set,
                                       hs_error *err) {
    hs_tensor tensors[HS_RESUME_TENSORS];
    HS_TRY(hs_effect_resume_check(run, set, err));
    hs_effect_tensors(run, tensors);
    for (int i = 0; i < HS_RESUME_TENSORS; i++)
        HS_TRY(hs_effect_resume_copy(run->options->resume, set, &tensors[i], err));
    return hs_effect_resume_validate(run, err);
}

hs_status hs_effect_resume_begin(hs_effect_run *run, hs_error *err) {
    const char *path = run->options->resume;
    hs_tensor_set *set = NULL;
    hs_atomic probe;
    int64_t done = 0;
    run->saved_at = hs_effect_now();
    if (!path)
        return HS_OK;
    if (access(path, F_OK) != 0) { /* better to hear of it now than after hours */
        HS_TRY(hs_atomic_open(&probe, path, err));
        hs_atomic_abort(&probe);
        return HS_OK;
    }
    HS_TRY(hs_safetensors_open(path, &set, err));
    hs_status status = hs_effect_resume_load(run, set, err);
    hs_tensor_set_free(set);
    for (int l = 0; l < run->plan.lines; l++)
        done += run->done[l];
    if (status == HS_OK)
        hs_notice(run->monitor, "%s: goes on from there, %lld of %lld samples done", path,
                  (long long)done, (long long)(run->plan.lines * run->plan.samples));
    return status;
}
