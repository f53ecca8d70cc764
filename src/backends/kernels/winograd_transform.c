/*
 * The transforms of the Winograd convolution. With p = a^2 + b^2 and
 * q = a^2 b^2, the one-dimensional ones for the points 0, a, -a, b, -b and
 * infinity (a = 5/8, b = 3/2) are
 *
 *         | q     0    -p    0    1  0 |          | 1  1   1   1   1   0 |
 *         | 0  -a b^2 -b^2   a    1  0 |    A^T = | 0  a  -a   b  -b   0 |
 *   B^T = | 0   a b^2 -b^2  -a    1  0 |          | 0 a^2 a^2 b^2 b^2  0 |
 *         | 0  -b a^2 -a^2   b    1  0 |          | 0 a^3 -a^3 b^3 -b^3 1 |
 *         | 0   b a^2 -a^2  -b    1  0 |
 *         | 0     q     0   -p    0  1 |
 *
 * and G has the rows (1, t, t^2) / N(t), N(t) the product of t's distances to
 * the other points, and (0, 0, 1). For 0, 1, -1 and infinity, likewise. For three
 * pairs of points the row of B^T for t is x (x + t) (x^2 - u^2) (x^2 - v^2), u and v
 * the other pairs, those of 0 and infinity (x^2 - t^2) (x^2 - u^2) (x^2 - v^2), once
 * times x: coefficients by powers of x.
 */
#include <string.h>

#include "backends/kernels/winograd_parts.h"

/* y = B^T d. */
HS_INLINE void hs_winograd_bt(int tile, const hs_vec *d, hs_vec *y) {
    if (tile == 2) {
        y[0] = d[0] - d[2];
        y[1] = d[2] + d[1];
        y[2] = d[2] - d[1];
        y[3] = d[3] - d[1];
        return;
    }
    if (tile == 6) {
        static const float t[3] = HS_POINTS_6;
#pragma GCC unroll 3
        for (int i = 0; i < 3; i++) {
            float u2 = t[(i + 1) % 3] * t[(i + 1) % 3], v2 = t[(i + 2) % 3] * t[(i + 2) % 3];
            hs_vec even = d[6] - (u2 + v2) * d[4] + u2 * v2 * d[2];
            hs_vec odd = t[i] * (d[5] - (u2 + v2) * d[3] + u2 * v2 * d[1]);
            y[1 + 2 * i] = even + odd;
            y[2 + 2 * i] = even - odd;
        }
        y[0] = d[6] - HS_6_1 * d[4] + HS_6_2 * d[2] - HS_6_3 * d[0];
        y[7] = d[7] - HS_6_1 * d[5] + HS_6_2 * d[3] - HS_6_3 * d[1];
        return;
    }
    hs_vec even = d[4] - HS_B2 * d[2], odd = HS_A * (d[3] - HS_B2 * d[1]);
    y[1] = even + odd;
    y[2] = even - odd;
    even = d[4] - HS_A2 * d[2];
    odd = HS_B * (d[3] - HS_A2 * d[1]);
    y[3] = even + odd;
    y[4] = even - odd;
    y[0] = d[4] - HS_P * d[2] + HS_Q * d[0];
    y[5] = d[5] - HS_P * d[3] + HS_Q * d[1];
}

