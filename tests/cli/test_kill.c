/*
 * kill -9 at any moment. Each command is started again and again with the same
 * arguments, and killed at a later call that changes a file each time
 * (kill_shim.c), until a start comes through. After every kill all files open;
 * in the end they are those of a run that was never killed, bit for bit.
 */
#include "support.h"

#include <dirent.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/tensor_set.h"
#include "program.h"

#define KILLED (128 + SIGKILL)

/* ------------------------------------------------------------------- files -- */

/* Start the program in the background; `at` 0: it is not killed. */
static pid_t start(const char *folder, const char *arguments, int at) {
    char command[1000];
    /* A shell's exec keeps the process: what is killed is the program. ASan wants
     * to come first, and works where it does not. */
    snprintf(command, sizeof command,
             "cd '%s' && exec env LD_PRELOAD='%s' HS_KILL_AT=%d HS_CLOCK=20000 "
             "HSPACE_MODEL=avatars32 "
             "ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0 '%s' %s >.out 2>.err",
             folder, HS_KILL_SHIM, at, HS_PROGRAM, arguments);
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    assert_true(pid > 0);
    return pid;
}

static int finish(pid_t pid) {
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int run(const char *folder, const char *arguments, int at) {
    return finish(start(folder, arguments, at));
}

static void check_index(const char *path) {
    hs_error err;
    hs_index *index = NULL;
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    int64_t samples;
    assert_ok(hs_index_open(path, false, &index, &err));
    assert_ok(hs_index_samples(index, &samples, &err));
    hs_index_free(index);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &statement, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(statement, 0), "ok");
    sqlite3_finalize(statement);
    sqlite3_close(db);
}

static bool ends(const char *name, const char *end) {
    size_t a = strlen(name), b = strlen(end);
    return a >= b && !strcmp(name + a - b, end);
}

/* Every file that has a name of its own opens; temporary ones are hidden. */
static void check_files(const char *folder) {
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        char path[1000];
        hs_error err;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (ends(entry->d_name, ".sqlite"))
            check_index(path);
        else if (ends(entry->d_name, ".safetensors") || ends(entry->d_name, ".resume")) {
            hs_tensor_set *set = NULL;
            assert_ok(hs_safetensors_open(path, &set, &err));
            hs_tensor_set_free(set);
        } else if (*entry->d_name != '.' && !ends(entry->d_name, "-wal") &&
                   !ends(entry->d_name, "-shm") && !ends(entry->d_name, ".csv") &&
                   strcmp(entry->d_name, "faces") != 0)
            fail_msg("what is %s?", entry->d_name);
    }
    closedir(dir);
}

static void same_bytes(const char *folder, const char *a, const char *b) {
    size_t a_size, b_size;
    char *x = hs_read_all(folder, a, &a_size), *y = hs_read_all(folder, b, &b_size);
    if (a_size != b_size || memcmp(x, y, a_size) != 0)
        fail_msg("%s and %s differ", a, b);
    free(y);
    free(x);
}

/* ------------------------------------------------------------------- kills -- */

/*
 * Start `arguments` until it comes through, killed at the calls `first`, first +
 * `step`, ... of each start. Returns the starts; *resumed: how many said that they
 * go on from a resume point.
 */
static int kill_along(const char *folder, const char *arguments, int first, int step,
                      int *resumed) {
    *resumed = 0;
    for (int starts = 1; starts < 100; starts++) {
        int status = run(folder, arguments, first + (starts - 1) * step);
        char *said = hs_read_all(folder, ".err", NULL);
        *resumed += strstr(said, ".resume: go") != NULL; /* "goes on", "going on" */
        check_files(folder);
        if (status != 0 && status != KILLED)
            fail_msg("%s: start %d: status %d: %s", arguments, starts, status, said);
        free(said);
        if (status == 0)
            return starts;
    }
    fail_msg("%s: does not come through", arguments);
    return 0;
}

static int make_folder(void **state) {
    char *folder = hs_test_make_folder();
    hs_run_ok(folder, "$H sample --quiet --steps 2 --seed 0-33 -o faces/");
    *state = folder;
    return 0;
}

static int remove_folder(void **state) {
    hs_test_remove_folder(*state);
    free(*state);
    return 0;
}

