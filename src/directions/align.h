/*
 * Principal components have no sign of their own, and where two variances are
 * near each other no order either. Alignment makes component j mean the same
 * at all steps. It works step by step: each function brings the components of
 * one step in line with those of a step that is aligned already.
 */
#ifndef HS_DIRECTIONS_ALIGN_H
#define HS_DIRECTIONS_ALIGN_H

#include "base/error.h"

/*
 * The paper's (IV-A): order is kept; flip component j so that its inner
 * product with `first`, that of step 0, is not negative.
 *   first       [k,d], rows `stride` floats apart
 *   components  [k,d]
 *   flip        [k] out: -1 flipped, 1 not
 * The components themselves are not changed: hs_align_apply does that.
 */
void hs_align_index(int k, int64_t d, const float *first, int64_t stride, const float *components,
                    int *flip);

/*
 * Ours: match the components of neighbouring steps by the correlation of the
 * samples' scores, an assignment problem, and make the correlations positive.
 *   previous  [k,n] scores of the step before, aligned
 *   scores    [k,n] scores of this step, of the same samples
 *   order     [k] out: place j gets this step's component order[j] ...
 *   flip      [k] out: ... times flip[j]
 * A component without variance correlates with nothing.
 */
hs_status hs_align_score(int k, int n, const double *previous, const double *scores, int *order,
                         int *flip, hs_error *err);

/* Rows j of `values` [k,count] become flip[j] * row order[j]; `flip` or
 * `order` may be NULL. Needs one row of memory. */
hs_status hs_align_rows_f32(int k, int64_t count, const int *order, const int *flip, float *values,
                            hs_error *err);
hs_status hs_align_rows_f64(int k, int64_t count, const int *order, const int *flip, double *values,
                            hs_error *err);

/* Flip so that the entry of largest magnitude (the first of equals) is
 * positive: a sign that depends on nothing but the component. Returns -1 or 1. */
int hs_align_sign(int64_t count, const float *component);

#endif
