/* See attribute.h: h of labelled images, by DDIM inversion. */
#include "attribute.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLI_BAD_SHOWN 20 /* images that are named one by one */

static char *cli_image_path(const cli_labelled_images *images, int row) {
    char *path = NULL;
    if (asprintf(&path, "%s/%s", images->folder, images->items[row]) < 0)
        return NULL;
    return path;
}

/* Each one is read as it will be for the work: beside an inversion that costs
 * nothing, and no bad image ends a run of hours. */
static hs_status cli_read_row(const cli_labelled_images *images, int row, float *x, hs_error *err) {
    char *path = cli_image_path(images, row);
    hs_status status =
        path ? cli_read_input(images->session, path, images->crop, x, err) : cli_fail_memory(err);
    free(path);
    return status;
}

/* Which rows have no image that can be read. */
static hs_status cli_find_bad_rows(const cli_labelled_images *images, int rows, bool *drop,
                                   float *x, hs_error *err) {
    cli_session *session = images->session;
    int bad = 0;
    for (int i = 0; i < rows; i++) {
        hs_error why = {0};
        hs_status status = cli_read_row(images, i, x, &why);
        if (status == HS_ERROR_MEMORY)
            return cli_fail(err, status, "%s", why.message);
        drop[i] = status != HS_OK;
        if (drop[i] && bad++ < CLI_BAD_SHOWN) {
            cli_progress_end(&session->progress);
            cli_message("left out: %s", why.message);
        }
        if (!session->monitor.progress(session->monitor.ctx, "reading", i + 1, rows))
            return cli_fail(err, HS_ERROR_CANCELLED, "stopped while reading");
    }
    cli_progress_end(&session->progress);
    if (bad > CLI_BAD_SHOWN)
        cli_message("%d more images left out", bad - CLI_BAD_SHOWN);
    return HS_OK;
}

hs_status cli_check_images(cli_labelled_images *images, hs_labels *labels, hs_error *err) {
    hs_labels_view view;
    hs_labels_view_get(labels, &view);
    images->items = view.items;
    if (access(images->folder, X_OK) != 0)
        return cli_fail(err, HS_ERROR_IO, "%s: cannot read the folder: %s", images->folder,
                        strerror(errno));
    bool *drop = calloc((size_t)view.rows + 1, sizeof *drop);
    float *x = malloc(cli_float_count(1, images->session->info.image, 3) * sizeof *x);
    hs_status status =
        drop && x ? cli_find_bad_rows(images, view.rows, drop, x, err) : cli_fail_memory(err);
    if (status == HS_OK)
        hs_labels_drop(labels, drop);
    free(x);
    free(drop);
    hs_labels_view_get(labels, &view);
    images->items = view.items;
    if (status == HS_OK && !view.rows)
        return cli_fail(err, HS_ERROR_ARGUMENT, "%s: none of the labelled images can be used",
                        images->folder);
    return status;
}

hs_status cli_source_images(void *ctx, int count, const int *rows, const hs_monitor *monitor,
                            float *h, hs_error *err) {
    const cli_labelled_images *images = ctx;
    cli_session *session = images->session;
    size_t size = cli_float_count(1, session->info.image, 3);
    hs_invert_options options = hs_invert_options_default();
    options.unchecked = true; /* what is wanted is h */
    hs_latents *latents = NULL;
    float *x = malloc((size_t)count * size * sizeof *x);
    hs_status status = x ? HS_OK : cli_fail_memory(err);
    for (int i = 0; i < count && status == HS_OK; i++)
        status = cli_read_row(images, rows[i], x + (size_t)i * size, err);
    if (status == HS_OK)
        status =
            hs_invert(session->sampler, &options, count, x, monitor, &latents, NULL, NULL, err);
    if (status == HS_OK) {
        hs_latents_view view;
        hs_latents_view_get(latents, &view);
        size_t length = (size_t)view.T * cli_float_count(1, view.h_shape, 3);
        if (images->noise) /* DDIM: x_T, and no z */
            memcpy(h, view.x_T, (size_t)count * size * sizeof *h);
        else
            memcpy(h, view.h, (size_t)count * length * sizeof *h);
    }
    hs_latents_free(latents);
    free(x);
    return status;
}
