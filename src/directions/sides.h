/* Which samples stand on which side of an attribute, and with which weights they
 * go into a direction: what is known before any h is computed. */
#ifndef HS_DIRECTIONS_SIDES_H
#define HS_DIRECTIONS_SIDES_H

#include "base/mem.h"

/* Rows of the table, the most extreme score first. */
typedef struct hs_sides {
    int *high, *low; /* [high_count], [low_count] */
    int high_count, low_count;
    int *usable; /* [usable_count] rows whose scores are all known, by rising score */
    int usable_count;
    int target; /* column */
} hs_sides;

/* Choose by `options`; HS_ERROR_ARGUMENT says why there are no two sides. */
hs_status hs_sides_choose(const hs_labels_view *labels, const hs_attribute_options *options,
                          hs_sides *out, hs_error *err);
void hs_sides_free(hs_sides *sides);
/* Mean score of a side. */
double hs_sides_mean(const hs_labels_view *labels, const hs_sides *sides, bool high);
/* Every 1/share-th of a side is held back; of i = 0, 1, ... this one? */
bool hs_sides_is_held(int i, double share);

/* The column of an attribute, or HS_ERROR_ARGUMENT. */
hs_status hs_sides_column(const hs_labels_view *labels, const char *attribute, int *out,
                          hs_error *err);

/*
 * Joint regression: weights [rows] such that sum_i weights_i h_i is the partial
 * effect of the target in h ~ mean + sum_a y_a v_a, over `rows` [count], with
 * a ridge of 1e-3 count: column `target` of Y (Y^T Y + ridge)^-1 for centred Y.
 * So Y^T H is never formed: Y is known before any h is.
 *   columns [count_columns] of the table; the first is the target
 */
hs_status hs_regression_weights(const hs_labels_view *labels, const int *rows, int count,
                                const int *columns, int column_count, double *weights,
                                hs_error *err);

#endif
