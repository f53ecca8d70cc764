/* Plots and matrices: they are drawn, well-formed, and bad numbers refused. */
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "figure/palette.h"
#include "io/file.h"

static char *read_text(const char *path) {
    hs_error err;
    hs_file file;
    assert_ok(hs_file_map(path, &file, &err));
    char *text = calloc(file.size + 1, 1);
    memcpy(text, file.data, file.size);
    hs_file_unmap(&file);
    return text;
}

/* Pixels of the colour, give or take what antialiasing leaves untouched. */
static int count_color(const hs_pixels *pixels, const uint8_t rgb[3]) {
    int count = 0;
    for (int i = 0; i < pixels->width * pixels->height; i++)
        count += memcmp(pixels->data + 3 * i, rgb, 3) == 0;
    return count;
}

static void test_plot(void **state) {
    hs_error err;
    char *folder = hs_test_make_folder();
    char *png = hs_format("%s/plot.png", folder), *svg = hs_format("%s/plot.svg", folder);
    const double y[] = {4, 2, 1, 0.5}, z[] = {0.5, 1, 2, 4}, x[] = {1, 2, 3, 4};
    const hs_series series[] = {{4, x, y, "falls & <ends>"}, {4, x, z, "rises"}};
    hs_plot plot = {"Title", "component", "\xCF\x83", series, 2, false, true};
    assert_ok(hs_plot_save(&plot, svg, &err));
    char *text = read_text(svg);
    assert_non_null(strstr(text, "falls &amp; &lt;ends&gt;"));
    assert_non_null(strstr(text, ">component<"));
    const char *first = strstr(text, "<polyline");
    assert_non_null(first);
    assert_non_null(strstr(first + 1, "<polyline"));
    free(text);
    for (int logarithmic = 0; logarithmic < 2; logarithmic++) {
        plot.log_y = logarithmic;
        assert_ok(hs_plot_save(&plot, png, &err));
        hs_pixels pixels;
        assert_ok(hs_pixels_load(png, &pixels, &err));
        assert_true(pixels.width > 900 && pixels.height > 600);
        for (int s = 0; s < 2; s++) {
            uint8_t rgb[3];
            hs_palette_line(s, 2, rgb);
            assert_true(count_color(&pixels, rgb) > 500);
        }
        free(pixels.data);
    }
    hs_test_remove_folder(folder);
    free(folder);
    free(png);
    free(svg);
}

static void check_plot_refused(const hs_plot *plot, hs_status code, const char *part) {
    hs_error err;
    assert_int_equal(hs_plot_save(plot, "none/never.png", &err), code);
    if (!strstr(err.message, part))
        fail_msg("\"%s\" is not in \"%s\"", part, err.message);
}

static void test_plot_refused(void **state) {
    double y[] = {1, 2, -3};
    hs_series series = {3, NULL, y, "s"};
    hs_plot plot = {.series = &series, .series_count = 1};
    check_plot_refused(&plot, HS_ERROR_IO, "none/never.png");
    check_plot_refused(NULL, HS_ERROR_ARGUMENT, "found 0");
    plot.log_y = true;
    check_plot_refused(&plot, HS_ERROR_ARGUMENT, "found -3 at point 2");
    plot.log_y = false;
    y[1] = NAN;
    check_plot_refused(&plot, HS_ERROR_NUMERIC, "at point 1");
    series.count = 0;
    check_plot_refused(&plot, HS_ERROR_ARGUMENT, "found 0");
    series.count = 3;
    plot.series_count = 1000000000;
    check_plot_refused(&plot, HS_ERROR_ARGUMENT, "found 1000000000");
}

/* One point, constant lines, extremes, more series than the legend has room. */
static void test_plot_extremes(void **state) {
    hs_error err;
    char *folder = hs_test_make_folder(), *path = hs_format("%s/plot.svg", folder);
    const double values[] = {7, 7, 1e300, -1e300, 1e-300};
    hs_series series[60];
    for (int i = 0; i < 60; i++)
        series[i] = (hs_series){1, NULL, values, i % 2 ? "label" : NULL};
    hs_plot plot = {.series = series, .series_count = 60};
    assert_ok(hs_plot_save(&plot, path, &err));
    plot.series_count = 1;
    for (int count = 1; count <= 5; count++) {
        series[0].count = count;
        assert_ok(hs_plot_save(&plot, path, &err));
        char *text = read_text(path);
        assert_null(strstr(text, "nan"));
        assert_null(strstr(text, "inf"));
        free(text);
    }
    hs_test_remove_folder(folder);
    free(folder);
    free(path);
}

