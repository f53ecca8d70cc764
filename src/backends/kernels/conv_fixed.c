/*
 * Convolution by its definition with fixed factors (conv_fixed.h): what winograd_fixed.c says
 * of V, U and M holds here with g = 1, where V is a pixel's channels under one tap.
 *
 *   src --(scale of the pixel, 16 bits)--> V [group of pixels][part, tap, chunk][pixel][16]
 *   M [pixel][k] = sum over parts, taps, chains of V U
 */
#include <string.h>

#include "backends/kernels/winograd_parts.h"

/* V of a block should leave room in a second-level cache of 512 KB; weights of a chain are
 * read from the first-level cache by all groups of a block. */
#define HS_FIXED_BLOCK_BYTES 131072
#define HS_FIXED_BLOCK_UNITS 4
#define HS_FIXED_ROUNDS 4 /* tasks for each of several threads */

void HS_KERNEL(hs_conv_fixed_make)(const hs_conv_fixed_spec *spec, hs_conv_fixed_plan *plan) {
    memset(plan, 0, sizeof *plan);
    plan->spec = *spec;
    int taps = spec->side * spec->side;
    for (int i = 0; i < spec->part_count; i++) {
        int chunks = hs_winograd_ceil(spec->part_c[i], HS_WINO_CHUNK);
        plan->panel_floats[i] = taps * hs_winograd_fixed_floats(chunks);
        plan->chunks += taps * chunks;
    }
    plan->panels = hs_winograd_ceil(spec->out_c, HS_WINO_PANEL);
    int64_t pixels = (int64_t)spec->h * spec->w, pixel_floats = plan->chunks * HS_WINO_CHUNK / 2;
    int64_t fit = HS_FIXED_BLOCK_BYTES / 4 / pixel_floats / HS_CONV_FIXED_UNIT, items = spec->items;
    fit = fit < 1 ? 1 : fit < HS_FIXED_BLOCK_UNITS ? fit : HS_FIXED_BLOCK_UNITS;
    plan->units = hs_winograd_ceil(pixels, HS_CONV_FIXED_UNIT);
    /* Blocks are as many as it takes; for threads to be busy smaller ones, and then ranges of
     * panels, for each of which V is made again. */
    int64_t wanted = spec->threads > 1 ? HS_FIXED_ROUNDS * spec->threads : 1;
    int64_t blocks = (plan->units + fit - 1) / fit, each = (wanted + items - 1) / items;
    each = each < plan->units ? each : plan->units;
    plan->blocks = (int)(blocks > each ? blocks : each);
    plan->block = hs_winograd_ceil(plan->units, plan->blocks) * HS_CONV_FIXED_UNIT;
    int64_t splits = items * plan->blocks < spec->threads
                         ? (spec->threads + items * plan->blocks - 1) / (items * plan->blocks)
                         : 1;
    plan->splits = splits < plan->panels ? (int)splits : plan->panels;
    plan->task_count = plan->blocks * plan->splits;
    plan->v_floats = hs_winograd_stride(plan->block * pixel_floats);
    plan->scale_floats = hs_winograd_stride(plan->block * (int64_t)spec->part_count * taps);
    plan->scratch_floats = plan->v_floats + plan->scale_floats + plan->block * HS_WINO_PANEL;
}

/* A block of pixels of one item, cut into groups of at most ROWS. */
typedef struct hs_fixed_block {
    const hs_conv_fixed_plan *plan;
    const hs_winograd_item *item;
    int first, count, groups;
    /* Of each group, and the end of the last. */
    int begin[HS_FIXED_BLOCK_UNITS * HS_CONV_FIXED_UNIT / 2 + 1];
    float *v, *scales, *m; /* scales [part, tap][block] */
} hs_fixed_block;

/* V of the group that begins at pixel `begin`. */
HS_INLINE float *hs_fixed_group_v(const hs_fixed_block *b, int begin) {
    return b->v + (int64_t)begin * b->plan->chunks * (HS_WINO_CHUNK / 2);
}

