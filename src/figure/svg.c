/* See svg.h. */
#include "figure/svg.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "figure/number.h"

void hs_svg_raw_bytes(hs_svg *svg, const char *text, size_t length) {
    if (svg->failed)
        return;
    if (length > svg->capacity - svg->size) {
        size_t capacity = svg->capacity ? svg->capacity : 4096;
        while (capacity - svg->size < length && capacity <= PTRDIFF_MAX / 2)
            capacity *= 2;
        char *data = capacity - svg->size < length ? NULL : realloc(svg->data, capacity);
        if (!data) {
            svg->failed = true;
            return;
        }
        svg->data = data;
        svg->capacity = capacity;
    }
    memcpy(svg->data + svg->size, text, length);
    svg->size += length;
}

void hs_svg_raw(hs_svg *svg, const char *text) {
    hs_svg_raw_bytes(svg, text, strlen(text));
}

void hs_svg_number(hs_svg *svg, double value) {
    char text[HS_NUMBER_SIZE];
    value = isnan(value) ? 0 : fmin(fmax(value, -1e9), 1e9);
    hs_number_plain(text, value, 3);
    hs_svg_raw(svg, text);
}

void hs_svg_escaped(hs_svg *svg, const char *text, size_t length) {
    const char *end = text + length;
    while (text < end) {
        const char *start = text;
        uint32_t code = hs_utf8_next(&text, end);
        switch (code) {
        case '<': hs_svg_raw(svg, "&lt;"); break;
        case '>': hs_svg_raw(svg, "&gt;"); break;
        case '&': hs_svg_raw(svg, "&amp;"); break;
        case '"': hs_svg_raw(svg, "&quot;"); break;
        case '\'': hs_svg_raw(svg, "&#39;"); break;
        case '\t':
        case '\n':
        case '\r': hs_svg_raw(svg, " "); break;
        case 0xFFFD: hs_svg_raw(svg, "\xEF\xBF\xBD"); break;
        default: hs_svg_raw_bytes(svg, start, (size_t)(text - start));
        }
    }
}

void hs_svg_attribute(hs_svg *svg, const char *name, double value) {
    hs_svg_raw(svg, " ");
    hs_svg_raw(svg, name);
    hs_svg_raw(svg, "=\"");
    hs_svg_number(svg, value);
    hs_svg_raw(svg, "\"");
}

void hs_svg_attribute_text(hs_svg *svg, const char *name, const char *value) {
    hs_svg_raw(svg, " ");
    hs_svg_raw(svg, name);
    hs_svg_raw(svg, "=\"");
    hs_svg_escaped(svg, value, strlen(value));
    hs_svg_raw(svg, "\"");
}

void hs_svg_begin(hs_svg *svg, int width, int height) {
    *svg = (hs_svg){.width = width, .height = height};
    hs_svg_raw(svg, "<svg xmlns=\"http://www.w3.org/2000/svg\"");
    hs_svg_attribute(svg, "width", width);
    hs_svg_attribute(svg, "height", height);
    hs_svg_raw(svg, " viewBox=\"0 0 ");
    hs_svg_number(svg, width);
    hs_svg_raw(svg, " ");
    hs_svg_number(svg, height);
    hs_svg_raw(svg, "\" font-family=\"DejaVu Sans, Arial, sans-serif\">\n");
    hs_svg_rect(svg, 0, 0, width, height, "#ffffff");
}

hs_status hs_svg_end(hs_svg *svg, hs_error *err) {
    hs_svg_raw(svg, "</svg>\n");
    if (svg->failed)
        return hs_fail(err, HS_ERROR_MEMORY, "no memory for a figure of more than %zu bytes",
                       svg->size);
    return HS_OK;
}

void hs_svg_free(hs_svg *svg) {
    free(svg->data);
    *svg = (hs_svg){0};
}

void hs_svg_rect(hs_svg *svg, double x, double y, double width, double height, const char *fill) {
    hs_svg_raw(svg, "<rect");
    hs_svg_attribute(svg, "x", x);
    hs_svg_attribute(svg, "y", y);
    hs_svg_attribute(svg, "width", width);
    hs_svg_attribute(svg, "height", height);
    hs_svg_attribute_text(svg, "fill", fill);
    hs_svg_raw(svg, "/>\n");
}

