/* What the files of `edit` share: its options, and mixing (mix.c), which takes
 * the place of directions. */
#ifndef HSPACE_CLI_EDIT_H
#define HSPACE_CLI_EDIT_H

#include "cli.h"

typedef struct cli_edit_options {
    cli_options common;
    const char *recipe, *replay;
    bool cumulative;
    bool random; /* directions of chance in place of those of -d */
    int random_seed;
    bool space_given;
    int space_count;
    hs_space spaces[3]; /* --space */
    bool swap;
    int64_t swapped[2]; /* seeds, or items of --latent */
    bool interpolate;
    hs_blend blend;
    int points; /* between the two; 0: not given */
} cli_edit_options;

/* --swap-h and --interpolate: A,B and a list of spaces. */
void cli_parse_swap(cli_edit_options *options, const char *arg);
void cli_parse_spaces(cli_edit_options *options, const char *arg);
/* Mistakes that the command line alone shows. */
void cli_mix_check(const cli_edit_options *options);
/* Everything from the options to the report; the exit status. */
int cli_mix(cli_edit_options *options);

#endif
