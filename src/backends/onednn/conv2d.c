/*
 * Convolution: most of those of 3x3 and stride 1 go to winograd.c, small ones of few
 * channels to narrow.c, with fixed factors what is left to conv_fixed.c, with bf16 and
 * matrices of it all of 1x1 and 3x3 to winograd.c; the others are oneDNN primitives for one
 * band of rows of one item.
 *
 *   rows of the item     0 ........ R ........ 2R ...... OH
 *   tasks (per item)     |  band 0  |  band 1  |  band 2  |
 *   primitives           |  top     |  middle  |  bottom  |   (differ in padding)
 *
 * In nhwc a band and its halo are contiguous, so a primitive sees a small
 * dense image. The bias may be one vector an item (bias plus time embedding).
 * A residual is added to the band just after it: oneDNN would begin its sums with
 * it, and round every product at the size of the residual. What a norm needs of a band
 * is summed just after that. A concatenation that is never made becomes one convolution a
 * part, summed: a band of one after the other.
 *
 * The adjoint of a convolution of stride 1 is a convolution with the flipped,
 * transposed kernel, and runs as one.
 */
#include <stdlib.h>
#include <string.h>

#include "backends/onednn/conv2d.h"

enum { HS_SRC, HS_WEIGHTS, HS_BIAS, HS_DST, HS_SCRATCH, HS_ARGS };

/* Weighed against the cost of a call: about 2 microseconds. */
#define HS_BAND_MACS 4000000
#define HS_MAX_BANDS 32

typedef struct hs_od_variant { /* one shape of band */
    int rows, in_rows, pad_top, pad_bottom;
    dnnl_primitive_t primitive;
    dnnl_memory_t *memory; /* [threads, HS_ARGS] */
    const float *weights;
} hs_od_variant;

typedef struct hs_od_band {
    int variant, first, in_first; /* rows of output and input */
} hs_od_band;

typedef struct hs_od_conv hs_od_conv;

struct hs_od_conv {
    hs_od_step base;
    hs_od_conv *more; /* of the next part, in the same bands, or NULL; its base is not used */
    int n, out_c, band_count, variant_count, threads;
    hs_od_band *bands;
    hs_od_variant *variants;
    int64_t src_row, dst_row;                  /* floats */
    hs_od_place src, dst, residual, item_bias; /* buffer -1: none */
    int64_t band_bytes; /* of scratch for a band, where the residual lies in dst; or 0 */
    int sums;           /* buffer, what a band of all parts leaves for a norm, as of a tile;
                           -1: nothing. Of the first part */
    const float *bias;
};

static void hs_od_add_band(float *restrict dst, const float *restrict band, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        dst[i] += band[i];
}

static void hs_od_run_band(const hs_exec *exec, const hs_od_conv *c, int rank, int item,
                           int number) {
    const hs_od_band *band = &c->bands[number];
    const hs_od_variant *variant = &c->variants[band->variant];
    int64_t at = band->first * c->dst_row;
    float *dst = hs_od_item(exec, c->dst, item) + at;
    uint8_t *scratch = hs_od_scratch(exec, rank);
    float *out = c->band_bytes ? (float *)scratch : dst;
    const float *bias = c->item_bias.buffer >= 0 ? hs_od_item(exec, c->item_bias, item) : c->bias;
    void *data[HS_ARGS] = {
        [HS_SRC] = hs_od_item(exec, c->src, item) + band->in_first * c->src_row,
        [HS_WEIGHTS] = (void *)variant->weights,
        [HS_BIAS] = (void *)bias,
        [HS_DST] = out,
        [HS_SCRATCH] = scratch + c->band_bytes,
    };
    static const int names[HS_ARGS] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_BIAS, DNNL_ARG_DST,
                                       DNNL_ARG_SCRATCHPAD};
    dnnl_memory_t *memory = variant->memory + rank * HS_ARGS;
    dnnl_exec_arg_t args[HS_ARGS];
    int count = 0;
    for (int i = 0; i < HS_ARGS; i++)
        if (memory[i]) {
            dnnl_memory_set_data_handle(memory[i], data[i]);
            args[count++] = (dnnl_exec_arg_t){names[i], memory[i]};
        }
    dnnl_status_t failed =
        dnnl_primitive_execute(variant->primitive, exec->streams[rank], count, args);
    if (failed != dnnl_success)
        hs_od_fail(exec, failed);
    if (c->band_bytes)
        hs_od_add_band(dst, out, variant->rows * c->dst_row);
    else if (c->residual.buffer >= 0)
        hs_od_add_band(dst, hs_od_item(exec, c->residual, item) + at, variant->rows * c->dst_row);
}

