/* See gram_pca.h. */
#include "directions/gram_pca.h"

#include <cblas.h>
#include <float.h>
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/threads.h"
#include "directions/align.h"

/* Columns taken at once: enough for the matrix product to run at full speed,
 * and no more than some 32 MB of doubles. By shape alone, never by threads. */
#define HS_GRAM_BLOCK_DOUBLES ((int64_t)4 << 20)

static int64_t hs_gram_block(int64_t n, int64_t d) {
    int64_t block = HS_GRAM_BLOCK_DOUBLES / (n > 0 ? n : 1);
    if (block < 128)
        block = 128;
    if (block > 1024)
        block = 1024;
    return block < d ? block : d;
}

void hs_gram_mean(int n, int64_t d, const float *x, double *mean) {
    memset(mean, 0, (size_t)d * sizeof(double));
    for (int64_t i = 0; i < n; i++)
        for (int64_t c = 0; c < d; c++)
            mean[c] += (double)x[i * d + c];
    for (int64_t c = 0; c < d; c++)
        mean[c] /= n;
}

static void hs_gram_fill_centred(const hs_gram_rows *rows, int64_t first, int64_t count,
                                 double *block) {
    for (int64_t i = 0; i < rows->n; i++) {
        const float *x = rows->x + i * rows->d + first;
        for (int64_t c = 0; c < count; c++)
            block[i * count + c] = (double)x[c] - rows->mean[first + c];
    }
}

hs_gram_rows hs_gram_centred(int n, int64_t d, const float *x, const double *mean) {
    return (hs_gram_rows){.n = n, .d = d, .fill = hs_gram_fill_centred, .x = x, .mean = mean};
}

hs_status hs_gram_add(const hs_gram_rows *rows, double *gram, hs_error *err) {
    int64_t width = hs_gram_block(rows->n, rows->d);
    double *block = hs_alloc_aligned((size_t)rows->n, (size_t)width * sizeof(double));
    if (!block)
        return hs_fail_memory(err, (size_t)rows->n * (size_t)width * sizeof(double));
    for (int64_t first = 0; first < rows->d; first += width) {
        int64_t count = rows->d - first < width ? rows->d - first : width;
        rows->fill(rows, first, count, block);
        cblas_dsyrk(CblasColMajor, CblasLower, CblasTrans, rows->n, (int)count, 1.0, block,
                    (int)count, 1.0, gram, rows->n);
    }
    free(block);
    return HS_OK;
}

void hs_gram_eigen_free(hs_gram_eigen *eigen) {
    free(eigen->scores);
    free(eigen->s);
    *eigen = (hs_gram_eigen){0};
}

/*
 * The k largest eigenpairs, ascending: values [n], of which k are set, and
 * vectors [k,n]. The workspace is ours and aligned, not LAPACKE's, so that the
 * same input gives the same bits in every run.
 */
static hs_status hs_gram_largest(int n, int k, double *gram, double *values, double *vectors,
                                 hs_error *err) {
    hs_status status = HS_OK;
    double *work = NULL, best_work = 0;
    lapack_int *iwork = NULL, best_iwork = 0, found = 0;
    lapack_int *support = hs_calloc(2 * (size_t)n, sizeof *support);
    lapack_int info =
        LAPACKE_dsyevr_work(LAPACK_COL_MAJOR, 'V', 'I', 'L', n, gram, n, 0, 0, n - k + 1, n, 0,
                            &found, values, vectors, n, support, &best_work, -1, &best_iwork, -1);
    lapack_int lwork = (lapack_int)best_work, liwork = best_iwork;
    if (info == 0) {
        work = hs_alloc_aligned((size_t)lwork, sizeof *work);
        iwork = hs_alloc_aligned((size_t)liwork, sizeof *iwork);
    }
    if (info != 0 || !support || !work || !iwork) {
        status = hs_fail_memory(err, (size_t)lwork * sizeof *work);
        goto cleanup;
    }
    info = LAPACKE_dsyevr_work(LAPACK_COL_MAJOR, 'V', 'I', 'L', n, gram, n, 0, 0, n - k + 1, n, 0,
                               &found, values, vectors, n, support, work, lwork, iwork, liwork);
    if (info != 0 || found != k)
        status = hs_fail(err, HS_ERROR_NUMERIC,
                         "PCA: the eigenvalue solver found %d of %d values (dsyevr info %d)",
                         (int)found, k, (int)info);
cleanup:
    free(iwork);
    free(work);
    free(support);
    return status;
}

hs_status hs_gram_check(int64_t n, int64_t k, int64_t d, hs_error *err) {
    if (n < 2)
        return hs_fail(err, HS_ERROR_ARGUMENT, "PCA: n is %lld, expected at least 2 samples",
                       (long long)n);
    if (k < 1 || k > n - 1)
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "PCA: k is %lld, expected 1 to n-1 = %lld components of n = %lld samples",
                       (long long)k, (long long)n - 1, (long long)n);
    if (k > d)
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "PCA: k is %lld, expected 1 to %lld, the number of values in h",
                       (long long)k, (long long)d);
    return HS_OK;
}

