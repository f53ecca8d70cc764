/*
 * Resume points: a run that was stopped anywhere, any number of times, gives
 * the bits of one that was not; a file of another run, or a damaged one, is
 * refused and left alone.
 */
#include "directions/pca_run_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct stopper {
    int calls, stop_at; /* stop at this call, counted from 1; 0: never */
    double last;
    int notices;
} stopper;

static bool on_progress(void *ctx, const char *phase, double done, double total) {
    stopper *s = ctx;
    assert_string_equal(phase, "PCA");
    assert_true(done >= s->last && done <= total);
    s->last = done;
    return ++s->calls != s->stop_at;
}

static void on_notice(void *ctx, const char *text) {
    ((stopper *)ctx)->notices++;
}

static hs_status run(const hs_test_pca *pca, const hs_pca_options *options, stopper *s,
                     hs_directions **out, hs_error *err) {
    hs_monitor monitor = {.ctx = s, .progress = on_progress, .notice = on_notice};
    *out = NULL;
    return hs_pca(pca->sampler, options, &monitor, out, err);
}

/* The ways a run can go; small enough that stopping everywhere is quick. */
static const struct way {
    const char *name;
    bool joint, around;
    hs_align align;
    int incremental, batch;
    double eta;
    int64_t z_seed;
} ways[] = {
    {"steps", false, false, HS_ALIGN_INDEX, 0, 0, 1, HS_Z_CONTINUE},
    {"steps, score, z + 1", false, false, HS_ALIGN_SCORE, 0, 0, 1, HS_Z_PLUS_ONE},
    {"joint", true, false, HS_ALIGN_INDEX, 0, 0, 1, HS_Z_CONTINUE},
    {"around", false, true, HS_ALIGN_INDEX, 0, 0, 1, HS_Z_CONTINUE},
    {"joint, around, eta 0", true, true, HS_ALIGN_INDEX, 0, 0, 0, HS_Z_CONTINUE},
    {"incremental", false, false, HS_ALIGN_INDEX, 1, 8, 1, HS_Z_CONTINUE},
    {"incremental, score", false, true, HS_ALIGN_SCORE, 1, 8, 1, HS_Z_CONTINUE},
    {"incremental joint", true, false, HS_ALIGN_INDEX, 1, 8, 1, HS_Z_PLUS_ONE},
};

static hs_pca_options options_of(const struct way *way, const char *path) {
    hs_pca_options options = hs_pca_options_default();
    options.n = 34; /* several denoiser batches; incremental: 2, 8, 8, 8, 8 */
    options.k = 3;
    options.joint = way->joint;
    options.around = way->around;
    options.around_seed = 9;
    options.align = way->align;
    options.incremental = way->incremental;
    options.batch = way->batch;
    options.resume = path;
    return options;
}

static bool exists(const char *path) {
    return access(path, F_OK) == 0;
}

static void test_stop_anywhere(void **state) {
    char *folder = hs_test_make_folder(), path[400];
    snprintf(path, sizeof path, "%s/resume.safetensors", folder);
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        hs_error err;
        hs_directions *whole, *d;
        hs_test_pca pca = hs_test_pca_open("dot", 3, ways[w].eta, ways[w].z_seed);
        hs_pca_options options = options_of(&ways[w], NULL);
        stopper s = {0};
        assert_ok(run(&pca, &options, &s, &whole, &err));
        int calls = s.calls;
        options.resume = path;
        for (int stop = 1; stop <= calls; stop++) {
            s = (stopper){.stop_at = stop};
            assert_int_equal(run(&pca, &options, &s, &d, &err), HS_ERROR_CANCELLED);
            assert_null(d);
            assert_int_equal(exists(path), stop > 1); /* at the start there is nothing to keep */
            s = (stopper){0};
            assert_ok(run(&pca, &options, &s, &d, &err));
            if (stop > 1 && s.calls != calls - stop + 1)
                fail_msg("%s: stopped at %d of %d, then %d", ways[w].name, stop, calls, s.calls);
            hs_test_same_directions(d, whole);
            hs_directions_free(d);
            if (exists(path)) /* the caller's to remove, with the result in place */
                assert_int_equal(unlink(path), 0);
        }
        for (int stops = 0;; stops++) { /* one piece each time */
            s = (stopper){.stop_at = 2};
            if (run(&pca, &options, &s, &d, &err) == HS_OK) {
                assert_true(stops > 3);
                break;
            }
            assert_int_equal(err.code, HS_ERROR_CANCELLED);
        }
        hs_test_same_directions(d, whole);
        assert_int_equal(unlink(path), 0);
        hs_directions_free(d);
        hs_directions_free(whole);
        hs_test_pca_close(&pca);
    }
    hs_test_remove_folder(folder);
    free(folder);
}

