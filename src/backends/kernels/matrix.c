/* Small matrix products and softmax: time embedding and attention. */
#include <math.h>

#include "backends/kernels/simd.h"

void HS_KERNEL(hs_linear)(const float *x, int64_t x_stride, int n, int in, const float *w,
                          const float *bias, int rows, float *y, int64_t y_stride);
void HS_KERNEL(hs_gemm)(int m, int n, int k, const float *a, int64_t lda, const float *b,
                        int64_t ldb, float *c, int64_t ldc);
void HS_KERNEL(hs_softmax)(float *x, int rows, int columns, float scale);

HS_INLINE float hs_dot(const float *a, const float *b, int count) {
    hs_vec s0 = {0}, s1 = {0};
    int i = 0;
    for (; i + 2 * HS_LANES <= count; i += 2 * HS_LANES) {
        s0 += hs_load(a + i) * hs_load(b + i);
        s1 += hs_load(a + i + HS_LANES) * hs_load(b + i + HS_LANES);
    }
    float sum = hs_sum(s0 + s1);
    for (; i < count; i++)
        sum += a[i] * b[i];
    return sum;
}

void HS_KERNEL(hs_linear)(const float *x, int64_t x_stride, int n, int in, const float *w,
                          const float *bias, int rows, float *y, int64_t y_stride) {
    for (int r = 0; r < rows; r++)
        for (int i = 0; i < n; i++)
            y[i * y_stride + r] =
                hs_dot(x + i * x_stride, w + (int64_t)r * in, in) + (bias ? bias[r] : 0.0f);
}

/* The innermost product: ROWS by VECTORS registers of results, which with
 * VECTORS of b and a broadcast just fill the register file. */
#define HS_GEMM_VECTORS 2
#if defined(__AVX512F__)
#define HS_GEMM_ROWS 12
#elif defined(__AVX2__) || defined(__aarch64__)
#define HS_GEMM_ROWS 6
#else
#define HS_GEMM_ROWS 4
#endif

/* A tile of `m` rows and `nv` registers of columns; both are constants where it
 * is inlined, so the sums stay in registers. */
HS_INLINE void hs_gemm_tile(int m, int nv, int k, const float *a, int64_t lda, const float *b,
                            int64_t ldb, float *c, int64_t ldc) {
    hs_vec sum[HS_GEMM_ROWS][HS_GEMM_VECTORS];
#pragma GCC unroll 12
    for (int i = 0; i < m; i++)
#pragma GCC unroll 2
        for (int j = 0; j < nv; j++)
            sum[i][j] = (hs_vec){0};
    for (int p = 0; p < k; p++) {
        hs_vec row[HS_GEMM_VECTORS];
#pragma GCC unroll 2
        for (int j = 0; j < nv; j++)
            row[j] = hs_load(b + p * ldb + HS_LANES * j);
#pragma GCC unroll 12
        for (int i = 0; i < m; i++) {
            hs_vec x = hs_set1(a[i * lda + p]);
            HS_KEEP(x);
#pragma GCC unroll 2
            for (int j = 0; j < nv; j++)
                sum[i][j] += x * row[j];
        }
    }
#pragma GCC unroll 12
    for (int i = 0; i < m; i++)
#pragma GCC unroll 2
        for (int j = 0; j < nv; j++)
            hs_store(c + i * ldc + HS_LANES * j, sum[i][j]);
}

HS_INLINE void hs_gemm_rows(int m, int n, int k, const float *a, int64_t lda, const float *b,
                            int64_t ldb, float *c, int64_t ldc) {
    int j = 0;
    for (; j + HS_GEMM_VECTORS * HS_LANES <= n; j += HS_GEMM_VECTORS * HS_LANES)
        hs_gemm_tile(m, HS_GEMM_VECTORS, k, a, lda, b + j, ldb, c + j, ldc);
    for (; j + HS_LANES <= n; j += HS_LANES)
        hs_gemm_tile(m, 1, k, a, lda, b + j, ldb, c + j, ldc);
    for (; j < n; j++)
        for (int i = 0; i < m; i++) {
            float sum = 0;
            for (int p = 0; p < k; p++)
                sum += a[i * lda + p] * b[p * ldb + j];
            c[i * ldc + j] = sum;
        }
}

/* Each result is one chain over k in order, whatever tile it is in. */
void HS_KERNEL(hs_gemm)(int m, int n, int k, const float *a, int64_t lda, const float *b,
                        int64_t ldb, float *c, int64_t ldc) {
    int i = 0;
    for (; i + HS_GEMM_ROWS <= m; i += HS_GEMM_ROWS)
        hs_gemm_rows(HS_GEMM_ROWS, n, k, a + i * lda, lda, b, ldb, c + i * ldc, ldc);
    for (; i + 2 <= m; i += 2)
        hs_gemm_rows(2, n, k, a + i * lda, lda, b, ldb, c + i * ldc, ldc);
    for (; i < m; i++)
        hs_gemm_rows(1, n, k, a + i * lda, lda, b, ldb, c + i * ldc, ldc);
}

void HS_KERNEL(hs_softmax)(float *x, int rows, int columns, float scale) {
    for (int r = 0; r < rows; r++) {
        float *row = x + (int64_t)r * columns;
        float top = row[0];
        for (int c = 1; c < columns; c++)
            top = row[c] > top ? row[c] : top;
        hs_vec sums = {0};
        int c = 0;
        for (; c + HS_LANES <= columns; c += HS_LANES) {
            hs_vec e = hs_exp((hs_load(row + c) - top) * scale);
            hs_store(row + c, e);
            sums += e;
        }
        float sum = hs_sum(sums);
        for (; c < columns; c++) {
            row[c] = expf((row[c] - top) * scale);
            sum += row[c];
        }
        float inverse = 1.0f / sum;
        for (c = 0; c < columns; c++)
            row[c] *= inverse;
    }
}
