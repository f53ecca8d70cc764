/* See rows.h. */
#include "directions/rows.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/threads.h"

hs_status hs_rows_create(int64_t d, int capacity, hs_rows *out, hs_error *err) {
    *out = (hs_rows){.d = d, .capacity = capacity};
    int64_t count;
    out->x =
        hs_mul_i64(d, capacity, &count) ? hs_alloc_aligned((size_t)count, sizeof(float)) : NULL;
    return out->x ? HS_OK : hs_fail_memory(err, (size_t)d * (size_t)capacity * sizeof(float));
}

void hs_rows_free(hs_rows *rows) {
    free(rows->x);
    *rows = (hs_rows){0};
}

hs_status hs_rows_work_create(int rows, hs_rows_work *out, hs_error *err) {
    *out = (hs_rows_work){.rows = rows};
    size_t bytes = HS_ROWS_CHUNK * sizeof(double);
    out->chunk = hs_alloc_aligned((size_t)rows, bytes);
    out->rotated = hs_alloc_aligned((size_t)rows, bytes);
    return out->chunk && out->rotated ? HS_OK : hs_fail_memory(err, (size_t)rows * bytes);
}

void hs_rows_work_free(hs_rows_work *work) {
    free(work->rotated);
    free(work->chunk);
    *work = (hs_rows_work){0};
}

static int hs_rows_width(int64_t d, int64_t first) {
    return d - first < HS_ROWS_CHUNK ? (int)(d - first) : HS_ROWS_CHUNK;
}

/* chunk [p,width] of x [p,d]. */
static void hs_rows_load(int64_t d, int p, const float *x, int64_t first, int width,
                         double *chunk) {
    for (int i = 0; i < p; i++)
        for (int c = 0; c < width; c++)
            chunk[(size_t)i * (size_t)width + (size_t)c] = (double)x[i * d + first + c];
}

void hs_rows_gram(int64_t d, int b, const float *x, hs_rows_work *work, double *gram) {
    hs_threads_saved saved = hs_threads_push(1);
    memset(gram, 0, (size_t)b * (size_t)b * sizeof *gram);
    for (int64_t first = 0; first < d; first += HS_ROWS_CHUNK) {
        int width = hs_rows_width(d, first);
        hs_rows_load(d, b, x, first, width, work->chunk);
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, b, b, width, 1.0, work->chunk, width,
                    work->chunk, width, 1.0, gram, b);
    }
    hs_threads_pop(saved);
}

void hs_rows_combine(int64_t d, int p, const float *x, int l, const double *z, int stride,
                     hs_rows_work *work, float *out) {
    hs_threads_saved saved = hs_threads_push(1);
    for (int64_t first = 0; first < d; first += HS_ROWS_CHUNK) {
        int width = hs_rows_width(d, first);
        hs_rows_load(d, p, x, first, width, work->chunk);
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, l, width, p, 1.0, z, stride,
                    work->chunk, width, 0.0, work->rotated, width);
        for (int i = 0; i < l; i++)
            for (int c = 0; c < width; c++)
                out[i * d + first + c] =
                    (float)work->rotated[(size_t)i * (size_t)width + (size_t)c];
    }
    hs_threads_pop(saved);
}

/* y -= h basis */
static void hs_rows_subtract(const hs_rows *basis, int b, double *y, const double *h,
                             hs_rows_work *work) {
    for (int64_t first = 0; first < basis->d; first += HS_ROWS_CHUNK) {
        int width = hs_rows_width(basis->d, first);
        hs_rows_load(basis->d, basis->count, basis->x, first, width, work->chunk);
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, b, width, basis->count, -1.0, h,
                    basis->count, work->chunk, width, 1.0, y + first, (int)basis->d);
    }
}

void hs_rows_project(const hs_rows *basis, int b, double *y, double *h, int stride,
                     hs_rows_work *work) {
    int p = basis->count;
    if (p == 0 || b == 0)
        return;
    hs_threads_saved saved = hs_threads_push(1);
    double *now = work->rotated; /* [b,p]: p <= HS_ROWS_CHUNK is checked by the methods */
    memset(now, 0, (size_t)b * (size_t)p * sizeof *now);
    for (int64_t first = 0; first < basis->d; first += HS_ROWS_CHUNK) {
        int width = hs_rows_width(basis->d, first);
        hs_rows_load(basis->d, p, basis->x, first, width, work->chunk);
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, b, p, width, 1.0, y + first,
                    (int)basis->d, work->chunk, width, 1.0, now, p);
    }
    hs_rows_subtract(basis, b, y, now, work);
    for (int i = 0; i < b; i++)
        for (int j = 0; j < p; j++)
            h[(size_t)i * (size_t)stride + (size_t)j] += now[(size_t)i * (size_t)p + (size_t)j];
    hs_threads_pop(saved);
}

