/* hs_sample: images from seeds or latents, with edits, batch by batch; and
 * hs_latents_edited, where they start. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "denoiser.h"
#include "diffusion/edit_noise.h"
#include "diffusion/trajectory.h"
#include "io/latent_file.h"

/* What one hs_sample call was asked for, checked, and its scratch. */
typedef struct hs_job {
    hs_sampler *sampler;
    int n, batch;
    const int64_t *seeds;
    hs_latents_view latents; /* n is 0: from seeds */
    const hs_edit *edits;
    const hs_directions_view *views; /* [edit_count] */
    int edit_count;
    const double *per_item; /* [n, edit_count] or NULL */
    hs_edit_list list;      /* the same three */
    bool own_z;             /* z is passed to the steps: it is of latents, or moved */
    size_t image_size, h_size;
    float *delta_h; /* [batch,c,h,w], NULL without edits */
    float *z;       /* [batch,C,H,W], NULL unless own_z */
    float *h;       /* [batch,c,h,w], NULL unless h is asked for */
    double passes, total;
} hs_job;

/* ------------------------------------------------------------- checks -- */

static bool hs_same_shape(const int a[3], const int b[3]) {
    return a[0] == b[0] && a[1] == b[1] && a[2] == b[2];
}

static bool hs_same_grid(const hs_sampler *sampler, int T, const int64_t *timesteps) {
    if (T != sampler->T)
        return false;
    for (int i = 0; timesteps && i < T; i++)
        if (timesteps[i] != sampler->timesteps[i])
            return false;
    return true;
}

static hs_status hs_check_edit(const hs_job *job, int e, hs_error *err) {
    const hs_edit *edit = &job->edits[e];
    const hs_directions_view *view = &job->views[e];
    const hs_sampler *sampler = job->sampler;
    bool noise = view->space == HS_SPACE_NOISE;
    const int *shape =
        noise ? sampler->model->image : sampler->model->h[hs_denoiser_h_space(sampler->denoiser)];
    const int *have = noise ? view->image : view->h_shape;
    if (edit->index < 0 || edit->index >= view->K)
        return hs_fail(err, HS_ERROR_ARGUMENT, "edit %d: direction %d, expected 0 ... %d", e,
                       edit->index, view->K - 1);
    if (!hs_same_shape(have, shape))
        return hs_fail(err, HS_ERROR_MISMATCH,
                       "edit %d: the direction is %d x %d x %d, the model's %s is %d x %d x %d", e,
                       have[0], have[1], have[2], noise ? "image" : "h", shape[0], shape[1],
                       shape[2]);
    if (view->S != 1 && !hs_same_grid(sampler, view->T, view->timesteps))
        return hs_fail(err, HS_ERROR_MISMATCH,
                       "edit %d: the direction's %d steps are not the sampler's %d: bring it to "
                       "the sampler's step grid first (hs_directions_fit)",
                       e, view->T, sampler->T);
    int last = edit->last < 0 ? sampler->T - 1 : edit->last;
    if (edit->first < 0 || edit->first > last || last >= sampler->T)
        return hs_fail(err, HS_ERROR_ARGUMENT, "edit %d: window %d-%d, expected steps in 0 ... %d",
                       e, edit->first, last, sampler->T - 1);
    for (int i = 0; i < (job->per_item ? job->n : 1); i++) {
        double strength = job->per_item
                              ? job->per_item[(size_t)i * (size_t)job->edit_count + (size_t)e]
                              : edit->strength;
        if (!isfinite(strength))
            return hs_fail(err, HS_ERROR_ARGUMENT, "edit %d: strength %g of item %d is not finite",
                           e, strength, i);
    }
    for (int i = 0; edit->profile && i < sampler->T; i++)
        if (!isfinite(edit->profile[i]))
            return hs_fail(err, HS_ERROR_ARGUMENT, "edit %d: factor %g of step %d is not finite", e,
                           edit->profile[i], i);
    return HS_OK;
}

