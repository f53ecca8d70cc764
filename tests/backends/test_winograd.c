/*
 * The Winograd convolution against a direct one in double: sizes that fill no
 * tile, channels that fill no vector, concatenated parts, upsampled inputs,
 * bias and residual, on every instruction set that this CPU runs; then that
 * how the work is cut changes nothing.
 */
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "backends/kernels/kernels.h"
#include "base/mem.h"
#include "base/tensor.h"
#include "support.h"

typedef struct wino_case {
    hs_winograd_spec spec;
    bool bias, residual;
    bool rounded; /* inputs and weights are bf16 numbers: then products in bf16 are exact */
} wino_case;

/* Inputs, weights and results of a case; all random, [-1, 1). */
typedef struct wino_data {
    int in_c;
    int64_t pixels, src_pixels;
    float *src[HS_WINOGRAD_PARTS], *w, *bias, *residual, *got;
    float *scale[HS_WINOGRAD_PARTS], *shift[HS_WINOGRAD_PARTS]; /* of a norm */
    double *want;
} wino_data;

static float *random_floats(uint64_t seed, int64_t count) {
    float *x = hs_alloc_aligned((size_t)count, sizeof *x);
    assert_non_null(x);
    hs_test_fill(seed, x, count);
    return x;
}

/* To 8 bits of mantissa, towards zero. */
static void cut_bits(float *x, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        bits &= 0xffff0000;
        memcpy(x + i, &bits, sizeof bits);
    }
}

static void make_data(const wino_case *c, uint64_t seed, wino_data *d) {
    const hs_winograd_spec *s = &c->spec;
    *d = (wino_data){0};
    d->pixels = (int64_t)s->h * s->w;
    d->src_pixels = s->upsample ? d->pixels / 4 : d->pixels;
    for (int i = 0; i < s->part_count; i++) {
        d->src[i] = random_floats(seed + (uint64_t)i, d->src_pixels * s->part_c[i]);
        d->scale[i] = random_floats(seed + 20, s->part_c[i]);
        d->shift[i] = random_floats(seed + 40, s->part_c[i]);
        for (int k = 0; k < s->part_c[i]; k += 3) /* far below zero, where SiLU is near it */
            d->shift[i][k] = (s->part_c[i] > 100 ? 60 : 20) * d->shift[i][k] - 25;
        d->in_c += s->part_c[i];
    }
    d->w = random_floats(2, (int64_t)s->out_c * d->in_c * 9);
    d->bias = random_floats(1000 * seed + 3, s->out_c);
    d->residual = random_floats(1000 * seed + 4, d->pixels * s->out_c);
    d->got = random_floats(5, d->pixels * s->out_c);
    for (int i = 0; i < s->part_count && c->rounded; i++)
        cut_bits(d->src[i], d->src_pixels * s->part_c[i]);
    if (c->rounded)
        cut_bits(d->w, (int64_t)s->out_c * d->in_c * 9);
    d->want = hs_calloc((size_t)(d->pixels * s->out_c), sizeof *d->want);
    assert_non_null(d->want);
}

