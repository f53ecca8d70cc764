/* Where everything in a labelled grid goes. In pixels, which are whole, so that
 * cells can be joined exactly. */
#ifndef HS_FIGURE_GRID_LAYOUT_H
#define HS_FIGURE_GRID_LAYOUT_H

#include "figure/text.h"
#include "io/image.h"

/*
 *     margin                      title
 *            |         | col 0   | col 1   |
 *      group | row 0   | [cell]    [cell]
 *      title | row 1   | [cell]    [cell]
 *                         (group gap)
 *      group | row 2   | [cell]    [cell]
 *                                           margin
 */
typedef struct hs_grid_layout {
    int scale;                                /* whole enlargement of the cells */
    int cell_w, cell_h;                       /* enlarged */
    int gap;                                  /* between cells */
    int width, height;                        /* of the figure */
    int x0;                                   /* left edge of column 0 */
    int *row_y;                               /* [rows] top edges; free() it */
    double title_x, title_y;                  /* centre */
    double column_y;                          /* bottom of the column labels */
    double label_x;                           /* right end of the row labels */
    double group_x;                           /* centre of the upright group labels */
    double bar_x;                             /* line between group and row labels */
    double group_size, row_size, column_size; /* font sizes */
    double row_width, column_width;           /* room of one label */
    hs_text_block title;
    bool gray; /* every cell has one band */
} hs_grid_layout;

/* Most lines of the labels. */
enum { HS_GRID_ROW_LINES = 3, HS_GRID_COLUMN_LINES = 3, HS_GRID_GROUP_LINES = 2 };

/* Check the grid and lay it out for a file of `kind`; `path` is for messages. */
hs_status hs_grid_layout_make(const hs_grid *grid, const char *path, hs_image_kind kind,
                              hs_grid_layout *out, hs_error *err);

#endif
