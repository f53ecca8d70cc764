/* See edit_noise.h. */
#include "diffusion/edit_noise.h"

double hs_edit_strength(const hs_edit_list *list, int e, int item, int step) {
    const hs_edit *edit = &list->edits[e];
    if (step < edit->first || (edit->last >= 0 && step > edit->last))
        return 0;
    double strength = list->per_item
                          ? list->per_item[(size_t)item * (size_t)list->count + (size_t)e]
                          : edit->strength;
    return edit->profile ? strength * edit->profile[step] : strength;
}

bool hs_edits_move_z(const hs_edit_list *list) {
    for (int e = 0; e < list->count; e++)
        if (list->views[e].space == HS_SPACE_NOISE && list->views[e].delta_z)
            return true;
    return false;
}

static void hs_add_scaled(float *x, double strength, const float *direction, size_t size) {
    for (size_t j = 0; strength != 0 && j < size; j++)
        x[j] = (float)((double)x[j] + strength * (double)direction[j]);
}

void hs_edits_on_x_T(const hs_edit_list *list, int item, size_t size, float *x_T) {
    for (int e = 0; e < list->count; e++)
        if (list->views[e].space == HS_SPACE_NOISE)
            hs_add_scaled(x_T, hs_edit_strength(list, e, item, 0),
                          list->views[e].delta_x_T + (size_t)list->edits[e].index * size, size);
}

void hs_edits_on_z(const hs_edit_list *list, int item, int step, size_t size, float *z) {
    for (int e = 0; e < list->count; e++) {
        const hs_directions_view *view = &list->views[e];
        size_t row = (size_t)list->edits[e].index * (size_t)view->T + (size_t)step;
        if (view->space == HS_SPACE_NOISE && view->delta_z)
            hs_add_scaled(z, hs_edit_strength(list, e, item, step), view->delta_z + row * size,
                          size);
    }
}
