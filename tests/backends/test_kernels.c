/*
 * The vectorised loops of matrices and activations against the definition in
 * double, on every instruction set that this CPU runs, with sizes that fill no
 * register tile.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backends/kernels/kernels.h"
#include "base/mem.h"
#include "support.h"

#define ISAS ((int)(HS_KERNEL_ISAS))

static float *random_floats(uint64_t seed, int64_t count) {
    float *x = hs_alloc_aligned((size_t)count, sizeof *x);
    assert_non_null(x);
    hs_test_fill(seed, x, count);
    return x;
}

/* |found - wanted| relative to `scale`, which bounds the sum of magnitudes. */
static void close_to(const char *what, const char *isa, double found, double wanted, double scale) {
    if (!(fabs(found - wanted) <= 2e-6 * scale))
        fail_msg("%s, %s: %.9g, expected %.9g", what, isa, found, wanted);
}

/* One product with leading dimensions that are no sizes; beyond the result
 * nothing may be written. */
static void check_gemm(const hs_kernels *kernels, int m, int n, int k) {
    int lda = k + 3, ldb = n + 5, ldc = n + 2;
    float *a = random_floats(1, (int64_t)m * lda), *b = random_floats(2, (int64_t)k * ldb);
    float *c = random_floats(3, (int64_t)m * ldc), *before = random_floats(3, (int64_t)m * ldc);
    kernels->gemm(m, n, k, a, lda, b, ldb, c, ldc);
    for (int i = 0; i < m; i++) {
        for (int j = 0; j < n; j++) {
            double sum = 0;
            for (int p = 0; p < k; p++)
                sum += (double)a[i * lda + p] * (double)b[p * ldb + j];
            close_to("gemm", kernels->isa, (double)c[i * ldc + j], sum, sqrt(k) + 1);
        }
        assert_memory_equal(c + i * ldc + n, before + i * ldc + n, 2 * sizeof *c);
    }
    /* Rows do not depend on which others are computed beside them. */
    float *row = random_floats(4, n);
    for (int i = 0; i < m; i++) {
        kernels->gemm(1, n, k, a + (int64_t)i * lda, lda, b, ldb, row, n);
        assert_memory_equal(row, c + i * ldc, (size_t)n * sizeof *row);
    }
    free(a);
    free(b);
    free(c);
    free(before);
    free(row);
}

static void test_gemm(void **state) {
    static const int sizes[] = {1, 2, 5, 13, 16, 31, 47, 64};
    for (int isa = 0; isa < ISAS; isa++) {
        const hs_kernels *kernels = hs_kernels_named(hs_kernel_isas[isa]);
        for (int i = 0; kernels && i < 8; i++)
            for (int j = 0; j < 8; j++)
                for (int k = 0; k < 8; k += 3)
                    check_gemm(kernels, sizes[i], sizes[j], sizes[k]);
    }
}

/* act(a x + b) over the whole range of exp, and that a NaN stays one. */
static void check_silu(const hs_kernels *kernels, int channels, hs_kernel_act act) {
    enum { PIXELS = 37 };
    float *x = random_floats(5, PIXELS * (int64_t)channels), *y = random_floats(6, PIXELS * 70L);
    float *a = random_floats(7, channels), *b = random_floats(8, channels);
    for (int c = 0; c < channels; c++)
        a[c] *= c % 3 == 0 ? 200.0f : 4.0f;
    x[channels - 1] = NAN;
    kernels->affine_act(x, y, PIXELS, channels, 70, a, b, act);
    assert_true(isnan(y[channels - 1]));
    for (int p = 0; p < PIXELS; p++)
        for (int c = p == 0 && channels == 1 ? 1 : 0; c < channels - (p == 0); c++) {
            double z = (double)x[p * channels + c] * (double)a[c] + (double)b[c];
            close_to("silu", kernels->isa, (double)y[p * 70 + c], z / (1 + exp(-z)),
                     (act == HS_ACT_SILU ? 1 : 2.5) * fabs(z) + (c % 3 == 0 ? 10 : 1));
        }
    free(x);
    free(y);
    free(a);
    free(b);
}

