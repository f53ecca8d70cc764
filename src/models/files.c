/* See files.h. */
#include "models/files.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool hs_is_folder(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static bool hs_is_file(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

/* "owner/name", of the characters that the hub allows; no path. */
static bool hs_is_hub_id(const char *name) {
    int slashes = 0;
    for (const char *p = name; *p; p++) {
        if (*p == '/')
            slashes++;
        else if (!isalnum((unsigned char)*p) && !strchr("-_.", *p))
            return false;
    }
    size_t length = strlen(name);
    return slashes == 1 && length < 200 && name[0] != '/' && name[0] != '.' &&
           name[length - 1] != '/' && !strstr(name, "..");
}

/* The cache's folder, by the variables that the hub's own client reads. */
static char *hs_hub_cache(void) {
    const char *cache = getenv("HF_HUB_CACHE"), *home = getenv("HF_HOME"), *user = getenv("HOME");
    if (cache && *cache)
        return hs_strdup(cache);
    if (home && *home)
        return hs_format("%s/hub", home);
    return hs_format("%s/.cache/huggingface/hub", user ? user : "");
}

/* models--owner--name/refs/main names the commit under snapshots/. */
static hs_status hs_hub_find(const char *id, char **out, hs_error *err) {
    hs_status status = HS_OK;
    char *cache = hs_hub_cache(), *folder = NULL, *reference = NULL, *result = NULL;
    hs_file file = {0};
    int owner = (int)(strchr(id, '/') - id);
    if (!cache || !(folder = hs_format("%s/models--%.*s--%s", cache, owner, id, id + owner + 1)) ||
        !(reference = hs_format("%s/refs/main", folder))) {
        status = hs_fail_memory(err, 4096);
        goto cleanup;
    }
    if (!hs_is_folder(folder)) {
        status = hs_fail(err, HS_ERROR_IO, "%s: no such folder, and not in the hub's cache %s", id,
                         cache);
        goto cleanup;
    }
    HS_CHECK(hs_file_map(reference, &file, err));
    int length = 0;
    while (length < (int)file.size && length < 100 && isalnum(file.data[length]))
        length++;
    if (!length || (length < (int)file.size && !isspace(file.data[length]))) {
        status = hs_fail(err, HS_ERROR_FORMAT, "%s: expected the name of a commit", reference);
        goto cleanup;
    }
    result = hs_format("%s/snapshots/%.*s", folder, length, (const char *)file.data);
    if (!result)
        status = hs_fail_memory(err, 4096);
    else if (!hs_is_folder(result))
        status =
            hs_fail(err, HS_ERROR_IO, "%s: no such folder, though %s names it", result, reference);
cleanup:
    if (status == HS_OK) {
        *out = result;
        result = NULL;
    }
    free(result);
    hs_file_unmap(&file);
    free(reference);
    free(folder);
    free(cache);
    return status;
}

hs_status hs_model_find_folder(const char *name, char **out, hs_error *err) {
    if (!name || !*name)
        return hs_fail(err, HS_ERROR_ARGUMENT, "model: expected a folder or a hub id, found \"\"");
    if (hs_is_folder(name)) {
        *out = hs_strdup(name);
        return *out ? HS_OK : hs_fail_memory(err, strlen(name) + 1);
    }
    if (hs_is_file(name))
        return hs_fail(err, HS_ERROR_ARGUMENT, "%s: a file, expected the folder of a model", name);
    if (hs_is_hub_id(name))
        return hs_hub_find(name, out, err);
    return hs_fail(err, HS_ERROR_IO, "%s: no such folder", name);
}

static const hs_blob *hs_blob_find(const hs_model_files *files, const char *relative) {
    for (size_t i = 0; i < files->blob_count; i++)
        if (!strcmp(files->blobs[i].name, relative))
            return &files->blobs[i];
    return NULL;
}

char *hs_model_files_path(const hs_model_files *files, const char *relative) {
    return hs_format("%s/%s", files->root, relative);
}

bool hs_model_files_has(const hs_model_files *files, const char *relative) {
    if (files->blobs)
        return hs_blob_find(files, relative) != NULL;
    char *path = hs_model_files_path(files, relative);
    bool found = path && hs_is_file(path);
    free(path);
    return found;
}

const char *hs_model_files_first(const hs_model_files *files, const char *const *candidates) {
    for (; *candidates; candidates++)
        if (hs_model_files_has(files, *candidates))
            return *candidates;
    return NULL;
}

