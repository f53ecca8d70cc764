/* hspace eps: one U-Net pass on tensors from a file. */
#include "cli.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char doc[] =
    "One U-Net pass. The input file has sample F32 [n,C,H,W] and, if wanted, delta_h "
    "[1 or n,c,h,w], added to h; the output gets eps [n,C,H,W] and h [n,c,h,w], the activation "
    "before delta_h is added. With one sample it may also have v [k,c,h,w] and u [k,C,H,W]; the "
    "output then gets Jv [k,C,H,W] and JTu [k,c,h,w], exact products with J = d eps / d h there.";

typedef struct cli_eps_options {
    cli_options common;
    const char *input;
    int64_t *timesteps; /* 1 or n */
    int timestep_count;
} cli_eps_options;

enum { KEY_INPUT = 0x200, KEY_TIMESTEP };

static const struct argp_option eps_options[] = {
    {"input", KEY_INPUT, "FILE", 0, "Safetensors with `sample`", 1},
    {"timestep", KEY_TIMESTEP, "LIST", 0, "One timestep for all samples, or n with commas", 1},
    {0}};

static error_t cli_eps_parse(int key, char *arg, struct argp_state *state) {
    cli_eps_options *options = state->input;
    char why[CLI_WHY];
    switch (key) {
    case KEY_INPUT: options->input = arg; return 0;
    case KEY_TIMESTEP:
        free(options->timesteps);
        options->timesteps = NULL;
        if (!cli_parse_ints(arg, 0, CLI_MAX_STEPS, CLI_MAX_SEEDS, &options->timesteps,
                            &options->timestep_count, why))
            cli_usage_error("--timestep: %s", why);
        return 0;
    default: return cli_default_key(key, arg, state);
    }
}

static const struct argp_child eps_children[] = {
    {&cli_common_argp, 0, NULL, 0}, {&cli_profile_argp, 0, NULL, 0}, {0}};
static const struct argp eps_argp = {
    .options = eps_options, .parser = cli_eps_parse, .doc = doc, .children = eps_children};

/* What a pass takes and gives. */
typedef struct cli_eps_work {
    int n;
    int *t;                 /* [n] */
    hs_tensor_view sample;  /* [n,C,H,W] */
    hs_tensor_view delta_h; /* [1 or n,c,h,w]; data NULL: none */
    float *spread;          /* delta_h for every sample of a batch, where it has one row */
    float *eps, *h;
    hs_tensor_view v, u; /* [k,c,h,w], [k,C,H,W]; data NULL: none */
    float *Jv, *JTu;     /* [k,C,H,W], [k,c,h,w] */
} cli_eps_work;

/* A tensor of shape [rows, shape...], all values finite. */
static hs_status cli_eps_check(const char *path, const hs_tensor_view *view, const int shape[3],
                               hs_error *err) {
    bool fits = view->rank == 4 && view->dim[0] >= 1 && view->dim[0] <= CLI_MAX_SEEDS;
    for (int i = 0; fits && i < 3; i++)
        fits = view->dim[i + 1] == shape[i];
    if (!fits) {
        char found[160] = "";
        for (int i = 0, used = 0; i < view->rank; i++)
            used += snprintf(found + used, sizeof found - (size_t)used, "%s%lld", i ? ", " : "",
                             (long long)view->dim[i]);
        return cli_fail(err, HS_ERROR_MISMATCH, "%s: %s is [%s], expected [n, %d, %d, %d]", path,
                        view->name, found, shape[0], shape[1], shape[2]);
    }
    size_t count = cli_float_count(view->dim[0], shape, 3);
    for (size_t i = 0; i < count; i++)
        if (!isfinite(view->data[i]))
            return cli_fail(err, HS_ERROR_NUMERIC, "%s: %s: value %zu is %g", path, view->name, i,
                            (double)view->data[i]);
    return HS_OK;
}

