/* hspace annotate: an index of samples and their scores. */
#include "cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char doc[] =
    "Make samples from seeds, score them with a classifier, and keep seeds and scores in an index "
    "(SQLite), from which `attribute` finds directions. Each batch is stored as it is done: a run "
    "that was stopped goes on when the same command is given again, and several may add to one "
    "index at once. Or import scores that another tool made: --labels. Or show what an index has: "
    "--list.";

#define CLI_MAX_ANNOTATED 100000000

typedef struct cli_annotate_options {
    cli_options common;
    int n;
    int64_t first;
    const char *labels;
    bool list;
} cli_annotate_options;

enum { KEY_FIRST = 0x200, KEY_LABELS, KEY_LIST };

static const struct argp_option annotate_options[] = {
    {"samples", 'n', "N", 0, "Samples; default 1000", 1},
    {"seed", KEY_FIRST, "FIRST", 0, "Seeds FIRST to FIRST + N - 1; default 0", 1},
    {"labels", KEY_LABELS, "FILE", 0,
     "Import scores by seed from a CSV (seed or file_seed_N.png, then the attributes)", 3},
    {"list", KEY_LIST, NULL, 0, "Show what the index -o has", 3},
    {0}};

static error_t cli_annotate_parse(int key, char *arg, struct argp_state *state) {
    cli_annotate_options *options = state->input;
    char why[CLI_WHY];
    switch (key) {
    case 'n': options->n = cli_option_int("-n", arg, 1, CLI_MAX_ANNOTATED); return 0;
    case KEY_FIRST:
        if (!cli_parse_int(arg, 0, INT64_MAX - CLI_MAX_ANNOTATED, &options->first, why))
            cli_usage_error("--seed: %s", why);
        return 0;
    case KEY_LABELS: options->labels = arg; return 0;
    case KEY_LIST: options->list = true; return 0;
    case ARGP_KEY_ARG: /* annotate --list index.sqlite */
        if (options->common.output)
            cli_usage_error("unexpected argument '%.100s'", arg);
        options->common.output = arg;
        return 0;
    default: return cli_default_key(key, arg, state);
    }
}

static const struct argp_child annotate_children[] = {{&cli_sampling_argp, 0, NULL, 0},
                                                      {&cli_classifier_argp, 0, NULL, 0},
                                                      {&cli_common_argp, 0, NULL, 0},
                                                      {&cli_profile_argp, 0, NULL, 0},
                                                      {0}};
static const struct argp annotate_argp = {.options = annotate_options,
                                          .parser = cli_annotate_parse,
                                          .args_doc = "[INDEX]",
                                          .doc = doc,
                                          .children = annotate_children};

/* What is open, and what was done. */
typedef struct cli_annotation {
    const cli_annotate_options *options;
    hs_index *index;
    hs_classifier *classifier;
    hs_classifier_info info;
    const char *const *names; /* [name_count], the classifier's */
    int name_count;
    int64_t source;
    float *x;       /* [batch,C,H,W] */
    float *scores;  /* [batch,name_count] */
    double *values; /* the same in double */
    int64_t *seeds; /* [batch] */
    int batch, added;
    int64_t busy;
    hs_labels *labels;
    int bad;
} cli_annotation;

static const char *const cli_positions[] = {"before", "middle", "after"};

hs_status cli_bind_index(cli_session *session, hs_index *index, hs_error *err) {
    char fingerprint[33], name[600];
    bool fast = session->options->precision == HS_PRECISION_FAST;
    hs_status status = hs_model_fingerprint(session->model, fingerprint, err);
    snprintf(name, sizeof name, "%.500s%s", session->info.name, fast ? ", precision fast" : "");
    if (status != HS_OK)
        return status;
    hs_index_recipe recipe = {.model = fingerprint,
                              .name = name,
                              .steps = hs_sampler_steps(session->sampler),
                              .eta = hs_sampler_eta(session->sampler),
                              .eta_count = hs_sampler_steps(session->sampler),
                              .z_seed = session->options->z_seed,
                              .clip = session->options->clip,
                              .h_space = cli_positions[session->options->h_space]};
    return hs_index_bind(index, &recipe, err);
}

/* -------------------------------------------------------------- scoring -- */

/* Before the index is made, for a classifier that cannot be used is no reason for
 * one. */
static hs_status cli_annotate_classifier(cli_session *session, cli_annotation *work,
                                         hs_error *err) {
    hs_status status = cli_open_classifier(session, &work->classifier, err);
    if (status != HS_OK)
        return status;
    hs_classifier_get_info(work->classifier, &work->info);
    work->names = hs_classifier_labels(work->classifier, &work->name_count);
    return HS_OK;
}