static void free_data(wino_data *d) {
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

/* What the convolution sees of a pixel's channel. */
static double seen(const wino_case *c, const wino_data *d, int part, int channel, float x) {
    if (!c->spec.normed)
        return (double)x;
    double y = (double)d->scale[part][channel] * (double)x + (double)d->shift[part][channel];
    return c->spec.silu ? y / (1 + exp(-y)) : y;
}

/* One pixel of the result: the definition. */
static void direct_pixel(const wino_case *c, const wino_data *d, int y, int x, double *out) {
    const hs_winograd_spec *s = &c->spec;
    int shift = s->upsample, width = s->w >> shift;
    for (int k = 0; k < s->out_c; k++)
        out[k] = c->bias ? (double)d->bias[k] : 0;
    for (int i = -1; i <= 1; i++)
        for (int j = -1; j <= 1; j++) {
            if (y + i < 0 || y + i >= s->h || x + j < 0 || x + j >= s->w)
                continue;
            int64_t at = (int64_t)((y + i) >> shift) * width + ((x + j) >> shift);
            const float *w = d->w + (i + 1) * 3 + j + 1;
            for (int part = 0; part < s->part_count; part++) {
                const float *src = d->src[part] + at * s->part_c[part];
                for (int q = 0; q < s->part_c[part]; q++, w += 9) {
                    double pixel = seen(c, d, part, q, src[q]);
                    for (int k = 0; k < s->out_c; k++)
                        out[k] += pixel * (double)w[(int64_t)k * d->in_c * 9];
                }
            }
        }
}

static void direct(const wino_case *c, wino_data *d) {
    int64_t out_c = c->spec.out_c;
    for (int y = 0; y < c->spec.h; y++)
        for (int x = 0; x < c->spec.w; x++) {
            int64_t at = ((int64_t)y * c->spec.w + x) * out_c;
            direct_pixel(c, d, y, x, d->want + at);
            for (int64_t k = at; c->residual && k < at + out_c; k++)
                d->want[k] += (double)d->residual[k];
        }
}

/* Transformed weights of a part; half the time through the adjoint's order. */
static float *pack(const hs_kernels *kernels, const wino_case *c, const wino_data *d,
                   const hs_winograd_plan *plan, int part, int first) {
    int64_t floats = plan->panel_floats[part], in = c->spec.part_c[part], out = c->spec.out_c;
    float *packed = hs_alloc_aligned((size_t)(plan->panels * floats), sizeof *packed);
    float *flipped = hs_alloc_aligned((size_t)(in * out), 9 * sizeof *flipped);
    assert_non_null(packed);
    assert_non_null(flipped);
    for (int64_t k = 0; k < out; k++)
        for (int64_t q = 0; q < in; q++)
            for (int t = 0; t < 9; t++)
                flipped[(q * out + k) * 9 + 8 - t] = d->w[(k * d->in_c + first + q) * 9 + t];
    memset(packed, 0xff, (size_t)(plan->panels * floats) * sizeof *packed);
    hs_winograd_kernel kernel = {
        .tile = c->spec.tile, .taps = 9, .out_c = (int)out, .in_c = (int)in};
    kernel.factors = c->spec.factors;
    kernel.late = c->spec.late;
    kernel.flip = c->bias;
    kernel.w = c->bias ? flipped : d->w + (int64_t)first * 9;
    kernel.out_stride = c->bias ? 9 : (int64_t)d->in_c * 9;
    kernel.in_stride = c->bias ? out * 9 : 9;
    uint16_t *half = NULL;
    if (c->rounded) { /* as weights that a large model keeps in bf16 */
        int64_t count = 9 * (c->bias ? in * out : out * d->in_c - first);
        half = malloc((size_t)count * sizeof *half);
        assert_non_null(half);
        for (int64_t i = 0; i < count; i++)
            half[i] = hs_f32_to_bf16(kernel.w[i]);
        kernel.half = half;
        kernel.w = NULL;
    }
    for (int p = 0; p < plan->panels; p++)
        kernels->winograd_weights(&kernel, p, packed + p * floats);
    free(half);
    free(flipped);
    return packed;
}

/* What the convolution of one item reads and writes; a residual may be in place. */
static hs_winograd_item item_of(const wino_case *c, wino_data *d, bool in_place) {
    hs_winograd_item item = {.dst = d->got};
    memcpy(item.src, d->src, sizeof d->src);
    memcpy(item.scale, d->scale, sizeof d->scale);
    memcpy(item.shift, d->shift, sizeof d->shift);
    size_t bytes = (size_t)(d->pixels * c->spec.out_c) * sizeof(float);
    memset(d->got, 0xff, bytes);
    if (c->residual && in_place)
        memcpy(d->got, d->residual, bytes);
    item.bias = c->bias ? d->bias : NULL;
    item.residual = !c->residual ? NULL : in_place ? d->got : d->residual;
    return item;
}

/* The sums that were left of each tile are those of what is in got, and the squares those
 * about the tile's mean. */
static void check_sums(const wino_case *c, const hs_winograd_plan *plan, const wino_data *d,
                       const float *sums) {
    int tile = c->spec.tile, out_c = c->spec.out_c, w = c->spec.w;
    for (int t = 0; t < plan->tiles_x * plan->tiles_y; t++)
        for (int k = 0; k < out_c; k++) {
            double sum = 0, squares = 0, size = 0;
            int pixels = 0, band = t / plan->tiles_x, block = t % plan->tiles_x;
            for (int i = 0; i < c->spec.h * w; i++) {
                int y = i / w, x = i % w;
                bool inside = tile > 1 ? y / tile == band && x / tile == block
                                       : y / plan->spec.band_rows == band;
                if (!inside)
                    continue;
                double value = (double)d->got[(int64_t)i * out_c + k];
                sum += value;
                size += fabs(value);
                squares += value * value;
                pixels++;
            }
            assert_int_equal(pixels, hs_winograd_tile_pixels(plan, t));
            double about = squares - sum * sum / pixels;
            const float *got = sums + (int64_t)t * 2 * out_c + k;
            if (isfinite(sum)) {
                assert_true(fabs((double)got[0] - sum) <= 4e-6 * size);
                assert_true(fabs((double)got[out_c] - about) <= 2e-5 * squares);
            }
        }
}

/* got = the convolution of each of c->spec.items, tasks from the last to the first. Their
 * weights are those of the first. */
static void winograd(const hs_kernels *kernels, const wino_case *c, wino_data *d, bool in_place) {
    hs_winograd_plan plan;
    kernels->winograd_make(&c->spec, &plan);
    assert_true(plan.task_count > 0 && plan.in_c == d->in_c);
    assert_in_range(plan.merged, 1, HS_WINOGRAD_MERGED);
    float *scratch = hs_alloc_aligned((size_t)plan.scratch_floats, sizeof(float));
    float *v = hs_alloc_aligned((size_t)plan.v_floats, sizeof(float));
    const float *weights[HS_WINOGRAD_PARTS];
    assert_non_null(scratch);
    assert_non_null(v);
    for (int part = 0, first = 0; part < c->spec.part_count; first += c->spec.part_c[part++])
        weights[part] = pack(kernels, c, d, &plan, part, first);
    int items = c->spec.items ? c->spec.items : 1;
    int64_t sum_floats = 2LL * plan.tiles_x * plan.tiles_y * c->spec.out_c;
    float *sums = hs_alloc_aligned((size_t)(items * sum_floats), sizeof *sums);
    assert_non_null(sums);
    for (int first = 0; first < items; first += plan.merged) {
        hs_winograd_item item[HS_WINOGRAD_MERGED];
        int count = items - first < plan.merged ? items - first : plan.merged;
        for (int i = 0; i < count; i++) {
            item[i] = item_of(c, d + first + i, in_place);
            memcpy(item[i].weights, weights, sizeof weights);
            item[i].v = v;
            item[i].sums = sums + (first + i) * sum_floats;
        }
        memset(sums + first * sum_floats, 0xff, (size_t)(count * sum_floats) * sizeof(float));
        memset(v, 0xff, (size_t)plan.v_floats * sizeof(float));
        memset(scratch, 0xff, (size_t)plan.scratch_floats * sizeof(float)); /* NaN */
        for (int task = plan.load_tasks - 1; task >= 0; task--)
            kernels->winograd_load(&plan, task, item, count, scratch);
        for (int task = plan.task_count - 1; task >= 0; task--)
            kernels->winograd_run(&plan, task, item, count, scratch);
    }
    for (int i = 0; i < items; i++)
        check_sums(c, &plan, d + i, sums + i * sum_floats);
    free(sums);
    free(v);
    free(scratch);
    for (int part = 0; part < c->spec.part_count; part++)
        free((float *)weights[part]);
}

typedef struct wino_errors {
    double rms, max; /* over the rms of the result */
} wino_errors;

static wino_errors errors_of(const wino_data *d, int64_t count) {
    double square = 0, difference = 0, worst = 0;
    for (int64_t i = 0; i < count; i++) {
        double e = fabs((double)d->got[i] - d->want[i]);
        if (!isfinite(e))
            fail_msg("value %lld is %g", (long long)i, (double)d->got[i]);
        difference += e * e;
        square += d->want[i] * d->want[i];
        worst = fmax(worst, e);
    }
    return (wino_errors){sqrt(difference / square), worst / sqrt(square / (double)count)};
}

/* The bounds are 5e-6 and 5e-5, for tile 6 1e-5 and 2e-4. Largest errors observed, of all
 * sizes and instruction sets, over the rms of the result: tile 6 rms 6.2e-6, largest
 * 7.7e-5; tile 4 1.6e-6 and 1.4e-5; tile 2 6.9e-7 and 2.6e-6 (512 channels). */
static void check(const wino_case *c, double rms, double max, wino_errors *largest) {
    wino_data d;
    make_data(c, 11, &d);
    direct(c, &d);
    for (size_t i = 0; i < HS_KERNEL_ISAS; i++) {
        const hs_kernels *kernels = hs_kernels_named(hs_kernel_isas[i]);
        if (!kernels)
            continue;
        winograd(kernels, c, &d, i % 2 == 0);
        wino_errors e = errors_of(&d, d.pixels * c->spec.out_c);
        largest->rms = fmax(largest->rms, e.rms);
        largest->max = fmax(largest->max, e.max);
        if (!(e.rms < rms) || !(e.max < max))
            fail_msg("%s: %dx%d, %d -> %d channels, tile %d: rms error %g, largest %g",
                     kernels->isa, c->spec.h, c->spec.w, d.in_c, c->spec.out_c, c->spec.tile, e.rms,
                     e.max);
    }
    free_data(&d);
}

/* Each size with channels in and out from the list, all tiles, and bias and
 * residual in turn. Tile 1 has factors in bf16: it gets such as need no rounding, and
 * what is left is that of float32 sums (observed: rms 5.4e-7, largest 4.8e-6). */
static void test_sizes(void **state) {
    static const int sizes[][2] = {{1, 1}, {1, 7}, {2, 2},   {3, 5},   {4, 4},
                                   {6, 3}, {9, 8}, {13, 17}, {24, 31}, {65, 65}};
    static const int channels[][2] = {{1, 1},   {3, 5},   {5, 3},    {16, 16},  {17, 31},
                                      {31, 17}, {64, 64}, {130, 33}, {16, 130}, {512, 33}};
    wino_errors six = {0, 0}, four = {0, 0}, two = {0, 0}, one = {0, 0};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (size_t j = 0; j < sizeof channels / sizeof *channels; j++) {
            int64_t work = (int64_t)sizes[i][0] * sizes[i][1] * channels[j][0] * channels[j][1];
            if (work > 4500000)
                continue;
            wino_case c = {.spec = {.h = sizes[i][0], .w = sizes[i][1], .part_count = 1}};
            c.spec.part_c[0] = channels[j][0];
            c.spec.out_c = channels[j][1];
            c.bias = (i + j) % 2;
            c.residual = (i + j) / 2 % 2;
            c.spec.tile = 6;
            check(&c, 1e-5, 2e-4, &six);
            c.spec.tile = 4;
            check(&c, 5e-6, 5e-5, &four);
            c.spec.late = true;
            check(&c, 5e-6, 5e-5, &four);
            c.spec.late = false;
            c.spec.tile = 2;
            check(&c, 5e-6, 5e-5, &two);
            c.spec.tile = 1;
            c.spec.factors = HS_FACTORS_BF16;
            c.rounded = true;
            check(&c, 5e-6, 5e-5, &one);
        }
    print_message("tile 6: rms %.2g, largest %.2g\n", six.rms, six.max);
    print_message("tile 4: rms %.2g, largest %.2g; tile 2: %.2g, %.2g; tile 1: %.2g, %.2g\n",
                  four.rms, four.max, two.rms, two.max, one.rms, one.max);
}

/* Factors rounded to bf16, each by at most 2^-9 of itself. Observed, over the rms of the
 * result: tile 4 rms 1.3e-2, largest 6.9e-2; tile 2 4.4e-3 and 1.8e-2; tile 1 2.3e-3 and 8.5e-3. An
 * error as small as that of float32 would mean that nothing was rounded. */
static void test_bf16(void **state) {
    static const int shapes[][4] = {/* h, w, in, out */
                                    {5, 7, 3, 5},     {13, 17, 17, 31},  {9, 8, 64, 64},
                                    {24, 31, 31, 17}, {16, 16, 130, 33}, {8, 8, 512, 33}};
    static const double bounds[][2] = {{0, 0}, {3.5e-3, 1.5e-2}, {7e-3, 3e-2}, {0, 0}, {2e-2, 0.1}};
    for (int tile = 1; tile <= 4; tile *= 2) {
        wino_errors largest = {0, 0};
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            wino_case c = {.spec = {.h = shapes[i][0], .w = shapes[i][1], .part_count = 1}};
            c.spec.part_c[0] = shapes[i][2];
            c.spec.out_c = shapes[i][3];
            c.spec.tile = tile;
            c.spec.factors = HS_FACTORS_BF16;
            c.bias = i % 2;
            check(&c, bounds[tile][0], bounds[tile][1], &largest);
        }
        print_message("tile %d, bf16: rms %.2g, largest %.2g\n", tile, largest.rms, largest.max);
        assert_true(largest.rms > 5e-4);
    }
}

