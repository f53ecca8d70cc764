/* See pca_support.h. */
#include "directions/pca_support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double dot(int64_t d, const double *a, const double *b) {
    double sum = 0;
    for (int64_t i = 0; i < d; i++)
        sum += a[i] * b[i];
    return sum;
}

/* Take from `row` its part in the span of orthonormal rows basis [k,d]. */
static void project_out(int k, int64_t d, const double *basis, double *row) {
    for (int twice = 0; twice < 2; twice++)
        for (int j = 0; j < k; j++) {
            double part = dot(d, basis + j * d, row);
            for (int64_t i = 0; i < d; i++)
                row[i] -= part * basis[j * d + i];
        }
}

static void orthonormalise(int k, int64_t d, double *rows) {
    for (int j = 0; j < k; j++) {
        double *row = rows + j * d;
        project_out(j, d, rows, row);
        double norm = sqrt(dot(d, row, row));
        assert_true(norm > 0);
        for (int64_t i = 0; i < d; i++)
            row[i] /= norm;
    }
}

void hs_test_spectrum(uint64_t seed, int n, int d, int r, const double *s, float *x, double *u,
                      double *v) {
    double *ones_and_u = malloc(sizeof(double) * (size_t)(r + 1) * (size_t)n);
    assert_non_null(ones_and_u);
    for (int i = 0; i < n; i++)
        ones_and_u[i] = 1;
    for (int i = 0; i < r * n; i++)
        ones_and_u[n + i] = hs_test_random(&seed);
    for (int i = 0; i < r * d; i++)
        v[i] = hs_test_random(&seed);
    orthonormalise(r + 1, n, ones_and_u);
    orthonormalise(r, d, v);
    memcpy(u, ones_and_u + n, sizeof(double) * (size_t)r * (size_t)n);
    free(ones_and_u);
    uint64_t mean_seed = seed;
    for (int i = 0; i < n; i++) {
        uint64_t stream = mean_seed;
        for (int c = 0; c < d; c++) {
            double value = 3 * hs_test_random(&stream);
            for (int j = 0; j < r; j++)
                value += s[j] * u[j * n + i] * v[j * d + c];
            x[i * d + c] = (float)value;
        }
    }
}

/*
 * ||(I - P_b) a|| for orthonormal a: its largest singular value is the sine,
 * found by power iteration on the small k x k Gram matrix of the remainders.
 */
double hs_test_span_angle(int k, int64_t d, const double *a, const double *b) {
    size_t bytes = sizeof(double) * (size_t)k * (size_t)d;
    double *q = malloc(bytes), *rest = malloc(bytes), largest = 0;
    double *gram = malloc(sizeof(double) * (size_t)k * (size_t)k);
    double *y = malloc(2 * sizeof(double) * (size_t)k);
    assert_true(q && rest && gram && y);
    memcpy(q, b, bytes);
    memcpy(rest, a, bytes);
    orthonormalise(k, d, q);
    orthonormalise(k, d, rest);
    for (int j = 0; j < k; j++)
        project_out(k, d, q, rest + j * d);
    for (int i = 0; i < k; i++)
        for (int j = 0; j < k; j++)
            gram[i * k + j] = dot(d, rest + i * d, rest + j * d);
    for (int j = 0; j < k; j++)
        y[j] = 1 + 0.1 * j;
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < k; i++)
            y[k + i] = dot(k, gram + i * k, y);
        largest = sqrt(dot(k, y + k, y + k)) / sqrt(dot(k, y, y));
        if (!(largest > 0))
            break;
        for (int i = 0; i < k; i++)
            y[i] = y[k + i] / largest;
    }
    free(y);
    free(gram);
    free(rest);
    free(q);
    return sqrt(largest);
}

double hs_test_span_angle_f32(int k, int64_t d, const float *a, const float *b) {
    size_t count = (size_t)k * (size_t)d;
    double *wide = malloc(2 * count * sizeof(double));
    assert_non_null(wide);
    for (size_t i = 0; i < count; i++) {
        wide[i] = (double)a[i];
        wide[count + i] = (double)b[i];
    }
    double angle = hs_test_span_angle(k, d, wide, wide + count);
    free(wide);
    return angle;
}

double hs_test_spans_angle(int k, int64_t d, const double *sigma, const float *a, int64_t a_stride,
                           const float *b, int64_t b_stride) {
    double *wide = malloc(2 * (size_t)k * (size_t)d * sizeof(double)), worst = 0;
    assert_non_null(wide);
    for (int j = 0; j < k; j++)
        for (int64_t c = 0; c < d; c++) {
            wide[j * d + c] = (double)a[j * a_stride + c];
            wide[(k + j) * d + c] = (double)b[j * b_stride + c];
        }
    int cuts = 0;
    for (int cut = 1; cut < k; cut++)
        if (sigma[cut] <= 0.95 * sigma[cut - 1]) {
            worst = fmax(worst, hs_test_span_angle(cut, d, wide, wide + k * d));
            cuts++;
        }
    assert_true(cuts > 0); /* else nothing was compared */
    free(wide);
    return worst;
}

hs_tensor_set *hs_test_pca_golden(void) {
    hs_error err;
    hs_tensor_set *set = NULL;
    assert_ok(hs_safetensors_open("golden/directions/pca.safetensors", &set, &err));
    return set;
}

static const void *golden(const hs_tensor_set *set, const char *name, hs_dtype dtype,
                          int64_t count) {
    const hs_tensor *tensor = hs_tensor_set_find(set, name);
    if (!tensor || tensor->dtype != dtype || hs_tensor_count(tensor) != count)
        fail_msg("golden values: %s with %lld values is expected", name, (long long)count);
    assert_int_equal((uintptr_t)tensor->data % hs_dtype_size(dtype), 0);
    return tensor->data;
}

const float *hs_test_golden_f32(const hs_tensor_set *set, const char *name, int64_t count) {
    return golden(set, name, HS_F32, count);
}

const double *hs_test_golden_f64(const hs_tensor_set *set, const char *name, int64_t count) {
    return golden(set, name, HS_F64, count);
}
