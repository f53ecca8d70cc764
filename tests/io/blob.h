/* What the tests of io share: safetensors files made from a header's text, and
 * tables of refusals in which every row is a test of its own. */
#ifndef HS_TESTS_IO_BLOB_H
#define HS_TESTS_IO_BLOB_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

/* Length, header, `data_size` bytes of data (zeros where `data` is NULL);
 * free() it. */
static inline uint8_t *hs_test_blob(const char *header, const void *data, size_t data_size,
                                    size_t *size) {
    size_t length = strlen(header);
    uint8_t *blob = calloc(1, 8 + length + data_size + 1);
    assert_non_null(blob);
    for (int i = 0; i < 8; i++)
        blob[i] = (uint8_t)((uint64_t)length >> (8 * i));
    memcpy(blob + 8, header, length);
    if (data)
        memcpy(blob + 8 + length, data, data_size);
    *size = 8 + length + data_size;
    return blob;
}

static inline void hs_test_write(const char *path, const void *data, size_t size) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static inline char *hs_test_path(const char *folder, const char *name) {
    char *path = NULL;
    assert_true(asprintf(&path, "%s/%s", folder, name) > 0);
    return path;
}

/* The call must fail with this code, and its message hold this text. */
static inline void hs_test_refused(hs_status status, const hs_error *err, hs_status expected,
                                   const char *text) {
    if (status != expected || err->code != expected)
        fail_msg("expected status %s, found %s: %s", hs_status_name(expected),
                 hs_status_name(status), status == HS_OK ? "" : err->message);
    if (!strstr(err->message, text))
        fail_msg("expected \"%s\" in the message: %s", text, err->message);
    if (strchr(err->message, '\n'))
        fail_msg("expected one line: %s", err->message);
}

/* A row: a file that must be refused. */
typedef struct hs_test_refusal {
    const char *name;
    const char *header; /* of a safetensors file, or the text itself */
    int data;           /* bytes of zeros behind the header */
    hs_status status;
    const char *message; /* part of it */
} hs_test_refusal;

#define HS_TEST_ROWS(rows) (sizeof(rows) / sizeof *(rows))

/* Run the rows, each a test of its own, then `tests`. */
static inline int hs_test_run(const hs_test_refusal *rows, size_t row_count,
                              CMUnitTestFunction run_row, const struct CMUnitTest *tests,
                              size_t test_count) {
    struct CMUnitTest *all = calloc(row_count + test_count, sizeof *all);
    if (!all)
        return 1;
    for (size_t i = 0; i < row_count; i++)
        all[i] = (struct CMUnitTest){.name = rows[i].name,
                                     .test_func = run_row,
                                     .initial_state = (void *)(uintptr_t)&rows[i]};
    memcpy(all + row_count, tests, test_count * sizeof *tests);
    int failed = _cmocka_run_group_tests("io", all, row_count + test_count, NULL, NULL);
    free(all);
    return failed;
}

#endif
