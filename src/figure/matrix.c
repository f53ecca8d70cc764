/* Labelled matrices of numbers on colours: the public hs_matrix_save. */
#include <math.h>
#include <string.h>

#include "figure/number.h"
#include "figure/palette.h"
#include "figure/render.h"

/* User units; pixels are twice as many. */
enum {
    HS_MATRIX_MARGIN = 16,
    HS_MATRIX_SCALE = 2,
    HS_MATRIX_MAX = 10000,
    HS_MATRIX_MAX_SIDE = 1000
};
#define HS_MATRIX_TEXT 12.0
#define HS_MATRIX_SMALL 9.5
#define HS_MATRIX_ROW_WIDTH 200.0
#define HS_MATRIX_GAP 18.0  /* between groups of columns */
#define HS_MATRIX_BOLD 1.16 /* width of bold text, of the regular's that text.h knows */

typedef struct hs_matrix_layout {
    double x0, y0, cell_w, cell_h;
    double limit; /* value of the palette's end */
    int decimals;
    hs_text_block title;
    double columns_h; /* of the column labels */
    double groups_h;  /* of the groups' labels */
    double cells_w;   /* of all cells, gaps between groups included */
} hs_matrix_layout;

static hs_status hs_matrix_check(const hs_matrix *matrix, const char *path, double *largest,
                                 hs_error *err) {
    if (!matrix || matrix->rows < 1 || matrix->columns < 1 || matrix->rows > HS_MATRIX_MAX_SIDE ||
        matrix->columns > HS_MATRIX_MAX_SIDE || matrix->rows * matrix->columns > HS_MATRIX_MAX ||
        !matrix->values)
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "%s: expected a matrix of 1 to %d values, found %d rows x %d columns%s",
                       path, HS_MATRIX_MAX, matrix ? matrix->rows : 0, matrix ? matrix->columns : 0,
                       matrix && matrix->values ? "" : " of NULL");
    *largest = 0;
    for (int i = 0; i < matrix->rows * matrix->columns; i++) {
        double value = matrix->values[i];
        double deviation = matrix->deviations ? matrix->deviations[i] : 0;
        if (!isfinite(value) || !isfinite(deviation) || deviation < 0)
            return hs_fail(err, HS_ERROR_NUMERIC,
                           "%s: row %d, column %d: expected a finite value and a deviation of at "
                           "least 0, found %g and %g",
                           path, i / matrix->columns, i % matrix->columns, value, deviation);
        *largest = fmax(*largest, fabs(value));
    }
    if (!(matrix->limit >= 0) || isinf(matrix->limit) || matrix->decimals < 0 ||
        matrix->decimals > 6)
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "%s: expected a limit of at least 0 and 0 to 6 decimals, found %g and %d",
                       path, matrix->limit, matrix->decimals);
    return HS_OK;
}

static hs_status hs_matrix_check_groups(const hs_matrix *matrix, const char *path, hs_error *err) {
    int sum = 0;
    for (int g = 0; g < matrix->group_count; g++) {
        if (matrix->group_columns[g] < 1 || matrix->group_columns[g] > matrix->columns)
            return hs_fail(err, HS_ERROR_ARGUMENT, "%s: group %d has %d columns, expected 1 to %d",
                           path, g, matrix->group_columns[g], matrix->columns);
        sum += matrix->group_columns[g];
    }
    if (matrix->group_count && sum != matrix->columns)
        return hs_fail(err, HS_ERROR_ARGUMENT, "%s: groups of %d columns in all, expected %d", path,
                       sum, matrix->columns);
    return HS_OK;
}

/* Left edge of column c (of the right end: c = columns). */
static double hs_matrix_column_x(const hs_matrix *matrix, const hs_matrix_layout *layout, int c) {
    double x = layout->x0 + c * layout->cell_w;
    for (int g = 0, end = 0; g + 1 < matrix->group_count; g++) {
        end += matrix->group_columns[g];
        x += c >= end ? HS_MATRIX_GAP : 0;
    }
    return x;
}

static double hs_matrix_number_width(const char *text, double size) {
    return size * hs_text_width(text, strlen(text));
}

