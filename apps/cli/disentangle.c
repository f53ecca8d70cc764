/* hspace disentangle: project the effects of other directions out of one. */
#include "cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char doc[] =
    "Project other directions out of one (eq. 12 of the paper), so that an edit along it no longer "
    "does what they do: over all steps together, or step by step. DIRECTION and OTHER are "
    "FILE[#NAME]; a file without a name stands for all of its directions. Says how much of the "
    "norm is left. Needs no model.";

typedef struct cli_disentangle_options {
    cli_options common; /* of which: output, json, quiet */
    const char *direction;
    char **from; /* [from_count], argv's */
    int from_count;
    bool per_step;
} cli_disentangle_options;

enum { KEY_FROM = 0x200, KEY_PER_STEP, KEY_JSON, KEY_QUIET };

static const struct argp_option disentangle_options[] = {
    {"from", KEY_FROM, "OTHER", 0, "A direction whose effect must go; may be repeated", 1},
    {"per-step", KEY_PER_STEP, NULL, 0, "At each step on its own, not over all steps together", 1},
    {"output", 'o', "PATH", 0, "Where the direction file goes", 10},
    {"json", KEY_JSON, NULL, 0, "One JSON object with the result's figures on stdout", 12},
    {"quiet", KEY_QUIET, NULL, 0, "No notices", 12},
    {0}};

static error_t cli_disentangle_parse(int key, char *arg, struct argp_state *state) {
    cli_disentangle_options *options = state->input;
    switch (key) {
    case KEY_FROM: options->from[options->from_count++] = arg; return 0;
    case KEY_PER_STEP: options->per_step = true; return 0;
    case 'o': options->common.output = arg; return 0;
    case KEY_JSON: options->common.json = true; return 0;
    case KEY_QUIET: options->common.quiet = true; return 0;
    case ARGP_KEY_ARG:
        if (options->direction)
            cli_usage_error("unexpected argument '%.100s'; --from names what is to go", arg);
        options->direction = arg;
        return 0;
    default: return cli_default_key(key, arg, state);
    }
}

static const struct argp_child disentangle_children[] = {{0}};
static const struct argp disentangle_argp = {.options = disentangle_options,
                                             .parser = cli_disentangle_parse,
                                             .args_doc = "DIRECTION",
                                             .doc = doc,
                                             .children = disentangle_children};

/* What is open: the direction and those to remove, one handle a --from. */
typedef struct cli_disentangling {
    hs_directions *of, *clean;
    hs_directions **from; /* [from_count] */
    hs_direction_ref *refs;
    int ref_count;
    double *left; /* [K of `clean`] */
} cli_disentangling;

/* FILE[#NAME]: the handle, and which direction of it, or -1 for all. */
static hs_status cli_open_ref(const char *text, hs_directions **out, int *index, hs_error *err) {
    char why[CLI_WHY];
    cli_direction_spec spec;
    if (!cli_parse_direction(text, &spec, why))
        return cli_fail(err, HS_ERROR_ARGUMENT, "%.200s: %s", text, why);
    hs_status status = HS_OK;
    if (spec.sweep || spec.strengths[0] != 1)
        status = cli_fail(err, HS_ERROR_ARGUMENT, "%.200s: a strength has no meaning here", text);
    if (status == HS_OK)
        status = hs_directions_load(spec.file, out, err);
    *index = -1;
    if (status == HS_OK && spec.name) {
        *index = hs_directions_find(*out, spec.name);
        if (*index < 0)
            status = cli_fail(err, HS_ERROR_ARGUMENT, "%s: there is no direction '%.60s' in it",
                              spec.file, spec.name);
    }
    cli_direction_spec_free(&spec);
    return status;
}

static hs_status cli_open_from(const cli_disentangle_options *options, cli_disentangling *work,
                               hs_error *err) {
    size_t room = 0;
    for (int i = 0; i < options->from_count; i++) {
        int index;
        hs_status status = cli_open_ref(options->from[i], &work->from[i], &index, err);
        if (status != HS_OK)
            return status;
        int count = hs_directions_count(work->from[i]);
        int first = index < 0 ? 0 : index, last = index < 0 ? count - 1 : index;
        room += (size_t)(last - first + 1);
        hs_direction_ref *longer = realloc(work->refs, room * sizeof *longer);
        if (!longer)
            return cli_fail_memory(err);
        work->refs = longer;
        for (int k = first; k <= last; k++)
            work->refs[work->ref_count++] =
                (hs_direction_ref){.directions = work->from[i], .index = k};
    }
    return HS_OK;
}

