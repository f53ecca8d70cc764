/*
 * The CPU back end. A plan is a list of steps, each cut into tasks; a pass is
 * one walk of a crew of threads over the list (base/team.h).
 *
 *   graph nodes --(plan.c: fuse, order)--> steps --(execute.c)--> results
 *        conv2d.c  group_norm.c  attention.c  linear.c  ... one file an op:
 *        each plans its step and runs it
 *
 * Layout: feature maps are nhwc, float. Convolutions are oneDNN primitives for
 * one band of rows of one item: in nhwc a band is contiguous. The order of
 * every sum depends on shapes alone; where tasks are cut for the number of threads or the
 * batch (winograd.c), no sum is. So a sample's result is the same bits for any.
 */
#ifndef HS_BACKENDS_ONEDNN_H
#define HS_BACKENDS_ONEDNN_H

#include <oneapi/dnnl/dnnl.h>
#include <stdatomic.h>

#include "backends/backend.h"
#include "backends/kernels/kernels.h"
#include "base/team.h"
#include "graph/optable.h"
#include "graph/plan.h"

/* One walk over a step's tasks: of all its items, or of some of the batch (walk.c). */
typedef struct hs_od_window {
    hs_team *team;
    int first, count; /* the items; count 0: all */
} hs_od_window;

typedef struct hs_od_step hs_od_step;
typedef void hs_od_run(const hs_exec *exec, const hs_od_step *step, const hs_od_window *window,
                       int rank);

/* The head of every op's own step struct. */
struct hs_od_step {
    hs_od_run *run;
    void (*destroy)(hs_od_step *step); /* oneDNN objects; NULL: nothing to do */
    hs_value value;                    /* what it computes */
    const char *kind;                  /* for profiles: the op's name, if nothing better */
    double flops;                      /* of the op as defined, all items; 0: not counted */
    int group; /* items may be run so many, or a multiple of it, at a time: no window reads what
                  another one wrote for items that all share. 0: only all at once */
    int profile_row;
};

/* Where a value lies: item i begins `offset` floats behind piece i of the buffer. */
typedef struct hs_od_place {
    int buffer; /* -1: nowhere yet, or a concatenation that is never made */
    int64_t offset;
    bool single; /* one item serves all: that of piece 0 */
} hs_od_place;

/* A buffer is one piece for each item, all of one size, or a single piece for all of them. */
typedef struct hs_od_buffer {
    int64_t floats; /* of a piece */
    int pieces;
    int64_t stride; /* floats between pieces: known when all buffers are */
    bool kept;      /* in the kept arena */
    float *linked;  /* data of another plan, or NULL: ours */
} hs_od_buffer;

/* Some items of a step, or all: count 0. */
typedef struct hs_od_visit {
    int step, first, count;
} hs_od_visit;

struct hs_exec {
    const hs_graph *graph;
    const hs_kernels *kernels;
    int threads;
    hs_crew *crew; /* the cache's, of `threads` */
    hs_od_step **steps;
    int step_count, step_capacity;
    hs_od_visit *walk; /* the order in which steps and items are run */
    int visit_count;
    hs_od_buffer *buffers;
    hs_lifetime *lifetimes; /* [buffer_count] of a piece, or of all of them: memory.c */
    int buffer_count, buffer_capacity;
    float **arena;       /* of what lives within a pass: the cache's, shared */
    int64_t arena_bytes; /* what this plan needs of it */
    float *kept_arena;   /* of what others read after the pass */
    int64_t kept_bytes;
    hs_od_place *places;   /* [graph->count], for the links of others */
    int64_t scratch_bytes; /* of each rank */
    uint8_t *scratch;      /* [threads] of them */
    float **bound;         /* [graph->count] the caller's pointers of this pass */
    hs_weight_cache *cache;
    bool owns_cache;
    dnnl_engine_t engine;
    dnnl_stream_t *streams; /* [threads] */
    atomic_int failed;      /* a dnnl_status_t, or 0 */
    hs_profile *profile;    /* NULL: none is kept */
    int profiled_visit;     /* the one that is timed now */
    hs_arena memory;        /* steps */
};

