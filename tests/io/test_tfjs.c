/*
 * TensorFlow.js models: small ones made here, by hand, and the anime64
 * checkpoint where it is present (HSPACE_DATA names the folder that holds it).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/file.h"
#include "io/tfjs_model.h"
#include "support.h"

typedef struct shard {
    const char *name;
    const void *data;
    size_t size;
} shard;

/* Serves from an array that ends with a NULL name. */
static hs_status open_shard(void *ctx, const char *name, hs_file *out, hs_error *err) {
    for (const shard *s = ctx; s->name; s++) {
        if (!strcmp(s->name, name)) {
            *out = (hs_file){.data = s->data, .size = s->size};
            return HS_OK;
        }
    }
    snprintf(err->message, sizeof err->message, "model.json: no shard %s", name);
    return err->code = HS_ERROR_IO;
}

static hs_status parse(const char *json, const shard *shards, hs_tensor_set **set, hs_error *err) {
    return hs_tfjs_parse("model.json", json, strlen(json), open_shard, (void *)(uintptr_t)shards,
                         set, err);
}

/* Any shape of JSON with single quotes for double ones; free() it. */
static char *quoted(const char *text) {
    char *copy = strdup(text);
    assert_non_null(copy);
    for (char *p = copy; *p; p++)
        if (*p == '\'')
            *p = '"';
    return copy;
}

#define MODEL(paths, weights)                                                                      \
    "{'format': 'graph-model', 'weightsManifest': [{'paths': [" paths "], 'weights': [" weights    \
    "]}]}"
#define WEIGHT(name, shape, dtype, more)                                                           \
    "{'name': '" name "', 'shape': " shape ", 'dtype': '" dtype "'" more "}"
#define U8(scale, min) ", 'quantization': {'dtype': 'uint8', 'scale': " scale ", 'min': " min "}"
#define U16(scale, min) ", 'quantization': {'dtype': 'uint16', 'scale': " scale ", 'min': " min "}"
#define F16 ", 'quantization': {'dtype': 'float16'}"

static float at(const hs_tensor_set *set, const char *name, int64_t i) {
    const hs_tensor *tensor = hs_tensor_set_find(set, name);
    hs_error err;
    float value = 0;
    assert_non_null(tensor);
    assert_ok(hs_tensor_to_f32(tensor, i, 1, &value, &err));
    return value;
}

/* All types; every tensor but the first two crosses from shard to shard when
 * the stream is cut after `cut` bytes. */
static void check_types(size_t cut) {
    uint8_t stream[26];
    static const float raw[2] = {1.5f, -2};
    static const int32_t integer = -7;
    memcpy(stream, raw, 8);
    memcpy(stream + 8, &integer, 4);
    memcpy(stream + 12, "\0\1\xff", 3);         /* u8 */
    memcpy(stream + 15, "\0\0\1\0\xff\xff", 6); /* u16 */
    memcpy(stream + 21, "\0\x3c\0\xc0", 4);     /* f16: 1, -2 */
    stream[25] = 1;                             /* bool */
    shard shards[] = {
        {"s1", stream, cut}, {"s2", "", 0}, {"s3", stream + cut, 26 - cut}, {NULL, NULL, 0}};
    char *json = quoted(MODEL(
        "'s1', 's2', 's3'",
        WEIGHT("raw", "[2]", "float32", "") "," WEIGHT("int", "[]", "int32", "") "," WEIGHT(
            "u8", "[3,1]", "float32",
            U8("0.1", "-0.3")) "," WEIGHT("u16", "[3]", "float32",
                                          U16("1e-3",
                                              "2")) "," WEIGHT("f16", "[2]", "float32",
                                                               F16) "," WEIGHT("bool", "[1,1]",
                                                                               "bool", "")));
    hs_tensor_set *set;
    hs_error err;
    assert_ok(parse(json, shards, &set, &err));
    assert_int_equal(set->count, 6);
    assert_true(at(set, "raw", 0) == 1.5f && at(set, "raw", 1) == -2);
    const hs_tensor *tensor = hs_tensor_set_find(set, "int");
    assert_true(tensor->dtype == HS_I32 && tensor->rank == 0);
    assert_memory_equal(tensor->data, &integer, 4);
    static const int quantised[3] = {0, 1, 255}, wide[3] = {0, 1, 65535};
    assert_int_equal(hs_tensor_set_find(set, "u8")->dtype, HS_U8); /* with codes */
    assert_int_equal(hs_tensor_set_find(set, "u16")->dtype, HS_F32);
    assert_int_equal(hs_tensor_set_find(set, "u8")->rank, 2);
    for (int i = 0; i < 3; i++) { /* JavaScript: in double, then a Float32Array */
        assert_true(at(set, "u8", i) == (float)(quantised[i] * 0.1 + -0.3));
        assert_true(at(set, "u16", i) == (float)(wide[i] * 1e-3 + 2.0));
    }
    assert_true(at(set, "f16", 0) == 1 && at(set, "f16", 1) == -2);
    tensor = hs_tensor_set_find(set, "bool");
    assert_int_equal(tensor->dtype, HS_BOOL);
    assert_int_equal(*(const uint8_t *)tensor->data, 1);
    hs_tensor_set_free(set);
    free(json);
}

