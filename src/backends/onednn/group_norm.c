/*
 * Group norm with what follows it: scale and shift by the time embedding, and
 * the activation. Two steps: sums of each channel over chunks of pixels, or over the sums
 * that a convolution left of its tiles (winograd.c) or bands (conv2d.c), then
 * y = act(a x + b) with a and b from the sums. Where all parts have such sums of few tiles, each
 * thread adds them for itself in the second step. The input may be a concatenation that is
 * never made: its parts are read where they are. Where products with the Jacobian are to read
 * act'(a x + b), it is written beside y. The second step is left out where the convolution
 * that reads y computes it while it loads.
 */
#include <math.h>

#include "backends/onednn/onednn.h"

#define HS_CHUNK_FLOATS 8192 /* per task: 32 KB */
#define HS_MAX_CHUNKS 32
/* Tiles of an item up to which its sums are no step of their own. */
#define HS_OD_OWN_SUMS 16

struct hs_od_norm {
    hs_od_step base;
    int n, channels, groups, part_count, chunks, sum_chunks;
    int part_channels[HS_MAX_INPUTS];
    hs_od_place part[HS_MAX_INPUTS];
    hs_od_tile_sums tile_sums[HS_MAX_INPUTS]; /* of each part */
    hs_od_place dst;
    bool own_sums;               /* each thread adds all of them for itself */
    int sums;                    /* buffer, of each item doubles [sum_chunks, 2, channels]; -1:
                                    in the scratch of each thread, behind the lines */
    hs_od_place modulate, slope; /* buffer -1: none */
    int64_t pixels, chunk;
    double eps;
    const float *gamma, *beta;
    hs_kernel_act act;
};

static int64_t hs_od_chunk_pixels(const hs_od_norm *s, int chunk) {
    int64_t left = s->pixels - chunk * s->chunk;
    return left < s->chunk ? left : s->chunk;
}

/* The share of a chunk in the sums of a part's tiles. Squares about a tile's mean become
 * those about zero in double. */
static void hs_od_add_tiles(const hs_exec *exec, const hs_od_norm *s, int part, int item, int chunk,
                            double *restrict sum, double *restrict sumsq) {
    const hs_od_tile_sums *t = &s->tile_sums[part];
    int channels = s->part_channels[part];
    int first = (int)((int64_t)chunk * t->tiles / s->sum_chunks);
    int end = (int)((int64_t)(chunk + 1) * t->tiles / s->sum_chunks);
    const float *from = hs_od_piece(exec, t->buffer, item) + 2LL * channels * first;
    for (int tile = first; tile < end; tile++, from += 2LL * channels) {
        double each = 1.0 / t->pixels[tile];
        for (int c = 0; c < channels; c++) {
            double x = (double)from[c];
            sum[c] += x;
            sumsq[c] += (double)from[channels + c] + x * x * each;
        }
    }
}

static void hs_od_add_chunk(const hs_exec *exec, const hs_od_norm *s, int item, int chunk,
                            double *sum) {
    double *sumsq = sum + s->channels;
    for (int c = 0; c < 2 * s->channels; c++)
        sum[c] = 0;
    for (int i = 0; i < s->part_count; i++) {
        int channels = s->part_channels[i];
        if (s->tile_sums[i].buffer >= 0) {
            hs_od_add_tiles(exec, s, i, item, chunk, sum, sumsq);
        } else {
            const float *x = hs_od_item(exec, s->part[i], item) + chunk * s->chunk * channels;
            exec->kernels->channel_sums(x, hs_od_chunk_pixels(s, chunk), channels, sum, sumsq);
        }
        sum += channels;
        sumsq += channels;
    }
}

static void hs_od_run_sums(const hs_exec *exec, const hs_od_step *step, const hs_od_window *window,
                           int rank) {
    const hs_od_norm *s = *(hs_od_norm *const *)(step + 1);
    for (int task; (task = hs_od_next(window, s->n, s->sum_chunks)) >= 0;) {
        int item = task / s->sum_chunks, chunk = task % s->sum_chunks;
        double *sums = (double *)hs_od_piece(exec, s->sums, item);
        hs_od_add_chunk(exec, s, item, chunk, sums + 2LL * chunk * s->channels);
    }
}

