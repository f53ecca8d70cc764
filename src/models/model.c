/*
 * hs_model: opening a checkpoint of any family, what is known of it without
 * running it, and building its graph.
 */
#include "models/model.h"

#include <stdlib.h>
#include <string.h>

#include "models/family.h"
#include "models/names.h"

hs_status hs_model_build(const hs_model *model, int n, hs_h_space h_space, hs_unet_graph *out,
                         hs_error *err) {
    if (n < 1)
        return hs_fail(err, HS_ERROR_ARGUMENT, "batch: expected at least 1, found %d", n);
    if ((unsigned)h_space > HS_H_AFTER)
        return hs_fail(err, HS_ERROR_ARGUMENT, "h_space: expected 0, 1 or 2, found %d",
                       (int)h_space);
    return model->family->build(model, n, h_space, out, err);
}

/* Every tensor of the checkpoint must have found its place in the graph. */
static hs_status hs_model_check_superfluous(hs_model *model, const hs_graph *graph, hs_error *err) {
    hs_tensor_set *set = model->weights;
    bool *used = hs_calloc((size_t)set->count, sizeof *used);
    if (!used)
        return hs_fail_memory(err, (size_t)set->count);
    for (int32_t i = 0; i < graph->count; i++)
        if (graph->nodes[i].op == HS_OP_WEIGHT)
            used[graph->nodes[i].weight - set->tensors] = true;
    hs_status status = HS_OK;
    model->parameters = 0;
    for (int i = 0; i < set->count && status == HS_OK; i++) {
        const hs_tensor *tensor = &set->tensors[i];
        char found[200];
        hs_tensor_describe(tensor, found);
        if (used[i])
            model->parameters += hs_tensor_count(tensor);
        else if (!hs_names_redundant(set, tensor->name))
            status =
                hs_fail(err, HS_ERROR_FORMAT,
                        "%s: tensor %.200s, %s, is superfluous: its config has no place for it",
                        model->name, tensor->name, found);
    }
    free(used);
    return status;
}

static void hs_model_count_macs(hs_model *model, const hs_unet_graph *unet) {
    model->macs = model->macs_to_h = 0;
    for (hs_value i = 0; i < unet->graph->count; i++) {
        int64_t macs = hs_node_macs(unet->graph, i);
        model->macs += macs;
        if (i <= unet->h)
            model->macs_to_h += macs;
    }
}

/* Build the graph once at each h: shapes, sizes, and whether the weights fit. */
static hs_status hs_model_measure(hs_model *model, hs_error *err) {
    for (int space = HS_H_BEFORE; space <= HS_H_AFTER; space++) {
        hs_unet_graph unet;
        HS_TRY(hs_model_build(model, 1, (hs_h_space)space, &unet, err));
        hs_status status = HS_OK;
        for (int i = 0; i < 3; i++) {
            model->h[space][i] = (int)unet.graph->nodes[unet.h].shape.dim[i + 1];
            model->image[i] = (int)unet.graph->nodes[unet.x].shape.dim[i + 1];
        }
        if (space == HS_H_AFTER) {
            hs_model_count_macs(model, &unet);
            status = hs_model_check_superfluous(model, unet.graph, err);
        }
        hs_graph_free(unet.graph);
        HS_TRY(status);
    }
    return HS_OK;
}

static hs_status hs_model_open_files(const char *name, const hs_model_files *files,
                                     const hs_monitor *monitor, hs_model **out, hs_error *err) {
    hs_model *model = hs_calloc(1, sizeof *model);
    if (!model || !(model->name = hs_strdup(name))) {
        hs_model_free(model);
        return hs_fail_memory(err, sizeof *model);
    }
    hs_status status;
    if (hs_model_files_has(files, "unet/config.json") || hs_model_files_has(files, "config.json"))
        status = hs_diffusers_open(model, files, monitor, err);
    else if (hs_model_files_has(files, "model.json"))
        status = hs_keras_ddpm_open(model, files, monitor, err);
    else
        status = hs_fail(err, HS_ERROR_IO,
                         "%s: no model; looked for unet/config.json, config.json and model.json",
                         files->root);
    if (status == HS_OK)
        status = hs_model_measure(model, err);
    if (status == HS_OK)
        *out = model;
    else
        hs_model_free(model);
    return status;
}

hs_status hs_model_open(const char *path, const hs_monitor *monitor, hs_model **out,
                        hs_error *err) {
    char *folder = NULL;
    *out = NULL;
    HS_TRY(hs_model_find_folder(path, &folder, err));
    size_t length = strlen(folder);
    while (length > 1 && folder[length - 1] == '/') /* for messages that join paths */
        folder[--length] = 0;
    hs_status status =
        hs_model_open_files(path, &(hs_model_files){.root = folder}, monitor, out, err);
    free(folder);
    return status;
}

hs_status hs_model_open_blobs(const char *name, const hs_blob *blobs, size_t count,
                              const hs_monitor *monitor, hs_model **out, hs_error *err) {
    *out = NULL;
    if (!name || !blobs)
        return hs_fail(err, HS_ERROR_ARGUMENT, "model: expected a name and blobs, found NULL");
    hs_model_files files = {.root = name, .blobs = blobs, .blob_count = count};
    return hs_model_open_files(name, &files, monitor, out, err);
}

void hs_model_free(hs_model *model) {
    if (!model)
        return;
    hs_tensor_set_free(model->weights);
    hs_arena_free(&model->arena);
    free(model->name);
    free(model);
}

void hs_model_get_info(const hs_model *model, hs_model_info *info) {
    *info = (hs_model_info){
        .name = model->name,
        .architecture = model->family->architecture,
        .parameters = model->parameters,
        .macs = model->macs,
        .macs_to_h = model->macs_to_h,
        .num_train_timesteps = model->schedule.num_train_timesteps,
        .beta_schedule =
            model->schedule.trained_betas ? "trained_betas" : model->schedule.beta_schedule,
        .prediction = model->schedule.prediction,
        .weight_dtype = model->weight_dtype,
        .weight_bytes = model->weight_bytes,
    };
    memcpy(info->image, model->image, sizeof info->image);
    memcpy(info->h, model->h, sizeof info->h);
}

hs_status hs_model_check_weights(const hs_model *model, hs_error *err) {
    enum { CHUNK = 1 << 16 };
    float *values = hs_alloc_aligned(CHUNK, sizeof *values);
    if (!values)
        return hs_fail_memory(err, CHUNK * sizeof *values);
    hs_status status = HS_OK;
    for (int i = 0; i < model->weights->count && status == HS_OK; i++) {
        const hs_tensor *tensor = &model->weights->tensors[i];
        int64_t total = hs_tensor_count(tensor), bad = -1;
        for (int64_t first = 0; first < total && status == HS_OK && bad < 0; first += CHUNK) {
            int64_t count = total - first < CHUNK ? total - first : CHUNK;
            status = hs_tensor_to_f32(tensor, first, count, values, err);
            bad = status == HS_OK ? hs_tensor_first_bad(values, count) : -1;
            if (bad >= 0)
                status = hs_fail(
                    err, HS_ERROR_NUMERIC, "%s: tensor %s has %g at %lld, expected finite weights",
                    model->name, tensor->name, (double)values[bad], (long long)(first + bad));
        }
        hs_tensor_set_release(model->weights, tensor);
    }
    free(values);
    return status;
}
