/*
 * The ratio problem of keep_outside.h,
 *
 *   P v = rho^2 N v,  P = A^T M A,  N = A^T (1 - M) A + lambda^2,
 *
 * by a block Davidson method that sees products only. The basis V [p,n] is
 * orthonormal, Y = A V is kept, and since M splits the rows, both small matrices
 * come from Y: V P V^T = (M Y)(M Y)^T, V N V^T = ((1-M) Y)((1-M) Y)^T + lambda^2.
 * Their Cholesky-reduced eigenproblem (dsygv) gives Ritz vectors; the residual
 * of one takes one product more, P v and N v together,
 *
 *   r = A^T ((M - rho^2 (1 - M)) A v) - rho^2 lambda^2 v,
 *
 * and the residuals of the leading ones, orthogonalised, enter the basis. When
 * it is full, the leading Ritz vectors are kept.
 *
 * N is lambda^2 but for the few directions that move the outside by more than
 * lambda; these enter the basis first (at once, if they are among the starting
 * vectors), and outside of their span r is the steepest ascent of rho. So
 * convergence depends on how many there are, not on |A| / lambda. Y is float:
 * `outside` is known to some 1e-7 |A|, and a lambda far below that is noise.
 */
#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/threads.h"
#include "directions/keep_outside.h"
#include "directions/svd_run.h"

typedef struct hs_ratio {
    hs_svd_solve solve; /* products and progress; v and u of its result */
    const uint8_t *mask;
    double lambda;
    int k, b, room;
    hs_rows v, y;
    double *block;            /* [b,n] */
    double *inside, *outside; /* [room,room] */
    double *z;                /* [room,room] Ritz vectors, rows, largest ratio first */
    double *rho2;             /* [room] */
    double *estimate;         /* [b] residuals */
    float *weighted;          /* [b,m] */
    float *ritz;              /* [b,n] */
} hs_ratio;

hs_generalised_options hs_generalised_options_default(void) {
    return (hs_generalised_options){.k = 5, .tol = 1e-3};
}

void hs_generalised_free(hs_generalised *generalised) {
    if (!generalised)
        return;
    free(generalised->converged);
    free(generalised->residual);
    free(generalised->u);
    free(generalised->v);
    free(generalised->outside);
    free(generalised->inside);
    free(generalised->ratio);
    *generalised = (hs_generalised){0};
}

/* --------------------------------------------------------------- setup -- */

static hs_status hs_ratio_check(const hs_linop *op, const uint8_t *mask,
                                const hs_generalised_options *o, hs_error *err) {
    int64_t in = 0;
    for (int64_t i = 0; i < op->rows; i++) {
        if (mask[i] > 1)
            return hs_fail(err, HS_ERROR_ARGUMENT, "mask: entry %lld is %d, expected 0 or 1",
                           (long long)i, mask[i]);
        in += mask[i];
    }
    if (in == 0 || in == op->rows)
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "keep outside: the mask has %lld of %lld entries, expected some inside and "
                       "some outside",
                       (long long)in, (long long)op->rows);
    if (!(o->lambda > 0) || !isfinite(o->lambda))
        return hs_fail(err, HS_ERROR_ARGUMENT, "keep outside: lambda is %g, expected above 0",
                       o->lambda);
    if (o->start_count < 0 || (o->start_count > 0 && !o->start))
        return hs_fail(err, HS_ERROR_ARGUMENT, "keep outside: start_count is %d, expected %s",
                       o->start_count, o->start ? "0 or more" : "0 without starting vectors");
    return HS_OK;
}

static double hs_ratio_cost(const hs_ratio *ratio, int room) {
    double m = (double)ratio->solve.op->rows, n = (double)ratio->solve.op->columns;
    double b = ratio->b, p = room;
    return 4 * p * (m + n) + b * (8 * n + 4 * (n + m) + 4 * fmax(m, n)) + 24 * p * p +
           16 * p * HS_ROWS_CHUNK;
}