/* ------------------------------------------------------- while planning -- */

/* What a convolution leaves of its results for the norm that reads them, tile by tile or band by
 * band, which are tiles here:
 * of each item [tiles][2][channels], sums and sums of squares about their mean (winograd.h). */
typedef struct hs_od_tile_sums {
    int buffer; /* -1: none */
    int tiles;
    const int *pixels; /* [tiles] */
} hs_od_tile_sums;

typedef struct hs_od_norm hs_od_norm; /* group_norm.c */

typedef struct hs_od_planner {
    hs_exec *exec;
    const hs_graph *graph;
    int *uses;                      /* [count] edges that still read the value */
    bool *needed;                   /* [count] some output depends on it */
    bool *is_output;                /* [count] */
    bool *absorbed;                 /* [count] computed by the step of its consumer */
    bool *virtual_parts;            /* [count] a concatenation, padding or upsampling that is
                                       never made: its readers read its inputs */
    int *slice_first, *slice_count; /* [count] only these channels are computed, where
                                       slice_count is not 0: nobody reads others */
    const hs_plan_options *options;
    int64_t weight_bytes;       /* of the graph, in float32 */
    int64_t spent_bytes;        /* of these, on weights that are kept: winograd.c */
    int64_t largest_map;        /* pixels, of the results of convolutions */
    hs_value *fused;            /* [count] what this node's step absorbs, or HS_NO_VALUE */
    hs_value *slope;            /* [count] the kept slope that this activation's step leaves, too */
    hs_od_place *place;         /* [count] */
    bool *normed;               /* [count] some group norm reads the value, maybe as a part */
    bool *loaded;               /* [count] a norm, with what follows it, that is never made: its
                                   one reader, a convolution, applies it while it loads */
    hs_od_norm **norms;         /* [count] of the loaded ones, once planned */
    hs_od_tile_sums *tile_sums; /* [count] */
    hs_error *err;
} hs_od_planner;

/* Append `step` (zeroed, `size` bytes in the exec's arena). */
hs_status hs_od_new_step(hs_od_planner *p, size_t size, hs_od_run *run, hs_value value,
                         hs_od_step **out);
/* A fresh buffer that the step about to be added writes: `pieces` of `floats` each. */
hs_status hs_od_new_buffer(hs_od_planner *p, int64_t floats, int pieces, int *out);
/* The order of the walk, once every step is planned; buffers live longer where it asks for that. */
hs_status hs_od_plan_walk(hs_od_planner *p);
/* The items of the batch: the most pieces that a buffer has. */
int hs_od_items(const hs_exec *exec);
/* Where all buffers go, once every step is planned. */
hs_status hs_od_plan_memory(hs_od_planner *p);
/* Give `value` a fresh dense buffer. */
hs_status hs_od_make_place(hs_od_planner *p, hs_value value);
/* The step last added reads (or writes) the buffer. */
void hs_od_touch(hs_od_planner *p, int buffer);
/* The node being planned will not read `value` again. */
void hs_od_release(hs_od_planner *p, hs_value value);
/* True when the node being planned is the value's last reader and may reuse
 * its buffer for its own result. */
bool hs_od_dies_here(const hs_od_planner *p, hs_value value);
/* A concatenation or a padding with zeros that is not made is read part by
 * part; channels that no part has are zero. */
typedef struct hs_od_part {
    hs_value value;
    int first, channels; /* where it lies in the whole */
} hs_od_part;
/* Is `value` an upsampling that is not made, but read through? It has one part. */
bool hs_od_is_read_through(const hs_od_planner *p, hs_value value);
int hs_od_parts(const hs_od_planner *p, hs_value value, hs_od_part parts[HS_MAX_INPUTS]);
/* Where `value` lies for a step of n items: a single row serves all of them. */
hs_od_place hs_od_operand(const hs_od_planner *p, hs_value value, int n);
/* The shape that is computed: the node's, or the slice of it. */
hs_shape hs_od_shape(const hs_od_planner *p, hs_value value);
/* Release the inputs of a node and of what it absorbed. */
void hs_od_release_inputs(hs_od_planner *p, hs_value value);
void hs_od_need_scratch(hs_od_planner *p, int64_t bytes);

