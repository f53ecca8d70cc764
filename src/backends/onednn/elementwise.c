/*
 * What works point by point on feature maps and was not fused into a
 * neighbour: y = act(a[c] x + b[c]) with a and b of each item from the op, the
 * slope of an activation, sums and products of two maps.
 */
#include "backends/onednn/onednn.h"

typedef struct hs_od_pointwise {
    hs_od_step base;
    hs_op op;
    int n, channels, chunks;
    int64_t pixels, chunk;
    hs_od_place x, y, by; /* by: the vector, or the other map of add and mul */
    float alpha, beta;
    hs_kernel_act act;
} hs_od_pointwise;

static void hs_od_coefficients(const hs_exec *exec, const hs_od_pointwise *s, int item, float *a,
                               float *b) {
    const float *by = s->by.buffer >= 0 ? hs_od_item(exec, s->by, item) : NULL;
    for (int c = 0; c < s->channels; c++) {
        a[c] = s->alpha;
        b[c] = s->beta;
        if (s->op == HS_OP_ADD_CHANNEL) {
            b[c] = by[c];
        } else if (s->op == HS_OP_MODULATE) {
            a[c] = 1.0f + by[c];
            b[c] = by[c + s->channels];
        } else if (s->op == HS_OP_MODULATE_SCALE) {
            a[c] = 1.0f + by[c];
        } else if (s->op == HS_OP_DIVIDE_ROWS) {
            a[c] = 1.0f / by[0];
        }
    }
}

/* slope(x) = slope(1 x + 0) * (0 x + 1). */
static void hs_od_slope(const hs_exec *exec, const hs_od_pointwise *s, int rank, const float *x,
                        float *y, int64_t pixels) {
    float *zero = hs_od_scratch(exec, rank), *one = zero + s->channels;
    for (int c = 0; c < s->channels; c++) {
        zero[c] = 0;
        one[c] = 1;
    }
    exec->kernels->slope_affine(x, s->channels, NULL, 0, y, s->channels, pixels, s->channels, one,
                                zero, zero, zero, one, s->act);
}

static void hs_od_run_pointwise(const hs_exec *exec, const hs_od_step *step,
                                const hs_od_window *window, int rank) {
    const hs_od_pointwise *s = (const hs_od_pointwise *)step;
    float *a = hs_od_scratch(exec, rank), *b = a + s->channels;
    for (int task; (task = hs_od_next(window, s->n, s->chunks)) >= 0;) {
        int item = task / s->chunks;
        int64_t first = task % s->chunks * s->chunk;
        int64_t pixels = s->pixels - first < s->chunk ? s->pixels - first : s->chunk;
        int64_t count = pixels * s->channels;
        const float *x = hs_od_item(exec, s->x, item) + first * s->channels;
        float *y = hs_od_item(exec, s->y, item) + first * s->channels;
        if (s->op == HS_OP_ADD || s->op == HS_OP_MUL) {
            const float *by = hs_od_item(exec, s->by, item) + first * s->channels;
            if (s->op == HS_OP_ADD)
                for (int64_t i = 0; i < count; i++)
                    y[i] = x[i] + by[i];
            else
                for (int64_t i = 0; i < count; i++)
                    y[i] = x[i] * by[i];
        } else if (s->op == HS_OP_ACTIVATION_SLOPE) {
            hs_od_slope(exec, s, rank, x, y, pixels);
        } else {
            hs_od_coefficients(exec, s, item, a, b);
            exec->kernels->affine_act(x, y, pixels, s->channels, s->channels, a, b, s->act);
        }
    }
}

hs_status hs_od_plan_elementwise(hs_od_planner *p, hs_value value) {
    const hs_node *node = hs_od_node(p, value);
    hs_od_step *step;
    HS_TRY(hs_od_new_step(p, sizeof(hs_od_pointwise), hs_od_run_pointwise, value, &step));
    step->group = 1;
    hs_od_pointwise *s = (hs_od_pointwise *)step;
    hs_shape shape = hs_od_shape(p, value);
    s->op = node->op;
    s->n = (int)shape.dim[0];
    s->channels = (int)shape.dim[1];
    s->pixels = shape.dim[2] * shape.dim[3];
    hs_od_cut_chunks(s->pixels, s->channels, &s->chunks, &s->chunk);
    s->alpha = 1.0f;
    s->by.buffer = -1;
    if (node->op == HS_OP_ACTIVATION || node->op == HS_OP_ACTIVATION_SLOPE) {
        s->act = hs_od_act(node->attr.activation.kind);
    } else if (node->op == HS_OP_AFFINE) {
        s->alpha = (float)node->attr.affine.alpha;
        s->beta = (float)node->attr.affine.beta;
    }
    /* mul and modulate_scale name what varies last. */
    bool swapped = node->op == HS_OP_MUL || node->op == HS_OP_MODULATE_SCALE;
    hs_value x = node->input[swapped ? 1 : 0];
    s->x = hs_od_operand(p, x, s->n);
    if (node->input_count > 1)
        s->by = hs_od_operand(p, node->input[swapped ? 0 : 1], s->n);
    hs_od_need_scratch(p, 2 * s->channels * (int64_t)sizeof(float));
    if (hs_od_dies_here(p, x) && !s->x.single)
        p->place[value] = s->x;
    else
        HS_TRY(hs_od_make_place(p, value));
    s->y = p->place[value];
    hs_od_touch(p, s->x.buffer);
    hs_od_touch(p, s->y.buffer);
    if (s->by.buffer >= 0)
        hs_od_touch(p, s->by.buffer);
    hs_od_release_inputs(p, value);
    return HS_OK;
}
