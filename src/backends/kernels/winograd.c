/* How a Winograd convolution is cut, and the walk over one task; see winograd.h. */
#include <string.h>

#include "backends/kernels/winograd_parts.h"

/*
 * How to cut, by measurement on a core with 2 MB of second-level cache. Every
 * block of tiles reads all weights of its task again: blocks of 64 tiles where
 * these come from far away, although V then leaves that cache, and of 32 where
 * V and the weights together nearly fit.
 */
#define HS_WINO_SHARED_TILES 128     /* at most: V of an item is made once for all tasks */
#define HS_WINO_MERGED_TILES 32      /* at most: of items that share V and a task */
#define HS_WINO_NEAR_WEIGHTS 1000000 /* bytes */
#define HS_WINO_TASK_WORK 4000000LL  /* multiply-adds; a task has less only lest threads idle */
/* Where tiles are so few, bands would leave one task or two: V is shared for less
 * work, and tasks are small, so that a single image keeps several cores busy. */
#define HS_WINO_FEW_TILES 32
#define HS_WINO_BAND_TILES 8          /* at least: of such a band */
#define HS_WINO_SMALL_WORK 300000LL   /* less is never worth a task */
#define HS_WINO_BOTH_READ (5LL << 20) /* bytes of weights that all threads may read ... */
#define HS_WINO_BOTH_TIMES 6          /* rather than hand over this fraction of them */
#define HS_WINO_ROUNDS 2              /* tasks for each of several threads */

static int64_t hs_winograd_weight_bytes(const hs_winograd_plan *plan) {
    return 4LL * plan->alpha * plan->alpha * plan->padded_c * plan->spec.out_c;
}

/* Tiles of a band: enough for a block, and few where bands would be few. */
static int hs_winograd_band_tiles(const hs_winograd_plan *plan) {
    int64_t tiles = (int64_t)plan->tiles_x * plan->tiles_y;
    if (hs_winograd_weight_bytes(plan) < HS_WINO_NEAR_WEIGHTS)
        return 28;
    return tiles < 512 && plan->padded_c <= 256 ? 32 : 64;
}

/* Tiles of a group, which share a product. */
static int hs_winograd_most_rows(const hs_winograd_spec *spec) {
    return spec->late ? HS_WINO_LATE_ROWS : HS_WINO_ROWS;
}

static int hs_winograd_wanted(const hs_winograd_spec *spec) {
    return spec->threads > 1 ? HS_WINO_ROUNDS * spec->threads : 1;
}

/* Into how many pieces each of `tasks` tasks is to be cut so that there are `wanted`, of
 * which each is worth it. */
static int hs_winograd_pieces(int64_t tasks, int64_t wanted, int64_t work) {
    int64_t pieces = hs_winograd_ceil(wanted, tasks), worth = work / HS_WINO_SMALL_WORK;
    pieces = pieces < worth ? pieces : worth;
    return pieces < 1 ? 1 : (int)pieces;
}

/* Threads fetch what others have read or written from far away where they have caches of their
 * own. Do items come after each other, so that each thread has some of them and all weights, or
 * ranges of panels with V of all items? By bytes: of weights, and of what would be handed over. */
static bool hs_winograd_by_items(const hs_winograd_plan *plan) {
    const hs_winograd_spec *spec = &plan->spec;
    int64_t tiles = (int64_t)plan->tiles_x * plan->tiles_y * spec->items;
    int64_t values =
        plan->alpha * plan->alpha * plan->padded_c + spec->tile * spec->tile * spec->out_c;
    int64_t weights = hs_winograd_weight_bytes(plan), handed = 4 * tiles * values;
    if (weights <= HS_WINO_BOTH_READ)
        handed *= HS_WINO_BOTH_TIMES;
    return spec->threads > 1 && spec->items >= spec->threads && weights <= handed;
}

/* V is shared: a range of panels for all tiles, or for some groups of them where there
 * are more threads than panels. */
