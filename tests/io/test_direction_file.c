/* Direction files: round trips, files written by hand, lies. */
#include <math.h>

#include "io/blob.h"
#include "io/direction_file.h"
#include "io/tensor_set.h"

#define T(dtype, shape, offsets)                                                                   \
    "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"
#define DELTA_H "\"delta_h\":" T("F32", "[2,1,1,2,2]", "[0,32]")
#define WITH(metadata) "{\"__metadata__\":{" metadata "}," DELTA_H "}"
#define OURS "\"format\":\"hspace.directions\",\"version\":\"1\""

/* All values are zeros; K = 2, S = 1, c,h,w = 1,2,2 unless a row says. */
static const hs_test_refusal refusals[] = {
    {"no delta_h", "{\"sigma\":" T("F32", "[1,1]", "[0,4]") "}", 4, HS_ERROR_FORMAT,
     "expected a tensor delta_h [K,S,c,h,w], found none"},
    {"no tensors", "{}", 0, HS_ERROR_FORMAT, "expected a tensor delta_h"},
    {"delta_h of rank 3", "{\"delta_h\":" T("F32", "[1,2,2]", "[0,16]") "}", 16, HS_ERROR_FORMAT,
     "tensor delta_h: expected shape [any, any, any, any, any], found F32 [1, 2, 2]"},
    {"delta_h is empty", "{\"delta_h\":" T("F32", "[0,1,1,2,2]", "[0,0]") "}", 0, HS_ERROR_FORMAT,
     "found F32 [0, 1, 1, 2, 2]"},
    {"delta_h of integers", "{\"delta_h\":" T("I32", "[2,1,1,2,2]", "[0,32]") "}", 32,
     HS_ERROR_FORMAT, "tensor delta_h: expected floating-point values, found I32"},
    {"an unknown tensor", "{" DELTA_H ",\"extra\":" T("U8", "[1]", "[32,33]") "}", 33,
     HS_ERROR_FORMAT, "tensor extra does not belong in this file"},
    {"sigma of another shape", "{" DELTA_H ",\"sigma\":" T("F32", "[1,2]", "[32,40]") "}", 40,
     HS_ERROR_FORMAT, "tensor sigma: expected shape [2, 1], found F32 [1, 2]"},
    {"mean of another shape", "{" DELTA_H ",\"mean\":" T("F32", "[1,1,2,3]", "[32,56]") "}", 56,
     HS_ERROR_FORMAT, "tensor mean: expected shape [1, 1, 2, 2], found F32 [1, 1, 2, 3]"},
    {"u of another K", "{" DELTA_H ",\"u\":" T("F32", "[1,1,2,2]", "[32,48]") "}", 48,
     HS_ERROR_FORMAT, "tensor u: expected shape [2, any, any, any]"},
    {"residual of another K", "{" DELTA_H ",\"residual\":" T("F32", "[3]", "[32,44]") "}", 44,
     HS_ERROR_FORMAT, "tensor residual: expected shape [2], found F32 [3]"},
    {"timesteps of floats", "{" DELTA_H ",\"timesteps\":" T("F32", "[1]", "[32,36]") "}", 36,
     HS_ERROR_FORMAT, "tensor timesteps: expected I64, found F32"},
    {"timesteps of rank 2", "{" DELTA_H ",\"timesteps\":" T("I64", "[1,1]", "[32,40]") "}", 40,
     HS_ERROR_FORMAT, "tensor timesteps: expected shape [any]"},
    {"timesteps do not fall", "{" DELTA_H ",\"timesteps\":" T("I64", "[2]", "[32,48]") "}", 48,
     HS_ERROR_FORMAT, "expected them to fall, noisiest first, found 0 after 0 at step 1"},
    {"no timesteps", "{" DELTA_H ",\"timesteps\":" T("I64", "[0]", "[32,32]") "}", 32,
     HS_ERROR_FORMAT, "tensor timesteps: expected shape [any], found I64 [0]"},
    {"S is neither 1 nor T",
     "{\"delta_h\":" T("F32", "[1,2,1,2,2]", "[0,32]") ",\"mean\":" T("F32", "[3,1,2,2]",
                                                                      "[32,80]") "}",
     80, HS_ERROR_FORMAT, "tensor delta_h: expected 1 or T = 3 slices a direction, found 2"},
    {"T in the metadata lies",
     "{\"__metadata__\":{\"T\":\"5\"}," DELTA_H ",\"mean\":" T("F32", "[2,1,2,2]", "[32,64]") "}",
     64, HS_ERROR_FORMAT, "metadata T: expected 2 as in the tensors, found 5"},
    {"T is not a number", WITH("\"T\":\"many\""), 32, HS_ERROR_FORMAT,
     "metadata T: expected a number from 1 to 999999999, found \"many\""},
    {"T is huge", WITH("\"T\":\"1000000000\""), 32, HS_ERROR_FORMAT, "metadata T: expected"},
    {"N is negative", WITH("\"N\":\"-1\""), 32, HS_ERROR_FORMAT, "metadata N: expected"},
    {"N is zero", WITH("\"N\":\"0\""), 32, HS_ERROR_FORMAT, "metadata N: expected"},
    {"another of our formats", WITH("\"format\":\"hspace.latents\",\"version\":\"1\""), 32,
     HS_ERROR_FORMAT, "metadata format: expected hspace.directions, found \"hspace.latents\""},
    {"no version", WITH("\"format\":\"hspace.directions\""), 32, HS_ERROR_FORMAT,
     "metadata version is missing"},
    {"a newer version", WITH("\"format\":\"hspace.directions\",\"version\":\"2\""), 32,
     HS_ERROR_UNSUPPORTED, "metadata version: expected 1, found \"2\""},
    {"names are not JSON", WITH(OURS ",\"names\":\"smile\""), 32, HS_ERROR_FORMAT,
     "metadata: names: line 1"},
    {"names are no list", WITH(OURS ",\"names\":\"{}\""), 32, HS_ERROR_FORMAT,
     "metadata names: expected a list of 2, found an object"},
    {"too few names", WITH(OURS ",\"names\":\"[\\\"a\\\"]\""), 32, HS_ERROR_FORMAT,
     "metadata names: expected a list of 2, found a list of 1"},
    {"a name is a number", WITH(OURS ",\"names\":\"[\\\"a\\\",1]\""), 32, HS_ERROR_FORMAT,
     "metadata names: entry 1: expected a string"},
    {"a name is empty", WITH(OURS ",\"names\":\"[\\\"\\\",\\\"b\\\"]\""), 32, HS_ERROR_FORMAT,
     "metadata names: entry 0: expected a string that is not empty"},
    {"a name twice", WITH(OURS ",\"names\":\"[\\\"b\\\",\\\"b\\\"]\""), 32, HS_ERROR_FORMAT,
     "expected different ones, found \"b\" twice"},
    {"the fingerprint is short", WITH(OURS ",\"model\":\"abc\""), 32, HS_ERROR_FORMAT,
     "metadata model: expected a fingerprint of 32 hex digits, found \"abc\""},
    {"an unknown h-space", WITH(OURS ",\"h_space\":\"above\""), 32, HS_ERROR_FORMAT,
     "metadata h_space: expected before, middle or after, found \"above\""},
    {"metadata of numbers", WITH("\"T\":1"), 32, HS_ERROR_FORMAT, "expected a string, found 1"},
    {"bytes are missing", "{" DELTA_H "}", 31, HS_ERROR_FORMAT, "data_offsets within 0 and 31"},
};

