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
        out->edits[r] = (hs_edit){.directions = directions, .index = index[r], .last = -1};
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

/* The sample with direction index[r] at each of `columns` strengths, at all
 * steps: x [rows, columns, C,H,W], malloc'ed. */
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

/* The share of squared change from `middle` to both ends that lies inside. 0 where
 * nothing changes. */
static double cli_inside_share(const float *low, const float *middle, const float *high,
                               const int image[3], const uint8_t *inside) {
    size_t pixels = (size_t)image[1] * (size_t)image[2], size = pixels * (size_t)image[0];
    double in = 0, all = 0;
    for (size_t i = 0; i < size; i++) {
        int from = cli_pixel(middle[i]);
        double a = cli_pixel(low[i]) - from, b = cli_pixel(high[i]) - from;
        all += a * a + b * b;
        in += inside[i % pixels] ? a * a + b * b : 0;
    }
    return all > 0 ? in / all : 0;
}

hs_status cli_jacobian_shares(cli_session *session, const cli_jacobian_options *options,
                              const hs_directions *directions, double *out, hs_error *err) {
    static const double strengths[] = {-1, 0, 1};
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
        out[i] = cli_inside_share(row, row + size, row + 2 * size, image,
                                  options->regions[i % regions].inside);
    }
    free(x);
    free(index);
    return status;
}

/* ------------------------------------------------------------- preview -- */

#define CLI_STRENGTHS 5
#define CLI_COLUMNS (CLI_STRENGTHS + 1)
static const double cli_strengths[CLI_STRENGTHS] = {-2, -1, 0, 1, 2};

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

/* The cells of one row: the traversal, and u as a heat map. */
static hs_status cli_preview_row(const cli_session *session, const float *x, const float *u,
                                 hs_pixels *cells, hs_error *err) {
    const int *image = session->info.image;
    size_t size = cli_float_count(1, image, 3);
    hs_status status = HS_OK;
    for (int s = 0; s < CLI_STRENGTHS && status == HS_OK; s++)
        status = hs_pixels_from_tensor(x + (size_t)s * size, image[0], image[1], image[2],
                                       &cells[s], err);
    if (status == HS_OK)
        status = hs_heatmap_from_tensor(u, image[0], image[1], image[2], HS_HEATMAP_SIGNED, 0,
                                        &cells[CLI_STRENGTHS], err);
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

static hs_status cli_preview_grid(const cli_session *session, const cli_jacobian_options *options,
                                  const hs_directions *directions, const int *index, int rows,
                                  const double *shares, const float *x, hs_error *err) {
    static const char *const columns[CLI_COLUMNS] = {"-2", "-1", "0", "+1", "+2", "u"};
    size_t size = cli_float_count(1, session->info.image, 3);
    int cell_count = rows * CLI_COLUMNS;
    hs_directions_view view;
    hs_directions_view_get(directions, &view);
    char title[120] = "latent";
    if (!session->latents)
        snprintf(title, sizeof title, "seed %lld, in units of a %.60s", (long long)options->seed,
                 view.unit);
    hs_pixels *cells = calloc((size_t)cell_count, sizeof *cells);
    char **labels = cli_new_strings(rows);
    hs_status status = cells && labels ? HS_OK : cli_fail_memory(err);
    for (int r = 0; r < rows && status == HS_OK; r++) {
        status = cli_preview_row(session, x + (size_t)(r * CLI_STRENGTHS) * size,
                                 view.u + (size_t)index[r] * size, cells + r * CLI_COLUMNS, err);
        if (status == HS_OK)
            status = cli_preview_label(directions, index[r], shares ? shares[index[r]] : NAN,
                                       &labels[r], err);
    }
    hs_grid grid = {.rows = rows,
                    .columns = CLI_COLUMNS,
                    .cells = cells,
                    .title = title,
                    .row_labels = (const char *const *)labels,
                    .column_labels = columns};
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
    int *index = calloc((size_t)K, sizeof *index);
    if (!index)
        return cli_fail_memory(err);
    int rows = cli_choose_rows(K, k, options->shown, index);
    if (rows < K)
        cli_message("note: --preview shows %d of %d directions; --shown N shows more", rows, K);
    hs_status status = cli_traverse(session, options, directions, index, rows, cli_strengths,
                                    CLI_STRENGTHS, &x, err);
    for (int i = 0; shares && i < K; i++)
        shares[i] = NAN;
    for (int r = 0; r < rows && shares && status == HS_OK; r++) {
        const float *row = x + (size_t)(r * CLI_STRENGTHS) * size;
        int region = index[r] / k % options->region_count;
        shares[index[r]] = cli_inside_share(row + size, row + 2 * size, row + 3 * size,
                                            session->info.image, options->regions[region].inside);
    }
    if (status == HS_OK)
        status = cli_preview_grid(session, options, directions, index, rows, shares, x, err);
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
