/* See grid_layout.h. */
#include "figure/grid_layout.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "figure/render.h"

#define HS_GRID_MAX_CELLS 1000000
#define HS_GRID_CELL 96    /* a cell that is smaller is enlarged, */
#define HS_GRID_WIDTH 2000 /* unless the cells get wider than this together */

static hs_status hs_grid_check_groups(const hs_grid *grid, const char *path, hs_error *err) {
    if (grid->group_count == 0)
        return HS_OK;
    if (grid->group_count < 0 || grid->group_count > grid->rows || !grid->group_rows)
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "%s: expected 0 to %d groups of rows with their sizes, found %d%s", path,
                       grid->rows, grid->group_count, grid->group_rows ? "" : " without sizes");
    int64_t sum = 0;
    for (int g = 0; g < grid->group_count; g++) {
        if (grid->group_rows[g] < 1)
            return hs_fail(err, HS_ERROR_ARGUMENT, "%s: group %d has %d rows, expected 1 or more",
                           path, g, grid->group_rows[g]);
        sum += grid->group_rows[g];
    }
    if (sum != grid->rows)
        return hs_fail(err, HS_ERROR_ARGUMENT, "%s: the groups have %lld rows, the grid %d", path,
                       (long long)sum, grid->rows);
    return HS_OK;
}

/* Equal cells: the first that is there sets the size. Returns it through first. */
static hs_status hs_grid_check_cells(const hs_grid *grid, const char *path, const hs_pixels **first,
                                     bool *gray, hs_error *err) {
    *first = NULL;
    *gray = true;
    for (int i = 0; i < grid->rows * grid->columns; i++) {
        const hs_pixels *cell = &grid->cells[i];
        if (!cell->data)
            continue;
        if (cell->width < 1 || cell->height < 1 || (cell->bands != 1 && cell->bands != 3))
            return hs_fail(
                err, HS_ERROR_ARGUMENT,
                "%s: cell %d, %d: expected pixels with 1 or 3 bands, found %d x %d with %d", path,
                i / grid->columns, i % grid->columns, cell->width, cell->height, cell->bands);
        if (!*first)
            *first = cell;
        if (cell->width != (*first)->width || cell->height != (*first)->height)
            return hs_fail(
                err, HS_ERROR_ARGUMENT,
                "%s: cell %d, %d: expected %d x %d pixels as in the first, found %d x %d", path,
                i / grid->columns, i % grid->columns, (*first)->width, (*first)->height,
                cell->width, cell->height);
        *gray = *gray && cell->bands == 1;
    }
    if (!*first)
        return hs_fail(err, HS_ERROR_ARGUMENT, "%s: none of the %d x %d cells has pixels", path,
                       grid->rows, grid->columns);
    return HS_OK;
}

static hs_status hs_grid_check(const hs_grid *grid, const char *path, hs_error *err) {
    if (grid->rows < 1 || grid->columns < 1 ||
        (int64_t)grid->rows * grid->columns > HS_GRID_MAX_CELLS)
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "%s: expected a grid of 1 to %d cells, found %d rows x %d columns", path,
                       HS_GRID_MAX_CELLS, grid->rows, grid->columns);
    if (!grid->cells)
        return hs_fail(err, HS_ERROR_ARGUMENT, "%s: the grid has no cells (NULL)", path);
    if (grid->scale < 0 || grid->scale > 1024)
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "%s: expected a scale of 1 to 1024, or 0 for one chosen, found %d", path,
                       grid->scale);
    return hs_grid_check_groups(grid, path, err);
}

static int hs_grid_choose_scale(const hs_grid *grid, const hs_pixels *cell) {
    if (grid->scale)
        return grid->scale;
    int side = cell->width < cell->height ? cell->width : cell->height;
    int scale = (HS_GRID_CELL + side - 1) / side;
    int64_t across = (int64_t)cell->width * grid->columns;
    int64_t most = HS_GRID_WIDTH / across;
    return most < 1 ? 1 : scale > most ? (int)most : scale;
}

static double hs_clamp(double x, double low, double high) {
    return x < low ? low : x > high ? high : x;
}

/* The widest of the labels at `size`, each laid out in at most max_lines lines. */
static double hs_grid_labels_extent(const char *const *labels, int count, double size,
                                    double max_width, int max_lines, bool tall) {
    double extent = 0;
    for (int i = 0; labels && i < count; i++) {
        hs_text_block block;
        hs_text_layout(labels[i], size, max_width, max_lines, &block);
        extent = fmax(extent, tall ? block.height : block.width);
    }
    return extent;
}

static double hs_grid_group_height(const hs_grid *grid, const hs_grid_layout *layout, int g) {
    return grid->group_rows[g] * (double)(layout->cell_h + layout->gap) - layout->gap;
}

