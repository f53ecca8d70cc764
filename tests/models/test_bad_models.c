/* Damaged and unsupported models: one clear line each, and nothing allocated
 * for what a config claims. */
#include <sys/resource.h>

#include "models/scratch.h"

/* Set config[key] and expect a refusal that names the key; put it back. */
static void hs_refused_key(hs_scratch *scratch, const char *key, json_t *value, hs_status status,
                           const char *word) {
    json_t *old = json_incref(json_object_get(scratch->config, key));
    assert_int_equal(json_object_set_new(scratch->config, key, value), 0);
    hs_scratch_write_config(scratch);
    hs_refused(scratch->folder, status, "config.json", key, word);
    if (old)
        json_object_set_new(scratch->config, key, old);
    else
        json_object_del(scratch->config, key);
}

static void unsupported_values_are_named(void **state) {
    static const struct {
        const char *key, *value, *word;
    } cases[] = {
        {"act_fn", "\"relu\"", "relu"},
        {"resnet_time_scale_shift", "\"spatial\"", "spatial"},
        {"time_embedding_type", "\"learned\"", "learned"},
        {"down_block_types", "[\"DownBlock2D\", \"SkipDownBlock2D\"]", "SkipDownBlock2D"},
        {"up_block_types", "[\"CrossAttnUpBlock2D\", \"UpBlock2D\"]", "CrossAttnUpBlock2D"},
        {"mid_block_type", "null", "null"},
        {"mid_block_type", "\"UNetMidBlock2DCrossAttn\"", "UNetMidBlock2DCrossAttn"},
        {"class_embed_type", "\"timestep\"", "timestep"},
        {"num_class_embeds", "10", "10"},
        {"downsample_type", "\"fir\"", "fir"},
        {"sample_size", "null", "null"},
        {"out_channels", "6", "6"},
        {"_class_name", "\"UNet2DConditionModel\"", "UNet2DConditionModel"},
        {"cross_attention_dim", "768", "known"},
    };
    hs_scratch scratch;
    hs_scratch_open(&scratch);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        hs_refused_key(&scratch, cases[i].key, json_loads(cases[i].value, JSON_DECODE_ANY, NULL),
                       HS_ERROR_UNSUPPORTED, cases[i].word);
    hs_scratch_close(&scratch);
}

static void wrong_values_are_named(void **state) {
    static const struct {
        const char *key, *value, *word;
    } cases[] = {
        {"sample_size", "7", "multiple"},        {"sample_size", "[8, 8, 8]", "sample_size"},
        {"block_out_channels", "[]", "empty"},   {"block_out_channels", "[4, -8]", "-8"},
        {"block_out_channels", "8", "list"},     {"down_block_types", "[\"DownBlock2D\"]", "1"},
        {"norm_num_groups", "3", "divide"},      {"attn_norm_num_groups", "3", "divide"},
        {"norm_eps", "\"small\"", "small"},      {"norm_eps", "-1", "-1"},
        {"center_input_sample", "\"no\"", "no"}, {"mid_block_scale_factor", "0", "0"},
        {"layers_per_block", "1.5", "1.5"},      {"freq_shift", "2", "frequency"},
        {"attention_head_dim", "16", "16"},
    };
    hs_scratch scratch;
    hs_scratch_open(&scratch);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        hs_refused_key(&scratch, cases[i].key, json_loads(cases[i].value, JSON_DECODE_ANY, NULL),
                       HS_ERROR_FORMAT, cases[i].word);
    hs_scratch_close(&scratch);
}

