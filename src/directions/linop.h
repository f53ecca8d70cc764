/*
 * A linear operator as the spectral methods see it: an m x n matrix A that
 * only products reach. For h-space A is the Jacobian of eps with respect to h
 * at one point (paper IV-B), rows of A the pixels of eps, columns those of h.
 */
#ifndef HS_DIRECTIONS_LINOP_H
#define HS_DIRECTIONS_LINOP_H

#include "base/error.h"

typedef struct hs_linop {
    int64_t rows, columns; /* m, n */
    int block;             /* vectors that one call does best; calls may give fewer */
    void *ctx;
    /* y = A x (transpose false: x [k,n], y [k,m]) or y = A^T x (transpose true:
     * x [k,m], y [k,n]) for k <= block vectors, each contiguous. */
    hs_status (*apply)(void *ctx, bool transpose, int k, const float *x, float *y, hs_error *err);
} hs_linop;

#endif
