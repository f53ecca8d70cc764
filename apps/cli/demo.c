/*
 * hspace demo: finds directions in the embedded model and shows what they
 * change, beside random directions of the same norm. The folder that it writes
 * can be looked at with any browser and moved anywhere.
 */
#include "demo.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char doc[] =
    "Find principal components of h-space in the embedded model, and write a folder that shows "
    "what each of them changes: pictures, a page, the direction file and a recipe.";

#define CLI_DEMO_ROWS 3      /* portraits of a grid */
#define CLI_DEMO_COLUMNS 5   /* its strengths */
#define CLI_DEMO_OVERVIEW 7  /* strengths of the overview */
#define CLI_DEMO_RANGE 3.0   /* sigma */
#define CLI_DEMO_SEED 1000   /* first portrait shown: none of those that PCA saw */
#define CLI_DEMO_RANDOM 7919 /* seed of the random directions */
#define CLI_DEMO_STEPS 25    /* where --steps says nothing: a demo is to be quick */

typedef struct cli_demo_options {
    cli_options common;
    int samples, components, shown;
} cli_demo_options;

static const struct argp_option demo_options[] = {
    {"samples", 'n', "N", 0, "Samples that PCA sees; default 150", 1},
    {"components", 'k', "K", 0, "Components kept; default 10", 1},
    {"shown", 's', "S", 0, "Components shown; default 6", 1},
    {0}};

static error_t cli_demo_parse(int key, char *arg, struct argp_state *state) {
    cli_demo_options *options = state->input;
    switch (key) {
    case 'n': options->samples = cli_option_int("-n", arg, 3, CLI_DEMO_SEED); return 0;
    case 'k': options->components = cli_option_int("-k", arg, 1, CLI_DEMO_SEED - 1); return 0;
    case 's': options->shown = cli_option_int("-s", arg, 1, 50); return 0;
    default: return cli_default_key(key, arg, state);
    }
}

static const struct argp_child demo_children[] = {
    {&cli_sampling_argp, 0, NULL, 0}, {&cli_common_argp, 0, NULL, 0}, {0}};
static const struct argp demo_argp = {
    .options = demo_options, .parser = cli_demo_parse, .doc = doc, .children = demo_children};

static char *cli_demo_path(const cli_demo_result *result, const char *name) {
    char *path = NULL;
    return asprintf(&path, "%s/%s", result->folder, name) < 0 ? NULL : path;
}

/* Rows: portraits; columns: strengths of one direction. */
static hs_status cli_demo_grid(cli_session *session, const cli_demo_result *result,
                               const hs_directions *directions, int index, const char *title,
                               const char *name, hs_error *err) {
    int64_t seeds[CLI_DEMO_ROWS];
    double strengths[CLI_DEMO_COLUMNS];
    hs_edit edit = {.directions = directions, .index = index, .last = -1};
    cli_run run = {.rows = CLI_DEMO_ROWS,
                   .columns = CLI_DEMO_COLUMNS,
                   .seeds = seeds,
                   .edits = &edit,
                   .edit_count = 1,
                   .strengths = strengths};
    cli_spread(CLI_DEMO_RANGE, CLI_DEMO_COLUMNS, strengths);
    cli_images images = {.info = &session->info,
                         .count = CLI_DEMO_ROWS * CLI_DEMO_COLUMNS,
                         .rows = CLI_DEMO_ROWS,
                         .columns = CLI_DEMO_COLUMNS,
                         .title = title};
    images.row_labels = cli_new_strings(CLI_DEMO_ROWS);
    images.column_labels = cli_new_strings(CLI_DEMO_COLUMNS);
    char *path = cli_demo_path(result, name);
    hs_status status =
        images.row_labels && images.column_labels && path ? HS_OK : cli_fail_memory(err);
    for (int r = 0; r < CLI_DEMO_ROWS; r++) {
        seeds[r] = CLI_DEMO_SEED + r;
        if (status == HS_OK && asprintf(&images.row_labels[r], "seed %d", CLI_DEMO_SEED + r) < 0)
            status = cli_fail_memory(err);
    }
    if (status == HS_OK)
        status = cli_strength_labels(strengths, CLI_DEMO_COLUMNS, images.column_labels, err);
    if (status == HS_OK)
        status = cli_run_sample(session, &run, err);
    images.x = run.x;
    if (status == HS_OK)
        status = cli_save_images(&images, CLI_OUTPUT_IMAGE, path, err);
    cli_run_free(&run);
    free(path);
    cli_free_strings(images.column_labels, CLI_DEMO_COLUMNS);
    cli_free_strings(images.row_labels, CLI_DEMO_ROWS);
    return status;
}

/* The share of the variance that each component explains, from the metadata's
 * list of one list a step: the mean over the steps. */
