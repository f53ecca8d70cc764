/*
 * Labels as people make them, through the program: what is wrong is said in one
 * clear line, rows and images that cannot be used are named and counted, and the
 * good ones do their work. Also the classifiers that annotate takes.
 */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "program.h"

#define CLASSIFIERS "golden/classifiers/"

static void write_bytes(const char *folder, const char *name, const char *text, size_t size) {
    char path[500];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_true(file && fwrite(text, 1, size, file) == size && fclose(file) == 0);
}

/* Six samples, and what is no image: one cut short, an empty one, a text. */
static int make_folder(void **state) {
    char *folder = hs_test_make_folder();
    size_t size;
    hs_run_ok(folder, "$H sample --quiet --steps 2 --seed 0-5 -o im/");
    hs_run_ok(folder, "$H sample --quiet --steps 2 --seed 6 -o im/good.jpg");
    for (int i = 0; i < 2; i++) {
        char *whole = hs_read_all(folder, i ? "im/good.jpg" : "im/000_seed_0.png", &size);
        write_bytes(folder, i ? "im/half.jpg" : "im/half.png", whole, size / 2);
        free(whole);
    }
    write_bytes(folder, "im/empty.png", "", 0);
    write_bytes(folder, "im/text.webp", "hello", 5);
    *state = folder;
    return 0;
}

static int remove_folder(void **state) {
    hs_test_remove_folder(*state);
    free(*state);
    return 0;
}

#define A0 "000_seed_0.png"
#define A1 "001_seed_1.png"
#define A2 "002_seed_2.png"
#define A3 "003_seed_3.png"

/* ---------------------------------------------------------------- refused -- */

typedef struct hs_case {
    const char *csv, *options; /* options: --attribute A if NULL */
    const char *says;
} hs_case;

static const hs_case refused[] = {
    {"", NULL, "l.csv: the file is empty"},
    {"file,A\n", NULL, "l.csv: there is no row below its header"},
    {"file\n" A0 "\n", NULL, "l.csv: line 1: expected a header such as file,Smiling,Beard"},
    {A0 ",1\n" A1 ",0\n", NULL, "expected a header with the attributes' names, found the number 1"},
    {"file,A,A\n" A0 ",1,0\n", NULL, "attribute \"A\" stands there twice"},
    {"file,B,C\n" A0 ",1,0\n", NULL, "l.csv: there is no column 'A' in it, but B, C"},
    {"file,A\n" A0 ",1\n" A1 ",0\n", "--attribute A --given B", "no column 'B' in it, but A"},
    {"file,A\n" A0 ",1\n" A1 ",0\n", "--attribute A --balance B", "no column 'B' in it, but A"},
    {"file,A\n" A0 ",1\n" A1 ",0\n", "--attribute A --given all", "no attribute beside 'A'"},
    {"file,A\n" A0 ",1\n" A1 ",1\n", NULL, "have the same score, 1: there are no two sides"},
    {"file,A\n" A0 ",\n" A1 ",\n", NULL, "l.csv: attribute 'A': no image that can be used has a"},
    {"file,A\n" A0 ",1\n" A1 ",0\n", "--attribute A --top 2", "2 a side, but 2 samples with"},
    {"file,A\n" A0 ",1\n" A1 ",0\n", "--attribute A --threshold 0.5,3",
     "1 samples score 0.5 or less, 0 score 3 or more"},
    {"file,A,B\n" A0 ",1,0\n", "--attribute A --pairs", "expected two columns of file names"},
};

/* A failure says so in its last line; notes about rows may stand above it. */
static void expect_failure(const char *folder, const char *command, const char *says) {
    hs_run run = hs_run_shell(folder, command);
    char *last = run.err;
    for (char *line = strchr(last, '\n'); line && line[1]; line = strchr(line + 1, '\n'))
        last = line + 1;
    if (run.status != 1 || strncmp(last, "hspace: ", 8) != 0 || !strstr(last, says))
        fail_msg("%s: status %d; \"%s\" is not in: %s", command, run.status, says, run.err);
    assert_string_equal(run.out, "");
    hs_run_free(&run);
}

