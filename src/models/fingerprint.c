/*
 * The fingerprint of a model: XXH3-128 over
 *
 *   the config as JSON, keys sorted, without keys that begin with "_", then 0
 *   for each tensor, sorted by name:
 *     its name, 0, its dtype ("F16"), 0, its rank and dimensions as
 *     little-endian 64-bit integers, and its bytes as stored
 *
 * The scheduler is no part of it: directions belong to the network. Computing
 * it reads all weights, so the result is kept, in memory and, for models on
 * disk, in $XDG_CACHE_HOME/hspace (or ~/.cache/hspace) under a key made of the
 * paths, sizes and times of the files in the model's folder. A cache that
 * cannot be read or written is no error: the fingerprint is computed again.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "io/file.h"
#include "models/model.h"

static void hs_hash_text(XXH3_state_t *state, const char *text) {
    XXH3_128bits_update(state, text, strlen(text) + 1);
}

static void hs_hash_i64(XXH3_state_t *state, int64_t value) {
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)((uint64_t)value >> (8 * i));
    XXH3_128bits_update(state, bytes, sizeof bytes);
}

static void hs_hash_hex(const XXH3_state_t *state, char out[33]) {
    XXH128_hash_t hash = XXH3_128bits_digest(state);
    snprintf(out, 33, "%016llx%016llx", (unsigned long long)hash.high64,
             (unsigned long long)hash.low64);
}

/* Bytes that stand for floats count as these: how they are kept is no property of the model. */
static hs_status hs_hash_tensor(XXH3_state_t *state, const hs_tensor *tensor, hs_error *err) {
    float values[4096];
    int64_t count = hs_tensor_count(tensor);
    if (!tensor->codes) {
        XXH3_128bits_update(state, tensor->data, (size_t)hs_tensor_bytes(tensor));
        return HS_OK;
    }
    for (int64_t i = 0; i < count; i += 4096) {
        int64_t part = count - i < 4096 ? count - i : 4096;
        HS_TRY(hs_tensor_to_f32(tensor, i, part, values, err));
        XXH3_128bits_update(state, values, (size_t)part * sizeof *values);
    }
    return HS_OK;
}

static hs_status hs_fingerprint_compute(const hs_model *model, char out[33], hs_error *err) {
    XXH3_state_t *state = XXH3_createState();
    if (!state)
        return hs_fail_memory(err, 1024);
    XXH3_128bits_reset(state);
    hs_hash_text(state, model->config_json);
    hs_status status = HS_OK;
    for (int i = 0; i < model->weights->count && status == HS_OK; i++) {
        const hs_tensor *tensor = &model->weights->tensors[i];
        hs_hash_text(state, tensor->name);
        hs_hash_text(state, hs_dtype_name(tensor->codes ? HS_F32 : tensor->dtype));
        hs_hash_i64(state, tensor->rank);
        for (int d = 0; d < tensor->rank; d++)
            hs_hash_i64(state, tensor->dim[d]);
        status = hs_hash_tensor(state, tensor, err);
        hs_tensor_set_release(model->weights, tensor);
    }
    hs_hash_hex(state, out);
    XXH3_freeState(state);
    return status;
}

/* Path, size and time of every file in the folder; false: cannot be told. */
static bool hs_fingerprint_key(const char *folder, char out[33]) {
    bool known = false;
    struct dirent **entries = NULL;
    char *real = realpath(folder, NULL);
    XXH3_state_t *state = XXH3_createState();
    int count = real ? scandir(real, &entries, NULL, alphasort) : -1;
    if (state && count >= 0) {
        XXH3_128bits_reset(state);
        known = true;
    }
    for (int i = 0; i < count; i++) {
        struct stat info;
        char *path = hs_format("%s/%s", real, entries[i]->d_name);
        if (!path)
            known = false;
        else if (known && stat(path, &info) == 0 && S_ISREG(info.st_mode)) {
            hs_hash_text(state, path);
            hs_hash_i64(state, info.st_size);
            hs_hash_i64(state, info.st_mtim.tv_sec);
            hs_hash_i64(state, info.st_mtim.tv_nsec);
        }
        free(path);
        free(entries[i]);
    }
    if (known)
        hs_hash_hex(state, out);
    XXH3_freeState(state);
    free(entries);
    free(real);
    return known;
}

/* The cache file for this key; its folder is made. NULL: there is no place. */
static char *hs_fingerprint_path(const char *key) {
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char *base = NULL, *folder = NULL, *path = NULL;
    if (cache && cache[0] == '/')
        base = hs_strdup(cache);
    else if (home && *home)
        base = hs_format("%s/.cache", home);
    if (base && (folder = hs_format("%s/hspace", base))) {
        mkdir(base, 0700);
        mkdir(folder, 0700);
        path = hs_format("%s/fingerprint-v1-%s", folder, key);
    }
    free(folder);
    free(base);
    return path;
}

static bool hs_fingerprint_recall(const char *path, char out[33]) {
    hs_file file;
    if (hs_file_map(path, &file, NULL) != HS_OK)
        return false;
    bool good = file.size == 32;
    for (size_t i = 0; good && i < file.size; i++)
        good = file.data[i] && strchr("0123456789abcdef", file.data[i]);
    if (good)
        memcpy(out, file.data, 32);
    hs_file_unmap(&file);
    return good;
}

hs_status hs_model_fingerprint(hs_model *model, char out[33], hs_error *err) {
    char key[33], text[33] = "";
    char *path = NULL;
    if (!model->fingerprint[0]) {
        if (model->folder && hs_fingerprint_key(model->folder, key))
            path = hs_fingerprint_path(key);
        if (!path || !hs_fingerprint_recall(path, text)) {
            hs_status status = hs_fingerprint_compute(model, text, err);
            if (status != HS_OK) {
                free(path);
                return status;
            }
            if (path)
                hs_file_write(path, text, 32, NULL); /* only a cache: failing is no harm */
        }
        memcpy(model->fingerprint, text, sizeof text);
        free(path);
    }
    memcpy(out, model->fingerprint, 33);
    return HS_OK;
}
