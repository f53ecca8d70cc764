/*
 * The order in which steps and items are run. Step by step a batch's maps leave the caches before
 * the next step reads them. So where maps are large several steps are run for as many items as
 * there are threads, then for the next ones:
 *
 *   step by step        s0: 0 1 2 3 4 5    s1: 0 1 2 3 4 5    ...
 *   windows of two      s0: 0 1  s1: 0 1  ...  s0: 2 3  s1: 2 3  ...  s0: 4 5  s1: 4 5  ...
 *
 * An item's own order stays the same, and so do results. Where maps are small the weights are
 * what moves, and a step runs for all items, each weight being read once.
 */
#include "backends/onednn/onednn.h"

/* Bytes of a step's result, for all items, from which on a step is one of a window. */
#define HS_OD_FAR_BYTES ((int64_t)1 << 20)

static int64_t hs_od_result_bytes(const hs_od_planner *p, const hs_od_step *step) {
    return hs_shape_count(&hs_od_node(p, step->value)->shape) * (int64_t)sizeof(float);
}

/* May the step run for `size` of the items at a time? */
static bool hs_od_in_window(const hs_od_planner *p, const hs_od_step *step, int items, int size) {
    return step->group > 0 && size % step->group == 0 &&
           hs_od_node(p, step->value)->shape.dim[0] == items &&
           hs_od_result_bytes(p, step) >= HS_OD_FAR_BYTES;
}

/* Steps [first, last] are run again and again: what all items share and other steps need, too,
 * must live through all of them. (What these alone need is written anew in every window.) */
static void hs_od_outlive(hs_exec *exec, int items, int first, int last) {
    for (int i = 0; i < exec->buffer_count; i++) {
        hs_lifetime *life = &exec->lifetimes[i];
        if (exec->buffers[i].pieces == items || life->last < first || life->first > last ||
            (life->first >= first && life->last <= last))
            continue;
        life->first = life->first < first ? life->first : first;
        life->last = life->last > last ? life->last : last;
    }
}

hs_status hs_od_plan_walk(hs_od_planner *p) {
    hs_exec *exec = p->exec;
    int items = hs_od_items(exec), size = exec->threads;
    int windows = size < items ? (items + size - 1) / size : 1, count = 0;
    size_t most = (size_t)(exec->step_count * windows);
    exec->walk = hs_arena_alloc(&exec->memory, most ? most : 1, sizeof *exec->walk);
    if (!exec->walk)
        return hs_fail_memory(p->err, most * sizeof *exec->walk);
    for (int first = 0, end; first < exec->step_count; first = end) {
        for (end = first; windows > 1 && end < exec->step_count; end++)
            if (!hs_od_in_window(p, exec->steps[end], items, size))
                break;
        if (end <= first + 1) {
            end = first + 1;
            exec->walk[count++] = (hs_od_visit){first, 0, 0};
            continue;
        }
        hs_od_outlive(exec, items, first, end - 1);
        for (int item = 0; item < items; item += size)
            for (int step = first; step < end; step++)
                exec->walk[count++] =
                    (hs_od_visit){step, item, items - item < size ? items - item : size};
    }
    exec->visit_count = count;
    return HS_OK;
}