static hs_status hs_ratio_create(hs_ratio *ratio, const hs_generalised_options *o, hs_error *err) {
    hs_svd_solve *solve = &ratio->solve;
    int64_t m = solve->op->rows, n = solve->op->columns;
    solve->o = hs_svd_options_default();
    solve->o.k = ratio->k = o->k;
    solve->o.tol = o->tol;
    solve->o.block = o->k;
    solve->o.method = HS_SVD_SUBSPACE; /* the options' common checks */
    int64_t bytes;
    HS_TRY(hs_svd_bytes(solve->op, &solve->o, &bytes, err));
    ratio->b = o->k + 1 < n ? o->k + 1 : (int)n;
    solve->o.max_products = o->max_products > 0 ? o->max_products : 400 * ((int64_t)o->k + 2);
    int least = 4 * ratio->b < n ? 4 * ratio->b : (int)n;
    int most = 16 * ratio->b > 96 ? 16 * ratio->b : 96;
    most = most < n ? most : (int)n;
    double granted = o->max_mem > 0 ? (double)o->max_mem : 0x1p28;
    if (o->max_mem > 0 && hs_ratio_cost(ratio, least) > granted)
        return hs_fail(err, HS_ERROR_MEMORY,
                       "keep outside: k = %d of a %lld x %lld operator takes at least %.0f bytes, "
                       "expected no more than max_mem = %lld",
                       o->k, (long long)m, (long long)n, hs_ratio_cost(ratio, least),
                       (long long)o->max_mem);
    for (ratio->room = least; ratio->room < most; ratio->room++)
        if (hs_ratio_cost(ratio, ratio->room + 1) > granted)
            break;
    solve->aim = 0.9;
    hs_generator_seed(&solve->generator, o->seed);
    size_t p = (size_t)ratio->room, b = (size_t)ratio->b, longest = (size_t)(m > n ? m : n);
    HS_TRY(hs_svd_alloc(&solve->result, o->k, m, n, err));
    HS_TRY(hs_rows_work_create(ratio->room, &solve->work, err));
    HS_TRY(hs_rows_create(n, ratio->room, &ratio->v, err));
    HS_TRY(hs_rows_create(m, ratio->room, &ratio->y, err));
    solve->product = hs_alloc_aligned(b, longest * sizeof(float));
    ratio->block = hs_alloc_aligned(b, (size_t)n * sizeof(double));
    ratio->inside = hs_calloc(p, (3 * p + 2) * sizeof(double));
    ratio->weighted = hs_alloc_aligned(b, (size_t)m * sizeof(float));
    ratio->ritz = hs_alloc_aligned(b, (size_t)n * sizeof(float));
    if (!solve->product || !ratio->block || !ratio->inside || !ratio->weighted || !ratio->ritz)
        return hs_fail_memory(err, (size_t)hs_ratio_cost(ratio, ratio->room));
    ratio->outside = ratio->inside + p * p;
    ratio->z = ratio->outside + p * p;
    ratio->rho2 = ratio->z + p * p;
    ratio->estimate = ratio->rho2 + p;
    return HS_OK;
}

static void hs_ratio_free(hs_ratio *ratio) {
    free(ratio->ritz);
    free(ratio->weighted);
    free(ratio->inside);
    free(ratio->block);
    hs_rows_free(&ratio->y);
    hs_rows_free(&ratio->v);
    free(ratio->solve.product);
    hs_rows_work_free(&ratio->solve.work);
    hs_svd_free(&ratio->solve.result);
}

/* --------------------------------------------------------------- basis -- */

/* Take what `count` rows of block have outside V into the basis. */
static hs_status hs_ratio_extend(hs_ratio *ratio, int count, hs_error *err) {
    hs_rows *v = &ratio->v, *y = &ratio->y;
    int kept = 0, first = v->count;
    HS_TRY(
        hs_rows_orthonormalise(v, count, ratio->block, 0, NULL, 0, &ratio->solve.work, &kept, err));
    if (kept > ratio->room - first)
        kept = ratio->room - first;
    hs_rows_append(v, kept, ratio->block);
    HS_TRY(
        hs_svd_product(&ratio->solve, false, kept, v->x + first * v->d, y->x + first * y->d, err));
    y->count += kept;
    return HS_OK;
}

/* The given vectors, and one random block: what they leave out must be found too. */
static hs_status hs_ratio_start(hs_ratio *ratio, const hs_generalised_options *o, hs_error *err) {
    int64_t n = ratio->v.d;
    for (int first = 0, now; first < o->start_count; first += now) {
        now = o->start_count - first < ratio->b ? o->start_count - first : ratio->b;
        if (ratio->v.count + now > ratio->room - 2 * ratio->b)
            break; /* no room for more guesses */
        for (int64_t i = 0; i < now * n; i++)
            ratio->block[i] = (double)o->start[first * n + i];
        HS_TRY(hs_ratio_extend(ratio, now, err));
    }
    HS_TRY(hs_rows_random(&ratio->solve.generator, n, ratio->b, ratio->block, err));
    return hs_ratio_extend(ratio, ratio->b, err);
}

