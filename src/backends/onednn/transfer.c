/* The border of the back end: row-major nchw of the caller to nhwc and back. */
#include <string.h>

#include "backends/onednn/onednn.h"

typedef struct hs_od_transfer {
    hs_od_step base;
    int n, channels, chunks;
    int64_t pixels, chunk;
    hs_od_place place;
} hs_od_transfer;

/* The pixels of a task; its item. */
static int hs_od_transfer_range(const hs_od_transfer *s, int task, int64_t *first, int64_t *end) {
    *first = task % s->chunks * s->chunk;
    *end = *first + s->chunk < s->pixels ? *first + s->chunk : s->pixels;
    return task / s->chunks;
}

static void hs_od_run_import(const hs_exec *exec, const hs_od_step *step,
                             const hs_od_window *window, int rank) {
    const hs_od_transfer *s = (const hs_od_transfer *)step;
    for (int task; (task = hs_od_next(window, s->n, s->chunks)) >= 0;) {
        int64_t first, end;
        int item = hs_od_transfer_range(s, task, &first, &end);
        const float *from = exec->bound[step->value] + item * s->channels * s->pixels;
        float *to = hs_od_item(exec, s->place, item);
        for (int64_t q = first; q < end; q++)
            for (int c = 0; c < s->channels; c++)
                to[q * s->channels + c] = from[c * s->pixels + q];
    }
}

static void hs_od_run_export(const hs_exec *exec, const hs_od_step *step,
                             const hs_od_window *window, int rank) {
    const hs_od_transfer *s = (const hs_od_transfer *)step;
    if (!exec->bound[step->value])
        return;
    for (int task; (task = hs_od_next(window, s->n, s->chunks)) >= 0;) {
        int64_t first, end;
        int item = hs_od_transfer_range(s, task, &first, &end);
        const float *from = hs_od_item(exec, s->place, item);
        float *to = exec->bound[step->value] + item * s->channels * s->pixels;
        for (int c = 0; c < s->channels; c++)
            for (int64_t q = first; q < end; q++)
                to[c * s->pixels + q] = from[q * s->channels + c];
    }
}

static hs_status hs_od_new_transfer(hs_od_planner *p, hs_od_run *run, hs_value value) {
    const hs_shape *shape = &hs_od_node(p, value)->shape;
    hs_od_step *step;
    HS_TRY(hs_od_new_step(p, sizeof(hs_od_transfer), run, value, &step));
    step->group = 1;
    hs_od_transfer *s = (hs_od_transfer *)step;
    step->kind = run == hs_od_run_import ? "input" : "output";
    step->flops = 0;
    s->n = (int)shape->dim[0];
    s->pixels = shape->rank == 4 ? shape->dim[2] * shape->dim[3] : 1;
    s->channels = (int)(hs_shape_count(shape) / s->n / s->pixels);
    hs_od_cut_chunks(s->pixels, s->channels, &s->chunks, &s->chunk);
    if (p->place[value].buffer < 0)
        HS_TRY(hs_od_make_place(p, value));
    s->place = p->place[value];
    hs_od_touch(p, s->place.buffer);
    return HS_OK;
}

hs_status hs_od_plan_import(hs_od_planner *p, hs_value value) {
    return hs_od_new_transfer(p, hs_od_run_import, value);
}

hs_status hs_od_plan_export(hs_od_planner *p, hs_value value) {
    return hs_od_new_transfer(p, hs_od_run_export, value);
}
