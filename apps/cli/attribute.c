/* hspace attribute: a direction from samples or images with labels. */
#include "attribute.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char doc[] =
    "Find the direction of an attribute: the mean difference of h between the samples that have it "
    "most and least. The samples are those of an index (--index, see annotate), made again from "
    "their seeds, or labelled images (--images, --labels), inverted by DDIM. With --given, a "
    "regression on several attributes at once, which leaves those others alone. Strength 1 is one "
    "full mean difference.";

enum {
    KEY_INDEX = 0x200,
    KEY_SOURCE,
    KEY_IMAGES,
    KEY_LABELS,
    KEY_PAIRS,
    KEY_CROP,
    KEY_ATTRIBUTE,
    KEY_TOP,
    KEY_THRESHOLD,
    KEY_BALANCE,
    KEY_GIVEN,
    KEY_CURVE,
    KEY_HELD_OUT,
    KEY_SPACE
};

static const struct argp_option attribute_options[] = {
    {"attribute", KEY_ATTRIBUTE, "NAMES", 0,
     "The attribute, a column of the labels; several, with commas, become one file", 1},
    {"index", KEY_INDEX, "FILE", 0, "Samples and scores, from annotate", 1},
    {"source", KEY_SOURCE, "NAME", 0, "Whose scores, where several sources have the attribute", 1},
    {"images", KEY_IMAGES, "DIR", 0, "The folder of labelled images", 1},
    {"labels", KEY_LABELS, "FILE", 0, "Their labels: a CSV, or a list_attr_celeba.txt", 1},
    {"pairs", KEY_PAIRS, NULL, 0,
     "The labels are two columns of files: with the attribute, and without it", 1},
    {"crop", KEY_CROP, "X,Y,W,H", 0, "The part of each image, in pixels of the upright one", 1},
    {"top", KEY_TOP, "M", 0,
     "The M highest scores against the M lowest; default 100. Of labelled images all are taken, "
     "split at the middle of the scores",
     2},
    {"threshold", KEY_THRESHOLD, "LOW,HIGH", 0,
     "Scores of LOW or less against scores of HIGH or more", 2},
    {"balance", KEY_BALANCE, "NAMES", 0, "Attributes of which both sides shall have equally many",
     2},
    {"given", KEY_GIVEN, "NAMES|all|none", 0,
     "Joint regression on these attributes too; may be repeated: a direction for each, none being "
     "the plain mean difference",
     2},
    {"space", KEY_SPACE, "h|noise", 0,
     "What the direction is of: h (default), or x_T and, where eta is above 0, z", 2},
    {"held-out", KEY_HELD_OUT, "SHARE", 0,
     "Share of the samples that the direction is tested on; default 0.2", 3},
    {"curve", KEY_CURVE, "LIST", 0,
     "Compare the directions of so many samples a side: their cosine to the last and, by "
     "--classifier, their effect",
     3},
    {0}};

/* ---------------------------------------------------------------- options -- */

static void cli_parse_threshold(cli_attribute_options *options, const char *arg) {
    char why[CLI_WHY];
    double *values = NULL;
    int count = 0;
    if (!cli_parse_numbers(arg, -1e30, 1e30, 2, &values, &count, why))
        cli_usage_error("--threshold: %s", why);
    if (count != 2 || !(values[0] < values[1]))
        cli_usage_error("--threshold: '%.60s' is not LOW,HIGH such as 0.2,0.8", arg);
    options->wanted.by_threshold = true;
    options->wanted.low = values[0];
    options->wanted.high = values[1];
    free(values);
}

static void cli_parse_curve(cli_attribute_options *options, const char *arg) {
    char why[CLI_WHY];
    int64_t *values = NULL;
    int count = 0;
    if (!cli_parse_ints(arg, 1, 1000000, HS_CURVE_MAX, &values, &count, why))
        cli_usage_error("--curve: %s", why);
    for (int i = 0; i < count; i++)
        options->curve[i] = (int)values[i];
    options->wanted.curve = options->curve;
    options->wanted.curve_count = count;
    free(values);
}

