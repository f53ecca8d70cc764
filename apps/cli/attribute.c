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

typedef struct cli_attribute_options {
    cli_options common;
    hs_attribute_options wanted;
    const char *index, *source, *images, *labels;
    bool pairs, given_all, crops;
    int crop[4]; /* x, y, w, h */
    int curve[HS_CURVE_MAX];
} cli_attribute_options;

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
    KEY_HELD_OUT
};

static const struct argp_option attribute_options[] = {
    {"attribute", KEY_ATTRIBUTE, "NAME", 0, "The attribute, a column of the labels", 1},
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
    {"given", KEY_GIVEN, "NAMES|all", 0, "Joint regression on these attributes too", 2},
    {"held-out", KEY_HELD_OUT, "SHARE", 0,
     "Share of the samples that the direction is tested on; default 0.2", 3},
    {"curve", KEY_CURVE, "LIST", 0, "Compare the directions of so many samples a side", 3},
    {0}};

/* ---------------------------------------------------------------- options -- */

/* "A,B" into a list of strings; cli_free_strings. */
static void cli_split_names(const char *option, const char *arg, const char *const **list,
                            int *count) {
    size_t parts = 1;
    for (const char *p = arg; *p; p++)
        parts += *p == ',';
    char **names = calloc(parts + 1, sizeof *names);
    char *copy = strdup(arg), *rest = copy;
    if (!names || !copy)
        cli_usage_error("%s: out of memory", option);
    for (char *name = strsep(&rest, ","); name; name = strsep(&rest, ",")) {
        if (!*name)
            cli_usage_error("%s: '%.100s' has an empty name", option, arg);
        names[(*count)++] = strdup(name);
    }
    free(copy);
    *list = (const char *const *)names;
}

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
    case KEY_ATTRIBUTE: wanted->attribute = arg; return 0;
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
        if (!wanted->balance)
            cli_split_names("--balance", arg, &wanted->balance, &wanted->balance_count);
        return 0;
    case KEY_GIVEN:
        options->given_all = !strcmp(arg, "all");
        if (!options->given_all && !wanted->given)
            cli_split_names("--given", arg, &wanted->given, &wanted->given_count);
        return 0;
    case KEY_CURVE: cli_parse_curve(options, arg); return 0;
    case KEY_HELD_OUT: wanted->held_out = cli_option_number("--held-out", arg, 0, 0.5); return 0;
    default: return cli_default_key(key, arg, state);
    }
}

static const struct argp_child attribute_children[] = {
    {&cli_sampling_argp, 0, NULL, 0}, {&cli_common_argp, 0, NULL, 0}, {0}};
static const struct argp attribute_argp = {.options = attribute_options,
                                           .parser = cli_attribute_parse,
                                           .doc = doc,
                                           .children = attribute_children};

/* Mistakes that the command line alone shows. */
static void cli_attribute_check(const cli_attribute_options *options) {
    const hs_attribute_options *wanted = &options->wanted;
    const cli_options *common = &options->common;
    if (!wanted->attribute || !*wanted->attribute)
        cli_usage_error("attribute: --attribute NAME says which one");
    if (!common->output)
        cli_usage_error("attribute: -o says where the direction file goes (x.safetensors)");
    if (!options->index == !options->images)
        cli_usage_error("attribute: either --index FILE, or --images DIR with --labels FILE");
    if (!options->images != !options->labels)
        cli_usage_error("--images and --labels belong together");
    if (options->crops && !options->images)
        cli_usage_error("--crop: goes with --images");
    if (options->pairs && (!options->images || wanted->balance_count || wanted->given_count ||
                           options->given_all || wanted->top || wanted->by_threshold))
        cli_usage_error("--pairs: goes with --images alone; pairs are two sides already");
    if (wanted->top && wanted->by_threshold)
        cli_usage_error("--top and --threshold exclude each other");
    if (wanted->curve_count && (wanted->given_count || options->given_all ||
                                wanted->balance_count || wanted->by_threshold))
        cli_usage_error("--curve: goes with --top alone");
    for (int i = 0; options->images && i < common->eta_count; i++)
        if (common->eta[i] > 0)
            cli_usage_error("--eta: images are inverted by DDIM, which is of eta 0");
    if (options->images && common->clip)
        cli_usage_error("--clip: clipping cannot be inverted");
}

/* ----------------------------------------------------------------- labels -- */

/* What is open. */
typedef struct cli_attribution {
    cli_attribute_options *options;
    hs_index *index;
    hs_labels *labels;
    cli_labelled_images images;
    int bad;
    hs_directions *directions;
    hs_attribute_report report;
} cli_attribution;

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

