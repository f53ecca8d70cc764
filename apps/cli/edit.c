/* hspace edit: images with directions applied; rows are seeds, columns the
 * strengths of a sweep. */
#include "edit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char doc[] =
    "Make images with directions applied: a grid whose rows are seeds (or latents) and whose "
    "columns are the strengths of a sweep, one picture, or a folder with a file an image. "
    "Several -d add up. Where more than one is swept, they go along the columns together and need "
    "the same number of strengths; the others stay as they are. --swap-h and --interpolate mix two "
    "samples in place of directions.";

enum {
    KEY_RECIPE = 0x200,
    KEY_REPLAY,
    KEY_ITEM,
    KEY_CUMULATIVE,
    KEY_RANDOM,
    KEY_SWAP,
    KEY_INTERPOLATE,
    KEY_SPACE,
    KEY_POINTS
};

static const struct argp_option edit_options[] = {
    {"recipe", KEY_RECIPE, "FILE", 0, "Also write how the (one) image was made, as JSON", 9},
    {"replay", KEY_REPLAY, "FILE", 0, "Make the image of a recipe again", 9},
    {"item", KEY_ITEM, "LIST", 0, "Which images of --latent, from 0: 7, 1,4 or 0-15; default all",
     1},
    {"cumulative", KEY_CUMULATIVE, NULL, 0,
     "One -d after the other along the columns: the original, with the first, with the first two "
     "...",
     3},
    {"random", KEY_RANDOM, "SEED", 0,
     "In place of each -d a random direction that has its norm at every step, to compare with", 3},
    {"swap-h", KEY_SWAP, "A,B", 0,
     "Two seeds, or items of --latent: each also with the h of the other, at every step", 4},
    {"interpolate", KEY_INTERPOLATE, "lerp|slerp|sqrt", 0,
     "From each of the samples to the next, linearly, along the arc, or with weights sqrt(1-w), "
     "sqrt(w)",
     4},
    {"space", KEY_SPACE, "LIST", 0,
     "What is interpolated: pixel, noise (x_T and z) or h (of every step; default); several make a "
     "row each. With -d: h or noise, the space that the directions must be of",
     4},
    {"points", KEY_POINTS, "N", 0, "Images between two samples; default 7", 4},
    {0}};

static void cli_parse_items(cli_options *options, const char *arg) {
    char why[CLI_WHY];
    free(options->items);
    options->items = NULL;
    if (!cli_parse_seeds(arg, &options->items, &options->item_count, why))
        cli_usage_error("--item: %s", why);
    for (int i = 0; i < options->item_count; i++)
        if (options->items[i] < 0 || options->items[i] > INT32_MAX)
            cli_usage_error("--item: %" PRId64 " is no item of a latent file", options->items[i]);
}

static void cli_parse_blend(cli_edit_options *options, const char *arg) {
    static const char *const blends[] = {"lerp", "slerp", "sqrt"};
    for (int i = 0; i < 3; i++)
        if (!strcmp(arg, blends[i])) {
            options->interpolate = true;
            options->blend = (hs_blend)i;
            return;
        }
    cli_usage_error("--interpolate: '%.60s' is none of lerp, slerp, sqrt", arg);
}

static error_t cli_edit_parse(int key, char *arg, struct argp_state *state) {
    cli_edit_options *options = state->input;
    switch (key) {
    case KEY_RECIPE: options->recipe = arg; return 0;
    case KEY_REPLAY: options->replay = arg; return 0;
    case KEY_ITEM: cli_parse_items(&options->common, arg); return 0;
    case KEY_CUMULATIVE: options->cumulative = true; return 0;
    case KEY_RANDOM:
        options->random = true;
        options->random_seed = cli_option_int("--random", arg, 0, INT32_MAX);
        return 0;
    case KEY_SWAP: cli_parse_swap(options, arg); return 0;
    case KEY_INTERPOLATE: cli_parse_blend(options, arg); return 0;
    case KEY_SPACE: cli_parse_spaces(options, arg); return 0;
    case KEY_POINTS: options->points = cli_option_int("--points", arg, 1, 1000); return 0;
    default: return cli_default_key(key, arg, state);
    }
}

static const struct argp_child edit_children[] = {{&cli_start_argp, 0, NULL, 0},
                                                  {&cli_edit_argp, 0, NULL, 0},
                                                  {&cli_sampling_argp, 0, NULL, 0},
                                                  {&cli_common_argp, 0, NULL, 0},
                                                  {0}};