static void test_silu(void **state) {
    for (int isa = 0; isa < ISAS; isa++) {
        const hs_kernels *kernels = hs_kernels_named(hs_kernel_isas[isa]);
        for (int channels = 1; kernels && channels <= 70; channels += 3)
            for (int act = HS_ACT_SILU; act <= HS_ACT_SILU_ROUNDED; act++)
                check_silu(kernels, channels, (hs_kernel_act)act);
    }
}

static void check_softmax(const hs_kernels *kernels, int columns) {
    enum { ROWS = 3 };
    float *x = random_floats(9, ROWS * (int64_t)columns);
    double want[ROWS * 70];
    for (int r = 0; r < ROWS; r++) {
        double sum = 0;
        for (int c = 0; c < columns; c++)
            sum += exp(20.0 * (double)x[r * columns + c]);
        for (int c = 0; c < columns; c++)
            want[r * columns + c] = exp(20.0 * (double)x[r * columns + c]) / sum;
    }
    kernels->softmax(x, ROWS, columns, 20.0f);
    for (int i = 0; i < ROWS * columns; i++)
        close_to("softmax", kernels->isa, (double)x[i], want[i], 2);
    free(x);
}

static void test_softmax(void **state) {
    for (int isa = 0; isa < ISAS; isa++) {
        const hs_kernels *kernels = hs_kernels_named(hs_kernel_isas[isa]);
        for (int columns = 1; kernels && columns <= 70; columns++)
            check_softmax(kernels, columns);
    }
}

/* Sums of each channel. */
static void check_sums(const hs_kernels *kernels, int pixels, int channels) {
    float *x = random_floats(10, (int64_t)pixels * channels);
    double sum[70] = {0}, sumsq[70] = {0};
    kernels->channel_sums(x, pixels, channels, sum, sumsq);
    for (int c = 0; c < channels; c++) {
        double s = 0, q = 0;
        for (int p = 0; p < pixels; p++) {
            double v = (double)x[p * channels + c];
            s += v;
            q += v * v;
        }
        close_to("sum", kernels->isa, sum[c], s, pixels);
        close_to("sum of squares", kernels->isa, sumsq[c], q, pixels);
    }
    free(x);
}

static void test_sums(void **state) {
    for (int isa = 0; isa < ISAS; isa++) {
        const hs_kernels *kernels = hs_kernels_named(hs_kernel_isas[isa]);
        for (int channels = 1; kernels && channels <= 70; channels += 3)
            for (int pixels = 1; pixels < 80; pixels += 13)
                check_sums(kernels, pixels, channels);
    }
}

/* Slopes that are computed on the way and slopes that are there: against the definition,
 * with and without v and x, and over v. */
static void check_slopes(const hs_kernels *kernels, int channels, bool with_x, bool with_v) {
    enum { PIXELS = 5, STRIDE = 75 };
    float *x = random_floats(11, PIXELS * STRIDE), *v = random_floats(12, PIXELS * STRIDE);
    float *slope = random_floats(13, PIXELS * STRIDE), *lines = random_floats(14, 5 * STRIDE);
    const float *a = lines, *b = a + STRIDE, *alpha = b + STRIDE, *beta = alpha + STRIDE;
    const float *delta = beta + STRIDE, *vs = with_v ? v : NULL;
    float *y = random_floats(15, PIXELS * STRIDE), *z = random_floats(15, PIXELS * STRIDE);
    kernels->slope_affine(x, STRIDE, vs, STRIDE, y, STRIDE, PIXELS, channels, a, b, alpha, beta,
                          delta, HS_ACT_SILU);
    if (with_v)
        memcpy(z, v, PIXELS * STRIDE * sizeof *z);
    kernels->affine_times(with_x ? x : NULL, STRIDE, with_v ? z : NULL, STRIDE, slope, STRIDE, z,
                          STRIDE, PIXELS, channels, alpha, beta, delta);
    for (int p = 0; p < PIXELS; p++)
        for (int c = 0; c < channels; c++) {
            int i = p * STRIDE + c;
            double term = (double)beta[c] * (double)x[i] + (double)delta[c];
            double more = with_v ? (double)alpha[c] * (double)v[i] : 0;
            double s = 1 / (1 + exp(-((double)a[c] * (double)x[i] + (double)b[c])));
            double silu = s * (1 + ((double)a[c] * (double)x[i] + (double)b[c]) * (1 - s));
            double scale = fabs(term) + fabs(more) + 1;
            close_to("slope", kernels->isa, (double)y[i], silu * (term + more), scale);
            close_to("times", kernels->isa, (double)z[i],
                     (double)slope[i] * ((with_x ? term : 0) + more), scale);
        }
    assert_true(z[channels] == (with_v ? v : y)[channels]); /* nothing is written beyond */
    free(x);
    free(v);
    free(slope);
    free(lines);
    free(y);
    free(z);
}

