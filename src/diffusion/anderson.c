/* See anderson.h. */
#include "diffusion/anderson.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HS_DEPTH HS_ANDERSON_DEPTH

hs_status hs_anderson_create(size_t size, hs_anderson *out, hs_error *err) {
    *out = (hs_anderson){.size = size};
    out->x = hs_alloc_aligned(size, sizeof(float));
    out->r = hs_alloc_aligned(size, sizeof(float));
    out->best = hs_alloc_aligned(size, sizeof(float));
    out->dx = hs_alloc_aligned(size, HS_DEPTH * sizeof(float));
    out->dr = hs_alloc_aligned(size, HS_DEPTH * sizeof(float));
    hs_anderson_reset(out);
    if (out->x && out->r && out->best && out->dx && out->dr)
        return HS_OK;
    hs_anderson_free(out);
    return hs_fail_memory(err, (2 * HS_DEPTH + 3) * size * sizeof(float));
}

void hs_anderson_free(hs_anderson *anderson) {
    free(anderson->x);
    free(anderson->r);
    free(anderson->best);
    free(anderson->dx);
    free(anderson->dr);
    *anderson = (hs_anderson){0};
}

void hs_anderson_reset(hs_anderson *anderson) {
    anderson->rounds = 0;
    anderson->stale = 0;
    anderson->best_residual = INFINITY;
}

static double hs_dot(const float *a, const float *b, size_t size) {
    double sum = 0;
    for (size_t i = 0; i < size; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

/* Cholesky in place, A [n,n] symmetric; a direction that adds nothing to those
 * before it gets weight 0. b becomes the solution. */
static void hs_solve(double A[HS_DEPTH][HS_DEPTH], double *b, int n) {
    double trace = 0;
    for (int i = 0; i < n; i++)
        trace += A[i][i];
    for (int i = 0; i < n; i++) {
        for (int j = 0; j <= i; j++) {
            double sum = A[i][j];
            for (int k = 0; k < j; k++)
                sum -= A[i][k] * A[j][k];
            if (i == j)
                A[i][i] = sum > 1e-12 * trace ? sqrt(sum) : INFINITY;
            else
                A[i][j] = sum / A[j][j];
        }
        double sum = b[i];
        for (int k = 0; k < i; k++)
            sum -= A[i][k] * b[k];
        b[i] = sum / A[i][i];
    }
    for (int i = n - 1; i >= 0; i--) {
        double sum = b[i];
        for (int k = i + 1; k < n; k++)
            sum -= A[k][i] * b[k];
        b[i] = sum / A[i][i];
    }
}

/* The latest x and r into the state, their change into the ring. */
static void hs_remember(hs_anderson *a, const float *x, const float *f) {
    size_t slot = (size_t)((a->rounds + HS_DEPTH - 1) % HS_DEPTH) * a->size;
    for (size_t i = 0; i < a->size; i++) {
        float r = f[i] - x[i];
        if (a->rounds > 0) {
            a->dx[slot + i] = x[i] - a->x[i];
            a->dr[slot + i] = r - a->r[i];
        }
        a->x[i] = x[i];
        a->r[i] = r;
    }
    a->rounds++;
}

void hs_anderson_next(hs_anderson *a, float *x, const float *f) {
    double A[HS_DEPTH][HS_DEPTH], weight[HS_DEPTH];
    hs_remember(a, x, f);
    double residual = sqrt(hs_dot(a->r, a->r, a->size) / (double)a->size);
    a->stale++;
    if (residual < a->best_residual) {
        a->best_residual = residual;
        memcpy(a->best, x, a->size * sizeof *x);
        a->stale = 0;
    }
    int n = a->rounds - 1 < HS_DEPTH ? a->rounds - 1 : HS_DEPTH;
    for (int i = 0; i < n; i++) {
        const float *dr = a->dr + (size_t)i * a->size;
        weight[i] = hs_dot(dr, a->r, a->size);
        for (int j = 0; j <= i; j++)
            A[i][j] = hs_dot(dr, a->dr + (size_t)j * a->size, a->size);
    }
    hs_solve(A, weight, n);
    for (size_t i = 0; i < a->size; i++) {
        double next = (double)f[i];
        for (int k = 0; k < n; k++) {
            size_t at = (size_t)k * a->size + i;
            next -= weight[k] * ((double)a->dx[at] + (double)a->dr[at]);
        }
        x[i] = (float)next;
    }
}
