/* The index: what goes in comes out, claims between processes, damaged files,
 * and processes that are killed. */
#include "support.h"

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "store/index.h"

static const double eta[] = {1};
static const hs_index_recipe recipe = {.model = "0123456789abcdef0123456789abcdef",
                                       .name = "tiny",
                                       .steps = 4,
                                       .eta = eta,
                                       .eta_count = 1,
                                       .z_seed = HS_Z_CONTINUE,
                                       .h_space = "after"};
static const char *const names[] = {"Smiling", "Hat"};

static int make_folder(void **state) {
    *state = hs_test_make_folder();
    return 0;
}

static int remove_folder(void **state) {
    hs_test_remove_folder(*state);
    free(*state);
    return 0;
}

static const char *path_in(void **state, const char *name) {
    static char path[500];
    snprintf(path, sizeof path, "%s/%s", (char *)*state, name);
    return path;
}

static hs_index *open_index(const char *path, int64_t *source) {
    hs_error err;
    hs_index *index = NULL;
    assert_ok(hs_index_open(path, true, &index, &err));
    assert_ok(hs_index_bind(index, &recipe, &err));
    assert_ok(hs_index_source(index, "classifier", "c", "f00d", names, 2, source, &err));
    return index;
}

static double score(int64_t seed, int a) {
    return a ? 1.0 / (double)(seed + 1) : (double)seed;
}

/* Score all seeds first ... first + n - 1 that can be had, in batches. */
static int work(hs_index *index, int64_t source, int64_t first, int64_t n, int batch,
                int microseconds) {
    hs_error err;
    int64_t seeds[64], busy;
    double values[128];
    for (int total = 0, count;; total += count) {
        assert_ok(hs_index_claim(index, source, first, n, batch, seeds, &count, &busy, &err));
        if (!count)
            return total;
        if (microseconds)
            usleep((useconds_t)microseconds);
        for (int i = 0; i < count; i++)
            for (int a = 0; a < 2; a++)
                values[2 * i + a] = score(seeds[i], a);
        assert_ok(hs_index_add(index, source, count, seeds, names, 2, values, &err));
    }
}

/* Seeds first ... first + n - 1 are there, once, with their scores. */
static void check(hs_index *index, int64_t first, int64_t n) {
    hs_error err;
    hs_labels *labels = NULL;
    hs_labels_view view;
    assert_ok(hs_index_scores(index, names, 2, NULL, &labels, &err));
    hs_labels_view_get(labels, &view);
    assert_int_equal(view.rows, n);
    for (int i = 0; i < view.rows; i++) {
        assert_int_equal(view.seeds[i], first + i);
        assert_true(view.values[2 * i] == score(first + i, 0));
        assert_true(view.values[2 * i + 1] == score(first + i, 1));
    }
    hs_labels_free(labels);
}

static void test_round_trip(void **state) {
    hs_error err;
    int64_t source, again, samples;
    const char *path = path_in(state, "a.sqlite");
    hs_index *index = open_index(path, &source);
    assert_int_equal(work(index, source, 5, 20, 7, 0), 20);
    hs_index_free(index);
    index = open_index(path, &again);
    assert_int_equal(source, again);
    check(index, 5, 20);
    assert_int_equal(work(index, source, 0, 30, 7, 0), 10); /* 0-4 and 25-29 */
    check(index, 0, 30);
    assert_ok(hs_index_samples(index, &samples, &err));
    assert_int_equal(samples, 30);
    hs_index_attribute *list = NULL;
    int count;
    assert_ok(hs_index_summary(index, &list, &count, &err));
    assert_int_equal(count, 2);
    assert_string_equal(list[0].name, "Smiling");
    assert_string_equal(list[0].kind, "classifier");
    assert_int_equal(list[1].samples, 30);
    assert_true(list[0].mean == 14.5 && list[0].min == 0 && list[0].max == 29);
    free(list);
    hs_index_recipe has;
    bool any;
    assert_ok(hs_index_recipe_get(index, &has, &any, &err));
    assert_true(any && has.steps == 4 && has.eta_count == 1 && has.eta[0] == 1);
    assert_string_equal(has.model, recipe.model);
    hs_index_free(index);
}

