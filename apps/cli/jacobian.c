/* hspace jacobian: directions of one sample, from the Jacobian of the noise
 * prediction with respect to h. */
#include "jacobian.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char doc[] =
    "Find directions of one sample: the leading singular vectors of d eps / d h at steps of its "
    "own trajectory, by exact products. With a mask, what changes a region. They are named s24.0 "
    "for the first of step 24 and applied at all steps; strength 1 is a tenth of the norm of the "
    "sample's h. A run that was stopped goes on when the same command is given again.";

#define CLI_MAX_DIRECTIONS 100000
#define CLI_SHOWN 30 /* rows of a preview, unless told */

enum {
    KEY_SEED = 0x200,
    KEY_LATENT,
    KEY_ITEM,
    KEY_STEP,
    KEY_MASK,
    KEY_REGION,
    KEY_METHOD,
    KEY_TOL,
    KEY_MAX_PRODUCTS,
    KEY_KEEP_OUTSIDE,
    KEY_OUTSIDE,
    KEY_LAMBDA,
    KEY_COMPARE,
    KEY_WINDOW,
    KEY_STRENGTH,
    KEY_RESUME,
    KEY_PREVIEW,
    KEY_SHOWN,
    KEY_PLOT
};

static const struct argp_option jacobian_options[] = {
    {"seed", KEY_SEED, "SEED", 0, "Whose directions: PyTorch's seed; default 0", 1},
    {"latent", KEY_LATENT, "FILE", 0, "Start from the x_T (and z) of a latent file, not a seed", 1},
    {"item", KEY_ITEM, "N", 0, "Which image of the latent file; default 0", 1},
    {"components", 'k', "K", 0, "Directions a step and mask; default 5", 2},
    {"step", KEY_STEP, "LIST|all", 0,
     "Where they are found: 24, or 10,20, or all; 0 is the noisiest; default: the middle one", 2},
    {"mask", KEY_MASK, "FILE[:LABELS]", 0,
     "Only what changes inside: white in a picture of the image's size, or these values of a label "
     "map; may be repeated",
     3},
    {"region", KEY_REGION, "X,Y,W,H", 0,
     "The same for a rectangle in pixels from the top left; may be repeated", 3},
    {"keep-outside", KEY_KEEP_OUTSIDE, "project|resefa", OPTION_ARG_OPTIONAL,
     "Leave the rest of the image: without the part that the leading directions of the outside "
     "span (default), or by the largest ratio of change inside to outside",
     3},
    {"outside", KEY_OUTSIDE, "N", 0, "How many directions of the outside; default 2 K", 3},
    {"lambda", KEY_LAMBDA, "L", 0,
     "For resefa: what changes the outside by less than this share of the most that is possible "
     "counts as leaving it; default 0.1",
     3},
    {"method", KEY_METHOD, "krylov|subspace|batched", 0,
     "Block Krylov (default), or the paper's algorithms 1 and 2, which take more products", 4},
    {"tol", KEY_TOL, "R", 0, "Largest residual; default 1e-3", 4},
    {"max-products", KEY_MAX_PRODUCTS, "N", 0, "Give up a step after so many; default 400 (K + 2)",
     4},
    {"resume", KEY_RESUME, "FILE", 0, "Where finished steps are kept; default OUTPUT.resume", 4},
    {"preview", KEY_PREVIEW, "GRID", 0,
     "Draw each direction from -2 to 2, where the image changes, and its u", 5},
    {"shown", KEY_SHOWN, "N", 0, "Most rows of the preview; default 30", 5},
    {"plot", KEY_PLOT, "FILE", 0, "Draw the singular values over the steps", 5},
    {"compare", KEY_COMPARE, NULL, 0,
     "Measure the share of the change inside each mask, beside directions without mask and with "
     "the "
     "outside kept",
     5},
    {"window", KEY_WINDOW, "I-J", 0,
     "The steps in which --preview and --compare apply the directions; default all", 5},
    {"strength", KEY_STRENGTH, "S", 0,
     "The strength that --compare measures at, and the ends of --preview; default 1 there, 2 here",
     5},
    {0}};

static void cli_jacobian_add_region(cli_jacobian_options *options, const cli_region *region) {
    cli_region *longer =
        realloc(options->regions, (size_t)(options->region_count + 1) * sizeof *options->regions);
    if (!longer)
        cli_usage_error("out of memory");
    options->regions = longer;
    longer[options->region_count++] = *region;
}

