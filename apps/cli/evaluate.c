/* hspace evaluate: the effect matrix of directions. */
#include "evaluate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char doc[] =
    "Measure what directions change, and what else: samples are made with and without each edit, "
    "and a classifier scores them (the protocol of the paper's Table I). For each direction and "
    "attribute the mean change, towards the attribute where it is the direction's target, in "
    "absolute value elsewhere, and its standard deviation over sets of seeds; as a last row random "
    "directions of equal norm. --before, --after and --group set the -d behind them apart, side by "
    "side. A direction's target is the attribute that it is named by, or of --targets. Use a "
    "classifier other than the one that the directions were found with. Says its time and memory "
    "before it starts; a run that was stopped goes on when the same command is given again.";

#define CLI_MAX_SAMPLES 10000000

enum {
    KEY_SETS = 0x200,
    KEY_FIRST,
    KEY_ATTRIBUTES,
    KEY_TARGETS,
    KEY_GROUP,
    KEY_BEFORE,
    KEY_AFTER,
    KEY_CALIBRATE,
    KEY_CALIBRATE_N,
    KEY_MOST,
    KEY_NO_RANDOM,
    KEY_RANDOM_SEED,
    KEY_FIGURE,
    KEY_RESUME
};

static const struct argp_option evaluate_options[] = {
    {"samples", 'n', "N", 0, "Samples a set; default 100", 1},
    {"sets", KEY_SETS, "S", 0, "Sets of seeds; default 10", 1},
    {"seed", KEY_FIRST, "FIRST", 0,
     "Seeds FIRST to FIRST + N S - 1; default 1000000, away from those that directions are made of",
     1},
    {"attributes", KEY_ATTRIBUTES, "NAMES", 0,
     "The columns; default: all that the classifier scores", 2},
    {"targets", KEY_TARGETS, "NAMES", 0,
     "What each -d is meant to change, in order; - for nothing in particular", 2},
    {"group", KEY_GROUP, "LABEL", 0, "The -d that follow are set apart under this label", 4},
    {"before", KEY_BEFORE, NULL, 0, "The same as --group before", 4},
    {"after", KEY_AFTER, NULL, 0, "The same as --group after", 4},
    {"calibrate", KEY_CALIBRATE, "EFFECT", 0,
     "Take each direction at the least strength whose mean effect on its target is EFFECT, found "
     "on samples of their own",
     5},
    {"calibrate-n", KEY_CALIBRATE_N, "N", 0, "Samples for --calibrate; default 50", 5},
    {"most", KEY_MOST, "STRENGTH", 0, "Strength up to which --calibrate tries; default 8", 5},
    {"no-random", KEY_NO_RANDOM, NULL, 0, "Leave the random directions out", 5},
    {"random-seed", KEY_RANDOM_SEED, "SEED", 0, "Of the random directions; default 0", 5},
    {"figure", KEY_FIGURE, "PICTURE", 0, "Also draw the matrix", 9},
    {"resume", KEY_RESUME, "FILE", 0, "Where the way so far is kept; default OUTPUT.resume", 9},
    {0}};

/* -d that come before any --group make a group without a label. */
static void cli_evaluate_group(cli_evaluate_options *options, const char *label) {
    int first = options->common.direction_count;
    if (!options->group_count && first)
        options->groups[options->group_count++] = strdup("directions");
    if (options->group_count == CLI_MAX_GROUPS)
        cli_usage_error("--group: more than %d", CLI_MAX_GROUPS);
    if (!*label)
        cli_usage_error("--group: the label is empty");
    options->group_first[options->group_count] = first;
    if (!(options->groups[options->group_count++] = strdup(label)))
        cli_usage_error("--group: out of memory");
}

static int64_t cli_evaluate_seed(const char *option, const char *arg) {
    char why[CLI_WHY];
    int64_t seed;
    if (!cli_parse_int(arg, 0, INT64_MAX - 2 * CLI_MAX_SAMPLES, &seed, why))
        cli_usage_error("%s: %s", option, why);
    return seed;
}

