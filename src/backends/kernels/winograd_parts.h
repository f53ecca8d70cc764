/* What the files of the Winograd convolution share; compiled once for each
 * instruction set. */
#ifndef HS_BACKENDS_WINOGRAD_PARTS_H
#define HS_BACKENDS_WINOGRAD_PARTS_H

#include "backends/kernels/simd.h"

/*
 * The shape of the innermost product: ROWS tiles by VECTORS registers of output channels, which
 * with the VECTORS of weights and one broadcast just fill the register file.
 */
#if defined(__AVX512F__)
#define HS_WINO_VECTORS 2
#define HS_WINO_ROWS 14
#elif defined(__AVX2__)
#define HS_WINO_VECTORS 2
#define HS_WINO_ROWS 6
#elif defined(__aarch64__)
#define HS_WINO_VECTORS 4
#define HS_WINO_ROWS 6
#else
#define HS_WINO_VECTORS 4
#define HS_WINO_ROWS 2
#endif
#define HS_WINO_PANEL (HS_LANES * HS_WINO_VECTORS)
#define HS_WINO_LATE_ROWS 4 /* tiles of a group where U is made late */
/* The points of interpolation for tiles of 4: 0, +-HS_A, +-HS_B, infinity. */
#define HS_A 0.625f
#define HS_B 1.5f
#define HS_A2 (HS_A * HS_A)
#define HS_B2 (HS_B * HS_B)
#define HS_P (HS_A2 + HS_B2)
#define HS_Q (HS_A2 * HS_B2)
/* For tiles of 6: 0, infinity and these with both signs; then the sums of products of one,
 * two and three of their squares. */
#define HS_POINTS_6                                                                                \
    { 0.5f, 1.0f, 2.0f }
#define HS_6_1 (0.25f + 1.0f + 4.0f)
#define HS_6_2 (0.25f * 1.0f + 0.25f * 4.0f + 1.0f * 4.0f)
#define HS_6_3 (0.25f * 1.0f * 4.0f)

#define HS_WINO_CHUNK 16 /* channels that lie together in V */
/* Two channels that lie side by side as bf16 fill a float's place: the lower one in its
 * lower half. U is kept so. V is, where the processor multiplies such pairs; elsewhere it
 * stays float32 of rounded values, since widening it for every product would cost more
 * than its memory is worth. */
#if defined(__AVX512BF16__)
#define HS_WINO_PAIRS true
#else
#define HS_WINO_PAIRS false
#endif

/* A sum over many channels is a sum of sums over so many chunks each: less rounding, and
 * these weights stay in the first-level cache from one group of tiles to the next. Of
 * integers, lest they overflow, fewer. */
#define HS_WINO_CHAIN 16
#define HS_WINO_FIXED_CHAIN 8
#define HS_WINO_FIXED_MOST 1e30f /* larger pixels count as not finite */

/* Fixed factors are faster than float32, and no worse than what else there is: with AVX2 by
 * two instructions for two products, with VNNI by one. (With AVX-512 without VNNI the two
 * share their ports, so nothing is gained. VNNI's products are as fast as those of bf16, but
 * exact enough for tile 6, and 1x1 and norms while loading come along.) */
#if defined(__AVX512F__)
#define HS_WINO_FIXED (!HS_WINO_PAIRS && HS_WINO_VNNI)
#elif defined(__AVX2__)
#define HS_WINO_FIXED true
#else
#define HS_WINO_FIXED false
#endif
#if defined(__AVX512VNNI__)
#define HS_WINO_VNNI true
#else
#define HS_WINO_VNNI false
#endif

HS_INLINE int hs_winograd_ceil(int64_t a, int64_t b) {
    return (int)((a + b - 1) / b);
}

/* Floats of U of a panel at one position: of `chunks` chunks, with their scales. */
HS_INLINE int64_t hs_winograd_u_floats(const hs_winograd_plan *plan, int chunks) {
    return chunks * plan->u_chunk + hs_winograd_ceil(chunks, plan->chain) * plan->u_scales;
}

/* A distance between positions, or chunks, that is no multiple of a page: 36 of those
 * would fall into one set of the first-level cache. */
