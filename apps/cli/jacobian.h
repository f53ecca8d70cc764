/*
 * What the files of `hspace jacobian` share: jacobian.c has the options and the
 * order of things, region.c the masks, jacobian_show.c pictures and figures.
 */
#ifndef HSPACE_CLI_JACOBIAN_H
#define HSPACE_CLI_JACOBIAN_H

#include "cli.h"

/* --mask FILE[:LABELS] or --region x,y,w,h, as written; later with its pixels. */
typedef struct cli_region {
    const char *text;
    bool is_file;
    int labels[256], label_count;
    int rectangle[4]; /* x, y, w, h in pixels from the top left */
    char *path;       /* of a file, without labels */
    char *name;       /* "eye", "parts-4-5", "8,8,16,10" */
    uint8_t *inside;  /* [H,W] once loaded */
} cli_region;

/* Usage errors for what the text alone shows. */
void cli_region_parse_mask(const char *text, cli_region *out);
void cli_region_parse_rectangle(const char *text, cli_region *out);
/* The pixels of all, and names that differ: "eye", "eye-2". */
hs_status cli_regions_load(const hs_model_info *info, cli_region *regions, int count,
                           hs_error *err);
void cli_region_free(cli_region *region);

typedef struct cli_jacobian_options {
    cli_options common;
    hs_jacobian_options jacobian;
    int *steps; /* NULL: the middle one, unless `all` */
    bool all;   /* --step all */
    int64_t seed;
    cli_region *regions;
    int region_count;
    hs_mask *masks; /* [region_count] */
    bool compare;
    double strength; /* --strength, of --preview and --compare; 0: not given */
    const char *resume, *preview, *plot;
    int shown; /* most rows of the preview */
} cli_jacobian_options;

/* How much of a change lies inside a mask, and how large it is there. */
typedef struct cli_inside {
    double share; /* of the squared change; 0 where nothing changes */
    double rms;   /* of the change inside, in 8-bit levels */
} cli_inside;

/* Candidates with what they change, where the final image changes, and their u, as
 * a grid; `shares` [K] gets the share of squared change inside the mask (nothing
 * without masks; NaN for those not shown), or is NULL. */
hs_status cli_jacobian_preview(cli_session *session, const cli_jacobian_options *options,
                               const hs_directions *directions, double *shares, hs_error *err);
/* Singular values over the steps. */
hs_status cli_jacobian_plot(const cli_session *session, const cli_jacobian_options *options,
                            const hs_directions *directions, hs_error *err);
/*
 * What changes inside each region, in 8-bit pixels of the final images at strength
 * -S and S against 0, S that of the options or 1, the directions applied in the
 * options' window: out [K, region_count].
 */
hs_status cli_jacobian_shares(cli_session *session, const cli_jacobian_options *options,
                              const hs_directions *directions, cli_inside *out, hs_error *err);

#endif
