/* JSON: values, defaults, and messages that name key, expected and found. */
#include "io/blob.h"
#include "io/file.h"
#include "io/json.h"

static json_t *parse(const char *text) {
    hs_error err = {0};
    json_t *object = NULL;
    assert_ok(hs_json_parse_object("config.json", text, strlen(text), &object, &err));
    return object;
}

static void refuse_text(void **state) {
    static const char *const rows[][2] = {
        {"", "line 1"},
        {"{\n\"a\": 1,\n}", "config.json: line 3, column 1: not valid JSON"},
        {"{\"a\": 1} x", "not valid JSON"},
        {"{\"a\": NaN}", "not valid JSON"},
        {"{\"a\": 1e999}", "not valid JSON"},
        {"{\"a\": 1, \"a\": 2}", "duplicate"},
        {"12", "config.json: expected a JSON object, found 12"},
        {"null", "expected a JSON object, found null"},
        {"\"text\"", "expected a JSON object, found the string \"text\""},
    };
    for (size_t i = 0; i < HS_TEST_ROWS(rows); i++) {
        hs_error err = {0};
        json_t *object = NULL;
        hs_test_refused(
            hs_json_parse_object("config.json", rows[i][0], strlen(rows[i][0]), &object, &err),
            &err, HS_ERROR_FORMAT, rows[i][1]);
        assert_null(object);
    }
}

static void read_values(void **state) {
    hs_error err = {0};
    json_t *o = parse("{\"i\":-3,\"d\":0.5,\"b\":true,\"s\":\"text\",\"l\":[1,2,3],\"x\":null,"
                      "\"n\":[\"p\",\"q\"],\"r\":[0.5,2],\"o\":{\"k\":1}}");
    int64_t i, list[4];
    double d, reals[2];
    bool b;
    int count;
    const char *s, *names[2];
    json_t *inner;
    assert_ok(hs_json_get_int(o, "i", 7, -3, 10, &i, &err));
    assert_int_equal(i, -3);
    assert_ok(hs_json_get_int(o, "absent", 7, 0, 1, &i, &err));
    assert_int_equal(i, 7);
    assert_ok(hs_json_get_int(o, "x", 8, 0, 1, &i, &err)); /* null is absent */
    assert_int_equal(i, 8);
    assert_ok(hs_json_get_double(o, "d", 0, 0, 1, &d, &err));
    assert_true(d == 0.5);
    assert_ok(hs_json_get_double(o, "i", 0, -5, 5, &d, &err));
    assert_true(d == -3);
    assert_ok(hs_json_get_double(o, "absent", 1e-4, 0, 1, &d, &err));
    assert_true(d == 1e-4);
    assert_ok(hs_json_get_bool(o, "b", false, &b, &err));
    assert_true(b);
    assert_ok(hs_json_get_bool(o, "absent", true, &b, &err));
    assert_true(b);
    assert_ok(hs_json_get_string(o, "s", NULL, &s, &err));
    assert_string_equal(s, "text");
    assert_ok(hs_json_get_string(o, "absent", "silu", &s, &err));
    assert_string_equal(s, "silu");
    assert_ok(hs_json_get_ints(o, "l", 1, 3, list, 4, &count, &err));
    assert_int_equal(count, 3);
    assert_int_equal(list[2], 3);
    assert_ok(hs_json_get_ints(o, "absent", 1, 3, list, 4, &count, &err));
    assert_int_equal(count, 0);
    assert_ok(hs_json_get_doubles(o, "r", 0, 2, reals, 2, &count, &err));
    assert_true(count == 2 && reals[0] == 0.5 && reals[1] == 2);
    assert_ok(hs_json_get_strings(o, "n", names, 2, &count, &err));
    assert_int_equal(count, 2);
    assert_string_equal(names[1], "q");
    assert_ok(hs_json_get_object(o, "o", &inner, &err));
    assert_int_equal(json_object_size(inner), 1);
    assert_ok(hs_json_get_object(o, "absent", &inner, &err));
    assert_null(inner);
    assert_true(hs_json_absent(o, "x") && hs_json_absent(o, "y") && !hs_json_absent(o, "i"));
    json_decref(o);
}

