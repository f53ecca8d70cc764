/*
 * Directions of one sample (paper IV-B): leading singular triplets of
 * J = d eps / d h along its own trajectory. Everything numerical is in svd.h and
 * the products in jacobian.h; here is what is asked for, the walk, and memory.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "denoiser.h"
#include "directions/jacobian_run.h"

#define HS_MOST_DIRECTIONS 100000
#define HS_RATIO_MEM ((int64_t)256 << 20) /* what generalised.c takes at most, unless told */

hs_jacobian_options hs_jacobian_options_default(void) {
    return (hs_jacobian_options){.k = 5, .tol = 1e-3};
}

const char *hs_keep_outside_name(hs_keep_outside keep_outside) {
    static const char *const names[] = {[HS_KEEP_OUTSIDE_NO] = "no",
                                        [HS_KEEP_OUTSIDE_PROJECT] = "project",
                                        [HS_KEEP_OUTSIDE_RATIO] = "ratio"};
    return names[keep_outside];
}

/* -------------------------------------------------------------- options -- */

static hs_status hs_jacobian_check_numbers(const hs_jacobian_options *o, hs_error *err) {
    if (o->k < 1 || o->k > HS_MOST_DIRECTIONS)
        return hs_fail(err, HS_ERROR_ARGUMENT, "jacobian: k is %d, expected 1 to %d", o->k,
                       HS_MOST_DIRECTIONS);
    if (!(o->tol > 0 && o->tol < 1))
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "jacobian: tol is %g, expected a number between 0 and 1", o->tol);
    if (!(o->lambda >= 0 && o->lambda <= 1e6))
        return hs_fail(err, HS_ERROR_ARGUMENT, "jacobian: lambda is %g, expected 0 to 1e6",
                       o->lambda);
    if (o->max_products < 0 || o->max_mem < 0 || !(o->resume_every >= 0))
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "jacobian: max_products, max_mem or resume_every is negative");
    if (o->outside_count < 0 || o->outside_count > HS_MOST_DIRECTIONS)
        return hs_fail(err, HS_ERROR_ARGUMENT, "jacobian: outside_count is %d, expected 0 to %d",
                       o->outside_count, HS_MOST_DIRECTIONS);
    if ((unsigned)o->method > HS_JACOBIAN_BATCHED ||
        (unsigned)o->keep_outside > HS_KEEP_OUTSIDE_RATIO)
        return hs_fail(err, HS_ERROR_ARGUMENT, "jacobian: there is no method %d, keep_outside %d",
                       (int)o->method, (int)o->keep_outside);
    if (o->keep_outside != HS_KEEP_OUTSIDE_NO && o->mask_count == 0)
        return hs_fail(
            err, HS_ERROR_ARGUMENT,
            "jacobian: keeping the outside needs a mask: without one nothing is outside");
    return HS_OK;
}

