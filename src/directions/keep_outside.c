/* The projection of keep_outside.h; the generalised problem is in generalised.c. */
#include "directions/keep_outside.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "directions/svd_run.h"

/* Less than this is left of a float vector by rounding alone. */
#define HS_PROJECT_LEAST 1e-5

static hs_status hs_project_check(int64_t n, int k, int p, hs_error *err) {
    if (n < 1 || k < 1 || p < 0 || p > n || p > HS_ROWS_CHUNK || k > HS_ROWS_CHUNK)
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "keep outside: %d directions of %lld values less the span of %d, expected 1 "
                       "to %d directions and 0 to %lld to remove",
                       k, (long long)n, p, HS_ROWS_CHUNK,
                       (long long)(n < HS_ROWS_CHUNK ? n : HS_ROWS_CHUNK));
    return HS_OK;
}

static double hs_project_norm(int64_t n, const double *x) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    return sqrt(sum);
}

/* basis: the orthonormalised w. */
static hs_status hs_project_basis(int64_t n, int p, const float *w, hs_rows *basis,
                                  hs_rows_work *work, hs_error *err) {
    HS_TRY(hs_rows_create(n, p > 0 ? p : 1, basis, err));
    if (p == 0)
        return HS_OK;
    double *block = hs_alloc_aligned((size_t)p, (size_t)n * sizeof(double));
    if (!block)
        return hs_fail_memory(err, (size_t)p * (size_t)n * sizeof(double));
    for (int64_t i = 0; i < p * n; i++)
        block[i] = (double)w[i];
    int kept = 0;
    hs_status status = hs_rows_orthonormalise(basis, p, block, 0, NULL, 0, work, &kept, err);
    if (status == HS_OK)
        hs_rows_append(basis, kept, block);
    free(block);
    return status;
}

hs_status hs_project_out(int64_t n, int k, float *v, int p, const float *w, double *left,
                         hs_error *err) {
    HS_TRY(hs_project_check(n, k, p, err));
    hs_status status = HS_OK;
    hs_rows basis = {0};
    hs_rows_work work = {0};
    size_t room = (size_t)k * (size_t)(p + 1) + (size_t)k;
    double *block = hs_alloc_aligned((size_t)k, (size_t)n * sizeof(double));
    double *unused = hs_calloc(room, sizeof(double)), *share = NULL;
    if (!block || !unused) {
        status = hs_fail_memory(err, (size_t)k * (size_t)n * sizeof(double));
        goto cleanup;
    }
    share = unused + (size_t)k * (size_t)(p + 1);
    HS_CHECK(hs_rows_work_create(k > p ? k : p, &work, err));
    HS_CHECK(hs_project_basis(n, p, w, &basis, &work, err));
    for (int64_t i = 0; i < k * n; i++)
        block[i] = (double)v[i];
    for (int twice = 0; twice < 2; twice++)
        hs_rows_project(&basis, k, block, unused, p + 1, &work);
    for (int j = 0; j < k; j++) {
        double before = hs_svd_norm(n, v + j * n), after = hs_project_norm(n, block + j * n);
        share[j] = after / before;
        if (!(share[j] >= HS_PROJECT_LEAST)) {
            status = hs_fail(err, HS_ERROR_NUMERIC,
                             "keep outside: of direction %d a share of %.1e is left without the "
                             "span of the %d directions of the outside, expected at least %g",
                             j, share[j], basis.count, HS_PROJECT_LEAST);
            goto cleanup;
        }
        for (int64_t i = 0; i < n; i++)
            block[j * n + i] /= after;
    }
    for (int64_t i = 0; i < k * n; i++)
        v[i] = (float)block[i];
    if (left)
        memcpy(left, share, (size_t)k * sizeof *left);
cleanup:
    hs_rows_work_free(&work);
    hs_rows_free(&basis);
    free(unused);
    free(block);
    return status;
}

/* sigma, u and residual of the v that are there. */
static hs_status hs_svd_remeasure(hs_svd_solve *solve, int k, hs_error *err) {
    hs_svd *svd = &solve->result;
    HS_TRY(hs_svd_product(solve, false, k, svd->v, svd->u, err));
    for (int j = 0; j < k; j++) {
        float *u = svd->u + j * svd->m;
        svd->sigma[j] = hs_svd_norm(svd->m, u);
        if (!(svd->sigma[j] > 0))
            return hs_fail(err, HS_ERROR_NUMERIC,
                           "keep outside: direction %d moves nothing inside the mask once the "
                           "outside is kept",
                           j);
        for (int64_t i = 0; i < svd->m; i++)
            u[i] = (float)((double)u[i] / svd->sigma[j]);
    }
    for (int j = 0; j < k; j++) {
        HS_TRY(hs_svd_product(solve, true, 1, svd->u + j * svd->m, solve->product, err));
        svd->residual[j] =
            hs_svd_distance(svd->n, solve->product, svd->sigma[j], svd->v + j * svd->n) /
            svd->sigma[j];
    }
    svd->k = svd->rank = k;
    hs_svd_fix_signs(svd);
    return HS_OK;
}

hs_status hs_svd_project_out(const hs_linop *op, const hs_svd *svd, int p, const float *w,
                             hs_svd *out, hs_error *err) {
    if (op->rows != svd->m || op->columns != svd->n)
        return hs_fail(err, HS_ERROR_MISMATCH,
                       "keep outside: the operator is %lld x %lld, expected %lld x %lld as the "
                       "directions",
                       (long long)op->rows, (long long)op->columns, (long long)svd->m,
                       (long long)svd->n);
    hs_status status = HS_OK;
    hs_svd_solve solve = {.op = op};
    HS_CHECK(hs_svd_alloc(&solve.result, svd->k, svd->m, svd->n, err));
    solve.product = hs_alloc_aligned((size_t)svd->n, sizeof(float));
    if (!solve.product) {
        status = hs_fail_memory(err, (size_t)svd->n * sizeof(float));
        goto cleanup;
    }
    memcpy(solve.result.v, svd->v, (size_t)svd->k * (size_t)svd->n * sizeof *svd->v);
    HS_CHECK(hs_project_out(svd->n, svd->k, solve.result.v, p, w, NULL, err));
    HS_CHECK(hs_svd_remeasure(&solve, svd->k, err));
    *out = solve.result;
    solve.result = (hs_svd){0};
cleanup:
    hs_svd_free(&solve.result);
    free(solve.product);
    return status;
}