/* Tasks of a map that is walked pixel by pixel: chunks of `chunk` pixels. */
void hs_od_cut_chunks(int64_t pixels, int channels, int *chunks, int64_t *chunk);
hs_kernel_act hs_od_act(hs_activation kind);
const hs_node *hs_od_node(const hs_od_planner *p, hs_value value);

/* One a file: plan the node `value` and what it absorbs. */
hs_status hs_od_plan_conv2d(hs_od_planner *p, hs_value value);
hs_status hs_od_plan_group_norm(hs_od_planner *p, hs_value value);
hs_status hs_od_plan_norm_tangent(hs_od_planner *p, hs_value value);
/* What norm [modulate] [activation], which ends in `value`, reads. */
hs_value hs_od_norm_source(const hs_od_planner *p, hs_value value);
/* The step last added reads what the norm's lines are made from. */
void hs_od_touch_norm(hs_od_planner *p, const hs_od_norm *norm);
bool hs_od_norm_is_silu(const hs_od_norm *norm);
hs_status hs_od_plan_attention(hs_od_planner *p, hs_value value);
hs_status hs_od_plan_attention_tangent(hs_od_planner *p, hs_value value);
hs_status hs_od_plan_link(hs_od_planner *p, hs_value value);
hs_status hs_od_plan_linear(hs_od_planner *p, hs_value value);
hs_status hs_od_plan_elementwise(hs_od_planner *p, hs_value value); /* maps */
hs_status hs_od_plan_small(hs_od_planner *p, hs_value value);       /* vectors */
hs_status hs_od_plan_resample(hs_od_planner *p, hs_value value);
hs_status hs_od_plan_pool(hs_od_planner *p, hs_value value);
hs_status hs_od_plan_import(hs_od_planner *p, hs_value value);
hs_status hs_od_plan_export(hs_od_planner *p, hs_value value);

/* ------------------------------------------------------------- running -- */

/* The next task of this window, of `tasks` for each of a step's `items`, counted from item 0 on; or
 * -1. */
static inline int hs_od_next(const hs_od_window *window, int items, int tasks) {
    int task = hs_team_next(window->team, (window->count ? window->count : items) * tasks);
    return task < 0 || !window->count ? task : window->first * tasks + task;
}

/* A piece of a buffer; piece 0 where it has but one. */
static inline float *hs_od_piece(const hs_exec *exec, int number, int piece) {
    const hs_od_buffer *buffer = &exec->buffers[number];
    const float *data = buffer->linked;
    if (!data)
        data = (buffer->kept ? exec->kept_arena : *exec->arena) +
               exec->lifetimes[number].offset / (int64_t)sizeof(float);
    return (float *)data + piece * buffer->stride;
}

static inline float *hs_od_item(const hs_exec *exec, hs_od_place place, int item) {
    return hs_od_piece(exec, place.buffer, place.single ? 0 : item) + place.offset;
}

static inline void *hs_od_scratch(const hs_exec *exec, int rank) {
    return exec->scratch + rank * exec->scratch_bytes;
}

void hs_od_fail(const hs_exec *exec, dnnl_status_t status);

/* a[c], b[c] so that the whole of the norm of an item, gamma, beta and modulation is a x + b. */
void hs_od_norm_lines(const hs_exec *exec, const hs_od_norm *norm, int item, float *a, float *b);

/* out [channels, count] from tokens [count, ...] that are `stride` floats apart. */
void hs_od_transpose_tokens(const float *tokens, int64_t stride, int count, int channels,
                            float *out);

/* ------------------------------------------------------------- profile -- */