static void hs_winograd_cut_shared(hs_winograd_plan *plan, int64_t task_work) {
    hs_winograd_spec *spec = &plan->spec;
    int64_t tiles = (int64_t)plan->tiles_x * plan->tiles_y;
    int64_t work = tiles * hs_winograd_weight_bytes(plan) / 4;
    int64_t fit = HS_WINO_MERGED_TILES / tiles;
    fit = fit < 1 ? 1 : fit < HS_WINOGRAD_MERGED ? fit : HS_WINOGRAD_MERGED;
    plan->by_items = hs_winograd_by_items(plan);
    if (plan->by_items && fit > spec->items / spec->threads)
        fit = spec->items / spec->threads;
    int sets = hs_winograd_ceil(spec->items, fit), pieces = 1;
    plan->merged = hs_winograd_ceil(spec->items, sets);
    plan->load_tasks = hs_winograd_ceil(plan->merged * tiles, hs_winograd_most_rows(spec));
    plan->band_count = 1;
    spec->band_rows = plan->tiles_y;
    if (!spec->splits) {
        int64_t worth = 1 + work / task_work, most = worth < plan->panels ? worth : plan->panels;
        spec->splits = most < 16 ? (int)most : 16;
        pieces = hs_winograd_pieces((int64_t)sets * spec->splits, hs_winograd_wanted(spec),
                                    plan->merged * work / spec->splits);
        int more = plan->panels / spec->splits < pieces ? plan->panels / spec->splits : pieces;
        spec->splits *= more;
        pieces = hs_winograd_ceil(pieces, more);
    }
    if (spec->splits > plan->panels)
        spec->splits = plan->panels;
    plan->band_count = pieces < plan->load_tasks ? pieces : plan->load_tasks;
}

/* Few tiles of one item, but enough for a band for each thread, and weights nearby: a thread then
 * keeps to pixels that it wrote in the step before, and V is not shared. */
static bool hs_winograd_one_band_each(const hs_winograd_plan *plan) {
    const hs_winograd_spec *spec = &plan->spec;
    int64_t tiles = (int64_t)plan->tiles_x * plan->tiles_y;
    return spec->threads > spec->items && tiles <= HS_WINO_FEW_TILES &&
           tiles >= (int64_t)spec->threads * HS_WINO_BAND_TILES &&
           hs_winograd_weight_bytes(plan) < HS_WINO_NEAR_WEIGHTS;
}

static void hs_winograd_cut_bands(hs_winograd_plan *plan) {
    hs_winograd_spec *spec = &plan->spec;
    int64_t tiles = (int64_t)plan->tiles_x * plan->tiles_y;
    int64_t work = tiles * hs_winograd_weight_bytes(plan) / 4;
    if (!spec->band_rows) {
        int rows = hs_winograd_ceil(hs_winograd_band_tiles(plan), plan->tiles_x);
        int bands = hs_winograd_ceil(plan->tiles_y, rows);
        bands *= hs_winograd_pieces((int64_t)spec->items * bands, hs_winograd_wanted(spec),
                                    work / bands);
        int least = hs_winograd_ceil(2 * HS_WINO_ROWS, plan->tiles_x);
        rows = hs_winograd_ceil(plan->tiles_y, bands);
        spec->band_rows = rows > least ? rows : least < plan->tiles_y ? least : plan->tiles_y;
    }
    plan->band_count = hs_winograd_ceil(plan->tiles_y, spec->band_rows);
    if (!spec->splits) { /* bands that are split transform their input once a split */
        int64_t wanted = plan->band_count < 4 ? 4 : 1;
        int64_t worth = 1 + work / plan->band_count / HS_WINO_TASK_WORK;
        spec->splits = (int)(wanted < worth ? wanted : worth);
        spec->splits *= hs_winograd_pieces((int64_t)spec->items * plan->band_count * spec->splits,
                                           spec->threads, work / plan->band_count / spec->splits);
    }
    if (spec->splits > plan->panels)
        spec->splits = plan->panels;
}

static void hs_winograd_cut_tasks(hs_winograd_plan *plan) {
    hs_winograd_spec *spec = &plan->spec;
    int64_t tiles = (int64_t)plan->tiles_x * plan->tiles_y;
    int64_t work = tiles * hs_winograd_weight_bytes(plan) / 4;
    int64_t task_work = tiles <= HS_WINO_FEW_TILES ? HS_WINO_SMALL_WORK : HS_WINO_TASK_WORK;
    if (!spec->sharing && !spec->band_rows && !spec->splits && hs_winograd_one_band_each(plan)) {
        spec->sharing = -1;
        spec->band_rows = hs_winograd_ceil(plan->tiles_y, spec->threads);
        spec->splits = 1;
    }
    if (!spec->sharing) {
        bool shared = tiles <= HS_WINO_SHARED_TILES && work > 2 * task_work && plan->panels > 1;
        spec->sharing = shared ? 1 : -1;
    }
    if (spec->sharing > 0)
        hs_winograd_cut_shared(plan, task_work);
    else
        hs_winograd_cut_bands(plan);
    plan->task_count = plan->band_count * spec->splits;
}