/* y [b,d] := its orthonormal basis in the first r rows, c [b,b] the coefficients
 * (first r of each row): y = c y'. */
static hs_status hs_rows_inner(int64_t d, int b, double *y, double drop, int at_most, double *c,
                               hs_rows_work *work, int *r, hs_error *err) {
    hs_status status = HS_OK;
    size_t n = (size_t)b;
    double *gram = hs_alloc_aligned(n, n * sizeof(double));
    double *values = hs_alloc_aligned(n, sizeof(double));
    if (!gram || !values) {
        status = hs_fail_memory(err, n * n * sizeof(double));
        goto cleanup;
    }
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, b, b, (int)d, 1.0, y, (int)d, y, (int)d,
                0.0, gram, b);
    HS_CHECK(hs_small_eigen(b, gram, values, err));
    int kept = 0; /* below 1e-7 of the longest, the Gram matrix holds rounding only */
    while (kept < b && kept < at_most && values[kept] > 0 && sqrt(values[kept]) > drop &&
           values[kept] > 1e-14 * values[0])
        kept++;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            c[i * n + j] = (int)j < kept ? sqrt(values[j]) * gram[j * n + i] : 0;
    for (size_t j = 0; (int)j < kept; j++)
        cblas_dscal(b, 1 / sqrt(values[j]), gram + j * n, 1);
    for (int64_t first = 0; first < d; first += HS_ROWS_CHUNK) {
        int width = hs_rows_width(d, first);
        for (int i = 0; i < b; i++)
            memcpy(work->chunk + (size_t)i * (size_t)width, y + i * d + first,
                   (size_t)width * sizeof *y);
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, kept, width, b, 1.0, gram, b,
                    work->chunk, width, 0.0, y + first, (int)d);
    }
    *r = kept;
cleanup:
    free(values);
    free(gram);
    return status;
}

hs_status hs_rows_orthonormalise(const hs_rows *basis, int b, double *y, double drop,
                                 double *coefficients, int stride, hs_rows_work *work, int *r,
                                 hs_error *err) {
    hs_status status = HS_OK;
    int p = basis->count, now = b;
    size_t n = (size_t)b, width = (size_t)p + n;
    int64_t room = basis->d - p;
    /* y = h basis + c y', refined by a second round on y' */
    double *h = hs_calloc(n, (width + 4 * n) * sizeof(double));
    if (!h)
        return hs_fail_memory(err, n * (width + 4 * n) * sizeof(double));
    double *again = hs_calloc(n, width * sizeof(double));
    double *c = h + n * width, *total = c + n * n, *product = total + n * n;
    hs_threads_saved saved = hs_threads_push(1);
    if (!again) {
        status = hs_fail_memory(err, n * width * sizeof(double));
        goto cleanup;
    }
    for (size_t i = 0; i < n; i++)
        total[i * n + i] = 1;
    for (int round = 0; round < 2 && now > 0; round++) {
        memset(again, 0, n * width * sizeof(double));
        hs_rows_project(basis, now, y, again, (int)width, work);
        for (int i = 0; i < b && p > 0; i++) /* h += total again */
            for (int j = 0; j < now; j++)
                cblas_daxpy(p, total[(size_t)i * n + (size_t)j], again + (size_t)j * width, 1,
                            h + (size_t)i * width, 1);
        /* in the second round vectors have norm 1, less what was rounding only */
        int kept = 0;
        memset(c, 0, n * n * sizeof(double));
        HS_CHECK(hs_rows_inner(basis->d, now, y, round == 0 ? drop : 0.5, room < b ? (int)room : b,
                               c, work, &kept, err));
        memset(product, 0, n * n * sizeof(double));
        for (int i = 0; i < b; i++)
            for (int j = 0; j < now; j++)
                for (int l = 0; l < kept; l++)
                    product[(size_t)i * n + (size_t)l] +=
                        total[(size_t)i * n + (size_t)j] * c[(size_t)j * (size_t)now + (size_t)l];
        memcpy(total, product, n * n * sizeof(double));
        now = kept;
    }
    for (int i = 0; i < b && coefficients; i++) {
        double *row = coefficients + (size_t)i * (size_t)stride;
        memcpy(row, h + (size_t)i * width, (size_t)p * sizeof(double));
        memcpy(row + p, total + (size_t)i * n, (size_t)now * sizeof(double));
    }
    *r = now;
cleanup:
    hs_threads_pop(saved);
    free(again);
    free(h);
    return status;
}

