/*
 * Loading of tiles with fixed factors (winograd_fixed.c): the scale of each tile, from its
 * largest pixel, then V, chunk by chunk of channels.
 *
 *   src --(a x + b, SiLU)--> stage [pixel of the tile][CHUNK] --(B^T d B, 16 bits)--> V
 *
 * A norm, and SiLU after it, may be applied on the way. Then the scale is a bound: for y > 0
 * SiLU(y) is below y, else no further from zero than |y| / 2 and 0.2785. Tiles overlap by two
 * columns, which are staged once where two of them lie side by side.
 */
#include <math.h>
#include <string.h>

#include "backends/kernels/winograd_parts.h"

#define HS_NEAR_SHARED 2       /* columns that a tile shares with the one beside it */
#define HS_SILU_LEAST 0.27847f /* SiLU is nowhere further below zero */

/* ---------------------------------------------------------------- scale -- */

/* Of what pixels become: the bits of the largest, at least zero, and of the largest size.
 * Bits of floats that are not negative are in their order, and NaN is the largest. */
typedef struct hs_near_most {
    hs_ivec high, size;
} hs_near_most;

HS_INLINE void hs_near_more(hs_near_most *most, hs_vec y, bool normed) {
    if (normed)
        most->high = hs_max_bits(most->high, (hs_ivec)y);
    most->size = hs_max_bits(most->size, (hs_ivec)y & 0x7fffffff);
}

/* Columns [from, to) of a row of tile i. */
HS_INLINE void hs_near_columns(const hs_winograd_near *n, int i, const float *const *row, int from,
                               int to, bool normed, hs_near_most *most) {
    const float *a = n->scale[i], *b = n->shift[i];
    int channels = n->channels, whole = channels / HS_LANES * HS_LANES, rest = channels - whole;
    for (int x = from; x < to; x++) {
        const float *pixel = row[x];
        if (!pixel)
            continue;
        for (int c = 0; c < whole; c += HS_LANES) {
            hs_vec y = hs_load(pixel + c);
            if (normed)
                y = hs_multiply_add(y, hs_load(a + c), hs_load(b + c));
            hs_near_more(most, y, normed);
        }
        if (rest) {
            hs_vec y = hs_wino_load_some(pixel + whole, rest);
            if (normed)
                y = hs_multiply_add(y, hs_wino_load_some(a + whole, rest),
                                    hs_wino_load_some(b + whole, rest));
            hs_near_more(most, y, normed);
        }
    }
}

/* All of tile i. *right: that of its last columns, and before that of the first, if another
 * tile has them, too. */
HS_INLINE hs_near_most hs_near_tile(const hs_winograd_near *n, int i, bool normed,
                                    hs_near_most *right) {
    int alpha = n->tile + 2, last = alpha - HS_NEAR_SHARED;
    hs_near_most most = {{0}, {0}}, end = most;
    if (n->beside[i])
        most = *right;
    for (int y = 0; y < alpha; y++) {
        const float *const *row = n->pixel[i] + y * alpha;
        hs_near_columns(n, i, row, n->beside[i] ? HS_NEAR_SHARED : 0, last, normed, &most);
        hs_near_columns(n, i, row, last, alpha, normed, &end);
    }
    most.high = hs_max_bits(most.high, end.high);
    most.size = hs_max_bits(most.size, end.size);
    *right = end;
    return most;
}

static float hs_near_float(hs_ivec bits) {
    int32_t most = 0;
    float x;
    for (int i = 0; i < HS_LANES; i++)
        most = bits[i] > most ? bits[i] : most;
    memcpy(&x, &most, sizeof x);
    return x;
}

/* What becomes of the pixels of a tile. */
typedef enum hs_near_way {
    HS_NEAR_PLAIN,
    HS_NEAR_NORM,
    HS_NEAR_SILU,
    HS_NEAR_SMALL_SILU /* of numbers below 80 */
} hs_near_way;

/* The scale of tile i, its factors, and what becomes of it. */
static float hs_near_scale(const hs_winograd_near *n, int i, hs_near_most *right, float *factors,
                           hs_near_way *way) {
    hs_near_most most =
        n->scale[i] ? hs_near_tile(n, i, true, right) : hs_near_tile(n, i, false, right);
    float size = hs_near_float(most.size), bound = size;
    *way = n->scale[i] ? HS_NEAR_NORM : HS_NEAR_PLAIN;
    if (n->scale[i] && n->silu) {
        *way = size < 80.0f ? HS_NEAR_SMALL_SILU : HS_NEAR_SILU;
        if (size <= HS_WINO_FIXED_MOST)
            bound = fmaxf(hs_near_float(most.high), fminf(0.5f * size, HS_SILU_LEAST));
    }
    return HS_KERNEL(hs_winograd_scale)(n->tile, bound, factors);
}

/* ---------------------------------------------------------------- stage -- */

