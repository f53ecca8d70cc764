/*
 * Convolution 3x3, stride 1, padding 1, by its definition (winograd.h, tile 1): a sum over the
 * nine taps, each a product of matrices of bf16 with sums in float32, for processors that
 * have an instruction for that (AMX). They multiply so fast that Winograd's transforms
 * would cost more than the products they save.
 *
 *   src --(bf16, a border of zeros)--> V [chunk][position][32]
 *   M [position][k] = sum over chunk, tap of V [chunk][position + dy * pitch + dx] U [chunk][tap]
 *
 * A position is a pixel of the band or one column of border to the left of its row, which
 * is also the border to the right of the row before: pitch = w + 1. A tap is a step of
 * positions, the same for all, so that any 16 positions after each other are a matrix in V,
 * whatever the width; the results at the border are not stored.
 */
#include <string.h>

#include "backends/kernels/winograd_parts.h"
#include "base/tensor.h"

#define HS_TAPS_CHUNK 32   /* channels that lie together in V */
#define HS_TAPS_PIXEL 16   /* floats that these fill */
#define HS_TAPS_PANEL 32   /* output channels of a panel */
#define HS_TAPS_MATRIX 512 /* floats of U of one chunk and tap: [16 pairs][PANEL] */
#define HS_TAPS_ROWS 16    /* positions of a matrix; products take two at once */

/* How to cut: V and the weights of a panel should fit into a second-level cache of 2 MB.
 * Chosen by reckoning, not measured. */
#define HS_TAPS_SHARED 1200 /* positions at most: V of an item is made once for all tasks */
#define HS_TAPS_BAND 1024   /* positions of a band, about */
#define HS_TAPS_V_BYTES 786432
#define HS_TAPS_LOAD_ROWS 4 /* of a load task */

static void hs_taps_cut(hs_winograd_plan *plan) {
    hs_winograd_spec *spec = &plan->spec;
    int64_t pitch = spec->w + 1, row_bytes = pitch * plan->padded_c * 2;
    if (!spec->sharing)
        spec->sharing = pitch * spec->h <= HS_TAPS_SHARED && plan->panels > 1 ? 1 : -1;
    if (spec->sharing > 0) {
        plan->load_tasks = hs_winograd_ceil(spec->h + 2, HS_TAPS_LOAD_ROWS);
        spec->band_rows = spec->h;
    }
    if (!spec->band_rows) {
        int64_t rows = hs_winograd_ceil(HS_TAPS_BAND, pitch), fit = HS_TAPS_V_BYTES / row_bytes - 2;
        rows = rows < fit ? rows : fit;
        spec->band_rows =
            hs_winograd_ceil(spec->h, hs_winograd_ceil(spec->h, rows > 1 ? (int)rows : 1));
    }
    plan->band_count = hs_winograd_ceil(spec->h, spec->band_rows);
    if (!spec->splits)
        spec->splits = spec->sharing > 0 ? 16 : plan->band_count < 4 ? 4 : 1;
    if (spec->splits > plan->panels)
        spec->splits = plan->panels;
    plan->task_count = plan->band_count * spec->splits;
}

void HS_KERNEL(hs_taps_make)(const hs_winograd_spec *spec, hs_winograd_plan *plan) {
    memset(plan, 0, sizeof *plan);
    plan->spec = *spec;
    for (int i = 0; i < spec->part_count; i++) {
        int chunks = hs_winograd_ceil(spec->part_c[i], HS_TAPS_CHUNK);
        plan->part_chunk[i] = plan->padded_c / HS_TAPS_CHUNK;
        plan->panel_floats[i] = 9LL * chunks * HS_TAPS_MATRIX;
        plan->in_c += spec->part_c[i];
        plan->padded_c += chunks * HS_TAPS_CHUNK;
    }
    plan->merged = 1;
    plan->alpha = 3;
    plan->panel = HS_TAPS_PANEL;
    plan->panels = hs_winograd_ceil(spec->out_c, HS_TAPS_PANEL);
    plan->tiles_x = spec->w;
    plan->tiles_y = spec->h;
    plan->v_chunk = HS_TAPS_PIXEL;
    plan->u_chunk = HS_TAPS_MATRIX;
    hs_taps_cut(plan);
    int64_t pitch = spec->w + 1, band = plan->spec.band_rows * pitch;
    plan->spec.block = 2 * HS_TAPS_ROWS;
    plan->spec.panel_block = 1;
    /* What the last matrix reads for the last tap. */
    int64_t positions =
        hs_winograd_ceil(band, HS_TAPS_ROWS) * (int64_t)HS_TAPS_ROWS + 2 * pitch + 2;
    plan->v_stride = hs_winograd_stride(positions * HS_TAPS_PIXEL);
    plan->v_floats = plan->padded_c / HS_TAPS_CHUNK * plan->v_stride;
    plan->m_stride = HS_TAPS_PANEL;
    plan->scratch_floats =
        2 * HS_TAPS_ROWS * HS_TAPS_PANEL + (plan->load_tasks ? 0 : plan->v_floats);
}

