/*
 * Block Golub-Kahan-Lanczos with full orthogonalisation on both sides and thick
 * restart (Golub, Luk & Overton 1981; Baglama & Reichel 2005), started with a
 * random block as in Musco & Musco 2015, who show that q blocks of such a
 * basis give the leading singular vectors to relative error eps with
 * q ~ log(n) / sqrt(eps), where subspace iteration needs log(n) / eps: on a slowly
 * falling spectrum a matter of ten times fewer products.
 *
 * Kept are V [p,n] and Q [q,m], orthonormal, and B [p,q] with
 *
 *   A V^T = Q^T B^T                                                 (forward)
 *   A^T Q^T = V^T B + F^T E^T, F next to V, E only on Q's last block (backward)
 *
 * Each half step is one block of products and gives one check for free:
 *
 *  - after backward, from B = sum y_j s_j x_j^T: v = y_j V, u = x_j Q satisfy
 *    A v = s u exactly, and |A^T u - s v| = |E x_j(last block)|;
 *  - after forward (C: what A F has outside the old Q), from the old columns of
 *    B: A^T u = s v exactly, and |A v - s u| = |C y_j(F's rows)|.
 *
 * B is computed, not assumed to be banded: every entry is the inner product it
 * stands for. So breakdown is no special case (a block that brings fewer new
 * vectors than it has is shorter, on either side), nor is a restart: with the
 * l leading y_j V and x_j Q in place of V and Q, B is diag(s), F stays the next
 * block, and all relations hold as before. Converged triplets stay in the basis
 * through restarts, which is what locking is for: they are found once, and
 * the others are orthogonal to them on both sides.
 *
 * A Krylov space holds at most as many vectors of one singular value as its
 * first block has, so that has at least k + 1: multiple and clustered values are
 * found as often as they count. Should a basis close (E = 0) with fewer than k
 * values above the noise, a random block is tried before that is called the rank.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "directions/svd_run.h"

/* What is not longer than this times sigma_1 is float rounding of products. */
#define HS_KRYLOV_DROP 0x1p-23

typedef struct hs_krylov {
    hs_svd_solve *solve;
    int k, b, room; /* room: vectors on each side */
    hs_rows v, q;
    int stride;           /* of B and of `backward` */
    double *coupling;     /* B [room, stride] */
    double *backward;     /* [b, stride] coefficients of A^T Q's last block: V, then E */
    double *block;        /* [b, max(m,n)] */
    int fresh_v, fresh_q; /* vectors of the last blocks */
    int waiting;          /* vectors of F, in `block` */
    double *y, *s, *x;    /* Ritz: [count,p], [count], [count,q] */
    double *absolute;     /* [room] residuals, not yet divided by s */
    int count;            /* Ritz values there are */
    double scale;         /* sigma_1, as known so far */
    double before;        /* the last estimate of the largest residual; 0: none */
    bool bet;             /* an offer ahead of the estimates was made */
    bool tried;           /* a random block, before rank < k is believed */
} hs_krylov;

static void hs_krylov_free(hs_krylov *kr) {
    free(kr->coupling);
    free(kr->block);
    hs_rows_free(&kr->q);
    hs_rows_free(&kr->v);
}

static hs_status hs_krylov_create(hs_svd_solve *solve, hs_krylov *kr, hs_error *err) {
    int64_t m = solve->op->rows, n = solve->op->columns, longest = m > n ? m : n;
    *kr = (hs_krylov){.solve = solve, .k = solve->o.k, .b = solve->b, .room = solve->basis};
    kr->stride = kr->room + kr->b;
    size_t room = (size_t)kr->room, stride = (size_t)kr->stride, b = (size_t)kr->b;
    HS_TRY(hs_rows_create(n, kr->room, &kr->v, err));
    HS_TRY(hs_rows_create(m, kr->room, &kr->q, err));
    size_t doubles = stride * (room + b) + 2 * room * room + 2 * room;
    kr->coupling = hs_calloc(doubles, sizeof(double));
    kr->block = hs_alloc_aligned(b, (size_t)longest * sizeof(double));
    if (!kr->coupling || !kr->block)
        return hs_fail_memory(err, (doubles + b * (size_t)longest) * sizeof(double));
    kr->backward = kr->coupling + stride * room;
    kr->y = kr->backward + stride * b;
    kr->x = kr->y + room * room;
    kr->s = kr->x + room * room;
    kr->absolute = kr->s + room;
    return HS_OK;
}