static void cli_jacobian_steps(cli_jacobian_options *options, const char *arg) {
    char why[CLI_WHY];
    int64_t *values = NULL;
    int count = 0;
    free(options->steps);
    options->steps = NULL;
    options->jacobian.step_count = 0;
    options->all = strcmp(arg, "all") == 0;
    if (options->all)
        return;
    if (!cli_parse_seeds(arg, &values, &count, why))
        cli_usage_error("--step: %s, nor all", why);
    options->steps = calloc((size_t)count, sizeof *options->steps);
    for (int i = 0; options->steps && i < count; i++) {
        if (values[i] < 0 || values[i] >= CLI_MAX_STEPS)
            cli_usage_error("--step: %lld is not a step", (long long)values[i]);
        options->steps[i] = (int)values[i];
    }
    free(values);
    options->jacobian.step_count = count;
}

static hs_keep_outside cli_jacobian_keep(const char *arg) {
    if (!arg || !strcmp(arg, "project"))
        return HS_KEEP_OUTSIDE_PROJECT;
    if (strcmp(arg, "resefa") != 0)
        cli_usage_error("--keep-outside: '%.60s' is neither project nor resefa", arg);
    return HS_KEEP_OUTSIDE_RATIO;
}

static hs_jacobian_method cli_jacobian_method(const char *arg) {
    static const char *const methods[] = {"krylov", "subspace", "batched"};
    for (int i = 0; i < 3; i++)
        if (!strcmp(arg, methods[i]))
            return (hs_jacobian_method)i;
    cli_usage_error("--method: '%.60s' is none of krylov, subspace, batched", arg);
}

static error_t cli_jacobian_parse(int key, char *arg, struct argp_state *state) {
    cli_jacobian_options *options = state->input;
    hs_jacobian_options *jacobian = &options->jacobian;
    cli_region region;
    char why[CLI_WHY];
    switch (key) {
    case KEY_SEED:
        if (!cli_parse_int(arg, INT64_MIN, INT64_MAX, &options->seed, why))
            cli_usage_error("--seed: %s: one sample at a time", why);
        options->common.seeds = &options->seed; /* not owned: cleared before the end */
        options->common.seed_count = 1;
        return 0;
    case KEY_LATENT: options->common.latent = arg; return 0;
    case KEY_ITEM: jacobian->item = cli_option_int("--item", arg, 0, INT32_MAX); return 0;
    case 'k': jacobian->k = cli_option_int("-k", arg, 1, CLI_MAX_DIRECTIONS); return 0;
    case KEY_STEP: cli_jacobian_steps(options, arg); return 0;
    case KEY_MASK:
        cli_region_parse_mask(arg, &region);
        cli_jacobian_add_region(options, &region);
        return 0;
    case KEY_REGION:
        cli_region_parse_rectangle(arg, &region);
        cli_jacobian_add_region(options, &region);
        return 0;
    case KEY_KEEP_OUTSIDE: jacobian->keep_outside = cli_jacobian_keep(arg); return 0;
    case KEY_OUTSIDE:
        jacobian->outside_count = cli_option_int("--outside", arg, 1, CLI_MAX_DIRECTIONS);
        return 0;
    case KEY_LAMBDA: jacobian->lambda = cli_option_number("--lambda", arg, 1e-9, 1e6); return 0;
    case KEY_METHOD: jacobian->method = cli_jacobian_method(arg); return 0;
    case KEY_TOL: jacobian->tol = cli_option_number("--tol", arg, 1e-7, 0.5); return 0;
    case KEY_MAX_PRODUCTS:
        jacobian->max_products = cli_option_int("--max-products", arg, 1, INT32_MAX);
        return 0;
    case KEY_RESUME: options->resume = arg; return 0;
    case KEY_PREVIEW: options->preview = arg; return 0;
    case KEY_SHOWN: options->shown = cli_option_int("--shown", arg, 1, 1000); return 0;
    case KEY_PLOT: options->plot = arg; return 0;
    case KEY_COMPARE: options->compare = true; return 0;
    case KEY_WINDOW:
        if (!cli_parse_window(arg, &options->common.first, &options->common.last, why))
            cli_usage_error("--window: %s", why);
        options->common.window = true;
        return 0;
    case KEY_STRENGTH:
        options->strength = cli_option_number("--strength", arg, 1e-3, CLI_MAX_STRENGTH);
        return 0;
    default: return cli_default_key(key, arg, state);
    }
}

