/*
 * Anderson's acceleration (1965) of a fixed-point iteration x <- f(x): the next x
 * is where the residual f(x) - x would be smallest if it were affine in the x of
 * the latest rounds. It converges where the plain iteration crawls or overshoots,
 * and costs nothing but dot products: f is what is dear.
 */
#ifndef HS_DIFFUSION_ANDERSON_H
#define HS_DIFFUSION_ANDERSON_H

#include "base/mem.h"

#define HS_ANDERSON_DEPTH 5

typedef struct hs_anderson {
    size_t size;
    int rounds;           /* taken so far */
    float *x, *r;         /* [size] of the latest round: x and f(x) - x */
    float *dx, *dr;       /* [HS_ANDERSON_DEPTH,size] their latest differences, a ring */
    float *best;          /* [size] the x of the smallest residual */
    double best_residual; /* root mean square of it */
    int stale;            /* rounds since that one */
} hs_anderson;

hs_status hs_anderson_create(size_t size, hs_anderson *out, hs_error *err);
void hs_anderson_free(hs_anderson *anderson);
/* Forget all rounds. */
void hs_anderson_reset(hs_anderson *anderson);
/* x [size] and f(x) [size] are known: the next x into `x`. */
void hs_anderson_next(hs_anderson *anderson, float *x, const float *f);

#endif
