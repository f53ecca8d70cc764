/* Images between floats, 8-bit pixels and files: the public hs_pixels_from_tensor,
 * hs_tensor_from_pixels, hs_pixels_save and hs_figure_check_path. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "figure/render.h"
#include "io/file.h"

/* round((x + 1) * 127.5), clamped. In double the only tie is x = 0, which goes
 * to 128 whichever way ties are rounded. */
static uint8_t hs_pixel(float x) {
    double value = floor(((double)x + 1.0) * 127.5 + 0.5);
    return value < 0 ? 0 : value > 255 ? 255 : (uint8_t)value;
}

hs_status hs_pixels_from_tensor(const float *x, int C, int H, int W, hs_pixels *out,
                                hs_error *err) {
    if (!x || !out || (C != 1 && C != 3) || H < 1 || W < 1)
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "an image is [C,H,W] with C 1 or 3, found %s[%d, %d, %d]", x ? "" : "NULL ",
                       C, H, W);
    int64_t plane, count;
    if (!hs_mul_i64(H, W, &plane) || !hs_mul_i64(plane, C, &count))
        return hs_fail(err, HS_ERROR_ARGUMENT, "an image of [%d, %d, %d] is too large", C, H, W);
    uint8_t *data = malloc((size_t)count);
    if (!data)
        return hs_fail_memory(err, (size_t)count);
    for (int64_t i = 0; i < count; i++) {
        int64_t c = i / plane, at = i % plane;
        if (isnan(x[i])) {
            free(data);
            return hs_fail(err, HS_ERROR_NUMERIC,
                           "expected numbers in an image of [%d, %d, %d], found NaN at "
                           "[%lld, %lld, %lld]",
                           C, H, W, (long long)c, (long long)(at / W), (long long)(at % W));
        }
        data[at * C + c] = hs_pixel(x[i]);
    }
    *out = (hs_pixels){.width = W, .height = H, .bands = C, .data = data};
    return HS_OK;
}

void hs_tensor_from_pixels(const hs_pixels *pixels, float *x) {
    size_t plane = (size_t)pixels->width * (size_t)pixels->height, bands = (size_t)pixels->bands;
    for (size_t i = 0; i < plane * bands; i++)
        x[i % bands * plane + i / bands] = (float)((double)pixels->data[i] / 127.5 - 1.0);
}

hs_status hs_figure_check_path(const char *path, hs_error *err) {
    hs_image_kind kind;
    if (!path)
        return hs_fail(err, HS_ERROR_ARGUMENT, "the name of a picture must not be NULL");
    return hs_image_kind_of(path, &kind, err);
}

static hs_status hs_pixels_save_svg(const hs_pixels *pixels, const char *path, hs_error *err) {
    void *png = NULL;
    size_t size = 0;
    HS_TRY(hs_image_encode(path, pixels, HS_IMAGE_PNG, &png, &size, err));
    hs_svg svg;
    hs_svg_begin(&svg, pixels->width, pixels->height);
    hs_svg_png(&svg, png, size, 0, 0, pixels->width, pixels->height);
    hs_status status = hs_svg_end(&svg, err);
    if (status == HS_OK)
        status = hs_file_write(path, svg.data, svg.size, err);
    hs_svg_free(&svg);
    free(png);
    return status;
}

hs_status hs_pixels_save(const hs_pixels *pixels, const char *path, hs_error *err) {
    hs_image_kind kind;
    HS_TRY(hs_figure_check_path(path, err));
    HS_TRY(hs_image_kind_of(path, &kind, err));
    if (!pixels)
        return hs_fail(err, HS_ERROR_ARGUMENT, "%s: no pixels to write (NULL)", path);
    HS_TRY(hs_image_check(path, pixels, kind, err));
    if (kind == HS_IMAGE_SVG)
        return hs_pixels_save_svg(pixels, path, err);
    void *data = NULL;
    size_t size = 0;
    HS_TRY(hs_image_encode(path, pixels, kind, &data, &size, err));
    hs_status status = hs_file_write(path, data, size, err);
    free(data);
    return status;
}