static void hs_od_sum_band(const hs_exec *exec, const hs_od_conv *c, int rank, int item,
                           int number) {
    const hs_od_band *band = &c->bands[number];
    const float *dst = hs_od_item(exec, c->dst, item) + band->first * c->dst_row;
    float *left = hs_od_piece(exec, c->sums, item) + 2LL * number * c->out_c;
    double *sum = hs_od_scratch(exec, rank), *sumsq = sum + c->out_c;
    int64_t pixels = c->variants[band->variant].rows * c->dst_row / c->out_c;
    memset(sum, 0, 2 * (size_t)c->out_c * sizeof *sum);
    exec->kernels->channel_sums(dst, pixels, c->out_c, sum, sumsq);
    for (int k = 0; k < c->out_c; k++) {
        left[k] = (float)sum[k];
        left[c->out_c + k] = (float)(sumsq[k] - sum[k] * sum[k] / (double)pixels);
    }
}

static void hs_od_run_conv2d(const hs_exec *exec, const hs_od_step *step,
                             const hs_od_window *window, int rank) {
    const hs_od_conv *first = (const hs_od_conv *)step;
    int bands = first->band_count;
    for (int task; (task = hs_od_next(window, first->n, bands)) >= 0;) {
        for (const hs_od_conv *c = first; c; c = c->more)
            hs_od_run_band(exec, c, rank, task / bands, task % bands);
        if (first->sums >= 0)
            hs_od_sum_band(exec, first, rank, task / bands, task % bands);
    }
}

static void hs_od_destroy_conv2d(hs_od_step *step) {
    for (hs_od_conv *c = (hs_od_conv *)step; c; c = c->more)
        for (int v = 0; v < c->variant_count; v++) {
            if (c->variants[v].memory)
                for (int i = 0; i < c->threads * HS_ARGS; i++)
                    dnnl_memory_destroy(c->variants[v].memory[i]);
            dnnl_primitive_destroy(c->variants[v].primitive);
        }
}

/* Cut the rows into bands, of all parts alike, and the bands into kinds. */
static hs_status hs_od_cut_bands(hs_od_planner *p, hs_od_conv *c, const hs_od_conv_spec *s) {
    const hs_shape *kernel = &hs_od_node(p, s->conv->input[1])->shape;
    int k = (int)kernel->dim[2], stride = s->conv->attr.conv.stride;
    int64_t in_c = hs_od_node(p, s->conv->input[0])->shape.dim[1];
    int64_t macs = s->out_c * s->out_h * s->out_w * in_c * kernel->dim[2] * kernel->dim[3];
    int64_t want =
        macs < HS_BAND_MACS / 16 ? 1 : 2 * ((macs + 2 * HS_BAND_MACS - 1) / (2 * HS_BAND_MACS));
    if (want > HS_MAX_BANDS)
        want = HS_MAX_BANDS;
    if (want > s->out_h)
        want = s->out_h;
    int rows = (int)((s->out_h + want - 1) / want);
    c->band_count = (int)((s->out_h + rows - 1) / rows);
    c->bands = hs_arena_alloc(&p->exec->memory, (size_t)c->band_count, sizeof *c->bands);
    c->variants = hs_arena_alloc(&p->exec->memory, (size_t)c->band_count, sizeof *c->variants);
    if (!c->bands || !c->variants)
        return hs_fail_memory(p->err, (size_t)c->band_count * sizeof *c->variants);
    for (int b = 0; b < c->band_count; b++) {
        int first = b * rows;
        hs_od_variant v = {.rows = rows};
        if (first + rows > s->out_h)
            v.rows = (int)s->out_h - first;
        int begin = first * stride - s->pad_top;
        int end = (first + v.rows - 1) * stride - s->pad_top + k;
        v.pad_top = begin < 0 ? -begin : 0;
        v.pad_bottom = end > s->in_h ? end - (int)s->in_h : 0;
        begin += v.pad_top;
        end -= v.pad_bottom;
        v.in_rows = end - begin;
        int same = 0;
        while (same < c->variant_count &&
               memcmp(&c->variants[same], &v, offsetof(hs_od_variant, primitive)))
            same++;
        if (same == c->variant_count)
            c->variants[c->variant_count++] = v;
        c->bands[b] = (hs_od_band){same, first, begin};
    }
    return HS_OK;
}

