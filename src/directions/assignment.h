/* The assignment problem: who gets what, so that the sum is largest. */
#ifndef HS_DIRECTIONS_ASSIGNMENT_H
#define HS_DIRECTIONS_ASSIGNMENT_H

#include "base/error.h"

/*
 * The permutation that maximises sum_i gain[i, column[i]].
 *   gain    [k,k] finite
 *   column  [k] out: the column that row i gets
 * k^3 operations and 5 k numbers of memory (HS_ERROR_MEMORY).
 */
hs_status hs_assignment(int k, const double *gain, int *column, hs_error *err);

#endif