/* On rms and largest error, over the rms of the result, of tiles 2, 4 and 6 with fixed factors.
 * Observed: 8.1e-4 and 3.5e-3, 2.5e-3 and 1.5e-2, 9.5e-3 and 8.4e-2. */
static const double fixed_bounds[][2] = {{1.5e-3, 6e-3}, {4e-3, 3e-2}, {1.5e-2, 0.15}};

/* Factors of 16 bits. */
static void test_fixed(void **state) {
    static const int shapes[][4] = {/* h, w, in, out */
                                    {5, 7, 3, 5},     {13, 17, 17, 31},  {9, 8, 64, 64},
                                    {24, 31, 31, 17}, {16, 16, 130, 33}, {8, 8, 512, 33}};
    for (int tile = 2; tile <= 6; tile += 2) {
        wino_errors largest = {0, 0};
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            wino_case c = {.spec = {.h = shapes[i][0], .w = shapes[i][1], .part_count = 1}};
            c.spec.part_c[0] = shapes[i][2];
            c.spec.out_c = shapes[i][3];
            c.spec.tile = tile;
            c.spec.factors = HS_FACTORS_FIXED;
            c.bias = i % 2;
            check(&c, fixed_bounds[tile / 2 - 1][0], fixed_bounds[tile / 2 - 1][1], &largest);
        }
        print_message("tile %d, fixed: rms %.2g, largest %.2g\n", tile, largest.rms, largest.max);
        assert_true(largest.rms > 1e-4);
    }
}

