/* annotate, attribute and disentangle end to end, on the embedded model with few
 * steps. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "program.h"

static int make_folder(void **state) {
    char *folder = hs_test_make_folder();
    hs_run_ok(folder, "$H annotate --quiet --steps 3 -n 24 -o i.sqlite");
    hs_run_ok(folder, "$H sample --quiet --steps 3 --eta 1 --seed 0-7 -o faces/");
    *state = folder;
    return 0;
}

static int remove_folder(void **state) {
    hs_test_remove_folder(*state);
    free(*state);
    return 0;
}

static int64_t member(const json_t *report, const char *key) {
    return json_integer_value(json_object_get(report, key));
}

static void write_text(const char *folder, const char *name, const char *text) {
    char path[500];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* A failure is one line with this in it. */
static void refuse(const char *folder, const char *arguments, int status, const char *fragment) {
    hs_run run = hs_run_shell(folder, arguments);
    if (run.status != status || !strstr(run.err, fragment) || strncmp(run.err, "hspace: ", 8))
        fail_msg("%s: status %d, expected %d; \"%s\" is not in: %s", arguments, run.status, status,
                 fragment, run.err);
    if (strchr(run.err, '\n') != run.err + strlen(run.err) - 1)
        fail_msg("%s: more than one line: %s", arguments, run.err);
    hs_run_free(&run);
}

static json_t *run_list(const char *folder, const char *arguments) {
    hs_run run = hs_run_shell(folder, arguments);
    json_t *report = json_loads(run.out, 0, NULL);
    if (run.status != 0 || !report)
        fail_msg("%s: status %d: %s", arguments, run.status, run.err);
    hs_run_free(&run);
    return report;
}

static void test_annotate(void **state) {
    const char *folder = *state;
    json_t *report = run_list(folder, "$H annotate --list --json i.sqlite");
    assert_int_equal(member(report, "samples"), 24);
    assert_int_equal(member(report, "steps"), 3);
    assert_int_equal(json_array_size(json_object_get(report, "attributes")), 18);
    json_decref(report);
    hs_run run = hs_run_shell(folder, "$H annotate --list i.sqlite");
    assert_int_equal(run.status, 0);
    assert_non_null(strstr(run.out, "Eyeglasses"));
    hs_run_free(&run);
    refuse(folder, "$H annotate --quiet --steps 4 -n 24 -o i.sqlite", 1, "have 3 steps, not 4");
    refuse(folder, "$H annotate --quiet --steps 3 --eta 0 -n 2 -o i.sqlite", 1, "eta [1.0], not");
    refuse(folder, "$H annotate --list none.sqlite", 1, "there is no index");
    refuse(folder, "$H annotate --list faces/000_seed_0.png", 1, "not an index");
    refuse(folder, "$H annotate -n 5", 2, "-o says where");
}

static void test_attribute(void **state) {
    const char *folder = *state;
    json_t *report = hs_run_json(folder, "$H attribute --json --quiet --index i.sqlite --attribute "
                                         "Smiling --top 10 --curve 2,5,10 -o s.safetensors");
    assert_int_equal(member(report, "high"), 10);
    assert_int_equal(member(report, "low"), 10);
    assert_int_equal(member(report, "held_high"), 2);
    assert_int_equal(member(report, "steps"), 3);
    assert_int_equal(json_array_size(json_object_get(report, "curve")), 3);
    json_decref(report);
    report = hs_run_json(folder, "$H attribute --json --quiet --index i.sqlite --attribute Smiling "
                                 "--top 10 --curve 10 -o s1.safetensors --classifier "
                                 "" HS_JUDGE);
    const json_t *effect = json_array_get(json_object_get(report, "curve_effects"), 0);
    assert_true(json_is_real(json_array_get(effect, 0)));
    assert_true(json_real_value(json_array_get(effect, 1)) > 0);
    json_decref(report);
    report = hs_run_json(folder, "$H attribute --json --quiet --index i.sqlite --attribute Smiling "
                                 "--given all -o j.safetensors");
    assert_int_equal(member(report, "samples"), 24);
    json_decref(report);
    hs_run_ok(folder, "$H attribute --quiet --index i.sqlite --attribute Long_Hair --top 4 "
                      "--balance Smiling -o l.safetensors");
    hs_run_ok(folder, "$H disentangle s.safetensors --from l.safetensors -o c.safetensors");
    hs_run_ok(folder, "$H edit --quiet --steps 3 -d c.safetensors=-1..1:3 -o c.png");
    report = hs_run_json(folder, "$H attribute --json --quiet --index i.sqlite --attribute "
                                 "Smiling,Long_Hair --given none --given all -o m.safetensors");
    assert_int_equal(json_array_size(json_object_get(report, "directions")), 4);
    const json_t *last = json_array_get(json_object_get(report, "directions"), 3);
    assert_string_equal(json_string_value(json_object_get(last, "direction")), "Long_Hair@all");
    assert_int_equal(json_array_size(json_object_get(last, "given")), 17);
    json_decref(report);
    refuse(folder, "$H attribute --index i.sqlite --attribute Smiling,Hat --curve 2 -o x", 2,
           "--curve: goes with one attribute");
    refuse(folder, "$H attribute --index i.sqlite --attribute Smiling --classifier x -o x", 2,
           "measures the effect of a --curve");
    refuse(folder, "$H attribute --index i.sqlite --attribute Smiling --given Smiling -o x", 1,
           "no attribute beside 'Smiling'");
    refuse(folder, "$H attribute --index i.sqlite --attribute Frown -o x", 1,
           "no attribute 'Frown'");
    refuse(folder, "$H attribute --quiet --index i.sqlite --attribute Smiling --top 13 -o x", 1,
           "give at most 12");
    refuse(folder, "$H attribute --quiet --steps 4 --index i.sqlite --attribute Smiling -o x", 1,
           "3 steps, not 4");
    refuse(folder, "$H attribute --attribute Smiling -o x", 2, "either --index FILE");
    refuse(folder, "$H attribute --index i.sqlite -o x", 2, "--attribute NAME");
    refuse(folder, "$H disentangle s.safetensors --from s.safetensors -o x", 1, "nothing of it");
    refuse(folder, "$H disentangle s.safetensors -o x", 2, "--from");
}

