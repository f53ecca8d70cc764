/* Text in figures: UTF-8, escaping, measuring, breaking; numbers; axes. */
#include "support.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "figure/axis.h"
#include "figure/render.h"
#include "figure/svg.h"

static void assert_escaped(const char *text, const char *expected) {
    hs_svg svg = {0};
    hs_svg_escaped(&svg, text, strlen(text));
    hs_svg_raw_bytes(&svg, "", 1);
    assert_false(svg.failed);
    assert_string_equal(svg.data, expected);
    hs_svg_free(&svg);
}

static void test_escaping(void **state) {
    assert_escaped("a<b & \"c\" > 'd'", "a&lt;b &amp; &quot;c&quot; &gt; &#39;d&#39;");
    assert_escaped("\xCF\x83 \xCE\xB3 \xE2\x88\x92 \xF0\x9F\x99\x82",
                   "\xCF\x83 \xCE\xB3 \xE2\x88\x92 \xF0\x9F\x99\x82");
    assert_escaped("a\tb\nc", "a b c");
#define BAD "\xEF\xBF\xBD"
    assert_escaped("\xFFz\xC3", BAD "z" BAD); /* no UTF-8, cut short */
    assert_escaped("\xC0\xAF", BAD BAD);      /* overlong */
    assert_escaped("\xE0\x80\xAF", BAD);      /* overlong, three bytes */
    assert_escaped("\xED\xA0\x80", BAD);      /* a surrogate */
    assert_escaped("\xF4\x90\x80\x80", BAD);  /* beyond U+10FFFF */
    assert_escaped("\x01\x1B[", BAD BAD "["); /* forbidden in XML */
    assert_escaped("\xEF\xBF\xBE", BAD);      /* U+FFFE */
}

static void assert_lines(const char *text, double width, int lines, bool fits,
                         const char *expected) {
    hs_text_block block;
    char joined[200] = "";
    assert_int_equal(hs_text_layout(text, 10, width, lines, &block), fits);
    size_t used = 0;
    for (int i = 0; i < block.count; i++)
        used += (size_t)snprintf(joined + used, sizeof joined - used, "%s%.*s%s", i ? "|" : "",
                                 (int)block.lines[i].length, block.lines[i].start,
                                 block.lines[i].cut ? "~" : "");
    assert_string_equal(joined, expected);
    assert_true(block.width <= width + 1e-6);
    assert_true(fabs(block.height - block.count * HS_TEXT_LEADING * 10) < 1e-9);
}

static void test_layout(void **state) {
    assert_lines(NULL, 50, 3, true, "");
    assert_lines("", 50, 3, true, "");
    assert_lines("one two three", 1000, 3, true, "one two three");
    assert_lines("one two three", 50, 3, true, "one two|three");
    assert_lines("one\ntwo", 1000, 3, true, "one|two");
    assert_lines("Wearing_Hat", 50, 2, true, "Wearing_|Hat");
    assert_lines("one two three fourteen", 50, 2, false, "one two|three fo~");
    assert_lines("incomprehensible", 50, 2, false, "incomp~");
}

static void test_fit(void **state) {
    const char *labels[] = {"short", NULL, "incomprehensible"};
    double size = hs_text_fit(labels, 3, 20, 8, 100, 1);
    assert_true(size > 8 && size < 20);
    assert_true(size * hs_text_width(labels[2], strlen(labels[2])) <= 100);
    assert_true((size + 0.5) * hs_text_width(labels[2], strlen(labels[2])) > 100);
    assert_true(hs_text_fit(labels, 3, 20, 8, 10, 1) == 8);
    assert_true(hs_text_fit(NULL, 3, 20, 8, 10, 1) == 20);
}

/* What we reckon for a line is what the renderer draws, where it has the font;
 * with another font the drawn line must at least be there. */
