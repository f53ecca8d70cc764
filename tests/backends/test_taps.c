/*
 * Convolutions tap by tap (kernels/taps.c) against sums in double: 1x1 and 3x3, stride 1 and 2,
 * of sizes that fill no block and channels that fill no chunk or panel, of concatenated parts
 * and upsampled inputs, with a norm and SiLU applied while loading, with V shared and not, on
 * every instruction set that this CPU runs. Pixels and weights are numbers that bf16 holds, so
 * that what is left is the rounding of sums, or of V where a norm is applied.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backends/kernels/kernels.h"
#include "base/mem.h"
#include "base/tensor.h"
#include "support.h"

typedef struct taps_case {
    hs_winograd_spec spec;
    bool bias, residual;
} taps_case;

typedef struct taps_data {
    int in_c, taps;
    int64_t pixels;
    float *src[HS_WINOGRAD_PARTS], *scale[HS_WINOGRAD_PARTS], *shift[HS_WINOGRAD_PARTS];
    float *w, *bias, *residual, *got;
    double *want;
} taps_data;

static float *random_floats(uint64_t seed, int64_t count, bool rounded) {
    float *x = hs_alloc_aligned((size_t)count, sizeof *x);
    assert_non_null(x);
    hs_test_fill(seed, x, count);
    for (int64_t i = 0; i < count && rounded; i++)
        x[i] = hs_bf16_to_f32(hs_f32_to_bf16(x[i]));
    return x;
}

static void make_data(const taps_case *c, taps_data *d) {
    const hs_winograd_spec *s = &c->spec;
    int shift = s->upsample;
    *d = (taps_data){.taps = s->side * s->side, .pixels = (int64_t)s->h * s->w};
    for (int i = 0; i < s->part_count; i++) {
        int64_t floats = (int64_t)(s->in_h >> shift) * (s->in_w >> shift) * s->part_c[i];
        d->src[i] = random_floats(10 + (uint64_t)i, floats, true);
        d->scale[i] = random_floats(20 + (uint64_t)i, s->part_c[i], false);
        d->shift[i] = random_floats(30 + (uint64_t)i, s->part_c[i], false);
        d->in_c += s->part_c[i];
    }
    d->w = random_floats(2, (int64_t)s->out_c * d->in_c * d->taps, true);
    d->bias = random_floats(3, s->out_c, false);
    d->residual = random_floats(4, d->pixels * s->out_c, false);
    d->got = random_floats(5, d->pixels * s->out_c, false);
    d->want = hs_calloc((size_t)(d->pixels * s->out_c), sizeof *d->want);
    assert_non_null(d->want);
}

static void free_data(taps_data *d) {
    for (int i = 0; i < HS_WINOGRAD_PARTS; i++) {
        free(d->src[i]);
        free(d->scale[i]);
        free(d->shift[i]);
    }
    free(d->w);
    free(d->bias);
    free(d->residual);
    free(d->got);
    free(d->want);
}

static double pixel_value(const taps_case *c, const taps_data *d, int part, int64_t at, int q) {
    double x = (double)d->src[part][at * c->spec.part_c[part] + q];
    if (c->spec.normed)
        x = x * (double)d->scale[part][q] + (double)d->shift[part][q];
    return c->spec.silu ? x / (1 + exp(-x)) : x;
}

/* One value of the result: the definition. */
static double direct_value(const taps_case *c, const taps_data *d, int y, int x, int k) {
    const hs_winograd_spec *s = &c->spec;
    double sum = 0;
    for (int tap = 0; tap < d->taps; tap++) {
        int in_y = y * s->stride - s->pad_top + tap / s->side;
        int in_x = x * s->stride - s->pad_left + tap % s->side;
        if (in_y < 0 || in_y >= s->in_h || in_x < 0 || in_x >= s->in_w)
            continue;
        int shift = s->upsample;
        int64_t at = (int64_t)(in_y >> shift) * (s->in_w >> shift) + (in_x >> shift);
        const float *w = d->w + (int64_t)k * d->in_c * d->taps + tap;
        for (int part = 0; part < s->part_count; part++)
            for (int q = 0; q < s->part_c[part]; q++, w += d->taps)
                sum += pixel_value(c, d, part, at, q) * (double)*w;
    }
    int64_t at = ((int64_t)y * s->w + x) * s->out_c + k;
    return sum + (c->bias ? (double)d->bias[k] : 0) + (c->residual ? (double)d->residual[at] : 0);
}

static void direct(const taps_case *c, taps_data *d) {
    int64_t at = 0;
    for (int y = 0; y < c->spec.h; y++)
        for (int x = 0; x < c->spec.w; x++)
            for (int k = 0; k < c->spec.out_c; k++)
                d->want[at++] = direct_value(c, d, y, x, k);
}

