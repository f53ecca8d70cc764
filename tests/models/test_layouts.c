/* Where a model may lie, what is known of it, and its fingerprint. */
#include <unistd.h>

#include "models/scratch.h"

static hs_model *hs_opened(const char *path) {
    hs_model *model;
    hs_error err = {0};
    assert_ok(hs_model_open(path, NULL, &model, &err));
    return model;
}

static void hs_make_folders(const char *path) {
    char *copy = hs_strdup(path);
    for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(copy, 0700);
        *slash = '/';
    }
    mkdir(copy, 0700);
    free(copy);
}

static void info_says_what_the_model_is(void **state) {
    hs_model *model = hs_opened("golden/models/wide");
    hs_model_info info;
    hs_model_get_info(model, &info);
    assert_string_equal(info.name, "golden/models/wide");
    assert_string_equal(info.architecture, "UNet2DModel");
    assert_int_equal(info.image[0], 3);
    assert_int_equal(info.image[1], 8);
    assert_int_equal(info.image[2], 16);
    for (int space = 0; space < 3; space++) {
        assert_int_equal(info.h[space][0], 8);
        assert_int_equal(info.h[space][1], 2);
        assert_int_equal(info.h[space][2], 4);
    }
    int64_t values = 0;
    for (int i = 0; i < model->weights->count; i++)
        values += hs_tensor_count(&model->weights->tensors[i]);
    assert_int_equal(info.parameters, values);
    assert_int_equal(info.weight_bytes, 2 * values);
    assert_string_equal(info.weight_dtype, "F16");
    assert_in_range(info.macs_to_h, 1, info.macs - 1);
    assert_true(model->schedule.absent);
    hs_model_free(model);

    model = hs_opened("golden/models/plain/"); /* a pipeline; with a slash */
    assert_false(model->schedule.absent);
    assert_false(model->schedule.clip_sample);
    hs_model_free(model);
}

/* A convolution alone: 3x3, 3 to 4 channels at 8x8, must be counted once. */
static void macs_are_counted(void **state) {
    hs_model *model = hs_opened("golden/models/plain");
    hs_unet_graph unet;
    hs_error err = {0};
    assert_ok(hs_model_build(model, 1, HS_H_AFTER, &unet, &err));
    hs_value conv = hs_graph_find(unet.graph, "conv_in");
    assert_int_not_equal(conv, HS_NO_VALUE);
    assert_int_equal(hs_node_macs(unet.graph, conv), 3 * 4 * 9 * 64);
    hs_graph_free(unet.graph);
    hs_unet_graph none = {0};
    assert_int_equal(hs_model_build(model, 0, HS_H_AFTER, &none, &err), HS_ERROR_ARGUMENT);
    assert_null(none.graph);
    hs_model_free(model);
}

static void a_bare_unet_finds_the_scheduler_beside_it(void **state) {
    hs_model *model = hs_opened("golden/models/plain/unet");
    assert_false(model->schedule.absent); /* ../scheduler/ */
    hs_model_free(model);
    hs_scratch scratch;
    hs_scratch_open(&scratch);
    hs_scratch_text(&scratch, "scheduler_config.json",
                    "{\"_class_name\": \"DDIMScheduler\", \"num_train_timesteps\": 77}");
    model = hs_opened(scratch.folder);
    assert_int_equal(model->schedule.num_train_timesteps, 77);
    hs_model_free(model);
    hs_scratch_close(&scratch);
}

static void hub_ids_are_found_in_the_cache(void **state) {
    char *cache = hs_test_make_folder(), here[4096];
    assert_non_null(getcwd(here, sizeof here));
    char *refs = hs_format("%s/models--some-one--tiny.1/refs", cache);
    char *snapshots = hs_format("%s/models--some-one--tiny.1/snapshots", cache);
    char *snapshot = hs_format("%s/0123abcd", snapshots);
    char *target = hs_format("%s/golden/models/plain", here),
         *main_ref = hs_format("%s/main", refs);
    hs_error err = {0};
    hs_make_folders(refs);
    hs_make_folders(snapshots);
    assert_int_equal(symlink(target, snapshot), 0);
    assert_ok(hs_file_write(main_ref, "0123abcd\n", 9, &err));
    setenv("HF_HUB_CACHE", cache, 1);
    hs_model *model = hs_opened("some-one/tiny.1");
    assert_string_equal(model->name, "some-one/tiny.1");
    hs_model_free(model);
    hs_refused("some-one/other", HS_ERROR_IO, "some-one/other", cache);
    assert_ok(hs_file_write(main_ref, "../../etc", 9, &err));
    hs_refused("some-one/tiny.1", HS_ERROR_FORMAT, "refs/main", "commit");
    assert_ok(hs_file_write(main_ref, "9999", 4, &err));
    hs_refused("some-one/tiny.1", HS_ERROR_IO, "9999");
    unsetenv("HF_HUB_CACHE");
    hs_test_remove_folder(cache);
    free(main_ref);
    free(target);
    free(snapshot);
    free(snapshots);
    free(refs);
    free(cache);
}

