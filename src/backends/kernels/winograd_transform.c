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
 * the other points, and (0, 0, 1). For 0, 1, -1 and infinity, likewise.
 */
#include "backends/kernels/winograd_parts.h"

/* y = B^T d. */
HS_INLINE void hs_winograd_bt(int tile, const hs_wino_vec *d, hs_wino_vec *y) {
    if (tile == 2) {
        y[0] = d[0] - d[2];
        y[1] = d[2] + d[1];
        y[2] = d[2] - d[1];
        y[3] = d[3] - d[1];
        return;
    }
    hs_wino_vec even = d[4] - HS_B2 * d[2], odd = HS_A * (d[3] - HS_B2 * d[1]);
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
HS_INLINE void hs_winograd_at(int tile, const hs_wino_vec *m, hs_wino_vec *y) {
    if (tile == 2) {
        y[0] = m[0] + (m[1] + m[2]);
        y[1] = (m[1] - m[2]) + m[3];
        return;
    }
    hs_wino_vec plus_a = m[1] + m[2], minus_a = m[1] - m[2];
    hs_wino_vec plus_b = m[3] + m[4], minus_b = m[3] - m[4];
    y[0] = m[0] + plus_a + plus_b;
    y[1] = HS_A * minus_a + HS_B * minus_b;
    y[2] = HS_A2 * plus_a + HS_B2 * plus_b;
    y[3] = (HS_A2 * HS_A) * minus_a + (HS_B2 * HS_B) * minus_b + m[5];
}

/* LANES channels from c on; count < LANES: so many of them exist. */
HS_INLINE void hs_winograd_input_lanes(int tile, const float *const *pixel, int c, int count,
                                       float *v, int64_t v_stride) {
    const int alpha = tile + 2;
    hs_wino_vec t[6][6];
#pragma GCC unroll 6
    for (int x = 0; x < alpha; x++) {
        hs_wino_vec d[6], y[6];
#pragma GCC unroll 6
        for (int i = 0; i < alpha; i++)
            d[i] = count < HS_WINO_LANES ? hs_wino_load_some(pixel[i * alpha + x] + c, count)
                                         : hs_wino_load(pixel[i * alpha + x] + c);
        hs_winograd_bt(tile, d, y);
#pragma GCC unroll 6
        for (int i = 0; i < alpha; i++)
            t[i][x] = y[i];
    }
#pragma GCC unroll 6
    for (int i = 0; i < alpha; i++) {
        hs_wino_vec y[6];
        hs_winograd_bt(tile, t[i], y);
#pragma GCC unroll 6
        for (int x = 0; x < alpha; x++)
            hs_wino_store(v + (i * alpha + x) * v_stride, y[x]);
    }
}

HS_INLINE void hs_winograd_input_tile(int tile, const float *const *pixel, int channels, float *v,
                                      int64_t v_stride, int64_t chunk_stride) {
    int c = 0;
    for (; c + HS_WINO_LANES <= channels; c += HS_WINO_LANES)
        hs_winograd_input_lanes(tile, pixel, c, HS_WINO_LANES,
                                v + c / HS_WINO_CHUNK * chunk_stride + c % HS_WINO_CHUNK, v_stride);
    for (; c < (channels + HS_WINO_CHUNK - 1) / HS_WINO_CHUNK * HS_WINO_CHUNK; c += HS_WINO_LANES)
        hs_winograd_input_lanes(tile, pixel, c, channels > c ? channels - c : 0,
                                v + c / HS_WINO_CHUNK * chunk_stride + c % HS_WINO_CHUNK, v_stride);
}

void HS_KERNEL(hs_winograd_input)(int tile, const float *const *pixel, int channels, float *v,
                                  int64_t v_stride, int64_t chunk_stride) {
    if (tile == 4)
        hs_winograd_input_tile(4, pixel, channels, v, v_stride, chunk_stride);
    else
        hs_winograd_input_tile(2, pixel, channels, v, v_stride, chunk_stride);
}

/* LANES channels from k on of one tile; whole: all of them and all pixels exist. */
HS_INLINE void hs_winograd_output_lanes(int tile, const hs_winograd_output_tile *o, int k,
                                        int count) {
    const int alpha = tile + 2;
    const float *m = o->m + k;
    hs_wino_vec t[4][6];
#pragma GCC unroll 6
    for (int x = 0; x < alpha; x++) {
        hs_wino_vec d[6], y[4];
#pragma GCC unroll 6
        for (int i = 0; i < alpha; i++)
            d[i] = hs_wino_load(m + (i * alpha + x) * o->m_stride);
        hs_winograd_at(tile, d, y);
#pragma GCC unroll 4
        for (int i = 0; i < tile; i++)
            t[i][x] = y[i];
    }
    bool part = count < HS_WINO_LANES;
    hs_wino_vec bias = {0};
    if (o->bias)
        bias = part ? hs_wino_load_some(o->bias + k, count) : hs_wino_load(o->bias + k);
    for (int i = 0; i < o->rows; i++) {
        hs_wino_vec y[4];
        hs_winograd_at(tile, t[i], y);
#pragma GCC unroll 4
        for (int x = 0; x < tile; x++) {
            if (x >= o->columns)
                break;
            int64_t at = i * o->row + x * o->pixel + k;
            hs_wino_vec value = y[x] + bias;
            if (o->residual)
                value += part ? hs_wino_load_some(o->residual + at, count)
                              : hs_wino_load(o->residual + at);
            if (part)
                hs_wino_store_some(o->dst + at, value, count);
            else
                hs_wino_store(o->dst + at, value);
        }
    }
}

HS_INLINE void hs_winograd_output_channels(int tile, const hs_winograd_output_tile *o) {
    int k = 0;
    for (; k + HS_WINO_LANES <= o->count; k += HS_WINO_LANES)
        hs_winograd_output_lanes(tile, o, k, HS_WINO_LANES);
    if (k < o->count)
        hs_winograd_output_lanes(tile, o, k, o->count - k);
}

void HS_KERNEL(hs_winograd_output)(int tile, const hs_winograd_output_tile *o) {
    if (tile == 4)
        hs_winograd_output_channels(4, o);
    else
        hs_winograd_output_channels(2, o);
}