static const struct argp_child jacobian_children[] = {{&cli_sampling_argp, 0, NULL, 0},
                                                      {&cli_common_argp, 0, NULL, 0},
                                                      {&cli_profile_argp, 0, NULL, 0},
                                                      {0}};
static const struct argp jacobian_argp = {.options = jacobian_options,
                                          .parser = cli_jacobian_parse,
                                          .doc = doc,
                                          .children = jacobian_children};

/* -------------------------------------------------------------- report -- */

static double cli_largest(const float *values, int count) {
    double largest = 0;
    for (int i = 0; i < count; i++)
        largest = fmax(largest, (double)values[i]);
    return largest;
}

static json_t *cli_json_floats(const float *values, int count) {
    json_t *list = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(list, json_real((double)values[i]));
    return list;
}

static json_t *cli_json_shares(const double *shares, int count) {
    json_t *list = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(list, isfinite(shares[i]) ? json_real(shares[i]) : json_null());
    return list;
}

/* What a run of the command gives beside its file. */
typedef struct cli_jacobian_result {
    hs_directions *directions;
    hs_product_stats stats;
    double *shares;           /* [K] or NULL */
    cli_inside (*compare)[3]; /* [regions] means: without mask, with it, outside kept */
} cli_jacobian_result;

static void cli_jacobian_closing_line(const cli_jacobian_options *options,
                                      const cli_jacobian_result *result) {
    hs_directions_view view;
    hs_directions_view_get(result->directions, &view);
    char taken[32], each[32];
    cli_format_seconds(cli_seconds_since_start(), taken);
    cli_format_seconds(result->stats.seconds_per_product, each);
    char residual[40] = "";
    if (options->jacobian.keep_outside != HS_KEEP_OUTSIDE_PROJECT) /* not singular vectors */
        snprintf(residual, sizeof residual, ", residual %.1e", cli_largest(view.residual, view.K));
    printf("%d directions (%d x %d x %d) in %s, %lld products of %s%s: %s", view.K, view.h_shape[0],
           view.h_shape[1], view.h_shape[2], taken, (long long)result->stats.products, each,
           residual, options->common.output);
    const char *pictures[] = {options->preview, options->plot};
    for (int i = 0; i < 2; i++)
        if (pictures[i])
            printf(" %s", pictures[i]);
    putchar('\n');
}

static double cli_strength(const cli_jacobian_options *options) {
    return options->strength > 0 ? options->strength : 1;
}

static void cli_jacobian_print(const cli_jacobian_options *options,
                               const cli_jacobian_result *result) {
    static const char *const kinds[] = {"without mask", "masked", "outside kept"};
    if (!options->common.quiet)
        cli_jacobian_closing_line(options, result);
    if (options->compare && options->common.window)
        printf("applied in steps %d to %d, at strength -%g and %g:\n", options->common.first,
               options->common.last, cli_strength(options), cli_strength(options));
    else if (options->compare)
        printf("applied at all steps, at strength -%g and %g:\n", cli_strength(options),
               cli_strength(options));
    for (int i = 0; options->compare && i < 3 * options->region_count; i++) {
        const cli_inside *mean = &result->compare[i / 3][i % 3];
        printf("%5.1f %% of the change inside %s, %.2f levels rms there: %s\n", 100 * mean->share,
               options->regions[i / 3].name, mean->rms, kinds[i % 3]);
    }
}

static json_t *cli_json_compare(const cli_jacobian_options *options,
                                const cli_jacobian_result *result) {
    json_t *list = json_array();
    for (int i = 0; i < options->region_count; i++) {
        const cli_inside *mean = result->compare[i];
        json_t *rms = json_pack("{s:f, s:f, s:f}", "unmasked", mean[0].rms, "masked", mean[1].rms,
                                "keep_outside", mean[2].rms);
        json_array_append_new(list, json_pack("{s:s, s:f, s:f, s:f, s:o}", "mask",
                                              options->regions[i].name, "unmasked", mean[0].share,
                                              "masked", mean[1].share, "keep_outside",
                                              mean[2].share, "rms", rms));
    }
    return list;
}