static void test_types(void **state) {
    for (size_t cut = 0; cut <= 26; cut++)
        check_types(cut);
}

static void refuse(const char *text, const char *cause) {
    static const shard shards[] = {{"s", "01234567", 8}, {"t", "89", 2}, {NULL, NULL, 0}};
    char *json = quoted(text);
    hs_tensor_set *set = NULL;
    hs_error err;
    if (parse(json, shards, &set, &err) == HS_OK)
        fail_msg("accepted, expected \"%s\"", cause);
    if (strncmp(err.message, "model.json", 10) != 0 || !strstr(err.message, cause) ||
        strchr(err.message, '\n'))
        fail_msg("expected one line that names model.json and \"%s\", found: %s", cause,
                 err.message);
    assert_null(set);
    free(json);
}

static void test_refuses(void **state) {
    refuse("{", "model.json");
    refuse("[]", "model.json");
    refuse("{}", "weightsManifest");
    refuse("{'weightsManifest': 1}", "weightsManifest");
    refuse("{'weightsManifest': [1]}", "expected a group");
    refuse("{'weightsManifest': [{}]}", "expected a group");
    refuse(MODEL("", WEIGHT("w", "[2]", "float32", "")), "expected a group");
    refuse(MODEL("'s'", ""), "expected a group");
    refuse(MODEL("1", WEIGHT("w", "[2]", "float32", "")), "plain file name");
    refuse(MODEL("'../s'", WEIGHT("w", "[2]", "float32", "")), "plain file name, found ../s");
    refuse(MODEL("'..'", WEIGHT("w", "[2]", "float32", "")), "plain file name");
    refuse(MODEL("'s','s'", WEIGHT("w", "[4]", "float32", "")), "s is named twice");
    refuse(MODEL("'none'", WEIGHT("w", "[2]", "float32", "")), "no shard none");
    refuse(MODEL("'s'", "3"), "weights[0]: expected an object");
    refuse(MODEL("'s'", "{'shape': [2], 'dtype': 'float32'}"), "name");
    refuse(MODEL("'s'", "{'name': 'w', 'dtype': 'float32'}"), "shape");
    refuse(MODEL("'s'", "{'name': 'w', 'shape': [2]}"), "dtype");
    refuse(MODEL("'s'", WEIGHT("w", "[2]", "string", "")), "tensor w: dtype string");
    refuse(MODEL("'s'", WEIGHT("w", "[1]", "complex64", "")), "tensor w: dtype complex64");
    refuse(MODEL("'s'", WEIGHT("w", "[-2]", "float32", "")), "shape");
    refuse(MODEL("'s'", WEIGHT("w", "[2.5]", "float32", "")), "shape");
    refuse(MODEL("'s'", WEIGHT("w", "[1,1,1,1,1,1,1,1,2]", "float32", "")), "shape");
    refuse(MODEL("'s'", WEIGHT("w", "[3037000500,3037000500]", "bool", "")), "overflows");
    refuse(MODEL("'s'", WEIGHT("w", "[3]", "float32", "")),
           "tensor w: expected 12 bytes in the shards, found 8");
    refuse(MODEL("'s'", WEIGHT("w", "[1000000000000]", "float32", U8("1", "0"))),
           "expected 1000000000000 bytes in the shards");
    refuse(MODEL("'s','t'", WEIGHT("w", "[2]", "float32", "")), "found 2 bytes more");
    refuse(MODEL("'s'", WEIGHT("w", "[1]", "float32", "") "," WEIGHT("w", "[1]", "float32", "")),
           "tensor w: expected once, found twice");
    refuse(MODEL("'s'", WEIGHT("w", "[8]", "float32", U8("1e300", "0"))), "scale");
    refuse(MODEL("'s'", WEIGHT("w", "[8]", "float32", U8("'x'", "0"))), "scale");
    refuse(MODEL("'s'", WEIGHT("w", "[8]", "float32", ", 'quantization': {'dtype': 'uint8'}")),
           "scale");
    refuse(MODEL("'s'", WEIGHT("w", "[8]", "float32", ", 'quantization': {'dtype': 'int4'}")),
           "dtype int4");
    refuse(MODEL("'s'", WEIGHT("w", "[8]", "int32", U8("1", "0"))), "quantised I32");
}

