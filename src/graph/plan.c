/*
 * Packing buffers with lifetimes into one arena. See plan.h.
 *
 * Greedy: one buffer after the other goes to the lowest offset at which no placed
 * buffer that lives at the same time is in the way. Two orders are tried, by size,
 * largest first (Pisarchyk and Lee 2020), and by time. The lower bound is the largest
 * sum of bytes that live at one step; for one pass of CelebA-HQ-256 it is 226 MiB, by
 * size they are 256, by time 233.
 */
#include "graph/plan.h"

#include <stdlib.h>

#include "base/mem.h"

/* What is sorted: qsort moves these and leaves the caller's buffers in place. */
typedef struct hs_plan_item {
    hs_lifetime *buffer;
    int64_t size; /* bytes, rounded up to HS_ALIGN */
} hs_plan_item;

/* Largest first; of equal ones the earlier, so that the plan is always the same. */
static int hs_plan_by_size(const void *a, const void *b) {
    const hs_plan_item *x = a, *y = b;
    if (x->size != y->size)
        return x->size < y->size ? 1 : -1;
    return (x->buffer > y->buffer) - (x->buffer < y->buffer);
}

/* As they begin to live, largest first. */
static int hs_plan_by_time(const void *a, const void *b) {
    const hs_plan_item *x = a, *y = b;
    if (x->buffer->first != y->buffer->first)
        return x->buffer->first < y->buffer->first ? -1 : 1;
    return hs_plan_by_size(a, b);
}

static bool hs_plan_may_share(const hs_plan_item *a, const hs_plan_item *b, hs_plan_share share) {
    return (a->buffer->last < b->buffer->first || a->buffer->first > b->buffer->last) &&
           (share == HS_SHARE_ALL || a->size == b->size);
}

/* Lowest offset for `item` among `placed` items, which are sorted by offset;
 * `at` is where it has to be inserted to keep them so. Items of one size that share with no other
 * lie side by side, so they share all of their bytes. */
static hs_status hs_plan_place(hs_plan_item *item, const hs_plan_item *placed, int count,
                               hs_plan_share share, int *at, hs_error *err) {
    int64_t offset = 0, end;
    *at = 0;
    for (int i = 0; i < count; i++) {
        const hs_lifetime *other = placed[i].buffer;
        if (hs_plan_may_share(&placed[i], item, share))
            continue;
        if (other->offset - offset >= item->size)
            break;
        if (other->offset + placed[i].size > offset)
            offset = other->offset + placed[i].size;
    }
    if (__builtin_add_overflow(offset, item->size, &end))
        return hs_fail(err, HS_ERROR_MEMORY, "the plan needs more memory than can be addressed");
    while (*at < count && placed[*at].buffer->offset <= offset)
        ++*at;
    item->buffer->offset = offset;
    return HS_OK;
}

/* Fill `items` with the buffers that need room. */
static hs_status hs_plan_collect(hs_lifetime *buffers, int count, hs_plan_item *items, int *used,
                                 hs_error *err) {
    *used = 0;
    for (int i = 0; i < count; i++) {
        int64_t size;
        if (buffers[i].bytes < 0 || buffers[i].first > buffers[i].last ||
            __builtin_add_overflow(buffers[i].bytes, (int64_t)HS_ALIGN - 1, &size))
            return hs_fail(err, HS_ERROR_ARGUMENT,
                           "buffer %d: %lld bytes in steps %d to %d cannot be planned", i,
                           (long long)buffers[i].bytes, buffers[i].first, buffers[i].last);
        buffers[i].offset = 0;
        if (buffers[i].bytes > 0)
            items[(*used)++] = (hs_plan_item){&buffers[i], size / HS_ALIGN * HS_ALIGN};
    }
    return HS_OK;
}

/* Place the items in this order; `total`: the end of what lies last. */
static hs_status hs_plan_pack(hs_plan_item *items, int used,
                              int (*order)(const void *, const void *), hs_plan_share share,
                              hs_plan_item *placed, int64_t *total, hs_error *err) {
    int at;
    *total = 0;
    qsort(items, (size_t)used, sizeof *items, order);
    for (int i = 0; i < used; i++) {
        HS_TRY(hs_plan_place(&items[i], placed, i, share, &at, err));
        for (int j = i; j > at; j--)
            placed[j] = placed[j - 1];
        placed[at] = items[i];
        if (items[i].buffer->offset + items[i].size > *total)
            *total = items[i].buffer->offset + items[i].size;
    }
    return HS_OK;
}

hs_status hs_plan_arena(hs_lifetime *buffers, int count, hs_plan_share share, int64_t *total,
                        hs_error *err) {
    hs_status status = HS_OK;
    int used;
    int64_t by_time;
    hs_plan_item *items = hs_calloc((size_t)count, sizeof *items);
    hs_plan_item *placed = hs_calloc((size_t)count, sizeof *placed);
    if (!items || !placed) {
        status = hs_fail_memory(err, (size_t)count * sizeof *items);
        goto cleanup;
    }
    HS_CHECK(hs_plan_collect(buffers, count, items, &used, err));
    HS_CHECK(hs_plan_pack(items, used, hs_plan_by_time, share, placed, &by_time, err));
    HS_CHECK(hs_plan_pack(items, used, hs_plan_by_size, share, placed, total, err));
    if (by_time < *total)
        HS_CHECK(hs_plan_pack(items, used, hs_plan_by_time, share, placed, total, err));
cleanup:
    free(placed);
    free(items);
    return status;
}