static const struct argp edit_argp = {
    .options = edit_options, .parser = cli_edit_parse, .doc = doc, .children = edit_children};

/* Columns of the grid: the strengths of what is swept. */
int cli_sweep_columns(const cli_options *options) {
    int columns = 0;
    for (int i = 0; i < options->direction_count; i++) {
        const cli_direction_spec *spec = &options->directions[i];
        if (spec->sweep && columns && spec->count != columns)
            cli_usage_error("-d: sweeps of %d and of %d strengths cannot share the columns",
                            columns, spec->count);
        if (spec->sweep)
            columns = spec->count;
    }
    return columns ? columns : 1;
}

/* Strengths [columns, direction_count]. */
double *cli_sweep_strengths(const cli_options *options, int columns) {
    int count = options->direction_count;
    double *strengths = calloc((size_t)columns * (size_t)count + 1, sizeof *strengths);
    for (int s = 0; strengths && s < columns; s++)
        for (int i = 0; i < count; i++) {
            const cli_direction_spec *spec = &options->directions[i];
            strengths[s * count + i] = spec->strengths[spec->sweep ? s : 0];
        }
    return strengths;
}

/* "+1.5", or "+1 / -2" where two directions are swept. */
char *cli_column_label(const cli_options *options, int column) {
    char text[200] = "";
    for (int i = 0, used = 0; i < options->direction_count && used < 150; i++)
        if (options->directions[i].sweep) {
            double strength = options->directions[i].strengths[column];
            used += snprintf(text + used, sizeof text - (size_t)used,
                             strength != 0 ? "%s%+.4g" : "%s%g", used ? " / " : "", strength);
        }
    return strdup(text);
}

/* "pca #2 (standard deviation) + beard #0 = 1.5 (mean difference)" */
char *cli_edit_title(const cli_session *session) {
    const cli_options *options = session->options;
    char text[400] = "";
    int used = 0;
    for (int i = 0; i < options->direction_count && used < 300; i++) {
        const cli_direction_spec *spec = &options->directions[i];
        const hs_edit *edit = &session->edits[i];
        hs_directions_view view;
        hs_directions_view_get(edit->directions, &view);
        const char *base = strrchr(spec->file, '/');
        base = base ? base + 1 : spec->file;
        int stem = (int)strcspn(base, ".");
        char strength[40] = "";
        if (!spec->sweep)
            snprintf(strength, sizeof strength, " = %g", spec->strengths[0]);
        used += snprintf(text + used, sizeof text - (size_t)used, "%s%.*s #%.40s%s (%.40s%s)",
                         used ? " + " : "", stem < 60 ? stem : 60, base,
                         hs_directions_name(edit->directions, edit->index), strength,
                         view.unit ? view.unit : "unit unknown",
                         view.space != HS_SPACE_NOISE ? ""
                         : view.delta_z               ? " of x_T and z"
                                                      : " of x_T");
    }
    return strdup(text);
}

/* "original", then "+ pca #2 = 1.5" for each direction that comes in. */
static char *cli_cumulative_label(const cli_session *session, int column) {
    char *text = NULL;
    if (!column)
        return strdup("original");
    const cli_direction_spec *spec = &session->options->directions[column - 1];
    const hs_edit *edit = &session->edits[column - 1];
    const char *base = strrchr(spec->file, '/');
    base = base ? base + 1 : spec->file;
    int length = asprintf(&text, "+ %.*s #%.40s = %g", (int)strcspn(base, "."), base,
                          hs_directions_name(edit->directions, edit->index), spec->strengths[0]);
    return length < 0 ? NULL : text;
}

/* Strengths [count + 1, count]: column s has the first s directions. */
static double *cli_cumulative_strengths(const cli_options *options) {
    int count = options->direction_count;
    double *strengths = calloc((size_t)(count + 1) * (size_t)count, sizeof *strengths);
    for (int s = 0; strengths && s <= count; s++)
        for (int i = 0; i < s; i++)
            strengths[s * count + i] = options->directions[i].strengths[0];
    return strengths;
}