hs_status hs_sampler_check_latents(const hs_sampler *sampler, const hs_latents_view *view,
                                   const hs_monitor *monitor, hs_error *err) {
    const int *image = sampler->model->image;
    if (!view->x_T || view->n < 1)
        return hs_fail(err, HS_ERROR_MISMATCH, "latents: there is no x_T");
    if (!hs_same_shape(view->image, image))
        return hs_fail(
            err, HS_ERROR_MISMATCH, "latents: x_T is %d x %d x %d, the model's image %d x %d x %d",
            view->image[0], view->image[1], view->image[2], image[0], image[1], image[2]);
    bool same = hs_same_grid(sampler, view->T, view->timesteps);
    if (sampler->any_eta && !view->z)
        return hs_fail(err, HS_ERROR_MISMATCH,
                       "latents: eta is above 0, which needs z, but there is none");
    if (sampler->any_eta && !same)
        return hs_fail(err, HS_ERROR_MISMATCH,
                       "latents: z belongs to another step grid (%d steps, the sampler has %d)",
                       view->T, sampler->T);
    if (!same && view->T > 0)
        hs_notice(monitor, "latents: x_T was made for another step grid (%d steps, now %d)",
                  view->T, sampler->T);
    return HS_OK;
}

/* --------------------------------------------------------------- edits -- */

static bool hs_edit_active(const hs_job *job, int e, int step) {
    const hs_edit *edit = &job->edits[e];
    return step >= edit->first && (edit->last < 0 || step <= edit->last);
}

/* delta_h [count,c,h,w] of `step` for the items from `first` on: the sum of
 * strength * direction. False if it is zero for all of them. */
static bool hs_sum_edits(const hs_job *job, int step, int first, int count) {
    bool any = false;
    for (int i = 0; i < count; i++) {
        float *delta_h = job->delta_h + (size_t)i * job->h_size;
        memset(delta_h, 0, job->h_size * sizeof *delta_h);
        for (int e = 0; e < job->edit_count; e++) {
            const hs_directions_view *view = &job->views[e];
            double strength = hs_edit_strength(&job->list, e, first + i, step);
            if (strength == 0 || view->space == HS_SPACE_NOISE)
                continue;
            size_t slice = (size_t)job->edits[e].index * (size_t)view->S;
            slice += view->S == 1 ? 0 : (size_t)step;
            const float *direction = view->delta_h + slice * job->h_size;
            for (size_t j = 0; j < job->h_size; j++)
                delta_h[j] = (float)((double)delta_h[j] + strength * (double)direction[j]);
            any = true;
        }
    }
    return any;
}

/* Passes an item that `step` is reckoned at: Asyrp takes two where it edits. */
static double hs_step_passes(const hs_job *job, int step) {
    for (int e = 0; e < job->edit_count; e++)
        if (job->sampler->asyrp && job->views[e].space == HS_SPACE_H &&
            hs_edit_active(job, e, step))
            return 2;
    return 1;
}

/* ----------------------------------------------------------------- run -- */

static hs_status hs_start(const hs_job *job, int first, int count, hs_trajectory *out,
                          hs_error *err) {
    size_t size = job->image_size;
    if (!job->latents.n)
        HS_TRY(hs_trajectory_from_seeds(job->sampler, count, job->seeds + first, out, err));
    else
        HS_TRY(hs_trajectory_from_x_T(job->sampler, count, NULL, out, err));
    for (int i = 0; i < count; i++) {
        float *x = out->x + (size_t)i * size;
        if (job->latents.n)
            memcpy(x, job->latents.x_T + (size_t)((first + i) % job->latents.n) * size,
                   size * sizeof *x);
        hs_edits_on_x_T(&job->list, first + i, size, x);
    }
    return HS_OK;
}

/* z of `step` for the items from `first` on, moved by the edits; NULL: the
 * trajectory draws its own. */
