/* safetensors: what is refused and why, round trips, sharded checkpoints. */
#include "io/blob.h"
#include "io/tensor_set.h"

#define T(dtype, shape, offsets)                                                                   \
    "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static const hs_test_refusal refusals[] = {
    {"empty header", "", 0, HS_ERROR_FORMAT, "not valid JSON"},
    {"header is not JSON", "{\"a\":", 0, HS_ERROR_FORMAT, "line 1"},
    {"header is a list", "[1, 2, 3]", 0, HS_ERROR_FORMAT,
     "expected a JSON object, found a list of 3"},
    {"header has a NUL", "{\"a\\u0000b\":1}", 0, HS_ERROR_FORMAT, "not valid JSON"},
    {"header is not UTF-8", "{\"\xff\":1}", 0, HS_ERROR_FORMAT, "not valid JSON"},
    {"duplicate key", "{\"a\":" T("U8", "[1]", "[0,1]") ",\"a\":" T("U8", "[1]", "[0,1]") "}", 1,
     HS_ERROR_FORMAT, "duplicate"},
    {"duplicate member",
     "{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[],"
     "\"data_offsets\":[0,1]}}",
     1, HS_ERROR_FORMAT, "duplicate"},
    {"entry is a number", "{\"a\":7}", 0, HS_ERROR_FORMAT, "tensor a: expected an object, found 7"},
    {"unknown member", "{\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1],\"x\":1}}", 1,
     HS_ERROR_FORMAT, "tensor a: key \"x\" is not known"},
    {"dtype missing", "{\"a\":{\"shape\":[],\"data_offsets\":[0,1]}}", 1, HS_ERROR_FORMAT,
     "tensor a: expected a dtype"},
    {"dtype unknown", "{\"weight\":" T("F8_E4M3", "[1]", "[0,1]") "}", 1, HS_ERROR_UNSUPPORTED,
     "tensor weight: expected a dtype F32, F16, BF16, F64, I64, I32, I16, I8, U8 or BOOL, found "
     "the string \"F8_E4M3\""},
    {"dtype is a number", "{\"a\":{\"dtype\":1,\"shape\":[],\"data_offsets\":[0,1]}}", 1,
     HS_ERROR_FORMAT, "found 1"},
    {"shape missing", "{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, HS_ERROR_FORMAT,
     "expected a shape"},
    {"shape is a number", "{\"a\":" T("U8", "1", "[0,1]") "}", 1, HS_ERROR_FORMAT,
     "expected a shape of at most 8 dimensions, found 1"},
    {"shape has nine dimensions", "{\"a\":" T("U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]") "}", 1,
     HS_ERROR_FORMAT, "at most 8 dimensions, found a list of 9"},
    {"dimension negative", "{\"a\":" T("U8", "[2,-1]", "[0,1]") "}", 1, HS_ERROR_FORMAT,
     "dimension 1: expected a whole number, found -1"},
    {"dimension not whole", "{\"a\":" T("U8", "[1.5]", "[0,1]") "}", 1, HS_ERROR_FORMAT,
     "found 1.5"},
    {"dimension too big for JSON", "{\"a\":" T("U8", "[99999999999999999999]", "[0,1]") "}", 1,
     HS_ERROR_FORMAT, "integer"},
    {"shape overflows", "{\"a\":" T("U8", "[4294967296,4294967296]", "[0,1]") "}", 1,
     HS_ERROR_FORMAT, "overflows"},
    {"shape overflows by its type", "{\"a\":" T("F64", "[2305843009213693952]", "[0,0]") "}", 0,
     HS_ERROR_FORMAT, "overflows"},
    {"shape overflows beside a zero", "{\"a\":" T("U8", "[4294967296,4294967296,0]", "[0,0]") "}",
     0, HS_ERROR_FORMAT, "overflows"},
    {"offsets missing", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, HS_ERROR_FORMAT,
     "expected data_offsets [begin, end]"},
    {"three offsets", "{\"a\":" T("U8", "[1]", "[0,1,1]") "}", 1, HS_ERROR_FORMAT,
     "expected data_offsets [begin, end], found a list of 3"},
    {"offsets are not whole", "{\"a\":" T("U8", "[1]", "[0,1.0]") "}", 1, HS_ERROR_FORMAT,
     "expected data_offsets [begin, end]"},
    {"begin behind end", "{\"a\":" T("U8", "[1]", "[1,0]") "}", 1, HS_ERROR_FORMAT,
     "data_offsets within 0 and 1, found [1, 0]"},
    {"begin negative", "{\"a\":" T("U8", "[1]", "[-1,0]") "}", 1, HS_ERROR_FORMAT, "found [-1, 0]"},
    {"end behind the file", "{\"a\":" T("U8", "[9]", "[0,9]") "}", 8, HS_ERROR_FORMAT,
     "data_offsets within 0 and 8, found [0, 9]"},
    {"end at the largest number", "{\"a\":" T("U8", "[1]", "[0,9223372036854775807]") "}", 1,
     HS_ERROR_FORMAT, "data_offsets within"},
    {"too few bytes for the shape", "{\"a\":" T("F32", "[2]", "[0,4]") "}", 4, HS_ERROR_FORMAT,
     "tensor a: expected 8 bytes for F32 [2], found 4"},
    {"too many bytes for the shape", "{\"a\":" T("F16", "[2]", "[0,8]") "}", 8, HS_ERROR_FORMAT,
     "expected 4 bytes for F16 [2], found 8"},
    {"bytes for an empty tensor", "{\"a\":" T("F16", "[2,0]", "[0,4]") "}", 4, HS_ERROR_FORMAT,
     "expected 0 bytes"},
    {"overlap", "{\"a\":" T("U8", "[4]", "[0,4]") ",\"b\":" T("U8", "[4]", "[3,7]") "}", 7,
     HS_ERROR_FORMAT, "tensor b: expected its data at offset 4, found 3 (it overlaps"},
    {"the same data twice", "{\"a\":" T("U8", "[4]", "[0,4]") ",\"b\":" T("U8", "[4]", "[0,4]") "}",
     4, HS_ERROR_FORMAT, "overlaps"},
    {"gap", "{\"b\":" T("U8", "[4]", "[5,9]") ",\"a\":" T("U8", "[4]", "[0,4]") "}", 9,
     HS_ERROR_FORMAT, "tensor b: expected its data at offset 4, found 5 (a gap)"},
    {"gap at the start", "{\"a\":" T("U8", "[4]", "[1,5]") "}", 5, HS_ERROR_FORMAT, "(a gap)"},
    {"bytes behind the last tensor", "{\"a\":" T("U8", "[4]", "[0,4]") "}", 6, HS_ERROR_FORMAT,
     "expected 4 bytes of tensors, found 6 (2 belong to none)"},
    {"bytes without a tensor", "{}", 1, HS_ERROR_FORMAT, "expected 0 bytes of tensors, found 1"},
    {"metadata is a list", "{\"__metadata__\":[]}", 0, HS_ERROR_FORMAT,
     "__metadata__: expected an object"},
    {"metadata value is a number", "{\"__metadata__\":{\"format\":1}}", 0, HS_ERROR_FORMAT,
     "__metadata__: key \"format\": expected a string, found 1"},
    {"line break in a name", "{\"a\\nb\":7}", 0, HS_ERROR_FORMAT, "tensor a?b"},
};