static hs_status cli_edit_labels(const cli_session *session, const cli_run *run, bool cumulative,
                                 cli_images *images, hs_error *err) {
    const int64_t *items = session->options->items;
    const char *word = run->seeds ? "seed" : "latent";
    images->row_labels = cli_new_strings(run->rows);
    images->column_labels = run->columns > 1 ? cli_new_strings(run->columns) : NULL;
    images->item_names = cli_new_strings(images->count);
    if (!images->row_labels || !images->item_names || (run->columns > 1 && !images->column_labels))
        return cli_fail_memory(err);
    for (int s = 0; s < run->columns && run->columns > 1; s++)
        if (!(images->column_labels[s] = cumulative ? cli_cumulative_label(session, s)
                                                    : cli_column_label(session->options, s)))
            return cli_fail_memory(err);
    for (int r = 0; r < run->rows; r++)
        if (asprintf(&images->row_labels[r], "%s %" PRId64, word,
                     run->seeds ? run->seeds[r]
                     : items    ? items[r]
                                : r) < 0)
            return cli_fail_memory(err);
    for (int i = 0; i < images->count; i++)
        if (asprintf(&images->item_names[i], "%s%s%s", images->row_labels[i / run->columns],
                     !images->column_labels ? ""
                     : cumulative           ? " "
                                            : " strength ",
                     images->column_labels ? images->column_labels[i % run->columns] : "") < 0)
            return cli_fail_memory(err);
    return HS_OK;
}

static hs_status cli_edit_show(const cli_session *session, const cli_run *run, bool cumulative,
                               cli_output_kind kind, hs_error *err) {
    char *title = cumulative ? strdup("edits added one after the other") : cli_edit_title(session);
    cli_images images = {.info = &session->info,
                         .count = run->rows * run->columns,
                         .rows = run->rows,
                         .columns = run->columns,
                         .x = run->x,
                         .title = title};
    hs_status status =
        title ? cli_edit_labels(session, run, cumulative, &images, err) : cli_fail_memory(err);
    if (status == HS_OK)
        status = cli_save_images(&images, kind, session->options->output, err);
    cli_free_strings(images.item_names, images.count);
    cli_free_strings(images.column_labels, images.columns);
    cli_free_strings(images.row_labels, images.rows);
    free(title);
    return status;
}

/* --random: each direction makes way for one of chance with its norm at every step. */
static hs_status cli_edit_random(cli_session *session, int seed, hs_error *err) {
    for (int i = 0; i < session->options->direction_count; i++) {
        hs_directions *random = NULL;
        hs_status status =
            hs_directions_random_like(session->fitted[i], (int64_t)seed + i, &random, err);
        if (status != HS_OK)
            return status;
        hs_directions_free(session->fitted[i]);
        session->fitted[i] = random;
        session->edits[i].directions = random;
    }
    return HS_OK;
}

/* The session and the run, as the options say. */
static hs_status cli_edit_open(cli_session *session, const cli_edit_options *edit,
                               cli_output_kind kind, cli_run *run, hs_error *err) {
    static const int64_t default_seed = 0;
    const cli_options *options = session->options;
    const char *recipe = edit->recipe;
    hs_status status = cli_check_outputs(options, recipe, kind, err);
    int rows = options->seeds ? options->seed_count : 1;
    run->columns = edit->cumulative ? options->direction_count + 1 : cli_sweep_columns(options);
    if (status == HS_OK)
        status = cli_open_sampler(session, 0, options->latent ? 0 : rows * run->columns, err);
    if (status == HS_OK && kind != CLI_OUTPUT_NONE)
        status = cli_check_channels(session, err);
    if (status == HS_OK)
        status = cli_pick_items(session, err);
    if (status == HS_OK)
        status = cli_open_directions(session, err);
    if (status == HS_OK && edit->random)
        status = cli_edit_random(session, edit->random_seed, err);
    if (status == HS_OK && recipe && options->sigma_profile)
        status = cli_fail(err, HS_ERROR_UNSUPPORTED,
                          "--recipe: a recipe has no place for --profile sigma");
    if (status != HS_OK)
        return status;
    run->seeds = session->latents ? NULL : options->seeds ? options->seeds : &default_seed;
    run->rows = rows;
    if (session->latents) {
        hs_latents_view view;
        hs_latents_view_get(session->latents, &view);
        run->rows = view.n;
    }
    run->edits = session->edits;
    run->edit_count = options->direction_count;
    run->strengths = edit->cumulative ? cli_cumulative_strengths(options)
                                      : cli_sweep_strengths(options, run->columns);
    run->keep_h = options->tensors != NULL;
    if (!run->strengths)
        return cli_fail_memory(err);
    if (recipe && run->rows * run->columns != 1)
        return cli_fail(err, HS_ERROR_ARGUMENT, "--recipe: describes one image, and this makes %d",
                        run->rows * run->columns);
    return HS_OK;
}

