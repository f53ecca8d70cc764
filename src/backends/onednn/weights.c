/*
 * Weights in the layout that the primitives want: asked for while planning,
 * converted together in parallel, shared by the plans of one model. Mapped
 * pages are let go once they were converted, so that a checkpoint is resident
 * once and not twice.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "backends/onednn/onednn.h"

typedef struct hs_od_weight {
    const hs_tensor *tensor;
    bool plain;          /* float32 in the file's order; else `md` or `winograd` */
    bool half;           /* plain, but bf16 */
    int64_t dim[4];      /* o, i, kh, kw of the whole kernel */
    int first, channels; /* slice of i */
    bool adjoint;        /* i and o exchanged, kernel flipped */
    dnnl_memory_desc_t md;
    hs_od_winograd_weight winograd; /* panels 0: `md` */
    int64_t floats;
    float *data;              /* NULL until converted */
    struct hs_od_want *wants; /* who waits for `data` */
} hs_od_weight;

typedef struct hs_od_want {
    const float **out;
    struct hs_od_want *next;
} hs_od_want;

typedef struct hs_od_block { /* of converted weights: one mapping a conversion */
    struct hs_od_block *next;
    void *data;
    size_t bytes;
} hs_od_block;

struct hs_weight_cache {
    hs_od_weight **entries;
    int count, capacity;
    hs_od_block *blocks;
    int64_t bytes;
    float *arena; /* of the plans' passes, shared */
    int64_t arena_bytes;
    hs_crew *crew;   /* of the plans' passes, shared */
    hs_arena memory; /* entries */
};

hs_weight_cache *hs_od_weights_new(void) {
    return hs_calloc(1, sizeof(hs_weight_cache));
}

void hs_od_weights_free(hs_weight_cache *cache) {
    if (!cache)
        return;
    while (cache->blocks) {
        hs_od_block *block = cache->blocks;
        cache->blocks = block->next;
        hs_pages_free(block->data, block->bytes);
        free(block);
    }
    free(cache->entries);
    hs_pages_free(cache->arena, (size_t)cache->arena_bytes);
    hs_crew_free(cache->crew);
    hs_arena_free(&cache->memory);
    free(cache);
}

hs_status hs_od_arena_grow(hs_weight_cache *cache, int64_t bytes, hs_error *err) {
    if (bytes <= cache->arena_bytes)
        return HS_OK;
    float *grown = hs_pages_alloc((size_t)bytes);
    if (!grown)
        return hs_fail_memory(err, (size_t)bytes);
    hs_pages_free(cache->arena, (size_t)cache->arena_bytes);
    cache->arena = grown;
    cache->arena_bytes = bytes;
    return HS_OK;
}

float **hs_od_arena(hs_weight_cache *cache) {
    return &cache->arena;
}

hs_status hs_od_crew(hs_weight_cache *cache, int threads, hs_crew **out, hs_error *err) {
    if (!cache->crew)
        HS_TRY(hs_crew_new(threads, &cache->crew, err));
    if (hs_crew_size(cache->crew) != threads)
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "plans that share weights run on %d threads, %d were asked for",
                       hs_crew_size(cache->crew), threads);
    *out = cache->crew;
    return HS_OK;
}

void hs_od_arena_trim(hs_weight_cache *cache, int64_t bytes) {
    const int64_t page = 2 << 20; /* a huge one stays whole */
    int64_t first = (bytes + page - 1) / page * page;
    if (first < cache->arena_bytes)
        madvise((uint8_t *)cache->arena + first, (size_t)(cache->arena_bytes - first),
                MADV_DONTNEED);
}

int64_t hs_od_weights_bytes(const hs_weight_cache *cache) {
    return cache->bytes;
}