static void refuse_row(void **state) {
    const hs_test_refusal *row = *state;
    hs_error err = {0};
    hs_tensor_set *set = NULL;
    size_t size;
    uint8_t *blob = hs_test_blob(row->header, NULL, (size_t)row->data, &size);
    hs_test_refused(hs_safetensors_parse("x.safetensors", blob, size, &set, &err), &err,
                    row->status, row->message);
    assert_non_null(strstr(err.message, "x.safetensors"));
    assert_null(set);
    free(blob);
}

static void refuse_truncated(void **state) {
    hs_error err = {0};
    hs_tensor_set *set = NULL;
    const char *header = "{\"a\":" T("F32", "[2]", "[0,8]") "}";
    size_t size;
    uint8_t *blob = hs_test_blob(header, NULL, 8, &size);
    for (size_t cut = 0; cut < size; cut++) {
        /* A copy of the exact size, so that a sanitizer sees a read beyond. */
        uint8_t *part = malloc(cut ? cut : 1);
        assert_non_null(part);
        memcpy(part, blob, cut);
        assert_int_equal(hs_safetensors_parse("cut", cut ? part : NULL, cut, &set, &err),
                         HS_ERROR_FORMAT);
        free(part);
    }
    assert_null(set);
    assert_ok(hs_safetensors_parse("whole", blob, size, &set, &err));
    hs_tensor_set_free(set);
    free(blob);
}