/* A norm, with SiLU or without, applied while tiles are loaded: of parts, of tiles beside each
 * other and not, of pixels and channels that fill nothing. Every third channel lies far below
 * zero, where SiLU is near it. */
static void test_fixed_norm(void **state) {
    static const int shapes[][4] = {/* h, w, parts */
                                    {1, 1, 3, 17},   {5, 7, 16, 5},    {13, 40, 31, 33},
                                    {26, 9, 64, 64}, {16, 16, 130, 7}, {8, 8, 256, 256}};
    for (int tile = 2; tile <= 6; tile += 2) {
        wino_errors largest = {0, 0};
        for (size_t i = 0; i < 2 * sizeof shapes / sizeof *shapes; i++) {
            const int *shape = shapes[i / 2];
            wino_case c = {.spec = {.h = shape[0], .w = shape[1], .tile = tile, .part_count = 2}};
            c.spec.part_c[0] = shape[2];
            c.spec.part_c[1] = shape[3];
            c.spec.out_c = 20;
            c.spec.normed = true;
            c.spec.silu = i % 2;
            c.spec.factors = HS_FACTORS_FIXED;
            check(&c, fixed_bounds[tile / 2 - 1][0], fixed_bounds[tile / 2 - 1][1], &largest);
        }
        print_message("tile %d, norm: rms %.2g, largest %.2g\n", tile, largest.rms, largest.max);
        assert_true(largest.rms > 1e-4);
    }
}

