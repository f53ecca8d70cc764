/* What the two files of `attribute` share: the command, and its source of h for
 * images (attribute_images.c). */
#ifndef HSPACE_CLI_ATTRIBUTE_H
#define HSPACE_CLI_ATTRIBUTE_H

#include "cli.h"

/* Labelled images, whose h comes from inverting them. */
typedef struct cli_labelled_images {
    cli_session *session;
    const char *folder;
    const int *crop;          /* x, y, w, h, or NULL */
    const char *const *items; /* [rows] names inside the folder */
} cli_labelled_images;

/* Take rows out of the labels whose image cannot be used, each with a line. */
hs_status cli_check_images(cli_labelled_images *images, hs_labels *labels, hs_error *err);
/* An hs_h_source; ctx is a cli_labelled_images. */
hs_status cli_source_images(void *ctx, int count, const int *rows, const hs_monitor *monitor,
                            float *h, hs_error *err);

#endif
