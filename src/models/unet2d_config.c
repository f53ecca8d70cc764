/*
 * Reading a UNet2DModel config. Defaults are those of the class; a key or a
 * value whose meaning hspace does not know is refused by name, because ignoring
 * it would give a network that is not the published one.
 */
#include <stdio.h>
#include <string.h>

#include "io/json.h"
#include "models/unet2d.h"

#define HS_MAX_CHANNELS 65536
#define HS_MAX_SAMPLE_SIZE 8192

static hs_status hs_config_int(const json_t *json, const char *key, int otherwise, int min, int max,
                               int *out, hs_error *err) {
    int64_t value;
    HS_TRY(hs_json_get_int(json, key, otherwise, min, max, &value, err));
    *out = (int)value;
    return HS_OK;
}

static hs_status hs_config_refuse(const char *key, const char *value, const char *expected,
                                  hs_error *err) {
    return hs_fail(err, HS_ERROR_UNSUPPORTED, "%s \"%.60s\" is not supported, expected %s", key,
                   value, expected);
}

/* A key that must be absent or null. */
static hs_status hs_config_null(const json_t *json, const char *key, hs_error *err) {
    char found[100];
    if (hs_json_absent(json, key))
        return HS_OK;
    hs_json_describe(json_object_get(json, key), found);
    return hs_fail(err, HS_ERROR_UNSUPPORTED, "%s is %s, which is not supported, expected null",
                   key, found);
}

/* A key of two values; *out is whether it is `second`. */
static hs_status hs_config_either(const json_t *json, const char *key, const char *otherwise,
                                  const char *first, const char *second, bool *out, hs_error *err) {
    const char *text;
    char expected[100];
    HS_TRY(hs_json_get_string(json, key, otherwise, &text, err));
    snprintf(expected, sizeof expected, "%s or %s", first, second);
    if (strcmp(text, first) && strcmp(text, second))
        return hs_config_refuse(key, text, expected, err);
    *out = !strcmp(text, second);
    return HS_OK;
}

static hs_status hs_config_activation(const json_t *json, hs_activation *out, hs_error *err) {
    static const struct {
        const char *name;
        hs_activation kind;
    } kinds[] = {{"silu", HS_SILU}, {"swish", HS_SILU}, {"mish", HS_MISH}, {"gelu", HS_GELU}};
    const char *text;
    HS_TRY(hs_json_get_string(json, "act_fn", "silu", &text, err));
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcasecmp(text, kinds[i].name)) {
            *out = kinds[i].kind;
            return HS_OK;
        }
    return hs_config_refuse("act_fn", text, "silu, swish, mish or gelu", err);
}

/* The `levels` names of down_block_types or up_block_types. */
static hs_status hs_config_blocks(const json_t *json, const char *key, const char *const names[3],
                                  int levels, hs_unet_block *out, hs_error *err) {
    const char *list[HS_UNET_MAX_LEVELS];
    int count;
    char expected[100];
    HS_TRY(hs_json_need(json, key, err));
    HS_TRY(hs_json_get_strings(json, key, list, HS_UNET_MAX_LEVELS, &count, err));
    if (count != levels)
        return hs_fail(err, HS_ERROR_FORMAT, "%s has %d names, expected %d as block_out_channels",
                       key, count, levels);
    snprintf(expected, sizeof expected, "%s, %s or %s", names[0], names[1], names[2]);
    for (int i = 0; i < levels; i++) {
        const char *name = strncmp(list[i], "UNetRes", 7) ? list[i] : list[i] + 7;
        int kind = 0;
        while (kind < 3 && strcmp(name, names[kind]))
            kind++;
        if (kind == 3)
            return hs_config_refuse(key, list[i], expected, err);
        out[i] = (hs_unet_block)kind;
    }
    return HS_OK;
}