/* 0, -1 and 10^9 wherever a whole number stands. */
static void absurd_numbers_are_refused(void **state) {
    static const char *const keys[] = {
        "sample_size",        "in_channels",          "layers_per_block",  "norm_num_groups",
        "attention_head_dim", "attn_norm_num_groups", "time_embedding_dim"};
    static const json_int_t numbers[] = {0, -1, 1000000000};
    hs_scratch scratch;
    hs_scratch_open(&scratch);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        for (int j = 0; j < 3; j++)
            hs_refused_key(&scratch, keys[i], json_integer(numbers[j]), HS_ERROR_FORMAT,
                           "expected");
    for (int j = 0; j < 3; j++) {
        json_t *pair = json_pack("[i, i]", 4, (int)numbers[j]);
        hs_refused_key(&scratch, "block_out_channels", pair, HS_ERROR_FORMAT, "expected");
        if (numbers[j])
            hs_refused_key(&scratch, "downsample_padding", json_integer(numbers[j]),
                           HS_ERROR_FORMAT, "expected");
    }
    /* The largest numbers that pass the config: the weights do not fit. */
    json_object_set_new(scratch.config, "block_out_channels", json_pack("[i, i]", 65536, 65536));
    json_object_set_new(scratch.config, "sample_size", json_integer(8192));
    hs_scratch_write_config(&scratch);
    hs_refused(scratch.folder, HS_ERROR_FORMAT, "linear_1", "expected");
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    assert_in_range(usage.ru_maxrss, 1, 256 << 10); /* KiB */
    hs_scratch_close(&scratch);
}

static void text_that_is_no_config_is_refused(void **state) {
    hs_scratch scratch;
    hs_scratch_open(&scratch);
    hs_scratch_text(&scratch, "config.json", "{\"sample_size\": 8,}");
    hs_refused(scratch.folder, HS_ERROR_FORMAT, "config.json", "JSON", "line 1");
    hs_scratch_text(&scratch, "config.json", "[1, 2]");
    hs_refused(scratch.folder, HS_ERROR_FORMAT, "config.json", "object");
    hs_scratch_text(&scratch, "config.json", "");
    hs_refused(scratch.folder, HS_ERROR_FORMAT, "config.json");
    hs_scratch_text(&scratch, "config.json", "{}");
    hs_refused(scratch.folder, HS_ERROR_FORMAT, "config.json", "block_out_channels", "missing");
    hs_scratch_close(&scratch);
}

static void pipelines_with_more_than_a_unet_are_refused(void **state) {
    hs_scratch scratch;
    hs_scratch_open(&scratch);
    hs_scratch_text(&scratch, "model_index.json",
                    "{\"unet\": [\"diffusers\", \"UNet2DModel\"], "
                    "\"vqvae\": [\"diffusers\", \"VQModel\"]}");
    hs_refused(scratch.folder, HS_ERROR_UNSUPPORTED, "model_index.json", "vqvae", "VQModel");
    hs_scratch_text(&scratch, "model_index.json",
                    "{\"unet\": [\"diffusers\", \"UNet2DConditionModel\"]}");
    hs_refused(scratch.folder, HS_ERROR_UNSUPPORTED, "UNet2DConditionModel");
    hs_scratch_close(&scratch);
}