/* A cell holds its number, and the longest line of its column's label. */
static void hs_matrix_layout_cells(const hs_matrix *matrix, hs_matrix_layout *out) {
    double widest = 40;
    for (int i = 0; i < matrix->rows * matrix->columns; i++) {
        char text[HS_NUMBER_SIZE];
        hs_number_fixed(text, matrix->values[i], out->decimals, 0);
        widest = fmax(widest, hs_matrix_number_width(text, HS_MATRIX_TEXT) + 14);
    }
    hs_text_block block;
    for (int c = 0; matrix->column_labels && c < matrix->columns; c++)
        /* Room for the longest word, found by breaking everywhere. */
        if (!hs_text_layout(matrix->column_labels[c], HS_MATRIX_TEXT, widest - 4, 3, &block)) {
            hs_text_layout(matrix->column_labels[c], HS_MATRIX_TEXT, 1e6, 1, &block);
            widest = fmax(widest, fmin(block.width + 8, 96));
        }
    out->cell_w = ceil(widest);
    out->cell_h = matrix->deviations ? 42 : 34;
    for (int c = 0; matrix->column_labels && c < matrix->columns; c++) {
        hs_text_layout(matrix->column_labels[c], HS_MATRIX_TEXT, out->cell_w - 4, 3, &block);
        out->columns_h = fmax(out->columns_h, block.height);
    }
    int gaps = matrix->group_count > 1 ? matrix->group_count - 1 : 0;
    out->cells_w = out->cell_w * matrix->columns + gaps * HS_MATRIX_GAP;
    for (int g = 0; g < matrix->group_count; g++) {
        hs_text_layout(matrix->group_labels[g], HS_MATRIX_TEXT,
                       out->cell_w * matrix->group_columns[g] / HS_MATRIX_BOLD, 2, &block);
        out->groups_h = fmax(out->groups_h, block.height + 10);
    }
}

static void hs_matrix_layout_page(const hs_matrix *matrix, hs_matrix_layout *out, int *width,
                                  int *height) {
    double rows = 0, cells_w = out->cells_w;
    hs_text_block block;
    for (int r = 0; matrix->row_labels && r < matrix->rows; r++) {
        hs_text_layout(matrix->row_labels[r], HS_MATRIX_TEXT, HS_MATRIX_ROW_WIDTH, 2, &block);
        rows = fmax(rows, block.width);
    }
    bool row_title = matrix->row_title && *matrix->row_title;
    bool column_title = matrix->column_title && *matrix->column_title;
    hs_text_layout(matrix->title, 14, fmax(cells_w, 320), 3, &out->title);
    out->x0 = ceil(HS_MATRIX_MARGIN + (row_title ? 22 : 0) + (rows > 0 ? rows + 8 : 0));
    out->y0 = ceil(HS_MATRIX_MARGIN + (out->title.count ? out->title.height + 8 : 0) +
                   (column_title ? 20 : 0) + out->groups_h +
                   (out->columns_h > 0 ? out->columns_h + 4 : 0));
    /* A title that is wider than the cells pushes both sides apart evenly. */
    double overhang = fmax(0, 0.5 * (out->title.width - cells_w));
    out->x0 = ceil(fmax(out->x0, HS_MATRIX_MARGIN + overhang));
    *width = (int)ceil(out->x0 + cells_w + fmax(overhang, 62) + HS_MATRIX_MARGIN);
    *height = (int)ceil(out->y0 + out->cell_h * matrix->rows + HS_MATRIX_MARGIN);
}

static void hs_matrix_color(const hs_matrix *matrix, const hs_matrix_layout *layout, double value,
                            uint8_t rgb[3]) {
    if (matrix->absolute) /* light is small, as on a signed map's right half */
        hs_palette_signed(fabs(value) / layout->limit, rgb);
    else
        hs_palette_signed(value / layout->limit, rgb);
}

