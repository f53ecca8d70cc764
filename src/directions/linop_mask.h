/*
 * Operators made of another: the rows of A inside a mask, A' = M A with M = diag
 * of zeros and ones (paper eq. 9-10). A'^T = A^T M, so a product costs one of A.
 */
#ifndef HS_DIRECTIONS_LINOP_MASK_H
#define HS_DIRECTIONS_LINOP_MASK_H

#include "directions/linop.h"

typedef struct hs_linop_mask {
    hs_linop op; /* m x n as `inner`: what to hand on */
    const hs_linop *inner;
    const uint8_t *mask; /* [m] 0 or 1 */
    uint8_t keep;        /* rows whose mask has this value stay */
    int64_t rows;        /* how many these are */
    float *work;         /* [block,m] */
} hs_linop_mask;

/*
 * Rows where mask [m] is 1; with `complement`, those where it is 0: (1 - M) A.
 * `inner` and `mask` must outlive the result, which must not move (its op points
 * to it). HS_ERROR_ARGUMENT if no row is left or an entry is neither 0 nor 1.
 * hs_linop_mask_free it, failed or not.
 */
hs_status hs_linop_mask_create(const hs_linop *inner, const uint8_t *mask, bool complement,
                               hs_linop_mask *out, hs_error *err);
void hs_linop_mask_free(hs_linop_mask *masked);

#endif
