/* Opening things in order: model, denoiser, sampler, directions. */
#include "cli.h"

#include "hspace_demo.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void cli_session_begin(cli_session *session, const cli_options *options) {
    *session = (cli_session){.options = options};
    cli_progress_begin(&session->progress, options->quiet);
    session->monitor = cli_progress_monitor(&session->progress);
    cli_catch_interrupt();
}

void cli_session_end(cli_session *session) {
    cli_progress_end(&session->progress);
    if (session->options->profile && !session->options->json && session->denoiser)
        cli_profile_print(session);
    for (int i = 0; session->fitted && i < session->options->direction_count; i++)
        hs_directions_free(session->fitted[i]);
    free(session->fitted);
    free(session->edits);
    free(session->profiles);
    hs_latents_free(session->latents);
    hs_sampler_free(session->sampler);
    hs_denoiser_free(session->denoiser);
    hs_model_free(session->model);
}

const char *cli_model_name(const cli_options *options) {
    const char *wanted = getenv("HSPACE_MODEL");
    if (options->model)
        return options->model;
    return wanted && *wanted ? wanted : hs_demo_name(0);
}

hs_denoiser_options cli_denoiser_options(const cli_options *options) {
    hs_denoiser_options wanted = hs_denoiser_options_default();
    wanted.backend = options->backend;
    wanted.precision = options->precision;
    wanted.threads = options->threads;
    wanted.h_space = options->h_space;
    wanted.max_mem = options->max_mem;
    wanted.profile = options->profile;
    return wanted;
}

hs_status cli_open_denoiser(cli_session *session, hs_error *err) {
    const cli_options *options = session->options;
    const char *name = cli_model_name(options);
    if (access(name, F_OK) != 0) /* what is on disk under that name goes before */
        session->embedded = hs_demo_find(name);
    hs_status status =
        session->embedded
            ? hs_demo_model_open(session->embedded, &session->monitor, &session->model, err)
            : hs_model_open(name, &session->monitor, &session->model, err);
    if (status != HS_OK)
        return status;
    hs_model_get_info(session->model, &session->info);
    hs_denoiser_options wanted = cli_denoiser_options(options);
    if (wanted.precision == HS_PRECISION_FAST && !hs_cpu_has_fast() && !options->quiet)
        cli_message("note: --precision fast has no faster products on this CPU; it saves large "
                    "models memory, and no time");
    return hs_denoiser_create(session->model, &wanted, &session->denoiser, err);
}

/* What planning leaves beside what it counts, generated code and tables above all: 8 to 12 MB,
 * once 19, were seen, for small models and large ones. */
#define CLI_PLAN_BYTES (9 << 20)

/* What the process holds now: the program, and weights that could not be mapped. */
static int64_t cli_resident_bytes(void) {
    long long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    if (statm && fscanf(statm, "%*d %lld", &pages) != 1)
        pages = 0;
    if (statm)
        fclose(statm);
    return pages * sysconf(_SC_PAGESIZE);
}

hs_status cli_make_ready(cli_session *session, int items, hs_error *err) {
    int64_t resident = cli_resident_bytes();
    int batch = hs_denoiser_batch(session->denoiser, items);
    hs_status status = hs_denoiser_bytes(session->denoiser, batch, &session->planned_bytes, err);
    session->planned_bytes += resident + CLI_PLAN_BYTES;
    if (session->embedded) /* pages of the program, not let go once they were read */
        session->planned_bytes += session->info.weight_bytes;
    if (status == HS_OK)
        session->load_seconds = cli_seconds_since_start();
    return status;
}

hs_status cli_open_classifier(cli_session *session, hs_classifier **out, hs_error *err) {
    const cli_options *options = session->options;
    const int *image = session->info.image;
    hs_classifier_options wanted = hs_classifier_options_default();
    hs_classifier_info info;
    wanted.backend = options->backend;
    wanted.threads = options->threads;
    wanted.labels = options->class_names;
    wanted.preprocess = options->preprocess;
    wanted.kind = options->scores;
    hs_status status =
        options->classifier
            ? hs_classifier_open(options->classifier, &wanted, &session->monitor, out, err)
            : hs_demo_classifier_open(session->embedded, &wanted, &session->monitor, out, err);
    if (status != HS_OK)
        return status;
    hs_classifier_get_info(*out, &info);
    if (info.channels != image[0])
        return cli_fail(err, HS_ERROR_MISMATCH,
                        "%s: a classifier of images with %d channels, those of %s have %d",
                        info.name, info.channels, session->info.name, image[0]);
    if (info.height && (info.height != image[1] || info.width != image[2]))
        cli_message("note: images of %d x %d are resized to %d x %d for %s", image[2], image[1],
                    info.width, info.height, info.name);
    return HS_OK;
}

