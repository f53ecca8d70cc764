/* TensorFlow.js folders that are not quite of the Keras DDPM family. */
#include "models/scratch.h"

#define ROOT "StatefulPartitionedCall/unet/"

typedef struct hs_keras_scratch {
    hs_scratch scratch; /* folder and, as `config`, model.json */
    json_t *nodes, *weights;
} hs_keras_scratch;

static void hs_keras_open(hs_keras_scratch *k) {
    static const char *const shards[] = {"group1-shard1of2.bin", "group1-shard2of2.bin"};
    hs_error err = {0};
    k->scratch = (hs_scratch){.folder = hs_test_make_folder(),
                              .config = json_load_file("golden/models/keras/model.json", 0, NULL)};
    assert_non_null(k->scratch.config);
    k->nodes = json_object_get(json_object_get(k->scratch.config, "modelTopology"), "node");
    k->weights = json_object_get(
        json_array_get(json_object_get(k->scratch.config, "weightsManifest"), 0), "weights");
    for (int i = 0; i < 2; i++) {
        char from[128], *to = hs_scratch_path(&k->scratch, shards[i]);
        hs_file file;
        snprintf(from, sizeof from, "golden/models/keras/%s", shards[i]);
        assert_ok(hs_file_map(from, &file, &err));
        assert_ok(hs_file_write(to, file.data, file.size, &err));
        hs_file_unmap(&file);
        free(to);
    }
}

static void hs_keras_write(const hs_keras_scratch *k) {
    char *text = json_dumps(k->scratch.config, JSON_COMPACT);
    assert_non_null(text);
    hs_scratch_text(&k->scratch, "model.json", text);
    free(text);
}

static void hs_keras_close(hs_keras_scratch *k) {
    hs_test_remove_folder(k->scratch.folder);
    free(k->scratch.folder);
    json_decref(k->scratch.config);
}

/* The first entry of `list` whose "name" ends so, from the skip-th on. */
static json_t *hs_named(json_t *list, const char *ending, int skip) {
    size_t i;
    json_t *entry;
    json_array_foreach(list, i, entry) {
        const char *name = json_string_value(json_object_get(entry, "name"));
        size_t length = strlen(name), tail = strlen(ending);
        if (length >= tail && !strcmp(name + length - tail, ending) && !skip--)
            return entry;
    }
    fail_msg("no entry %s", ending);
    return NULL;
}

static void hs_keras_refused(hs_keras_scratch *k, hs_status status, const char *word,
                             const char *other) {
    hs_keras_write(k);
    hs_refused(k->scratch.folder, status, "model.json", word, other);
    hs_keras_close(k);
}

static void what_is_intact_opens(void **state) {
    hs_keras_scratch k;
    hs_error err = {0};
    hs_model *model;
    hs_model_info info;
    hs_keras_open(&k);
    hs_keras_write(&k);
    hs_scratch_text(&k.scratch, "scheduler_config.json",
                    "{\"num_train_timesteps\": 40, \"beta_schedule\": \"keras_cosine\"}");
    assert_ok(hs_model_open(k.scratch.folder, NULL, &model, &err));
    hs_model_get_info(model, &info);
    assert_string_equal(info.architecture, "Keras DDPM");
    assert_string_equal(info.weight_dtype, "U8");
    assert_int_equal(info.weight_bytes, info.parameters);
    assert_int_equal(info.num_train_timesteps, 40);
    hs_model_free(model);
    hs_keras_close(&k);
}

static void other_formats_are_refused(void **state) {
    hs_keras_scratch k;
    hs_keras_open(&k);
    json_object_set_new(k.scratch.config, "format", json_string("layers-model"));
    hs_keras_refused(&k, HS_ERROR_UNSUPPORTED, "layers-model", "graph-model");
    hs_keras_open(&k);
    json_object_del(k.scratch.config, "signature");
    hs_keras_refused(&k, HS_ERROR_UNSUPPORTED, "signature", "height");
}

