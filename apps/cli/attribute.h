/* What the files of `attribute` share: the command, which directions it is to find
 * (attribute_plan.c), its source of h for images (attribute_images.c), and the effect
 * of a curve (attribute_curve.c). */
#ifndef HSPACE_CLI_ATTRIBUTE_H
#define HSPACE_CLI_ATTRIBUTE_H

#include "cli.h"

/* Labelled images, whose h comes from inverting them. */
typedef struct cli_labelled_images {
    cli_session *session;
    const char *folder;
    const int *crop;          /* x, y, w, h, or NULL */
    const char *const *items; /* [rows] names inside the folder */
    bool noise;               /* x_T is wanted, not h */
} cli_labelled_images;

#define CLI_MAX_GIVEN 16

typedef struct cli_attribute_options {
    cli_options common;
    hs_attribute_options wanted; /* what all directions share */
    const char *index, *source, *images, *labels;
    bool pairs, crops;
    int crop[4];       /* x, y, w, h */
    char **attributes; /* [attribute_count] */
    int attribute_count;
    const char *given[CLI_MAX_GIVEN]; /* [given_count] names, "all" or "none" */
    int given_count;
    char **balance; /* [wanted.balance_count] */
    int curve[HS_CURVE_MAX];
} cli_attribute_options;

/* What is open, and what was found. */
typedef struct cli_attribution {
    cli_attribute_options *options;
    hs_index *index;
    hs_labels *labels;
    cli_labelled_images images;
    int bad;
    hs_attribute_options *each; /* [each_count] a direction: attributes x given */
    char ***given;              /* [each_count] lists that `each` names */
    char **names;               /* [each_count] or entries NULL: the attribute's */
    int each_count;
    char **columns; /* [column_count] that are needed of the labels */
    int column_count;
    hs_directions *directions;
    hs_attribute_report *reports; /* [each_count] */
    hs_directions *curve;         /* of --curve with a judge; else NULL, as these: */
    hs_classifier *judge;
    hs_effects *effects; /* a row a point */
    hs_effects_view effect;
} cli_attribution;

/* each, columns and room for reports; `names` [count] are the labels' attributes. */
hs_status cli_attribute_plan(cli_attribution *work, const char *const *names, int count,
                             hs_error *err);
/* Labelled images are all taken, split at the middle of each attribute's scores. */
hs_status cli_split_images(cli_attribution *work, hs_error *err);
/* attribute_curve.c: --classifier, which must score the attribute; and the effect of
 * the directions work->curve by it. */
hs_status cli_open_curve_judge(cli_session *session, cli_attribution *work, hs_error *err);
hs_status cli_measure_curve(cli_session *session, cli_attribution *work, hs_error *err);
void cli_attribute_plan_free(cli_attribution *work);

/* Take rows out of the labels whose image cannot be used, each with a line. */
hs_status cli_check_images(cli_labelled_images *images, hs_labels *labels, hs_error *err);
/* An hs_h_source; ctx is a cli_labelled_images. */
hs_status cli_source_images(void *ctx, int count, const int *rows, const hs_monitor *monitor,
                            float *h, hs_error *err);

#endif
