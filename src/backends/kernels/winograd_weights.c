/* G g G^T of the Winograd convolution, a panel of output channels at a time. */
#include <string.h>

#include "backends/kernels/winograd_parts.h"
#include "base/tensor.h"

typedef double hs_winograd_lanes[HS_WINO_PANEL];

const hs_winograd_row *HS_KERNEL(hs_winograd_g_of)(int tile) {
    static const hs_winograd_row g4[6] = {
        {1 / (double)HS_Q, 0, 0},
#define HS_ROW(t, n) {1 / (n), (t) / (n), (t) * (t) / (n)}
        HS_ROW((double)HS_A, 2.0 * (double)HS_A2 * ((double)HS_A2 - (double)HS_B2)),
        HS_ROW(-(double)HS_A, 2.0 * (double)HS_A2 * ((double)HS_A2 - (double)HS_B2)),
        HS_ROW((double)HS_B, 2.0 * (double)HS_B2 * ((double)HS_B2 - (double)HS_A2)),
        HS_ROW(-(double)HS_B, 2.0 * (double)HS_B2 * ((double)HS_B2 - (double)HS_A2)),
        {0, 0, 1},
    };
    static const hs_winograd_row g2[4] = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};
    static const hs_winograd_row g6[8] = {/* of the points in HS_POINTS_6 */
                                          {-1, 0, 0},
                                          {32 / 45.0, 16 / 45.0, 8 / 45.0},
                                          {32 / 45.0, -16 / 45.0, 8 / 45.0},
                                          {-2 / 9.0, -2 / 9.0, -2 / 9.0},
                                          {-2 / 9.0, 2 / 9.0, -2 / 9.0},
                                          {1 / 90.0, 2 / 90.0, 4 / 90.0},
                                          {1 / 90.0, -2 / 90.0, 4 / 90.0},
                                          {0, 0, 1}};
    return tile == 6 ? g6 : tile == 4 ? g4 : g2;
}

void HS_KERNEL(hs_winograd_taps)(const hs_winograd_kernel *kernel, int panel, int first, int count,
                                 hs_winograd_tap_lanes *taps) {
    int out = panel * HS_WINO_PANEL, outputs = kernel->out_c - out;
    outputs = outputs < HS_WINO_PANEL ? outputs : HS_WINO_PANEL;
    for (int begin = 0; begin < count; begin += HS_WINO_CHUNK, taps += HS_WINO_CHUNK) {
        int some = count - begin < HS_WINO_CHUNK ? count - begin : HS_WINO_CHUNK;
        memset(taps, 0, HS_WINO_CHUNK * sizeof *taps);
        for (int k = 0; k < outputs; k++)
            for (int c = 0; c < some; c++) {
                int64_t at =
                    (out + k) * kernel->out_stride + (first + begin + c) * kernel->in_stride;
                for (int tap = 0; tap < kernel->taps; tap++) {
                    int64_t w = at + (kernel->flip ? kernel->taps - 1 - tap : tap);
                    taps[c][tap][k] = kernel->half ? hs_bf16_to_f32(kernel->half[w]) : kernel->w[w];
                }
            }
    }
}

/* out[i] = row i of G times (x[0], x[1], x[2]), for all output channels of a panel. */
HS_INLINE void hs_winograd_g(int tile, const hs_winograd_lanes *x, int64_t x_stride,
                             hs_winograd_lanes *out, int64_t out_stride) {
    const hs_winograd_row *g = HS_KERNEL(hs_winograd_g_of)(tile);
    for (int i = 0; i < tile + 2; i++)
        for (int k = 0; k < HS_WINO_PANEL; k++)
            out[i * out_stride][k] =
                g[i][0] * x[0][k] + g[i][1] * x[x_stride][k] + g[i][2] * x[2 * x_stride][k];
}

/* Where the values of one input channel go: in bf16 into its half of the pair. */
typedef struct hs_winograd_packed {
    float *u;
    int64_t stride; /* floats from one position to the next */
    bool bf16;
    int half; /* of the pair */
} hs_winograd_packed;

HS_INLINE void hs_winograd_pack(const hs_winograd_packed *to, int position, const double *x) {
    float *u = to->u + position * to->stride;
    uint16_t *halves = (uint16_t *)u + to->half;
    for (int k = 0; k < HS_WINO_PANEL && !to->bf16; k++)
        u[k] = (float)x[k];
    for (int k = 0; k < HS_WINO_PANEL && to->bf16; k += HS_LANES) {
        hs_vec y;
        for (int i = 0; i < HS_LANES; i++)
            y[i] = (float)x[k + i];
        hs_uvec bits = (hs_uvec)hs_wino_round(y);
        for (int i = 0; i < HS_LANES; i++)
            halves[2 * (k + i)] = (uint16_t)(bits[i] >> 16);
    }
}

