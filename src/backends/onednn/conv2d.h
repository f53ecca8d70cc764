/* What the ways to run a convolution share: conv2d.c, winograd.c, conv_fixed.c, narrow.c. */
#ifndef HS_BACKENDS_ONEDNN_CONV2D_H
#define HS_BACKENDS_ONEDNN_CONV2D_H

#include "backends/onednn/onednn.h"

/* What one convolution is: of all input channels, or of a part of them. */
typedef struct hs_od_conv_spec {
    hs_value value; /* the node whose result it is */
    const hs_node *conv;
    hs_value src;
    int first, channels; /* slice of the kernel's inputs */
    bool adjoint;        /* the slice is then of the result */
    int pad_top, pad_left, pad_bottom, pad_right;
    bool sum; /* add to what is in dst */
    bool bias;
    bool upsample;          /* the input is read through a nearest upsampling that is never made */
    const hs_od_norm *norm; /* NULL, or what is applied to the input while it is loaded */
    int64_t in_c, in_h, in_w, out_c, out_h, out_w;
} hs_od_conv_spec;

/* Side of the tile (kernels/winograd.h) for a 3x3 convolution of stride 1, or 0 where
 * oneDNN's direct one wins. By measurement: see conv_table.c. `pixels` of its result,
 * `largest` those of the largest map of the network. */
int hs_od_conv_tile(const hs_kernels *kernels, hs_factors factors, int64_t in_c, int64_t out_c,
                    int64_t pixels, int64_t largest);

/* Whether weights for tile 4 are kept plain, and U is made late (hs_winograd_spec). That changes no
 * bit of the results. */
bool hs_od_conv_late(const hs_kernels *kernels, hs_factors factors, int64_t in_c, int64_t out_c,
                     int64_t pixels, int64_t largest, int items);

/* Whether transformed weights of `bytes` in all, for maps of `tiles` tiles, are made anew in
 * every pass rather than kept. `model`: bytes of all weights in float32. */
bool hs_od_conv_fresh(const hs_winograd_spec *spec, int64_t tiles, int64_t bytes, int64_t model);

/* What the factors of this convolution's products are. in_c: of all parts. */
hs_factors hs_od_factors(const hs_od_planner *p, int64_t in_c, int64_t out_c);

/* The tile for this convolution; 0 also where the kernel is not 3x3, or the stride or padding
 * not 1. Where the processor multiplies matrices of bf16, 1 for those and 1x1 and stride 2, if
 * their factors are bf16. in_c: of all parts. */
int hs_od_winograd_tile(const hs_od_planner *p, const hs_od_conv_spec *s, int64_t in_c);

/* The tile for the convolution `value`, before anything is planned. */
int hs_od_node_tile(const hs_od_planner *p, hs_value value);

/* Whether the convolution `value` may apply a norm to its input while it loads. */
bool hs_od_node_loads_norm(const hs_od_planner *p, hs_value value);

/* Plan the steps of the whole convolution, whose input lies in `parts`. s->sum
 * adds `residual`, or what is in the result's place where that has no buffer.
 * With s->upsample the parts have half its height and width. */
hs_status hs_od_plan_winograd(hs_od_planner *p, const hs_od_conv_spec *s, int tile,
                              const hs_od_part *parts, int count, hs_od_place residual,
                              hs_od_place item_bias);

/* Where a norm reads `value`, the buffer of sums that its step, the last one added, is to leave
 * of so many tiles, [n][tiles][2][channels], and *pixels to be filled in; else *out is -1. */
hs_status hs_od_new_tile_sums(hs_od_planner *p, hs_value value, int tiles, int **pixels, int *out);

/* Whether the convolution, not one of those with a tile, has fixed factors: conv_fixed.c. */
bool hs_od_is_fixed(const hs_od_planner *p, const hs_od_conv_spec *s);

/* Plan its step; all else as hs_od_plan_winograd. */
hs_status hs_od_plan_fixed(hs_od_planner *p, const hs_od_conv_spec *s, const hs_od_part *parts,
                           int count, hs_od_place residual, hs_od_place item_bias);

/* Whether the convolution is so small that its sums are made in double: narrow.c. */
bool hs_od_is_narrow(const hs_od_planner *p, const hs_od_conv_spec *s);

/* Plan the step of one convolution of s->src, with `residual` and `item_bias` as above. */
hs_status hs_od_plan_narrow(hs_od_planner *p, const hs_od_conv_spec *s, hs_od_place residual,
                            hs_od_place item_bias);

#endif