static void hs_krylov_widen(hs_krylov *kr, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        kr->block[i] = (double)kr->solve->product[i];
}

/* F: random vectors orthogonal to V. */
static hs_status hs_krylov_random(hs_krylov *kr, hs_error *err) {
    int64_t left = kr->v.d - kr->v.count;
    int b = kr->b < left ? kr->b : (int)left;
    kr->waiting = 0;
    if (b == 0)
        return HS_OK;
    HS_TRY(hs_rows_random(&kr->solve->generator, kr->v.d, b, kr->block, err));
    return hs_rows_orthonormalise(&kr->v, b, kr->block, 0, NULL, 0, &kr->solve->work, &kr->waiting,
                                  err);
}

/* Append F to V; A F gives rows of B and a block of Q. */
static hs_status hs_krylov_forward(hs_krylov *kr, hs_error *err) {
    hs_svd_solve *solve = kr->solve;
    int first = kr->v.count;
    hs_rows_append(&kr->v, kr->waiting, kr->block);
    kr->fresh_v = kr->waiting;
    kr->waiting = 0;
    HS_TRY(
        hs_svd_product(solve, false, kr->fresh_v, kr->v.x + first * kr->v.d, solve->product, err));
    hs_krylov_widen(kr, kr->fresh_v * kr->q.d);
    if (kr->scale == 0) /* a first guess: the longest image of a unit vector */
        for (int i = 0; i < kr->fresh_v; i++) {
            double sum = 0;
            for (int64_t c = 0; c < kr->q.d; c++)
                sum += kr->block[i * kr->q.d + c] * kr->block[i * kr->q.d + c];
            kr->scale = fmax(kr->scale, sqrt(sum));
        }
    double *rows = kr->coupling + (size_t)first * (size_t)kr->stride;
    HS_TRY(hs_rows_orthonormalise(&kr->q, kr->fresh_v, kr->block, HS_KRYLOV_DROP * kr->scale, rows,
                                  kr->stride, &solve->work, &kr->fresh_q, err));
    hs_rows_append(&kr->q, kr->fresh_q, kr->block);
    return HS_OK;
}

/* A^T of Q's last block gives F and E. */
static hs_status hs_krylov_backward(hs_krylov *kr, hs_error *err) {
    hs_svd_solve *solve = kr->solve;
    const float *last = kr->q.x + (kr->q.count - kr->fresh_q) * kr->q.d;
    HS_TRY(hs_svd_product(solve, true, kr->fresh_q, last, solve->product, err));
    hs_krylov_widen(kr, kr->fresh_q * kr->v.d);
    return hs_rows_orthonormalise(&kr->v, kr->fresh_q, kr->block, HS_KRYLOV_DROP * kr->scale,
                                  kr->backward, kr->stride, &solve->work, &kr->waiting, err);
}

/* Ritz triplets of the first `columns` columns of B. */
static hs_status hs_krylov_ritz(hs_krylov *kr, int columns, hs_error *err) {
    int p = kr->v.count;
    kr->count = p < columns ? p : columns;
    HS_TRY(hs_small_svd(p, columns, kr->coupling, kr->stride, kr->y, kr->s, kr->x, err));
    kr->scale = fmax(kr->scale, kr->s[0]);
    return HS_OK;
}

/* | sum_i weight[i] rows[i, 0 ... width) | */
static double hs_krylov_length(int count, const double *weight, const double *rows, int stride,
                               int width) {
    double sum = 0;
    for (int c = 0; c < width; c++) {
        double entry = 0;
        for (int i = 0; i < count; i++)
            entry += weight[i] * rows[(size_t)i * (size_t)stride + (size_t)c];
        sum += entry * entry;
    }
    return sqrt(sum);
}