/* The shapes of one kind of band. */
typedef struct hs_od_conv_md {
    dnnl_memory_desc_t src, weights, bias, dst; /* weights: any layout */
} hs_od_conv_md;

static hs_status hs_od_conv_shapes(hs_od_planner *p, const hs_od_conv_spec *s,
                                   const hs_od_variant *v, hs_od_conv_md *md) {
    hs_error *err = p->err;
    hs_status status = HS_OK;
    const hs_shape *kernel = &hs_od_node(p, s->conv->input[1])->shape;
    dnnl_dims_t src = {1, s->in_c, v->in_rows, s->in_w}, dst = {1, s->out_c, v->rows, s->out_w};
    dnnl_dims_t weights = {s->out_c, s->in_c, kernel->dim[2], kernel->dim[3]}, bias = {s->out_c};
    HS_DNNL(dnnl_memory_desc_init_by_tag(&md->src, 4, src, dnnl_f32, dnnl_nhwc), "conv2d");
    HS_DNNL(dnnl_memory_desc_init_by_tag(&md->dst, 4, dst, dnnl_f32, dnnl_nhwc), "conv2d");
    HS_DNNL(dnnl_memory_desc_init_by_tag(&md->bias, 1, bias, dnnl_f32, dnnl_a), "conv2d");
    HS_DNNL(dnnl_memory_desc_init_by_tag(&md->weights, 4, weights, dnnl_f32, dnnl_format_tag_any),
            "conv2d");
cleanup:
    return status;
}

/* oneDNN's choice for one kind of band; `weights` NULL: it chooses their layout. */
static hs_status hs_od_conv_pd(hs_od_planner *p, const hs_od_conv_spec *s, const hs_od_variant *v,
                               const hs_od_conv_md *md, const dnnl_memory_desc_t *weights,
                               dnnl_primitive_desc_t *out) {
    hs_error *err = p->err;
    hs_status status = HS_OK;
    int stride = s->conv->attr.conv.stride;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_dims_t strides = {stride, stride};
    dnnl_dims_t pad_l = {v->pad_top, s->pad_left}, pad_r = {v->pad_bottom, s->pad_right};
    dnnl_convolution_desc_t desc;
    HS_DNNL(dnnl_convolution_forward_desc_init(
                &desc, dnnl_forward_inference, dnnl_convolution_direct, &md->src,
                weights ? weights : &md->weights, s->bias ? &md->bias : NULL, &md->dst, strides,
                pad_l, pad_r),
            "conv2d");
    HS_DNNL(dnnl_primitive_attr_create(&attr), "conv2d");
    HS_DNNL(dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user), "conv2d");
    HS_DNNL(dnnl_primitive_desc_create(out, &desc, attr, p->exec->engine, NULL), "conv2d");
cleanup:
    dnnl_primitive_attr_destroy(attr);
    return status;
}

/* oneDNN's plain loops, hundreds of times slower: it takes them where the
 * layout of the weights is not the one that its kernel wants. */
static bool hs_od_is_slow(dnnl_primitive_desc_t pd) {
    const char *name = NULL;
    return dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &name) == dnnl_success &&
           name && !strncmp(name, "ref", 3);
}

/* Does the kind of band run well with weights in this layout? */
static bool hs_od_accepts(hs_od_planner *p, const hs_od_conv_spec *s, const hs_od_variant *v,
                          const dnnl_memory_desc_t *weights) {
    hs_od_conv_md md;
    dnnl_primitive_desc_t pd = NULL;
    hs_error ignored;
    hs_od_planner quiet = *p;
    quiet.err = &ignored;
    bool fine = hs_od_conv_shapes(&quiet, s, v, &md) == HS_OK &&
                hs_od_conv_pd(&quiet, s, v, &md, weights, &pd) == HS_OK && !hs_od_is_slow(pd);
    dnnl_primitive_desc_destroy(pd);
    return fine;
}

/*
 * A layout of the weights in which every kind of band runs well: the first one
 * that some kind chooses and all accept. The most frequent kind asks first.
 * Without one (*common false) each kind gets weights of its own.
 */