static const float *hs_gather_z(const hs_job *job, hs_trajectory *trajectory, int step, int first,
                                int count) {
    if (!job->own_z)
        return NULL;
    size_t size = job->image_size, T = (size_t)job->sampler->T;
    for (int i = 0; i < count; i++) {
        float *z = job->z + (size_t)i * size;
        if (job->latents.n)
            memcpy(z,
                   job->latents.z +
                       ((size_t)((first + i) % job->latents.n) * T + (size_t)step) * size,
                   size * sizeof *z);
        else
            hs_trajectory_draw_z(job->sampler, &trajectory->z[i], step, z);
        hs_edits_on_z(&job->list, first + i, step, size, z);
    }
    return job->z;
}

static hs_status hs_run_batch(hs_job *job, int first, int count, const hs_monitor *monitor,
                              float *x_0, float *h, hs_error *err) {
    hs_sampler *sampler = job->sampler;
    size_t T = (size_t)sampler->T, h_size = job->h_size;
    hs_trajectory trajectory;
    HS_TRY(hs_start(job, first, count, &trajectory, err));
    hs_status status = HS_OK;
    for (int step = 0; step < sampler->T; step++) {
        bool edited = job->edit_count > 0 && hs_sum_edits(job, step, first, count);
        HS_CHECK(hs_trajectory_step(sampler, &trajectory, 0, count, edited ? job->delta_h : NULL,
                                    hs_gather_z(job, &trajectory, step, first, count), job->h,
                                    err));
        trajectory.step++;
        for (int i = 0; h && i < count; i++)
            memcpy(h + ((size_t)(first + i) * T + (size_t)step) * h_size,
                   job->h + (size_t)i * h_size, h_size * sizeof *h);
        job->passes += hs_step_passes(job, step) * count;
        HS_CHECK(hs_progress(monitor, "sampling", job->passes, job->total, err));
    }
    memcpy(x_0 + (size_t)first * job->image_size, trajectory.x,
           (size_t)count * job->image_size * sizeof *x_0);
cleanup:
    hs_trajectory_free(&trajectory);
    return status;
}

static hs_status hs_job_scratch(hs_job *job, bool h, hs_error *err) {
    size_t batch = (size_t)job->batch;
    if (job->edit_count)
        job->delta_h = hs_alloc_aligned(batch * job->h_size, sizeof(float));
    if (h)
        job->h = hs_alloc_aligned(batch * job->h_size, sizeof(float));
    if (job->own_z)
        job->z = hs_alloc_aligned(batch * job->image_size, sizeof(float));
    if ((job->edit_count && !job->delta_h) || (h && !job->h) || (job->own_z && !job->z))
        return hs_fail_memory(err, batch * (2 * job->h_size + job->image_size) * sizeof(float));
    return HS_OK;
}

/* The views of the edits' directions into `views`, all checked. */
static hs_status hs_job_check(hs_job *job, hs_directions_view *views, const hs_monitor *monitor,
                              hs_error *err) {
    for (int e = 0; e < job->edit_count; e++) {
        hs_directions_view_get(job->edits[e].directions, &views[e]);
        HS_TRY(hs_check_edit(job, e, err));
    }
    job->list = (hs_edit_list){job->edits, views, job->edit_count, job->per_item};
    job->own_z = job->sampler->any_eta && (job->latents.n || hs_edits_move_z(&job->list));
    return job->seeds ? HS_OK : hs_sampler_check_latents(job->sampler, &job->latents, monitor, err);
}

/* What was asked for, checked; `views` is to be freed. */
static hs_status hs_job_begin(hs_job *job, const hs_latents *latents, const hs_monitor *monitor,
                              hs_directions_view **views, hs_error *err) {
    if (job->n < 1)
        return hs_fail(err, HS_ERROR_ARGUMENT, "%d images, expected 1 or more", job->n);
    if (!job->seeds == !latents)
        return hs_fail(err, HS_ERROR_ARGUMENT, "expected either seeds or latents");
    if (job->edit_count < 0 || (job->edit_count > 0 && !job->edits))
        return hs_fail(err, HS_ERROR_ARGUMENT, "%d edits, expected 0 or more", job->edit_count);
    *views = hs_calloc((size_t)job->edit_count, sizeof **views);
    if (!*views)
        return hs_fail_memory(err, (size_t)job->edit_count * sizeof **views);
    job->views = *views;
    job->image_size = hs_denoiser_image_size(job->sampler->denoiser);
    job->h_size = hs_denoiser_h_size(job->sampler->denoiser);
    if (latents)
        hs_latents_view_get(latents, &job->latents);
    return hs_job_check(job, *views, monitor, err);
}