/* ------------------------------------------------------------- loading -- */

/* Channels [0, count) of a pixel, count <= CHUNK, as bf16; the others become 0. */
HS_INLINE void hs_taps_put(float *v, const float *x, int count) {
#if defined(__AVX512BF16__)
    if (count == HS_TAPS_CHUNK) {
        for (int half = 0; half < 2; half++) {
            __m256bh some = _mm512_cvtneps_pbh((__m512)hs_load(x + half * HS_LANES));
            memcpy(v + half * HS_LANES / 2, &some, sizeof some);
        }
        return;
    }
#endif
    uint16_t bits[HS_TAPS_CHUNK] = {0};
    for (int c = 0; c < count; c++)
        bits[c] = hs_f32_to_bf16(x[c]);
    memcpy(v, bits, sizeof bits);
}

/* Row `y` of the image, or of zeros beyond it, to where its border lies in V. */
static void hs_taps_load_row(const hs_winograd_plan *plan, const hs_winograd_item *item, int y,
                             float *v) {
    const hs_winograd_spec *spec = &plan->spec;
    int shift = spec->upsample ? 1 : 0;
    for (int part = 0; part < spec->part_count; part++) {
        int64_t channels = spec->part_c[part];
        int chunks = hs_winograd_ceil(channels, HS_TAPS_CHUNK);
        float *first = v + plan->part_chunk[part] * plan->v_stride;
        bool inside = y >= 0 && y < spec->h;
        for (int chunk = 0; chunk < chunks; chunk++) /* the border, or all */
            memset(first + chunk * plan->v_stride, 0,
                   (size_t)(inside ? 1 : spec->w + 1) * HS_TAPS_PIXEL * sizeof(float));
        if (!inside)
            continue;
        const float *row = item->src[part] + (int64_t)(y >> shift) * (spec->w >> shift) * channels;
        for (int x = 0; x < spec->w; x++) {
            const float *pixel = row + (x >> shift) * channels;
            float *to = first + (x + 1) * HS_TAPS_PIXEL;
            for (int c = 0; c < channels; c += HS_TAPS_CHUNK, to += plan->v_stride) {
                int rest = (int)channels - c;
                hs_taps_put(to, pixel + c, rest < HS_TAPS_CHUNK ? rest : HS_TAPS_CHUNK);
            }
        }
    }
}

/* Rows [first, last) of V of a band whose first row of results is `top`; V has two rows
 * more than the band. After the last one come zeros. */
static void hs_taps_load_rows(const hs_winograd_plan *plan, const hs_winograd_item *item, int top,
                              int rows, int first, int last, float *v) {
    int64_t pitch = (plan->spec.w + 1) * HS_TAPS_PIXEL;
    for (int r = first; r < last; r++)
        hs_taps_load_row(plan, item, top - 1 + r, v + r * pitch);
    int64_t end = (rows + 2) * pitch;
    for (int64_t at = end; last == rows + 2 && at < plan->v_floats; at += plan->v_stride)
        memset(v + at, 0, (size_t)(plan->v_stride - end) * sizeof(float));
}

void HS_KERNEL(hs_taps_load)(const hs_winograd_plan *plan, int task, const hs_winograd_item *item) {
    int h = plan->spec.h, first = task * HS_TAPS_LOAD_ROWS, last = first + HS_TAPS_LOAD_ROWS;
    hs_taps_load_rows(plan, item, 0, h, first, last < h + 2 ? last : h + 2, item->v);
}

/* -------------------------------------------------------------- running -- */

