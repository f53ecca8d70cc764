/*
 * Convolution 1x1 and 3x3, stride 1 or 2, by its definition (winograd.h, tile 1): a sum over
 * the taps, each a product of matrices of bf16 with sums in float32, for processors that
 * have an instruction for that (AMX). They multiply so fast that Winograd's transforms
 * would cost more than the products they save.
 *
 *   src --(norm, bf16, a border of zeros)--> V [phase][chunk][position][32]
 *   M [position][k] = sum over chunk, tap of
 *                     V [phase of the tap][chunk][position + its step] U [chunk][tap]
 *
 * A position is a pixel of the result or, for kernels of 3x3, one column of border beside
 * its row, which with stride 1 is also the border at the other side of the row before:
 * pitch = w + 1. With stride 2 the image falls into four phases, by whether its rows and
 * columns are even; each tap reads one of them. So a tap is a step of positions, the same for
 * all, and any 16 positions after each other are a matrix in V, whatever the width. Results at
 * the border are not stored.
 *
 * A block is three matrices of positions by two of output channels: six sums, so that U is
 * read once for 48 positions, which is what limits the matrix unit. Its results are stored
 * while the next block is multiplied.
 */
#include <string.h>

#include "backends/kernels/winograd_parts.h"
#include "base/tensor.h"

#define HS_TAPS_CHUNK 32   /* channels that lie together in V */
#define HS_TAPS_PIXEL 16   /* floats that these fill */
#define HS_TAPS_PANEL 32   /* output channels of a panel */
#define HS_TAPS_MATRIX 512 /* floats of U of one chunk and tap: [16 pairs][PANEL] */
#define HS_TAPS_ROWS 16    /* positions of a matrix */
#define HS_TAPS_MATRICES 3 /* of these that products take together */
#define HS_TAPS_BLOCK 48   /* positions, then */
#define HS_TAPS_M 512      /* floats of M of a matrix: [ROWS][PANEL] */
#define HS_TAPS_MOST 9     /* taps */

/* How to cut: V and the weights of a panel should fit into a second-level cache of 2 MB. */
#define HS_TAPS_FEW 1200  /* positions at most: tasks are ranges of panels */
#define HS_TAPS_BAND 1024 /* positions of a band, about */
#define HS_TAPS_V_BYTES 786432
#define HS_TAPS_LOAD_ROWS 4 /* of a load task */

static int hs_taps_phases(const hs_winograd_spec *spec) {
    return spec->side == 1 || spec->stride == 1 ? 1 : 4;
}

/* Positions of a row. */
static int hs_taps_pitch(const hs_winograd_spec *spec) {
    return spec->w + (spec->side > 1);
}

/* How far taps reach: rows of V beyond those of the result, and as many positions. */
static int hs_taps_reach(const hs_winograd_spec *spec) {
    return (spec->side - 1) / spec->stride;
}

static void hs_taps_cut(hs_winograd_plan *plan) {
    hs_winograd_spec *spec = &plan->spec;
    int pitch = hs_taps_pitch(spec), reach = hs_taps_reach(spec);
    bool few = (int64_t)pitch * spec->h <= HS_TAPS_FEW && plan->panels > 1;
    if (!spec->sharing)
        spec->sharing = spec->normed || few ? 1 : -1;
    if (spec->sharing > 0)
        plan->load_tasks = hs_winograd_ceil(spec->h + reach, HS_TAPS_LOAD_ROWS);
    if (!spec->band_rows && spec->sharing > 0 && few)
        spec->band_rows = spec->h;
    if (!spec->band_rows) {
        int64_t row_bytes = 2LL * pitch * plan->padded_c * hs_taps_phases(spec);
        int64_t rows = hs_winograd_ceil(HS_TAPS_BAND, pitch);
        int64_t fit = HS_TAPS_V_BYTES / row_bytes - reach;
        rows = rows < fit ? rows : fit;
        spec->band_rows =
            hs_winograd_ceil(spec->h, hs_winograd_ceil(spec->h, rows > 1 ? (int)rows : 1));
    }
    plan->band_count = hs_winograd_ceil(spec->h, spec->band_rows);
    if (!spec->splits && plan->band_count < 4)
        spec->splits = plan->load_tasks ? 16 / plan->band_count : 4;
    if (!spec->splits)
        spec->splits = 1;
    if (spec->splits > plan->panels)
        spec->splits = plan->panels;
    plan->task_count = plan->band_count * spec->splits;
}