static hs_status cli_eps_read(cli_session *session, const cli_eps_options *options,
                              hs_tensors *tensors, cli_eps_work *work, hs_error *err) {
    const hs_model_info *info = &session->info;
    const int *h_shape = info->h[options->common.h_space];
    hs_status status = hs_tensors_get(tensors, "sample", &work->sample, err);
    for (int i = 0; i < hs_tensors_count(tensors) && status == HS_OK; i++) {
        const char *name = hs_tensors_name(tensors, i);
        if (!strcmp(name, "v"))
            status = hs_tensors_get(tensors, name, &work->v, err);
        else if (!strcmp(name, "u"))
            status = hs_tensors_get(tensors, name, &work->u, err);
        else if (!strcmp(name, "delta_h"))
            status = hs_tensors_get(tensors, name, &work->delta_h, err);
        else if (strcmp(name, "sample") != 0)
            cli_message("note: %s: tensor '%.100s' is not used", options->input, name);
    }
    if (status == HS_OK)
        status = cli_eps_check(options->input, &work->sample, info->image, err);
    if (status == HS_OK && work->delta_h.data)
        status = cli_eps_check(options->input, &work->delta_h, h_shape, err);
    if (status == HS_OK && work->v.data)
        status = cli_eps_check(options->input, &work->v, h_shape, err);
    if (status == HS_OK && work->u.data)
        status = cli_eps_check(options->input, &work->u, info->image, err);
    if (status != HS_OK)
        return status;
    work->n = (int)work->sample.dim[0];
    if ((work->v.data || work->u.data) && work->n != 1)
        return cli_fail(err, HS_ERROR_MISMATCH,
                        "%s: sample has %d rows, expected 1: v and u are for one sample",
                        options->input, work->n);
    if (work->delta_h.data && work->delta_h.dim[0] != 1 && work->delta_h.dim[0] != work->n)
        return cli_fail(err, HS_ERROR_MISMATCH, "%s: delta_h has %lld rows, expected 1 or %d",
                        options->input, (long long)work->delta_h.dim[0], work->n);
    if (options->timestep_count != 1 && options->timestep_count != work->n)
        return cli_fail(err, HS_ERROR_ARGUMENT, "--timestep: %d values, expected 1 or %d",
                        options->timestep_count, work->n);
    for (int i = 0; i < options->timestep_count; i++)
        if (options->timesteps[i] >= info->num_train_timesteps)
            return cli_fail(err, HS_ERROR_ARGUMENT,
                            "--timestep: %lld is outside 0 to %d, the model's",
                            (long long)options->timesteps[i], info->num_train_timesteps - 1);
    return HS_OK;
}

/* All n samples, in batches that suit the denoiser. */
static hs_status cli_eps_run(cli_session *session, const cli_eps_options *options,
                             cli_eps_work *work, hs_error *err) {
    size_t image = cli_float_count(1, session->info.image, 3);
    size_t h_size = cli_float_count(1, session->info.h[options->common.h_space], 3);
    int batch = hs_denoiser_batch(session->denoiser, work->n);
    work->t = calloc((size_t)work->n, sizeof *work->t);
    work->eps = calloc((size_t)work->n, image * sizeof *work->eps);
    work->h = calloc((size_t)work->n, h_size * sizeof *work->h);
    work->spread = calloc((size_t)batch, h_size * sizeof *work->spread);
    if (!work->t || !work->eps || !work->h || !work->spread)
        return cli_fail_memory(err);
    bool one_row = work->delta_h.data && work->delta_h.dim[0] == 1;
    for (int i = 0; one_row && i < batch; i++)
        memcpy(work->spread + (size_t)i * h_size, work->delta_h.data, h_size * sizeof(float));
    for (int i = 0; i < work->n; i++)
        work->t[i] = (int)options->timesteps[options->timestep_count == 1 ? 0 : i];
    for (int i = 0; i < work->n; i += batch) {
        int n = work->n - i < batch ? work->n - i : batch;
        const float *delta_h = one_row ? work->spread : work->delta_h.data;
        if (delta_h && !one_row)
            delta_h += (size_t)i * h_size;
        hs_status status = hs_denoiser_eps(
            session->denoiser, n, work->sample.data + (size_t)i * image, work->t + i, delta_h,
            work->eps + (size_t)i * image, work->h + (size_t)i * h_size, err);
        if (status != HS_OK)
            return status;
        if (!session->monitor.progress(&session->progress, "passes", i + n, work->n))
            return cli_fail(err, HS_ERROR_CANCELLED, "stopped on request");
    }
    cli_progress_end(&session->progress);
    return HS_OK;
}

