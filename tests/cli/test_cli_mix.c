/* hspace edit --swap-h, --interpolate, --cumulative and --item, end to end on the
 * embedded model with few steps. */
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "program.h"

#define IMAGE (3 * 32 * 32)
#define H (128 * 8 * 8)

static int make_folder(void **state) {
    *state = hs_test_make_folder();
    hs_run_ok(*state, "$H sample --quiet --steps 4 --eta 0.5 --seed 3,5,9 "
                      "--tensors l.safetensors -o plain/");
    hs_run_ok(*state, "$H pca --quiet --steps 4 -n 6 -k 2 -o pca.safetensors");
    return 0;
}

static int remove_folder(void **state) {
    hs_test_remove_folder(*state);
    free(*state);
    return 0;
}

static bool same_file(const char *folder, const char *a, const char *b) {
    size_t a_size, b_size;
    char *a_bytes = hs_read_all(folder, a, &a_size), *b_bytes = hs_read_all(folder, b, &b_size);
    bool same = a_size == b_size && memcmp(a_bytes, b_bytes, a_size) == 0;
    free(b_bytes);
    free(a_bytes);
    return same;
}

static void assert_same_file(const char *folder, const char *a, const char *b) {
    if (!same_file(folder, a, b))
        fail_msg("%s and %s differ", a, b);
}

static void assert_different_file(const char *folder, const char *a, const char *b) {
    if (same_file(folder, a, b))
        fail_msg("%s and %s are the same", a, b);
}

/* Tensor `name` of a file, which must have `count` values, malloc'ed. */
static float *get(const char *folder, const char *file, const char *name, int64_t count) {
    char path[500];
    hs_error err;
    hs_tensors *tensors;
    hs_tensor_view view;
    int64_t found = 1;
    snprintf(path, sizeof path, "%s/%s", folder, file);
    assert_ok(hs_tensors_load(path, &tensors, &err));
    assert_ok(hs_tensors_get(tensors, name, &view, &err));
    for (int i = 0; i < view.rank; i++)
        found *= view.dim[i];
    assert_int_equal(found, count);
    float *copy = malloc((size_t)count * sizeof *copy);
    assert_non_null(copy);
    memcpy(copy, view.data, (size_t)count * sizeof *copy);
    hs_tensors_free(tensors);
    return copy;
}

/* A, B, A with h of B and the other way round, from seeds and from a latent file. */
static void test_swap(void **state) {
    const char *folder = *state;
    json_t *report = hs_run_json(folder, "$H edit --json --quiet --steps 4 --eta 0.5 --swap-h 3,9 "
                                         "--tensors s.safetensors -o swap/");
    assert_int_equal(json_integer_value(json_object_get(report, "images")), 4);
    assert_int_equal(json_integer_value(json_object_get(report, "passes")), 4 * 4);
    json_decref(report);
    hs_run_ok(folder, "$H edit --quiet --latent l.safetensors --swap-h 0,2 -o items/");
    hs_run_ok(folder, "$H edit --quiet --steps 4 --swap-h 3,9 -o swap.png");
    assert_same_file(folder, "swap/000_seed_3.png", "plain/000_seed_3.png");
    assert_same_file(folder, "swap/001_seed_9.png", "plain/002_seed_9.png");
    assert_same_file(folder, "swap/002_seed_3_with_h_of_seed_9.png",
                     "items/002_latent_0_with_h_of_latent_2.png");
    assert_same_file(folder, "swap/003_seed_9_with_h_of_seed_3.png",
                     "items/003_latent_2_with_h_of_latent_0.png");
    /* Of the swapped ones x_T is their own, h the other's, x_0 neither's. */
    float *x_T = get(folder, "s.safetensors", "x_T", 4 * IMAGE);
    float *x_0 = get(folder, "s.safetensors", "x_0", 4 * IMAGE);
    float *h = get(folder, "s.safetensors", "h", 4 * 4 * H);
    assert_memory_equal(x_T + 2 * IMAGE, x_T, IMAGE * sizeof *x_T);
    assert_memory_equal(x_T + 3 * IMAGE, x_T + IMAGE, IMAGE * sizeof *x_T);
    assert_memory_equal(h + 2 * 4 * H, h + 4 * H, 4 * H * sizeof *h);
    assert_memory_equal(h + 3 * 4 * H, h, 4 * H * sizeof *h);
    assert_memory_not_equal(x_0 + 2 * IMAGE, x_0, IMAGE * sizeof *x_0);
    assert_memory_not_equal(x_0 + 2 * IMAGE, x_0 + IMAGE, IMAGE * sizeof *x_0);
    free(h);
    free(x_0);
    free(x_T);
}

