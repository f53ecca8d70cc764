/* See pca_run.h: from unit components to aligned directions with a unit. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "directions/align.h"
#include "directions/pca_run.h"

/* Find what brings this step in line with the others; step 0 gets the sign that
 * depends on nothing but the component. */
static hs_status hs_pca_find_order(const hs_pca_run *run, int step, const float *components, int n,
                                   const double *scores, const double *previous, int *order,
                                   int *flip, hs_error *err) {
    const hs_pca_plan *plan = &run->plan;
    for (int64_t j = 0; j < plan->k; j++) {
        order[j] = (int)j;
        flip[j] = hs_align_sign(plan->d, components + j * plan->d);
    }
    if (step == 0)
        return HS_OK;
    if (run->options->align == HS_ALIGN_SCORE)
        return hs_align_score(plan->k, n, previous, scores, order, flip, err);
    hs_align_index(plan->k, plan->d, run->directions->delta_h, plan->T * plan->d, components, flip);
    return HS_OK;
}

hs_status hs_pca_finish_step(hs_pca_run *run, int step, float *components, double *sigma,
                             double *ratio, const double *mean, int n, double *scores,
                             const double *previous, hs_error *err) {
    hs_status status;
    const hs_pca_plan *plan = &run->plan;
    hs_directions *directions = run->directions;
    int k = plan->k;
    int *order = hs_calloc((size_t)k, sizeof *order), *flip = hs_calloc((size_t)k, sizeof *flip);
    if (!order || !flip) {
        status = hs_fail_memory(err, 2 * (size_t)k * sizeof *order);
        goto cleanup;
    }
    HS_CHECK(hs_pca_find_order(run, step, components, n, scores, previous, order, flip, err));
    HS_CHECK(hs_align_rows_f32(k, plan->d, order, flip, components, err));
    HS_CHECK(hs_align_rows_f64(k, 1, order, NULL, sigma, err));
    HS_CHECK(hs_align_rows_f64(k, 1, order, NULL, ratio, err));
    if (scores)
        HS_CHECK(hs_align_rows_f64(k, n, order, flip, scores, err));
    for (int64_t j = 0; j < k; j++) {
        float *out = directions->delta_h + (j * plan->T + step) * plan->d;
        for (int64_t c = 0; c < plan->d; c++)
            out[c] = (float)(sigma[j] * (double)components[j * plan->d + c]);
        directions->sigma[j * plan->T + step] = (float)sigma[j];
    }
    for (int64_t c = 0; c < plan->d; c++)
        directions->mean[step * plan->d + c] = (float)mean[c];
cleanup:
    free(flip);
    free(order);
    return status;
}

void hs_pca_finish_joint(hs_pca_run *run, const double *s, double total) {
    const hs_pca_plan *plan = &run->plan;
    int64_t length = plan->T * plan->d;
    for (int64_t j = 0; j < plan->k; j++) {
        float *row = run->directions->delta_h + j * length;
        double sigma = s[j] / sqrt(plan->n - 1.0), scale = hs_align_sign(length, row) * sigma;
        for (int64_t c = 0; c < length; c++)
            row[c] = (float)(scale * (double)row[c]);
        for (int i = 0; i < plan->T; i++)
            run->directions->sigma[j * plan->T + i] = (float)sigma;
        run->ratio[j] = s[j] * s[j] / total;
    }
}
