/* The table of one instruction set. */
#include "backends/kernels/winograd_parts.h"

#define HS_STRING_(x) #x
#define HS_STRING(x) HS_STRING_(x)

void HS_KERNEL(hs_channel_sums)(const float *x, int64_t pixels, int channels, double *sum,
                                double *sumsq);
void HS_KERNEL(hs_affine_act)(const float *x, float *y, int64_t pixels, int channels,
                              int64_t y_stride, const float *a, const float *b, hs_kernel_act act);
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
void HS_KERNEL(hs_linear)(const float *x, int64_t x_stride, int n, int in, const float *w,
                          const float *bias, int rows, float *y, int64_t y_stride);
void HS_KERNEL(hs_gemm)(int m, int n, int k, const float *a, int64_t lda, const float *b,
                        int64_t ldb, float *c, int64_t ldc);
void HS_KERNEL(hs_softmax)(float *x, int rows, int columns, float scale);
void HS_KERNEL(hs_narrow_conv)(const hs_narrow_conv *c, const double *x, const float *residual,
                               float *y);
extern const hs_kernels HS_KERNEL(hs_kernels);

const hs_kernels HS_KERNEL(hs_kernels) = {
    .isa = HS_STRING(HS_ISA),
    .bf16 = HS_WINO_PAIRS,
    .fixed = HS_WINO_FIXED,
#if defined(__AMX_BF16__)
    .matrices = true,
#endif
    .channel_sums = HS_KERNEL(hs_channel_sums),
    .affine_act = HS_KERNEL(hs_affine_act),
    .dot_sums = HS_KERNEL(hs_dot_sums),
    .slope_affine = HS_KERNEL(hs_slope_affine),
    .affine_times = HS_KERNEL(hs_affine_times),
    .linear = HS_KERNEL(hs_linear),
    .gemm = HS_KERNEL(hs_gemm),
    .softmax = HS_KERNEL(hs_softmax),
    .narrow_conv = HS_KERNEL(hs_narrow_conv),
    .winograd_make = HS_KERNEL(hs_winograd_make),
    .winograd_weights = HS_KERNEL(hs_winograd_weights),
    .winograd_load = HS_KERNEL(hs_winograd_load),
    .winograd_run = HS_KERNEL(hs_winograd_run),
    .conv_fixed_make = HS_KERNEL(hs_conv_fixed_make),
    .conv_fixed_run = HS_KERNEL(hs_conv_fixed_run),
};