void HS_KERNEL(hs_taps_make)(const hs_winograd_spec *given, hs_winograd_plan *plan) {
    memset(plan, 0, sizeof *plan);
    plan->spec = *given;
    hs_winograd_spec *spec = &plan->spec;
    if (!spec->side) {
        spec->side = 3;
        spec->stride = spec->pad_top = spec->pad_left = 1;
        spec->in_h = spec->h;
        spec->in_w = spec->w;
    }
    for (int i = 0; i < spec->part_count; i++) {
        int chunks = hs_winograd_ceil(spec->part_c[i], HS_TAPS_CHUNK);
        plan->part_chunk[i] = plan->padded_c / HS_TAPS_CHUNK;
        plan->panel_floats[i] = (int64_t)spec->side * spec->side * chunks * HS_TAPS_MATRIX;
        plan->in_c += spec->part_c[i];
        plan->padded_c += chunks * HS_TAPS_CHUNK;
    }
    plan->merged = 1;
    plan->alpha = spec->side;
    plan->panel = HS_TAPS_PANEL;
    plan->panels = hs_winograd_ceil(spec->out_c, HS_TAPS_PANEL);
    plan->v_chunk = HS_TAPS_PIXEL;
    plan->u_chunk = HS_TAPS_MATRIX;
    hs_taps_cut(plan);
    int64_t pitch = hs_taps_pitch(spec), band = spec->band_rows * pitch;
    int64_t loaded = plan->load_tasks ? spec->h * pitch : band, reach = hs_taps_reach(spec);
    spec->block = HS_TAPS_BLOCK;
    spec->panel_block = 1;
    plan->tiles_x = 1;
    plan->tiles_y = plan->band_count;
    /* What the last matrix reads for the last tap. */
    int64_t positions = loaded + HS_TAPS_ROWS + reach * (pitch + 1);
    plan->v_stride = hs_winograd_stride(positions * HS_TAPS_PIXEL);
    plan->v_floats = plan->padded_c / HS_TAPS_CHUNK * plan->v_stride * hs_taps_phases(spec);
    plan->m_stride = HS_TAPS_PANEL;
    plan->scratch_floats =
        2 * HS_TAPS_MATRICES * HS_TAPS_M + (plan->load_tasks ? 0 : plan->v_floats);
}

/* ------------------------------------------------------------- loading -- */

#if defined(__AVX512F__)
/* x / (1 + e^-x) within 6e-5 of itself, a thirtieth of what bf16 rounds: 2^f by its Taylor
 * polynomial, the reciprocal as the processor guesses it. */
HS_INLINE hs_vec hs_taps_silu(hs_vec x) {
    hs_vec t = hs_clamp(x * -1.44269504f, -126.0f, 126.0f);
    hs_vec n = (hs_vec)_mm512_roundscale_ps((__m512)t, _MM_FROUND_TO_NEAREST_INT);
    hs_vec f = t - n, p = hs_set1(9.6181291e-3f);
    p = p * f + 5.5504109e-2f;
    p = p * f + 0.24022651f;
    p = p * f + 0.69314718f;
    p = p * f + 1.0f;
    hs_vec e = (hs_vec)_mm512_scalef_ps((__m512)p, (__m512)n);
    return x * (hs_vec)_mm512_rcp14_ps((__m512)(e + 1.0f));
}
#else
#define hs_taps_silu hs_silu
#endif

/* LANES channels of a pixel, as the products are to see them. */
HS_INLINE hs_vec hs_taps_value(const float *x, const float *scale, const float *shift, bool silu) {
    hs_vec y = hs_load(x);
    if (scale)
        y = y * hs_load(scale) + hs_load(shift);
    return silu ? hs_taps_silu(y) : y;
}

