/* Labels: what a CSV and CelebA's table may look like, and what is left out. */
#include <math.h>

#include "io/blob.h"
#include "io/labels.h"

static const hs_test_refusal refusals[] = {
    {"empty", "", 0, HS_ERROR_FORMAT, "l.csv: the file is empty"},
    {"blank lines", "\n \r\n\n", 0, HS_ERROR_FORMAT, "the file is empty"},
    {"one column", "seed\n1\n2\n", 0, HS_ERROR_FORMAT, "line 1: expected a header such as"},
    {"no header", "1,0.5\n2,0.25\n", 0, HS_ERROR_FORMAT, "found the number 0.5"},
    {"header without a name", "seed,,B\n1,1,1\n", 0, HS_ERROR_FORMAT, "line 1: column 2: expected"},
    {"header twice", "seed,A,A\n1,1,1\n", 0, HS_ERROR_FORMAT, "attribute \"A\" stands there twice"},
    {"header not UTF-8", "seed,\xff\n1,1\n", 0, HS_ERROR_FORMAT, "in UTF-8"},
    {"header quote", "seed,\"A\n1,1\n", 0, HS_ERROR_FORMAT, "a quote is not closed"},
    {"header alone", "seed,A\n", 0, HS_ERROR_FORMAT, "no row below its header"},
    {"only bad rows", "seed,A\n1,x\n2\n", 0, HS_ERROR_FORMAT, "none of its 2 rows can be used"},
    {"binary", "seed,A\n1,1\n", 3, HS_ERROR_FORMAT, "found a zero byte"},
    {"table without names", "2\n", 0, HS_ERROR_FORMAT, "expected a line of attributes"},
};

static void test_refuses(void **state) {
    const hs_test_refusal *row = *state;
    size_t length = strlen(row->header), size = length + (size_t)row->data;
    char *text = calloc(1, size + 1);
    hs_labels *labels = NULL;
    hs_error err;
    memcpy(text, row->header, length);
    hs_status status = hs_labels_parse("l.csv", text, size, false, NULL, &labels, &err);
    hs_test_refused(status, &err, row->status, row->message);
    assert_null(labels);
    free(text);
}

/* Notices, one a line. */
static void collect(void *ctx, const char *text) {
    char *all = ctx;
    if (strlen(all) + strlen(text) + 2 < 4000)
        strcat(strcat(all, text), "\n");
}

static hs_labels *parse(const char *text, bool pairs, char notices[4000]) {
    hs_error err;
    hs_labels *labels = NULL;
    hs_monitor monitor = {.ctx = notices, .notice = collect};
    *notices = '\0';
    assert_ok(hs_labels_parse("l.csv", text, strlen(text), pairs, &monitor, &labels, &err));
    return labels;
}

/* A BOM, CRLF, quotes, blanks, an empty cell, no newline at the end. */
static void test_csv(void **state) {
    char notices[4000];
    hs_labels_view view;
    hs_labels *labels = parse("\xef\xbb\xbf"
                              "file , \"Big \"\"Nose\"\"\",B\r\n\r\n"
                              " a/000_seed_12.png ,0.5,\r\n\"x, y.png\" , -1e-2 ,+3\r\n7,1,2",
                              false, notices);
    hs_labels_view_get(labels, &view);
    assert_string_equal(notices, "");
    assert_int_equal(view.rows, 3);
    assert_int_equal(view.attributes, 2);
    assert_int_equal(view.bad, 0);
    assert_null(view.partners);
    assert_string_equal(view.names[0], "Big \"Nose\"");
    assert_int_equal(hs_labels_find(labels, "B"), 1);
    assert_int_equal(hs_labels_find(labels, "b"), -1);
    assert_string_equal(view.items[0], "a/000_seed_12.png");
    assert_string_equal(view.items[1], "x, y.png");
    assert_int_equal(view.seeds[0], 12);
    assert_int_equal(view.seeds[1], -1);
    assert_int_equal(view.seeds[2], 7);
    assert_true(view.values[0] == 0.5 && isnan(view.values[1]));
    assert_true(view.values[2] == -0.01 && view.values[3] == 3);
    hs_labels_free(labels);
}

