/*
 * Convolutions with fixed factors against sums in double: 1x1, and 3x3 of stride 2 and 1, of
 * sizes that fill no block and channels that fill no vector, of concatenated parts, with the
 * padding of both sides unlike, on every instruction set that this CPU runs. Then what
 * fixed factors could get wrong: sums at the limit of 32 bits, pixels that are zero, tiny
 * or not finite; and that how the work is cut changes nothing.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backends/kernels/kernels.h"
#include "base/mem.h"
#include "support.h"

typedef struct fixed_case {
    hs_conv_fixed_spec spec;
    bool bias, residual;
} fixed_case;

typedef struct fixed_data {
    int in_c, taps;
    int64_t pixels;
    float *src[HS_WINOGRAD_PARTS], *w, *bias, *residual, *got;
    double *want;
} fixed_data;

static float *random_floats(uint64_t seed, int64_t count) {
    float *x = hs_alloc_aligned((size_t)count, sizeof *x);
    assert_non_null(x);
    hs_test_fill(seed, x, count);
    return x;
}

static void make_data(const fixed_case *c, fixed_data *d) {
    const hs_conv_fixed_spec *s = &c->spec;
    *d = (fixed_data){.taps = s->side * s->side, .pixels = (int64_t)s->h * s->w};
    for (int i = 0; i < s->part_count; i++) {
        d->src[i] = random_floats(10 + (uint64_t)i, (int64_t)s->in_h * s->in_w * s->part_c[i]);
        d->in_c += s->part_c[i];
    }
    d->w = random_floats(2, (int64_t)s->out_c * d->in_c * d->taps);
    d->bias = random_floats(3, s->out_c);
    d->residual = random_floats(4, d->pixels * s->out_c);
    d->got = random_floats(5, d->pixels * s->out_c);
    d->want = hs_calloc((size_t)(d->pixels * s->out_c), sizeof *d->want);
    assert_non_null(d->want);
}

static void free_data(fixed_data *d) {
    for (int i = 0; i < HS_WINOGRAD_PARTS; i++)
        free(d->src[i]);
    free(d->w);
    free(d->bias);
    free(d->residual);
    free(d->got);
    free(d->want);
}

/* One value of the result: the definition. */
static double direct_value(const fixed_case *c, const fixed_data *d, int y, int x, int k) {
    const hs_conv_fixed_spec *s = &c->spec;
    double sum = 0;
    for (int tap = 0; tap < d->taps; tap++) {
        int in_y = y * s->stride - s->pad_top + tap / s->side;
        int in_x = x * s->stride - s->pad_left + tap % s->side;
        if (in_y < 0 || in_y >= s->in_h || in_x < 0 || in_x >= s->in_w)
            continue;
        int64_t at = (int64_t)in_y * s->in_w + in_x;
        const float *w = d->w + (int64_t)k * d->in_c * d->taps + tap;
        for (int part = 0; part < s->part_count; part++)
            for (int q = 0; q < s->part_c[part]; q++, w += d->taps)
                sum += (double)d->src[part][at * s->part_c[part] + q] * (double)*w;
    }
    int64_t at = ((int64_t)y * s->w + x) * s->out_c + k;
    return sum + (c->bias ? (double)d->bias[k] : 0) + (c->residual ? (double)d->residual[at] : 0);
}

static void direct(const fixed_case *c, fixed_data *d) {
    int64_t at = 0;
    for (int y = 0; y < c->spec.h; y++)
        for (int x = 0; x < c->spec.w; x++)
            for (int k = 0; k < c->spec.out_c; k++)
                d->want[at++] = direct_value(c, d, y, x, k);
}

/* The sums that were left of each unit are those of what is in got, and the squares those
 * about the unit's mean. */
static void check_sums(const hs_conv_fixed_plan *plan, const fixed_data *d, const float *sums) {
    int out_c = plan->spec.out_c;
    for (int unit = 0; unit < plan->units; unit++)
        for (int k = 0; k < out_c; k++) {
            double sum = 0, squares = 0, size = 0;
            int64_t first = (int64_t)unit * HS_CONV_FIXED_UNIT, end = first + HS_CONV_FIXED_UNIT;
            end = end < d->pixels ? end : d->pixels;
            for (int64_t i = first; i < end; i++) {
                double value = (double)d->got[i * out_c + k];
                sum += value;
                size += fabs(value);
                squares += value * value;
            }
            const float *got = sums + (int64_t)unit * 2 * out_c + k;
            if (isfinite(sum) && size < 1e30) { /* squares beyond are not */
                assert_true(fabs((double)got[0] - sum) <= 4e-6 * size);
                double about = squares - sum * sum / (double)(end - first);
                assert_true(fabs((double)got[out_c] - about) <= 2e-5 * squares);
            }
        }
}