/* The coefficients of B^T's row for a point, by powers: the product of x - q for the other
 * points q. */
static void row_of_bt(int tile, int row, double *out) {
    static const double two[] = {0, 1, -1}, four[] = {0, 0.625, -0.625, 1.5, -1.5},
                        six[] = {0, 0.5, -0.5, 1, -1, 2, -2};
    const double *points = tile == 2 ? two : tile == 4 ? four : six;
    memset(out, 0, 8 * sizeof *out);
    out[0] = 1;
    int degree = 0;
    for (int q = 0; q <= tile; q++)
        if (q != row) { /* the last row, of infinity, has them all */
            for (int i = ++degree; i > 0; i--)
                out[i] = out[i - 1] - points[q] * out[i];
            out[0] *= -points[q];
        }
}

/* Pixels of one size with the signs of a position's row and column of B^T, kernels that are
 * alike: there V is as large as it can be, and the sum as near to 2^31 as it gets. Observed:
 * rms 4.1e-4, largest 5.3e-3 with tile 6. */
static void test_fixed_limits(void **state) {
    for (int tile = 2; tile <= 6; tile += 2) {
        wino_case c = {.spec = {.h = 3 * tile, .w = 3 * tile, .tile = tile, .part_count = 1}};
        c.spec.part_c[0] = 150;
        c.spec.out_c = 20;
        c.spec.factors = HS_FACTORS_FIXED;
        wino_data d;
        make_data(&c, 11, &d);
        for (int64_t i = 0; i < 9 * 20 * 150; i++)
            d.w[i] = 0.5f;
        for (int position = 0; position < (tile + 2) * (tile + 2); position++) {
            double y[8], x[8];
            row_of_bt(tile, position / (tile + 2), y);
            row_of_bt(tile, position % (tile + 2), x);
            for (int64_t i = 0; i < d.pixels; i++) { /* the tile in the middle, and around it */
                int64_t row = i / (3 * tile) - tile + 1, column = i % (3 * tile) - tile + 1;
                bool inside = row >= 0 && row < tile + 2 && column >= 0 && column < tile + 2;
                for (int q = 0; q < 150; q++)
                    d.src[0][i * 150 + q] = inside && y[row] * x[column] < 0 ? -3.0f : 3.0f;
            }
            memset(d.want, 0, (size_t)(d.pixels * 20) * sizeof *d.want);
            direct(&c, &d);
            for (size_t i = 0; i < HS_KERNEL_ISAS; i++) {
                const hs_kernels *kernels = hs_kernels_named(hs_kernel_isas[i]);
                if (!kernels)
                    continue;
                winograd(kernels, &c, &d, false);
                wino_errors e = errors_of(&d, d.pixels * 20);
                if (!(e.rms < 1e-2))
                    fail_msg("%s: tile %d, position %d: rms error %g", kernels->isa, tile, position,
                             e.rms);
            }
        }
        free_data(&d);
    }
}

