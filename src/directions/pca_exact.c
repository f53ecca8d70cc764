/*
 * Exact PCA of h-space (see pca_run.h): all n samples take each step together.
 * Per step, each step's components are formed before the next step's h takes
 * the place of its own. Joint PCA decomposes the sum of all steps' Gram
 * matrices, which is the Gram matrix of the concatenated vectors, and then
 * makes every h a second time to form the components.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/threads.h"
#include "directions/pca_run.h"

hs_status hs_pca_exact_prepare(hs_pca_run *run, hs_error *err) {
    size_t n = (size_t)run->plan.n, k = (size_t)run->plan.k;
    if (run->options->joint) {
        run->gram = hs_alloc_aligned(n, n * sizeof(double));
        if (!run->gram)
            return hs_fail_memory(err, n * n * sizeof(double));
        memset(run->gram, 0, n * n * sizeof(double));
    } else if (run->options->align == HS_ALIGN_SCORE) {
        run->scores = hs_calloc(k, n * sizeof(double));
        if (!run->scores)
            return hs_fail_memory(err, k * n * sizeof(double));
    }
    return HS_OK;
}

/* What one step's decomposition is put into. */
typedef struct hs_pca_scratch {
    float *components;                     /* [k,d] */
    double *sigma, *ratio, *mean, *scores; /* [k], [k], [d], [k,n] or NULL */
} hs_pca_scratch;

static void hs_pca_scratch_free(hs_pca_scratch *scratch) {
    free(scratch->components);
    free(scratch->sigma);
    free(scratch->ratio);
    free(scratch->mean);
    free(scratch->scores);
}

static hs_status hs_pca_scratch_create(const hs_pca_run *run, hs_pca_scratch *scratch,
                                       hs_error *err) {
    size_t n = (size_t)run->plan.n, k = (size_t)run->plan.k, d = (size_t)run->plan.d;
    scratch->components = hs_alloc_aligned(k, d * sizeof(float));
    scratch->sigma = hs_calloc(k, sizeof(double));
    scratch->ratio = hs_calloc(k, sizeof(double));
    scratch->mean = hs_calloc(d, sizeof(double));
    if (run->scores)
        scratch->scores = hs_calloc(k, n * sizeof(double));
    if (!scratch->components || !scratch->sigma || !scratch->ratio || !scratch->mean ||
        (run->scores && !scratch->scores))
        return hs_fail_memory(err, k * d * sizeof(float));
    return HS_OK;
}

static hs_status hs_pca_exact_step(hs_pca_run *run, hs_pca_scratch *s, hs_error *err) {
    const hs_pca_plan *plan = &run->plan;
    int step = run->samples.trajectory.step;
    size_t score_bytes = (size_t)plan->k * (size_t)plan->n * sizeof(double);
    HS_TRY(hs_gram_pca(plan->n, plan->k, plan->d, run->samples.h, s->components, s->sigma, s->ratio,
                       s->mean, s->scores, err));
    HS_TRY(hs_pca_finish_step(run, step, s->components, s->sigma, s->ratio, s->mean, plan->n,
                              s->scores, run->scores, err));
    memcpy(run->ratio + (int64_t)step * plan->k, s->ratio, (size_t)plan->k * sizeof(double));
    if (run->scores)
        memcpy(run->scores, s->scores, score_bytes);
    return HS_OK;
}

static hs_status hs_pca_exact_steps(hs_pca_run *run, hs_error *err) {
    hs_status status;
    hs_pca_scratch scratch = {0};
    HS_CHECK(hs_pca_scratch_create(run, &scratch, err));
    HS_CHECK(hs_pca_run_start(run, 0, err));
    for (; run->samples.trajectory.step < run->plan.T; hs_pca_samples_next(&run->samples)) {
        HS_CHECK(hs_pca_run_step(run, err));
        status = hs_pca_exact_step(run, &scratch, err);
        HS_CHECK(hs_pca_run_prefix(run, run->samples.trajectory.step, status, err));
    }
cleanup:
    hs_pca_scratch_free(&scratch);
    return status;
}

/* Phase 0: add this step's centred Gram matrix. Phase 1: form its part of the
 * components. The mean is taken anew: the same h give the same bits. */
static hs_status hs_pca_joint_step(hs_pca_run *run, double *mean, hs_error *err) {
    const hs_pca_plan *plan = &run->plan;
    int64_t step = run->samples.trajectory.step;
    hs_status status;
    hs_threads_saved saved = hs_threads_push(1);
    hs_gram_mean(plan->n, plan->d, run->samples.h, mean);
    hs_gram_rows rows = hs_gram_centred(plan->n, plan->d, run->samples.h, mean);
    if (run->phase == 0) {
        for (int64_t c = 0; c < plan->d; c++)
            run->directions->mean[step * plan->d + c] = (float)mean[c];
        status = hs_gram_add(&rows, run->gram, err);
    } else {
        status = hs_gram_components(&run->eigen, &rows, run->directions->delta_h + step * plan->d,
                                    plan->T * plan->d, err);
    }
    hs_threads_pop(saved);
    return status;
}

static hs_status hs_pca_joint_pass(hs_pca_run *run, double *mean, hs_error *err) {
    HS_TRY(hs_pca_run_start(run, 0, err));
    for (; run->samples.trajectory.step < run->plan.T; hs_pca_samples_next(&run->samples)) {
        HS_TRY(hs_pca_run_step(run, err));
        HS_TRY(hs_pca_joint_step(run, mean, err));
    }
    return HS_OK;
}

static hs_status hs_pca_exact_joint(hs_pca_run *run, hs_error *err) {
    hs_status status;
    const hs_pca_plan *plan = &run->plan;
    double *mean = hs_calloc((size_t)plan->d, sizeof(double));
    if (!mean)
        return hs_fail_memory(err, (size_t)plan->d * sizeof(double));
    if (run->phase == 0) {
        HS_CHECK(hs_pca_joint_pass(run, mean, err));
        hs_threads_saved saved = hs_threads_push(1);
        status = hs_gram_decompose(plan->n, plan->k, run->gram, &run->eigen, err);
        hs_threads_pop(saved);
        HS_CHECK(status);
        HS_CHECK(hs_gram_check_rank(run->eigen.k, plan->k, err));
        run->phase = 1;
    }
    HS_CHECK(hs_pca_joint_pass(run, mean, err));
    hs_pca_finish_joint(run, run->eigen.s, run->eigen.total);
cleanup:
    free(mean);
    return status;
}

hs_status hs_pca_exact(hs_pca_run *run, hs_error *err) {
    return run->options->joint ? hs_pca_exact_joint(run, err) : hs_pca_exact_steps(run, err);
}