/* Ends are the plain images, between them there is something new; what noise was
 * blended makes the same image again. */
static void test_interpolate(void **state) {
    const char *folder = *state;
    hs_run_ok(folder, "$H edit --quiet --steps 4 --eta 0.5 --seed 3,9 --interpolate slerp "
                      "--space noise --points 1 --tensors n.safetensors -o noise/");
    hs_run_ok(folder, "$H edit --quiet --latent l.safetensors --item 0,2 --interpolate lerp "
                      "--points 1 -o h/");
    hs_run_ok(folder, "$H sample --quiet --latent n.safetensors -o again/");
    assert_same_file(folder, "noise/000_seed_3.png", "plain/000_seed_3.png");
    assert_same_file(folder, "noise/002_seed_9.png", "plain/002_seed_9.png");
    assert_same_file(folder, "noise/001_0.5.png", "again/001_latent_1.png");
    assert_same_file(folder, "h/000_latent_0.png", "plain/000_seed_3.png");
    assert_same_file(folder, "h/003_latent_2.png", "plain/002_seed_9.png");
    assert_true(hs_exists(folder, "h/002_latent_0_with_h_of_latent_2.png"));

    /* Rows: pairs of neighbours, and for each all spaces. */
    json_t *report =
        hs_run_json(folder, "$H edit --json --quiet --steps 2 --seed 3,5,9 --interpolate sqrt "
                            "--space pixel,h --points 2 -o rows.svg");
    assert_int_equal(json_integer_value(json_object_get(report, "images")), 2 * 2 * 4);
    assert_int_equal(json_integer_value(json_object_get(report, "points")), 2);
    json_decref(report);
    size_t size;
    char *svg = hs_read_all(folder, "rows.svg", &size);
    svg[size - 1] = '\0';
    assert_non_null(strstr(svg, "seed 5 \u2192 9, pixel"));
    assert_non_null(strstr(svg, "0.667"));
    free(svg);
}

/* Column s has the first s directions. */
static void test_cumulative(void **state) {
    const char *folder = *state;
    json_t *report = hs_run_json(
        folder, "$H edit --json --quiet --steps 4 --eta 0.5 --seed 3,9 -d pca.safetensors#1=2 "
                "-d pca.safetensors#0=-1 --cumulative -o steps/");
    json_t *edits = json_object_get(report, "edits");
    static const double expected[2][3] = {{0, 2, 2}, {0, 0, -1}};
    for (size_t e = 0; e < 2; e++)
        for (size_t s = 0; s < 3; s++)
            assert_true(json_number_value(json_array_get(
                            json_object_get(json_array_get(edits, e), "strengths"), s)) ==
                        expected[e][s]);
    json_decref(report);
    hs_run_ok(folder, "$H edit --quiet --steps 4 --eta 0.5 --seed 3 -d pca.safetensors#1=2 "
                      "-o first.png");
    hs_run_ok(folder, "$H edit --quiet --steps 4 --eta 0.5 --seed 3 -d pca.safetensors#1=2 "
                      "-d pca.safetensors#0=-1 -o both.png");
    assert_same_file(folder, "steps/000_seed_3_original.png", "plain/000_seed_3.png");
    assert_same_file(folder, "steps/001_seed_3_+_pca__1___2.png", "first.png");
    assert_same_file(folder, "steps/002_seed_3_+_pca__0___-1.png", "both.png");
}

/* Directions of chance: fixed by their seed, of the norm of those they replace (none, where
 * the strength is 0), and not these. */
