/* Images of the user's as a model's tensors: which files, read, cut, resized. */
#include "cli.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void cli_option_crop(const char *arg, int crop[4]) {
    char why[CLI_WHY];
    int64_t *values = NULL;
    int count = 0;
    if (!cli_parse_ints(arg, 0, INT32_MAX, 4, &values, &count, why))
        cli_usage_error("--crop: %s", why);
    if (count != 4 || values[2] < 1 || values[3] < 1)
        cli_usage_error("--crop: '%.60s' is not X,Y,W,H such as 10,20,128,128", arg);
    for (int i = 0; i < 4; i++)
        crop[i] = (int)values[i];
    free(values);
}

/* ----------------------------------------------------------- which files -- */

static bool cli_is_image_name(const char *name) {
    static const char *const endings[] = {".png", ".jpg",  ".jpeg", ".webp", ".gif",
                                          ".tif", ".tiff", ".heic", ".heif", ".avif"};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && dot > name && i < sizeof endings / sizeof *endings; i++)
        if (!strcasecmp(dot, endings[i]))
            return true;
    return false;
}

/* `name` inside `folder` (NULL: as it is) at the end of the list. */
static hs_status cli_add_path(cli_inputs *inputs, const char *folder, const char *name,
                              hs_error *err) {
    if ((inputs->count & (inputs->count - 1)) == 0) { /* full at every power of two */
        size_t room = inputs->count ? 2 * (size_t)inputs->count : 1;
        char **longer = realloc(inputs->paths, room * sizeof *longer);
        if (!longer)
            return cli_fail_memory(err);
        inputs->paths = longer;
    }
    if (inputs->count == CLI_MAX_INPUTS)
        return cli_fail(err, HS_ERROR_ARGUMENT, "more than %d images", CLI_MAX_INPUTS);
    char *path = NULL;
    const char *slash = folder && folder[strlen(folder) - 1] == '/' ? "" : "/";
    if (asprintf(&path, "%s%s%s", folder ? folder : "", folder ? slash : "", name) < 0)
        return cli_fail_memory(err);
    inputs->paths[inputs->count++] = path;
    return HS_OK;
}

static int cli_compare_paths(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The images of a folder, sorted by name; not those of folders in it. */
static hs_status cli_add_folder(const cli_session *session, const char *folder, cli_inputs *inputs,
                                hs_error *err) {
    DIR *dir = opendir(folder);
    if (!dir)
        return cli_fail(err, HS_ERROR_IO, "%s: %s", folder, strerror(errno));
    int first = inputs->count, others = 0;
    hs_status status = HS_OK;
    for (struct dirent *entry = readdir(dir); entry && status == HS_OK; entry = readdir(dir)) {
        if (*entry->d_name == '.')
            continue;
        if (cli_is_image_name(entry->d_name))
            status = cli_add_path(inputs, folder, entry->d_name, err);
        else
            others++;
    }
    closedir(dir);
    if (status != HS_OK)
        return status;
    int found = inputs->count - first;
    if (!found)
        return cli_fail(err, HS_ERROR_ARGUMENT,
                        "%s: there is no image in this folder (.png, .jpg, .webp, .gif, .tif, "
                        ".heic, .avif)",
                        folder);
    qsort(inputs->paths + first, (size_t)found, sizeof *inputs->paths, cli_compare_paths);
    if (others && !session->options->quiet)
        cli_message("note: %s: %d image%s; %d other file%s left out", folder, found,
                    found == 1 ? "" : "s", others, others == 1 ? "" : "s");
    return HS_OK;
}

hs_status cli_find_inputs(const cli_session *session, char **paths, int count, cli_inputs *out,
                          hs_error *err) {
    hs_status status = HS_OK;
    for (int i = 0; i < count && status == HS_OK; i++) {
        struct stat info;
        status = stat(paths[i], &info) == 0 && S_ISDIR(info.st_mode)
                     ? cli_add_folder(session, paths[i], out, err)
                     : cli_add_path(out, NULL, paths[i], err);
    }
    return status;
}

void cli_inputs_free(cli_inputs *inputs) {
    cli_free_strings(inputs->paths, inputs->count);
    for (int i = 0; inputs->bad && i < inputs->bad_count; i++) {
        free(inputs->bad[i].path);
        free(inputs->bad[i].reason);
    }
    free(inputs->bad);
    free(inputs->x);
    *inputs = (cli_inputs){0};
}

/* --------------------------------------------------------------- reading -- */

hs_status cli_read_input(const cli_session *session, const char *path, const int *crop, float *x,
                         hs_error *err) {
    const int *image = session->info.image;
    hs_pixels pixels = {0}, fitted = {0};
    hs_status status = hs_pixels_load(path, &pixels, err);
    if (status == HS_OK)
        status = hs_pixels_fit(path, &pixels, crop, image[2], image[1], image[0], &fitted, err);
    if (status == HS_OK)
        hs_tensor_from_pixels(&fitted, x);
    free(fitted.data);
    free(pixels.data);
    return status;
}

/* Path i cannot be used: say so, and move it from the list to the bad ones. */
static hs_status cli_reject_input(cli_session *session, cli_inputs *inputs, int i,
                                  const hs_error *why, hs_error *err) {
    cli_progress_end(&session->progress);
    cli_message("%s", why->message);
    char *reason = strdup(why->message);
    if (!reason)
        return cli_fail_memory(err);
    inputs->bad[inputs->bad_count++] = (cli_bad_input){.path = inputs->paths[i], .reason = reason};
    inputs->count--;
    memmove(inputs->paths + i, inputs->paths + i + 1,
            (size_t)(inputs->count - i) * sizeof *inputs->paths);
    return HS_OK;
}

hs_status cli_read_inputs(cli_session *session, const int *crop, cli_inputs *inputs,
                          hs_error *err) {
    size_t size = cli_float_count(1, session->info.image, 3);
    size_t floats = cli_float_count(inputs->count, session->info.image, 3);
    int total = inputs->count;
    inputs->x = floats ? malloc(floats * sizeof *inputs->x) : NULL;
    inputs->bad = calloc((size_t)total + 1, sizeof *inputs->bad);
    if (!inputs->x || !inputs->bad)
        return cli_fail_memory(err);
    hs_status status = HS_OK;
    for (int i = 0; i < inputs->count && status == HS_OK;) {
        hs_error why;
        status =
            cli_read_input(session, inputs->paths[i], crop, inputs->x + (size_t)i * size, &why);
        if (status == HS_OK)
            i++;
        else if (status == HS_ERROR_MEMORY)
            return cli_fail(err, status, "%s", why.message);
        else
            status = cli_reject_input(session, inputs, i, &why, err);
        if (!session->monitor.progress(session->monitor.ctx, "reading", i + inputs->bad_count,
                                       total))
            return cli_fail(err, HS_ERROR_CANCELLED, "stopped while reading; nothing was written");
    }
    if (status == HS_OK && !inputs->count)
        return cli_fail(err, HS_ERROR_FORMAT, "none of the %d images can be used", total);
    return status;
}
