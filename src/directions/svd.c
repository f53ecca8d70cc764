/* See svd.h and svd_run.h: options, products, the final check. */
#include "directions/svd.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/tensor.h"
#include "directions/align.h"
#include "directions/svd_run.h"

#define HS_SVD_DEFAULT_MEM ((int64_t)256 << 20)
#define HS_SVD_MOST_BASIS 1024 /* dense algebra would begin to count */

const char *hs_svd_method_name(hs_svd_method method) {
    switch (method) {
    case HS_SVD_KRYLOV: return "krylov";
    case HS_SVD_SUBSPACE: return "subspace";
    case HS_SVD_BATCHED: return "batched";
    }
    return "unknown";
}

hs_svd_options hs_svd_options_default(void) {
    return (hs_svd_options){.k = 5, .method = HS_SVD_KRYLOV, .tol = 1e-3, .noise = 0x1p-19};
}

void hs_svd_free(hs_svd *svd) {
    if (!svd)
        return;
    free(svd->converged);
    free(svd->residual);
    free(svd->u);
    free(svd->v);
    free(svd->sigma);
    *svd = (hs_svd){0};
}

/* ------------------------------------------------------------- options -- */

static hs_status hs_svd_check_options(const hs_linop *op, const hs_svd_options *o, hs_error *err) {
    if (op->rows < 1 || op->columns < 1 || op->rows > INT_MAX || op->columns > INT_MAX ||
        op->block < 1)
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "singular vectors: the operator is %lld x %lld in blocks of %d, expected "
                       "1 to 2^31-1 rows and columns and blocks of at least 1",
                       (long long)op->rows, (long long)op->columns, op->block);
    int64_t least = op->rows < op->columns ? op->rows : op->columns;
    if (o->k < 1 || o->k > least)
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "singular vectors: k is %d, expected 1 to %lld for an operator of %lld x "
                       "%lld",
                       o->k, (long long)least, (long long)op->rows, (long long)op->columns);
    if (!(o->tol > 0 && o->tol < 1))
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "singular vectors: tol is %g, expected above 0 and below 1", o->tol);
    if (!(o->noise >= 0 && o->noise < 1))
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "singular vectors: noise is %g, expected at least 0 and below 1", o->noise);
    if (o->max_mem < 0 || o->max_products < 0 || o->block < 0)
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "singular vectors: max_mem %lld, max_products %lld, block %d: expected 0 or "
                       "more",
                       (long long)o->max_mem, (long long)o->max_products, o->block);
    if (o->method != HS_SVD_KRYLOV && o->method != HS_SVD_SUBSPACE && o->method != HS_SVD_BATCHED)
        return hs_fail(err, HS_ERROR_ARGUMENT, "singular vectors: method is %d, expected 0 to 2",
                       (int)o->method);
    return HS_OK;
}

/* The block: what the user says, or the least that suits k. (Measured: one vector more
 * for Krylov took 3 to 38 % more products, k from 8 to 1.) */
static hs_status hs_svd_choose_block(hs_svd_solve *solve, hs_error *err) {
    const hs_linop *op = solve->op;
    int k = solve->o.k;
    int64_t least = op->rows < op->columns ? op->rows : op->columns;
    int low = k + 1, high = INT_MAX, b = low;
    if (solve->o.method == HS_SVD_SUBSPACE)
        low = b = k;
    if (solve->o.method == HS_SVD_BATCHED) {
        low = 1;
        high = k;
        b = (k + 1) / 2;
    }
    low = low < least ? low : (int)least;
    if (solve->o.block > 0)
        b = solve->o.block;
    if (b > least)
        b = (int)least;
    if (b < low || b > high)
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "singular vectors: block is %d, expected %s %d for k = %d by method %s",
                       solve->o.block, b < low ? "at least" : "at most", b < low ? low : high, k,
                       hs_svd_method_name(solve->o.method));
    solve->b = b;
    return HS_OK;
}

/* Bytes of a solve: see the arrays of krylov.c, subspace.c and rows.c. */
static double hs_svd_cost(const hs_svd_solve *solve, int basis) {
    double m = (double)solve->op->rows, n = (double)solve->op->columns, longest = fmax(m, n);
    double b = solve->b, k = solve->o.k, p = basis, rows = fmax(fmax(p, b), k);
    double bytes = 4 * b * longest + 16 * rows * HS_ROWS_CHUNK + 8 * 4 * b * (rows + 4 * b);
    if (solve->o.method == HS_SVD_KRYLOV)
        return bytes + 4 * p * (m + n) + 8 * b * longest + 4 * n + 8 * 8 * p * (p + b);
    return bytes + 4 * b * (2 * n + m) + 8 * b * n + 4 * n + 4 * k * n;
}