static void cli_demo_explained(const hs_directions *directions, cli_demo_result *result) {
    hs_directions_view view;
    hs_directions_view_get(directions, &view);
    json_t *metadata = view.metadata ? json_loads(view.metadata, 0, NULL) : NULL;
    const char *text = json_string_value(json_object_get(metadata, "explained_variance_ratio"));
    json_t *ratios = text ? json_loads(text, 0, NULL) : NULL;
    size_t steps = json_array_size(ratios);
    for (int p = 0; p < result->part_count; p++) {
        double sum = 0;
        for (size_t i = 0; i < steps; i++)
            sum += json_number_value(json_array_get(json_array_get(ratios, i), (size_t)p));
        result->parts[p].explained = steps ? sum / (double)steps : -1;
    }
    json_decref(ratios);
    json_decref(metadata);
}

/* A grid for each direction shown, and one for the random direction beside it. */
static hs_status cli_demo_parts(cli_session *session, cli_demo_result *result,
                                const hs_directions *directions, hs_error *err) {
    hs_directions *random = NULL;
    double *change = calloc(2 * (size_t)result->part_count, sizeof *change);
    char *overview = cli_demo_path(result, result->overview);
    hs_status status = change && overview ? HS_OK : cli_fail_memory(err);
    if (status == HS_OK) {
        cli_preview preview = {.directions = directions,
                               .count = result->part_count,
                               .columns = CLI_DEMO_OVERVIEW,
                               .range = CLI_DEMO_RANGE,
                               .seed = CLI_DEMO_SEED,
                               .path = overview};
        status = cli_save_preview(session, &preview, change, err);
    }
    if (status == HS_OK)
        status = hs_directions_random_like(directions, CLI_DEMO_RANDOM, &random, err);
    for (int i = 0; i < result->part_count && status == HS_OK; i++) {
        cli_demo_part *part = &result->parts[i];
        char title[80];
        if (!session->options->quiet)
            cli_message("drawing component %d of %d", i, result->part_count);
        part->index = i;
        part->change = change[i];
        part->random_change = change[result->part_count + i];
        if (asprintf(&part->grid, "component-%d.png", i) < 0 ||
            asprintf(&part->random, "random-%d.png", i) < 0)
            status = cli_fail_memory(err);
        snprintf(title, sizeof title, "principal component %d", i);
        if (status == HS_OK)
            status = cli_demo_grid(session, result, directions, i, title, part->grid, err);
        snprintf(title, sizeof title, "a random direction of equal norm");
        if (status == HS_OK)
            status = cli_demo_grid(session, result, random, i, title, part->random, err);
    }
    hs_directions_free(random);
    free(overview);
    free(change);
    return status;
}

/* One edited portrait that `edit --replay` makes again. */
static hs_status cli_demo_recipe(cli_session *session, const cli_demo_result *result,
                                 const hs_directions *directions, hs_error *err) {
    char fingerprint[33];
    hs_recipe_edit edit = {.file = result->directions,
                           .name = hs_directions_name(directions, 0),
                           .strength = 2,
                           .last = -1};
    hs_status status = hs_model_fingerprint(session->model, fingerprint, err);
    char *path = cli_demo_path(result, result->recipe);
    if (status != HS_OK || !path) {
        free(path);
        return status != HS_OK ? status : cli_fail_memory(err);
    }
    hs_recipe recipe = {.model = cli_model_name(session->options),
                        .fingerprint = fingerprint,
                        .seed = CLI_DEMO_SEED,
                        .steps = result->steps,
                        .eta = hs_sampler_eta(session->sampler),
                        .eta_count = result->steps,
                        .z_seed = session->options->z_seed,
                        .h_space = result->h_space,
                        .asyrp = session->options->asyrp,
                        .clip = session->options->clip,
                        .fast = session->options->precision == HS_PRECISION_FAST,
                        .edits = &edit,
                        .edit_count = 1};
    status = hs_recipe_save(path, &recipe, err);
    free(path);
    return status;
}

static hs_status cli_demo_find(cli_session *session, const cli_demo_options *options,
                               const cli_demo_result *result, hs_directions **directions,
                               hs_error *err) {
    hs_pca_options pca = hs_pca_options_default();
    hs_cost cost;
    pca.n = options->samples;
    pca.k = options->components;
    hs_status status = cli_announce_pca(session, &pca, &cost, err);
    if (status == HS_OK)
        status = hs_pca(session->sampler, &pca, &session->monitor, directions, err);
    cli_progress_end(&session->progress);
    char *path = cli_demo_path(result, result->directions);
    if (status == HS_OK)
        status = path ? hs_directions_save(*directions, path, err) : cli_fail_memory(err);
    free(path);
    return status;
}

