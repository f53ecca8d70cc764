/*
 * hspace edit --swap-h and --interpolate: images between samples, and with each
 * other's h. A swap is one row; an interpolation has a row for every pair of
 * neighbours and every space.
 */
#include "edit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLI_POINTS 7

static const char *const cli_spaces[] = {"h", "noise", "pixel"};
static const char *const cli_blends[] = {"lerp", "slerp", "sqrt"};

/* What is open and made. */
typedef struct cli_mixed {
    cli_session session;
    const cli_edit_options *options;
    int count;          /* samples */
    int64_t *names;     /* [count] seeds, or items of the latent file */
    int pairs, columns; /* a swap: 1 pair, 4 columns */
    hs_mix *mixes;      /* [pairs, columns] */
    float *x;           /* [pairs, spaces, columns,C,H,W] */
    hs_latents *used;   /* with --tensors */
} cli_mixed;

/* -------------------------------------------------------------- options -- */

void cli_parse_swap(cli_edit_options *options, const char *arg) {
    char why[CLI_WHY];
    int64_t *values = NULL;
    int count = 0;
    if (!cli_parse_ints(arg, 0, INT64_MAX, 2, &values, &count, why))
        cli_usage_error("--swap-h: %s", why);
    if (count != 2)
        cli_usage_error("--swap-h: '%.60s' is not A,B: two seeds, or two items of --latent", arg);
    options->swap = true;
    memcpy(options->swapped, values, sizeof options->swapped);
    free(values);
}

void cli_parse_spaces(cli_edit_options *options, const char *arg) {
    char *copy = strdup(arg), *rest = copy;
    if (!copy)
        cli_usage_error("--space: out of memory");
    options->space_count = 0;
    for (char *name = strsep(&rest, ","); name; name = strsep(&rest, ",")) {
        int space = 0;
        while (space < 3 && strcmp(name, cli_spaces[space]) != 0)
            space++;
        if (space == 3)
            cli_usage_error("--space: '%.60s' is none of pixel, noise, h", name);
        for (int i = 0; i < options->space_count; i++)
            if (options->spaces[i] == (hs_space)space)
                cli_usage_error("--space: %s stands there twice", name);
        options->spaces[options->space_count++] = (hs_space)space;
    }
    options->space_given = true;
    free(copy);
}

static bool cli_mixes_in(const cli_edit_options *options, hs_space space) {
    for (int i = 0; i < options->space_count; i++)
        if (options->spaces[i] == space)
            return true;
    return false;
}

void cli_mix_check(const cli_edit_options *options) {
    const cli_options *common = &options->common;
    const char *what = options->swap ? "--swap-h" : "--interpolate";
    if (options->swap && options->interpolate)
        cli_usage_error("--swap-h and --interpolate exclude each other");
    if (options->swap && options->space_given)
        cli_usage_error("--swap-h: is in h-space; --space goes with --interpolate and -d");
    if (options->swap && (common->seeds || common->items))
        cli_usage_error("--swap-h: names its two samples itself: leave out %s",
                        common->seeds ? "--seed" : "--item");
    for (int i = 0; options->swap && common->latent && i < 2; i++)
        if (options->swapped[i] > INT32_MAX)
            cli_usage_error("--swap-h: %" PRId64 " is no item of a latent file",
                            options->swapped[i]);
    if (options->points && !options->interpolate)
        cli_usage_error("--points: goes with --interpolate");
    if (common->direction_count || common->window || common->sigma_profile || common->same_step ||
        options->cumulative)
        cli_usage_error("%s: goes without directions (%s)", what,
                        common->direction_count ? "-d"
                        : common->window        ? "--window"
                        : options->cumulative   ? "--cumulative"
                                                : "--profile, --same-step");
    if (options->recipe)
        cli_usage_error("%s: has no recipe: --recipe describes one image and its directions; "
                        "--tensors keeps what the images were made from",
                        what);
    if (options->interpolate && !common->latent && common->seed_count < 2)
        cli_usage_error("--interpolate: takes two samples or more, each blended into the next: "
                        "--seed A,B or --latent FILE");
    if (options->interpolate && common->items && common->item_count < 2)
        cli_usage_error("--interpolate: takes two items or more: --item A,B");
    if (common->tensors && options->space_count > 1)
        cli_usage_error("--tensors: of one --space at a time");
    if (common->tensors && cli_mixes_in(options, HS_SPACE_PIXEL))
        cli_usage_error("--tensors: images blended as pixels have no x_T to keep");
}