/* y = A^T m; with `bare` kernels of tile 4, whose G is not divided by N(t), this is. */
HS_INLINE void hs_winograd_at(int tile, bool bare, const hs_vec *m, hs_vec *y) {
    if (tile == 2) {
        y[0] = m[0] + (m[1] + m[2]);
        y[1] = (m[1] - m[2]) + m[3];
        return;
    }
    if (tile == 6) {
        static const float t[3] = HS_POINTS_6;
        hs_vec even[3], odd[3];
#pragma GCC unroll 3
        for (int i = 0; i < 3; i++) {
            even[i] = m[1 + 2 * i] + m[2 + 2 * i];
            odd[i] = t[i] * (m[1 + 2 * i] - m[2 + 2 * i]);
        }
        y[0] = m[0] + even[0] + even[1] + even[2]; /* powers 0 to 5 of 1/2, 1 and 2 */
        y[1] = odd[0] + odd[1] + odd[2];
        y[2] = 0.25f * even[0] + even[1] + 4.0f * even[2];
        y[3] = 0.25f * odd[0] + odd[1] + 4.0f * odd[2];
        y[4] = 0.0625f * even[0] + even[1] + 16.0f * even[2];
        y[5] = 0.0625f * odd[0] + odd[1] + 16.0f * odd[2] + m[7];
        return;
    }
    const float o = bare ? 1 / HS_Q : 1;
    const float a = bare ? 1 / (2 * HS_A2 * (HS_A2 - HS_B2)) : 1;
    const float b = bare ? 1 / (2 * HS_B2 * (HS_B2 - HS_A2)) : 1;
    hs_vec plus_a = m[1] + m[2], minus_a = m[1] - m[2];
    hs_vec plus_b = m[3] + m[4], minus_b = m[3] - m[4];
    y[0] = o * m[0] + a * plus_a + b * plus_b;
    y[1] = (a * HS_A) * minus_a + (b * HS_B) * minus_b;
    y[2] = (a * HS_A2) * plus_a + (b * HS_B2) * plus_b;
    y[3] = (a * HS_A2 * HS_A) * minus_a + (b * HS_B2 * HS_B) * minus_b + m[5];
}

/* A tile of the input, LANES channels from c on; count < LANES: so many exist. */
typedef struct hs_winograd_input_lanes {
    const float *const *pixel;
    int c, count;
    float *v;
    int64_t v_stride;
    bool bf16;
    bool dense; /* pixels lie beside each other from pixels on, CHUNK channels each */
    const float *pixels;
} hs_winograd_input_lanes;

HS_INLINE hs_vec hs_winograd_pixel(const hs_winograd_input_lanes *in, int at) {
    if (in->dense)
        return hs_load(in->pixels + at * HS_WINO_CHUNK);
    const float *x = in->pixel[at] + in->c;
    return in->count < HS_LANES ? hs_wino_load_some(x, in->count) : hs_load(x);
}

HS_INLINE void hs_winograd_put(float *v, hs_vec y, bool bf16) {
#if defined(__AVX512BF16__)
    if (bf16) {
        __m256bh pairs = _mm512_cvtneps_pbh((__m512)y);
        memcpy(v, &pairs, sizeof pairs);
        return;
    }
#endif
    hs_store(v, bf16 ? hs_wino_round(y) : y);
}

/* Row i of B^T d, times B, to where its positions lie. */
HS_INLINE void hs_winograd_input_row(int tile, const hs_winograd_input_lanes *in, int i,
                                     const hs_vec *t) {
    const int alpha = tile + 2;
    hs_vec y[8];
    hs_winograd_bt(tile, t, y);
#pragma GCC unroll 8
    for (int x = 0; x < alpha; x++)
        hs_winograd_put(in->v + (i * alpha + x) * in->v_stride, y[x], in->bf16);
}