hs_status hs_gram_check_rank(int rank, int k, hs_error *err) {
    if (rank >= k)
        return HS_OK;
    return hs_fail(err, HS_ERROR_NUMERIC,
                   "PCA: the samples vary in %d dimensions only, expected at least k = %d", rank,
                   k);
}

hs_status hs_gram_decompose(int n, int k, double *gram, hs_gram_eigen *out, hs_error *err) {
    hs_status status = HS_OK;
    hs_gram_eigen eigen = {.n = n};
    size_t row = (size_t)n;
    double *values = hs_alloc_aligned(row, sizeof(double));
    eigen.s = hs_calloc((size_t)k, sizeof(double));
    eigen.scores = hs_alloc_aligned(row * (size_t)k, sizeof(double));
    if (!values || !eigen.s || !eigen.scores) {
        status = hs_fail_memory(err, row * (size_t)(k + 1) * sizeof(double));
        goto cleanup;
    }
    for (size_t i = 0; i < row; i++)
        eigen.total += gram[i * row + i];
    if (!isfinite(eigen.total)) {
        status = hs_fail(err, HS_ERROR_NUMERIC, "PCA: the samples hold NaN or infinity");
        goto cleanup;
    }
    HS_CHECK(hs_gram_largest(n, k, gram, values, eigen.scores, err));
    for (int j = 0; j < k / 2; j++) { /* largest first */
        double value = values[j];
        values[j] = values[k - 1 - j];
        values[k - 1 - j] = value;
        cblas_dswap(n, eigen.scores + (size_t)j * row, 1, eigen.scores + (size_t)(k - 1 - j) * row,
                    1);
    }
    while (eigen.k < k && values[eigen.k] > 8 * n * DBL_EPSILON * values[0]) {
        eigen.s[eigen.k] = sqrt(values[eigen.k]);
        eigen.k++;
    }
    *out = eigen;
    eigen = (hs_gram_eigen){0};
cleanup:
    hs_gram_eigen_free(&eigen);
    free(values);
    return status;
}

hs_status hs_gram_components(const hs_gram_eigen *eigen, const hs_gram_rows *rows,
                             float *components, int64_t stride, hs_error *err) {
    hs_status status = HS_OK;
    int n = eigen->n, k = eigen->k;
    int64_t width = hs_gram_block(n, rows->d);
    double *block = hs_alloc_aligned((size_t)n, (size_t)width * sizeof(double));
    double *product = hs_alloc_aligned((size_t)k, (size_t)width * sizeof(double));
    if (!block || !product) {
        status = hs_fail_memory(err, (size_t)(n + k) * (size_t)width * sizeof(double));
        goto cleanup;
    }
    for (int64_t first = 0; first < rows->d; first += width) {
        int64_t count = rows->d - first < width ? rows->d - first : width;
        rows->fill(rows, first, count, block);
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, k, (int)count, n, 1.0, eigen->scores,
                    n, block, (int)count, 0.0, product, (int)count);
        for (int64_t j = 0; j < k; j++)
            for (int64_t c = 0; c < count; c++)
                components[j * stride + first + c] = (float)(product[j * count + c] / eigen->s[j]);
    }
cleanup:
    free(product);
    free(block);
    return status;
}

hs_status hs_gram_pca(int n, int k, int64_t d, const float *x, float *components, double *sigma,
                      double *ratio, double *mean, double *scores, hs_error *err) {
    HS_TRY(hs_gram_check(n, k, d, err));
    hs_status status;
    hs_gram_eigen eigen = {0};
    hs_gram_rows rows = hs_gram_centred(n, d, x, mean);
    size_t row = (size_t)n;
    hs_threads_saved saved = hs_threads_push(1);
    double *gram = hs_alloc_aligned(row, row * sizeof(double));
    if (!gram) {
        status = hs_fail_memory(err, row * row * sizeof(double));
        goto cleanup;
    }
    memset(gram, 0, row * row * sizeof(double));
    hs_gram_mean(n, d, x, mean);
    HS_CHECK(hs_gram_add(&rows, gram, err));
    HS_CHECK(hs_gram_decompose(n, k, gram, &eigen, err));
    HS_CHECK(hs_gram_check_rank(eigen.k, k, err));
    HS_CHECK(hs_gram_components(&eigen, &rows, components, d, err));
    for (int j = 0; j < k; j++) {
        sigma[j] = eigen.s[j] / sqrt(n - 1.0);
        ratio[j] = eigen.s[j] * eigen.s[j] / eigen.total;
        if (hs_align_sign(d, components + j * d) < 0) {
            for (int64_t c = 0; c < d; c++)
                components[j * d + c] = -components[j * d + c];
            cblas_dscal(n, -1.0, eigen.scores + (size_t)j * row, 1);
        }
    }
    if (scores)
        memcpy(scores, eigen.scores, (size_t)k * row * sizeof(double));
cleanup:
    hs_gram_eigen_free(&eigen);
    free(gram);
    hs_threads_pop(saved);
    return status;
}

double hs_gram_bytes(int64_t n, int64_t k, int64_t d) {
    double block = (double)hs_gram_block(n, d);
    return 8.0 * ((double)n * (double)n + (double)n * (double)k + ((double)n + (double)k) * block +
                  64.0 * (double)n + (double)d);
}