hs_status hs_sample(hs_sampler *sampler, int n, const int64_t *seeds, const hs_latents *latents,
                    const hs_edit *edits, int edit_count, const double *per_item,
                    const hs_monitor *monitor, float *x_0, float *h, hs_error *err) {
    hs_directions_view *views = NULL;
    hs_job job = {.sampler = sampler,
                  .n = n,
                  .seeds = seeds,
                  .edits = edits,
                  .edit_count = edit_count,
                  .per_item = per_item};
    hs_status status;
    HS_CHECK(hs_job_begin(&job, latents, monitor, &views, err));
    job.batch = hs_denoiser_batch(sampler->denoiser, n);
    for (int step = 0; step < sampler->T; step++)
        job.total += hs_step_passes(&job, step) * n;
    HS_CHECK(hs_job_scratch(&job, h != NULL, err));
    HS_CHECK(hs_progress(monitor, "sampling", 0, job.total, err));
    for (int first = 0; first < n; first += job.batch) {
        int count = n - first < job.batch ? n - first : job.batch;
        HS_CHECK(hs_run_batch(&job, first, count, monitor, x_0, h, err));
    }
cleanup:
    free(job.delta_h);
    free(job.h);
    free(job.z);
    free(views);
    return status;
}

hs_status hs_latents_edited(hs_sampler *sampler, int n, const int64_t *seeds,
                            const hs_latents *latents, const hs_edit *edits, int edit_count,
                            const double *per_item, const hs_monitor *monitor, hs_latents **out,
                            hs_error *err) {
    hs_directions_view *views = NULL;
    hs_latents *made = NULL;
    hs_job job = {.sampler = sampler,
                  .n = n,
                  .seeds = seeds,
                  .edits = edits,
                  .edit_count = edit_count,
                  .per_item = per_item};
    int *items = NULL;
    hs_status status;
    HS_CHECK(hs_job_begin(&job, latents, monitor, &views, err));
    if (seeds) {
        HS_CHECK(hs_latents_from_seeds(sampler, n, seeds, &made, err));
    } else {
        if (!(items = hs_calloc((size_t)n, sizeof *items)))
            HS_CHECK(hs_fail_memory(err, (size_t)n * sizeof *items));
        for (int i = 0; i < n; i++)
            items[i] = i % job.latents.n;
        HS_CHECK(hs_latents_pick(latents, n, items, &made, err));
    }
    for (int i = 0; i < n; i++) {
        float *x_T = made->x_T + (size_t)i * job.image_size;
        hs_edits_on_x_T(&job.list, i, job.image_size, x_T);
        for (int step = 0; made->z && step < made->T && job.own_z; step++)
            hs_edits_on_z(&job.list, i, step, job.image_size,
                          made->z + ((size_t)i * (size_t)made->T + (size_t)step) * job.image_size);
    }
    *out = made;
    made = NULL;
cleanup:
    hs_latents_free(made);
    free(items);
    free(views);
    return status;
}

hs_status hs_randn(int64_t seed, int calls, size_t count, float *out, hs_error *err) {
    size_t floats;
    if (calls < 0 || __builtin_mul_overflow((size_t)calls, count, &floats) ||
        floats > PTRDIFF_MAX / sizeof *out)
        return hs_fail(err, HS_ERROR_ARGUMENT, "randn: %d calls of %zu values are too many", calls,
                       count);
    hs_generator generator;
    hs_generator_seed(&generator, (uint64_t)seed);
    for (int i = 0; i < calls; i++)
        hs_generator_randn(&generator, count, out + (size_t)i * count);
    return HS_OK;
}
