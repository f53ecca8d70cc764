/*
 * torch.save files: what PyTorch wrote (golden/make_torch.py tells the values)
 * and what nobody should have written.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/tensor_set.h"
#include "support.h"

#define GOLDEN "golden/torch/"

/* Element k of a floating tensor is k / 2 - 3, of an integer one k, of a bool
 * one k % 2; all exact in every dtype. */
static double ramp(hs_dtype dtype, int64_t k) {
    if (dtype == HS_F32 || dtype == HS_F16 || dtype == HS_BF16 || dtype == HS_F64)
        return (double)k / 2 - 3;
    return dtype == HS_BOOL ? (double)(k % 2) : (double)k;
}

static double element(const hs_tensor *tensor, int64_t i) {
    float value;
    int64_t integer = 0;
    size_t size = hs_dtype_size(tensor->dtype);
    hs_error err;
    if (hs_tensor_to_f32(tensor, i, 1, &value, &err) == HS_OK)
        return (double)value;
    memcpy(&integer, (const uint8_t *)tensor->data + (size_t)i * size, size);
    return (double)integer;
}

static const hs_tensor *find(const hs_tensor_set *set, const char *name, int rank, int64_t d0,
                             int64_t d1) {
    const hs_tensor *tensor = hs_tensor_set_find(set, name);
    if (!tensor)
        fail_msg("no tensor %s", name);
    assert_int_equal(tensor->rank, rank);
    if (rank > 0)
        assert_int_equal(tensor->dim[0], d0);
    if (rank > 1)
        assert_int_equal(tensor->dim[1], d1);
    return tensor;
}

static void check_ramp(const hs_tensor *tensor) {
    for (int64_t i = 0; i < hs_tensor_count(tensor); i++)
        assert_true(element(tensor, i) == ramp(tensor->dtype, i));
}

static void test_dtypes(void **state) {
    static const char *const files[] = {GOLDEN "dtypes.bin", GOLDEN "dtypes_legacy.bin",
                                        GOLDEN "dtypes_protocol4.bin",
                                        GOLDEN "dtypes_protocol5.bin"};
    static const struct {
        const char *name;
        hs_dtype dtype;
    } expected[] = {{"f32", HS_F32}, {"f16", HS_F16},  {"bf16", HS_BF16}, {"f64", HS_F64},
                    {"i64", HS_I64}, {"i32", HS_I32},  {"i16", HS_I16},   {"i8", HS_I8},
                    {"u8", HS_U8},   {"bool", HS_BOOL}};
    for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
        hs_tensor_set *set;
        hs_error err;
        assert_ok(hs_torch_open(files[f], &set, &err));
        assert_int_equal(set->count, 10);
        for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
            const hs_tensor *tensor = find(set, expected[i].name, 2, 2, 3);
            assert_int_equal(tensor->dtype, expected[i].dtype);
            check_ramp(tensor);
        }
        hs_tensor_set_free(set);
    }
}

static void test_strided(void **state) {
    static const char *const files[] = {GOLDEN "strided.bin", GOLDEN "strided_legacy.bin"};
    for (int f = 0; f < 2; f++) {
        hs_tensor_set *set;
        hs_error err;
        assert_ok(hs_torch_open(files[f], &set, &err));
        assert_int_equal(set->count, 8);
        const hs_tensor *whole = find(set, "whole", 2, 4, 6);
        check_ramp(whole);
        const hs_tensor *row = find(set, "row", 1, 6, 0);
        assert_ptr_equal(row->data, (const uint8_t *)whole->data + 2 * 6 * 4); /* shared */
        const hs_tensor *transposed = find(set, "transposed", 2, 6, 4);
        for (int64_t i = 0; i < 6; i++)
            for (int64_t j = 0; j < 4; j++)
                assert_true(element(transposed, 4 * i + j) == element(whole, 6 * j + i));
        const hs_tensor *every = find(set, "every_other", 2, 4, 3);
        for (int64_t i = 0; i < 4; i++)
            for (int64_t j = 0; j < 3; j++)
                assert_true(element(every, 3 * i + j) == element(whole, 6 * i + 2 * j));
        const hs_tensor *channels_last = find(set, "channels_last", 4, 2, 3);
        check_ramp(channels_last);
        const hs_tensor *expanded = find(set, "expanded", 1, 5, 0);
        for (int64_t i = 0; i < 5; i++)
            assert_true(element(expanded, i) == -3);
        assert_int_equal(hs_tensor_bytes(find(set, "empty", 2, 0, 3)), 0);
        assert_true(element(find(set, "scalar", 0, 0, 0), 0) == 7);
        hs_tensor_set_free(set);
    }
}

