/*
 * Exact principal component analysis of n vectors of d numbers, n small and d
 * large, by the n x n Gram matrix of the centred vectors:
 *
 *   X = rows - mean,  G = X X^T = U diag(s^2) U^T,  components = U^T X / s,
 *   sigma = s / sqrt(n-1)
 *
 * Vectors are float; all sums are in double, on column blocks, so that nothing
 * of size [n,d] is held beside the rows themselves. Forming G squares the
 * condition: sigma_j has a relative error of about 2^-52 (sigma_0/sigma_j)^2,
 * below float's own as long as sigma_j > 1e-4 sigma_0.
 *
 * G adds up over parts of the vectors (the steps, for joint PCA), which is why
 * the stages are separate. Not here: where the rows come from, alignment.
 */
#ifndef HS_DIRECTIONS_GRAM_PCA_H
#define HS_DIRECTIONS_GRAM_PCA_H

#include "base/error.h"

/* mean [d] of rows x [n,d], in double. */
void hs_gram_mean(int n, int64_t d, const float *x, double *mean);

/*
 * The rows of X, made in double as they are needed: `fill` writes columns
 * first ... first+count-1 of all rows to block [n,count].
 */
typedef struct hs_gram_rows {
    int n;
    int64_t d;
    void (*fill)(const struct hs_gram_rows *rows, int64_t first, int64_t count, double *block);
    const float *x;     /* what hs_gram_centred uses: [n,d] */
    const double *mean; /* [d] */
    const void *ctx;    /* for other fillers */
} hs_gram_rows;

/* x [n,d] less its mean [d]; both must outlive the result. */
hs_gram_rows hs_gram_centred(int n, int64_t d, const float *x, const double *mean);

/* gram += X X^T, its lower triangle (column-major [n,n]); start with zeros. */
hs_status hs_gram_add(const hs_gram_rows *rows, double *gram, hs_error *err);

/* Leading part of the eigendecomposition of a Gram matrix. */
typedef struct hs_gram_eigen {
    int n, k;
    double *scores; /* [k,n] columns of U as rows, unit norm */
    double *s;      /* [k] singular values of X, largest first */
    double total;   /* sum of all s^2 */
} hs_gram_eigen;

/*
 * `gram` is destroyed; 1 <= k <= n. Singular values that are zero to rounding
 * (s^2 <= 8 n 2^-52 s_0^2) and what belongs to them are left out, as their
 * directions would be noise: out->k may be smaller than k, and 0.
 */
hs_status hs_gram_decompose(int n, int k, double *gram, hs_gram_eigen *out, hs_error *err);
void hs_gram_eigen_free(hs_gram_eigen *eigen);

/* HS_ERROR_ARGUMENT unless 1 <= k <= n-1 (centring takes one dimension) and
 * k <= d. */
hs_status hs_gram_check(int64_t n, int64_t k, int64_t d, hs_error *err);
/* HS_ERROR_NUMERIC, saying in how many dimensions the samples vary, unless
 * `rank` is at least k. */
hs_status hs_gram_check_rank(int rank, int k, hs_error *err);

/* components [k,d] = U^T X / s, rows `stride` >= d floats apart. Each block is
 * written after it was filled, so X may be made from the old components. */
hs_status hs_gram_components(const hs_gram_eigen *eigen, const hs_gram_rows *rows,
                             float *components, int64_t stride, hs_error *err);

/*
 * All of it, with the sign of each component such that its entry of largest
 * magnitude is positive (scores follow).
 *   components [k,d], sigma [k], ratio [k] explained variance ratio, mean [d];
 *   scores [k,n] unit norm, or NULL
 * Linear algebra runs on one thread: sums that more would split have other last
 * bits for every number of threads. Against the passes its time is small.
 */
hs_status hs_gram_pca(int n, int k, int64_t d, const float *x, float *components, double *sigma,
                      double *ratio, double *mean, double *scores, hs_error *err);

/* Bytes that the functions above hold at most, the rows and outputs apart. */
double hs_gram_bytes(int64_t n, int64_t k, int64_t d);

#endif