/* inside = (M Y)(M Y)^T, outside = ((1-M) Y)((1-M) Y)^T + lambda^2. */
static void hs_ratio_grams(hs_ratio *ratio) {
    int64_t m = ratio->y.d;
    int p = ratio->y.count;
    hs_rows_work *work = &ratio->solve.work;
    memset(ratio->inside, 0, (size_t)p * (size_t)p * sizeof(double));
    memset(ratio->outside, 0, (size_t)p * (size_t)p * sizeof(double));
    for (int64_t first = 0; first < m; first += HS_ROWS_CHUNK) {
        int width = m - first < HS_ROWS_CHUNK ? (int)(m - first) : HS_ROWS_CHUNK, in = 0;
        for (int c = 0; c < width; c++)
            in += ratio->mask[first + c];
        /* entries inside to the front, the others to the back: no zeros multiplied */
        for (int i = 0; i < p; i++) {
            const float *y = ratio->y.x + i * m + first;
            double *front = work->chunk + (size_t)i * (size_t)width, *back = front + in;
            for (int c = 0; c < width; c++)
                *(ratio->mask[first + c] ? front++ : back++) = (double)y[c];
        }
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, p, p, in, 1.0, work->chunk, width,
                    work->chunk, width, 1.0, ratio->inside, p);
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, p, p, width - in, 1.0,
                    work->chunk + in, width, work->chunk + in, width, 1.0, ratio->outside, p);
    }
    for (int i = 0; i < p; i++)
        ratio->outside[i * p + i] += ratio->lambda * ratio->lambda;
}

/* Ritz vectors of norm 1, largest ratio first. */
static hs_status hs_ratio_ritz(hs_ratio *ratio, hs_error *err) {
    hs_status status = HS_OK;
    int p = ratio->v.count;
    double best = 0, *values = NULL, *work = NULL;
    hs_threads_saved saved = hs_threads_push(1);
    hs_ratio_grams(ratio);
    lapack_int info = LAPACKE_dsygv_work(LAPACK_COL_MAJOR, 1, 'V', 'L', p, ratio->inside, p,
                                         ratio->outside, p, ratio->rho2, &best, -1);
    work = hs_alloc_aligned((size_t)best + (size_t)p, sizeof(double));
    if (!work) {
        status = hs_fail_memory(err, (size_t)best * sizeof(double));
        goto cleanup;
    }
    values = work + (size_t)best;
    if (info == 0)
        info = LAPACKE_dsygv_work(LAPACK_COL_MAJOR, 1, 'V', 'L', p, ratio->inside, p,
                                  ratio->outside, p, values, work, (lapack_int)best);
    if (info != 0) {
        status = hs_fail(err, HS_ERROR_NUMERIC,
                         "keep outside: no eigenvalues of a %d x %d pencil (dsygv info %d); lambda "
                         "= %g may be too small",
                         p, p, (int)info, ratio->lambda);
        goto cleanup;
    }
    for (int j = 0; j < p; j++) {
        const double *from = ratio->inside + (size_t)(p - 1 - j) * (size_t)p;
        double *z = ratio->z + (size_t)j * (size_t)p;
        double norm = cblas_dnrm2(p, from, 1);
        for (int i = 0; i < p; i++)
            z[i] = from[i] / norm;
        ratio->rho2[j] = fmax(values[p - 1 - j], 0);
    }
cleanup:
    hs_threads_pop(saved);
    free(work);
    return status;
}

/* Keep the span of the leading half. */
static hs_status hs_ratio_restart(hs_ratio *ratio, hs_error *err) {
    int p = ratio->v.count, keep = ratio->room / 2;
    hs_rows none = {.d = p};
    if (keep > ratio->room - 2 * ratio->b)
        keep = ratio->room - 2 * ratio->b;
    hs_rows_work *work = &ratio->solve.work;
    int kept = 0;
    HS_TRY(hs_rows_orthonormalise(&none, keep, ratio->z, 0, NULL, 0, work, &kept, err));
    hs_rows_combine(ratio->v.d, p, ratio->v.x, kept, ratio->z, p, work, ratio->v.x);
    hs_rows_combine(ratio->y.d, p, ratio->y.x, kept, ratio->z, p, work, ratio->y.x);
    ratio->v.count = ratio->y.count = kept;
    return HS_OK;
}

