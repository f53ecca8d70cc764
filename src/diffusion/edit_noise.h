/*
 * Edits along directions of noise (HS_SPACE_NOISE): what they add to x_T and to z.
 * Edits of h in the same list are passed over.
 */
#ifndef HS_DIFFUSION_EDIT_NOISE_H
#define HS_DIFFUSION_EDIT_NOISE_H

#include "hspace.h"

/* The edits of one hs_sample call. */
typedef struct hs_edit_list {
    const hs_edit *edits;
    const hs_directions_view *views; /* [count] */
    int count;
    const double *per_item; /* [n, count] or NULL */
} hs_edit_list;

/* Strength of edit e for `item` at `step`: 0 outside of its window. */
double hs_edit_strength(const hs_edit_list *list, int e, int item, int step);

/* Is one of them of noise, and moves z? */
bool hs_edits_move_z(const hs_edit_list *list);
/* Move x_T [size] of one item. */
void hs_edits_on_x_T(const hs_edit_list *list, int item, size_t size, float *x_T);
/* Move z [size] of one item and step. */
void hs_edits_on_z(const hs_edit_list *list, int item, int step, size_t size, float *z);

#endif