hs_status hs_model_files_read(const hs_model_files *files, const char *relative, hs_file *out,
                              hs_error *err) {
    if (files->blobs) {
        const hs_blob *blob = hs_blob_find(files, relative);
        if (!blob)
            return hs_fail(err, HS_ERROR_IO, "%s/%s: no such blob", files->root, relative);
        *out = (hs_file){.data = blob->data, .size = blob->size, .mapped = false};
        return HS_OK;
    }
    char *path = hs_model_files_path(files, relative);
    if (!path)
        return hs_fail_memory(err, 4096);
    hs_status status = hs_file_map(path, out, err);
    free(path);
    return status;
}

typedef struct hs_weight_file {
    const char *name;
    hs_status (*open)(const char *path, hs_tensor_set **out, hs_error *err);
    hs_status (*parse)(const char *path, const void *data, size_t size, hs_tensor_set **out,
                       hs_error *err); /* NULL: not from memory */
} hs_weight_file;

#define HS_WEIGHT_FILES 6

/* Names of weight files, in the order of preference. */
static const hs_weight_file hs_weight_files[HS_WEIGHT_FILES] = {
    {"diffusion_pytorch_model.safetensors", hs_safetensors_open, hs_safetensors_parse},
    {"diffusion_pytorch_model.safetensors.index.json", hs_safetensors_open_sharded, NULL},
    {"diffusion_pytorch_model.bin", hs_torch_open, hs_torch_parse},
    {"diffusion_pytorch_model.bin.index.json", hs_torch_open_sharded, NULL},
    {"diffusion_pytorch_model.fp16.safetensors", hs_safetensors_open, hs_safetensors_parse},
    {"diffusion_pytorch_model.fp16.bin", hs_torch_open, hs_torch_parse},
};

static const hs_weight_file hs_classifier_files[HS_WEIGHT_FILES] = {
    {"model.safetensors", hs_safetensors_open, hs_safetensors_parse},
    {"model.safetensors.index.json", hs_safetensors_open_sharded, NULL},
    {"pytorch_model.bin", hs_torch_open, hs_torch_parse},
    {"pytorch_model.bin.index.json", hs_torch_open_sharded, NULL},
    {"model.fp16.safetensors", hs_safetensors_open, hs_safetensors_parse},
    {"pytorch_model.fp16.bin", hs_torch_open, hs_torch_parse},
};

static hs_status hs_weights_open_one(const hs_model_files *files, const hs_weight_file *kind,
                                     const char *relative, hs_tensor_set **out, hs_error *err) {
    char *path = hs_model_files_path(files, relative);
    if (!path)
        return hs_fail_memory(err, 4096);
    hs_status status;
    if (!files->blobs) {
        status = kind->open(path, out, err);
    } else if (kind->parse) {
        const hs_blob *blob = hs_blob_find(files, relative);
        status = kind->parse(path, blob->data, blob->size, out, err);
    } else {
        status =
            hs_fail(err, HS_ERROR_UNSUPPORTED,
                    "%s: sharded weights in memory are not supported, expected one file", path);
    }
    free(path);
    return status;
}

/* The first file of `kinds` that is there; *found false: none is. */
static hs_status hs_weights_find(const hs_model_files *files, const char *folder,
                                 const hs_weight_file *kinds, bool *found, hs_tensor_set **out,
                                 hs_error *err) {
    char relative[128];
    for (int i = 0; i < HS_WEIGHT_FILES; i++) {
        snprintf(relative, sizeof relative, "%s%s", folder, kinds[i].name);
        *found = hs_model_files_has(files, relative);
        if (*found)
            return hs_weights_open_one(files, &kinds[i], relative, out, err);
    }
    return HS_OK;
}

hs_status hs_model_files_weights(const hs_model_files *files, const char *folder,
                                 hs_tensor_set **out, hs_error *err) {
    bool found;
    HS_TRY(hs_weights_find(files, folder, hs_weight_files, &found, out, err));
    if (found)
        return HS_OK;
    return hs_fail(err, HS_ERROR_IO,
                   "%s/%s: no weights; looked for diffusion_pytorch_model with the endings "
                   ".safetensors, .safetensors.index.json, .bin, .bin.index.json, "
                   ".fp16.safetensors, .fp16.bin",
                   files->root, folder);
}

hs_status hs_model_files_classifier_weights(const hs_model_files *files, hs_tensor_set **out,
                                            hs_error *err) {
    bool found;
    HS_TRY(hs_weights_find(files, "", hs_classifier_files, &found, out, err));
    if (found)
        return HS_OK;
    return hs_fail(err, HS_ERROR_IO,
                   "%s: no weights; looked for model.safetensors and pytorch_model.bin, whole or "
                   "in shards, and their fp16 variants",
                   files->root);
}