/* block [count,n] := residuals of the leading Ritz vectors; their sizes. |P v| is
 * at least v . P v = |M A v|^2 for |v| = 1. */
static hs_status hs_ratio_residuals(hs_ratio *ratio, int count, double *worst, hs_error *err) {
    int64_t m = ratio->y.d, n = ratio->v.d;
    int p = ratio->v.count;
    hs_rows_work *work = &ratio->solve.work;
    hs_rows_combine(n, p, ratio->v.x, count, ratio->z, p, work, ratio->ritz);
    hs_rows_combine(m, p, ratio->y.x, count, ratio->z, p, work, ratio->weighted);
    for (int j = 0; j < count; j++) {
        float *y = ratio->weighted + j * m;
        ratio->estimate[j] = 0;
        for (int64_t i = 0; i < m; i++) {
            if (ratio->mask[i])
                ratio->estimate[j] += (double)y[i] * (double)y[i];
            else
                y[i] = (float)(-ratio->rho2[j] * (double)y[i]);
        }
    }
    HS_TRY(hs_svd_product(&ratio->solve, true, count, ratio->weighted, ratio->solve.product, err));
    *worst = 0;
    for (int j = 0; j < count; j++) {
        double sum = 0, back = ratio->rho2[j] * ratio->lambda * ratio->lambda;
        for (int64_t i = j * n; i < (j + 1) * n; i++) {
            ratio->block[i] = (double)ratio->solve.product[i] - back * (double)ratio->ritz[i];
            sum += ratio->block[i] * ratio->block[i];
        }
        double length = sqrt(sum);
        for (int64_t i = j * n; i < (j + 1) * n && length > 0; i++)
            ratio->block[i] /= length;
        ratio->estimate[j] = ratio->estimate[j] > 0 ? length / ratio->estimate[j] : 1;
        if (j < ratio->k)
            *worst = fmax(*worst, ratio->estimate[j]);
    }
    return HS_OK;
}

/* -------------------------------------------------------------- result -- */

static hs_status hs_ratio_alloc(hs_generalised *g, int count, hs_error *err) {
    size_t k = (size_t)count;
    g->ratio = hs_calloc(k, sizeof(double));
    g->inside = hs_calloc(k, sizeof(double));
    g->outside = hs_calloc(k, sizeof(double));
    g->residual = hs_calloc(k, sizeof(double));
    g->converged = hs_calloc(k, sizeof(bool));
    if (!g->ratio || !g->inside || !g->outside || !g->residual || !g->converged)
        return hs_fail_memory(err, 4 * k * sizeof(double));
    return HS_OK;
}

/* |P v - rho^2 N v| / |P v| of vector j from products of its own. */
static hs_status hs_ratio_measure(hs_ratio *ratio, int j, hs_generalised *g, hs_error *err) {
    hs_svd *svd = &ratio->solve.result;
    int64_t m = svd->m, n = svd->n;
    const float *v = svd->v + j * n;
    float *u = svd->u + j * m, *p = ratio->ritz, *q = ratio->solve.product;
    double in = 0, out = 0, residual = 0, size = 0;
    HS_TRY(hs_svd_product(&ratio->solve, false, 1, v, u, err));
    for (int64_t i = 0; i < m; i++)
        *(ratio->mask[i] ? &in : &out) += (double)u[i] * (double)u[i];
    for (int64_t i = 0; i < m; i++)
        ratio->weighted[i] = ratio->mask[i] ? u[i] : 0;
    HS_TRY(hs_svd_product(&ratio->solve, true, 1, ratio->weighted, p, err));
    for (int64_t i = 0; i < m; i++)
        ratio->weighted[i] = ratio->mask[i] ? 0 : u[i];
    HS_TRY(hs_svd_product(&ratio->solve, true, 1, ratio->weighted, q, err));
    double length = hs_svd_norm(n, v), lambda2 = ratio->lambda * ratio->lambda;
    double rho2 = in / (out + lambda2 * length * length);
    for (int64_t i = 0; i < n; i++) {
        double r = (double)p[i] - rho2 * ((double)q[i] + lambda2 * (double)v[i]);
        residual += r * r;
        size += (double)p[i] * (double)p[i];
    }
    g->ratio[j] = sqrt(rho2);
    g->inside[j] = sqrt(in);
    g->outside[j] = sqrt(out);
    g->residual[j] = size > 0 ? sqrt(residual / size) : 1;
    g->converged[j] = g->residual[j] <= ratio->solve.o.tol;
    double norm = sqrt(in + out);
    for (int64_t i = 0; i < m && norm > 0; i++)
        u[i] = (float)((double)u[i] / norm);
    return HS_OK;
}