/* The eta of a latent file is the one that its z were made for; malloc'ed, or
 * NULL where the file does not say. */
static double *cli_latents_eta(const hs_latents_view *view, int *count) {
    json_t *metadata = view->metadata ? json_loads(view->metadata, 0, NULL) : NULL;
    const char *text = json_string_value(json_object_get(metadata, "eta"));
    double *eta = NULL;
    json_t *list = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
    size_t size = json_array_size(list);
    if (size == (size_t)view->T && size > 0)
        eta = calloc(size, sizeof *eta);
    for (size_t i = 0; eta && i < size; i++)
        eta[i] = json_number_value(json_array_get(list, i));
    *count = eta ? view->T : 0;
    json_decref(list);
    json_decref(metadata);
    return eta;
}

/* z solved or drawn for one eta make another image with another. */
static void cli_check_latents_eta(const cli_session *session) {
    hs_latents_view view;
    hs_latents_view_get(session->latents, &view);
    int count, T = hs_sampler_steps(session->sampler);
    const double *eta = hs_sampler_eta(session->sampler);
    double *made_for = cli_latents_eta(&view, &count);
    char text[300];
    for (int i = 0; made_for && view.T == T && i < T; i++)
        if (eta[i] != made_for[i]) {
            snprintf(text, sizeof text,
                     "%.150s: its latents were made for eta %g at step %d, not %g: they give "
                     "another image",
                     session->options->latent, made_for[i], i, eta[i]);
            session->monitor.notice(session->monitor.ctx, text);
            break;
        }
    free(made_for);
}

hs_status cli_open_sampler(cli_session *session, double default_eta, int items, hs_error *err) {
    const cli_options *options = session->options;
    hs_status status = cli_open_denoiser(session, err);
    if (status != HS_OK)
        return status;
    hs_sampler_options wanted = hs_sampler_options_default();
    double *own_eta = NULL;
    if (options->latent) {
        hs_latents_view view;
        status = hs_latents_load(options->latent, &session->latents, err);
        if (status != HS_OK)
            return status;
        hs_latents_view_get(session->latents, &view);
        if (view.T > 0)
            wanted.steps = view.T;
        if (!options->eta_count && (!options->steps || options->steps == view.T))
            own_eta = cli_latents_eta(&view, &wanted.eta_count);
        items = items > 0 ? items : view.n;
    }
    if (options->steps)
        wanted.steps = options->steps;
    wanted.eta = own_eta ? own_eta : options->eta_count ? options->eta : &default_eta;
    if (!own_eta)
        wanted.eta_count = options->eta_count ? options->eta_count : 1;
    wanted.z_seed = options->z_seed;
    wanted.asyrp = options->asyrp;
    wanted.clip = options->clip;
    status =
        hs_sampler_create(session->denoiser, &wanted, &session->monitor, &session->sampler, err);
    free(own_eta);
    if (status != HS_OK)
        return status;
    if (session->latents)
        cli_check_latents_eta(session);
    return cli_make_ready(session, items, err);
}

/* The list that one metadata value holds, or NULL; json_decref() it. */
static json_t *cli_metadata_list(const json_t *metadata, const char *key) {
    const char *text = json_string_value(json_object_get(metadata, key));
    return text ? json_loads(text, 0, NULL) : NULL;
}

/* Images that were inverted badly: an edit starts from something else. */
static void cli_warn_inversion(const cli_session *session) {
    hs_latents_view view;
    hs_latents_view_get(session->latents, &view);
    json_t *metadata = view.metadata ? json_loads(view.metadata, 0, NULL) : NULL;
    json_t *psnr = cli_metadata_list(metadata, "psnr");
    json_t *names = cli_metadata_list(metadata, "images");
    const int64_t *items = session->options->items;
    int shown = 0;
    for (size_t i = 0; i < json_array_size(psnr); i++) {
        double db = json_number_value(json_array_get(psnr, i));
        const char *name = json_string_value(json_array_get(names, i));
        if (db >= CLI_LOW_PSNR || shown++ >= 5)
            continue;
        cli_message("warning: %s: latent %lld (%.200s) was inverted to %.1f dB only, below %g: the "
                    "edit does not start from this image",
                    session->options->latent, items ? (long long)items[i] : (long long)i,
                    name ? name : "unnamed", db, CLI_LOW_PSNR);
    }
    if (shown > 5)
        cli_message("warning: %s: so were %d more", session->options->latent, shown - 5);
    json_decref(names);
    json_decref(psnr);
    json_decref(metadata);
}

