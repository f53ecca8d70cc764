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
#include <string.h>

#include "backends/kernels/winograd_parts.h"

#define HS_A 0.625f
#define HS_B 1.5f
#define HS_A2 (HS_A * HS_A)
#define HS_B2 (HS_B * HS_B)
#define HS_P (HS_A2 + HS_B2)
#define HS_Q (HS_A2 * HS_B2)

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

/* ------------------------------------------------------------- weights -- */

typedef double hs_winograd_lanes[HS_WINO_PANEL];

/* out[i] = row i of G times (x[0], x[1], x[2]), for all output channels of a panel. */
HS_INLINE void hs_winograd_g(int tile, const hs_winograd_lanes *x, int64_t x_stride,
                             hs_winograd_lanes *out, int64_t out_stride) {
    static const double g4[6][3] = {
        {1 / (double)HS_Q, 0, 0},
#define HS_ROW(t, n) {1 / (n), (t) / (n), (t) * (t) / (n)}
        HS_ROW((double)HS_A, 2.0 * (double)HS_A2 * ((double)HS_A2 - (double)HS_B2)),
        HS_ROW(-(double)HS_A, 2.0 * (double)HS_A2 * ((double)HS_A2 - (double)HS_B2)),
        HS_ROW((double)HS_B, 2.0 * (double)HS_B2 * ((double)HS_B2 - (double)HS_A2)),
        HS_ROW(-(double)HS_B, 2.0 * (double)HS_B2 * ((double)HS_B2 - (double)HS_A2)),
        {0, 0, 1},
    };
    static const double g2[4][3] = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};
    const double(*g)[3] = tile == 4 ? g4 : g2;
    for (int i = 0; i < tile + 2; i++)
        for (int k = 0; k < HS_WINO_PANEL; k++)
            out[i * out_stride][k] =
                g[i][0] * x[0][k] + g[i][1] * x[x_stride][k] + g[i][2] * x[2 * x_stride][k];
}

/* G g G^T of one input channel and a panel of output channels: g [3][3]. */
HS_INLINE void hs_winograd_kernel(int tile, const hs_winograd_lanes *g, float *u, int64_t stride) {
    const int alpha = tile + 2;
    hs_winograd_lanes half[6 * 3], whole[6];
    for (int x = 0; x < 3; x++)
        hs_winograd_g(tile, g + x, 3, half + x, 3);
    for (int y = 0; y < alpha; y++) {
        hs_winograd_g(tile, half + 3 * y, 1, whole, 1);
        for (int x = 0; x < alpha; x++)
            for (int k = 0; k < HS_WINO_PANEL; k++)
                u[(y * alpha + x) * stride + k] = (float)whole[x][k];
    }
}

void HS_KERNEL(hs_winograd_weights)(const hs_winograd_plan *plan, int panel, const float *w,
                                    float *packed) {
    const hs_winograd_spec *spec = &plan->spec;
    int first = panel * HS_WINO_PANEL;
    int count = spec->out_c - first < HS_WINO_PANEL ? spec->out_c - first : HS_WINO_PANEL;
    int64_t stride = (int64_t)plan->padded_c * HS_WINO_PANEL;
    memset(packed, 0, (size_t)plan->panel_floats * sizeof(float));
    hs_winograd_lanes g[9];
    memset(g, 0, sizeof g);
    int c = 0;
    for (int part = 0; part < spec->part_count; part++) {
        for (int i = 0; i < spec->part_c[part]; i++, c++) {
            for (int k = 0; k < count; k++)
                for (int tap = 0; tap < 9; tap++)
                    g[tap][k] = (double)w[((int64_t)(first + k) * plan->in_c + c) * 9 + tap];
            float *u = packed + (int64_t)i * HS_WINO_PANEL;
            if (spec->tile == 4)
                hs_winograd_kernel(4, g, u, stride);
            else
                hs_winograd_kernel(2, g, u, stride);
        }
        packed += (int64_t)(spec->part_c[part] + HS_WINO_CHUNK - 1) / HS_WINO_CHUNK *
                  HS_WINO_CHUNK * HS_WINO_PANEL;
    }
}
