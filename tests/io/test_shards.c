/* Sharded checkpoints: the index decides, and nothing leads out of its folder. */
#include "io/blob.h"
#include "io/json.h"
#include "io/tensor_set.h"

static const hs_test_refusal refusals[] = {
    {"index is not JSON", "{", 0, HS_ERROR_FORMAT, "index.json: line 1"},
    {"index is a list", "[]", 0, HS_ERROR_FORMAT, "expected a JSON object, found a list of 0"},
    {"no weight_map", "{\"metadata\":{}}", 0, HS_ERROR_FORMAT, "key \"weight_map\" is missing"},
    {"weight_map is a string", "{\"weight_map\":\"x\"}", 0, HS_ERROR_FORMAT,
     "key \"weight_map\": expected an object, found the string \"x\""},
    {"weight_map is empty", "{\"weight_map\":{}}", 0, HS_ERROR_FORMAT,
     "expected tensors, found none"},
    {"tensor twice", "{\"weight_map\":{\"a\":\"1.st\",\"a\":\"2.st\"}}", 0, HS_ERROR_FORMAT,
     "duplicate"},
    {"shard is a number", "{\"weight_map\":{\"a\":1}}", 0, HS_ERROR_FORMAT,
     "tensor a: expected a plain file name, found 1"},
    {"shard without a name", "{\"weight_map\":{\"a\":\"\"}}", 0, HS_ERROR_FORMAT,
     "plain file name"},
    {"shard is absolute", "{\"weight_map\":{\"a\":\"/etc/passwd\"}}", 0, HS_ERROR_FORMAT,
     "plain file name, found the string \"/etc/passwd\""},
    {"shard leads out", "{\"weight_map\":{\"a\":\"../1.st\"}}", 0, HS_ERROR_FORMAT,
     "plain file name"},
    {"shard is the folder above", "{\"weight_map\":{\"a\":\"..\"}}", 0, HS_ERROR_FORMAT,
     "plain file name"},
    {"shard is missing", "{\"weight_map\":{\"a\":\"none.st\"}}", 0, HS_ERROR_IO,
     "none.st: cannot open: No such file"},
    {"tensor missing from its shard",
     "{\"weight_map\":{\"a\":\"1.st\",\"c\":\"2.st\",\"b\":\"2.st\"}}", 0, HS_ERROR_FORMAT,
     "tensor c: expected in shard 2.st, found in none"},
    {"tensor superfluous in a shard", "{\"weight_map\":{\"c\":\"1.st\",\"b\":\"2.st\"}}", 0,
     HS_ERROR_FORMAT, "tensor a: found in shard 1.st, expected nowhere"},
    {"tensor in another shard", "{\"weight_map\":{\"a\":\"1.st\",\"b\":\"1.st\",\"c\":\"2.st\"}}",
     0, HS_ERROR_FORMAT, "tensor b: found in shard 2.st, expected in 1.st"},
    {"shard is damaged", "{\"weight_map\":{\"a\":\"index.json\"}}", 0, HS_ERROR_FORMAT,
     "index.json: expected a safetensors header"},
};

/* A folder with 1.st (tensor a) and 2.st (tensor b); the path of its index. */
static char *make_folder(const char *index, char **folder) {
    hs_error err = {0};
    static const uint8_t data[2] = {11, 22};
    *folder = hs_test_make_folder();
    const char *files[] = {"1.st", "2.st"}, *names[] = {"a", "b"};
    for (int i = 0; i < 2; i++) {
        char *path = hs_test_path(*folder, files[i]);
        hs_tensor tensor = {names[i], HS_U8, 1, {1}, data + i};
        assert_ok(hs_safetensors_write(path, &tensor, 1, NULL, &err));
        free(path);
    }
    char *path = hs_test_path(*folder, "index.json");
    hs_test_write(path, index, strlen(index));
    return path;
}

static void remove_folder(char *folder, char *path) {
    hs_test_remove_folder(folder);
    free(folder);
    free(path);
}

static void refuse_row(void **state) {
    const hs_test_refusal *row = *state;
    hs_error err = {0};
    hs_tensor_set *set = NULL;
    char *folder, *path = make_folder(row->header, &folder);
    hs_test_refused(hs_safetensors_open_sharded(path, &set, &err), &err, row->status, row->message);
    assert_null(set);
    remove_folder(folder, path);
}

static void open_two_shards(void **state) {
    hs_error err = {0};
    hs_tensor_set *set = NULL;
    char *folder,
        *path = make_folder(
            "{\"metadata\":{\"total_size\":2},\"weight_map\":{\"b\":\"2.st\",\"a\":\"1.st\"}}",
            &folder);
    assert_ok(hs_safetensors_open_sharded(path, &set, &err));
    remove_folder(folder, path);
    assert_int_equal(set->count, 2); /* the mappings outlive the files' names */
    assert_int_equal(*(const uint8_t *)hs_tensor_set_find(set, "a")->data, 11);
    assert_int_equal(*(const uint8_t *)hs_tensor_set_find(set, "b")->data, 22);
    hs_tensor_set_free(set);
}

/* An opener whose shards have more files and tensors than one. */
static void seal_refuses_twins(void **state) {
    hs_error err = {0};
    hs_tensor_set *set = hs_tensor_set_new(), *other = hs_tensor_set_new();
    uint8_t byte = 0;
    hs_tensor tensor = {"twin", HS_U8, 1, {1}, &byte};
    assert_ok(hs_tensor_set_add(set, &tensor, &err));
    assert_ok(hs_tensor_set_add(other, &tensor, &err));
    assert_ok(hs_tensor_set_merge(set, other, &err));
    hs_test_refused(hs_tensor_set_seal(set, "x", &err), &err, HS_ERROR_FORMAT,
                    "x: tensor twin: expected once, found twice");
    hs_tensor_set_free(set);
}

static void grow_a_large_set(void **state) {
    hs_error err = {0};
    hs_tensor_set *set = hs_tensor_set_new();
    uint8_t byte = 0;
    char name[32];
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "layer.%d.weight", i * 7919 % 5000);
        hs_tensor tensor = {name, HS_U8, 1, {1}, &byte};
        assert_ok(hs_tensor_set_add(set, &tensor, &err));
    }
    assert_ok(hs_tensor_set_seal(set, "x", &err));
    assert_int_equal(set->count, 5000);
    assert_non_null(hs_tensor_set_find(set, "layer.4999.weight"));
    assert_null(hs_tensor_set_find(set, "layer.5000.weight"));
    hs_tensor_set_release(set, hs_tensor_set_find(set, "layer.1.weight")); /* not in a file */
    assert_int_equal(byte, 0);
    hs_tensor_set_free(set);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open_two_shards),
        cmocka_unit_test(seal_refuses_twins),
        cmocka_unit_test(grow_a_large_set),
    };
    return hs_test_run(refusals, HS_TEST_ROWS(refusals), refuse_row, tests, HS_TEST_ROWS(tests));
}