/* Of all chunks of an item; made here, in `own`, where no step has done that. */
static const double *hs_od_all_sums(const hs_exec *exec, const hs_od_norm *s, int item,
                                    double *own) {
    if (!s->own_sums)
        return (double *)hs_od_piece(exec, s->sums, item);
    for (int chunk = 0; chunk < s->sum_chunks; chunk++)
        hs_od_add_chunk(exec, s, item, chunk, own + 2LL * chunk * s->channels);
    return own;
}

/* Mean and 1 / sqrt(variance + eps) of one group, from all chunks. */
static void hs_od_group_stats(const hs_od_norm *s, const double *sums, int group, double *mean,
                              double *inverse) {
    int per_group = s->channels / s->groups;
    double sum = 0, sumsq = 0, count = (double)s->pixels * per_group;
    for (int k = 0; k < s->sum_chunks; k++) {
        const double *part = sums + 2LL * k * s->channels + group * per_group;
        for (int c = 0; c < per_group; c++) {
            sum += part[c];
            sumsq += part[c + s->channels];
        }
    }
    *mean = sum / count;
    double variance = sumsq / count - *mean * *mean;
    *inverse = 1.0 / sqrt((variance > 0 ? variance : 0) + s->eps);
}

/* a[c], b[c] so that the whole of norm, gamma, beta and modulation is a x + b;
 * with `rounded` from mean and rstd in float32, as norm_tangent.c has them. */
static void hs_od_norm_coefficients(const hs_exec *exec, const hs_od_norm *s, const double *sums,
                                    int item, bool rounded, float *a, float *b) {
    int per_group = s->channels / s->groups;
    const float *scale = s->modulate.buffer >= 0 ? hs_od_item(exec, s->modulate, item) : NULL;
    for (int g = 0; g < s->groups; g++) {
        double mean, inverse;
        hs_od_group_stats(s, sums, g, &mean, &inverse);
        if (rounded) {
            mean = (double)(float)mean;
            inverse = (double)(float)inverse;
        }
        for (int c = g * per_group; c < (g + 1) * per_group; c++) {
            double more = scale ? 1.0 + (double)scale[c] : 1.0;
            double shift = (double)s->beta[c] * more;
            if (scale)
                shift += (double)scale[c + s->channels];
            a[c] = (float)((double)s->gamma[c] * more * inverse);
            b[c] = (float)(shift - mean * (double)a[c]); /* 0 at the mean, with a as rounded */
        }
    }
}

void hs_od_norm_lines(const hs_exec *exec, const hs_od_norm *norm, int item, float *a, float *b) {
    const double *sums = (double *)hs_od_piece(exec, norm->sums, item);
    hs_od_norm_coefficients(exec, norm, sums, item, false, a, b);
}

bool hs_od_norm_is_silu(const hs_od_norm *norm) {
    return norm->act == HS_ACT_SILU || norm->act == HS_ACT_SILU_ROUNDED;
}

/* slope = act'(a x + b) of one part's pixels; lines: a, b, zeros and ones. */
static void hs_od_slope_part(const hs_exec *exec, const hs_od_norm *s, const float *x,
                             int64_t pixels, int first, int channels, const float *lines,
                             float *slope) {
    const float *a = lines + first, *zero = lines + 2 * s->channels, *one = zero + s->channels;
    exec->kernels->slope_affine(x, channels, NULL, 0, slope + first, s->channels, pixels, channels,
                                a, a + s->channels, zero, zero, one, s->act);
}

static void hs_od_run_norm(const hs_exec *exec, const hs_od_step *step, const hs_od_window *window,
                           int rank) {
    const hs_od_norm *s = (const hs_od_norm *)step;
    float *a = hs_od_scratch(exec, rank), *b = a + s->channels, *lines = b + s->channels;
    float *slope = NULL;
    double *own = (double *)(a + 6LL * s->channels);
    for (int c = 0; c < 2 * s->channels; c++)
        lines[2 * s->channels + c] = c >= s->channels;
    int ready = -1; /* the item that a, b and the lines belong to */
    for (int task; (task = hs_od_next(window, s->n, s->chunks)) >= 0;) {
        int item = task / s->chunks, chunk = task % s->chunks;
        if (item != ready) {
            const double *sums = hs_od_all_sums(exec, s, item, own);
            hs_od_norm_coefficients(exec, s, sums, item, false, a, b);
            if (s->slope.buffer >= 0)
                hs_od_norm_coefficients(exec, s, sums, item, true, lines, lines + s->channels);
        }
        ready = item;
        if (s->slope.buffer >= 0)
            slope = hs_od_item(exec, s->slope, item) + chunk * s->chunk * s->channels;
        float *y = hs_od_item(exec, s->dst, item) + chunk * s->chunk * s->channels;
        for (int i = 0, first = 0; i < s->part_count; first += s->part_channels[i++]) {
            int channels = s->part_channels[i];
            const float *x = hs_od_item(exec, s->part[i], item) + chunk * s->chunk * channels;
            if (slope)
                hs_od_slope_part(exec, s, x, hs_od_chunk_pixels(s, chunk), first, channels, lines,
                                 slope);
            exec->kernels->affine_act(x, y + first, hs_od_chunk_pixels(s, chunk), channels,
                                      s->channels, a + first, b + first, s->act);
        }
    }
}

