/*
 * Directions that change what lies inside a mask M and leave the rest, by
 * products only. Two ways:
 *
 *  - hs_project_out, hs_svd_project_out: take the masked directions, the right
 *    singular vectors of M A, and remove from them the span of the leading ones
 *    of the complement (1 - M) A (the null-space projection of LowRankGAN, Zhu et
 *    al. 2021, and LOCO-Edit, Chen et al. 2024). Cheap; what it leaves outside
 *    is bounded by the first singular value of (1 - M) A that was not removed.
 *
 *  - hs_generalised: maximise the ratio itself (ReSeFa, Zhu et al. 2022),
 *      rho(v)^2 = |M A v|^2 / (|(1 - M) A v|^2 + lambda^2 |v|^2).
 */
#ifndef HS_DIRECTIONS_KEEP_OUTSIDE_H
#define HS_DIRECTIONS_KEEP_OUTSIDE_H

#include "directions/svd.h"

/*
 * v [k,n] := (I - W W^+) v, each scaled to norm 1, in double inside; w [p,n] are
 * any p <= n vectors, orthonormalised here first. left [k], or NULL: the norm
 * before scaling, the share of v that survived.
 * HS_ERROR_NUMERIC names a direction that lies in the span of w (left < 1e-5);
 * v is untouched then.
 */
hs_status hs_project_out(int64_t n, int k, float *v, int p, const float *w, double *left,
                         hs_error *err);

/*
 * Project the directions of `svd` (of the masked operator) and measure them
 * anew: sigma_j = |op v_j|, u_j = op v_j / sigma_j, residual of A^T u = sigma v,
 * which now tells how far they are from singular vectors (converged is false
 * throughout). In the order of their numbers, which sigma may not have kept;
 * the v are not orthogonal to each other any more. The sign rule is that of svd.h.
 * products and calls count those made here.
 */
hs_status hs_svd_project_out(const hs_linop *op, const hs_svd *svd, int p, const float *w,
                             hs_svd *out, hs_error *err);

typedef struct hs_generalised_options {
    int k;
    double lambda;        /* > 0, in the units of sigma: how much |v| counts. What moves the
                             outside by less than lambda counts as leaving it */
    double tol;           /* default 1e-3 */
    int64_t max_products; /* 0: 400 (k + 2) */
    int64_t max_mem;      /* as in hs_svd_options */
    uint64_t seed;
    bool partial;       /* give what is not converged too */
    int start_count;    /* good guesses, such as the masked directions and the leading */
    const float *start; /* ones of the complement: [start_count,n], or NULL */
} hs_generalised_options;

hs_generalised_options hs_generalised_options_default(void);

typedef struct hs_generalised {
    int k;
    int64_t m, n;
    double *ratio;    /* [k] rho, largest first */
    double *inside;   /* [k] |M A v| */
    double *outside;  /* [k] |(1 - M) A v| */
    float *v;         /* [k,n] unit norm; A^T (1 - M) A + lambda^2 - orthogonal */
    float *u;         /* [k,m] A v / |A v|, the whole image */
    double *residual; /* [k] |P v - rho^2 N v| / |P v|, P = A^T M A, N = the denominator's
                         matrix, from products made anew at the end */
    bool *converged;  /* [k] */
    int64_t products, calls;
} hs_generalised;

/* mask [m] of 0 and 1, both of which must occur. Errors as hs_svd_run. */
hs_status hs_generalised_run(const hs_linop *op, const uint8_t *mask,
                             const hs_generalised_options *options, const hs_monitor *monitor,
                             hs_generalised *out, hs_error *err);
void hs_generalised_free(hs_generalised *generalised);

#endif
