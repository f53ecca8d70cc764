/*
 * What the subcommands of `hspace` share: the command table, the common
 * options (options.c), messages and the end of the program (message.c),
 * progress (progress.c), opening things in order (setup.c), JSON reports
 * (report.c) and image output (output.c). No algorithms live here.
 */
#ifndef HSPACE_CLI_H
#define HSPACE_CLI_H

#include <argp.h>
#include <jansson.h>

#include "hspace.h"
#include "parse.h"

#define CLI_FAILED 1 /* exit status: it failed */
#define CLI_USAGE 2  /* exit status: the command line is wrong */

/* A subcommand. argv[0] is its name; returns the exit status. */
typedef struct cli_command {
    const char *name;
    const char *summary; /* one line for `hspace --help` */
    int (*run)(int argc, char **argv);
} cli_command;

int cli_info(int argc, char **argv);
int cli_eps(int argc, char **argv);
int cli_sample(int argc, char **argv);
int cli_edit(int argc, char **argv);
int cli_annotate(int argc, char **argv);
int cli_attribute(int argc, char **argv);
int cli_disentangle(int argc, char **argv);
int cli_evaluate(int argc, char **argv);
int cli_pca(int argc, char **argv);
int cli_invert(int argc, char **argv);
int cli_jacobian(int argc, char **argv);
int cli_demo(int argc, char **argv);

/* ------------------------------------------------------------ messages -- */

/* Print "hspace: ..." as one line on stderr. */
void cli_message(const char *format, ...) HS_PRINTF(1, 2);
/* Print the line and end the program with CLI_USAGE. Only for mistakes that
 * the command line alone shows, before any work. */
_Noreturn void cli_usage_error(const char *format, ...) HS_PRINTF(1, 2);
/* The exit status of a command: 0, or CLI_FAILED after its error's line. */
int cli_finish(hs_status status, const hs_error *err);
/* Fill `err` in the way the library does. */
hs_status cli_fail(hs_error *err, hs_status code, const char *format, ...) HS_PRINTF(3, 4);
hs_status cli_fail_memory(hs_error *err);
/* Standard streams that the caller closed must not be taken by other files;
 * what cannot be written to stdout makes the program fail at its end. */
void cli_guard_streams(void);
/* 2048 -> "2.0 KiB", 75.2 -> "1 min 15 s": into text. */
void cli_format_bytes(double bytes, char text[32]);
void cli_format_seconds(double seconds, char text[32]);

/* ------------------------------------------------------------- options -- */

/* The common options. A command's own struct begins with this one. */
typedef struct cli_options {
    const char *command;     /* "sample"; set by cli_parse_command, as is argp */
    const struct argp *argp; /* the command's, whose children get the options */

    const char *model; /* NULL: not given; cli_model_name says what then */
    hs_h_space h_space;
    hs_backend_kind backend;
    hs_precision precision;
    int threads;     /* 0: all */
    int64_t max_mem; /* 0: no bound */
    bool json, quiet;
    bool profile; /* --profile of commands that do not edit */
    const char *output;

    int64_t *seeds; /* NULL: not given */
    int seed_count;
    const char *latent;
    int64_t *items; /* of the latent file, in edit; NULL: all */
    int item_count;
    int steps; /* 0: not given */
    double *eta;
    int eta_count; /* 0: not given */
    int64_t z_seed;
    bool asyrp, clip;
    const char *tensors;

    cli_direction_spec *directions;
    int direction_count;
    int first, last; /* window; last < 0: all steps */
    bool window;     /* --window was given */
    bool sigma_profile, same_step;
    bool space_wanted; /* directions must be of `space` */
    hs_space space;

    const char *classifier; /* NULL: the embedded model's */
    const char *preprocess, *class_names;
    hs_classifier_kind scores;
} cli_options;

/* What --scores takes, by hs_classifier_kind. */
extern const char *const cli_score_names[];

/* Children for a command's argp: model and machine; sampling; --seed and its kin; edits;
 * --classifier and its kin. */
extern const struct argp cli_common_argp, cli_sampling_argp, cli_start_argp, cli_edit_argp,
    cli_classifier_argp;
/* --profile, for commands without cli_edit_argp, where the name means another thing. */
extern const struct argp cli_profile_argp;