/* The first `count` floats of a register, the others 0; count > 0. */
HS_INLINE hs_vec hs_near_load(const float *x, int count) {
    return count >= HS_LANES ? hs_load(x) : hs_wino_load_some(x, count);
}

#define HS_NEAR_EDGE (HS_NEAR_SHARED * HS_WINO_CHUNK) /* floats of a row that tiles share */

/* Columns [from, alpha) of a row, channels [c, c + count) of 16. */
HS_INLINE void hs_near_row(const float *const *row, int from, int alpha, int c, int count,
                           const hs_vec *a, const hs_vec *b, hs_near_way way, float *to) {
    for (int x = from; x < alpha; x++)
#pragma GCC unroll 4
        for (int k = 0; k < HS_WINO_CHUNK; k += HS_LANES) {
            hs_vec y = {0};
            if (row[x]) {
                if (k < count)
                    y = hs_near_load(row[x] + c + k, count - k);
                if (way != HS_NEAR_PLAIN)
                    y = hs_multiply_add(y, a[k / HS_LANES], b[k / HS_LANES]);
                if (way >= HS_NEAR_SILU)
                    y = hs_silu_rounded(y, way == HS_NEAR_SMALL_SILU);
            }
            hs_store(to + x * HS_WINO_CHUNK + k, y);
        }
}

/* A chunk of tile i from channel c on. `edge`: of the tile before, then of this one,
 * [alpha][SHARED][CHUNK]. */
HS_INLINE void hs_near_stage(const hs_winograd_near *n, int i, int c, int count, hs_near_way way,
                             float *edge, float *stage) {
    const int alpha = n->tile + 2, from = n->beside[i] ? HS_NEAR_SHARED : 0;
    hs_vec a[HS_WINO_CHUNK / HS_LANES], b[HS_WINO_CHUNK / HS_LANES];
#pragma GCC unroll 4
    for (int k = 0; k < HS_WINO_CHUNK && way != HS_NEAR_PLAIN; k += HS_LANES) {
        a[k / HS_LANES] = b[k / HS_LANES] = (hs_vec){0};
        if (k < count) {
            a[k / HS_LANES] = hs_near_load(n->scale[i] + c + k, count - k);
            b[k / HS_LANES] = hs_near_load(n->shift[i] + c + k, count - k);
        }
    }
    for (int y = 0; y < alpha; y++, edge += HS_NEAR_EDGE, stage += alpha * HS_WINO_CHUNK) {
        for (int k = 0; k < from * HS_WINO_CHUNK; k += HS_LANES)
            hs_store(stage + k, hs_load(edge + k));
        hs_near_row(n->pixel[i] + y * alpha, from, alpha, c, count, a, b, way, stage);
        for (int k = 0; k < HS_NEAR_EDGE; k += HS_LANES)
            hs_store(edge + k, hs_load(stage + (alpha - HS_NEAR_SHARED) * HS_WINO_CHUNK + k));
    }
}

/* With `way` and, for whole chunks, `count` as constants. */
HS_INLINE void hs_near_chunk(const hs_winograd_near *n, int i, int c, int count, hs_near_way way,
                             float *edge, float *stage) {
    switch (way) {
    case HS_NEAR_PLAIN: hs_near_stage(n, i, c, count, HS_NEAR_PLAIN, edge, stage); break;
    case HS_NEAR_NORM: hs_near_stage(n, i, c, count, HS_NEAR_NORM, edge, stage); break;
    case HS_NEAR_SILU: hs_near_stage(n, i, c, count, HS_NEAR_SILU, edge, stage); break;
    default: hs_near_stage(n, i, c, count, HS_NEAR_SMALL_SILU, edge, stage);
    }
}

void HS_KERNEL(hs_winograd_load_near)(const hs_winograd_near *n, float *scales, float *v,
                                      int64_t v_stride) {
    float factors[64], stage[64 * HS_WINO_CHUNK];
    int64_t chunk_stride = n->count * HS_WINO_CHUNK / 2;
    hs_near_most right = {{0}, {0}};
    for (int i = 0; i < n->count; i++, v += HS_WINO_CHUNK / 2) {
        hs_near_way way;
        scales[i] = hs_near_scale(n, i, &right, factors, &way);
        float *edge = n->edge, *to = v;
        for (int c = 0; c < n->channels; c += HS_WINO_CHUNK, to += chunk_stride) {
            if (c + HS_WINO_CHUNK <= n->channels)
                hs_near_chunk(n, i, c, HS_WINO_CHUNK, way, edge, stage);
            else
                hs_near_chunk(n, i, c, n->channels - c, way, edge, stage);
            HS_KERNEL(hs_winograd_input_fixed)(n->tile, stage, factors, to, v_stride);
            edge += (n->tile + 2) * HS_NEAR_EDGE;
        }
    }
}
