/* What the tests of the singular value solvers share: dense operators with a
 * known spectrum, and results judged in double against LAPACK. */
#ifndef HS_TESTS_SVD_SUPPORT_H
#define HS_TESTS_SVD_SUPPORT_H

#include "support.h"

#include "directions/svd.h"

typedef struct hs_test_operator {
    hs_linop op; /* its ctx is the struct, which must not move */
    int m, n;
    double *a;          /* [m,n] */
    double *u, *s, *vt; /* LAPACK's: [m,c], [c], [c,n], c = min(m,n) */
    int64_t products, calls;
    int largest;     /* most vectors in one call */
    int64_t heap;    /* most bytes on the heap when a call came in (0 under sanitizers) */
    int64_t nan_at;  /* products before one holds NaN; -1: never */
    int64_t fail_at; /* the same before one fails */
} hs_test_operator;

/* A = sum_j s_j u_j v_j^T, j < r, with random orthonormal u_j and v_j. */
void hs_test_operator_make(uint64_t seed, int m, int n, int r, const double *s, int block,
                           hs_test_operator *out);
void hs_test_operator_free(hs_test_operator *a);

/* Bytes on the heap now. */
int64_t hs_test_heap(void);

typedef struct hs_test_quality {
    double residual;   /* largest, from products in double */
    double claim;      /* largest |residual - claimed residual| */
    double sigma;      /* largest |sigma / LAPACK's - 1| */
    double angle;      /* sine between the spans of the k right (or left) vectors and LAPACK's */
    double orthogonal; /* largest |V V^T - 1| and |U U^T - 1| */
} hs_test_quality;

hs_test_quality hs_test_judge(const hs_test_operator *a, const hs_svd *svd);
void hs_test_print(const char *name, const hs_svd *svd, const hs_test_quality *q);

#endif
