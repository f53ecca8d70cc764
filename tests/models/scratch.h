/* Copies of a golden model in a temporary folder, to be damaged. */
#ifndef HS_TESTS_MODELS_SCRATCH_H
#define HS_TESTS_MODELS_SCRATCH_H

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/tensor_set.h"
#include "models/model.h"
#include "support.h"

typedef struct hs_scratch {
    char *folder; /* a bare model: config.json and the weights */
    json_t *config;
    hs_tensor_set *weights; /* as published; tensors may be changed before a write */
} hs_scratch;

static inline char *hs_scratch_path(const hs_scratch *scratch, const char *name) {
    char *path = hs_format("%s/%s", scratch->folder, name);
    assert_non_null(path);
    return path;
}

static inline void hs_scratch_text(const hs_scratch *scratch, const char *name, const char *text) {
    char *path = hs_scratch_path(scratch, name);
    hs_error err = {0};
    assert_ok(hs_file_write(path, text, strlen(text), &err));
    free(path);
}

static inline void hs_scratch_write_config(const hs_scratch *scratch) {
    char *text = json_dumps(scratch->config, 0);
    assert_non_null(text);
    hs_scratch_text(scratch, "config.json", text);
    free(text);
}

static inline void hs_scratch_write_weights(const hs_scratch *scratch) {
    char *path = hs_scratch_path(scratch, "diffusion_pytorch_model.safetensors");
    hs_error err = {0};
    assert_ok(
        hs_safetensors_write(path, scratch->weights->tensors, scratch->weights->count, NULL, &err));
    free(path);
}

static inline void hs_scratch_open(hs_scratch *scratch) {
    hs_error err = {0};
    scratch->folder = hs_test_make_folder();
    scratch->config = json_load_file("golden/models/plain/unet/config.json", 0, NULL);
    assert_non_null(scratch->config);
    assert_ok(hs_safetensors_open("golden/models/plain/unet/diffusion_pytorch_model.safetensors",
                                  &scratch->weights, &err));
    hs_scratch_write_config(scratch);
    hs_scratch_write_weights(scratch);
}

static inline void hs_scratch_close(hs_scratch *scratch) {
    hs_test_remove_folder(scratch->folder);
    free(scratch->folder);
    json_decref(scratch->config);
    hs_tensor_set_free(scratch->weights);
}

/* The model is refused with this status and one line that holds every one of
 * the words (NULL-terminated). */
static inline void hs_assert_refused(const char *path, hs_status status, const char *const *words) {
    hs_model *model = (hs_model *)(uintptr_t)1;
    hs_error err = {0};
    hs_status found = hs_model_open(path, NULL, &model, &err);
    if (found == HS_OK) {
        hs_model_free(model);
        fail_msg("was opened, expected an error that says %s", words[0]);
    }
    assert_null(model);
    for (; *words; words++)
        if (!strstr(err.message, *words))
            fail_msg("\"%s\" does not say \"%s\"", err.message, *words);
    if (found != status)
        fail_msg("%s: %s, expected %s", err.message, hs_status_name(found), hs_status_name(status));
    assert_null(strchr(err.message, '\n'));
}

#define hs_refused(path, status, ...)                                                              \
    hs_assert_refused(path, status, (const char *const[]){__VA_ARGS__, NULL})

#endif
