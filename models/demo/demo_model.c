/* See hspace_demo.h. The bytes come from embedded.S. */
#include "hspace_demo.h"

#include <stdio.h>
#include <string.h>

enum { HS_DEMO_MODEL_FILES = 4, HS_DEMO_FILES = 7 };

/* Of each file where it begins and ends. */
typedef struct hs_demo_file {
    const char *name, *begin, *end;
} hs_demo_file;

#define HS_DEMO_FILE(symbol, path)                                                                 \
    { path, symbol, symbol##_end }
#define HS_DEMO_DECLARE(symbol) extern const char symbol[], symbol##_end[]
#define HS_DEMO_MODEL(name)                                                                        \
    HS_DEMO_DECLARE(hs_##name##_index);                                                            \
    HS_DEMO_DECLARE(hs_##name##_scheduler);                                                        \
    HS_DEMO_DECLARE(hs_##name##_unet);                                                             \
    HS_DEMO_DECLARE(hs_##name##_weights);                                                          \
    HS_DEMO_DECLARE(hs_##name##_classifier);                                                       \
    HS_DEMO_DECLARE(hs_##name##_classifier_weights);                                               \
    HS_DEMO_DECLARE(hs_##name##_processor);                                                        \
    static const hs_demo_file hs_##name##_files[HS_DEMO_FILES] = {                                 \
        HS_DEMO_FILE(hs_##name##_index, "model_index.json"),                                       \
        HS_DEMO_FILE(hs_##name##_scheduler, "scheduler/scheduler_config.json"),                    \
        HS_DEMO_FILE(hs_##name##_unet, "unet/config.json"),                                        \
        HS_DEMO_FILE(hs_##name##_weights, "unet/diffusion_pytorch_model.safetensors"),             \
        HS_DEMO_FILE(hs_##name##_classifier, "config.json"),                                       \
        HS_DEMO_FILE(hs_##name##_classifier_weights, "model.safetensors"),                         \
        HS_DEMO_FILE(hs_##name##_processor, "preprocessor_config.json"),                           \
    }

HS_DEMO_MODEL(avatars64);
HS_DEMO_MODEL(avatars32);

static const struct {
    const char *name;
    const hs_demo_file *files;
} hs_demo_models[] = {{"avatars64", hs_avatars64_files}, {"avatars32", hs_avatars32_files}};

enum { HS_DEMO_COUNT = sizeof hs_demo_models / sizeof *hs_demo_models };

const char *hs_demo_name(int i) {
    return i >= 0 && i < HS_DEMO_COUNT ? hs_demo_models[i].name : NULL;
}

/* Which one `name` is; -1: none. */
static int hs_demo_index(const char *name) {
    for (int i = 0; i < HS_DEMO_COUNT; i++)
        if (!strcmp(name, hs_demo_models[i].name))
            return i;
    return -1;
}

const char *hs_demo_find(const char *name) {
    return hs_demo_name(hs_demo_index(name));
}

/* From `first` on, `count` files of model `name` (NULL: the default) as blobs. */
static hs_status hs_demo_blobs(const char *name, int first, int count, hs_blob *blobs,
                               hs_error *err) {
    int model = name ? hs_demo_index(name) : 0;
    if (model < 0) {
        snprintf(err->message, sizeof err->message, "%.100s: no embedded model", name);
        return err->code = HS_ERROR_ARGUMENT;
    }
    for (int i = 0; i < count; i++) {
        const hs_demo_file *file = &hs_demo_models[model].files[first + i];
        blobs[i] = (hs_blob){file->name, file->begin, (size_t)(file->end - file->begin)};
    }
    return HS_OK;
}

hs_status hs_demo_model_open(const char *name, const hs_monitor *monitor, hs_model **out,
                             hs_error *err) {
    hs_blob blobs[HS_DEMO_MODEL_FILES];
    char label[64];
    snprintf(label, sizeof label, "%s (embedded)", name ? name : hs_demo_name(0));
    hs_status status = hs_demo_blobs(name, 0, HS_DEMO_MODEL_FILES, blobs, err);
    if (status != HS_OK)
        return status;
    return hs_model_open_blobs(label, blobs, HS_DEMO_MODEL_FILES, monitor, out, err);
}

hs_status hs_demo_classifier_open(const char *name, const hs_classifier_options *options,
                                  const hs_monitor *monitor, hs_classifier **out, hs_error *err) {
    hs_blob blobs[HS_DEMO_FILES - HS_DEMO_MODEL_FILES];
    char label[64];
    snprintf(label, sizeof label, "%s-attributes (embedded)", name ? name : hs_demo_name(0));
    hs_status status =
        hs_demo_blobs(name, HS_DEMO_MODEL_FILES, HS_DEMO_FILES - HS_DEMO_MODEL_FILES, blobs, err);
    if (status != HS_OK)
        return status;
    return hs_classifier_open_blobs(label, blobs, HS_DEMO_FILES - HS_DEMO_MODEL_FILES, options,
                                    monitor, out, err);
}
