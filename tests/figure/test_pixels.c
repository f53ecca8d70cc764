/* Floats to pixels: rounding, clamping, refusals; heat maps; palettes. */
#include "support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "figure/palette.h"

static void test_rounding(void **state) {
    hs_error err;
    /* Every byte survives u8 / 127.5 - 1 and back, and so does half a step less
     * than what would make it another. */
    float x[256 * 3];
    for (int i = 0; i < 256; i++) {
        x[i] = (float)i / 127.5f - 1;
        x[256 + i] = (float)((i + 0.49) / 127.5 - 1);
        x[512 + i] = (float)((i - 0.49) / 127.5 - 1);
    }
    hs_pixels pixels;
    assert_ok(hs_pixels_from_tensor(x, 1, 3, 256, &pixels, &err));
    assert_int_equal(pixels.bands, 1);
    for (int i = 0; i < 768; i++)
        assert_int_equal(pixels.data[i], i % 256);
    free(pixels.data);
}

static void test_clamping_and_order(void **state) {
    hs_error err;
    /* [3, 1, 2]: planes in, interleaved out. */
    const float x[] = {-7, 1e30f, 0, -INFINITY, INFINITY, -1};
    hs_pixels pixels;
    assert_ok(hs_pixels_from_tensor(x, 3, 1, 2, &pixels, &err));
    const uint8_t expected[] = {0, 128, 255, 255, 0, 0};
    assert_memory_equal(pixels.data, expected, 6);
    free(pixels.data);
}

static void test_refused(void **state) {
    hs_error err;
    float x[12] = {0};
    hs_pixels pixels = {.width = 77};
    x[7] = NAN;
    assert_int_equal(hs_pixels_from_tensor(x, 3, 2, 2, &pixels, &err), HS_ERROR_NUMERIC);
    assert_non_null(strstr(err.message, "[1, 1, 1]"));
    assert_int_equal(hs_pixels_from_tensor(x, 2, 2, 2, &pixels, &err), HS_ERROR_ARGUMENT);
    assert_int_equal(hs_pixels_from_tensor(x, 3, 0, 2, &pixels, &err), HS_ERROR_ARGUMENT);
    assert_int_equal(hs_pixels_from_tensor(NULL, 3, 2, 2, &pixels, &err), HS_ERROR_ARGUMENT);
    assert_int_equal(pixels.width, 77); /* untouched */
}

static void test_palettes_are_even(void **state) {
    /* L* is linear in the value, as far as 8 bits a channel can say it: largest
     * deviation observed 0.47. */
    for (int i = 0; i <= 256; i++) {
        uint8_t rgb[3];
        double t = i / 256.0;
        hs_palette_absolute(t, rgb);
        assert_true(fabs(hs_palette_lightness(rgb) - (6 + 90 * t)) < 1);
        hs_palette_signed(t, rgb);
        assert_true(fabs(hs_palette_lightness(rgb) - (100 - 62 * t)) < 1);
        hs_palette_signed(-t, rgb);
        assert_true(fabs(hs_palette_lightness(rgb) - (100 - 62 * t)) < 1);
    }
}

static void test_heatmap(void **state) {
    hs_error err;
    /* [2, 1, 4]: the signed map is the mean 0, 1, -1, 0; the absolute one the
     * root mean square 0, 1, 1, 2. */
    const float x[] = {0, 1, -1, 2, 0, 1, -1, -2};
    uint8_t rgb[3];
    hs_pixels map;
    assert_ok(hs_heatmap_from_tensor(x, 2, 1, 4, HS_HEATMAP_SIGNED, 0, &map, &err));
    assert_int_equal(map.bands, 3);
    const double signed_values[] = {0, 1, -1, 0}, absolute_values[] = {0, 0.5, 0.5, 1};
    for (int i = 0; i < 4; i++) {
        hs_palette_signed(signed_values[i], rgb);
        assert_memory_equal(map.data + 3 * i, rgb, 3);
    }
    assert_int_equal(map.data[0] + map.data[1] + map.data[2], 3 * 255);
    free(map.data);
    assert_ok(hs_heatmap_from_tensor(x, 2, 1, 4, HS_HEATMAP_ABSOLUTE, 0, &map, &err));
    for (int i = 0; i < 4; i++) {
        hs_palette_absolute(absolute_values[i], rgb);
        assert_memory_equal(map.data + 3 * i, rgb, 3);
    }
    free(map.data);
    /* Beyond a given limit the colour stays that of the limit. */
    assert_ok(hs_heatmap_from_tensor(x, 1, 1, 4, HS_HEATMAP_SIGNED, 1, &map, &err));
    assert_memory_equal(map.data + 3, map.data + 9, 3);
    free(map.data);

    const float bad[] = {0, INFINITY};
    assert_int_equal(hs_heatmap_from_tensor(bad, 1, 1, 2, HS_HEATMAP_SIGNED, 0, &map, &err),
                     HS_ERROR_NUMERIC);
    assert_int_equal(hs_heatmap_from_tensor(x, 1, 1, 4, HS_HEATMAP_SIGNED, -1, &map, &err),
                     HS_ERROR_ARGUMENT);
    assert_int_equal(hs_heatmap_from_tensor(x, 0, 1, 4, HS_HEATMAP_SIGNED, 0, &map, &err),
                     HS_ERROR_ARGUMENT);
}

static void test_heatmap_of_zeros(void **state) {
    hs_error err;
    const float x[4] = {0};
    hs_pixels map;
    assert_ok(hs_heatmap_from_tensor(x, 1, 2, 2, HS_HEATMAP_SIGNED, 0, &map, &err));
    for (int i = 0; i < 12; i++)
        assert_int_equal(map.data[i], 255);
    free(map.data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rounding), cmocka_unit_test(test_clamping_and_order),
        cmocka_unit_test(test_refused),  cmocka_unit_test(test_palettes_are_even),
        cmocka_unit_test(test_heatmap),  cmocka_unit_test(test_heatmap_of_zeros),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
