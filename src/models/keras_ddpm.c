/*
 * The family of the Keras "Denoising Diffusion Probabilistic Model" example, as
 * a TensorFlow.js graph model. Its network is that of unet2d.c, with sinusoids
 * of its own width in the time embedding, TensorFlow's "same" padding (nothing
 * before, one row and column after, where the stride is 2) and attention that
 * adds its normalised input. keras_walk.c finds it among the layers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/json.h"
#include "models/config.h"
#include "models/family.h"
#include "models/keras_walk.h"

const hs_family hs_family_keras_ddpm = {.architecture = "Keras DDPM", .build = hs_unet2d_build};

/* The image's size from the signature: the input [-1, H, W, C]. */
static hs_status hs_keras_image(const char *path, const json_t *root, hs_unet2d_config *config,
                                hs_error *err) {
    const json_t *user = json_object_get(root, "userDefinedMetadata");
    const json_t *signature = json_object_get(root, "signature");
    if (!signature)
        signature = json_object_get(user, "signature");
    const char *name;
    json_t *input;
    json_object_foreach(json_object_get(signature, "inputs"), name, input) {
        const json_t *dim = json_object_get(json_object_get(input, "tensorShape"), "dim");
        if (json_array_size(dim) != 4)
            continue;
        for (int axis = 0; axis < 2; axis++) {
            const json_t *entry = json_array_get(dim, (size_t)axis + 1);
            const char *size = json_string_value(json_object_get(entry, "size"));
            config->sample_size[axis] = size && strlen(size) < 6 ? atoi(size) : 0;
        }
    }
    if (config->sample_size[0] < 1 || config->sample_size[1] < 1)
        return hs_fail(err, HS_ERROR_UNSUPPORTED,
                       "%s: the signature has no input [-1, height, width, channels]", path);
    return HS_OK;
}

static hs_status hs_keras_check_format(const char *path, const json_t *root, hs_error *err) {
    const char *format;
    HS_TRY(hs_json_get_string(root, "format", "none", &format, err));
    if (strcmp(format, "graph-model"))
        return hs_fail(err, HS_ERROR_UNSUPPORTED, "%s: format \"%.60s\", expected graph-model",
                       path, format);
    return HS_OK;
}

/* The folder says nothing of the noise schedule, unless a scheduler config was
 * put beside it; the family's published model has 300 cosine steps. */
static hs_status hs_keras_schedule(hs_model *model, const hs_model_files *files,
                                   const hs_monitor *monitor, hs_error *err) {
    hs_schedule_config *schedule = &model->schedule;
    *schedule = hs_schedule_config_default();
    schedule->num_train_timesteps = 300;
    snprintf(schedule->beta_schedule, sizeof schedule->beta_schedule, "keras_cosine");
    if (!hs_model_files_has(files, "scheduler_config.json"))
        return HS_OK;
    hs_file file = {0};
    char *path = hs_model_files_path(files, "scheduler_config.json");
    if (!path)
        return hs_fail_memory(err, 4096);
    hs_status status = hs_model_files_read(files, "scheduler_config.json", &file, err);
    if (status == HS_OK)
        status = hs_schedule_config_parse(path, file.data, file.size, monitor, &model->arena,
                                          schedule, err);
    hs_file_unmap(&file);
    free(path);
    return status;
}

/* The config that a diffusers folder would have had, for the fingerprint. */
static hs_status hs_keras_describe(hs_model *model, const hs_unet2d_config *c, hs_error *err) {
    char *text = hs_format("{\"family\":\"keras_ddpm\",\"norm_eps\":%.9g,\"norm_num_groups\":%d,"
                           "\"sample_size\":[%d,%d]}",
                           c->norm_eps, c->norm_num_groups, c->sample_size[0], c->sample_size[1]);
    model->config_json = text ? hs_arena_strdup(&model->arena, text) : NULL;
    free(text);
    return model->config_json ? HS_OK : hs_fail_memory(err, 256);
}

static hs_status hs_keras_read(hs_model *model, const char *path, hs_tensor_set *set, json_t *root,
                               hs_error *err) {
    hs_status status = HS_OK;
    hs_keras_layers layers = {0};
    hs_unet2d_config *config = hs_arena_alloc(&model->arena, 1, sizeof *config);
    model->weights = hs_tensor_set_new();
    if (!config || !model->weights) {
        status = hs_fail_memory(err, sizeof *config);
        goto cleanup;
    }
    HS_CHECK(hs_keras_image(path, root, config, err));
    HS_CHECK(hs_keras_layers_gather(path, set, root, &layers, err));
    HS_CHECK(hs_keras_walk(&layers, config, model->weights, err));
    HS_CHECK(hs_unet2d_config_check(path, config, err));
    HS_CHECK(hs_tensor_set_seal(model->weights, path, err));
    model->config = config;
    HS_CHECK(hs_keras_describe(model, config, err));
cleanup:
    hs_keras_layers_free(&layers);
    return status;
}

/* What the shards hold of `set`: bytes by the type on disk. */
static void hs_keras_measure(hs_model *model, const json_t *root) {
    const json_t *groups = json_object_get(root, "weightsManifest");
    bool quantised = false;
    size_t g, i;
    json_t *group, *weight;
    json_array_foreach((json_t *)(uintptr_t)groups, g, group) {
        json_array_foreach(json_object_get(group, "weights"), i, weight) {
            const json_t *how = json_object_get(weight, "quantization");
            const char *dtype = json_string_value(json_object_get(how, "dtype"));
            quantised = quantised || (dtype && !strcmp(dtype, "uint8"));
        }
    }
    int64_t values = 0;
    for (int t = 0; t < model->weights->count; t++)
        values += hs_tensor_count(&model->weights->tensors[t]);
    model->weight_dtype = quantised ? "U8" : "F32";
    model->weight_bytes = quantised ? values : 4 * values;
}

hs_status hs_keras_ddpm_open(hs_model *model, const hs_model_files *files,
                             const hs_monitor *monitor, hs_error *err) {
    if (files->blobs)
        return hs_fail(err, HS_ERROR_UNSUPPORTED,
                       "%s: a TensorFlow.js model in memory is not supported, expected a folder",
                       files->root);
    hs_status status;
    hs_tensor_set *set = NULL;
    json_t *root = NULL;
    char *path = hs_model_files_path(files, "model.json");
    if (!path)
        return hs_fail_memory(err, 4096);
    HS_CHECK(hs_json_load(path, &root, err));
    HS_CHECK(hs_keras_check_format(path, root, err));
    HS_CHECK(hs_tfjs_open(path, &set, err));
    HS_CHECK(hs_keras_read(model, path, set, root, err));
    HS_CHECK(hs_keras_schedule(model, files, monitor, err));
    model->family = &hs_family_keras_ddpm;
    hs_keras_measure(model, root);
    model->folder = hs_arena_strdup(&model->arena, files->root);
    if (!model->folder)
        status = hs_fail_memory(err, 4096);
cleanup:
    hs_tensor_set_free(set);
    json_decref(root);
    free(path);
    return status;
}