/* Points are saved by time as well: one is there after a failure that is no
 * cancellation would be, here seen from within the progress callback. */
typedef struct watcher {
    const char *path;
    int seen;
} watcher;

static bool on_watch(void *ctx, const char *phase, double done, double total) {
    watcher *w = ctx;
    w->seen += exists(w->path);
    return true;
}

static void test_saved_by_time(void **state) {
    char *folder = hs_test_make_folder(), path[400];
    hs_error err;
    hs_directions *d;
    snprintf(path, sizeof path, "%s/resume.safetensors", folder);
    hs_test_pca pca = hs_test_pca_open("dot", 3, 1, HS_Z_CONTINUE);
    hs_pca_options options = options_of(&ways[0], path);
    watcher w = {.path = path};
    hs_monitor monitor = {.ctx = &w, .progress = on_watch};
    assert_ok(hs_pca(pca.sampler, &options, &monitor, &d, &err));
    assert_int_equal(w.seen, 0); /* a minute had not passed */
    hs_directions_free(d);
    options.resume_every = 1e-9;
    assert_ok(hs_pca(pca.sampler, &options, &monitor, &d, &err));
    assert_true(w.seen > 0);
    hs_directions_free(d);
    assert_true(exists(path));
    hs_test_pca_close(&pca);
    hs_test_remove_folder(folder);
    free(folder);
}

/* Leave a resume point of `way` at `path`. */
static void stop_in_the_middle(const hs_test_pca *pca, const struct way *way, const char *path) {
    hs_error err;
    hs_directions *d;
    hs_pca_options options = options_of(way, path);
    stopper s = {.stop_at = 6};
    assert_int_equal(run(pca, &options, &s, &d, &err), HS_ERROR_CANCELLED);
    assert_non_null(strstr(err.message, path));
    assert_true(exists(path));
}

static void expect_refused(const hs_test_pca *pca, const hs_pca_options *options, hs_status code,
                           const char *words) {
    hs_error err;
    hs_directions *d;
    stopper s = {0};
    assert_int_equal(run(pca, options, &s, &d, &err), code);
    if (!strstr(err.message, words) || !strstr(err.message, options->resume))
        fail_msg("expected \"%s\" in: %s", words, err.message);
    assert_int_equal(s.calls, 0);
    assert_true(exists(options->resume));
}

static void test_other_runs_are_refused(void **state) {
    char *folder = hs_test_make_folder(), path[400];
    snprintf(path, sizeof path, "%s/resume.safetensors", folder);
    hs_test_pca pca = hs_test_pca_open("dot", 3, 1, HS_Z_CONTINUE);
    stop_in_the_middle(&pca, &ways[0], path);
    hs_pca_options options = options_of(&ways[0], path);
    options.n = 33;
    expect_refused(&pca, &options, HS_ERROR_MISMATCH, "n: expected 33, found 34");
    options = options_of(&ways[0], path);
    options.k = 4;
    expect_refused(&pca, &options, HS_ERROR_MISMATCH, "k: expected 4, found 3");
    options = options_of(&ways[0], path);
    options.first_seed = 1;
    expect_refused(&pca, &options, HS_ERROR_MISMATCH, "first_seed: expected 1, found 0");
    options = options_of(&ways[1], path);
    expect_refused(&pca, &options, HS_ERROR_MISMATCH, "align: expected \"score\"");
    options = options_of(&ways[2], path);
    expect_refused(&pca, &options, HS_ERROR_MISMATCH, "joint: expected true");
    options = options_of(&ways[3], path);
    expect_refused(&pca, &options, HS_ERROR_MISMATCH, "around_seed: expected 9, found nothing");
    options = options_of(&ways[5], path);
    expect_refused(&pca, &options, HS_ERROR_MISMATCH, "incremental: expected true");
    options = options_of(&ways[0], path);
    hs_test_pca others[] = {hs_test_pca_open("dot", 4, 1, HS_Z_CONTINUE),
                            hs_test_pca_open("dot", 3, 0.5, HS_Z_CONTINUE),
                            hs_test_pca_open("dot", 3, 1, HS_Z_PLUS_ONE),
                            hs_test_pca_open("odd", 3, 1, HS_Z_CONTINUE)};
    const char *words[] = {"steps: expected 4", "eta: expected 0.5", "z_seed: expected -2",
                           "model: expected"};
    for (int i = 0; i < 4; i++) {
        expect_refused(&others[i], &options, HS_ERROR_MISMATCH, words[i]);
        hs_test_pca_close(&others[i]);
    }
    hs_test_pca_close(&pca);
    hs_test_remove_folder(folder);
    free(folder);
}

