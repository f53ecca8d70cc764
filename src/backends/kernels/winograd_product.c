/* The products of the Winograd convolution: a block of tiles by a panel of
 * output channels, at one position. */
#include "backends/kernels/winograd_parts.h"

typedef hs_vec hs_winograd_sums[HS_WINO_ROWS][HS_WINO_VECTORS];

HS_INLINE void hs_winograd_put_sums(int rows, hs_winograd_sums sum, float *m, bool more) {
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int j = 0; j < HS_WINO_VECTORS; j++) {
            float *to = m + i * HS_WINO_PANEL + j * HS_LANES;
            if (more)
                sum[i][j] += hs_load(to);
            hs_store(to, sum[i][j]);
        }
}

/* `rows` is a constant where this is inlined, so the sums stay in registers. */
HS_INLINE void hs_winograd_rows(int rows, int chunks, const float *v, const float *u, float *m,
                                bool more, const hs_winograd_ahead *ahead) {
    hs_vec sum[HS_WINO_ROWS][HS_WINO_VECTORS];
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int j = 0; j < HS_WINO_VECTORS; j++)
            sum[i][j] = (hs_vec){0};
    uintptr_t next = ahead->next;
#pragma GCC unroll 1
    for (int c = 0; c < chunks * HS_WINO_CHUNK; c += HS_WINO_UNROLL) {
        const float *x = v + c / HS_WINO_CHUNK * rows * HS_WINO_CHUNK + c % HS_WINO_CHUNK;
        next = hs_winograd_ask(next, ahead);
#pragma GCC unroll 8
        for (int k = 0; k < HS_WINO_UNROLL; k++, u += HS_WINO_PANEL) {
            hs_vec w[HS_WINO_VECTORS];
#pragma GCC unroll 4
            for (int j = 0; j < HS_WINO_VECTORS; j++)
                w[j] = hs_load(u + j * HS_LANES);
#pragma GCC unroll 16
            for (int i = 0; i < rows; i++) {
                hs_vec y = x[i * HS_WINO_CHUNK + k] - (hs_vec){0};
                HS_KEEP(y);
#pragma GCC unroll 4
                for (int j = 0; j < HS_WINO_VECTORS; j++)
                    sum[i][j] += y * w[j];
            }
        }
    }
    hs_winograd_put_sums(rows, sum, m, more);
}

/* Two channels of a pair after each other, or at once where the processor can. */
HS_INLINE void hs_winograd_pair(int rows, int c, const float *v, const hs_uvec *pairs,
                                hs_winograd_sums sum) {
#if defined(__AVX512BF16__)
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) {
        hs_vec x = hs_set1(v[i * (HS_WINO_CHUNK / 2) + c / 2]);
        HS_KEEP(x);
#pragma GCC unroll 4
        for (int j = 0; j < HS_WINO_VECTORS; j++)
            sum[i][j] =
                (hs_vec)_mm512_dpbf16_ps((__m512)sum[i][j], (__m512bh)x, (__m512bh)pairs[j]);
    }
#else
#pragma GCC unroll 2
    for (int half = 0; half < 2; half++) {
        hs_vec w[HS_WINO_VECTORS];
#pragma GCC unroll 4
        for (int j = 0; j < HS_WINO_VECTORS; j++)
            w[j] = half ? (hs_vec)(pairs[j] & 0xffff0000) : (hs_vec)(pairs[j] << 16);
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            hs_vec x = hs_set1(v[i * HS_WINO_CHUNK + c + half]);
            HS_KEEP(x);
#pragma GCC unroll 4
            for (int j = 0; j < HS_WINO_VECTORS; j++)
                sum[i][j] += x * w[j];
        }
    }
#endif
}

HS_INLINE void hs_winograd_rows_bf16(int rows, int chunks, const float *v, const float *u, float *m,
                                     bool more, const hs_winograd_ahead *ahead) {
    hs_winograd_sums sum;
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int j = 0; j < HS_WINO_VECTORS; j++)
            sum[i][j] = (hs_vec){0};
    const int v_chunk = HS_WINO_PAIRS ? HS_WINO_CHUNK / 2 : HS_WINO_CHUNK;
    uintptr_t next = ahead->next;
    for (int chunk = 0; chunk < chunks; chunk++, v += rows * v_chunk) {
        next = hs_winograd_ask(next, ahead);
#pragma GCC unroll 1
        for (int c = 0; c < HS_WINO_CHUNK; c += 2, u += HS_WINO_PANEL) {
            hs_uvec pairs[HS_WINO_VECTORS];
#pragma GCC unroll 4
            for (int j = 0; j < HS_WINO_VECTORS; j++)
                pairs[j] = (hs_uvec)hs_load(u + j * HS_LANES);
            hs_winograd_pair(rows, c, v, pairs, sum);
        }
    }
    hs_winograd_put_sums(rows, sum, m, more);
}

void HS_KERNEL(hs_winograd_product)(int rows, int chunks, const float *v, const float *u, float *m,
                                    bool more, const hs_winograd_ahead *ahead) {
    HS_WINO_ANY(hs_winograd_rows, chunks, v, u, m, more, ahead)
}

void HS_KERNEL(hs_winograd_product_bf16)(int rows, int chunks, const float *v, const float *u,
                                         float *m, bool more, const hs_winograd_ahead *ahead) {
    HS_WINO_ANY(hs_winograd_rows_bf16, chunks, v, u, m, more, ahead)
}