/* A training checkpoint: the state dict wins over a random state beside it. */
static void test_nested(void **state) {
    static const char *const files[] = {GOLDEN "nested.bin", GOLDEN "nested_legacy.bin"};
    for (int f = 0; f < 2; f++) {
        hs_tensor_set *set;
        hs_error err;
        assert_ok(hs_torch_open(files[f], &set, &err));
        assert_int_equal(set->count, 4);
        check_ramp(find(set, "0.weight", 2, 2, 3));
        check_ramp(find(set, "0.bias", 1, 2, 0));
        check_ramp(find(set, "1.weight", 1, 2, 0));
        check_ramp(find(set, "1.bias", 1, 2, 0));
        hs_tensor_set_free(set);
    }
}

static void test_parameters(void **state) {
    hs_tensor_set *set;
    hs_error err;
    assert_ok(hs_torch_open(GOLDEN "parameters.bin", &set, &err));
    assert_int_equal(set->count, 4); /* without "version" and "note" */
    check_ramp(find(set, "0.weight", 2, 2, 3));
    hs_tensor_set_free(set);
}

static void test_sharded(void **state) {
    hs_tensor_set *set;
    hs_error err;
    assert_ok(hs_torch_open_sharded(GOLDEN "part.bin.index.json", &set, &err));
    assert_int_equal(set->count, 2);
    check_ramp(find(set, "a", 2, 2, 2));
    check_ramp(find(set, "b", 2, 2, 2));
    hs_tensor_set_free(set);
}

/* ---------------------------------------------------------------- hostile -- */

typedef struct bytes {
    uint8_t *data;
    size_t size;
} bytes;

static void put(bytes *out, const void *data, size_t size) {
    out->data = realloc(out->data, out->size + size + 1);
    assert_non_null(out->data);
    if (size)
        memcpy(out->data + out->size, data, size);
    out->size += size;
}

static void put_number(bytes *out, uint64_t value, int width) {
    for (int i = 0; i < width; i++, value >>= 8)
        put(out, &(uint8_t){(uint8_t)value}, 1);
}

static bytes load(const char *path) {
    bytes out = {0};
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    for (int c; (c = getc(file)) != EOF;)
        put(&out, &(uint8_t){(uint8_t)c}, 1);
    fclose(file);
    return out;
}

/* Parse a copy of exactly that size. */
static hs_status parse(const void *data, size_t size, hs_tensor_set **set, void **memory,
                       hs_error *err) {
    *memory = malloc(size ? size : 1);
    assert_non_null(*memory);
    if (size)
        memcpy(*memory, data, size);
    return hs_torch_parse("x.bin", *memory, size, set, err);
}

static void refuse(const void *data, size_t size, const char *cause) {
    hs_tensor_set *set = NULL;
    hs_error err;
    void *memory;
    if (parse(data, size, &set, &memory, &err) == HS_OK)
        fail_msg("accepted, expected \"%s\"", cause);
    if (strncmp(err.message, "x.bin: ", 7) != 0 || !strstr(err.message, cause) ||
        strchr(err.message, '\n'))
        fail_msg("expected one line that names x.bin and \"%s\", found: %s", cause, err.message);
    assert_null(set);
    free(memory);
}

/* One member of a zip archive, and how to lie about it. */
typedef struct member {
    const char *name;
    const void *data;
    size_t size;
    int method, flags;
    const char *local_name; /* NULL: name */
    int64_t size_lie, offset_lie;
    bool wide; /* sizes and offset in a zip64 extra field */
} member;