static int hs_compare_ints(const void *a, const void *b) {
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

static hs_status hs_jacobian_take_steps(hs_jacobian_run *run, hs_error *err) {
    int T = run->sampler->T, count = run->o.step_count;
    if (count < 0 || (count > 0 && !run->o.steps))
        return hs_fail(err, HS_ERROR_ARGUMENT, "jacobian: %d steps, expected 0 or more", count);
    run->step_count = count ? count : T;
    run->steps = hs_calloc((size_t)run->step_count, sizeof *run->steps);
    if (!run->steps)
        return hs_fail_memory(err, (size_t)run->step_count * sizeof *run->steps);
    for (int i = 0; i < run->step_count; i++) {
        run->steps[i] = count ? run->o.steps[i] : i;
        if (run->steps[i] < 0 || run->steps[i] >= T)
            return hs_fail(err, HS_ERROR_ARGUMENT,
                           "jacobian: step %d, expected 0 to %d (0 is the noisiest)", run->steps[i],
                           T - 1);
    }
    qsort(run->steps, (size_t)run->step_count, sizeof *run->steps, hs_compare_ints);
    for (int i = 1; i < run->step_count; i++)
        if (run->steps[i] == run->steps[i - 1])
            return hs_fail(err, HS_ERROR_ARGUMENT, "jacobian: step %d is asked for twice",
                           run->steps[i]);
    return HS_OK;
}

/* One mask for all channels; what can be said of it before any product. */
static hs_status hs_jacobian_take_mask(hs_jacobian_run *run, int index, hs_error *err) {
    const hs_mask *mask = &run->o.masks[index];
    const int *image = run->sampler->model->image;
    size_t pixels = run->image_size / (size_t)image[0], inside = 0;
    uint8_t *rows = run->rows + (size_t)index * run->image_size;
    if (!mask->name || !*mask->name || !mask->inside)
        return hs_fail(err, HS_ERROR_ARGUMENT, "jacobian: mask %d has no name or no pixels", index);
    for (int i = 0; i < index; i++)
        if (!strcmp(run->o.masks[i].name, mask->name))
            return hs_fail(err, HS_ERROR_ARGUMENT, "jacobian: two masks are named %.100s",
                           mask->name);
    for (size_t i = 0; i < pixels; i++) {
        if (mask->inside[i] > 1)
            return hs_fail(err, HS_ERROR_ARGUMENT, "mask %.100s: pixel %zu is %d, expected 0 or 1",
                           mask->name, i, mask->inside[i]);
        inside += mask->inside[i];
    }
    for (int c = 0; c < image[0]; c++)
        memcpy(rows + (size_t)c * pixels, mask->inside, pixels);
    if (inside == 0)
        return hs_fail(err, HS_ERROR_ARGUMENT, "mask %.100s: no pixel is inside", mask->name);
    if (inside == pixels && run->o.keep_outside != HS_KEEP_OUTSIDE_NO)
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "mask %.100s: covers the whole image, so there is no outside to keep",
                       mask->name);
    if (inside == pixels)
        hs_notice(run->monitor, "mask %.100s: covers the whole image, so it masks nothing",
                  mask->name);
    size_t rank = inside * (size_t)image[0];
    rank = rank < run->h_size ? rank : run->h_size;
    if ((size_t)run->o.k > rank)
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "mask %.100s: k is %d, but with %zu pixels of %d channels inside and h of "
                       "%zu values there are at most %zu directions",
                       mask->name, run->o.k, inside, image[0], run->h_size, rank);
    return HS_OK;
}

static hs_status hs_jacobian_take_masks(hs_jacobian_run *run, hs_error *err) {
    int count = run->o.mask_count;
    if (count < 0 || count > 10000 || (count > 0 && !run->o.masks))
        return hs_fail(err, HS_ERROR_ARGUMENT, "jacobian: %d masks, expected 0 to 10000", count);
    run->mask_count = count;
    run->regions = count ? count : 1;
    run->rows = hs_calloc((size_t)count + 1, run->image_size);
    if (!run->rows)
        return hs_fail_memory(err, (size_t)count * run->image_size);
    size_t rank = run->image_size < run->h_size ? run->image_size : run->h_size;
    if ((size_t)run->o.k > rank)
        return hs_fail(err, HS_ERROR_ARGUMENT, "jacobian: k is %d, but d eps / d h is %zu x %zu",
                       run->o.k, run->image_size, run->h_size);
    for (int i = 0; i < count; i++)
        HS_TRY(hs_jacobian_take_mask(run, i, err));
    return HS_OK;
}

static hs_status hs_jacobian_take_latents(hs_jacobian_run *run, hs_error *err) {
    const hs_sampler *sampler = run->sampler;
    const int *image = sampler->model->image;
    if (!run->o.latents)
        return HS_OK;
    hs_latents_view_get(run->o.latents, &run->start);
    const hs_latents_view *view = &run->start;
    if (run->o.item < 0 || run->o.item >= view->n)
        return hs_fail(err, HS_ERROR_ARGUMENT, "latents: item %d, expected 0 to %d", run->o.item,
                       view->n - 1);
    if (memcmp(view->image, image, sizeof view->image))
        return hs_fail(
            err, HS_ERROR_MISMATCH, "latents: x_T is %d x %d x %d, the model's image %d x %d x %d",
            view->image[0], view->image[1], view->image[2], image[0], image[1], image[2]);
    bool same = view->T == sampler->T;
    for (int i = 0; same && view->timesteps && i < view->T; i++)
        same = view->timesteps[i] == sampler->timesteps[i];
    if (sampler->any_eta && (!view->z || !same))
        return hs_fail(err, HS_ERROR_MISMATCH,
                       "latents: eta is above 0, which needs z for the sampler's %d steps; %s",
                       sampler->T, view->z ? "z belongs to another step grid" : "there is no z");
    if (!same && view->T > 0)
        hs_notice(run->monitor, "latents: x_T was made for another step grid (%d steps, now %d)",
                  view->T, sampler->T);
    return HS_OK;
}