static void test_refused(void **state) {
    const char *folder = *state;
    char command[500];
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        const hs_case *c = &refused[i];
        write_bytes(folder, "l.csv", c->csv, strlen(c->csv));
        snprintf(command, sizeof command,
                 "$H attribute --quiet --steps 2 --images im --labels l.csv %s -o x",
                 c->options ? c->options : "--attribute A");
        expect_failure(folder, command, c->says);
    }
    write_bytes(folder, "l.csv", "f\0i\0l\0e\0,\0A\0\n\0", 14);
    expect_failure(folder, "$H attribute --images im --labels l.csv --attribute A -o x", "UTF-16");
    write_bytes(folder, "l.csv", "file,A\nno.png,1\n", 16);
    expect_failure(folder, "$H attribute --images im --labels l.csv --attribute A -o x",
                   "im: none of the labelled images can be used");
    expect_failure(folder, "$H attribute --images none --labels l.csv --attribute A -o x",
                   "none: cannot read the folder");
    expect_failure(folder, "$H attribute --images im --labels none --attribute A -o x",
                   "none: cannot open");
    assert_false(hs_exists(folder, "x"));
}

/* ----------------------------------------------------------- what is kept -- */

/* rows: of two good images on each side; left out: how many others. */
static const struct {
    const char *name, *csv, *options;
    int left_out;
    const char *note; /* one of the notes, or NULL: there is none */
} kept[] = {
    {"plain", "file,A\n" A0 ",1\n" A1 ",1\n" A2 ",0\n" A3 ",0\n", "", 0, NULL},
    {"CRLF, BOM and quotes",
     "\xef\xbb\xbf\"file\",\"A\"\r\n\"" A0 "\",\"1\"\r\n" A1 ",1\r\n" A2 ", 0\r\n\"" A3 "\",0", "",
     0, NULL},
    {"lines that end in CR", "file,A\r" A0 ",1\r" A1 ",1\r" A2 ",0\r" A3 ",0\r", "", 0, NULL},
    {"semicolons, another column",
     "file;B;A\n" A0 ";x y;1\n" A0 ";3;1\n" A1 ";;1\n" A2 ";;0\n" A3 ";;0\n", "", 1,
     "line 2 left out: B: expected a number, found \"x y\""},
    {"CelebA's table", "4\nA B\n" A0 "  1 -1\n" A1 "  1  1\n" A2 " -1  1\n" A3 " -1  1\n", "", 0,
     NULL},
    {"text, NaN and infinity",
     "file,A\n" A0 ",1\n" A1 ",1\n" A2 ",0\n" A3 ",0\n004_seed_4.png,yes\n005_seed_5.png,nan\n"
     "good.jpg,inf\n",
     "", 3, "line 6 left out: A: expected a number, found \"yes\""},
    {"columns that are missing",
     "file,A,B\n" A0 ",1,1\n" A1 ",1,0\n004_seed_4.png,1\n" A2 ",0,1\n" A3 ",0,0\n", "", 1,
     "line 4 left out: expected 3 columns, found 2"},
    {"duplicates", "file,A\n" A0 ",1\n" A1 ",1\n" A2 ",0\n" A0 ",0\n" A3 ",0\n", "", 1,
     "line 5 left out: \"" A0 "\" stands on line 2 already"},
    {"a quote that is open", "file,A\n" A0 ",1\n" A1 ",1\n\"004_seed_4.png,1\n" A2 ",0\n" A3 ",0\n",
     "", 1, "line 4 left out: a quote is not closed"},
    {"files that are not there, or no images",
     "file,A\n" A0 ",1\n" A1
     ",1\nhalf.png,1\nhalf.jpg,1\nempty.png,0\ntext.webp,0\nno.png,1\n.,0\n" A2 ",0\n" A3 ",0\n",
     "", 6, "left out: im/half.jpg: damaged image"},
    {"levels", "file,A\n" A0 ",5\n" A1 ",4\n004_seed_4.png,2\n" A2 ",0\n" A3 ",1\n",
     "--threshold 1,4", 0, NULL},
};