static void cli_jacobian_json(const cli_session *session, const cli_jacobian_options *options,
                              const cli_jacobian_result *result) {
    hs_directions_view view;
    hs_directions_view_get(result->directions, &view);
    json_t *report = cli_report_new(session), *names = json_array();
    for (int i = 0; i < view.K; i++)
        json_array_append_new(names, json_string(hs_directions_name(result->directions, i)));
    json_object_set_new(report, "k", json_integer(options->jacobian.k));
    json_object_set_new(report, "products", json_integer(result->stats.products));
    json_object_set_new(report, "seconds_per_product",
                        json_real(result->stats.seconds_per_product));
    json_object_set_new(report, "residual", json_real(cli_largest(view.residual, view.K)));
    json_object_set_new(report, "residuals", cli_json_floats(view.residual, view.K));
    json_object_set_new(report, "names", names);
    json_object_set_new(report, "sigma", cli_json_floats(view.sigma, view.K));
    json_object_set_new(report, "h", cli_json_ints(view.h_shape, 3));
    json_object_set_new(report, "unit", json_string(view.unit));
    json_object_set_new(report, "planned_bytes",
                        json_integer(session->planned_bytes + result->stats.bytes));
    if (result->shares)
        json_object_set_new(report, "inside", cli_json_shares(result->shares, view.K));
    if (options->compare)
        json_object_set_new(report, "inside_mean", cli_json_compare(options, result));
    if (options->compare)
        json_object_set_new(report, "strength", json_real(cli_strength(options)));
    if (options->common.window)
        json_object_set_new(report, "window",
                            json_pack("[i, i]", options->common.first, options->common.last));
    json_t *metadata = view.metadata ? json_loads(view.metadata, 0, NULL) : NULL;
    if (metadata)
        json_object_set_new(report, "metadata", metadata);
    json_object_set_new(report, "output", json_string(options->common.output));
    if (options->preview)
        json_object_set_new(report, "preview", json_string(options->preview));
    if (options->plot)
        json_object_set_new(report, "plot", json_string(options->plot));
    cli_report_print(report);
}

/* ---------------------------------------------------------------- work -- */

/* Mistakes that the command line alone shows. */
static void cli_jacobian_check(const cli_jacobian_options *options) {
    const cli_options *common = &options->common;
    const char *pictures[] = {options->preview, options->plot};
    static const char *const names[] = {"--preview", "--plot"};
    if (!common->output)
        cli_usage_error("jacobian: -o says where the direction file goes (x.safetensors)");
    if (common->seeds && common->latent)
        cli_usage_error("--seed and --latent exclude each other");
    if (options->jacobian.item && !common->latent)
        cli_usage_error("--item: says which image of a latent file, and there is no --latent");
    if (common->clip)
        cli_usage_error("--clip: clipping has no derivative; not with jacobian");
    if (options->jacobian.keep_outside != HS_KEEP_OUTSIDE_NO && !options->region_count)
        cli_usage_error("--keep-outside: needs --mask or --region: without one nothing is outside");
    if (options->compare && !options->region_count)
        cli_usage_error("--compare: needs --mask or --region");
    if (!options->compare && !options->preview && (common->window || options->strength > 0))
        cli_usage_error("--%s: goes with --preview or --compare",
                        common->window ? "window" : "strength");
    for (int i = 0; i < 2; i++) {
        cli_options picture = {.command = names[i], .output = pictures[i]};
        if (pictures[i] && cli_image_output(&picture) != CLI_OUTPUT_IMAGE)
            cli_usage_error("%s: %.200s is a folder", names[i], pictures[i]);
    }
    const cli_path paths[] = {{"-o", common->output, true},
                              {"--preview", options->preview, true},
                              {"--plot", options->plot, true},
                              {"--resume", options->resume, true},
                              {"--latent", common->latent, false}};
    cli_check_distinct(paths, 5);
}

