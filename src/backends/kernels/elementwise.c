/* Channel sums and scale-shift-activate: the loops of group norm. */
#include <math.h>
#include <string.h>

#include "backends/kernels/simd.h"

#define HS_RUN 32 /* pixels whose channels are summed before the next: they stay in L1 */

void HS_KERNEL(hs_channel_sums)(const float *x, int64_t pixels, int channels, double *sum,
                                double *sumsq);
void HS_KERNEL(hs_affine_act)(const float *x, float *y, int64_t pixels, int channels,
                              int64_t y_stride, const float *a, const float *b, hs_kernel_act act);

/* Sums of two registers of channels. In double: what a sum of squares loses scales the whole
 * group, and a float32 sum of 32 squares loses as much as all that follows. */
HS_INLINE void hs_sums_lanes(const float *x, int64_t pixels, int64_t stride, double *sum,
                             double *sumsq) {
    hs_dvec s0 = {0}, s1 = {0}, q0 = {0}, q1 = {0};
    for (int64_t p = 0; p < pixels; p++) {
        hs_dvec v0 = hs_widen(x + p * stride), v1 = hs_widen(x + p * stride + HS_DOUBLES);
        s0 += v0;
        s1 += v1;
        q0 += v0 * v0;
        q1 += v1 * v1;
    }
    *(hs_dvec *)sum += s0;
    *(hs_dvec *)(sum + HS_DOUBLES) += s1;
    *(hs_dvec *)sumsq += q0;
    *(hs_dvec *)(sumsq + HS_DOUBLES) += q1;
}

void HS_KERNEL(hs_channel_sums)(const float *x, int64_t pixels, int channels, double *sum,
                                double *sumsq) {
    for (int64_t first = 0; first < pixels; first += HS_RUN) {
        int64_t run = pixels - first < HS_RUN ? pixels - first : HS_RUN;
        const float *row = x + first * channels;
        int c = 0;
        for (; c + HS_LANES <= channels; c += HS_LANES)
            hs_sums_lanes(row + c, run, channels, sum + c, sumsq + c);
        for (; c < channels; c++)
            for (int64_t p = 0; p < run; p++) {
                double v = (double)row[p * channels + c];
                sum[c] += v;
                sumsq[c] += v * v;
            }
    }
}

HS_INLINE float hs_scalar_act(float x, hs_kernel_act act) {
    switch (act) {
    case HS_ACT_SILU:
    case HS_ACT_SILU_ROUNDED: return x / (1.0f + expf(-x));
    case HS_ACT_MISH: return x * tanhf(x > 20.0f ? x : log1pf(expf(x)));
    case HS_ACT_GELU: return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f));
    case HS_ACT_RELU: return x <= 0.0f ? 0.0f : x;
    default: return x;
    }
}

HS_INLINE void hs_affine_act_rows(const float *x, float *y, int64_t pixels, int channels,
                                  int64_t y_stride, const float *a, const float *b,
                                  hs_kernel_act act) {
    for (int64_t p = 0; p < pixels; p++) {
        const float *from = x + p * channels;
        float *to = y + p * y_stride;
        int c = 0;
        for (; c + HS_LANES <= channels; c += HS_LANES) {
            hs_vec v = hs_load(from + c) * hs_load(a + c) + hs_load(b + c);
            if (act == HS_ACT_SILU)
                v = hs_silu(v);
            else if (act == HS_ACT_SILU_ROUNDED)
                v = hs_silu_rounded(v, false);
            else if (act != HS_ACT_NONE)
                for (int j = 0; j < HS_LANES; j++)
                    v[j] = hs_scalar_act(v[j], act);
            hs_store(to + c, v);
        }
        for (; c < channels; c++)
            to[c] = hs_scalar_act(from[c] * a[c] + b[c], act);
    }
}

void HS_KERNEL(hs_affine_act)(const float *x, float *y, int64_t pixels, int channels,
                              int64_t y_stride, const float *a, const float *b, hs_kernel_act act) {
    switch (act) { /* constants, so that the inner loop does not ask */
    case HS_ACT_NONE:
        hs_affine_act_rows(x, y, pixels, channels, y_stride, a, b, HS_ACT_NONE);
        break;
    case HS_ACT_SILU:
        hs_affine_act_rows(x, y, pixels, channels, y_stride, a, b, HS_ACT_SILU);
        break;
    case HS_ACT_SILU_ROUNDED:
        hs_affine_act_rows(x, y, pixels, channels, y_stride, a, b, HS_ACT_SILU_ROUNDED);
        break;
    case HS_ACT_RELU:
        hs_affine_act_rows(x, y, pixels, channels, y_stride, a, b, HS_ACT_RELU);
        break;
    default: hs_affine_act_rows(x, y, pixels, channels, y_stride, a, b, act);
    }
}
