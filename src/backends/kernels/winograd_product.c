/* The products of the Winograd convolution: a block of tiles by a panel of
 * output channels, at one position. */
#include "backends/kernels/winograd_parts.h"

/* `rows` is a constant where this is inlined, so the sums stay in registers. */
HS_INLINE void hs_winograd_rows(int rows, int chunks, const float *v, const float *u, float *m,
                                bool more) {
    hs_vec sum[HS_WINO_ROWS][HS_WINO_VECTORS];
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int j = 0; j < HS_WINO_VECTORS; j++)
            sum[i][j] = (hs_vec){0};
    /* The weights of the next position follow: they come from the third-level
     * cache or from memory, and nobody else asks for them early enough. */
    int64_t next = (int64_t)chunks * HS_WINO_CHUNK * HS_WINO_PANEL * 4;
    for (int chunk = 0; chunk < chunks; chunk++, v += rows * HS_WINO_CHUNK)
#pragma GCC unroll 1
        for (int c = 0; c < HS_WINO_CHUNK; c++, u += HS_WINO_PANEL) {
            hs_vec w[HS_WINO_VECTORS];
#pragma GCC unroll 4
            for (int line = 0; line < HS_WINO_PANEL * 4; line += 64)
                __builtin_prefetch((const void *)((uintptr_t)u + (uintptr_t)(next + line)), 0, 2);
#pragma GCC unroll 4
            for (int j = 0; j < HS_WINO_VECTORS; j++)
                w[j] = hs_load(u + j * HS_LANES);
#pragma GCC unroll 16
            for (int i = 0; i < rows; i++) {
                hs_vec x = v[i * HS_WINO_CHUNK + c] - (hs_vec){0};
                HS_KEEP(x);
#pragma GCC unroll 4
                for (int j = 0; j < HS_WINO_VECTORS; j++)
                    sum[i][j] += x * w[j];
            }
        }
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

void HS_KERNEL(hs_winograd_product)(int rows, int chunks, const float *v, const float *u, float *m,
                                    bool more) {
    switch (rows) {
#if HS_WINO_ROWS >= 14
    case 14: hs_winograd_rows(14, chunks, v, u, m, more); break;
    case 13: hs_winograd_rows(13, chunks, v, u, m, more); break;
    case 12: hs_winograd_rows(12, chunks, v, u, m, more); break;
    case 11: hs_winograd_rows(11, chunks, v, u, m, more); break;
    case 10: hs_winograd_rows(10, chunks, v, u, m, more); break;
    case 9: hs_winograd_rows(9, chunks, v, u, m, more); break;
    case 8: hs_winograd_rows(8, chunks, v, u, m, more); break;
    case 7: hs_winograd_rows(7, chunks, v, u, m, more); break;
#endif
#if HS_WINO_ROWS >= 6
    case 6: hs_winograd_rows(6, chunks, v, u, m, more); break;
    case 5: hs_winograd_rows(5, chunks, v, u, m, more); break;
    case 4: hs_winograd_rows(4, chunks, v, u, m, more); break;
    case 3: hs_winograd_rows(3, chunks, v, u, m, more); break;
#endif
    case 2: hs_winograd_rows(2, chunks, v, u, m, more); break;
    default: hs_winograd_rows(1, chunks, v, u, m, more); break;
    }
}