static void test_random(void **state) {
    const char *folder = *state;
    json_t *report = hs_run_json(folder, "$H edit --json --quiet --steps 4 --eta 0.5 --seed 3 "
                                         "-d pca.safetensors#1=0..2:2 --random 7 -o chance/");
    json_t *edit = json_array_get(json_object_get(report, "edits"), 0);
    assert_string_equal(json_string_value(json_object_get(edit, "name")), "random1");
    json_decref(report);
    assert_same_file(folder, "chance/000_seed_3_strength_0.png", "plain/000_seed_3.png");
    assert_different_file(folder, "chance/001_seed_3_strength_+2.png", "plain/000_seed_3.png");
    assert_different_file(folder, "chance/001_seed_3_strength_+2.png", "first.png");
    hs_run_ok(folder, "$H edit --quiet --steps 4 --eta 0.5 --seed 3 -d pca.safetensors#1=2 "
                      "--random 7 -o again.png");
    assert_same_file(folder, "again.png", "chance/001_seed_3_strength_+2.png");
    hs_run_ok(folder, "$H edit --quiet --steps 4 --eta 0.5 --seed 3 -d pca.safetensors#1=2 "
                      "--random 8 -o other.png");
    assert_different_file(folder, "other.png", "again.png");
}

/* One item of a latent file, by its recipe too. */
static void test_item(void **state) {
    const char *folder = *state;
    hs_run_ok(folder, "$H edit --quiet --latent l.safetensors --item 2 -d pca.safetensors#0=0 "
                      "--recipe r.json -o item.png");
    assert_same_file(folder, "item.png", "plain/002_seed_9.png");
    hs_run_ok(folder, "$H edit --quiet --replay r.json -o replayed.png");
    assert_same_file(folder, "replayed.png", "item.png");
    hs_run run = hs_run_shell(folder, "$H edit --latent l.safetensors --item 3 "
                                      "-d pca.safetensors -o e.png");
    assert_int_equal(run.status, 1);
    assert_non_null(strstr(run.err, "l.safetensors: latents: item 3, expected 0 to 2"));
    hs_run_free(&run);
}

/* A direction of noise: found from scores, applied, and not taken for one of h. */
static void test_noise_direction(void **state) {
    const char *folder = *state;
    hs_run_ok(folder, "$H annotate --quiet --steps 4 --eta 0.5 -n 8 -o i.sqlite");
    hs_run run = hs_run_shell(folder, "$H attribute --json --quiet --index i.sqlite "
                                      "--attribute Hat --top 3 --space noise -o n.safetensors");
    assert_int_equal(run.status, 0);
    assert_non_null(strstr(run.out, "\"space\": \"noise\""));
    assert_non_null(strstr(run.out, "\"passes\": 0")); /* noise is drawn, not sampled */
    hs_run_free(&run);
    hs_run_ok(folder, "$H edit --quiet --steps 4 --eta 0.5 --seed 3,9 -d n.safetensors=0..1:2 "
                      "--space noise --tensors e.safetensors -o moved/");
    assert_same_file(folder, "moved/000_seed_3_strength_0.png", "plain/000_seed_3.png");
    /* The tensors are those that made the images. */
    hs_run_ok(folder, "$H sample --quiet --latent e.safetensors -o from/");
    assert_same_file(folder, "moved/001_seed_3_strength_+1.png", "from/001_latent_1.png");
    assert_same_file(folder, "moved/003_seed_9_strength_+1.png", "from/003_latent_3.png");
    hs_run_ok(folder, "$H edit --quiet --latent l.safetensors --item 0,2 -d n.safetensors=0..1:2 "
                      "-o items2/");
    assert_same_file(folder, "moved/003_seed_9_strength_+1.png",
                     "items2/003_latent_2_strength_+1.png");
    static const char *const refused[][2] = {
        {"$H edit --steps 4 -d n.safetensors --space h -o e.png", "are of noise, and --space is h"},
        {"$H edit --steps 4 -d pca.safetensors#0 --space noise -o e.png",
         "are of h, and --space is noise"},
        {"$H disentangle n.safetensors --from n.safetensors -o d.safetensors", "is of noise"}};
    for (int i = 0; i < 3; i++) {
        run = hs_run_shell(folder, refused[i][0]);
        assert_int_equal(run.status, 1);
        if (!strstr(run.err, refused[i][1]))
            fail_msg("'%s' is not in: %s", refused[i][1], run.err);
        hs_run_free(&run);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_swap),       cmocka_unit_test(test_interpolate),
        cmocka_unit_test(test_cumulative), cmocka_unit_test(test_random),
        cmocka_unit_test(test_item),       cmocka_unit_test(test_noise_direction)};
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
