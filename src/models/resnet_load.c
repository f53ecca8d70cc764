/*
 * The weights of a residual network: found under the names of transformers or
 * torchvision, batch norms folded in double, heads joined into one matrix.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/tensor_read.h"
#include "models/resnet.h"

#define HS_BATCH_NORM_EPS 1e-5 /* PyTorch's default, which both use */

typedef struct hs_resnet_loader {
    const char *path;
    const hs_tensor_set *set;
    hs_resnet *r;
    bool *used; /* [set->count] */
    hs_error *err;
} hs_resnet_loader;

/* Read "prefix name.part" of this shape as floats: free() *out. */
static hs_status hs_resnet_read(hs_resnet_loader *l, const char *name, const char *part, int rank,
                                const int64_t *shape, float **out) {
    char full[256];
    snprintf(full, sizeof full, "%s%s.%s", l->r->config.prefix, name, part);
    const hs_tensor *tensor = hs_tensor_set_find(l->set, full);
    if (!tensor)
        return hs_fail(l->err, HS_ERROR_FORMAT, "%s: tensor %s is missing", l->path, full);
    l->used[tensor - l->set->tensors] = true;
    HS_TRY(hs_tensor_read_floats(l->path, tensor, rank, shape, out, l->err));
    hs_tensor_set_release(l->set, tensor);
    return HS_OK;
}

static hs_status hs_resnet_new_tensor(hs_resnet *r, const char *name, int rank,
                                      const int64_t *shape, hs_tensor *out, hs_error *err) {
    hs_tensor tensor = {.name = hs_arena_strdup(&r->arena, name), .dtype = HS_F32, .rank = rank};
    memcpy(tensor.dim, shape, (size_t)rank * sizeof *shape);
    size_t count = (size_t)hs_tensor_count(&tensor);
    tensor.data = hs_arena_alloc(&r->arena, count, sizeof(float));
    if (!tensor.name || !tensor.data)
        return hs_fail_memory(err, count * sizeof(float));
    *out = tensor;
    return HS_OK;
}

/* The four vectors of a batch norm of `channels`, each to be freed. */
static hs_status hs_resnet_read_norm(hs_resnet_loader *l, const char *norm, int64_t channels,
                                     float *out[4]) {
    static const char *const parts[] = {"weight", "bias", "running_mean", "running_var"};
    for (int i = 0; i < 4; i++)
        HS_TRY(hs_resnet_read(l, norm, parts[i], 1, &channels, &out[i]));
    for (int64_t c = 0; c < channels; c++)
        if (!((double)out[3][c] + HS_BATCH_NORM_EPS > 0))
            return hs_fail(l->err, HS_ERROR_NUMERIC,
                           "%s: tensor %s%s.running_var: expected no variance below 0, found %g at "
                           "position %lld",
                           l->path, l->r->config.prefix, norm, (double)out[3][c], (long long)c);
    return HS_OK;
}

static hs_status hs_resnet_fold(hs_resnet_loader *l, const char *name, const char *norm, int in,
                                int out, int kernel, int stride) {
    hs_status status;
    hs_resnet *r = l->r;
    const int64_t shape[] = {out, in, kernel, kernel};
    float *w = NULL, *n[4] = {NULL};
    hs_resnet_conv conv = {.kernel = kernel, .stride = stride};
    int64_t row = (int64_t)in * kernel * kernel;
    HS_CHECK(hs_resnet_read(l, name, "weight", 4, shape, &w));
    HS_CHECK(hs_resnet_read_norm(l, norm, out, n));
    HS_CHECK(hs_resnet_new_tensor(r, name, 4, shape, &conv.weight, l->err));
    HS_CHECK(hs_resnet_new_tensor(r, norm, 1, shape, &conv.bias, l->err));
    float *weight = (float *)conv.weight.data, *bias = (float *)conv.bias.data;
    for (int o = 0; o < out; o++) {
        double g = (double)n[0][o] / sqrt((double)n[3][o] + HS_BATCH_NORM_EPS);
        bias[o] = (float)((double)n[1][o] - (double)n[2][o] * g);
        for (int64_t i = 0; i < row; i++)
            weight[o * row + i] = (float)((double)w[o * row + i] * g);
    }
    r->parameters += out * (row + 2);
    r->convs[r->conv_count++] = conv;
cleanup:
    for (int i = 0; i < 4; i++)
        free(n[i]);
    free(w);
    return status;
}