static hs_status hs_jacobian_take_options(hs_jacobian_run *run, hs_error *err) {
    HS_TRY(hs_jacobian_check_numbers(&run->o, err));
    if (run->sampler->schedule.clip)
        return hs_fail(err, HS_ERROR_UNSUPPORTED,
                       "jacobian: not with clipping, which has no derivative; leave it out");
    if (run->o.outside_count == 0)
        run->o.outside_count = 2 * run->o.k;
    if (run->o.lambda == 0)
        run->o.lambda = 0.1;
    HS_TRY(hs_jacobian_take_steps(run, err));
    HS_TRY(hs_jacobian_take_masks(run, err));
    HS_TRY(hs_jacobian_take_latents(run, err));
    if (run->step_count > HS_MOST_DIRECTIONS / run->regions / run->o.k)
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "jacobian: %d steps of %d regions with k = %d, expected no more than %d "
                       "directions",
                       run->step_count, run->regions, run->o.k, HS_MOST_DIRECTIONS);
    run->groups = run->step_count * run->regions;
    return HS_OK;
}

/* ------------------------------------------------------------- operator -- */

static hs_status hs_jacobian_linop(void *ctx, bool transpose, int k, const float *x, float *y,
                                   hs_error *err) {
    const hs_jacobian_run *run = ctx;
    return hs_jacobian_apply(run->jacobian, transpose, k, x, y, err);
}

/* Directions that a group finds: its own, and where the outside is kept that of the
 * complement and what is left. */
static void hs_jacobian_counts(const hs_jacobian_run *run, int counts[3]) {
    bool keep = run->o.keep_outside != HS_KEEP_OUTSIDE_NO;
    counts[0] = run->o.k;
    counts[1] = keep ? run->o.outside_count : 0;
    counts[2] = keep ? run->o.k : 0;
}

/* Bytes of the directions of all groups, and of those of the group at hand. */
static int64_t hs_jacobian_found(const hs_jacobian_run *run) {
    int counts[3];
    hs_jacobian_counts(run, counts);
    return ((int64_t)run->groups * run->o.k + counts[0] + counts[1] + counts[2]) *
           (int64_t)(run->image_size + run->h_size) * 4;
}

/* Bytes of the singular vectors' work with no more than they take at least, and of
 * the result; the masked operator and the ratio have a little work of their own. */
static int64_t hs_jacobian_svd_least(const hs_jacobian_run *run) {
    int widest = run->o.k + 1;
    if (run->o.keep_outside != HS_KEEP_OUTSIDE_NO)
        widest += run->o.outside_count;
    return hs_jacobian_found(run) + (int64_t)(run->image_size + run->h_size) * 4 * 5 * widest +
           ((int64_t)4 << 20);
}

/* What the singular vectors of a group take at most, and those that are found: up to
 * the operator's block, the masked operator's own work is little beside it. */
static hs_status hs_jacobian_svd_most(const hs_jacobian_run *run, int64_t *bytes, hs_error *err) {
    int counts[3];
    int64_t largest = 0;
    hs_jacobian_counts(run, counts);
    *bytes = hs_jacobian_found(run);
    for (int i = 0; i < 3; i++) {
        hs_svd_options options = hs_svd_options_default();
        int64_t needed = 0;
        options.k = counts[i];
        options.tol = run->o.tol;
        options.max_mem = run->svd_mem;
        if (counts[i] > 0 && (size_t)counts[i] <= run->h_size)
            HS_TRY(hs_svd_bytes(&run->op, &options, &needed, err));
        largest = needed > largest ? needed : largest;
    }
    if (run->o.keep_outside == HS_KEEP_OUTSIDE_RATIO && largest < HS_RATIO_MEM)
        largest = run->svd_mem && run->svd_mem < HS_RATIO_MEM ? run->svd_mem : HS_RATIO_MEM;
    *bytes += largest;
    return HS_OK;
}