static hs_status cli_annotate_source(cli_annotation *work, hs_error *err) {
    char fingerprint[33];
    hs_status status = hs_classifier_fingerprint(work->classifier, fingerprint, err);
    return status == HS_OK
               ? hs_index_source(work->index, "classifier", work->info.name, fingerprint,
                                 work->names, work->name_count, &work->source, err)
               : status;
}

static hs_status cli_annotate_room(cli_session *session, cli_annotation *work, hs_error *err) {
    work->batch = hs_denoiser_batch(session->denoiser, work->options->n);
    size_t batch = (size_t)work->batch, labels = (size_t)work->name_count;
    work->x = malloc(cli_float_count(work->batch, session->info.image, 3) * sizeof *work->x);
    work->scores = calloc(batch * labels, sizeof *work->scores);
    work->values = calloc(batch * labels, sizeof *work->values);
    work->seeds = calloc(batch, sizeof *work->seeds);
    return work->x && work->scores && work->values && work->seeds ? HS_OK : cli_fail_memory(err);
}

/* Samples of a batch as part of all. */
typedef struct cli_relay {
    const cli_session *session;
    double from, share, total;
} cli_relay;

static bool cli_relay_progress(void *ctx, const char *phase, double done, double total) {
    const cli_relay *relay = ctx;
    const hs_monitor *monitor = &relay->session->monitor;
    return monitor->progress(monitor->ctx, "annotate", relay->from + relay->share * done / total,
                             relay->total);
}

/* One batch: claim, sample, score, add. *done: there was none left. */
static hs_status cli_annotate_batch(cli_session *session, cli_annotation *work, bool *done,
                                    hs_error *err) {
    const cli_annotate_options *options = work->options;
    int count = 0;
    hs_status status = hs_index_claim(work->index, work->source, options->first, options->n,
                                      work->batch, work->seeds, &count, &work->busy, err);
    *done = status == HS_OK && !count;
    if (status != HS_OK || !count)
        return status;
    cli_relay relay = {session, work->added, count, options->n};
    hs_monitor monitor = {.ctx = &relay, .progress = cli_relay_progress};
    status = hs_sample(session->sampler, count, work->seeds, NULL, NULL, 0, NULL, &monitor, work->x,
                       NULL, err);
    if (status == HS_OK)
        status = hs_classifier_scores(work->classifier, count, session->info.image, work->x,
                                      work->scores, err);
    for (int i = 0; status == HS_OK && i < count * work->name_count; i++)
        work->values[i] = (double)work->scores[i];
    if (status == HS_OK)
        status = hs_index_add(work->index, work->source, count, work->seeds, work->names,
                              work->name_count, work->values, err);
    if (status == HS_OK)
        work->added += count;
    else
        hs_index_release(work->index, NULL); /* the first error is the one to tell */
    return status;
}

static hs_status cli_annotate_samples(cli_session *session, cli_annotation *work, hs_error *err) {
    bool done = false;
    hs_status status = cli_annotate_source(work, err);
    if (status == HS_OK)
        status = cli_annotate_room(session, work, err);
    while (status == HS_OK && !done)
        status = cli_annotate_batch(session, work, &done, err);
    cli_progress_end(&session->progress);
    if (status == HS_ERROR_CANCELLED)
        return cli_fail(err, status, "stopped after %d samples; the same command goes on",
                        work->added);
    if (status == HS_OK && work->busy)
        cli_message("note: other processes are at work on %lld of the samples",
                    (long long)work->busy);
    return status;
}

static hs_status cli_import_labels(cli_session *session, cli_annotation *work, hs_error *err) {
    hs_labels_view view;
    const char *path = work->options->labels;
    hs_labels_view_get(work->labels, &view);
    hs_status status =
        hs_index_import(work->index, path, work->labels, &session->monitor, &work->added, err);
    work->bad = view.bad + view.rows - work->added;
    return status;
}

static hs_status cli_annotate_work(cli_session *session, cli_annotation *work, hs_error *err) {
    const cli_annotate_options *options = work->options;
    if (options->list) {
        session->load_seconds = cli_seconds_since_start();
        return hs_index_open(options->common.output, false, &work->index, err);
    }
    hs_status status = cli_open_sampler(session, 1, options->n, err);
    if (status == HS_OK)
        status = options->labels
                     ? hs_labels_load(options->labels, false, &session->monitor, &work->labels, err)
                     : cli_annotate_classifier(session, work, err);
    if (status == HS_OK)
        status = hs_index_open(options->common.output, true, &work->index, err);
    if (status == HS_OK)
        status = cli_bind_index(session, work->index, err);
    if (status != HS_OK)
        return status;
    return options->labels ? cli_import_labels(session, work, err)
                           : cli_annotate_samples(session, work, err);
}