/* The pixel of a part under a tap of pixel `at` of the result, or NULL. */
static const float *hs_fixed_pixel(const hs_fixed_block *b, int part, int tap, int at) {
    const hs_conv_fixed_spec *s = &b->plan->spec;
    int y = at / s->w * s->stride - s->pad_top + tap / s->side;
    int x = at % s->w * s->stride - s->pad_left + tap % s->side;
    if (y < 0 || y >= s->in_h || x < 0 || x >= s->in_w)
        return NULL;
    return b->item->src[part] + ((int64_t)y * s->in_w + x) * s->part_c[part];
}

/* One pixel's channels as integers, `stride` floats from chunk to chunk. */
static float hs_fixed_load_pixel(const float *pixel, int channels, float *v, int64_t stride) {
    int whole = channels / HS_WINO_CHUNK;
    if (!pixel) {
        for (int c = 0; c < channels; c += HS_WINO_CHUNK, v += stride)
            memset(v, 0, HS_WINO_CHUNK / 2 * sizeof *v);
        return 0;
    }
    float factor, largest = HS_KERNEL(hs_winograd_largest)(pixel, channels);
    float scale = HS_KERNEL(hs_winograd_scale)(0, largest, &factor);
    HS_KERNEL(hs_winograd_fix_chunks)(whole, pixel, &factor, 0, v, stride);
    if (channels % HS_WINO_CHUNK) {
        float rest[HS_WINO_CHUNK] = {0};
        memcpy(rest, pixel + whole * HS_WINO_CHUNK,
               (size_t)(channels % HS_WINO_CHUNK) * sizeof *rest);
        HS_KERNEL(hs_winograd_fix_chunks)(1, rest, &factor, 0, v + whole * stride, stride);
    }
    return scale;
}

static void hs_fixed_load(const hs_fixed_block *b) {
    const hs_conv_fixed_spec *s = &b->plan->spec;
    int taps = s->side * s->side;
    for (int group = 0; group < b->groups; group++) {
        int begin = b->begin[group], end = b->begin[group + 1];
        int64_t stride = (end - begin) * (HS_WINO_CHUNK / 2);
        for (int i = begin; i < end; i++) {
            float *v = hs_fixed_group_v(b, begin) + (i - begin) * (HS_WINO_CHUNK / 2);
            float *scale = b->scales + i;
            for (int part = 0; part < s->part_count; part++)
                for (int tap = 0; tap < taps; tap++, scale += b->plan->block) {
                    int channels = s->part_c[part];
                    const float *pixel = hs_fixed_pixel(b, part, tap, b->first + i);
                    *scale = hs_fixed_load_pixel(pixel, channels, v, stride);
                    v += hs_winograd_ceil(channels, HS_WINO_CHUNK) * stride;
                }
        }
    }
}

/* M of one panel: chain by chain, so that its weights stay in the first-level cache. */
static void hs_fixed_multiply(const hs_fixed_block *b, int panel) {
    const hs_conv_fixed_spec *s = &b->plan->spec;
    int taps = s->side * s->side, chunk = 0;
    const float *scales = b->scales;
    for (int part = 0; part < s->part_count; part++) {
        const float *u = b->item->weights[part] + panel * b->plan->panel_floats[part];
        int chunks = hs_winograd_ceil(s->part_c[part], HS_WINO_CHUNK);
        for (int tap = 0; tap < taps; tap++, scales += b->plan->block)
            for (int c = 0; c < chunks; c += HS_WINO_FIXED_CHAIN) {
                int count = chunks - c < HS_WINO_FIXED_CHAIN ? chunks - c : HS_WINO_FIXED_CHAIN;
                int64_t floats = hs_winograd_fixed_floats(count);
                hs_winograd_ahead ahead = {(uintptr_t)(u + floats),
                                           HS_WINO_PANEL * sizeof(float) / (size_t)b->groups};
                uintptr_t share = (uintptr_t)floats * sizeof(float) / (uintptr_t)b->groups;
                for (int group = 0; group < b->groups; group++) {
                    int begin = b->begin[group], rows = b->begin[group + 1] - begin;
                    HS_KERNEL(hs_winograd_product_fixed)
                    (rows, count,
                     hs_fixed_group_v(b, begin) + (int64_t)chunk * rows * (HS_WINO_CHUNK / 2), u,
                     scales + begin, b->m + begin * HS_WINO_PANEL, chunk > 0, &ahead);
                    ahead.next += share;
                }
                u += floats;
                chunk += count;
            }
    }
}