typedef struct archive_lie {
    int64_t count, directory_size, directory;
    bool wide; /* zip64 end record */
    int64_t end64;
} archive_lie;

static bytes make_zip(const member *members, int count, const archive_lie *lie) {
    bytes out = {0}, directory = {0};
    for (int i = 0; i < count; i++) {
        const member *m = &members[i];
        const char *local = m->local_name ? m->local_name : m->name;
        uint64_t offset = out.size + (uint64_t)m->offset_lie,
                 size = m->size + (uint64_t)m->size_lie;
        put(&out, "PK\3\4", 4);
        put_number(&out, 0, 22); /* sizes follow the data, as torch.save does it */
        put_number(&out, strlen(local), 2);
        put_number(&out, 5, 2);
        put(&out, local, strlen(local));
        put(&out, "FB\1\0Z", 5);
        put(&out, m->data, m->size);
        put(&directory, "PK\1\2", 4);
        put_number(&directory, 0, 4);
        put_number(&directory, (uint64_t)m->flags, 2);
        put_number(&directory, (uint64_t)m->method, 2);
        put_number(&directory, 0, 8);
        put_number(&directory, m->wide ? 0xffffffff : size, 4);
        put_number(&directory, m->wide ? 0xffffffff : size, 4);
        put_number(&directory, strlen(m->name), 2);
        put_number(&directory, m->wide ? 33 : 0, 2);
        put_number(&directory, 0, 10);
        put_number(&directory, m->wide ? 0xffffffff : offset, 4);
        put(&directory, m->name, strlen(m->name));
        if (m->wide) {
            put(&directory, "FB\1\0Z\1\0\x18\0", 9); /* another field comes first */
            put_number(&directory, size, 8);
            put_number(&directory, size, 8);
            put_number(&directory, offset, 8);
        }
    }
    uint64_t entries = (uint64_t)(count + lie->count);
    uint64_t start = out.size + (uint64_t)lie->directory;
    uint64_t size = directory.size + (uint64_t)lie->directory_size;
    put(&out, directory.data, directory.size);
    uint64_t end64 = out.size + (uint64_t)lie->end64;
    if (lie->wide) {
        put(&out, "PK\6\6", 4);
        put_number(&out, 44, 8);
        put_number(&out, 0, 12);
        put_number(&out, entries, 8);
        put_number(&out, entries, 8);
        put_number(&out, size, 8);
        put_number(&out, start, 8);
        put(&out, "PK\6\7", 4);
        put_number(&out, 0, 4);
        put_number(&out, end64, 8);
        put_number(&out, 1, 4);
    }
    put(&out, "PK\5\6", 4);
    put_number(&out, 0, 4);
    put_number(&out, lie->wide ? 0xffff : entries, 2);
    put_number(&out, lie->wide ? 0xffff : entries, 2);
    put_number(&out, lie->wide ? 0xffffffff : size, 4);
    put_number(&out, lie->wide ? 0xffffffff : start, 4);
    put_number(&out, 0, 2);
    free(directory.data);
    return out;
}

/* {"w": a tensor of 6 floats in storage "0"} */
#define STORAGE(count)                                                                             \
    "(U\x07storagectorch\nFloatStorage\nU\x01"                                                     \
    "0U\x03"                                                                                       \
    "cpu" count "tQ"
#define DICT(count, offset, size, stride)                                                          \
    "\x80\x02}U\x01wctorch._utils\n_rebuild_tensor_v2\n(" STORAGE(count) offset size stride "tRs."
#define GOOD DICT("K\x06", "K\x00", "K\x02K\x03\x86", "K\x03K\x01\x86")
#define TEXT(text) text, sizeof(text) - 1

static const float six[6] = {-3, -2.5f, -2, -1.5f, -1, -0.5f};

static void refuse_zip(const member *members, int count, archive_lie lie, const char *cause) {
    bytes file = make_zip(members, count, &lie);
    refuse(file.data, file.size, cause);
    free(file.data);
}

static void refuse_pickle(const char *pickle, size_t size, const char *cause) {
    member members[] = {{.name = "a/data.pkl", .data = pickle, .size = size},
                        {.name = "a/data/0", .data = six, .size = sizeof six}};
    refuse_zip(members, 2, (archive_lie){0}, cause);
}

