/*
 * The inner loops that hspace writes itself: one table of functions for each
 * instruction set, chosen at run time. Feature maps are nhwc: a pixel's
 * channels are contiguous. Every function is plain sequential code on one
 * task's share; none allocates.
 *
 * The sources beside this file are compiled once for each instruction set,
 * with HS_ISA as the suffix of their names (sources.cmake).
 */
#ifndef HS_BACKENDS_KERNELS_H
#define HS_BACKENDS_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/kernels/conv_fixed.h"
#include "backends/kernels/winograd.h"

typedef enum hs_kernel_act {
    HS_ACT_NONE,
    HS_ACT_SILU,
    HS_ACT_SILU_ROUNDED, /* within 4e-6 of itself, for what is rounded next anyway */
    HS_ACT_MISH,
    HS_ACT_GELU,
    HS_ACT_RELU
} hs_kernel_act;

/* A row of a convolution of few channels: pixel i, channel o of the result is the sum over r < rows
 * and k < columns of x[r * x_row + i * step + k] weights[(r * columns + k) * out_c + o]. */
typedef struct hs_narrow_conv {
    int rows, columns; /* of the kernel: its height; its width times the input's channels */
    int pixels, out_c; /* of the result */
    int step;          /* stride times the input's channels */
    int64_t x_row;
    const float *weights, *bias; /* [rows][columns][out_c]; [out_c] or NULL */
} hs_narrow_conv;

typedef struct hs_kernels {
    const char *isa; /* one of hs_kernel_isas */
    bool bf16;       /* it multiplies pairs of bf16 */
    bool fixed;      /* where rounding is allowed, factors of 16 bits win (winograd_fixed.c) */
    bool matrices;   /* it multiplies matrices of bf16: tile 1 is the fast one (winograd.h) */

    /* sum[c] += x[p,c], sumsq[c] += x[p,c]^2 over `pixels`, in double.
     * x [pixels, channels]. */
    void (*channel_sums)(const float *x, int64_t pixels, int channels, double *sum, double *sumsq);

    /* y[p * y_stride + j] = act(a[j] * x[p,j] + b[j]), j < channels. x dense;
     * x == y is allowed when y_stride == channels. */
    void (*affine_act)(const float *x, float *y, int64_t pixels, int channels, int64_t y_stride,
                       const float *a, const float *b, hs_kernel_act act);

    /* sum[c] += v[p,c], product[c] += v[p,c] x[p,c]; float inside a run of 32
     * pixels, of differences of x from its first one, double across runs. v and x have
     * strides of their own between pixels. */
    void (*dot_sums)(const float *v, int64_t v_stride, const float *x, int64_t x_stride,
                     int64_t pixels, int channels, double *sum, double *product);

    /* y[p,c] = slope(a[c] x[p,c] + b[c]) * (alpha[c] v[p,c] + beta[c] x[p,c] + delta[c])
     * with slope = act', 1 for HS_ACT_NONE; v may be NULL for zero. v == y is
     * allowed when their strides are equal. */
    void (*slope_affine)(const float *x, int64_t x_stride, const float *v, int64_t v_stride,
                         float *y, int64_t y_stride, int64_t pixels, int channels, const float *a,
                         const float *b, const float *alpha, const float *beta, const float *delta,
                         hs_kernel_act act);

    /* y[p,c] = by[p,c] (alpha[c] v[p,c] + beta[c] x[p,c] + delta[c]), slope_affine with
     * slopes that are there. x NULL: no beta and no delta; v may be NULL for zero.
     * v == y is allowed when their strides are equal. */
    void (*affine_times)(const float *x, int64_t x_stride, const float *v, int64_t v_stride,
                         const float *by, int64_t by_stride, float *y, int64_t y_stride,
                         int64_t pixels, int channels, const float *alpha, const float *beta,
                         const float *delta);

    /* y[i,r] = bias[r] + sum_k w[r,k] x[i,k] for i < n, r < rows. bias may be NULL. */
    void (*linear)(const float *x, int64_t x_stride, int n, int in, const float *w,
                   const float *bias, int rows, float *y, int64_t y_stride);

    /* c[m,n] = a[m,k] b[k,n], all row-major with leading dimensions. */
    void (*gemm)(int m, int n, int k, const float *a, int64_t lda, const float *b, int64_t ldb,
                 float *c, int64_t ldc);

    /* x[r] = softmax(scale * x[r]) for each row of [rows, columns], in place. */
    void (*softmax)(float *x, int rows, int columns, float scale);

    /* y[pixels,out_c] = c(x) + bias + residual, in double until it is stored. x: rows with
     * what pads them. residual lies like y, and may be y or NULL. */
    void (*narrow_conv)(const hs_narrow_conv *c, const double *x, const float *residual, float *y);

    /* Convolution 3x3, by Winograd's method or tap by tap: winograd.h; others with fixed
     * factors: conv_fixed.h. */
    hs_winograd_make *winograd_make;
    hs_winograd_weights *winograd_weights;
    hs_winograd_load *winograd_load;
    hs_winograd_run *winograd_run;
    hs_conv_fixed_make *conv_fixed_make;
    hs_conv_fixed_run *conv_fixed_run;
} hs_kernels;

/* Names of all tables, the best first. */
#define HS_KERNEL_ISAS 7
extern const char *const hs_kernel_isas[HS_KERNEL_ISAS];

/* The best table that this CPU runs. */
const hs_kernels *hs_kernels_get(void);

/* Tables by name, for tests; NULL if not built in or not run by this CPU. */
const hs_kernels *hs_kernels_named(const char *isa);

#endif