static void hs_winograd_cut_blocks(hs_winograd_plan *plan) {
    hs_winograd_spec *spec = &plan->spec;
    int task_panels = hs_winograd_ceil(plan->panels, spec->splits);
    int band_tiles = spec->band_rows * plan->tiles_x;
    if (spec->late)
        spec->panel_block = 1;
    if (!spec->panel_block)
        spec->panel_block = hs_winograd_ceil(32, HS_WINO_PANEL);
    if (spec->panel_block > task_panels)
        spec->panel_block = task_panels;
    if (!spec->block)
        spec->block = plan->padded_c < 192 || spec->tile == 6 ? 32 : 64;
    if (spec->block > band_tiles || spec->sharing > 0)
        spec->block = plan->merged * band_tiles;
}

/* Floats of hs_winograd_block's head. */
static int64_t hs_winograd_head(const hs_winograd_plan *plan) {
    return plan->padded_c * (plan->spec.factors == HS_FACTORS_FIXED ? 2LL * plan->alpha : 1);
}

void HS_KERNEL(hs_winograd_make)(const hs_winograd_spec *spec, hs_winograd_plan *plan) {
    if (spec->tile == 1) { /* whose cuts do not depend on items and threads */
        HS_KERNEL(hs_taps_make)(spec, plan);
        return;
    }
    memset(plan, 0, sizeof *plan);
    plan->spec = *spec;
    int positions = (spec->tile + 2) * (spec->tile + 2);
    bool fixed = spec->factors == HS_FACTORS_FIXED;
    bool pairs = fixed || (spec->factors == HS_FACTORS_BF16 && HS_WINO_PAIRS);
    plan->v_chunk = pairs ? HS_WINO_CHUNK / 2 : HS_WINO_CHUNK;
    plan->u_chunk = (spec->factors ? HS_WINO_CHUNK / 2 : HS_WINO_CHUNK) * HS_WINO_PANEL;
    plan->chain = fixed ? HS_WINO_FIXED_CHAIN : HS_WINO_CHAIN;
    plan->u_scales = fixed ? HS_WINO_PANEL : 0;
    for (int i = 0; i < spec->part_count; i++) {
        int chunks = hs_winograd_ceil(spec->part_c[i], HS_WINO_CHUNK);
        plan->part_chunk[i] = plan->padded_c / HS_WINO_CHUNK;
        plan->panel_floats[i] = spec->late ? 9LL * chunks * plan->u_chunk
                                           : positions * hs_winograd_u_floats(plan, chunks);
        plan->in_c += spec->part_c[i];
        plan->padded_c += chunks * HS_WINO_CHUNK;
    }
    plan->merged = 1;
    plan->spec.items = spec->items < 1 ? 1 : spec->items;
    plan->spec.threads = spec->threads < 1 ? 1 : spec->threads;
    plan->alpha = spec->tile + 2;
    plan->panel = HS_WINO_PANEL;
    plan->panels = hs_winograd_ceil(spec->out_c, HS_WINO_PANEL);
    plan->tiles_x = hs_winograd_ceil(spec->w, spec->tile);
    plan->tiles_y = hs_winograd_ceil(spec->h, spec->tile);
    hs_winograd_cut_tasks(plan);
    hs_winograd_cut_blocks(plan);
    int64_t block = plan->spec.block;
    plan->v_stride = hs_winograd_stride(block * (plan->padded_c / HS_WINO_CHUNK) * plan->v_chunk);
    plan->m_stride = hs_winograd_stride(block * HS_WINO_PANEL);
    plan->v_floats = positions * plan->v_stride;
    if (fixed)
        plan->v_floats += hs_winograd_stride(spec->part_count * block);
    plan->scratch_floats = plan->v_floats + plan->spec.panel_block * positions * plan->m_stride +
                           hs_winograd_head(plan);
}

/* ------------------------------------------------------------- running -- */