/* The block and the basis that max_mem grants. */
static hs_status hs_svd_choose_memory(hs_svd_solve *solve, hs_error *err) {
    int64_t n = solve->op->columns;
    HS_TRY(hs_svd_choose_block(solve, err));
    double granted = (double)(solve->o.max_mem > 0 ? solve->o.max_mem : HS_SVD_DEFAULT_MEM);
    int least = solve->o.k + 2 * solve->b;
    if (solve->o.method != HS_SVD_KRYLOV)
        least = solve->o.k;
    if (least > n)
        least = (int)n;
    if (least > HS_SVD_MOST_BASIS)
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "singular vectors: k = %d in blocks of %d takes a basis of %d vectors, "
                       "expected at most %d",
                       solve->o.k, solve->b, least, HS_SVD_MOST_BASIS);
    double cost = hs_svd_cost(solve, least);
    if (cost > granted && solve->o.max_mem > 0)
        return hs_fail(err, HS_ERROR_MEMORY,
                       "singular vectors: k = %d of a %lld x %lld operator takes at least %.0f "
                       "bytes, expected no more than max_mem = %lld",
                       solve->o.k, (long long)solve->op->rows, (long long)n, ceil(cost),
                       (long long)solve->o.max_mem);
    int most = 12 * solve->b > 64 ? 12 * solve->b : 64;
    most = most < HS_SVD_MOST_BASIS ? most : HS_SVD_MOST_BASIS;
    most = most < n ? most : (int)n;
    for (solve->basis = least; solve->basis < most; solve->basis++)
        if (solve->o.method != HS_SVD_KRYLOV || hs_svd_cost(solve, solve->basis + 1) > granted)
            break;
    return HS_OK;
}

static hs_status hs_svd_resolve(hs_svd_solve *solve, hs_error *err) {
    HS_TRY(hs_svd_check_options(solve->op, &solve->o, err));
    HS_TRY(hs_svd_choose_memory(solve, err));
    int64_t least = 2 * ((int64_t)solve->b + solve->o.k);
    if (solve->o.max_products == 0)
        solve->o.max_products = 400 * ((int64_t)solve->o.k + 2);
    if (solve->o.max_products < least)
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "singular vectors: max_products is %lld, expected at least %lld for k = %d "
                       "in blocks of %d",
                       (long long)solve->o.max_products, (long long)least, solve->o.k, solve->b);
    solve->aim = 0.95;
    return HS_OK;
}

hs_status hs_svd_bytes(const hs_linop *op, const hs_svd_options *options, int64_t *bytes,
                       hs_error *err) {
    hs_svd_solve solve = {.op = op, .o = *options};
    HS_TRY(hs_svd_resolve(&solve, err));
    *bytes = (int64_t)ceil(hs_svd_cost(&solve, solve.basis));
    return HS_OK;
}

/* ------------------------------------------------------------ products -- */

hs_status hs_svd_product(hs_svd_solve *solve, bool transpose, int count, const float *x, float *y,
                         hs_error *err) {
    const hs_linop *op = solve->op;
    int64_t in = transpose ? op->rows : op->columns, out = transpose ? op->columns : op->rows;
    int calls = (count + op->block - 1) / op->block;
    for (int call = 0, done = 0; call < calls; call++) {
        int now = (count - done) / (calls - call);
        HS_TRY(op->apply(op->ctx, transpose, now, x + done * in, y + done * out, err));
        solve->result.calls++;
        solve->result.products += now;
        int64_t bad = hs_tensor_first_bad(y + done * out, now * out);
        if (bad >= 0)
            return hs_fail(err, HS_ERROR_NUMERIC,
                           "singular vectors: product %lld with the %s holds %g in entry %lld, "
                           "expected finite numbers",
                           (long long)(solve->result.products - now + bad / out + 1),
                           transpose ? "transposed Jacobian" : "Jacobian",
                           (double)y[done * out + bad], (long long)(bad % out));
        done += now;
    }
    return HS_OK;
}

bool hs_svd_can_afford(const hs_svd_solve *solve, int64_t count) {
    return solve->result.products + count + 2 * (int64_t)solve->o.k <= solve->o.max_products;
}

