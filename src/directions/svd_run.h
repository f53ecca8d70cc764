/*
 * What the methods of svd.h share: options made definite, products that are
 * counted and checked, and the final check, which alone decides that a result is
 * good. A method produces candidates and estimates; it never judges itself.
 */
#ifndef HS_DIRECTIONS_SVD_RUN_H
#define HS_DIRECTIONS_SVD_RUN_H

#include "directions/rows.h"
#include "directions/svd.h"

typedef struct hs_svd_solve {
    const hs_linop *op;
    hs_svd_options o; /* nothing left to choose */
    const hs_monitor *monitor;
    int b;          /* vectors at a time */
    int basis;      /* krylov: room for vectors, each side */
    double aim;     /* estimated residuals must be below aim * tol before they are checked */
    double first;   /* the first estimate of the largest residual, for progress; 0: none */
    double last;    /* the largest residual of the last check */
    int checks;     /* how many failed */
    float *product; /* [b, max(m,n)] */
    hs_rows_work work;
    hs_generator generator;
    hs_svd result;
} hs_svd_solve;

hs_status hs_svd_krylov(hs_svd_solve *solve, hs_error *err);
hs_status hs_svd_subspace(hs_svd_solve *solve, hs_error *err);
hs_status hs_svd_batched(hs_svd_solve *solve, hs_error *err);

/* y = A x or A^T x for any number of vectors, in even calls of at most the
 * operator's block; HS_ERROR_NUMERIC for what is not finite. */
hs_status hs_svd_product(hs_svd_solve *solve, bool transpose, int count, const float *x, float *y,
                         hs_error *err);

/* Whether `count` more products leave enough for the final check. */
bool hs_svd_can_afford(const hs_svd_solve *solve, int64_t count);

/* Tell the progress; HS_ERROR_CANCELLED. */
hs_status hs_svd_report(hs_svd_solve *solve, double worst, hs_error *err);

/*
 * Hand in `count` <= k orthonormal candidates in result.v; fewer than k means
 * that the method found no more. Takes the best vectors of their span
 * (Rayleigh-Ritz), sets sigma, u and residual by 2 count products, and says
 * whether that ends the run. If it does not, `aim` is stricter afterwards. With
 * `last`, products are used up: it ends here, in success or in an error.
 */
hs_status hs_svd_offer(hs_svd_solve *solve, int count, bool last, bool *accepted, hs_error *err);

/* The arrays of a result for k triplets. */
hs_status hs_svd_alloc(hs_svd *svd, int k, int64_t m, int64_t n, hs_error *err);
/* The sign rule of svd.h. */
void hs_svd_fix_signs(hs_svd *svd);

double hs_svd_norm(int64_t d, const float *x);                                   /* |x| */
double hs_svd_distance(int64_t d, const float *x, double scale, const float *y); /* |x - scale y| */

#endif
