/* hspace invert: real images as latents, which edit --latent starts from. */
#include "cli.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char doc[] =
    "Turn real images into latents, a file that `sample` and `edit` start from. Images are turned "
    "upright by their EXIF tag, cut to the model's proportions around their centre and resized. A "
    "folder stands for the images in it, sorted by name. Each latent is decoded again, and the "
    "PSNR of that round trip printed and stored; below 20 dB it warns. A run that was stopped goes "
    "on when the same command is given again.";

typedef struct cli_invert_options {
    cli_options common;
    hs_invert_options invert;
    bool crops;
    int crop[4]; /* x, y, w, h */
    const char *preview, *resume;
    char **paths; /* [path_count], argv's */
    int path_count;
} cli_invert_options;

/* What the command has made: everything that the report needs. */
typedef struct cli_inverted {
    cli_inputs inputs;
    hs_latents *latents;
    double *psnr;          /* [count] */
    float *reconstruction; /* [count,C,H,W] */
} cli_inverted;

enum { KEY_METHOD = 0x200, KEY_SEED, KEY_CROP, KEY_PREVIEW, KEY_RESUME };

static const char *const cli_methods[] = {"ddim", "x0", "x_prev", "dpm"};

static const struct argp_option invert_options[] = {
    {"method", KEY_METHOD, "ddim|x0|x_prev|dpm", 0,
     "ddim: DDIM inversion, at eta 0 (default). The others are the edit-friendly kinds, at eta 1 "
     "unless told: exact, with noise of their own at every step",
     1},
    {"seed", KEY_SEED, "S", 0, "Image j draws its noise from seed S + j; default 0; not for ddim",
     1},
    {"crop", KEY_CROP, "X,Y,W,H", 0, "The part to use, in pixels of the upright image", 1},
    {"preview", KEY_PREVIEW, "GRID", 0,
     "Draw original, reconstruction and, with -d, the edited image", 2},
    {"resume", KEY_RESUME, "FILE", 0, "Where finished images are kept; default OUTPUT.resume", 2},
    {0}};

static error_t cli_invert_parse(int key, char *arg, struct argp_state *state) {
    cli_invert_options *options = state->input;
    char why[CLI_WHY];
    switch (key) {
    case KEY_METHOD:
        for (int i = 0; i < 4; i++)
            if (!strcmp(arg, cli_methods[i])) {
                options->invert.method = (hs_invert_method)i;
                return 0;
            }
        cli_usage_error("--method: '%.60s' is none of ddim, x0, x_prev, dpm", arg);
    case KEY_SEED:
        if (!cli_parse_int(arg, 0, INT64_MAX - CLI_MAX_INPUTS, &options->invert.seed, why))
            cli_usage_error("--seed: %s", why);
        return 0;
    case KEY_CROP:
        cli_option_crop(arg, options->crop);
        options->crops = true;
        return 0;
    case KEY_PREVIEW: options->preview = arg; return 0;
    case KEY_RESUME: options->resume = arg; return 0;
    case ARGP_KEY_ARG:
        options->paths = state->argv + state->next - 1;
        options->path_count = state->argc - state->next + 1;
        state->next = state->argc;
        return 0;
    default: return cli_default_key(key, arg, state);
    }
}

static const struct argp_child invert_children[] = {{&cli_edit_argp, 0, NULL, 0},
                                                    {&cli_sampling_argp, 0, NULL, 0},
                                                    {&cli_common_argp, 0, NULL, 0},
                                                    {0}};
static const struct argp invert_argp = {.options = invert_options,
                                        .parser = cli_invert_parse,
                                        .args_doc = "IMAGE|FOLDER...",
                                        .doc = doc,
                                        .children = invert_children};

/* Mistakes that the command line alone shows. */
static void cli_invert_check(const cli_invert_options *options) {
    const cli_options *common = &options->common;
    bool ddim = options->invert.method == HS_INVERT_DDIM;
    if (!options->path_count)
        cli_usage_error("invert: name the images, or folders of them");
    if (!common->output)
        cli_usage_error("invert: -o says where the latent file goes (x.safetensors)");
    if (hs_figure_check_path(common->output, NULL) == HS_OK)
        cli_usage_error("-o %.200s: the result is a latent file (x.safetensors); --preview draws a "
                        "picture",
                        common->output);
    if (common->clip)
        cli_usage_error("--clip: clipping cannot be inverted");
    if (common->z_seed != HS_Z_CONTINUE)
        cli_usage_error("--z-seed: an inversion finds its z; --seed says what it draws from");
    for (int i = 0; i < common->eta_count; i++)
        if (ddim ? common->eta[i] > 0 : common->eta[i] == 0)
            cli_usage_error(ddim ? "--eta: DDIM inversion is of eta 0; --method x0, x_prev or dpm "
                                   "inverts eta above 0"
                                 : "--eta: the methods x0, x_prev and dpm need eta above 0 at "
                                   "every step; --method ddim inverts eta 0");
    if (common->direction_count && !options->preview)
        cli_usage_error("-d: shows an edit in the picture that --preview asks for");
    if (options->preview) {
        cli_options picture = {.command = "--preview", .output = options->preview};
        if (cli_image_output(&picture) != CLI_OUTPUT_IMAGE)
            cli_usage_error("--preview: %.200s is a folder", options->preview);
    }
    cli_path paths[] = {{"-o", common->output, true},
                        {"--preview", options->preview, true},
                        {"--resume", options->invert.resume, true},
                        {"an image", NULL, false}};
    cli_check_distinct(paths, 3);
    for (int i = 0; i < options->path_count; i++) {
        paths[3].path = options->paths[i];
        cli_check_distinct(paths, 4);
    }
}