static void test_kept(void **state) {
    const char *folder = *state;
    size_t first_size;
    char *first = NULL;
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        char command[500];
        write_bytes(folder, "k.csv", kept[i].csv, strlen(kept[i].csv));
        snprintf(command, sizeof command,
                 "$H attribute --json --quiet --threads 1 --steps 2 --images im --labels k.csv "
                 "--attribute A %s -o k.safetensors",
                 kept[i].options);
        hs_run run = hs_run_shell(folder, command);
        json_t *report = json_loads(run.out, 0, NULL);
        if (run.status != 0 || !report)
            fail_msg("%s: status %d: %s", kept[i].name, run.status, run.err);
        if (kept[i].note ? !strstr(run.err, kept[i].note) : *run.err)
            fail_msg("%s: stderr is: %s", kept[i].name, run.err);
        assert_int_equal(json_integer_value(json_object_get(report, "high")), 2);
        assert_int_equal(json_integer_value(json_object_get(report, "low")), 2);
        assert_int_equal(json_integer_value(json_object_get(report, "left_out")), kept[i].left_out);
        json_decref(report);
        hs_run_free(&run);
        /* The same four images, so the same direction: the tensors lie at the end. */
        size_t size, tensor = 2 * 128 * 8 * 8 * sizeof(float);
        char *bytes = hs_read_all(folder, "k.safetensors", &size);
        if (!first) {
            first = bytes;
            first_size = size;
            continue;
        }
        assert_true(size > tensor && first_size > tensor);
        if (memmem(bytes, size, first + first_size - tensor, 64) == NULL)
            fail_msg("%s: another direction", kept[i].name);
        free(bytes);
    }
    free(first);
}

static void test_crop(void **state) {
    const char *folder = *state;
    static const char csv[] = "file,A\n" A0 ",1\n" A1 ",0\n";
    write_bytes(folder, "c.csv", csv, sizeof csv - 1);
    hs_run_ok(folder, "$H attribute --quiet --steps 2 --images im --labels c.csv --attribute A "
                      "--crop 4,4,20,20 -o c.safetensors");
    expect_failure(folder,
                   "$H attribute --quiet --images im --labels c.csv --attribute A --crop "
                   "20,20,20,20 -o x",
                   "none of the labelled images can be used");
}

/* Scores by seed, from a CSV and from a table; the rows that name none. */
static void test_import(void **state) {
    const char *folder = *state;
    static const char table[] = "5\nNice Tall\n000_seed_4.png 1 -1\n001_seed_5.png -1 1\n"
                                "photo.png 1 1\n9 1 1\n10 x 1\n";
    write_bytes(folder, "table.txt", table, sizeof table - 1);
    hs_run run = hs_run_shell(folder, "$H annotate --json --quiet --steps 2 --labels table.txt "
                                      "-o t.sqlite");
    json_t *report = json_loads(run.out, 0, NULL);
    assert_non_null(report);
    assert_int_equal(json_integer_value(json_object_get(report, "added")), 3);
    assert_int_equal(json_integer_value(json_object_get(report, "left_out")), 2);
    assert_non_null(strstr(run.err, "\"photo.png\" names no seed"));
    assert_non_null(strstr(run.err, "line 7 left out: Nice: expected a number, found \"x\""));
    json_decref(report);
    hs_run_free(&run);
    hs_run_ok(folder, "$H attribute --quiet --threads 1 --index t.sqlite --attribute Tall --top 1 "
                      "-o t.safetensors");
    run = hs_run_shell(folder, "$H annotate --list t.sqlite");
    assert_non_null(strstr(run.out, "3 samples, mean   0.3333, -1 to 1, by table.txt"));
    assert_non_null(strstr(run.out, ", 2 steps, eta 1\n"));
    hs_run_free(&run);
    write_bytes(folder, "none.csv", "file,A\nphoto.png,1\n", 19);
    expect_failure(folder, "$H annotate --quiet --steps 2 --labels none.csv -o n.sqlite",
                   "none of its 1 rows names a seed");
}

/* ------------------------------------------------------------ classifiers -- */

#define SPEC " --preprocess size=32,mean=0.5,std=0.5"

