/*
 * The least strength at which a direction's mean effect on its target, over samples
 * that nothing else is measured on, reaches a wanted value: doubling until it is
 * reached, then a bracketed secant search. What to try next follows from what was
 * tried, so a resume point is the list of trials.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "edit/effect.h"

/* The search ends when the effect is at most this above the wanted one, or the
 * bracket this narrow: well inside what 50 samples tell. */
#define HS_CALIBRATE_EFFECT 0.01
#define HS_CALIBRATE_BRACKET 0.02

double hs_effect_next_trial(const hs_effect_trial *trials, int count, double wanted, double most,
                            int *found) {
    hs_effect_trial low = {0, 0}, high = {0, 0};
    int best = -1, reached = -1;
    for (int i = 0; i < count; i++) {
        if (trials[i].effect >= wanted &&
            (reached < 0 || trials[i].strength < trials[reached].strength))
            reached = i;
        if (best < 0 || trials[i].effect > trials[best].effect)
            best = i;
    }
    if (reached >= 0)
        high = trials[reached];
    for (int i = 0; i < count; i++) /* the strongest that falls short, below `high` */
        if (trials[i].effect < wanted && trials[i].strength > low.strength &&
            (reached < 0 || trials[i].strength < high.strength))
            low = trials[i];
    *found = reached >= 0 ? reached : best;
    if (count == HS_EFFECT_TRIALS)
        return 0;
    if (reached < 0)
        return low.strength >= most       ? 0
               : !count                   ? fmin(1, most)
               : 2 * low.strength <= most ? 2 * low.strength
                                          : most;
    double width = high.strength - low.strength;
    if (high.effect - wanted <= HS_CALIBRATE_EFFECT ||
        width <= HS_CALIBRATE_BRACKET * high.strength)
        return 0;
    double rise = (wanted + 0.5 * HS_CALIBRATE_EFFECT - low.effect) / (high.effect - low.effect);
    return low.strength + width * fmin(fmax(rise, 0.1), 0.9);
}

/* Mean change of column `target` from the baseline, scores [n, attributes]. */
static double hs_effect_mean_change(const hs_effect_run *run, const float *scores, int target) {
    double sum = 0;
    int n = run->options->calibrate_n, a = run->plan.attributes;
    for (int i = 0; i < n; i++)
        sum += (double)scores[i * a + target] - (double)run->baseline[i * a + target];
    return sum / n;
}

/* The calibration samples first ... n-1, edited or not, into out [n, attributes]. */
static hs_status hs_effect_calibration(hs_effect_run *run, const hs_edit *edit, int64_t *done,
                                       double before, float *out, hs_error *err) {
    int n = run->options->calibrate_n;
    if (edit)
        run->edits[0] = *edit;
    while (*done < n) {
        int count = n - *done < run->plan.batch ? (int)(n - *done) : run->plan.batch;
        run->from = before + (double)*done;
        run->share = count;
        HS_TRY(hs_effect_score(run, run->options->calibrate_seed + *done, count, edit ? 1 : 0, NULL,
                               out + *done * run->plan.attributes, err));
        *done += count;
    }
    return HS_OK;
}

/* One trial of row r. `before`: samples that were made so far, for the progress. */
static hs_status hs_effect_try(hs_effect_run *run, int r, int target, double strength,
                               double before, float *scores, hs_error *err) {
    hs_edit edit = run->options->rows[r].edit;
    int64_t done = 0;
    edit.strength = strength;
    HS_TRY(hs_effect_calibration(run, &edit, &done, before, scores, err));
    run->trials[r * HS_EFFECT_TRIALS + run->trial_count[r]++] = (hs_effect_trial){
        .strength = strength, .effect = hs_effect_mean_change(run, scores, target)};
    return HS_OK;
}

static hs_status hs_effect_calibrate_row(hs_effect_run *run, int r, int target, float *scores,
                                         hs_error *err) {
    const hs_effect_options *o = run->options;
    const hs_effect_trial *trials = run->trials + r * HS_EFFECT_TRIALS;
    int found = -1;
    for (;;) {
        int count = (int)run->trial_count[r];
        double strength =
            hs_effect_next_trial(trials, count, o->calibrate, o->most_strength, &found);
        if (strength == 0)
            break;
        double before = (double)(r * HS_EFFECT_TRIALS + count + 1) * o->calibrate_n;
        hs_status status = hs_effect_try(run, r, target, strength, before, scores, err);
        HS_TRY(hs_effect_resume_point(run, status, err));
    }
    run->strength[r] = trials[found].strength;
    run->reached[r] = trials[found].effect;
    if (run->reached[r] < o->calibrate)
        hs_notice(run->monitor,
                  "direction %d does not reach an effect of %g on %s up to strength %g: taken at "
                  "%.3g, where it is %.3g",
                  r, o->calibrate, o->rows[r].target, o->most_strength, run->strength[r],
                  run->reached[r]);
    return HS_OK;
}

hs_status hs_effect_calibrate(hs_effect_run *run, hs_error *err) {
    const hs_effect_options *o = run->options;
    hs_status status;
    size_t size = (size_t)o->calibrate_n * (size_t)run->plan.attributes;
    float *scores = hs_calloc(size, sizeof *scores);
    if (!scores)
        return hs_fail_memory(err, size * sizeof *scores);
    run->phase = "calibrating";
    run->total = (1.0 + (double)o->row_count * HS_EFFECT_TRIALS) * o->calibrate_n;
    status = hs_effect_calibration(run, NULL, &run->baseline_done, 0, run->baseline, err);
    HS_CHECK(hs_effect_resume_point(run, status, err));
    for (int r = 0; r < o->row_count; r++)
        HS_CHECK(hs_effect_calibrate_row(run, r, run->plan.targets[r], scores, err));
cleanup:
    free(scores);
    return status;
}