/* Jv and JTu at the one sample, if asked for. */
static hs_status cli_eps_products(cli_session *session, cli_eps_work *work, hs_error *err) {
    const hs_model_info *info = &session->info;
    int k_v = work->v.data ? (int)work->v.dim[0] : 0, k_u = work->u.data ? (int)work->u.dim[0] : 0;
    size_t Jv = cli_float_count(k_v, info->image, 3);
    size_t JTu = cli_float_count(k_u, info->h[session->options->h_space], 3);
    if (!k_v && !k_u)
        return HS_OK;
    work->Jv = Jv ? calloc(Jv, sizeof *work->Jv) : NULL;
    work->JTu = JTu ? calloc(JTu, sizeof *work->JTu) : NULL;
    if ((k_v && !work->Jv) || (k_u && !work->JTu))
        return cli_fail_memory(err);
    return hs_denoiser_products(session->denoiser, work->sample.data, work->t[0],
                                work->delta_h.data, k_v, work->v.data, work->Jv, k_u, work->u.data,
                                work->JTu, err);
}

static hs_status cli_eps_write(const cli_session *session, const cli_eps_options *options,
                               const cli_eps_work *work, hs_error *err) {
    hs_tensor_view views[4] = {
        {.name = "eps", .rank = 4, .dim = {work->n}, .data = work->eps},
        {.name = "h", .rank = 4, .dim = {work->n}, .data = work->h},
        {.name = "Jv", .rank = 4, .dim = {work->v.dim[0]}, .data = work->Jv},
        {.name = "JTu", .rank = 4, .dim = {work->u.dim[0]}, .data = work->JTu}};
    int count = 0;
    for (int v = 0; v < 4; v++) {
        bool image = v == 0 || v == 2;
        const int *shape = image ? session->info.image : session->info.h[options->common.h_space];
        for (int i = 0; i < 3; i++)
            views[v].dim[i + 1] = shape[i];
        if (views[v].data)
            views[count++] = views[v];
    }
    return hs_tensors_save(options->common.output, views, count, err);
}

static void cli_eps_report(const cli_session *session, const cli_eps_options *options,
                           const cli_eps_work *work) {
    if (!options->common.json && options->common.quiet)
        return;
    if (!options->common.json) {
        printf("wrote %s: eps and h of %d sample%s%s%s\n", options->common.output, work->n,
               work->n == 1 ? "" : "s", work->Jv ? ", Jv" : "", work->JTu ? ", JTu" : "");
        return;
    }
    json_t *report = cli_report_new(session);
    json_object_set_new(report, "samples", json_integer(work->n));
    json_object_set_new(report, "timesteps", cli_json_ints(work->t, work->n));
    json_object_set_new(report, "output", json_string(options->common.output));
    cli_report_print(report);
}

int cli_eps(int argc, char **argv) {
    cli_eps_options options = {0};
    cli_parse_command(&eps_argp, argc, argv, &options);
    if (!options.input || !options.timesteps || !options.common.output)
        cli_usage_error("eps: needs --input FILE, --timestep T and -o FILE");
    const cli_path paths[] = {{"--input", options.input, false},
                              {"-o", options.common.output, true}};
    cli_check_distinct(paths, 2);
    cli_session session;
    cli_session_begin(&session, &options.common);
    hs_error err;
    hs_tensors *tensors = NULL;
    cli_eps_work work = {0};
    hs_status status = cli_check_writable(options.common.output, CLI_OUTPUT_NONE, &err);
    if (status == HS_OK)
        status = hs_tensors_load(options.input, &tensors, &err);
    if (status == HS_OK)
        status = cli_open_denoiser(&session, &err);
    if (status == HS_OK)
        status = cli_eps_read(&session, &options, tensors, &work, &err);
    if (status == HS_OK)
        status = cli_make_ready(&session, work.n, &err);
    if (status == HS_OK)
        status = cli_eps_run(&session, &options, &work, &err);
    if (status == HS_OK)
        status = cli_eps_products(&session, &work, &err);
    if (status == HS_OK)
        status = cli_eps_write(&session, &options, &work, &err);
    if (status == HS_OK)
        cli_eps_report(&session, &options, &work);
    int result = cli_finish(status, &err);
    free(work.Jv);
    free(work.JTu);
    free(work.h);
    free(work.eps);
    free(work.spread);
    free(work.t);
    hs_tensors_free(tensors);
    cli_session_end(&session);
    free(options.timesteps);
    cli_options_free(&options.common);
    return result;
}