static error_t cli_attribute_parse(int key, char *arg, struct argp_state *state) {
    cli_attribute_options *options = state->input;
    hs_attribute_options *wanted = &options->wanted;
    switch (key) {
    case KEY_ATTRIBUTE:
        cli_split_names("--attribute", arg, &options->attributes, &options->attribute_count);
        return 0;
    case KEY_INDEX: options->index = arg; return 0;
    case KEY_SOURCE: options->source = arg; return 0;
    case KEY_IMAGES: options->images = arg; return 0;
    case KEY_LABELS: options->labels = arg; return 0;
    case KEY_PAIRS: options->pairs = true; return 0;
    case KEY_CROP:
        cli_option_crop(arg, options->crop);
        options->crops = true;
        return 0;
    case KEY_TOP: wanted->top = cli_option_int("--top", arg, 1, 1000000); return 0;
    case KEY_THRESHOLD: cli_parse_threshold(options, arg); return 0;
    case KEY_BALANCE:
        cli_split_names("--balance", arg, &options->balance, &wanted->balance_count);
        wanted->balance = (const char *const *)options->balance;
        return 0;
    case KEY_GIVEN:
        if (options->given_count == CLI_MAX_GIVEN)
            cli_usage_error("--given: more than %d", CLI_MAX_GIVEN);
        options->given[options->given_count++] = arg;
        return 0;
    case KEY_CURVE: cli_parse_curve(options, arg); return 0;
    case KEY_SPACE:
        if (strcmp(arg, "h") != 0 && strcmp(arg, "noise") != 0)
            cli_usage_error("--space: '%.60s' is neither h nor noise", arg);
        wanted->space = *arg == 'h' ? HS_SPACE_H : HS_SPACE_NOISE;
        return 0;
    case KEY_HELD_OUT: wanted->held_out = cli_option_number("--held-out", arg, 0, 0.5); return 0;
    default: return cli_default_key(key, arg, state);
    }
}

static const struct argp_child attribute_children[] = {{&cli_sampling_argp, 0, NULL, 0},
                                                       {&cli_classifier_argp, 0, NULL, 0},
                                                       {&cli_common_argp, 0, NULL, 0},
                                                       {0}};
static const struct argp attribute_argp = {.options = attribute_options,
                                           .parser = cli_attribute_parse,
                                           .doc = doc,
                                           .children = attribute_children};

/* Mistakes that the command line alone shows. */
static void cli_attribute_check(const cli_attribute_options *options) {
    const hs_attribute_options *wanted = &options->wanted;
    const cli_options *common = &options->common;
    if (!options->attribute_count)
        cli_usage_error("attribute: --attribute NAME says which one");
    if (!common->output)
        cli_usage_error("attribute: -o says where the direction file goes (x.safetensors)");
    if (!options->index == !options->images)
        cli_usage_error("attribute: either --index FILE, or --images DIR with --labels FILE");
    if (!options->images != !options->labels)
        cli_usage_error("--images and --labels belong together");
    if (options->crops && !options->images)
        cli_usage_error("--crop: goes with --images");
    if (options->pairs && (!options->images || wanted->balance_count || options->given_count ||
                           options->attribute_count > 1 || wanted->top || wanted->by_threshold))
        cli_usage_error("--pairs: goes with --images and one attribute alone; pairs are two sides "
                        "already");
    if (wanted->top && wanted->by_threshold)
        cli_usage_error("--top and --threshold exclude each other");
    if (wanted->curve_count && (options->given_count || options->attribute_count > 1 ||
                                wanted->balance_count || wanted->by_threshold))
        cli_usage_error("--curve: goes with one attribute and --top alone");
    if (common->classifier && !wanted->curve_count)
        cli_usage_error("--classifier: measures the effect of a --curve");
    for (int i = 0; options->images && i < common->eta_count; i++)
        if (common->eta[i] > 0)
            cli_usage_error("--eta: images are inverted by DDIM, which is of eta 0");
    if (options->images && common->clip)
        cli_usage_error("--clip: clipping cannot be inverted");
}

/* ----------------------------------------------------------------- labels -- */

/* How the samples of the index were made, where the command line does not say. */
static hs_status cli_take_recipe(cli_attribution *work, hs_error *err) {
    cli_options *common = &work->options->common;
    hs_index_recipe recipe;
    bool any;
    hs_status status = hs_index_open(work->options->index, false, &work->index, err);
    if (status == HS_OK)
        status = hs_index_recipe_get(work->index, &recipe, &any, err);
    if (status != HS_OK)
        return status;
    if (!any)
        return cli_fail(err, HS_ERROR_ARGUMENT, "%s: there are no samples in it",
                        work->options->index);
    if (!common->steps)
        common->steps = recipe.steps;
    if (!common->eta_count && common->steps == recipe.steps) {
        common->eta = malloc((size_t)recipe.eta_count * sizeof *common->eta);
        if (!common->eta)
            return cli_fail_memory(err);
        memcpy(common->eta, recipe.eta, (size_t)recipe.eta_count * sizeof *common->eta);
        common->eta_count = recipe.eta_count;
    }
    if (common->z_seed == HS_Z_CONTINUE)
        common->z_seed = recipe.z_seed;
    common->clip = common->clip || recipe.clip;
    return HS_OK;
}