static void weights_that_do_not_fit_are_named(void **state) {
    hs_scratch scratch;
    hs_scratch_open(&scratch);
    hs_tensor_set *set = scratch.weights;
    hs_tensor kept = set->tensors[3];
    const char *name = kept.name;

    set->tensors[3].name = "zebra.weight"; /* one missing, one too many */
    hs_scratch_write_weights(&scratch);
    hs_refused(scratch.folder, HS_ERROR_FORMAT, name, "missing", "expected");
    set->tensors[3] = kept;

    hs_tensor last = set->tensors[set->count - 1]; /* the second time under a new name */
    hs_tensor *more = calloc((size_t)set->count + 1, sizeof *more);
    memcpy(more, set->tensors, (size_t)set->count * sizeof *more);
    more[set->count] = last;
    more[set->count].name = "zebra.weight";
    char *path = hs_scratch_path(&scratch, "diffusion_pytorch_model.safetensors");
    hs_error err = {0};
    assert_ok(hs_safetensors_write(path, more, set->count + 1, NULL, &err));
    hs_refused(scratch.folder, HS_ERROR_FORMAT, "zebra.weight", "superfluous", "F16");
    free(more);

    hs_tensor *conv = (hs_tensor *)(uintptr_t)hs_tensor_set_find(set, "conv_in.weight");
    hs_tensor whole = *conv;
    conv->dim[0] = 3; /* [3, 3, 3, 3] of [4, 3, 3, 3] */
    hs_scratch_write_weights(&scratch);
    hs_refused(scratch.folder, HS_ERROR_FORMAT, "conv_in.weight", "[3, 3, 3, 3]", "[4, 3, 3, 3]");
    *conv = whole;

    conv->dtype = HS_I16;
    hs_scratch_write_weights(&scratch);
    hs_refused(scratch.folder, HS_ERROR_FORMAT, "conv_in.weight", "I16", "floating");
    *conv = whole;

    assert_ok(hs_file_write(path, "not weights", 11, &err));
    hs_refused(scratch.folder, HS_ERROR_FORMAT, "diffusion_pytorch_model.safetensors");
    assert_int_equal(remove(path), 0);
    hs_refused(scratch.folder, HS_ERROR_IO, "no weights", ".bin", ".safetensors.index.json");
    free(path);
    hs_scratch_close(&scratch);
}

static void bad_weights_are_found(void **state) {
    hs_scratch scratch;
    hs_scratch_open(&scratch);
    hs_tensor *tensor =
        (hs_tensor *)(uintptr_t)hs_tensor_set_find(scratch.weights, "conv_in.weight");
    static const uint16_t bad[] = {0x7e00, 0x7c00, 0xfc00}; /* NaN, +inf, -inf */
    uint16_t values[4 * 3 * 9];
    const void *good = tensor->data;
    for (int i = 0; i < 3; i++) {
        memcpy(values, good, sizeof values);
        values[17] = bad[i];
        tensor->data = values;
        hs_scratch_write_weights(&scratch);
        hs_model *model;
        hs_error err = {0};
        assert_ok(hs_model_open(scratch.folder, NULL, &model, &err));
        assert_int_equal(hs_model_check_weights(model, &err), HS_ERROR_NUMERIC);
        assert_non_null(strstr(err.message, "conv_in.weight"));
        assert_non_null(strstr(err.message, "17"));
        hs_model_free(model);
    }
    tensor->data = good;
    hs_scratch_close(&scratch);
}

static void first_bad_value_is_found(void **state) {
    float values[3000];
    for (int i = 0; i < 3000; i++)
        values[i] = (float)i * 1e34f;
    assert_int_equal(hs_tensor_first_bad(values, 3000), -1);
    assert_int_equal(hs_tensor_first_bad(values, 0), -1);
    static const int places[] = {2999, 1024, 1023, 0};
    for (int i = 0; i < 4; i++) {
        memset((unsigned char *)&values[places[i]], 0xff, sizeof(float)); /* a NaN */
        assert_int_equal(hs_tensor_first_bad(values, 3000), places[i]);
    }
}

static void absent_models_are_refused(void **state) {
    char *folder = hs_test_make_folder();
    hs_refused(folder, HS_ERROR_IO, "unet/config.json", "model.json");
    hs_refused("no/such/folder", HS_ERROR_IO, "no such folder");
    hs_refused("", HS_ERROR_ARGUMENT, "folder");
    hs_refused("golden/models/plain/unet/config.json", HS_ERROR_ARGUMENT, "folder");
    hs_test_remove_folder(folder);
    free(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unsupported_values_are_named),
        cmocka_unit_test(wrong_values_are_named),
        cmocka_unit_test(absurd_numbers_are_refused),
        cmocka_unit_test(text_that_is_no_config_is_refused),
        cmocka_unit_test(pipelines_with_more_than_a_unet_are_refused),
        cmocka_unit_test(weights_that_do_not_fit_are_named),
        cmocka_unit_test(bad_weights_are_found),
        cmocka_unit_test(first_bad_value_is_found),
        cmocka_unit_test(absent_models_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
