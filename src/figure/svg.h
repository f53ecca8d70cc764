/*
 * A small SVG writer: shapes, text and embedded PNGs into one growing string.
 * Failures stick: check hs_svg_end once. Numbers are written without the
 * locale, text is escaped and always valid UTF-8.
 */
#ifndef HS_FIGURE_SVG_H
#define HS_FIGURE_SVG_H

#include "base/mem.h"
#include "figure/text.h"

typedef struct hs_svg {
    char *data; /* not terminated; hs_svg_free */
    size_t size, capacity;
    int width, height; /* in user units, 1 a CSS pixel */
    bool failed;
} hs_svg;

/* Colours of all figures: "#rrggbb". */
#define HS_INK "#262626"       /* text and axes */
#define HS_INK_SOFT "#737373"  /* secondary text, brackets */
#define HS_INK_FAINT "#dedede" /* grid lines */

/* Begin a white page of width x height user units, `scale` of them a pixel in
 * the declared size (an .svg looks as large as the .png). */
void hs_svg_begin(hs_svg *svg, int width, int height);
/* End the page; HS_ERROR_MEMORY if anything since hs_svg_begin failed. */
hs_status hs_svg_end(hs_svg *svg, hs_error *err);
void hs_svg_free(hs_svg *svg);

void hs_svg_raw(hs_svg *svg, const char *text);
void hs_svg_raw_bytes(hs_svg *svg, const char *text, size_t length);
/* Up to three decimals, no exponent; clamped to +-1e9, NaN as 0. */
void hs_svg_number(hs_svg *svg, double value);
/* <>&"' as entities; bytes that are not UTF-8 and characters that XML forbids
 * as U+FFFD. */
void hs_svg_escaped(hs_svg *svg, const char *text, size_t length);
/* ` name="value"` */
void hs_svg_attribute(hs_svg *svg, const char *name, double value);
void hs_svg_attribute_text(hs_svg *svg, const char *name, const char *value);

void hs_svg_rect(hs_svg *svg, double x, double y, double width, double height, const char *fill);
void hs_svg_line(hs_svg *svg, double x0, double y0, double x1, double y1, double stroke,
                 const char *color);

typedef enum hs_anchor { HS_ANCHOR_START, HS_ANCHOR_MIDDLE, HS_ANCHOR_END } hs_anchor;

typedef struct hs_text_style {
    hs_anchor anchor;
    const char *color; /* NULL: HS_INK */
    bool bold;
    bool upward; /* turned 90 degrees to the left about (x, y) */
} hs_text_style;

/* The lines of a block, centred vertically (before turning) about y. */
void hs_svg_block(hs_svg *svg, const hs_text_block *block, double x, double y, hs_text_style style);
/* One line of text, centred vertically about y. */
void hs_svg_label(hs_svg *svg, const char *text, double size, double x, double y,
                  hs_text_style style);
/* An embedded PNG, stretched to width x height without smoothing. */
void hs_svg_png(hs_svg *svg, const void *png, size_t size, double x, double y, double width,
                double height);

#endif
