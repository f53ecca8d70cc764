/*
 * Convolution 3x3, stride 1, padding 1, by Winograd's minimal filtering:
 *
 *   Y = A^T [ sum over c of (G g G^T) * (B^T d B) ] A
 *
 * on tiles of m x m outputs, m = 4 (36 products for 144, four times fewer),
 * m = 2 (16 for 36, with transformed weights less than half as large) or m = 6 (64 for
 * 324, with weights almost twice as large and four times the rounding of m = 4). Lavin
 * and Gray, "Fast algorithms for convolutional neural networks", 2016.
 *
 *   src ----> V [position][tiles][c] ----> M [panel][position][tile][k] ----> dst
 *      input transform    36 (16, 64) products    output transform, bias,
 *      while loading         with U               residual, while storing
 *
 * Where there are many tiles, a task is a band of tile rows of one item and a
 * range of output channels; it walks over blocks of tiles so small that V and M
 * stay in the second-level cache. Where there are few, the weights are what
 * moves: V of a whole item, or of several small ones, is made once, by tasks of
 * their own (load), and each task then takes a range of output channels for all
 * tiles, so that every weight is read once (or for some groups of tiles, where
 * threads are many). The order of every sum depends on the shape alone, so results
 * do not depend on how tasks are cut for a number of threads. Maps are nhwc, dense.
 *
 * U takes four times the memory of the weights. Where tiles are few, reading it is what takes
 * time: it may be made late then, of plain weights for each use (winograd_late.c). With tile 4
 * and float32 U is made without the divisors of G, the products of a point's distances to
 * the others; A^T has them.
 *
 * With tile 1 there are no transforms: sums tap by tap, for processors that multiply
 * matrices of bf16 (taps.c). It needs bf16; positions, blocks and panels are then its own.
 * It also runs kernels of 1x1 and stride 2. It and fixed factors may apply a norm and SiLU
 * to pixels while they load (winograd_load.c).
 *
 * With bf16 the factors of every product, V and U, are rounded to bfloat16 and the
 * products summed in float32, by the processor's own instruction where it has one;
 * pixels, transforms and results stay float32. Fixed factors are integers of 16 bits with a
 * scale (winograd_fixed.c), which processors with AVX2 or VNNI multiply faster than
 * float32; with tile 4 their rounding is that of bf16 without Winograd's method.
 *
 * Points of interpolation for m = 4: 0, +-5/8, +-3/2, infinity, which of a grid
 * of eighths gave the smallest error: 1.1e-6 rms relative for 128 channels,
 * against 2.3e-6 for the usual 0, +-1, +-2 and infinity. For m = 6: 0, +-1/2, +-1, +-2,
 * infinity, with 4.3e-6; the best of the grid has as much. (With bf16 they make an error
 * 5 times that of bf16 factors without Winograd's method, the usual points 11 times.)
 */
#ifndef HS_BACKENDS_WINOGRAD_H
#define HS_BACKENDS_WINOGRAD_H

#include <stdbool.h>
#include <stdint.h>

#define HS_WINOGRAD_PARTS 8
#define HS_WINOGRAD_MERGED 16 /* items that are computed together: at most */

/* What the factors of products, V and U, are. */
typedef enum hs_factors {
    HS_FACTORS_F32,
    HS_FACTORS_BF16,
    HS_FACTORS_FIXED /* integers of 16 bits with a scale: winograd_fixed.c */
} hs_factors;

/* What is to be computed. Numbers that are 0 are chosen by the plan. */
typedef struct hs_winograd_spec {
    int items, threads;            /* of the batch, to be kept busy; 0: one */
    int h, w;                      /* of the output */
    int out_c;                     /* output channels */
    int part_count;                /* the input: a concatenation that is never made */
    int part_c[HS_WINOGRAD_PARTS]; /* channels of each part */
    bool upsample;                 /* the input is [h/2,w/2] and read as its nearest 2x
                                      upsampling; h and w are even */
    int tile;                      /* 6, 4 or 2; 1: tap by tap, in bf16 */
    hs_factors factors;            /* what these are rounded to */
    int side, stride;       /* of the kernel, 1 or 3, and 1 or 2. 0: 3x3, stride 1, padding 1,
                               which is all that a tile other than 1 runs. Else also: */
    int pad_top, pad_left;  /* 0 or 1; below and to the right as many as are read */
    int in_h, in_w;         /* of the input, as upsampled */
    bool normed, silu;      /* with tile 1 or fixed factors: pixels are read as
                               scale x + shift, [SiLU] */
    int block, panel_block; /* 0, or tiles and panels of a block (to measure) */
    int band_rows, splits;  /* 0, or how to cut tasks (to measure) */
    int sharing;            /* 0: choose; 1: V of an item is made first; -1: it is not */
    bool late;              /* with tile 4 of float32: weights are kept plain, and U is made of
                               them in registers, for each use (winograd_late.c) */
} hs_winograd_spec;