/* Parse a command's arguments into `input`, a struct that begins with
 * cli_options. Ends the program on --help, --version and mistakes. */
void cli_parse_command(const struct argp *argp, int argc, char **argv, void *input);
/* For a command's parser: the keys that it does not know itself. */
error_t cli_default_key(int key, char *arg, struct argp_state *state);
/* The value of an option or a usage error that names it. */
int cli_option_int(const char *option, const char *text, int64_t min, int64_t max);
double cli_option_number(const char *option, const char *text, double min, double max);
/* "A,B" added to a list of strings [*count]; a usage error for an empty name.
 * cli_free_strings. */
void cli_split_names(const char *option, const char *arg, char ***list, int *count);
void cli_options_free(cli_options *options);
/* -m, else what HSPACE_MODEL names, else the default embedded model. */
const char *cli_model_name(const cli_options *options);

/* ------------------------------------------------------------ progress -- */

typedef struct cli_progress {
    bool quiet, terminal;
    bool drawn; /* an unfinished bar stands on the terminal */
    char phase[96];
    double begun, first_done; /* of this phase: clock, units at its first call */
    double shown;             /* clock of the last line or bar */
    /* Where one call does `items` of `of` items, after `done` of them; of 0: all. */
    int done, items, of;
} cli_progress;

double cli_clock(void);               /* seconds, monotonic */
double cli_seconds_since_start(void); /* since the process was started */
void cli_progress_begin(cli_progress *progress, bool quiet);
void cli_progress_end(cli_progress *progress); /* leave a clean line */
hs_monitor cli_progress_monitor(cli_progress *progress);
/* Ctrl-C: the first asks the work to stop, the second ends the program. */
void cli_catch_interrupt(void);
bool cli_interrupted(void);

/* --------------------------------------------------------------- setup -- */

/* Everything that a command has open. Zeroed by cli_session_begin. */
typedef struct cli_session {
    const cli_options *options;
    cli_progress progress;
    hs_monitor monitor;
    const char *embedded; /* name of the embedded model in use, or NULL */
    hs_model *model;
    hs_model_info info;
    hs_denoiser *denoiser;
    hs_sampler *sampler;
    hs_latents *latents;    /* --latent, or NULL */
    hs_directions **fitted; /* [options->direction_count] or NULL */
    hs_edit *edits;         /* [options->direction_count], strength of column 0 */
    double *profiles;       /* [options->direction_count, T] with --profile sigma, or NULL */
    double load_seconds;    /* from process start to first step ready */
    int64_t planned_bytes;  /* program, weights and activations, at the batch in use */
} cli_session;

void cli_session_begin(cli_session *session, const cli_options *options);
void cli_session_end(cli_session *session);
/* Model and denoiser. */
hs_status cli_open_denoiser(cli_session *session, hs_error *err);
/* These and the sampler, --latent included; default_eta where --eta is not
 * given. Plans for `items` images, so that the first step is ready. */
hs_status cli_open_sampler(cli_session *session, double default_eta, int items, hs_error *err);
#define CLI_LOW_PSNR 20.0 /* dB: below it an edit does not start from this image */
/* Before an edit: of --latent keep options->items alone, where they are given, and
 * warn of images whose inversion did not give them back. */
hs_status cli_pick_items(cli_session *session, hs_error *err);
/* -d: loaded, fitted to the sampler, ready as session->edits. */
hs_status cli_open_directions(cli_session *session, hs_error *err);
/* Plan for a batch of up to `items`; the end of load_seconds. */
hs_status cli_make_ready(cli_session *session, int items, hs_error *err);

/* What the options say of a denoiser. */
hs_denoiser_options cli_denoiser_options(const cli_options *options);

/* info --verify: `images` images of seeds 0 ..., eta 0, in both precisions. */
#define CLI_VERIFY_EQUAL 200 /* dB that stand for equal pixels */
typedef struct cli_verified {
    int images, steps;
    double largest, mean;             /* difference of 8-bit pixels, in levels */
    double psnr, least_psnr;          /* dB: mean of the images, and the least */
    double seconds_f32, seconds_fast; /* a pass, median */
} cli_verified;
hs_status cli_verify(cli_session *session, int steps, int images, cli_verified *out, hs_error *err);

/* --classifier, or the one beside the embedded model. */
hs_status cli_open_classifier(cli_session *session, hs_classifier **out, hs_error *err);

