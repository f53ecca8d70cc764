/* See axis.h. */
#include "figure/axis.h"

#include <math.h>

/* The smallest of 1, 2, 5 x 10^n that makes at most `wanted` steps of `span`. */
static double hs_axis_step(double span, int wanted) {
    double power = pow(10, floor(log10(span / wanted)));
    double ratio = span / wanted / power;
    return power * (ratio <= 1 + 1e-9 ? 1 : ratio <= 2 + 1e-9 ? 2 : ratio <= 5 + 1e-9 ? 5 : 10);
}

static void hs_axis_label(hs_axis *axis, int i, double step) {
    double value = axis->logarithmic ? pow(10, axis->ticks[i]) : axis->ticks[i];
    double size = fmax(fabs(axis->low), fabs(axis->high));
    if (axis->logarithmic ? value < 0.0009 || value > 99999 : size >= 1e6 || size < 1e-3) {
        hs_number_exponent(axis->labels[i], fabs(value) < 1e-9 * size ? 0 : value);
        return;
    }
    double unit = axis->logarithmic ? value : step;
    int decimals = (int)ceil(-log10(unit) - 1e-9);
    hs_number_fixed(axis->labels[i], value, decimals < 0 ? 0 : decimals, 0);
}

void hs_axis_make(double low, double high, bool logarithmic, bool whole, bool loose, int wanted,
                  hs_axis *out) {
    *out = (hs_axis){.logarithmic = logarithmic};
    if (logarithmic) {
        low = log10(low);
        high = log10(high);
    }
    /* A range without extent still needs an axis; keep it visible in double. */
    double least = fmax(1e-9 * fmax(fabs(low), fabs(high)), 1e-300);
    if (high - low < least) {
        double widen = low == 0 || logarithmic ? 0.5 : 0.5 * fabs(low);
        low -= widen;
        high += widen;
    }
    double step = hs_axis_step(high - low, wanted);
    bool decades = logarithmic && floor(high + 1e-9) - ceil(low - 1e-9) >= 1;
    if ((whole || decades) && step < 1)
        step = 1;
    out->low = loose ? floor(low / step + 1e-9) * step : low;
    out->high = loose ? ceil(high / step - 1e-9) * step : high;
    for (double k = ceil(out->low / step - 1e-9);
         k * step <= out->high + 1e-9 * step && out->count < HS_AXIS_TICKS; k++)
        out->ticks[out->count++] = k * step;
    for (int i = 0; i < out->count; i++)
        hs_axis_label(out, i, step);
}

double hs_axis_position(const hs_axis *axis, double value) {
    return ((axis->logarithmic ? log10(value) : value) - axis->low) / (axis->high - axis->low);
}
