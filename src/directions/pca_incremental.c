/*
 * Incremental PCA of h-space (see pca_run.h): a batch of samples goes through
 * all steps, and each step has its running decomposition; joint PCA has one,
 * of rows that hold all steps of a sample. The unit components live where the
 * directions will be, in delta_h, which has room for more than the k that are
 * asked for until the end (hs_pca_choose_kept says why).
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "directions/pca_run.h"

hs_status hs_pca_incremental_prepare(hs_pca_run *run, hs_error *err) {
    const hs_pca_plan *plan = &run->plan;
    bool joint = run->options->joint;
    size_t b = (size_t)plan->batch, kept = (size_t)plan->kept, sets = (size_t)run->sets;
    int64_t length = joint ? plan->T * plan->d : plan->d;
    run->parts = hs_calloc(sets, sizeof *run->parts);
    if (!run->parts)
        return hs_fail_memory(err, sets * sizeof *run->parts);
    for (int i = 0; i < run->sets; i++)
        HS_TRY(hs_incremental_pca_create(plan->kept, length, run->directions->delta_h + i * plan->d,
                                         plan->T * plan->d, &run->parts[i], err));
    if (joint) {
        run->rows = hs_alloc_aligned(b, (size_t)length * sizeof(float));
        if (!run->rows)
            return hs_fail_memory(err, b * (size_t)length * sizeof(float));
    } else if (run->options->align == HS_ALIGN_SCORE) {
        run->scores = hs_calloc(sets, kept * b * sizeof(double));
        if (!run->scores)
            return hs_fail_memory(err, sets * kept * b * sizeof(double));
    }
    return HS_OK;
}

/* Where the scores of the last batch at `step` go; NULL for other batches. */
static double *hs_pca_batch_scores(const hs_pca_run *run, int step) {
    const hs_pca_plan *plan = &run->plan;
    if (!run->scores || run->batch < plan->batches - 1)
        return NULL;
    return run->scores + (int64_t)step * plan->kept * plan->batch;
}

static hs_status hs_pca_take_in(hs_pca_run *run, hs_error *err) {
    const hs_pca_plan *plan = &run->plan;
    const hs_pca_samples *samples = &run->samples;
    int n = samples->trajectory.n, step = samples->trajectory.step;
    if (!run->options->joint)
        return hs_incremental_pca_add(&run->parts[step], n, samples->h,
                                      hs_pca_batch_scores(run, step), err);
    for (int64_t i = 0; i < n; i++)
        memcpy(run->rows + (i * plan->T + step) * plan->d, samples->h + i * plan->d,
               (size_t)plan->d * sizeof(float));
    return HS_OK;
}

static hs_status hs_pca_incremental_batch(hs_pca_run *run, hs_error *err) {
    HS_TRY(hs_pca_run_start(run, run->batch, err));
    for (; run->samples.trajectory.step < run->plan.T; hs_pca_samples_next(&run->samples)) {
        HS_TRY(hs_pca_run_step(run, err));
        int step = run->samples.trajectory.step;
        HS_TRY(hs_pca_run_prefix(run, step, hs_pca_take_in(run, err), err));
    }
    if (run->options->joint)
        return hs_incremental_pca_add(&run->parts[0], run->samples.trajectory.n, run->rows, NULL,
                                      err);
    return HS_OK;
}

static hs_status hs_pca_incremental_finish_step(hs_pca_run *run, int step, float *components,
                                                double *sigma, hs_error *err) {
    const hs_pca_plan *plan = &run->plan;
    const hs_incremental_pca *part = &run->parts[step];
    double *ratio = run->ratio + (int64_t)step * plan->k;
    HS_TRY(hs_gram_check_rank((int)part->rank, plan->k, err));
    for (int64_t j = 0; j < plan->k; j++) {
        memcpy(components + j * plan->d, part->components + j * part->stride,
               (size_t)plan->d * sizeof(float));
        sigma[j] = part->s[j] / sqrt(plan->n - 1.0);
        ratio[j] = part->s[j] * part->s[j] / part->total;
    }
    double *scores = hs_pca_batch_scores(run, step);
    const double *previous = step ? hs_pca_batch_scores(run, step - 1) : NULL;
    return hs_pca_finish_step(run, step, components, sigma, ratio, part->mean, plan->batch, scores,
                              previous, err);
}

static hs_status hs_pca_incremental_finish(hs_pca_run *run, hs_error *err) {
    hs_status status;
    const hs_pca_plan *plan = &run->plan;
    size_t k = (size_t)plan->k, d = (size_t)plan->d;
    float *components = hs_alloc_aligned(k, d * sizeof(float));
    double *sigma = hs_calloc(k, sizeof(double));
    if (!components || !sigma) {
        status = hs_fail_memory(err, k * d * sizeof(float));
        goto cleanup;
    }
    run->batch = plan->batches - 1; /* whose scores were kept */
    for (int step = 0; step < plan->T; step++) {
        status = hs_pca_incremental_finish_step(run, step, components, sigma, err);
        HS_CHECK(hs_pca_run_prefix(run, step, status, err));
    }
cleanup:
    free(sigma);
    free(components);
    return status;
}

hs_status hs_pca_incremental(hs_pca_run *run, hs_error *err) {
    const hs_pca_plan *plan = &run->plan;
    for (; run->batch < plan->batches; run->batch++)
        HS_TRY(hs_pca_incremental_batch(run, err));
    if (!run->options->joint)
        return hs_pca_incremental_finish(run, err);
    const hs_incremental_pca *part = &run->parts[0];
    HS_TRY(hs_gram_check_rank((int)part->rank, plan->k, err));
    for (int64_t c = 0; c < plan->T * plan->d; c++)
        run->directions->mean[c] = (float)part->mean[c];
    hs_pca_finish_joint(run, part->s, part->total);
    return HS_OK;
}