static void refuse_values(void **state) {
    hs_error err = {0};
    json_t *o = parse("{\"i\":12,\"d\":0.5,\"b\":true,\"s\":\"text\",\"l\":[1,2,\"x\"],\"o\":{}}");
    int64_t i = 1, list[3];
    double d, reals[3];
    bool b;
    int count;
    const char *s, *names[3];
    json_t *inner;
    hs_test_refused(hs_json_get_int(o, "i", 0, 1, 8, &i, &err), &err, HS_ERROR_FORMAT,
                    "key \"i\": expected an integer from 1 to 8, found 12");
    assert_int_equal(i, 1);
    hs_test_refused(hs_json_get_int(o, "d", 0, 0, 9, &i, &err), &err, HS_ERROR_FORMAT, "found 0.5");
    hs_test_refused(hs_json_get_int(o, "b", 0, 0, 9, &i, &err), &err, HS_ERROR_FORMAT,
                    "found true");
    hs_test_refused(hs_json_get_double(o, "s", 0, 0, 9, &d, &err), &err, HS_ERROR_FORMAT,
                    "key \"s\": expected a number from 0 to 9, found the string \"text\"");
    hs_test_refused(hs_json_get_double(o, "d", 0, 1, 9, &d, &err), &err, HS_ERROR_FORMAT,
                    "found 0.5");
    hs_test_refused(hs_json_get_bool(o, "i", false, &b, &err), &err, HS_ERROR_FORMAT,
                    "key \"i\": expected true or false, found 12");
    hs_test_refused(hs_json_get_string(o, "l", NULL, &s, &err), &err, HS_ERROR_FORMAT,
                    "key \"l\": expected a string, found a list of 3");
    hs_test_refused(hs_json_get_ints(o, "l", 0, 9, list, 3, &count, &err), &err, HS_ERROR_FORMAT,
                    "key \"l[2]\": expected an integer from 0 to 9, found the string \"x\"");
    hs_test_refused(hs_json_get_ints(o, "l", 0, 9, list, 2, &count, &err), &err, HS_ERROR_FORMAT,
                    "key \"l\": expected a list of at most 2, found a list of 3");
    hs_test_refused(hs_json_get_doubles(o, "l", 2, 9, reals, 3, &count, &err), &err,
                    HS_ERROR_FORMAT, "key \"l[0]\": expected a number from 2 to 9, found 1");
    hs_test_refused(hs_json_get_strings(o, "l", names, 3, &count, &err), &err, HS_ERROR_FORMAT,
                    "key \"l[0]\": expected a string, found 1");
    hs_test_refused(hs_json_get_array(o, "o", &inner, &err), &err, HS_ERROR_FORMAT,
                    "key \"o\": expected a list, found an object");
    hs_test_refused(hs_json_get_object(o, "i", &inner, &err), &err, HS_ERROR_FORMAT,
                    "key \"i\": expected an object, found 12");
    hs_test_refused(hs_json_need(o, "z", &err), &err, HS_ERROR_FORMAT, "key \"z\" is missing");
    static const char *const known[] = {"i", "d", "b", "s", "l", NULL};
    hs_test_refused(hs_json_known_keys(o, known, &err), &err, HS_ERROR_FORMAT,
                    "key \"o\" is not known");
    json_decref(o);
}

static void save_and_load(void **state) {
    hs_error err = {0};
    char *folder = hs_test_make_folder(), *path = hs_test_path(folder, "x.json");
    json_t *o = parse("{\"b\":[1,2.5],\"a\":\"\\u00e9\"}"), *again = NULL;
    assert_ok(hs_json_save(path, o, &err));
    assert_ok(hs_json_load(path, &again, &err));
    assert_true(json_equal(o, again));
    json_decref(again);
    hs_test_refused(hs_json_save("/dev/full", o, &err), &err, HS_ERROR_IO, "No space left");
    assert_ok(hs_file_write(path, "{", 1, &err));
    hs_test_refused(hs_json_load(path, &again, &err), &err, HS_ERROR_FORMAT, "x.json: line 1");
    assert_ok(hs_file_write(path, "", 0, &err));
    hs_test_refused(hs_json_load(path, &again, &err), &err, HS_ERROR_FORMAT, "not valid JSON");
    json_decref(o);
    hs_test_remove_folder(folder);
    free(path);
    free(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuse_text),
        cmocka_unit_test(read_values),
        cmocka_unit_test(refuse_values),
        cmocka_unit_test(save_and_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