static void hs_krylov_forward_residuals(hs_krylov *kr) {
    int p = kr->v.count, first = p - kr->fresh_v, old = kr->q.count - kr->fresh_q;
    const double *c = kr->coupling + (size_t)first * (size_t)kr->stride + (size_t)old;
    for (int j = 0; j < kr->count; j++)
        kr->absolute[j] = hs_krylov_length(
            kr->fresh_v, kr->y + (size_t)j * (size_t)p + (size_t)first, c, kr->stride, kr->fresh_q);
}

static void hs_krylov_backward_residuals(hs_krylov *kr) {
    int q = kr->q.count, first = q - kr->fresh_q;
    const double *e = kr->backward + kr->v.count;
    for (int j = 0; j < kr->count; j++)
        kr->absolute[j] = hs_krylov_length(
            kr->fresh_q, kr->x + (size_t)j * (size_t)q + (size_t)first, e, kr->stride, kr->waiting);
}

/*
 * Whether the first k estimates are good: small residuals, or both value and
 * residual in the noise. `rank` of the first k are above it; `worst` is the
 * largest residual of these, or infinity where there are no k values yet and more
 * may come.
 */
static bool hs_krylov_judge(const hs_krylov *kr, int *rank, double *worst) {
    double floor = kr->solve->o.noise * kr->scale, goal = kr->solve->aim * kr->solve->o.tol;
    bool good = true;
    *rank = 0;
    *worst = 0;
    for (int j = 0; j < kr->k && j < kr->count; j++) {
        if (kr->s[j] > floor) {
            double residual = kr->absolute[j] / kr->s[j];
            *rank = j + 1;
            *worst = fmax(*worst, residual);
            good = good && residual <= goal;
        } else {
            good = good && kr->absolute[j] <= floor;
        }
    }
    return good;
}

/*
 * Offer the first `count` Ritz vectors of all there is: of the columns that
 * came last too, and, where there is room, with F in V, whose rows of B are E^T.
 */
static hs_status hs_krylov_offer(hs_krylov *kr, int count, bool last, bool *ended, hs_error *err) {
    hs_svd_solve *solve = kr->solve;
    int p = kr->v.count, q = kr->q.count, more = kr->waiting;
    if (p + more > kr->room)
        more = 0;
    for (int f = 0; f < more; f++) {
        double *row = kr->coupling + (size_t)(p + f) * (size_t)kr->stride;
        memset(row, 0, (size_t)kr->stride * sizeof *row);
        for (int i = 0; i < kr->fresh_q; i++)
            row[q - kr->fresh_q + i] =
                kr->backward[(size_t)i * (size_t)kr->stride + (size_t)(p + f)];
    }
    hs_rows_append(&kr->v, more, kr->block);
    hs_status status = hs_krylov_ritz(kr, q, err);
    if (status == HS_OK)
        hs_rows_combine(kr->v.d, p + more, kr->v.x, count, kr->y, p + more, &solve->work,
                        solve->result.v);
    kr->v.count = p; /* F stays in `block`, to be appended when its turn comes */
    return status == HS_OK ? hs_svd_offer(solve, count, last, ended, err) : status;
}

/*
 * Estimates tell of a basis one block smaller than what is offered, and the final
 * check multiplies by A once more: it is nearly two half steps ahead of them. So where
 * they fall fast, it is likely to be good before they are: tried once, as it
 * costs 2 k.
 */
static bool hs_krylov_bet(hs_krylov *kr, int rank, double worst) {
    double before = kr->before;
    kr->before = worst;
    if (kr->bet || rank < kr->k || before == 0 ||
        !hs_svd_can_afford(kr->solve, 2 * (kr->k + kr->b)))
        return false;
    double fall = worst / before;
    return kr->bet = fall < 1 && worst * fall * sqrt(fall) < 0.5 * kr->solve->o.tol;
}

/* Look at the Ritz triplets, and end the run if they are good or `last`. With
 * `again` the next block is to be random. */