static hs_status hs_od_common_layout(hs_od_planner *p, const hs_od_conv *c,
                                     const hs_od_conv_spec *s, dnnl_memory_desc_t *weights,
                                     bool *common) {
    int first = c->bands[c->band_count / 2].variant;
    *common = false;
    for (int i = 0; i < c->variant_count && !*common; i++) {
        const hs_od_variant *asks = &c->variants[(first + i) % c->variant_count];
        hs_od_conv_md md;
        dnnl_primitive_desc_t pd = NULL;
        HS_TRY(hs_od_conv_shapes(p, s, asks, &md));
        HS_TRY(hs_od_conv_pd(p, s, asks, &md, NULL, &pd));
        *weights = *dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
        bool slow = hs_od_is_slow(pd);
        dnnl_primitive_desc_destroy(pd);
        *common = true;
        for (int k = 0; k < c->variant_count && *common; k++)
            *common = slow || hs_od_accepts(p, s, &c->variants[k], weights);
    }
    return HS_OK;
}

static hs_status hs_od_make_variant(hs_od_planner *p, const hs_od_conv *c, const hs_od_conv_spec *s,
                                    hs_od_variant *v, const dnnl_memory_desc_t *weights) {
    hs_error *err = p->err;
    hs_status status;
    hs_od_conv_md shapes;
    dnnl_primitive_desc_t pd = NULL;
    HS_CHECK(hs_od_conv_shapes(p, s, v, &shapes));
    HS_CHECK(hs_od_conv_pd(p, s, v, &shapes, weights, &pd));
    HS_DNNL(dnnl_primitive_create(&v->primitive, pd), "conv2d");
    const dnnl_memory_desc_t *own = dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
    const dnnl_memory_desc_t *scratch =
        dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    hs_od_need_scratch(p, c->band_bytes + (int64_t)dnnl_memory_desc_get_size(scratch));
    HS_CHECK(hs_od_weight_conv(p, s->conv->input[1], s->first, s->channels, s->adjoint, own,
                               &v->weights));
    const dnnl_memory_desc_t *md[HS_ARGS] = {&shapes.src, own, s->bias ? &shapes.bias : NULL,
                                             &shapes.dst, scratch->ndims ? scratch : NULL};
    v->memory = hs_arena_alloc(&p->exec->memory, (size_t)c->threads * HS_ARGS, sizeof *v->memory);
    if (!v->memory) {
        status = hs_fail_memory(err, (size_t)c->threads * HS_ARGS * sizeof *v->memory);
        goto cleanup;
    }
    for (int i = 0; i < c->threads * HS_ARGS; i++)
        if (md[i % HS_ARGS])
            HS_DNNL(dnnl_memory_create(&v->memory[i], md[i % HS_ARGS], p->exec->engine,
                                       DNNL_MEMORY_NONE),
                    "conv2d");
cleanup:
    dnnl_primitive_desc_destroy(pd);
    return status;
}

static const char *hs_od_conv_kind(const hs_shape *kernel, int stride) {
    if (kernel->dim[2] == 1 && kernel->dim[3] == 1)
        return "conv2d 1x1";
    if (kernel->dim[2] == 3 && kernel->dim[3] == 3)
        return stride == 1 ? "conv2d 3x3, direct" : "conv2d 3x3, stride 2";
    return "conv2d";
}

/* The step of a convolution. */
static hs_status hs_od_new_conv(hs_od_planner *p, const hs_od_conv_spec *s, hs_od_conv **out) {
    hs_od_step *step;
    HS_TRY(hs_od_new_step(p, sizeof(hs_od_conv), hs_od_run_conv2d, s->value, &step));
    step->group = 1;
    step->destroy = hs_od_destroy_conv2d;
    step->kind =
        hs_od_conv_kind(&hs_od_node(p, s->conv->input[1])->shape, s->conv->attr.conv.stride);
    step->flops = 0;
    *out = (hs_od_conv *)step;
    return HS_OK;
}

static hs_status hs_od_more_conv(hs_od_planner *p, hs_od_conv *last, hs_od_conv **out) {
    *out = last->more = hs_arena_alloc(&p->exec->memory, 1, sizeof **out);
    return *out ? HS_OK : hs_fail_memory(p->err, sizeof **out);
}

/* One part of a convolution, or all of it. *first and *last are those of the step last added,
 * which does it with the parts before, or NULL: none does. */
