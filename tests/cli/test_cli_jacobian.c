/* hspace jacobian, and what edit and eps do with it, on the embedded model. */
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "program.h"

static int make_folder(void **state) {
    char *folder = hs_test_make_folder();
    hs_run_ok(folder, "$H jacobian --quiet --seed 3 --steps 4 --step all -k 2 -o jac.safetensors");
    *state = folder;
    return 0;
}

static int remove_folder(void **state) {
    hs_test_remove_folder(*state);
    free(*state);
    return 0;
}

static void assert_same_file(const char *folder, const char *a, const char *b, bool same) {
    size_t a_size, b_size;
    char *a_bytes = hs_read_all(folder, a, &a_size), *b_bytes = hs_read_all(folder, b, &b_size);
    if ((a_size == b_size && memcmp(a_bytes, b_bytes, a_size) == 0) != same)
        fail_msg("%s and %s %s", a, b, same ? "differ" : "are the same");
    free(b_bytes);
    free(a_bytes);
}

static hs_tensors *load(const char *folder, const char *name) {
    char path[500];
    hs_error err;
    hs_tensors *tensors;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_ok(hs_tensors_load(path, &tensors, &err));
    return tensors;
}

static const float *get(hs_tensors *tensors, const char *name, int64_t count) {
    hs_error err;
    hs_tensor_view view;
    int64_t found = 1;
    assert_ok(hs_tensors_get(tensors, name, &view, &err));
    for (int i = 0; i < view.rank; i++)
        found *= view.dim[i];
    assert_int_equal(found, count);
    return view.data;
}

static void test_report(void **state) {
    json_t *report = hs_run_json(
        *state, "$H jacobian --quiet --json --seed 3 --steps 4 --step 0,2 -k 2 --region 8,8,12,6 "
                "--region 4,20,8,8 --preview p.png --plot s.svg -o r.safetensors");
    assert_int_equal(json_array_size(json_object_get(report, "names")), 8);
    assert_string_equal(json_string_value(json_array_get(json_object_get(report, "names"), 6)),
                        "s2.0@4,20,8,8");
    assert_true(json_integer_value(json_object_get(report, "products")) > 20);
    assert_true(json_number_value(json_object_get(report, "seconds_per_product")) > 0);
    assert_true(json_number_value(json_object_get(report, "residual")) <= 1e-3);
    for (size_t i = 0; i < 8; i++) {
        double share = json_number_value(json_array_get(json_object_get(report, "inside"), i));
        assert_true(share > 0 && share < 1);
    }
    json_decref(report);
    assert_true(hs_exists(*state, "p.png") && hs_exists(*state, "s.svg"));
    assert_false(hs_exists(*state, "r.safetensors.resume"));
}

static void test_threads(void **state) {
    hs_run_ok(*state, "$H jacobian --quiet --threads 3 --seed 3 --steps 4 --step all -k 2 -o "
                      "three.safetensors");
    assert_same_file(*state, "jac.safetensors", "three.safetensors", true);
}

/* A picture and the rectangle that it shows are one mask. */
static void test_mask(void **state) {
    char path[500];
    hs_error err;
    uint8_t white[32 * 32] = {0}, labels[32 * 32] = {0};
    for (int y = 6; y < 12; y++) {
        memset(white + y * 32 + 8, 200, 10);
        memset(labels + y * 32 + 8, y % 2 ? 4 : 5, 10);
    }
    hs_pixels pixels = {.width = 32, .height = 32, .bands = 1, .data = white};
    snprintf(path, sizeof path, "%s/eye.png", (char *)*state);
    assert_ok(hs_pixels_save(&pixels, path, &err));
    pixels.data = labels;
    snprintf(path, sizeof path, "%s/parts.png", (char *)*state);
    assert_ok(hs_pixels_save(&pixels, path, &err));
    hs_run_ok(*state, "$H jacobian --quiet --steps 2 -k 1 --step 0 --mask eye.png --mask "
                      "parts.png:4,5 --region 8,6,10,6 -o m.safetensors");
    hs_tensors *tensors = load(*state, "m.safetensors");
    const float *u = get(tensors, "u", 3 * 3072), *sigma = get(tensors, "sigma", 3);
    for (int i = 1; i < 3; i++) {
        assert_memory_equal(u, u + i * 3072, 3072 * sizeof *u);
        assert_true(sigma[0] == sigma[i]);
    }
    for (int i = 0; i < 3072; i++)
        assert_true(u[i] == 0 || white[i % 1024]);
    hs_tensors_free(tensors);
    hs_run run = hs_run_shell(*state, "$H jacobian --steps 2 --mask parts.png:9 -o x");
    assert_int_equal(run.status, 1);
    assert_non_null(strstr(run.err, "no pixel has one of the labels"));
    hs_run_free(&run);
    run = hs_run_shell(*state, "$H jacobian --steps 2 --mask parts.png -o x");
    assert_int_equal(run.status, 1);
    assert_non_null(strstr(run.err, "no pixel is inside the mask"));
    hs_run_free(&run);
    pixels = (hs_pixels){.width = 32, .height = 16, .bands = 1, .data = white};
    assert_ok(hs_pixels_save(&pixels, path, &err));
    run = hs_run_shell(*state, "$H jacobian --steps 2 --mask parts.png -o x");
    assert_int_equal(run.status, 1);
    assert_non_null(strstr(run.err, "is 32 x 16 pixels (width x height), the image 32 x 32"));
    hs_run_free(&run);
}