/* A block of tiles of one task, counted through the items. Its tiles are cut into
 * groups of at most ROWS, of nearly the same size; a group's V is [chunks][rows][CHUNK]. */
typedef struct hs_winograd_block {
    const hs_winograd_plan *plan;
    const hs_winograd_item *items;
    int first, count; /* tiles, in rows of an image, one image after the other */
    int groups, rows; /* groups have `rows` tiles, the first ones one more */
    int from, to;     /* groups that this task takes */
    float *v, *m;
    float *head; /* with fixed factors what hs_winograd_near calls its edge, else zeros */
} hs_winograd_block;

HS_INLINE int hs_winograd_group(const hs_winograd_block *b, int group) {
    int rows = b->rows, more = b->count - rows * b->groups;
    return group * rows + (group < more ? group : more);
}

/* The item of a tile of the block, which becomes a tile of the item. */
HS_INLINE const hs_winograd_item *hs_winograd_item_of(const hs_winograd_block *b, int *tile) {
    int of_item = b->plan->tiles_x * b->plan->tiles_y, item = *tile / of_item;
    *tile -= item * of_item;
    return b->items + item;
}

/* The pixels under a tile of `item`, of one part; outside the image: `outside`. */
static void hs_winograd_pixels(const hs_winograd_plan *plan, const hs_winograd_item *item, int tile,
                               int part, const float *outside, const float **pixel) {
    const hs_winograd_spec *spec = &plan->spec;
    int64_t channels = spec->part_c[part];
    int shift = spec->upsample ? 1 : 0, width = spec->w >> shift;
    int top = tile / plan->tiles_x * spec->tile - 1, left = tile % plan->tiles_x * spec->tile - 1;
    for (int y = top; y < top + plan->alpha; y++) {
        bool in_row = y >= 0 && y < spec->h;
        const float *row = item->src[part] + (int64_t)(in_row ? y >> shift : 0) * width * channels;
        for (int x = left; x < left + plan->alpha; x++)
            *pixel++ = in_row && x >= 0 && x < spec->w ? row + (x >> shift) * channels : outside;
    }
}

/* V of the group that begins at tile `begin`, at the first position. */
HS_INLINE float *hs_winograd_group_v(const hs_winograd_block *b, int begin) {
    const hs_winograd_plan *plan = b->plan;
    int positions = plan->spec.late ? plan->alpha * plan->alpha : 1; /* beside each other */
    return b->v + (int64_t)begin * positions * (plan->padded_c / HS_WINO_CHUNK) * plan->v_chunk;
}

/* With fixed factors: the scales of a part of V, [count], after the last position. */
HS_INLINE float *hs_winograd_scales(const hs_winograd_block *b, int part) {
    const hs_winograd_plan *plan = b->plan;
    return b->v + plan->alpha * plan->alpha * plan->v_stride + part * plan->spec.block;
}

/* One part of tiles [begin, end) of the block, a group, to where its chunks begin. */
static void hs_winograd_load_fixed(const hs_winograd_block *b, int part, int begin, int end,
                                   float *v) {
    const hs_winograd_plan *plan = b->plan;
    hs_winograd_near near = {.tile = plan->spec.tile,
                             .count = end - begin,
                             .channels = plan->spec.part_c[part],
                             .silu = plan->spec.silu,
                             .edge = b->head};
    for (int i = 0; i < near.count; i++) {
        int tile = b->first + begin + i;
        const hs_winograd_item *item = hs_winograd_item_of(b, &tile);
        near.beside[i] = i && tile % plan->tiles_x;
        near.scale[i] = plan->spec.normed ? item->scale[part] : NULL;
        near.shift[i] = plan->spec.normed ? item->shift[part] : NULL;
        hs_winograd_pixels(plan, item, tile, part, NULL, near.pixel[i]);
    }
    HS_KERNEL(hs_winograd_load_near)(&near, hs_winograd_scales(b, part) + begin, v, plan->v_stride);
}

static void hs_winograd_load_tile(const hs_winograd_block *b, int tile, int part, float *v,
                                  int64_t v_stride, int64_t chunk_stride) {
    const hs_winograd_plan *plan = b->plan;
    const float *pixel[64];
    const hs_winograd_item *item = hs_winograd_item_of(b, &tile);
    hs_winograd_pixels(plan, item, tile, part, b->head, pixel);
    HS_KERNEL(hs_winograd_input)
    (plan->spec.tile, plan->spec.factors == HS_FACTORS_BF16, pixel, plan->spec.part_c[part], v,
     v_stride, chunk_stride);
}

