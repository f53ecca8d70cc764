/* The labelled grid: where pixels land, and what is refused. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "figure/grid_layout.h"
#include "io/file.h"
#include "io/image.h"

enum { ROWS = 3, COLUMNS = 4, W = 7, H = 5 };

typedef struct fixture {
    char *folder;
    uint8_t data[ROWS * COLUMNS][W * H * 3];
    hs_pixels cells[ROWS * COLUMNS];
    hs_grid grid;
} fixture;

static const char *const row_labels[ROWS] = {"seed 3 <&>", NULL,
                                             "\xCF\x83 = \xE2\x88\x92"
                                             "1"};
static const char *const column_labels[COLUMNS] = {"a", "b", NULL, "\"d\""};
static const int group_rows[2] = {2, 1};
static const char *const group_labels[2] = {"principal components", "random"};

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    f->folder = hs_test_make_folder();
    uint64_t random = 5;
    for (int i = 0; i < ROWS * COLUMNS; i++) {
        for (int j = 0; j < W * H * 3; j++)
            f->data[i][j] = (uint8_t)(127.5 * (hs_test_random(&random) + 1));
        f->cells[i] = (hs_pixels){W, H, 3, f->data[i]};
    }
    f->cells[6].data = NULL; /* a blank one */
    f->grid = (hs_grid){.rows = ROWS,
                        .columns = COLUMNS,
                        .cells = f->cells,
                        .title = "Title & <all>",
                        .row_labels = row_labels,
                        .column_labels = column_labels,
                        .group_count = 2,
                        .group_rows = group_rows,
                        .group_labels = group_labels};
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

/* Save, read back, and compare each cell's pixels with the enlarged input. */
static void check_placement(fixture *f, const char *name, int scale) {
    hs_error err;
    char *path = in_folder(f, name);
    hs_grid_layout layout;
    hs_pixels page;
    f->grid.scale = scale;
    assert_ok(hs_grid_layout_make(&f->grid, path, HS_IMAGE_PNG, &layout, &err));
    assert_ok(hs_grid_save(&f->grid, path, &err));
    assert_ok(hs_pixels_load(path, &page, &err));
    assert_int_equal(page.width, layout.width);
    assert_int_equal(page.height, layout.height);
    assert_int_equal(page.bands, layout.gray ? 1 : 3);
    for (int i = 0; i < ROWS * COLUMNS; i++) {
        int x0 = layout.x0 + i % COLUMNS * (layout.cell_w + layout.gap);
        int y0 = layout.row_y[i / COLUMNS];
        for (int y = 0; y < layout.cell_h; y++)
            for (int x = 0; x < layout.cell_w; x++)
                for (int b = 0; b < page.bands; b++) {
                    const hs_pixels *cell = &f->cells[i];
                    int from = (y / layout.scale * W + x / layout.scale) * cell->bands;
                    int value = cell->data ? cell->data[from + (cell->bands == 3 ? b : 0)] : 255;
                    assert_int_equal(page.data[((y0 + y) * page.width + x0 + x) * page.bands + b],
                                     value);
                }
    }
    free(page.data);
    free(layout.row_y);
    free(path);
}

static void test_exact_pixels(void **state) {
    fixture *f = *state;
    check_placement(f, "chosen.png", 0);
    check_placement(f, "three.png", 3);
    check_placement(f, "one.webp", 1);
}

static void test_gray(void **state) {
    fixture *f = *state;
    f->cells[1].bands = 1; /* one gray cell among colour ones */
    check_placement(f, "mixed.png", 2);
    for (int i = 0; i < ROWS * COLUMNS; i++)
        f->cells[i].bands = 1;
    check_placement(f, "gray.png", 0);
}