/* Give every step its row; called once, after planning. */
void hs_od_profile_plan(hs_exec *exec);
/* The pass begins; `step` has ended on all members. Called by one member, and
 * only where exec->profile is not NULL. */
void hs_od_profile_begin(hs_profile *profile);
/* `share` of its items were run, the `last` ones among them or not. */
void hs_od_profile_end_step(hs_profile *profile, const hs_od_step *step, double share, bool last);

/* ------------------------------------------------------------- weights -- */

/* Plain float32 copy of a weight, `count` values; owned by the cache. */
hs_status hs_od_weight_plain(hs_od_planner *p, hs_value weight, const float **out);
/* The same rounded to bf16, two in a float's place. */
hs_status hs_od_weight_half(hs_od_planner *p, hs_value weight, const float **out);
/* Channels first ... first + channels - 1 of the inputs of a convolution's
 * kernel in the layout `md`; `out` is filled in by hs_od_weights_convert. With
 * `adjoint` the kernel of the transposed convolution: these channels become its
 * outputs, and it is flipped. */
hs_status hs_od_weight_conv(hs_od_planner *p, hs_value weight, int first, int channels,
                            bool adjoint, const dnnl_memory_desc_t *md, const float **out);
/* A share of a kernel for the convolutions of kernels/winograd.h and conv_fixed.h. */
typedef struct hs_od_winograd_weight {
    int tile, taps; /* 9; with tiles 0 (kernels/conv_fixed.h) and 1 as the kernel has */
    int panels;     /* 0: the weight is of another kind */
    int panel;      /* outputs of a panel; 0 with tile 0 */
    int64_t panel_floats;
    int64_t outputs, inputs; /* of the whole kernel, o,i,h,w */
    int first, channels;     /* slice of the inputs */
    bool adjoint;            /* these are then the outputs, and the kernel is flipped */
    bool late;               /* kept plain: hs_winograd_spec */
    hs_factors factors;
} hs_od_winograd_weight;
/* That share as it lies in the plain kernel. */
hs_winograd_kernel hs_od_winograd_kernel(const hs_od_winograd_weight *winograd, const float *plain);
/* The same of a kernel that hs_od_weight_half keeps. */
hs_winograd_kernel hs_od_winograd_half(const hs_od_winograd_weight *winograd, const float *plain);
/* It, transformed, kept: [panels][panel_floats]. */
hs_status hs_od_weight_winograd(hs_od_planner *p, hs_value weight,
                                const hs_od_winograd_weight *winograd, const float **out);
/* Convert all that was asked for, in parallel. */
hs_status hs_od_weights_convert(hs_exec *exec, hs_error *err);
/* The arena that plans share; grown to at least `bytes`. What it held is lost. */
hs_status hs_od_arena_grow(hs_weight_cache *cache, int64_t bytes, hs_error *err);
float **hs_od_arena(hs_weight_cache *cache);
/* Give the pages behind the first `bytes` back; they are zeros when used again. */
void hs_od_arena_trim(hs_weight_cache *cache, int64_t bytes);
/* The threads that plans share, made at the first call. HS_ERROR_ARGUMENT when
 * another plan asked for another number. */
hs_status hs_od_crew(hs_weight_cache *cache, int threads, hs_crew **out, hs_error *err);
int64_t hs_od_weights_bytes(const hs_weight_cache *cache);
hs_weight_cache *hs_od_weights_new(void);
void hs_od_weights_free(hs_weight_cache *cache);

/* HS_ERROR_INTERNAL with oneDNN's status. */
hs_status hs_od_dnnl_error(hs_error *err, const char *what, dnnl_status_t status);

#define HS_DNNL(call, what)                                                                        \
    do {                                                                                           \
        dnnl_status_t hs_dnnl_status_ = (call);                                                    \
        if (hs_dnnl_status_ != dnnl_success) {                                                     \
            status = hs_od_dnnl_error(err, what, hs_dnnl_status_);                                 \
            goto cleanup;                                                                          \
        }                                                                                          \
    } while (0)

#endif