/* Names of convolution `i` of a layer; i == count is the shortcut. */
static void hs_resnet_names(const hs_resnet_config *config, int stage, int layer, int i,
                            bool shortcut, char name[128], char norm[128]) {
    char base[64];
    if (config->torchvision) {
        snprintf(base, sizeof base, "layer%d.%d", stage + 1, layer);
        snprintf(name, 128, shortcut ? "%s.downsample.0" : "%s.conv%d", base, i + 1);
        snprintf(norm, 128, shortcut ? "%s.downsample.1" : "%s.bn%d", base, i + 1);
    } else {
        snprintf(base, sizeof base, "resnet.encoder.stages.%d.layers.%d", stage, layer);
        snprintf(name, 128, shortcut ? "%s.shortcut.convolution" : "%s.layer.%d.convolution", base,
                 i);
        snprintf(norm, 128, shortcut ? "%s.shortcut.normalization" : "%s.layer.%d.normalization",
                 base, i);
    }
}

static hs_status hs_resnet_load_convs(hs_resnet_loader *l) {
    const hs_resnet_config *c = &l->r->config;
    const char *stem = c->torchvision ? "conv1" : "resnet.embedder.embedder.convolution";
    const char *stem_norm = c->torchvision ? "bn1" : "resnet.embedder.embedder.normalization";
    HS_TRY(hs_resnet_fold(l, stem, stem_norm, c->channels, c->embedding_size, 7, 2));
    for (int stage = 0; stage < c->stages; stage++)
        for (int layer = 0; layer < c->depths[stage]; layer++) {
            hs_resnet_layer at = hs_resnet_layer_of(c, stage, layer);
            for (int i = 0; i < at.count + at.shortcut; i++) {
                char name[128], norm[128];
                hs_resnet_names(c, stage, layer, i, i == at.count, name, norm);
                HS_TRY(
                    hs_resnet_fold(l, name, norm, at.in[i], at.out[i], at.kernel[i], at.stride[i]));
            }
        }
    return HS_OK;
}

/* Outputs of the head `name`, by its bias. */
static hs_status hs_resnet_head_rows(const hs_resnet_loader *l, const char *name, int64_t *rows) {
    char full[160];
    snprintf(full, sizeof full, "%s%s.bias", l->r->config.prefix, name);
    const hs_tensor *bias = hs_tensor_set_find(l->set, full);
    if (!bias)
        return hs_fail(l->err, HS_ERROR_FORMAT, "%s: tensor %s is missing", l->path, full);
    const int64_t any = -1;
    HS_TRY(hs_tensor_expect(l->path, bias, 1, &any, l->err));
    if (bias->dim[0] > HS_RESNET_WIDTH)
        return hs_fail(l->err, HS_ERROR_FORMAT, "%s: tensor %s: %lld outputs, expected at most %d",
                       l->path, full, (long long)bias->dim[0], HS_RESNET_WIDTH);
    *rows = bias->dim[0];
    return HS_OK;
}

static hs_status hs_resnet_load_head(hs_resnet_loader *l, const char *name, int64_t rows,
                                     float *weight, float *bias) {
    hs_status status;
    float *w = NULL, *b = NULL;
    const int64_t width = l->r->config.widths[l->r->config.stages - 1], shape[] = {rows, width};
    HS_CHECK(hs_resnet_read(l, name, "weight", 2, shape, &w));
    HS_CHECK(hs_resnet_read(l, name, "bias", 1, &rows, &b));
    memcpy(weight, w, (size_t)(rows * width) * sizeof *w);
    memcpy(bias, b, (size_t)rows * sizeof *b);
    l->r->parameters += rows * (width + 1);
cleanup:
    free(b);
    free(w);
    return status;
}