static void cli_demo_report(const cli_session *session, const cli_demo_result *result) {
    const char *folder = result->folder;
    char taken[32];
    if (session->options->json) {
        json_t *report = cli_report_new(session), *parts = json_array();
        for (int i = 0; i < result->part_count; i++) {
            const cli_demo_part *part = &result->parts[i];
            json_array_append_new(parts,
                                  json_pack("{s:i,s:f,s:f,s:f}", "component", part->index,
                                            "explained", part->explained, "change", part->change,
                                            "random_change", part->random_change));
        }
        json_object_set_new(report, "n", json_integer(result->samples));
        json_object_set_new(report, "steps", json_integer(result->steps));
        json_object_set_new(report, "components", parts);
        json_object_set_new(report, "output", json_string(folder));
        cli_report_print(report);
        return;
    }
    cli_format_seconds(result->seconds, taken);
    printf("Found %d direction%s from %d samples at %d steps in %s.\n\n", result->components,
           result->components == 1 ? "" : "s", result->samples, result->steps, taken);
    printf("mean change of a pixel (of 255) at +-%g sigma, seed %d:\n", CLI_DEMO_RANGE,
           CLI_DEMO_SEED);
    for (int i = 0; i < result->part_count; i++)
        printf("  component %d  %5.1f    a random direction of equal norm  %5.1f\n", i,
               result->parts[i].change, result->parts[i].random_change);
    printf("\nLook at %s/index.html (or %s/%s). Then try:\n\n", folder, folder, result->overview);
    const char *program = program_invocation_name; /* build/hspace, before it is installed */
    printf("  %s edit%s --seed 5-8 --eta 1 -d %s/%s#0=-3..3:7 -o edit.png\n", program,
           result->model, folder, result->directions);
    printf("  %s edit --replay %s/%s -o again.png\n", program, folder, result->recipe);
    printf("  %s sample%s --seed 0-15 -o samples.png\n", program, result->model);
    printf("  %s pca%s -n 1000 -k 20 --preview preview.png -o pca.safetensors\n", program,
           result->model);
}

static hs_status cli_demo_work(cli_session *session, const cli_demo_options *options,
                               cli_demo_result *result, hs_error *err) {
    hs_directions *directions = NULL;
    hs_status status = cli_check_writable(result->folder, CLI_OUTPUT_FOLDER, err);
    if (status == HS_OK)
        status = cli_open_sampler(session, 1, options->samples, err);
    if (status == HS_OK)
        status = cli_check_channels(session, err);
    if (status == HS_OK)
        status = cli_make_folder(result->folder, err);
    if (status == HS_OK) {
        result->steps = hs_sampler_steps(session->sampler);
        result->eta = hs_sampler_eta(session->sampler)[0];
        result->info = &session->info;
        status = cli_demo_find(session, options, result, &directions, err);
    }
    if (status == HS_OK)
        status = cli_demo_parts(session, result, directions, err);
    if (status == HS_OK) {
        cli_demo_explained(directions, result);
        status = cli_demo_recipe(session, result, directions, err);
    }
    result->seconds = cli_seconds_since_start();
    if (status == HS_OK)
        status = cli_write_demo_page(result, err);
    hs_directions_free(directions);
    return status;
}

int cli_demo(int argc, char **argv) {
    cli_demo_options options = {.samples = 150, .components = 10, .shown = 6};
    cli_parse_command(&demo_argp, argc, argv, &options);
    if (!options.common.steps)
        options.common.steps = CLI_DEMO_STEPS;
    if (options.components >= options.samples)
        cli_usage_error("-k: %d components need at least %d samples, -n is %d", options.components,
                        options.components + 1, options.samples);
    char *folder = strdup(options.common.output ? options.common.output : "demo");
    if (!folder)
        cli_usage_error("out of memory");
    for (size_t n = strlen(folder); n > 1 && folder[n - 1] == '/'; n--)
        folder[n - 1] = '\0';
    char *model = NULL;
    if (options.common.model && asprintf(&model, " -m %s", options.common.model) < 0)
        cli_usage_error("out of memory");
    cli_demo_result result = {.folder = folder,
                              .model = model ? model : "",
                              .h_space = options.common.h_space,
                              .samples = options.samples,
                              .components = options.components,
                              .overview = "overview.png",
                              .directions = "pca.safetensors",
                              .recipe = "recipe.json"};
    result.part_count = options.shown < options.components ? options.shown : options.components;
    result.parts = calloc((size_t)result.part_count, sizeof *result.parts);
    cli_session session;
    cli_session_begin(&session, &options.common);
    hs_error err;
    hs_status status =
        result.parts ? cli_demo_work(&session, &options, &result, &err) : cli_fail_memory(&err);
    if (status == HS_OK)
        cli_demo_report(&session, &result);
    int exit_status = cli_finish(status, &err);
    for (int i = 0; result.parts && i < result.part_count; i++) {
        free(result.parts[i].grid);
        free(result.parts[i].random);
    }
    free(result.parts);
    free(model);
    free(folder);
    cli_session_end(&session);
    cli_options_free(&options.common);
    return exit_status;
}
