/* See svd_support.h. */
#include "directions/svd_support.h"

#include <lapacke.h>
#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

int64_t hs_test_heap(void) {
    struct mallinfo2 info = mallinfo2();
    return (int64_t)(info.uordblks + info.hblkhd);
}

static hs_status apply(void *ctx, bool transpose, int k, const float *x, float *y, hs_error *err) {
    hs_test_operator *a = ctx;
    int m = a->m, n = a->n;
    assert_true(k >= 1 && k <= a->op.block);
    a->calls++;
    int64_t heap = hs_test_heap();
    a->heap = heap > a->heap ? heap : a->heap;
    a->largest = k > a->largest ? k : a->largest;
    for (int v = 0; v < k; v++, a->products++) {
        if (a->products == a->fail_at)
            return hs_fail(err, HS_ERROR_IO, "the operator failed");
        const float *in = x + (size_t)v * (size_t)(transpose ? m : n);
        double sum[4096] = {0};
        assert_true(m <= 4096 && n <= 4096);
        for (int i = 0; i < m; i++)
            for (int j = 0; j < n; j++) {
                double entry = a->a[(size_t)i * (size_t)n + (size_t)j];
                if (transpose)
                    sum[j] += entry * (double)in[i];
                else
                    sum[i] += entry * (double)in[j];
            }
        float *out = y + (size_t)v * (size_t)(transpose ? n : m);
        for (int i = 0; i < (transpose ? n : m); i++)
            out[i] = (float)sum[i];
        if (a->products == a->nan_at)
            out[0] = NAN;
    }
    return HS_OK;
}

static void orthonormal(uint64_t *seed, int count, int d, double *rows) {
    for (int i = 0; i < count * d; i++)
        rows[i] = hs_test_random(seed);
    for (int j = 0; j < count; j++) {
        double *row = rows + (size_t)j * (size_t)d, norm = 0;
        for (int round = 0; round < 2; round++)
            for (int l = 0; l < j; l++) {
                double dot = 0, *other = rows + (size_t)l * (size_t)d;
                for (int i = 0; i < d; i++)
                    dot += row[i] * other[i];
                for (int i = 0; i < d; i++)
                    row[i] -= dot * other[i];
            }
        for (int i = 0; i < d; i++)
            norm += row[i] * row[i];
        for (int i = 0; i < d; i++)
            row[i] /= sqrt(norm);
    }
}

void hs_test_operator_make(uint64_t seed, int m, int n, int r, const double *s, int block,
                           hs_test_operator *out) {
    size_t rows = (size_t)m, columns = (size_t)n, c = (size_t)(m < n ? m : n), rank = (size_t)r;
    *out = (hs_test_operator){.m = m, .n = n, .nan_at = -1, .fail_at = -1};
    out->op = (hs_linop){.rows = m, .columns = n, .block = block, .ctx = out, .apply = apply};
    out->a = calloc(rows * columns, sizeof(double));
    out->u = calloc(rows * c, sizeof(double));
    out->s = calloc(c, sizeof(double));
    out->vt = calloc(c * columns, sizeof(double));
    double *left = calloc((rank + 1) * rows, sizeof(double));
    double *right = calloc((rank + 1) * columns, sizeof(double));
    double *copy = calloc(rows * columns, sizeof(double));
    assert_true(out->a && out->u && out->s && out->vt && left && right && copy);
    orthonormal(&seed, r, m, left);
    orthonormal(&seed, r, n, right);
    for (size_t j = 0; j < rank; j++)
        for (size_t i = 0; i < rows; i++)
            for (size_t l = 0; l < columns; l++)
                out->a[i * columns + l] += s[j] * left[j * rows + i] * right[j * columns + l];
    memcpy(copy, out->a, rows * columns * sizeof(double));
    assert_int_equal(
        LAPACKE_dgesdd(LAPACK_ROW_MAJOR, 'S', m, n, copy, n, out->s, out->u, (int)c, out->vt, n),
        0);
    free(copy);
    free(right);
    free(left);
}

