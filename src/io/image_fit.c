/* An image as a model wants it: cut, resized, gray or colour. See hs_pixels_fit
 * in hspace.h for what is done. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <vips/vips.h>

#include "base/mem.h"
#include "io/image.h"
#include "io/vips_setup.h"

/* A part of an image, from its top left. */
typedef struct hs_region {
    int x, y, width, height;
} hs_region;

static hs_status hs_check_crop(const char *name, const hs_pixels *in, const int *crop,
                               hs_region *out, hs_error *err) {
    *out = (hs_region){0, 0, in->width, in->height};
    if (!crop)
        return HS_OK;
    *out = (hs_region){crop[0], crop[1], crop[2], crop[3]};
    if (out->x < 0 || out->y < 0 || out->width < 1 || out->height < 1 ||
        out->width > in->width - out->x || out->height > in->height - out->y)
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "%s: the crop %d,%d,%d,%d (x, y, width, height) does not lie in the image, "
                       "which is %d x %d upright",
                       name, crop[0], crop[1], crop[2], crop[3], in->width, in->height);
    return HS_OK;
}

/* The largest centred part with the proportions of width x height; what is cut
 * off is at least as much at the right and bottom. */
static hs_region hs_centre(hs_region from, int width, int height) {
    int64_t wide = (int64_t)from.width * height, high = (int64_t)from.height * width;
    hs_region part = from;
    if (wide > high)
        part.width = (int)(((int64_t)from.height * width * 2 + height) / (2 * (int64_t)height));
    else
        part.height = (int)(((int64_t)from.width * height * 2 + width) / (2 * (int64_t)width));
    part.width = part.width < 1 ? 1 : part.width;
    part.height = part.height < 1 ? 1 : part.height;
    part.x += (from.width - part.width) / 2;
    part.y += (from.height - part.height) / 2;
    return part;
}

/* The region of `in`, width x height, its bands as they are, into data
 * [height,width,bands]. In float: libvips' 8-bit coefficients make it darker by
 * up to 1.5 levels when an image shrinks 16 times. */
static hs_status hs_resize(const char *name, const hs_pixels *in, hs_region part, int width,
                           int height, uint8_t *data, hs_error *err) {
    size_t bytes = (size_t)in->width * (size_t)in->height * (size_t)in->bands, found = 0;
    size_t count = (size_t)width * (size_t)height * (size_t)in->bands;
    VipsImage *raw = NULL, *cut = NULL, *precise = NULL, *resized = NULL;
    float *values = NULL;
    hs_status status = HS_OK;
    raw = vips_image_new_from_memory(in->data, bytes, in->width, in->height, in->bands,
                                     VIPS_FORMAT_UCHAR);
    /* gap 0: Lanczos alone, without a quicker box filter before it. */
    if (!raw || vips_extract_area(raw, &cut, part.x, part.y, part.width, part.height, NULL) ||
        vips_cast(cut, &precise, VIPS_FORMAT_FLOAT, NULL) ||
        vips_resize(precise, &resized, (double)width / part.width, "vscale",
                    (double)height / part.height, "kernel", VIPS_KERNEL_LANCZOS3, "gap", 0.0,
                    NULL) ||
        !(values = vips_image_write_to_memory(resized, &found))) {
        status = hs_vips_fail(err, HS_ERROR_INTERNAL, "%s: cannot resize %d x %d to %d x %d", name,
                              part.width, part.height, width, height);
        goto cleanup;
    }
    if (found != count * sizeof *values || vips_image_get_width(resized) != width) {
        status =
            hs_fail(err, HS_ERROR_INTERNAL, "%s: resized to %d x %d, expected %d x %d", name,
                    vips_image_get_width(resized), vips_image_get_height(resized), width, height);
        goto cleanup;
    }
    for (size_t i = 0; i < count; i++)
        data[i] = (uint8_t)(fmin(fmax((double)values[i], 0), 255) + 0.5);
cleanup:
    g_free(values);
    g_clear_object(&resized);
    g_clear_object(&precise);
    g_clear_object(&cut);
    g_clear_object(&raw);
    return status;
}

static void hs_copy_region(const hs_pixels *in, hs_region part, uint8_t *data) {
    size_t row = (size_t)part.width * (size_t)in->bands;
    for (int y = 0; y < part.height; y++)
        memcpy(data + (size_t)y * row,
               in->data +
                   ((size_t)(part.y + y) * (size_t)in->width + (size_t)part.x) * (size_t)in->bands,
               row);
}

/* Between 1 and 3 bands; `data` holds `from` of them, `out` gets `to`. */
static void hs_convert_bands(const uint8_t *data, size_t pixels, int from, int to, uint8_t *out) {
    for (size_t i = 0; i < pixels; i++)
        for (int band = 0; band < to; band++)
            if (from == 3 && to == 1)
                out[i] = (uint8_t)((299 * data[3 * i] + 587 * data[3 * i + 1] +
                                    114 * data[3 * i + 2] + 500) /
                                   1000);
            else
                out[i * (size_t)to + (size_t)band] =
                    data[i * (size_t)from + (from == 1 ? 0 : (size_t)band)];
}

hs_status hs_pixels_fit(const char *name, const hs_pixels *in, const int *crop, int width,
                        int height, int bands, hs_pixels *out, hs_error *err) {
    if (!name || !in || !out || !in->data || in->width < 1 || in->height < 1 ||
        (in->bands != 1 && in->bands != 3))
        return hs_fail(err, HS_ERROR_ARGUMENT, "%s: expected pixels with 1 or 3 bands",
                       name ? name : "hs_pixels_fit");
    if (width < 1 || height < 1 || (int64_t)width * height > INT32_MAX / 3 ||
        (bands != 1 && bands != 3))
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "%s: cannot be made %d x %d with %d bands, expected 1 or 3 bands", name,
                       width, height, bands);
    hs_region part;
    HS_TRY(hs_check_crop(name, in, crop, &part, err));
    HS_TRY(hs_vips_setup(err));
    part = hs_centre(part, width, height);
    size_t pixels = (size_t)width * (size_t)height;
    uint8_t *data = malloc(pixels * (size_t)in->bands), *fitted = malloc(pixels * (size_t)bands);
    hs_status status = data && fitted ? HS_OK : hs_fail_memory(err, 6 * pixels);
    if (status == HS_OK && part.width == width && part.height == height)
        hs_copy_region(in, part, data);
    else if (status == HS_OK)
        status = hs_resize(name, in, part, width, height, data, err);
    if (status == HS_OK) {
        hs_convert_bands(data, pixels, in->bands, bands, fitted);
        *out = (hs_pixels){.width = width, .height = height, .bands = bands, .data = fitted};
        fitted = NULL;
    }
    free(fitted);
    free(data);
    return status;
}