/* A pixel that is not finite, or too large for 16 bits with a scale, leaves nothing finite in
 * its tile and the others alone; below a norm and SiLU, too, whatever its sign. */
static void test_fixed_pixels(void **state) {
    static const float values[] = {NAN, INFINITY, 1e37f};
    for (int way = 0; way < 6; way++) {
        int tile = 2 + way / 2 * 2;
        wino_case c = {.spec = {.h = 18, .w = 18, .tile = tile, .part_count = 1, .out_c = 20}};
        c.spec.part_c[0] = 30;
        c.spec.factors = HS_FACTORS_FIXED;
        c.spec.normed = c.spec.silu = way % 2;
        wino_data d;
        make_data(&c, 11, &d);
        float *pixel = d.src[0] + (8 * 18 + 8) * 30 + 5; /* inside a tile of any size */
        for (size_t i = 0; i < 3 * HS_KERNEL_ISAS; i++) {
            const hs_kernels *kernels = hs_kernels_named(hs_kernel_isas[i / 3]);
            if (!kernels)
                continue;
            *pixel = way % 2 && i % 2 ? -values[i % 3] : values[i % 3];
            winograd(kernels, &c, &d, false);
            for (int64_t at = 0; at < d.pixels * 20; at++) {
                int y = (int)(at / 20 / 18), x = (int)(at / 20 % 18);
                if (abs(y - 8) <= 1 && abs(x - 8) <= 1)
                    assert_false(isfinite(d.got[at]));
                else if (abs(y - 8) > tile || abs(x - 8) > tile)
                    assert_true(isfinite(d.got[at]));
            }
        }
        free_data(&d);
    }
}

