/*
 * Where the buffers of a plan lie. What others read after the pass has an arena of its own; all
 * else shares one, packed by lifetime (graph/plan.h):
 *
 *      item 0         item 1       ...   item n-1
 *   +-------------+-------------+     +-------------+-----------------------+
 *   | its pieces  | its pieces  | ... | its pieces  | buffers of one piece  |
 *   +-------------+-------------+     +-------------+-----------------------+
 *
 * A thread works on the same items in step after step (base/team.h), so what it reads and writes
 * stays in its own caches. Packed buffer by buffer an item would wander through the arena, and
 * a thread write where another one's cache still holds what the buffer before left. With two
 * cores that share no cache that took a seventh of the time of a batch of avatars32.
 *
 * A single item is worked on by all threads, each by the same share of a map in step after step. If
 * its maps are small, those of different sizes lie apart, so that their shares do, too: that
 * took a sixteenth of the time of one image of avatars32 there. Larger maps had better stay in
 * fewer bytes of the caches.
 */
#include <stdlib.h>

#include "backends/onednn/onednn.h"

static int64_t hs_od_piece_bytes(const hs_od_buffer *buffer) {
    int64_t bytes = buffer->floats * (int64_t)sizeof(float);
    return (bytes + HS_ALIGN - 1) / HS_ALIGN * HS_ALIGN;
}

int hs_od_items(const hs_exec *exec) {
    int items = 1;
    for (int i = 0; i < exec->buffer_count; i++)
        if (!exec->buffers[i].linked && !exec->buffers[i].kept && exec->buffers[i].pieces > items)
            items = exec->buffers[i].pieces;
    return items;
}

typedef enum hs_od_region { HS_OD_OF_ITEM, HS_OD_OF_ALL, HS_OD_KEPT } hs_od_region;

static hs_od_region hs_od_region_of(const hs_od_buffer *buffer, int items) {
    if (buffer->kept)
        return HS_OD_KEPT;
    return items > 1 && buffer->pieces == items ? HS_OD_OF_ITEM : HS_OD_OF_ALL;
}

/* Bytes of a single item's buffers, up to which those of different sizes lie apart. */
#define HS_OD_APART_BYTES ((int64_t)4 << 20)

/* Place the buffers of one region from byte `start` on; `bytes`: how long it is, of an item
 * where it holds one. */
static hs_status hs_od_place_region(hs_od_planner *p, hs_od_region region, int items, int64_t start,
                                    int64_t *bytes) {
    hs_exec *exec = p->exec;
    hs_status status = HS_OK;
    hs_lifetime *some = hs_calloc((size_t)exec->buffer_count, sizeof *some);
    if (!some)
        return hs_fail_memory(p->err, (size_t)exec->buffer_count * sizeof *some);
    for (int i = 0; i < exec->buffer_count; i++) {
        const hs_od_buffer *buffer = &exec->buffers[i];
        some[i] = exec->lifetimes[i];
        some[i].bytes = 0;
        if (!buffer->linked && hs_od_region_of(buffer, items) == region)
            some[i].bytes =
                hs_od_piece_bytes(buffer) * (region == HS_OD_OF_ITEM ? 1 : (int64_t)buffer->pieces);
    }
    bool apart = region == HS_OD_OF_ALL && items == 1 && exec->threads > 1;
    if (apart)
        HS_CHECK(hs_plan_arena(some, exec->buffer_count, HS_SHARE_SAME_SIZE, bytes, p->err));
    if (!apart || *bytes > HS_OD_APART_BYTES)
        HS_CHECK(hs_plan_arena(some, exec->buffer_count, HS_SHARE_ALL, bytes, p->err));
    for (int i = 0; i < exec->buffer_count; i++) {
        hs_od_buffer *buffer = &exec->buffers[i];
        if (buffer->linked || hs_od_region_of(buffer, items) != region)
            continue;
        some[i].offset += start;
        exec->lifetimes[i] = some[i];
        buffer->stride =
            (region == HS_OD_OF_ITEM ? *bytes : hs_od_piece_bytes(buffer)) / (int64_t)sizeof(float);
    }
cleanup:
    free(some);
    return status;
}

hs_status hs_od_plan_memory(hs_od_planner *p) {
    hs_exec *exec = p->exec;
    int64_t item_bytes, bytes;
    for (int i = 0; i < p->options->kept_count; i++)
        exec->buffers[exec->places[p->options->kept[i]].buffer].kept = true;
    int items = hs_od_items(exec);
    HS_TRY(hs_od_place_region(p, HS_OD_KEPT, items, 0, &exec->kept_bytes));
    HS_TRY(hs_od_place_region(p, HS_OD_OF_ITEM, items, 0, &item_bytes));
    HS_TRY(hs_od_place_region(p, HS_OD_OF_ALL, items, items * item_bytes, &bytes));
    exec->arena_bytes = items * item_bytes + bytes;
    exec->kept_arena = hs_pages_alloc((size_t)exec->kept_bytes);
    if (!exec->kept_arena)
        return hs_fail_memory(p->err, (size_t)exec->kept_bytes);
    HS_TRY(hs_od_arena_grow(exec->cache, exec->arena_bytes, p->err));
    exec->arena = hs_od_arena(exec->cache);
    return HS_OK;
}