/* G g G^T of one input channel and a panel of output channels: g [3][3]. */
HS_INLINE void hs_winograd_one_kernel(int tile, const hs_winograd_lanes *g,
                                      const hs_winograd_packed *to) {
    const int alpha = tile + 2;
    hs_winograd_lanes half[8 * 3], whole[8];
    for (int x = 0; x < 3; x++)
        hs_winograd_g(tile, g + x, 3, half + x, 3);
    for (int y = 0; y < alpha; y++) {
        hs_winograd_g(tile, half + 3 * y, 1, whole, 1);
        for (int x = 0; x < alpha; x++)
            hs_winograd_pack(to, y * alpha + x, whole[x]);
    }
}

/* U of one input channel and a panel, in float32, tile 4. */
HS_INLINE void hs_winograd_bare_kernel(const hs_winograd_tap_lanes taps, float *u, int64_t stride) {
    for (int k = 0; k < HS_WINO_PANEL; k += HS_LANES)
#pragma GCC unroll 6
        for (int y = 0; y < 6; y++) {
            hs_vec half[3], row[6];
#pragma GCC unroll 3
            for (int x = 0; x < 3; x++)
                half[x] = hs_winograd_bare_row(y, hs_load(taps[x] + k), hs_load(taps[3 + x] + k),
                                               hs_load(taps[6 + x] + k));
            hs_winograd_bare_rows(half[0], half[1], half[2], row);
#pragma GCC unroll 6
            for (int x = 0; x < 6; x++)
                hs_store(u + (6 * y + x) * stride + k, row[x]);
        }
}

void HS_KERNEL(hs_winograd_weights)(const hs_winograd_kernel *kernel, int panel, float *packed) {
    if (kernel->tile == 1) {
        HS_KERNEL(hs_taps_weights)(kernel, panel, packed);
        return;
    }
    if (kernel->late) {
        HS_KERNEL(hs_winograd_taps)
        (kernel, panel, 0, kernel->in_c, (hs_winograd_tap_lanes *)packed);
        return;
    }
    if (kernel->factors == HS_FACTORS_FIXED) {
        HS_KERNEL(hs_winograd_weights_fixed)(kernel, panel, packed);
        return;
    }
    bool bf16 = kernel->factors == HS_FACTORS_BF16;
    int padded_c = hs_winograd_ceil(kernel->in_c, HS_WINO_CHUNK) * HS_WINO_CHUNK;
    int positions = (kernel->tile + 2) * (kernel->tile + 2);
    int64_t row = HS_WINO_PANEL, stride = (bf16 ? padded_c / 2 : padded_c) * row;
    int whole = bf16 ? kernel->in_c / 2 : kernel->in_c; /* rows that all channels fill */
    hs_winograd_tap_lanes taps[HS_WINO_CHUNK];
    hs_winograd_lanes g[9];
    for (int e = 0; e < positions; e++) /* channels that do not exist */
        memset(packed + e * stride + whole * row, 0,
               (size_t)(stride - whole * row) * sizeof(float));
    for (int c = 0; c < kernel->in_c; c++) {
        int rest = kernel->in_c - c;
        if (c % HS_WINO_CHUNK == 0) {
            HS_KERNEL(hs_winograd_taps)
            (kernel, panel, c, rest < HS_WINO_CHUNK ? rest : HS_WINO_CHUNK, taps);
        }
        if (kernel->tile == 4 && !bf16) {
            hs_winograd_bare_kernel(taps[c % HS_WINO_CHUNK], packed + c * row, stride);
            continue;
        }
        for (int tap = 0; tap < 9; tap++)
            for (int k = 0; k < HS_WINO_PANEL; k++)
                g[tap][k] = (double)taps[c % HS_WINO_CHUNK][tap][k];
        hs_winograd_packed to = {packed + (bf16 ? c / 2 : c) * row, stride, bf16, c % 2};
        if (kernel->tile == 6)
            hs_winograd_one_kernel(6, g, &to);
        else if (kernel->tile == 4)
            hs_winograd_one_kernel(4, g, &to);
        else
            hs_winograd_one_kernel(2, g, &to);
    }
}
