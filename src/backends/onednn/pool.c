/*
 * Max pooling, a task a row of the result, and the mean of each channel, a task
 * an item: what a ResNet has beside convolutions.
 */
#include <math.h>
#include <string.h>

#include "backends/onednn/onednn.h"

typedef struct hs_od_pool {
    hs_od_step base;
    int n, channels, in_h, in_w;
    int h, w, kernel, stride, pad; /* of the result of max_pool */
    hs_od_place x, y;
} hs_od_pool;

/* y[c] = max over the window's pixels; a NaN is its maximum. */
static void hs_od_pool_window(const hs_od_pool *s, const float *image, int top, int left,
                              float *y) {
    bool first = true;
    for (int i = top < 0 ? 0 : top; i < top + s->kernel && i < s->in_h; i++)
        for (int j = left < 0 ? 0 : left; j < left + s->kernel && j < s->in_w; j++) {
            const float *x = image + ((int64_t)i * s->in_w + j) * s->channels;
            if (first)
                memcpy(y, x, (size_t)s->channels * sizeof *y);
            else
                for (int c = 0; c < s->channels; c++)
                    y[c] = x[c] > y[c] || isnan(x[c]) ? x[c] : y[c];
            first = false;
        }
}

static void hs_od_run_max_pool(const hs_exec *exec, const hs_od_step *step,
                               const hs_od_window *window, int rank) {
    const hs_od_pool *s = (const hs_od_pool *)step;
    for (int task; (task = hs_od_next(window, s->n, s->h)) >= 0;) {
        int item = task / s->h, row = task % s->h;
        const float *image = hs_od_item(exec, s->x, item);
        float *y = hs_od_item(exec, s->y, item) + (int64_t)row * s->w * s->channels;
        for (int j = 0; j < s->w; j++)
            hs_od_pool_window(s, image, row * s->stride - s->pad, j * s->stride - s->pad,
                              y + (int64_t)j * s->channels);
    }
}

static void hs_od_run_mean_spatial(const hs_exec *exec, const hs_od_step *step,
                                   const hs_od_window *window, int rank) {
    const hs_od_pool *s = (const hs_od_pool *)step;
    int64_t pixels = (int64_t)s->in_h * s->in_w;
    double *sum = hs_od_scratch(exec, rank);
    for (int item; (item = hs_od_next(window, s->n, 1)) >= 0;) {
        const float *x = hs_od_item(exec, s->x, item);
        float *y = hs_od_item(exec, s->y, item);
        memset(sum, 0, (size_t)s->channels * sizeof *sum);
        for (int64_t p = 0; p < pixels; p++)
            for (int c = 0; c < s->channels; c++)
                sum[c] += (double)x[p * s->channels + c];
        for (int c = 0; c < s->channels; c++)
            y[c] = (float)(sum[c] / (double)pixels);
    }
}

hs_status hs_od_plan_pool(hs_od_planner *p, hs_value value) {
    const hs_node *node = hs_od_node(p, value);
    const hs_shape *x = &hs_od_node(p, node->input[0])->shape;
    bool max = node->op == HS_OP_MAX_POOL;
    hs_od_step *step;
    HS_TRY(hs_od_new_step(p, sizeof(hs_od_pool), max ? hs_od_run_max_pool : hs_od_run_mean_spatial,
                          value, &step));
    hs_od_pool *s = (hs_od_pool *)step;
    s->n = (int)x->dim[0];
    s->channels = (int)x->dim[1];
    s->in_h = (int)x->dim[2];
    s->in_w = (int)x->dim[3];
    if (max) {
        s->h = (int)node->shape.dim[2];
        s->w = (int)node->shape.dim[3];
        s->kernel = node->attr.pool.kernel;
        s->stride = node->attr.pool.stride;
        s->pad = node->attr.pool.pad;
    } else {
        hs_od_need_scratch(p, s->channels * (int64_t)sizeof(double));
    }
    s->x = p->place[node->input[0]];
    hs_od_touch(p, s->x.buffer);
    HS_TRY(hs_od_make_place(p, value));
    s->y = p->place[value];
    hs_od_release(p, node->input[0]);
    return HS_OK;
}