static void accept_zip(const member *members, int count, archive_lie lie) {
    bytes file = make_zip(members, count, &lie);
    hs_tensor_set *set;
    hs_error err;
    void *memory;
    assert_ok(parse(file.data, file.size, &set, &memory, &err));
    assert_int_equal(set->count, 1);
    check_ramp(find(set, "w", 2, 2, 3));
    hs_tensor_set_free(set);
    free(memory);
    free(file.data);
}

static void test_zip(void **state) {
    member good[] = {{.name = "a/data.pkl", .data = GOOD, .size = sizeof GOOD - 1},
                     {.name = "a/data/0", .data = six, .size = sizeof six},
                     {.name = "a/byteorder", .data = "little", .size = 6}};
    member changed[3];
    accept_zip(good, 3, (archive_lie){0});
    accept_zip(good, 3, (archive_lie){.wide = true});
#define WITH(i, member, value) memcpy(changed, good, sizeof good), changed[i].member = (value)
    WITH(1, wide, true);
    accept_zip(changed, 3, (archive_lie){.wide = true});
    WITH(1, method, 8);
    refuse_zip(changed, 3, (archive_lie){0}, "a/data/0 is compressed");
    WITH(1, flags, 1);
    refuse_zip(changed, 3, (archive_lie){0}, "a/data/0 is encrypted");
    WITH(1, local_name, "a/data/1");
    refuse_zip(changed, 3, (archive_lie){0}, "no header of its own");
    WITH(1, offset_lie, 1);
    refuse_zip(changed, 3, (archive_lie){0}, "no header of its own");
    WITH(1, offset_lie, 100000);
    refuse_zip(changed, 3, (archive_lie){0}, "begins outside");
    WITH(1, size_lie, 100000);
    refuse_zip(changed, 3, (archive_lie){0}, "reaches beyond");
    WITH(1, size_lie, 20);
    refuse_zip(changed, 3, (archive_lie){0}, "a/byteorder overlaps");
    WITH(1, size_lie, -4);
    refuse_zip(changed, 3, (archive_lie){0}, "expected 6 elements of F32 (24 bytes), found 20");
    WITH(1, name, "a/data/9");
    refuse_zip(changed, 3, (archive_lie){0}, "archive does not have it");
    WITH(1, name, "a/data.pkl");
    refuse_zip(changed, 3, (archive_lie){0}, "a/data.pkl is there twice");
    WITH(2, data, "bigbig");
    refuse_zip(changed, 3, (archive_lie){0}, "big-endian");
    memcpy(changed, good, sizeof good);
    changed[1].wide = true;
    changed[1].offset_lie = -(INT64_C(1) << 40);
    refuse_zip(changed, 3, (archive_lie){.wide = true}, "begins outside");
    WITH(0, name, "a/b/data.pkl");
    refuse_zip(changed, 3, (archive_lie){0}, "without data.pkl");
#undef WITH
}

static void test_zip_directory(void **state) {
    member good[] = {{.name = "a/data.pkl", .data = GOOD, .size = sizeof GOOD - 1},
                     {.name = "a/data/0", .data = six, .size = sizeof six}};
    refuse_zip(good, 0, (archive_lie){0}, "too small");
    refuse_zip(good, 2, (archive_lie){.count = 1}, "too small");
    refuse_zip(good, 2, (archive_lie){.count = 60000}, "too small");
    refuse_zip(good, 2, (archive_lie){.count = -1}, "more entries");
    refuse_zip(good, 2, (archive_lie){.directory = 1}, "lies outside");
    refuse_zip(good, 2, (archive_lie){.directory = -1}, "fewer entries");
    refuse_zip(good, 2, (archive_lie){.directory_size = 1000}, "lies outside");
    refuse_zip(good, 2, (archive_lie){.directory_size = -1}, "beyond its directory");
    refuse_zip(good, 2, (archive_lie){.wide = true, .directory = INT64_MAX}, "lies outside");
    refuse_zip(good, 2, (archive_lie){.wide = true, .directory_size = INT64_MAX}, "lies outside");
    refuse_zip(good, 2, (archive_lie){.wide = true, .count = INT64_MAX - 5}, "too small");
    refuse_zip(good, 2, (archive_lie){.wide = true, .end64 = 1}, "zip64 end record");
    refuse_zip(good, 2, (archive_lie){.wide = true, .end64 = -100000}, "zip64 end record");
    refuse("PK\5\6", 4, "shorter than an empty one");
    refuse("version https://git-lfs.github.com/spec/v1\n", 43, "Git LFS pointer");
    refuse("", 0, "found neither");
}