static void test_other_recipe(void **state) {
    hs_error err;
    int64_t source;
    const double half[] = {0.5}, list[] = {1, 1, 1, 1};
    hs_index *index = open_index(path_in(state, "b.sqlite"), &source);
    hs_index_recipe other = recipe;
    other.eta = list; /* the same, said otherwise */
    other.eta_count = 4;
    assert_ok(hs_index_bind(index, &other, &err));
    other.eta = half;
    other.eta_count = 1;
    assert_int_equal(hs_index_bind(index, &other, &err), HS_ERROR_MISMATCH);
    assert_non_null(strstr(err.message, "eta [1.0], not [0.5]"));
    other = recipe;
    other.steps = 5;
    assert_int_equal(hs_index_bind(index, &other, &err), HS_ERROR_MISMATCH);
    other = recipe;
    other.model = "f123456789abcdef0123456789abcdef";
    assert_int_equal(hs_index_bind(index, &other, &err), HS_ERROR_MISMATCH);
    assert_non_null(strstr(err.message, "another model"));
    hs_index_free(index);
}

/* Two at once in one process: what one has claimed the other does not get. */
static void test_claims(void **state) {
    hs_error err;
    int64_t source, a[8], b[8], busy;
    int count;
    hs_index *index = open_index(path_in(state, "c.sqlite"), &source);
    hs_index *other = open_index(path_in(state, "c.sqlite"), &source);
    assert_ok(hs_index_claim(index, source, 0, 10, 6, a, &count, &busy, &err));
    assert_int_equal(count, 6);
    assert_ok(hs_index_claim(other, source, 0, 10, 8, b, &count, &busy, &err));
    assert_int_equal(count, 4);
    assert_int_equal(busy, 6);
    assert_int_equal(b[0], 6);
    assert_ok(hs_index_claim(other, source, 0, 10, 8, b, &count, &busy, &err));
    assert_int_equal(count, 0);
    assert_int_equal(busy, 10);
    assert_ok(hs_index_release(index, &err));
    assert_int_equal(work(other, source, 0, 10, 3, 0), 10);
    hs_index_free(other);
    hs_index_free(index);
}

/* Owners: this process lives; one whose pid or start is another's does not. */
static void test_owners(void **state) {
    char self[200], other[260], host[80], boot[60];
    long pid;
    unsigned long long start;
    hs_index_owner(self);
    assert_int_equal(sscanf(self, "%79s %59s %ld %llu", host, boot, &pid, &start), 4);
    assert_true(hs_index_owner_alive(self, self));
    snprintf(other, sizeof other, "%s %s %ld %llu", host, boot, pid, start + 1);
    assert_false(hs_index_owner_alive(other, self));
    snprintf(other, sizeof other, "%s another-boot %ld %llu", host, pid, start);
    assert_false(hs_index_owner_alive(other, self));
    assert_true(hs_index_owner_alive("elsewhere boot 1 1", self));
    assert_false(hs_index_owner_alive("nonsense", self));
}

static pid_t start_worker(const char *path, int64_t n, int microseconds) {
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid)
        return pid;
    int64_t source;
    hs_index *index = open_index(path, &source);
    work(index, source, 0, n, 5, microseconds);
    hs_index_free(index);
    _exit(0);
}

/* Killed at many points: the file opens, holds whole batches, and a second run
 * completes it. */
static void test_killed(void **state) {
    for (int i = 0; i < 12; i++) {
        char name[40];
        hs_error err;
        int64_t source, samples;
        snprintf(name, sizeof name, "killed%d.sqlite", i);
        const char *path = path_in(state, name);
        pid_t pid = start_worker(path, 200, 1000);
        usleep((useconds_t)(500 + i * i * 400));
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        hs_index *index = open_index(path, &source);
        assert_ok(hs_index_samples(index, &samples, &err));
        assert_int_equal(samples % 5, 0);
        work(index, source, 0, 200, 5, 0);
        check(index, 0, 200);
        hs_index_free(index);
    }
}