/* Labels are drawn, inside of the margins, and cells do not touch. */
static void test_margins(void **state) {
    fixture *f = *state;
    hs_error err;
    char *path = in_folder(f, "margins.png");
    hs_grid_layout layout;
    hs_pixels page;
    for (int i = 0; i < ROWS * COLUMNS; i++)
        memset(f->data[i], 0, sizeof f->data[i]);
    assert_ok(hs_grid_layout_make(&f->grid, path, HS_IMAGE_PNG, &layout, &err));
    assert_ok(hs_grid_save(&f->grid, path, &err));
    assert_ok(hs_pixels_load(path, &page, &err));
    int left = page.width, top = page.height, right = -1, bottom = -1, above = 0, beside = 0;
    for (int y = 0; y < page.height; y++)
        for (int x = 0; x < page.width; x++)
            if (page.data[(y * page.width + x) * page.bands] < 200) {
                left = x < left ? x : left;
                right = x > right ? x : right;
                top = y < top ? y : top;
                bottom = y > bottom ? y : bottom;
                above += y < layout.row_y[0];
                beside += x < layout.x0;
            }
    int margin = page.width - 1 - right;
    assert_true(margin >= 8);
    assert_int_equal(page.height - 1 - bottom, margin);
    assert_in_range(left, margin - 2, margin + 6);
    assert_in_range(top, margin - 2, margin + 6);
    assert_true(above > 50 && beside > 50);
    assert_true(layout.row_y[2] - layout.row_y[1] > layout.row_y[1] - layout.row_y[0]);
    free(page.data);
    free(layout.row_y);
    free(path);
}

static void test_scale(void **state) {
    fixture *f = *state;
    hs_error err;
    hs_grid_layout layout;
    const struct {
        int side, columns, scale;
    } cases[] = {{32, 1, 3}, {64, 7, 2}, {96, 5, 1}, {256, 3, 1}, {32, 40, 1}, {28, 30, 2}};
    uint8_t *data = calloc(256 * 256, 1);
    hs_pixels cells[40];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int c = 0; c < cases[i].columns; c++)
            cells[c] = (hs_pixels){cases[i].side, cases[i].side, 1, data};
        hs_grid grid = {.rows = 1, .columns = cases[i].columns, .cells = cells};
        assert_ok(hs_grid_layout_make(&grid, f->folder, HS_IMAGE_PNG, &layout, &err));
        assert_int_equal(layout.scale, cases[i].scale);
        free(layout.row_y);
    }
    free(data);
}

static int count_of(const char *text, const char *part) {
    int count = 0;
    for (const char *p = text; (p = strstr(p, part)); p++)
        count++;
    return count;
}

static void test_svg(void **state) {
    fixture *f = *state;
    hs_error err;
    char *path = in_folder(f, "grid.svg");
    assert_ok(hs_grid_save(&f->grid, path, &err));
    hs_file file;
    assert_ok(hs_file_map(path, &file, &err));
    char *text = calloc(file.size + 1, 1);
    memcpy(text, file.data, file.size);
    assert_int_equal(count_of(text, "<image "), ROWS * COLUMNS - 1);
    assert_int_equal(count_of(text, "image-rendering:pixelated"), ROWS * COLUMNS - 1);
    assert_non_null(strstr(text, "Title &amp; &lt;all&gt;"));
    assert_non_null(strstr(text, "seed 3 &lt;&amp;&gt;"));
    assert_non_null(strstr(text, "&quot;d&quot;"));
    assert_int_equal(count_of(text, "<text"), 1 + 2 + 3 + 2 + count_of(text, ">components<"));
    free(text);
    hs_file_unmap(&file);
    /* A foreign image may be many things, but not SVG. */
    hs_pixels page;
    assert_int_equal(hs_pixels_load(path, &page, &err), HS_ERROR_UNSUPPORTED);
    free(path);
}

static void check_refused(fixture *f, const char *name, hs_status code, const char *part) {
    hs_error err;
    char *path = in_folder(f, name);
    struct stat info;
    assert_int_equal(hs_grid_save(&f->grid, path, &err), code);
    if (!strstr(err.message, part))
        fail_msg("\"%s\" is not in \"%s\"", part, err.message);
    assert_non_null(strstr(err.message, name));
    assert_int_not_equal(stat(path, &info), 0);
    free(path);
}