static hs_status hs_jacobian_replan(hs_jacobian_run *run, int block, int64_t slope_bytes,
                                    hs_error *err) {
    hs_jacobian_free(run->jacobian);
    run->jacobian = NULL;
    return hs_jacobian_create(run->sampler->denoiser, block, slope_bytes, &run->jacobian, err);
}

/* What the budget leaves beside the singular vectors, the slopes of the activations
 * may take, with the little that keeping them costs besides. */
static hs_status hs_jacobian_spend(hs_jacobian_run *run, int64_t budget, hs_error *err) {
    int block = hs_jacobian_block(run->jacobian);
    int64_t slopes = budget - hs_jacobian_bytes(run->jacobian) - run->svd_bytes, over = 0;
    if (slopes <= 0)
        return HS_OK;
    do {
        slopes = slopes > over ? slopes - over : 0;
        HS_TRY(hs_jacobian_replan(run, block, slopes, err));
        over = hs_jacobian_bytes(run->jacobian) + run->svd_bytes - budget;
    } while (over > 0 && slopes > 0);
    return HS_OK;
}

/* Plans for as many vectors at a time as max_mem allows. */
static hs_status hs_jacobian_plan(hs_jacobian_run *run, hs_error *err) {
    int64_t least = hs_jacobian_svd_least(run), budget = run->o.max_mem;
    HS_TRY(hs_jacobian_replan(run, 0, budget ? 0 : HS_SLOPE_BYTES, err));
    while (budget && hs_jacobian_bytes(run->jacobian) + least > budget) {
        int block = hs_jacobian_block(run->jacobian) / 2;
        if (block < 1)
            return hs_fail(err, HS_ERROR_MEMORY,
                           "jacobian: one product at a time takes %.1f MiB and %d directions %.1f "
                           "MiB, the memory budget is %.1f MiB",
                           (double)hs_jacobian_bytes(run->jacobian) / 0x1p20, run->o.k,
                           (double)least / 0x1p20, (double)budget / 0x1p20);
        HS_TRY(hs_jacobian_replan(run, block, 0, err));
    }
    run->svd_mem = budget ? budget - hs_jacobian_bytes(run->jacobian) - hs_jacobian_found(run) : 0;
    run->op = (hs_linop){.rows = (int64_t)run->image_size,
                         .columns = (int64_t)run->h_size,
                         .block = hs_jacobian_block(run->jacobian),
                         .ctx = run,
                         .apply = hs_jacobian_linop};
    run->h = hs_alloc_aligned(run->h_size, sizeof *run->h);
    if (!run->h)
        return hs_fail_memory(err, run->h_size * sizeof *run->h);
    HS_TRY(hs_jacobian_svd_most(run, &run->svd_bytes, err));
    return budget ? hs_jacobian_spend(run, budget, err) : HS_OK;
}

/* ----------------------------------------------------------------- walk -- */

/* All groups of the step at which the trajectory stands. */
static hs_status hs_jacobian_step(hs_jacobian_run *run, const hs_trajectory *trajectory, int index,
                                  hs_error *err) {
    int step = run->steps[index], timestep = run->sampler->timesteps[step];
    bool there = false;
    for (int region = 0; region < run->regions; region++) {
        int group = index * run->regions + region;
        if (run->done[group])
            continue;
        hs_status status = HS_OK;
        if (!there)
            status =
                hs_jacobian_point(run->jacobian, trajectory->x, timestep, NULL, NULL, run->h, err);
        there = true;
        if (status == HS_OK)
            status = hs_jacobian_group(run, group, err);
        if (status != HS_OK && status != HS_ERROR_CANCELLED && run->mask_count > 1)
            status = hs_fail_prefix(err, status, "mask %.100s", run->o.masks[region].name);
        if (status != HS_OK && status != HS_ERROR_CANCELLED)
            status = hs_fail_prefix(err, status, "step %d (timestep %d)", step, timestep);
        HS_TRY(hs_jacobian_resume_point(run, status, err));
    }
    return HS_OK;
}

