/* hspace invert end to end, on the embedded model with few steps. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "program.h"

#define IMAGE (3 * 32 * 32)

/* Colours that a resized image cannot have by chance. */
static void write_image(const char *folder, const char *name, int width, int height, int bands) {
    char path[500];
    hs_error err;
    hs_pixels pixels = {width, height, bands,
                        malloc((size_t)width * (size_t)height * (size_t)bands)};
    assert_non_null(pixels.data);
    for (int i = 0; i < width * height * bands; i++) {
        int x = i / bands % width, y = i / bands / width, band = i % bands;
        pixels.data[i] = (uint8_t)(60 + (band == 0 ? 120 * x / width : 100 * y / height) + band);
    }
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_ok(hs_pixels_save(&pixels, path, &err));
    free(pixels.data);
}

static void write_bytes(const char *folder, const char *name, const void *data, size_t size) {
    char path[500];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_true(file && fwrite(data, 1, size, file) == size && fclose(file) == 0);
}

/* A JPEG, red at the left and blue at the right, whose EXIF tag says that it is
 * to be turned to the right: upright, red is above. */
static void write_turned(const char *folder) {
    static const uint8_t exif[] = {0xff, 0xe1, 0, 34,   'E', 'x', 'i', 'f', 0, 0,
                                   'M',  'M',  0, 42,   0,   0,   0,   8, /* header */
                                   0,    1,    1, 0x12, 0,   3,   0,   0,   0, 1,
                                   0,    6,    0, 0,    0,   0,   0,   0}; /* orientation 6 */
    char path[500];
    hs_error err;
    size_t size;
    uint8_t data[64 * 64 * 3] = {0};
    for (int i = 0; i < 64 * 64; i++)
        data[3 * i + (i % 64 < 32 ? 0 : 2)] = 255;
    snprintf(path, sizeof path, "%s/plain.jpg", folder);
    assert_ok(hs_pixels_save(&(hs_pixels){64, 64, 3, data}, path, &err));
    char *plain = hs_read_all(folder, "plain.jpg", &size);
    char *turned = malloc(size + sizeof exif);
    memcpy(turned, plain, 2); /* SOI, then our segment */
    memcpy(turned + 2, exif, sizeof exif);
    memcpy(turned + 2 + sizeof exif, plain + 2, size - 2);
    write_bytes(folder, "turned.jpg", turned, size + sizeof exif);
    free(turned);
    free(plain);
}

/* What the tests start from: samples, which their model can invert; a folder
 * with good, bad and other files; odd images. */
static int make_folder(void **state) {
    char *folder = hs_test_make_folder();
    hs_run_ok(folder, "$H sample --quiet --steps 10 --seed 0-2 -o faces/");
    hs_run_ok(folder, "mkdir mixed empty && cp faces/000_seed_0.png mixed/b.png && "
                      "cp faces/001_seed_1.png mixed/a.PNG && echo text >mixed/labels.csv && "
                      "echo 'no image' >mixed/text.png && "
                      "head -c 700 faces/000_seed_0.png >mixed/cut.png && : >mixed/nothing.jpg && "
                      "mkdir mixed/folder.png");
    write_image(folder, "gray.png", 50, 40, 1);
    write_image(folder, "dot.png", 1, 1, 3);
    write_image(folder, "wide.png", 900, 3, 3);
    write_image(folder, "large.jpg", 2200, 1700, 3);
    write_image(folder, "forty.png", 40, 40, 3);
    write_turned(folder);
    *state = folder;
    return 0;
}

static int remove_folder(void **state) {
    hs_test_remove_folder(*state);
    free(*state);
    return 0;
}

/* A latent file; its view is valid until it is freed. */
static hs_latents *load(const char *folder, const char *name, hs_latents_view *view) {
    char path[500];
    hs_error err;
    hs_latents *latents;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_ok(hs_latents_load(path, &latents, &err));
    hs_latents_view_get(latents, view);
    return latents;
}

static double psnr_of(const json_t *report, size_t i) {
    return json_number_value(json_array_get(json_object_get(report, "psnr"), i));
}