static bool hs_od_same_weight(const hs_od_weight *a, const hs_od_weight *b) {
    return a->tensor->data == b->tensor->data && a->plain == b->plain && a->half == b->half &&
           a->first == b->first && a->channels == b->channels && a->adjoint == b->adjoint &&
           a->floats == b->floats && a->winograd.tile == b->winograd.tile &&
           a->winograd.taps == b->winograd.taps && a->winograd.panels == b->winograd.panels &&
           a->winograd.first == b->winograd.first && a->winograd.channels == b->winograd.channels &&
           a->winograd.adjoint == b->winograd.adjoint && a->winograd.late == b->winograd.late &&
           a->winograd.factors == b->winograd.factors &&
           (a->plain || a->winograd.panels || dnnl_memory_desc_equal(&a->md, &b->md));
}

/* Find or add the entry, and have *out filled in when its data exist. */
static hs_status hs_od_want_weight(hs_weight_cache *cache, const hs_od_weight *like,
                                   const float **out, hs_error *err) {
    hs_od_weight *entry = NULL;
    for (int i = 0; i < cache->count && !entry; i++)
        if (hs_od_same_weight(cache->entries[i], like))
            entry = cache->entries[i];
    if (!entry) {
        if (cache->count == cache->capacity) {
            int capacity = cache->capacity ? 2 * cache->capacity : 256;
            void *grown = realloc(cache->entries, (size_t)capacity * sizeof *cache->entries);
            if (!grown)
                return hs_fail_memory(err, (size_t)capacity * sizeof *cache->entries);
            cache->entries = grown;
            cache->capacity = capacity;
        }
        entry = hs_arena_alloc(&cache->memory, 1, sizeof *entry);
        if (!entry)
            return hs_fail_memory(err, sizeof *entry);
        *entry = *like;
        cache->entries[cache->count++] = entry;
    }
    if (entry->data) {
        *out = entry->data;
        return HS_OK;
    }
    hs_od_want *want = hs_arena_alloc(&cache->memory, 1, sizeof *want);
    if (!want)
        return hs_fail_memory(err, sizeof *want);
    *want = (hs_od_want){out, entry->wants};
    entry->wants = want;
    return HS_OK;
}

hs_status hs_od_weight_plain(hs_od_planner *p, hs_value weight, const float **out) {
    const hs_node *node = hs_od_node(p, weight);
    hs_od_weight like = {.tensor = node->weight, .plain = true};
    like.floats = hs_shape_count(&node->shape);
    return hs_od_want_weight(p->exec->cache, &like, out, p->err);
}

hs_status hs_od_weight_half(hs_od_planner *p, hs_value weight, const float **out) {
    const hs_node *node = hs_od_node(p, weight);
    hs_od_weight like = {.tensor = node->weight, .plain = true, .half = true};
    like.floats = (hs_shape_count(&node->shape) + 1) / 2;
    return hs_od_want_weight(p->exec->cache, &like, out, p->err);
}

hs_status hs_od_weight_conv(hs_od_planner *p, hs_value weight, int first, int channels,
                            bool adjoint, const dnnl_memory_desc_t *md, const float **out) {
    const hs_node *node = hs_od_node(p, weight);
    hs_od_weight like = {.tensor = node->weight,
                         .first = first,
                         .channels = channels,
                         .adjoint = adjoint,
                         .md = *md};
    memcpy(like.dim, node->shape.dim, sizeof like.dim);
    like.floats = (int64_t)(dnnl_memory_desc_get_size(md) / sizeof(float));
    return hs_od_want_weight(p->exec->cache, &like, out, p->err);
}

hs_winograd_kernel hs_od_winograd_kernel(const hs_od_winograd_weight *winograd,
                                         const float *plain) {
    bool adjoint = winograd->adjoint; /* its inputs are the kernel's outputs */
    int64_t taps = winograd->taps, row = winograd->inputs * taps;
    return (hs_winograd_kernel){
        .tile = winograd->tile,
        .taps = winograd->taps,
        .out_c = adjoint ? winograd->channels : (int)winograd->outputs,
        .in_c = adjoint ? (int)winograd->outputs : winograd->channels,
        .w = plain + winograd->first * taps,
        .out_stride = adjoint ? taps : row,
        .in_stride = adjoint ? row : taps,
        .flip = adjoint,
        .late = winograd->late,
        .factors = winograd->factors,
    };
}