static void test_slopes(void **state) {
    for (int isa = 0; isa < ISAS; isa++) {
        const hs_kernels *kernels = hs_kernels_named(hs_kernel_isas[isa]);
        for (int channels = 1; kernels && channels <= 70; channels += 3)
            for (int with = 1; with < 4; with++)
                check_slopes(kernels, channels, with & 1, with & 2);
    }
}

/* A row of the result, with and without bias and residual, the latter in place. */
static void check_narrow(const hs_kernels *kernels, int pixels, int in_c, int out_c, int stride) {
    hs_narrow_conv conv = {3, 3 * in_c, pixels, out_c, stride * in_c, 0, NULL, NULL};
    conv.x_row = ((pixels - 1) * (int64_t)stride + 3) * in_c;
    float *x = random_floats(11, 3 * conv.x_row), *bias = random_floats(12, out_c);
    float *weights = random_floats(13, 9 * (int64_t)in_c * out_c);
    double wide[3 * 80 * 16];
    assert_in_range(3 * conv.x_row, 1, 3 * 80 * 16);
    for (int64_t i = 0; i < 3 * conv.x_row; i++)
        wide[i] = (double)x[i];
    conv.weights = weights;
    for (int with = 0; with < 2; with++) {
        float *y = random_floats(14, (int64_t)pixels * out_c + 1);
        float *before = random_floats(14, (int64_t)pixels * out_c + 1);
        conv.bias = with ? bias : NULL;
        kernels->narrow_conv(&conv, wide, with ? y : NULL, y);
        for (int at = 0; at < pixels * out_c; at++) {
            int p = at / out_c, o = at % out_c;
            double sum = with ? (double)bias[o] + (double)before[at] : 0;
            for (int k = 0; k < 9 * in_c; k++)
                sum += wide[k / conv.columns * conv.x_row + p * conv.step + k % conv.columns] *
                       (double)weights[k * out_c + o];
            assert_true(fabs((double)y[at] - sum) <= 6e-8 * fabs(sum)); /* rounded once */
        }
        assert_memory_equal(y + pixels * out_c, before + pixels * out_c, sizeof *y);
        free(y);
        free(before);
    }
    free(x);
    free(bias);
    free(weights);
}

static void test_narrow(void **state) {
    for (int isa = 0; isa < ISAS; isa++) {
        const hs_kernels *kernels = hs_kernels_named(hs_kernel_isas[isa]);
        for (int out_c = 1; kernels && out_c <= 37; out_c += 3)
            for (int pixels = 1; pixels < 20; pixels += 3)
                check_narrow(kernels, pixels, 1 + pixels % 8, out_c, 1 + pixels % 2);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gemm), cmocka_unit_test(test_silu),   cmocka_unit_test(test_softmax),
        cmocka_unit_test(test_sums), cmocka_unit_test(test_slopes),

        cmocka_unit_test(test_sums), cmocka_unit_test(test_narrow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
