/* hs_pixels_fit: where it cuts, what it resizes to, gray and colour; and that
 * hs_tensor_from_pixels undoes hs_pixels_from_tensor. */
#include "support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* [height,width,3]: red is the column, green the row, blue 7. */
static hs_pixels hs_ramp(int width, int height) {
    hs_pixels pixels = {width, height, 3, malloc((size_t)width * (size_t)height * 3)};
    assert_non_null(pixels.data);
    for (int i = 0; i < width * height; i++) {
        pixels.data[3 * i] = (uint8_t)(i % width);
        pixels.data[3 * i + 1] = (uint8_t)(i / width);
        pixels.data[3 * i + 2] = 7;
    }
    return pixels;
}

static hs_pixels hs_fitted(const hs_pixels *in, const int *crop, int width, int height, int bands) {
    hs_error err;
    hs_pixels out;
    assert_ok(hs_pixels_fit("image", in, crop, width, height, bands, &out, &err));
    assert_true(out.width == width && out.height == height && out.bands == bands);
    return out;
}

/* A part of the wanted size is copied, from the place that was promised. */
static void test_cut(void **state) {
    static const struct {
        int width, height, crop[4], x, y; /* crop[2] 0: none */
    } cases[] = {{32, 32, {0}, 0, 0},
                 {50, 32, {0}, 9, 0},
                 {33, 32, {0}, 0, 0},
                 {32, 45, {0}, 0, 6},
                 {100, 90, {5, 9, 32, 32}, 5, 9},
                 {100, 90, {5, 9, 40, 32}, 9, 9},
                 {100, 90, {68, 58, 32, 32}, 68, 58}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        hs_pixels in = hs_ramp(cases[k].width, cases[k].height);
        hs_pixels out = hs_fitted(&in, cases[k].crop[2] ? cases[k].crop : NULL, 32, 32, 3);
        for (int i = 0; i < 32 * 32; i++) {
            assert_int_equal(out.data[3 * i], cases[k].x + i % 32);
            assert_int_equal(out.data[3 * i + 1], cases[k].y + i / 32);
            assert_int_equal(out.data[3 * i + 2], 7);
        }
        free(out.data);
        free(in.data);
    }
}

/* Not square, as some models are: the cut has the model's proportions. */
static void test_proportions(void **state) {
    hs_pixels in = hs_ramp(100, 90);
    hs_pixels out = hs_fitted(&in, NULL, 100, 50, 3);
    for (int i = 0; i < 100 * 50; i++)
        assert_int_equal(out.data[3 * i + 1], 20 + i / 100);
    free(out.data);
    free(in.data);
}

/* A ramp stays a ramp: resized means are where they should be, to one level
 * (largest seen: 0.5, away from the edges, which Lanczos bends). */
static void test_resize(void **state) {
    static const int sizes[] = {16, 64, 128, 250};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        int size = sizes[k];
        hs_pixels in = hs_ramp(256, 256), out = hs_fitted(&in, NULL, size, size, 3);
        double worst = 0;
        for (int y = 4; y < size - 4; y++)
            for (int x = 4; x < size - 4; x++) {
                const uint8_t *pixel = out.data + 3 * (y * size + x);
                double scale = 256.0 / size;
                worst = fmax(worst, fabs(pixel[0] - ((x + 0.5) * scale - 0.5)));
                worst = fmax(worst, fabs(pixel[1] - ((y + 0.5) * scale - 0.5)));
                assert_int_equal(pixel[2], 7);
            }
        print_message("256 to %d: %.3f\n", size, worst);
        assert_true(worst <= 1);
        free(out.data);
        free(in.data);
    }
}

/* One pixel, one row, one column become an image of their colour. */
static void test_tiny(void **state) {
    static const int sizes[][2] = {{1, 1}, {1, 40}, {40, 1}, {2, 3}, {3000, 2}};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        hs_pixels in = hs_ramp(sizes[k][0], sizes[k][1]);
        hs_pixels out = hs_fitted(&in, NULL, 32, 32, 3);
        for (int i = 0; i < 32 * 32; i++)
            assert_int_equal(out.data[3 * i + 2], 7);
        free(out.data);
        free(in.data);
    }
}

static void test_bands(void **state) {
    uint8_t colours[] = {255, 255, 255, 0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255, 10, 20, 30};
    static const uint8_t grays[] = {255, 0, 76, 150, 29, 18}; /* of ITU-R BT.601 */
    hs_pixels in = {6, 1, 3, colours}, gray = hs_fitted(&in, NULL, 6, 1, 1);
    assert_memory_equal(gray.data, grays, sizeof grays);
    hs_pixels back = hs_fitted(&gray, NULL, 6, 1, 3);
    for (int i = 0; i < 18; i++)
        assert_int_equal(back.data[i], grays[i / 3]);
    free(back.data);
    free(gray.data);
}

static void test_tensor(void **state) {
    uint8_t data[2 * 3 * 3];
    float x[2 * 3 * 3];
    hs_error err;
    for (int i = 0; i < 18; i++)
        data[i] = (uint8_t)(i * 15);
    hs_pixels in = {2, 3, 3, data}, out;
    hs_tensor_from_pixels(&in, x);
    assert_true(x[0] == -1 && x[6] == (float)(15 / 127.5 - 1) && x[17] == 1);
    assert_true(x[1] == (float)(45 / 127.5 - 1)); /* red of the second pixel */
    assert_ok(hs_pixels_from_tensor(x, 3, 3, 2, &out, &err));
    assert_memory_equal(out.data, data, sizeof data);
    free(out.data);
}

static void hs_refuse(const hs_pixels *in, const int *crop, int size, int bands, const char *part) {
    hs_error err;
    hs_pixels out = {.width = -1};
    assert_int_equal(hs_pixels_fit("a.jpg", in, crop, size, size, bands, &out, &err),
                     HS_ERROR_ARGUMENT);
    if (!strstr(err.message, part) || !strstr(err.message, "a.jpg"))
        fail_msg("\"%s\" is not in \"%s\"", part, err.message);
    assert_int_equal(out.width, -1);
}

static void test_refuses(void **state) {
    hs_pixels in = hs_ramp(50, 40), bad = in;
    static const int crops[][4] = {{0, 0, 51, 40},  {0, 0, 50, 41},          {-1, 0, 10, 10},
                                   {0, -1, 10, 10}, {50, 0, 1, 1},           {10, 10, 0, 5},
                                   {10, 10, 5, -5}, {2147483647, 0, 10, 10}, {1, 1, 2147483647, 3}};
    for (size_t i = 0; i < sizeof crops / sizeof *crops; i++)
        hs_refuse(&in, crops[i], 32, 3, "does not lie in the image, which is 50 x 40");
    hs_refuse(&in, NULL, 0, 3, "cannot be made 0 x 0");
    hs_refuse(&in, NULL, 100000, 3, "cannot be made 100000");
    hs_refuse(&in, NULL, 32, 4, "with 4 bands");
    bad.bands = 2;
    hs_refuse(&bad, NULL, 32, 3, "1 or 3 bands");
    bad.data = NULL;
    hs_refuse(&bad, NULL, 32, 3, "1 or 3 bands");
    free(in.data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut),    cmocka_unit_test(test_proportions),
        cmocka_unit_test(test_resize), cmocka_unit_test(test_tiny),
        cmocka_unit_test(test_bands),  cmocka_unit_test(test_tensor),
        cmocka_unit_test(test_refuses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