static void run(const hs_kernels *kernels, const fixed_case *c, fixed_data *d) {
    const hs_conv_fixed_spec *s = &c->spec;
    hs_conv_fixed_plan plan;
    kernels->conv_fixed_make(s, &plan);
    size_t scratch_bytes = (size_t)plan.scratch_floats * sizeof(float);
    float *scratch = hs_alloc_aligned((size_t)plan.scratch_floats, sizeof *scratch);
    assert_non_null(scratch);
    hs_winograd_item item = {.dst = d->got};
    for (int i = 0, first = 0; i < s->part_count; first += s->part_c[i++]) {
        int64_t floats = plan.panel_floats[i];
        float *packed = hs_alloc_aligned((size_t)(plan.panels * floats), sizeof *packed);
        assert_non_null(packed);
        memset(packed, 0xff, (size_t)(plan.panels * floats) * sizeof *packed);
        hs_winograd_kernel kernel = {.taps = d->taps,
                                     .out_c = s->out_c,
                                     .in_c = s->part_c[i],
                                     .w = d->w + (int64_t)first * d->taps,
                                     .out_stride = (int64_t)d->in_c * d->taps,
                                     .in_stride = d->taps,
                                     .factors = HS_FACTORS_FIXED};
        for (int p = 0; p < plan.panels; p++)
            kernels->winograd_weights(&kernel, p, packed + p * floats);
        item.src[i] = d->src[i];
        item.weights[i] = packed;
    }
    memcpy(d->got, d->residual, (size_t)(d->pixels * s->out_c) * sizeof(float));
    item.bias = c->bias ? d->bias : NULL;
    item.residual = c->residual ? d->got : NULL; /* in place */
    size_t sum_floats = 2 * (size_t)plan.units * (size_t)s->out_c;
    float *sums = hs_alloc_aligned(sum_floats, sizeof *sums);
    assert_non_null(sums);
    memset(sums, 0xff, sum_floats * sizeof *sums);
    item.sums = sums;
    for (int task = plan.task_count - 1; task >= 0; task--) {
        memset(scratch, 0xff, scratch_bytes); /* NaN */
        kernels->conv_fixed_run(&plan, task, &item, scratch);
    }
    check_sums(&plan, d, sums);
    free(sums);
    for (int i = 0; i < s->part_count; i++)
        free((float *)item.weights[i]);
    free(scratch);
}

/* Over the rms of the result; fails where a value is not finite. */
static double rms_error(const fixed_data *d, int64_t count) {
    double square = 0, difference = 0;
    for (int64_t i = 0; i < count; i++) {
        double e = (double)d->got[i] - d->want[i];
        if (!isfinite(e))
            fail_msg("value %lld is %g", (long long)i, (double)d->got[i]);
        difference += e * e;
        square += d->want[i] * d->want[i];
    }
    return sqrt(difference / square);
}

/* Sides, strides, paddings, sizes and channels in turn. Each factor is rounded by less than
 * 1e-3 of the rms of its kind; observed: 5.5e-4 at most. */
static void test_sizes(void **state) {
    static const int geometries[][4] = {/* side, stride, padding above and left, below and right */
                                        {1, 1, 0, 0},
                                        {3, 2, 1, 1},
                                        {3, 2, 0, 1},
                                        {3, 1, 1, 1}};
    static const int sizes[][2] = {{1, 1}, {3, 5}, {8, 8}, {13, 17}, {32, 32}};
    static const int channels[][3] = {/* in two parts; out */
                                      {3, 0, 5},   {16, 0, 16},   {17, 0, 31},
                                      {33, 5, 40}, {130, 16, 33}, {64, 300, 70}};
    double largest = 0;
    for (int n = 0; n < 4 * 5 * 6; n++) {
        const int *g = geometries[n % 4], *size = sizes[n / 4 % 5], *c = channels[n / 20];
        if (size[0] + g[2] + g[3] < g[0] || size[1] + g[2] + g[3] < g[0])
            continue;
        fixed_case one = {.spec = {.items = 1, .threads = n % 3 * 4}};
        hs_conv_fixed_spec *s = &one.spec;
        s->side = g[0];
        s->stride = g[1];
        s->pad_top = s->pad_left = g[2];
        s->in_h = size[0];
        s->in_w = size[1];
        s->h = (size[0] + g[2] + g[3] - g[0]) / g[1] + 1;
        s->w = (size[1] + g[2] + g[3] - g[0]) / g[1] + 1;
        s->part_c[0] = c[0];
        s->part_c[1] = c[1];
        s->part_count = c[1] ? 2 : 1;
        s->out_c = c[2];
        one.bias = n / 4 % 2;
        one.residual = n / 20 % 2;
        fixed_data d;
        make_data(&one, &d);
        direct(&one, &d);
        for (size_t i = 0; i < HS_KERNEL_ISAS; i++) {
            const hs_kernels *kernels = hs_kernels_named(hs_kernel_isas[i]);
            if (!kernels)
                continue;
            run(kernels, &one, &d);
            double e = rms_error(&d, d.pixels * s->out_c);
            largest = fmax(largest, e);
            if (!(e < 1e-3))
                fail_msg("%s: side %d, stride %d, %dx%d, %d -> %d channels: rms error %g",
                         kernels->isa, s->side, s->stride, s->in_h, s->in_w, d.in_c, s->out_c, e);
        }
        free_data(&d);
    }
    print_message("rms %.2g\n", largest);
    assert_true(largest > 1e-5);
}

