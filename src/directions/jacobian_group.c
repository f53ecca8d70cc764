/*
 * The directions of one step and mask (see jacobian_run.h): singular vectors of
 * M J, and what keeps the rest of the image.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "directions/jacobian_run.h"
#include "directions/keep_outside.h"
#include "directions/linop_mask.h"

/* ------------------------------------------------------------ progress -- */

/* A group's way through its decompositions, told as part of the whole run. */
typedef struct hs_group_progress {
    const hs_jacobian_run *run;
    int step, stage, stages;
} hs_group_progress;

static bool hs_group_tell(void *ctx, const char *phase, double done, double total) {
    const hs_group_progress *progress = ctx;
    const hs_jacobian_run *run = progress->run;
    const char *colon = strchr(phase, ':'), *detail = colon ? colon + 1 : phase;
    char text[160];
    double share = total > 0 ? fmin(1, fmax(0, done / total)) : 0;
    snprintf(text, sizeof text, "directions: step %d,%s%.100s", progress->step,
             *detail == ' ' ? "" : " ", detail);
    return hs_progress(run->monitor, text,
                       run->done_count + (progress->stage + share) / progress->stages, run->groups,
                       NULL) == HS_OK;
}

/* ---------------------------------------------------------- operations -- */

typedef struct hs_group {
    hs_jacobian_run *run;
    const hs_linop *op; /* J, or M J */
    const uint8_t *mask;
    hs_group_progress progress;
    hs_monitor monitor;
    int64_t products;
    hs_svd svd; /* of `op` */
    hs_svd outside;
    hs_svd projected;
    hs_generalised ratio;
} hs_group;

static hs_status hs_group_svd(hs_group *group, const hs_linop *op, int k, hs_svd *out,
                              hs_error *err) {
    static const hs_svd_method methods[] = {[HS_JACOBIAN_KRYLOV] = HS_SVD_KRYLOV,
                                            [HS_JACOBIAN_SUBSPACE] = HS_SVD_SUBSPACE,
                                            [HS_JACOBIAN_BATCHED] = HS_SVD_BATCHED};
    const hs_jacobian_run *run = group->run;
    hs_svd_options options = hs_svd_options_default();
    options.k = k;
    options.method = methods[run->o.method];
    options.tol = run->o.tol;
    options.max_products = run->o.max_products;
    options.max_mem = run->svd_mem;
    HS_TRY(hs_svd_run(op, &options, &group->monitor, out, err));
    group->products += out->products;
    group->progress.stage++;
    return HS_OK;
}

/* The leading directions of the complement, as many as there are. */
static hs_status hs_group_outside(hs_group *group, hs_error *err) {
    hs_jacobian_run *run = group->run;
    hs_linop_mask complement = {0};
    hs_status status;
    HS_CHECK(hs_linop_mask_create(&run->op, group->mask, true, &complement, err));
    int64_t most = complement.rows < run->op.columns ? complement.rows : run->op.columns;
    int count = run->o.outside_count < most ? run->o.outside_count : (int)most;
    HS_CHECK(hs_group_svd(group, &complement.op, count, &group->outside, err));
cleanup:
    hs_linop_mask_free(&complement);
    return status;
}

static hs_status hs_group_ratio(hs_group *group, hs_error *err) {
    hs_jacobian_run *run = group->run;
    size_t n = run->h_size, inside = (size_t)group->svd.k, outside = (size_t)group->outside.k;
    hs_generalised_options options = hs_generalised_options_default();
    float *start = hs_alloc_aligned((inside + outside) * n, sizeof *start);
    if (!start)
        return hs_fail_memory(err, (inside + outside) * n * sizeof *start);
    memcpy(start, group->svd.v, inside * n * sizeof *start);
    memcpy(start + inside * n, group->outside.v, outside * n * sizeof *start);
    options.k = run->o.k;
    options.lambda = run->o.lambda * group->outside.sigma[0];
    options.tol = run->o.tol;
    options.max_products = run->o.max_products;
    options.max_mem = run->svd_mem;
    options.start = start;
    options.start_count = (int)(inside + outside);
    hs_status status =
        hs_generalised_run(&run->op, group->mask, &options, &group->monitor, &group->ratio, err);
    if (status == HS_OK)
        group->products += group->ratio.products;
    free(start);
    return status;
}

static hs_status hs_group_find(hs_group *group, hs_error *err) {
    hs_jacobian_run *run = group->run;
    bool keep = group->mask && run->o.keep_outside != HS_KEEP_OUTSIDE_NO;
    group->progress.stages = keep ? 3 : 1;
    HS_TRY(hs_group_svd(group, group->op, run->o.k, &group->svd, err));
    if (!keep)
        return HS_OK;
    HS_TRY(hs_group_outside(group, err));
    if (run->o.keep_outside == HS_KEEP_OUTSIDE_RATIO)
        return hs_group_ratio(group, err);
    HS_TRY(hs_svd_project_out(group->op, &group->svd, group->outside.k, group->outside.v,
                              &group->projected, err));
    group->products += group->projected.products;
    return HS_OK;
}

/* -------------------------------------------------------------- result -- */

/* Into the run's directions, in units of a tenth of the norm of h. */
static void hs_group_store(const hs_group *group, int index) {
    const hs_jacobian_run *run = group->run;
    hs_directions *directions = run->directions;
    const hs_svd *svd = group->projected.v ? &group->projected : &group->svd;
    const hs_generalised *ratio = group->ratio.v ? &group->ratio : NULL;
    const float *v = ratio ? ratio->v : svd->v, *u = ratio ? ratio->u : svd->u;
    const double *sigma = ratio ? ratio->inside : svd->sigma;
    const double *residual = ratio ? ratio->residual : svd->residual;
    size_t k = (size_t)run->o.k, first = (size_t)index * k;
    double unit = HS_JACOBIAN_UNIT * run->h_norm[index];
    float *delta_h = directions->delta_h + first * run->h_size;
    for (size_t i = 0; i < k * run->h_size; i++)
        delta_h[i] = (float)(unit * (double)v[i]);
    memcpy(directions->u + first * run->image_size, u, k * run->image_size * sizeof *u);
    for (size_t j = 0; j < k; j++) {
        directions->sigma[first + j] = (float)sigma[j];
        directions->residual[first + j] = (float)residual[j];
    }
    run->products[index] = group->products;
}

static double hs_norm(const float *x, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

hs_status hs_jacobian_group(hs_jacobian_run *run, int index, hs_error *err) {
    int step = run->steps[index / run->regions], region = index % run->regions;
    hs_status status = HS_OK;
    hs_linop_mask masked = {0};
    hs_group group = {.run = run, .op = &run->op, .progress = {.run = run, .step = step}};
    group.monitor = (hs_monitor){.ctx = &group.progress, .progress = hs_group_tell};
    if (run->mask_count) {
        group.mask = run->rows + (size_t)region * run->image_size;
        HS_CHECK(hs_linop_mask_create(&run->op, group.mask, false, &masked, err));
        group.op = &masked.op;
    }
    HS_CHECK(hs_group_find(&group, err));
    run->h_norm[index] = hs_norm(run->h, run->h_size);
    hs_group_store(&group, index);
    run->done[index] = true;
    run->done_count++;
cleanup:
    hs_generalised_free(&group.ratio);
    hs_svd_free(&group.projected);
    hs_svd_free(&group.outside);
    hs_svd_free(&group.svd);
    hs_linop_mask_free(&masked);
    return status;
}
