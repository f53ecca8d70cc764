/* Where images and tensors go: one picture, a labelled grid, a folder. */
#include "cli.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool cli_ends_with(const char *text, const char *ending) {
    size_t length = strlen(text), tail = strlen(ending);
    return length > tail && !strcasecmp(text + length - tail, ending);
}

bool cli_is_picture(const char *path) {
    static const char *const endings[] = {".png", ".jpg", ".jpeg", ".webp", ".svg"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (cli_ends_with(path, endings[i]))
            return true;
    return false;
}

cli_output_kind cli_image_output(const cli_options *options) {
    const char *path = options->output;
    struct stat info;
    if (!path) {
        if (!options->tensors)
            cli_usage_error("%s: -o says where the images go (x.png, .jpg, .webp, .svg or dir/)",
                            options->command);
        return CLI_OUTPUT_NONE;
    }
    if (path[strlen(path) - 1] == '/' || (stat(path, &info) == 0 && S_ISDIR(info.st_mode)))
        return CLI_OUTPUT_FOLDER;
    if (cli_is_picture(path))
        return CLI_OUTPUT_IMAGE;
    cli_usage_error("-o %.200s: neither a picture (.png, .jpg, .webp, .svg) nor a folder (dir/)",
                    path);
}

hs_status cli_check_writable(const char *path, cli_output_kind kind, hs_error *err) {
    char folder[PATH_MAX];
    struct stat info;
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof folder)
        return cli_fail(err, HS_ERROR_IO, "the output's name has %zu characters", length);
    memcpy(folder, path, length + 1);
    while (length > 1 && folder[length - 1] == '/')
        folder[--length] = '\0';
    bool is_folder = stat(path, &info) == 0 && S_ISDIR(info.st_mode);
    if (is_folder && kind != CLI_OUTPUT_FOLDER)
        return cli_fail(err, HS_ERROR_IO, "%s: is a folder, where a file is to be written", path);
    /* A folder that is to be made needs its parent, a file its folder. */
    char *slash = strrchr(folder, '/');
    if (!is_folder && !slash)
        memcpy(folder, ".", 2);
    else if (!is_folder)
        slash[slash == folder] = '\0';
    if (stat(folder, &info) == 0 && !S_ISDIR(info.st_mode))
        return cli_fail(err, HS_ERROR_IO, "%s: cannot be written: %s is not a folder", path,
                        folder);
    if (access(folder, W_OK | X_OK) != 0)
        return cli_fail(err, HS_ERROR_IO, "%s: cannot be written: folder %s: %s", path, folder,
                        strerror(errno));
    return HS_OK;
}

/* Two spellings of one file; the files need not exist yet. */
static bool cli_same_file(const char *a, const char *b) {
    const char *paths[2] = {a, b};
    char full[2][PATH_MAX];
    for (int i = 0; i < 2; i++) {
        if (realpath(paths[i], full[i]))
            continue;
        const char *slash = strrchr(paths[i], '/'), *name = slash ? slash + 1 : paths[i];
        char folder[PATH_MAX], real[PATH_MAX];
        snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - paths[i]) + 1 : 2,
                 slash ? paths[i] : "./");
        if (!realpath(folder, real) ||
            snprintf(full[i], sizeof full[i], "%s/%s", real, name) >= (int)sizeof full[i])
            return !strcmp(a, b);
    }
    return !strcmp(full[0], full[1]);
}

void cli_check_distinct(const cli_path *paths, int count) {
    for (int i = 0; i < count; i++)
        for (int j = i + 1; j < count; j++)
            if (paths[i].path && paths[j].path && (paths[i].written || paths[j].written) &&
                cli_same_file(paths[i].path, paths[j].path))
                cli_usage_error("%s and %s are the same file: %.200s", paths[i].option,
                                paths[j].option, paths[i].path);
}

hs_status cli_check_outputs(const cli_options *options, const char *recipe, cli_output_kind kind,
                            hs_error *err) {
    cli_path paths[] = {{"-o", options->output, true},
                        {"--tensors", options->tensors, true},
                        {"--recipe", recipe, true},
                        {"--latent", options->latent, false},
                        {"-d", NULL, false}};
    hs_status status = HS_OK;
    cli_check_distinct(paths, 4);
    for (int i = 0; i < options->direction_count; i++) {
        paths[4].path = options->directions[i].file;
        cli_check_distinct(paths, 5);
    }
    for (int i = 0; i < 3 && status == HS_OK; i++)
        if (paths[i].path)
            status = cli_check_writable(paths[i].path, i == 0 ? kind : CLI_OUTPUT_NONE, err);
    return status;
}