static void hs_winograd_load_group(const hs_winograd_block *b, int group) {
    const hs_winograd_plan *plan = b->plan;
    int begin = hs_winograd_group(b, group), end = hs_winograd_group(b, group + 1);
    int64_t chunk_stride = (end - begin) * plan->v_chunk, v_stride = plan->v_stride;
    if (plan->spec.late) {
        v_stride = chunk_stride;
        chunk_stride *= plan->alpha * plan->alpha;
    }
    float *v = hs_winograd_group_v(b, begin);
    for (int part = 0; part < plan->spec.part_count; part++) {
        if (plan->spec.factors == HS_FACTORS_FIXED)
            hs_winograd_load_fixed(b, part, begin, end, v);
        for (int i = begin; i < end && plan->spec.factors != HS_FACTORS_FIXED; i++)
            hs_winograd_load_tile(b, b->first + i, part, v + (i - begin) * plan->v_chunk, v_stride,
                                  chunk_stride);
        v += hs_winograd_ceil(plan->spec.part_c[part], HS_WINO_CHUNK) * chunk_stride;
    }
}

/* The weights of one panel, one position and one part. */
HS_INLINE const float *hs_winograd_u(const hs_winograd_block *b, int e, int panel, int part) {
    const hs_winograd_plan *plan = b->plan;
    int chunks = hs_winograd_ceil(plan->spec.part_c[part], HS_WINO_CHUNK);
    return b->items->weights[part] + panel * plan->panel_floats[part] +
           e * hs_winograd_u_floats(plan, chunks);
}

/* A part of the sums of one panel at one position: `count` chunks of channels from `chunk`
 * on, of `part`. Each group of tiles asks for its share of the weights that come `next`: all of
 * them at once would be more than the processor keeps in flight. */
HS_INLINE void hs_winograd_chain(const hs_winograd_block *b, int part, int chunk, int count,
                                 const float *v, const float *u, const float *next, float *m) {
    const hs_winograd_plan *plan = b->plan;
    bool fixed = plan->spec.factors == HS_FACTORS_FIXED;
    void (*product)(int, int, const float *, const float *, float *, bool,
                    const hs_winograd_ahead *) = plan->spec.factors == HS_FACTORS_BF16
                                                     ? HS_KERNEL(hs_winograd_product_bf16)
                                                     : HS_KERNEL(hs_winograd_product);
    uintptr_t groups = (uintptr_t)(b->to - b->from);
    uintptr_t share = (uintptr_t)(count * plan->u_chunk) * sizeof(float) / groups;
    hs_winograd_ahead ahead = {.next = (uintptr_t)next,
                               .step = HS_WINO_PANEL * sizeof(float) / groups};
    int more = b->count - b->rows * b->groups, begin = hs_winograd_group(b, b->from);
    const float *scales = fixed ? hs_winograd_scales(b, part) + begin : NULL;
    v += hs_winograd_group_v(b, begin) - b->v;
    m += (int64_t)begin * HS_WINO_PANEL;
    int64_t tile = plan->padded_c / HS_WINO_CHUNK * plan->v_chunk;
    for (int group = b->from; group < b->to; group++) {
        int rows = b->rows + (group < more);
        const float *from = v + chunk * rows * plan->v_chunk;
        if (fixed) {
            HS_KERNEL(hs_winograd_product_fixed)
            (rows, count, from, u, scales, m, chunk > 0, &ahead);
        } else {
            product(rows, count, from, u, m, chunk > 0, &ahead);
        }
        ahead.next += share;
        v += rows * tile;
        m += (int64_t)rows * HS_WINO_PANEL;
        scales += fixed ? rows : 0;
    }
}

/* The weights that are used after those of `part`, in a walk over panels [first, last);
 * at its end the first ones of panel `last`. */
static const float *hs_winograd_after(const hs_winograd_block *b, int first, int last, int e,
                                      int panel, int part) {
    if (part + 1 < b->plan->spec.part_count)
        return hs_winograd_u(b, e, panel, part + 1);
    if (panel + 1 < last)
        return hs_winograd_u(b, e, panel + 1, 0);
    if (e + 1 < b->plan->alpha * b->plan->alpha)
        return hs_winograd_u(b, e + 1, first, 0);
    return hs_winograd_u(b, 0, last, 0);
}