static json_t *cli_edit_extra(const cli_run *run, const cli_options *options) {
    json_t *extra = json_object(), *edits = json_array();
    for (int i = 0; i < options->direction_count; i++) {
        json_t *edit = json_object(), *strengths = json_array();
        for (int s = 0; s < run->columns; s++)
            json_array_append_new(strengths, json_real(run->strengths[s * run->edit_count + i]));
        json_object_set_new(edit, "file", json_string(options->directions[i].file));
        json_object_set_new(
            edit, "name",
            json_string(hs_directions_name(run->edits[i].directions, run->edits[i].index)));
        json_object_set_new(edit, "strengths", strengths);
        json_array_append_new(edits, edit);
    }
    json_object_set_new(extra, "edits", edits);
    return extra;
}

/* Mistakes that the command line alone shows. */
static void cli_edit_check(const cli_edit_options *options) {
    const cli_options *common = &options->common;
    if (common->items && !common->latent)
        cli_usage_error("--item: there is no --latent to take it from");
    if (options->random && (options->recipe || options->replay))
        cli_usage_error("--random: a recipe has no place for directions of chance");
    if (options->random && (options->swap || options->interpolate))
        cli_usage_error("--random: takes the place of -d, not of --swap-h or --interpolate");
    if (options->swap || options->interpolate) {
        if (options->replay)
            cli_usage_error("--replay goes without --swap-h and --interpolate");
        cli_mix_check(options);
        return;
    }
    if (options->points)
        cli_usage_error("--points: goes with --interpolate");
    if (options->space_given && (options->space_count > 1 || options->spaces[0] == HS_SPACE_PIXEL))
        cli_usage_error("--space: directions are of h or noise; pixel, and several, go with "
                        "--interpolate");
    if (!common->direction_count && !options->replay)
        cli_usage_error("edit: -d FILE says which direction to apply");
    for (int i = 0; options->cumulative && i < common->direction_count; i++)
        if (common->directions[i].sweep)
            cli_usage_error("--cumulative: takes one strength a direction, no sweep");
    if (options->cumulative && options->replay)
        cli_usage_error("--cumulative: --replay makes the one image of a recipe");
}

static int cli_edit_directions(cli_edit_options *options) {
    hs_error err;
    hs_recipe *replayed = NULL;
    hs_status status = HS_OK;
    if (options->replay)
        status = cli_apply_recipe(&options->common, options->replay, &replayed, &err);
    cli_output_kind kind = cli_image_output(&options->common);
    cli_session session;
    cli_session_begin(&session, &options->common);
    cli_run run = {0};
    if (status == HS_OK)
        status = cli_edit_open(&session, options, kind, &run, &err);
    if (status == HS_OK)
        status = cli_run_sample(&session, &run, &err);
    if (status == HS_OK && kind != CLI_OUTPUT_NONE)
        status = cli_edit_show(&session, &run, options->cumulative, kind, &err);
    if (status == HS_OK && options->common.tensors)
        status = cli_run_save_tensors(&session, &run, options->common.tensors, &err);
    if (status == HS_OK && options->recipe)
        status = cli_save_recipe(&session, options->recipe, &err);
    if (status == HS_OK)
        cli_report_images(&session, &run, options->recipe, cli_edit_extra(&run, &options->common));
    int result = cli_finish(status, &err);
    free((void *)run.strengths);
    cli_run_free(&run);
    cli_session_end(&session);
    hs_recipe_free(replayed);
    return result;
}

int cli_edit(int argc, char **argv) {
    cli_edit_options options = {0};
    cli_parse_command(&edit_argp, argc, argv, &options);
    cli_edit_check(&options);
    options.common.space_wanted = options.space_given;
    options.common.space = options.spaces[0];
    int result =
        options.swap || options.interpolate ? cli_mix(&options) : cli_edit_directions(&options);
    cli_options_free(&options.common);
    return result;
}
