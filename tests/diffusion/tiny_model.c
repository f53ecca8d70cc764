/* See tiny_model.h. */
#include "tiny_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static hs_status hs_tiny_weight(const hs_model *model, hs_graph *graph, const char *name,
                                hs_value *out, hs_error *err) {
    const hs_tensor *tensor = hs_tensor_set_find(model->weights, name);
    assert_non_null(tensor);
    hs_shape shape = {.rank = tensor->rank};
    memcpy(shape.dim, tensor->dim, sizeof shape.dim);
    return hs_graph_weight(graph, tensor, shape, out, err);
}

/* conv 3x3 with padding 1, or linear. */
static hs_status hs_tiny_layer(const hs_model *model, hs_graph *graph, hs_op op, const char *name,
                               hs_value x, hs_value *out, hs_error *err) {
    char weight[40], bias[40];
    snprintf(weight, sizeof weight, "%s.weight", name);
    snprintf(bias, sizeof bias, "%s.bias", name);
    hs_value inputs[3] = {x};
    HS_TRY(hs_tiny_weight(model, graph, weight, &inputs[1], err));
    HS_TRY(hs_tiny_weight(model, graph, bias, &inputs[2], err));
    hs_attr attr = {.conv = {1, 1, 1, 1, 1, 0, 0}};
    return hs_graph_add(graph, op, inputs, 3, op == HS_OP_CONV2D ? &attr : NULL, name, out, err);
}

static hs_status hs_tiny_op(hs_graph *graph, hs_op op, hs_value a, hs_value b, hs_value *out,
                            hs_error *err) {
    hs_value inputs[] = {a, b};
    hs_attr attr = {.activation = {HS_SILU}};
    return hs_graph_add(graph, op, inputs, b == HS_NO_VALUE ? 1 : 2,
                        op == HS_OP_ACTIVATION ? &attr : NULL, NULL, out, err);
}

static hs_status hs_tiny_inputs(const hs_model *model, int n, hs_unet_graph *u, hs_error *err) {
    const int *image = model->image, *h = model->h[HS_H_AFTER];
    HS_TRY(hs_graph_input(
        u->graph, "x",
        hs_shape_make(4, (int64_t)n, (int64_t)image[0], (int64_t)image[1], (int64_t)image[2]),
        &u->x, err));
    HS_TRY(hs_graph_input(u->graph, "t", hs_shape_make(1, (int64_t)n), &u->t, err));
    return hs_graph_input(u->graph, "delta_h",
                          hs_shape_make(4, (int64_t)n, (int64_t)h[0], (int64_t)h[1], (int64_t)h[2]),
                          &u->delta_h, err);
}

static hs_status hs_tiny_nodes(const hs_model *model, hs_unet_graph *u, hs_error *err) {
    hs_graph *g = u->graph;
    hs_value v, time, a, up;
    hs_attr embed = {.time_embed = {.dim = 16, .max_period = 10000}};
    HS_TRY(hs_graph_add(g, HS_OP_TIME_EMBED, &u->t, 1, &embed, NULL, &time, err));
    HS_TRY(hs_tiny_layer(model, g, HS_OP_LINEAR, "time", time, &time, err));
    HS_TRY(hs_tiny_layer(model, g, HS_OP_CONV2D, "conv_in", u->x, &v, err));
    HS_TRY(hs_tiny_op(g, HS_OP_ADD_CHANNEL, v, time, &v, err));
    HS_TRY(hs_tiny_op(g, HS_OP_ACTIVATION, v, HS_NO_VALUE, &a, err));
    HS_TRY(hs_tiny_op(g, HS_OP_AVG_POOL, a, HS_NO_VALUE, &v, err));
    HS_TRY(hs_tiny_layer(model, g, HS_OP_CONV2D, "conv_h", v, &u->h, err));
    HS_TRY(hs_tiny_op(g, HS_OP_ADD, u->h, u->delta_h, &u->h_edited, err));
    HS_TRY(hs_tiny_op(g, HS_OP_ACTIVATION, u->h_edited, HS_NO_VALUE, &v, err));
    HS_TRY(hs_tiny_op(g, HS_OP_UPSAMPLE, v, HS_NO_VALUE, &up, err));
    HS_TRY(hs_tiny_op(g, HS_OP_CONCAT, up, a, &v, err));
    HS_TRY(hs_tiny_layer(model, g, HS_OP_CONV2D, "conv_out", v, &v, err));
    return hs_tiny_op(g, HS_OP_ADD, u->x, v, &u->out, err);
}

static hs_status hs_tiny_build(const hs_model *model, int n, hs_h_space h_space, hs_unet_graph *out,
                               hs_error *err) {
    *out = (hs_unet_graph){.graph = hs_graph_new()};
    assert_non_null(out->graph);
    HS_TRY(hs_tiny_inputs(model, n, out, err));
    return hs_tiny_nodes(model, out, err);
}

static const hs_family hs_family_tiny = {.architecture = "tiny", .build = hs_tiny_build};

hs_model *hs_tiny_open(const char *name) {
    char file[40];
    snprintf(file, sizeof file, "tiny_%s", name);
    hs_model *model = hs_calloc(1, sizeof *model);
    assert_non_null(model);
    bool rgb = strcmp(name, "rgb") == 0;
    int size = rgb ? 8 : strcmp(name, "odd") == 0 ? 6 : 2;
    model->name = hs_strdup(name);
    model->family = &hs_family_tiny;
    model->weights = hs_golden_open(file);
    model->image[0] = rgb ? 3 : 1;
    model->image[1] = model->image[2] = size;
    for (int i = 0; i < 3; i++) {
        model->h[i][0] = 6;
        model->h[i][1] = model->h[i][2] = size / 2;
    }
    model->macs = 1000000;
    snprintf(model->fingerprint, sizeof model->fingerprint, "%032d", size);
    model->schedule = (hs_schedule_config){.num_train_timesteps = 1000,
                                           .beta_start = 1e-4,
                                           .beta_end = 0.02,
                                           .set_alpha_to_one = true,
                                           .clip_sample_range = 1,
                                           .beta_schedule = "linear",
                                           .timestep_spacing = "leading"};
    return model;
}

void hs_tiny_free(hs_model *model) {
    hs_tensor_set_free(model->weights);
    free(model->name);
    free(model);
}

hs_denoiser *hs_tiny_denoiser(hs_model *model) {
    hs_error err;
    hs_denoiser *denoiser = NULL;
    hs_denoiser_options options = hs_denoiser_options_default();
    options.backend = HS_BACKEND_REF;
    options.threads = 1;
    assert_ok(hs_denoiser_create(model, &options, &denoiser, &err));
    return denoiser;
}
