/* Convolution of few channels, summed in double: a row of the result. */
#include "backends/kernels/simd.h"

void HS_KERNEL(hs_narrow_conv)(const hs_narrow_conv *c, const double *x, const float *residual,
                               float *y);

#define HS_NARROW_PIXELS 4
#define HS_NARROW_VECTORS 2

/* `m` pixels and `nv` registers of channels from o on; constants where it is inlined. */
HS_INLINE void hs_narrow_tile(int m, int nv, const hs_narrow_conv *c, const double *x, int o,
                              const float *residual, float *y) {
    hs_dvec sum[HS_NARROW_PIXELS][HS_NARROW_VECTORS];
#pragma GCC unroll 4
    for (int i = 0; i < m; i++)
#pragma GCC unroll 2
        for (int j = 0; j < nv; j++)
            sum[i][j] = (hs_dvec){0};
    const float *weights = c->weights + o;
    for (int row = 0; row < c->rows; row++)
        for (int k = 0; k < c->columns; k++, weights += c->out_c) {
            const double *from = x + row * c->x_row + k;
            hs_dvec w[HS_NARROW_VECTORS];
#pragma GCC unroll 2
            for (int j = 0; j < nv; j++)
                w[j] = hs_widen(weights + j * HS_DOUBLES);
#pragma GCC unroll 4
            for (int i = 0; i < m; i++)
#pragma GCC unroll 2
                for (int j = 0; j < nv; j++)
                    sum[i][j] += from[i * c->step] * w[j];
        }
#pragma GCC unroll 4
    for (int i = 0; i < m; i++)
#pragma GCC unroll 2
        for (int j = 0; j < nv; j++) {
            int64_t at = (int64_t)i * c->out_c + o + j * HS_DOUBLES;
            if (c->bias)
                sum[i][j] += hs_widen(c->bias + o + j * HS_DOUBLES);
            if (residual)
                sum[i][j] += hs_widen(residual + at);
            hs_store_rounded(y + at, sum[i][j]);
        }
}

/* Channel o of `m` pixels. */
HS_INLINE void hs_narrow_channel(int m, const hs_narrow_conv *c, const double *x, int o,
                                 const float *residual, float *y) {
    double sum[HS_NARROW_PIXELS] = {0};
    const float *weights = c->weights + o;
    for (int row = 0; row < c->rows; row++)
        for (int k = 0; k < c->columns; k++, weights += c->out_c)
#pragma GCC unroll 4
            for (int i = 0; i < m; i++)
                sum[i] += x[row * c->x_row + k + i * c->step] * (double)*weights;
    for (int i = 0; i < m; i++) {
        int64_t at = (int64_t)i * c->out_c + o;
        sum[i] += c->bias ? (double)c->bias[o] : 0;
        y[at] = (float)(residual ? sum[i] + (double)residual[at] : sum[i]);
    }
}

HS_INLINE void hs_narrow_pixels(int m, const hs_narrow_conv *c, const double *x,
                                const float *residual, float *y) {
    int o = 0;
    for (; o + HS_NARROW_VECTORS * HS_DOUBLES <= c->out_c; o += HS_NARROW_VECTORS * HS_DOUBLES)
        hs_narrow_tile(m, HS_NARROW_VECTORS, c, x, o, residual, y);
    for (; o + HS_DOUBLES <= c->out_c; o += HS_DOUBLES)
        hs_narrow_tile(m, 1, c, x, o, residual, y);
    for (; o < c->out_c; o++)
        hs_narrow_channel(m, c, x, o, residual, y);
}

void HS_KERNEL(hs_narrow_conv)(const hs_narrow_conv *c, const double *x, const float *residual,
                               float *y) {
    int p = 0;
    for (; p + HS_NARROW_PIXELS <= c->pixels; p += HS_NARROW_PIXELS) {
        int64_t at = (int64_t)p * c->out_c;
        hs_narrow_pixels(HS_NARROW_PIXELS, c, x + p * c->step, residual ? residual + at : NULL,
                         y + at);
    }
    for (; p < c->pixels; p++) {
        int64_t at = (int64_t)p * c->out_c;
        hs_narrow_pixels(1, c, x + p * c->step, residual ? residual + at : NULL, y + at);
    }
}
