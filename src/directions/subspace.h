/* One step of subspace iteration, which Alg. 1 and Alg. 2 of the paper share. */
#ifndef HS_DIRECTIONS_SUBSPACE_H
#define HS_DIRECTIONS_SUBSPACE_H

#include "directions/svd_run.h"

typedef struct hs_subspace {
    hs_svd_solve *solve;
    const hs_rows *found; /* deflated: the operator is A (I - found^T found) */
    hs_rows v, y;         /* [b,n] orthonormal, [b,m] */
    double *block;        /* [b,n] what v becomes */
    double *s, *residual; /* [b] of the triplets of v */
    double *gram;         /* [b,b] */
    double scale;         /* the largest s so far */
    int low;              /* steps with residuals that may be rounding */
} hs_subspace;

hs_status hs_subspace_create(hs_svd_solve *solve, hs_subspace *out, hs_error *err);
void hs_subspace_free(hs_subspace *sub);

/* v := an orthonormal basis of what `count` rows of `block` have outside `found`. */
hs_status hs_subspace_set(hs_subspace *sub, int count, hs_error *err);
/* The same from random rows. */
hs_status hs_subspace_random(hs_subspace *sub, int count, hs_error *err);

/* U = A v; the best vectors of v's span; A^T U. Vectors whose s is noise are
 * dropped: v.count may fall, to 0. After that v, s, residual belong together. */
hs_status hs_subspace_step(hs_subspace *sub, hs_error *err);
/* v := QR(A^T U), for the next step. */
hs_status hs_subspace_advance(hs_subspace *sub, hs_error *err);
/* The largest of the first `want` residuals. */
double hs_subspace_worst(const hs_subspace *sub, int want);

/* Whether the first `want` residuals are good enough to be checked: below the
 * goal, or for ten steps as small as rounding in the products lets them be. */
bool hs_subspace_ready(hs_subspace *sub, int want);

#endif
