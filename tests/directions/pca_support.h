/* What the tests of PCA share. */
#ifndef HS_TESTS_PCA_SUPPORT_H
#define HS_TESTS_PCA_SUPPORT_H

#include "support.h"

/*
 * Rows x [n,d] with a known decomposition: mean + sum_j s_j u_j v_j^T for
 * j < r, with orthonormal u_j [r,n] of mean zero and orthonormal v_j [r,d]
 * (out, double), s [r] given.
 */
void hs_test_spectrum(uint64_t seed, int n, int d, int r, const double *s, float *x, double *u,
                      double *v);

/* Sine of the largest principal angle between the spans of rows a [k,d] and
 * rows b [k,d]; each is orthonormalised first. */
double hs_test_span_angle(int k, int64_t d, const double *a, const double *b);

/* The same for floats. */
double hs_test_span_angle_f32(int k, int64_t d, const float *a, const float *b);

#endif