static hs_status hs_od_one_conv(hs_od_planner *p, const hs_od_conv_spec *s, hs_od_place residual,
                                hs_od_place item_bias, hs_od_conv **first, hs_od_conv **last) {
    if (hs_od_is_narrow(p, s)) {
        *first = *last = NULL;
        return hs_od_plan_narrow(p, s, residual, item_bias);
    }
    if (*first) {
        HS_TRY(hs_od_more_conv(p, *last, last));
    } else {
        HS_TRY(hs_od_new_conv(p, s, first));
        *last = *first;
    }
    hs_od_conv *c = *last;
    const hs_shape *kernel = &hs_od_node(p, s->conv->input[1])->shape;
    c->threads = p->exec->threads;
    c->n = (int)hs_od_node(p, s->value)->shape.dim[0];
    (*first)->base.flops += 2.0 * c->n * (double)(s->out_c * s->out_h * s->out_w * s->in_c) *
                            (double)(kernel->dim[2] * kernel->dim[3]);
    c->src = hs_od_operand(p, s->src, c->n);
    c->dst = p->place[s->value];
    c->residual = residual;
    c->item_bias = item_bias;
    c->src_row = s->in_w * s->in_c;
    c->dst_row = s->out_w * s->out_c;
    c->out_c = (int)s->out_c;
    c->sums = -1;
    HS_TRY(hs_od_cut_bands(p, c, s));
    if (s->sum && residual.buffer < 0) { /* it is what dst holds */
        int64_t bytes = c->variants[c->bands[0].variant].rows * c->dst_row * (int64_t)sizeof(float);
        c->band_bytes = (bytes + HS_ALIGN - 1) / HS_ALIGN * HS_ALIGN;
        hs_od_need_scratch(p, c->band_bytes);
    }
    dnnl_memory_desc_t weights;
    bool common;
    HS_TRY(hs_od_common_layout(p, c, s, &weights, &common));
    for (int v = 0; v < c->variant_count; v++)
        HS_TRY(hs_od_make_variant(p, c, s, &c->variants[v], common ? &weights : NULL));
    if (s->bias && item_bias.buffer < 0)
        HS_TRY(hs_od_weight_plain(p, s->conv->input[2], &c->bias));
    hs_od_touch(p, c->src.buffer);
    hs_od_touch(p, c->dst.buffer);
    if (residual.buffer >= 0)
        hs_od_touch(p, residual.buffer);
    if (item_bias.buffer >= 0)
        hs_od_touch(p, item_bias.buffer);
    return HS_OK;
}

/* The step last added, `c`, leaves sums if a norm reads `value`. */
static hs_status hs_od_conv_sums(hs_od_planner *p, hs_value value, hs_od_conv *c) {
    int *pixels;
    HS_TRY(hs_od_new_tile_sums(p, value, c->band_count, &pixels, &c->sums));
    for (int b = 0; b < c->band_count && c->sums >= 0; b++)
        pixels[b] = (int)(c->variants[c->bands[b].variant].rows * c->dst_row / c->out_c);
    hs_od_need_scratch(p, 2 * c->out_c * (int64_t)sizeof(double));
    return HS_OK;
}

/* Sizes and padding; the adjoint's are those of the convolution that it is. */
static hs_od_conv_spec hs_od_conv_geometry(const hs_od_planner *p, hs_value value,
                                           hs_value conv_value) {
    const hs_node *conv = hs_od_node(p, conv_value);
    const hs_shape *in = &hs_od_node(p, conv->input[0])->shape, out = hs_od_shape(p, conv_value);
    const hs_shape *kernel = &hs_od_node(p, conv->input[1])->shape;
    hs_od_conv_spec s = {.value = value, .conv = conv};
    s.adjoint = conv->op == HS_OP_CONV2D_TRANSPOSE;
    s.pad_top = conv->attr.conv.pad_top;
    s.pad_left = conv->attr.conv.pad_left;
    s.pad_bottom = conv->attr.conv.pad_bottom;
    s.pad_right = conv->attr.conv.pad_right;
    s.in_c = in->dim[1];
    s.in_h = in->dim[2];
    s.in_w = in->dim[3];
    s.out_c = out.dim[1];
    s.out_h = out.dim[2];
    s.out_w = out.dim[3];
    if (s.adjoint) {
        int k_h = (int)kernel->dim[2], k_w = (int)kernel->dim[3];
        s.first = p->slice_first[conv_value];
        s.channels = (int)s.out_c;
        s.pad_top = k_h - 1 - s.pad_top;
        s.pad_left = k_w - 1 - s.pad_left;
        /* Rows of the input that no output used see only this much of the result. */
        s.pad_bottom = (int)(s.out_h + k_h - 1 - s.in_h - s.pad_top);
        s.pad_right = (int)(s.out_w + k_w - 1 - s.in_w - s.pad_left);
    }
    return s;
}