hs_status hs_svd_report(hs_svd_solve *solve, double worst, hs_error *err) {
    char phase[100];
    double tol = solve->o.tol, share = 1;
    if (solve->first == 0 && worst > 0)
        solve->first = worst;
    if (worst > tol)
        share = solve->first > worst ? log(solve->first / worst) / log(solve->first / tol) : 0;
    snprintf(phase, sizeof phase, "singular vectors: %lld products, residual %.1e",
             (long long)solve->result.products, worst);
    return hs_progress(solve->monitor, phase, share, 1, err);
}

/* --------------------------------------------------------- final check -- */

double hs_svd_norm(int64_t d, const float *x) {
    double sum = 0;
    for (int64_t i = 0; i < d; i++)
        sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

double hs_svd_distance(int64_t d, const float *x, double scale, const float *y) {
    double sum = 0;
    for (int64_t i = 0; i < d; i++) {
        double difference = (double)x[i] - scale * (double)y[i];
        sum += difference * difference;
    }
    return sqrt(sum);
}

/* u_j := A v_j / sigma_j for the best vectors of the span of `count` candidates;
 * rotating candidates and products alike makes no new products. */
static hs_status hs_svd_rotate(hs_svd_solve *solve, int count, hs_error *err) {
    hs_status status = HS_OK;
    hs_svd *svd = &solve->result;
    size_t n = (size_t)count;
    double *gram = hs_alloc_aligned(n, (n + 1) * sizeof(double));
    if (!gram)
        return hs_fail_memory(err, n * (n + 1) * sizeof(double));
    HS_CHECK(hs_svd_product(solve, false, count, svd->v, svd->u, err));
    hs_rows_gram(svd->m, count, svd->u, &solve->work, gram);
    HS_CHECK(hs_small_eigen(count, gram, gram + n * n, err));
    hs_rows_combine(svd->m, count, svd->u, count, gram, count, &solve->work, svd->u);
    hs_rows_combine(svd->n, count, svd->v, count, gram, count, &solve->work, svd->v);
    for (int j = 0; j < count; j++) {
        double sigma = hs_svd_norm(svd->m, svd->u + j * svd->m);
        if (j > 0 && !(sigma > solve->o.noise * svd->sigma[0]))
            break;
        if (sigma == 0)
            break;
        svd->sigma[j] = sigma;
        svd->rank = j + 1;
    }
cleanup:
    free(gram);
    return status;
}

static hs_status hs_svd_measure(hs_svd_solve *solve, int count, hs_error *err) {
    hs_svd *svd = &solve->result;
    svd->rank = 0;
    solve->last = 0;
    if (count > 0)
        HS_TRY(hs_svd_rotate(solve, count, err));
    for (int j = 0; j < svd->rank; j++) {
        float *u = svd->u + j * svd->m, *product = solve->product;
        double sigma = svd->sigma[j];
        memcpy(product, u, (size_t)svd->m * sizeof *u);
        for (int64_t i = 0; i < svd->m; i++)
            u[i] = (float)((double)u[i] / sigma);
        svd->residual[j] = hs_svd_distance(svd->m, product, sigma, u) / sigma;
    }
    for (int first = 0; first < svd->rank; first += solve->b) {
        int now = svd->rank - first < solve->b ? svd->rank - first : solve->b;
        HS_TRY(hs_svd_product(solve, true, now, svd->u + first * svd->m, solve->product, err));
        for (int i = 0, j = first; i < now; i++, j++)
            svd->residual[j] =
                fmax(svd->residual[j], hs_svd_distance(svd->n, solve->product + i * svd->n,
                                                       svd->sigma[j], svd->v + j * svd->n) /
                                           svd->sigma[j]);
    }
    for (int j = 0; j < svd->rank; j++) {
        svd->converged[j] = svd->residual[j] <= solve->o.tol;
        solve->last = fmax(solve->last, svd->residual[j]);
    }
    return HS_OK;
}

static hs_status hs_svd_refuse(const hs_svd_solve *solve, const char *why, hs_error *err) {
    const hs_svd *svd = &solve->result;
    char list[200] = "";
    size_t used = 0;
    for (int j = 0; j < svd->rank && used + 20 < sizeof list; j++)
        used += (size_t)snprintf(list + used, sizeof list - used, " %.1e", svd->residual[j]);
    return hs_fail(err, HS_ERROR_NUMERIC,
                   "singular vectors: residuals%s%s after %lld products, expected at most %g: %s",
                   list, used + 20 < sizeof list ? "" : " ...", (long long)svd->products,
                   solve->o.tol, why);
}

hs_status hs_svd_offer(hs_svd_solve *solve, int count, bool last, bool *accepted, hs_error *err) {
    hs_svd *svd = &solve->result;
    double before = solve->last;
    HS_TRY(hs_svd_measure(solve, count, err));
    HS_TRY(hs_svd_report(solve, solve->last, err));
    bool good = solve->last <= solve->o.tol;
    /* Estimates fell, what they estimate did not: rounding in the products. */
    bool stuck = !good && ++solve->checks > 2 && solve->last > 0.5 * before;
    *accepted = good || last || stuck;
    if (!*accepted) {
        solve->aim *= 0.25;
        return HS_OK;
    }
    svd->k = svd->rank;
    if (solve->o.partial)
        return HS_OK;
    if (!good)
        return hs_svd_refuse(solve,
                             stuck ? "the products are not exact enough for such a tol"
                                   : "allow more products or a larger tol",
                             err);
    if (svd->rank < solve->o.k)
        return hs_fail(err, HS_ERROR_NUMERIC,
                       "singular vectors: the operator has rank %d (to %.1e of its largest "
                       "singular value), expected at least k = %d",
                       svd->rank, solve->o.noise, solve->o.k);
    return HS_OK;
}

/* ----------------------------------------------------------------- run -- */

hs_status hs_svd_alloc(hs_svd *svd, int count, int64_t m, int64_t n, hs_error *err) {
    size_t k = (size_t)count;
    svd->m = m;
    svd->n = n;
    svd->sigma = hs_calloc(k, sizeof(double));
    svd->residual = hs_calloc(k, sizeof(double));
    svd->converged = hs_calloc(k, sizeof(bool));
    svd->v = hs_alloc_aligned(k, (size_t)n * sizeof(float));
    svd->u = hs_alloc_aligned(k, (size_t)m * sizeof(float));
    if (!svd->sigma || !svd->residual || !svd->converged || !svd->v || !svd->u)
        return hs_fail_memory(err, k * (size_t)(n + m) * sizeof(float));
    return HS_OK;
}

static hs_status hs_svd_open(hs_svd_solve *solve, hs_error *err) {
    int64_t m = solve->op->rows, n = solve->op->columns;
    size_t longest = (size_t)(m > n ? m : n);
    HS_TRY(hs_svd_alloc(&solve->result, solve->o.k, m, n, err));
    solve->product = hs_alloc_aligned((size_t)solve->b, longest * sizeof(float));
    if (!solve->product)
        return hs_fail_memory(err, (size_t)solve->b * longest * sizeof(float));
    int rows = solve->basis > solve->b ? solve->basis : solve->b;
    rows = rows > solve->o.k ? rows : solve->o.k;
    hs_generator_seed(&solve->generator, solve->o.seed);
    return hs_rows_work_create(rows, &solve->work, err);
}

void hs_svd_fix_signs(hs_svd *svd) {
    for (int j = 0; j < svd->k; j++) {
        float *v = svd->v + j * svd->n, *u = svd->u + j * svd->m;
        if (hs_align_sign(svd->n, v) > 0)
            continue;
        for (int64_t i = 0; i < svd->n; i++)
            v[i] = -v[i];
        for (int64_t i = 0; i < svd->m; i++)
            u[i] = -u[i];
    }
}

hs_status hs_svd_run(const hs_linop *op, const hs_svd_options *options, const hs_monitor *monitor,
                     hs_svd *out, hs_error *err) {
    hs_svd_solve solve = {.op = op, .o = *options, .monitor = monitor};
    HS_TRY(hs_svd_resolve(&solve, err));
    hs_status status = HS_OK;
    HS_CHECK(hs_svd_open(&solve, err));
    switch (solve.o.method) {
    case HS_SVD_KRYLOV: HS_CHECK(hs_svd_krylov(&solve, err)); break;
    case HS_SVD_SUBSPACE: HS_CHECK(hs_svd_subspace(&solve, err)); break;
    case HS_SVD_BATCHED: HS_CHECK(hs_svd_batched(&solve, err)); break;
    }
    hs_svd_fix_signs(&solve.result);
    *out = solve.result;
    solve.result = (hs_svd){0};
cleanup:
    hs_svd_free(&solve.result);
    hs_rows_work_free(&solve.work);
    free(solve.product);
    return status;
}