/* What `work` makes while it is killed again and again is what it makes in one
 * go, and its resume point is gone then. */
static void killed_and_whole(const char *folder, const char *work, const char *output, int first,
                             int step, int least_starts, int least_resumed) {
    char arguments[300], other[40];
    int resumed;
    snprintf(arguments, sizeof arguments, "%s -o %s", work, output);
    int starts = kill_along(folder, arguments, first, step, &resumed);
    print_message("%s: %d starts, %d resumed\n", output, starts, resumed);
    assert_true(starts >= least_starts && resumed >= least_resumed);
    snprintf(other, sizeof other, "%s.resume", output);
    assert_false(hs_exists(folder, other));
    snprintf(other, sizeof other, "whole-%s", output);
    snprintf(arguments, sizeof arguments, "%s -o %s", work, other);
    assert_int_equal(run(folder, arguments, 0), 0);
    same_bytes(folder, output, other);
}

static void test_pca(void **state) {
    killed_and_whole(*state, "pca --quiet --threads 1 --steps 3 -n 40 -k 3", "pca.safetensors", 4,
                     10, 5, 2);
}

static void test_invert(void **state) {
    killed_and_whole(*state, "invert --quiet --threads 1 --steps 2 faces", "latents.safetensors", 3,
                     4, 5, 2);
}

/* Of the direction that test_pca left. */
static void test_evaluate(void **state) {
    killed_and_whole(*state,
                     "evaluate --quiet --threads 1 --steps 2 -n 12 --sets 3 --attributes "
                     "Smiling,Hat --targets Hat -d pca.safetensors#0",
                     "effect.csv", 3, 4, 4, 1);
}

/* ------------------------------------------------------------------- index -- */

/* The scores of all samples, as one text. */
static char *scores(const char *folder, const char *name) {
    static const char sql[] = "SELECT group_concat(line, x'0a') FROM (SELECT a.name || ' ' || "
                              "v.seed || ' ' || printf('%.17g', v.value) AS line FROM score v JOIN "
                              "attribute a ON a.id = v.attribute ORDER BY a.name, v.seed)";
    char path[500];
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    char *text = strdup((const char *)sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return text;
}

static void same_scores(const char *folder, const char *a, const char *b) {
    char *x = scores(folder, a), *y = scores(folder, b);
    assert_non_null(strstr(x, "Smiling 39 "));
    if (strcmp(x, y) != 0)
        fail_msg("%s and %s have other scores", a, b);
    free(y);
    free(x);
}

static const char annotate[] = "annotate --quiet --threads 1 --steps 1 -n 40 -o ";

static void test_annotate(void **state) {
    const char *folder = *state;
    char arguments[200];
    int resumed;
    snprintf(arguments, sizeof arguments, "%skilled.sqlite", annotate);
    int starts = kill_along(folder, arguments, 3, 7, &resumed);
    print_message("annotate: %d starts\n", starts);
    assert_true(starts > 4);
    snprintf(arguments, sizeof arguments, "%swhole.sqlite", annotate);
    assert_int_equal(run(folder, arguments, 0), 0);
    same_scores(folder, "killed.sqlite", "whole.sqlite");
}

/* Two processes add to one new index, and one of them is killed: what it had
 * claimed is done by the other, or by the next. */
static void test_annotate_together(void **state) {
    const char *folder = *state;
    char arguments[200];
    for (int at = 0; at <= 90; at += 45) {
        snprintf(arguments, sizeof arguments, "%stwo%d.sqlite", annotate, at);
        pid_t one = start(folder, arguments, 0), other = start(folder, arguments, at);
        int status = finish(other);
        assert_true(status == 0 || (at && status == KILLED));
        assert_int_equal(finish(one), 0);
        check_files(folder);
        assert_int_equal(run(folder, arguments, 0), 0);
        snprintf(arguments, sizeof arguments, "two%d.sqlite", at);
        same_scores(folder, arguments, "whole.sqlite");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pca),
        cmocka_unit_test(test_invert),
        cmocka_unit_test(test_evaluate),
        cmocka_unit_test(test_annotate),
        cmocka_unit_test(test_annotate_together),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
