/*
 * Memory of a plan: buffers with lifetimes, packed into one arena.
 */
#ifndef HS_GRAPH_PLAN_H
#define HS_GRAPH_PLAN_H

#include "base/error.h"

/* A buffer that must exist from step `first` to step `last`, both included. */
typedef struct hs_lifetime {
    int64_t bytes;
    int first, last;
    int64_t offset; /* result, a multiple of HS_ALIGN */
} hs_lifetime;

/* Which buffers may have the same bytes, one after the other. */
typedef enum hs_plan_share {
    HS_SHARE_ALL,
    HS_SHARE_SAME_SIZE /* the same bytes from first to last */
} hs_plan_share;

/*
 * Give each buffer an offset so that no two that live at the same step
 * overlap; greedy, the better of two orders, lowest gap that fits. `total` is the
 * arena's size. Buffers with bytes 0 get offset 0.
 */
hs_status hs_plan_arena(hs_lifetime *buffers, int count, hs_plan_share share, int64_t *total,
                        hs_error *err);

#endif