/* Write the point again, with one tensor changed by `change`. */
static void rewrite(const char *path, const char *name, void (*change)(hs_tensor *, void *)) {
    hs_error err;
    hs_tensor_set *set = NULL;
    assert_ok(hs_safetensors_open(path, &set, &err));
    hs_tensor *tensor = (hs_tensor *)(uintptr_t)hs_tensor_set_find(set, name);
    if (!tensor)
        fail_msg("the resume point has no %s", name);
    size_t bytes = (size_t)hs_tensor_bytes(tensor);
    void *copy = malloc(bytes);
    assert_non_null(copy);
    memcpy(copy, tensor->data, bytes);
    tensor->data = copy;
    change(tensor, copy);
    assert_ok(hs_safetensors_write(path, set->tensors, set->count, set->metadata, &err));
    hs_tensor_set_free(set);
    free(copy);
}

static void far_step(hs_tensor *tensor, void *data) {
    ((int64_t *)data)[2] = 1000000000;
}

static void many_done(hs_tensor *tensor, void *data) {
    ((int64_t *)data)[3] = 35;
}

static void huge_index(hs_tensor *tensor, void *data) {
    ((hs_generator *)data)->index = 1 << 30;
}

static void huge_rank(hs_tensor *tensor, void *data) {
    *(int64_t *)data = 7; /* of at most 6 kept */
}

static void other_shape(hs_tensor *tensor, void *data) {
    tensor->dim[0]--;
}

static void other_name(hs_tensor *tensor, void *data) {
    tensor->name = "y";
}

static void test_damaged_points_are_refused(void **state) {
    const struct {
        int way;
        const char *tensor;
        void (*change)(hs_tensor *, void *);
        const char *words;
    } damages[] = {
        {0, "position", far_step, "position: value 2 is 1000000000, expected 0 to 2"},
        {0, "position", many_done, "position: value 3 is 35, expected 0 to 34"},
        {0, "streams", huge_index, "a stream's index"},
        {5, "part.rank.0", huge_rank, "rank"},
        {0, "x", other_shape, "tensor x: expected F32 [34, 4], found F32 [33, 4]"},
        {0, "x", other_name, "tensor x: expected F32 [34, 4], found none"},
    };
    char *folder = hs_test_make_folder(), path[400];
    snprintf(path, sizeof path, "%s/resume.safetensors", folder);
    hs_test_pca pca = hs_test_pca_open("dot", 3, 1, HS_Z_CONTINUE);
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        const struct way *way = &ways[damages[i].way];
        stop_in_the_middle(&pca, way, path);
        rewrite(path, damages[i].tensor, damages[i].change);
        hs_pca_options options = options_of(way, path);
        expect_refused(&pca, &options, HS_ERROR_FORMAT, damages[i].words);
        assert_int_equal(unlink(path), 0);
    }
    stop_in_the_middle(&pca, &ways[0], path);
    assert_int_equal(truncate(path, 700), 0);
    hs_pca_options options = options_of(&ways[0], path);
    expect_refused(&pca, &options, HS_ERROR_FORMAT, "");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("{\"n\": 34}", file);
    fclose(file);
    expect_refused(&pca, &options, HS_ERROR_FORMAT, "");
    hs_test_pca_close(&pca);
    hs_test_remove_folder(folder);
    free(folder);
}

/* A place where nothing can be written is told at once, not after hours. */
static void test_unwritable(void **state) {
    hs_test_pca pca = hs_test_pca_open("dot", 3, 1, HS_Z_CONTINUE);
    hs_error err;
    hs_directions *d;
    stopper s = {0};
    hs_pca_options options = options_of(&ways[0], "/nonexistent/resume.safetensors");
    assert_int_equal(run(&pca, &options, &s, &d, &err), HS_ERROR_IO);
    assert_non_null(strstr(err.message, "/nonexistent/resume.safetensors"));
    assert_int_equal(s.calls, 0);
    hs_test_pca_close(&pca);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stop_anywhere),
        cmocka_unit_test(test_saved_by_time),
        cmocka_unit_test(test_other_runs_are_refused),
        cmocka_unit_test(test_damaged_points_are_refused),
        cmocka_unit_test(test_unwritable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