/* --------------------------------------------------------------- mixes -- */

/* The samples, by number: those of the command line, or all items. */
static hs_status cli_name_samples(cli_mixed *mixed, hs_error *err) {
    const cli_edit_options *options = mixed->options;
    const cli_options *common = &options->common;
    const int64_t *given = common->latent ? common->items : common->seeds;
    int count = common->latent ? common->item_count : common->seed_count;
    if (options->swap) {
        given = options->swapped;
        count = 2;
    } else if (common->latent && !given) {
        hs_latents_view view;
        hs_latents_view_get(mixed->session.latents, &view);
        count = view.n;
    }
    if (count < 2)
        return cli_fail(err, HS_ERROR_ARGUMENT,
                        "%s: has one image; --interpolate takes two or more", common->latent);
    mixed->count = count;
    mixed->names = calloc((size_t)count, sizeof *mixed->names);
    if (!mixed->names)
        return cli_fail_memory(err);
    for (int i = 0; i < count; i++)
        mixed->names[i] = given ? given[i] : i;
    return HS_OK;
}

/* In h-space alone the second sample itself ends the row, as with its h and the
 * first one's noise it is not reached. */
static bool cli_shows_target(const cli_edit_options *options) {
    return options->space_count == 1 && options->spaces[0] == HS_SPACE_H;
}

static hs_status cli_make_mixes(cli_mixed *mixed, hs_error *err) {
    const cli_edit_options *options = mixed->options;
    int steps = (options->points ? options->points : CLI_POINTS) + 1;
    mixed->pairs = options->swap ? 1 : mixed->count - 1;
    mixed->columns = options->swap ? 4 : steps + 1 + cli_shows_target(options);
    if ((int64_t)mixed->pairs * mixed->columns > INT32_MAX / 3)
        return cli_fail(err, HS_ERROR_ARGUMENT, "%d pairs of %d images are too many", mixed->pairs,
                        mixed->columns);
    mixed->mixes = calloc((size_t)mixed->pairs * (size_t)mixed->columns, sizeof *mixed->mixes);
    if (!mixed->mixes)
        return cli_fail_memory(err);
    if (options->swap) {
        const hs_mix swap[4] = {{0, 0, 1, 0}, {1, 1, 0, 0}, {0, 0, 1, 1}, {1, 1, 0, 1}};
        memcpy(mixed->mixes, swap, sizeof swap);
        return HS_OK;
    }
    for (int p = 0; p < mixed->pairs; p++) {
        hs_mix *row = mixed->mixes + (size_t)p * (size_t)mixed->columns;
        for (int s = 0; s <= steps; s++)
            row[s] = (hs_mix){p, p, p + 1, s / (double)steps};
        if (cli_shows_target(options))
            row[steps + 1] = (hs_mix){p + 1, p, p + 1, 1};
    }
    return HS_OK;
}

/* -------------------------------------------------------------- labels -- */

static const char *cli_word(const cli_mixed *mixed) {
    return mixed->options->common.latent ? "latent" : "seed";
}

/* What column s of the grid is: a sample, or how far it is on the way. Several
 * rows have nothing but that in common. */