static hs_status hs_config_levels(const json_t *json, hs_unet2d_config *c, hs_error *err) {
    static const char *const down[] = {"DownBlock2D", "AttnDownBlock2D", "ResnetDownsampleBlock2D"};
    static const char *const up[] = {"UpBlock2D", "AttnUpBlock2D", "ResnetUpsampleBlock2D"};
    int64_t channels[HS_UNET_MAX_LEVELS];
    HS_TRY(hs_json_need(json, "block_out_channels", err));
    HS_TRY(hs_json_get_ints(json, "block_out_channels", 1, HS_MAX_CHANNELS, channels,
                            HS_UNET_MAX_LEVELS, &c->levels, err));
    if (!c->levels)
        return hs_fail(err, HS_ERROR_FORMAT, "block_out_channels is empty");
    for (int i = 0; i < c->levels; i++)
        c->block_out_channels[i] = (int)channels[i];
    HS_TRY(hs_config_blocks(json, "down_block_types", down, c->levels, c->down, err));
    HS_TRY(hs_config_blocks(json, "up_block_types", up, c->levels, c->up, err));
    HS_TRY(hs_config_int(json, "layers_per_block", 2, 1, HS_UNET_MAX_LAYERS, &c->layers_per_block,
                         err));
    HS_TRY(hs_config_int(json, "downsample_padding", 1, 0, 1, &c->downsample_padding, err));
    HS_TRY(hs_config_either(json, "downsample_type", "conv", "conv", "resnet",
                            &c->downsample_resnet, err));
    return hs_config_either(json, "upsample_type", "conv", "conv", "resnet", &c->upsample_resnet,
                            err);
}

/* A whole number for a square, or [height, width]. */
static hs_status hs_config_sample_size(const json_t *json, hs_unet2d_config *c, hs_error *err) {
    if (json_is_array(json_object_get(json, "sample_size"))) {
        int64_t size[2];
        int count;
        HS_TRY(hs_json_get_ints(json, "sample_size", 1, HS_MAX_SAMPLE_SIZE, size, 2, &count, err));
        if (count != 2)
            return hs_fail(err, HS_ERROR_FORMAT,
                           "sample_size has %d numbers, expected height and width", count);
        c->sample_size[0] = (int)size[0];
        c->sample_size[1] = (int)size[1];
        return HS_OK;
    }
    if (hs_json_absent(json, "sample_size"))
        return hs_fail(err, HS_ERROR_UNSUPPORTED,
                       "sample_size is null, expected the size of the images");
    HS_TRY(hs_config_int(json, "sample_size", 0, 1, HS_MAX_SAMPLE_SIZE, &c->sample_size[0], err));
    c->sample_size[1] = c->sample_size[0];
    return HS_OK;
}

static hs_status hs_config_input(const json_t *json, hs_unet2d_config *c, hs_error *err) {
    HS_TRY(hs_config_sample_size(json, c, err));
    HS_TRY(hs_config_int(json, "in_channels", 3, 1, HS_MAX_CHANNELS, &c->in_channels, err));
    HS_TRY(hs_config_int(json, "out_channels", 3, 1, HS_MAX_CHANNELS, &c->out_channels, err));
    HS_TRY(hs_json_get_bool(json, "center_input_sample", false, &c->center_input_sample, err));
    HS_TRY(hs_config_null(json, "class_embed_type", err));
    return hs_config_null(json, "num_class_embeds", err);
}

static hs_status hs_config_time(const json_t *json, hs_unet2d_config *c, hs_error *err) {
    HS_TRY(hs_config_either(json, "time_embedding_type", "positional", "positional", "fourier",
                            &c->fourier, err));
    HS_TRY(hs_json_get_bool(json, "flip_sin_to_cos", true, &c->flip_sin_to_cos, err));
    HS_TRY(hs_json_get_double(json, "freq_shift", 0, -1e6, 1e6, &c->freq_shift, err));
    c->time_channels = c->block_out_channels[0];
    return hs_config_int(json, "time_embedding_dim", 4 * c->block_out_channels[0], 1,
                         4 * HS_MAX_CHANNELS, &c->time_embedding_dim, err);
}

