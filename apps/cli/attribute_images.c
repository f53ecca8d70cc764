/* See attribute.h: h of labelled images, by DDIM inversion. */
#include "attribute.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Up to here all images are decoded before the work starts; beyond it, they are
 * only looked for. */
#define CLI_DECODED_BEFORE 5000

static char *cli_image_path(const cli_labelled_images *images, int row) {
    char *path = NULL;
    if (asprintf(&path, "%s/%s", images->folder, images->items[row]) < 0)
        return NULL;
    return path;
}

hs_status cli_check_images(cli_labelled_images *images, hs_labels *labels, hs_error *err) {
    hs_labels_view view;
    hs_status status = HS_OK;
    int shown = 0;
    hs_labels_view_get(labels, &view);
    images->items = view.items;
    bool *drop = calloc((size_t)view.rows + 1, sizeof *drop);
    if (!drop)
        return cli_fail_memory(err);
    for (int i = 0; i < view.rows && status == HS_OK; i++) {
        hs_pixels pixels = {0};
        hs_error why = {0};
        char *path = cli_image_path(images, i);
        if (!path)
            status = cli_fail_memory(err);
        else if (view.rows > CLI_DECODED_BEFORE)
            drop[i] = access(path, R_OK) != 0;
        else
            drop[i] = hs_pixels_load(path, &pixels, &why) != HS_OK;
        if (drop[i] && shown++ < 20)
            cli_message("left out: %s", *why.message ? why.message : path);
        free(pixels.data);
        free(path);
    }
    if (shown > 20)
        cli_message("%d more images left out", shown - 20);
    if (status == HS_OK)
        hs_labels_drop(labels, drop);
    free(drop);
    hs_labels_view_get(labels, &view);
    images->items = view.items;
    if (status == HS_OK && !view.rows)
        return cli_fail(err, HS_ERROR_ARGUMENT, "%s: none of the labelled images can be used",
                        images->folder);
    return status;
}

static hs_status cli_read_row(const cli_labelled_images *images, int row, float *x, hs_error *err) {
    const int *image = images->session->info.image;
    hs_pixels pixels = {0}, fitted = {0};
    char *path = cli_image_path(images, row);
    if (!path)
        return cli_fail_memory(err);
    hs_status status = hs_pixels_load(path, &pixels, err);
    if (status == HS_OK)
        status = hs_pixels_fit(path, &pixels, NULL, image[2], image[1], image[0], &fitted, err);
    if (status == HS_OK)
        hs_tensor_from_pixels(&fitted, x);
    free(fitted.data);
    free(pixels.data);
    free(path);
    return status;
}

hs_status cli_source_images(void *ctx, int count, const int *rows, const hs_monitor *monitor,
                            float *h, hs_error *err) {
    const cli_labelled_images *images = ctx;
    cli_session *session = images->session;
    size_t size = cli_float_count(1, session->info.image, 3);
    hs_invert_options options = hs_invert_options_default();
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
