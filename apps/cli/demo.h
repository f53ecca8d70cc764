/* What `hspace demo` found, for its page (demo_page.c). */
#ifndef HSPACE_CLI_DEMO_H
#define HSPACE_CLI_DEMO_H

#include "cli.h"

/* One direction: its grid and that of a random direction beside it. */
typedef struct cli_demo_part {
    int index;
    char *grid, *random;          /* file names inside the folder */
    double change, random_change; /* mean absolute change of a pixel, of 255 */
    double explained;             /* share of the variance, 0..1; negative: unknown */
} cli_demo_part;

typedef struct cli_demo_result {
    const char *folder; /* without a slash at its end */
    const char *model;  /* " -m MODEL" as the commands to try need it, or "" */
    const hs_model_info *info;
    hs_h_space h_space;
    int samples, steps, components;
    double eta, seconds;
    const char *overview, *directions, *recipe; /* file names inside the folder */
    cli_demo_part *parts;
    int part_count;
} cli_demo_result;

/* Write index.html, pictures inside, into the folder. */
hs_status cli_write_demo_page(const cli_demo_result *result, hs_error *err);

#endif