#if defined(__AMX_BF16__)
/* Eight matrices of 16 rows of 64 bytes: sums 0 to 3, factors of V 4 and 5, of U 6 and 7. */
static void hs_taps_begin(void) {
    struct {
        uint8_t palette, start, reserved[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } shape = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        shape.bytes[i] = 64;
        shape.rows[i] = HS_TAPS_ROWS;
    }
    _tile_loadconfig(&shape);
}

static void hs_taps_end(void) {
    _tile_release();
}

/* m [16 or, if `two`, 32 positions][PANEL] from the position at which v stands. */
HS_INLINE void hs_taps_sums(const hs_winograd_plan *plan, const hs_winograd_item *item, int panel,
                            const float *v, float *m, bool two) {
    const int64_t pitch = (plan->spec.w + 1) * HS_TAPS_PIXEL;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int part = 0; part < plan->spec.part_count; part++) {
        const float *u = item->weights[part] + panel * plan->panel_floats[part];
        const float *end = u + plan->panel_floats[part];
        const float *x = v + plan->part_chunk[part] * plan->v_stride;
        for (; u < end; x += plan->v_stride)
            for (int tap = 0; tap < 9; tap++, u += HS_TAPS_MATRIX) {
                const float *at = x + tap / 3 * pitch + tap % 3 * HS_TAPS_PIXEL;
                _tile_loadd(4, at, 64);
                _tile_loadd(6, u, 4 * HS_TAPS_PANEL);
                _tile_loadd(7, u + 16, 4 * HS_TAPS_PANEL);
                _tile_dpbf16ps(0, 4, 6);
                _tile_dpbf16ps(1, 4, 7);
                if (two) {
                    _tile_loadd(5, at + HS_TAPS_ROWS * HS_TAPS_PIXEL, 64);
                    _tile_dpbf16ps(2, 5, 6);
                    _tile_dpbf16ps(3, 5, 7);
                }
            }
    }
    _tile_stored(0, m, 4 * HS_TAPS_PANEL);
    _tile_stored(1, m + 16, 4 * HS_TAPS_PANEL);
    if (two) {
        _tile_stored(2, m + HS_TAPS_ROWS * HS_TAPS_PANEL, 4 * HS_TAPS_PANEL);
        _tile_stored(3, m + HS_TAPS_ROWS * HS_TAPS_PANEL + 16, 4 * HS_TAPS_PANEL);
    }
}
#else
/* The same in plain C, so that the rest can be tested on any processor; nothing plans it
 * there, since it is slow. */
static void hs_taps_begin(void) {
}

static void hs_taps_end(void) {
}

