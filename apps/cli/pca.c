/* hspace pca: principal components of h-space as directions. */
#include "cli.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char doc[] =
    "Find directions: the principal components of h-space over many samples, a PCA at every step "
    "or one over all. The directions are in standard deviations: strength 1 is one sigma of "
    "natural "
    "samples. Says its time and memory before it starts; a run that was stopped goes on when the "
    "same command is given again.";

#define CLI_MAX_SAMPLES 10000000
#define CLI_MAX_COMPONENTS 100000
#define CLI_PREVIEW_ROWS 6

typedef struct cli_pca_options {
    cli_options common;
    hs_pca_options pca;
    const char *preview, *resume;
    bool delta_given;
} cli_pca_options;

enum {
    KEY_FIRST = 0x200,
    KEY_JOINT,
    KEY_ALIGN,
    KEY_PREVIEW,
    KEY_AROUND,
    KEY_DELTA,
    KEY_INCREMENTAL,
    KEY_EXACT,
    KEY_BATCH,
    KEY_RESUME
};

static const struct argp_option pca_options[] = {
    {"samples", 'n', "N", 0, "Samples; default 1000", 1},
    {"components", 'k', "K", 0, "Components; default 20", 1},
    {"seed", KEY_FIRST, "FIRST", 0, "Seeds FIRST to FIRST + N - 1; default 0", 1},
    {"joint", KEY_JOINT, NULL, 0, "One PCA over all steps together", 2},
    {"align", KEY_ALIGN, "index|score", 0,
     "Match the components of neighbouring steps by their number (the paper's; default) or by the "
     "samples' scores",
     2},
    {"around", KEY_AROUND, "SEED", 0, "Variations around one sample in place of fresh samples", 2},
    {"delta", KEY_DELTA, "D", 0, "How far these vary, 0 to 1; default 0.15", 2},
    {"exact", KEY_EXACT, NULL, 0, "Never incremental, whatever the size", 3},
    {"incremental", KEY_INCREMENTAL, NULL, 0, "Incremental, whatever the size", 3},
    {"batch", KEY_BATCH, "B", 0, "Samples a batch of incremental PCA, at least 2 K", 3},
    {"resume", KEY_RESUME, "FILE", 0, "Where the way so far is kept; default OUTPUT.resume", 3},
    {"preview", KEY_PREVIEW, "GRID", 0,
     "Draw what the first components change, beside random directions of equal norm", 4},
    {0}};

static error_t cli_pca_parse(int key, char *arg, struct argp_state *state) {
    static const char *const aligns[] = {"index", "score"};
    cli_pca_options *options = state->input;
    hs_pca_options *pca = &options->pca;
    char why[CLI_WHY];
    switch (key) {
    case 'n': pca->n = cli_option_int("-n", arg, 2, CLI_MAX_SAMPLES); return 0;
    case 'k': pca->k = cli_option_int("-k", arg, 1, CLI_MAX_COMPONENTS); return 0;
    case KEY_FIRST:
        if (!cli_parse_int(arg, 0, INT64_MAX - CLI_MAX_SAMPLES, &pca->first_seed, why))
            cli_usage_error("--seed: %s", why);
        return 0;
    case KEY_JOINT: pca->joint = true; return 0;
    case KEY_ALIGN:
        if (strcmp(arg, aligns[0]) != 0 && strcmp(arg, aligns[1]) != 0)
            cli_usage_error("--align: '%.60s' is neither index nor score", arg);
        pca->align = strcmp(arg, aligns[0]) == 0 ? HS_ALIGN_INDEX : HS_ALIGN_SCORE;
        return 0;
    case KEY_AROUND:
        if (!cli_parse_int(arg, 0, INT64_MAX, &pca->around_seed, why))
            cli_usage_error("--around: %s", why);
        pca->around = true;
        return 0;
    case KEY_DELTA:
        pca->around_delta = cli_option_number("--delta", arg, 1e-6, 1);
        options->delta_given = true;
        return 0;
    case KEY_EXACT:
    case KEY_INCREMENTAL:
        if (pca->incremental == (key == KEY_EXACT))
            cli_usage_error("--exact and --incremental exclude each other");
        pca->incremental = key == KEY_INCREMENTAL;
        return 0;
    case KEY_BATCH: pca->batch = cli_option_int("--batch", arg, 2, CLI_MAX_SAMPLES); return 0;
    case KEY_RESUME: options->resume = arg; return 0;
    case KEY_PREVIEW: options->preview = arg; return 0;
    default: return cli_default_key(key, arg, state);
    }
}