void hs_test_operator_free(hs_test_operator *a) {
    free(a->vt);
    free(a->s);
    free(a->u);
    free(a->a);
}

static double orthogonality(int k, int64_t d, const float *x) {
    double worst = 0;
    for (int i = 0; i < k; i++)
        for (int j = 0; j <= i; j++) {
            double dot = 0;
            for (int64_t c = 0; c < d; c++)
                dot += (double)x[i * d + c] * (double)x[j * d + c];
            worst = fmax(worst, fabs(dot - (i == j)));
        }
    return worst;
}

/* sine of the largest angle of x [k,d] to the span of k orthonormal vectors,
 * entry c of vector j at basis[j * of_vector + c * of_entry] */
static double outside(int k, int64_t d, const float *x, const double *basis, int64_t of_vector,
                      int64_t of_entry) {
    double worst = 0;
    for (int i = 0; i < k; i++) {
        double length = 0, inside = 0;
        for (int j = 0; j < k; j++) {
            double dot = 0;
            for (int64_t c = 0; c < d; c++)
                dot += (double)x[i * d + c] * basis[j * of_vector + c * of_entry];
            inside += dot * dot;
        }
        for (int64_t c = 0; c < d; c++)
            length += (double)x[i * d + c] * (double)x[i * d + c];
        worst = fmax(worst, sqrt(fmax(0, 1 - inside / length)));
    }
    return worst;
}

hs_test_quality hs_test_judge(const hs_test_operator *a, const hs_svd *svd) {
    hs_test_quality q = {0};
    int m = a->m, n = a->n, c = m < n ? m : n;
    assert_int_equal(svd->m, m);
    assert_int_equal(svd->n, n);
    assert_int_equal(svd->products, a->products);
    assert_int_equal(svd->calls, a->calls);
    for (int t = 0; t < svd->k; t++) {
        const float *v = svd->v + (int64_t)t * n, *u = svd->u + (int64_t)t * m;
        double first = 0, second = 0, column[4096] = {0}, largest = 0;
        for (int i = 0; i < m; i++) {
            double y = 0;
            for (int j = 0; j < n; j++) {
                double entry = a->a[(size_t)i * (size_t)n + (size_t)j];
                y += entry * (double)v[j];
                column[j] += entry * (double)u[i];
            }
            first += pow(y - svd->sigma[t] * (double)u[i], 2);
        }
        for (int j = 0; j < n; j++) {
            second += pow(column[j] - svd->sigma[t] * (double)v[j], 2);
            if (fabs((double)v[j]) > fabs(largest))
                largest = (double)v[j];
        }
        assert_true(largest > 0); /* the sign convention */
        double residual = sqrt(fmax(first, second)) / svd->sigma[t];
        q.residual = fmax(q.residual, residual);
        q.claim = fmax(q.claim, fabs(residual - svd->residual[t]));
        q.sigma = fmax(q.sigma, fabs(svd->sigma[t] / a->s[t] - 1));
        assert_true(t == 0 || svd->sigma[t] <= svd->sigma[t - 1] * (1 + 1e-6));
    }
    q.orthogonal = fmax(orthogonality(svd->k, n, svd->v), orthogonality(svd->k, m, svd->u));
    q.angle = fmax(outside(svd->k, n, svd->v, a->vt, n, 1), outside(svd->k, m, svd->u, a->u, 1, c));
    return q;
}

void hs_test_print(const char *name, const hs_svd *svd, const hs_test_quality *q) {
    print_message("%-22s %4lld products %3lld calls  residual %.1e (claim off %.1e)  sigma %.1e  "
                  "angle %.1e  orthogonal %.1e\n",
                  name, (long long)svd->products, (long long)svd->calls, q->residual, q->claim,
                  q->sigma, q->angle, q->orthogonal);
}
