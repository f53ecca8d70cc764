/* Pictures and figures of `hspace jacobian`: what directions change, where, and
 * their singular values. */
#include "jacobian.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -------------------------------------------------------------- images -- */

/* The items of a traversal: rows x columns, of which all at strength 0 are one. */
typedef struct cli_items {
    int count;
    int *of; /* [rows * columns]: which item a cell is */
    hs_edit *edits;
    double *per_item; /* [count, rows] */
    int64_t *seeds;
} cli_items;

static hs_status cli_items_make(const cli_jacobian_options *options,
                                const hs_directions *directions, const int *index, int rows,
                                const double *strengths, int columns, cli_items *out,
                                hs_error *err) {
    size_t n = (size_t)rows * (size_t)columns, edits = (size_t)rows;
    *out = (cli_items){.count = 1};
    out->of = calloc(n, sizeof *out->of);
    out->edits = calloc(edits, sizeof *out->edits);
    out->per_item = calloc((n + 1) * edits, sizeof *out->per_item);
    out->seeds = calloc(n + 1, sizeof *out->seeds);
    if (!out->of || !out->edits || !out->per_item || !out->seeds)
        return cli_fail_memory(err);
    for (size_t r = 0; r < edits; r++) {
        out->edits[r] = (hs_edit){.directions = directions,
                                  .index = index[r],
                                  .first = options->common.first,
                                  .last = options->common.last};
        for (int s = 0; s < columns; s++) {
            if (strengths[s] == 0)
                continue; /* item 0 */
            out->of[r * (size_t)columns + (size_t)s] = out->count;
            out->per_item[(size_t)out->count++ * edits + r] = strengths[s];
        }
    }
    for (int i = 0; i < out->count; i++)
        out->seeds[i] = options->seed;
    return HS_OK;
}

static void cli_items_free(cli_items *items) {
    free(items->of);
    free(items->edits);
    free(items->per_item);
    free(items->seeds);
}

/* The sample with direction index[r] at each of `columns` strengths, in the
 * options' window: x [rows, columns, C,H,W], malloc'ed. */
static hs_status cli_traverse(cli_session *session, const cli_jacobian_options *options,
                              const hs_directions *directions, const int *index, int rows,
                              const double *strengths, int columns, float **x, hs_error *err) {
    size_t cells = (size_t)rows * (size_t)columns,
           size = cli_float_count(1, session->info.image, 3);
    size_t floats = cli_float_count((int64_t)cells, session->info.image, 3);
    hs_latents *one = NULL;
    cli_items items;
    float *made = floats ? calloc(floats + size, sizeof *made) : NULL;
    *x = floats ? calloc(floats, sizeof **x) : NULL;
    hs_status status =
        cli_items_make(options, directions, index, rows, strengths, columns, &items, err);
    if (status == HS_OK && (!made || !*x))
        status = cli_fail_memory(err);
    if (status == HS_OK && session->latents)
        status = hs_latents_item(session->latents, options->jacobian.item, &one, err);
    if (status == HS_OK)
        status = hs_sample(session->sampler, items.count, one ? NULL : items.seeds, one,
                           items.edits, rows, items.per_item, &session->monitor, made, NULL, err);
    cli_progress_end(&session->progress);
    for (size_t i = 0; i < cells && status == HS_OK; i++)
        memcpy(*x + i * size, made + (size_t)items.of[i] * size, size * sizeof **x);
    hs_latents_free(one);
    cli_items_free(&items);
    free(made);
    return status;
}

/* The 8-bit value of x in [-1, 1], as hs_pixels_from_tensor gives it. */
static int cli_pixel(float x) {
    return (int)lround((fmin(1, fmax(-1, (double)x)) + 1) * 127.5);
}

/* The change from `middle` to both ends. */
static cli_inside cli_measure_inside(const float *low, const float *middle, const float *high,
                                     const int image[3], const uint8_t *inside) {
    size_t pixels = (size_t)image[1] * (size_t)image[2], size = pixels * (size_t)image[0];
    double in = 0, all = 0, values = 0;
    for (size_t i = 0; i < size; i++) {
        int from = cli_pixel(middle[i]);
        double a = cli_pixel(low[i]) - from, b = cli_pixel(high[i]) - from;
        all += a * a + b * b;
        if (!inside[i % pixels])
            continue;
        in += a * a + b * b;
        values += 2;
    }
    return (cli_inside){.share = all > 0 ? in / all : 0, .rms = values > 0 ? sqrt(in / values) : 0};
}