static void test_refused(void **state) {
    fixture *f = *state;
    hs_grid good = f->grid;
    check_refused(f, "x.bmp", HS_ERROR_ARGUMENT, ".png, .jpg, .jpeg, .webp or .svg");
    check_refused(f, "png", HS_ERROR_ARGUMENT, "without an ending");
    check_refused(f, "none/x.png", HS_ERROR_IO, "No such file");
    f->grid.rows = 0;
    check_refused(f, "x.png", HS_ERROR_ARGUMENT, "0 rows x 4 columns");
    f->grid.rows = 1000000000;
    check_refused(f, "x.png", HS_ERROR_ARGUMENT, "1000000000 rows");
    f->grid = good;
    f->grid.cells = NULL;
    check_refused(f, "x.png", HS_ERROR_ARGUMENT, "no cells");
    f->grid = good;
    f->grid.scale = 1000;
    check_refused(f, "x.webp", HS_ERROR_ARGUMENT, "at most 16383");
    f->grid.scale = 1024;
    f->grid.group_count = 0;
    f->grid.rows = 1;
    check_refused(f, "x.webp", HS_ERROR_ARGUMENT, "at most 16383");
    f->grid.scale = -1;
    check_refused(f, "x.png", HS_ERROR_ARGUMENT, "found -1");
    f->grid = good;
    f->grid.group_rows = (const int[]){2, 2};
    check_refused(f, "x.png", HS_ERROR_ARGUMENT, "4 rows, the grid 3");
    f->grid.group_rows = (const int[]){3, 0};
    check_refused(f, "x.png", HS_ERROR_ARGUMENT, "group 1 has 0");
    f->grid = good;
    f->cells[5].width = 8;
    check_refused(f, "x.png", HS_ERROR_ARGUMENT, "cell 1, 1");
    f->cells[5].width = W;
    f->cells[5].bands = 2;
    check_refused(f, "x.png", HS_ERROR_ARGUMENT, "with 2");
    for (int i = 0; i < ROWS * COLUMNS; i++)
        f->cells[i].data = NULL;
    check_refused(f, "x.png", HS_ERROR_ARGUMENT, "none of the 3 x 4 cells");
}

static void test_too_wide(void **state) {
    fixture *f = *state;
    hs_error err;
    uint8_t *data = calloc(400, 1);
    hs_pixels *cells = calloc(4000, sizeof *cells);
    for (int i = 0; i < 4000; i++)
        cells[i] = (hs_pixels){20, 20, 1, data};
    f->grid = (hs_grid){.rows = 1, .columns = 4000, .cells = cells};
    check_refused(f, "x.jpg", HS_ERROR_ARGUMENT, "fewer rows or columns");
    f->grid.columns = 1000; /* 22 998 pixels with gaps: for JPEG, not for WebP */
    check_refused(f, "x.webp", HS_ERROR_ARGUMENT, "at most 16383");
    char *path = in_folder(f, "wide.jpg");
    assert_ok(hs_grid_save(&f->grid, path, &err));
    free(path);
    free(cells);
    free(data);
}

/* Hostile text never breaks the drawing. */
static void test_hostile_labels(void **state) {
    fixture *f = *state;
    hs_error err;
    char *path = in_folder(f, "hostile.png");
    char *longest = malloc(20001);
    memset(longest, 'm', 20000);
    longest[20000] = '\0';
    const char *rows[ROWS] = {"]]></text><script>", "\xFF\xFE\x01", longest};
    f->grid.row_labels = rows;
    f->grid.title = longest;
    f->grid.group_labels = (const char *const[]){longest, ""};
    assert_ok(hs_grid_save(&f->grid, path, &err));
    free(longest);
    free(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_exact_pixels, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gray, setup, teardown),
        cmocka_unit_test_setup_teardown(test_margins, setup, teardown),
        cmocka_unit_test_setup_teardown(test_scale, setup, teardown),
        cmocka_unit_test_setup_teardown(test_svg, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_wide, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hostile_labels, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