static void other_wiring_is_refused(void **state) {
    hs_keras_scratch k;
    hs_keras_open(&k); /* [skip, x] in place of [x, skip] */
    json_t *inputs = json_object_get(hs_named(k.nodes, "concatenate_11/concat", 0), "input");
    json_t *first = json_incref(json_array_get(inputs, 0));
    json_array_remove(inputs, 0);
    json_array_append_new(inputs, first);
    hs_keras_refused(&k, HS_ERROR_UNSUPPORTED, "concatenate_11", "concatenation");

    hs_keras_open(&k); /* a skip from elsewhere */
    inputs = json_object_get(hs_named(k.nodes, "concatenate_10/concat", 0), "input");
    json_array_set_new(inputs, 1, json_string(ROOT "conv2d_67/BiasAdd"));
    hs_keras_refused(&k, HS_ERROR_UNSUPPORTED, "concatenate_10", "concatenation");

    hs_keras_open(&k);
    inputs = json_object_get(hs_named(k.nodes, "attention_block_9/add", 0), "input");
    json_array_set_new(inputs, 0, json_string("elsewhere"));
    hs_keras_refused(&k, HS_ERROR_UNSUPPORTED, "attention_block_9/add", "normalised");

    hs_keras_open(&k); /* one block adds its plain input, the others do not */
    inputs = json_object_get(hs_named(k.nodes, "attention_block_10/add", 0), "input");
    json_t *norm = hs_named(k.nodes, "Reshape_3", 0);
    size_t i;
    json_t *node;
    json_array_foreach(k.nodes, i,
                       node) if (!strcmp(json_string_value(json_object_get(node, "name")),
                                         json_string_value(json_array_get(inputs, 0)))) norm = node;
    json_array_set(inputs, 0, json_array_get(json_object_get(norm, "input"), 0));
    hs_keras_refused(&k, HS_ERROR_UNSUPPORTED, "attention_block_10/add", "normalised");
}

static void other_ops_are_refused(void **state) {
    hs_keras_scratch k;
    hs_keras_open(&k);
    json_object_set_new(hs_named(k.nodes, "/Sigmoid", 2), "op", json_string("Relu"));
    hs_keras_refused(&k, HS_ERROR_UNSUPPORTED, "Relu", "tf.nn.silu_3");

    hs_keras_open(&k);
    json_object_set_new(hs_named(k.nodes, "/Sigmoid", 2), "op", json_string("Identity"));
    hs_keras_refused(&k, HS_ERROR_UNSUPPORTED, "Sigmoid", "expected");

    hs_keras_open(&k);
    json_object_set_new(json_object_get(hs_named(k.nodes, "conv2d_70/BiasAdd", 0), "attr"),
                        "fused_ops",
                        json_pack("{s{s[s,s]}}", "list", "s", "Qmlhc0FkZA==", "UmVsdQ=="));
    hs_keras_refused(&k, HS_ERROR_UNSUPPORTED, "conv2d_70", "family");

    hs_keras_open(&k);
    json_t *sines = json_object_get(hs_named(k.nodes, "time_embedding_1/concat", 0), "input");
    json_array_set_new(sines, 0, json_string(ROOT "time_embedding_1/Cos"));
    hs_keras_refused(&k, HS_ERROR_UNSUPPORTED, "cosines", "time_embedding_1");

    hs_keras_open(&k);
    json_t *attr = json_object_get(hs_named(k.nodes, "conv2d_70/BiasAdd", 0), "attr");
    json_object_set_new(attr, "strides",
                        json_pack("{s{s[s,s,s,s]}}", "list", "i", "1", "3", "3", "1"));
    hs_keras_refused(&k, HS_ERROR_UNSUPPORTED, "conv2d_70", "3");
}

static void other_weights_are_refused(void **state) {
    hs_keras_scratch k;
    hs_keras_open(&k); /* the same bytes in another shape */
    json_t *weight = hs_named(k.weights, "conv2d_68/Conv2D/ReadVariableOp", 0);
    json_object_set_new(weight, "shape", json_pack("[i,i,i,i]", 3, 3, 2, 8));
    hs_keras_refused(&k, HS_ERROR_FORMAT, "conv2d_68", "bias");

    hs_keras_open(&k);
    weight = hs_named(k.weights, "dense_70/MatMul/ReadVariableOp", 0);
    json_object_set_new(weight, "name", json_string(ROOT "other_3/table"));
    hs_keras_refused(&k, HS_ERROR_FORMAT, "other_3/table", "superfluous");

    hs_keras_open(&k);
    weight = hs_named(k.weights, "dense_70/BiasAdd/ReadVariableOp", 0);
    json_object_set_new(weight, "name", json_string(ROOT "dense_9999/BiasAdd/ReadVariableOp"));
    hs_keras_refused(&k, HS_ERROR_FORMAT, "dense_70", "no bias");

    hs_keras_open(&k); /* another eps in one norm: scale and min of its bytes */
    json_t *eps = hs_named(k.weights, "batchnorm/add/y", 3);
    json_object_set_new(json_object_get(eps, "quantization"), "min", json_real(1e-5));
    hs_keras_refused(&k, HS_ERROR_UNSUPPORTED, "batchnorm/add/y", "expected");

    hs_keras_open(&k); /* nothing left of a kind */
    json_object_set_new(k.scratch.config, "weightsManifest", json_array());
    hs_keras_refused(&k, HS_ERROR_UNSUPPORTED, "conv2d", "Keras");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_intact_opens),      cmocka_unit_test(other_formats_are_refused),
        cmocka_unit_test(other_wiring_is_refused),   cmocka_unit_test(other_ops_are_refused),
        cmocka_unit_test(other_weights_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
