/* Command-line texts to numbers: what is accepted, and that nothing else is. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"

static void test_seeds(void **state) {
    static const struct {
        const char *text;
        int count;
        int64_t first, last;
    } good[] = {{"7", 1, 7, 7},
                {"1,4,9", 3, 1, 9},
                {"0-15", 16, 0, 15},
                {"0-3,8", 5, 0, 8},
                {"5-5", 1, 5, 5},
                {"9223372036854775807", 1, INT64_MAX, INT64_MAX},
                {"9223372036854775806-9223372036854775807", 2, INT64_MAX - 1, INT64_MAX}};
    static const char *const bad[] = {"",
                                      "a",
                                      "1,",
                                      ",1",
                                      "1,,2",
                                      "-1",
                                      "3-1",
                                      "1-",
                                      "1-2-3",
                                      "1 2",
                                      " 1",
                                      "0-999999999",
                                      "1e3",
                                      "0x10",
                                      "1.5",
                                      "99999999999999999999",
                                      "0-99999999999999999999"};
    char why[CLI_WHY];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        int64_t *seeds = NULL;
        int count = 0;
        assert_true(cli_parse_seeds(good[i].text, &seeds, &count, why));
        assert_int_equal(count, good[i].count);
        assert_int_equal(seeds[0], good[i].first);
        assert_int_equal(seeds[count - 1], good[i].last);
        free(seeds);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t *seeds = NULL;
        int count = -7;
        why[0] = '\0';
        assert_false(cli_parse_seeds(bad[i], &seeds, &count, why));
        assert_null(seeds);
        assert_int_equal(count, -7);
        assert_true(strlen(why) > 0);
    }
}

static void test_seed_limit(void **state) {
    char why[CLI_WHY], text[64];
    int64_t *seeds = NULL;
    int count;
    snprintf(text, sizeof text, "0-%d", CLI_MAX_SEEDS - 1);
    assert_true(cli_parse_seeds(text, &seeds, &count, why));
    assert_int_equal(count, CLI_MAX_SEEDS);
    free(seeds);
    snprintf(text, sizeof text, "0-%d,5", CLI_MAX_SEEDS - 1);
    assert_false(cli_parse_seeds(text, &seeds, &count, why));
    assert_non_null(strstr(why, "more than"));
}

static void test_numbers(void **state) {
    char why[CLI_WHY];
    int64_t integer;
    double number;
    assert_true(cli_parse_int("50", 1, 1000, &integer, why));
    assert_int_equal(integer, 50);
    static const char *const bad_integers[] = {
        "0", "1001", "-1", "5x", "", "1e2", " 5", "5 ", "1000000000", "99999999999999999999"};
    for (size_t i = 0; i < sizeof bad_integers / sizeof *bad_integers; i++)
        assert_false(cli_parse_int(bad_integers[i], 1, 1000, &integer, why));
    assert_true(cli_parse_number("-1.5e-1", -1, 1, &number, why));
    assert_true(number == -0.15);
    static const char *const bad_numbers[] = {"nan", "inf", "-inf", "0x1p3", "1..2", "",
                                              "1e",  "1,5", "2",    "1e999", " 1",   "--1"};
    for (size_t i = 0; i < sizeof bad_numbers / sizeof *bad_numbers; i++)
        assert_false(cli_parse_number(bad_numbers[i], -1, 1, &number, why));
}

static void test_lists(void **state) {
    char why[CLI_WHY];
    double *numbers = NULL;
    int64_t *integers = NULL;
    int count;
    assert_true(cli_parse_numbers("0,0.5,1", 0, 1, 10, &numbers, &count, why));
    assert_int_equal(count, 3);
    assert_true(numbers[1] == 0.5);
    free(numbers);
    numbers = NULL;
    assert_false(cli_parse_numbers("0,0.5,", 0, 1, 10, &numbers, &count, why));
    assert_false(cli_parse_numbers("0,-0.5", 0, 1, 10, &numbers, &count, why));
    assert_false(cli_parse_numbers("0,0,0", 0, 1, 2, &numbers, &count, why));
    assert_non_null(strstr(why, "more than 2"));
    assert_null(numbers);
    assert_true(cli_parse_ints("3,999", 0, 999, 10, &integers, &count, why));
    assert_int_equal(integers[1], 999);
    free(integers);
    integers = NULL;
    assert_false(cli_parse_ints("3,1000", 0, 999, 10, &integers, &count, why));
    assert_false(cli_parse_ints("3.5", 0, 999, 10, &integers, &count, why));
    assert_null(integers);
}

static void test_sizes(void **state) {
    static const struct {
        const char *text;
        int64_t bytes;
    } good[] = {{"1", 1},
                {"100000", 100000},
                {"2K", 2048},
                {"1.5G", 3LL << 29},
                {"800M", 800LL << 20},
                {"2g", 2LL << 30},
                {"2GiB", 2LL << 30},
                {"2GB", 2LL << 30}};
    static const char *const bad[] = {"0",    "-1G", "G",   "",     "1X", "1GG",
                                      "1e30", "nan", "inf", "9e9T", "0.1"};
    char why[CLI_WHY];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        int64_t bytes;
        assert_true(cli_parse_size(good[i].text, &bytes, why));
        assert_int_equal(bytes, good[i].bytes);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t bytes = -7;
        assert_false(cli_parse_size(bad[i], &bytes, why));
        assert_int_equal(bytes, -7);
    }
}

static void test_windows(void **state) {
    char why[CLI_WHY];
    int first, last;
    assert_true(cli_parse_window("0-24", &first, &last, why));
    assert_int_equal(first, 0);
    assert_int_equal(last, 24);
    assert_true(cli_parse_window("7", &first, &last, why));
    assert_int_equal(first, 7);
    assert_int_equal(last, 7);
    static const char *const bad[] = {"", "-", "5-", "-5", "5-4", "1-2-3", "a-b", "0-1000000000"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(cli_parse_window(bad[i], &first, &last, why));
}

/* Parse a direction and compare its parts; name NULL: none. */
static void check_direction(const char *text, const char *file, const char *name, int count,
                            double from, double to) {
    cli_direction_spec spec;
    char why[CLI_WHY] = "";
    if (!cli_parse_direction(text, &spec, why))
        fail_msg("%s: %s", text, why);
    assert_string_equal(spec.file, file);
    if (name)
        assert_string_equal(spec.name, name);
    else
        assert_null(spec.name);
    assert_int_equal(spec.count, count);
    assert_true(spec.strengths[0] == from);
    assert_true(spec.strengths[count - 1] == to);
    assert_int_equal(spec.sweep, count > 1);
    cli_direction_spec_free(&spec);
}