/* DDIM: the report, and the file with everything that it should hold. */
static void test_ddim(void **state) {
    const char *folder = *state;
    json_t *report =
        hs_run_json(folder, "$H invert --json --quiet --steps 20 faces/ -o l.safetensors 2>warned");
    assert_int_equal(json_array_size(json_object_get(report, "psnr")), 3);
    assert_int_equal(json_integer_value(json_object_get(report, "images")), 3);
    assert_int_equal(json_integer_value(json_object_get(report, "passes")), 3 * 2 * 20);
    assert_int_equal(json_array_size(json_object_get(report, "skipped")), 0);
    assert_string_equal(json_string_value(json_object_get(report, "method")), "ddim");
    for (size_t i = 0; i < 3; i++) /* 17 dB and more seen; it cannot be exact */
        assert_true(psnr_of(report, i) > 12 && psnr_of(report, i) < 100);
    hs_latents_view view;
    hs_latents *latents = load(folder, "l.safetensors", &view);
    assert_true(view.n == 3 && view.T == 20 && view.x_T && !view.z && view.x_0 && view.h);
    assert_non_null(strstr(view.metadata, "faces/000_seed_0.png"));
    assert_non_null(strstr(view.metadata, "\"psnr\""));
    hs_latents_free(latents);
    json_decref(report);
}

/* Edit-friendly: decoding gives the very pixels back, also with one eta a step,
 * and the file says its eta. */
static void test_edit_friendly(void **state) {
    static const char *const methods[] = {"x0", "x_prev", "dpm"};
    static const char *const etas[] = {"", "--eta 0.3", "--eta 1,0.5,0.3,0.7"};
    const char *folder = *state;
    for (int k = 0; k < 3; k++) {
        char command[300];
        snprintf(command, sizeof command,
                 "$H invert --json --quiet --steps 4 --method %s %s --seed 9 "
                 "faces/000_seed_0.png forty.png --crop 4,4,28,28 -o e.safetensors",
                 methods[k], etas[k]);
        json_t *report = hs_run_json(folder, command);
        assert_true(psnr_of(report, 0) > 120 && psnr_of(report, 1) > 120);
        json_decref(report);
        snprintf(command, sizeof command,
                 "$H invert --json --quiet --steps 4 --method %s %s faces -o e.safetensors",
                 methods[k], etas[k]);
        json_decref(hs_run_json(folder, command));
        hs_run_ok(folder, "$H sample --quiet --latent e.safetensors -o decoded/");
        hs_run_ok(folder, "cmp faces/001_seed_1.png decoded/001_latent_1.png");
        hs_run_ok(folder, "cmp faces/002_seed_2.png decoded/002_latent_2.png");
    }
    /* Another eta than the file's: it says so. */
    hs_run run = hs_run_shell(folder, "$H sample --quiet --latent e.safetensors --eta 1 -o o.png");
    assert_int_equal(run.status, 0);
    assert_non_null(strstr(run.err, "made for eta 0.5 at step 1, not 1"));
    hs_run_free(&run);
    run = hs_run_shell(folder, "$H sample --quiet --latent e.safetensors --eta 1,0.5,0.3,0.7 "
                               "-o o.png");
    assert_string_equal(run.err, "");
    hs_run_free(&run);
}

/* The preview, and an edit that starts from the latents. */
static void test_preview(void **state) {
    const char *folder = *state;
    hs_run_ok(folder, "$H pca --quiet --steps 4 -n 6 -k 2 -o pca.safetensors");
    hs_run_ok(folder, "$H invert --quiet --steps 4 --method x0 faces -d pca.safetensors#1=-1..1:3 "
                      "--preview show.png -o p.safetensors");
    hs_run_ok(folder, "$H invert --quiet --steps 4 --method x0 gray.png --preview plain.svg "
                      "-o g.safetensors");
    hs_run_ok(folder, "$H edit --quiet --latent p.safetensors -d pca.safetensors#1=2 -o edited/");
    assert_true(hs_exists(folder, "show.png") && hs_exists(folder, "plain.svg"));
    assert_true(hs_exists(folder, "edited/002_latent_2.png"));
}