/* --given all: every other attribute of the index or of the labels. */
static hs_status cli_give_all(cli_attribution *work, const char *const *names, int count,
                              hs_error *err) {
    hs_attribute_options *wanted = &work->options->wanted;
    char **given = calloc((size_t)count + 1, sizeof *given);
    int n = 0;
    if (!given)
        return cli_fail_memory(err);
    wanted->given = (const char *const *)given;
    for (int i = 0; i < count; i++) {
        bool known = !strcmp(names[i], wanted->attribute);
        for (int j = 0; j < n; j++)
            known = known || !strcmp(names[i], given[j]);
        if (!known && !(given[n++] = strdup(names[i])))
            return cli_fail_memory(err);
        wanted->given_count = n;
    }
    if (n)
        return HS_OK;
    return cli_fail(err, HS_ERROR_ARGUMENT, "--given all: there is no attribute beside '%.60s'",
                    wanted->attribute);
}

static hs_status cli_index_names(cli_attribution *work, hs_error *err) {
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
        status = cli_give_all(work, names, n, err);
    free(names);
    free(list);
    return status;
}

/* The columns that are needed, each once. */
static hs_status cli_index_labels(cli_attribution *work, hs_error *err) {
    const hs_attribute_options *wanted = &work->options->wanted;
    if (work->options->given_all) {
        hs_status status = cli_index_names(work, err);
        if (status != HS_OK)
            return status;
    }
    int n = 0, all = 1 + wanted->balance_count + wanted->given_count;
    const char **names = calloc((size_t)all, sizeof *names);
    if (!names)
        return cli_fail_memory(err);
    for (int i = 0; i < all; i++) {
        const char *name = !i ? wanted->attribute
                           : i <= wanted->balance_count
                               ? wanted->balance[i - 1]
                               : wanted->given[i - 1 - wanted->balance_count];
        bool known = false;
        for (int j = 0; j < n; j++)
            known = known || !strcmp(names[j], name);
        if (!known)
            names[n++] = name;
    }
    hs_status status =
        hs_index_scores(work->index, names, n, work->options->source, &work->labels, err);
    free(names);
    return status;
}

/* Labelled images are all taken, split at the middle of the scores' range. */
static hs_status cli_split_images(cli_attribution *work, hs_error *err) {
    hs_attribute_options *wanted = &work->options->wanted;
    hs_labels_view view;
    double least = INFINITY, most = -INFINITY;
    int column = hs_labels_find(work->labels, wanted->attribute);
    if (column < 0 || wanted->top || wanted->by_threshold)
        return HS_OK; /* hs_attribute names a missing one */
    hs_labels_view_get(work->labels, &view);
    for (int i = 0; i < view.rows; i++) {
        double value = view.values[(size_t)i * (size_t)view.attributes + (size_t)column];
        if (isfinite(value)) {
            least = fmin(least, value);
            most = fmax(most, value);
        }
    }
    if (least > most)
        return cli_fail(err, HS_ERROR_ARGUMENT,
                        "%s: attribute '%.60s': no image that can be used has a score",
                        work->options->labels, wanted->attribute);
    if (least == most)
        return cli_fail(err, HS_ERROR_ARGUMENT,
                        "%s: attribute '%.60s': all labelled images have the same score, %g: there "
                        "are no two sides",
                        work->options->labels, wanted->attribute, least);
    wanted->by_threshold = true;
    wanted->low = least + (most - least) * (0.5 - 1e-9);
    wanted->high = least + (most - least) * (0.5 + 1e-9);
    return HS_OK;
}

/* The names that the file has, as one line for a message. */
static void cli_list_names(const hs_labels_view *view, char out[400]) {
    size_t used = 0;
    *out = '\0';
    for (int i = 0; i < view->attributes && used < 300; i++)
        used += (size_t)snprintf(out + used, 400 - used, "%s%.60s", i ? ", " : "", view->names[i]);
}

/* Before any image is read: does the file have the columns that are asked for? */
static hs_status cli_check_columns(const cli_attribution *work, hs_error *err) {
    const hs_attribute_options *wanted = &work->options->wanted;
    int all = 1 + wanted->balance_count + wanted->given_count;
    for (int i = 0; i < all; i++) {
        const char *name = !i ? wanted->attribute
                           : i <= wanted->balance_count
                               ? wanted->balance[i - 1]
                               : wanted->given[i - 1 - wanted->balance_count];
        if (hs_labels_find(work->labels, name) >= 0)
            continue;
        hs_labels_view view;
        char names[400];
        hs_labels_view_get(work->labels, &view);
        cli_list_names(&view, names);
        return cli_fail(err, HS_ERROR_ARGUMENT, "%s: there is no column '%.60s' in it, but %s",
                        work->options->labels, name, names);
    }
    return HS_OK;
}