/* Three processes at once do every seed, and none twice. */
static void test_together(void **state) {
    int64_t source;
    const char *path = path_in(state, "together.sqlite");
    pid_t pids[3];
    for (int i = 0; i < 3; i++)
        pids[i] = start_worker(path, 100, 200);
    for (int i = 0; i < 3; i++) {
        int status;
        waitpid(pids[i], &status, 0);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    hs_index *index = open_index(path, &source);
    assert_int_equal(work(index, source, 0, 100, 5, 0), 0);
    check(index, 0, 100);
    hs_index_free(index);
}

static void test_import(void **state) {
    hs_error err;
    hs_labels *labels = NULL, *out = NULL;
    hs_index *index = NULL;
    int added;
    const char *const attribute[] = {"Smiling"};
    char csv[600];
    snprintf(csv, sizeof csv, "%s/l.csv", (char *)*state);
    FILE *file = fopen(csv, "w");
    fputs("file,Smiling,Hat\n3,1,\nx.png,1,1\na/1_seed_9.png,0,0.5\n", file);
    fclose(file);
    assert_ok(hs_labels_load(csv, false, NULL, &labels, &err));
    assert_ok(hs_index_open(path_in(state, "d.sqlite"), true, &index, &err));
    for (int round = 0; round < 2; round++) { /* twice the same is one source */
        assert_ok(hs_index_import(index, "l.csv", labels, NULL, &added, &err));
        assert_int_equal(added, 2);
    }
    assert_ok(hs_index_scores(index, names, 2, NULL, &out, &err));
    hs_labels_view view;
    hs_labels_view_get(out, &view);
    assert_int_equal(view.rows, 2);
    assert_int_equal(view.seeds[1], 9);
    assert_true(view.values[0] == 1 && isnan(view.values[1]) && view.values[3] == 0.5);
    hs_labels_free(out);
    /* A second source of the same name has to be chosen between. */
    int64_t source;
    assert_ok(hs_index_source(index, "classifier", "c", "f00d", names, 2, &source, &err));
    assert_int_equal(hs_index_scores(index, attribute, 1, NULL, &out, &err), HS_ERROR_ARGUMENT);
    assert_non_null(strstr(err.message, "scored by 2 sources (c, l.csv)"));
    assert_ok(hs_index_scores(index, attribute, 1, "l.csv", &out, &err));
    hs_labels_free(out);
    const char *const absent[] = {"Beard"};
    assert_int_equal(hs_index_scores(index, absent, 1, NULL, &out, &err), HS_ERROR_ARGUMENT);
    assert_non_null(strstr(err.message, "no attribute 'Beard'"));
    hs_labels_free(labels);
    hs_index_free(index);
}

static void refuse(const char *path, bool create, hs_status expected, const char *why) {
    hs_error err;
    hs_index *index = NULL;
    assert_int_equal(hs_index_open(path, create, &index, &err), expected);
    assert_null(index);
    if (!strstr(err.message, why) || strchr(err.message, '\n'))
        fail_msg("'%s' does not say '%s' in one line", err.message, why);
}

static void write_file(const char *path, const char *bytes, size_t size) {
    FILE *file = fopen(path, "wb");
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

static void test_foreign(void **state) {
    const char *path = path_in(state, "foreign");
    hs_error err;
    refuse(path, false, HS_ERROR_IO, "there is no index");
    char text[4096];
    memset(text, 'x', sizeof text);
    write_file(path, text, sizeof text);
    refuse(path, true, HS_ERROR_FORMAT, "not an index, or a damaged one");
    unlink(path);
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_exec(db, "CREATE TABLE t (x)", NULL, NULL, NULL);
    sqlite3_close(db);
    refuse(path, true, HS_ERROR_FORMAT, "but not an index of hspace");
    unlink(path);
    int64_t source;
    hs_index_free(open_index(path, &source));
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_exec(db, "PRAGMA user_version = 2", NULL, NULL, NULL);
    sqlite3_close(db);
    refuse(path, false, HS_ERROR_UNSUPPORTED, "version 2, expected 1");
    /* Pages overwritten: every use fails in one line, none crashes. */
    const char *damaged = path_in(state, "damaged.sqlite");
    hs_index *index = open_index(damaged, &source);
    work(index, source, 0, 200, 50, 0);
    hs_index_free(index);
    int fd = open(damaged, O_WRONLY);
    for (int page = 1; page < 12; page++)
        assert_true(pwrite(fd, text, 2048, page * 4096) == 2048);
    close(fd);
    hs_status status = hs_index_open(damaged, false, &index, &err);
    hs_labels *labels = NULL;
    if (status == HS_OK) {
        status = hs_index_scores(index, names, 2, NULL, &labels, &err);
        hs_index_free(index);
    }
    assert_int_equal(status, HS_ERROR_FORMAT);
    assert_non_null(strstr(err.message, "damaged"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_other_recipe),
        cmocka_unit_test(test_claims),     cmocka_unit_test(test_owners),
        cmocka_unit_test(test_killed),     cmocka_unit_test(test_together),
        cmocka_unit_test(test_import),     cmocka_unit_test(test_foreign),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