hs_status cli_jacobian_shares(cli_session *session, const cli_jacobian_options *options,
                              const hs_directions *directions, cli_inside *out, hs_error *err) {
    double strength = options->strength > 0 ? options->strength : 1;
    const double strengths[] = {-strength, 0, strength};
    const int *image = session->info.image;
    int K = hs_directions_count(directions), regions = options->region_count;
    size_t size = cli_float_count(1, image, 3);
    float *x = NULL;
    int *index = calloc((size_t)K, sizeof *index);
    hs_status status = index ? HS_OK : cli_fail_memory(err);
    for (int i = 0; i < K && status == HS_OK; i++)
        index[i] = i;
    if (status == HS_OK)
        status = cli_traverse(session, options, directions, index, K, strengths, 3, &x, err);
    for (int i = 0; i < K * regions && status == HS_OK; i++) {
        const float *row = x + (size_t)(i / regions) * 3 * size;
        out[i] = cli_measure_inside(row, row + size, row + 2 * size, image,
                                    options->regions[i % regions].inside);
    }
    free(x);
    free(index);
    return status;
}

/* ------------------------------------------------------------- preview -- */

#define CLI_MOST_STRENGTHS 5

/* The columns of a traversal: -2 ... 2, or -S, 0, S with --strength. The middle one is
 * 0, and those beside it are the strengths that are measured. */
typedef struct cli_columns {
    int count, middle;
    double strengths[CLI_MOST_STRENGTHS];
    char text[CLI_MOST_STRENGTHS][24];
    const char *labels[CLI_MOST_STRENGTHS + 2]; /* and of the two maps */
} cli_columns;

static void cli_columns_choose(const cli_jacobian_options *options, cli_columns *out) {
    double S = options->strength;
    *out = S > 0 ? (cli_columns){.count = 3, .middle = 1, .strengths = {-S, 0, S}}
                 : (cli_columns){.count = 5, .middle = 2, .strengths = {-2, -1, 0, 1, 2}};
    for (int s = 0; s < out->count; s++) {
        snprintf(out->text[s], sizeof out->text[s], out->strengths[s] != 0 ? "%+g" : "%g",
                 out->strengths[s]);
        out->labels[s] = out->text[s];
    }
    out->labels[out->count] = "change";
    out->labels[out->count + 1] = "u";
}

/* What is shown of K candidates, k a step and mask: all, or the first few of
 * each, or the first of some, so that at most `most` rows are drawn. */
static int cli_choose_rows(int K, int k, int most, int *index) {
    int groups = K / k, each = k, count = 0;
    if (K > most)
        each = most / groups > 0 ? most / groups : 1;
    int shown = groups * each > most ? most : groups;
    for (int g = 0; g < shown; g++) {
        int group = shown > 1 ? (int)((int64_t)g * (groups - 1) / (shown - 1)) : 0;
        for (int j = 0; j < each; j++)
            index[count++] = group * k + j;
    }
    return count;
}

/* Black pixels around what is inside, where there is room, none within it. */
static void cli_outline(hs_pixels *cell, const uint8_t *inside) {
    int width = cell->width, height = cell->height;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            bool beside = false;
            for (int dy = -1; dy <= 1; dy++)
                for (int dx = -1; dx <= 1; dx++)
                    if (y + dy >= 0 && y + dy < height && x + dx >= 0 && x + dx < width)
                        beside = beside || inside[(y + dy) * width + x + dx];
            if (beside && !inside[y * width + x])
                memset(cell->data + (size_t)(y * width + x) * (size_t)cell->bands, 0,
                       (size_t)cell->bands);
        }
}

