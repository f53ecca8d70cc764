/* The loops of group norm's derivative, with the slope of the activation. */
#include <math.h>

#include "backends/kernels/simd.h"

#define HS_RUN 32 /* pixels summed in float before they go to double */

void HS_KERNEL(hs_dot_sums)(const float *v, int64_t v_stride, const float *x, int64_t x_stride,
                            int64_t pixels, int channels, double *sum, double *product);
void HS_KERNEL(hs_slope_affine)(const float *x, int64_t x_stride, const float *v, int64_t v_stride,
                                float *y, int64_t y_stride, int64_t pixels, int channels,
                                const float *a, const float *b, const float *alpha,
                                const float *beta, const float *delta, hs_kernel_act act);
void HS_KERNEL(hs_affine_times)(const float *x, int64_t x_stride, const float *v, int64_t v_stride,
                                const float *by, int64_t by_stride, float *y, int64_t y_stride,
                                int64_t pixels, int channels, const float *alpha, const float *beta,
                                const float *delta);

void HS_KERNEL(hs_dot_sums)(const float *v, int64_t v_stride, const float *x, int64_t x_stride,
                            int64_t pixels, int channels, double *sum, double *product) {
    for (int64_t first = 0; first < pixels; first += HS_RUN) {
        int64_t run = pixels - first < HS_RUN ? pixels - first : HS_RUN;
        const float *vs = v + first * v_stride, *xs = x + first * x_stride;
        int c = 0;
        for (; c + HS_LANES <= channels; c += HS_LANES) {
            hs_vec s = {0}, q = {0}, pivot = hs_load(xs + c); /* as in channel_sums */
            for (int64_t p = 0; p < run; p++) {
                hs_vec t = hs_load(vs + p * v_stride + c);
                s += t;
                q += t * (hs_load(xs + p * x_stride + c) - pivot);
            }
            for (int j = 0; j < HS_LANES; j++) {
                sum[c + j] += (double)s[j];
                product[c + j] += (double)q[j] + (double)pivot[j] * (double)s[j];
            }
        }
        for (; c < channels; c++) {
            float s = 0, q = 0;
            for (int64_t p = 0; p < run; p++) {
                s += vs[p * v_stride + c];
                q += vs[p * v_stride + c] * (xs[p * x_stride + c] - xs[c]);
            }
            sum[c] += (double)s;
            product[c] += (double)q + (double)xs[c] * (double)s;
        }
    }
}

/* d/dz of z sigma(z): sigma (1 + z (1 - sigma)). */
HS_INLINE hs_vec hs_silu_slope(hs_vec z) {
    hs_vec s = 1.0f / (1.0f + hs_exp(-z));
    return s * (1.0f + z * (1.0f - s));
}

/* Not inlined: which of GELU's two products is fused with the sum would hang on what is
 * around it, and slopes that are kept would not be the same bits as others. */
__attribute__((noinline)) static float hs_scalar_slope(float z, hs_kernel_act act) {
    float s = 1.0f / (1.0f + expf(-z));
    switch (act) {
    case HS_ACT_SILU: return s * (1.0f + z * (1.0f - s));
    case HS_ACT_MISH: {
        float t = tanhf(z > 20.0f ? z : log1pf(expf(z)));
        return t + z * s * (1.0f - t * t);
    }
    case HS_ACT_GELU:
        return 0.5f * (1.0f + erff(z * 0.70710678118654752f)) +
               z * 0.3989422804014327f * expf(-0.5f * z * z);
    case HS_ACT_RELU: return z > 0.0f ? 1.0f : 0.0f;
    default: return 1.0f;
    }
}