static fixed_case plain_case(int channels) {
    fixed_case c = {.spec = {.items = 1, .threads = 1, .in_h = 5, .in_w = 7, .h = 5, .w = 7}};
    c.spec.side = c.spec.stride = c.spec.part_count = 1;
    c.spec.part_c[0] = channels;
    c.spec.out_c = 20;
    return c;
}

/* All factors as large as they can be, and of one sign: sums stay below 2^31. Signs that
 * differ between a chain's halves make sums that rise and fall. */
static void test_limits(void **state) {
    for (int signs = 0; signs < 2; signs++) {
        fixed_case c = plain_case(300);
        fixed_data d;
        make_data(&c, &d);
        for (int64_t i = 0; i < d.pixels * 300; i++)
            d.src[0][i] = signs && i % 128 >= 64 ? -3.0f : 3.0f;
        for (int64_t i = 0; i < 20 * 300; i++)
            d.w[i] = i % 300 == 7 ? 2.0f : 1.5f;
        direct(&c, &d);
        for (size_t i = 0; i < HS_KERNEL_ISAS; i++) {
            const hs_kernels *kernels = hs_kernels_named(hs_kernel_isas[i]);
            if (!kernels)
                continue;
            run(kernels, &c, &d);
            assert_true(rms_error(&d, d.pixels * 20) < 2e-3);
        }
        free_data(&d);
    }
}

/* A pixel that is zero or tiny gives zero; one that is not finite gives nothing finite, and
 * leaves the others alone. */
static void test_pixels(void **state) {
    fixed_case c = plain_case(40);
    fixed_data d;
    make_data(&c, &d);
    static const float values[] = {0, 1e-38f, INFINITY, -INFINITY, NAN};
    for (int i = 0; i < 5; i++)
        for (int q = 0; q < 40; q++)
            d.src[0][i * 40 + q] = i < 2 || q == 39 ? values[i] : 1;
    direct(&c, &d);
    for (size_t i = 0; i < HS_KERNEL_ISAS; i++) {
        const hs_kernels *kernels = hs_kernels_named(hs_kernel_isas[i]);
        if (!kernels)
            continue;
        run(kernels, &c, &d);
        for (int k = 0; k < 5 * 20; k++)
            assert_true(k < 40 ? d.got[k] == 0 : !isfinite(d.got[k]));
        for (int k = 5 * 20; k < 35 * 20; k++)
            assert_true(fabs((double)d.got[k] - d.want[k]) < 0.02);
    }
    free_data(&d);
}

/* However tasks are cut, the bits are the same. */
static void test_cuts(void **state) {
    fixed_case c = {.spec = {.items = 1, .in_h = 30, .in_w = 27, .h = 15, .w = 13, .out_c = 70}};
    c.spec.side = 3;
    c.spec.stride = 2;
    c.spec.part_count = 1;
    c.spec.part_c[0] = 140;
    c.bias = c.residual = true;
    fixed_data d;
    make_data(&c, &d);
    size_t bytes = (size_t)(d.pixels * c.spec.out_c) * sizeof(float);
    float *first = malloc(bytes);
    assert_non_null(first);
    for (size_t i = 0; i < HS_KERNEL_ISAS; i++) {
        const hs_kernels *kernels = hs_kernels_named(hs_kernel_isas[i]);
        if (!kernels)
            continue;
        for (c.spec.threads = 1; c.spec.threads <= 64; c.spec.threads *= 2) {
            hs_conv_fixed_plan plan;
            kernels->conv_fixed_make(&c.spec, &plan);
            run(kernels, &c, &d);
            if (c.spec.threads == 1)
                memcpy(first, d.got, bytes);
            assert_memory_equal(d.got, first, bytes);
            assert_true(plan.task_count >= c.spec.threads || plan.splits == plan.panels);
        }
    }
    free(first);
    free_data(&d);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sizes), cmocka_unit_test(test_limits),
                                       cmocka_unit_test(test_pixels), cmocka_unit_test(test_cuts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