static void blobs_open_like_files(void **state) {
    static const char *const names[] = {"model_index.json", "unet/config.json",
                                        "unet/diffusion_pytorch_model.safetensors",
                                        "scheduler/scheduler_config.json"};
    hs_file files[4];
    hs_blob blobs[4];
    hs_error err = {0};
    char path[128], a[33], b[33];
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "golden/models/plain/%s", names[i]);
        assert_ok(hs_file_map(path, &files[i], &err));
        blobs[i] = (hs_blob){names[i], files[i].data, files[i].size};
    }
    hs_model *model, *disk = hs_opened("golden/models/plain");
    assert_ok(hs_model_open_blobs("demo", blobs, 4, NULL, &model, &err));
    assert_string_equal(model->name, "demo");
    assert_false(model->schedule.absent);
    assert_ok(hs_model_fingerprint(model, a, &err));
    assert_ok(hs_model_fingerprint(disk, b, &err));
    assert_string_equal(a, b);
    hs_model_free(model);
    hs_model_free(disk);
    assert_int_equal(hs_model_open_blobs("demo", blobs, 2, NULL, &model, &err), HS_ERROR_IO);
    assert_null(model);
    for (int i = 0; i < 4; i++)
        hs_file_unmap(&files[i]);
}

static void hs_fingerprint_of(const hs_scratch *scratch, char out[33]) {
    hs_error err = {0};
    hs_model *model = hs_opened(scratch->folder);
    assert_ok(hs_model_fingerprint(model, out, &err));
    assert_int_equal(strlen(out), 32);
    hs_model_free(model);
}

static void fingerprints_follow_config_and_weights_alone(void **state) {
    char original[33], other[33];
    hs_scratch scratch, copy;
    hs_scratch_open(&scratch);
    hs_scratch_open(&copy);
    hs_fingerprint_of(&scratch, original);
    hs_fingerprint_of(&copy, other);
    assert_string_equal(original, other); /* wherever the files lie */
    hs_fingerprint_of(&scratch, other);
    assert_string_equal(original, other); /* from the cache */
    json_object_set_new(scratch.config, "_diffusers_version", json_string("9.9"));
    hs_scratch_write_config(&scratch);
    hs_scratch_text(&scratch, "scheduler_config.json", "{\"num_train_timesteps\": 50}");
    hs_fingerprint_of(&scratch, other);
    assert_string_equal(original, other);
    json_object_set_new(scratch.config, "norm_eps", json_real(1e-5));
    hs_scratch_write_config(&scratch);
    hs_fingerprint_of(&scratch, other);
    assert_string_not_equal(original, other);
    hs_tensor *tensor = (hs_tensor *)(uintptr_t)hs_tensor_set_find(copy.weights, "conv_in.bias");
    uint16_t values[4];
    memcpy(values, tensor->data, sizeof values);
    values[2] ^= 1;
    tensor->data = values;
    hs_scratch_write_weights(&copy);
    hs_fingerprint_of(&copy, other);
    assert_string_not_equal(original, other);
    hs_scratch_close(&copy);
    hs_scratch_close(&scratch);
}

static int hs_set_cache(void **state) {
    *state = hs_test_make_folder();
    return setenv("XDG_CACHE_HOME", *state, 1);
}

static int hs_drop_cache(void **state) {
    hs_test_remove_folder(*state);
    free(*state);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(info_says_what_the_model_is),
        cmocka_unit_test(macs_are_counted),
        cmocka_unit_test(a_bare_unet_finds_the_scheduler_beside_it),
        cmocka_unit_test(hub_ids_are_found_in_the_cache),
        cmocka_unit_test(blobs_open_like_files),
        cmocka_unit_test(fingerprints_follow_config_and_weights_alone),
    };
    return cmocka_run_group_tests(tests, hs_set_cache, hs_drop_cache);
}