/* Steps, masks, start and memory: what the session has to be open for. */
static hs_status cli_jacobian_prepare(cli_session *session, cli_jacobian_options *options,
                                      hs_error *err) {
    hs_jacobian_options *jacobian = &options->jacobian;
    int T = hs_sampler_steps(session->sampler);
    if (!options->steps && !options->all) {
        options->steps = calloc(1, sizeof *options->steps);
        if (!options->steps)
            return cli_fail_memory(err);
        options->steps[0] = (T - 1) / 2;
        jacobian->step_count = 1;
    }
    jacobian->steps = options->steps;
    for (int i = 0; i < jacobian->step_count; i++)
        if (options->steps[i] >= T)
            return cli_fail(err, HS_ERROR_ARGUMENT, "--step: %d is outside 0 to %d (--steps %d)",
                            options->steps[i], T - 1, T);
    if (options->common.last >= T)
        return cli_fail(err, HS_ERROR_ARGUMENT, "--window %d-%d: there are steps 0 to %d",
                        options->common.first, options->common.last, T - 1);
    hs_status status =
        cli_regions_load(&session->info, options->regions, options->region_count, err);
    if (status != HS_OK)
        return status;
    options->masks = calloc((size_t)options->region_count + 1, sizeof *options->masks);
    if (!options->masks)
        return cli_fail_memory(err);
    for (int i = 0; i < options->region_count; i++)
        options->masks[i] = (hs_mask){.name = options->regions[i].name,
                                      .source = options->regions[i].text,
                                      .inside = options->regions[i].inside};
    jacobian->masks = options->masks;
    jacobian->mask_count = options->region_count;
    jacobian->seed = options->seed;
    jacobian->latents = session->latents;
    if (!options->common.max_mem)
        return HS_OK;
    jacobian->max_mem = options->common.max_mem - session->planned_bytes;
    if (jacobian->max_mem <= 0)
        return cli_fail(err, HS_ERROR_MEMORY,
                        "--max-mem: the model alone takes %lld MiB, nothing is left for products",
                        (long long)(session->planned_bytes >> 20));
    return HS_OK;
}

static hs_status cli_jacobian_announce(const cli_session *session,
                                       const cli_jacobian_options *options, hs_error *err) {
    const hs_jacobian_options *jacobian = &options->jacobian;
    int T = hs_sampler_steps(session->sampler);
    int steps = jacobian->step_count ? jacobian->step_count : T;
    hs_product_stats cost;
    if (session->options->quiet)
        return HS_OK;
    hs_status status = hs_jacobian_cost(session->sampler, jacobian, &cost, err);
    if (status != HS_OK)
        return status;
    cli_message("jacobian: %d direction%s at %d of %d steps%s", jacobian->k,
                jacobian->k == 1 ? "" : "s", steps, T,
                jacobian->mask_count > 1 ? ", for each mask" : "");
    char model[32], products[32];
    cli_format_bytes((double)session->planned_bytes, model);
    cli_format_bytes((double)cost.bytes, products);
    cli_message("memory: %s for the model, %s for products and vectors", model, products);
    return HS_OK;
}

/* Means of what changes inside each region, for the same steps without a mask,
 * with it, and with the outside kept; `found` serves for the one that it is. */
static hs_status cli_jacobian_compare(cli_session *session, const cli_jacobian_options *options,
                                      const hs_directions *found, cli_inside (*mean)[3],
                                      hs_error *err) {
    int k = options->jacobian.k, regions = options->region_count;
    int most = hs_directions_count(found), each = most / regions;
    cli_inside *shares = calloc((size_t)most * (size_t)regions, sizeof *shares);
    hs_status status = shares ? HS_OK : cli_fail_memory(err);
    for (int kind = 0; kind < 3 && status == HS_OK; kind++) {
        hs_jacobian_options other = options->jacobian;
        hs_directions *made = NULL;
        bool kept = other.keep_outside != HS_KEEP_OUTSIDE_NO;
        bool same = kind == (kept ? 2 : 1);
        other.resume = NULL;
        if (kind < 2)
            other.keep_outside = HS_KEEP_OUTSIDE_NO;
        else if (!kept)
            other.keep_outside = HS_KEEP_OUTSIDE_PROJECT;
        if (kind == 0)
            other.mask_count = 0;
        if (!same)
            status = hs_jacobian_directions(session->sampler, &other, &session->monitor, &made,
                                            NULL, err);
        if (status == HS_OK)
            status = cli_jacobian_shares(session, options, same ? found : made, shares, err);
        for (int i = 0; i < (kind ? most : each) * regions; i++)
            if (kind == 0 || i / regions / k % regions == i % regions) {
                mean[i % regions][kind].share += shares[i].share / each;
                mean[i % regions][kind].rms += shares[i].rms / each;
            }
        hs_directions_free(made);
    }
    cli_progress_end(&session->progress);
    free(shares);
    return status;
}