static void test_edit(void **state) {
    const char *common = "$H edit --quiet --seed 5 --steps 4 -d 'jac.safetensors#s2.1=2'";
    static const char *const more[][2] = {{"", "all.png"},
                                          {"--same-step", "same.png"},
                                          {"--window 2-2", "window.png"},
                                          {"--profile flat", "flat.png"},
                                          {"--profile sigma", "sigma.png"}};
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
        char arguments[300];
        snprintf(arguments, sizeof arguments, "%s %s -o %s", common, more[i][0], more[i][1]);
        hs_run_ok(*state, arguments);
    }
    assert_same_file(*state, "same.png", "window.png", true);
    assert_same_file(*state, "all.png", "flat.png", true);
    assert_same_file(*state, "all.png", "same.png", false);
    assert_same_file(*state, "all.png", "sigma.png", false);
    hs_run_ok(*state, "$H jacobian --quiet --steps 4 --step 1 -k 1 -o one.safetensors");
    hs_run_ok(*state, "$H edit --quiet --steps 4 -d 'one.safetensors#s1.0=-2..2:5' --seed 8,9 "
                      "-o transfer.png");
    hs_run run = hs_run_shell(
        *state, "$H edit --quiet --steps 4 -d one.safetensors --profile sigma -o x.png");
    assert_int_equal(run.status, 1);
    assert_non_null(strstr(run.err, "jacobian --step all"));
    hs_run_free(&run);
}

/* J v of a direction is sigma u, J^T u is sigma v, up to the unit. */
static void test_eps(void **state) {
    char path[500];
    hs_error err;
    hs_tensors *jac = load(*state, "jac.safetensors");
    const int64_t image = 3 * 32 * 32, h = 128 * 8 * 8;
    const float *v = get(jac, "delta_h", 8 * h), *u = get(jac, "u", 8 * image);
    const float *sigma = get(jac, "sigma", 8);
    float *x = calloc((size_t)image, sizeof *x);
    assert_non_null(x);
    assert_ok(hs_randn(3, 1, (size_t)image, x, &err)); /* x_T: step 0, timestep 750 */
    hs_tensor_view views[] = {{.name = "sample", .rank = 4, .dim = {1, 3, 32, 32}, .data = x},
                              {.name = "v", .rank = 4, .dim = {2, 128, 8, 8}, .data = v},
                              {.name = "u", .rank = 4, .dim = {1, 3, 32, 32}, .data = u}};
    snprintf(path, sizeof path, "%s/vu.safetensors", (char *)*state);
    assert_ok(hs_tensors_save(path, views, 3, &err));
    hs_run_ok(*state, "$H eps --quiet --input vu.safetensors --timestep 750 -o out.safetensors");
    hs_tensors *out = load(*state, "out.safetensors");
    const float *Jv = get(out, "Jv", 2 * image), *JTu = get(out, "JTu", h);
    double length = 0, forward = 0, backward = 0;
    for (int64_t i = 0; i < h; i++)
        length += (double)v[i] * (double)v[i];
    length = sqrt(length);
    for (int64_t i = 0; i < image; i++)
        forward = fmax(forward, fabs((double)Jv[i] / length - (double)(sigma[0] * u[i])));
    for (int64_t i = 0; i < h; i++)
        backward = fmax(backward, fabs((double)JTu[i] - (double)(sigma[0] * v[i]) / length));
    assert_true(forward < 1e-3 * (double)sigma[0] && backward < 1e-3 * (double)sigma[0]);
    hs_tensors_free(out);
    hs_tensors_free(jac);
    free(x);
}

/* Stopped at any moment, the same command gives the same file in the end. */
static void test_resume(void **state) {
    static const char *const command =
        "$H jacobian --quiet --seed 3 --steps 6 --step all -k 1 -o long.safetensors";
    char stopped[200]; /* in the foreground: else timeout sends the signal twice */
    snprintf(stopped, sizeof stopped, "timeout --foreground --preserve-status -s INT 0.4 %s",
             command);
    hs_run run = hs_run_shell(*state, stopped);
    if (run.status) { /* else this machine was fast */
        assert_int_equal(run.status, 1);
        assert_non_null(strstr(run.err, "hspace: stopped"));
        assert_false(hs_exists(*state, "long.safetensors"));
    }
    hs_run_free(&run);
    run = hs_run_shell(*state, command);
    assert_int_equal(run.status, 0);
    hs_run_free(&run);
    assert_false(hs_exists(*state, "long.safetensors.resume"));
    hs_run_ok(*state, "$H jacobian --quiet --seed 3 --steps 6 --step all -k 1 -o w.safetensors");
    assert_same_file(*state, "long.safetensors", "w.safetensors", true);
    hs_run_ok(*state, "$H jacobian --quiet --seed 3 --steps 4 --step 1,3 -k 2 -o a.safetensors");
    run = hs_run_shell(*state, "$H jacobian --seed 3 --steps 4 --step 1 -k 2 "
                               "--resume a.safetensors -o b.safetensors");
    assert_int_equal(run.status, 1);
    assert_non_null(strstr(run.err, "expected a resume point"));
    hs_run_free(&run);
}

