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

/* y = A^T m. */
HS_INLINE void hs_winograd_at(int tile, const hs_vec *m, hs_vec *y) {
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
    hs_vec plus_a = m[1] + m[2], minus_a = m[1] - m[2];
    hs_vec plus_b = m[3] + m[4], minus_b = m[3] - m[4];
    y[0] = m[0] + plus_a + plus_b;
    y[1] = HS_A * minus_a + HS_B * minus_b;
    y[2] = HS_A2 * plus_a + HS_B2 * plus_b;
    y[3] = (HS_A2 * HS_A) * minus_a + (HS_B2 * HS_B) * minus_b + m[5];
}

/* A tile of the input, LANES channels from c on; count < LANES: so many exist. */
typedef struct hs_winograd_input_lanes {
    const float *const *pixel;
    int c, count;
    float *v;
    int64_t v_stride;
    bool bf16;
} hs_winograd_input_lanes;

HS_INLINE hs_vec hs_winograd_pixel(const hs_winograd_input_lanes *in, int at) {
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

/* Rows of B^T d two by two, or one by one: all of them would not fit into the
 * registers, and pixels are read again at less cost than sums are put aside. */
HS_INLINE void hs_winograd_input_pair(const hs_winograd_input_lanes *in, int i, float a, float b2) {
    hs_vec plus[6], minus[6];
#pragma GCC unroll 6
    for (int x = 0; x < 6; x++) {
        hs_vec even = hs_winograd_pixel(in, 24 + x) - b2 * hs_winograd_pixel(in, 12 + x);
        hs_vec odd = hs_winograd_pixel(in, 18 + x) - b2 * hs_winograd_pixel(in, 6 + x);
        plus[x] = even + a * odd;
        minus[x] = even - a * odd;
    }
    hs_winograd_input_row(4, in, i, plus);
    hs_winograd_input_row(4, in, i + 1, minus);
}

HS_INLINE void hs_winograd_input_end(const hs_winograd_input_lanes *in, int i, int first) {
    hs_vec t[6];
#pragma GCC unroll 6
    for (int x = first; x < first + 6; x++)
        t[x - first] = hs_winograd_pixel(in, 24 + x) - HS_P * hs_winograd_pixel(in, 12 + x) +
                       HS_Q * hs_winograd_pixel(in, x);
    hs_winograd_input_row(4, in, i, t);
}

/* The same for tiles of 6, of the point t and its negative; u2 and v2: squares of the
 * other points. */
HS_INLINE void hs_winograd_input_pair_6(const hs_winograd_input_lanes *in, int i, float t, float u2,
                                        float v2) {
    hs_vec plus[8], minus[8];
#pragma GCC unroll 8
    for (int x = 0; x < 8; x++) {
        hs_vec even = hs_winograd_pixel(in, 48 + x) - (u2 + v2) * hs_winograd_pixel(in, 32 + x) +
                      u2 * v2 * hs_winograd_pixel(in, 16 + x);
        hs_vec odd = hs_winograd_pixel(in, 40 + x) - (u2 + v2) * hs_winograd_pixel(in, 24 + x) +
                     u2 * v2 * hs_winograd_pixel(in, 8 + x);
        plus[x] = even + t * odd;
        minus[x] = even - t * odd;
    }
    hs_winograd_input_row(6, in, i, plus);
    hs_winograd_input_row(6, in, i + 1, minus);
}

HS_INLINE void hs_winograd_input_end_6(const hs_winograd_input_lanes *in, int i, int first) {
    hs_vec t[8];
#pragma GCC unroll 8
    for (int x = 0; x < 8; x++) {
        int at = first + x;
        t[x] = hs_winograd_pixel(in, 48 + at) - HS_6_1 * hs_winograd_pixel(in, 32 + at) +
               HS_6_2 * hs_winograd_pixel(in, 16 + at) - HS_6_3 * hs_winograd_pixel(in, at);
    }
    hs_winograd_input_row(6, in, i, t);
}

HS_INLINE void hs_winograd_input_6(const hs_winograd_input_lanes *in) {
    static const float t[3] = HS_POINTS_6;
    hs_winograd_input_end_6(in, 0, 0);
#pragma GCC unroll 3
    for (int i = 0; i < 3; i++)
        hs_winograd_input_pair_6(in, 1 + 2 * i, t[i], t[(i + 1) % 3] * t[(i + 1) % 3],
                                 t[(i + 2) % 3] * t[(i + 2) % 3]);
    hs_winograd_input_end_6(in, 7, 8);
}

HS_INLINE void hs_winograd_input_all(int tile, const hs_winograd_input_lanes *in) {
    if (tile == 2) {
        hs_winograd_input_2(in);
        return;
    }
    if (tile == 6) {
        hs_winograd_input_6(in);
        return;
    }
    hs_winograd_input_end(in, 0, 0);
    hs_winograd_input_pair(in, 1, HS_A, HS_B2);
    hs_winograd_input_pair(in, 3, HS_B, HS_A2);
    hs_winograd_input_end(in, 5, 6);
}

HS_INLINE void hs_winograd_input_tile(int tile, bool bf16, const float *const *pixel, int channels,
                                      float *v, int64_t v_stride, int64_t chunk_stride) {
    hs_winograd_input_lanes in = {pixel, 0, HS_LANES, v, v_stride, bf16};
    for (; in.c + HS_LANES <= channels; in.c += HS_LANES) {
        in.v = v + in.c / HS_WINO_CHUNK * chunk_stride + in.c % HS_WINO_CHUNK;
        hs_winograd_input_all(tile, &in);
    }
    int end = (channels + HS_WINO_CHUNK - 1) / HS_WINO_CHUNK * HS_WINO_CHUNK;
    for (int c = in.c; c < end; c += HS_LANES) {
        hs_winograd_input_lanes some = {pixel, c,        channels > c ? channels - c : 0,
                                        v,     v_stride, bf16};
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

/* By chunks, each of them in float32 first. */
HS_INLINE float hs_winograd_input_tile_fixed(int tile, const float *const *pixel, int channels,
                                             float *v, int64_t v_stride, int64_t chunk_stride) {
    float factors[64], chunk[64 * HS_WINO_CHUNK];
    float scale = HS_KERNEL(hs_winograd_scale)(tile, pixel, channels, factors);
    for (int first = 0; first < channels; first += HS_WINO_CHUNK, v += chunk_stride) {
        for (int c = first; c < first + HS_WINO_CHUNK; c += HS_LANES) {
            hs_winograd_input_lanes in = {pixel,         c,    HS_LANES, chunk + c - first,
                                          HS_WINO_CHUNK, false};
            if (c + HS_LANES <= channels) {
                hs_winograd_input_all(tile, &in);
                continue;
            }
            in.count = channels > c ? channels - c : 0;
            hs_winograd_input_all(tile, &in);
        }
        HS_KERNEL(hs_winograd_fix_chunks)
        ((tile + 2) * (tile + 2), chunk, factors, 1, v, v_stride);
    }
    return scale;
}

float HS_KERNEL(hs_winograd_input_fixed)(int tile, const float *const *pixel, int channels,
                                         float *v, int64_t v_stride, int64_t chunk_stride) {
    if (tile == 6)
        return hs_winograd_input_tile_fixed(6, pixel, channels, v, v_stride, chunk_stride);
    if (tile == 4)
        return hs_winograd_input_tile_fixed(4, pixel, channels, v, v_stride, chunk_stride);
    return hs_winograd_input_tile_fixed(2, pixel, channels, v, v_stride, chunk_stride);
}

/* LANES channels from k on of one tile; `rows` and `columns` are the tile's side,
 * constant, where all pixels exist, and so is `count` where all channels do. */
HS_INLINE void hs_winograd_output_lanes(int tile, const hs_winograd_output_tile *o, int k,
                                        int count, int rows, int columns) {
    const int alpha = tile + 2;
    const float *m = o->m + k;
    hs_vec t[6][8];
#pragma GCC unroll 8
    for (int x = 0; x < alpha; x++) {
        hs_vec d[8], y[6];
#pragma GCC unroll 8
        for (int i = 0; i < alpha; i++)
            d[i] = hs_load(m + (i * alpha + x) * o->m_stride);
        hs_winograd_at(tile, d, y);
#pragma GCC unroll 6
        for (int i = 0; i < tile; i++)
            t[i][x] = y[i];
    }
    bool part = count < HS_LANES;
    hs_vec bias = {0}, first = {0}, sum = {0}, squares = {0};
    if (o->bias)
        bias = part ? hs_wino_load_some(o->bias + k, count) : hs_load(o->bias + k);
#pragma GCC unroll 6
    for (int i = 0; i < tile; i++) {
        if (i >= rows)
            break;
        hs_vec y[6];
        hs_winograd_at(tile, t[i], y);
#pragma GCC unroll 6
        for (int x = 0; x < tile; x++) {
            if (x >= columns)
                break;
            int64_t at = i * o->row + x * o->pixel + k;
            __builtin_prefetch(o->dst + at + tile * o->pixel, 1, 3); /* the next tile's */
            hs_vec value = y[x] + bias;
            if (o->residual)
                value +=
                    part ? hs_wino_load_some(o->residual + at, count) : hs_load(o->residual + at);
            if (i + x == 0) /* their differences from it lose no digits, however large it is */
                first = value;
            sum += value - first;
            squares += (value - first) * (value - first);
            if (part)
                hs_wino_store_some(o->dst + at, value, count);
            else
                hs_store(o->dst + at, value);
        }
    }
    if (o->sums) {
        float pixels = (float)(rows * columns);
        hs_wino_store_some(o->sums + k, first * pixels + sum, count);
        hs_wino_store_some(o->squares + k, squares - sum * sum / pixels, count);
    }
}

HS_INLINE void hs_winograd_output_channels(int tile, const hs_winograd_output_tile *o) {
    int k = 0;
    if (o->rows == tile && o->columns == tile)
        for (; k + HS_LANES <= o->count; k += HS_LANES)
            hs_winograd_output_lanes(tile, o, k, HS_LANES, tile, tile);
    for (; k < o->count; k += HS_LANES)
        hs_winograd_output_lanes(tile, o, k, o->count - k < HS_LANES ? o->count - k : HS_LANES,
                                 o->rows, o->columns);
}

void HS_KERNEL(hs_winograd_output)(int tile, const hs_winograd_output_tile *o) {
    if (tile == 4)
        hs_winograd_output_channels(4, o);
    else if (tile == 6)
        hs_winograd_output_channels(6, o);
    else
        hs_winograd_output_channels(2, o);
}