HS_INLINE void hs_winograd_input_2(const hs_winograd_input_lanes *in) {
    hs_vec t[4][4];
#pragma GCC unroll 4
    for (int x = 0; x < 4; x++) {
        hs_vec d[4], y[4];
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            d[i] = hs_winograd_pixel(in, i * 4 + x);
        hs_winograd_bt(2, d, y);
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            t[i][x] = y[i];
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
        hs_winograd_input_row(2, in, i, t[i]);
}

/* B^T d column by column, then its rows times B: all of it would not fit into the registers. */
HS_INLINE void hs_winograd_input_large(int tile, const hs_winograd_input_lanes *in) {
    const int alpha = tile + 2;
    hs_vec t[8][8];
#pragma GCC unroll 1
    for (int x = 0; x < alpha; x++) {
        hs_vec d[8], y[8];
#pragma GCC unroll 8
        for (int i = 0; i < alpha; i++)
            d[i] = hs_winograd_pixel(in, i * alpha + x);
        hs_winograd_bt(tile, d, y);
#pragma GCC unroll 8
        for (int i = 0; i < alpha; i++)
            hs_store((float *)&t[i][x], y[i]);
    }
#pragma GCC unroll 1
    for (int i = 0; i < alpha; i++)
        hs_winograd_input_row(tile, in, i, t[i]);
}

/* The upper three rows of B^T d B of a tile of 4, then the lower three: with 32 registers each half
 * fits, and reading pixels twice costs less than storing what is between. */
HS_INLINE void hs_winograd_input_halves(const hs_winograd_input_lanes *in) {
#pragma GCC unroll 2
    for (int half = 0; half < 6; half += 3) {
        hs_vec t[3][6];
#pragma GCC unroll 6
        for (int x = 0; x < 6; x++) {
            hs_vec d[6], y[6];
#pragma GCC unroll 6
            for (int i = 0; i < 6; i++)
                d[i] = hs_winograd_pixel(in, i * 6 + x);
            hs_winograd_bt(4, d, y);
#pragma GCC unroll 3
            for (int i = 0; i < 3; i++)
                t[i][x] = y[half + i];
        }
#pragma GCC unroll 3
        for (int i = 0; i < 3; i++)
            hs_winograd_input_row(4, in, half + i, t[i]);
    }
}

HS_INLINE void hs_winograd_input_all(int tile, const hs_winograd_input_lanes *in) {
    if (tile == 2)
        hs_winograd_input_2(in);
    else if (tile == 4 && HS_LANES == 16)
        hs_winograd_input_halves(in);
    else
        hs_winograd_input_large(tile, in);
}

HS_INLINE void hs_winograd_input_tile(int tile, bool bf16, const float *const *pixel, int channels,
                                      float *v, int64_t v_stride, int64_t chunk_stride) {
    hs_winograd_input_lanes in = {pixel, 0, HS_LANES, v, v_stride, bf16, false, NULL};
    for (; in.c + HS_LANES <= channels; in.c += HS_LANES) {
        in.v = v + in.c / HS_WINO_CHUNK * chunk_stride + in.c % HS_WINO_CHUNK;
        hs_winograd_input_all(tile, &in);
    }
    int end = (channels + HS_WINO_CHUNK - 1) / HS_WINO_CHUNK * HS_WINO_CHUNK;
    for (int c = in.c; c < end; c += HS_LANES) {
        hs_winograd_input_lanes some = in;
        some.c = c;
        some.count = channels > c ? channels - c : 0;
        some.v = v + c / HS_WINO_CHUNK * chunk_stride + c % HS_WINO_CHUNK;
        hs_winograd_input_all(tile, &some);
    }
}

void HS_KERNEL(hs_winograd_input)(int tile, bool bf16, const float *const *pixel, int channels,
                                  float *v, int64_t v_stride, int64_t chunk_stride) {
    if (tile == 4 && bf16)
        hs_winograd_input_tile(4, true, pixel, channels, v, v_stride, chunk_stride);
    else if (tile == 4)
        hs_winograd_input_tile(4, false, pixel, channels, v, v_stride, chunk_stride);
    else if (tile == 6)
        hs_winograd_input_tile(6, bf16, pixel, channels, v, v_stride, chunk_stride);
    else
        hs_winograd_input_tile(2, bf16, pixel, channels, v, v_stride, chunk_stride);
}

/* In float32 first, then as integers: one chunk. */
HS_INLINE void hs_winograd_input_chunk(int tile, const float *pixels, const float *factors,
                                       float *v, int64_t v_stride) {
    float chunk[64 * HS_WINO_CHUNK];
    for (int c = 0; c < HS_WINO_CHUNK; c += HS_LANES) {
        hs_winograd_input_lanes in = {.dense = true,
                                      .pixels = pixels + c,
                                      .count = HS_LANES,
                                      .v = chunk + c,
                                      .v_stride = HS_WINO_CHUNK};
        hs_winograd_input_all(tile, &in);
    }
    HS_KERNEL(hs_winograd_fix_chunks)
    ((tile + 2) * (tile + 2), chunk, factors, 1, v, v_stride);
}

void HS_KERNEL(hs_winograd_input_fixed)(int tile, const float *pixels, const float *factors,
                                        float *v, int64_t v_stride) {
    if (tile == 6)
        hs_winograd_input_chunk(6, pixels, factors, v, v_stride);
    else if (tile == 4)
        hs_winograd_input_chunk(4, pixels, factors, v, v_stride);
    else
        hs_winograd_input_chunk(2, pixels, factors, v, v_stride);
}

/* Where `count` channels, LANES at most, of a tile's next row go, and sums over what went there:
 * of squares too, both of what results differ by from the first, which loses no digits. */
typedef struct hs_winograd_output_rows {
    const float *residual; /* or NULL */
    float *dst;
    int64_t pixel;
    int count, tile;
    hs_vec bias, first, sum, squares;
} hs_winograd_output_rows;

HS_INLINE void hs_winograd_output_row(hs_winograd_output_rows *o, const hs_vec *y, int columns,
                                      bool begin) {
    const float *residual = o->residual;
    float *dst = o->dst;
#pragma GCC unroll 6
    for (int x = 0; x < columns; x++, dst += o->pixel) {
        hs_vec value = y[x] + o->bias;
        if (residual)
            value += o->count < HS_LANES ? hs_wino_load_some(residual + x * o->pixel, o->count)
                                         : hs_load(residual + x * o->pixel);
        if (begin && x == 0)
            o->first = value;
        o->sum += value - o->first;
        o->squares += (value - o->first) * (value - o->first);
        __builtin_prefetch(dst + o->tile * o->pixel, 1, 3); /* the next tile's */
        if (o->count < HS_LANES)
            hs_wino_store_some(dst, value, o->count);
        else
            hs_store(dst, value);
    }
}

/* LANES channels from k on of one tile; `rows` and `columns` are the tile's side,
 * constant, where all pixels exist, and so is `count` where all channels do. */
HS_INLINE void hs_winograd_output_lanes(int tile, bool bare, const hs_winograd_output_tile *o,
                                        int k, int count, int rows, int columns, bool residual) {
    const int alpha = tile + 2;
    const int64_t row = o->row, m_stride = o->m_stride;
    const float *m = o->m + k;
    hs_vec t[6][8];
#pragma GCC unroll 1
    for (int x = 0; x < alpha; x++, m += m_stride) {
        hs_vec d[8], y[6];
#pragma GCC unroll 8
        for (int i = 0; i < alpha; i++)
            d[i] = hs_load(m + i * alpha * m_stride);
        hs_winograd_at(tile, bare, d, y);
#pragma GCC unroll 6
        for (int i = 0; i < tile; i++)
            hs_store((float *)&t[i][x], y[i]);
    }
    hs_winograd_output_rows to = {.residual = residual ? o->residual + k : NULL,
                                  .dst = o->dst + k,
                                  .pixel = o->pixel,
                                  .count = count,
                                  .tile = tile};
    if (o->bias)
        to.bias = count < HS_LANES ? hs_wino_load_some(o->bias + k, count) : hs_load(o->bias + k);
#pragma GCC unroll 1
    for (int i = 0; i < rows; i++, to.dst += row) {
        hs_vec y[6];
        hs_winograd_at(tile, bare, t[i], y);
        hs_winograd_output_row(&to, y, columns, i == 0);
        to.residual = residual ? to.residual + row : NULL;
    }
    if (o->sums) {
        float pixels = (float)(rows * columns);
        hs_wino_store_some(o->sums + k, to.first * pixels + to.sum, count);
        hs_wino_store_some(o->squares + k, to.squares - to.sum * to.sum / pixels, count);
    }
}

HS_INLINE void hs_winograd_output_channels(int tile, bool bare, const hs_winograd_output_tile *o,
                                           bool residual) {
    int k = 0;
    if (o->rows == tile && o->columns == tile)
        for (; k + HS_LANES <= o->count; k += HS_LANES)
            hs_winograd_output_lanes(tile, bare, o, k, HS_LANES, tile, tile, residual);
    for (; k < o->count; k += HS_LANES)
        hs_winograd_output_lanes(tile, bare, o, k,
                                 o->count - k < HS_LANES ? o->count - k : HS_LANES, o->rows,
                                 o->columns, residual);
}

HS_INLINE void hs_winograd_output_any(int tile, bool bare, const hs_winograd_output_tile *o) {
    if (o->residual)
        hs_winograd_output_channels(tile, bare, o, true);
    else
        hs_winograd_output_channels(tile, bare, o, false);
}

void HS_KERNEL(hs_winograd_output)(int tile, const hs_winograd_output_tile *o) {
    if (tile == 4 && o->bare)
        hs_winograd_output_any(4, true, o);
    else if (tile == 4)
        hs_winograd_output_any(4, false, o);
    else if (tile == 6)
        hs_winograd_output_any(6, false, o);
    else
        hs_winograd_output_any(2, false, o);
}