/* One part's share of the sums of a panel at one position, chain by chain. */
static void hs_winograd_part(const hs_winograd_block *b, int e, int panel, int part,
                             const float *after, float *m) {
    const hs_winograd_plan *plan = b->plan;
    int chunks = hs_winograd_ceil(plan->spec.part_c[part], HS_WINO_CHUNK);
    const float *u = hs_winograd_u(b, e, panel, part), *v = b->v + e * plan->v_stride;
    for (int c = 0; c < chunks; c += plan->chain) {
        int count = chunks - c < plan->chain ? chunks - c : plan->chain;
        const float *end = u + count * plan->u_chunk + plan->u_scales;
        hs_winograd_chain(b, part, plan->part_chunk[part] + c, count, v, u,
                          c + count < chunks ? end : after, m);
        u = end;
    }
}

/* M of panels [first, last): position by position, so that V of one stays in the caches
 * nearby, and group by group, so that a panel's weights do. */
static void hs_winograd_multiply(const hs_winograd_block *b, int first, int last) {
    const hs_winograd_plan *plan = b->plan;
    int positions = plan->alpha * plan->alpha;
    for (int e = 0; e < positions; e++)
        for (int panel = first; panel < last; panel++) {
            float *m = b->m + ((panel - first) * positions + e) * plan->m_stride;
            for (int part = 0; part < plan->spec.part_count; part++)
                hs_winograd_part(b, e, panel, part,
                                 hs_winograd_after(b, first, last, e, panel, part), m);
        }
}

/* The same of one panel where U is made late: chain by chain, group by group. */
static void hs_winograd_multiply_late(const hs_winograd_block *b, int panel) {
    const hs_winograd_plan *plan = b->plan;
    int64_t v_chunk = plan->alpha * plan->alpha * plan->v_chunk, u_chunk = 9 * plan->u_chunk;
    for (int part = 0; part < plan->spec.part_count; part++) {
        int chunks = hs_winograd_ceil(plan->spec.part_c[part], HS_WINO_CHUNK);
        const float *taps = b->items->weights[part] + panel * plan->panel_floats[part];
        for (int c = 0, count; c < chunks; c += count, taps += count * u_chunk) {
            count = chunks - c < plan->chain ? chunks - c : plan->chain;
            hs_winograd_late_chain chain = {.chunks = count,
                                            .taps = taps,
                                            .next = taps + count * u_chunk,
                                            .m_stride = plan->m_stride,
                                            .more = plan->part_chunk[part] + c > 0};
            for (int group = b->from; group < b->to; group++) {
                int begin = hs_winograd_group(b, group);
                int rows = hs_winograd_group(b, group + 1) - begin;
                chain.v =
                    hs_winograd_group_v(b, begin) + (plan->part_chunk[part] + c) * rows * v_chunk;
                chain.m = b->m + (int64_t)begin * HS_WINO_PANEL;
                HS_KERNEL(hs_winograd_late)(rows, &chain);
            }
        }
    }
}

static void hs_winograd_save(const hs_winograd_block *b, int first, int last) {
    const hs_winograd_plan *plan = b->plan;
    const hs_winograd_spec *spec = &plan->spec;
    int64_t pixel = spec->out_c, row = spec->w * pixel;
    for (int i = hs_winograd_group(b, b->from); i < hs_winograd_group(b, b->to); i++) {
        int tile = b->first + i;
        const hs_winograd_item *item = hs_winograd_item_of(b, &tile);
        int y = tile / plan->tiles_x * spec->tile, x = tile % plan->tiles_x * spec->tile;
        hs_winograd_output_tile t = {.m_stride = plan->m_stride, .row = row, .pixel = pixel};
        t.bare = !spec->factors;
        t.rows = spec->h - y < spec->tile ? spec->h - y : spec->tile;
        t.columns = spec->w - x < spec->tile ? spec->w - x : spec->tile;
        for (int p = first; p < last; p++) {
            int k = p * HS_WINO_PANEL;
            int64_t at = y * row + x * pixel + k;
            t.count = spec->out_c - k < HS_WINO_PANEL ? spec->out_c - k : HS_WINO_PANEL;
            t.m = b->m + (p - first) * plan->alpha * plan->alpha * plan->m_stride +
                  (int64_t)i * HS_WINO_PANEL;
            t.bias = item->bias ? item->bias + k : NULL;
            t.residual = item->residual ? item->residual + at : NULL;
            t.dst = item->dst + at;
            if (item->sums) {
                t.sums = item->sums + tile * 2LL * spec->out_c + k;
                t.squares = t.sums + spec->out_c;
            }
            HS_KERNEL(hs_winograd_output)(spec->tile, &t);
        }
    }
}