static hs_status hs_jacobian_walk(hs_jacobian_run *run, hs_error *err) {
    hs_status status;
    hs_sampler *sampler = run->sampler;
    hs_trajectory trajectory = {0};
    const hs_latents_view *start = &run->start;
    size_t size = run->image_size, first = (size_t)run->o.item * (size_t)sampler->T;
    if (start->n)
        HS_CHECK(hs_trajectory_from_x_T(sampler, 1, start->x_T + (size_t)run->o.item * size,
                                        &trajectory, err));
    else
        HS_CHECK(hs_trajectory_from_seeds(sampler, 1, &run->o.seed, &trajectory, err));
    for (int index = 0; index < run->step_count && run->done_count < run->groups; index++) {
        while (trajectory.step < run->steps[index]) {
            const float *z = NULL;
            if (start->n && sampler->any_eta)
                z = start->z + (first + (size_t)trajectory.step) * size;
            HS_CHECK(hs_trajectory_step(sampler, &trajectory, 0, 1, NULL, z, NULL, err));
            trajectory.step++;
            status = hs_progress(run->monitor, "directions: on the way", run->done_count,
                                 run->groups, err);
            HS_CHECK(hs_jacobian_resume_point(run, status, err));
        }
        HS_CHECK(hs_jacobian_step(run, &trajectory, index, err));
    }
cleanup:
    hs_trajectory_free(&trajectory);
    return status;
}

static void hs_jacobian_run_free(hs_jacobian_run *run) {
    hs_directions_free(run->directions);
    hs_jacobian_free(run->jacobian);
    json_decref(run->identity);
    free(run->steps);
    free(run->rows);
    free(run->h);
    free(run->h_norm);
    free(run->products);
    free(run->done);
}

static void hs_jacobian_tell_stats(const hs_jacobian_run *run, hs_product_stats *stats) {
    *stats = (hs_product_stats){0};
    if (!run->jacobian)
        return;
    hs_jacobian_stats(run->jacobian, &stats->products, &stats->seconds_per_product);
    stats->bytes = hs_jacobian_bytes(run->jacobian) + run->svd_bytes;
}

static hs_jacobian_run hs_jacobian_begin(hs_sampler *sampler, const hs_jacobian_options *options,
                                         const hs_monitor *monitor) {
    return (hs_jacobian_run){.sampler = sampler,
                             .o = options ? *options : hs_jacobian_options_default(),
                             .monitor = monitor,
                             .image_size = hs_denoiser_image_size(sampler->denoiser),
                             .h_size = hs_denoiser_h_size(sampler->denoiser)};
}

hs_status hs_jacobian_cost(hs_sampler *sampler, const hs_jacobian_options *options,
                           hs_product_stats *stats, hs_error *err) {
    hs_jacobian_run run = hs_jacobian_begin(sampler, options, NULL);
    hs_status status = hs_jacobian_take_options(&run, err);
    if (status == HS_OK)
        status = hs_jacobian_plan(&run, err);
    hs_jacobian_tell_stats(&run, stats);
    hs_jacobian_run_free(&run);
    return status;
}

hs_status hs_jacobian_directions(hs_sampler *sampler, const hs_jacobian_options *options,
                                 const hs_monitor *monitor, hs_directions **out,
                                 hs_product_stats *stats, hs_error *err) {
    hs_status status;
    hs_jacobian_run run = hs_jacobian_begin(sampler, options, monitor);
    HS_CHECK(hs_jacobian_take_options(&run, err));
    HS_CHECK(hs_jacobian_result(&run, err));
    HS_CHECK(hs_jacobian_resume_begin(&run, err));
    if (run.done_count < run.groups)
        HS_CHECK(hs_jacobian_plan(&run, err));
    HS_CHECK(hs_progress(monitor, "directions: start", run.done_count, run.groups, err));
    HS_CHECK(hs_jacobian_walk(&run, err));
    HS_CHECK(hs_jacobian_metadata(&run, err));
    *out = run.directions;
    run.directions = NULL;
cleanup:
    if (stats)
        hs_jacobian_tell_stats(&run, stats);
    hs_jacobian_run_free(&run);
    return status;
}