static error_t cli_evaluate_parse(int key, char *arg, struct argp_state *state) {
    cli_evaluate_options *options = state->input;
    hs_effect_options *effect = &options->effect;
    switch (key) {
    case 'n': effect->n = cli_option_int("-n", arg, 1, CLI_MAX_SAMPLES); return 0;
    case KEY_SETS: effect->sets = cli_option_int("--sets", arg, 1, 100000); return 0;
    case KEY_FIRST: effect->first_seed = cli_evaluate_seed("--seed", arg); return 0;
    case KEY_ATTRIBUTES:
        cli_split_names("--attributes", arg, &options->attributes, &effect->attribute_count);
        return 0;
    case KEY_TARGETS:
        cli_split_names("--targets", arg, &options->targets, &options->target_count);
        return 0;
    case KEY_GROUP: cli_evaluate_group(options, arg); return 0;
    case KEY_BEFORE: cli_evaluate_group(options, "before"); return 0;
    case KEY_AFTER: cli_evaluate_group(options, "after"); return 0;
    case KEY_CALIBRATE:
        effect->calibrate = cli_option_number("--calibrate", arg, 1e-6, 1e6);
        return 0;
    case KEY_CALIBRATE_N:
        effect->calibrate_n = cli_option_int("--calibrate-n", arg, 1, CLI_MAX_SAMPLES);
        return 0;
    case KEY_MOST:
        effect->most_strength = cli_option_number("--most", arg, 1e-6, CLI_MAX_STRENGTH);
        return 0;
    case KEY_NO_RANDOM: effect->random = false; return 0;
    case KEY_RANDOM_SEED: effect->random_seed = cli_evaluate_seed("--random-seed", arg); return 0;
    case KEY_FIGURE: options->figure = arg; return 0;
    case KEY_RESUME: options->resume = arg; return 0;
    default: return cli_default_key(key, arg, state);
    }
}

static const struct argp_child evaluate_children[] = {{&cli_edit_argp, 0, NULL, 0},
                                                      {&cli_sampling_argp, 0, NULL, 0},
                                                      {&cli_classifier_argp, 0, NULL, 0},
                                                      {&cli_common_argp, 0, NULL, 0},
                                                      {0}};
static const struct argp evaluate_argp = {.options = evaluate_options,
                                          .parser = cli_evaluate_parse,
                                          .doc = doc,
                                          .children = evaluate_children};

/* Mistakes that the command line alone shows. */
static void cli_evaluate_check(const cli_evaluate_options *options) {
    const cli_options *common = &options->common;
    if (!common->direction_count)
        cli_usage_error("evaluate: -d FILE says which directions to measure");
    if (!common->output)
        cli_usage_error("evaluate: -o says where the matrix goes (x.csv, x.json, x.png)");
    if (!cli_evaluate_can_write(common->output))
        cli_usage_error("-o %.200s: neither a table (.csv, .json) nor a picture (.png, .jpg, "
                        ".webp, .svg)",
                        common->output);
    if (options->figure && !cli_is_picture(options->figure))
        cli_usage_error("--figure %.200s: is no picture (.png, .jpg, .webp, .svg)",
                        options->figure);
    if (options->effect.n > CLI_MAX_SAMPLES / options->effect.sets)
        cli_usage_error("--sets: %d sets of %d samples are more than %d", options->effect.sets,
                        options->effect.n, CLI_MAX_SAMPLES);
    for (int i = 0; i < common->direction_count; i++) {
        const cli_direction_spec *spec = &common->directions[i];
        if (spec->sweep)
            cli_usage_error("-d %.200s: a sweep has no meaning here", spec->file);
        if (options->effect.calibrate > 0 && spec->strengths[0] != 1)
            cli_usage_error("-d %.200s: a strength and --calibrate exclude each other", spec->file);
    }
    for (int g = 0; g < options->group_count; g++) {
        int end =
            g + 1 < options->group_count ? options->group_first[g + 1] : common->direction_count;
        if (end == options->group_first[g])
            cli_usage_error("--group %.60s: no -d follows it", options->groups[g]);
    }
}

/* ------------------------------------------------------------------- work -- */

static hs_status cli_evaluate_writable(const cli_evaluation *work, hs_error *err) {
    const cli_evaluate_options *options = work->options;
    const cli_options *common = &options->common;
    cli_path paths[] = {{"-o", common->output, true},
                        {"--figure", options->figure, true},
                        {"--resume", options->effect.resume, true},
                        {"-d", NULL, false}};
    hs_status status = HS_OK;
    cli_check_distinct(paths, 3);
    for (int i = 0; i < common->direction_count; i++) {
        paths[3].path = common->directions[i].file;
        cli_check_distinct(paths, 4);
    }
    for (int i = 0; i < 3 && status == HS_OK; i++)
        if (paths[i].path)
            status = cli_check_writable(paths[i].path, CLI_OUTPUT_NONE, err);
    return status;
}

