/*
 * Block subspace iteration on A^T A, the paper's Alg. 1:
 *
 *   V <- QR(V);  U = A V;  V^ = A^T U;  V, Sigma^2 = SVD(V^)
 *
 * with two changes that cost no products. The Rayleigh-Ritz step is made on
 * A V (whose products are there) before A^T is applied, so that u and v belong
 * together and |A^T u - s v| is known in every step; and it stops on that, not on
 * a change of sigma, which is small whenever convergence is slow.
 *
 * The residual of vector j falls by (sigma_{b+1} / sigma_j)^2 a step of 2 b
 * products: for comparison with krylov.c, which needs the same blocks and
 * far fewer of them.
 */
#include "directions/subspace.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

hs_status hs_subspace_create(hs_svd_solve *solve, hs_subspace *out, hs_error *err) {
    int64_t n = solve->op->columns;
    size_t b = (size_t)solve->b;
    *out = (hs_subspace){.solve = solve};
    HS_TRY(hs_rows_create(n, solve->b, &out->v, err));
    HS_TRY(hs_rows_create(solve->op->rows, solve->b, &out->y, err));
    out->block = hs_alloc_aligned(b, (size_t)n * sizeof(double));
    out->gram = hs_calloc(b, (b + 2) * sizeof(double));
    if (!out->block || !out->gram)
        return hs_fail_memory(err, b * ((size_t)n + b + 2) * sizeof(double));
    out->s = out->gram + b * b;
    out->residual = out->s + b;
    return HS_OK;
}

void hs_subspace_free(hs_subspace *sub) {
    free(sub->gram);
    free(sub->block);
    hs_rows_free(&sub->y);
    hs_rows_free(&sub->v);
}

hs_status hs_subspace_set(hs_subspace *sub, int count, hs_error *err) {
    int kept = 0;
    HS_TRY(hs_rows_orthonormalise(sub->found, count, sub->block, 0, NULL, 0, &sub->solve->work,
                                  &kept, err));
    sub->v.count = 0;
    hs_rows_append(&sub->v, kept, sub->block);
    return HS_OK;
}

hs_status hs_subspace_random(hs_subspace *sub, int count, hs_error *err) {
    HS_TRY(hs_rows_random(&sub->solve->generator, sub->v.d, count, sub->block, err));
    return hs_subspace_set(sub, count, err);
}

/* Rotate v and y = A v to the best vectors of their span; y becomes u. */
static hs_status hs_subspace_ritz(hs_subspace *sub, hs_error *err) {
    hs_rows *v = &sub->v, *y = &sub->y;
    int b = v->count;
    hs_rows_work *work = &sub->solve->work;
    hs_rows_gram(y->d, b, y->x, work, sub->gram);
    HS_TRY(hs_small_eigen(b, sub->gram, sub->s, err));
    sub->scale = fmax(sub->scale, sqrt(fmax(sub->s[0], 0)));
    int live = 0;
    while (live < b && sub->s[live] > 0 && sqrt(sub->s[live]) > sub->solve->o.noise * sub->scale) {
        sub->s[live] = sqrt(sub->s[live]);
        live++;
    }
    hs_rows_combine(v->d, b, v->x, live, sub->gram, b, work, v->x);
    for (int j = 0; j < live; j++)
        for (int i = 0; i < b; i++)
            sub->gram[j * b + i] /= sub->s[j];
    hs_rows_combine(y->d, b, y->x, live, sub->gram, b, work, y->x);
    v->count = live;
    return HS_OK;
}

hs_status hs_subspace_step(hs_subspace *sub, hs_error *err) {
    hs_svd_solve *solve = sub->solve;
    hs_rows *v = &sub->v;
    int64_t n = v->d;
    if (v->count == 0)
        return HS_OK;
    HS_TRY(hs_svd_product(solve, false, v->count, v->x, sub->y.x, err));
    HS_TRY(hs_subspace_ritz(sub, err));
    HS_TRY(hs_svd_product(solve, true, v->count, sub->y.x, solve->product, err));
    for (int64_t i = 0; i < v->count * n; i++)
        sub->block[i] = (double)solve->product[i];
    int found = sub->found->count;
    if (found > 0) {
        double *coefficients = hs_calloc((size_t)v->count, (size_t)found * sizeof(double));
        if (!coefficients)
            return hs_fail_memory(err, (size_t)v->count * (size_t)found * sizeof(double));
        hs_rows_project(sub->found, v->count, sub->block, coefficients, found, &solve->work);
        free(coefficients);
    }
    for (int j = 0; j < v->count; j++) {
        double sum = 0;
        for (int64_t i = 0; i < n; i++) {
            double r = sub->block[j * n + i] - sub->s[j] * (double)v->x[j * n + i];
            sum += r * r;
            sub->block[j * n + i] /= sub->s[j]; /* rows of like size for the next QR */
        }
        sub->residual[j] = sqrt(sum) / sub->s[j];
    }
    return HS_OK;
}

hs_status hs_subspace_advance(hs_subspace *sub, hs_error *err) {
    return hs_subspace_set(sub, sub->v.count, err);
}

double hs_subspace_worst(const hs_subspace *sub, int want) {
    double worst = 0;
    for (int j = 0; j < want && j < sub->v.count; j++)
        worst = fmax(worst, sub->residual[j]);
    return worst;
}

bool hs_subspace_ready(hs_subspace *sub, int want) {
    const hs_svd_options *o = &sub->solve->o;
    int count = want < sub->v.count ? want : sub->v.count;
    double worst = hs_subspace_worst(sub, want);
    if (count > 0 && worst <= o->noise * sub->scale / sub->s[count - 1])
        sub->low++;
    bool ready = worst <= sub->solve->aim * o->tol || sub->low > 10;
    if (ready)
        sub->low = 0;
    return ready;
}

hs_status hs_svd_subspace(hs_svd_solve *solve, hs_error *err) {
    hs_status status = HS_OK;
    hs_subspace sub = {0};
    hs_rows none = {.d = solve->op->columns};
    bool ended = false;
    HS_CHECK(hs_subspace_create(solve, &sub, err));
    sub.found = &none;
    HS_CHECK(hs_subspace_random(&sub, solve->b, err));
    while (!ended) {
        HS_CHECK(hs_subspace_step(&sub, err));
        double worst = hs_subspace_worst(&sub, solve->o.k);
        bool last = !hs_svd_can_afford(solve, 2 * (int64_t)solve->b) || sub.v.count == 0;
        HS_CHECK(hs_svd_report(solve, worst, err));
        if (hs_subspace_ready(&sub, solve->o.k) || last) {
            int count = sub.v.count < solve->o.k ? sub.v.count : solve->o.k;
            memcpy(solve->result.v, sub.v.x, (size_t)count * (size_t)sub.v.d * sizeof *sub.v.x);
            HS_CHECK(hs_svd_offer(solve, count, last, &ended, err));
        }
        if (!ended)
            HS_CHECK(hs_subspace_advance(&sub, err));
    }
cleanup:
    hs_subspace_free(&sub);
    return status;
}
