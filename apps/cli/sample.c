/* hspace sample: images from seeds, without edits. */
#include "cli.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char doc[] = "Make images from seeds or from a latent file: one picture, a labelled "
                          "grid, or a folder with a file an image.";

typedef struct cli_sample_options {
    cli_options common;
    const char *recipe;
} cli_sample_options;

enum { KEY_RECIPE = 0x200 };

static const struct argp_option sample_options[] = {
    {"recipe", KEY_RECIPE, "FILE", 0, "Also write how the (one) image was made, as JSON", 9}, {0}};

static error_t cli_sample_parse(int key, char *arg, struct argp_state *state) {
    cli_sample_options *options = state->input;
    if (key == KEY_RECIPE) {
        options->recipe = arg;
        return 0;
    }
    return cli_default_key(key, arg, state);
}

static const struct argp_child sample_children[] = {{&cli_start_argp, 0, NULL, 0},
                                                    {&cli_sampling_argp, 0, NULL, 0},
                                                    {&cli_common_argp, 0, NULL, 0},
                                                    {&cli_profile_argp, 0, NULL, 0},
                                                    {0}};
static const struct argp sample_argp = {
    .options = sample_options, .parser = cli_sample_parse, .doc = doc, .children = sample_children};

/* A few in one row; else the first divisor from the square root on that does
 * not make the grid too wide; else a width with a last row that is not full. */
static int cli_grid_columns(int n) {
    int root = (int)ceil(sqrt(n));
    if (n <= 6)
        return n;
    for (int columns = root; columns <= 2 * root; columns++)
        if (n % columns == 0)
            return columns;
    return (int)ceil(sqrt(1.6 * n));
}

/* "seed 7" over a single row; "seeds 8-15" or "1, 4, 9" before each of many. */
static hs_status cli_sample_labels(cli_images *images, const int64_t *seeds, hs_error *err) {
    const char *word = seeds ? "seed" : "latent";
    images->item_names = cli_new_strings(images->count);
    images->row_labels = images->rows > 1 ? cli_new_strings(images->rows) : NULL;
    images->column_labels = images->rows == 1 ? cli_new_strings(images->columns) : NULL;
    if (!images->item_names || (!images->row_labels && !images->column_labels))
        return cli_fail_memory(err);
    for (int i = 0; i < images->count; i++) {
        char **label = images->rows == 1 ? &images->column_labels[i] : NULL;
        int64_t number = seeds ? seeds[i] : i;
        if (asprintf(&images->item_names[i], "%s %" PRId64, word, number) < 0 ||
            (label && asprintf(label, "%s %" PRId64, word, number) < 0))
            return cli_fail_memory(err);
    }
    for (int row = 0; images->row_labels && row < images->rows; row++) {
        int first = row * images->columns, last = first + images->columns - 1;
        last = last < images->count ? last : images->count - 1;
        int64_t from = seeds ? seeds[first] : first, to = seeds ? seeds[last] : last;
        bool run = to - from == last - first;
        for (int i = first; i < last && run && seeds; i++)
            run = seeds[i + 1] == seeds[i] + 1;
        if (asprintf(&images->row_labels[row],
                     from == to ? "%s %" PRId64
                     : run      ? "%ss %" PRId64 "\u2013%" PRId64
                                : "%ss %" PRId64 " \u2026 %" PRId64,
                     word, from, to) < 0)
            return cli_fail_memory(err);
    }
    return HS_OK;
}

/* Show the images of `run`; `first` is the number of its first one. */
static hs_status cli_sample_show(const cli_session *session, const cli_run *run, int first,
                                 cli_output_kind kind, hs_error *err) {
    cli_images images = {.info = &session->info,
                         .count = run->rows,
                         .first = first,
                         .columns = cli_grid_columns(run->rows),
                         .x = run->x};
    images.rows = (run->rows - 1) / images.columns + 1;
    hs_status status =
        kind == CLI_OUTPUT_NONE ? HS_OK : cli_sample_labels(&images, run->seeds, err);
    if (status == HS_OK)
        status = cli_save_images(&images, kind, session->options->output, err);
    cli_free_strings(images.item_names, images.count);
    cli_free_strings(images.row_labels, images.rows);
    cli_free_strings(images.column_labels, images.columns);
    return status;
}

/* A file an image: each batch is written when it is done, so that a run that is
 * stopped leaves what it made, and memory holds no more than a batch. */
static hs_status cli_sample_folder(cli_session *session, const cli_run *run, hs_error *err) {
    cli_progress *progress = &session->progress;
    hs_status status = HS_OK;
    int batch = hs_denoiser_batch(session->denoiser, run->rows), first = 0;
    while (first < run->rows && status == HS_OK) {
        int count = run->rows - first < batch ? run->rows - first : batch;
        cli_run part = {.rows = count, .columns = 1, .seeds = run->seeds + first};
        progress->done = first;
        progress->items = count;
        progress->of = run->rows;
        status = cli_run_sample(session, &part, err);
        if (status == HS_OK)
            status = cli_sample_show(session, &part, first, CLI_OUTPUT_FOLDER, err);
        if (status == HS_OK)
            first += count;
        cli_run_free(&part);
    }
    progress->of = 0;
    cli_progress_end(progress);
    if (status != HS_OK && first > 0)
        cli_message("note: %d of %d images are in %s", first, run->rows, session->options->output);
    return status;
}

/* Everything between the options and the report. */
static hs_status cli_sample_work(cli_session *session, const char *recipe, cli_run *run,
                                 hs_error *err) {
    const cli_options *options = session->options;
    static const int64_t default_seed = 0;
    cli_output_kind kind = cli_image_output(options);
    hs_status status = cli_check_outputs(options, recipe, kind, err);
    if (status == HS_OK)
        status = cli_open_sampler(session, 0, options->seeds ? options->seed_count : 0, err);
    if (status == HS_OK && kind != CLI_OUTPUT_NONE)
        status = cli_check_channels(session, err);
    if (status != HS_OK)
        return status;
    *run = (cli_run){.rows = 1, .columns = 1, .keep_h = options->tensors != NULL};
    run->seeds = session->latents ? NULL : options->seeds ? options->seeds : &default_seed;
    if (session->latents) {
        hs_latents_view view;
        hs_latents_view_get(session->latents, &view);
        run->rows = view.n;
    } else if (options->seeds) {
        run->rows = options->seed_count;
    }
    if (recipe && run->rows != 1)
        return cli_fail(err, HS_ERROR_ARGUMENT, "--recipe: describes one image, and this makes %d",
                        run->rows);
    if (kind == CLI_OUTPUT_FOLDER && run->seeds && !options->tensors && !recipe)
        return cli_sample_folder(session, run, err);
    status = cli_run_sample(session, run, err);
    if (status == HS_OK)
        status = cli_sample_show(session, run, 0, kind, err);
    if (status == HS_OK && options->tensors)
        status = cli_run_save_tensors(session, run, options->tensors, err);
    if (status == HS_OK && recipe)
        status = cli_save_recipe(session, recipe, err);
    return status;
}

int cli_sample(int argc, char **argv) {
    cli_sample_options options = {0};
    cli_parse_command(&sample_argp, argc, argv, &options);
    cli_session session;
    cli_session_begin(&session, &options.common);
    hs_error err;
    cli_run run = {0};
    hs_status status = cli_sample_work(&session, options.recipe, &run, &err);
    if (status == HS_OK)
        cli_report_images(&session, &run, options.recipe, NULL);
    int result = cli_finish(status, &err);
    cli_run_free(&run);
    cli_session_end(&session);
    cli_options_free(&options.common);
    return result;
}
