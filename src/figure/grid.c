/* The labelled grid of images: the public hs_grid_save. Labels are drawn as SVG;
 * cells are joined as exact pixels, or embedded where the figure stays SVG. */
#include <stdlib.h>
#include <string.h>

#include "figure/grid_layout.h"
#include "figure/render.h"
#include "io/file.h"

static void hs_grid_draw_labels(hs_svg *svg, const hs_grid *grid, const hs_grid_layout *layout) {
    hs_text_block block;
    hs_text_style middle = {.anchor = HS_ANCHOR_MIDDLE}, end = {.anchor = HS_ANCHOR_END};
    hs_svg_block(svg, &layout->title, layout->title_x, layout->title_y, middle);
    for (int c = 0; grid->column_labels && c < grid->columns; c++) {
        hs_text_layout(grid->column_labels[c], layout->column_size, layout->column_width,
                       HS_GRID_COLUMN_LINES, &block);
        double x = layout->x0 + c * (double)(layout->cell_w + layout->gap) + 0.5 * layout->cell_w;
        hs_svg_block(svg, &block, x, layout->column_y - 0.5 * block.height, middle);
    }
    for (int r = 0; grid->row_labels && r < grid->rows; r++) {
        hs_text_layout(grid->row_labels[r], layout->row_size, layout->row_width, HS_GRID_ROW_LINES,
                       &block);
        hs_svg_block(svg, &block, layout->label_x, layout->row_y[r] + 0.5 * layout->cell_h, end);
    }
}

static void hs_grid_draw_groups(hs_svg *svg, const hs_grid *grid, const hs_grid_layout *layout) {
    hs_text_style upward = {.anchor = HS_ANCHOR_MIDDLE, .upward = true};
    int row = 0;
    for (int g = 0; grid->group_labels && g < grid->group_count; g++) {
        int first = layout->row_y[row];
        row += grid->group_rows[g];
        int last = layout->row_y[row - 1] + layout->cell_h;
        if (!grid->group_labels[g] || !*grid->group_labels[g])
            continue;
        hs_text_block block;
        hs_text_layout(grid->group_labels[g], layout->group_size, last - first, HS_GRID_GROUP_LINES,
                       &block);
        hs_svg_block(svg, &block, layout->group_x, 0.5 * (first + last), upward);
        hs_svg_line(svg, layout->bar_x, first, layout->bar_x, last, 1, HS_INK_SOFT);
    }
}

static hs_status hs_grid_embed_cells(hs_svg *svg, const hs_grid *grid, const hs_grid_layout *layout,
                                     const char *path, hs_error *err) {
    for (int i = 0; i < grid->rows * grid->columns; i++) {
        if (!grid->cells[i].data)
            continue;
        void *png = NULL;
        size_t size = 0;
        HS_TRY(hs_image_encode(path, &grid->cells[i], HS_IMAGE_PNG, &png, &size, err));
        int column = i % grid->columns;
        hs_svg_png(svg, png, size, layout->x0 + column * (layout->cell_w + layout->gap),
                   layout->row_y[i / grid->columns], layout->cell_w, layout->cell_h);
        free(png);
    }
    return HS_OK;
}

/* Enlarge one cell by a whole factor into the page, at (x0, y0). */
static void hs_grid_place(hs_pixels *page, const hs_pixels *cell, int x0, int y0, int scale) {
    size_t stride = (size_t)page->width * (size_t)page->bands;
    for (int y = 0; y < cell->height; y++) {
        uint8_t *row =
            page->data + (size_t)(y0 + y * scale) * stride + (size_t)x0 * (size_t)page->bands;
        uint8_t *to = row;
        for (int x = 0; x < cell->width; x++) {
            const uint8_t *from =
                cell->data + ((size_t)y * (size_t)cell->width + (size_t)x) * (size_t)cell->bands;
            for (int k = 0; k < scale; k++)
                for (int b = 0; b < page->bands; b++)
                    *to++ = from[cell->bands == 1 ? 0 : b];
        }
        for (int k = 1; k < scale; k++)
            memcpy(row + (size_t)k * stride, row, (size_t)(to - row));
    }
}

static hs_status hs_grid_save_pixels(const hs_svg *svg, const hs_grid *grid,
                                     const hs_grid_layout *layout, const char *path,
                                     hs_error *err) {
    hs_pixels page = {0};
    HS_TRY(hs_svg_render(svg, 1, layout->gray ? 1 : 3, &page, err));
    for (int i = 0; i < grid->rows * grid->columns; i++)
        if (grid->cells[i].data)
            hs_grid_place(&page, &grid->cells[i],
                          layout->x0 + i % grid->columns * (layout->cell_w + layout->gap),
                          layout->row_y[i / grid->columns], layout->scale);
    hs_status status = hs_pixels_save(&page, path, err);
    free(page.data);
    return status;
}

hs_status hs_grid_save(const hs_grid *grid, const char *path, hs_error *err) {
    hs_image_kind kind;
    HS_TRY(hs_figure_check_path(path, err));
    HS_TRY(hs_image_kind_of(path, &kind, err));
    if (!grid)
        return hs_fail(err, HS_ERROR_ARGUMENT, "%s: no grid to draw (NULL)", path);
    hs_grid_layout layout;
    HS_TRY(hs_grid_layout_make(grid, path, kind, &layout, err));
    hs_status status = HS_OK;
    hs_svg svg;
    hs_svg_begin(&svg, layout.width, layout.height);
    hs_grid_draw_labels(&svg, grid, &layout);
    hs_grid_draw_groups(&svg, grid, &layout);
    if (kind == HS_IMAGE_SVG)
        HS_CHECK(hs_grid_embed_cells(&svg, grid, &layout, path, err));
    HS_CHECK(hs_svg_end(&svg, err));
    if (kind == HS_IMAGE_SVG)
        status = hs_file_write(path, svg.data, svg.size, err);
    else
        status = hs_grid_save_pixels(&svg, grid, &layout, path, err);
cleanup:
    hs_svg_free(&svg);
    free(layout.row_y);
    return status;
}