void hs_svg_line(hs_svg *svg, double x0, double y0, double x1, double y1, double stroke,
                 const char *color) {
    hs_svg_raw(svg, "<line");
    hs_svg_attribute(svg, "x1", x0);
    hs_svg_attribute(svg, "y1", y0);
    hs_svg_attribute(svg, "x2", x1);
    hs_svg_attribute(svg, "y2", y1);
    hs_svg_attribute_text(svg, "stroke", color);
    hs_svg_attribute(svg, "stroke-width", stroke);
    hs_svg_raw(svg, "/>\n");
}

/* Text whose baseline is at y, after turning about the pivot where asked. */
static void hs_svg_text_line(hs_svg *svg, const hs_text_line *line, double size, double x,
                             double baseline, double pivot_y, hs_text_style style) {
    static const char *const anchors[] = {"start", "middle", "end"};
    hs_svg_raw(svg, "<text");
    hs_svg_attribute(svg, "x", x);
    hs_svg_attribute(svg, "y", baseline);
    hs_svg_attribute(svg, "font-size", size);
    hs_svg_attribute_text(svg, "text-anchor", anchors[style.anchor]);
    if (style.bold)
        hs_svg_attribute_text(svg, "font-weight", "bold");
    hs_svg_attribute_text(svg, "fill", style.color ? style.color : HS_INK);
    if (style.upward) {
        hs_svg_raw(svg, " transform=\"rotate(-90 ");
        hs_svg_number(svg, x);
        hs_svg_raw(svg, " ");
        hs_svg_number(svg, pivot_y);
        hs_svg_raw(svg, ")\"");
    }
    hs_svg_raw(svg, ">");
    hs_svg_escaped(svg, line->start, line->length);
    if (line->cut)
        hs_svg_raw(svg, "\xE2\x80\xA6");
    hs_svg_raw(svg, "</text>\n");
}

void hs_svg_block(hs_svg *svg, const hs_text_block *block, double x, double y,
                  hs_text_style style) {
    double middle = y - 0.5 * (block->count - 1) * HS_TEXT_LEADING * block->size;
    for (int i = 0; i < block->count; i++) {
        /* Half of a capital's height under its middle lies the baseline. */
        double baseline = middle + i * HS_TEXT_LEADING * block->size + 0.36 * block->size;
        hs_svg_text_line(svg, &block->lines[i], block->size, x, baseline, y, style);
    }
}

void hs_svg_label(hs_svg *svg, const char *text, double size, double x, double y,
                  hs_text_style style) {
    hs_text_line line = {.start = text, .length = strlen(text)};
    hs_svg_text_line(svg, &line, size, x, y + 0.36 * size, y, style);
}

static void hs_svg_base64(hs_svg *svg, const uint8_t *data, size_t size) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        uint32_t word = (uint32_t)data[i] << 16;
        word |= left > 1 ? (uint32_t)data[i + 1] << 8 : 0;
        word |= left > 2 ? data[i + 2] : 0;
        char four[4] = {digits[word >> 18], digits[word >> 12 & 63],
                        left > 1 ? digits[word >> 6 & 63] : '=',
                        left > 2 ? digits[word & 63] : '='};
        hs_svg_raw_bytes(svg, four, sizeof four);
    }
}

void hs_svg_png(hs_svg *svg, const void *png, size_t size, double x, double y, double width,
                double height) {
    hs_svg_raw(svg, "<image");
    hs_svg_attribute(svg, "x", x);
    hs_svg_attribute(svg, "y", y);
    hs_svg_attribute(svg, "width", width);
    hs_svg_attribute(svg, "height", height);
    /* SVG 1.1 viewers know optimizeSpeed, newer ones pixelated: last known wins. */
    hs_svg_raw(svg, " preserveAspectRatio=\"none\""
                    " style=\"image-rendering:optimizeSpeed;image-rendering:pixelated\""
                    " href=\"data:image/png;base64,");
    hs_svg_base64(svg, png, size);
    hs_svg_raw(svg, "\"/>\n");
}