/* x_0 of one image as the model saw it. */
static void read_image(const char *folder, const char *arguments, float x[IMAGE]) {
    char command[300];
    hs_latents_view view;
    snprintf(command, sizeof command,
             "$H invert --quiet --steps 1 --method x0 %s -o one.safetensors", arguments);
    hs_run_ok(folder, command);
    hs_latents *latents = load(folder, "one.safetensors", &view);
    assert_true(view.n == 1 && view.image[1] == 32);
    memcpy(x, view.x_0, IMAGE * sizeof *x);
    hs_latents_free(latents);
}

static void test_reading(void **state) {
    const char *folder = *state;
    float x[IMAGE], y[IMAGE];
    read_image(folder, "turned.jpg", x); /* upright: red above, blue below */
    assert_true(x[2 * 32 + 3] > 0.9F && x[2 * 32 + 28] > 0.9F && x[29 * 32 + 28] < -0.9F);
    assert_true(x[2048 + 29 * 32 + 3] > 0.9F && x[2048 + 2 * 32 + 28] < -0.9F);
    read_image(folder, "plain.jpg", x); /* the same bytes without the tag */
    assert_true(x[29 * 32 + 3] > 0.9F && x[2 * 32 + 28] < -0.9F);
    read_image(folder, "gray.png", x);
    assert_memory_equal(x, x + 1024, 1024 * sizeof *x);
    assert_memory_equal(x, x + 2048, 1024 * sizeof *x);
    read_image(folder, "dot.png", x);
    assert_true(x[0] == x[1023] && x[0] == (float)(60 / 127.5 - 1));
    read_image(folder, "wide.png", x);
    read_image(folder, "large.jpg", x);
    read_image(folder, "forty.png --crop 3,5,32,32", x); /* its size: copied */
    for (int i = 0; i < 1024; i++)
        assert_true(x[i] == (float)((60 + 120 * (3 + i % 32) / 40) / 127.5 - 1));
    read_image(folder, "faces/000_seed_0.png", x);
    read_image(folder, "faces/001_seed_1.png", y);
    assert_memory_not_equal(x, y, sizeof x);
}

/* A model of one channel takes colour as gray. */
static void test_gray_model(void **state) {
    const char *folder = *state;
    char command[700], *model = realpath("golden/models/gray", NULL);
    hs_latents_view view;
    assert_non_null(model);
    snprintf(command, sizeof command,
             "$H invert -m '%s' --quiet --steps 3 --method dpm forty.png gray.png -o g.safetensors "
             "--preview g.png",
             model);
    hs_run run = hs_run_shell(folder, command);
    assert_int_equal(run.status, 0);
    hs_run_free(&run);
    hs_latents *latents = load(folder, "g.safetensors", &view);
    assert_true(view.n == 2 && view.image[0] == 1 && view.image[1] == 8);
    hs_latents_free(latents);
    free(model);
}

/* Good ones are kept, bad ones named and counted, and the exit status says so. */
static void test_bad_images(void **state) {
    static const char *const named[] = {"mixed/text.png", "mixed/cut.png", "mixed/nothing.jpg",
                                        "mixed/folder.png", "4 of 6 images could not be used"};
    const char *folder = *state;
    hs_run run = hs_run_shell(folder, "$H invert --quiet --json --steps 2 --method x0 mixed "
                                      "-o m.safetensors");
    assert_int_equal(run.status, 1);
    for (size_t i = 0; i < sizeof named / sizeof *named; i++)
        if (!strstr(run.err, named[i]))
            fail_msg("%s is not in %s", named[i], run.err);
    json_t *report = json_loads(run.out, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(report, "skipped")), 4);
    json_t *files = json_object_get(report, "files");
    assert_string_equal(json_string_value(json_array_get(files, 0)), "mixed/a.PNG");
    assert_string_equal(json_string_value(json_array_get(files, 1)), "mixed/b.png");
    json_decref(report);
    hs_run_free(&run);
    hs_latents_view view;
    hs_latents *latents = load(folder, "m.safetensors", &view);
    assert_int_equal(view.n, 2);
    hs_latents_free(latents);
    run = hs_run_shell(folder, "$H invert --steps 2 mixed/text.png nowhere.jpg -o none");
    assert_int_equal(run.status, 1);
    assert_non_null(strstr(run.err, "none of the 2 images can be used"));
    assert_non_null(strstr(run.err, "nowhere.jpg"));
    assert_false(hs_exists(folder, "none"));
    hs_run_free(&run);
}