static void test_parts_and_upsampling(void **state) {
    wino_errors largest = {0, 0};
    static const int tiles[] = {1, 2, 4, 6};
    for (int k = 0; k < 4; k++)
        for (int upsample = tiles[k] == 1 ? 2 : 0; upsample < (tiles[k] == 1 ? 4 : 6); upsample++) {
            int tile = tiles[k];
            wino_case c = {.spec = {.h = 14, .w = 22, .out_c = 40, .tile = tile}};
            c.spec.upsample = upsample % 2;
            c.spec.factors = (hs_factors)(upsample / 2);
            c.spec.part_count = 3;
            memcpy(c.spec.part_c, (int[]){5, 16, 33}, 3 * sizeof(int));
            c.bias = c.residual = true;
            c.rounded = tile == 1 || (upsample > 1 && upsample % 2);
            bool rough = c.spec.factors && tile > 1;
            if (tile == 6 && rough)
                c.spec.factors = HS_FACTORS_FIXED;
            check(&c,
                  rough       ? 2e-2
                  : tile == 6 ? 1e-5
                              : 5e-6,
                  rough       ? 0.1
                  : tile == 6 ? 2e-4
                              : 5e-5,
                  &largest);
        }
}

/* However tasks and blocks are cut, and whether U is made late, the bits are the same. */
static void test_cuts(void **state) {
    static const struct {
        int tile;
        hs_factors factors;
        bool normed, late;
    } ways[] = {{4, HS_FACTORS_F32, false},      {4, HS_FACTORS_BF16, false},
                {1, HS_FACTORS_BF16, false},     {6, HS_FACTORS_F32, false},
                {4, HS_FACTORS_FIXED, false},    {6, HS_FACTORS_FIXED, false},
                {4, HS_FACTORS_FIXED, true},     {6, HS_FACTORS_FIXED, true},
                {4, HS_FACTORS_F32, false, true}};
    enum { count = sizeof ways / sizeof *ways };
    for (size_t i = 0; i < count * HS_KERNEL_ISAS; i++) {
        const hs_kernels *kernels = hs_kernels_named(hs_kernel_isas[i / count]);
        if (!kernels)
            continue;
        wino_case c = {.spec = {.h = 30, .w = 27, .out_c = 70, .tile = 4, .part_count = 1}};
        c.spec.part_c[0] = 140;
        c.spec.factors = ways[i % count].factors;
        c.spec.tile = ways[i % count].tile;
        c.spec.normed = c.spec.silu = ways[i % count].normed;
        c.bias = c.residual = true;
        wino_data d;
        make_data(&c, 11, &d);
        winograd(kernels, &c, &d, false);
        size_t bytes = (size_t)(d.pixels * c.spec.out_c) * sizeof(float);
        float *first = malloc(bytes);
        assert_non_null(first);
        memcpy(first, d.got, bytes);
        static const int cuts[][5] = {{1, 1, 1, 1, -1},
                                      {5, 2, 3, 2, -1},
                                      {17, 1, 8, 3, -1},
                                      {99, 9, 2, 5, -1},
                                      {0, 0, 0, 4, 1}};
        for (int k = 0; k < 5; k++) {
            c.spec.block = cuts[k][0];
            c.spec.panel_block = cuts[k][1];
            c.spec.band_rows = cuts[k][2];
            c.spec.splits = cuts[k][3];
            c.spec.sharing = cuts[k][4];
            c.spec.late = ways[i % count].late;
            winograd(kernels, &c, &d, true);
            assert_memory_equal(d.got, first, bytes);
        }
        memset(&c.spec.block, 0, sizeof c.spec - offsetof(hs_winograd_spec, block));
        hs_winograd_plan few, many;
        kernels->winograd_make(&c.spec, &few);
        for (c.spec.threads = 2; c.spec.threads <= 128; c.spec.threads *= 4) {
            kernels->winograd_make(&c.spec, &many);
            winograd(kernels, &c, &d, true);
            assert_memory_equal(d.got, first, bytes);
        }
        assert_true(c.spec.tile == 1 || many.task_count > few.task_count);
        free(first);
        free_data(&d);
    }
}