/* CHUNK channels of a pixel as bf16. */
HS_INLINE void hs_taps_put(float *v, const float *x, const float *scale, const float *shift,
                           bool silu) {
#if defined(__AVX512BF16__)
    hs_vec low = hs_taps_value(x, scale, shift, silu);
    hs_vec high = hs_taps_value(x + 16, scale ? scale + 16 : NULL, shift ? shift + 16 : NULL, silu);
    __m512bh all = _mm512_cvtne2ps_pbh((__m512)high, (__m512)low);
    memcpy(v, &all, sizeof all);
#else
    for (int c = 0; c < HS_TAPS_CHUNK; c += HS_LANES) {
        hs_vec y = hs_taps_value(x + c, scale ? scale + c : NULL, shift ? shift + c : NULL, silu);
        uint16_t bits[HS_LANES];
        for (int i = 0; i < HS_LANES; i++)
            bits[i] = hs_f32_to_bf16(y[i]);
        memcpy(v + c / 2, bits, sizeof bits);
    }
#endif
}

/* What one phase takes of a row of one part. */
typedef struct hs_taps_row {
    const float *x; /* [pixels][channels] */
    const float *scale, *shift;
    int channels, first, last;  /* columns [first, last) of V are pixels, */
    int stride, from, upsample; /* column q pixel (q * stride + from) >> upsample */
    float *v;                   /* column 0 of the part's first chunk */
    int64_t v_stride;
} hs_taps_row;

HS_INLINE void hs_taps_load_columns(const hs_taps_row *r, bool normed, bool silu) {
    int whole = r->channels / HS_TAPS_CHUNK * HS_TAPS_CHUNK, rest = r->channels - whole;
    float x_rest[HS_TAPS_CHUNK] = {0}, scale[HS_TAPS_CHUNK] = {0}, shift[HS_TAPS_CHUNK] = {0};
    for (int c = 0; c < rest && normed; c++) {
        scale[c] = r->scale[whole + c];
        shift[c] = r->shift[whole + c];
    }
    for (int q = r->first; q < r->last; q++) {
        const float *x = r->x + (int64_t)((q * r->stride + r->from) >> r->upsample) * r->channels;
        float *to = r->v + (int64_t)q * HS_TAPS_PIXEL;
        for (int c = 0; c < whole; c += HS_TAPS_CHUNK, to += r->v_stride)
            hs_taps_put(to, x + c, normed ? r->scale + c : NULL, normed ? r->shift + c : NULL,
                        silu);
        if (rest) {
            memcpy(x_rest, x + whole, (size_t)rest * sizeof *x);
            hs_taps_put(to, x_rest, normed ? scale : NULL, normed ? shift : NULL, silu);
        }
    }
}

static void hs_taps_zero(const hs_taps_row *r, int first, int last) {
    for (int c = 0; c < r->channels && last > first; c += HS_TAPS_CHUNK)
        memset(r->v + c / HS_TAPS_CHUNK * r->v_stride + (int64_t)first * HS_TAPS_PIXEL, 0,
               (size_t)(last - first) * HS_TAPS_PIXEL * sizeof(float));
}

/* Row `y` of `part`, those of its columns that are odd (1) or even where there are phases. */
static void hs_taps_load_row(const hs_winograd_plan *plan, const hs_winograd_item *item, int part,
                             int y, int odd, float *v) {
    const hs_winograd_spec *spec = &plan->spec;
    int pitch = hs_taps_pitch(spec), from = odd - spec->pad_left, shift = spec->upsample;
    hs_taps_row r = {.channels = spec->part_c[part],
                     .stride = spec->stride,
                     .from = from,
                     .upsample = shift,
                     .v = v + plan->part_chunk[part] * plan->v_stride,
                     .v_stride = plan->v_stride};
    if (y < 0 || y >= spec->in_h) {
        hs_taps_zero(&r, 0, pitch);
        return;
    }
    int end = hs_winograd_ceil(spec->in_w - from, spec->stride);
    r.x = item->src[part] + (int64_t)(y >> shift) * (spec->in_w >> shift) * r.channels;
    r.first = from < 0 ? 1 : 0;
    r.last = end < pitch ? end : pitch;
    hs_taps_zero(&r, 0, r.first);
    hs_taps_zero(&r, r.last, pitch);
    if (!spec->normed) {
        hs_taps_load_columns(&r, false, false);
        return;
    }
    r.scale = item->scale[part];
    r.shift = item->shift[part];
    if (spec->silu)
        hs_taps_load_columns(&r, true, true);
    else
        hs_taps_load_columns(&r, true, false);
}

