/* hspace invert --preview: originals, reconstructions, and edits of these. */
#include "cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Column `column` of the edits, [rows,C,H,W] into x. */
static hs_status cli_edit_column(cli_session *session, const hs_latents *latents, int rows,
                                 const double *strengths, float *x, hs_error *err) {
    int count = session->options->direction_count;
    double *per_item = calloc((size_t)rows * (size_t)count, sizeof *per_item);
    if (!per_item)
        return cli_fail_memory(err);
    for (int i = 0; i < rows * count; i++)
        per_item[i] = strengths[i % count];
    hs_status status = hs_sample(session->sampler, rows, NULL, latents, session->edits, count,
                                 per_item, &session->monitor, x, NULL, err);
    cli_progress_end(&session->progress);
    free(per_item);
    return status;
}

/* All cells, row by row; the edits' columns are made one by one. */
static hs_status cli_inversion_cells(cli_session *session, const cli_inversion *inversion,
                                     int columns, cli_images *images, float *x, hs_error *err) {
    const cli_options *options = session->options;
    size_t size = cli_float_count(1, session->info.image, 3);
    float *column = malloc((size_t)images->rows * size * sizeof *column);
    double *strengths = cli_sweep_strengths(options, columns);
    hs_status status = column && strengths ? HS_OK : cli_fail_memory(err);
    for (int s = 0; s < images->columns && status == HS_OK; s++) {
        const float *from = s == 0 ? inversion->inputs->x : inversion->reconstruction;
        if (s >= 2) {
            status = cli_edit_column(session, inversion->latents, images->rows,
                                     strengths + (s - 2) * options->direction_count, column, err);
            from = column;
        }
        for (int r = 0; r < images->rows && status == HS_OK; r++)
            memcpy(x + (size_t)(r * images->columns + s) * size, from + (size_t)r * size,
                   size * sizeof *x);
    }
    free(strengths);
    free(column);
    return status;
}

static hs_status cli_inversion_labels(cli_session *session, const cli_inversion *inversion,
                                      cli_images *images, hs_error *err) {
    const cli_options *options = session->options;
    images->row_labels = cli_new_strings(images->rows);
    images->column_labels = cli_new_strings(images->columns);
    if (!images->row_labels || !images->column_labels)
        return cli_fail_memory(err);
    for (int r = 0; r < images->rows; r++) {
        const char *path = inversion->inputs->paths[r], *slash = strrchr(path, '/');
        if (asprintf(&images->row_labels[r], "%.60s %.1f dB", slash ? slash + 1 : path,
                     inversion->psnr[r]) < 0)
            return cli_fail_memory(err);
    }
    for (int s = 0; s < images->columns; s++) {
        char *label = s == 0   ? strdup("original")
                      : s == 1 ? strdup("reconstruction")
                               : cli_column_label(options, s - 2);
        if (label && !*label) { /* nothing is swept */
            free(label);
            label = strdup("edit");
        }
        if (!label)
            return cli_fail_memory(err);
        images->column_labels[s] = label;
    }
    return HS_OK;
}

hs_status cli_save_inversion(cli_session *session, const cli_inversion *inversion, const char *path,
                             hs_error *err) {
    const cli_options *options = session->options;
    int count = inversion->inputs->count, rows = count < CLI_INVERT_ROWS ? count : CLI_INVERT_ROWS;
    int columns = options->direction_count ? cli_sweep_columns(options) : 0;
    cli_images images = {.info = &session->info,
                         .count = rows * (2 + columns),
                         .rows = rows,
                         .columns = 2 + columns};
    size_t floats = cli_float_count(images.count, session->info.image, 3);
    float *x = floats ? malloc(floats * sizeof *x) : NULL;
    char *title = options->direction_count ? cli_edit_title(session) : strdup("");
    images.x = x;
    images.title = title && *title ? title : NULL;
    hs_status status = x && title ? HS_OK : cli_fail_memory(err);
    if (status == HS_OK && rows < count)
        cli_message("note: %s shows the first %d of %d images", path, rows, count);
    if (status == HS_OK)
        status = cli_inversion_cells(session, inversion, columns, &images, x, err);
    if (status == HS_OK)
        status = cli_inversion_labels(session, inversion, &images, err);
    if (status == HS_OK)
        status = cli_save_images(&images, CLI_OUTPUT_IMAGE, path, err);
    cli_free_strings(images.column_labels, images.columns);
    cli_free_strings(images.row_labels, images.rows);
    free(title);
    free(x);
    return status;
}