static char *cli_mix_column(const cli_mixed *mixed, int s) {
    const hs_mix *mix = &mixed->mixes[s];
    const char *word = cli_word(mixed);
    const int64_t *names = mixed->names;
    bool h = cli_shows_target(mixed->options);
    bool one = mixed->pairs == 1 && mixed->options->space_count == 1;
    char *text = NULL;
    int length;
    if (h && !one && s == mixed->columns - 1)
        return strdup("the second");
    if (!one || (mix->weight > 0 && mix->weight < 1))
        length = asprintf(&text, "%.3g", mix->weight);
    else if (h && mix->weight == 1 && mix->base != mix->to)
        length = asprintf(&text, "%s %" PRId64 " with h of %s %" PRId64, word, names[mix->base],
                          word, names[mix->to]);
    else
        length = asprintf(&text, "%s %" PRId64, word, names[mix->weight > 0 ? mix->to : mix->from]);
    return length < 0 ? NULL : text;
}

static char *cli_mix_row(const cli_mixed *mixed, int row) {
    static const char *const what[] = {"h", "noise", "pixel"};
    const cli_edit_options *options = mixed->options;
    int pair = row / options->space_count, space = (int)options->spaces[row % options->space_count];
    const int64_t *names = mixed->names + pair;
    char *text = NULL;
    int length;
    if (mixed->pairs == 1)
        length = asprintf(&text, "%s", what[space]);
    else
        length = asprintf(&text, "%s %" PRId64 " \u2192 %" PRId64 "%s%s", cli_word(mixed), names[0],
                          names[1], options->space_count > 1 ? ", " : "",
                          options->space_count > 1 ? what[space] : "");
    return length < 0 ? NULL : text;
}

static char *cli_mix_title(const cli_mixed *mixed) {
    static const char *const of[] = {"h of every step, x_T and z kept", "x_T and z",
                                     "finished images"};
    static const char *const how[] = {"linear", "spherical", "square-root linear"};
    const cli_edit_options *options = mixed->options;
    char *text = NULL;
    if (options->swap)
        return strdup("h of every step replaced by the other's");
    const char *kind = how[options->blend];
    int length = options->space_count == 1
                     ? asprintf(&text, "%s interpolation of %s", kind, of[options->spaces[0]])
                 : mixed->pairs == 1
                     ? asprintf(&text, "%s interpolation, %s %" PRId64 " to %" PRId64, kind,
                                cli_word(mixed), mixed->names[0], mixed->names[1])
                     : asprintf(&text, "%s interpolation in %d spaces", kind, options->space_count);
    return length < 0 ? NULL : text;
}

/* "seed 3 -> 5, h 0.25": for file names; a single row's: as its column. */
static char *cli_mix_item(const cli_mixed *mixed, const cli_images *images, int item) {
    int row = item / images->columns, column = item % images->columns;
    char *text = NULL;
    int length = asprintf(&text, "%s%s%s", images->row_labels ? images->row_labels[row] : "",
                          images->row_labels ? " " : "", images->column_labels[column]);
    return length < 0 ? NULL : text;
}

static hs_status cli_mix_labels(const cli_mixed *mixed, cli_images *images, hs_error *err) {
    bool rows = images->rows > 1;
    images->column_labels = cli_new_strings(images->columns);
    images->row_labels = rows ? cli_new_strings(images->rows) : NULL;
    images->item_names = cli_new_strings(images->count);
    if (!images->column_labels || (rows && !images->row_labels) || !images->item_names)
        return cli_fail_memory(err);
    for (int s = 0; s < images->columns; s++)
        if (!(images->column_labels[s] = cli_mix_column(mixed, s)))
            return cli_fail_memory(err);
    for (int r = 0; rows && r < images->rows; r++)
        if (!(images->row_labels[r] = cli_mix_row(mixed, r)))
            return cli_fail_memory(err);
    for (int i = 0; i < images->count; i++)
        if (!(images->item_names[i] = cli_mix_item(mixed, images, i)))
            return cli_fail_memory(err);
    return HS_OK;
}

