/* Masks of images: pictures, and label maps of face parsers. */
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"

/* Whether a colour picture is gray: a label map saved as RGB. */
static bool hs_mask_is_gray(const hs_pixels *pixels) {
    size_t count = (size_t)pixels->width * (size_t)pixels->height, bands = (size_t)pixels->bands;
    for (size_t i = 0; i < count; i++)
        for (size_t b = 1; b < bands; b++)
            if (pixels->data[i * bands + b] != pixels->data[i * bands])
                return false;
    return true;
}

static uint8_t hs_mask_pixel(const hs_pixels *pixels, size_t i, const int *labels, int count) {
    size_t bands = (size_t)pixels->bands;
    const uint8_t *value = pixels->data + i * bands;
    int sum = 0;
    for (int l = 0; l < count; l++)
        if (labels[l] == value[0])
            return 1;
    for (size_t b = 0; b < bands; b++)
        sum += value[b];
    return count == 0 && sum >= 128 * pixels->bands;
}

static hs_status hs_mask_check(const char *path, const hs_pixels *pixels, const int *labels,
                               int label_count, int height, int width, hs_error *err) {
    if (pixels->width != width || pixels->height != height)
        return hs_fail(err, HS_ERROR_MISMATCH,
                       "%s: the mask is %d x %d pixels (width x height), the image %d x %d", path,
                       pixels->width, pixels->height, width, height);
    for (int i = 0; i < label_count; i++)
        if (labels[i] < 0 || labels[i] > 255)
            return hs_fail(err, HS_ERROR_ARGUMENT, "%s: label %d, expected 0 to 255", path,
                           labels[i]);
    if (label_count && !hs_mask_is_gray(pixels))
        return hs_fail(err, HS_ERROR_MISMATCH,
                       "%s: a label map is gray, its values are the labels; this picture has "
                       "colours",
                       path);
    return HS_OK;
}

hs_status hs_mask_load(const char *path, const int *labels, int label_count, int height, int width,
                       uint8_t *inside, hs_error *err) {
    hs_pixels pixels = {0};
    hs_status status;
    HS_CHECK(hs_pixels_load(path, &pixels, err));
    HS_CHECK(hs_mask_check(path, &pixels, labels, label_count, height, width, err));
    size_t count = (size_t)width * (size_t)height, total = 0;
    for (size_t i = 0; i < count; i++)
        total += hs_mask_pixel(&pixels, i, labels, label_count);
    if (total == 0)
        HS_CHECK(hs_fail(err, HS_ERROR_MISMATCH, "%s: no pixel %s", path,
                         label_count ? "has one of the labels"
                                     : "is inside the mask: white (128 or more) is inside"));
    for (size_t i = 0; i < count; i++)
        inside[i] = hs_mask_pixel(&pixels, i, labels, label_count);
cleanup:
    free(pixels.data);
    return status;
}