/* Where the final image changes from end to end, with the outline of the mask. */
static hs_status cli_preview_change(const cli_session *session, const float *low, const float *high,
                                    const uint8_t *inside, hs_pixels *cell, hs_error *err) {
    const int *image = session->info.image;
    size_t size = cli_float_count(1, image, 3);
    float *change = malloc(size * sizeof *change);
    if (!change)
        return cli_fail_memory(err);
    for (size_t i = 0; i < size; i++)
        change[i] = (float)(cli_pixel(high[i]) - cli_pixel(low[i]));
    hs_status status = hs_heatmap_from_tensor(change, image[0], image[1], image[2],
                                              HS_HEATMAP_SIGNED, 0, cell, err);
    if (status == HS_OK && inside)
        cli_outline(cell, inside);
    free(change);
    return status;
}

/* The cells of one row: the traversal, what it changes, and u as a heat map. */
static hs_status cli_preview_row(const cli_session *session, const cli_columns *columns,
                                 const float *x, const float *u, const uint8_t *inside,
                                 hs_pixels *cells, hs_error *err) {
    const int *image = session->info.image;
    size_t size = cli_float_count(1, image, 3);
    const float *middle = x + (size_t)columns->middle * size;
    hs_status status = HS_OK;
    for (int s = 0; s < columns->count && status == HS_OK; s++)
        status = hs_pixels_from_tensor(x + (size_t)s * size, image[0], image[1], image[2],
                                       &cells[s], err);
    if (status == HS_OK)
        status = cli_preview_change(session, middle - size, middle + size, inside,
                                    &cells[columns->count], err);
    if (status == HS_OK)
        status = hs_heatmap_from_tensor(u, image[0], image[1], image[2], HS_HEATMAP_SIGNED, 0,
                                        &cells[columns->count + 1], err);
    return status;
}

static hs_status cli_preview_label(const hs_directions *directions, int index, double share,
                                   char **out, hs_error *err) {
    hs_directions_view view;
    hs_directions_view_get(directions, &view);
    char inside[40] = "";
    if (isfinite(share))
        snprintf(inside, sizeof inside, ", %.0f\u00a0%%\u00a0inside", 100 * share);
    if (asprintf(out, "%s  \u03c3\u00a0%.3g%s", hs_directions_name(directions, index),
                 (double)view.sigma[index], inside) < 0) {
        *out = NULL;
        return cli_fail_memory(err);
    }
    return HS_OK;
}

/* "seed 3, in units of a tenth of the norm of h, steps 15-29" */
static void cli_preview_title(const cli_session *session, const cli_jacobian_options *options,
                              const hs_directions *directions, char title[160]) {
    hs_directions_view view;
    hs_directions_view_get(directions, &view);
    char start[40] = "latent", window[40] = "";
    if (!session->latents)
        snprintf(start, sizeof start, "seed %lld", (long long)options->seed);
    if (options->common.window)
        snprintf(window, sizeof window, ", steps %d-%d", options->common.first,
                 options->common.last);
    snprintf(title, 160, "%s, in units of a %.60s%s", start, view.unit, window);
}

static hs_status cli_preview_grid(const cli_session *session, const cli_jacobian_options *options,
                                  const hs_directions *directions, const cli_columns *columns,
                                  const int *index, int rows, const double *shares, const float *x,
                                  hs_error *err) {
    size_t size = cli_float_count(1, session->info.image, 3);
    int across = columns->count + 2, cell_count = rows * across, k = options->jacobian.k;
    hs_directions_view view;
    hs_directions_view_get(directions, &view);
    char title[160];
    cli_preview_title(session, options, directions, title);
    hs_pixels *cells = calloc((size_t)cell_count, sizeof *cells);
    char **labels = cli_new_strings(rows);
    hs_status status = cells && labels ? HS_OK : cli_fail_memory(err);
    for (int r = 0; r < rows && status == HS_OK; r++) {
        const uint8_t *inside = options->region_count
                                    ? options->regions[index[r] / k % options->region_count].inside
                                    : NULL;
        status = cli_preview_row(session, columns, x + (size_t)(r * columns->count) * size,
                                 view.u + (size_t)index[r] * size, inside, cells + r * across, err);
        if (status == HS_OK)
            status = cli_preview_label(directions, index[r], shares ? shares[index[r]] : NAN,
                                       &labels[r], err);
    }
    hs_grid grid = {.rows = rows,
                    .columns = across,
                    .cells = cells,
                    .title = title,
                    .row_labels = (const char *const *)labels,
                    .column_labels = columns->labels};
    if (status == HS_OK)
        status = hs_grid_save(&grid, options->preview, err);
    for (int i = 0; cells && i < cell_count; i++)
        free(cells[i].data);
    free(cells);
    cli_free_strings(labels, rows);
    return status;
}