static void hs_od_run_stats(const hs_exec *exec, const hs_od_step *step, const hs_od_window *window,
                            int rank) {
    const hs_od_norm *s = (const hs_od_norm *)step;
    for (int item; (item = hs_od_next(window, s->n, 1)) >= 0;) {
        const double *sums = hs_od_all_sums(exec, s, item, hs_od_scratch(exec, rank));
        for (int g = 0; g < s->groups; g++) {
            double mean, inverse;
            hs_od_group_stats(s, sums, g, &mean, &inverse);
            float *out = hs_od_item(exec, s->dst, item) + 2 * g;
            out[0] = (float)mean;
            out[1] = (float)inverse;
        }
    }
}

/* Walk from `value`, the last of norm [modulate] [activation], to the norm. */
static hs_status hs_od_read_chain(hs_od_planner *p, hs_value value, hs_od_norm *s,
                                  const hs_node **norm) {
    hs_value at = value;
    if (hs_od_node(p, at)->op == HS_OP_ACTIVATION) {
        s->act = hs_od_act(hs_od_node(p, at)->attr.activation.kind);
        if (s->act == HS_ACT_SILU && p->options->fast && p->exec->kernels->fixed &&
            p->slope[value] == HS_NO_VALUE && !p->is_output[value])
            s->act = HS_ACT_SILU_ROUNDED; /* its readers round more */
        at = hs_od_node(p, at)->input[0];
    }
    s->modulate.buffer = s->slope.buffer = -1;
    if (hs_od_node(p, at)->op == HS_OP_MODULATE) {
        s->modulate = hs_od_operand(p, hs_od_node(p, at)->input[1], s->n);
        at = hs_od_node(p, at)->input[0];
    }
    *norm = hs_od_node(p, at);
    s->eps = (*norm)->attr.group_norm.eps;
    s->groups = (*norm)->attr.group_norm.groups;
    if ((*norm)->op == HS_OP_GROUP_NORM_STATS)
        return HS_OK;
    HS_TRY(hs_od_weight_plain(p, (*norm)->input[1], &s->gamma));
    return hs_od_weight_plain(p, (*norm)->input[2], &s->beta);
}

void hs_od_cut_chunks(int64_t pixels, int channels, int *chunks, int64_t *chunk) {
    int64_t count = pixels * channels / HS_CHUNK_FLOATS;
    count = count < 2 ? 2 : count > HS_MAX_CHUNKS ? HS_MAX_CHUNKS : count;
    *chunk = (pixels + count - 1) / count;
    *chunks = (int)((pixels + *chunk - 1) / *chunk);
}

hs_value hs_od_norm_source(const hs_od_planner *p, hs_value value) {
    while (hs_od_node(p, value)->op != HS_OP_GROUP_NORM)
        value = hs_od_node(p, value)->input[0];
    return hs_od_node(p, value)->input[0];
}

void hs_od_touch_norm(hs_od_planner *p, const hs_od_norm *norm) {
    if (!norm->own_sums)
        hs_od_touch(p, norm->sums);
    if (norm->modulate.buffer >= 0)
        hs_od_touch(p, norm->modulate.buffer);
}

static void hs_od_touch_parts(hs_od_planner *p, const hs_od_norm *s) {
    for (int i = 0; i < s->part_count; i++)
        hs_od_touch(p, s->part[i].buffer);
}

static void hs_od_touch_tile_sums(hs_od_planner *p, const hs_od_norm *s) {
    for (int i = 0; i < s->part_count; i++)
        if (s->tile_sums[i].buffer >= 0)
            hs_od_touch(p, s->tile_sums[i].buffer);
}

