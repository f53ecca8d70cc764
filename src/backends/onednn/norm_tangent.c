/*
 * The derivative of group norm with what stands around it, for k vectors at
 * one point or at k points. With r = 1/sqrt(var + eps), x' = (x - mean) r and
 * z the norm's result (after gamma, beta and modulation s):
 *
 *   tangent    y = f'(z) g r (v - <v> - x' <v x'>),  g = gamma (1 + s)
 *   cotangent  y = r (w - <w> - x' <w x'>),          w = g f'(z) u
 *
 * where <> is the mean over a group. Both are alpha v + beta x + delta with
 * coefficients for each channel once the sums are known, so they take two
 * steps as the norm does: sums, then the map. The first leaves w where y will be,
 * so that the slope is taken once. The input x may be parts of a
 * concatenation that is never made, v a part of it (the others' tangents are
 * zero), and of the cotangent only a slice may be wanted.
 */
#include "backends/onednn/onednn.h"

#define HS_STRIP 64 /* pixels of w that exist at a time */
#define HS_MAX_SEGMENTS (3 * HS_MAX_INPUTS)

/* Channels that lie together in x, and all or none of them in v and in y. */
typedef struct hs_od_segment {
    hs_od_place x;
    int x_first, x_stride; /* channel in the part, floats between pixels */
    int first, channels;   /* in the whole */
    bool in_v, in_y;
} hs_od_segment;

typedef struct hs_od_tangent {
    hs_od_step base;
    bool adjoint;
    int n, channels, groups, chunks, segment_count;
    int64_t pixels, chunk;
    hs_od_segment segment[HS_MAX_SEGMENTS];
    hs_od_place v, y, stats, modulate, slope; /* the last two: buffer -1 for none */
    int v_first, v_channels, y_first, y_channels;
    int sums; /* buffer of doubles [n, chunks, 2, channels] */
    const float *gamma, *beta;
    hs_kernel_act act;
} hs_od_tangent;

/* Per channel, in a rank's scratch: z = a x + b; y = alpha v + beta x + delta. */
typedef struct hs_od_lines {
    float *a, *b, *gain, *alpha, *beta, *delta, *zero, *w;
} hs_od_lines;

static hs_od_lines hs_od_lines_of(const hs_exec *exec, const hs_od_tangent *s, int rank) {
    float *f = hs_od_scratch(exec, rank);
    int c = s->channels;
    return (hs_od_lines){f,         f + c,     f + 2 * c, f + 3 * c,
                         f + 4 * c, f + 5 * c, f + 6 * c, f + 7 * c};
}

static double *hs_od_tangent_sums(const hs_exec *exec, const hs_od_tangent *s, int item,
                                  int chunk) {
    return (double *)hs_od_piece(exec, s->sums, item) + (int64_t)chunk * 2 * s->channels;
}

/* a, b and gain = gamma (1 + s) of an item. */
static void hs_od_point_lines(const hs_exec *exec, const hs_od_tangent *s, int item,
                              hs_od_lines *l) {
    const float *stats = hs_od_item(exec, s->stats, item);
    const float *scale = s->modulate.buffer >= 0 ? hs_od_item(exec, s->modulate, item) : NULL;
    int per_group = s->channels / s->groups;
    for (int c = 0; c < s->channels; c++) {
        double mean = (double)stats[c / per_group * 2], r = (double)stats[c / per_group * 2 + 1];
        double more = scale ? 1.0 + (double)scale[c] : 1.0;
        double gain = (double)s->gamma[c] * more,
               shift = scale ? (double)scale[c + s->channels] : 0;
        double beta = s->beta ? (double)s->beta[c] : 0;
        l->gain[c] = (float)gain;
        l->a[c] = (float)(gain * r);
        l->b[c] = (float)(beta * more + shift - mean * (double)l->a[c]);
        l->zero[c] = 0;
    }
}

/* alpha, beta, delta of an item, from the sums of all its chunks. */
static void hs_od_sum_lines(const hs_exec *exec, const hs_od_tangent *s, int item, hs_od_lines *l) {
    const float *stats = hs_od_item(exec, s->stats, item);
    int per_group = s->channels / s->groups;
    double count = (double)s->pixels * per_group;
    for (int g = 0; g < s->groups; g++) {
        double sum = 0, product = 0;
        for (int k = 0; k < s->chunks; k++) {
            const double *part = hs_od_tangent_sums(exec, s, item, k) + g * per_group;
            for (int c = 0; c < per_group; c++) {
                sum += part[c];
                product += part[c + s->channels];
            }
        }
        double mean = (double)stats[2 * g], r = (double)stats[2 * g + 1];
        double m1 = sum / count, m2 = (product - mean * sum) * r / count;
        for (int c = g * per_group; c < (g + 1) * per_group; c++) {
            double gain = s->adjoint ? r : (double)l->gain[c] * r;
            l->alpha[c] = (float)gain;
            l->beta[c] = (float)(-gain * r * m2);
            l->delta[c] = (float)(-mean * (double)l->beta[c] - gain * m1);
        }
    }
}