/* ----------------------------------------------------------------- work -- */

/* Bytes that the tensors of `count` images take. */
static double cli_invert_bytes(const cli_session *session, bool with_z, int count) {
    const int *image = session->info.image;
    const int *h = session->info.h[hs_denoiser_h_space(session->denoiser)];
    double size = (double)cli_float_count(1, image, 3), h_size = (double)cli_float_count(1, h, 3);
    double T = hs_sampler_steps(session->sampler);
    /* Twice x_0 and the reconstruction, x_T; z and h. */
    return sizeof(float) * (double)count * (5 * size + T * (h_size + (with_z ? size : 0)));
}

/* Time and memory, before the work; refuse what --max-mem has no room for. */
static hs_status cli_announce_invert(cli_session *session, const cli_invert_options *options,
                                     int count, hs_error *err) {
    const cli_options *common = &options->common;
    bool ddim = options->invert.method == HS_INVERT_DDIM;
    double bytes = cli_invert_bytes(session, !ddim, count), seconds = 0;
    char total[32], each[32], memory[32], model[32];
    cli_format_bytes(bytes, memory);
    cli_format_bytes((double)session->planned_bytes, model);
    if (common->max_mem && bytes + (double)session->planned_bytes > (double)common->max_mem)
        return cli_fail(err, HS_ERROR_MEMORY,
                        "--max-mem: the latents of %d images take %s, the model %s: invert fewer "
                        "images at once, or with fewer steps",
                        count, memory, model);
    if (common->quiet)
        return HS_OK;
    hs_status status = cli_measure_pass(session, count, &seconds, err);
    if (status != HS_OK)
        return status;
    /* There and back; the fixed point of the last step takes some rounds. */
    double passes = (double)count * (2.0 * hs_sampler_steps(session->sampler) + (ddim ? 0 : 5));
    cli_format_seconds(seconds * passes, total);
    cli_format_seconds(seconds, each);
    cli_message("inverting %d image%s at %d steps (%s): %.0f passes of %s, about %s", count,
                count == 1 ? "" : "s", hs_sampler_steps(session->sampler),
                cli_methods[options->invert.method], passes, each, total);
    cli_message("memory: %s for the model, %s for the latents", model, memory);
    return HS_OK;
}