HS_INLINE void hs_slope_rows(const float *x, int64_t x_stride, const float *v, int64_t v_stride,
                             float *y, int64_t y_stride, int64_t pixels, int channels,
                             const float *a, const float *b, const float *alpha, const float *beta,
                             const float *delta, hs_kernel_act act) {
    for (int64_t p = 0; p < pixels; p++, x += x_stride, y += y_stride) {
        const float *vs = v ? v + p * v_stride : NULL;
        int c = 0;
        for (; c + HS_LANES <= channels; c += HS_LANES) {
            hs_vec xs = hs_load(x + c), t = xs * hs_load(beta + c) + hs_load(delta + c);
            if (vs)
                t += hs_load(vs + c) * hs_load(alpha + c);
            if (act != HS_ACT_NONE) {
                hs_vec z = xs * hs_load(a + c) + hs_load(b + c);
                if (act == HS_ACT_SILU)
                    t *= hs_silu_slope(z);
                else
                    for (int j = 0; j < HS_LANES; j++)
                        t[j] *= hs_scalar_slope(z[j], act);
            }
            hs_store(y + c, t);
        }
        for (; c < channels; c++) {
            float t = x[c] * beta[c] + delta[c] + (vs ? vs[c] * alpha[c] : 0.0f);
            y[c] = act == HS_ACT_NONE ? t : t * hs_scalar_slope(x[c] * a[c] + b[c], act);
        }
    }
}

void HS_KERNEL(hs_slope_affine)(const float *x, int64_t x_stride, const float *v, int64_t v_stride,
                                float *y, int64_t y_stride, int64_t pixels, int channels,
                                const float *a, const float *b, const float *alpha,
                                const float *beta, const float *delta, hs_kernel_act act) {
    switch (act) { /* constants, so that the inner loop does not ask */
    case HS_ACT_NONE:
        hs_slope_rows(x, x_stride, v, v_stride, y, y_stride, pixels, channels, a, b, alpha, beta,
                      delta, HS_ACT_NONE);
        break;
    case HS_ACT_SILU:
        hs_slope_rows(x, x_stride, v, v_stride, y, y_stride, pixels, channels, a, b, alpha, beta,
                      delta, HS_ACT_SILU);
        break;
    default:
        hs_slope_rows(x, x_stride, v, v_stride, y, y_stride, pixels, channels, a, b, alpha, beta,
                      delta, act);
    }
}

HS_INLINE void hs_times_rows(const float *x, int64_t x_stride, const float *v, int64_t v_stride,
                             const float *by, int64_t by_stride, float *y, int64_t y_stride,
                             int64_t pixels, int channels, const float *alpha, const float *beta,
                             const float *delta, bool with_x, bool with_v) {
    for (int64_t p = 0; p < pixels; p++) {
        const float *xs = x + p * x_stride, *vs = with_v ? v + p * v_stride : NULL;
        const float *s = by + p * by_stride;
        float *ys = y + p * y_stride;
        int c = 0;
        for (; c + HS_LANES <= channels; c += HS_LANES) {
            hs_vec t = {0};
            if (with_x)
                t = hs_load(xs + c) * hs_load(beta + c) + hs_load(delta + c);
            if (with_v)
                t += hs_load(vs + c) * hs_load(alpha + c);
            hs_store(ys + c, t * hs_load(s + c));
        }
        for (; c < channels; c++) {
            float t = with_x ? xs[c] * beta[c] + delta[c] : 0.0f;
            ys[c] = (t + (with_v ? vs[c] * alpha[c] : 0.0f)) * s[c];
        }
    }
}

void HS_KERNEL(hs_affine_times)(const float *x, int64_t x_stride, const float *v, int64_t v_stride,
                                const float *by, int64_t by_stride, float *y, int64_t y_stride,
                                int64_t pixels, int channels, const float *alpha, const float *beta,
                                const float *delta) {
    if (!x)
        hs_times_rows(x, x_stride, v, v_stride, by, by_stride, y, y_stride, pixels, channels, alpha,
                      beta, delta, false, true);
    else
        hs_times_rows(x, x_stride, v, v_stride, by, by_stride, y, y_stride, pixels, channels, alpha,
                      beta, delta, true, v != NULL);
}