static void test_matrix(void **state) {
    hs_error err;
    char *folder = hs_test_make_folder();
    char *png = hs_format("%s/m.png", folder), *svg = hs_format("%s/m.svg", folder);
    const double values[] = {0.5, -1, 0, 0.25, 1, -0.125}, deviations[] = {0.01, 0, 0, 0, 0, 0};
    const char *rows[] = {"Smiling", "A&B"}, *columns[] = {"x", "Wearing_Hat", NULL};
    hs_matrix matrix = {.rows = 2,
                        .columns = 3,
                        .values = values,
                        .deviations = deviations,
                        .title = "Effects",
                        .row_labels = rows,
                        .column_labels = columns,
                        .row_title = "direction",
                        .column_title = "attribute"};
    assert_ok(hs_matrix_save(&matrix, svg, &err));
    char *text = read_text(svg);
    assert_non_null(strstr(text, ">\xE2\x88\x92"
                                 "1.00<"));
    assert_non_null(strstr(text, ">\xC2\xB1"
                                 "0.01<"));
    assert_non_null(strstr(text, ">A&amp;B<"));
    free(text);
    assert_ok(hs_matrix_save(&matrix, png, &err));
    hs_pixels pixels;
    assert_ok(hs_pixels_load(png, &pixels, &err));
    for (int i = 0; i < 6; i++) {
        uint8_t rgb[3];
        hs_palette_signed(values[i], rgb);
        assert_true(count_color(&pixels, rgb) > 1000); /* the cell, behind its number */
    }
    free(pixels.data);
    hs_test_remove_folder(folder);
    free(folder);
    free(png);
    free(svg);
}

static int count_text(const char *text, const char *part) {
    int count = 0;
    while ((text = strstr(text, part)) != NULL) {
        text += strlen(part);
        count++;
    }
    return count;
}

/* Groups of columns are named above and set apart, marked cells framed. */
static void test_matrix_groups(void **state) {
    hs_error err;
    char *folder = hs_test_make_folder(), *svg = hs_format("%s/g.svg", folder);
    const double values[] = {0.5, -1, 0, 0.25, 1, -0.125};
    const char *labels[] = {"before", "after"};
    const int columns[] = {2, 1};
    const bool marks[] = {true, false, false, false, true, false};
    hs_matrix matrix = {.rows = 2, .columns = 3, .values = values};
    assert_ok(hs_matrix_save(&matrix, svg, &err));
    char *plain = read_text(svg);
    matrix.group_count = 2;
    matrix.group_columns = columns;
    matrix.group_labels = labels;
    matrix.marks = marks;
    assert_ok(hs_matrix_save(&matrix, svg, &err));
    char *text = read_text(svg);
    assert_non_null(strstr(text, ">before<"));
    assert_non_null(strstr(text, ">after<"));
    /* four sides a frame, a line under each name */
    assert_int_equal(count_text(text, "<line"), count_text(plain, "<line") + 2 * 4 + 2);
    double narrow = 0, wide = 0;
    assert_int_equal(sscanf(strstr(plain, "width=\""), "width=\"%lf", &narrow), 1);
    assert_int_equal(sscanf(strstr(text, "width=\""), "width=\"%lf", &wide), 1);
    assert_true(wide > narrow);
    free(text);
    free(plain);
    hs_test_remove_folder(folder);
    free(folder);
    free(svg);
}

static void check_matrix_refused(const hs_matrix *matrix, hs_status code, const char *part) {
    hs_error err;
    assert_int_equal(hs_matrix_save(matrix, "none/never.png", &err), code);
    if (!strstr(err.message, part))
        fail_msg("\"%s\" is not in \"%s\"", part, err.message);
}

static void test_matrix_refused(void **state) {
    double values[] = {0, 1, 2, 3}, deviations[] = {0, 0, -1, 0};
    hs_matrix matrix = {.rows = 2, .columns = 2, .values = values};
    check_matrix_refused(&matrix, HS_ERROR_IO, "none/never.png");
    matrix.deviations = deviations;
    check_matrix_refused(&matrix, HS_ERROR_NUMERIC, "row 1, column 0");
    matrix.deviations = NULL;
    values[3] = INFINITY;
    check_matrix_refused(&matrix, HS_ERROR_NUMERIC, "row 1, column 1");
    matrix.rows = 1000000000;
    check_matrix_refused(&matrix, HS_ERROR_ARGUMENT, "1000000000 rows");
    matrix.rows = 1;
    matrix.limit = -1;
    check_matrix_refused(&matrix, HS_ERROR_ARGUMENT, "found -1");
    matrix.limit = 0;
    matrix.decimals = 40;
    check_matrix_refused(&matrix, HS_ERROR_ARGUMENT, "40");
    const int few[] = {1}, none[] = {2, 0};
    const char *labels[] = {"a", "b"};
    matrix.decimals = 0;
    matrix.group_count = 1;
    matrix.group_columns = few;
    matrix.group_labels = labels;
    check_matrix_refused(&matrix, HS_ERROR_ARGUMENT, "groups of 1 columns in all, expected 2");
    matrix.group_count = 2;
    matrix.group_columns = none;
    check_matrix_refused(&matrix, HS_ERROR_ARGUMENT, "group 1 has 0 columns");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plot),          cmocka_unit_test(test_plot_refused),
        cmocka_unit_test(test_plot_extremes), cmocka_unit_test(test_matrix),
        cmocka_unit_test(test_matrix_groups), cmocka_unit_test(test_matrix_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
