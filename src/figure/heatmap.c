/* Maps of numbers as colour images: the public hs_heatmap_from_tensor. */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "figure/palette.h"

/* One number a pixel: the mean over channels, or their root mean square. */
static double hs_heatmap_value(const float *x, int C, int64_t plane, int64_t at, hs_heatmap kind) {
    double sum = 0;
    for (int c = 0; c < C; c++) {
        double value = x[c * plane + at];
        sum += kind == HS_HEATMAP_SIGNED ? value : value * value;
    }
    return kind == HS_HEATMAP_SIGNED ? sum / C : sqrt(sum / C);
}

/* max |value|; HS_ERROR_NUMERIC if one is not finite. */
static hs_status hs_heatmap_limit(const float *x, int C, int64_t plane, int W, hs_heatmap kind,
                                  double *limit, hs_error *err) {
    double most = 0;
    for (int64_t i = 0; i < plane; i++) {
        double value = hs_heatmap_value(x, C, plane, i, kind);
        if (!isfinite(value))
            return hs_fail(err, HS_ERROR_NUMERIC,
                           "expected finite numbers in a map, found %g at row %lld, column %lld",
                           value, (long long)(i / W), (long long)(i % W));
        most = fmax(most, fabs(value));
    }
    *limit = most;
    return HS_OK;
}

hs_status hs_heatmap_from_tensor(const float *x, int C, int H, int W, hs_heatmap kind, double limit,
                                 hs_pixels *out, hs_error *err) {
    int64_t plane, count;
    if (!x || !out || C < 1 || H < 1 || W < 1 || !hs_mul_i64(H, W, &plane) ||
        !hs_mul_i64(plane, C > 3 ? C : 3, &count))
        return hs_fail(err, HS_ERROR_ARGUMENT, "a map is [C,H,W], found %s[%d, %d, %d]",
                       x ? "" : "NULL ", C, H, W);
    if (!(limit >= 0) || isinf(limit))
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "the limit of a map must be positive, or 0 for its largest value; found %g",
                       limit);
    double most = 0;
    HS_TRY(hs_heatmap_limit(x, C, plane, W, kind, &most, err));
    double scale = limit > 0 ? limit : most > 0 ? most : 1;
    uint8_t *data = hs_calloc((size_t)plane, 3);
    if (!data)
        return hs_fail_memory(err, (size_t)plane * 3);
    enum { STEPS = 511 }; /* odd, so that zero has a colour of its own: white */
    uint8_t colors[STEPS][3];
    for (int i = 0; i < STEPS; i++)
        if (kind == HS_HEATMAP_SIGNED)
            hs_palette_signed((i - STEPS / 2) / (double)(STEPS / 2), colors[i]);
        else
            hs_palette_absolute(i / (double)(STEPS - 1), colors[i]);
    for (int64_t i = 0; i < plane; i++) {
        double t = fmin(fmax(hs_heatmap_value(x, C, plane, i, kind) / scale, -1), 1);
        double at = kind == HS_HEATMAP_SIGNED ? (t + 1) * (STEPS / 2) : t * (STEPS - 1);
        const uint8_t *color = colors[(int)floor(at + 0.5)];
        for (int b = 0; b < 3; b++)
            data[3 * i + b] = color[b];
    }
    *out = (hs_pixels){.width = W, .height = H, .bands = 3, .data = data};
    return HS_OK;
}