hs_status cli_jacobian_preview(cli_session *session, const cli_jacobian_options *options,
                               const hs_directions *directions, double *shares, hs_error *err) {
    int K = hs_directions_count(directions), k = options->jacobian.k;
    size_t size = cli_float_count(1, session->info.image, 3);
    float *x = NULL;
    cli_columns columns;
    cli_columns_choose(options, &columns);
    int *index = calloc((size_t)K, sizeof *index);
    if (!index)
        return cli_fail_memory(err);
    int rows = cli_choose_rows(K, k, options->shown, index);
    if (rows < K)
        cli_message("note: --preview shows %d of %d directions; --shown N shows more", rows, K);
    hs_status status = cli_traverse(session, options, directions, index, rows, columns.strengths,
                                    columns.count, &x, err);
    for (int i = 0; shares && i < K; i++)
        shares[i] = NAN;
    for (int r = 0; r < rows && shares && status == HS_OK; r++) {
        const float *middle = x + (size_t)(r * columns.count + columns.middle) * size;
        int region = index[r] / k % options->region_count;
        shares[index[r]] = cli_measure_inside(middle - size, middle, middle + size,
                                              session->info.image, options->regions[region].inside)
                               .share;
    }
    if (status == HS_OK)
        status =
            cli_preview_grid(session, options, directions, &columns, index, rows, shares, x, err);
    free(x);
    free(index);
    return status;
}

/* ---------------------------------------------------------------- plot -- */

hs_status cli_jacobian_plot(const cli_session *session, const cli_jacobian_options *options,
                            const hs_directions *directions, hs_error *err) {
    int k = options->jacobian.k, regions = options->region_count ? options->region_count : 1;
    int T = hs_sampler_steps(session->sampler);
    int steps = options->jacobian.step_count ? options->jacobian.step_count : T;
    size_t lines = (size_t)(k * regions), points = (size_t)steps;
    hs_directions_view view;
    hs_directions_view_get(directions, &view);
    hs_series *series = calloc(lines, sizeof *series);
    double *x = calloc(points, sizeof *x), *y = calloc(lines * points, sizeof *y);
    char **labels = cli_new_strings((int)lines);
    hs_status status = series && x && y && labels ? HS_OK : cli_fail_memory(err);
    for (int i = 0; i < steps && status == HS_OK; i++) {
        int step = 0; /* the file has them in order, whatever order was asked for */
        status = hs_directions_found_at(directions, i * regions * k, session->sampler, &step, err);
        x[i] = step;
    }
    for (int line = 0; line < (int)lines && status == HS_OK; line++) {
        int region = line / k, j = line % k;
        for (int i = 0; i < steps; i++)
            y[line * steps + i] = (double)view.sigma[(i * regions + region) * k + j];
        bool several = regions > 1;
        if (asprintf(&labels[line], "\u03c3 %d%s%s", j + 1, several ? " " : "",
                     several ? options->regions[region].name : "") < 0) {
            labels[line] = NULL;
            status = cli_fail_memory(err);
        }
        series[line] =
            (hs_series){.count = steps, .x = x, .y = y + line * steps, .label = labels[line]};
    }
    hs_plot plot = {.title = "singular values of d eps / d h",
                    .x_label = "step (0 is the noisiest)",
                    .y_label = "\u03c3",
                    .series = series,
                    .series_count = (int)lines,
                    .from_zero = true};
    if (status == HS_OK)
        status = hs_plot_save(&plot, options->plot, err);
    cli_free_strings(labels, (int)lines);
    free(y);
    free(x);
    free(series);
    return status;
}