/* Columns of text left of the cells: group labels, their bar, row labels. */
static void hs_grid_layout_left(const hs_grid *grid, double size, int margin, hs_grid_layout *out) {
    double x = margin;
    out->group_size = size;
    for (int g = 0; grid->group_labels && g < grid->group_count; g++)
        out->group_size =
            hs_text_fit(&grid->group_labels[g], 1, out->group_size, round(0.75 * size),
                        hs_grid_group_height(grid, out, g), HS_GRID_GROUP_LINES);
    double group = 0;
    for (int g = 0; grid->group_labels && g < grid->group_count; g++)
        group = fmax(group, hs_grid_labels_extent(&grid->group_labels[g], 1, out->group_size,
                                                  hs_grid_group_height(grid, out, g),
                                                  HS_GRID_GROUP_LINES, true));
    if (group > 0) {
        out->group_x = x + 0.5 * group;
        out->bar_x = floor(x + group + 0.25 * size) + 0.5;
        x = out->bar_x + 0.6 * size;
    }
    out->row_width = fmax(14 * size, 2.0 * out->cell_w);
    int lines = (int)hs_clamp(out->cell_h / (HS_TEXT_LEADING * size), 1, HS_GRID_ROW_LINES);
    out->row_size =
        hs_text_fit(grid->row_labels, grid->rows, size, round(0.75 * size), out->row_width, lines);
    double rows = hs_grid_labels_extent(grid->row_labels, grid->rows, out->row_size, out->row_width,
                                        HS_GRID_ROW_LINES, false);
    out->label_x = x + rows;
    out->x0 = (int)ceil(rows > 0 ? out->label_x + 0.55 * size : x);
}

/* Title and column labels; returns the top of the cells. */
static double hs_grid_layout_top(const hs_grid *grid, double size, int margin, double cells_w,
                                 hs_grid_layout *out) {
    double y = margin, title_size = round(1.2 * size);
    double title_w = fmax(cells_w, 26 * title_size); /* a figure may get wider for its title */
    hs_text_layout(grid->title, title_size, title_w, HS_TEXT_LINES, &out->title);
    if (out->title.count) {
        out->title_y = y + 0.5 * out->title.height;
        y += out->title.height + 0.55 * size;
    }
    out->column_width = out->cell_w + 0.5 * out->gap;
    out->column_size = hs_text_fit(grid->column_labels, grid->columns, size, round(0.75 * size),
                                   out->column_width, HS_GRID_COLUMN_LINES);
    double columns = hs_grid_labels_extent(grid->column_labels, grid->columns, out->column_size,
                                           out->column_width, HS_GRID_COLUMN_LINES, true);
    if (columns > 0) {
        out->column_y = y + columns;
        y = out->column_y + 0.2 * size;
    }
    return y;
}

/* Move everything but the title to the right: a wide title stays centred. */
static void hs_grid_layout_shift(hs_grid_layout *layout, int shift) {
    layout->x0 += shift;
    layout->label_x += shift;
    layout->group_x += shift;
    layout->bar_x += shift;
}

hs_status hs_grid_layout_make(const hs_grid *grid, const char *path, hs_image_kind kind,
                              hs_grid_layout *out, hs_error *err) {
    hs_grid_layout layout = {0};
    const hs_pixels *cell = NULL;
    HS_TRY(hs_grid_check(grid, path, err));
    HS_TRY(hs_grid_check_cells(grid, path, &cell, &layout.gray, err));
    layout.scale = hs_grid_choose_scale(grid, cell);
    int64_t cell_w = (int64_t)cell->width * layout.scale;
    int64_t cell_h = (int64_t)cell->height * layout.scale;
    /* Before sizes are made int: at most 1e6 cells of 1e6 pixels fit int64. */
    HS_TRY(hs_render_check(path, cell_w * grid->columns, cell_h * grid->rows, kind,
                           "fewer rows or columns, or a smaller scale", err));
    layout.cell_w = (int)cell_w;
    layout.cell_h = (int)cell_h;
    double side = fmin(layout.cell_w, layout.cell_h);
    double size = round(hs_clamp(7.5 + 0.075 * side, 11, 24));
    int margin = (int)round(size);
    layout.gap = (int)hs_clamp(round(side / 28), 2, 10);
    double cells_w = (double)grid->columns * (layout.cell_w + layout.gap) - layout.gap;

    hs_grid_layout_left(grid, size, margin, &layout);
    double top = ceil(hs_grid_layout_top(grid, size, margin, cells_w, &layout));
    double width = layout.x0 + cells_w + margin;
    double middle = layout.x0 + 0.5 * cells_w, half = 0.5 * layout.title.width;
    if (middle + half > width - margin) /* lean on the right margin, then widen */
        middle = fmax(width - margin - half, margin + half);
    double wider = fmax(0, ceil(middle + half + margin - width));
    hs_grid_layout_shift(&layout, (int)(0.5 * wider));
    layout.title_x = middle;
    width += wider;
    int group_gap = (int)round(1.1 * size);
    double height = top + (double)grid->rows * (layout.cell_h + layout.gap) - layout.gap +
                    (grid->group_count > 1 ? (grid->group_count - 1) * (double)group_gap : 0) +
                    margin;
    HS_TRY(hs_render_check(path, (int64_t)width, (int64_t)height, kind,
                           "fewer rows or columns, or a smaller scale", err));
    layout.width = (int)width;
    layout.height = (int)height;

    layout.row_y = hs_calloc((size_t)grid->rows, sizeof *layout.row_y);
    if (!layout.row_y)
        return hs_fail_memory(err, (size_t)grid->rows * sizeof *layout.row_y);
    int y = (int)top, group = 0, left = grid->group_count ? grid->group_rows[0] : grid->rows;
    for (int r = 0; r < grid->rows; r++) {
        layout.row_y[r] = y;
        y += layout.cell_h + layout.gap;
        if (--left == 0 && r + 1 < grid->rows) {
            y += group_gap;
            left = grid->group_rows[++group];
        }
    }
    *out = layout;
    return HS_OK;
}