HS_INLINE float hs_taps_half(const float *pairs, int64_t i, bool upper) {
    uint32_t bits;
    float x;
    memcpy(&bits, pairs + i, sizeof bits);
    bits = upper ? bits & 0xffff0000 : bits << 16;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static void hs_taps_sums(const hs_winograd_plan *plan, const hs_winograd_item *item, int panel,
                         const float *v, float *m, bool two) {
    const int64_t pitch = (plan->spec.w + 1) * HS_TAPS_PIXEL;
    int rows = two ? 2 * HS_TAPS_ROWS : HS_TAPS_ROWS;
    memset(m, 0, (size_t)(rows * HS_TAPS_PANEL) * sizeof *m);
    for (int part = 0; part < plan->spec.part_count; part++) {
        const float *u = item->weights[part] + panel * plan->panel_floats[part];
        const float *end = u + plan->panel_floats[part];
        const float *x = v + plan->part_chunk[part] * plan->v_stride;
        for (; u < end; x += plan->v_stride)
            for (int tap = 0; tap < 9; tap++, u += HS_TAPS_MATRIX)
                for (int i = 0; i < rows * HS_TAPS_PIXEL; i++) { /* pair i % 16 of a position */
                    const float *at = x + tap / 3 * pitch + tap % 3 * HS_TAPS_PIXEL;
                    float *sum = m + i / HS_TAPS_PIXEL * HS_TAPS_PANEL;
                    int64_t w = i % HS_TAPS_PIXEL * HS_TAPS_PANEL;
                    for (int half = 0; half < 2; half++)
                        for (int k = 0; k < HS_TAPS_PANEL; k++)
                            sum[k] += hs_taps_half(at, i, half) * hs_taps_half(u, w + k, half);
                }
    }
}
#endif

/* One pixel's `count` results, plus bias and residual (NULL: none). */
HS_INLINE void hs_taps_store(const float *m, const float *bias, const float *residual, float *dst,
                             int count) {
    int k = 0;
    for (; k + HS_LANES <= count; k += HS_LANES) {
        hs_vec y = hs_load(m + k);
        if (bias)
            y += hs_load(bias + k);
        if (residual)
            y += hs_load(residual + k);
        hs_store(dst + k, y);
    }
    for (; k < count; k++)
        dst[k] = (m[k] + (bias ? bias[k] : 0)) + (residual ? residual[k] : 0);
}

/* Positions [first, first + count) of the band that begins at row `top`; the border is
 * passed over. */
static void hs_taps_save(const hs_winograd_plan *plan, const hs_winograd_item *item, int panel,
                         int top, int first, int count, const float *m) {
    const hs_winograd_spec *spec = &plan->spec;
    int pitch = spec->w + 1, k = panel * HS_TAPS_PANEL;
    int channels = spec->out_c - k < HS_TAPS_PANEL ? spec->out_c - k : HS_TAPS_PANEL;
    int y = first / pitch, x = first % pitch;
    for (int i = 0; i < count; i++, m += HS_TAPS_PANEL) {
        if (x == spec->w) {
            x = 0;
            y++;
            continue;
        }
        int64_t at = ((int64_t)(top + y) * spec->w + x) * spec->out_c + k;
        hs_taps_store(m, item->bias ? item->bias + k : NULL,
                      item->residual ? item->residual + at : NULL, item->dst + at, channels);
        x++;
    }
}

void HS_KERNEL(hs_taps_run)(const hs_winograd_plan *plan, int task, const hs_winograd_item *item,
                            float *scratch) {
    const hs_winograd_spec *spec = &plan->spec;
    int band = task / spec->splits, split = task % spec->splits;
    int first_panel = (int)((int64_t)split * plan->panels / spec->splits);
    int last_panel = (int)((int64_t)(split + 1) * plan->panels / spec->splits);
    int top = band * spec->band_rows, rows = spec->h - top;
    if (rows > spec->band_rows)
        rows = spec->band_rows;
    float *m = scratch, *v = scratch + 2 * HS_TAPS_ROWS * HS_TAPS_PANEL;
    if (plan->load_tasks)
        v = item->v;
    else
        hs_taps_load_rows(plan, item, top, rows, 0, rows + 2, v);
    int positions = rows * (spec->w + 1);
    hs_taps_begin();
    for (int panel = first_panel; panel < last_panel; panel++)
        for (int at = 0; at < positions; at += 2 * HS_TAPS_ROWS) {
            int count = positions - at < 2 * HS_TAPS_ROWS ? positions - at : 2 * HS_TAPS_ROWS;
            const float *x = v + (int64_t)at * HS_TAPS_PIXEL;
            if (count > HS_TAPS_ROWS)
                hs_taps_sums(plan, item, panel, x, m, true);
            else
                hs_taps_sums(plan, item, panel, x, m, false);
            hs_taps_save(plan, item, panel, top, at, count, m);
        }
    hs_taps_end();
}

/* ------------------------------------------------------------- weights -- */

void HS_KERNEL(hs_taps_weights)(const hs_winograd_kernel *kernel, int panel, float *packed) {
    int first = panel * HS_TAPS_PANEL, rest = kernel->out_c - first;
    int count = rest < HS_TAPS_PANEL ? rest : HS_TAPS_PANEL;
    int chunks = hs_winograd_ceil(kernel->in_c, HS_TAPS_CHUNK);
    memset(packed, 0, (size_t)(9 * chunks * HS_TAPS_MATRIX) * sizeof *packed);
    uint16_t *halves = (uint16_t *)packed;
    for (int k = 0; k < count; k++)
        for (int c = 0; c < kernel->in_c; c++) {
            int64_t from = (first + k) * kernel->out_stride + c * kernel->in_stride;
            int64_t chunk = c / HS_TAPS_CHUNK, pair = c % HS_TAPS_CHUNK / 2;
            for (int tap = 0; tap < 9; tap++) {
                int64_t at = (chunk * 9 + tap) * HS_TAPS_MATRIX + pair * HS_TAPS_PANEL + k;
                int64_t w = from + (kernel->flip ? 8 - tap : tap);
                halves[2 * at + c % 2] =
                    kernel->half ? kernel->half[w] : hs_f32_to_bf16(kernel->w[w]);
            }
        }
}