static void test_labels(void **state) {
    const char *folder = *state;
    write_text(folder, "l.csv",
               "\xef\xbb\xbf"
               "file,Nice\r\n1,1\r\n2,0\r\n\"faces/003_seed_3.png\",1\r\n4,no\r\n5,0\r\n");
    json_t *report =
        run_list(folder, "$H annotate --json --quiet --steps 3 --labels l.csv -o n.sqlite");
    assert_int_equal(member(report, "added"), 4);
    assert_int_equal(member(report, "left_out"), 1);
    json_decref(report);
}

/* Photos and a CSV, no classifier: images of which some cannot be used. */
static void test_images(void **state) {
    const char *folder = *state;
    write_text(folder, "faces/broken.png", "not a picture");
    write_text(folder, "p.csv",
               "file,Nice\n000_seed_0.png,1\n001_seed_1.png,1\n002_seed_2.png,0\n"
               "003_seed_3.png,0\nbroken.png,1\nabsent.png,0\n004_seed_4.png,x\n");
    hs_run run = hs_run_shell(folder, "$H attribute --quiet --steps 3 --images faces --labels "
                                      "p.csv --attribute Nice -o p.safetensors");
    assert_int_equal(run.status, 0);
    assert_non_null(strstr(run.out, "2 samples against 2"));
    assert_non_null(strstr(run.out, "3 rows left out"));
    assert_non_null(strstr(run.err, "broken.png"));
    assert_non_null(strstr(run.err, "absent.png"));
    assert_non_null(strstr(run.err, "line 8 left out"));
    hs_run_free(&run);
    write_text(folder, "pairs.csv",
               "with,without\n000_seed_0.png,002_seed_2.png\n"
               "001_seed_1.png,003_seed_3.png\n");
    hs_run_ok(folder, "$H attribute --quiet --steps 3 --images faces --labels pairs.csv --pairs "
                      "--attribute Nice -o q.safetensors");
    hs_error err;
    hs_directions *all = NULL, *paired = NULL;
    hs_directions_view a, b;
    char path[500];
    snprintf(path, sizeof path, "%s/p.safetensors", folder);
    assert_ok(hs_directions_load(path, &all, &err));
    snprintf(path, sizeof path, "%s/q.safetensors", folder);
    assert_ok(hs_directions_load(path, &paired, &err));
    hs_directions_view_get(all, &a);
    hs_directions_view_get(paired, &b);
    assert_true(hs_test_relative_error(a.delta_h, b.delta_h, 3 * 128 * 8 * 8) < 1e-6);
    hs_directions_free(paired);
    hs_directions_free(all);
    write_text(folder, "one.csv", "file,Nice\n000_seed_0.png,1\n001_seed_1.png,1\n");
    refuse(folder,
           "$H attribute --quiet --steps 3 --images faces --labels one.csv --attribute "
           "Nice -o x",
           1, "no two sides");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_annotate),
        cmocka_unit_test(test_attribute),
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_images),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
