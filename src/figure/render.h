/* From a finished SVG of ours to pixels, and figures to files. */
#ifndef HS_FIGURE_RENDER_H
#define HS_FIGURE_RENDER_H

#include "figure/svg.h"
#include "io/image.h"

/* cairo, below librsvg, draws no surface with a longer side. */
#define HS_RENDER_MAX_SIDE 32767

/* Refuse a figure of width x height pixels that `kind` or the renderer cannot
 * hold. `what` says what to change: "fewer columns". */
hs_status hs_render_check(const char *path, int64_t width, int64_t height, hs_image_kind kind,
                          const char *what, hs_error *err);

/*
 * Draw an ended SVG of ours, enlarged by `scale`, into [height * scale, width *
 * scale, bands] pixels over white; bands 1 takes the luminance. free() the data.
 * HS_ERROR_UNSUPPORTED on a machine without fonts.
 */
hs_status hs_svg_render(const hs_svg *svg, int scale, int bands, hs_pixels *out, hs_error *err);

/* Write an ended SVG: as it is, or drawn at `scale` for the other kinds. */
hs_status hs_svg_save(const hs_svg *svg, int scale, const char *path, hs_error *err);

#endif