/* A frame just inside of a marked cell. */
static void hs_matrix_draw_mark(hs_svg *svg, double x, double y, double w, double h) {
    double x1 = x + w - 1.5, y1 = y + h - 1.5;
    x += 1.5;
    y += 1.5;
    hs_svg_line(svg, x - 0.75, y, x1 + 0.75, y, 1.5, HS_INK);
    hs_svg_line(svg, x - 0.75, y1, x1 + 0.75, y1, 1.5, HS_INK);
    hs_svg_line(svg, x, y, x, y1, 1.5, HS_INK);
    hs_svg_line(svg, x1, y, x1, y1, 1.5, HS_INK);
}

static void hs_matrix_draw_cell(hs_svg *svg, const hs_matrix *matrix,
                                const hs_matrix_layout *layout, int r, int c) {
    double x = hs_matrix_column_x(matrix, layout, c), y = layout->y0 + r * layout->cell_h;
    double value = matrix->values[r * matrix->columns + c];
    uint8_t rgb[3];
    char color[8], text[HS_NUMBER_SIZE];
    hs_matrix_color(matrix, layout, value, rgb);
    hs_palette_hex(rgb, color);
    hs_svg_rect(svg, x + 0.75, y + 0.75, layout->cell_w - 1.5, layout->cell_h - 1.5, color);
    if (matrix->marks && matrix->marks[r * matrix->columns + c])
        hs_matrix_draw_mark(svg, x, y, layout->cell_w, layout->cell_h);
    hs_text_style style = {.anchor = HS_ANCHOR_MIDDLE,
                           .color = hs_palette_lightness(rgb) < 58 ? "#ffffff" : HS_INK};
    double middle = y + 0.5 * layout->cell_h;
    hs_number_fixed(text, value, layout->decimals, 0);
    hs_svg_label(svg, text, HS_MATRIX_TEXT, x + 0.5 * layout->cell_w,
                 matrix->deviations ? middle - 6 : middle, style);
    if (!matrix->deviations)
        return;
    char deviation[HS_NUMBER_SIZE + 4] = "\xC2\xB1";
    hs_number_fixed(text, matrix->deviations[r * matrix->columns + c], layout->decimals, 0);
    memcpy(deviation + 2, text, strlen(text) + 1);
    hs_svg_label(svg, deviation, HS_MATRIX_SMALL, x + 0.5 * layout->cell_w, middle + 8, style);
}

/* The groups' names, each over a line as wide as its columns. */
static void hs_matrix_draw_groups(hs_svg *svg, const hs_matrix *matrix,
                                  const hs_matrix_layout *layout) {
    double y = layout->y0 - (layout->columns_h > 0 ? layout->columns_h + 4 : 0) - 5;
    for (int g = 0, first = 0; g < matrix->group_count; first += matrix->group_columns[g++]) {
        hs_text_block block;
        double x = hs_matrix_column_x(matrix, layout, first);
        double w = layout->cell_w * matrix->group_columns[g];
        hs_text_layout(matrix->group_labels[g], HS_MATRIX_TEXT, w / HS_MATRIX_BOLD, 2, &block);
        hs_svg_block(svg, &block, x + 0.5 * w, y - 3 - 0.5 * block.height,
                     (hs_text_style){.anchor = HS_ANCHOR_MIDDLE, .bold = true});
        hs_svg_line(svg, x + 1, y, x + w - 1, y, 1, HS_INK_SOFT);
    }
}

