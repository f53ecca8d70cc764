/* See render.h. */
#include "figure/render.h"

#include <stdlib.h>
#include <string.h>
#include <vips/vips.h>

#include "io/file.h"
#include "io/vips_setup.h"

hs_status hs_render_check(const char *path, int64_t width, int64_t height, hs_image_kind kind,
                          const char *what, hs_error *err) {
    if (width > HS_RENDER_MAX_SIDE || height > HS_RENDER_MAX_SIDE)
        return hs_fail(
            err, HS_ERROR_ARGUMENT,
            "%s: the figure would be %lld x %lld pixels, at most %d a side can be drawn: "
            "%s",
            path, (long long)width, (long long)height, HS_RENDER_MAX_SIDE, what);
    static uint8_t any;
    hs_pixels pixels = {.width = (int)width, .height = (int)height, .bands = 3, .data = &any};
    return hs_image_check(path, &pixels, kind, err);
}

/* The drawn page in the order R, G, B or gray, in `image`; -1 on failure. */
static int hs_svg_load(const hs_svg *svg, int scale, int bands, VipsImage **image) {
    VipsImage *drawn = NULL, *opaque = NULL;
    double white[] = {255, 255, 255};
    VipsArrayDouble *background = vips_array_double_new(white, 3);
    int failed =
        vips_svgload_buffer(svg->data, svg->size, &drawn, "scale", (double)scale, "unlimited", TRUE,
                            NULL) ||
        vips_flatten(drawn, &opaque, "background", background, NULL) ||
        vips_colourspace(opaque, image,
                         bands == 1 ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB, NULL);
    vips_area_unref(VIPS_AREA(background));
    g_clear_object(&opaque);
    g_clear_object(&drawn);
    return failed ? -1 : 0;
}

/*
 * Without any font the renderer draws every character as the same box and says
 * nothing. So draw "W" and "i", each in a half of a strip: with a font the two
 * halves differ.
 */
static hs_status hs_svg_check_fonts(hs_error *err) {
    enum { SIDE = 32 };
    hs_status status = HS_OK;
    VipsImage *image = NULL;
    void *memory = NULL;
    size_t size = 0;
    hs_svg svg;
    hs_svg_begin(&svg, 2 * SIDE, SIDE);
    hs_text_style middle = {.anchor = HS_ANCHOR_MIDDLE};
    hs_svg_label(&svg, "W", 20, 0.5 * SIDE, 0.5 * SIDE, middle);
    hs_svg_label(&svg, "i", 20, 1.5 * SIDE, 0.5 * SIDE, middle);
    HS_CHECK(hs_svg_end(&svg, err));
    if (hs_svg_load(&svg, 1, 1, &image) || !(memory = vips_image_write_to_memory(image, &size)) ||
        size != 2 * SIDE * SIDE) {
        status = hs_vips_fail(err, HS_ERROR_INTERNAL, "cannot draw text");
        goto cleanup;
    }
    int differences = 0;
    for (int y = 0; y < SIDE; y++) {
        const uint8_t *row = (const uint8_t *)memory + 2 * SIDE * y;
        for (int x = 0; x < SIDE; x++)
            differences += abs(row[x] - row[SIDE + x]) > 64;
    }
    if (differences < 8)
        status = hs_fail(err, HS_ERROR_UNSUPPORTED,
                         "no font found to label figures with: install DejaVu Sans "
                         "(fonts-dejavu-core), or write .svg instead");
cleanup:
    g_free(memory);
    g_clear_object(&image);
    hs_svg_free(&svg);
    return status;
}

hs_status hs_svg_render(const hs_svg *svg, int scale, int bands, hs_pixels *out, hs_error *err) {
    HS_TRY(hs_vips_setup(err));
    if (!vips_type_find("VipsOperation", "svgload_buffer"))
        return hs_fail(err, HS_ERROR_UNSUPPORTED,
                       "this libvips cannot draw SVG (built without librsvg): write .svg instead");
    if (memmem(svg->data, svg->size, "<text", 5))
        HS_TRY(hs_svg_check_fonts(err));
    hs_status status = HS_OK;
    VipsImage *image = NULL;
    void *memory = NULL;
    size_t size = 0;
    hs_pixels result = {svg->width * scale, svg->height * scale, bands, NULL};
    if (hs_svg_load(svg, scale, bands, &image) ||
        !(memory = vips_image_write_to_memory(image, &size))) {
        status = hs_vips_fail(err, HS_ERROR_INTERNAL, "cannot draw a figure of %d x %d pixels",
                              result.width, result.height);
        goto cleanup;
    }
    if (vips_image_get_width(image) != result.width ||
        vips_image_get_height(image) != result.height || vips_image_get_bands(image) != bands) {
        status = hs_fail(err, HS_ERROR_INTERNAL,
                         "expected a drawn figure of %d x %d x %d, found %d x %d x %d",
                         result.width, result.height, bands, vips_image_get_width(image),
                         vips_image_get_height(image), vips_image_get_bands(image));
        goto cleanup;
    }
    result.data = malloc(size);
    if (!result.data) {
        status = hs_fail_memory(err, size);
        goto cleanup;
    }
    memcpy(result.data, memory, size);
    *out = result;
cleanup:
    g_free(memory);
    g_clear_object(&image);
    return status;
}

hs_status hs_svg_save(const hs_svg *svg, int scale, const char *path, hs_error *err) {
    hs_image_kind kind;
    HS_TRY(hs_image_kind_of(path, &kind, err));
    if (kind == HS_IMAGE_SVG)
        return hs_file_write(path, svg->data, svg->size, err);
    HS_TRY(hs_render_check(path, (int64_t)svg->width * scale, (int64_t)svg->height * scale, kind,
                           "write .svg instead", err));
    hs_pixels pixels = {0};
    HS_TRY(hs_svg_render(svg, scale, 3, &pixels, err));
    hs_status status = hs_pixels_save(&pixels, path, err);
    free(pixels.data);
    return status;
}
