/* See image.h; and the public hs_pixels_load. */
#include "io/image.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <vips/vips.h>

#include "base/mem.h"
#include "io/file.h"
#include "io/vips_setup.h"

/* A foreign header may promise any size; what it takes to hold more than this
 * many pixels is no training or editing image but an accident or an attack. */
#define HS_IMAGE_MAX_PIXELS (INT64_C(1) << 28)

typedef struct hs_image_format {
    const char *ending;
    hs_image_kind kind;
    int max_side; /* of the format, or of the library that writes it */
} hs_image_format;

static const hs_image_format hs_image_formats[] = {
    {".png", HS_IMAGE_PNG, 1000000}, {".jpg", HS_IMAGE_JPEG, 65500},
    {".jpeg", HS_IMAGE_JPEG, 65500}, {".webp", HS_IMAGE_WEBP, 16383},
    {".svg", HS_IMAGE_SVG, 1000000},
};
#define HS_IMAGE_FORMATS (sizeof hs_image_formats / sizeof *hs_image_formats)

hs_status hs_image_kind_of(const char *path, hs_image_kind *kind, hs_error *err) {
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && dot > name && i < HS_IMAGE_FORMATS; i++)
        if (strcasecmp(dot, hs_image_formats[i].ending) == 0) {
            *kind = hs_image_formats[i].kind;
            return HS_OK;
        }
    return hs_fail(err, HS_ERROR_ARGUMENT,
                   "%s: a picture's name must end in .png, .jpg, .jpeg, .webp or .svg, not %s%s%s",
                   path, dot ? "\"" : "", dot ? dot : "without an ending", dot ? "\"" : "");
}

hs_status hs_image_check(const char *path, const hs_pixels *pixels, hs_image_kind kind,
                         hs_error *err) {
    if (!pixels->data || pixels->width < 1 || pixels->height < 1 ||
        (pixels->bands != 1 && pixels->bands != 3))
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "%s: expected pixels with 1 or 3 bands, found %d x %d with %d bands%s", path,
                       pixels->width, pixels->height, pixels->bands,
                       pixels->data ? "" : " and no data");
    size_t i = 0;
    while (hs_image_formats[i].kind != kind)
        i++;
    int64_t area = (int64_t)pixels->width * pixels->height;
    if (pixels->width > hs_image_formats[i].max_side ||
        pixels->height > hs_image_formats[i].max_side || area > HS_IMAGE_MAX_PIXELS)
        return hs_fail(
            err, HS_ERROR_ARGUMENT,
            "%s: a %s file holds at most %d pixels a side and %lld in all, found %d x %d", path,
            hs_image_formats[i].ending, hs_image_formats[i].max_side,
            (long long)HS_IMAGE_MAX_PIXELS, pixels->width, pixels->height);
    return HS_OK;
}

static int hs_image_encode_vips(VipsImage *image, hs_image_kind kind, void **data, size_t *size) {
    switch (kind) {
    case HS_IMAGE_PNG: return vips_pngsave_buffer(image, data, size, "strip", TRUE, NULL);
    case HS_IMAGE_JPEG:
        return vips_jpegsave_buffer(image, data, size, "Q", 95, "strip", TRUE, "optimize_coding",
                                    TRUE, "subsample_mode", VIPS_FOREIGN_SUBSAMPLE_OFF, NULL);
    case HS_IMAGE_WEBP:
        return vips_webpsave_buffer(image, data, size, "lossless", TRUE, "strip", TRUE, NULL);
    default: return -1;
    }
}

/* What g_malloc gave, in memory of malloc: the caller may not know glib. */
static hs_status hs_image_take(void *data, size_t size, void **out, hs_error *err) {
    *out = malloc(size ? size : 1);
    if (!*out)
        return hs_fail_memory(err, size);
    memcpy(*out, data, size);
    return HS_OK;
}

hs_status hs_image_encode(const char *path, const hs_pixels *pixels, hs_image_kind kind,
                          void **data, size_t *size, hs_error *err) {
    HS_TRY(hs_image_check(path, pixels, kind, err));
    HS_TRY(hs_vips_setup(err));
    hs_status status = HS_OK;
    VipsImage *raw = NULL, *image = NULL;
    void *encoded = NULL;
    size_t bytes = (size_t)pixels->width * (size_t)pixels->height * (size_t)pixels->bands;
    raw = vips_image_new_from_memory(pixels->data, bytes, pixels->width, pixels->height,
                                     pixels->bands, VIPS_FORMAT_UCHAR);
    if (!raw ||
        vips_copy(raw, &image, "interpretation",
                  pixels->bands == 1 ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB, NULL)) {
        status = hs_vips_fail(err, HS_ERROR_INTERNAL, "%s", path);
        goto cleanup;
    }
    if (hs_image_encode_vips(image, kind, &encoded, size)) {
        status = hs_vips_fail(err, HS_ERROR_INTERNAL, "%s: cannot encode %d x %d pixels", path,
                              pixels->width, pixels->height);
        goto cleanup;
    }
    status = hs_image_take(encoded, *size, data, err);
cleanup:
    g_free(encoded);
    g_clear_object(&image);
    g_clear_object(&raw);
    return status;
}

