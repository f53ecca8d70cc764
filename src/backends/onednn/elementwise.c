/*
 * What works point by point on feature maps and was not fused into a
 * neighbour: y = act(a[c] x + b[c]) with a and b of each item from the op, and
 * the sum of two maps.
 */
#include "backends/onednn/onednn.h"

#define HS_CHUNK_FLOATS 65536

typedef struct hs_od_pointwise {
    hs_od_step base;
    hs_op op;
    int n, channels, chunks;
    int64_t pixels, chunk;
    hs_od_place x, y, by; /* by: the vector, or the second map of add */
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
        } else if (s->op == HS_OP_DIVIDE_ROWS) {
            a[c] = 1.0f / by[0];
        }
    }
}

static void hs_od_run_pointwise(const hs_exec *exec, const hs_od_step *step, hs_team *team,
                                int rank) {
    const hs_od_pointwise *s = (const hs_od_pointwise *)step;
    float *a = hs_od_scratch(exec, rank), *b = a + s->channels;
    for (int task; (task = hs_team_next(team, s->n * s->chunks)) >= 0;) {
        int item = task / s->chunks;
        int64_t first = task % s->chunks * s->chunk;
        int64_t pixels = s->pixels - first < s->chunk ? s->pixels - first : s->chunk;
        const float *x = hs_od_item(exec, s->x, item) + first * s->channels;
        float *y = hs_od_item(exec, s->y, item) + first * s->channels;
        if (s->op == HS_OP_ADD) {
            const float *by = hs_od_item(exec, s->by, item) + first * s->channels;
            for (int64_t i = 0; i < pixels * s->channels; i++)
                y[i] = x[i] + by[i];
        } else {
            hs_od_coefficients(exec, s, item, a, b);
            exec->kernels->affine_act(x, y, pixels, s->channels, s->channels, a, b, s->act);
        }
    }
}

static const hs_kernel_act hs_od_acts[] = {[HS_SILU] = HS_ACT_SILU,
                                           [HS_MISH] = HS_ACT_MISH,
                                           [HS_GELU] = HS_ACT_GELU,
                                           [HS_RELU] = HS_ACT_RELU};

hs_status hs_od_plan_elementwise(hs_od_planner *p, hs_value value) {
    const hs_node *node = hs_od_node(p, value);
    hs_od_step *step;
    HS_TRY(hs_od_new_step(p, sizeof(hs_od_pointwise), hs_od_run_pointwise, value, &step));
    hs_od_pointwise *s = (hs_od_pointwise *)step;
    const hs_shape *shape = &node->shape;
    s->op = node->op;
    s->n = (int)shape->dim[0];
    s->channels = (int)shape->dim[1];
    s->pixels = shape->dim[2] * shape->dim[3];
    int64_t chunks = (s->pixels * s->channels + HS_CHUNK_FLOATS - 1) / HS_CHUNK_FLOATS;
    s->chunk = (s->pixels + chunks - 1) / chunks;
    s->chunks = (int)((s->pixels + s->chunk - 1) / s->chunk);
    s->alpha = 1.0f;
    s->by.buffer = -1;
    if (node->op == HS_OP_ACTIVATION) {
        s->act = hs_od_acts[node->attr.activation.kind];
    } else if (node->op == HS_OP_AFFINE) {
        s->alpha = (float)node->attr.affine.alpha;
        s->beta = (float)node->attr.affine.beta;
    }
    s->x = p->place[node->input[0]];
    if (node->input_count > 1)
        s->by = p->place[node->input[1]];
    hs_od_need_scratch(p, 2 * s->channels * (int64_t)sizeof(float));
    if (hs_od_dies_here(p, node->input[0]))
        p->place[value] = s->x;
    else
        HS_TRY(hs_od_make_place(p, value));
    s->y = p->place[value];
    hs_od_touch(p, s->x.buffer);
    hs_od_touch(p, s->y.buffer);
    if (s->by.buffer >= 0)
        hs_od_touch(p, s->by.buffer);
    for (int i = 0; i < node->input_count; i++)
        hs_od_release(p, node->input[i]);
    return HS_OK;
}