/* --------------------------------------------------------------- report -- */

static void cli_annotate_list(const cli_annotation *work, const hs_index_attribute *list, int count,
                              int64_t samples, const hs_index_recipe *recipe) {
    bool same = true;
    for (int i = 0; i < count; i++)
        printf("%-24s %8lld samples, mean %8.4f, %g to %g, by %s\n", list[i].name,
               (long long)list[i].samples, list[i].mean, list[i].min, list[i].max, list[i].source);
    printf("%lld samples with %d attributes in %s", (long long)samples, count,
           work->options->common.output);
    for (int i = 1; i < recipe->eta_count; i++)
        same = same && recipe->eta[i] == recipe->eta[0];
    if (recipe->eta_count)
        printf(": %s, %d steps, eta %g%s", recipe->name, recipe->steps, recipe->eta[0],
               same ? "" : " and others");
    putchar('\n');
}

static void cli_annotate_text(const cli_annotation *work, int count, int64_t samples) {
    if (work->bad)
        printf("%d row%s left out; ", work->bad, work->bad == 1 ? "" : "s");
    printf("%d samples added, %lld samples with %d attributes in %s\n", work->added,
           (long long)samples, count, work->options->common.output);
}

static hs_status cli_annotate_report(cli_session *session, cli_annotation *work, hs_error *err) {
    hs_index_attribute *list = NULL;
    hs_index_recipe recipe = {0};
    int count;
    int64_t samples;
    bool any;
    hs_status status = hs_index_summary(work->index, &list, &count, err);
    if (status == HS_OK)
        status = hs_index_samples(work->index, &samples, err);
    if (status == HS_OK)
        status = hs_index_recipe_get(work->index, &recipe, &any, err);
    if (status != HS_OK || !work->options->common.json) {
        if (status == HS_OK && work->options->list)
            cli_annotate_list(work, list, count, samples, &recipe);
        else if (status == HS_OK)
            cli_annotate_text(work, count, samples);
        free(list);
        return status;
    }
    json_t *report = cli_report_new(session), *attributes = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(attributes,
                              json_pack("{s:s, s:s, s:s, s:I, s:f, s:f, s:f}", "name", list[i].name,
                                        "kind", list[i].kind, "source", list[i].source, "samples",
                                        (json_int_t)list[i].samples, "mean", list[i].mean, "min",
                                        list[i].min, "max", list[i].max));
    if (any) {
        json_object_set_new(report, "fingerprint", json_string(recipe.model));
        json_object_set_new(report, "steps", json_integer(recipe.steps));
        json_t *eta = json_array();
        for (int i = 0; i < recipe.eta_count; i++)
            json_array_append_new(eta, json_real(recipe.eta[i]));
        json_object_set_new(report, "eta", eta);
        json_object_set_new(report, "h_space", json_string(recipe.h_space));
    }
    if (work->classifier) {
        json_object_set_new(report, "classifier", json_string(work->info.name));
        json_object_set_new(report, "scores", json_string(cli_score_names[work->info.kind]));
    }
    json_object_set_new(report, "samples", json_integer(samples));
    json_object_set_new(report, "added", json_integer(work->added));
    json_object_set_new(report, "left_out", json_integer(work->bad));
    json_object_set_new(report, "attributes", attributes);
    json_object_set_new(report, "output", json_string(work->options->common.output));
    cli_report_print(report);
    free(list);
    return HS_OK;
}

int cli_annotate(int argc, char **argv) {
    cli_annotate_options options = {.n = 1000};
    cli_parse_command(&annotate_argp, argc, argv, &options);
    if (!options.common.output)
        cli_usage_error("annotate: -o says where the index is (x.sqlite)");
    if (options.labels && (options.common.classifier || options.list))
        cli_usage_error("--labels goes with neither --classifier nor --list");
    cli_session session;
    cli_session_begin(&session, &options.common);
    cli_annotation work = {.options = &options};
    hs_error err;
    hs_status status = cli_annotate_work(&session, &work, &err);
    cli_progress_end(&session.progress);
    if (status == HS_OK)
        status = cli_annotate_report(&session, &work, &err);
    int result = cli_finish(status, &err);
    hs_labels_free(work.labels);
    free(work.seeds);
    free(work.values);
    free(work.scores);
    free(work.x);
    hs_classifier_free(work.classifier);
    hs_index_free(work.index);
    cli_session_end(&session);
    cli_options_free(&options.common);
    return result;
}
