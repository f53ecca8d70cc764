/*
 * The options that mean the same everywhere, as three argp parsers that a
 * command takes as children: common (model and machine), sampling, edits.
 */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

enum {
    KEY_SEED = 0x100,
    KEY_STEPS,
    KEY_ETA,
    KEY_H_SPACE,
    KEY_WINDOW,
    KEY_ASYRP,
    KEY_CLIP,
    KEY_LATENT,
    KEY_Z_SEED,
    KEY_THREADS,
    KEY_DEVICE,
    KEY_PRECISION,
    KEY_BACKEND,
    KEY_MAX_MEM,
    KEY_TENSORS,
    KEY_JSON,
    KEY_QUIET,
    KEY_PROFILE,
    KEY_SAME_STEP,
    KEY_CLASSIFIER,
    KEY_PREPROCESS,
    KEY_CLASS_NAMES,
    KEY_SCORES
};

int cli_option_int(const char *option, const char *text, int64_t min, int64_t max) {
    char why[CLI_WHY];
    int64_t value;
    if (!cli_parse_int(text, min, max, &value, why))
        cli_usage_error("%s: %s", option, why);
    return (int)value;
}

double cli_option_number(const char *option, const char *text, double min, double max) {
    char why[CLI_WHY];
    double value;
    if (!cli_parse_number(text, min, max, &value, why))
        cli_usage_error("%s: %s", option, why);
    return value;
}

/* One of two or three words. */
static int cli_option_choice(const char *option, const char *text, const char *const *words,
                             int count) {
    for (int i = 0; i < count; i++)
        if (!strcmp(text, words[i]))
            return i;
    if (count == 2)
        cli_usage_error("%s: '%.60s' is neither %s nor %s", option, text, words[0], words[1]);
    cli_usage_error("%s: '%.60s' is none of %s, %s, %s", option, text, words[0], words[1],
                    words[2]);
}

