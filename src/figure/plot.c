/* Line plots: the public hs_plot_save. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "figure/axis.h"
#include "figure/palette.h"
#include "figure/render.h"

/* User units; pixels are twice as many. */
enum { HS_PLOT_W = 460, HS_PLOT_H = 290, HS_PLOT_MARGIN = 16, HS_PLOT_SCALE = 2 };
enum { HS_PLOT_MARKERS = 32, HS_PLOT_MAX_SERIES = 1000, HS_PLOT_MAX_POINTS = 1000000 };
#define HS_PLOT_TEXT 12.0
#define HS_PLOT_SMALL 11.0
#define HS_PLOT_LEGEND_LINE 17.0
#define HS_PLOT_LEGEND_TEXT 190.0

typedef struct hs_plot_frame {
    double x0, y0; /* top left of the plotting area */
    hs_axis x, y;
    int legend; /* lines of it; 0: none */
} hs_plot_frame;

static hs_status hs_plot_check(const hs_plot *plot, const char *path, hs_error *err) {
    if (!plot || plot->series_count < 1 || plot->series_count > HS_PLOT_MAX_SERIES || !plot->series)
        return hs_fail(err, HS_ERROR_ARGUMENT, "%s: expected a plot of 1 to %d series, found %d",
                       path, HS_PLOT_MAX_SERIES, plot && plot->series ? plot->series_count : 0);
    for (int s = 0; s < plot->series_count; s++) {
        const hs_series *series = &plot->series[s];
        if (series->count < 1 || series->count > HS_PLOT_MAX_POINTS || !series->y)
            return hs_fail(err, HS_ERROR_ARGUMENT,
                           "%s: series %d (%s): expected 1 to %d points, found %d", path, s,
                           series->label ? series->label : "no label", HS_PLOT_MAX_POINTS,
                           series->y ? series->count : 0);
        for (int i = 0; i < series->count; i++) {
            double x = series->x ? series->x[i] : 0, y = series->y[i];
            if (!isfinite(x) || !isfinite(y) || fabs(x) > 1e300 || fabs(y) > 1e300)
                return hs_fail(err, HS_ERROR_NUMERIC,
                               "%s: series %d (%s): expected finite numbers, found (%g, %g) at "
                               "point %d",
                               path, s, series->label ? series->label : "no label", x, y, i);
            if (plot->log_y && y <= 0)
                return hs_fail(err, HS_ERROR_ARGUMENT,
                               "%s: series %d (%s): a logarithmic axis needs positive values, "
                               "found %g at point %d",
                               path, s, series->label ? series->label : "no label", y, i);
        }
    }
    return HS_OK;
}

static double hs_plot_x(const hs_series *series, int i) {
    return series->x ? series->x[i] : i;
}

static void hs_plot_axes(const hs_plot *plot, hs_plot_frame *frame) {
    double low_x = INFINITY, high_x = -INFINITY, low_y = INFINITY, high_y = -INFINITY;
    bool whole = true;
    for (int s = 0; s < plot->series_count; s++)
        for (int i = 0; i < plot->series[s].count; i++) {
            double x = hs_plot_x(&plot->series[s], i), y = plot->series[s].y[i];
            low_x = fmin(low_x, x);
            high_x = fmax(high_x, x);
            low_y = fmin(low_y, y);
            high_y = fmax(high_y, y);
            whole = whole && x == floor(x);
        }
    if (plot->from_zero && !plot->log_y) {
        low_y = fmin(low_y, 0);
        high_y = fmax(high_y, 0);
    }
    hs_axis_make(low_x, high_x, false, whole, false, 8, &frame->x);
    double room = 0.025 * (frame->x.high - frame->x.low); /* markers stay inside */
    frame->x.low -= room;
    frame->x.high += room;
    hs_axis_make(low_y, high_y, plot->log_y, false, true, 6, &frame->y);
}

static double hs_plot_to_x(const hs_plot_frame *frame, double x) {
    return frame->x0 + HS_PLOT_W * hs_axis_position(&frame->x, x);
}

static double hs_plot_to_y(const hs_plot_frame *frame, double y) {
    return frame->y0 + HS_PLOT_H * (1 - hs_axis_position(&frame->y, y));
}