/* Rows [first, last) of V of a band of `rows` rows of the result that begins at row `top`. What
 * lies behind the last one is read for positions that are not stored, but for the border
 * of that row. */
static void hs_taps_load_rows(const hs_winograd_plan *plan, const hs_winograd_item *item, int top,
                              int rows, int first, int last, float *v) {
    const hs_winograd_spec *spec = &plan->spec;
    int64_t pitch = hs_taps_pitch(spec) * HS_TAPS_PIXEL;
    int phases = hs_taps_phases(spec), chunks = plan->padded_c / HS_TAPS_CHUNK;
    bool ends = last == rows + hs_taps_reach(spec);
    for (int phase = 0; phase < phases; phase++, v += chunks * plan->v_stride) {
        for (int r = first; r < last; r++)
            for (int part = 0; part < spec->part_count; part++)
                hs_taps_load_row(plan, item, part,
                                 (top + r) * spec->stride + phase / 2 - spec->pad_top, phase % 2,
                                 v + r * pitch);
        for (int chunk = 0; chunk < chunks && ends; chunk++)
            memset(v + last * pitch + chunk * plan->v_stride, 0, HS_TAPS_PIXEL * sizeof *v);
    }
}

void HS_KERNEL(hs_taps_load)(const hs_winograd_plan *plan, int task, const hs_winograd_item *item) {
    int h = plan->spec.h, rows = h + hs_taps_reach(&plan->spec);
    int first = task * HS_TAPS_LOAD_ROWS, last = first + HS_TAPS_LOAD_ROWS;
    hs_taps_load_rows(plan, item, 0, h, first, last < rows ? last : rows, item->v);
}

/* ------------------------------------------------------------- storing -- */

/* The results of a band and a panel, of which a block waits in m to be stored. */
typedef struct hs_taps_results {
    const float *m;
    int left;      /* positions of the block */
    int x, border; /* the column of the next one; which column is the border, or -1: none */
    int channels;  /* of the panel */
    float *dst;    /* of the next pixel */
    int64_t out_c;
    const float *residual, *bias; /* NULL: none */
    float *sums;                  /* NULL, or of the band: [2][out_c] */
    int pixels;                   /* stored so far: */
    float origin[HS_TAPS_PANEL];  /* the first of them, and of what the others differ by */
    float sum[HS_TAPS_PANEL], square[HS_TAPS_PANEL];
} hs_taps_results;

/* Channels [k, k + LANES) of `count` pixels that follow each other. */
HS_INLINE void hs_taps_store_lanes(hs_taps_results *r, int k, int count) {
    hs_vec bias = r->bias ? hs_load(r->bias + k) : (hs_vec){0};
    hs_vec origin = hs_load(r->origin + k), sum = hs_load(r->sum + k);
    hs_vec square = hs_load(r->square + k);
    float *dst = r->dst + k;
    for (int i = 0; i < count; i++, dst += r->out_c) {
        hs_vec y = hs_load(r->m + i * HS_TAPS_PANEL + k) + bias;
        if (r->residual)
            y += hs_load(r->residual + i * r->out_c + k);
        hs_store(dst, y);
        if (i == 0 && !r->pixels)
            origin = y;
        hs_vec d = y - origin;
        sum += d;
        square = hs_multiply_add(d, d, square);
    }
    hs_store(r->origin + k, origin);
    hs_store(r->sum + k, sum);
    hs_store(r->square + k, square);
}

/* The same of one channel. */
HS_INLINE void hs_taps_store_one(hs_taps_results *r, int k, int count) {
    for (int i = 0; i < count; i++) {
        float y = r->m[i * HS_TAPS_PANEL + k] + (r->bias ? r->bias[k] : 0);
        if (r->residual)
            y += r->residual[i * r->out_c + k];
        r->dst[i * r->out_c + k] = y;
        if (i == 0 && !r->pixels)
            r->origin[k] = y;
        float d = y - r->origin[k];
        r->sum[k] += d;
        r->square[k] += d * d;
    }
}

