/* hspace edit: images with directions applied; rows are seeds, columns the
 * strengths of a sweep. */
#include "cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char doc[] =
    "Make images with directions applied: a grid whose rows are seeds (or latents) and whose "
    "columns are the strengths of a sweep, one picture, or a folder with a file an image. "
    "Several -d add up. Where more than one is swept, they go along the columns together and need "
    "the same number of strengths; the others stay as they are.";

typedef struct cli_edit_options {
    cli_options common;
    const char *recipe, *replay;
} cli_edit_options;

enum { KEY_RECIPE = 0x200, KEY_REPLAY };

static const struct argp_option edit_options[] = {
    {"recipe", KEY_RECIPE, "FILE", 0, "Also write how the (one) image was made, as JSON", 9},
    {"replay", KEY_REPLAY, "FILE", 0, "Make the image of a recipe again", 9},
    {0}};

static error_t cli_edit_parse(int key, char *arg, struct argp_state *state) {
    cli_edit_options *options = state->input;
    switch (key) {
    case KEY_RECIPE: options->recipe = arg; return 0;
    case KEY_REPLAY: options->replay = arg; return 0;
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
        used += snprintf(text + used, sizeof text - (size_t)used, "%s%.*s #%.40s%s (%.40s)",
                         used ? " + " : "", stem < 60 ? stem : 60, base,
                         hs_directions_name(edit->directions, edit->index), strength,
                         view.unit ? view.unit : "unit unknown");
    }
    return strdup(text);
}

static hs_status cli_edit_labels(const cli_session *session, const cli_run *run, cli_images *images,
                                 hs_error *err) {
    const char *word = run->seeds ? "seed" : "latent";
    images->row_labels = cli_new_strings(run->rows);
    images->column_labels = run->columns > 1 ? cli_new_strings(run->columns) : NULL;
    images->item_names = cli_new_strings(images->count);
    if (!images->row_labels || !images->item_names || (run->columns > 1 && !images->column_labels))
        return cli_fail_memory(err);
    for (int s = 0; s < run->columns && run->columns > 1; s++)
        if (!(images->column_labels[s] = cli_column_label(session->options, s)))
            return cli_fail_memory(err);
    for (int r = 0; r < run->rows; r++)
        if (asprintf(&images->row_labels[r], "%s %" PRId64, word, run->seeds ? run->seeds[r] : r) <
            0)
            return cli_fail_memory(err);
    for (int i = 0; i < images->count; i++)
        if (asprintf(&images->item_names[i], "%s%s%s", images->row_labels[i / run->columns],
                     images->column_labels ? " strength " : "",
                     images->column_labels ? images->column_labels[i % run->columns] : "") < 0)
            return cli_fail_memory(err);
    return HS_OK;
}

static hs_status cli_edit_show(const cli_session *session, const cli_run *run, cli_output_kind kind,
                               hs_error *err) {
    char *title = cli_edit_title(session);
    cli_images images = {.info = &session->info,
                         .count = run->rows * run->columns,
                         .rows = run->rows,
                         .columns = run->columns,
                         .x = run->x,
                         .title = title};
    hs_status status = title ? cli_edit_labels(session, run, &images, err) : cli_fail_memory(err);
    if (status == HS_OK)
        status = cli_save_images(&images, kind, session->options->output, err);
    cli_free_strings(images.item_names, images.count);
    cli_free_strings(images.column_labels, images.columns);
    cli_free_strings(images.row_labels, images.rows);
    free(title);
    return status;
}

/* The session and the run, as the options say. */
static hs_status cli_edit_open(cli_session *session, const char *recipe, cli_output_kind kind,
                               cli_run *run, hs_error *err) {
    static const int64_t default_seed = 0;
    const cli_options *options = session->options;
    hs_status status = cli_check_outputs(options, recipe, kind, err);
    int rows = options->seeds ? options->seed_count : 1;
    run->columns = cli_sweep_columns(options);
    if (status == HS_OK)
        status = cli_open_sampler(session, 0, options->latent ? 0 : rows * run->columns, err);
    if (status == HS_OK && kind != CLI_OUTPUT_NONE)
        status = cli_check_channels(session, err);
    if (status == HS_OK)
        status = cli_open_directions(session, err);
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
    run->strengths = cli_sweep_strengths(options, run->columns);
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

int cli_edit(int argc, char **argv) {
    cli_edit_options options = {0};
    hs_error err;
    hs_recipe *replayed = NULL;
    hs_status status = HS_OK;
    cli_parse_command(&edit_argp, argc, argv, &options);
    if (options.replay)
        status = cli_apply_recipe(&options.common, options.replay, &replayed, &err);
    else if (!options.common.direction_count)
        cli_usage_error("edit: -d FILE says which direction to apply");
    cli_output_kind kind = cli_image_output(&options.common);
    cli_session session;
    cli_session_begin(&session, &options.common);
    cli_run run = {0};
    if (status == HS_OK)
        status = cli_edit_open(&session, options.recipe, kind, &run, &err);
    if (status == HS_OK)
        status = cli_run_sample(&session, &run, &err);
    if (status == HS_OK && kind != CLI_OUTPUT_NONE)
        status = cli_edit_show(&session, &run, kind, &err);
    if (status == HS_OK && options.common.tensors)
        status = cli_run_save_tensors(&session, &run, options.common.tensors, &err);
    if (status == HS_OK && options.recipe)
        status = cli_save_recipe(&session, options.recipe, &err);
    if (status == HS_OK)
        cli_report_images(&session, &run, options.recipe, cli_edit_extra(&run, &options.common));
    int result = cli_finish(status, &err);
    free((void *)run.strengths);
    cli_run_free(&run);
    cli_session_end(&session);
    hs_recipe_free(replayed);
    cli_options_free(&options.common);
    return result;
}
