/* Images in files: round trips, what is refused, damaged input. */
#include "support.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <vips/vips.h>

#include "base/mem.h"
#include "io/file.h"
#include "io/image.h"
#include "io/vips_setup.h"

enum { W = 31, H = 17 };

typedef struct fixture {
    char *folder;
    uint8_t data[W * H * 3], gray[W * H];
} fixture;

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    f->folder = hs_test_make_folder();
    for (int i = 0; i < W * H * 3; i++) /* smooth, so that JPEG can hold it */
        f->data[i] = (uint8_t)(20 + 4 * (i / 3 % W) + 3 * (i / (3 * W)) + 20 * (i % 3));
    for (int i = 0; i < W * H; i++)
        f->gray[i] = f->data[3 * i];
    *state = f;
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    hs_test_remove_folder(f->folder);
    free(f->folder);
    free(f);
    return 0;
}

static char *in_folder(const fixture *f, const char *name) {
    return hs_format("%s/%s", f->folder, name);
}

/* The largest difference of a byte after a round trip through `name`. */
static int round_trip(fixture *f, const char *name, int bands) {
    hs_error err;
    char *path = in_folder(f, name);
    hs_pixels in = {W, H, bands, bands == 1 ? f->gray : f->data}, out;
    assert_ok(hs_pixels_save(&in, path, &err));
    assert_ok(hs_pixels_load(path, &out, &err));
    assert_int_equal(out.width, W);
    assert_int_equal(out.height, H);
    assert_int_equal(out.bands, bands);
    int worst = 0;
    for (int i = 0; i < W * H * bands; i++) {
        int difference = abs(in.data[i] - out.data[i]);
        worst = difference > worst ? difference : worst;
    }
    free(out.data);
    free(path);
    return worst;
}

static void test_round_trips(void **state) {
    fixture *f = *state;
    for (int bands = 1; bands <= 3; bands += 2) {
        assert_int_equal(round_trip(f, "a.png", bands), 0);
        assert_int_equal(round_trip(f, "a.PNG", bands), 0);
        /* Largest difference observed: 2. */
        assert_true(round_trip(f, "a.jpg", bands) <= 10);
        assert_true(round_trip(f, "a.jpeg", bands) <= 10);
    }
    assert_int_equal(round_trip(f, "a.webp", 3), 0);
}

/* WebP has no gray: three equal bands come back. */
static void test_gray_webp(void **state) {
    fixture *f = *state;
    hs_error err;
    char *path = in_folder(f, "gray.webp");
    hs_pixels in = {W, H, 1, f->gray}, out;
    assert_ok(hs_pixels_save(&in, path, &err));
    assert_ok(hs_pixels_load(path, &out, &err));
    assert_int_equal(out.bands, 3);
    for (int i = 0; i < W * H * 3; i++)
        assert_int_equal(out.data[i], in.data[i / 3]);
    free(out.data);
    free(path);
}

static void check_save_refused(const hs_pixels *pixels, const char *path, hs_status code,
                               const char *part) {
    hs_error err;
    assert_int_equal(hs_pixels_save(pixels, path, &err), code);
    if (!strstr(err.message, part))
        fail_msg("\"%s\" is not in \"%s\"", part, err.message);
}

static void test_save_refused(void **state) {
    fixture *f = *state;
    hs_error err;
    hs_pixels good = {W, H, 3, f->data}, bad = good;
    assert_int_equal(hs_figure_check_path("a.tiff", &err), HS_ERROR_ARGUMENT);
    assert_non_null(strstr(err.message, ".png, .jpg, .jpeg, .webp or .svg"));
    assert_int_equal(hs_figure_check_path(".png", &err), HS_ERROR_ARGUMENT);
    assert_int_equal(hs_figure_check_path("a.b/c", &err), HS_ERROR_ARGUMENT);
    assert_ok(hs_figure_check_path("a.b/c.WebP", &err));
    check_save_refused(&good, "none/a.png", HS_ERROR_IO, "none/a.png");
    check_save_refused(&good, f->folder, HS_ERROR_ARGUMENT, f->folder);
    check_save_refused(NULL, "a.png", HS_ERROR_ARGUMENT, "NULL");
    bad.bands = 4;
    check_save_refused(&bad, "a.png", HS_ERROR_ARGUMENT, "found 31 x 17 with 4 bands");
    bad = good;
    bad.width = 0;
    check_save_refused(&bad, "a.png", HS_ERROR_ARGUMENT, "found 0 x 17");
    bad.width = 16384; /* refused by its size, before the data are read */
    check_save_refused(&bad, "a.webp", HS_ERROR_ARGUMENT, "at most 16383");
    bad.width = 65536;
    check_save_refused(&bad, "a.jpg", HS_ERROR_ARGUMENT, "at most 65500");
    bad.width = bad.height = 1000000;
    check_save_refused(&bad, "a.png", HS_ERROR_ARGUMENT, "found 1000000 x 1000000");
    bad = good;
    bad.data = NULL;
    check_save_refused(&bad, "a.png", HS_ERROR_ARGUMENT, "no data");
}