static hs_status hs_resnet_load_heads(hs_resnet_loader *l) {
    hs_resnet *r = l->r;
    const int64_t width = r->config.widths[r->config.stages - 1];
    int64_t rows[HS_RESNET_HEADS], total = 0;
    char name[64];
    int count = 0;
    while (count < HS_RESNET_HEADS && hs_resnet_head_name(&r->config, l->set, count, name)) {
        HS_TRY(hs_resnet_head_rows(l, name, &rows[count]));
        total += rows[count++];
    }
    bool pose = r->head == HS_HEAD_POSE;
    for (int i = 0; i < count && (pose || count > 1); i++) {
        hs_resnet_head_name(&r->config, l->set, i, name);
        if (rows[i] != (pose ? HS_POSE_BINS : 2))
            return hs_fail(l->err, HS_ERROR_FORMAT, "%s: head %s has %lld outputs, expected %d",
                           l->path, name, (long long)rows[i], pose ? HS_POSE_BINS : 2);
    }
    if (!count)
        return hs_fail(l->err, HS_ERROR_FORMAT,
                       "%s: no head: expected fc, fc.0 and so on, or fc_yaw, fc_pitch, fc_roll",
                       l->path);
    const int64_t shape[] = {total, width};
    HS_TRY(hs_resnet_new_tensor(r, "head", 2, shape, &r->head_weight, l->err));
    HS_TRY(hs_resnet_new_tensor(r, "head", 1, shape, &r->head_bias, l->err));
    r->outputs = (int)total;
    float *weight = (float *)r->head_weight.data, *bias = (float *)r->head_bias.data;
    for (int i = 0; i < count; i++) {
        hs_resnet_head_name(&r->config, l->set, i, name);
        HS_TRY(hs_resnet_load_head(l, name, rows[i], weight, bias));
        weight += rows[i] * width;
        bias += rows[i];
    }
    if (count > 1 && !pose) {
        r->head = HS_HEAD_PAIRS;
        r->head_said = true;
    }
    return HS_OK;
}

static bool hs_ends_with(const char *text, const char *end) {
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && !strcmp(text + length - tail, end);
}

/* Counters of training, and Hopenet's head that nothing uses. */
static bool hs_resnet_unused(const hs_resnet *r, const char *name) {
    return hs_ends_with(name, ".num_batches_tracked") ||
           (r->head == HS_HEAD_POSE && strstr(name, "fc_finetune."));
}

hs_status hs_resnet_load(const char *path, const hs_tensor_set *set, hs_resnet *r, hs_error *err) {
    hs_status status = HS_OK;
    hs_resnet_loader l = {.path = path, .set = set, .r = r, .err = err};
    int count = 1;
    for (int stage = 0; stage < r->config.stages; stage++)
        count += 4 * r->config.depths[stage];
    l.used = hs_calloc((size_t)set->count + 1, sizeof *l.used);
    r->convs = hs_arena_alloc(&r->arena, (size_t)count, sizeof *r->convs);
    if (!l.used || !r->convs) {
        status = hs_fail_memory(err, (size_t)count * sizeof *r->convs);
        goto cleanup;
    }
    HS_CHECK(hs_resnet_load_convs(&l));
    HS_CHECK(hs_resnet_load_heads(&l));
    for (int i = 0; i < set->count; i++)
        if (!l.used[i] && !hs_resnet_unused(r, set->tensors[i].name))
            HS_CHECK(hs_fail(err, HS_ERROR_FORMAT,
                             "%s: tensor %.200s is superfluous: a residual network of these depths "
                             "has no place for it",
                             path, set->tensors[i].name));
cleanup:
    free(l.used);
    return status;
}
