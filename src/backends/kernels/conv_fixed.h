/*
 * Convolution by its definition with fixed factors (winograd_fixed.c): 1x1, 3x3 of stride
 * 2, and others that Winograd's method is not for. Maps are nhwc, dense. A task is a block
 * of pixels of one item and a range of output channels; results do not depend on how tasks
 * are cut.
 */
#ifndef HS_BACKENDS_CONV_FIXED_H
#define HS_BACKENDS_CONV_FIXED_H

#include "backends/kernels/winograd.h"

#define HS_CONV_FIXED_UNIT 24 /* pixels that are summed together, however tasks are cut */

typedef struct hs_conv_fixed_spec {
    int items, threads;            /* of the batch, to be kept busy */
    int in_h, in_w;                /* of the input */
    int h, w, out_c;               /* of the result */
    int side, stride;              /* the kernel is side x side; 1 or 3 */
    int pad_top, pad_left;         /* zeros; below and to the right as many as are read */
    int part_count;                /* the input: a concatenation that is never made */
    int part_c[HS_WINOGRAD_PARTS]; /* channels of each part */
} hs_conv_fixed_spec;

typedef struct hs_conv_fixed_plan {
    hs_conv_fixed_spec spec;
    int chunks;                                     /* of 16 channels, of all parts and taps */
    int panels;                                     /* of output channels */
    int units;                                      /* of UNIT pixels, the last one maybe less */
    int blocks, block;                              /* of units; of how many pixels at most */
    int splits;                                     /* of the panels */
    int task_count;                                 /* of an item: blocks * splits */
    int64_t v_floats, scale_floats, scratch_floats; /* scratch of each thread; 64-byte aligned */
    int64_t panel_floats[HS_WINOGRAD_PARTS];        /* weights of a part: [panels][panel_floats] */
} hs_conv_fixed_plan;

/* Cut the work; sizes must be positive. */
typedef void hs_conv_fixed_make(const hs_conv_fixed_spec *spec, hs_conv_fixed_plan *plan);

/* Task `task` of an item, from [0, task_count); weights are those of hs_winograd_weights with
 * tile 0; sums are [units][2][out_c], of units as those of tiles there, or NULL; v is not used.
 * Allocates nothing. */
typedef void hs_conv_fixed_run(const hs_conv_fixed_plan *plan, int task,
                               const hs_winograd_item *item, float *scratch);

#endif
