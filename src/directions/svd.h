/*
 * The k largest singular triplets of an operator that only products reach:
 *
 *   A v_j = sigma_j u_j,   A^T u_j = sigma_j v_j,   sigma_1 >= sigma_2 >= ...
 *
 * For h-space A = d eps / d h at one step of one sample (paper IV-B), or its
 * rows inside a mask (eq. 9-10, linop_mask.h). Whatever the method, a result is
 * judged by the products of what is returned, made anew at the end:
 *
 *   residual_j = max(|A v_j - sigma_j u_j|, |A^T u_j - sigma_j v_j|) / sigma_j
 *
 * A residual r bounds the error of sigma_j by r sigma_j and, where the nearest
 * other singular value lies a share g away, the angle of v_j by about r / g; the
 * span of a cluster is as good as its distance to the rest allows, though the
 * vectors inside it are not determined at all.
 *
 * Sign: the entry of v_j of largest magnitude (the first such) is positive, u_j
 * follows. Dense algebra runs on one thread, so results depend on the products,
 * the options and the seed alone, never on the number of threads.
 *
 * Long vectors are kept in float, as the products are; everything that is summed
 * over them is summed in double. Residuals reach some 1e-6 sigma_1 / sigma_j.
 */
#ifndef HS_DIRECTIONS_SVD_H
#define HS_DIRECTIONS_SVD_H

#include "directions/linop.h"

typedef enum hs_svd_method {
    HS_SVD_KRYLOV,   /* block Golub-Kahan-Lanczos with thick restart: krylov.c */
    HS_SVD_SUBSPACE, /* block subspace iteration: the paper's Alg. 1 */
    HS_SVD_BATCHED   /* Alg. 2: batches of `block` vectors, found ones deflated */
} hs_svd_method;

const char *hs_svd_method_name(hs_svd_method method); /* "krylov", ... */

typedef struct hs_svd_options {
    int k; /* triplets wanted: 1 ... min(m,n) */
    hs_svd_method method;
    double tol;           /* largest residual that counts as converged; default 1e-3 */
    int64_t max_products; /* vectors through A or A^T, the final check's included;
                             0: 400 (k + 2) */
    int block;            /* vectors at a time: at least k + 1 for krylov (0: that), at least k for
                             subspace (0: k), at most k for batched (0: half of k, rounded up) */
    int64_t max_mem;      /* bytes beyond the operator's own and the result: bounds the basis,
                             not what is found; 0: 256 MiB or, if more, what it takes at least */
    double noise;         /* singular values <= noise sigma_1 count as zero; default 2^-19 */
    uint64_t seed;        /* of the random starting vectors */
    bool partial;         /* give what there is (converged[j] false, or fewer than k where the
                             rank is smaller) where otherwise an error would be returned */
} hs_svd_options;

/* k = 5, krylov, and the defaults above. */
hs_svd_options hs_svd_options_default(void);

typedef struct hs_svd {
    int k;            /* triplets here: as wanted, or the rank if `partial` and smaller */
    int rank;         /* k, unless fewer singular values were found above the noise */
    int64_t m, n;     /* rows and columns of the operator */
    double *sigma;    /* [k] largest first */
    float *v;         /* [k,n] orthonormal */
    float *u;         /* [k,m] orthonormal */
    double *residual; /* [k] */
    bool *converged;  /* [k] residual <= tol */
    int64_t products; /* vectors that went through A or A^T */
    int64_t calls;    /* calls of the operator that took */
} hs_svd;

/*
 * Run `options->method`. Progress is told (and cancellation asked) after every
 * block of products, as a share of the way to `tol` on a logarithmic scale; the
 * phase tells products and the largest residual.
 *  HS_ERROR_ARGUMENT   k, tol, block, ... out of range
 *  HS_ERROR_MEMORY     max_mem is too small: says what it takes at least
 *  HS_ERROR_NUMERIC    NaN or infinity in a product; residuals above tol after
 *                      max_products, or that no longer fall because the products are not
 *                      exact enough (says which residuals were reached); rank below k
 *                      (says the rank). The last two not if `partial`.
 *  others              as the operator returns them
 */
hs_status hs_svd_run(const hs_linop *op, const hs_svd_options *options, const hs_monitor *monitor,
                     hs_svd *out, hs_error *err);
void hs_svd_free(hs_svd *svd); /* NULL or all zero is fine; leaves it all zero */

/* Bytes that a run holds at most, with the basis that max_mem grants; the
 * operator's own and the result apart. Fails as hs_svd_run does. */
hs_status hs_svd_bytes(const hs_linop *op, const hs_svd_options *options, int64_t *bytes,
                       hs_error *err);

#endif