error_t cli_default_key(int key, char *arg, struct argp_state *state) {
    cli_options *options = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        /* Silence argp's second line of every complaint ("Try ..."). */
        state->err_stream = NULL;
        for (int i = 0; options->argp->children[i].argp; i++)
            state->child_inputs[i] = state->input;
        return 0;
    case ARGP_KEY_ARG: cli_usage_error("unexpected argument '%.100s'", arg);
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option cli_common_options[] = {
    {"model", 'm', "MODEL", 0,
     "A diffusers folder, a hub id found in the local cache, a Keras DDPM folder, or avatars64 or "
     "avatars32, which are in the program; default: $HSPACE_MODEL, else avatars64",
     10},
    {"h-space", KEY_H_SPACE, "before|middle|after", 0,
     "Where h is read and edited: around or inside the mid block; default after", 10},
    {"output", 'o', "PATH", 0, "Where the result goes", 10},
    {"threads", KEY_THREADS, "N", 0, "Threads; default: all CPUs", 11},
    {"device", KEY_DEVICE, "cpu|cuda", 0, "Default cpu", 11},
    {"precision", KEY_PRECISION, "f32|fast", 0,
     "fast: rounds the factors of convolutions; hspace info can measure what that changes. "
     "Default f32",
     11},
    {"backend", KEY_BACKEND, "onednn|ref", 0,
     "ref is slow plain C, to compare with; default onednn", 11},
    {"max-mem", KEY_MAX_MEM, "SIZE", 0, "Memory to plan with, such as 800M or 2G", 11},
    {"json", KEY_JSON, NULL, 0, "One JSON object with the result's figures on stdout", 12},
    {"quiet", KEY_QUIET, NULL, 0, "No progress, no closing line; notices stay", 12},
    {0}};

static error_t cli_common_parse(int key, char *arg, struct argp_state *state) {
    static const char *const positions[] = {"before", "middle", "after"};
    static const char *const backends[] = {"onednn", "ref"};
    static const char *const devices[] = {"cpu", "cuda"};
    static const char *const precisions[] = {"f32", "fast"};
    cli_options *options = state->input;
    char why[CLI_WHY];
    switch (key) {
    case 'm': options->model = arg; return 0;
    case 'o':
        if (!*arg)
            cli_usage_error("-o: the name is empty");
        options->output = arg;
        return 0;
    case KEY_H_SPACE:
        options->h_space = (hs_h_space)cli_option_choice("--h-space", arg, positions, 3);
        return 0;
    case KEY_BACKEND:
        options->backend = cli_option_choice("--backend", arg, backends, 2) == 0 ? HS_BACKEND_ONEDNN
                                                                                 : HS_BACKEND_REF;
        return 0;
    case KEY_DEVICE:
        if (cli_option_choice("--device", arg, devices, 2) == 1) {
            cli_message("--device cuda: this program was built without CUDA; use --device cpu");
            exit(CLI_FAILED);
        }
        return 0;
    case KEY_PRECISION:
        options->precision = (hs_precision)cli_option_choice("--precision", arg, precisions, 2);
        return 0;
    case KEY_THREADS: options->threads = cli_option_int("--threads", arg, 1, 1024); return 0;
    case KEY_MAX_MEM:
        if (!cli_parse_size(arg, &options->max_mem, why))
            cli_usage_error("--max-mem: %s", why);
        return 0;
    case KEY_JSON: options->json = true; return 0;
    case KEY_QUIET: options->quiet = true; return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option cli_sampling_options[] = {
    {"steps", KEY_STEPS, "T", 0, "Inference steps; default 50", 1},
    {"eta", KEY_ETA, "E", 0,
     "0 is DDIM, 1 DDPM; a number, or T numbers with commas, noisiest first", 1},
    {"z-seed", KEY_Z_SEED, "+1|N", 0,
     "Draw the steps' noise from seed + 1 (as the paper's authors do) or from seed N", 1},
    {"asyrp", KEY_ASYRP, NULL, 0, "Asymmetric injection: two passes a step", 2},
    {"clip", KEY_CLIP, NULL, 0, "Honour the scheduler config's clip_sample", 2},
    {0}};

static error_t cli_sampling_parse(int key, char *arg, struct argp_state *state) {
    cli_options *options = state->input;
    char why[CLI_WHY];
    switch (key) {
    case KEY_STEPS: options->steps = cli_option_int("--steps", arg, 1, CLI_MAX_STEPS); return 0;
    case KEY_ETA:
        free(options->eta);
        options->eta = NULL;
        if (!cli_parse_numbers(arg, 0, 100, CLI_MAX_STEPS, &options->eta, &options->eta_count, why))
            cli_usage_error("--eta: %s", why);
        return 0;
    case KEY_Z_SEED: {
        int64_t seed = HS_Z_PLUS_ONE;
        if (strcmp(arg, "+1") != 0 && !cli_parse_int(arg, 0, INT64_MAX, &seed, why))
            cli_usage_error("--z-seed: %s, nor +1", why);
        options->z_seed = seed;
        return 0;
    }
    case KEY_ASYRP: options->asyrp = true; return 0;
    case KEY_CLIP: options->clip = true; return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option cli_edit_options[] = {
    {"direction", 'd', "FILE[#NAME][=STRENGTH]", 0,
     "Add a direction, in its own units (default strength 1); #NAME may be a number; =-3..3:7 "
     "sweeps 7 strengths; may be repeated, edits add up",
     3},
    {"window", KEY_WINDOW, "I-J", 0, "Apply directions in steps I to J only, 0 being the noisiest",
     3},
    {"profile", KEY_PROFILE, "flat|sigma", 0,
     "The strength over the steps: the same (default), or by the singular value of each step, for "
     "directions that jacobian found at all steps",
     3},
    {"same-step", KEY_SAME_STEP, NULL, 0,
     "Apply a direction of `jacobian` only at the step where it was found", 3},
    {0}};

static error_t cli_edit_parse(int key, char *arg, struct argp_state *state) {
    static const char *const profiles[] = {"flat", "sigma"};
    cli_options *options = state->input;
    char why[CLI_WHY];
    switch (key) {
    case 'd': {
        cli_direction_spec *longer =
            realloc(options->directions,
                    (size_t)(options->direction_count + 1) * sizeof *options->directions);
        if (!longer)
            cli_usage_error("-d: out of memory");
        options->directions = longer;
        if (!cli_parse_direction(arg, &longer[options->direction_count], why))
            cli_usage_error("-d: %s", why);
        options->direction_count++;
        return 0;
    }
    case KEY_WINDOW:
        if (!cli_parse_window(arg, &options->first, &options->last, why))
            cli_usage_error("--window: %s", why);
        options->window = true;
        return 0;
    case KEY_PROFILE:
        options->sigma_profile = cli_option_choice("--profile", arg, profiles, 2) == 1;
        return 0;
    case KEY_SAME_STEP: options->same_step = true; return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

/* Where images start, and their tensors: `pca` and `demo` have seeds of their
 * own kind. */
static const struct argp_option cli_start_options[] = {
    {"seed", KEY_SEED, "LIST", 0, "PyTorch's seeds: 7, 1,4,9 or 0-15; default 0", 1},
    {"latent", KEY_LATENT, "FILE", 0, "Start from the x_T (and z) of a latent file, not from seeds",
     1},
    {"tensors", KEY_TENSORS, "FILE", 0, "Also write x_T, z, x_0 and h as a latent file", 9},
    {0}};

static error_t cli_start_parse(int key, char *arg, struct argp_state *state) {
    cli_options *options = state->input;
    char why[CLI_WHY];
    switch (key) {
    case KEY_SEED:
        free(options->seeds);
        options->seeds = NULL;
        if (!cli_parse_seeds(arg, &options->seeds, &options->seed_count, why))
            cli_usage_error("--seed: %s", why);
        return 0;
    case KEY_LATENT: options->latent = arg; return 0;
    case KEY_TENSORS:
        if (!*arg)
            cli_usage_error("--tensors: the name is empty");
        options->tensors = arg;
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

/* Who scores images. */
static const struct argp_option cli_classifier_options[] = {
    {"classifier", KEY_CLASSIFIER, "C", 0,
     "A transformers folder of ResNetForImageClassification, or a torchvision ResNet's state dict; "
     "default: the one beside the embedded model",
     2},
    {"preprocess", KEY_PREPROCESS, "SPEC", 0,
     "size=S,mean=M,std=D for a classifier whose folder does not say", 2},
    {"class-names", KEY_CLASS_NAMES, "FILE", 0, "The classifier's labels, one a line", 2},
    {"scores", KEY_SCORES, "softmax|sigmoid|regression|pairs|pose", 0,
     "How the classifier's outputs become scores, where its files do not say", 2},
    {0}};

const char *const cli_score_names[] = {"auto", "softmax", "sigmoid", "regression", "pairs", "pose"};

static hs_classifier_kind cli_parse_scores(const char *arg) {
    for (int i = 1; i < (int)(sizeof cli_score_names / sizeof *cli_score_names); i++)
        if (!strcmp(arg, cli_score_names[i]))
            return (hs_classifier_kind)i;
    cli_usage_error("--scores: '%.60s' is none of softmax, sigmoid, regression, pairs, pose", arg);
}

static error_t cli_classifier_parse(int key, char *arg, struct argp_state *state) {
    cli_options *options = state->input;
    switch (key) {
    case KEY_CLASSIFIER: options->classifier = arg; return 0;
    case KEY_PREPROCESS: options->preprocess = arg; return 0;
    case KEY_CLASS_NAMES: options->class_names = arg; return 0;
    case KEY_SCORES: options->scores = cli_parse_scores(arg); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

void cli_split_names(const char *option, const char *arg, char ***list, int *count) {
    size_t parts = (size_t)*count + 1;
    for (const char *p = arg; *p; p++)
        parts += *p == ',';
    char **names = realloc(*list, (parts + 1) * sizeof *names);
    char *copy = strdup(arg), *rest = copy;
    if (!names || !copy)
        cli_usage_error("%s: out of memory", option);
    *list = names;
    for (char *name = strsep(&rest, ","); name; name = strsep(&rest, ",")) {
        if (!*name)
            cli_usage_error("%s: '%.100s' has an empty name", option, arg);
        if (!(names[(*count)++] = strdup(name)))
            cli_usage_error("%s: out of memory", option);
    }
    free(copy);
}

const struct argp cli_common_argp = {.options = cli_common_options, .parser = cli_common_parse};
const struct argp cli_sampling_argp = {.options = cli_sampling_options,
                                       .parser = cli_sampling_parse};
const struct argp cli_edit_argp = {.options = cli_edit_options, .parser = cli_edit_parse};
const struct argp cli_classifier_argp = {.options = cli_classifier_options,
                                         .parser = cli_classifier_parse};
const struct argp cli_start_argp = {.options = cli_start_options, .parser = cli_start_parse};

/* argp and getopt take the program's name from argv[0]; complaints begin with
 * "hspace:", while the usage line names the command too. */
void cli_parse_command(const struct argp *argp, int argc, char **argv, void *input) {
    cli_options *options = input;
    options->command = argv[0];
    options->argp = argp;
    options->h_space = HS_H_AFTER;
    options->z_seed = HS_Z_CONTINUE;
    options->last = -1;
    char name[64];
    snprintf(name, sizeof name, "hspace %s", argv[0]);
    bool help = false;
    for (int i = 1; i < argc; i++)
        help = help || !strcmp(argv[i], "--help") || !strcmp(argv[i], "-?") ||
               !strcmp(argv[i], "--usage");
    char program[] = "hspace";
    char *own_name = argv[0];
    argv[0] = help ? name : program;
    error_t error = argp_parse(argp, argc, argv, 0, NULL, input);
    argv[0] = own_name;
    if (error)
        exit(CLI_USAGE); /* getopt has said what is wrong */
    if (options->seeds && options->latent)
        cli_usage_error("--seed and --latent exclude each other");
    if (options->same_step && options->window)
        cli_usage_error("--same-step and --window exclude each other");
}

void cli_options_free(cli_options *options) {
    free(options->seeds);
    free(options->items);
    free(options->eta);
    for (int i = 0; i < options->direction_count; i++)
        cli_direction_spec_free(&options->directions[i]);
    free(options->directions);
}