static hs_status cli_image_labels(cli_session *session, cli_attribution *work, hs_error *err) {
    cli_attribute_options *options = work->options;
    hs_labels *read = NULL;
    hs_status status =
        hs_labels_load(options->labels, options->pairs, &session->monitor, &read, err);
    if (status == HS_OK && options->pairs) {
        status = hs_labels_from_pairs(read, options->wanted.attribute, &work->labels, err);
        hs_labels_free(read);
    } else {
        work->labels = read;
    }
    if (status != HS_OK)
        return status;
    work->images = (cli_labelled_images){.session = session,
                                         .folder = options->images,
                                         .crop = options->crops ? options->crop : NULL};
    status = cli_check_columns(work, err);
    if (status == HS_OK)
        status = cli_check_images(&work->images, work->labels, err);
    hs_labels_view view;
    hs_labels_view_get(work->labels, &view);
    work->bad = view.bad;
    if (status == HS_OK && options->given_all)
        status = cli_give_all(work, view.names, view.attributes, err);
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
    if (status == HS_OK)
        status = hs_attribute(session->sampler, work->labels, &options->wanted,
                              images ? cli_source_images : NULL, &work->images, &session->monitor,
                              &work->directions, &work->report, err);
    cli_progress_end(&session->progress);
    if (status == HS_ERROR_CANCELLED)
        return cli_fail(err, status, "stopped; nothing was written");
    return status == HS_OK ? hs_directions_save(work->directions, options->common.output, err)
                           : status;
}

static void cli_attribute_text(const cli_attribution *work) {
    const hs_attribute_report *r = &work->report;
    char taken[32];
    cli_format_seconds(cli_seconds_since_start(), taken);
    printf("%s: %d samples against %d, mean score %.3f against %.3f\n",
           work->options->wanted.attribute, r->high, r->low, r->high_score, r->low_score);
    if (isfinite(r->auc))
        printf("held-out AUC %.3f (%d and %d samples)\n", r->auc, r->held_high, r->held_low);
    else
        printf("held-out AUC: too few samples to hold any out\n");
    for (int i = 0; i < r->curve_count; i++)
        printf("%6d a side: cosine %.4f to the last\n", r->curve[i], r->cosine[i]);
    if (work->bad)
        printf("%d row%s left out\n", work->bad, work->bad == 1 ? "" : "s");
    printf("1 direction from %d samples in %s: %s\n", r->samples, taken,
           work->options->common.output);
}

static void cli_attribute_json(const cli_session *session, const cli_attribution *work) {
    const hs_attribute_report *r = &work->report;
    json_t *report = cli_report_new(session), *curve = json_array();
    for (int i = 0; i < r->curve_count; i++)
        json_array_append_new(curve, json_pack("[i,f]", r->curve[i], r->cosine[i]));
    json_object_set_new(report, "attribute", json_string(work->options->wanted.attribute));
    json_object_set_new(report, "steps", json_integer(hs_sampler_steps(session->sampler)));
    json_object_set_new(report, "high", json_integer(r->high));
    json_object_set_new(report, "low", json_integer(r->low));
    json_object_set_new(report, "samples", json_integer(r->samples));
    json_object_set_new(report, "high_score", json_real(r->high_score));
    json_object_set_new(report, "low_score", json_real(r->low_score));
    json_object_set_new(report, "norm", json_real(r->norm));
    json_object_set_new(report, "auc", isfinite(r->auc) ? json_real(r->auc) : json_null());
    json_object_set_new(report, "held_high", json_integer(r->held_high));
    json_object_set_new(report, "held_low", json_integer(r->held_low));
    json_object_set_new(report, "curve", curve);
    json_object_set_new(report, "left_out", json_integer(work->bad));
    json_object_set_new(report, "unit", json_string("mean difference"));
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
    hs_directions_free(work.directions);
    hs_labels_free(work.labels);
    hs_index_free(work.index);
    cli_session_end(&session);
    cli_free_strings((char **)options.wanted.given, options.wanted.given_count);
    cli_free_strings((char **)options.wanted.balance, options.wanted.balance_count);
    cli_options_free(&options.common);
    return result;
}
