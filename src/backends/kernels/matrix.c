/* Small matrix products and softmax: time embedding and attention. */
#include <math.h>

#include "backends/kernels/simd.h"

void HS_KERNEL(hs_linear)(const float *x, int64_t x_stride, int n, int in, const float *w,
                          const float *bias, int rows, float *y, int64_t y_stride);
void HS_KERNEL(hs_gemm)(int m, int n, int k, const float *a, int64_t lda, const float *b,
                        int64_t ldb, float *c, int64_t ldc);
void HS_KERNEL(hs_softmax)(float *x, int rows, int columns, float scale);

HS_INLINE float hs_dot(const float *a, const float *b, int count) {
    hs_v16 s0 = {0}, s1 = {0};
    int i = 0;
    for (; i + 32 <= count; i += 32) {
        s0 += hs_load(a + i) * hs_load(b + i);
        s1 += hs_load(a + i + 16) * hs_load(b + i + 16);
    }
    float sum = hs_sum16(s0 + s1);
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

/* A tile of `m` rows and 16 * `nv` columns; both are constants where it is
 * inlined, so the accumulators stay in registers. */
HS_INLINE void hs_gemm_tile(int m, int nv, int k, const float *a, int64_t lda, const float *b,
                            int64_t ldb, float *c, int64_t ldc) {
    hs_v16 sum[8][2];
    for (int i = 0; i < m; i++)
        for (int j = 0; j < nv; j++)
            sum[i][j] = (hs_v16){0};
    for (int p = 0; p < k; p++) {
        hs_v16 column[2];
        for (int j = 0; j < nv; j++)
            column[j] = hs_load(b + p * ldb + 16 * j);
        for (int i = 0; i < m; i++)
            for (int j = 0; j < nv; j++)
                sum[i][j] += a[i * lda + p] * column[j];
    }
    for (int i = 0; i < m; i++)
        for (int j = 0; j < nv; j++)
            hs_store(c + i * ldc + 16 * j, sum[i][j]);
}

HS_INLINE void hs_gemm_rows(int m, int n, int k, const float *a, int64_t lda, const float *b,
                            int64_t ldb, float *c, int64_t ldc) {
    int j = 0;
    for (; j + 32 <= n; j += 32)
        hs_gemm_tile(m, 2, k, a, lda, b + j, ldb, c + j, ldc);
    for (; j + 16 <= n; j += 16)
        hs_gemm_tile(m, 1, k, a, lda, b + j, ldb, c + j, ldc);
    for (; j < n; j++)
        for (int i = 0; i < m; i++) {
            float sum = 0;
            for (int p = 0; p < k; p++)
                sum += a[i * lda + p] * b[p * ldb + j];
            c[i * ldc + j] = sum;
        }
}

void HS_KERNEL(hs_gemm)(int m, int n, int k, const float *a, int64_t lda, const float *b,
                        int64_t ldb, float *c, int64_t ldc) {
    int i = 0;
    for (; i + 8 <= m; i += 8)
        hs_gemm_rows(8, n, k, a + i * lda, lda, b, ldb, c + i * ldc, ldc);
    for (; i < m; i++)
        hs_gemm_rows(1, n, k, a + i * lda, lda, b, ldb, c + i * ldc, ldc);
}

void HS_KERNEL(hs_softmax)(float *x, int rows, int columns, float scale) {
    for (int r = 0; r < rows; r++) {
        float *row = x + (int64_t)r * columns;
        float top = row[0];
        for (int c = 1; c < columns; c++)
            top = row[c] > top ? row[c] : top;
        hs_v16 sums = {0};
        int c = 0;
        for (; c + 16 <= columns; c += 16) {
            hs_v16 e = hs_exp((hs_load(row + c) - top) * scale);
            hs_store(row + c, e);
            sums += e;
        }
        float sum = hs_sum16(sums);
        for (; c < columns; c++) {
            row[c] = expf((row[c] - top) * scale);
            sum += row[c];
        }
        float inverse = 1.0f / sum;
        for (c = 0; c < columns; c++)
            row[c] *= inverse;
    }
}