static void refuse_row(void **state) {
    const hs_test_refusal *row = *state;
    hs_error err = {0};
    hs_directions *d = NULL;
    size_t size;
    uint8_t *blob = hs_test_blob(row->header, NULL, (size_t)row->data, &size);
    hs_test_refused(hs_directions_parse("x.safetensors", blob, size, &d, &err), &err, row->status,
                    row->message);
    assert_non_null(strstr(err.message, "x.safetensors"));
    assert_null(d);
    free(blob);
}

/* One value of one tensor is not a number: each tensor in turn. */
static void refuse_nan(void **state) {
    static const char header[] = "{" DELTA_H ",\"mean\":" T(
        "F32", "[1,1,2,2]",
        "[32,48]") ",\"resi"
                   "dual\":" T("F32", "[2]", "[48,56]") ",\"sigma\":" T(
                       "F32", "[2,1]", "[56,64]") ",\"u\":" T("F32", "[2,1,1,1]", "[64,72]") "}";
    static const char *const names[] = {"delta_h", "mean", "residual", "sigma", "u"};
    static const int last[] = {7, 11, 13, 15, 17};
    for (int i = 0; i < 5; i++) {
        hs_error err = {0};
        hs_directions *d = NULL;
        float data[18] = {0};
        size_t size;
        char text[100];
        data[last[i]] = i % 2 ? (float)INFINITY : (float)NAN;
        uint8_t *blob = hs_test_blob(header, data, sizeof data, &size);
        snprintf(text, sizeof text, "tensor %s: expected finite numbers, found", names[i]);
        hs_test_refused(hs_directions_parse("x", blob, size, &d, &err), &err, HS_ERROR_NUMERIC,
                        text);
        free(blob);
    }
}

