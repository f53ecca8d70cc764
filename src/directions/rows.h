/*
 * Dense algebra on a few long vectors, for the spectral methods: the vectors
 * are rows of a float array, what is being worked on is in double, and every sum
 * over their length is in double, taken by column chunks whose width depends on
 * shapes alone. On one thread: a product through the operator costs far more.
 *
 * Orthogonalisation is block Gram-Schmidt, always twice ("twice is enough",
 * Giraud et al. 2005), with the inner step by the eigendecomposition of the
 * block's Gram matrix. That squares the condition, which the second round
 * repairs, and in return shows the block's rank to some 1e-7 of its size.
 */
#ifndef HS_DIRECTIONS_ROWS_H
#define HS_DIRECTIONS_ROWS_H

#include "base/error.h"
#include "base/random.h"

typedef struct hs_rows {
    int64_t d; /* length of each */
    int count, capacity;
    float *x; /* [capacity,d] */
} hs_rows;

hs_status hs_rows_create(int64_t d, int capacity, hs_rows *out, hs_error *err);
void hs_rows_free(hs_rows *rows);

/* Room for the functions below: for at most `rows` rows of any length. */
typedef struct hs_rows_work {
    int rows;
    double *chunk;   /* [rows, HS_ROWS_CHUNK] */
    double *rotated; /* [rows, HS_ROWS_CHUNK] */
} hs_rows_work;

enum { HS_ROWS_CHUNK = 1024 };

hs_status hs_rows_work_create(int rows, hs_rows_work *out, hs_error *err);
void hs_rows_work_free(hs_rows_work *work);

/* gram [b,b] = x x^T of rows x [b,d]. */
void hs_rows_gram(int64_t d, int b, const float *x, hs_rows_work *work, double *gram);

/* out [l,d] = z x, for z [l,p] with rows `stride` apart and x [p,d];
 * `out` may be x where l <= p. */
void hs_rows_combine(int64_t d, int p, const float *x, int l, const double *z, int stride,
                     hs_rows_work *work, float *out);

/* y [b,d] -= (y basis^T) basis; the coefficients are added to h [b, stride]. */
void hs_rows_project(const hs_rows *basis, int b, double *y, double *h, int stride,
                     hs_rows_work *work);

/*
 * Make y [b,d] orthonormal and orthogonal to `basis`, leaving out what is not
 * longer than `drop`: r <= b vectors, in y's first r rows, and
 *
 *   y (as it came) = coefficients [b, basis->count + r] (basis, y (as it left))
 *
 * up to what was dropped, rows `stride` >= basis->count + b apart. `coefficients`
 * may be NULL. At most d - basis->count vectors are kept.
 */
hs_status hs_rows_orthonormalise(const hs_rows *basis, int b, double *y, double drop,
                                 double *coefficients, int stride, hs_rows_work *work, int *r,
                                 hs_error *err);

/* Append y [r,d], rounded; count + r <= capacity. */
void hs_rows_append(hs_rows *rows, int r, const double *y);

/* y [b,d]: normal deviates. */
hs_status hs_rows_random(hs_generator *generator, int64_t d, int b, double *y, hs_error *err);

/* Eigenvalues, largest first, and vectors (rows of z [n,n]) of a symmetric
 * matrix a [n,n], which is overwritten by them. */
hs_status hs_small_eigen(int n, double *a, double *values, hs_error *err);

/* b [p,q] (rows `stride` apart) = sum_j y_j s_j x_j^T: y [c,p], s [c], x [c,q],
 * largest first, c = min(p,q) > 0. */
hs_status hs_small_svd(int p, int q, const double *b, int stride, double *y, double *s, double *x,
                       hs_error *err);

#endif