/* One stretch of pixels of one segment: where x, v and y are. */
typedef struct hs_od_strip {
    const float *x, *v, *slope; /* slope: NULL where it is not kept */
    float *y;
    int64_t pixels;
} hs_od_strip;

static hs_od_strip hs_od_strip_of(const hs_exec *exec, const hs_od_tangent *s,
                                  const hs_od_segment *g, int item, int64_t first, int64_t pixels) {
    hs_od_strip strip = {.pixels = pixels};
    strip.x = hs_od_item(exec, g->x, item) + first * g->x_stride + g->x_first;
    if (g->in_v)
        strip.v = hs_od_item(exec, s->v, item) + first * s->v_channels + g->first - s->v_first;
    if (g->in_y)
        strip.y = hs_od_item(exec, s->y, item) + first * s->y_channels + g->first - s->y_first;
    if (s->slope.buffer >= 0)
        strip.slope = hs_od_item(exec, s->slope, item) + first * s->channels + g->first;
    return strip;
}

/* w = gain f'(z) u of a strip, and its sums: in the place of y, or dense in the
 * scratch where no y is wanted. */
static void hs_od_sum_piece(const hs_exec *exec, const hs_od_tangent *s, const hs_od_segment *g,
                            const hs_od_strip *strip, const hs_od_lines *l, double *sum) {
    int c = g->first;
    float *w = g->in_y ? strip->y : l->w;
    int64_t stride = g->in_y ? s->y_channels : g->channels;
    if (strip->slope)
        exec->kernels->affine_times(NULL, 0, strip->v, s->v_channels, strip->slope, s->channels, w,
                                    stride, strip->pixels, g->channels, l->gain + c, NULL, NULL);
    else
        exec->kernels->slope_affine(strip->x, g->x_stride, strip->v, s->v_channels, w, stride,
                                    strip->pixels, g->channels, l->a + c, l->b + c, l->gain + c,
                                    l->zero + c, l->zero + c, s->act);
    exec->kernels->dot_sums(w, stride, strip->x, g->x_stride, strip->pixels, g->channels, sum,
                            sum + s->channels);
}

static void hs_od_sum_segment(const hs_exec *exec, const hs_od_tangent *s, const hs_od_segment *g,
                              int item, int chunk, const hs_od_lines *l) {
    double *sum = hs_od_tangent_sums(exec, s, item, chunk) + g->first;
    int64_t begin = chunk * s->chunk;
    int64_t end = begin + s->chunk < s->pixels ? begin + s->chunk : s->pixels;
    if (!g->in_v)
        return;
    if (!s->adjoint) {
        hs_od_strip strip = hs_od_strip_of(exec, s, g, item, begin, end - begin);
        exec->kernels->dot_sums(strip.v, s->v_channels, strip.x, g->x_stride, end - begin,
                                g->channels, sum, sum + s->channels);
        return;
    }
    for (int64_t at = begin; at < end; at += HS_STRIP) {
        int64_t pixels = end - at < HS_STRIP ? end - at : HS_STRIP;
        hs_od_strip strip = hs_od_strip_of(exec, s, g, item, at, pixels);
        hs_od_sum_piece(exec, s, g, &strip, l, sum);
    }
}

static void hs_od_run_tangent_sums(const hs_exec *exec, const hs_od_step *step,
                                   const hs_od_window *window, int rank) {
    const hs_od_tangent *s = *(hs_od_tangent *const *)(step + 1);
    hs_od_lines l = hs_od_lines_of(exec, s, rank);
    int ready = -1;
    for (int task; (task = hs_od_next(window, s->n, s->chunks)) >= 0;) {
        int item = task / s->chunks, chunk = task % s->chunks;
        if (s->adjoint && item != ready)
            hs_od_point_lines(exec, s, item, &l);
        ready = item;
        double *sum = hs_od_tangent_sums(exec, s, item, chunk);
        for (int c = 0; c < 2 * s->channels; c++)
            sum[c] = 0;
        for (int i = 0; i < s->segment_count; i++)
            hs_od_sum_segment(exec, s, &s->segment[i], item, chunk, &l);
    }
}