/* All tiles' sums together are those of the result, channel by channel. */
static void check_sums(const taps_case *c, const hs_winograd_plan *plan, const taps_data *d,
                       const float *sums) {
    int out_c = c->spec.out_c, tiles = plan->tiles_x * plan->tiles_y;
    for (int k = 0; k < out_c; k++) {
        double sum = 0, square = 0, want_sum = 0, want_square = 0, size = 0;
        int64_t pixels = 0;
        for (int t = 0; t < tiles; t++) {
            int count = hs_winograd_tile_pixels(plan, t);
            double s = (double)sums[2LL * t * out_c + k];
            sum += s;
            square += (double)sums[(2LL * t + 1) * out_c + k] + s * s / count;
            pixels += count;
        }
        for (int64_t i = 0; i < d->pixels; i++) {
            double y = (double)d->got[i * out_c + k];
            want_sum += y;
            want_square += y * y;
            size += fabs(y);
        }
        assert_int_equal(pixels, d->pixels);
        assert_true(fabs(sum - want_sum) <= 4e-6 * size);
        assert_true(fabs(square - want_square) <= 2e-5 * want_square);
    }
}

static void run(const hs_kernels *kernels, const taps_case *c, taps_data *d) {
    const hs_winograd_spec *s = &c->spec;
    hs_winograd_plan plan;
    kernels->winograd_make(s, &plan);
    size_t scratch_bytes = (size_t)plan.scratch_floats * sizeof(float);
    float *scratch = hs_alloc_aligned((size_t)plan.scratch_floats, sizeof *scratch);
    float *v = hs_alloc_aligned((size_t)plan.v_floats, sizeof *v);
    size_t sum_floats = (size_t)(2 * plan.tiles_x * plan.tiles_y * s->out_c);
    float *sums = hs_alloc_aligned(sum_floats, sizeof *sums);
    assert_non_null(scratch);
    assert_non_null(v);
    assert_non_null(sums);
    hs_winograd_item item = {.dst = d->got, .sums = sums, .v = v};
    for (int i = 0, first = 0; i < s->part_count; first += s->part_c[i++]) {
        int64_t floats = plan.panel_floats[i];
        float *packed = hs_alloc_aligned((size_t)(plan.panels * floats), sizeof *packed);
        assert_non_null(packed);
        memset(packed, 0xff, (size_t)(plan.panels * floats) * sizeof *packed);
        hs_winograd_kernel kernel = {.tile = 1,
                                     .taps = d->taps,
                                     .out_c = s->out_c,
                                     .in_c = s->part_c[i],
                                     .w = d->w + (int64_t)first * d->taps,
                                     .out_stride = (int64_t)d->in_c * d->taps,
                                     .in_stride = d->taps,
                                     .factors = HS_FACTORS_BF16};
        for (int p = 0; p < plan.panels; p++)
            kernels->winograd_weights(&kernel, p, packed + p * floats);
        item.src[i] = d->src[i];
        item.weights[i] = packed;
        item.scale[i] = d->scale[i];
        item.shift[i] = d->shift[i];
    }
    memcpy(d->got, d->residual, (size_t)(d->pixels * s->out_c) * sizeof(float));
    item.bias = c->bias ? d->bias : NULL;
    item.residual = c->residual ? d->got : NULL;        /* in place */
    memset(v, 0xff, (size_t)plan.v_floats * sizeof *v); /* NaN */
    for (int task = plan.load_tasks - 1; task >= 0; task--)
        kernels->winograd_load(&plan, task, &item, 1, scratch);
    for (int task = plan.task_count - 1; task >= 0; task--) {
        memset(scratch, 0xff, scratch_bytes);
        kernels->winograd_run(&plan, task, &item, 1, scratch);
    }
    check_sums(c, &plan, d, sums);
    for (int i = 0; i < s->part_count; i++)
        free((float *)item.weights[i]);
    free(sums);
    free(v);
    free(scratch);
}