static void hs_plot_draw_axes(hs_svg *svg, const hs_plot *plot, const hs_plot_frame *frame,
                              double tick_width) {
    double x0 = frame->x0, y0 = frame->y0, x1 = x0 + HS_PLOT_W, y1 = y0 + HS_PLOT_H;
    hs_text_style end = {.anchor = HS_ANCHOR_END}, middle = {.anchor = HS_ANCHOR_MIDDLE};
    for (int i = 0; i < frame->y.count; i++) {
        double at = (frame->y.ticks[i] - frame->y.low) / (frame->y.high - frame->y.low);
        double y = y1 - HS_PLOT_H * at;
        hs_svg_line(svg, x0, y, x1, y, 1, HS_INK_FAINT);
        hs_svg_label(svg, frame->y.labels[i], HS_PLOT_SMALL, x0 - 7, y, end);
    }
    for (int i = 0; i < frame->x.count; i++) {
        double x = hs_plot_to_x(frame, frame->x.ticks[i]);
        hs_svg_line(svg, x, y1, x, y1 + 4, 1, HS_INK);
        hs_svg_label(svg, frame->x.labels[i], HS_PLOT_SMALL, x, y1 + 14, middle);
    }
    hs_svg_line(svg, x0, y1, x1, y1, 1, HS_INK);
    hs_text_block block;
    hs_text_layout(plot->x_label, HS_PLOT_TEXT, HS_PLOT_W, 1, &block);
    hs_svg_block(svg, &block, 0.5 * (x0 + x1), y1 + 34, middle);
    hs_text_layout(plot->y_label, HS_PLOT_TEXT, HS_PLOT_H, 1, &block);
    middle.upward = true;
    hs_svg_block(svg, &block, x0 - tick_width - 19, 0.5 * (y0 + y1), middle);
}

static void hs_plot_dash(hs_svg *svg, int s, int n) {
    /* Lines whose colours repeat differ by their dashes. */
    static const char *const dashes[] = {NULL, "6 3", "2 2.5"};
    const char *dash = n <= 6 ? dashes[s / 3 % 3] : NULL;
    if (dash)
        hs_svg_attribute_text(svg, "stroke-dasharray", dash);
}

static void hs_plot_draw_series(hs_svg *svg, const hs_plot *plot, int s,
                                const hs_plot_frame *frame) {
    const hs_series *series = &plot->series[s];
    uint8_t rgb[3];
    char color[8];
    hs_palette_line(s, plot->series_count, rgb);
    hs_palette_hex(rgb, color);
    hs_svg_raw(svg, "<polyline fill=\"none\" stroke-width=\"1.6\" stroke-linejoin=\"round\"");
    hs_svg_attribute_text(svg, "stroke", color);
    hs_plot_dash(svg, s, plot->series_count);
    hs_svg_raw(svg, " points=\"");
    for (int i = 0; i < series->count; i++) {
        hs_svg_number(svg, hs_plot_to_x(frame, hs_plot_x(series, i)));
        hs_svg_raw(svg, ",");
        hs_svg_number(svg, hs_plot_to_y(frame, series->y[i]));
        hs_svg_raw(svg, " ");
    }
    hs_svg_raw(svg, "\"/>\n");
    for (int i = 0; series->count <= HS_PLOT_MARKERS && i < series->count; i++) {
        hs_svg_raw(svg, "<circle r=\"2.6\"");
        hs_svg_attribute(svg, "cx", hs_plot_to_x(frame, hs_plot_x(series, i)));
        hs_svg_attribute(svg, "cy", hs_plot_to_y(frame, series->y[i]));
        hs_svg_attribute_text(svg, "fill", color);
        hs_svg_raw(svg, "/>\n");
    }
}

/* At most as many lines as fit beside the plot: the first ones, an ellipsis,
 * the last one. */
