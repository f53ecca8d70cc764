/*
 * See resize.h. With scale = in / out and s = max(scale, 1), output pixel i has
 * its centre at c = (i + 1/2) scale and takes the inputs j of the window
 * [c - r s, c + r s], r the filter's radius, with weights f((j + 1/2 - c) / s),
 * normalised to a sum of 1.
 */
#include "base/resize.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static double hs_filter_radius(hs_resample filter) {
    switch (filter) {
    case HS_RESAMPLE_BICUBIC: return 2;
    case HS_RESAMPLE_LANCZOS: return 3;
    default: return 1;
    }
}

static double hs_sinc(double x) {
    return x == 0 ? 1 : sin(M_PI * x) / (M_PI * x);
}

static double hs_filter(hs_resample filter, double x) {
    const double a = -0.5;
    x = fabs(x);
    switch (filter) {
    case HS_RESAMPLE_BICUBIC:
        if (x < 1)
            return ((a + 2) * x - (a + 3)) * x * x + 1;
        return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
    case HS_RESAMPLE_LANCZOS: return x < 3 ? hs_sinc(x) * hs_sinc(x / 3) : 0;
    default: return x < 1 ? 1 - x : 0;
    }
}

static void hs_resize_row(const hs_resize_axis *axis, int i, hs_resample filter) {
    double scale = (double)axis->in / axis->out, s = fmax(scale, 1);
    double centre = (i + 0.5) * scale, radius = hs_filter_radius(filter) * s;
    int first = (int)fmax(centre - radius + 0.5, 0);
    int end = (int)fmin(centre + radius + 0.5, axis->in);
    double *weights = axis->weights + (int64_t)i * axis->taps, sum = 0;
    for (int k = 0; k < end - first; k++)
        sum += weights[k] = hs_filter(filter, (first + k + 0.5 - centre) / s);
    for (int k = 0; k < end - first; k++)
        weights[k] /= sum;
    axis->first[i] = first;
    axis->count[i] = end - first;
}

hs_status hs_resize_axis_make(int in, int out, hs_resample filter, hs_resize_axis *axis,
                              hs_error *err) {
    if (in < 1 || out < 1 || in > 1 << 20 || out > 1 << 20)
        return hs_fail(err, HS_ERROR_ARGUMENT, "resizing %d to %d pixels, expected 1 to %d", in,
                       out, 1 << 20);
    double s = fmax((double)in / out, 1);
    int taps = (int)ceil(hs_filter_radius(filter) * s) * 2 + 1;
    hs_resize_axis made = {.in = in, .out = out, .taps = taps};
    made.first = hs_calloc((size_t)out, sizeof *made.first);
    made.count = hs_calloc((size_t)out, sizeof *made.count);
    made.weights = hs_calloc((size_t)out * (size_t)taps, sizeof *made.weights);
    if (!made.first || !made.count || !made.weights) {
        hs_resize_axis_free(&made);
        return hs_fail_memory(err, (size_t)out * (size_t)taps * sizeof *made.weights);
    }
    for (int i = 0; i < out; i++)
        hs_resize_row(&made, i, filter);
    *axis = made;
    return HS_OK;
}

void hs_resize_axis_free(hs_resize_axis *axis) {
    free(axis->weights);
    free(axis->count);
    free(axis->first);
    *axis = (hs_resize_axis){0};
}

/* One row or column, `stride` floats between its values. */
static void hs_resize_line(const hs_resize_axis *axis, const float *from, int64_t from_stride,
                           float *to, int64_t to_stride) {
    for (int i = 0; i < axis->out; i++) {
        const double *weights = axis->weights + (int64_t)i * axis->taps;
        const float *x = from + axis->first[i] * from_stride;
        double sum = 0;
        for (int k = 0; k < axis->count[i]; k++)
            sum += weights[k] * (double)x[k * from_stride];
        to[i * to_stride] = (float)sum;
    }
}

void hs_resize_planes(const hs_resize_axis *y, const hs_resize_axis *x, int planes,
                      const float *from, float *to, float *scratch) {
    int64_t in = (int64_t)y->in * x->in, out = (int64_t)y->out * x->out;
    for (int p = 0; p < planes; p++) {
        const float *source = from + p * in;
        float *target = to + p * out;
        if (y->in == y->out && x->in == x->out) {
            memcpy(target, source, (size_t)in * sizeof *target);
            continue;
        }
        for (int i = 0; i < y->in; i++)
            hs_resize_line(x, source + (int64_t)i * x->in, 1, scratch + (int64_t)i * x->out, 1);
        for (int j = 0; j < x->out; j++)
            hs_resize_line(y, scratch + j, x->out, target + j, x->out);
    }
}