int hs_od_node_tile(const hs_od_planner *p, hs_value value) {
    hs_od_conv_spec s = hs_od_conv_geometry(p, value, value);
    return hs_od_winograd_tile(p, &s, s.in_c);
}

bool hs_od_node_loads_norm(const hs_od_planner *p, hs_value value) {
    const hs_od_conv_spec s = hs_od_conv_geometry(p, value, value);
    int tile = hs_od_winograd_tile(p, &s, s.in_c);
    return tile == 1 || (tile && hs_od_factors(p, s.in_c, s.out_c) == HS_FACTORS_FIXED);
}

/*
 * `value` is conv2d itself, add_channel(conv2d, linear) or add(conv2d, x), or the
 * same of conv2d_transpose; the absorbed convolution is fused[value].
 */
hs_status hs_od_plan_conv2d(hs_od_planner *p, hs_value value) {
    const hs_node *node = hs_od_node(p, value);
    hs_value conv_value = p->fused[value] == HS_NO_VALUE ? value : p->fused[value];
    const hs_node *conv = hs_od_node(p, conv_value);
    const hs_od_place none = {.buffer = -1};
    hs_od_place residual = none, item_bias = none;
    bool sum = false;
    if (node->op == HS_OP_ADD) {
        hs_value other = node->input[node->input[0] == conv_value];
        sum = true;
        if (hs_od_dies_here(p, other))
            p->place[value] = p->place[other]; /* add in place */
        else
            residual = hs_od_operand(p, other, (int)node->shape.dim[0]);
        hs_od_release(p, other);
    } else if (node->op == HS_OP_ADD_CHANNEL) {
        item_bias = p->place[node->input[1]];
        hs_od_release(p, node->input[1]);
    }
    if (p->place[value].buffer < 0)
        HS_TRY(hs_od_make_place(p, value));
    hs_od_conv_spec s = hs_od_conv_geometry(p, value, conv_value);
    s.sum = sum;
    s.upsample = hs_od_is_read_through(p, conv->input[0]);
    s.bias = (!s.adjoint && conv->input_count > 2) || item_bias.buffer >= 0;
    hs_value src = conv->input[0];
    bool loaded = p->loaded[src];
    hs_od_part parts[HS_MAX_INPUTS];
    int count = hs_od_parts(p, loaded ? hs_od_norm_source(p, src) : src, parts);
    int tile = hs_od_winograd_tile(p, &s, s.in_c);
    if (tile) {
        s.norm = p->norms[src];
        HS_TRY(hs_od_plan_winograd(p, &s, tile, parts, count, residual, item_bias));
        if (loaded)
            hs_od_release_inputs(p, src);
        hs_od_release(p, src);
        return HS_OK;
    }
    if (hs_od_is_fixed(p, &s)) {
        HS_TRY(hs_od_plan_fixed(p, &s, parts, count, residual, item_bias));
        hs_od_release(p, conv->input[0]);
        return HS_OK;
    }
    hs_od_conv *first = NULL, *last = NULL;
    if (s.adjoint) {
        s.src = conv->input[0];
        HS_TRY(hs_od_one_conv(p, &s, residual, item_bias, &first, &last));
        hs_od_release(p, conv->input[0]);
        return HS_OK;
    }
    for (int i = 0; i < count; i++) {
        s.src = parts[i].value;
        s.first = parts[i].first;
        s.in_c = s.channels = parts[i].channels;
        HS_TRY(hs_od_one_conv(p, &s, residual, item_bias, &first, &last));
        s.sum = true; /* the other parts add to the first */
        s.bias = false;
        residual = item_bias = none;
    }
    if (first)
        HS_TRY(hs_od_conv_sums(p, value, first));
    hs_od_release(p, conv->input[0]);
    return HS_OK;
}