static hs_status cli_disentangle_work(const cli_disentangle_options *options,
                                      cli_disentangling *work, const hs_monitor *monitor,
                                      hs_error *err) {
    int index;
    work->from = calloc((size_t)options->from_count, sizeof *work->from);
    if (!work->from)
        return cli_fail_memory(err);
    hs_status status = cli_check_writable(options->common.output, CLI_OUTPUT_NONE, err);
    if (status == HS_OK)
        status = cli_open_ref(options->direction, &work->of, &index, err);
    if (status == HS_OK && index >= 0) {
        hs_directions *one = NULL;
        status = hs_directions_pick(work->of, index, &one, err);
        hs_directions_free(work->of);
        work->of = one;
    }
    if (status == HS_OK)
        status = cli_open_from(options, work, err);
    if (status != HS_OK)
        return status;
    work->left = calloc((size_t)hs_directions_count(work->of), sizeof *work->left);
    if (!work->left)
        return cli_fail_memory(err);
    status = hs_directions_disentangle(work->of, work->refs, work->ref_count, options->per_step,
                                       monitor, &work->clean, work->left, err);
    return status == HS_OK ? hs_directions_save(work->clean, options->common.output, err) : status;
}

static void cli_disentangle_report(const cli_session *session,
                                   const cli_disentangle_options *options,
                                   const cli_disentangling *work) {
    int count = hs_directions_count(work->clean);
    if (!options->common.json) {
        for (int k = 0; k < count; k++)
            printf("%s: %.1f%% of its norm is left\n", hs_directions_name(work->clean, k),
                   100 * work->left[k]);
        printf("%d direction%s, %d removed%s: %s\n", count, count == 1 ? "" : "s", work->ref_count,
               options->per_step ? " step by step" : "", options->common.output);
        return;
    }
    json_t *report = cli_report_new(session), *names = json_array(), *left = json_array(),
           *from = json_array();
    for (int k = 0; k < count; k++) {
        json_array_append_new(names, json_string(hs_directions_name(work->clean, k)));
        json_array_append_new(left, json_real(work->left[k]));
    }
    for (int i = 0; i < work->ref_count; i++)
        json_array_append_new(
            from, json_string(hs_directions_name(work->refs[i].directions, work->refs[i].index)));
    json_object_set_new(report, "directions", names);
    json_object_set_new(report, "from", from);
    json_object_set_new(report, "per_step", json_boolean(options->per_step));
    json_object_set_new(report, "norm_left", left);
    json_object_set_new(report, "output", json_string(options->common.output));
    cli_report_print(report);
}

int cli_disentangle(int argc, char **argv) {
    cli_disentangle_options options = {.from = calloc((size_t)argc, sizeof(char *))};
    if (!options.from)
        cli_usage_error("out of memory");
    cli_parse_command(&disentangle_argp, argc, argv, &options);
    if (!options.direction)
        cli_usage_error("disentangle: name the direction file to clean");
    if (!options.from_count)
        cli_usage_error("disentangle: --from FILE says what is to go");
    if (!options.common.output || !*options.common.output)
        cli_usage_error("disentangle: -o says where the direction file goes (x.safetensors)");
    cli_session session;
    cli_session_begin(&session, &options.common);
    cli_disentangling work = {0};
    hs_error err;
    session.load_seconds = cli_seconds_since_start();
    hs_status status = cli_disentangle_work(&options, &work, &session.monitor, &err);
    if (status == HS_OK)
        cli_disentangle_report(&session, &options, &work);
    int result = cli_finish(status, &err);
    free(work.left);
    free(work.refs);
    hs_directions_free(work.clean);
    hs_directions_free(work.of);
    for (int i = 0; work.from && i < options.from_count; i++)
        hs_directions_free(work.from[i]);
    free(work.from);
    free(options.from);
    cli_session_end(&session);
    cli_options_free(&options.common);
    return result;
}