/* At most `count` positions; the border is passed over. */
static void hs_taps_save(hs_taps_results *r, int count) {
    count = count < r->left ? count : r->left;
    while (count > 0) {
        if (r->x == r->border) {
            r->x = 0;
            r->m += HS_TAPS_PANEL;
            r->left--;
            count--;
            continue;
        }
        int run = r->border < 0 || count < r->border - r->x ? count : r->border - r->x, k = 0;
        if (r->channels == HS_TAPS_PANEL)
            for (; k < HS_TAPS_PANEL; k += HS_LANES)
                hs_taps_store_lanes(r, k, run);
        for (; k + HS_LANES <= r->channels; k += HS_LANES)
            hs_taps_store_lanes(r, k, run);
        for (; k < r->channels; k++)
            hs_taps_store_one(r, k, run);
        r->m += run * HS_TAPS_PANEL;
        r->dst += run * r->out_c;
        if (r->residual)
            r->residual += run * r->out_c;
        r->x += run;
        r->pixels += run;
        r->left -= run;
        count -= run;
    }
}

/* The sums, at the end: of the results, and of squares about their mean. */
static void hs_taps_save_sums(const hs_taps_results *r) {
    if (!r->sums || !r->pixels)
        return;
    float n = (float)r->pixels;
    for (int k = 0; k < r->channels; k++) {
        float square = r->square[k] - r->sum[k] * r->sum[k] / n;
        r->sums[k] = r->sum[k] + n * r->origin[k];
        r->sums[r->out_c + k] = square > 0 ? square : 0;
    }
}

/* -------------------------------------------------------------- running -- */

#if defined(__AMX_BF16__)
/* Eight matrices of 16 rows of 64 bytes: sums 0 to 5, V 6, U 7. */
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

/* The sums of a block begin: of n matrices of positions, up to MATRICES. */
HS_INLINE void hs_taps_clear(float *m, int n) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_zero(4);
    _tile_zero(5);
}

/* They grow by one chunk under one tap. */
HS_INLINE void hs_taps_add(const float *v, const float *u, float *m, int n) {
    const float *v1 = v + HS_TAPS_ROWS * HS_TAPS_PIXEL, *v2 = v1 + HS_TAPS_ROWS * HS_TAPS_PIXEL;
    _tile_loadd(7, u, 4 * HS_TAPS_PANEL);
    _tile_loadd(6, v, 4 * HS_TAPS_PIXEL);
    _tile_dpbf16ps(0, 6, 7);
    if (n > 1) {
        _tile_loadd(6, v1, 4 * HS_TAPS_PIXEL);
        _tile_dpbf16ps(1, 6, 7);
    }
    if (n > 2) {
        _tile_loadd(6, v2, 4 * HS_TAPS_PIXEL);
        _tile_dpbf16ps(2, 6, 7);
    }
    _tile_loadd(7, u + 16, 4 * HS_TAPS_PANEL); /* and back, with what stands in 6 */
    if (n > 2) {
        _tile_dpbf16ps(5, 6, 7);
        _tile_loadd(6, v1, 4 * HS_TAPS_PIXEL);
    }
    if (n > 1) {
        _tile_dpbf16ps(4, 6, 7);
        _tile_loadd(6, v, 4 * HS_TAPS_PIXEL);
    }
    _tile_dpbf16ps(3, 6, 7);
}

/* They go to m [positions][PANEL]. */
HS_INLINE void hs_taps_done(float *m, int n) {
    _tile_stored(0, m, 4 * HS_TAPS_PANEL);
    _tile_stored(3, m + 16, 4 * HS_TAPS_PANEL);
    if (n > 1) {
        _tile_stored(1, m + HS_TAPS_M, 4 * HS_TAPS_PANEL);
        _tile_stored(4, m + HS_TAPS_M + 16, 4 * HS_TAPS_PANEL);
    }
    if (n > 2) {
        _tile_stored(2, m + 2 * HS_TAPS_M, 4 * HS_TAPS_PANEL);
        _tile_stored(5, m + 2 * HS_TAPS_M + 16, 4 * HS_TAPS_PANEL);
    }
}
#else
/* The same in plain C, so that the rest can be tested on any processor; nothing plans it
 * there, since it is slow. */