hs_winograd_kernel hs_od_winograd_half(const hs_od_winograd_weight *winograd, const float *plain) {
    hs_winograd_kernel kernel = hs_od_winograd_kernel(winograd, plain);
    kernel.w = NULL;
    kernel.half = (const uint16_t *)plain + winograd->first * winograd->taps;
    return kernel;
}

hs_status hs_od_weight_winograd(hs_od_planner *p, hs_value weight,
                                const hs_od_winograd_weight *winograd, const float **out) {
    hs_od_weight like = {.tensor = hs_od_node(p, weight)->weight, .winograd = *winograd};
    if (!hs_mul_i64(winograd->panels, winograd->panel_floats, &like.floats))
        return hs_fail_memory(p->err, SIZE_MAX);
    return hs_od_want_weight(p->exec->cache, &like, out, p->err);
}

/* ---------------------------------------------------------- conversion -- */

typedef struct hs_od_conversion {
    hs_weight_cache *cache;
    const hs_kernels *kernels;
    dnnl_engine_t engine;
    dnnl_stream_t *streams;
    hs_od_weight **todo;
    int count;
    atomic_int failed; /* 1 + index in todo of the first failure seen */
    hs_error *errors;  /* [team] */
} hs_od_conversion;

/* Clean pages of a mapped file can be read again; see hs_tensor.mapped. Those of values
 * [first, first + count). */
static void hs_od_let_go(const hs_tensor *tensor, int64_t first, int64_t count) {
    if (!tensor->mapped)
        return;
    uintptr_t page = 4096, size = (uintptr_t)(hs_tensor_bytes(tensor) / hs_tensor_count(tensor));
    uintptr_t data = (uintptr_t)tensor->data + (uintptr_t)first * size;
    uintptr_t begin = (data + page - 1) / page * page;
    uintptr_t end = (data + (uintptr_t)count * size) / page * page;
    if (end > begin)
        madvise((void *)begin, end - begin, MADV_DONTNEED);
}

/* The slice of the kernel that the primitive wants, o,i,kh,kw and dense: a copy
 * for the adjoint, else strides over the file's order. */
static float *hs_od_adjoint_kernel(const hs_od_weight *w, const float *plain) {
    int64_t out = w->dim[0], in = w->dim[1], size = w->dim[2] * w->dim[3];
    float *kernel = hs_alloc_aligned((size_t)(out * w->channels * size), sizeof *kernel);
    for (int64_t i = 0; kernel && i < w->channels; i++)
        for (int64_t o = 0; o < out; o++)
            for (int64_t k = 0; k < size; k++)
                kernel[(i * out + o) * size + k] =
                    plain[(o * in + w->first + i) * size + size - 1 - k];
    return kernel;
}

