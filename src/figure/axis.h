/* Axes: a range of values, its ticks, their labels. */
#ifndef HS_FIGURE_AXIS_H
#define HS_FIGURE_AXIS_H

#include <stdbool.h>

#include "figure/number.h"

#define HS_AXIS_TICKS 12

typedef struct hs_axis {
    bool logarithmic;
    double low, high; /* of the drawn range; log10 of it where logarithmic */
    int count;
    double ticks[HS_AXIS_TICKS]; /* in the same units as low and high */
    char labels[HS_AXIS_TICKS][HS_NUMBER_SIZE];
} hs_axis;

/*
 * Cover [low, high] (logarithmic: both > 0) with about `wanted` ticks at 1, 2
 * or 5 times a power of ten; `whole`: at whole numbers only. `loose` widens the
 * range to the ticks around it, otherwise it stays as it is.
 */
void hs_axis_make(double low, double high, bool logarithmic, bool whole, bool loose, int wanted,
                  hs_axis *out);
/* 0 at low, 1 at high. */
double hs_axis_position(const hs_axis *axis, double value);

#endif