static hs_status cli_jacobian_pictures(cli_session *session, const cli_jacobian_options *options,
                                       cli_jacobian_result *result, hs_error *err) {
    hs_status status = HS_OK;
    if (options->preview && options->region_count) {
        result->shares =
            calloc((size_t)hs_directions_count(result->directions), sizeof *result->shares);
        if (!result->shares)
            return cli_fail_memory(err);
    }
    if (options->preview)
        status = cli_jacobian_preview(session, options, result->directions, result->shares, err);
    if (status == HS_OK && options->plot)
        status = cli_jacobian_plot(session, options, result->directions, err);
    if (status != HS_OK || !options->compare)
        return status;
    result->compare = calloc((size_t)options->region_count, sizeof *result->compare);
    if (!result->compare)
        return cli_fail_memory(err);
    return cli_jacobian_compare(session, options, result->directions, result->compare, err);
}

static hs_status cli_jacobian_work(cli_session *session, cli_jacobian_options *options,
                                   cli_jacobian_result *result, hs_error *err) {
    const char *outputs[] = {options->common.output, options->preview, options->plot};
    hs_jacobian_options *jacobian = &options->jacobian;
    hs_status status = HS_OK;
    for (int i = 0; i < 3 && status == HS_OK; i++)
        if (outputs[i])
            status =
                cli_check_writable(outputs[i], i == 0 ? CLI_OUTPUT_NONE : CLI_OUTPUT_IMAGE, err);
    if (status == HS_OK)
        status = cli_open_sampler(session, 0, 1, err);
    if (status == HS_OK && (options->preview || options->compare))
        status = cli_check_channels(session, err);
    if (status == HS_OK)
        status = cli_jacobian_prepare(session, options, err);
    if (status != HS_OK)
        return status;
    status = cli_jacobian_announce(session, options, err);
    if (status == HS_OK)
        status = hs_jacobian_directions(session->sampler, jacobian, &session->monitor,
                                        &result->directions, &result->stats, err);
    cli_progress_end(&session->progress);
    if (status == HS_ERROR_CANCELLED)
        return cli_fail(err, status,
                        access(jacobian->resume, F_OK) == 0
                            ? "stopped; the same command goes on from %s"
                            : "stopped before the first step was finished (nothing in %s)",
                        jacobian->resume);
    if (status == HS_OK)
        status = hs_directions_save(result->directions, options->common.output, err);
    if (status != HS_OK)
        return status;
    unlink(jacobian->resume); /* its work is in the output now; it may not exist */
    return cli_jacobian_pictures(session, options, result, err);
}

int cli_jacobian(int argc, char **argv) {
    cli_jacobian_options options = {.jacobian = hs_jacobian_options_default(), .shown = CLI_SHOWN};
    cli_parse_command(&jacobian_argp, argc, argv, &options);
    cli_jacobian_check(&options);
    char *resume = NULL;
    if (!options.resume && asprintf(&resume, "%s.resume", options.common.output) < 0)
        cli_usage_error("out of memory");
    options.jacobian.resume = options.resume ? options.resume : resume;
    cli_session session;
    cli_session_begin(&session, &options.common);
    hs_error err;
    cli_jacobian_result result = {0};
    hs_status status = cli_jacobian_work(&session, &options, &result, &err);
    if (status == HS_OK && options.common.json)
        cli_jacobian_json(&session, &options, &result);
    else if (status == HS_OK)
        cli_jacobian_print(&options, &result);
    int exit_status = cli_finish(status, &err);
    free(result.compare);
    free(result.shares);
    hs_directions_free(result.directions);
    cli_session_end(&session);
    for (int i = 0; i < options.region_count; i++)
        cli_region_free(&options.regions[i]);
    free(options.regions);
    free(options.masks);
    free(options.steps);
    free(resume);
    options.common.seeds = NULL;
    cli_options_free(&options.common);
    return exit_status;
}