/* A folder stands where the file should go: nothing else may be left behind. */
static void test_no_leftovers(void **state) {
    fixture *f = *state;
    char *path = in_folder(f, "taken.png");
    assert_int_equal(mkdir(path, 0700), 0);
    check_save_refused(&(hs_pixels){W, H, 3, f->data}, path, HS_ERROR_IO, "taken.png");
    struct stat info;
    assert_int_equal(stat(f->folder, &info), 0);
    assert_int_equal(info.st_nlink, 3); /* ., .., and the folder that stands there */
    free(path);
}

static hs_status decode(const void *data, size_t size, hs_error *err) {
    hs_pixels out = {.width = -1};
    hs_status status = hs_image_decode("input", data, size, &out, err);
    if (status == HS_OK)
        free(out.data);
    else
        assert_true(out.width == -1 && strstr(err->message, "input"));
    return status;
}

static void test_damaged(void **state) {
    fixture *f = *state;
    hs_error err;
    hs_pixels in = {W, H, 3, f->data};
    for (hs_image_kind kind = HS_IMAGE_PNG; kind <= HS_IMAGE_WEBP; kind++) {
        void *data;
        size_t size;
        assert_ok(hs_image_encode("x", &in, kind, &data, &size, &err));
        assert_int_equal(decode(data, size, &err), HS_OK);
        /* Cut anywhere (JPEG and PNG may lack their end marks alone). */
        for (size_t cut = 0; cut + 16 < size; cut += 1 + size / 40)
            assert_int_not_equal(decode(data, cut, &err), HS_OK);
        /* Any byte changed: an error or an image, never a crash. */
        uint64_t random = 3;
        for (int i = 0; i < 100; i++) {
            size_t at = (size_t)((hs_test_random(&random) + 1) / 2 * (double)size);
            uint8_t *byte = (uint8_t *)data + at, before = *byte;
            *byte ^= (uint8_t)(1 << i % 8);
            decode(data, size, &err);
            *byte = before;
        }
        free(data);
    }
}

static void test_not_an_image(void **state) {
    fixture *f = *state;
    hs_error err;
    hs_pixels out;
    static const char svg[] =
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"9\" height=\"9\"/>";
    static const char pdf[] = "%PDF-1.4\n1 0 obj\n<<>>\nendobj\n";
    static const char ppm[] = "P5 2 2 255\nabcd";
    assert_int_equal(decode(svg, sizeof svg - 1, &err), HS_ERROR_UNSUPPORTED);
    assert_int_equal(decode(pdf, sizeof pdf - 1, &err), HS_ERROR_UNSUPPORTED);
    assert_int_equal(decode(ppm, sizeof ppm - 1, &err), HS_ERROR_UNSUPPORTED);
    assert_int_equal(decode("", 0, &err), HS_ERROR_UNSUPPORTED);
    assert_int_equal(decode(f->data, sizeof f->data, &err), HS_ERROR_UNSUPPORTED);
    assert_int_equal(hs_pixels_load("none/x.png", &out, &err), HS_ERROR_IO);
    assert_int_equal(hs_pixels_load(f->folder, &out, &err), HS_ERROR_IO);
    assert_int_equal(hs_pixels_load(NULL, &out, &err), HS_ERROR_ARGUMENT);
    char *path = in_folder(f, "empty.png");
    assert_ok(hs_file_write(path, "", 0, &err));
    assert_int_equal(hs_pixels_load(path, &out, &err), HS_ERROR_UNSUPPORTED);
    free(path);
}