static hs_status cli_index_labels(cli_attribution *work, hs_error *err) {
    hs_index_attribute *list = NULL;
    int count = 0, n = 0;
    hs_status status = hs_index_summary(work->index, &list, &count, err);
    const char **names = calloc((size_t)count + 1, sizeof *names);
    if (status == HS_OK && !names)
        status = cli_fail_memory(err);
    for (int i = 0; status == HS_OK && i < count; i++)
        if (!work->options->source || !strcmp(list[i].source, work->options->source))
            names[n++] = list[i].name;
    if (status == HS_OK)
        status = cli_attribute_plan(work, names, n, err);
    if (status == HS_OK)
        status = hs_index_scores(work->index, (const char *const *)work->columns,
                                 work->column_count, work->options->source, &work->labels, err);
    free(names);
    free(list);
    return status;
}

/* Does the file have the columns that are asked for? */
static hs_status cli_check_columns(const cli_attribution *work, const hs_labels_view *view,
                                   hs_error *err) {
    for (int i = 0; i < work->column_count; i++) {
        char names[400] = "";
        size_t used = 0;
        if (hs_labels_find(work->labels, work->columns[i]) >= 0)
            continue;
        for (int a = 0; a < view->attributes && used < 300; a++)
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%.60s", a ? ", " : "",
                                     view->names[a]);
        return cli_fail(err, HS_ERROR_ARGUMENT, "%s: there is no column '%.60s' in it, but %s",
                        work->options->labels, work->columns[i], names);
    }
    return HS_OK;
}

static hs_status cli_image_labels(cli_session *session, cli_attribution *work, hs_error *err) {
    cli_attribute_options *options = work->options;
    hs_labels *read = NULL;
    hs_status status =
        hs_labels_load(options->labels, options->pairs, &session->monitor, &read, err);
    if (status == HS_OK && options->pairs) {
        status = hs_labels_from_pairs(read, options->attributes[0], &work->labels, err);
        hs_labels_free(read);
    } else {
        work->labels = read;
    }
    if (status != HS_OK)
        return status;
    work->images = (cli_labelled_images){.session = session,
                                         .folder = options->images,
                                         .noise = options->wanted.space == HS_SPACE_NOISE,
                                         .crop = options->crops ? options->crop : NULL};
    hs_labels_view view;
    hs_labels_view_get(work->labels, &view);
    status = cli_attribute_plan(work, view.names, view.attributes, err);
    if (status == HS_OK) /* before any image is read */
        status = cli_check_columns(work, &view, err);
    if (status == HS_OK)
        status = cli_check_images(&work->images, work->labels, err);
    hs_labels_view_get(work->labels, &view);
    work->bad = view.bad;
    return status == HS_OK ? cli_split_images(work, err) : status;
}

/* ------------------------------------------------------------------- work -- */

static hs_status cli_attribute_work(cli_session *session, cli_attribution *work, hs_error *err) {
    cli_attribute_options *options = work->options;
    bool images = options->images;
    hs_status status = cli_check_writable(options->common.output, CLI_OUTPUT_NONE, err);
    if (status == HS_OK && !images)
        status = cli_take_recipe(work, err);
    if (status == HS_OK)
        status = cli_open_sampler(session, images ? 0 : 1, 100, err);
    if (status == HS_OK && !images)
        status = cli_bind_index(session, work->index, err);
    if (status == HS_OK)
        status = images ? cli_image_labels(session, work, err) : cli_index_labels(work, err);
    bool judged = options->common.classifier != NULL;
    if (status == HS_OK && judged)
        status = cli_open_curve_judge(session, work, err);
    if (status == HS_OK)
        status =
            hs_attribute_many(session->sampler, work->labels, work->each, work->each_count,
                              images ? cli_source_images : NULL, &work->images, &session->monitor,
                              &work->directions, work->reports, judged ? &work->curve : NULL, err);
    if (status == HS_OK && judged)
        status = cli_measure_curve(session, work, err);
    cli_progress_end(&session->progress);
    if (status == HS_ERROR_CANCELLED)
        return cli_fail(err, status, "stopped; nothing was written");
    return status == HS_OK ? hs_directions_save(work->directions, options->common.output, err)
                           : status;
}

