/* See align.h. */
#include "directions/align.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "directions/assignment.h"

int hs_align_sign(int64_t count, const float *component) {
    float largest = 0;
    for (int64_t i = 0; i < count; i++)
        if (fabsf(component[i]) > fabsf(largest))
            largest = component[i];
    return largest < 0 ? -1 : 1;
}

void hs_align_index(int k, int64_t d, const float *first, int64_t stride, const float *components,
                    int *flip) {
    for (int j = 0; j < k; j++) {
        const float *a = first + j * stride, *b = components + j * d;
        double dot = 0;
        for (int64_t i = 0; i < d; i++)
            dot += (double)a[i] * (double)b[i];
        flip[j] = dot < 0 ? -1 : 1;
    }
}

/* Pearson's correlation of two rows; 0 if one of them is constant. */
static double hs_correlation(int n, const double *a, const double *b) {
    double mean_a = 0, mean_b = 0, aa = 0, bb = 0, ab = 0;
    for (int i = 0; i < n; i++) {
        mean_a += a[i] / n;
        mean_b += b[i] / n;
    }
    for (int i = 0; i < n; i++) {
        double x = a[i] - mean_a, y = b[i] - mean_b;
        aa += x * x;
        bb += y * y;
        ab += x * y;
    }
    double scale = sqrt(aa) * sqrt(bb);
    return scale > 0 ? ab / scale : 0;
}

hs_status hs_align_score(int k, int n, const double *previous, const double *scores, int *order,
                         int *flip, hs_error *err) {
    hs_status status;
    size_t size = (size_t)k;
    double *correlation = hs_calloc(size * size, sizeof(double));
    double *gain = hs_calloc(size * size, sizeof(double));
    if (!correlation || !gain) {
        status = hs_fail_memory(err, 2 * size * size * sizeof(double));
        goto cleanup;
    }
    for (size_t i = 0; i < size; i++)
        for (size_t j = 0; j < size; j++) {
            correlation[i * size + j] =
                hs_correlation(n, previous + i * (size_t)n, scores + j * (size_t)n);
            gain[i * size + j] = fabs(correlation[i * size + j]);
        }
    HS_CHECK(hs_assignment(k, gain, order, err));
    for (size_t j = 0; j < size; j++)
        flip[j] = correlation[j * size + (size_t)order[j]] < 0 ? -1 : 1;
cleanup:
    free(gain);
    free(correlation);
    return status;
}

/*
 * Permute rows in place along the cycles of `order`: the first row of a cycle
 * waits in `spare` while each place takes its row from the next.
 */
static hs_status hs_align_permute(int k, size_t row_bytes, const int *order, void *values,
                                  hs_error *err) {
    hs_status status = HS_OK;
    unsigned char *rows = values;
    bool *placed = hs_calloc((size_t)k, sizeof(bool));
    void *spare = hs_calloc(1, row_bytes);
    if (!placed || !spare) {
        status = hs_fail_memory(err, row_bytes + (size_t)k);
        goto cleanup;
    }
    for (int start = 0; start < k; start++) {
        if (placed[start] || order[start] == start)
            continue;
        memcpy(spare, rows + (size_t)start * row_bytes, row_bytes);
        int place = start;
        while (order[place] != start) {
            memcpy(rows + (size_t)place * row_bytes, rows + (size_t)order[place] * row_bytes,
                   row_bytes);
            placed[place] = true;
            place = order[place];
        }
        memcpy(rows + (size_t)place * row_bytes, spare, row_bytes);
        placed[place] = true;
    }
cleanup:
    free(spare);
    free(placed);
    return status;
}

hs_status hs_align_rows_f32(int k, int64_t count, const int *order, const int *flip, float *values,
                            hs_error *err) {
    if (order)
        HS_TRY(hs_align_permute(k, (size_t)count * sizeof(float), order, values, err));
    for (int j = 0; flip && j < k; j++)
        for (int64_t i = 0; flip[j] < 0 && i < count; i++)
            values[j * count + i] = -values[j * count + i];
    return HS_OK;
}

hs_status hs_align_rows_f64(int k, int64_t count, const int *order, const int *flip, double *values,
                            hs_error *err) {
    if (order)
        HS_TRY(hs_align_permute(k, (size_t)count * sizeof(double), order, values, err));
    for (int j = 0; flip && j < k; j++)
        for (int64_t i = 0; flip[j] < 0 && i < count; i++)
            values[j * count + i] = -values[j * count + i];
    return HS_OK;
}