static void refuse_header_length(void **state) {
    hs_error err = {0};
    hs_tensor_set *set = NULL;
    uint8_t blob[16] = {0, 0, 0, 0, 0, 0, 0, 0x80};
    hs_test_refused(hs_safetensors_parse("x", blob, 16, &set, &err), &err, HS_ERROR_FORMAT,
                    "at most 104857600 bytes, found a length of 9223372036854775808");
    memset(blob, 0xff, 8);
    hs_test_refused(hs_safetensors_parse("x", blob, 16, &set, &err), &err, HS_ERROR_FORMAT,
                    "18446744073709551615");
    memset(blob, 0, 8);
    blob[0] = 9;
    hs_test_refused(hs_safetensors_parse("x", blob, 16, &set, &err), &err, HS_ERROR_FORMAT,
                    "expected a header of 9 bytes, found 8");
    hs_test_refused(hs_safetensors_parse("x", blob, 7, &set, &err), &err, HS_ERROR_FORMAT,
                    "at least 8 bytes, found 7");
}

static void refuse_deep_nesting(void **state) {
    hs_error err = {0};
    hs_tensor_set *set = NULL;
    enum { DEPTH = 200000 };
    char *header = malloc(DEPTH + 1);
    assert_non_null(header);
    memset(header, '[', DEPTH);
    header[DEPTH] = '\0';
    size_t size;
    uint8_t *blob = hs_test_blob(header, NULL, 0, &size);
    hs_test_refused(hs_safetensors_parse("x", blob, size, &set, &err), &err, HS_ERROR_FORMAT,
                    "not valid JSON");
    free(blob);
    free(header);
}

/* Errors may be unwanted. */
static void refuse_without_error(void **state) {
    hs_tensor_set *set = NULL;
    assert_int_equal(hs_safetensors_parse("x", "", 0, &set, NULL), HS_ERROR_FORMAT);
    assert_int_equal(hs_safetensors_open("/nonexistent/x", &set, NULL), HS_ERROR_IO);
}

static void read_offsets_in_any_order(void **state) {
    hs_error err = {0};
    hs_tensor_set *set = NULL;
    size_t size;
    /* "z" comes first in the file; "none" has no bytes; "s" is a scalar. */
    const char *header =
        "{\"s\":" T("I16", "[]", "[3,5]") ",\"none\":" T("F32", "[0,3]", "[3,3]") ",\"z\":" T(
            "U8", "[3]", "[0,3]") ",\"__metadata__\":{\"k\":\"v\"}}   ";
    uint8_t *blob = hs_test_blob(header, "\1\2\3\4\5", 5, &size);
    assert_ok(hs_safetensors_parse("x", blob, size, &set, &err));
    assert_int_equal(set->count, 3);
    assert_string_equal(set->metadata, "{\"k\":\"v\"}");
    assert_string_equal(set->tensors[0].name, "none");
    assert_string_equal(set->tensors[1].name, "s");
    assert_int_equal(hs_tensor_bytes(hs_tensor_set_find(set, "none")), 0);
    assert_memory_equal(hs_tensor_set_find(set, "z")->data, "\1\2\3", 3);
    assert_memory_equal(hs_tensor_set_find(set, "s")->data, "\4\5", 2);
    assert_int_equal(hs_tensor_set_find(set, "s")->rank, 0);
    assert_null(hs_tensor_set_find(set, "t"));
    hs_tensor_set_free(set);
    free(blob);
}

static void read_empty(void **state) {
    hs_error err = {0};
    hs_tensor_set *set = NULL;
    size_t size;
    uint8_t *blob = hs_test_blob("{}", NULL, 0, &size);
    assert_ok(hs_safetensors_parse("x", blob, size, &set, &err));
    assert_int_equal(set->count, 0);
    assert_null(set->metadata);
    assert_null(hs_tensor_set_find(set, "a"));
    hs_tensor_set_free(set);
    free(blob);
}