hs_status cli_pick_items(cli_session *session, hs_error *err) {
    const cli_options *options = session->options;
    hs_latents *picked = NULL;
    if (!session->latents)
        return HS_OK;
    if (!options->items) {
        cli_warn_inversion(session);
        return HS_OK;
    }
    int *items = calloc((size_t)options->item_count, sizeof *items);
    if (!items)
        return cli_fail_memory(err);
    for (int i = 0; i < options->item_count; i++)
        items[i] = (int)options->items[i];
    hs_status status = hs_latents_pick(session->latents, options->item_count, items, &picked, err);
    free(items);
    if (status != HS_OK) {
        hs_error inner = *err;
        return cli_fail(err, status, "%.200s: %.700s", options->latent, inner.message);
    }
    hs_latents_free(session->latents);
    session->latents = picked;
    cli_warn_inversion(session);
    return HS_OK;
}

/* --profile sigma and --same-step, for edit i. */
static hs_status cli_shape_edit(cli_session *session, int i, hs_error *err) {
    const cli_options *options = session->options;
    hs_edit *edit = &session->edits[i];
    hs_status status = HS_OK;
    if (options->same_step) {
        int step = 0;
        status =
            hs_directions_found_at(edit->directions, edit->index, session->sampler, &step, err);
        edit->first = edit->last = step;
    }
    if (status == HS_OK && session->profiles) {
        double *profile =
            session->profiles + (size_t)i * (size_t)hs_sampler_steps(session->sampler);
        status = hs_directions_sigma_profile(edit->directions, edit->index, session->sampler,
                                             profile, err);
        edit->profile = profile;
    }
    return status;
}

/* Load the file of spec i, find its direction and fit it to the sampler. */
static hs_status cli_open_direction(cli_session *session, int i, hs_error *err) {
    const cli_options *options = session->options;
    const cli_direction_spec *spec = &options->directions[i];
    hs_directions *loaded = NULL;
    hs_status status = hs_directions_load(spec->file, &loaded, err);
    if (status != HS_OK)
        return status;
    int count = hs_directions_count(loaded);
    int index = spec->name ? hs_directions_find(loaded, spec->name) : 0;
    if (index < 0)
        status = cli_fail(err, HS_ERROR_ARGUMENT,
                          "%s: there is no direction '%.60s' among its %d (%s ... %s)", spec->file,
                          spec->name, count, hs_directions_name(loaded, 0),
                          hs_directions_name(loaded, count - 1));
    if (!spec->name && count > 1) {
        char text[300];
        snprintf(text, sizeof text,
                 "%.150s: takes direction %s, the first of %d; FILE#NAME takes another", spec->file,
                 hs_directions_name(loaded, 0), count);
        session->monitor.notice(session->monitor.ctx, text);
    }
    hs_directions_view view;
    hs_directions_view_get(loaded, &view);
    bool noise = view.space == HS_SPACE_NOISE;
    if (status == HS_OK && options->space_wanted && noise != (options->space == HS_SPACE_NOISE))
        status = cli_fail(err, HS_ERROR_MISMATCH, "%s: its directions are of %s, and --space is %s",
                          spec->file, noise ? "noise" : "h", noise ? "h" : "noise");
    if (status == HS_OK)
        status = hs_directions_fit(loaded, session->sampler, &session->monitor, &session->fitted[i],
                                   err);
    hs_directions_free(loaded);
    if (status == HS_OK)
        session->edits[i] = (hs_edit){.directions = session->fitted[i],
                                      .index = index,
                                      .strength = spec->strengths[0],
                                      .first = options->first,
                                      .last = options->last};
    if (status == HS_OK)
        status = cli_shape_edit(session, i, err);
    return status;
}

hs_status cli_open_directions(cli_session *session, hs_error *err) {
    const cli_options *options = session->options;
    int steps = hs_sampler_steps(session->sampler);
    if (options->last >= steps)
        return cli_fail(err, HS_ERROR_ARGUMENT, "--window %d-%d: there are steps 0 to %d",
                        options->first, options->last, steps - 1);
    size_t count = (size_t)options->direction_count;
    session->fitted = calloc(count ? count : 1, sizeof *session->fitted);
    session->edits = calloc(count ? count : 1, sizeof *session->edits);
    if (options->sigma_profile)
        session->profiles = calloc(count * (size_t)steps + 1, sizeof *session->profiles);
    if (!session->fitted || !session->edits || (options->sigma_profile && !session->profiles))
        return cli_fail_memory(err);
    for (int i = 0; i < options->direction_count; i++) {
        hs_status status = cli_open_direction(session, i, err);
        if (status != HS_OK)
            return status;
    }
    return HS_OK;
}
