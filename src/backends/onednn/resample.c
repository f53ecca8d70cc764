/* Nearest upsampling by two, average pooling by two, and concatenations, slices
 * and paddings of channels that somebody reads whole: copies, row by row. */
#include <string.h>

#include "backends/onednn/onednn.h"

typedef struct hs_od_resample {
    hs_od_step base;
    int n, channels, h, w; /* of the result */
    int in_w, part_count;
    int part_channels[HS_MAX_INPUTS], first; /* first: of slice and padding */
    hs_od_place x[HS_MAX_INPUTS], y;
} hs_od_resample;

static void hs_od_run_upsample(const hs_exec *exec, const hs_od_step *step,
                               const hs_od_window *window, int rank) {
    const hs_od_resample *s = (const hs_od_resample *)step;
    size_t pixel = (size_t)s->channels * sizeof(float);
    for (int task; (task = hs_od_next(window, s->n, s->h / 2)) >= 0;) {
        int item = task / (s->h / 2), row = task % (s->h / 2);
        const float *x = hs_od_item(exec, s->x[0], item) + (int64_t)row * s->in_w * s->channels;
        int64_t line = (int64_t)s->w * s->channels;
        float *y = hs_od_item(exec, s->y, item) + 2 * row * line;
        for (int i = 0; i < s->in_w; i++)
            for (int copy = 0; copy < 2; copy++)
                memcpy(y + (int64_t)(2 * i + copy) * s->channels, x + (int64_t)i * s->channels,
                       pixel);
        memcpy(y + line, y, (size_t)line * sizeof(float));
    }
}

static void hs_od_run_avg_pool(const hs_exec *exec, const hs_od_step *step,
                               const hs_od_window *window, int rank) {
    const hs_od_resample *s = (const hs_od_resample *)step;
    int64_t line = (int64_t)s->in_w * s->channels;
    for (int task; (task = hs_od_next(window, s->n, s->h)) >= 0;) {
        int item = task / s->h, row = task % s->h;
        const float *x = hs_od_item(exec, s->x[0], item) + 2 * row * line;
        float *y = hs_od_item(exec, s->y, item) + (int64_t)row * s->w * s->channels;
        for (int i = 0; i < s->w; i++)
            for (int c = 0; c < s->channels; c++) {
                const float *from = x + (int64_t)2 * i * s->channels + c;
                y[(int64_t)i * s->channels + c] =
                    0.25f * (from[0] + from[s->channels] + from[line] + from[line + s->channels]);
            }
    }
}

static void hs_od_run_concat(const hs_exec *exec, const hs_od_step *step,
                             const hs_od_window *window, int rank) {
    const hs_od_resample *s = (const hs_od_resample *)step;
    for (int task; (task = hs_od_next(window, s->n, s->h)) >= 0;) {
        int item = task / s->h, row = task % s->h;
        for (int i = 0, first = 0; i < s->part_count; first += s->part_channels[i++]) {
            int channels = s->part_channels[i];
            const float *x = hs_od_item(exec, s->x[i], item) + (int64_t)row * s->w * channels;
            float *y = hs_od_item(exec, s->y, item) + (int64_t)row * s->w * s->channels + first;
            for (int j = 0; j < s->w; j++)
                memcpy(y + (int64_t)j * s->channels, x + (int64_t)j * channels,
                       (size_t)channels * sizeof(float));
        }
    }
}

static void hs_od_run_slice(const hs_exec *exec, const hs_od_step *step, const hs_od_window *window,
                            int rank) {
    const hs_od_resample *s = (const hs_od_resample *)step;
    for (int task; (task = hs_od_next(window, s->n, s->h)) >= 0;) {
        int item = task / s->h, row = task % s->h, whole = s->part_channels[0];
        const float *x = hs_od_item(exec, s->x[0], item) + (int64_t)row * s->w * whole + s->first;
        float *y = hs_od_item(exec, s->y, item) + (int64_t)row * s->w * s->channels;
        for (int j = 0; j < s->w; j++)
            memcpy(y + (int64_t)j * s->channels, x + (int64_t)j * whole,
                   (size_t)s->channels * sizeof(float));
    }
}

static void hs_od_run_pad(const hs_exec *exec, const hs_od_step *step, const hs_od_window *window,
                          int rank) {
    const hs_od_resample *s = (const hs_od_resample *)step;
    for (int task; (task = hs_od_next(window, s->n, s->h)) >= 0;) {
        int item = task / s->h, row = task % s->h, part = s->part_channels[0];
        const float *x = hs_od_item(exec, s->x[0], item) + (int64_t)row * s->w * part;
        float *y = hs_od_item(exec, s->y, item) + (int64_t)row * s->w * s->channels;
        memset(y, 0, (size_t)s->w * (size_t)s->channels * sizeof(float));
        for (int j = 0; j < s->w; j++)
            memcpy(y + (int64_t)j * s->channels + s->first, x + (int64_t)j * part,
                   (size_t)part * sizeof(float));
    }
}

static hs_od_run *hs_od_resample_run(hs_op op) {
    switch (op) {
    case HS_OP_UPSAMPLE: return hs_od_run_upsample;
    case HS_OP_AVG_POOL: return hs_od_run_avg_pool;
    case HS_OP_SLICE: return hs_od_run_slice;
    case HS_OP_PAD_CHANNELS: return hs_od_run_pad;
    default: return hs_od_run_concat;
    }
}

hs_status hs_od_plan_resample(hs_od_planner *p, hs_value value) {
    const hs_node *node = hs_od_node(p, value);
    hs_od_step *step;
    HS_TRY(hs_od_new_step(p, sizeof(hs_od_resample), hs_od_resample_run(node->op), value, &step));
    step->group = 1;
    hs_od_resample *s = (hs_od_resample *)step;
    s->n = (int)node->shape.dim[0];
    s->channels = (int)node->shape.dim[1];
    s->h = (int)node->shape.dim[2];
    s->w = (int)node->shape.dim[3];
    s->in_w = (int)hs_od_node(p, node->input[0])->shape.dim[3];
    s->part_count = node->input_count;
    if (node->op == HS_OP_SLICE || node->op == HS_OP_PAD_CHANNELS)
        s->first = node->attr.channels.first;
    for (int i = 0; i < node->input_count; i++) {
        s->x[i] = hs_od_operand(p, node->input[i], s->n);
        s->part_channels[i] = (int)hs_od_node(p, node->input[i])->shape.dim[1];
        hs_od_touch(p, s->x[i].buffer);
    }
    HS_TRY(hs_od_make_place(p, value));
    s->y = p->place[value];
    hs_od_release_inputs(p, value);
    return HS_OK;
}