/* Tiles [begin, end) of a task; scratch is [head][M][V, unless it is shared]. */
static void hs_winograd_start(hs_winograd_block *b, const hs_winograd_plan *plan,
                              const hs_winograd_item *items, int begin, int end, float *scratch) {
    *b = (hs_winograd_block){.plan = plan, .items = items, .first = begin, .count = end - begin};
    b->groups = hs_winograd_ceil(b->count, hs_winograd_most_rows(&plan->spec));
    b->rows = b->count / b->groups;
    b->to = b->groups;
    b->head = scratch;
    memset(b->head, 0, (size_t)hs_winograd_head(plan) * sizeof(float));
    b->m = scratch + hs_winograd_head(plan);
    b->v = plan->load_tasks
               ? items->v
               : b->m + plan->spec.panel_block * plan->alpha * plan->alpha * plan->m_stride;
}

/* The results of panels [first, last), for the groups of this task. */
static void hs_winograd_panels(const hs_winograd_block *b, int first, int last) {
    const hs_winograd_spec *spec = &b->plan->spec;
    for (int p = first; p < last && b->from < b->to; p += spec->panel_block) {
        int end = p + spec->panel_block < last ? p + spec->panel_block : last;
        if (spec->late)
            hs_winograd_multiply_late(b, p);
        else
            hs_winograd_multiply(b, p, end);
        hs_winograd_save(b, p, end);
    }
}

void HS_KERNEL(hs_winograd_load)(const hs_winograd_plan *plan, int task,
                                 const hs_winograd_item *items, int count, float *scratch) {
    if (plan->spec.tile == 1) {
        HS_KERNEL(hs_taps_load)(plan, task, items);
        return;
    }
    hs_winograd_block b;
    hs_winograd_start(&b, plan, items, 0, count * plan->tiles_x * plan->tiles_y, scratch);
    if (task < b.groups)
        hs_winograd_load_group(&b, task);
}

void HS_KERNEL(hs_winograd_run)(const hs_winograd_plan *plan, int task,
                                const hs_winograd_item *items, int count, float *scratch) {
    const hs_winograd_spec *spec = &plan->spec;
    if (spec->tile == 1) {
        HS_KERNEL(hs_taps_run)(plan, task, items, scratch);
        return;
    }
    int band = task / spec->splits, split = task % spec->splits;
    int first_panel = (int)((int64_t)split * plan->panels / spec->splits);
    int last_panel = (int)((int64_t)(split + 1) * plan->panels / spec->splits);
    if (plan->load_tasks) {
        hs_winograd_block b;
        hs_winograd_start(&b, plan, items, 0, count * plan->tiles_x * plan->tiles_y, scratch);
        b.from = (int)((int64_t)band * b.groups / plan->band_count);
        b.to = (int)((int64_t)(band + 1) * b.groups / plan->band_count);
        hs_winograd_panels(&b, first_panel, last_panel);
        return;
    }
    int first_row = band * spec->band_rows, last_row = first_row + spec->band_rows;
    if (last_row > plan->tiles_y)
        last_row = plan->tiles_y;
    int first = first_row * plan->tiles_x, tiles = (last_row - first_row) * plan->tiles_x;
    int blocks = hs_winograd_ceil(tiles, spec->block);
    for (int i = 0; i < blocks; i++) {
        hs_winograd_block b;
        hs_winograd_start(&b, plan, items, first + (int)((int64_t)i * tiles / blocks),
                          first + (int)((i + 1LL) * tiles / blocks), scratch);
        for (int group = 0; group < b.groups; group++)
            hs_winograd_load_group(&b, group);
        hs_winograd_panels(&b, first_panel, last_panel);
    }
}