static void hs_taps_begin(void) {
}

static void hs_taps_end(void) {
}

static void hs_taps_clear(float *m, int n) {
    memset(m, 0, (size_t)(n * HS_TAPS_M) * sizeof *m);
}

HS_INLINE float hs_taps_half(const float *pairs, int64_t i, bool upper) {
    uint32_t bits;
    float x;
    memcpy(&bits, pairs + i, sizeof bits);
    bits = upper ? bits & 0xffff0000 : bits << 16;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static void hs_taps_add(const float *v, const float *u, float *m, int n) {
    for (int i = 0; i < n * HS_TAPS_ROWS * HS_TAPS_PIXEL; i++) { /* pair i % 16 of a position */
        float *sum = m + i / HS_TAPS_PIXEL * HS_TAPS_PANEL;
        int64_t w = i % HS_TAPS_PIXEL * HS_TAPS_PANEL;
        for (int half = 0; half < 2; half++)
            for (int k = 0; k < HS_TAPS_PANEL; k++)
                sum[k] += hs_taps_half(v, i, half) * hs_taps_half(u, w + k, half);
    }
}

static void hs_taps_done(float *m, int n) {
}
#endif

/* One task: a band of rows, and some panels. */
typedef struct hs_taps_task {
    const hs_winograd_plan *plan;
    const hs_winograd_item *item;
    int64_t step[HS_TAPS_MOST]; /* floats of V from a position to what a tap reads for it */
    int taps;
    int each; /* positions to be stored with every third tap of a chunk */
} hs_taps_task;

/* m from the position at which v stands, while the block before is stored. */
HS_INLINE void hs_taps_block(const hs_taps_task *t, int panel, const float *v, float *m, int n,
                             hs_taps_results *before) {
    const hs_winograd_plan *plan = t->plan;
    hs_taps_clear(m, n);
    for (int part = 0; part < plan->spec.part_count; part++) {
        const float *u = t->item->weights[part] + panel * plan->panel_floats[part];
        const float *end = u + plan->panel_floats[part];
        const float *x = v + plan->part_chunk[part] * plan->v_stride;
        for (; u < end; x += plan->v_stride)
            for (int tap = 0; tap < t->taps; tap++, u += HS_TAPS_MATRIX) {
                hs_taps_add(x + t->step[tap], u, m, n);
                if (tap % 3 == 0)
                    hs_taps_save(before, t->each);
            }
    }
    hs_taps_done(m, n);
    hs_taps_save(before, before->left);
}

static hs_taps_task hs_taps_begin_task(const hs_winograd_plan *plan, const hs_winograd_item *item) {
    const hs_winograd_spec *spec = &plan->spec;
    hs_taps_task t = {.plan = plan, .item = item, .taps = spec->side * spec->side};
    int chunks = plan->padded_c / HS_TAPS_CHUNK;
    t.each = hs_winograd_ceil(HS_TAPS_BLOCK, (int64_t)chunks * hs_winograd_ceil(t.taps, 3));
    for (int tap = 0; tap < t.taps; tap++) {
        int y = tap / spec->side, x = tap % spec->side, stride = spec->stride;
        int64_t phase = y % stride * 2 + x % stride;
        t.step[tap] = phase * chunks * plan->v_stride +
                      ((int64_t)(y / stride) * hs_taps_pitch(spec) + x / stride) * HS_TAPS_PIXEL;
    }
    return t;
}

/* Those of a panel of a band, none of them there yet. */
static hs_taps_results hs_taps_no_results(const hs_taps_task *t, int band, int panel) {
    const hs_winograd_spec *spec = &t->plan->spec;
    const hs_winograd_item *item = t->item;
    int k = panel * HS_TAPS_PANEL, rest = spec->out_c - k;
    int64_t at = (int64_t)band * spec->band_rows * spec->w * spec->out_c + k;
    return (hs_taps_results){
        .border = spec->side > 1 ? spec->w : -1,
        .channels = rest < HS_TAPS_PANEL ? rest : HS_TAPS_PANEL,
        .dst = item->dst + at,
        .out_c = spec->out_c,
        .residual = item->residual ? item->residual + at : NULL,
        .bias = item->bias ? item->bias + k : NULL,
        .sums = item->sums ? item->sums + (int64_t)band * 2 * spec->out_c + k : NULL,
    };
}

void HS_KERNEL(hs_taps_run)(const hs_winograd_plan *plan, int task, const hs_winograd_item *item,
                            float *scratch) {
    const hs_winograd_spec *spec = &plan->spec;
    int band = task / spec->splits, split = task % spec->splits;
    int first_panel = (int)((int64_t)split * plan->panels / spec->splits);
    int last_panel = (int)((int64_t)(split + 1) * plan->panels / spec->splits);
    int pitch = hs_taps_pitch(spec), top = band * spec->band_rows, rows = spec->h - top;
    if (rows > spec->band_rows)
        rows = spec->band_rows;
    float *m[2] = {scratch, scratch + HS_TAPS_MATRICES * HS_TAPS_M};
    float *v = scratch + 2 * HS_TAPS_MATRICES * HS_TAPS_M;
    if (plan->load_tasks)
        v = item->v + (int64_t)top * pitch * HS_TAPS_PIXEL;
    else
        hs_taps_load_rows(plan, item, top, rows, 0, rows + hs_taps_reach(spec), v);
    hs_taps_task t = hs_taps_begin_task(plan, item);
    hs_taps_results results = {.left = 0};
    int positions = rows * pitch, turn = 0;
    hs_taps_begin();
    for (int panel = first_panel; panel < last_panel; panel++)
        for (int at = 0; at < positions; at += HS_TAPS_BLOCK, turn = !turn) {
            int count = positions - at < HS_TAPS_BLOCK ? positions - at : HS_TAPS_BLOCK;
            const float *x = v + (int64_t)at * HS_TAPS_PIXEL;
            switch (hs_winograd_ceil(count, HS_TAPS_ROWS)) {
            case 3: hs_taps_block(&t, panel, x, m[turn], 3, &results); break;
            case 2: hs_taps_block(&t, panel, x, m[turn], 2, &results); break;
            default: hs_taps_block(&t, panel, x, m[turn], 1, &results);
            }
            if (at == 0) { /* what was left was the panel's before */
                hs_taps_save_sums(&results);
                results = hs_taps_no_results(&t, band, panel);
            }
            results.m = m[turn];
            results.left = count;
        }
    hs_taps_save(&results, results.left);
    hs_taps_save_sums(&results);
    hs_taps_end();
}

/* ------------------------------------------------------------- weights -- */

void HS_KERNEL(hs_taps_weights)(const hs_winograd_kernel *kernel, int panel, float *packed) {
    int first = panel * HS_TAPS_PANEL, rest = kernel->out_c - first, taps = kernel->taps;
    int count = rest < HS_TAPS_PANEL ? rest : HS_TAPS_PANEL;
    int chunks = hs_winograd_ceil(kernel->in_c, HS_TAPS_CHUNK);
    memset(packed, 0, (size_t)(taps * chunks * HS_TAPS_MATRIX) * sizeof *packed);
    uint16_t *halves = (uint16_t *)packed;
    for (int k = 0; k < count; k++)
        for (int c = 0; c < kernel->in_c; c++) {
            int64_t from = (first + k) * kernel->out_stride + c * kernel->in_stride;
            int64_t chunk = c / HS_TAPS_CHUNK, pair = c % HS_TAPS_CHUNK / 2;
            for (int tap = 0; tap < taps; tap++) {
                int64_t at = (chunk * taps + tap) * HS_TAPS_MATRIX + pair * HS_TAPS_PANEL + k;
                int64_t w = from + (kernel->flip ? taps - 1 - tap : tap);
                halves[2 * at + c % 2] =
                    kernel->half ? kernel->half[w] : hs_f32_to_bf16(kernel->w[w]);
            }
        }
}