/* annotate.c: the index is of this session's samples; a new one becomes so. */
hs_status cli_bind_index(cli_session *session, hs_index *index, hs_error *err);

/* -------------------------------------------------------------- report -- */

/* A JSON object with the figures that every command gives: command, model,
 * load_seconds, seconds, passes, seconds_per_pass, peak_bytes. */
json_t *cli_report_new(const cli_session *session);
/* Print it on stdout and drop the reference; a failure shows at the end of the
 * program (cli_guard_streams). */
void cli_report_print(json_t *report);
/* What --profile asks for: as an object, and as a table on stderr. */
json_t *cli_profile_json(const cli_session *session);
void cli_profile_print(const cli_session *session);
json_t *cli_json_ints(const int *values, int count);
json_t *cli_json_int64s(const int64_t *values, int count);

/* -------------------------------------------------------------- output -- */

typedef enum cli_output_kind {
    CLI_OUTPUT_NONE,
    CLI_OUTPUT_IMAGE,
    CLI_OUTPUT_FOLDER
} cli_output_kind;

/* What -o asks for, by its ending; a usage error for anything else, and where
 * neither -o nor --tensors is given. */
cli_output_kind cli_image_output(const cli_options *options);
/* Does the name end as a picture's does? */
bool cli_is_picture(const char *path);
/* A file of the command line. */
typedef struct cli_path {
    const char *option; /* as the user wrote it: "-o" */
    const char *path;   /* NULL: not given */
    bool written;
} cli_path;
/* A usage error where one that is written is also another one of them: the one
 * written later would destroy the other. */
void cli_check_distinct(const cli_path *paths, int count);
/* For commands that make images: all files distinct, all outputs writable. */
hs_status cli_check_outputs(const cli_options *options, const char *recipe, cli_output_kind kind,
                            hs_error *err);
/* Fail before the work where the result could not be written after it. */
hs_status cli_check_writable(const char *path, cli_output_kind kind, hs_error *err);
/* mkdir; a folder that exists is fine. */
hs_status cli_make_folder(const char *path, hs_error *err);

/* Images and how they are shown: as a grid, row by row (cells beyond `count`
 * stay blank), as one picture, or as a file each. */
typedef struct cli_images {
    const hs_model_info *info;
    int count, rows, columns;
    int first;      /* number of the first in file names */
    const float *x; /* [count,C,H,W] */
    const char *title;
    char **row_labels;    /* [rows] or NULL */
    char **column_labels; /* [columns] or NULL */
    char **item_names;    /* [count]: for file names in a folder */
    int group_count;      /* groups of rows, as in hs_grid */
    const int *group_rows;
    const char *const *group_labels;
} cli_images;
hs_status cli_save_images(const cli_images *images, cli_output_kind kind, const char *path,
                          hs_error *err);
/* HS_ERROR_UNSUPPORTED unless the model's images can be shown. */
hs_status cli_check_channels(const cli_session *session, hs_error *err);
/* count * product of dims; 0 where that overflows as bytes of float. */
size_t cli_float_count(int64_t count, const int *dims, int rank);
/* Tables of strings made by asprintf (calloc'ed, so that entries may be NULL). */
char **cli_new_strings(int count);
void cli_free_strings(char **strings, int count);

/* ---------------------------------------------------------------- runs -- */

/*
 * One image for each of rows x columns: row r starts from seeds[r] (or latent
 * r, with seeds NULL), column s has the strengths [columns, edit_count]. Zero
 * it, fill in the first part, cli_run_sample; cli_run_free.
 */
typedef struct cli_run {
    int rows, columns;
    const int64_t *seeds; /* [rows] or NULL: the session's latents */
    const hs_edit *edits; /* [edit_count] */
    int edit_count;
    const double *strengths; /* [columns, edit_count] */
    bool by_row;             /* strengths is [rows, columns, edit_count] */
    bool keep_h;

    float *x; /* out: [rows*columns,C,H,W] */
    float *h; /* out: [rows*columns,T,c,h,w], with keep_h */
} cli_run;
hs_status cli_run_sample(cli_session *session, cli_run *run, hs_error *err);
/* Metadata of a latent file that the session knows: eta, h_space, model. */
json_t *cli_tensors_facts(const cli_session *session);
/* The latent file of --tensors: item r * columns + s. */
hs_status cli_run_save_tensors(cli_session *session, const cli_run *run, const char *path,
                               hs_error *err);