static hs_status hs_config_norms(const json_t *json, hs_unet2d_config *c, hs_error *err) {
    HS_TRY(hs_config_activation(json, &c->act_fn, err));
    HS_TRY(hs_config_either(json, "resnet_time_scale_shift", "default", "default", "scale_shift",
                            &c->scale_shift, err));
    HS_TRY(
        hs_config_int(json, "norm_num_groups", 32, 1, HS_MAX_CHANNELS, &c->norm_num_groups, err));
    HS_TRY(hs_json_get_double(json, "norm_eps", 1e-5, 0, 1, &c->norm_eps, err));
    /* Null: a norm like the others, but none at all where time scales and shifts. */
    return hs_config_int(json, "attn_norm_num_groups", c->scale_shift ? 0 : c->norm_num_groups, 1,
                         HS_MAX_CHANNELS, &c->attn_norm_num_groups, err);
}

static hs_status hs_config_attention(const json_t *json, hs_unet2d_config *c, hs_error *err) {
    const char *mid = "UNetMidBlock2D";
    if (json_object_get(json, "mid_block_type") && hs_json_absent(json, "mid_block_type"))
        mid = "null"; /* no mid block, so no h */
    else
        HS_TRY(hs_json_get_string(json, "mid_block_type", mid, &mid, err));
    if (strcmp(mid, "UNetMidBlock2D"))
        return hs_config_refuse("mid_block_type", mid, "UNetMidBlock2D", err);
    HS_TRY(hs_json_get_double(json, "mid_block_scale_factor", 1, 1e-6, 1e6,
                              &c->mid_block_scale_factor, err));
    HS_TRY(hs_json_get_bool(json, "add_attention", true, &c->add_attention, err));
    if (json_is_null(json_object_get(json, "attention_head_dim"))) {
        c->attention_head_dim = 0;
        return HS_OK;
    }
    return hs_config_int(json, "attention_head_dim", 8, 1, HS_MAX_CHANNELS, &c->attention_head_dim,
                         err);
}

/* A null must not be read as false, so it stands for any unknown key. */
static hs_status hs_config_unknown(const json_t *json, hs_error *err) {
    static const char *const known[] = {"sample_size",
                                        "in_channels",
                                        "out_channels",
                                        "center_input_sample",
                                        "time_embedding_type",
                                        "time_embedding_dim",
                                        "freq_shift",
                                        "flip_sin_to_cos",
                                        "down_block_types",
                                        "mid_block_type",
                                        "up_block_types",
                                        "block_out_channels",
                                        "layers_per_block",
                                        "mid_block_scale_factor",
                                        "downsample_padding",
                                        "downsample_type",
                                        "upsample_type",
                                        "dropout",
                                        "act_fn",
                                        "attention_head_dim",
                                        "norm_num_groups",
                                        "attn_norm_num_groups",
                                        "norm_eps",
                                        "resnet_time_scale_shift",
                                        "add_attention",
                                        "class_embed_type",
                                        "num_class_embeds",
                                        "num_train_timesteps",
                                        NULL};
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)json, key, value) {
        int i = 0;
        while (known[i] && strcmp(known[i], key))
            i++;
        if (!known[i] && key[0] != '_' && !json_is_null(value) && !json_is_false(value))
            return hs_fail(err, HS_ERROR_UNSUPPORTED, "%.60s is not a known key of UNet2DModel",
                           key);
    }
    return HS_OK;
}

static hs_status hs_config_read(const json_t *json, hs_unet2d_config *c, hs_error *err) {
    const char *class;
    HS_TRY(hs_json_get_string(json, "_class_name", "UNet2DModel", &class, err));
    if (strcmp(class, "UNet2DModel"))
        return hs_config_refuse("_class_name", class, "UNet2DModel", err);
    HS_TRY(hs_config_levels(json, c, err));
    HS_TRY(hs_config_input(json, c, err));
    HS_TRY(hs_config_time(json, c, err));
    HS_TRY(hs_config_norms(json, c, err));
    HS_TRY(hs_config_attention(json, c, err));
    return hs_config_unknown(json, err);
}

