/*
 * One run of hs_effect_measure: what its parts share.
 *
 *   effect.c            samples unedited and edited, scored; the public functions
 *   effect_plan.c       checks, memory and passes
 *   effect_calibrate.c  the strength at which a row reaches a wanted effect
 *   effect_resume.c     resume points
 *   effect_result.c     scores to means, deviations and summaries
 *
 * A run works line by line: a line is all samples made in one way. Line r is row r
 * of the options; then comes, if wanted, one with random directions, over which the
 * samples are spread, sample i taking that of row i modulo their number; the last line
 * is the unedited samples, which all share.
 */
#ifndef HS_EDIT_EFFECT_H
#define HS_EDIT_EFFECT_H

#include <jansson.h>

#include "base/mem.h"
#include "diffusion/trajectory.h"
#include "io/resume.h"

#define HS_EFFECT_TRIALS 8 /* strengths that a calibration may try */

/* A strength that was tried, and the effect it had. */
typedef struct hs_effect_trial {
    double strength, effect;
} hs_effect_trial;

typedef struct hs_effect_plan {
    int attributes, *columns; /* [attributes] labels of the classifier */
    int labels;               /* that it has */
    int groups, rows;         /* of the options */
    int *targets;             /* [rows] column of each row's target, or -1 */
    int lines;                /* the last of which is the unedited one */
    int64_t samples;          /* of a line: n * sets */
    int batch;                /* samples in one call of the sampler */
    size_t image, delta_h;    /* C*H*W; floats of all random directions */
    int64_t bytes, passes;
    char formula[400];
} hs_effect_plan;

typedef struct hs_effect_run {
    hs_sampler *sampler;
    hs_classifier *classifier;
    const hs_effect_options *options;
    const hs_monitor *monitor;
    hs_effect_plan plan;

    hs_directions **random;  /* [options.row_count], NULL without random rows */
    float *scores;           /* [rows + 1, samples, attributes] */
    int64_t *done;           /* [rows + 1] samples of each line */
    double *strength;        /* [options.row_count] */
    double *reached;         /* [options.row_count] effect at it, calibrated; else NAN */
    hs_effect_trial *trials; /* [options.row_count, HS_EFFECT_TRIALS] */
    int64_t *trial_count;    /* [options.row_count] */
    float *baseline;         /* [calibrate_n, attributes] */
    int64_t baseline_done;

    hs_edit *edits;      /* [rows] of the line at work */
    double *per_item;    /* [batch, rows] */
    int64_t *seeds;      /* [batch] */
    float *x_0;          /* [batch,C,H,W] */
    float *batch_scores; /* [batch, labels] */

    const char *phase;
    double from, share, total; /* of the batch at work, in samples */

    json_t *identity; /* what must agree for a resume point to be of use */
    hs_resume resume;
} hs_effect_run;

/* effect_plan.c */
hs_status hs_effect_plan_make(const hs_sampler *sampler, const hs_classifier *classifier,
                              const hs_effect_options *options, hs_effect_plan *plan,
                              hs_error *err);
void hs_effect_plan_free(hs_effect_plan *plan);

/*
 * effect.c. Samples seed ... seed + count - 1 (count at most plan.batch) with the
 * first `edit_count` of run->edits, scored: out [count, attributes]. per_item
 * [count, edit_count] or NULL, as in hs_sample. Reports progress as samples
 * run->from to run->from + run->share of run->total.
 */
hs_status hs_effect_score(hs_effect_run *run, int64_t seed, int count, int edit_count,
                          const double *per_item, float *out, hs_error *err);

/* effect_calibrate.c: strength and reached of every row. */
hs_status hs_effect_calibrate(hs_effect_run *run, hs_error *err);
/*
 * The strength to try next after `count` trials, or 0: the search is over, and
 * *found is the trial to take. The effect is taken to rise with the strength.
 */
double hs_effect_next_trial(const hs_effect_trial *trials, int count, double wanted, double most,
                            int *found);

/* effect_resume.c, as pca_resume.c: go to the resume point, if there is one; after
 * each batch save if it is time or if `status` is an error, and return `status`. */
hs_status hs_effect_resume_begin(hs_effect_run *run, hs_error *err);
hs_status hs_effect_resume_point(hs_effect_run *run, hs_status status, hs_error *err);

/* effect_result.c */
hs_status hs_effect_result(const hs_effect_run *run, hs_effects **out, hs_error *err);

#endif
