/*
 * How many iterations the authors' procedure takes: power iteration on J^T J,
 * one vector after the other, those found projected out, until the residual is
 * at most tol. At full size that would take an hour, and it need not be done to
 * be counted. All iterates lie in the Krylov space of the start x; in the basis
 * that Lanczos' method makes of it, with full orthogonalisation, J^T J is a
 * small tridiagonal matrix with eigenvalues s_i and first components w_i, and
 *
 *   (J^T J)^q x = sum_i w_i s_i^q y_i,
 *
 * exactly for q below the basis' size, and beyond it as far as the s_i that
 * still matter have converged: the basis grows until the count stays the same.
 */
#include "bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "directions/rows.h"

#define GROW 10 /* steps between two counts */
#define MOST_STEPS 200
#define MOST_ITERATIONS 1000000

/* Iterations until `k` vectors are found, from eigenvalues and weights. */
static int count_iterations(int steps, const double *s, const double *w, int k, double tol) {
    int total = 0;
    for (int found = 0; found < k && found < steps; found++)
        for (int q = 0; total < MOST_ITERATIONS; q++) {
            double norm = 0, sigma = 0, residual = 0; /* sigma: squared, as the s are */
            for (int i = found; i < steps; i++) {
                double c = w[i] * pow(fmax(s[i], 0) / s[found], q);
                norm += c * c;
                sigma += c * c * s[i];
            }
            sigma /= norm;
            for (int i = found; i < steps; i++) {
                double c = w[i] * pow(fmax(s[i], 0) / s[found], q) * (s[i] - sigma);
                residual += c * c;
            }
            total++;
            if (sqrt(residual / norm) <= tol * sigma)
                break;
        }
    return total;
}

/* The tridiagonal matrix's eigenvalues and first components, then the count. */
static hs_status count_from(int steps, const double *diagonal, const double *beside, int k,
                            double tol, int *iterations, hs_error *err) {
    size_t n = (size_t)steps;
    double *a = calloc(n * n + 2 * n, sizeof *a), *s = a + n * n, *w = s + n;
    if (!a)
        return hs_fail_memory(err, (n * n + 2 * n) * sizeof *a);
    for (size_t i = 0; i < n; i++) {
        a[i * n + i] = diagonal[i];
        if (i + 1 < n)
            a[i * n + i + 1] = a[(i + 1) * n + i] = beside[i];
    }
    hs_status status = hs_small_eigen(steps, a, s, err);
    for (size_t i = 0; i < n; i++)
        w[i] = a[i * n];
    if (status == HS_OK)
        *iterations = count_iterations(steps, s, w, k, tol);
    free(a);
    return status;
}

static double dot(size_t n, const float *a, const double *b) {
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)a[i] * b[i];
    return sum;
}

/* One more row of the basis from J^T J of the last one; its diagonal and length. */
static hs_status lanczos(hs_jacobian *j, size_t h, size_t image, float *basis, int step,
                         double *diagonal, double *beside, hs_error *err) {
    const float *last = basis + (size_t)step * h;
    float *u = malloc(image * sizeof *u), *product = malloc(h * sizeof *product);
    double *next = malloc(h * sizeof *next), sum = 0;
    hs_status status =
        u && product && next ? HS_OK : hs_fail_memory(err, (image + 3 * h) * sizeof *u);
    if (status == HS_OK)
        status = hs_jacobian_apply(j, false, 1, last, u, err);
    if (status == HS_OK)
        status = hs_jacobian_apply(j, true, 1, u, product, err);
    if (status == HS_OK) {
        for (size_t i = 0; i < h; i++)
            next[i] = (double)product[i];
        *diagonal = dot(h, last, next);
        for (int twice = 0; twice < 2; twice++)
            for (int row = 0; row <= step; row++) {
                const float *q = basis + (size_t)row * h;
                double part = dot(h, q, next);
                for (size_t i = 0; i < h; i++)
                    next[i] -= part * (double)q[i];
            }
        for (size_t i = 0; i < h; i++)
            sum += next[i] * next[i];
        *beside = sqrt(sum);
        for (size_t i = 0; i < h; i++)
            basis[(size_t)(step + 1) * h + i] = (float)(next[i] / *beside);
    }
    free(next);
    free(product);
    free(u);
    return status;
}

hs_status bench_power_iterations(hs_jacobian *j, size_t h, size_t image, int k, double tol,
                                 int *iterations, int *steps, hs_error *err) {
    int most = h < MOST_STEPS ? (int)h : MOST_STEPS, before = -1;
    double diagonal[MOST_STEPS], beside[MOST_STEPS], sum = 0;
    float *basis = malloc(((size_t)most + 1) * h * sizeof *basis);
    if (!basis)
        return hs_fail_memory(err, ((size_t)most + 1) * h * sizeof *basis);
    bench_fill(basis, h);
    for (size_t i = 0; i < h; i++)
        sum += (double)basis[i] * (double)basis[i];
    for (size_t i = 0; i < h; i++)
        basis[i] = (float)((double)basis[i] / sqrt(sum));
    hs_status status = HS_OK;
    *iterations = 0;
    for (*steps = 0; *steps < most && status == HS_OK;) {
        status = lanczos(j, h, image, basis, *steps, &diagonal[*steps], &beside[*steps], err);
        if (status != HS_OK || ++*steps % GROW)
            continue;
        before = *iterations;
        status = count_from(*steps, diagonal, beside, k, tol, iterations, err);
        if (*iterations == before)
            break;
    }
    free(basis);
    return status;
}