static hs_status hs_config_check_groups(const hs_unet2d_config *c, hs_error *err) {
    int last = c->block_out_channels[c->levels - 1];
    for (int i = 0; i < c->levels; i++)
        if (c->block_out_channels[i] % c->norm_num_groups)
            return hs_fail(
                err, HS_ERROR_FORMAT,
                "norm_num_groups is %d, which does not divide block_out_channels[%d] = %d",
                c->norm_num_groups, i, c->block_out_channels[i]);
    if (c->add_attention && c->attn_norm_num_groups && last % c->attn_norm_num_groups)
        return hs_fail(
            err, HS_ERROR_FORMAT,
            "attn_norm_num_groups is %d, which does not divide the mid block's %d channels",
            c->attn_norm_num_groups, last);
    return HS_OK;
}

static hs_status hs_config_check(const hs_unet2d_config *c, hs_error *err) {
    HS_TRY(hs_config_check_groups(c, err));
    for (int axis = 0; axis < 2; axis++)
        if (c->sample_size[axis] < 1 || c->sample_size[axis] > HS_MAX_SAMPLE_SIZE)
            return hs_fail(err, HS_ERROR_FORMAT, "sample_size is %d, expected 1 to %d",
                           c->sample_size[axis], HS_MAX_SAMPLE_SIZE);
    for (int axis = 0; axis < 2; axis++)
        if (c->sample_size[axis] % (1 << (c->levels - 1)))
            return hs_fail(err, HS_ERROR_FORMAT,
                           "sample_size %d x %d is not a multiple of %d, "
                           "by which %d levels divide it",
                           c->sample_size[0], c->sample_size[1], 1 << (c->levels - 1), c->levels);
    if (c->out_channels != c->in_channels)
        return hs_fail(err, HS_ERROR_UNSUPPORTED,
                       "out_channels is %d, expected in_channels = %d (learned variances and "
                       "conditions in the input are not supported)",
                       c->out_channels, c->in_channels);
    if (!c->fourier && c->time_channels / 2 - c->freq_shift == 0)
        return hs_fail(err, HS_ERROR_FORMAT, "freq_shift %g leaves no frequency of %d channels",
                       c->freq_shift, c->time_channels);
    for (int i = 0; i < c->levels; i++) {
        bool attends = c->down[i] == HS_BLOCK_ATTN || c->up[c->levels - 1 - i] == HS_BLOCK_ATTN ||
                       (i == c->levels - 1 && c->add_attention);
        if (attends && c->attention_head_dim > c->block_out_channels[i])
            return hs_fail(err, HS_ERROR_FORMAT,
                           "attention_head_dim is %d, expected at most block_out_channels[%d] = %d",
                           c->attention_head_dim, i, c->block_out_channels[i]);
    }
    return HS_OK;
}

hs_status hs_unet2d_config_check(const char *path, const hs_unet2d_config *config, hs_error *err) {
    hs_status status = hs_config_check(config, err);
    return status == HS_OK ? HS_OK : hs_fail_prefix(err, status, "%s", path);
}

hs_status hs_unet2d_config_parse(const char *path, const void *data, size_t size,
                                 hs_unet2d_config *out, hs_error *err) {
    json_t *json;
    HS_TRY(hs_json_parse_object(path, data, size, &json, err));
    hs_unet2d_config config = {0};
    hs_status status = hs_config_read(json, &config, err);
    json_decref(json);
    if (status != HS_OK)
        return hs_fail_prefix(err, status, "%s", path);
    HS_TRY(hs_unet2d_config_check(path, &config, err));
    *out = config;
    return HS_OK;
}