static hs_status cli_mix_show(const cli_mixed *mixed, cli_output_kind kind, hs_error *err) {
    int rows = mixed->pairs * mixed->options->space_count;
    char *title = cli_mix_title(mixed);
    cli_images images = {.info = &mixed->session.info,
                         .count = rows * mixed->columns,
                         .rows = rows,
                         .columns = mixed->columns,
                         .x = mixed->x,
                         .title = title};
    hs_status status = title ? cli_mix_labels(mixed, &images, err) : cli_fail_memory(err);
    if (status == HS_OK)
        status = cli_save_images(&images, kind, mixed->options->common.output, err);
    cli_free_strings(images.item_names, images.count);
    cli_free_strings(images.column_labels, images.columns);
    cli_free_strings(images.row_labels, images.rows);
    free(title);
    return status;
}

/* --------------------------------------------------------------- tensors -- */

static json_t *cli_mix_list(const cli_mixed *mixed) {
    json_t *list = json_array();
    for (int i = 0; i < mixed->pairs * mixed->columns; i++) {
        const hs_mix *mix = &mixed->mixes[i];
        json_array_append_new(
            list, json_pack("{s:I,s:I,s:I,s:f}", "base", (json_int_t)mixed->names[mix->base],
                            "from", (json_int_t)mixed->names[mix->from], "to",
                            (json_int_t)mixed->names[mix->to], "weight", mix->weight));
    }
    return list;
}

/* How the images came about: for the latent file and --json. */
static json_t *cli_mix_describe(const cli_mixed *mixed) {
    const cli_edit_options *options = mixed->options;
    json_t *object = json_object(), *spaces = json_array();
    for (int i = 0; i < options->space_count; i++)
        json_array_append_new(spaces, json_string(cli_spaces[options->spaces[i]]));
    json_object_set_new(object, "of", json_string(options->common.latent ? "latents" : "seeds"));
    json_object_set_new(object, "spaces", spaces);
    json_object_set_new(object, "blend", json_string(cli_blends[options->blend]));
    return object;
}

static hs_status cli_mix_save_tensors(cli_mixed *mixed, hs_error *err) {
    hs_latents_view view;
    hs_latents_view_get(mixed->used, &view);
    json_t *metadata = cli_tensors_facts(&mixed->session), *mix = cli_mix_describe(mixed);
    json_object_set_new(mix, "items", cli_mix_list(mixed));
    char *text = json_dumps(mix, JSON_COMPACT);
    json_object_set_new(metadata, "mix", json_string(text ? text : "{}"));
    char *whole = json_dumps(metadata, JSON_COMPACT);
    view.x_0 = mixed->x;
    view.metadata = whole;
    hs_status status = text && whole ? hs_latents_save(mixed->options->common.tensors, &view, err)
                                     : cli_fail_memory(err);
    free(whole);
    free(text);
    json_decref(mix);
    json_decref(metadata);
    return status;
}

/* --tensors keeps every step of every image: is there room? */
static hs_status cli_mix_room(const cli_mixed *mixed, hs_error *err) {
    const cli_session *session = &mixed->session;
    const cli_options *common = &mixed->options->common;
    const int *h = session->info.h[hs_denoiser_h_space(session->denoiser)];
    const double *eta = hs_sampler_eta(session->sampler);
    double T = hs_sampler_steps(session->sampler), items = mixed->pairs * mixed->columns;
    double image = (double)cli_float_count(1, session->info.image, 3), z = 0;
    for (int i = 0; i < (int)T; i++)
        z = eta[i] > 0 ? image : z;
    double bytes = sizeof(float) * items * T * (z + (double)cli_float_count(1, h, 3));
    char text[32];
    cli_format_bytes(bytes, text);
    if (common->max_mem && bytes + (double)session->planned_bytes > (double)common->max_mem)
        return cli_fail(err, HS_ERROR_MEMORY,
                        "--max-mem: --tensors keeps h%s of %g steps of %g images, %s: ask for "
                        "fewer images or steps",
                        z > 0 ? " and z" : "", T, items, text);
    if (!common->quiet && bytes > 0x1p30)
        cli_message("--tensors keeps h%s of all steps of %g images: %s", z > 0 ? " and z" : "",
                    items, text);
    return HS_OK;
}

/* ------------------------------------------------------------------ work -- */

