/* config.json of transformers' ResNetForImageClassification, with the defaults
 * of its ResNetConfig. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "models/resnet.h"

static hs_status hs_resnet_refuse(const char *key, const char *found, const char *expected,
                                  hs_error *err) {
    return hs_fail(err, HS_ERROR_UNSUPPORTED, "%s \"%.60s\" is not supported, expected %s", key,
                   found, expected);
}

static hs_status hs_resnet_class(const json_t *json, hs_error *err) {
    const char *const wanted = "ResNetForImageClassification";
    const char *names[16], *type;
    int count;
    HS_TRY(hs_json_get_string(json, "model_type", "resnet", &type, err));
    if (strcmp(type, "resnet"))
        return hs_resnet_refuse("model_type", type, "resnet", err);
    HS_TRY(hs_json_get_strings(json, "architectures", names, 16, &count, err));
    for (int i = 0; i < count; i++)
        if (!strcmp(names[i], wanted))
            return HS_OK;
    return count ? hs_resnet_refuse("architectures", names[0], wanted, err) : HS_OK;
}

static hs_status hs_resnet_activation(const json_t *json, hs_activation *out, hs_error *err) {
    static const struct {
        const char *name;
        hs_activation kind;
    } kinds[] = {{"relu", HS_RELU},
                 {"silu", HS_SILU},
                 {"swish", HS_SILU},
                 {"mish", HS_MISH},
                 {"gelu", HS_GELU}};
    const char *text;
    HS_TRY(hs_json_get_string(json, "hidden_act", "relu", &text, err));
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcasecmp(text, kinds[i].name)) {
            *out = kinds[i].kind;
            return HS_OK;
        }
    return hs_resnet_refuse("hidden_act", text, "relu, silu, swish, mish or gelu", err);
}

/* hidden_sizes and depths. */
static hs_status hs_resnet_stages(const json_t *json, hs_resnet_config *c, hs_error *err) {
    int64_t widths[HS_RESNET_STAGES] = {256, 512, 1024, 2048};
    int64_t depths[HS_RESNET_STAGES] = {3, 4, 6, 3};
    int width_count = 4, depth_count = 4;
    if (!hs_json_absent(json, "hidden_sizes"))
        HS_TRY(hs_json_get_ints(json, "hidden_sizes", 1, HS_RESNET_WIDTH, widths, HS_RESNET_STAGES,
                                &width_count, err));
    if (!hs_json_absent(json, "depths"))
        HS_TRY(hs_json_get_ints(json, "depths", 1, HS_RESNET_DEPTH, depths, HS_RESNET_STAGES,
                                &depth_count, err));
    if (width_count < 1 || width_count != depth_count)
        return hs_fail(err, HS_ERROR_FORMAT,
                       "hidden_sizes has %d numbers and depths %d, expected as many, at least one",
                       width_count, depth_count);
    c->stages = width_count;
    for (int i = 0; i < c->stages; i++) {
        c->widths[i] = (int)widths[i];
        c->depths[i] = (int)depths[i];
        c->reduced[i] = (int)widths[i] / 4;
        if (c->bottleneck && c->reduced[i] < 1)
            return hs_fail(err, HS_ERROR_FORMAT,
                           "hidden_sizes[%d] is %d, expected at least 4 for a bottleneck", i,
                           c->widths[i]);
    }
    return HS_OK;
}

static hs_status hs_resnet_labels(const json_t *json, hs_resnet *r, hs_error *err) {
    json_t *names;
    int64_t count = 2; /* PretrainedConfig's default */
    HS_TRY(hs_json_get_object(json, "id2label", &names, err));
    if (names)
        count = (int64_t)json_object_size(names);
    HS_TRY(hs_json_get_int(json, "num_labels", count, 1, HS_RESNET_WIDTH, &count, err));
    if (names && (size_t)count != json_object_size(names))
        return hs_fail(err, HS_ERROR_FORMAT, "num_labels is %lld, but id2label has %zu entries",
                       (long long)count, json_object_size(names));
    if (count < 1 || count > HS_RESNET_WIDTH)
        return hs_fail(err, HS_ERROR_FORMAT, "id2label has %lld entries, expected 1 to %d",
                       (long long)count, HS_RESNET_WIDTH);
    r->label_count = (int)count;
    const char **labels = hs_arena_alloc(&r->arena, (size_t)count, sizeof *labels);
    if (!labels)
        return hs_fail_memory(err, (size_t)count * sizeof *labels);
    r->labels = labels;
    for (int i = 0; i < r->label_count; i++) {
        char key[16], plain[32];
        const char *label;
        snprintf(key, sizeof key, "%d", i);
        snprintf(plain, sizeof plain, "LABEL_%d", i);
        if (names && !json_is_string(json_object_get(names, key)))
            return hs_fail(err, HS_ERROR_FORMAT, "id2label: expected a name for \"%d\"", i);
        label = names ? json_string_value(json_object_get(names, key)) : plain;
        labels[i] = hs_arena_strdup(&r->arena, label);
        if (!labels[i])
            return hs_fail_memory(err, strlen(label) + 1);
    }
    return HS_OK;
}

/* As transformers' own pipeline where nothing says it: one label is yes or no. */
static hs_status hs_resnet_problem(const json_t *json, hs_resnet *r, hs_error *err) {
    static const char *const names[] = {"single_label_classification", "multi_label_classification",
                                        "regression"};
    const char *text;
    r->head = r->label_count == 1 ? HS_HEAD_MULTI : HS_HEAD_SINGLE;
    HS_TRY(hs_json_get_string(json, "problem_type", NULL, &text, err));
    if (!text)
        return HS_OK;
    for (int i = 0; i < 3; i++)
        if (!strcmp(text, names[i])) {
            r->head = (hs_resnet_head)i;
            r->head_said = true;
            return HS_OK;
        }
    return hs_resnet_refuse("problem_type", text,
                            "single_label_classification, multi_label_classification or regression",
                            err);
}

static hs_status hs_resnet_config_read(const json_t *json, hs_resnet *r, hs_error *err) {
    hs_resnet_config *c = &r->config;
    int64_t channels, embedding;
    const char *type;
    HS_TRY(hs_resnet_class(json, err));
    HS_TRY(hs_json_get_int(json, "num_channels", 3, 1, 64, &channels, err));
    HS_TRY(hs_json_get_int(json, "embedding_size", 64, 1, HS_RESNET_WIDTH, &embedding, err));
    c->channels = (int)channels;
    c->embedding_size = (int)embedding;
    HS_TRY(hs_json_get_string(json, "layer_type", "bottleneck", &type, err));
    c->bottleneck = !strcmp(type, "bottleneck");
    if (!c->bottleneck && strcmp(type, "basic"))
        return hs_resnet_refuse("layer_type", type, "basic or bottleneck", err);
    HS_TRY(hs_resnet_stages(json, c, err));
    HS_TRY(hs_resnet_activation(json, &c->act, err));
    HS_TRY(hs_json_get_bool(json, "downsample_in_first_stage", false, &c->downsample_in_first_stage,
                            err));
    HS_TRY(hs_json_get_bool(json, "downsample_in_bottleneck", false, &c->downsample_in_bottleneck,
                            err));
    HS_TRY(hs_resnet_labels(json, r, err));
    return hs_resnet_problem(json, r, err);
}

hs_status hs_resnet_config_parse(const char *path, const json_t *json, hs_resnet *r,
                                 hs_error *err) {
    r->config = (hs_resnet_config){.prefix = ""};
    hs_status status = hs_resnet_config_read(json, r, err);
    return status == HS_OK ? status : hs_fail_prefix(err, status, "%s", path);
}