static void hs_matrix_draw_labels(hs_svg *svg, const hs_matrix *matrix,
                                  const hs_matrix_layout *layout) {
    hs_text_style middle = {.anchor = HS_ANCHOR_MIDDLE}, end = {.anchor = HS_ANCHOR_END};
    hs_text_block block;
    double w = layout->cells_w, h = layout->cell_h * matrix->rows;
    double x = layout->x0 + 0.5 * w, top = HS_MATRIX_MARGIN;
    hs_svg_block(svg, &layout->title, x, top + 0.5 * layout->title.height, middle);
    for (int c = 0; matrix->column_labels && c < matrix->columns; c++) {
        hs_text_layout(matrix->column_labels[c], HS_MATRIX_TEXT, layout->cell_w - 4, 3, &block);
        hs_svg_block(svg, &block, hs_matrix_column_x(matrix, layout, c) + 0.5 * layout->cell_w,
                     layout->y0 - 4 - 0.5 * block.height, middle);
    }
    hs_matrix_draw_groups(svg, matrix, layout);
    double widest = 0;
    for (int r = 0; matrix->row_labels && r < matrix->rows; r++) {
        hs_text_layout(matrix->row_labels[r], HS_MATRIX_TEXT, HS_MATRIX_ROW_WIDTH, 2, &block);
        hs_svg_block(svg, &block, layout->x0 - 8, layout->y0 + (r + 0.5) * layout->cell_h, end);
        widest = fmax(widest, block.width + 8);
    }
    hs_text_style soft = {.anchor = HS_ANCHOR_MIDDLE, .color = HS_INK_SOFT};
    hs_text_layout(matrix->column_title, HS_MATRIX_TEXT, fmax(w, 160), 1, &block);
    double labels = layout->columns_h > 0 ? layout->columns_h + 4 : 0;
    hs_svg_block(svg, &block, x, layout->y0 - labels - layout->groups_h - 10, soft);
    soft.upward = true;
    hs_text_layout(matrix->row_title, HS_MATRIX_TEXT, h, 1, &block);
    hs_svg_block(svg, &block, layout->x0 - widest - 12, layout->y0 + 0.5 * h, soft);
}

/* The colours' key, right of the cells: steps fine enough to look continuous. */
static void hs_matrix_draw_key(hs_svg *svg, const hs_matrix *matrix,
                               const hs_matrix_layout *layout) {
    enum { STEPS = 64 };
    double x = layout->x0 + layout->cells_w + 14;
    double h = layout->cell_h * matrix->rows - 1.5, y = layout->y0 + 0.75;
    double low = matrix->absolute ? 0 : -layout->limit, span = layout->limit - low;
    for (int i = 0; i < STEPS; i++) {
        uint8_t rgb[3];
        char color[8];
        hs_matrix_color(matrix, layout, layout->limit - span * (i + 0.5) / STEPS, rgb);
        hs_palette_hex(rgb, color);
        double from = y + h * i / STEPS; /* overlapping: no seams */
        hs_svg_rect(svg, x, from, 10, y + h - from, color);
    }
    int marks = matrix->absolute || h < 60 ? 2 : 3;
    for (int i = 0; i < marks; i++) {
        double t = i / (double)(marks - 1);
        char text[HS_NUMBER_SIZE];
        hs_number_fixed(text, layout->limit - span * t, layout->decimals, 0);
        hs_svg_label(svg, text, HS_MATRIX_SMALL, x + 15, y + 4 + (h - 8) * t,
                     (hs_text_style){.anchor = HS_ANCHOR_START, .color = HS_INK_SOFT});
    }
}

hs_status hs_matrix_save(const hs_matrix *matrix, const char *path, hs_error *err) {
    double largest = 0;
    HS_TRY(hs_figure_check_path(path, err));
    HS_TRY(hs_matrix_check(matrix, path, &largest, err));
    HS_TRY(hs_matrix_check_groups(matrix, path, err));
    hs_matrix_layout layout = {.decimals = matrix->decimals ? matrix->decimals : 2};
    layout.limit = matrix->limit > 0 ? matrix->limit : largest > 0 ? largest : 1;
    int width, height;
    hs_matrix_layout_cells(matrix, &layout);
    hs_matrix_layout_page(matrix, &layout, &width, &height);
    hs_svg svg;
    hs_svg_begin(&svg, width, height);
    hs_matrix_draw_labels(&svg, matrix, &layout);
    for (int r = 0; r < matrix->rows; r++)
        for (int c = 0; c < matrix->columns; c++)
            hs_matrix_draw_cell(&svg, matrix, &layout, r, c);
    hs_matrix_draw_key(&svg, matrix, &layout);
    hs_status status = hs_svg_end(&svg, err);
    if (status == HS_OK)
        status = hs_svg_save(&svg, HS_MATRIX_SCALE, path, err);
    hs_svg_free(&svg);
    return status;
}