/* What the norm reads, and how that is cut; its sums have no place yet. */
static hs_status hs_od_describe_norm(hs_od_planner *p, hs_value value, hs_od_norm *s,
                                     const hs_node **norm) {
    s->n = (int)hs_od_node(p, value)->shape.dim[0];
    s->sums = -1;
    HS_TRY(hs_od_read_chain(p, value, s, norm));
    const hs_shape *shape = &hs_od_node(p, (*norm)->input[0])->shape;
    s->channels = (int)shape->dim[1];
    s->pixels = shape->dim[2] * shape->dim[3];
    hs_od_part parts[HS_MAX_INPUTS];
    s->part_count = hs_od_parts(p, (*norm)->input[0], parts);
    int64_t tiles = 0, ignored; /* the most that a part has, or all pixels */
    bool left = true;           /* by convolutions, of all parts */
    for (int i = 0; i < s->part_count; i++) {
        s->part[i] = p->place[parts[i].value];
        s->part_channels[i] = parts[i].channels;
        s->tile_sums[i] = p->tile_sums[parts[i].value];
        left = left && s->tile_sums[i].buffer >= 0;
        int64_t some = s->tile_sums[i].buffer < 0 ? s->pixels : s->tile_sums[i].tiles;
        tiles = some > tiles ? some : tiles;
    }
    hs_od_cut_chunks(s->pixels, s->channels, &s->chunks, &s->chunk);
    hs_od_cut_chunks(tiles, s->channels, &s->sum_chunks, &ignored);
    s->own_sums = left && tiles <= HS_OD_OWN_SUMS && !p->loaded[value];
    return HS_OK;
}

/* The first step: the sums. */
static hs_status hs_od_plan_sums(hs_od_planner *p, hs_value value, hs_od_norm *s) {
    hs_od_step *sums;
    HS_TRY(hs_od_new_step(p, sizeof *sums + sizeof(hs_od_norm *), hs_od_run_sums, value, &sums));
    sums->group = 1;
    *(hs_od_norm **)(sums + 1) = s;
    sums->kind = "group_norm, sums";
    HS_TRY(hs_od_new_buffer(p, 4LL * s->sum_chunks * s->channels, s->n, &s->sums));
    hs_od_touch_parts(p, s);
    hs_od_touch_tile_sums(p, s);
    return HS_OK;
}

hs_status hs_od_plan_group_norm(hs_od_planner *p, hs_value value) {
    hs_od_step *step;
    const hs_node *norm;
    hs_od_norm *s = hs_arena_alloc(&p->exec->memory, 1, sizeof *s);
    if (!s)
        return hs_fail_memory(p->err, sizeof *s);
    HS_TRY(hs_od_describe_norm(p, value, s, &norm));
    if (!s->own_sums)
        HS_TRY(hs_od_plan_sums(p, value, s));
    if (p->loaded[value]) { /* the convolution releases the inputs */
        p->norms[value] = s;
        return HS_OK;
    }
    bool stats = norm->op == HS_OP_GROUP_NORM_STATS;
    HS_TRY(hs_od_new_step(p, sizeof *step, stats ? hs_od_run_stats : hs_od_run_norm, value, &step));
    step->group = 1;
    step->kind = "group_norm";
    s->base = *step; /* the second step is the struct that both share */
    p->exec->steps[p->exec->step_count - 1] = &s->base;
    hs_od_need_scratch(p, (6 + (s->own_sums ? 4 * s->sum_chunks : 0)) * s->channels *
                              (int64_t)sizeof(float));
    if (!stats && s->part_count == 1 && hs_od_dies_here(p, norm->input[0]))
        p->place[value] = s->part[0];
    else
        HS_TRY(hs_od_make_place(p, value));
    s->dst = p->place[value];
    hs_od_touch(p, s->dst.buffer);
    if (p->slope[value] != HS_NO_VALUE) {
        HS_TRY(hs_od_make_place(p, p->slope[value]));
        s->slope = p->place[p->slope[value]];
    }
    hs_od_touch_parts(p, s);
    hs_od_touch_norm(p, s);
    if (s->own_sums)
        hs_od_touch_tile_sums(p, s);
    hs_od_release_inputs(p, value);
    return HS_OK;
}