hs_status cli_make_folder(const char *path, hs_error *err) {
    struct stat info;
    if (mkdir(path, 0777) == 0)
        return HS_OK;
    int reason = errno;
    if (reason == EEXIST && stat(path, &info) == 0) {
        if (S_ISDIR(info.st_mode))
            return HS_OK;
        reason = ENOTDIR;
    }
    return cli_fail(err, HS_ERROR_IO, "%s: the folder cannot be made: %s", path, strerror(reason));
}

hs_status cli_check_channels(const cli_session *session, hs_error *err) {
    int channels = session->info.image[0];
    if (channels == 1 || channels == 3)
        return HS_OK;
    return cli_fail(err, HS_ERROR_UNSUPPORTED,
                    "%s: its images have %d channels, which no picture shows: use --tensors FILE "
                    "without -o",
                    session->info.name, channels);
}

size_t cli_float_count(int64_t count, const int *dims, int rank) {
    size_t total = count > 0 ? (size_t)count : 0;
    for (int i = 0; i < rank; i++)
        if (dims[i] <= 0 || __builtin_mul_overflow(total, (size_t)dims[i], &total))
            return 0;
    return total > SIZE_MAX / sizeof(float) ? 0 : total;
}

char **cli_new_strings(int count) {
    return calloc((size_t)count + 1, sizeof(char *));
}

void cli_free_strings(char **strings, int count) {
    for (int i = 0; strings && i < count; i++)
        free(strings[i]);
    free(strings);
}

/* DIR/012_seed_7.png: the item's number first, so that names are unique and
 * sort as the grid reads. What is awkward in a file name becomes '_'. */
static hs_status cli_save_item(const cli_images *images, const hs_pixels *pixels,
                               const char *folder, int index, hs_error *err) {
    char name[100] = "";
    const char *label = images->item_names ? images->item_names[index] : "";
    for (size_t n = 0; label[n] && n + 1 < sizeof name; n++) {
        unsigned char c = (unsigned char)label[n];
        bool plain = strchr("+-.", c) || (c < 0x80 && isalnum(c));
        name[n] = plain ? (char)c : '_';
        name[n + 1] = '\0';
    }
    const char *slash = folder[strlen(folder) - 1] == '/' ? "" : "/";
    char *path = NULL;
    if (asprintf(&path, "%s%s%03d%s%s.png", folder, slash, images->first + index, *name ? "_" : "",
                 name) < 0)
        return cli_fail_memory(err);
    hs_status status = hs_pixels_save(pixels, path, err);
    free(path);
    return status;
}

/* Cells of a grid; `data` of each is malloc'ed, or NULL for a blank one. */
static hs_status cli_make_cells(const cli_images *images, hs_pixels *cells, hs_error *err) {
    const int *shape = images->info->image;
    size_t size = cli_float_count(1, shape, 3);
    hs_status status = HS_OK;
    for (int i = 0; i < images->count && status == HS_OK; i++)
        status = hs_pixels_from_tensor(images->x + (size_t)i * size, shape[0], shape[1], shape[2],
                                       &cells[i], err);
    return status;
}

hs_status cli_save_images(const cli_images *images, cli_output_kind kind, const char *path,
                          hs_error *err) {
    int count = images->rows * images->columns;
    if (kind == CLI_OUTPUT_NONE)
        return HS_OK;
    hs_pixels *cells = calloc((size_t)count, sizeof *cells);
    hs_status status = cells ? cli_make_cells(images, cells, err) : cli_fail_memory(err);
    if (status == HS_OK && kind == CLI_OUTPUT_FOLDER) {
        status = cli_make_folder(path, err);
        for (int i = 0; i < images->count && status == HS_OK; i++)
            status = cli_save_item(images, &cells[i], path, i, err);
    } else if (status == HS_OK && images->count == 1) {
        status = hs_pixels_save(&cells[0], path, err);
    } else if (status == HS_OK) {
        hs_grid grid = {.rows = images->rows,
                        .columns = images->columns,
                        .cells = cells,
                        .title = images->title,
                        .row_labels = (const char *const *)images->row_labels,
                        .column_labels = (const char *const *)images->column_labels,
                        .group_count = images->group_count,
                        .group_rows = images->group_rows,
                        .group_labels = images->group_labels};
        status = hs_grid_save(&grid, path, err);
    }
    for (int i = 0; cells && i < count; i++)
        free(cells[i].data);
    free(cells);
    return status;
}