/* ------------------------------------------------------------- writing -- */

static void round_trip(void **state) {
    hs_error err = {0};
    hs_tensor_set *set = NULL;
    char *folder = hs_test_make_folder(), *path = hs_test_path(folder, "x.safetensors");
    uint8_t data[64];
    for (int i = 0; i < 64; i++)
        data[i] = (uint8_t)(3 * i + 1);
    static const hs_dtype dtypes[] = {HS_U8,  HS_F32, HS_I64, HS_BF16, HS_BOOL,
                                      HS_F16, HS_F64, HS_I8,  HS_I32,  HS_I16};
    hs_tensor tensors[10];
    char names[10][8];
    for (int i = 0; i < 10; i++) {
        snprintf(names[i], sizeof names[i], "t.%d", 9 - i);
        tensors[i] = (hs_tensor){names[i], dtypes[i], 2, {1, 3}, data + i};
    }
    assert_ok(hs_safetensors_write(path, tensors, 10, "{\"format\":\"test\"}", &err));
    assert_ok(hs_safetensors_open(path, &set, &err));
    assert_int_equal(set->count, 10);
    assert_string_equal(set->metadata, "{\"format\":\"test\"}");
    for (int i = 0; i < 10; i++) {
        const hs_tensor *t = hs_tensor_set_find(set, names[i]);
        assert_non_null(t);
        assert_int_equal(t->dtype, dtypes[i]);
        assert_int_equal(t->rank, 2);
        assert_int_equal(t->dim[1], 3);
        assert_memory_equal(t->data, data + i, (size_t)hs_tensor_bytes(t));
        assert_int_equal((uintptr_t)t->data % hs_dtype_size(t->dtype), 0);
        hs_tensor_set_release(set, t); /* still there: it comes back from the file */
        assert_memory_equal(t->data, data + i, (size_t)hs_tensor_bytes(t));
    }
    hs_tensor_set_free(set);
    hs_test_remove_folder(folder);
    free(path);
    free(folder);
}

static void write_refused(const char *name, int64_t dim, const char *metadata, const char *text) {
    hs_error err = {0};
    char *folder = hs_test_make_folder(), *path = hs_test_path(folder, "x.safetensors");
    uint8_t data[4] = {0};
    hs_tensor tensors[2] = {{"a", HS_U8, 1, {1}, data}, {name, HS_U8, 1, {dim}, data}};
    hs_status status = hs_safetensors_write(path, tensors, 2, metadata, &err);
    assert_int_not_equal(status, HS_OK);
    if (!strstr(err.message, text))
        fail_msg("expected \"%s\" in the message: %s", text, err.message);
    FILE *file = fopen(path, "rb");
    assert_null(file);
    hs_test_remove_folder(folder);
    free(path);
    free(folder);
}

static void write_refuses(void **state) {
    write_refused("a", 1, NULL, "\"a\" twice");
    write_refused("", 1, NULL, "cannot be named \"\"");
    write_refused("__metadata__", 1, NULL, "cannot be named");
    write_refused("\xff", 1, NULL, "not UTF-8");
    write_refused("b", -1, NULL, "dimension 0 is negative");
    write_refused("b", 1, "[]", "expected a JSON object");
    write_refused("b", 1, "{\"k\":1}", "metadata key \"k\": expected a string");
}

static void write_to_full_disk(void **state) {
    hs_error err = {0};
    uint8_t data[4] = {0};
    hs_tensor tensor = {"a", HS_U8, 1, {4}, data};
    hs_test_refused(hs_safetensors_write("/dev/full", &tensor, 1, NULL, &err), &err, HS_ERROR_IO,
                    "/dev/full: cannot write: No space left on device");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuse_truncated),
        cmocka_unit_test(refuse_header_length),
        cmocka_unit_test(refuse_deep_nesting),
        cmocka_unit_test(refuse_without_error),
        cmocka_unit_test(read_offsets_in_any_order),
        cmocka_unit_test(read_empty),
        cmocka_unit_test(round_trip),
        cmocka_unit_test(write_refuses),
        cmocka_unit_test(write_to_full_disk),
    };
    return hs_test_run(refusals, HS_TEST_ROWS(refusals), refuse_row, tests, HS_TEST_ROWS(tests));
}
