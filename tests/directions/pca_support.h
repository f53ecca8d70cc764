/* What the tests of PCA share. */
#ifndef HS_TESTS_PCA_SUPPORT_H
#define HS_TESTS_PCA_SUPPORT_H

#include "support.h"

#include "io/tensor_set.h"

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

/* The largest such angle over the leading spans that are cut where sigma [k]
 * falls by 5 % or more; rows of a and b are a_stride and b_stride apart. */
double hs_test_spans_angle(int k, int64_t d, const double *sigma, const float *a, int64_t a_stride,
                           const float *b, int64_t b_stride);

/* golden/directions/pca.safetensors, and an aligned tensor of `count` values
 * in it, which belongs to the set. */
hs_tensor_set *hs_test_pca_golden(void);
const float *hs_test_golden_f32(const hs_tensor_set *set, const char *name, int64_t count);
const double *hs_test_golden_f64(const hs_tensor_set *set, const char *name, int64_t count);

#endif