static void cli_attribute_text(const cli_attribution *work) {
    char taken[32];
    int samples = 0;
    cli_format_seconds(cli_seconds_since_start(), taken);
    for (int k = 0; k < work->each_count; k++) {
        const hs_attribute_report *r = &work->reports[k];
        samples = r->samples > samples ? r->samples : samples;
        printf("%s: %d samples against %d, mean score %.3f against %.3f\n",
               hs_directions_name(work->directions, k), r->high, r->low, r->high_score,
               r->low_score);
        if (isfinite(r->auc))
            printf("held-out AUC %.3f (%d and %d samples)\n", r->auc, r->held_high, r->held_low);
        else
            printf("held-out AUC: too few samples to hold any out\n");
        for (int i = 0; i < r->curve_count; i++) {
            printf("%6d a side: cosine %.4f to the last", r->curve[i], r->cosine[i]);
            if (work->effects)
                printf(", effect %.3f +- %.3f", work->effect.change[i],
                       work->effect.change_deviation[i]);
            putchar('\n');
        }
    }
    if (work->bad)
        printf("%d row%s left out\n", work->bad, work->bad == 1 ? "" : "s");
    printf("%d direction%s from %s%d samples in %s: %s\n", work->each_count,
           work->each_count == 1 ? "" : "s", work->each_count == 1 ? "" : "up to ", samples, taken,
           work->options->common.output);
}

/* The figures of direction k into `json`. */
static void cli_attribute_figures(const cli_attribution *work, int k, json_t *json) {
    const hs_attribute_report *r = &work->reports[k];
    const hs_attribute_options *o = &work->each[k];
    json_t *curve = json_array(), *given = json_array(), *effects = json_array();
    for (int i = 0; i < r->curve_count; i++)
        json_array_append_new(curve, json_pack("[i,f]", r->curve[i], r->cosine[i]));
    for (int i = 0; i < o->given_count; i++)
        json_array_append_new(given, json_string(o->given[i]));
    json_object_set_new(json, "direction", json_string(hs_directions_name(work->directions, k)));
    json_object_set_new(json, "attribute", json_string(o->attribute));
    json_object_set_new(json, "given", given);
    json_object_set_new(json, "high", json_integer(r->high));
    json_object_set_new(json, "low", json_integer(r->low));
    json_object_set_new(json, "samples", json_integer(r->samples));
    json_object_set_new(json, "high_score", json_real(r->high_score));
    json_object_set_new(json, "low_score", json_real(r->low_score));
    json_object_set_new(json, "norm", json_real(r->norm));
    json_object_set_new(json, "auc", isfinite(r->auc) ? json_real(r->auc) : json_null());
    json_object_set_new(json, "held_high", json_integer(r->held_high));
    json_object_set_new(json, "held_low", json_integer(r->held_low));
    json_object_set_new(json, "curve", curve);
    for (int i = 0; work->effects && i < r->curve_count; i++)
        json_array_append_new(
            effects, json_pack("[f,f]", work->effect.change[i], work->effect.change_deviation[i]));
    if (work->effects)
        json_object_set(json, "curve_effects", effects);
    json_decref(effects);
}

/* One direction: its figures at the top; several: a list of objects. */
static void cli_attribute_json(const cli_session *session, const cli_attribution *work) {
    json_t *report = cli_report_new(session), *list = json_array();
    if (work->each_count == 1)
        cli_attribute_figures(work, 0, report);
    for (int k = 0; k < work->each_count && work->each_count > 1; k++) {
        json_t *one = json_object();
        cli_attribute_figures(work, k, one);
        json_array_append_new(list, one);
    }
    if (work->each_count > 1)
        json_object_set(report, "directions", list);
    json_decref(list);
    json_object_set_new(report, "steps", json_integer(hs_sampler_steps(session->sampler)));
    json_object_set_new(report, "left_out", json_integer(work->bad));
    json_object_set_new(report, "unit", json_string("mean difference"));
    json_object_set_new(report, "space",
                        json_string(work->options->wanted.space == HS_SPACE_NOISE ? "noise" : "h"));
    json_object_set_new(report, "output", json_string(work->options->common.output));
    cli_report_print(report);
}

int cli_attribute(int argc, char **argv) {
    cli_attribute_options options = {.wanted = hs_attribute_options_default()};
    cli_parse_command(&attribute_argp, argc, argv, &options);
    cli_attribute_check(&options);
    cli_session session;
    cli_session_begin(&session, &options.common);
    cli_attribution work = {.options = &options};
    hs_error err;
    hs_status status = cli_attribute_work(&session, &work, &err);
    if (status == HS_OK && options.common.json)
        cli_attribute_json(&session, &work);
    else if (status == HS_OK)
        cli_attribute_text(&work);
    int result = cli_finish(status, &err);
    hs_effects_free(work.effects);
    hs_classifier_free(work.judge);
    hs_directions_free(work.curve);
    hs_directions_free(work.directions);
    hs_labels_free(work.labels);
    hs_index_free(work.index);
    cli_session_end(&session);
    cli_attribute_plan_free(&work);
    cli_free_strings(options.attributes, options.attribute_count);
    cli_free_strings(options.balance, options.wanted.balance_count);
    cli_options_free(&options.common);
    return result;
}