/* Good rows are kept, bad ones named and counted. */
static void test_bad_rows(void **state) {
    char notices[4000];
    hs_labels_view view;
    hs_labels *labels = parse("seed,A,B\n1,1,0\n2,yes,0\n3,1\n4,1,0,9\n,1,1\n5,nan,0\n6,0x1,0\n"
                              "7,\"1,0\n8,\"1\"x,0\n1,0,0\n9,0,1\n1,0,0\n",
                              false, notices);
    hs_labels_view_get(labels, &view);
    assert_int_equal(view.rows, 2);
    assert_int_equal(view.bad, 10);
    assert_int_equal(view.seeds[0], 1);
    assert_true(view.values[0] == 1); /* of a seed's rows the first counts */
    assert_int_equal(view.seeds[1], 9);
    static const char *const expected[] = {"line 3 left out: A: expected a number, found \"yes\"\n",
                                           "line 4 left out: expected 3 columns, found 2\n",
                                           "line 5 left out: expected 3 columns, found 4\n",
                                           "line 6 left out: the file or seed is missing\n",
                                           "line 7 left out: A: expected a number, found \"nan\"\n",
                                           "line 8 left out: A: expected a number, found \"0x1\"\n",
                                           "line 9 left out: a quote is not closed on its line\n",
                                           "line 10 left out: text stands behind a closing quote\n",
                                           "line 11 left out: \"1\" stands on line 2 already\n",
                                           "line 13 left out: \"1\" stands on line 2 already\n"};
    for (size_t i = 0; i < HS_TEST_ROWS(expected); i++)
        if (!strstr(notices, expected[i]))
            fail_msg("expected '%s' in: %s", expected[i], notices);
    hs_labels_free(labels);
}

static void test_many_bad_rows(void **state) {
    char notices[4000], text[4000] = "seed;A\n0;1\n";
    for (int i = 0; i < 50; i++)
        strcat(text, "x;y\n");
    hs_labels *labels = parse(text, false, notices);
    assert_int_equal(labels->bad, 50);
    assert_non_null(strstr(notices, "30 more lines left out"));
    hs_labels_free(labels);
}

static void test_celeba(void **state) {
    char notices[4000];
    hs_labels_view view;
    hs_labels *labels = parse("3\n5_o_Clock_Shadow  Smiling \n000001.jpg -1  1\n000002.jpg  1 -1\n",
                              false, notices);
    hs_labels_view_get(labels, &view);
    assert_int_equal(view.rows, 2);
    assert_int_equal(view.attributes, 2);
    assert_string_equal(view.names[1], "Smiling");
    assert_string_equal(view.items[1], "000002.jpg");
    assert_int_equal(view.seeds[0], -1);
    assert_true(view.values[0] == -1 && view.values[1] == 1 && view.values[2] == 1);
    assert_non_null(strstr(notices, "its first line says 3 rows, there are 2"));
    hs_labels_free(labels);
}

static void test_pairs(void **state) {
    char notices[4000];
    hs_labels_view view;
    hs_error err;
    hs_labels *labels =
        parse("with\twithout\na.png\tb.png\na.png\tc.png\na.png\tb.png\nd.png\t\n", true, notices);
    hs_labels_view_get(labels, &view);
    assert_int_equal(view.rows, 2);
    assert_int_equal(view.attributes, 0);
    assert_int_equal(view.bad, 2);
    assert_string_equal(view.partners[1], "c.png");
    hs_labels_free(labels);
    hs_status status = hs_labels_parse("l.csv", "a,b,c\n1,2,3\n", 12, true, NULL, &labels, &err);
    hs_test_refused(status, &err, HS_ERROR_FORMAT, "expected two columns of file names");
}

static void test_seeds(void **state) {
    assert_int_equal(hs_labels_seed("0"), 0);
    assert_int_equal(hs_labels_seed("000123.jpg"), -1);
    assert_int_equal(hs_labels_seed("x/12"), -1);
    assert_int_equal(hs_labels_seed("seed_5.png"), 5);
    assert_int_equal(hs_labels_seed("out/002_seed_77_strength_+1.png"), 77);
    assert_int_equal(hs_labels_seed("linseed_5.png"), -1);
    assert_int_equal(hs_labels_seed("9999999999999999999999"), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_csv),    cmocka_unit_test(test_bad_rows),
        cmocka_unit_test(test_celeba), cmocka_unit_test(test_many_bad_rows),
        cmocka_unit_test(test_pairs),  cmocka_unit_test(test_seeds),
    };
    return hs_test_run(refusals, HS_TEST_ROWS(refusals), test_refuses, tests, HS_TEST_ROWS(tests));
}