/* Reorder plain o,i,kh,kw floats (a slice of i) to entry->md. */
static hs_status hs_od_reorder(hs_od_conversion *c, int rank, hs_od_weight *w, const float *plain,
                               hs_error *err) {
    hs_status status = HS_OK;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_t primitive = NULL;
    dnnl_memory_t from = NULL, to = NULL;
    dnnl_memory_desc_t plain_md;
    int64_t size = w->dim[2] * w->dim[3];
    dnnl_dims_t dims = {w->dim[0], w->channels, w->dim[2], w->dim[3]};
    dnnl_dims_t strides = {w->dim[1] * size, size, w->dim[3], 1};
    float *adjoint = NULL;
    const float *data = plain + w->first * size;
    if (w->adjoint) {
        data = adjoint = hs_od_adjoint_kernel(w, plain);
        if (!adjoint)
            return hs_fail_memory(err, (size_t)w->floats * sizeof *adjoint);
        dims[0] = w->channels;
        dims[1] = w->dim[0];
        strides[0] = w->dim[0] * size;
    }
    HS_DNNL(dnnl_memory_desc_init_by_strides(&plain_md, 4, dims, dnnl_f32, strides), "weights");
    HS_DNNL(dnnl_reorder_primitive_desc_create(&pd, &plain_md, c->engine, &w->md, c->engine, NULL),
            "weights");
    HS_DNNL(dnnl_primitive_create(&primitive, pd), "weights");
    HS_DNNL(dnnl_memory_create(&from, &plain_md, c->engine, (void *)data), "weights");
    HS_DNNL(dnnl_memory_create(&to, &w->md, c->engine, w->data), "weights");
    dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
    HS_DNNL(dnnl_primitive_execute(primitive, c->streams[rank], 2, args), "weights");
cleanup:
    dnnl_memory_destroy(to);
    dnnl_memory_destroy(from);
    dnnl_primitive_destroy(primitive);
    dnnl_primitive_desc_destroy(pd);
    free(adjoint);
    return status;
}

static void hs_od_transform(const hs_od_conversion *c, const hs_od_weight *w, const float *plain) {
    hs_winograd_kernel kernel = hs_od_winograd_kernel(&w->winograd, plain);
    for (int panel = 0; panel < w->winograd.panels; panel++)
        c->kernels->winograd_weights(&kernel, panel, w->data + panel * w->winograd.panel_floats);
}

/* Values [first, first + count) of the tensor as float32: in `room`, or where they lie if they are
 * such and there is none. */
static hs_status hs_od_widen(const hs_tensor *tensor, int64_t first, int64_t count, float *room,
                             const float **out, hs_error *err) {
    *out = (const float *)tensor->data + first;
    if (room) {
        HS_TRY(hs_tensor_to_f32(tensor, first, count, room, err));
        *out = room;
    }
    int64_t bad = hs_tensor_first_bad(*out, count);
    if (bad >= 0)
        return hs_fail(err, HS_ERROR_NUMERIC, "tensor %s: value %lld is %g, expected a finite one",
                       tensor->name, (long long)(first + bad), (double)(*out)[bad]);
    return HS_OK;
}

/* Panel by panel, so that what is widened is never the whole tensor. */
static hs_status hs_od_convert_panels(hs_od_conversion *c, hs_od_weight *w, float *room,
                                      hs_error *err) {
    const hs_od_winograd_weight *winograd = &w->winograd;
    int64_t row = winograd->inputs * winograd->taps;
    for (int panel = 0; panel < winograd->panels; panel++) {
        int64_t first = (int64_t)panel * winograd->panel, rows = winograd->outputs - first;
        rows = rows < winograd->panel ? rows : winograd->panel;
        const float *plain;
        HS_TRY(hs_od_widen(w->tensor, first * row, rows * row, room, &plain, err));
        hs_winograd_kernel kernel = hs_od_winograd_kernel(winograd, plain);
        kernel.out_c = (int)rows;
        c->kernels->winograd_weights(&kernel, 0, w->data + panel * winograd->panel_floats);
        hs_od_let_go(w->tensor, first * row, rows * row);
    }
    return HS_OK;
}

static hs_status hs_od_convert_whole(hs_od_conversion *c, int rank, hs_od_weight *w, float *room,
                                     hs_error *err) {
    int64_t count = hs_tensor_count(w->tensor);
    const float *plain;
    HS_TRY(hs_od_widen(w->tensor, 0, count, room, &plain, err));
    if (w->winograd.panels)
        hs_od_transform(c, w, plain);
    else if (!w->plain)
        return hs_od_reorder(c, rank, w, plain, err);
    else if (w->half)
        for (int64_t i = 0; i < count; i++)
            ((uint16_t *)w->data)[i] = hs_f32_to_bf16(plain[i]);
    else if (plain != w->data)
        memcpy(w->data, plain, (size_t)count * 4);
    return HS_OK;
}