/* A PNG of 100 000 x 100 000 pixels in some 60 bytes is refused by its header. */
static void test_bomb(void **state) {
    hs_error err;
    static const uint8_t png[] = {
        0x89, 'P',  'N',  'G',  '\r', '\n', 0x1A, '\n', 0,    0,    0,    13,   'I', 'H', 'D',
        'R',  0,    1,    0x86, 0xA0, 0,    1,    0x86, 0xA0, 8,    0,    0,    0,   0,   0x6A,
        0xE1, 0x4C, 0xC4, 0,    0,    0,    1,    'I',  'D',  'A',  'T',  0x78, 0,   0,   0,
        0,    0,    0,    0,    0,    'I',  'E',  'N',  'D',  0xAE, 0x42, 0x60, 0x82};
    hs_status status = decode(png, sizeof png, &err);
    assert_true(status == HS_ERROR_UNSUPPORTED || status == HS_ERROR_FORMAT);
}

/* Encode `image` with libvips itself, to see what other programs' files give. */
static void load_vips(VipsImage *image, const char *suffix, hs_pixels *out) {
    hs_error err;
    void *data;
    size_t size;
    assert_int_equal(vips_image_write_to_buffer(image, suffix, &data, &size, NULL), 0);
    assert_ok(hs_image_decode("foreign", data, size, out, &err));
    g_free(data);
}

static void test_orientation(void **state) {
    hs_error err;
    assert_ok(hs_vips_setup(&err));
    uint8_t pixels[] = {10, 20, 30, 40, 50, 60}; /* 3 wide, 2 high */
    VipsImage *image = vips_image_new_from_memory_copy(pixels, 6, 3, 2, 1, VIPS_FORMAT_UCHAR);
    vips_image_set_int(image, VIPS_META_ORIENTATION, 6); /* turn right to see it upright */
    hs_pixels out;
    load_vips(image, ".tif", &out);
    assert_int_equal(out.width, 2);
    assert_int_equal(out.height, 3);
    const uint8_t expected[] = {40, 10, 50, 20, 60, 30};
    assert_memory_equal(out.data, expected, 6);
    free(out.data);
    g_object_unref(image);
}

static void test_transparency_and_depth(void **state) {
    hs_error err;
    assert_ok(hs_vips_setup(&err));
    uint8_t rgba[] = {200, 100, 50, 255, 200, 100, 50, 0};
    VipsImage *image = vips_image_new_from_memory_copy(rgba, 8, 2, 1, 4, VIPS_FORMAT_UCHAR), *typed;
    assert_int_equal(vips_copy(image, &typed, "interpretation", VIPS_INTERPRETATION_sRGB, NULL), 0);
    hs_pixels out;
    load_vips(typed, ".png", &out);
    const uint8_t opaque[] = {200, 100, 50, 0, 0, 0};
    assert_int_equal(out.bands, 3);
    assert_memory_equal(out.data, opaque, 6);
    free(out.data);
    g_object_unref(typed);
    g_object_unref(image);

    uint16_t deep[] = {0, 0x8080, 0xFFFF};
    image = vips_image_new_from_memory_copy(deep, 6, 3, 1, 1, VIPS_FORMAT_USHORT);
    assert_int_equal(vips_copy(image, &typed, "interpretation", VIPS_INTERPRETATION_GREY16, NULL),
                     0);
    load_vips(typed, ".png", &out);
    const uint8_t shallow[] = {0, 128, 255};
    assert_int_equal(out.bands, 1);
    assert_memory_equal(out.data, shallow, 3);
    free(out.data);
    g_object_unref(typed);
    g_object_unref(image);
}

/* Several threads start libvips at once and go on working; run first. */
static void *work(void *ctx) {
    const fixture *f = ctx;
    hs_error err;
    for (int i = 0; i < 5; i++) {
        hs_pixels in = {W, H, 3, (uint8_t *)f->data}, out = {0};
        void *data = NULL;
        size_t size = 0;
        if (hs_image_encode("x", &in, HS_IMAGE_PNG, &data, &size, &err) != HS_OK ||
            hs_image_decode("x", data, size, &out, &err) != HS_OK ||
            memcmp(out.data, in.data, sizeof f->data) != 0)
            return "failed";
        free(data);
        free(out.data);
    }
    return NULL;
}

static void test_threads(void **state) {
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, *state), 0);
    for (int i = 0; i < 4; i++) {
        void *result;
        pthread_join(threads[i], &result);
        assert_null(result);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
        cmocka_unit_test_setup_teardown(test_round_trips, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gray_webp, setup, teardown),
        cmocka_unit_test_setup_teardown(test_save_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_leftovers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_an_image, setup, teardown),
        cmocka_unit_test(test_bomb),
        cmocka_unit_test(test_orientation),
        cmocka_unit_test(test_transparency_and_depth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