HS_INLINE int64_t hs_winograd_stride(int64_t floats) {
    return (floats + 1023) / 1024 * 1024 + 16;
}

/* Floats of U of `chunks` chunks with fixed factors, and their scales. */
HS_INLINE int64_t hs_winograd_fixed_floats(int chunks) {
    return (int64_t)(chunks * HS_WINO_CHUNK / 2 + hs_winograd_ceil(chunks, HS_WINO_FIXED_CHAIN)) *
           HS_WINO_PANEL;
}

/* The first `count` < LANES floats; the others are 0. */
HS_INLINE hs_vec hs_wino_load_some(const float *x, int count) {
    hs_vec v = {0};
    for (int i = 0; i < HS_LANES; i++)
        if (i < count)
            v[i] = x[i];
    return v;
}

HS_INLINE void hs_wino_store_some(float *x, hs_vec v, int count) {
    for (int i = 0; i < count; i++)
        x[i] = v[i];
}

/* x rounded to the nearest bf16, ties to even, as the float32 that it is. A NaN stays
 * one: adding could carry it to zero. */
HS_INLINE hs_vec hs_wino_round(hs_vec x) {
    hs_uvec bits = (hs_uvec)x, nan = (hs_uvec)(x != x);
    return (hs_vec)(((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000) | (nan & 0x7fc00000));
}

/* A function's body for each number of rows, so that it is a constant there. */
#define HS_WINO_CASE(n, body, ...)                                                                 \
    case n:                                                                                        \
        body(n, __VA_ARGS__);                                                                      \
        return;
#define HS_WINO_6(...)                                                                             \
    HS_WINO_CASE(3, __VA_ARGS__)                                                                   \
    HS_WINO_CASE(4, __VA_ARGS__) HS_WINO_CASE(5, __VA_ARGS__) HS_WINO_CASE(6, __VA_ARGS__)
#define HS_WINO_14(...)                                                                            \
    HS_WINO_6(__VA_ARGS__)                                                                         \
    HS_WINO_CASE(7, __VA_ARGS__)                                                                   \
    HS_WINO_CASE(8, __VA_ARGS__)                                                                   \
    HS_WINO_CASE(9, __VA_ARGS__)                                                                   \
    HS_WINO_CASE(10, __VA_ARGS__)                                                                  \
    HS_WINO_CASE(11, __VA_ARGS__)                                                                  \
    HS_WINO_CASE(12, __VA_ARGS__) HS_WINO_CASE(13, __VA_ARGS__) HS_WINO_CASE(14, __VA_ARGS__)
#if HS_WINO_ROWS == 14
#define HS_WINO_REST(...) HS_WINO_14(__VA_ARGS__)
#elif HS_WINO_ROWS == 6
#define HS_WINO_REST(...) HS_WINO_6(__VA_ARGS__)
#else
#define HS_WINO_REST(...)
#endif
#define HS_WINO_ANY(body, ...)                                                                     \
    switch (rows) {                                                                                \
        HS_WINO_REST(body, __VA_ARGS__)                                                            \
        HS_WINO_CASE(2, body, __VA_ARGS__)                                                         \
    default: body(1, __VA_ARGS__);                                                                 \
    }

/* Weights that are asked for on the way, since they come from the third-level cache or
 * from memory: a panel's row of them from `next` on, and again `step` bytes further. */
typedef struct hs_winograd_ahead {
    uintptr_t next;
    uintptr_t step;
} hs_winograd_ahead;

/* Rows of weights whose products are written out: what counts a loop and asks ahead takes issue
 * slots, which a busy sibling thread of the core leaves scarce (there 1.05 to 1.2 times as fast).
 */
#define HS_WINO_UNROLL 8

/* Ask for what a product of UNROLL rows is to ask for; what comes after it. */
HS_INLINE uintptr_t hs_winograd_ask(uintptr_t next, const hs_winograd_ahead *ahead) {
    uintptr_t bytes = HS_WINO_UNROLL * ahead->step;
    for (uintptr_t line = 0; line < bytes; line += 64)
        __builtin_prefetch((const void *)(next + line), 0, 2);
    return next + bytes;
}

/*
 * M[rows][PANEL] = V[chunks][rows][CHUNK] U[chunks * CHUNK][PANEL] for one
 * position, or += with `more`; 1 <= rows <= ROWS. Each result is one chain over
 * c in order, then added, so it does not depend on `rows`.
 */
void HS_KERNEL(hs_winograd_product)(int rows, int chunks, const float *v, const float *u, float *m,
                                    bool more, const hs_winograd_ahead *ahead);
/* The same for bf16 factors: u, and v with HS_WINO_PAIRS, are [CHUNK / 2] pairs a chunk. */
void HS_KERNEL(hs_winograd_product_bf16)(int rows, int chunks, const float *v, const float *u,
                                         float *m, bool more, const hs_winograd_ahead *ahead);

/*
 * B^T d B of one tile for channels [0, channels) of one part. pixel[y * alpha
 * + x] are the part's pixels, or zeros. Channel c of position e goes to
 * v[e * v_stride + (c / CHUNK) * chunk_stride + c % CHUNK]; channels up to the
 * next multiple of CHUNK become 0. With bf16 they are rounded, and lie in pairs with
 * HS_WINO_PAIRS.
 */
void HS_KERNEL(hs_winograd_input)(int tile, bool bf16, const float *const *pixel, int channels,
                                  float *v, int64_t v_stride, int64_t chunk_stride);

/* Tiles of one part, at most ROWS, that are loaded together with fixed factors. */
typedef struct hs_winograd_near {
    int tile, count, channels;
    const float *pixel[HS_WINO_ROWS][64]; /* of each [y * alpha + x]; NULL: outside the image */
    bool beside[HS_WINO_ROWS];            /* right of the tile before */
    const float *scale[HS_WINO_ROWS];     /* [channels]: pixels are read as scale x + shift, */
    const float *shift[HS_WINO_ROWS];     /* [SiLU]; NULL: as they are */
    bool silu;
    float *edge; /* scratch: 2 alpha floats for each channel, filled up to 16 */
} hs_winograd_near;

/* Their V, [chunks][count][CHUNK / 2] pairs at the first position, and their scales. */
void HS_KERNEL(hs_winograd_load_near)(const hs_winograd_near *near, float *scales, float *v,
                                      int64_t v_stride);

/* B^T d B of one chunk of a tile, [alpha][alpha][CHUNK], each position times its factor, as
 * integers. */
void HS_KERNEL(hs_winograd_input_fixed)(int tile, const float *pixels, const float *factors,
                                        float *v, int64_t v_stride);

/* The larger one of each lane. */
HS_INLINE hs_ivec hs_max_bits(hs_ivec a, hs_ivec b) {
#if defined(__AVX512F__)
    return (hs_ivec)_mm512_max_epi32((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    return (hs_ivec)_mm256_max_epi32((__m256i)a, (__m256i)b);
#else
    hs_ivec more = b > a;
    return (b & more) | (a & ~more);
#endif
}

/* The scale of pixels whose sizes are `largest` at most, and by what to multiply each position
 * (tile 0: of one pixel). */
float HS_KERNEL(hs_winograd_scale)(int tile, float largest, float *factors);
/* The largest |x| of all channels of a pixel; not finite if any is not. */
float HS_KERNEL(hs_winograd_largest)(const float *pixel, int channels);
/* x [count][CHUNK] as integers to where V lies, each row times its factor, which are `step`
 * floats apart. */
void HS_KERNEL(hs_winograd_fix_chunks)(int count, const float *x, const float *factors, int step,
                                       float *v, int64_t v_stride);
/* M from fixed factors; `scales` of V, of these tiles. */
void HS_KERNEL(hs_winograd_product_fixed)(int rows, int chunks, const float *v, const float *u,
                                          const float *scales, float *m, bool more,
                                          const hs_winograd_ahead *ahead);
void HS_KERNEL(hs_winograd_weights_fixed)(const hs_winograd_kernel *kernel, int panel,
                                          float *packed);

/* G of the tile, [tile + 2][3]: winograd_weights.c. */
typedef double hs_winograd_row[3];
const hs_winograd_row *HS_KERNEL(hs_winograd_g_of)(int tile);

/* Of x = (x0, x1, x2) row i of tile 4's G without its divisors, (1, t, t^2) and (0, 0, 1), and all
 * six of them, y. The same bits wherever U is made. */
HS_INLINE hs_vec hs_winograd_bare_row(int i, hs_vec x0, hs_vec x1, hs_vec x2) {
    const float t = (i < 3 ? HS_A : HS_B) * (i % 2 ? 1 : -1);
    if (i == 0 || i == 5)
        return i ? x2 : x0;
    return hs_multiply_add(hs_multiply_add(x2, hs_set1(t), x1), hs_set1(t), x0);
}

HS_INLINE void hs_winograd_bare_rows(hs_vec x0, hs_vec x1, hs_vec x2, hs_vec *y) {
    hs_vec a = hs_multiply_add(x2, hs_set1(HS_A2), x0), odd_a = HS_A * x1;
    hs_vec b = hs_multiply_add(x2, hs_set1(HS_B2), x0), odd_b = HS_B * x1;
    HS_KEEP(odd_a);
    HS_KEEP(odd_b);
    y[0] = x0;
    y[1] = a + odd_a;
    y[2] = a - odd_a;
    y[3] = b + odd_b;
    y[4] = b - odd_b;
    y[5] = x2;
}

/*
 * M[36][rows][PANEL] = V[chunks][36][rows][CHUNK] U, or += with `more`, where U is made on the way:
 * tile 4, float32, 1 <= rows <= LATE_ROWS. Each result is the same bits as by
 * hs_winograd_product.
 */
typedef struct hs_winograd_late_chain {
    int chunks;
    const float *v;
    const float *taps; /* [chunks * CHUNK][9][PANEL] */
    const float *next; /* those that are used next, to be asked for */
    float *m;
    int64_t m_stride;
    bool more;
} hs_winograd_late_chain;
void HS_KERNEL(hs_winograd_late)(int rows, const hs_winograd_late_chain *c);

/* The taps of channels [first, first + count) and a panel's outputs, filled up with zeros to whole
 * panels and chunks: taps[c][tap][output]. */
typedef float hs_winograd_tap_lanes[9][HS_WINO_PANEL];
void HS_KERNEL(hs_winograd_taps)(const hs_winograd_kernel *kernel, int panel, int first, int count,
                                 hs_winograd_tap_lanes *taps);

/*
 * A^T M A of one tile and `count` <= PANEL channels, plus bias and residual
 * (NULL: none), into rows x columns pixels of dst, `row` and `pixel` floats
 * apart. residual lies like dst. Their sums, and those of the squares of what they differ by
 * from their mean, go to `sums` and `squares`, unless these are NULL.
 */
typedef struct hs_winograd_output_tile {
    const float *m;
    int64_t m_stride;
    const float *bias, *residual;
    float *dst, *sums, *squares;
    int64_t row, pixel;
    int rows, columns, count;
    bool bare; /* with tile 4: U was made without G's divisors */
} hs_winograd_output_tile;
void HS_KERNEL(hs_winograd_output)(int tile, const hs_winograd_output_tile *t);

/* The functions of the table for tile 1: taps.c. */
hs_winograd_make HS_KERNEL(hs_taps_make);
hs_winograd_weights HS_KERNEL(hs_taps_weights);
void HS_KERNEL(hs_taps_load)(const hs_winograd_plan *plan, int task, const hs_winograd_item *item);
void HS_KERNEL(hs_taps_run)(const hs_winograd_plan *plan, int task, const hs_winograd_item *item,
                            float *scratch);

/* The functions of the table. */
hs_winograd_make HS_KERNEL(hs_winograd_make);
hs_winograd_weights HS_KERNEL(hs_winograd_weights);
hs_winograd_load HS_KERNEL(hs_winograd_load);
hs_winograd_run HS_KERNEL(hs_winograd_run);
hs_conv_fixed_make HS_KERNEL(hs_conv_fixed_make);
hs_conv_fixed_run HS_KERNEL(hs_conv_fixed_run);

#endif