static void test_tensors_that_lie(void **state) {
    refuse_pickle(TEXT("\x80\x02}U\x01wcos\nsystem\nU\x02ls\x85Rs."), "refuses to load os.system");
    refuse_pickle(TEXT(DICT("K\x06", "K\x01", "K\x02K\x03\x86", "K\x03K\x01\x86")),
                  "tensor w: reaches beyond its storage 0 of 6 elements (offset 1)");
    refuse_pickle(TEXT(DICT("K\x06", "K\x00", "K\x02K\x03\x86", "K\x04K\x01\x86")),
                  "reaches beyond");
    refuse_pickle(TEXT(DICT("K\x07", "K\x00", "K\x02K\x03\x86", "K\x03K\x01\x86")),
                  "expected 7 elements of F32 (28 bytes), found 24");
    refuse_pickle(TEXT(DICT("K\x06", "K\x07", "K\x00\x85", "K\x01\x85")), "reaches beyond");
#define HUGE_INT "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f"
    refuse_pickle(TEXT(DICT("K\x06", HUGE_INT, "K\x02\x85", "K\x01\x85")), "reaches beyond");
    refuse_pickle(TEXT(DICT("K\x06", "K\x00", "K\x03\x85", HUGE_INT "\x85")), "reaches beyond");
    refuse_pickle(TEXT(DICT("K\x06", "K\x00", HUGE_INT "\x85", "K\x01\x85")), "overflows");
    refuse_pickle(
        TEXT(DICT("K\x06", "K\x00", HUGE_INT HUGE_INT "K\x00\x87", "K\x00K\x00K\x00\x87")),
        "overflows");
    /* A terabyte of one value. */
    refuse_pickle(TEXT(DICT("K\x06", "K\x00", "\x8a\x06\x00\x00\x00\x00\x00\x01\x85", "K\x00\x85")),
                  "more than 67108864 bytes");
    refuse_pickle(TEXT("\x80\x02N."), "found a None without named tensors");
    refuse_pickle(TEXT("\x80\x02}U\x01wK\x01s."), "found a dict without named tensors");
    /* A dict that is its own state dict. */
    refuse_pickle(TEXT("\x80\x02}q\x01(U\x0astate_dicth\x01U\x05modelh\x01u."), "found a dict");
    static const char twice[] = "\x80\x02}(U\x01wq\x01"
                                "ctorch._utils\n_rebuild_tensor_v2\n(" STORAGE(
                                    "K\x06") "K\x00K\x06\x85K\x01\x85tRq\x02U\x01wh\x02u.";
    refuse_pickle(TEXT(twice), "tensor w: expected once, found twice");
    static const char nul[] = "\x80\x02}U\x02w\0ctorch._utils\n_rebuild_tensor_v2\n(" STORAGE(
        "K\x06") "K\x00K\x06\x85K\x01\x85tRs.";
    refuse_pickle(TEXT(nul), "holds a NUL");
}

#define MAGIC "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
#define VERSION "\x80\x02M\xe9\x03."
#define SYSTEM "\x80\x02}U\x0dlittle_endian\x88s."
#define KEYS                                                                                       \
    "\x80\x02]U\x01"                                                                               \
    "0a."
#define SIX "\6\0\0\0\0\0\0\0"
#define DATA "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"