void hs_rows_append(hs_rows *rows, int r, const double *y) {
    float *x = rows->x + rows->count * rows->d;
    for (int64_t i = 0; i < r * rows->d; i++)
        x[i] = (float)y[i];
    rows->count += r;
}

hs_status hs_rows_random(hs_generator *generator, int64_t d, int b, double *y, hs_error *err) {
    float *x = hs_alloc_aligned((size_t)d, sizeof(float));
    if (!x)
        return hs_fail_memory(err, (size_t)d * sizeof(float));
    for (int i = 0; i < b; i++) {
        hs_generator_randn(generator, (size_t)d, x);
        for (int64_t c = 0; c < d; c++)
            y[i * d + c] = (double)x[c];
    }
    free(x);
    return HS_OK;
}

hs_status hs_small_eigen(int n, double *a, double *values, hs_error *err) {
    hs_status status = HS_OK;
    double best = 0;
    for (size_t i = 0; i < (size_t)n * (size_t)n; i++)
        if (!isfinite(a[i]))
            return hs_fail(err, HS_ERROR_NUMERIC,
                           "singular vectors: a Gram matrix holds NaN or infinity");
    hs_threads_saved saved = hs_threads_push(1);
    lapack_int info = LAPACKE_dsyev_work(LAPACK_COL_MAJOR, 'V', 'L', n, a, n, values, &best, -1);
    lapack_int size = (lapack_int)best;
    double *work = hs_alloc_aligned((size_t)size, sizeof(double));
    if (!work) {
        status = hs_fail_memory(err, (size_t)size * sizeof(double));
        goto cleanup;
    }
    if (info == 0)
        info = LAPACKE_dsyev_work(LAPACK_COL_MAJOR, 'V', 'L', n, a, n, values, work, size);
    if (info != 0) {
        status = hs_fail(err, HS_ERROR_NUMERIC,
                         "singular vectors: no eigenvalues of a %d x %d matrix (dsyev info %d)", n,
                         n, (int)info);
        goto cleanup;
    }
    for (int j = 0; j < n / 2; j++) { /* largest first */
        double value = values[j];
        values[j] = values[n - 1 - j];
        values[n - 1 - j] = value;
        cblas_dswap(n, a + (size_t)j * (size_t)n, 1, a + (size_t)(n - 1 - j) * (size_t)n, 1);
    }
cleanup:
    hs_threads_pop(saved);
    free(work);
    return status;
}

/*
 * Row-major b is column-major b^T = sum x_j s_j y_j^T: LAPACK's left vectors
 * are the x_j, its right ones, transposed, the y_j.
 */
hs_status hs_small_svd(int p, int q, const double *b, int stride, double *y, double *s, double *x,
                       hs_error *err) {
    hs_status status = HS_OK;
    size_t rows = (size_t)p, columns = (size_t)q;
    int c = p < q ? p : q;
    size_t rank = (size_t)c;
    double best = 0, *work = NULL;
    double *copy = hs_alloc_aligned(rows, columns * sizeof(double));
    double *vt = hs_alloc_aligned(rank, rows * sizeof(double));
    hs_threads_saved saved = hs_threads_push(1);
    if (!copy || !vt) {
        status = hs_fail_memory(err, rows * columns * sizeof(double));
        goto cleanup;
    }
    for (size_t i = 0; i < rows; i++)
        memcpy(copy + i * columns, b + i * (size_t)stride, columns * sizeof(double));
    lapack_int info =
        LAPACKE_dgesvd_work(LAPACK_COL_MAJOR, 'S', 'S', q, p, copy, q, s, x, q, vt, c, &best, -1);
    work = hs_alloc_aligned((size_t)best, sizeof(double));
    if (!work) {
        status = hs_fail_memory(err, (size_t)best * sizeof(double));
        goto cleanup;
    }
    if (info == 0)
        info = LAPACKE_dgesvd_work(LAPACK_COL_MAJOR, 'S', 'S', q, p, copy, q, s, x, q, vt, c, work,
                                   (lapack_int)best);
    if (info != 0) {
        status = hs_fail(err, HS_ERROR_NUMERIC,
                         "singular vectors: no singular values of a %d x %d matrix (dgesvd info "
                         "%d)",
                         p, q, (int)info);
        goto cleanup;
    }
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < rank; j++)
            y[j * rows + i] = vt[i * rank + j];
cleanup:
    hs_threads_pop(saved);
    free(work);
    free(vt);
    free(copy);
    return status;
}
