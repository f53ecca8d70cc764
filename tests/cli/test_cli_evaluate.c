/* evaluate end to end, on the embedded model with few steps. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "program.h"

#define COMMON "$H evaluate --steps 3 -n 4 --sets 2 --attributes Smiling,Hat,Long_Hair "

static int make_folder(void **state) {
    char *folder = hs_test_make_folder();
    hs_run_ok(folder, "$H annotate --quiet --steps 3 -n 24 -o i.sqlite");
    hs_run_ok(folder, "$H attribute --quiet --index i.sqlite --attribute Smiling,Long_Hair --top 8 "
                      "--given none --given Smiling,Long_Hair -o d.safetensors");
    hs_run_ok(folder, "$H disentangle 'd.safetensors#Smiling@none' --from "
                      "'d.safetensors#Long_Hair@none' -o clean.safetensors");
    *state = folder;
    return 0;
}

static int remove_folder(void **state) {
    hs_test_remove_folder(*state);
    free(*state);
    return 0;
}

static void refuse(const char *folder, const char *arguments, int status, const char *fragment) {
    hs_run run = hs_run_shell(folder, arguments);
    if (run.status != status || !strstr(run.err, fragment) || strncmp(run.err, "hspace: ", 8))
        fail_msg("%s: status %d, expected %d; \"%s\" is not in: %s", arguments, run.status, status,
                 fragment, run.err);
    hs_run_free(&run);
}

static double number(const json_t *object, const char *key) {
    assert_true(json_is_number(json_object_get(object, key)));
    return json_number_value(json_object_get(object, key));
}

/* All of a file: its attributes' names are the targets. */
static void test_matrix(void **state) {
    const char *folder = *state;
    json_t *report = hs_run_json(folder, COMMON "--json --quiet -d d.safetensors --before -d "
                                                "'d.safetensors#Smiling@none' --after -d "
                                                "clean.safetensors -o e.csv --figure e.svg");
    json_t *groups = json_object_get(report, "groups"), *rows = json_object_get(report, "rows");
    assert_int_equal(json_array_size(groups), 3);
    assert_int_equal(json_array_size(rows), 6 + 3); /* each group with random directions */
    assert_int_equal(number(json_array_get(groups, 0), "directions"), 4);
    assert_int_equal(number(json_array_get(groups, 1), "directions"), 1);
    const json_t *clean = json_array_get(rows, 7);
    assert_string_equal(json_string_value(json_object_get(clean, "group")), "after");
    assert_string_equal(json_string_value(json_object_get(clean, "target")), "Smiling");
    /* A direction measured in two groups has the same effects. */
    assert_true(json_equal(json_object_get(json_array_get(rows, 0), "effects"),
                           json_object_get(json_array_get(rows, 5), "effects")));
    /* one number: off / on */
    const json_t *after = json_array_get(groups, 2);
    const json_t *cells = json_object_get(clean, "effects");
    double on = number(json_array_get(cells, 0), "change");
    double off = 0.5 * (number(json_array_get(cells, 1), "absolute") +
                        number(json_array_get(cells, 2), "absolute"));
    assert_true(on == number(after, "on_target") && off - number(after, "off_target") < 1e-8);
    json_decref(report);
    size_t size;
    char *csv = hs_read_all(folder, "e.csv", &size);
    assert_int_equal(
        strncmp(csv, "group,direction,target,strength,attribute,on_target,change,", 59), 0);
    assert_non_null(strstr(csv, "\ndirections,Smiling@none,Smiling,1,Smiling,1,"));
    assert_non_null(strstr(csv, "\nafter,random directions,,,Hat,0,"));
    free(csv);
    char *svg = hs_read_all(folder, "e.svg", &size);
    assert_non_null(strstr(svg, "after: Smiling"));
    free(svg);
    assert_false(hs_exists(folder, "e.csv.resume"));
}

static void test_text(void **state) {
    const char *folder = *state;
    hs_run run = hs_run_shell(folder, COMMON "-d 'd.safetensors#0=2' -o t.json --no-random");
    assert_int_equal(run.status, 0);
    assert_non_null(strstr(run.out, "Smiling x 2"));
    assert_non_null(strstr(run.out, "; target strongest in "));
    assert_null(strstr(run.out, "random"));
    assert_non_null(strstr(run.err, "1 direction on 2 sets of 4 samples at 3 steps: 48 passes of"));
    assert_non_null(strstr(run.err, "memory: "));
    hs_run_free(&run);
    assert_true(hs_exists(folder, "t.json"));
    /* Samples that the direction is made of: said. */
    run = hs_run_shell(folder, COMMON "--quiet --seed 20 -d d.safetensors#0 -o s.csv");
    assert_int_equal(run.status, 0);
    assert_non_null(strstr(run.err, "d.safetensors: made of 4 of the samples that"));
    hs_run_free(&run);
    run = hs_run_shell(folder, COMMON "--quiet --targets - -d d.safetensors#0 -o t.png");
    assert_int_equal(run.status, 0);
    hs_run_free(&run);
    assert_true(hs_exists(folder, "t.png"));
}

/* Stopped, by a signal it does not see, and given again: the table of a run that
 * was not stopped. */
#define KILLED                                                                                     \
    COMMON "--quiet --calibrate 0.05 --calibrate-n 2 -d d.safetensors#1 "                          \
           "-d d.safetensors#3 "

static void test_killed(void **state) {
    const char *folder = *state;
    size_t size, other;
    hs_run run = hs_run_shell(folder, KILLED "-o w.csv");
    assert_int_equal(run.status, 0);
    hs_run_free(&run);
    char *whole = hs_read_all(folder, "w.csv", &size);
    for (int i = 0; i < 2; i++) {
        char command[600];
        snprintf(command, sizeof command, "timeout -s KILL 0.%d " KILLED "-o k.csv", 3 + 3 * i);
        run = hs_run_shell(folder, command);
        hs_run_free(&run);
    }
    run = hs_run_shell(folder, KILLED "-o k.csv");
    assert_int_equal(run.status, 0);
    hs_run_free(&run);
    char *again = hs_read_all(folder, "k.csv", &other);
    assert_int_equal(size, other);
    assert_memory_equal(whole, again, size);
    free(again);
    free(whole);
}

static void test_refused(void **state) {
    const char *folder = *state;
    refuse(folder, "$H evaluate -o x.csv", 2, "-d FILE says which");
    refuse(folder, COMMON "-d d.safetensors", 2, "-o says where");
    refuse(folder, COMMON "-d d.safetensors -o x.txt", 2, "neither a table");
    refuse(folder, COMMON "-d d.safetensors#0=-1..1:3 -o x.csv", 2, "a sweep has no meaning");
    refuse(folder, COMMON "--calibrate 0.4 -d d.safetensors#0=2 -o x.csv", 2, "exclude each other");
    refuse(folder, COMMON "--before --after -d d.safetensors -o x.csv", 2, "no -d follows it");
    refuse(folder, COMMON "-d d.safetensors --resume x.csv -o x.csv", 2, "are the same file");
    refuse(folder, COMMON "--targets Hat -d d.safetensors -o x.csv", 1, "1 names for 4 directions");
    refuse(folder, COMMON "--targets Bald -d d.safetensors#0 -o x.csv", 1, "'Bald', which is none");
    refuse(folder, "$H evaluate --steps 3 --attributes Wings -d d.safetensors#0 -o x.csv", 1,
           "no attribute 'Wings'");
    refuse(folder, COMMON "--classifier none -d d.safetensors -o x.csv", 1, "none");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matrix),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
