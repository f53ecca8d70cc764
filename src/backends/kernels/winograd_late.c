/*
 * The products of the Winograd convolution where tiles are so few that reading U, four times the
 * weights, would take longer than using it: U is made of plain weights in registers, a row of
 * positions at a time, for all tiles of a group. For four tiles, an input and a register of
 * outputs these are 72 operations beside 144 multiply-adds, and nine registers that come from far
 * away in place of 36. Of tile 4 and float32 only. Where there are but 16 registers sums are
 * spilled.
 */
#include "backends/kernels/winograd_parts.h"

/* M of row y of positions, LANES outputs from `lane` on; `rows` and `y` are constants where this is
 * inlined. */
HS_INLINE void hs_winograd_late_sums(int rows, int y, const hs_winograd_late_chain *c, int lane) {
    hs_vec sum[6][HS_WINO_LATE_ROWS];
#pragma GCC unroll 6
    for (int x = 0; x < 6; x++)
#pragma GCC unroll 4
        for (int i = 0; i < rows; i++)
            sum[x][i] = (hs_vec){0};
    const float *v = c->v + 6 * y * rows * HS_WINO_CHUNK, *taps = c->taps + lane;
    /* Each row and register asks for one of the taps, the last ones for the next channel's. */
    const float *next = c->next + (y * HS_WINO_VECTORS + lane / HS_LANES) * HS_WINO_PANEL;
    for (int chunk = 0; chunk < c->chunks; chunk++, v += (36 * rows - 1) * HS_WINO_CHUNK)
#pragma GCC unroll 1
        for (int k = 0; k < HS_WINO_CHUNK; k++, v++, taps += 9 * HS_WINO_PANEL) {
            hs_vec half[3], u[6];
            for (int line = 0; line < HS_WINO_PANEL; line += 16)
                __builtin_prefetch(next + line, 0, 2);
            next += 9 * HS_WINO_PANEL;
#pragma GCC unroll 3
            for (int x = 0; x < 3; x++)
                half[x] = hs_winograd_bare_row(y, hs_load(taps + x * HS_WINO_PANEL),
                                               hs_load(taps + (3 + x) * HS_WINO_PANEL),
                                               hs_load(taps + (6 + x) * HS_WINO_PANEL));
            hs_winograd_bare_rows(half[0], half[1], half[2], u);
#pragma GCC unroll 6
            for (int x = 0; x < 6; x++)
#pragma GCC unroll 4
                for (int i = 0; i < rows; i++)
                    sum[x][i] += hs_set1(v[(x * rows + i) * HS_WINO_CHUNK]) * u[x];
        }
    float *m = c->m + 6 * y * c->m_stride + lane;
#pragma GCC unroll 6
    for (int x = 0; x < 6; x++)
#pragma GCC unroll 4
        for (int i = 0; i < rows; i++) {
            float *to = m + x * c->m_stride + i * HS_WINO_PANEL;
            if (c->more)
                sum[x][i] += hs_load(to);
            hs_store(to, sum[x][i]);
        }
}

HS_INLINE void hs_winograd_late_rows(int rows, const hs_winograd_late_chain *c) {
#define HS_ROW(y)                                                                                  \
    for (int lane = 0; lane < HS_WINO_PANEL; lane += HS_LANES)                                     \
        hs_winograd_late_sums(rows, y, c, lane);
    HS_ROW(0) HS_ROW(1) HS_ROW(2) HS_ROW(3) HS_ROW(4) HS_ROW(5)
}

void HS_KERNEL(hs_winograd_late)(int rows, const hs_winograd_late_chain *c) {
    switch (rows) {
        HS_WINO_CASE(4, hs_winograd_late_rows, c)
        HS_WINO_CASE(3, hs_winograd_late_rows, c)
        HS_WINO_CASE(2, hs_winograd_late_rows, c)
    default: hs_winograd_late_rows(1, c);
    }
}