static hs_status hs_krylov_look(hs_krylov *kr, bool last, bool *ended, bool *again, hs_error *err) {
    int rank;
    double worst;
    bool good = hs_krylov_judge(kr, &rank, &worst);
    HS_TRY(hs_svd_report(kr->solve, worst, err));
    *again = false;
    if (good && rank < kr->k && !kr->tried && !last && kr->v.count < kr->v.d) {
        kr->tried = *again = true;
        return HS_OK;
    }
    double aim = kr->solve->aim;
    bool bet = hs_krylov_bet(kr, rank, worst) && !good && !last;
    if (good || last || bet)
        HS_TRY(hs_krylov_offer(kr, rank, last, ended, err));
    if (bet) /* a lost bet says nothing about the estimates */
        kr->solve->aim = aim;
    return HS_OK;
}

/* Keep the leading Ritz vectors, some more than k: what is near them would
 * have to be found again. */
static hs_status hs_krylov_restart(hs_krylov *kr, hs_error *err) {
    HS_TRY(hs_krylov_ritz(kr, kr->q.count, err));
    int spare = kr->room - kr->b - kr->k, keep = kr->k + (spare > 0 ? spare / 2 : 0);
    if (keep > kr->room - 2 * kr->b)
        keep = kr->room - 2 * kr->b;
    if (keep > kr->count)
        keep = kr->count;
    hs_rows_work *work = &kr->solve->work;
    hs_rows_combine(kr->v.d, kr->v.count, kr->v.x, keep, kr->y, kr->v.count, work, kr->v.x);
    hs_rows_combine(kr->q.d, kr->q.count, kr->q.x, keep, kr->x, kr->q.count, work, kr->q.x);
    memset(kr->coupling, 0, (size_t)kr->room * (size_t)kr->stride * sizeof(double));
    for (int j = 0; j < keep; j++)
        kr->coupling[(size_t)j * (size_t)kr->stride + (size_t)j] = kr->s[j];
    kr->v.count = kr->q.count = keep;
    return HS_OK;
}

/* One block forward and backward; `ended` when the run is over. */
static hs_status hs_krylov_cycle(hs_krylov *kr, bool *ended, hs_error *err) {
    hs_svd_solve *solve = kr->solve;
    bool random = false;
    int old = kr->q.count;
    HS_TRY(hs_krylov_forward(kr, err));
    if (kr->q.count == 0) { /* the operator is zero */
        HS_TRY(hs_svd_report(solve, 0, err));
        return hs_svd_offer(solve, 0, true, ended, err);
    }
    bool last = !hs_svd_can_afford(solve, kr->fresh_q);
    if (old > 0 || last || kr->fresh_q == 0) {
        bool closed = kr->fresh_q == 0 && kr->v.count == kr->v.d;
        HS_TRY(hs_krylov_ritz(kr, last ? kr->q.count : old, err));
        hs_krylov_forward_residuals(kr);
        HS_TRY(hs_krylov_look(kr, last || closed, ended, &random, err));
        if (*ended)
            return HS_OK;
    }
    if (kr->fresh_q > 0 && !random) {
        HS_TRY(hs_krylov_backward(kr, err));
        HS_TRY(hs_krylov_ritz(kr, kr->q.count, err));
        hs_krylov_backward_residuals(kr);
        last = !hs_svd_can_afford(solve, kr->b) || (kr->waiting == 0 && kr->v.count == kr->v.d);
        HS_TRY(hs_krylov_look(kr, last, ended, &random, err));
        if (*ended)
            return HS_OK;
    }
    int next = random || kr->waiting == 0 ? kr->b : kr->waiting;
    if (kr->v.count + next > kr->room && kr->room < kr->v.d)
        HS_TRY(hs_krylov_restart(kr, err));
    if (random || kr->waiting == 0)
        HS_TRY(hs_krylov_random(kr, err));
    return HS_OK;
}

hs_status hs_svd_krylov(hs_svd_solve *solve, hs_error *err) {
    hs_krylov kr = {0};
    bool ended = false;
    hs_status status = hs_krylov_create(solve, &kr, err);
    if (status == HS_OK)
        status = hs_krylov_random(&kr, err);
    while (status == HS_OK && !ended)
        status = hs_krylov_cycle(&kr, &ended, err);
    hs_krylov_free(&kr);
    return status;
}
