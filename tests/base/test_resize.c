/* Resizing against Pillow's, which works in float there too (mode "F"). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/resize.h"
#include "io/tensor_set.h"
#include "support.h"

static float *hs_resized(const float *x, int h, int w, int out_h, int out_w, hs_resample filter) {
    hs_error err = {0};
    hs_resize_axis y_axis, x_axis;
    assert_ok(hs_resize_axis_make(h, out_h, filter, &y_axis, &err));
    assert_ok(hs_resize_axis_make(w, out_w, filter, &x_axis, &err));
    float *out = malloc((size_t)(out_h * out_w) * sizeof *out);
    float *scratch = malloc((size_t)(h * out_w) * sizeof *scratch);
    assert_true(out && scratch);
    hs_resize_planes(&y_axis, &x_axis, 1, x, out, scratch);
    free(scratch);
    hs_resize_axis_free(&y_axis);
    hs_resize_axis_free(&x_axis);
    return out;
}

/* Largest error observed: none. */
static void agrees_with_pillow(void **state) {
    static const char *const names[] = {"bilinear", "bicubic", "lanczos"};
    hs_tensor_set *set;
    hs_error err = {0};
    assert_ok(hs_safetensors_open("golden/classifiers/resize.safetensors", &set, &err));
    const hs_tensor *x = hs_tensor_set_find(set, "x");
    double worst = 0;
    int compared = 0;
    for (int i = 0; i < set->count; i++) {
        const hs_tensor *expected = &set->tensors[i];
        for (int f = 0; f < 3; f++) {
            if (strncmp(expected->name, names[f], strlen(names[f])))
                continue;
            float *y = hs_resized(x->data, (int)x->dim[0], (int)x->dim[1], (int)expected->dim[0],
                                  (int)expected->dim[1], (hs_resample)f);
            double error = hs_test_relative_error(y, expected->data, hs_tensor_count(expected));
            worst = error > worst ? error : worst;
            compared++;
            free(y);
        }
    }
    print_message("largest error: %.1e\n", worst);
    assert_int_equal(compared, 12);
    assert_true(worst <= 1.2e-7); /* a unit in the last place, for another libm */
    hs_tensor_set_free(set);
}

/* The weights of an output pixel sum to 1 and lie inside the image. */
static void weights_are_an_average(void **state) {
    static const int sizes[][2] = {{1, 1}, {1, 9}, {9, 1}, {13, 7}, {7, 13}, {512, 224}, {3, 1000}};
    for (int f = 0; f < 3; f++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            hs_error err = {0};
            hs_resize_axis axis;
            assert_ok(hs_resize_axis_make(sizes[s][0], sizes[s][1], (hs_resample)f, &axis, &err));
            for (int i = 0; i < axis.out; i++) {
                double sum = 0;
                assert_in_range(axis.count[i], 1, axis.taps);
                assert_in_range(axis.first[i] + axis.count[i], 1, axis.in);
                for (int k = 0; k < axis.count[i]; k++)
                    sum += axis.weights[i * axis.taps + k];
                assert_true(sum > 1 - 1e-12 && sum < 1 + 1e-12);
            }
            hs_resize_axis_free(&axis);
        }
}

static void equal_sizes_copy(void **state) {
    float x[5 * 8];
    hs_test_fill(3, x, 40);
    for (int f = 0; f < 3; f++) {
        float *y = hs_resized(x, 5, 8, 5, 8, (hs_resample)f);
        assert_memory_equal(y, x, sizeof x);
        free(y);
    }
}

static void absurd_sizes_are_refused(void **state) {
    hs_error err = {0};
    hs_resize_axis axis;
    assert_int_equal(hs_resize_axis_make(0, 4, HS_RESAMPLE_BILINEAR, &axis, &err),
                     HS_ERROR_ARGUMENT);
    assert_int_equal(hs_resize_axis_make(4, 1 << 21, HS_RESAMPLE_BILINEAR, &axis, &err),
                     HS_ERROR_ARGUMENT);
    assert_non_null(strstr(err.message, "2097152"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_pillow),
        cmocka_unit_test(weights_are_an_average),
        cmocka_unit_test(equal_sizes_copy),
        cmocka_unit_test(absurd_sizes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