static const struct argp_child pca_children[] = {{&cli_sampling_argp, 0, NULL, 0},
                                                 {&cli_common_argp, 0, NULL, 0},
                                                 {&cli_profile_argp, 0, NULL, 0},
                                                 {0}};
static const struct argp pca_argp = {
    .options = pca_options, .parser = cli_pca_parse, .doc = doc, .children = pca_children};

hs_status cli_measure_pass(cli_session *session, int n, double *seconds, hs_error *err) {
    int batch = hs_denoiser_batch(session->denoiser, n);
    size_t count = cli_float_count(batch, session->info.image, 3);
    float *x = count ? malloc(count * sizeof *x) : NULL;
    float *eps = count ? malloc(count * sizeof *eps) : NULL;
    int *t = calloc((size_t)batch, sizeof *t);
    hs_status status = x && eps && t ? hs_randn(0, 1, count, x, err) : cli_fail_memory(err);
    for (int i = 0; i < batch && status == HS_OK; i++)
        t[i] = session->info.num_train_timesteps / 2;
    for (int pass = 0; pass < 3 && status == HS_OK; pass++) {
        double begun = cli_clock();
        status = hs_denoiser_eps(session->denoiser, batch, x, t, NULL, eps, NULL, err);
        double taken = (cli_clock() - begun) / batch;
        *seconds = pass < 2 || taken < *seconds ? taken : *seconds;
    }
    free(t);
    free(eps);
    free(x);
    return status;
}

hs_status cli_announce_pca(cli_session *session, const hs_pca_options *pca, hs_cost *cost,
                           hs_error *err) {
    double seconds = 0;
    hs_status status = hs_pca_cost(session->sampler, pca, cost, err);
    if (status == HS_OK)
        status = cli_measure_pass(session, pca->n, &seconds, err);
    if (status != HS_OK || session->options->quiet)
        return status;
    char total[32], each[32], bytes[32], model[32];
    cli_format_seconds(seconds * (double)cost->passes, total);
    cli_format_seconds(seconds, each);
    cli_format_bytes((double)cost->bytes, bytes);
    cli_format_bytes((double)session->planned_bytes, model);
    int steps = hs_sampler_steps(session->sampler);
    cli_message("PCA of %d samples at %d step%s: %lld passes of %s, about %s", pca->n, steps,
                steps == 1 ? "" : "s", (long long)cost->passes, each, total);
    cli_message("memory: %s for the model, %s for the PCA (%s)", model, bytes, cost->formula);
    return HS_OK;
}

/* What the user gets to see at the end. */
static void cli_pca_report(const cli_session *session, const cli_pca_options *options,
                           const hs_directions *directions, const hs_cost *cost) {
    const cli_options *common = &options->common;
    hs_directions_view view;
    hs_directions_view_get(directions, &view);
    if (!common->json && common->quiet)
        return;
    if (!common->json) {
        char taken[32];
        cli_format_seconds(cli_seconds_since_start(), taken);
        printf("%d direction%s (%d x %d x %d at %d step%s) from %d samples in %s: %s%s%s\n", view.K,
               view.K == 1 ? "" : "s", view.h_shape[0], view.h_shape[1], view.h_shape[2], view.S,
               view.S == 1 ? "" : "s", options->pca.n, taken, common->output,
               options->preview ? " " : "", options->preview ? options->preview : "");
        return;
    }
    json_t *report = cli_report_new(session), *sigma = json_array();
    for (int k = 0; view.sigma && k < view.K; k++) {
        double sum = 0;
        for (int s = 0; s < view.S; s++)
            sum += (double)view.sigma[k * view.S + s];
        json_array_append_new(sigma, json_real(sum / view.S));
    }
    json_object_set_new(report, "n", json_integer(options->pca.n));
    json_object_set_new(report, "k", json_integer(view.K));
    json_object_set_new(report, "steps", json_integer(view.T));
    json_object_set_new(report, "h", cli_json_ints(view.h_shape, 3));
    json_object_set_new(report, "unit", json_string(view.unit));
    json_object_set_new(report, "mean_sigma", sigma);
    json_object_set_new(report, "planned_passes", json_integer(cost->passes));
    json_object_set_new(report, "planned_bytes",
                        json_integer(session->planned_bytes + cost->bytes));
    json_object_set_new(report, "formula", json_string(cost->formula));
    json_t *metadata = view.metadata ? json_loads(view.metadata, 0, NULL) : NULL;
    if (metadata)
        json_object_set_new(report, "metadata", metadata);
    json_object_set_new(report, "output", json_string(common->output));
    if (options->preview)
        json_object_set_new(report, "preview", json_string(options->preview));
    cli_report_print(report);
}