/* JSON wants UTF-8, which file names need not be: other bytes become '?'. */
static json_t *cli_json_name(const char *name) {
    json_t *text = json_string(name);
    if (text)
        return text;
    char *plain = strdup(name);
    for (char *c = plain; c && *c; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    text = json_string(plain ? plain : "");
    free(plain);
    return text;
}

static json_t *cli_json_names(const cli_inputs *inputs) {
    json_t *names = json_array();
    for (int i = 0; i < inputs->count; i++)
        json_array_append_new(names, cli_json_name(inputs->paths[i]));
    return names;
}

/* The latent file: what hs_invert says, and the images' names. */
static hs_status cli_save_latents(const cli_inverted *made, const char *path, hs_error *err) {
    hs_latents_view view;
    hs_latents_view_get(made->latents, &view);
    json_t *metadata = json_loads(view.metadata, 0, NULL), *names = cli_json_names(&made->inputs);
    char *list = json_dumps(names, JSON_COMPACT);
    json_object_set_new(metadata, "images", json_string(list ? list : "[]"));
    char *text = json_dumps(metadata, JSON_COMPACT);
    view.metadata = text;
    hs_status status = list && text ? hs_latents_save(path, &view, err) : cli_fail_memory(err);
    free(text);
    free(list);
    json_decref(names);
    json_decref(metadata);
    return status;
}

/* Everything that must be in order before images are read. */
static hs_status cli_invert_open(cli_session *session, const cli_invert_options *options,
                                 cli_inputs *inputs, hs_error *err) {
    const cli_options *common = &options->common;
    hs_status status = cli_check_writable(common->output, CLI_OUTPUT_IMAGE, err);
    if (status == HS_OK && options->preview)
        status = cli_check_writable(options->preview, CLI_OUTPUT_IMAGE, err);
    if (status == HS_OK)
        status = cli_find_inputs(session, options->paths, options->path_count, inputs, err);
    if (status == HS_OK)
        status = cli_open_sampler(session, options->invert.method == HS_INVERT_DDIM ? 0 : 1,
                                  inputs->count, err);
    if (status == HS_OK && session->info.image[0] != 1 && session->info.image[0] != 3)
        status = cli_fail(err, HS_ERROR_UNSUPPORTED,
                          "%s: its images have %d channels, which no picture has",
                          session->info.name, session->info.image[0]);
    if (status == HS_OK)
        status = cli_open_directions(session, err);
    return status;
}

static hs_status cli_invert_work(cli_session *session, const cli_invert_options *options,
                                 cli_inverted *made, hs_error *err) {
    cli_inputs *inputs = &made->inputs;
    hs_status status = cli_invert_open(session, options, inputs, err);
    if (status == HS_OK)
        status = cli_read_inputs(session, options->crops ? options->crop : NULL, inputs, err);
    if (status == HS_OK)
        status = cli_announce_invert(session, options, inputs->count, err);
    if (status != HS_OK)
        return status;
    made->psnr = calloc((size_t)inputs->count, sizeof *made->psnr);
    made->reconstruction =
        malloc(cli_float_count(inputs->count, session->info.image, 3) * sizeof(float));
    if (!made->psnr || !made->reconstruction)
        return cli_fail_memory(err);
    status = hs_invert(session->sampler, &options->invert, inputs->count, inputs->x,
                       &session->monitor, &made->latents, made->psnr, made->reconstruction, err);
    cli_progress_end(&session->progress);
    if (status == HS_ERROR_CANCELLED)
        return cli_fail(err, status,
                        access(options->invert.resume, F_OK) == 0
                            ? "stopped; the same command goes on from %s"
                            : "stopped before the first images were done (nothing in %s)",
                        options->invert.resume);
    if (status == HS_OK)
        status = cli_save_latents(made, options->common.output, err);
    if (status == HS_OK)
        unlink(options->invert.resume); /* its work is in the output now; it may not exist */
    for (int i = 0; i < inputs->count && status == HS_OK; i++)
        if (made->psnr[i] < CLI_LOW_PSNR)
            cli_message("warning: %s: its reconstruction has %.1f dB, below %g: an edit would not "
                        "start from this image; try more --steps, or --method x0, x_prev or dpm",
                        inputs->paths[i], made->psnr[i], CLI_LOW_PSNR);
    cli_inversion picture = {.inputs = inputs,
                             .latents = made->latents,
                             .reconstruction = made->reconstruction,
                             .psnr = made->psnr};
    if (status == HS_OK && options->preview)
        status = cli_save_inversion(session, &picture, options->preview, err);
    return status;
}

/* --------------------------------------------------------------- report -- */

static json_t *cli_invert_extra(const cli_invert_options *options, const cli_inverted *made) {
    const cli_inputs *inputs = &made->inputs;
    json_t *extra = json_object(), *psnr = json_array(), *bad = json_array();
    for (int i = 0; i < inputs->count; i++)
        json_array_append_new(psnr, json_real(made->psnr[i]));
    for (int i = 0; i < inputs->bad_count; i++) {
        json_t *one = json_object();
        json_object_set_new(one, "file", cli_json_name(inputs->bad[i].path));
        json_object_set_new(one, "reason", cli_json_name(inputs->bad[i].reason));
        json_array_append_new(bad, one);
    }
    json_object_set_new(extra, "method", json_string(cli_methods[options->invert.method]));
    if (options->invert.method != HS_INVERT_DDIM)
        json_object_set_new(extra, "seed", json_integer(options->invert.seed));
    json_object_set_new(extra, "files", cli_json_names(inputs));
    json_object_set_new(extra, "psnr", psnr);
    json_object_set_new(extra, "skipped", bad);
    if (options->preview)
        json_object_set_new(extra, "preview", json_string(options->preview));
    return extra;
}

static void cli_invert_report(const cli_session *session, const cli_invert_options *options,
                              const cli_inverted *made) {
    cli_run run = {.rows = made->inputs.count, .columns = 1};
    for (int i = 0; i < made->inputs.count && !options->common.json; i++)
        printf("%7.2f dB  %s\n", made->psnr[i], made->inputs.paths[i]);
    cli_report_images(session, &run, NULL, cli_invert_extra(options, made));
}

int cli_invert(int argc, char **argv) {
    cli_invert_options options = {.invert = hs_invert_options_default()};
    cli_parse_command(&invert_argp, argc, argv, &options);
    char *resume = NULL;
    if (!options.resume && options.common.output &&
        asprintf(&resume, "%s.resume", options.common.output) < 0)
        cli_usage_error("out of memory");
    options.invert.resume = options.resume ? options.resume : resume;
    cli_invert_check(&options);
    cli_session session;
    cli_session_begin(&session, &options.common);
    hs_error err;
    cli_inverted made = {0};
    hs_status status = cli_invert_work(&session, &options, &made, &err);
    if (status == HS_OK)
        cli_invert_report(&session, &options, &made);
    int result = cli_finish(status, &err);
    if (result == 0 && made.inputs.bad_count) {
        cli_message("%d of %d images could not be used; %s has the other %d", made.inputs.bad_count,
                    made.inputs.bad_count + made.inputs.count, options.common.output,
                    made.inputs.count);
        result = CLI_FAILED;
    }
    free(made.reconstruction);
    free(made.psnr);
    hs_latents_free(made.latents);
    cli_inputs_free(&made.inputs);
    free(resume);
    cli_session_end(&session);
    cli_options_free(&options.common);
    return result;
}
