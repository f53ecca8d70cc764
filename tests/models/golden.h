/*
 * Models of tests/golden/models against what PyTorch computed from them, on any
 * back end: eps, h at its three positions, and eps with delta_h added there.
 */
#ifndef HS_TESTS_MODELS_GOLDEN_H
#define HS_TESTS_MODELS_GOLDEN_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/backend.h"
#include "io/tensor_set.h"
#include "models/model.h"
#include "support.h"

static const char *const hs_golden_models[] = {
    "plain",       "heads",       "resnet_sampling", "scale_shift",  "fourier",
    "mid_scale",   "attn_resnet", "three_layers",    "wide",         "gray",
    "sharded",     "old_bin",     "bin_sharded",     "uneven_heads", "old_conv_attention",
    "old_fourier", "one_level",   "keras",           "keras_sharp",
};
#define HS_GOLDEN_COUNT (sizeof hs_golden_models / sizeof *hs_golden_models)

static inline const float *hs_golden_tensor(const hs_tensor_set *set, const char *name,
                                            int64_t count) {
    const hs_tensor *tensor = hs_tensor_set_find(set, name);
    if (!tensor || hs_tensor_count(tensor) != count || tensor->dtype != HS_F32)
        fail_msg("golden tensor %s is missing or of another size", name);
    return tensor->data;
}

/* Run one built graph; eps and h are malloc'ed. `rows` samples. */
static inline void hs_golden_run(const hs_backend *backend, const hs_unet_graph *unet,
                                 const float *x, const float *t, const float *delta_h, float **eps,
                                 float **h) {
    hs_error err = {0};
    hs_exec *exec = NULL;
    int64_t h_count = hs_shape_count(&unet->graph->nodes[unet->h].shape);
    int64_t x_count = hs_shape_count(&unet->graph->nodes[unet->x].shape);
    float *zeros = calloc((size_t)h_count, sizeof *zeros);
    *eps = malloc((size_t)x_count * sizeof **eps);
    *h = malloc((size_t)h_count * sizeof **h);
    assert_true(zeros && *eps && *h);
    hs_value outputs[] = {unet->out, unet->h};
    hs_plan_options options = {.threads = 1, .outputs = outputs, .output_count = 2};
    assert_ok(backend->plan(unet->graph, &options, &exec, &err));
    hs_binding in[] = {
        {.value = unet->x, .f32 = (float *)(uintptr_t)x},
        {.value = unet->t, .f32 = (float *)(uintptr_t)t},
        {.value = unet->delta_h, .f32 = delta_h ? (float *)(uintptr_t)delta_h : zeros}};
    hs_binding out[] = {{.value = unet->out, .f32 = *eps}, {.value = unet->h, .f32 = *h}};
    assert_ok(backend->execute(exec, in, 3, out, 2, &err));
    backend->free(exec);
    free(zeros);
}

/* Compare one position of h; the worst error relative to the largest value. */
static inline double hs_golden_position(const hs_backend *backend, const hs_model *model,
                                        const hs_tensor_set *golden, hs_h_space space) {
    static const char *const names[] = {"before", "middle", "after"};
    hs_error err = {0};
    hs_unet_graph unet;
    int n = (int)hs_tensor_set_find(golden, "x")->dim[0];
    assert_ok(hs_model_build(model, n, space, &unet, &err));
    int64_t x_count = hs_shape_count(&unet.graph->nodes[unet.x].shape);
    int64_t h_count = hs_shape_count(&unet.graph->nodes[unet.h].shape);
    const float *x = hs_golden_tensor(golden, "x", x_count);
    const float *t = hs_golden_tensor(golden, "t", n);
    const float *delta_h = hs_golden_tensor(golden, "delta_h", h_count);
    char h_name[32], edited_name[32];
    snprintf(h_name, sizeof h_name, "h_%s", names[space]);
    snprintf(edited_name, sizeof edited_name, "eps_%s", names[space]);
    double worst = 0;
    for (int edited = 0; edited < 2; edited++) {
        float *eps, *h;
        const char *name = edited ? edited_name : "eps";
        hs_golden_run(backend, &unet, x, t, edited ? delta_h : NULL, &eps, &h);
        double e = hs_test_relative_error(eps, hs_golden_tensor(golden, name, x_count), x_count);
        double f = hs_test_relative_error(h, hs_golden_tensor(golden, h_name, h_count), h_count);
        worst = e > worst ? e : worst;
        worst = f > worst ? f : worst;
        free(eps);
        free(h);
    }
    hs_graph_free(unet.graph);
    return worst;
}

/* All of one model; the worst error. */
static inline double hs_golden_model(const hs_backend *backend, const char *name) {
    char folder[128], file[160];
    hs_error err = {0};
    hs_model *model = NULL;
    hs_tensor_set *golden = NULL;
    snprintf(folder, sizeof folder, "golden/models/%s", name);
    snprintf(file, sizeof file, "%s/golden.safetensors", folder);
    assert_ok(hs_model_open(folder, NULL, &model, &err));
    assert_ok(hs_safetensors_open(file, &golden, &err));
    double worst = 0;
    for (int space = HS_H_BEFORE; space <= HS_H_AFTER; space++) {
        double error = hs_golden_position(backend, model, golden, (hs_h_space)space);
        worst = error > worst ? error : worst;
    }
    hs_tensor_set_free(golden);
    hs_model_free(model);
    return worst;
}

#endif