void cli_run_free(cli_run *run);

/*
 * The first `count` directions, each a row of `columns` strengths from -range
 * to range on one seed; below them as many random directions with the same
 * norm at every step. change [2 * count], if not NULL, gets the mean absolute
 * change of a pixel (of 255) between the outer strengths and the middle.
 */
typedef struct cli_preview {
    const hs_directions *directions;
    int count, columns;
    double range;
    int64_t seed;
    const char *path; /* of the grid */
} cli_preview;
hs_status cli_save_preview(cli_session *session, const cli_preview *preview, double *change,
                           hs_error *err);
/* columns numbers from -range to range. */
void cli_spread(double range, int columns, double *out);
/* "-1.5", "0", "+1.5" for each column. */
hs_status cli_strength_labels(const double *strengths, int columns, char **labels, hs_error *err);

/* Seconds a pass of one item, in batches as for n items: the better of two. */
hs_status cli_measure_pass(cli_session *session, int n, double *seconds, hs_error *err);
/* Say what a PCA will take (on stderr, unless --quiet). */
hs_status cli_announce_pca(cli_session *session, const hs_pca_options *pca, hs_cost *cost,
                           hs_error *err);

/* -------------------------------------------------------- real images -- */

#define CLI_MAX_INPUTS 1000000

typedef struct cli_bad_input {
    char *path, *reason;
} cli_bad_input;

/* Images that a command line names. Zero it; cli_inputs_free. */
typedef struct cli_inputs {
    int count;
    char **paths; /* [count] those to be used */
    float *x;     /* [count,C,H,W], after cli_read_inputs */
    int bad_count;
    cli_bad_input *bad; /* [bad_count] those that cannot be used, and why */
} cli_inputs;

/* The files named, in order, and the images in the folders named, by name. */
hs_status cli_find_inputs(const cli_session *session, char **paths, int count, cli_inputs *out,
                          hs_error *err);
/* The value of --crop, x, y, w, h, or a usage error. */
void cli_option_crop(const char *arg, int crop[4]);
/* One image cut (crop or NULL) and resized for the session's model: x [C,H,W]. */
hs_status cli_read_input(const cli_session *session, const char *path, const int *crop, float *x,
                         hs_error *err);
/* Read them for the session's model: hs_pixels_fit with `crop` or NULL. One that
 * cannot be used is named on stderr and moves to `bad`; fails if none is left. */
hs_status cli_read_inputs(cli_session *session, const int *crop, cli_inputs *inputs, hs_error *err);
void cli_inputs_free(cli_inputs *inputs);

/* An inversion as a picture: original, reconstruction and, with -d, the edits,
 * a row for each of the first CLI_INVERT_ROWS images. */
#define CLI_INVERT_ROWS 12
typedef struct cli_inversion {
    const cli_inputs *inputs;
    const hs_latents *latents;
    const float *reconstruction; /* [count,C,H,W] */
    const double *psnr;          /* [count] */
} cli_inversion;
hs_status cli_save_inversion(cli_session *session, const cli_inversion *inversion, const char *path,
                             hs_error *err);

/* The columns of a grid: strengths [columns, direction_count] of what -d sweeps,
 * malloc'ed; labels, strdup'ed; and what all of it is. */
int cli_sweep_columns(const cli_options *options);
double *cli_sweep_strengths(const cli_options *options, int columns);
char *cli_column_label(const cli_options *options, int column);
char *cli_edit_title(const cli_session *session);

/* ------------------------------------------------------------- recipes -- */

/* Write the recipe of one image: the first seed or latent, all directions at
 * their first strength. */
hs_status cli_save_recipe(cli_session *session, const char *path, hs_error *err);
/* Fill the options in from a recipe; seeds, latents and directions given
 * beside it are a usage error. `*keep` owns the strings: hs_recipe_free. */
hs_status cli_apply_recipe(cli_options *options, const char *path, hs_recipe **keep, hs_error *err);

/* What image commands say at their end: JSON, or one line. `recipe` and
 * `extra`, an object whose members are added and whose reference is taken, may
 * be NULL. */
void cli_report_images(const cli_session *session, const cli_run *run, const char *recipe,
                       json_t *extra);

#endif
