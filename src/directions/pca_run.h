/*
 * One run of hs_pca: what its parts share. A run is a position (phase, batch,
 * step, samples done) and what was found so far; pca_resume.c writes both.
 *
 *   pca.c              options, metadata, the public functions
 *   pca_exact.c        all samples together, n x n Gram matrices
 *   pca_incremental.c  batch by batch through all steps
 *   pca_finish.c       alignment, units: components -> directions
 *   pca_resume.c       resume points
 */
#ifndef HS_DIRECTIONS_PCA_RUN_H
#define HS_DIRECTIONS_PCA_RUN_H

#include <jansson.h>

#include "directions/gram_pca.h"
#include "directions/incremental_pca.h"
#include "directions/pca_samples.h"
#include "io/resume.h"
#include "io/direction_file.h"

typedef struct hs_pca_run {
    hs_sampler *sampler;
    const hs_pca_options *options;
    const hs_monitor *monitor;
    hs_pca_plan plan;
    int sets; /* decompositions: T, or 1 when joint */

    /* position, beside samples.trajectory.step and samples.done */
    hs_pca_samples samples;
    int phase; /* exact joint PCA: 0 the Gram matrix, 1 the components */
    int batch; /* incremental: number of the batch, 0 when exact */
    int64_t passes;
    bool resumed; /* `samples` stands at a resume point */

    /* found so far */
    hs_directions *directions; /* delta_h [kept,T,d] until the end, sigma [k,T], mean [T,d] */
    double *ratio;             /* [sets,k] explained variance ratios */
    double *scores;            /* score alignment. exact: [k,n] of the step before, aligned;
                                  incremental: [sets,kept,b] of the last batch */
    double *gram;              /* [n,n], exact joint, phase 0 */
    hs_gram_eigen eigen;       /* exact joint, phase 1 */
    hs_incremental_pca *parts; /* [sets], incremental; components lie in delta_h */
    float *rows;               /* [b,T,d], incremental joint */

    json_t *identity; /* what must agree for a resume point to be of use */
    hs_resume resume;
} hs_pca_run;

/* Stand at step 0 of the batch, unless the run was resumed inside of it. */
hs_status hs_pca_run_start(hs_pca_run *run, int batch, hs_error *err);
/* h of all samples at the current step. Reports progress and saves resume
 * points; HS_ERROR_CANCELLED once a point was saved. */
hs_status hs_pca_run_step(hs_pca_run *run, hs_error *err);
/* `status`, with step and timestep put before the error's message. */
hs_status hs_pca_run_prefix(const hs_pca_run *run, int step, hs_status status, hs_error *err);

/* pca_exact.c, pca_incremental.c: allocate what is found, then find it. */
hs_status hs_pca_exact_prepare(hs_pca_run *run, hs_error *err);
hs_status hs_pca_exact(hs_pca_run *run, hs_error *err);
hs_status hs_pca_incremental_prepare(hs_pca_run *run, hs_error *err);
hs_status hs_pca_incremental(hs_pca_run *run, hs_error *err);

/*
 * pca_finish.c. Align the components of `step` with those before and write
 * them to the directions in units of one standard deviation.
 *   components [k,d] unit, sigma [k], ratio [k], mean [d]
 *   scores [k,n], previous [k,n] aligned ones of step-1; both NULL unless
 *          options->align is score. All but `previous` are permuted along.
 */
hs_status hs_pca_finish_step(hs_pca_run *run, int step, float *components, double *sigma,
                             double *ratio, const double *mean, int n, double *scores,
                             const double *previous, hs_error *err);
/* Joint PCA: unit components [k,T*d] stand in delta_h; give them their sign and
 * their one sigma = s / sqrt(n-1). s [k], total: sum of all s^2. */
void hs_pca_finish_joint(hs_pca_run *run, const double *s, double total);

/*
 * pca_resume.c. Begin: go to the resume point in options->resume if that file
 * exists; else see that it could be written. HS_ERROR_MISMATCH names what the
 * file was made with and this run is not.
 */
hs_status hs_pca_resume_begin(hs_pca_run *run, hs_error *err);
/* After each piece: save if it is time, or if `status` is HS_ERROR_CANCELLED.
 * Returns `status`. */
hs_status hs_pca_resume_point(hs_pca_run *run, hs_status status, hs_error *err);

#endif