/* Too few steps for DDIM: a warning that names the image, and success. */
static void test_low_psnr(void **state) {
    hs_run run = hs_run_shell(*state, "$H invert --quiet --steps 1 faces/000_seed_0.png "
                                      "-o low.safetensors");
    assert_int_equal(run.status, 0);
    assert_non_null(strstr(run.err, "warning: faces/000_seed_0.png: its reconstruction has "));
    assert_non_null(strstr(run.out, " dB  faces/000_seed_0.png"));
    hs_run_free(&run);
    /* And again before it is edited. */
    run = hs_run_shell(*state, "$H edit --quiet --latent low.safetensors --swap-h 0,0 -o low.png");
    assert_int_equal(run.status, 0);
    assert_non_null(strstr(run.err, "latent 0 (faces/000_seed_0.png) was inverted to "));
    hs_run_free(&run);
}

/* Stopped in the first batch: nothing is kept, and that is said. On a busy
 * machine the first moments go by before there is a batch. Kills at all points
 * are in test_kill.c. */
static void test_stopped(void **state) {
    const char *folder = *state;
    bool said = false;
    for (double delay = 0.7; delay < 12 && !said; delay *= 2) {
        char command[200];
        snprintf(command, sizeof command,
                 "sh -c '\"$1\" invert --quiet --steps 900 faces -o late & "
                 "p=$!; sleep %g; kill -TERM $p; wait $p' sh $H",
                 delay);
        hs_run run = hs_run_shell(folder, command);
        assert_int_equal(run.status, 1);
        assert_false(hs_exists(folder, "late") || hs_exists(folder, "late.resume"));
        said = strstr(run.err, "stopped before the first images were done") != NULL;
        hs_run_free(&run);
    }
    assert_true(said);
}

static void test_refuses(void **state) {
    static const struct {
        const char *arguments;
        int status;
        const char *fragment;
    } cases[] = {
        {"-o x", 2, "name the images"},
        {"faces", 2, "-o says where"},
        {"faces -o x.png", 2, "--preview draws a picture"},
        {"faces --method up -o x", 2, "--method: 'up'"},
        {"faces --seed 1-3 -o x", 2, "--seed"},
        {"faces --crop 1,2,3 -o x", 2, "--crop: '1,2,3'"},
        {"faces --crop 1,2,0,3 -o x", 2, "--crop: '1,2,0,3'"},
        {"faces --crop 1,2,3,4,5 -o x", 2, "--crop"},
        {"faces --clip -o x", 2, "cannot be inverted"},
        {"faces --z-seed 4 -o x", 2, "finds its z"},
        {"faces --eta 0.5 -o x", 2, "DDIM inversion is of eta 0"},
        {"faces --method x0 --eta 1,0 -o x", 2, "need eta above 0"},
        {"faces -d pca.safetensors -o x", 2, "--preview asks for"},
        {"faces --preview p.txt -o x", 2, "neither a picture"},
        {"faces -o nowhere/x", 1, "nowhere"},
        {"faces --steps 2000 -o x", 1, "2000"},
        {"empty -o x", 1, "no image in this folder"},
        {"faces --max-mem 30M --steps 900 -o x", 1, "--max-mem"},
        {"faces -m nowhere -o x", 1, "nowhere"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char command[300];
        snprintf(command, sizeof command, "$H invert %s", cases[i].arguments);
        hs_run run = hs_run_shell(*state, command);
        if (run.status != cases[i].status || !strstr(run.err, cases[i].fragment) || *run.out)
            fail_msg("%s: exit status %d: %s%s", command, run.status, run.err, run.out);
        hs_run_free(&run);
    }
    assert_false(hs_exists(*state, "x"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ddim),       cmocka_unit_test(test_edit_friendly),
        cmocka_unit_test(test_preview),    cmocka_unit_test(test_reading),
        cmocka_unit_test(test_gray_model), cmocka_unit_test(test_bad_images),
        cmocka_unit_test(test_low_psnr),   cmocka_unit_test(test_stopped),
        cmocka_unit_test(test_refuses),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