/* Directions of a region change it more than others do, for each of two masks. */
static void test_keep_outside(void **state) {
    json_t *report = hs_run_json(*state, "$H jacobian --quiet --json --steps 4 --step 2 -k 1 "
                                         "--region 8,8,12,6 --region 4,20,24,9 --compare "
                                         "-o c.safetensors");
    json_t *list = json_object_get(report, "inside_mean");
    assert_int_equal(json_array_size(list), 2);
    for (size_t i = 0; i < 2; i++) {
        json_t *mean = json_array_get(list, i);
        double unmasked = json_number_value(json_object_get(mean, "unmasked"));
        assert_string_equal(json_string_value(json_object_get(mean, "mask")),
                            i ? "4,20,24,9" : "8,8,12,6");
        assert_true(unmasked >= 0 && unmasked < 1);
        assert_true(json_number_value(json_object_get(mean, "masked")) > unmasked);
        assert_true(json_number_value(json_object_get(mean, "keep_outside")) > unmasked);
    }
    json_decref(report);
    hs_run_ok(*state, "$H jacobian --quiet --steps 4 --step 2 -k 1 --region 8,8,12,6 "
                      "--keep-outside=resefa -o c.safetensors");
}

static json_t *compare_in(const char *folder, const char *more) {
    char command[400];
    snprintf(command, sizeof command,
             "$H jacobian --quiet --json --steps 4 --step 2 -k 1 --region 8,8,12,6 --compare "
             "-o w.safetensors %s",
             more);
    return hs_run_json(folder, command);
}

static double compared(json_t *report, const char *key, const char *kind) {
    json_t *mean = json_array_get(json_object_get(report, "inside_mean"), 0);
    return json_number_value(json_object_get(key ? json_object_get(mean, key) : mean, kind));
}

/* The window and the strength of --compare are those of edit: the change that it
 * tells is the one between the images that edit makes. */
static void test_window(void **state) {
    json_t *all = compare_in(*state, ""), *same = compare_in(*state, "--window 0-3 --strength 1");
    json_t *last = compare_in(*state, "--window 3-3 --strength 3");
    assert_true(compared(all, NULL, "masked") == compared(same, NULL, "masked"));
    assert_true(compared(all, "rms", "masked") == compared(same, "rms", "masked"));
    assert_null(json_object_get(all, "window"));
    assert_int_equal(json_integer_value(json_array_get(json_object_get(last, "window"), 1)), 3);
    assert_true(json_number_value(json_object_get(last, "strength")) == 3);
    hs_run_ok(*state, "$H edit --quiet --steps 4 -d w.safetensors=-3..3:3 --window 3-3 "
                      "--tensors e.safetensors");
    hs_tensors *tensors = load(*state, "e.safetensors");
    const float *x = get(tensors, "x_0", 3 * 3072);
    double in = 0, out = 0;
    for (int i = 0; i < 3072; i++) {
        int row = i % 1024 / 32, column = i % 32;
        bool inside = column >= 8 && column < 20 && row >= 8 && row < 14;
        double level[3];
        for (int s = 0; s < 3; s++)
            level[s] = round((fmin(1, fmax(-1, (double)x[s * 3072 + i])) + 1) * 127.5);
        double change = pow(level[0] - level[1], 2) + pow(level[2] - level[1], 2);
        *(inside ? &in : &out) += change;
    }
    assert_true(in > 0);
    assert_float_equal(compared(last, NULL, "masked"), in / (in + out), 1e-9);
    assert_float_equal(compared(last, "rms", "masked"), sqrt(in / (2 * 3 * 12 * 6)), 1e-9);
    hs_tensors_free(tensors);
    json_decref(last);
    json_decref(same);
    json_decref(all);
    hs_run run = hs_run_shell(*state, "$H jacobian --steps 4 --window 2-4 --region 1,1,4,4 "
                                      "--compare -o x.safetensors");
    assert_int_equal(run.status, 1);
    assert_non_null(strstr(run.err, "--window 2-4: there are steps 0 to 3"));
    hs_run_free(&run);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_report),       cmocka_unit_test(test_threads),
        cmocka_unit_test(test_mask),         cmocka_unit_test(test_edit),
        cmocka_unit_test(test_eps),          cmocka_unit_test(test_resume),
        cmocka_unit_test(test_keep_outside), cmocka_unit_test(test_window)};
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