static void test_files(void **state) {
    hs_tensor_set *set = NULL;
    hs_error err;
    char *folder = hs_test_make_folder(), path[600], shard_path[600];
    snprintf(path, sizeof path, "%s/model.json", folder);
    snprintf(shard_path, sizeof shard_path, "%s/one.bin", folder);
    char *json = quoted(MODEL("'one.bin'", WEIGHT("w", "[2]", "float32", U8("0.5", "1"))));
    assert_int_equal(hs_tfjs_open(path, &set, &err), HS_ERROR_IO);
    assert_ok(hs_file_write(path, json, strlen(json), &err));
    assert_int_equal(hs_tfjs_open(path, &set, &err), HS_ERROR_IO);
    assert_non_null(strstr(err.message, "one.bin"));
    assert_ok(hs_file_write(shard_path, "\2\4", 2, &err));
    assert_ok(hs_tfjs_open(path, &set, &err));
    assert_true(at(set, "w", 0) == 2 && at(set, "w", 1) == 3);
    hs_tensor_set_free(set);
    free(json);
    hs_test_remove_folder(folder);
    free(folder);
}

/* The published checkpoint: 2 218 tensors, of them 450 quantised ones. */
static void test_anime64(void **state) {
    const char *data = getenv("HSPACE_DATA");
    char path[4000];
    snprintf(path, sizeof path, "%s/anime64/model.json", data ? data : "../../shared/data");
    FILE *file = fopen(path, "rb");
    if (!file) {
        print_message("anime64 is absent (%s): skipped; HSPACE_DATA names its folder\n", path);
        skip();
    }
    fclose(file);
    hs_tensor_set *set;
    hs_error err;
    assert_ok(hs_tfjs_open(path, &set, &err));
    assert_int_equal(set->count, 2218);
    int64_t parameters = 0;
    uint64_t sum = 0;
    int quantised = 0;
    for (int i = 0; i < set->count; i++) {
        if (!set->tensors[i].codes)
            continue;
        quantised++;
        int64_t count = hs_tensor_count(&set->tensors[i]);
        parameters += count;
        for (int64_t k = 0; k < count; k++) {
            float value;
            uint32_t bits;
            assert_ok(hs_tensor_to_f32(&set->tensors[i], k, 1, &value, &err));
            memcpy(&bits, &value, sizeof bits);
            sum += bits;
        }
    }
    assert_int_equal(quantised, 450);
    assert_int_equal(parameters, 63200582);
    /* All bits of all values, and two of them, as numpy decodes the shards. */
    assert_true(sum == 0x1c9b52c39d725a7);
    const char *first = "StatefulPartitionedCall/unet/group_normalization_111/Reshape_2/"
                        "ReadVariableOp";
    const char *last = "StatefulPartitionedCall/unet/conv2d_133/BiasAdd/ReadVariableOp";
    assert_true(at(set, first, 63) == -0x1.110bc00000000p-10f);
    assert_true(at(set, last, 2) == -0x1.57b61a0000000p-8f);
    hs_tensor_set_free(set);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_anime64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