/* The final check of the leading Ritz vectors; `ended` if it is passed or `last`. */
static hs_status hs_ratio_offer(hs_ratio *ratio, bool last, bool partial, hs_generalised *g,
                                bool *ended, hs_error *err) {
    hs_svd_solve *solve = &ratio->solve;
    int p = ratio->v.count, worst = 0;
    hs_rows_combine(ratio->v.d, p, ratio->v.x, ratio->k, ratio->z, p, &solve->work,
                    solve->result.v);
    for (int j = 0; j < ratio->k; j++) {
        HS_TRY(hs_ratio_measure(ratio, j, g, err));
        if (g->residual[j] > g->residual[worst])
            worst = j;
    }
    bool good = g->residual[worst] <= solve->o.tol;
    last = last || ++solve->checks > 3;
    *ended = good || last;
    solve->aim *= 0.25;
    if (!good && last && !partial)
        return hs_fail(err, HS_ERROR_NUMERIC,
                       "keep outside: residual %.1e of direction %d after %lld products, expected "
                       "at most %g: allow more products, a larger tol or a larger lambda",
                       g->residual[worst], worst, (long long)solve->result.products, solve->o.tol);
    return HS_OK;
}

static hs_status hs_ratio_iterate(hs_ratio *ratio, bool partial, hs_generalised *g, hs_error *err) {
    hs_svd_solve *solve = &ratio->solve;
    for (bool ended = false; !ended;) {
        HS_TRY(hs_ratio_ritz(ratio, err));
        int count = ratio->b < ratio->v.count ? ratio->b : ratio->v.count;
        double worst;
        HS_TRY(hs_ratio_residuals(ratio, count, &worst, err));
        HS_TRY(hs_svd_report(solve, worst, err));
        bool full = ratio->v.count == ratio->v.d;
        bool last = full || solve->result.products + 2 * (int64_t)ratio->b + 3 * (int64_t)ratio->k >
                                solve->o.max_products;
        if (last || worst <= solve->aim * solve->o.tol)
            HS_TRY(hs_ratio_offer(ratio, last, partial, g, &ended, err));
        if (ended)
            return HS_OK;
        if (ratio->v.count + count > ratio->room)
            HS_TRY(hs_ratio_restart(ratio, err));
        HS_TRY(hs_ratio_extend(ratio, count, err));
    }
    return HS_OK;
}

hs_status hs_generalised_run(const hs_linop *op, const uint8_t *mask,
                             const hs_generalised_options *options, const hs_monitor *monitor,
                             hs_generalised *out, hs_error *err) {
    hs_status status = HS_OK;
    hs_ratio ratio = {.mask = mask, .lambda = options->lambda};
    hs_generalised g = {.k = options->k, .m = op->rows, .n = op->columns};
    ratio.solve.op = op;
    ratio.solve.monitor = monitor;
    HS_TRY(hs_ratio_check(op, mask, options, err));
    HS_CHECK(hs_ratio_create(&ratio, options, err));
    HS_CHECK(hs_ratio_alloc(&g, options->k, err));
    HS_CHECK(hs_ratio_start(&ratio, options, err));
    HS_CHECK(hs_ratio_iterate(&ratio, options->partial, &g, err));
    hs_svd *svd = &ratio.solve.result;
    svd->k = options->k;
    hs_svd_fix_signs(svd);
    g.v = svd->v;
    g.u = svd->u;
    g.products = svd->products;
    g.calls = svd->calls;
    svd->v = svd->u = NULL;
    *out = g;
    g = (hs_generalised){0};
cleanup:
    hs_generalised_free(&g);
    hs_ratio_free(&ratio);
    return status;
}