static void test_legacy(void **state) {
    static const char good[] = MAGIC VERSION SYSTEM GOOD KEYS SIX DATA;
    hs_tensor_set *set;
    hs_error err;
    void *memory;
    assert_ok(parse(TEXT(good), &set, &memory, &err));
    assert_true(element(find(set, "w", 2, 2, 3), 5) == 0);
    hs_tensor_set_free(set);
    free(memory);
    for (size_t size = 0; size < sizeof good - 1; size++)
        refuse(good, size, "");
    refuse(TEXT("\x80\x02}."), "without PyTorch's magic");
    refuse(TEXT(MAGIC "\x80\x02K\x01." SYSTEM GOOD KEYS SIX DATA), "another version");
    refuse(TEXT(MAGIC VERSION "\x80\x02}U\x0dlittle_endian\x89s." GOOD KEYS SIX DATA),
           "big-endian machine");
    refuse(TEXT(MAGIC VERSION "\x80\x02N." GOOD KEYS SIX DATA), "big-endian machine");
    refuse(TEXT(MAGIC VERSION SYSTEM "\x80\x02"
                                     "cos\nsystem\n." KEYS SIX DATA),
           "refuses to load os.system");
    refuse(TEXT(MAGIC VERSION SYSTEM GOOD "\x80\x02N." SIX DATA), "a list of storage keys");
    refuse(TEXT(MAGIC VERSION SYSTEM GOOD "\x80\x02]Na." SIX DATA), "key is not a string");
    refuse(TEXT(MAGIC VERSION SYSTEM GOOD "\x80\x02]." SIX DATA), "storage 0: a tensor needs it");
    refuse(TEXT(MAGIC VERSION SYSTEM GOOD "\x80\x02]U\x01"
                                          "1a." SIX DATA),
           "names 1, which no");
    refuse(TEXT(MAGIC VERSION SYSTEM GOOD "\x80\x02](U\x01"
                                          "0U\x01"
                                          "0e." SIX DATA SIX DATA),
           "came before");
    refuse(TEXT(MAGIC VERSION SYSTEM GOOD KEYS "\5\0\0\0\0\0\0\0" DATA), "found a count of 5");
    refuse(TEXT(MAGIC VERSION SYSTEM GOOD KEYS "\xff\xff\xff\xff\xff\xff\xff\xff" DATA),
           "found a count of -1");
}

/* Every prefix is refused; every byte may be anything without harm. */
static void test_damaged(void **state) {
    static const char *const files[] = {GOLDEN "nested.bin", GOLDEN "strided_legacy.bin"};
    uint64_t random = 1;
    for (int f = 0; f < 2; f++) {
        bytes file = load(files[f]);
        for (size_t size = 0; size < file.size; size++)
            refuse(file.data, size, "");
        for (size_t at = 0; at < file.size; at++) {
            uint8_t before = file.data[at];
            file.data[at] = (uint8_t)(128 + 127 * hs_test_random(&random));
            hs_tensor_set *set = NULL;
            hs_error err = {0};
            void *memory;
            if (parse(file.data, file.size, &set, &memory, &err) != HS_OK)
                assert_true(strncmp(err.message, "x.bin: ", 7) == 0);
            else
                for (int i = 0; i < set->count; i++) /* all of it is readable */
                    for (int64_t k = 0; k < hs_tensor_count(&set->tensors[i]); k++)
                        assert_false(element(&set->tensors[i], k) == 12345678.9);
            hs_tensor_set_free(set);
            free(memory);
            file.data[at] = before;
        }
        free(file.data);
    }
}

static void test_open_fails(void **state) {
    hs_tensor_set *set = NULL;
    hs_error err;
    assert_int_equal(hs_torch_open("golden/torch/no-such.bin", &set, &err), HS_ERROR_IO);
    assert_non_null(strstr(err.message, "no-such.bin"));
    assert_int_equal(hs_torch_open("golden/torch", &set, &err), HS_ERROR_IO);
    assert_int_equal(hs_torch_open(GOLDEN "part.bin.index.json", &set, &err), HS_ERROR_FORMAT);
    assert_null(set);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dtypes),        cmocka_unit_test(test_strided),
        cmocka_unit_test(test_nested),        cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_sharded),       cmocka_unit_test(test_zip),
        cmocka_unit_test(test_zip_directory), cmocka_unit_test(test_tensors_that_lie),
        cmocka_unit_test(test_legacy),        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_open_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