static void test_directions(void **state) {
    check_direction("a.safetensors", "a.safetensors", NULL, 1, 1, 1);
    check_direction("a.safetensors#2", "a.safetensors", "2", 1, 1, 1);
    check_direction("a.safetensors=0.6", "a.safetensors", NULL, 1, 0.6, 0.6);
    check_direction("d/a.safetensors#s24.0=-2", "d/a.safetensors", "s24.0", 1, -2, -2);
    check_direction("a#2=-3..3:7", "a", "2", 7, -3, 3);
    check_direction("a=5..0:2", "a", NULL, 2, 5, 0);
    check_direction("x=1/a.safetensors", "x=1/a.safetensors", NULL, 1, 1, 1);
    check_direction("x=1.safetensors", "x=1.safetensors", NULL, 1, 1, 1);
    check_direction("c#/a.safetensors=2", "c#/a.safetensors", NULL, 1, 2, 2);
    static const char *const bad[] = {"",
                                      "#2",
                                      "=3",
                                      "a#",
                                      "a#=3",
                                      "a=",
                                      "a=abc",
                                      "a=nan",
                                      "a=1e9",
                                      "a=-3..3",
                                      "a=-3..3:",
                                      "a=-3..3:1",
                                      "a=-3..3:0",
                                      "a=..3:7",
                                      "a=-3..:7",
                                      "a=-3..3:1000000000",
                                      "a=-1e9..1e9:3",
                                      "a=1..3"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cli_direction_spec spec = {.count = -7};
        char why[CLI_WHY] = "";
        if (cli_parse_direction(bad[i], &spec, why))
            fail_msg("'%s' was accepted", bad[i]);
        assert_int_equal(spec.count, -7);
        assert_true(strlen(why) > 0);
    }
}

/* A symmetric sweep has exact ends, an exact 0, and opposite halves. */
static void test_sweep_is_exact(void **state) {
    cli_direction_spec spec;
    char why[CLI_WHY];
    assert_true(cli_parse_direction("a=-0.3..0.3:7", &spec, why));
    assert_true(spec.strengths[3] == 0);
    for (int i = 0; i < 7; i++)
        assert_true(spec.strengths[i] + spec.strengths[6 - i] < 1e-15 &&
                    spec.strengths[i] + spec.strengths[6 - i] > -1e-15);
    cli_direction_spec_free(&spec);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seeds),      cmocka_unit_test(test_seed_limit),
        cmocka_unit_test(test_numbers),    cmocka_unit_test(test_lists),
        cmocka_unit_test(test_sizes),      cmocka_unit_test(test_windows),
        cmocka_unit_test(test_directions), cmocka_unit_test(test_sweep_is_exact)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