static hs_status hs_od_convert_one(hs_od_conversion *c, int rank, hs_od_weight *w, hs_error *err) {
    const hs_tensor *tensor = w->tensor;
    int64_t count = hs_tensor_count(tensor);
    bool in_panels = w->winograd.panel && !w->winograd.adjoint;
    float *room = NULL, *widened = NULL;
    if (tensor->dtype != HS_F32 || (uintptr_t)tensor->data % sizeof(float)) {
        int64_t floats =
            in_panels ? w->winograd.panel * w->winograd.inputs * w->winograd.taps : count;
        room = w->plain && !w->half ? w->data : (widened = hs_alloc_aligned((size_t)floats, 4));
        if (!room)
            return hs_fail_memory(err, (size_t)floats * 4);
    }
    hs_status status = in_panels ? hs_od_convert_panels(c, w, room, err)
                                 : hs_od_convert_whole(c, rank, w, room, err);
    free(widened);
    hs_od_let_go(tensor, 0, count);
    return status;
}

static void hs_od_convert_step(void *ctx, int step, hs_team *team, int rank) {
    hs_od_conversion *c = ctx;
    for (int i; (i = hs_team_next(team, c->count)) >= 0;)
        if (hs_od_convert_one(c, rank, c->todo[i], &c->errors[rank]) != HS_OK)
            atomic_store(&c->failed, rank + 1);
}

static hs_status hs_od_new_block(hs_weight_cache *cache, size_t bytes, void **out, hs_error *err) {
    hs_od_block *block = hs_calloc(1, sizeof *block);
    void *data = block ? hs_pages_alloc(bytes) : NULL;
    if (!data) {
        free(block);
        return hs_fail_memory(err, bytes);
    }
    *block = (hs_od_block){cache->blocks, data, bytes};
    cache->blocks = block;
    *out = data;
    return HS_OK;
}

static hs_status hs_od_convert_all(hs_exec *exec, hs_od_conversion *c, hs_error *err) {
    hs_weight_cache *cache = exec->cache;
    size_t bytes = 0;
    for (int i = 0; i < cache->count; i++)
        if (!cache->entries[i]->data) {
            c->todo[c->count++] = cache->entries[i];
            bytes += ((size_t)cache->entries[i]->floats * 4 + HS_ALIGN - 1) / HS_ALIGN * HS_ALIGN;
        }
    if (!c->count)
        return HS_OK;
    void *data = NULL;
    HS_TRY(hs_od_new_block(cache, bytes, &data, err));
    cache->bytes += (int64_t)bytes;
    uint8_t *next = data;
    for (int i = 0; i < c->count; i++) {
        c->todo[i]->data = (float *)next;
        next += ((size_t)c->todo[i]->floats * 4 + HS_ALIGN - 1) / HS_ALIGN * HS_ALIGN;
    }
    hs_crew_run(exec->crew, 1, hs_od_convert_step, c);
    int failed = atomic_load(&c->failed);
    if (failed) {
        if (err)
            *err = c->errors[failed - 1];
        return c->errors[failed - 1].code;
    }
    for (int i = 0; i < c->count; i++)
        for (hs_od_want *want = c->todo[i]->wants; want; want = want->next)
            *want->out = c->todo[i]->data;
    return HS_OK;
}

hs_status hs_od_weights_convert(hs_exec *exec, hs_error *err) {
    hs_od_conversion c = {exec->cache, exec->kernels, exec->engine, exec->streams, NULL, 0,
                          0,           NULL};
    c.todo = hs_calloc((size_t)exec->cache->count, sizeof *c.todo);
    c.errors = hs_calloc((size_t)exec->threads, sizeof *c.errors);
    hs_status status = c.todo && c.errors
                           ? hs_od_convert_all(exec, &c, err)
                           : hs_fail_memory(err, (size_t)exec->threads * sizeof *c.errors);
    free(c.errors);
    free(c.todo);
    return status;
}