/* The loader for these bytes, if it is one that we let foreign files reach. */
static hs_status hs_image_loader(const char *path, const void *data, size_t size, hs_error *err) {
    static const char *const allowed[] = {
        "VipsForeignLoadPngBuffer",  "VipsForeignLoadJpegBuffer", "VipsForeignLoadWebpBuffer",
        "VipsForeignLoadTiffBuffer", "VipsForeignLoadHeifBuffer", "VipsForeignLoadNsgifBuffer",
    };
    const char *found = vips_foreign_find_load_buffer(data, size);
    for (size_t i = 0; found && i < sizeof allowed / sizeof *allowed; i++)
        if (strcmp(found, allowed[i]) == 0)
            return HS_OK;
    vips_error_clear();
    return hs_fail(err, HS_ERROR_UNSUPPORTED,
                   "%s: expected a PNG, JPEG, WebP, GIF, TIFF, HEIF or AVIF image, found %s", path,
                   found ? "another format" : "none of these");
}

/* Replace *image by the result of an operation on it. */
#define HS_IMAGE_STEP(image, operation, ...)                                                       \
    do {                                                                                           \
        VipsImage *next_ = NULL;                                                                   \
        if (operation(*(image), &next_, __VA_ARGS__))                                              \
            return -1;                                                                             \
        g_object_unref(*(image));                                                                  \
        *(image) = next_;                                                                          \
    } while (0)

/* Upright, opaque, sRGB or gray, 8 bit. The pipeline is lazy: pixels flow later. */
static int hs_image_normalize(VipsImage **image) {
    int opaque_bands = vips_image_get_bands(*image) - (vips_image_hasalpha(*image) ? 1 : 0);
    VipsInterpretation space =
        opaque_bands == 1 ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB;
    HS_IMAGE_STEP(image, vips_autorot, NULL);
    if (vips_image_hasalpha(*image))
        HS_IMAGE_STEP(image, vips_flatten, NULL);
    if (vips_image_get_typeof(*image, VIPS_META_ICC_NAME))
        HS_IMAGE_STEP(image, vips_icc_transform, "srgb", "embedded", TRUE, NULL);
    HS_IMAGE_STEP(image, vips_colourspace, space, NULL);
    HS_IMAGE_STEP(image, vips_cast, VIPS_FORMAT_UCHAR, NULL);
    return 0;
}

hs_status hs_image_decode(const char *path, const void *data, size_t size, hs_pixels *out,
                          hs_error *err) {
    HS_TRY(hs_vips_setup(err));
    HS_TRY(hs_image_loader(path, data, size, err));
    hs_status status = HS_OK;
    void *memory = NULL, *taken = NULL;
    size_t bytes = 0;
    VipsImage *image =
        vips_image_new_from_buffer(data, size, "", "fail_on", VIPS_FAIL_ON_TRUNCATED, NULL);
    if (!image) {
        status = hs_vips_fail(err, HS_ERROR_FORMAT, "%s: damaged image", path);
        goto cleanup;
    }
    int width = vips_image_get_width(image), height = vips_image_get_height(image);
    if ((int64_t)width * height > HS_IMAGE_MAX_PIXELS) {
        status =
            hs_fail(err, HS_ERROR_UNSUPPORTED, "%s: expected at most %lld pixels, found %d x %d",
                    path, (long long)HS_IMAGE_MAX_PIXELS, width, height);
        goto cleanup;
    }
    if (hs_image_normalize(&image)) {
        status = hs_vips_fail(err, HS_ERROR_FORMAT, "%s: cannot convert to sRGB", path);
        goto cleanup;
    }
    int bands = vips_image_get_bands(image);
    if (bands != 1 && bands != 3) {
        status = hs_fail(err, HS_ERROR_UNSUPPORTED,
                         "%s: expected a gray or colour image, found %d bands", path, bands);
        goto cleanup;
    }
    memory = vips_image_write_to_memory(image, &bytes);
    if (!memory) {
        status = hs_vips_fail(err, HS_ERROR_FORMAT, "%s: damaged image", path);
        goto cleanup;
    }
    HS_CHECK(hs_image_take(memory, bytes, &taken, err));
    *out = (hs_pixels){.width = vips_image_get_width(image),
                       .height = vips_image_get_height(image),
                       .bands = bands,
                       .data = taken};
cleanup:
    g_free(memory);
    g_clear_object(&image);
    return status;
}

hs_status hs_pixels_load(const char *path, hs_pixels *out, hs_error *err) {
    if (!path || !out)
        return hs_fail(err, HS_ERROR_ARGUMENT, "hs_pixels_load: path and out must not be NULL");
    hs_file file = {0};
    HS_TRY(hs_file_map(path, &file, err));
    hs_status status = hs_image_decode(path, file.data, file.size, out, err);
    hs_file_unmap(&file);
    return status;
}