typedef struct hs_winograd_plan {
    hs_winograd_spec spec; /* with nothing left to choose */
    int in_c, padded_c;    /* sum of part_c; the same with each part filled up to 16,
                              with tile 1 to 32 */
    int alpha;             /* tile + 2 */
    int panel, panels;     /* output channels of a panel of weights; how many */
    int tiles_x, tiles_y;
    int band_count, task_count;        /* tasks of the merged items: band_count * splits;
                                          where V is shared, a band is a range of groups */
    int64_t v_chunk, u_chunk;          /* floats of 16 channels: of a tile in V, of a panel in U */
    int64_t v_stride, m_stride;        /* floats from one position to the next */
    int chain;                         /* 16 channels, so many times, are one sum; then sums
                                          are added */
    int64_t u_scales;                  /* floats of scales after each chain's U, or 0 */
    int merged;                        /* items that are computed together: at most so many */
    bool by_items;                     /* tasks of merged items are to follow each other, not the
                                          same task of all */
    int load_tasks;                    /* of these, before the others; 0: V is not shared */
    int64_t v_floats;                  /* V of a task, or of the merged items if it is shared */
    int64_t scratch_floats;            /* for each thread; 64-byte aligned */
    int part_chunk[HS_WINOGRAD_PARTS]; /* where a part begins in V, in 16 channels */
    /* Weights of a part, transformed or, if late, plain: [panels][panel_floats], 64-byte aligned.
     */
    int64_t panel_floats[HS_WINOGRAD_PARTS];
} hs_winograd_plan;

/* The pointers of one item. */
typedef struct hs_winograd_item {
    const float *src[HS_WINOGRAD_PARTS];     /* [h][w][part_c], or [h/2][w/2][part_c] */
    const float *weights[HS_WINOGRAD_PARTS]; /* [panels][panel_floats] */
    const float *scale[HS_WINOGRAD_PARTS];   /* [part_c] each, if normed */
    const float *shift[HS_WINOGRAD_PARTS];
    const float *bias;     /* [out_c], or NULL */
    const float *residual; /* as dst, added to the result; dst itself or NULL */
    float *dst;            /* [h][w][out_c] */
    float *sums;           /* NULL, or [tiles_y][tiles_x][2][out_c]: of a
                              tile's results, and of the squares of what
                              they differ by from their mean */
    float *v;              /* of the first of merged items: [v_floats] if
                              load_tasks > 0; 64-byte aligned */
} hs_winograd_item;

/* Cut the work; sizes must be positive. */
typedef void hs_winograd_make(const hs_winograd_spec *spec, hs_winograd_plan *plan);

/* Pixels of the result in tile `tile` of [tiles_y][tiles_x]; with tile 1 a tile is a band. */
static inline int hs_winograd_tile_pixels(const hs_winograd_plan *plan, int tile) {
    const hs_winograd_spec *spec = &plan->spec;
    int y = tile / plan->tiles_x, x = tile % plan->tiles_x;
    if (spec->tile == 1) {
        int rows = spec->h - tile * spec->band_rows;
        return (rows < spec->band_rows ? rows : spec->band_rows) * spec->w;
    }
    int rows = spec->h - y * spec->tile, columns = spec->w - x * spec->tile;
    return (rows < spec->tile ? rows : spec->tile) * (columns < spec->tile ? columns : spec->tile);
}

/* The kernels of one part, 3x3 but with tiles 0 and 1: tap t (0 ... 8, row by row) of output k and
 * input c is w[k * out_stride + c * in_stride + (flip ? taps - 1 - t : t)]; with
 * strides exchanged and flip it is the adjoint convolution. */
typedef struct hs_winograd_kernel {
    int tile, out_c, in_c; /* tile 0: for conv_fixed.h */
    int taps;              /* 9; with tiles 0 and 1 those of the kernel */
    const float *w;
    const uint16_t *half; /* NULL, or the same as bf16, which is read in place of w */
    int64_t out_stride, in_stride;
    bool flip;
    bool late; /* not to be transformed: hs_winograd_spec */
    hs_factors factors;
} hs_winograd_kernel;

/* Panel `panel` of transformed weights, in double, then rounded to float32, and that to
 * bfloat16 where it is wanted; with tile 4 of float32 in float32; with fixed factors in float32,
 * then rounded to these. Late: of plain ones, [padded in_c][9][panel]. */
typedef void hs_winograd_weights(const hs_winograd_kernel *kernel, int panel, float *packed);

/* Load task `task`, from [0, load_tasks), of 1 <= count <= merged items into items->v; all
 * of them before the first hs_winograd_run of these items. */
typedef void hs_winograd_load(const hs_winograd_plan *plan, int task, const hs_winograd_item *items,
                              int count, float *scratch);

/* Task `task` of such items, from [0, task_count). Allocates nothing. */
typedef void hs_winograd_run(const hs_winograd_plan *plan, int task, const hs_winograd_item *items,
                             int count, float *scratch);

#endif
