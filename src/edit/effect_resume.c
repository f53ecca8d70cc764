/*
 * Resume points of hs_effect_measure (see effect.h): a safetensors file with the
 * scores of all samples that were made, the strengths that were tried, and in its
 * metadata what the run was asked for.
 */
#include "edit/effect.h"

#define HS_RESUME_SECONDS 10 /* a point is small: the scores */

enum { HS_RESUME_TENSORS = 6 };

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
    hs_effect_tensors(run, tensors);
    return hs_resume_save(&run->resume, run->identity, tensors, HS_RESUME_TENSORS, err);
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
    if (hs_resume_due(&run->resume) && hs_effect_resume_save(run, &failure) != HS_OK)
        hs_notice(run->monitor, "the resume point was not written, the run goes on: %s",
                  failure.message);
    return HS_OK;
}

/* -------------------------------------------------------------- reading -- */

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
    hs_effect_tensors(run, tensors);
    for (int i = 0; i < HS_RESUME_TENSORS; i++)
        HS_TRY(hs_resume_copy(&run->resume, set, &tensors[i], err));
    return hs_effect_resume_validate(run, err);
}

hs_status hs_effect_resume_begin(hs_effect_run *run, hs_error *err) {
    hs_tensor_set *set;
    int64_t done = 0;
    double every = run->options->resume_every;
    run->resume = (hs_resume){.path = run->options->resume,
                              .format = "hspace.effect-resume.1",
                              .every = every > 0 ? every : HS_RESUME_SECONDS};
    HS_TRY(hs_resume_open(&run->resume, run->identity, &set, err));
    if (!set)
        return HS_OK;
    hs_status status = hs_effect_resume_load(run, set, err);
    hs_tensor_set_free(set);
    for (int l = 0; l < run->plan.lines; l++)
        done += run->done[l];
    if (status == HS_OK)
        hs_notice(run->monitor, "%s: goes on from there, %lld of %lld samples done",
                  run->options->resume, (long long)done,
                  (long long)(run->plan.lines * run->plan.samples));
    return status;
}