/* M of one panel, plus bias and residual, to where its pixels lie: pixels [begin, end) of the
 * block, a unit, LANES channels from j on, of which `some` exist. */
HS_INLINE void hs_fixed_save_unit(const hs_fixed_block *b, int panel, int j, int some, int begin,
                                  int end) {
    const hs_winograd_item *item = b->item;
    int64_t out_c = b->plan->spec.out_c, k = panel * HS_WINO_PANEL + j;
    int64_t at = (b->first + begin) * out_c + k;
    const float *m = b->m + begin * HS_WINO_PANEL + j;
    hs_vec bias = {0}, first = {0}, sum = {0}, squares = {0};
    if (item->bias)
        bias = some < HS_LANES ? hs_wino_load_some(item->bias + k, some) : hs_load(item->bias + k);
    for (int i = begin; i < end; i++, at += out_c, m += HS_WINO_PANEL) {
        hs_vec y = hs_load(m) + bias;
        if (item->residual)
            y += some < HS_LANES ? hs_wino_load_some(item->residual + at, some)
                                 : hs_load(item->residual + at);
        if (i == begin)
            first = y;
        sum += y - first;
        squares += (y - first) * (y - first);
        if (some < HS_LANES)
            hs_wino_store_some(item->dst + at, y, some);
        else
            hs_store(item->dst + at, y);
    }
    if (item->sums) {
        float pixels = (float)(end - begin);
        float *sums = item->sums + (b->first + begin) / HS_CONV_FIXED_UNIT * 2 * out_c + k;
        hs_wino_store_some(sums, first * pixels + sum, some);
        hs_wino_store_some(sums + out_c, squares - sum * sum / pixels, some);
    }
}

static void hs_fixed_save(const hs_fixed_block *b, int panel) {
    int rest = b->plan->spec.out_c - panel * HS_WINO_PANEL;
    for (int begin = 0; begin < b->count; begin += HS_CONV_FIXED_UNIT) {
        int end = begin + HS_CONV_FIXED_UNIT < b->count ? begin + HS_CONV_FIXED_UNIT : b->count;
        for (int j = 0; j < HS_WINO_PANEL && j < rest; j += HS_LANES) {
            if (rest - j < HS_LANES)
                hs_fixed_save_unit(b, panel, j, rest - j, begin, end);
            else
                hs_fixed_save_unit(b, panel, j, HS_LANES, begin, end);
        }
    }
}

void HS_KERNEL(hs_conv_fixed_run)(const hs_conv_fixed_plan *plan, int task,
                                  const hs_winograd_item *item, float *scratch) {
    int block = task / plan->splits, split = task % plan->splits;
    int pixels = plan->spec.h * plan->spec.w;
    int first = (int)((int64_t)block * plan->units / plan->blocks) * HS_CONV_FIXED_UNIT;
    int end = (int)((block + 1LL) * plan->units / plan->blocks) * HS_CONV_FIXED_UNIT;
    hs_fixed_block b = {.plan = plan,
                        .item = item,
                        .first = first,
                        .count = (end < pixels ? end : pixels) - first,
                        .v = scratch,
                        .scales = scratch + plan->v_floats,
                        .m = scratch + plan->v_floats + plan->scale_floats};
    b.groups = hs_winograd_ceil(b.count, HS_WINO_ROWS);
    for (int group = 0; group <= b.groups; group++)
        b.begin[group] = b.count * group / b.groups;
    int panel = (int)((int64_t)split * plan->panels / plan->splits);
    int last = (int)((int64_t)(split + 1) * plan->panels / plan->splits);
    hs_fixed_load(&b);
    for (; panel < last; panel++) {
        hs_fixed_multiply(&b, panel);
        hs_fixed_save(&b, panel);
    }
}