static void hs_od_map_segment(const hs_exec *exec, const hs_od_tangent *s, const hs_od_segment *g,
                              int item, int chunk, const hs_od_lines *l) {
    int64_t begin = chunk * s->chunk;
    int64_t end = begin + s->chunk < s->pixels ? begin + s->chunk : s->pixels;
    int c = g->first;
    if (!g->in_y)
        return;
    hs_od_strip strip = hs_od_strip_of(exec, s, g, item, begin, end - begin);
    bool in_place = s->adjoint && g->in_v; /* w is there */
    if (strip.slope && !s->adjoint) {
        exec->kernels->affine_times(strip.x, g->x_stride, strip.v, s->v_channels, strip.slope,
                                    s->channels, strip.y, s->y_channels, strip.pixels, g->channels,
                                    l->alpha + c, l->beta + c, l->delta + c);
        return;
    }
    exec->kernels->slope_affine(strip.x, g->x_stride, in_place ? strip.y : strip.v,
                                in_place ? s->y_channels : s->v_channels, strip.y, s->y_channels,
                                strip.pixels, g->channels, l->a + c, l->b + c, l->alpha + c,
                                l->beta + c, l->delta + c, s->adjoint ? HS_ACT_NONE : s->act);
}

static void hs_od_run_tangent(const hs_exec *exec, const hs_od_step *step,
                              const hs_od_window *window, int rank) {
    const hs_od_tangent *s = (const hs_od_tangent *)step;
    hs_od_lines l = hs_od_lines_of(exec, s, rank);
    int ready = -1;
    for (int task; (task = hs_od_next(window, s->n, s->chunks)) >= 0;) {
        int item = task / s->chunks, chunk = task % s->chunks;
        if (item != ready) {
            hs_od_point_lines(exec, s, item, &l);
            hs_od_sum_lines(exec, s, item, &l);
        }
        ready = item;
        for (int i = 0; i < s->segment_count; i++)
            hs_od_map_segment(exec, s, &s->segment[i], item, chunk, &l);
    }
}

/* ------------------------------------------------------------ planning -- */

/* The nodes of the pattern in fuse.c, from `value`. */
typedef struct hs_od_tangent_nodes {
    const hs_node *derivative; /* group_norm_tangent or group_norm_cotangent */
    hs_value v;                /* the vector: tangent v, or cotangent u */
    hs_value slope;            /* activation_slope, or an input that is one, or HS_NO_VALUE */
    hs_value scale;            /* modulation's vector, or HS_NO_VALUE */
} hs_od_tangent_nodes;

static hs_od_tangent_nodes hs_od_read_tangent(const hs_od_planner *p, hs_value value) {
    hs_od_tangent_nodes t = {.slope = HS_NO_VALUE, .scale = HS_NO_VALUE};
    const hs_node *node = hs_od_node(p, value);
    bool fused = p->fused[value] != HS_NO_VALUE;
    if (node->op == HS_OP_MUL) { /* slope, [scale,] tangent */
        t.slope = node->input[0];
        node = hs_od_node(p, node->input[1]);
        if (node->op == HS_OP_MODULATE_SCALE) {
            t.scale = node->input[0];
            node = hs_od_node(p, node->input[1]);
        }
        fused = false;
    }
    t.derivative = node;
    t.v = node->input[3];
    if (fused) { /* cotangent of [scale,] slope times u */
        node = hs_od_node(p, t.v);
        if (node->op == HS_OP_MODULATE_SCALE) {
            t.scale = node->input[0];
            node = hs_od_node(p, node->input[1]);
        }
        t.slope = node->input[0];
        t.v = node->input[1];
    }
    return t;
}

/* Where a range of channels begins or ends inside a part, the part is cut. */
static void hs_od_cut_segments(hs_od_planner *p, hs_od_tangent *s, hs_value x) {
    hs_od_part parts[HS_MAX_INPUTS];
    int count = hs_od_parts(p, x, parts);
    int cuts[] = {s->v_first, s->v_first + s->v_channels, s->y_first, s->y_first + s->y_channels};
    for (int i = 0; i < count; i++) {
        int begin = parts[i].first, last = begin + parts[i].channels;
        while (begin < last) {
            int end = last;
            for (int k = 0; k < 4; k++)
                if (cuts[k] > begin && cuts[k] < end)
                    end = cuts[k];
            s->segment[s->segment_count++] = (hs_od_segment){
                .x = hs_od_operand(p, parts[i].value, s->n),
                .x_first = begin - parts[i].first,
                .x_stride = parts[i].channels,
                .first = begin,
                .channels = end - begin,
                .in_v = begin >= s->v_first && end <= s->v_first + s->v_channels,
                .in_y = begin >= s->y_first && end <= s->y_first + s->y_channels,
            };
            begin = end;
        }
    }
}