/* Everything between the options and the report; *directions for it. */
static hs_status cli_pca_work(cli_session *session, cli_pca_options *options,
                              hs_directions **directions, hs_cost *cost, hs_error *err) {
    hs_pca_options *pca = &options->pca;
    hs_status status = cli_check_writable(options->common.output, CLI_OUTPUT_NONE, err);
    if (status == HS_OK && options->preview)
        status = cli_check_writable(options->preview, CLI_OUTPUT_IMAGE, err);
    if (status == HS_OK)
        status = cli_open_sampler(session, 1, pca->n, err);
    if (status == HS_OK && options->preview)
        status = cli_check_channels(session, err);
    if (status != HS_OK)
        return status;
    if (options->common.max_mem) {
        pca->max_mem = options->common.max_mem - session->planned_bytes;
        if (pca->max_mem <= 0)
            return cli_fail(
                err, HS_ERROR_MEMORY,
                "--max-mem: the model alone takes %lld MiB, nothing is left for the PCA",
                (long long)(session->planned_bytes >> 20));
    }
    status = cli_announce_pca(session, pca, cost, err);
    if (status == HS_OK)
        status = hs_pca(session->sampler, pca, &session->monitor, directions, err);
    cli_progress_end(&session->progress);
    if (status == HS_ERROR_CANCELLED && access(pca->resume, R_OK) == 0)
        return cli_fail(err, status, "stopped; the same command goes on from %s", pca->resume);
    if (status == HS_OK)
        status = hs_directions_save(*directions, options->common.output, err);
    if (status == HS_OK)
        unlink(pca->resume); /* its work is in the output now; it may not exist */
    if (status == HS_OK && options->preview) {
        int count = hs_directions_count(*directions);
        cli_preview preview = {.directions = *directions,
                               .count = count < CLI_PREVIEW_ROWS ? count : CLI_PREVIEW_ROWS,
                               .columns = 7,
                               .range = 3,
                               .seed = pca->around ? pca->around_seed : pca->first_seed,
                               .path = options->preview};
        status = cli_save_preview(session, &preview, NULL, err);
    }
    return status;
}

/* Mistakes that the command line alone shows. */
static void cli_pca_check(const cli_pca_options *options) {
    const cli_options *common = &options->common;
    if (!common->output)
        cli_usage_error("pca: -o says where the direction file goes (x.safetensors)");
    if (cli_is_picture(common->output))
        cli_usage_error("pca: -o %.200s: the directions are no picture (x.safetensors); --preview "
                        "draws one",
                        common->output);
    if (options->delta_given && !options->pca.around)
        cli_usage_error("--delta: says how far samples vary with --around SEED");
    if (options->pca.joint && options->pca.align == HS_ALIGN_SCORE)
        cli_usage_error("--align score: a --joint PCA has no components of single steps to align");
    if (options->pca.k >= options->pca.n)
        cli_usage_error("-k: %d components need at least %d samples, -n is %d", options->pca.k,
                        options->pca.k + 1, options->pca.n);
    if (options->preview) {
        cli_options picture = {.command = "--preview", .output = options->preview};
        if (cli_image_output(&picture) != CLI_OUTPUT_IMAGE)
            cli_usage_error("--preview: %.200s is a folder", options->preview);
    }
}

int cli_pca(int argc, char **argv) {
    cli_pca_options options = {.pca = hs_pca_options_default()};
    options.pca.n = 1000;
    options.pca.k = 20;
    options.pca.around_delta = 0.15;
    cli_parse_command(&pca_argp, argc, argv, &options);
    cli_pca_check(&options);
    char *resume = NULL;
    if (!options.resume && asprintf(&resume, "%s.resume", options.common.output) < 0)
        cli_usage_error("out of memory");
    options.pca.resume = options.resume ? options.resume : resume;
    const cli_path paths[] = {{"-o", options.common.output, true},
                              {"--preview", options.preview, true},
                              {"--resume", options.pca.resume, true}};
    cli_check_distinct(paths, 3);
    cli_session session;
    cli_session_begin(&session, &options.common);
    hs_error err;
    hs_cost cost = {0};
    hs_directions *directions = NULL;
    hs_status status = cli_pca_work(&session, &options, &directions, &cost, &err);
    if (status == HS_OK)
        cli_pca_report(&session, &options, directions, &cost);
    int result = cli_finish(status, &err);
    hs_directions_free(directions);
    cli_session_end(&session);
    free(resume);
    cli_options_free(&options.common);
    return result;
}