static void refuse_bad_values(void **state) {
    hs_error err = {0};
    hs_directions *d = NULL;
    size_t size;
    float sigma[10] = {0, 0, 0, 0, 0, 0, 0, 0, 1, -1};
    uint8_t *blob =
        hs_test_blob("{" DELTA_H ",\"sigma\":" T("F32", "[2,1]", "[32,40]") "}", sigma, 40, &size);
    hs_test_refused(hs_directions_parse("x", blob, size, &d, &err), &err, HS_ERROR_FORMAT,
                    "tensor sigma: expected no negative number, found -1 at position 1");
    free(blob);
    int64_t steps[5] = {0, 0, 0, 0, -5};
    static const char header[] = "{\"__metadata__\":{\"N\":\"1000\"}," DELTA_H
                                 ",\"timesteps\":" T("I64", "[1]", "[32,40]") "}";
    blob = hs_test_blob(header, steps, 40, &size);
    hs_test_refused(hs_directions_parse("x", blob, size, &d, &err), &err, HS_ERROR_FORMAT,
                    "timesteps: expected numbers from 0");
    free(blob);
    steps[4] = 1000;
    blob = hs_test_blob(header, steps, 40, &size);
    hs_test_refused(hs_directions_parse("x", blob, size, &d, &err), &err, HS_ERROR_FORMAT,
                    "timesteps: expected numbers below N = 1000, found 1000");
    free(blob);
}

/* ------------------------------------------------------ written by hand -- */

static hs_directions *parse(const char *header, const void *data, size_t data_size) {
    hs_error err = {0};
    hs_directions *d = NULL;
    size_t size;
    uint8_t *blob = hs_test_blob(header, data, data_size, &size);
    assert_ok(hs_directions_parse("x", blob, size, &d, &err));
    free(blob);
    return d;
}