/* Say what it will take (on stderr, unless --quiet). */
static hs_status cli_evaluate_announce(cli_session *session, cli_evaluation *work, hs_error *err) {
    hs_effect_options *effect = &work->options->effect;
    double seconds = 0;
    if (session->options->max_mem) {
        effect->max_mem = session->options->max_mem - session->planned_bytes;
        if (effect->max_mem <= 0)
            return cli_fail(err, HS_ERROR_MEMORY,
                            "--max-mem: the model alone takes %lld MiB, nothing is left",
                            (long long)(session->planned_bytes >> 20));
    }
    hs_status status = hs_effect_cost(session->sampler, work->classifier, effect, &work->cost, err);
    if (status == HS_OK)
        status = cli_measure_pass(session, effect->n * effect->sets, &seconds, err);
    if (status != HS_OK || session->options->quiet)
        return status;
    char total[32], each[32], bytes[32], model[32];
    cli_format_seconds(seconds * (double)work->cost.passes, total);
    cli_format_seconds(seconds, each);
    cli_format_bytes((double)work->cost.bytes, bytes);
    cli_format_bytes((double)session->planned_bytes, model);
    cli_message("%d direction%s on %d sets of %d samples at %d steps: %s%lld passes of %s, about "
                "%s",
                effect->row_count, effect->row_count == 1 ? "" : "s", effect->sets, effect->n,
                hs_sampler_steps(session->sampler), effect->calibrate > 0 ? "at most " : "",
                (long long)work->cost.passes, each, total);
    cli_message("memory: %s for the model, %s for the measurement (%s)", model, bytes,
                work->cost.formula);
    return HS_OK;
}

static hs_status cli_evaluate_work(cli_session *session, cli_evaluation *work, hs_error *err) {
    cli_evaluate_options *options = work->options;
    hs_effect_options *effect = &options->effect;
    effect->resume = options->resume ? options->resume : work->resume;
    hs_status status = cli_evaluate_writable(work, err);
    if (status == HS_OK)
        status = cli_open_sampler(session, 1, effect->n * effect->sets, err);
    if (status == HS_OK)
        status = cli_open_classifier(session, &work->classifier, err);
    if (status == HS_OK)
        status = cli_open_directions(session, err);
    if (status == HS_OK)
        status = cli_evaluate_rows(session, work, err);
    if (status == HS_OK)
        status = cli_evaluate_announce(session, work, err);
    if (status == HS_OK)
        status = hs_effect_measure(session->sampler, work->classifier, effect, &session->monitor,
                                   &work->effects, err);
    cli_progress_end(&session->progress);
    if (status == HS_ERROR_CANCELLED && access(effect->resume, R_OK) == 0)
        return cli_fail(err, status, "stopped; the same command goes on from %s", effect->resume);
    if (status != HS_OK)
        return status;
    hs_effects_view_get(work->effects, &work->view);
    status = cli_evaluate_save(session, work, err);
    if (status == HS_OK)
        unlink(effect->resume); /* its work is in the output now; it may not exist */
    return status;
}

int cli_evaluate(int argc, char **argv) {
    cli_evaluate_options options = {.effect = hs_effect_options_default()};
    hs_error err;
    cli_parse_command(&evaluate_argp, argc, argv, &options);
    cli_evaluate_check(&options);
    cli_evaluation work = {.options = &options};
    if (asprintf(&work.resume, "%s.resume", options.common.output) < 0)
        cli_usage_error("out of memory");
    hs_status status = cli_evaluate_expand(&options, &err);
    cli_session session;
    cli_session_begin(&session, &options.common);
    if (status == HS_OK)
        status = cli_evaluate_work(&session, &work, &err);
    if (status == HS_OK)
        cli_evaluate_print(&session, &work);
    int result = cli_finish(status, &err);
    hs_effects_free(work.effects);
    hs_classifier_free(work.classifier);
    cli_free_strings(work.row_targets, options.common.direction_count);
    free(work.rows);
    cli_session_end(&session);
    free(work.resume);
    for (int g = 0; g < options.group_count; g++)
        free(options.groups[g]);
    cli_free_strings(options.attributes, options.effect.attribute_count);
    cli_free_strings(options.targets, options.target_count);
    cli_options_free(&options.common);
    return result;
}