static void test_width_against_drawing(void **state) {
    hs_error err;
    const char *text = "Component 2, +3 \xCF\x83 (12.5%)";
    hs_svg svg;
    hs_svg_begin(&svg, 600, 60);
    hs_svg_label(&svg, text, 32, 20, 30, (hs_text_style){.anchor = HS_ANCHOR_START});
    assert_ok(hs_svg_end(&svg, &err));
    hs_pixels pixels;
    assert_ok(hs_svg_render(&svg, 1, 1, &pixels, &err));
    int first = -1, last = -1, top = -1, bottom = -1;
    for (int i = 0; i < pixels.width * pixels.height; i++)
        if (pixels.data[i] < 128) {
            int x = i % pixels.width, y = i / pixels.width;
            first = first < 0 || x < first ? x : first;
            last = x > last ? x : last;
            top = top < 0 ? y : top;
            bottom = y;
        }
    double reckoned = 32 * hs_text_width(text, strlen(text));
    assert_true(first >= 18 && first <= 28);
    assert_true(fabs(last - first - reckoned) < 0.2 * reckoned);
    assert_true(top >= 10 && bottom <= 50); /* about the middle, y = 30 */
    free(pixels.data);
    hs_svg_free(&svg);
}

static void assert_fixed(double value, int decimals, int plus, const char *expected) {
    char text[HS_NUMBER_SIZE];
    hs_number_fixed(text, value, decimals, plus);
    assert_string_equal(text, expected);
}

#define MINUS "\xE2\x88\x92"

static void test_numbers(void **state) {
    setlocale(LC_ALL, ""); /* must not matter */
    assert_fixed(0.125, 2, 0, "0.13");
    assert_fixed(-0.5, 2, 0, MINUS "0.50");
    assert_fixed(-0.001, 2, 0, "0.00");
    assert_fixed(3, 0, 1, "+3");
    assert_fixed(0, 0, 1, "0");
    assert_fixed(-12345.678, 1, 0, MINUS "12345.7");
    assert_fixed(-3e20, 2, 0, MINUS "3e20");
    char text[HS_NUMBER_SIZE];
    hs_number_plain(text, -0.5, 3);
    assert_string_equal(text, "-0.5");
    hs_number_plain(text, 1e9, 3);
    assert_string_equal(text, "1000000000");
    hs_number_exponent(text, 9.999e-7);
    assert_string_equal(text, "1e" MINUS "6");
    hs_number_exponent(text, 5e-324);
    assert_non_null(strstr(text, "e" MINUS "324"));
}

static void test_axis(void **state) {
    hs_axis axis;
    hs_axis_make(0, 0.87, false, false, true, 6, &axis);
    assert_int_equal(axis.count, 6);
    assert_string_equal(axis.labels[0], "0.0");
    assert_string_equal(axis.labels[5], "1.0");
    assert_true(axis.low == 0 && fabs(axis.high - 1) < 1e-12);
    hs_axis_make(1, 3, false, true, false, 8, &axis); /* whole numbers only */
    assert_int_equal(axis.count, 3);
    assert_string_equal(axis.labels[2], "3");
    hs_axis_make(0.004, 90, true, false, true, 6, &axis);
    assert_string_equal(axis.labels[0], "0.001");
    assert_string_equal(axis.labels[axis.count - 1], "100");
    assert_true(fabs(hs_axis_position(&axis, 0.001)) < 1e-12);
    assert_true(fabs(hs_axis_position(&axis, 100) - 1) < 1e-12);
    /* No extent, extremes: ticks stay inside and finite. */
    const double ranges[][2] = {{5, 5}, {0, 0}, {-1e300, 1e300}, {1e-300, 2e-300}, {1e9, 1e9 + 1}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        hs_axis_make(ranges[i][0], ranges[i][1], false, false, true, 6, &axis);
        assert_true(isfinite(axis.low) && isfinite(axis.high) && axis.low < axis.high);
        assert_true(axis.count >= 2 && axis.count <= HS_AXIS_TICKS);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escaping), cmocka_unit_test(test_layout),
        cmocka_unit_test(test_fit),      cmocka_unit_test(test_width_against_drawing),
        cmocka_unit_test(test_numbers),  cmocka_unit_test(test_axis),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
