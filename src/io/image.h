/* Images in files, by libvips: encoding and decoding of 8-bit pixels. */
#ifndef HS_IO_IMAGE_H
#define HS_IO_IMAGE_H

#include "base/error.h"

typedef enum hs_image_kind {
    HS_IMAGE_PNG,
    HS_IMAGE_JPEG,
    HS_IMAGE_WEBP,
    HS_IMAGE_SVG
} hs_image_kind;

/* By the ending, case-insensitive: .png .jpg .jpeg .webp .svg; others are an
 * HS_ERROR_ARGUMENT that lists these. */
hs_status hs_image_kind_of(const char *path, hs_image_kind *kind, hs_error *err);

/* Refuse pixels that are no image (NULL data, sizes below 1, bands other than
 * 1 and 3) or too large for `kind`. `path` names the file in the message. */
hs_status hs_image_check(const char *path, const hs_pixels *pixels, hs_image_kind kind,
                         hs_error *err);

/*
 * Pixels as the bytes of a file of `kind` (not SVG): PNG and WebP lossless,
 * JPEG of quality 95 without chroma subsampling. free() the data.
 */
hs_status hs_image_encode(const char *path, const hs_pixels *pixels, hs_image_kind kind,
                          void **data, size_t *size, hs_error *err);

/*
 * The bytes of a PNG, JPEG, WebP, GIF (first frame), TIFF, HEIF or AVIF file
 * as sRGB or gray pixels: turned upright by its EXIF tag, converted by its
 * colour profile, transparency laid over black (so that what is transparent
 * lies outside of a mask). Truncated and damaged data are HS_ERROR_FORMAT,
 * other formats HS_ERROR_UNSUPPORTED. `path` names the file in messages.
 */
hs_status hs_image_decode(const char *path, const void *data, size_t size, hs_pixels *out,
                          hs_error *err);

#endif