static void read_by_hand(void **state) {
    float data[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    hs_directions_view v;
    hs_directions *d = parse("{" DELTA_H "}", data, sizeof data);
    hs_directions_view_get(d, &v);
    assert_true(v.K == 2 && v.S == 1 && v.T == 1);
    assert_true(v.h_shape[0] == 1 && v.h_shape[1] == 2 && v.h_shape[2] == 2);
    assert_memory_equal(v.delta_h, data, sizeof data);
    assert_string_equal(v.unit, "unknown");
    assert_string_equal(v.method, "unknown");
    assert_null(v.sigma);
    assert_null(v.mean);
    assert_null(v.timesteps);
    assert_string_equal(d->model, "");
    assert_int_equal(d->N, 0);
    assert_int_equal(d->h_space, HS_H_AFTER);
    assert_int_equal(hs_directions_count(d), 2);
    assert_string_equal(hs_directions_name(d, 1), "1");
    assert_null(hs_directions_name(d, 2));
    assert_null(hs_directions_name(d, -1));
    hs_directions_free(d);
}

/* A single direction [S,c,h,w]; the "format" that PyTorch's users put. */
static void read_single_direction(void **state) {
    float data[12];
    hs_directions_view v;
    hs_test_fill(1, data, 12);
    hs_directions *d = parse(
        "{\"__metadata__\":{\"format\":\"pt\"},\"delta_h\":" T("F32", "[3,1,2,2]", "[0,48]") "}",
        data, sizeof data);
    hs_directions_view_get(d, &v);
    assert_true(v.K == 1 && v.S == 3 && v.T == 3);
    assert_memory_equal(v.delta_h, data, sizeof data);
    hs_directions_free(d);
}

/* numpy's own type is double. */
static void read_doubles(void **state) {
    double data[8] = {0.1, -2, 1e-3, 4, 5, 6, 7, 8};
    hs_directions *d =
        parse("{\"delta_h\":" T("F64", "[2,1,1,2,2]", "[0,64]") "}", data, sizeof data);
    for (int i = 0; i < 8; i++)
        assert_true(d->delta_h[i] == (float)data[i]);
    hs_directions_free(d);
    /* Finite as double, infinite as float. */
    hs_error err = {0};
    size_t size;
    data[3] = 1e300;
    uint8_t *blob = hs_test_blob("{\"delta_h\":" T("F64", "[2,1,1,2,2]", "[0,64]") "}", data,
                                 sizeof data, &size);
    d = NULL;
    hs_test_refused(hs_directions_parse("x", blob, size, &d, &err), &err, HS_ERROR_NUMERIC,
                    "tensor delta_h: expected finite numbers, found inf at position 3");
    free(blob);
}

/* Written by numpy and safetensors: golden/make_io.py. */
static void read_python_files(void **state) {
    hs_error err = {0};
    hs_directions *d = NULL, *named = NULL;
    assert_ok(hs_directions_load("golden/io/by_hand.safetensors", &d, &err));
    assert_ok(hs_directions_load("golden/io/by_hand_named.safetensors", &named, &err));
    assert_true(d->K == 2 && d->S == 1 && d->T == 1);
    for (int i = 0; i < 16; i++)
        assert_true(d->delta_h[i] == (float)i / 8 && named->delta_h[i] == (float)i / 8);
    assert_int_equal(hs_directions_find(named, "tilt"), 0);
    assert_int_equal(hs_directions_find(named, "gr\xc3\xb6\xc3\x9f"
                                               "er"),
                     1);
    assert_string_equal(named->unit, "half a turn");
    assert_int_equal(named->timesteps[0], 500);
    char *note = hs_directions_get_metadata(named, "note");
    assert_string_equal(note, "kept");
    free(note);
    hs_directions_free(d);
    hs_directions_free(named);
}

/* ----------------------------------------------------------- round trip -- */

static float *filled(uint64_t seed, int64_t count) {
    float *values = malloc((size_t)count * sizeof *values);
    assert_non_null(values);
    hs_test_fill(seed, values, count);
    for (int64_t i = 0; i < count; i++) /* sigma: no negative numbers */
        values[i] = fabsf(values[i]);
    return values;
}

static void set_text(char **out, const char *text) {
    free(*out);
    *out = strdup(text);
    assert_non_null(*out);
}

/* K = 3, S = T = 2, h = [2,1,2], u of [1,2,2]: every member in use. */
static hs_directions *make_full(void) {
    hs_error err = {0};
    const int h_shape[3] = {2, 1, 2};
    hs_directions *d = hs_directions_new(3, 2, 2, h_shape);
    assert_non_null(d);
    d->delta_h = filled(1, 24);
    d->sigma = filled(2, 6);
    d->mean = filled(3, 8);
    d->u = filled(4, 12);
    d->image[0] = 1;
    d->image[1] = d->image[2] = 2;
    d->residual = filled(5, 3);
    d->timesteps = malloc(2 * sizeof *d->timesteps);
    assert_non_null(d->timesteps);
    d->timesteps[0] = 500;
    d->timesteps[1] = 0;
    set_text(&d->names[0], "smile");
    set_text(&d->names[1], "0");
    set_text(&d->names[2], "s24.0 \"\xc3\xa9\"");
    set_text(&d->unit, "standard deviation");
    set_text(&d->method, "pca");
    d->N = 1000;
    d->h_space = HS_H_MIDDLE;
    memcpy(d->model, "0123456789abcdef0123456789abcdef", 33);
    assert_ok(hs_directions_set_metadata(d, "seeds", "0-199", &err));
    assert_ok(hs_directions_set_metadata(d, "eta", "[0]", &err));
    assert_ok(hs_directions_set_metadata(d, "eta", "[1]", &err));
    return d;
}

static void assert_same(const hs_directions *a, const hs_directions *b) {
    assert_true(a->K == b->K && a->S == b->S && a->T == b->T && a->N == b->N);
    assert_memory_equal(a->h_shape, b->h_shape, sizeof a->h_shape);
    assert_memory_equal(a->image, b->image, sizeof a->image);
    assert_memory_equal(a->delta_h, b->delta_h, 24 * 4);
    assert_memory_equal(a->sigma, b->sigma, 6 * 4);
    assert_memory_equal(a->mean, b->mean, 8 * 4);
    assert_memory_equal(a->u, b->u, 12 * 4);
    assert_memory_equal(a->residual, b->residual, 3 * 4);
    assert_memory_equal(a->timesteps, b->timesteps, 2 * 8);
    for (int k = 0; k < 3; k++)
        assert_string_equal(a->names[k], b->names[k]);
    assert_string_equal(a->unit, b->unit);
    assert_string_equal(a->method, b->method);
    assert_string_equal(a->model, b->model);
    assert_int_equal(a->h_space, b->h_space);
}

static void round_trip(void **state) {
    hs_error err = {0};
    char *folder = hs_test_make_folder(), *path = hs_test_path(folder, "d.safetensors");
    hs_directions *a = make_full(), *b = NULL;
    assert_ok(hs_directions_save(a, path, &err));
    assert_ok(hs_directions_load(path, &b, &err));
    assert_same(a, b);
    char *eta = hs_directions_get_metadata(b, "eta"), *N = hs_directions_get_metadata(b, "N");
    assert_string_equal(eta, "[1]");
    assert_string_equal(N, "1000");
    assert_null(hs_directions_get_metadata(b, "absent"));
    free(eta);
    free(N);
    /* The view's metadata are complete as read, and as made once updated. */
    hs_directions_view v, w;
    assert_ok(hs_directions_update_metadata(a, &err));
    hs_directions_view_get(a, &v);
    hs_directions_view_get(b, &w);
    assert_string_equal(v.metadata, w.metadata);
    assert_non_null(strstr(v.metadata, "\"model\":\"0123456789abcdef0123456789abcdef\""));
    hs_directions_free(b);
    hs_directions_free(a);
    hs_test_remove_folder(folder);
    free(path);
    free(folder);
}

static void find_by_name_then_number(void **state) {
    hs_directions *d = make_full();
    assert_int_equal(hs_directions_find(d, "smile"), 0);
    assert_int_equal(hs_directions_find(d, "0"), 1); /* a name goes first */
    assert_int_equal(hs_directions_find(d, "2"), 2);
    assert_int_equal(hs_directions_find(d, "3"), -1);
    assert_int_equal(hs_directions_find(d, "-1"), -1);
    assert_int_equal(hs_directions_find(d, " 1"), -1);
    assert_int_equal(hs_directions_find(d, "1x"), -1);
    assert_int_equal(hs_directions_find(d, ""), -1);
    assert_int_equal(hs_directions_find(d, "99999999999999999999"), -1);
    hs_directions_free(d);
}

static void save_refuses(void **state) {
    hs_error err = {0};
    char *folder = hs_test_make_folder(), *path = hs_test_path(folder, "d.safetensors");
    hs_directions *d = make_full(), *old = NULL;
    hs_test_refused(hs_directions_save(d, "/dev/full", &err), &err, HS_ERROR_IO, "No space left");
    assert_ok(hs_directions_save(d, path, &err));
    d->delta_h[5] = (float)NAN;
    hs_test_refused(hs_directions_save(d, path, &err), &err, HS_ERROR_NUMERIC,
                    "d.safetensors: tensor delta_h: expected finite numbers, found");
    d->delta_h[5] = 0;
    set_text(&d->names[1], "smile");
    hs_test_refused(hs_directions_save(d, path, &err), &err, HS_ERROR_FORMAT, "\"smile\" twice");
    set_text(&d->names[1], "\xff");
    hs_test_refused(hs_directions_save(d, path, &err), &err, HS_ERROR_ARGUMENT,
                    "direction 1: its name is not UTF-8");
    set_text(&d->names[1], "b");
    hs_test_refused(hs_directions_set_metadata(d, "k", "\xff", &err), &err, HS_ERROR_ARGUMENT,
                    "not UTF-8");
    assert_ok(hs_directions_load(path, &old, &err)); /* the old file is as it was */
    assert_string_equal(old->names[1], "0");
    hs_directions_free(old);
    hs_directions_free(d);
    hs_directions_free(NULL);
    hs_test_remove_folder(folder);
    free(path);
    free(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuse_nan),   cmocka_unit_test(refuse_bad_values),
        cmocka_unit_test(read_by_hand), cmocka_unit_test(read_single_direction),
        cmocka_unit_test(read_doubles), cmocka_unit_test(read_python_files),
        cmocka_unit_test(round_trip),   cmocka_unit_test(find_by_name_then_number),
        cmocka_unit_test(save_refuses),
    };
    return hs_test_run(refusals, HS_TEST_ROWS(refusals), refuse_row, tests, HS_TEST_ROWS(tests));
}
