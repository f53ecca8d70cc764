/*
 * See assignment.h. The Hungarian method in its shortest-path form (Kuhn 1955,
 * Munkres 1957; Jonker and Volgenant 1987): rows enter one by one; each looks
 * for the cheapest alternating path to a free column in the costs reduced by
 * the potentials, which stay feasible (no reduced cost is negative), so that
 * the matching is optimal after every row.
 */
#include "directions/assignment.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

/* Columns are numbered 1 ... k; column 0 is the entrance of the new row. */
typedef struct hs_matching {
    int k;
    const double *gain;
    double *row_potential, *column_potential; /* [k], [k+1] */
    double *distance;                         /* [k+1] of each column, this row's search */
    int *row_of, *previous;                   /* [k+1] row of a column (-1: free), path */
    bool *reached;                            /* [k+1] */
} hs_matching;

/* Settle the columns in the order of their distance until one is free. */
static int hs_matching_search(hs_matching *m, int row) {
    m->row_of[0] = row;
    for (int j = 0; j <= m->k; j++) {
        m->distance[j] = INFINITY;
        m->reached[j] = false;
    }
    int column = 0;
    while (m->row_of[column] >= 0) {
        m->reached[column] = true;
        int from = m->row_of[column], next = 0;
        double step = INFINITY;
        for (int j = 1; j <= m->k; j++) {
            if (m->reached[j])
                continue;
            double cost = -m->gain[(size_t)from * (size_t)m->k + (size_t)(j - 1)];
            double reduced = cost - m->row_potential[from] - m->column_potential[j];
            if (reduced < m->distance[j]) {
                m->distance[j] = reduced;
                m->previous[j] = column;
            }
            if (m->distance[j] < step) {
                step = m->distance[j];
                next = j;
            }
        }
        for (int j = 0; j <= m->k; j++) {
            if (m->reached[j]) {
                m->row_potential[m->row_of[j]] += step;
                m->column_potential[j] -= step;
            } else {
                m->distance[j] -= step;
            }
        }
        column = next;
    }
    return column;
}

hs_status hs_assignment(int k, const double *gain, int *column, hs_error *err) {
    hs_status status = HS_OK;
    size_t count = (size_t)k + 1;
    hs_matching m = {.k = k, .gain = gain};
    m.row_potential = hs_calloc(count, sizeof(double));
    m.column_potential = hs_calloc(count, sizeof(double));
    m.distance = hs_calloc(count, sizeof(double));
    m.row_of = hs_calloc(count, sizeof(int));
    m.previous = hs_calloc(count, sizeof(int));
    m.reached = hs_calloc(count, sizeof(bool));
    if (!m.row_potential || !m.column_potential || !m.distance || !m.row_of || !m.previous ||
        !m.reached) {
        status = hs_fail_memory(err, count * (3 * sizeof(double) + 2 * sizeof(int) + 1));
        goto cleanup;
    }
    for (int i = 0; i < k * k; i++)
        if (!isfinite(gain[i])) {
            status = hs_fail(err, HS_ERROR_NUMERIC, "assignment: gain [%d,%d] is not finite", i / k,
                             i % k);
            goto cleanup;
        }
    for (int j = 0; j <= k; j++)
        m.row_of[j] = -1;
    for (int row = 0; row < k; row++) {
        int end = hs_matching_search(&m, row);
        while (end) { /* turn the path's matching over, back to the entrance */
            m.row_of[end] = m.row_of[m.previous[end]];
            end = m.previous[end];
        }
    }
    for (int j = 1; j <= k; j++)
        column[m.row_of[j]] = j - 1;
cleanup:
    free(m.reached);
    free(m.previous);
    free(m.row_of);
    free(m.distance);
    free(m.column_potential);
    free(m.row_potential);
    return status;
}
