/* Resizing of float images, as Pillow and torch.nn.functional.interpolate with
 * antialias=True do it, but for their rounding. */
#ifndef HS_BASE_RESIZE_H
#define HS_BASE_RESIZE_H

#include "base/error.h"

typedef enum hs_resample {
    HS_RESAMPLE_BILINEAR,
    HS_RESAMPLE_BICUBIC,
    HS_RESAMPLE_LANCZOS
} hs_resample;

/*
 * The weights of one axis, in -> out pixels: output i is
 * sum_k weights[i * taps + k] x[first[i] + k], k < count[i].
 */
typedef struct hs_resize_axis {
    int in, out, taps;
    int *first, *count; /* [out] */
    double *weights;    /* [out, taps] */
} hs_resize_axis;

/* The filter is widened by in / out where it shrinks: no aliasing. Bicubic is
 * Keys' with a = -0.5, Lanczos has three lobes. in == out copies exactly. */
hs_status hs_resize_axis_make(int in, int out, hs_resample filter, hs_resize_axis *axis,
                              hs_error *err);
void hs_resize_axis_free(hs_resize_axis *axis);

/*
 * planes [planes, y->in, x->in] to [planes, y->out, x->out], the rows first in
 * x, then in y, summed in double; `scratch` holds y->in * x->out floats.
 */
void hs_resize_planes(const hs_resize_axis *y, const hs_resize_axis *x, int planes,
                      const float *from, float *to, float *scratch);

#endif
