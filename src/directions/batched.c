/*
 * The paper's Alg. 2: subspace iteration on batches of b vectors, each batch
 * kept orthogonal to those found before, so that only b vectors (and the k
 * found right ones) are in memory.
 *
 * A batch of the deflated operator A (I - V^T V) is exact only if V is. What is
 * left of its error is taken out at the end by the Rayleigh-Ritz step over all k
 * (hs_svd_offer); if residuals are still too large, the batches are gone through
 * again from where they are, each now orthogonal to all others, with a
 * stricter goal.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "directions/subspace.h"

typedef struct hs_batched {
    hs_subspace sub;
    hs_rows others; /* what the present batch is kept orthogonal to: [k,n] */
    int count;      /* vectors in result.v */
} hs_batched;

/* Iterate on vectors first ... first+want-1; `spent`: products ran out. */
static hs_status hs_batched_one(hs_batched *batched, int first, int want, bool again, bool *spent,
                                hs_error *err) {
    hs_subspace *sub = &batched->sub;
    hs_svd_solve *solve = sub->solve;
    int64_t n = sub->v.d;
    float *v = solve->result.v;
    batched->others.count = 0;
    for (int j = 0; j < batched->count; j++)
        if (j < first || (again && j >= first + want))
            memcpy(batched->others.x + batched->others.count++ * n, v + j * n,
                   (size_t)n * sizeof *v);
    if (again) {
        for (int64_t i = 0; i < want * n; i++)
            sub->block[i] = (double)v[first * n + i];
        HS_TRY(hs_subspace_set(sub, want, err));
    } else {
        HS_TRY(hs_subspace_random(sub, want, err));
    }
    for (bool good = *spent; !good;) {
        HS_TRY(hs_subspace_step(sub, err));
        double worst = hs_subspace_worst(sub, want);
        *spent = !hs_svd_can_afford(solve, 2 * (int64_t)want);
        good = hs_subspace_ready(sub, want) || *spent;
        HS_TRY(hs_svd_report(solve, worst, err));
        if (!good)
            HS_TRY(hs_subspace_advance(sub, err));
    }
    memcpy(v + first * n, sub->v.x, (size_t)sub->v.count * (size_t)n * sizeof *v);
    return HS_OK;
}

/* All batches once. When products run out, those not reached hold random
 * vectors: the final check finds their residuals large, and says so. */
static hs_status hs_batched_sweep(hs_batched *batched, bool again, bool *spent, hs_error *err) {
    hs_svd_solve *solve = batched->sub.solve;
    int k = again ? batched->count : solve->o.k, next;
    for (int first = 0; first < k; first = next) {
        next = first + solve->b < k ? first + solve->b : k;
        HS_TRY(hs_batched_one(batched, first, next - first, again, spent, err));
        int got = first + batched->sub.v.count;
        if (!again)
            batched->count = got;
        if (got < next) { /* no more above the noise */
            batched->count = again ? batched->count : got;
            return HS_OK;
        }
    }
    return HS_OK;
}

hs_status hs_svd_batched(hs_svd_solve *solve, hs_error *err) {
    hs_status status = HS_OK;
    hs_batched batched = {0};
    bool ended = false, spent = false;
    HS_CHECK(hs_subspace_create(solve, &batched.sub, err));
    HS_CHECK(hs_rows_create(solve->op->columns, solve->o.k, &batched.others, err));
    batched.sub.found = &batched.others;
    for (bool again = false; !ended; again = true) {
        HS_CHECK(hs_batched_sweep(&batched, again, &spent, err));
        HS_CHECK(hs_svd_offer(solve, batched.count, spent, &ended, err));
        batched.count = solve->result.rank;
    }
cleanup:
    hs_rows_free(&batched.others);
    hs_subspace_free(&batched.sub);
    return status;
}