/* One space after the other; rows go pair by pair. */
static hs_status cli_mix_make(cli_mixed *mixed, hs_error *err) {
    const cli_edit_options *options = mixed->options;
    cli_session *session = &mixed->session;
    size_t size = cli_float_count(1, session->info.image, 3), spaces = (size_t)options->space_count;
    size_t row = (size_t)mixed->columns * size;
    int n = mixed->pairs * mixed->columns;
    size_t floats = cli_float_count((int64_t)n * options->space_count, session->info.image, 3);
    mixed->x = floats ? malloc(floats * sizeof *mixed->x) : NULL;
    float *x = floats ? malloc((size_t)n * size * sizeof *x) : NULL;
    hs_status status = mixed->x && x ? HS_OK : cli_fail_memory(err);
    for (size_t s = 0; s < spaces && status == HS_OK; s++) {
        status = hs_mix_samples(
            session->sampler, mixed->count, session->latents ? NULL : mixed->names,
            session->latents, options->spaces[s], options->blend, n, mixed->mixes,
            &session->monitor, x, options->common.tensors ? &mixed->used : NULL, err);
        for (size_t p = 0; p < (size_t)mixed->pairs && status == HS_OK; p++)
            memcpy(mixed->x + (p * spaces + s) * row, x + p * row, row * sizeof *x);
    }
    free(x);
    cli_progress_end(&session->progress);
    return status;
}

static hs_status cli_mix_work(cli_mixed *mixed, cli_output_kind kind, hs_error *err) {
    const cli_options *common = &mixed->options->common;
    cli_session *session = &mixed->session;
    hs_status status = cli_check_outputs(common, NULL, kind, err);
    if (status == HS_OK)
        status = cli_open_sampler(session, 0, CLI_POINTS, err);
    if (status == HS_OK && kind != CLI_OUTPUT_NONE)
        status = cli_check_channels(session, err);
    if (status == HS_OK)
        status = cli_pick_items(session, err);
    if (status == HS_OK)
        status = cli_name_samples(mixed, err);
    if (status == HS_OK)
        status = cli_make_mixes(mixed, err);
    if (status == HS_OK && common->tensors)
        status = cli_mix_room(mixed, err);
    if (status == HS_OK)
        status = cli_mix_make(mixed, err);
    if (status == HS_OK)
        status = cli_mix_show(mixed, kind, err);
    if (status == HS_OK && common->tensors)
        status = cli_mix_save_tensors(mixed, err);
    return status;
}

int cli_mix(cli_edit_options *options) {
    cli_output_kind kind = cli_image_output(&options->common);
    cli_mixed mixed = {.options = options};
    hs_error err;
    if (!options->space_count)
        options->spaces[options->space_count++] = HS_SPACE_H;
    if (options->swap && options->common.latent) { /* the two are items */
        options->common.items = calloc(2, sizeof *options->common.items);
        if (!options->common.items)
            cli_usage_error("--swap-h: out of memory");
        memcpy(options->common.items, options->swapped, sizeof options->swapped);
        options->common.item_count = 2;
    }
    cli_session_begin(&mixed.session, &options->common);
    hs_status status = cli_mix_work(&mixed, kind, &err);
    if (status == HS_OK) {
        json_t *extra = json_object();
        cli_run run = {.rows = mixed.pairs * options->space_count, .columns = mixed.columns};
        json_object_set_new(extra, "mix", cli_mix_describe(&mixed));
        json_object_set_new(extra, options->common.latent ? "items" : "seeds",
                            cli_json_int64s(mixed.names, mixed.count));
        if (options->interpolate)
            json_object_set_new(extra, "points",
                                json_integer(options->points ? options->points : CLI_POINTS));
        cli_report_images(&mixed.session, &run, NULL, extra);
    }
    int result = cli_finish(status, &err);
    hs_latents_free(mixed.used);
    free(mixed.x);
    free(mixed.mixes);
    free(mixed.names);
    cli_session_end(&mixed.session);
    return result;
}
