/* What directions do, beside random directions of the same norm (the paper's
 * Fig. 4): the baseline that every unsupervised result is shown against. */
#include "cli.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define CLI_RANDOM_SEED 20240527 /* of the random directions; any will do */

void cli_spread(double range, int columns, double *out) {
    for (int s = 0; s < columns; s++)
        out[s] = columns > 1 ? range * (2.0 * s / (columns - 1) - 1) : range;
    if (columns % 2 && columns > 1)
        out[columns / 2] = 0;
}

hs_status cli_strength_labels(const double *strengths, int columns, char **labels, hs_error *err) {
    for (int s = 0; s < columns; s++)
        if (asprintf(&labels[s], strengths[s] != 0 ? "%+.3g\u03c3" : "%g", strengths[s]) < 0)
            return cli_fail_memory(err);
    return HS_OK;
}

/* Mean absolute change of a pixel, of 255, of a row's two ends from its middle. */
static double cli_row_change(const float *row, int columns, size_t size) {
    const float *middle = row + (size_t)(columns / 2) * size;
    const float *ends[2] = {row, row + (size_t)(columns - 1) * size};
    double sum = 0;
    for (int e = 0; e < 2; e++)
        for (size_t i = 0; i < size; i++)
            sum +=
                fabs(fmin(1, fmax(-1, (double)ends[e][i])) - fmin(1, fmax(-1, (double)middle[i])));
    return sum / (2 * (double)size) * 127.5;
}

/* 2 * count edits: the directions, then the random ones; each row uses one. */
static hs_status cli_preview_run(cli_session *session, const cli_preview *preview,
                                 const hs_directions *random, cli_run *run, hs_error *err) {
    int rows = 2 * preview->count, columns = preview->columns;
    hs_edit *edits = calloc((size_t)rows, sizeof *edits);
    double *strengths = calloc((size_t)(rows * columns * rows), sizeof *strengths);
    int64_t *seeds = calloc((size_t)rows, sizeof *seeds);
    double *spread = calloc((size_t)columns, sizeof *spread);
    hs_status status = HS_OK;
    if (!edits || !strengths || !seeds || !spread) {
        status = cli_fail_memory(err);
        goto cleanup;
    }
    cli_spread(preview->range, columns, spread);
    for (int r = 0; r < rows; r++) {
        seeds[r] = preview->seed;
        edits[r] = (hs_edit){.directions = r < preview->count ? preview->directions : random,
                             .index = r % preview->count,
                             .last = -1};
        for (int s = 0; s < columns; s++)
            strengths[(r * columns + s) * rows + r] = spread[s];
    }
    *run = (cli_run){.rows = rows,
                     .columns = columns,
                     .seeds = seeds,
                     .edits = edits,
                     .edit_count = rows,
                     .strengths = strengths,
                     .by_row = true};
    status = cli_run_sample(session, run, err);
cleanup:
    free(spread);
    free(seeds);
    free(strengths);
    free(edits);
    run->seeds = NULL;
    run->edits = NULL;
    run->strengths = NULL;
    return status;
}

static hs_status cli_preview_draw(const cli_session *session, const cli_preview *preview,
                                  const cli_run *run, hs_error *err) {
    static const char *const group_labels[] = {"principal components",
                                               "random directions of equal norm"};
    int group_rows[2] = {preview->count, preview->count};
    double spread[CLI_MAX_SWEEP];
    char title[120];
    snprintf(title, sizeof title, "seed %lld", (long long)preview->seed);
    cli_images images = {.info = &session->info,
                         .count = run->rows * run->columns,
                         .rows = run->rows,
                         .columns = run->columns,
                         .x = run->x,
                         .title = title,
                         .group_count = 2,
                         .group_rows = group_rows,
                         .group_labels = group_labels};
    images.row_labels = cli_new_strings(run->rows);
    images.column_labels = cli_new_strings(run->columns);
    hs_status status = images.row_labels && images.column_labels ? HS_OK : cli_fail_memory(err);
    for (int r = 0; r < run->rows && status == HS_OK; r++)
        if (asprintf(&images.row_labels[r], "%d", r % preview->count) < 0)
            status = cli_fail_memory(err);
    cli_spread(preview->range, run->columns, spread);
    if (status == HS_OK)
        status = cli_strength_labels(spread, run->columns, images.column_labels, err);
    if (status == HS_OK)
        status = cli_save_images(&images, CLI_OUTPUT_IMAGE, preview->path, err);
    cli_free_strings(images.column_labels, run->columns);
    cli_free_strings(images.row_labels, run->rows);
    return status;
}

hs_status cli_save_preview(cli_session *session, const cli_preview *preview, double *change,
                           hs_error *err) {
    hs_directions *random = NULL;
    cli_run run = {0};
    hs_status status =
        hs_directions_random_like(preview->directions, CLI_RANDOM_SEED, &random, err);
    if (status == HS_OK)
        status = cli_preview_run(session, preview, random, &run, err);
    if (status == HS_OK)
        status = cli_preview_draw(session, preview, &run, err);
    size_t size = cli_float_count(1, session->info.image, 3);
    for (int r = 0; r < run.rows && status == HS_OK && change; r++)
        change[r] = cli_row_change(run.x + (size_t)(r * run.columns) * size, run.columns, size);
    cli_run_free(&run);
    hs_directions_free(random);
    return status;
}