/* Over the rms of the result; fails where a value is not finite. */
static double rms_error(const taps_data *d, int64_t count) {
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

static double check(const taps_case *c) {
    taps_data d;
    double worst = 0;
    make_data(c, &d);
    direct(c, &d);
    for (int i = 0; i < HS_KERNEL_ISAS; i++) {
        const hs_kernels *kernels = hs_kernels_named(hs_kernel_isas[i]);
        if (!kernels)
            continue;
        run(kernels, c, &d);
        double error = rms_error(&d, d.pixels * c->spec.out_c);
        if (!(error < (c->spec.normed ? 3e-3 : 2e-6)))
            fail_msg("%s: %dx%d, stride %d to %dx%d, %d -> %d channels, %s: rms error %g",
                     kernels->isa, c->spec.side, c->spec.side, c->spec.stride, c->spec.h, c->spec.w,
                     d.in_c, c->spec.out_c, c->spec.normed ? "normed" : "plain", error);
        worst = fmax(worst, error);
    }
    free_data(&d);
    return worst;
}

/* Sides, strides, paddings, sizes, channels and what is applied in turn. Observed: 2.4e-7 at most,
 * 2.1e-3 with a norm, of which V is rounded. */
static void test_sizes(void **state) {
    static const int geometries[][5] = {/* side, stride, padding above, left, below and right */
                                        {1, 1, 0, 0, 0}, {1, 2, 0, 0, 0}, {3, 1, 1, 1, 1},
                                        {3, 2, 0, 0, 1}, {3, 2, 1, 1, 1}, {3, 2, 1, 0, 1}};
    static const int sizes[][2] = {{2, 2}, {8, 8}, {5, 7}, {16, 33}, {1, 1}, {31, 12}, {65, 3}};
    static const int channels[][4] = {/* of up to three parts, and of the result */
                                      {32, 0, 0, 32}, {5, 0, 0, 3},   {64, 40, 0, 70},
                                      {16, 0, 0, 33}, {31, 1, 33, 8}, {96, 32, 0, 64}};
    double worst[2] = {0};
    int turn = 0;
    for (int g = 0; g < 6; g++)
        for (int z = 0; z < 7; z++, turn++) {
            const int *geometry = geometries[g], *size = sizes[z], *some = channels[turn % 6];
            taps_case c = {.bias = turn % 2, .residual = turn % 3 == 1};
            hs_winograd_spec *s = &c.spec;
            *s = (hs_winograd_spec){.tile = 1, .factors = HS_FACTORS_BF16};
            s->side = geometry[0];
            s->stride = geometry[1];
            s->pad_top = geometry[2];
            s->pad_left = geometry[3];
            s->upsample = turn % 4 == 3;
            s->in_h = size[0] << s->upsample;
            s->in_w = size[1] << s->upsample;
            s->h = (s->in_h + s->pad_top + geometry[4] - s->side) / s->stride + 1;
            s->w = (s->in_w + s->pad_left + geometry[4] - s->side) / s->stride + 1;
            if (s->h < 1 || s->w < 1 || s->in_h < s->side)
                continue;
            for (; s->part_count < 3 && some[s->part_count]; s->part_count++)
                s->part_c[s->part_count] = some[s->part_count];
            s->out_c = some[3];
            for (int more = 0; more < 4; more++) {
                s->normed = more > 1;
                s->silu = more > 2;
                s->sharing = more == 1 ? -1 : 1;
                s->band_rows = turn % 3 ? 0 : 1 + turn % 4;
                worst[s->normed] = fmax(worst[s->normed], check(&c));
            }
        }
    print_message("rms %.2g, normed %.2g\n", worst[0], worst[1]);
}

/* A map of many bands: as one of them, as many, with panels split, it is the same to the bit. */
static void test_cuts(void **state) {
    taps_case c = {.bias = true};
    c.spec = (hs_winograd_spec){.tile = 1, .factors = HS_FACTORS_BF16, .side = 3, .stride = 1};
    c.spec.h = c.spec.in_h = 70;
    c.spec.w = c.spec.in_w = 60;
    c.spec.pad_top = c.spec.pad_left = c.spec.part_count = 1;
    c.spec.part_c[0] = 40;
    c.spec.out_c = 80;
    taps_data d;
    make_data(&c, &d);
    size_t bytes = (size_t)(d.pixels * c.spec.out_c) * sizeof(float);
    float *first = malloc(bytes);
    assert_non_null(first);
    for (int i = 0; i < HS_KERNEL_ISAS; i++) {
        const hs_kernels *kernels = hs_kernels_named(hs_kernel_isas[i]);
        if (!kernels)
            continue;
        for (int cut = 0; cut < 6; cut++) {
            static const int rows[] = {0, 0, 70, 3, 16, 1}, splits[] = {0, 0, 2, 1, 3, 0};
            c.spec.sharing = cut % 2 ? 1 : -1;
            c.spec.band_rows = rows[cut];
            c.spec.splits = splits[cut];
            run(kernels, &c, &d);
            if (cut == 0)
                memcpy(first, d.got, bytes);
            assert_memory_equal(first, d.got, bytes);
        }
    }
    free(first);
    free_data(&d);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sizes), cmocka_unit_test(test_cuts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