static void hs_plot_draw_legend(hs_svg *svg, const hs_plot *plot, const hs_plot_frame *frame) {
    double x = frame->x0 + HS_PLOT_W + 16;
    for (int line = 0; line < frame->legend; line++) {
        double y = frame->y0 + (line + 0.5) * HS_PLOT_LEGEND_LINE;
        bool fewer = frame->legend < plot->series_count;
        int s = fewer && line == frame->legend - 1 ? plot->series_count - 1 : line;
        if (fewer && line == frame->legend - 2) {
            hs_svg_label(svg, "\xE2\x8B\xAE", HS_PLOT_SMALL, x + 11, y,
                         (hs_text_style){.anchor = HS_ANCHOR_MIDDLE, .color = HS_INK_SOFT});
            continue;
        }
        uint8_t rgb[3];
        char color[8];
        hs_palette_line(s, plot->series_count, rgb);
        hs_palette_hex(rgb, color);
        hs_svg_raw(svg, "<line stroke-width=\"2\"");
        hs_svg_attribute(svg, "x1", x);
        hs_svg_attribute(svg, "x2", x + 22);
        hs_svg_attribute(svg, "y1", y);
        hs_svg_attribute(svg, "y2", y);
        hs_svg_attribute_text(svg, "stroke", color);
        hs_plot_dash(svg, s, plot->series_count);
        hs_svg_raw(svg, "/>\n");
        hs_text_block block;
        hs_text_layout(plot->series[s].label, HS_PLOT_SMALL, HS_PLOT_LEGEND_TEXT, 1, &block);
        hs_svg_block(svg, &block, x + 29, y, (hs_text_style){.anchor = HS_ANCHOR_START});
    }
}

static double hs_plot_legend_width(const hs_plot *plot, hs_plot_frame *frame) {
    double width = 0;
    for (int s = 0; s < plot->series_count; s++) {
        hs_text_block block;
        hs_text_layout(plot->series[s].label, HS_PLOT_SMALL, HS_PLOT_LEGEND_TEXT, 1, &block);
        width = fmax(width, block.width);
    }
    int most = (int)(HS_PLOT_H / HS_PLOT_LEGEND_LINE);
    frame->legend = width == 0 ? 0 : plot->series_count < most ? plot->series_count : most;
    return width == 0 ? 0 : width + 45;
}

hs_status hs_plot_save(const hs_plot *plot, const char *path, hs_error *err) {
    HS_TRY(hs_figure_check_path(path, err));
    HS_TRY(hs_plot_check(plot, path, err));
    hs_plot_frame frame = {0};
    hs_plot_axes(plot, &frame);
    double ticks = 0;
    for (int i = 0; i < frame.y.count; i++)
        ticks = fmax(ticks,
                     HS_PLOT_SMALL * hs_text_width(frame.y.labels[i], strlen(frame.y.labels[i])));
    bool y_label = plot->y_label && *plot->y_label, x_label = plot->x_label && *plot->x_label;
    hs_text_block title;
    hs_text_layout(plot->title, 14, HS_PLOT_W, 3, &title);
    frame.x0 = ceil(HS_PLOT_MARGIN + ticks + 7 + (y_label ? 20 : 0));
    frame.y0 = ceil(HS_PLOT_MARGIN + (title.count ? title.height + 8 : 0));
    double legend = hs_plot_legend_width(plot, &frame);
    int width = (int)ceil(frame.x0 + HS_PLOT_W + legend + HS_PLOT_MARGIN);
    int height = (int)ceil(frame.y0 + HS_PLOT_H + (x_label ? 42 : 22) + HS_PLOT_MARGIN);
    hs_svg svg;
    hs_svg_begin(&svg, width, height);
    hs_svg_block(&svg, &title, frame.x0 + 0.5 * HS_PLOT_W, HS_PLOT_MARGIN + 0.5 * title.height,
                 (hs_text_style){.anchor = HS_ANCHOR_MIDDLE});
    hs_plot_draw_axes(&svg, plot, &frame, ticks);
    for (int s = plot->series_count - 1; s >= 0; s--) /* the first one on top */
        hs_plot_draw_series(&svg, plot, s, &frame);
    hs_plot_draw_legend(&svg, plot, &frame);
    hs_status status = hs_svg_end(&svg, err);
    if (status == HS_OK)
        status = hs_svg_save(&svg, HS_PLOT_SCALE, path, err);
    hs_svg_free(&svg);
    return status;
}