/* Items that are computed together are what each is alone, to the bit, also where U is made late in
 * one or both. */
static void test_items(void **state) {
    enum { items = 19 };
    static const int shapes[][3] = {{8, 8, 4}, {5, 9, 4}, {8, 8, 2}, {8, 16, 4}, {12, 18, 6}};
    for (size_t i = 0; i < 15 * HS_KERNEL_ISAS; i++) {
        const hs_kernels *kernels = hs_kernels_named(hs_kernel_isas[i / 15]);
        if (!kernels)
            continue;
        const int *shape = shapes[i % 5];
        wino_case c = {.spec = {.h = shape[0], .w = shape[1], .tile = shape[2], .sharing = 1}};
        c.spec.part_count = 2;
        c.spec.part_c[0] = 20;
        c.spec.part_c[1] = 300;
        c.spec.out_c = 70;
        c.spec.factors = (hs_factors)(i % 15 / 5);
        c.spec.normed = c.spec.silu = c.spec.factors == HS_FACTORS_FIXED && i % 2;
        if (c.spec.factors == HS_FACTORS_BF16 && shape[2] == 6)
            continue;
        c.bias = c.residual = true;
        wino_data d[items];
        size_t bytes = (size_t)shape[0] * (size_t)shape[1] * 70 * sizeof(float);
        float *alone[items];
        for (int k = 0; k < items; k++) {
            make_data(&c, 100 + 10 * (uint64_t)k, &d[k]);
            c.spec.items = 1;
            c.spec.late = shape[2] == 4 && !c.spec.factors;
            winograd(kernels, &c, &d[k], false);
            alone[k] = malloc(bytes);
            assert_non_null(alone[k]);
            memcpy(alone[k], d[k].got, bytes);
        }
        assert_true(memcmp(alone[0], alone[1], bytes) != 0);
        c.spec.items = items;
        c.spec.threads = i % 2 ? 64 : 1;
        c.spec.late = c.spec.late && i % 2;
        hs_winograd_plan plan;
        kernels->winograd_make(&c.spec, &plan);
        assert_true(plan.merged > 1);
        assert_true(c.spec.threads == 1 || plan.band_count > 1);
        winograd(kernels, &c, d, true);
        for (int k = 0; k < items; k++) {
            assert_memory_equal(d[k].got, alone[k], bytes);
            free(alone[k]);
            free_data(&d[k]);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_bf16),
        cmocka_unit_test(test_fixed),
        cmocka_unit_test(test_fixed_limits),
        cmocka_unit_test(test_fixed_norm),
        cmocka_unit_test(test_fixed_pixels),
        cmocka_unit_test(test_parts_and_upsampling),
        cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_items),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