static hs_status hs_od_tangent_point(hs_od_planner *p, hs_od_tangent *s,
                                     const hs_od_tangent_nodes *t) {
    s->stats = hs_od_operand(p, t->derivative->input[1], s->n);
    s->modulate.buffer = s->slope.buffer = -1;
    HS_TRY(hs_od_weight_plain(p, t->derivative->input[2], &s->gamma));
    if (t->slope == HS_NO_VALUE)
        return HS_OK;
    const hs_node *node = hs_od_node(p, t->slope);
    if (node->op == HS_OP_INPUT) {
        s->slope = hs_od_operand(p, t->slope, s->n);
        if (t->scale != HS_NO_VALUE)
            s->modulate = hs_od_operand(p, t->scale, s->n);
        return HS_OK;
    }
    s->act = hs_od_act(node->attr.activation.kind);
    node = hs_od_node(p, node->input[0]);
    if (node->op == HS_OP_MODULATE) {
        s->modulate = hs_od_operand(p, node->input[1], s->n);
        node = hs_od_node(p, node->input[0]);
    }
    return hs_od_weight_plain(p, node->input[2], &s->beta);
}

static void hs_od_touch_tangent(hs_od_planner *p, const hs_od_tangent *s) {
    hs_od_touch(p, s->sums);
    hs_od_touch(p, s->v.buffer);
    hs_od_touch(p, s->y.buffer);
    hs_od_touch(p, s->stats.buffer);
    if (s->modulate.buffer >= 0)
        hs_od_touch(p, s->modulate.buffer);
    if (s->slope.buffer >= 0)
        hs_od_touch(p, s->slope.buffer);
    for (int i = 0; i < s->segment_count; i++)
        hs_od_touch(p, s->segment[i].x.buffer);
}

hs_status hs_od_plan_norm_tangent(hs_od_planner *p, hs_value value) {
    hs_od_tangent_nodes t = hs_od_read_tangent(p, value);
    hs_od_step *sums, *step;
    HS_TRY(hs_od_new_step(p, sizeof *sums + sizeof(hs_od_tangent *), hs_od_run_tangent_sums, value,
                          &sums));
    hs_od_tangent *s = hs_arena_alloc(&p->exec->memory, 1, sizeof *s);
    if (!s)
        return hs_fail_memory(p->err, sizeof *s);
    *(hs_od_tangent **)(sums + 1) = s;
    const hs_shape *shape = &t.derivative->shape;
    hs_shape result = hs_od_shape(p, value);
    s->adjoint = t.derivative->op == HS_OP_GROUP_NORM_COTANGENT;
    s->n = (int)shape->dim[0];
    s->channels = (int)shape->dim[1];
    s->pixels = shape->dim[2] * shape->dim[3];
    s->groups = t.derivative->attr.group_norm.groups;
    s->y_first = p->slice_first[value];
    s->y_channels = (int)result.dim[1];
    hs_od_part v[HS_MAX_INPUTS];
    hs_od_parts(p, t.v, v); /* one: a padding has a single part */
    s->v = hs_od_operand(p, v[0].value, s->n);
    s->v_first = v[0].first;
    s->v_channels = v[0].channels;
    HS_TRY(hs_od_tangent_point(p, s, &t));
    hs_od_cut_segments(p, s, t.derivative->input[0]);
    hs_od_cut_chunks(s->pixels, s->channels, &s->chunks, &s->chunk);
    hs_od_need_scratch(p, (7 + HS_STRIP) * s->channels * (int64_t)sizeof(float));
    HS_TRY(hs_od_new_buffer(p, 4LL * s->chunks * s->channels, s->n, &s->sums));
    if (s->v_channels == s->y_channels && v[0].value == t.v && !s->v.single &&
        hs_od_dies_here(p, t.v))
        p->place[value] = s->v;
    else
        HS_TRY(hs_od_make_place(p, value));
    s->y = p->place[value];
    hs_od_touch_tangent(p, s);

    HS_TRY(hs_od_new_step(p, sizeof *step, hs_od_run_tangent, value, &step));
    s->base = *step;
    p->exec->steps[p->exec->step_count - 1] = &s->base;
    hs_od_touch_tangent(p, s);
    hs_od_release_inputs(p, value);
    return HS_OK;
}