/* By what annotate says of one sample: how outputs become scores, how many. */
static const struct {
    const char *arguments, *scores, *attribute;
    int attributes;
} classifiers[] = {
    {"basic", "sigmoid", "Long hair", 5},
    {"bottleneck", "softmax", "g", 7},
    {"bottleneck --scores regression", "regression", "g", 7},
    {"bottleneck_3x3", "softmax", "yes", 2},
    {"pairs.pth --class-names $C/two_a_label.txt" SPEC, "pairs", "Beard", 4},
    {"resnet18.pth --class-names $C/five.txt" SPEC, "softmax", "ant", 5},
    {"resnet18.pth --class-names $C/five.txt --scores sigmoid" SPEC, "sigmoid", "cat", 5},
    {"heads.safetensors --class-names $C/two_a_label.txt" SPEC, "pairs", "Glasses", 4},
    {"hopenet.safetensors" SPEC, "pose", "pitch", 3},
};

static const struct {
    const char *arguments, *says;
} unfit[] = {
    {"gray", "a classifier of images with 1 channels, those of"},
    {"resnet18.pth" SPEC, "a state dict has no labels"},
    {"resnet18.pth --class-names $C/five.txt", "preprocess"},
    {"resnet18.pth --class-names $C/two_a_label.txt" SPEC, "4 labels for 5 outputs"},
    {"hopenet.safetensors --preprocess size=0,mean=0,std=1", "preprocess: size=0"},
    {"five.txt", "five.txt: expected"},
    {"absent", "absent: no such folder"},
};

static void test_classifiers(void **state) {
    const char *folder = *state;
    char command[700], here[400];
    assert_non_null(getcwd(here, sizeof here));
    for (size_t i = 0; i < sizeof classifiers / sizeof *classifiers; i++) {
        snprintf(command, sizeof command,
                 "env C='%s/" CLASSIFIERS "' sh -c '\"$1\" annotate --json --quiet --threads 1 "
                 "--steps 1 -n 1 -o c%zu.sqlite --classifier $C/%s' sh $H",
                 here, i, classifiers[i].arguments);
        hs_run run = hs_run_shell(folder, command);
        json_t *report = json_loads(run.out, 0, NULL);
        if (run.status != 0 || !report)
            fail_msg("%s: status %d: %s", classifiers[i].arguments, run.status, run.err);
        json_t *list = json_object_get(report, "attributes"), *one = NULL;
        assert_int_equal(json_array_size(list), classifiers[i].attributes);
        assert_string_equal(json_string_value(json_object_get(report, "scores")),
                            classifiers[i].scores);
        for (size_t a = 0; a < json_array_size(list); a++)
            if (!strcmp(json_string_value(json_object_get(json_array_get(list, a), "name")),
                        classifiers[i].attribute))
                one = json_array_get(list, a);
        assert_int_equal(json_integer_value(json_object_get(one, "samples")), 1);
        json_decref(report);
        hs_run_free(&run);
    }
    for (size_t i = 0; i < sizeof unfit / sizeof *unfit; i++) {
        snprintf(command, sizeof command,
                 "env C='%s/" CLASSIFIERS "' sh -c '\"$1\" annotate --quiet --steps 1 -n 1 -o "
                 "unfit.sqlite --classifier $C/%s' sh $H",
                 here, unfit[i].arguments);
        expect_failure(folder, command, unfit[i].says);
        assert_false(hs_exists(folder, "unfit.sqlite")); /* nothing is begun */
    }
}

/* Images of another size than the classifier's: one line says that they are resized. */
static void test_resized(void **state) {
    char here[400], command[700];
    assert_non_null(getcwd(here, sizeof here));
    snprintf(command, sizeof command,
             "$H annotate --quiet --threads 1 --steps 1 -n 1 -o size.sqlite --classifier "
             "%s/" CLASSIFIERS "hopenet.safetensors --preprocess size=48,mean=0.5,std=0.5",
             here);
    hs_run run = hs_run_shell(*state, command);
    assert_int_equal(run.status, 0);
    assert_non_null(strstr(run.err, "note: images of 32 x 32 are resized to 48 x 48 for "));
    assert_ptr_equal(strchr(run.err, '\n'), run.err + strlen(run.err) - 1);
    hs_run_free(&run);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),     cmocka_unit_test(test_kept),
        cmocka_unit_test(test_crop),        cmocka_unit_test(test_import),
        cmocka_unit_test(test_classifiers), cmocka_unit_test(test_resized),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
