/*
 * Folders as diffusers writes them:
 *
 *   model_index.json            config.json                (bare; the scheduler
 *   unet/config.json            diffusion_pytorch_...       beside it or in
 *   unet/diffusion_pytorch_...  scheduler_config.json       ../scheduler/)
 *   scheduler/scheduler_config.json
 */
#include <stdlib.h>
#include <string.h>

#include "io/json.h"
#include "models/config.h"
#include "models/family.h"
#include "models/unet2d.h"

char *hs_config_canonical(const void *data, size_t size, hs_arena *arena) {
    json_t *json = json_loadb(data, size, 0, NULL);
    const char *key;
    json_t *value;
    void *next;
    json_object_foreach_safe(json, next, key, value) {
        if (key[0] == '_')
            json_object_del(json, key);
    }
    char *text = json ? json_dumps(json, JSON_SORT_KEYS | JSON_COMPACT) : NULL;
    char *copy = text ? hs_arena_strdup(arena, text) : NULL;
    free(text);
    json_decref(json);
    return copy;
}

/* A pipeline of a U-Net and a scheduler, and of nothing else: with an
 * autoencoder, say, the U-Net's images would not be images. */
static hs_status hs_pipeline_check(const json_t *index, hs_error *err) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)index, key, value) {
        const char *class = json_string_value(json_array_get(value, 1));
        if (key[0] == '_' || !class || !strcmp(key, "scheduler"))
            continue;
        if (strcmp(key, "unet"))
            return hs_fail(err, HS_ERROR_UNSUPPORTED,
                           "component %.60s (%.60s) is not supported, expected unet and scheduler",
                           key, class);
        if (strcmp(class, "UNet2DModel"))
            return hs_fail(err, HS_ERROR_UNSUPPORTED,
                           "unet %.60s is not supported, expected UNet2DModel", class);
    }
    return HS_OK;
}

static hs_status hs_pipeline_read(const hs_model_files *files, hs_error *err) {
    if (!hs_model_files_has(files, "model_index.json"))
        return HS_OK;
    hs_status status;
    hs_file file = {0};
    json_t *index = NULL;
    char *path = hs_model_files_path(files, "model_index.json");
    if (!path)
        return hs_fail_memory(err, 4096);
    HS_CHECK(hs_model_files_read(files, "model_index.json", &file, err));
    HS_CHECK(hs_json_parse_object(path, file.data, file.size, &index, err));
    status = hs_pipeline_check(index, err);
    if (status != HS_OK)
        hs_fail_prefix(err, status, "%s", path);
cleanup:
    json_decref(index);
    hs_file_unmap(&file);
    free(path);
    return status;
}

static hs_status hs_scheduler_read(hs_model *model, const hs_model_files *files, bool bare,
                                   const hs_monitor *monitor, hs_error *err) {
    const char *const candidates[] = {"scheduler/scheduler_config.json", "scheduler_config.json",
                                      bare ? "../scheduler/scheduler_config.json" : NULL, NULL};
    const char *found = hs_model_files_first(files, candidates);
    model->schedule = hs_schedule_config_default();
    if (!found)
        return HS_OK;
    hs_status status;
    hs_file file = {0};
    char *path = hs_model_files_path(files, found);
    if (!path)
        return hs_fail_memory(err, 4096);
    HS_CHECK(hs_model_files_read(files, found, &file, err));
    HS_CHECK(hs_schedule_config_parse(path, file.data, file.size, monitor, &model->arena,
                                      &model->schedule, err));
cleanup:
    hs_file_unmap(&file);
    free(path);
    return status;
}

static hs_status hs_unet2d_read(hs_model *model, const hs_model_files *files, const char *config,
                                hs_error *err) {
    hs_status status = HS_OK;
    hs_file file = {0};
    char *path = hs_model_files_path(files, config);
    hs_unet2d_config *c = hs_arena_alloc(&model->arena, 1, sizeof *c);
    if (!path || !c) {
        status = hs_fail_memory(err, 4096);
        goto cleanup;
    }
    HS_CHECK(hs_model_files_read(files, config, &file, err));
    HS_CHECK(hs_unet2d_config_parse(path, file.data, file.size, c, err));
    model->config = c;
    model->config_json = hs_config_canonical(file.data, file.size, &model->arena);
    if (!model->config_json)
        status = hs_fail_memory(err, file.size);
cleanup:
    hs_file_unmap(&file);
    free(path);
    return status;
}

/* The type that most of the bytes have, and how many bytes there are. */
static void hs_weights_measure(hs_model *model) {
    int64_t bytes[HS_BOOL + 1] = {0};
    int most = HS_F32;
    model->weight_bytes = 0;
    for (int i = 0; i < model->weights->count; i++) {
        const hs_tensor *tensor = &model->weights->tensors[i];
        bytes[tensor->dtype] += hs_tensor_bytes(tensor);
        model->weight_bytes += hs_tensor_bytes(tensor);
        if (bytes[tensor->dtype] > bytes[most])
            most = (int)tensor->dtype;
    }
    model->weight_dtype = hs_dtype_name((hs_dtype)most);
}

hs_status hs_diffusers_open(hs_model *model, const hs_model_files *files, const hs_monitor *monitor,
                            hs_error *err) {
    bool bare = !hs_model_files_has(files, "unet/config.json");
    const char *folder = bare ? "" : "unet/";
    HS_TRY(hs_pipeline_read(files, err));
    HS_TRY(hs_unet2d_read(model, files, bare ? "config.json" : "unet/config.json", err));
    HS_TRY(hs_scheduler_read(model, files, bare, monitor, err));
    HS_TRY(hs_model_files_weights(files, folder, &model->weights, err));
    model->family = &hs_family_unet2d;
    hs_weights_measure(model);
    if (files->blobs)
        return HS_OK;
    char *path = hs_model_files_path(files, folder);
    model->folder = path ? hs_arena_strdup(&model->arena, path) : NULL;
    free(path);
    return model->folder ? HS_OK : hs_fail_memory(err, 4096);
}
