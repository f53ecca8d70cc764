/* hspace evaluate, cut into files: evaluate.c options and the run, evaluate_rows.c
 * which directions and what they are meant to change, evaluate_show.c what is
 * written of the result. */
#ifndef HSPACE_CLI_EVALUATE_H
#define HSPACE_CLI_EVALUATE_H

#include "cli.h"

#define CLI_MAX_GROUPS 64

typedef struct cli_evaluate_options {
    cli_options common;
    hs_effect_options effect;
    char **attributes; /* [effect.attribute_count] */
    char **targets;    /* [target_count] one for each direction, or none */
    int target_count;
    char *groups[CLI_MAX_GROUPS];    /* [group_count] labels */
    int group_first[CLI_MAX_GROUPS]; /* [group_count] its first -d */
    int group_count;
    const char *figure, *resume;
} cli_evaluate_options;

/* What is open, and what was measured. */
typedef struct cli_evaluation {
    cli_evaluate_options *options;
    hs_classifier *classifier;
    hs_effect_row *rows; /* [common.direction_count] */
    char **row_targets;  /* [common.direction_count] entries may be NULL */
    char *resume;
    hs_cost cost;
    hs_effects *effects;
    hs_effects_view view;
} cli_evaluation;

/* A file named without a direction of it stands for all that it has. */
hs_status cli_evaluate_expand(cli_evaluate_options *options, hs_error *err);
/* rows and row_targets, of the session's directions. */
hs_status cli_evaluate_rows(cli_session *session, cli_evaluation *work, hs_error *err);

/* -o and --figure. */
hs_status cli_evaluate_save(const cli_session *session, const cli_evaluation *work, hs_error *err);
/* What goes to stdout: a table, or with --json one object. */
void cli_evaluate_print(const cli_session *session, const cli_evaluation *work);
/* -o ends as a CSV or JSON file, or a picture. */
bool cli_evaluate_can_write(const char *path);

#endif
