/*
 * Convolution by Winograd's method or tap by tap (kernels/winograd.h) as steps: one, or
 * two where something is prepared that all tasks share: the transformed input of an
 * item, or of several small ones, where tiles are few (of very few each thread makes all of it
 * for itself, in one step), and transformed weights that are not kept from pass to pass
 * (conv_table.c says which).
 *
 *   src [, src ...] --(prepare)--> v --(run)--> dst
 *   plain weights   --(prepare)--> u ---^
 *
 * Parts of a concatenation that is never made are summed in the products.
 */
#include "backends/onednn/conv2d.h"

typedef struct hs_od_winograd {
    hs_od_step base;
    int n;
    hs_winograd_plan plan;
    hs_od_place src[HS_WINOGRAD_PARTS];
    hs_od_winograd_weight weights[HS_WINOGRAD_PARTS];
    const float *data[HS_WINOGRAD_PARTS]; /* of the weights: transformed; if fresh, plain, or
                                             in bf16 where their factors are rounded */
    bool fresh;                           /* they are transformed in every pass, into u */
    const hs_od_norm *norm;               /* applied to the input while it is loaded, or NULL */
    int first[HS_WINOGRAD_PARTS];         /* channel of the whole input */
    hs_od_place dst, residual, item_bias; /* buffer -1: none */
    const float *bias;
    int sums;                 /* buffer [n, tiles, 2, out_c], or -1 */
    int v;                    /* buffer of v_floats: hs_od_winograd_v; or -1 */
    bool own_v;               /* each thread makes all of V for itself, in its scratch */
    int u[HS_WINOGRAD_PARTS]; /* buffers [panels, panel_floats], if fresh */
} hs_od_winograd;

typedef struct hs_od_prepare {
    hs_od_step base;
    const hs_od_winograd *conv; /* the step that follows */
} hs_od_prepare;

/* Pixels and eps themselves, the network's first and last convolution, stay float32. A
 * processor that multiplies neither kind of rounded factors faster takes longer with them,
 * so there bf16 is for what makes most of a large model's weights. */
#define HS_OD_FAST_CHANNELS 16
#define HS_OD_BF16_KERNELS (256 * 256)

/* Weights that would be made in every pass are kept, in the order of the network, while what
 * they take beyond what they are made from, float32 or bf16, is at most this share of the
 * model's float32. Made in a pass they are written by one thread and read by all. */
#define HS_OD_SPENT_SHARE 7

/* Making V takes as long as some 4 to 6 outputs for each of its tiles. For so many outputs a thread
 * beyond the first, each makes V for itself: that takes less than handing it over. */
#define HS_OD_OWN_OUTPUTS 64
#define HS_OD_OWN_TILES 16

hs_factors hs_od_factors(const hs_od_planner *p, int64_t in_c, int64_t out_c) {
    const hs_kernels *kernels = p->exec->kernels;
    if (!p->options->fast || in_c < HS_OD_FAST_CHANNELS || out_c < HS_OD_FAST_CHANNELS)
        return HS_FACTORS_F32;
    if (kernels->fixed)
        return HS_FACTORS_FIXED;
    return kernels->bf16 || in_c * out_c >= HS_OD_BF16_KERNELS ? HS_FACTORS_BF16 : HS_FACTORS_F32;
}

/* Kernels that tile 1 runs, where the processor multiplies matrices: all of a U-Net's. */
static bool hs_od_runs_by_taps(const hs_od_conv_spec *s, const hs_shape *kernel) {
    int side = (int)kernel->dim[2], stride = s->conv->attr.conv.stride;
    if (kernel->dim[3] != side || s->pad_top < 0 || s->pad_left < 0)
        return false;
    if (side == 1)
        return stride <= 2 && s->pad_top + s->pad_left == 0;
    if (side != 3 || s->pad_top > 1 || s->pad_left > 1)
        return false;
    return stride == 2 || (stride == 1 && s->pad_top == 1 && s->pad_left == 1 &&
                           s->pad_bottom == 1 && s->pad_right == 1);
}

int hs_od_winograd_tile(const hs_od_planner *p, const hs_od_conv_spec *s, int64_t in_c) {
    const hs_shape *kernel = &hs_od_node(p, s->conv->input[1])->shape;
    if (p->exec->kernels->matrices && hs_od_factors(p, in_c, s->out_c) == HS_FACTORS_BF16)
        return hs_od_runs_by_taps(s, kernel);
    if (kernel->dim[2] != 3 || kernel->dim[3] != 3 || s->conv->attr.conv.stride != 1 ||
        s->pad_top != 1 || s->pad_left != 1 || s->pad_bottom != 1 || s->pad_right != 1)
        return 0;
    return hs_od_conv_tile(p->exec->kernels, hs_od_factors(p, in_c, s->out_c), in_c, s->out_c,
                           s->out_h * s->out_w, p->largest_map);
}

/* V of a set of merged items. Where sets stay with their threads it lies among the pieces of its
 * first item, else one set behind the other. */
static float *hs_od_winograd_v(const hs_exec *exec, const hs_od_winograd *w, int set) {
    return hs_od_piece(exec, w->v, w->plan.by_items ? set * w->plan.merged : set);
}

/* The pointers of one item; V is that of the merged items which it belongs to. */
static hs_winograd_item hs_od_winograd_item(const hs_exec *exec, const hs_od_winograd *w,
                                            int item) {
    hs_winograd_item pointers = {.dst = hs_od_item(exec, w->dst, item), .bias = w->bias};
    for (int i = 0; i < w->plan.spec.part_count; i++) {
        pointers.src[i] = hs_od_item(exec, w->src[i], item);
        pointers.weights[i] = w->fresh ? hs_od_piece(exec, w->u[i], 0) : w->data[i];
    }
    if (w->item_bias.buffer >= 0)
        pointers.bias = hs_od_item(exec, w->item_bias, item);
    if (w->residual.buffer >= 0)
        pointers.residual = hs_od_item(exec, w->residual, item);
    if (w->sums >= 0)
        pointers.sums = hs_od_piece(exec, w->sums, item);
    if (w->v >= 0)
        pointers.v = hs_od_winograd_v(exec, w, item / w->plan.merged);
    return pointers;
}

/* Items that are computed together: the batch is cut into such sets. */
typedef struct hs_od_winograd_set {
    hs_winograd_item items[HS_WINOGRAD_MERGED];
    int count;
} hs_od_winograd_set;

static int hs_od_winograd_sets(const hs_od_winograd *w) {
    return (w->n + w->plan.merged - 1) / w->plan.merged;
}

static void hs_od_winograd_collect(const hs_exec *exec, const hs_od_winograd *w, int number,
                                   hs_od_winograd_set *set) {
    int first = number * w->plan.merged;
    set->count = w->n - first < w->plan.merged ? w->n - first : w->plan.merged;
    for (int i = 0; i < set->count; i++)
        set->items[i] = hs_od_winograd_item(exec, w, first + i);
}

static void hs_od_make_panel(const hs_exec *exec, const hs_od_winograd *w, int part, int panel) {
    const hs_od_winograd_weight *weight = &w->weights[part];
    hs_winograd_kernel kernel = weight->factors ? hs_od_winograd_half(weight, w->data[part])
                                                : hs_od_winograd_kernel(weight, w->data[part]);
    exec->kernels->winograd_weights(
        &kernel, panel, hs_od_piece(exec, w->u[part], 0) + panel * weight->panel_floats);
}

/* Where the lines of a norm lie, behind the scratch of the convolution: a x + b, of each of the
 * merged items a and then b. */
static int64_t hs_od_lines_floats(const hs_od_winograd *w) {
    return 2LL * w->plan.merged * w->plan.in_c;
}

/* What becomes of the pixels of a set, unless it is `ready` in the scratch of this rank. */
static void hs_od_load_norm(const hs_exec *exec, const hs_od_winograd *w, int rank,
                            hs_od_winograd_set *set, int number, int *ready) {
    float *scale = (float *)hs_od_scratch(exec, rank) + w->plan.scratch_floats;
    for (int k = 0; k < set->count; k++, scale += 2LL * w->plan.in_c) {
        float *shift = scale + w->plan.in_c;
        if (*ready != number)
            hs_od_norm_lines(exec, w->norm, number * w->plan.merged + k, scale, shift);
        for (int i = 0; i < w->plan.spec.part_count; i++) {
            set->items[k].scale[i] = scale + w->first[i];
            set->items[k].shift[i] = shift + w->first[i];
        }
    }
    *ready = number;
}

/* The sets of the window, which holds whole ones: the first of them; how many. */
static int hs_od_winograd_window(const hs_od_winograd *w, const hs_od_window *window, int *sets) {
    int first = window->count ? window->first / w->plan.merged : 0;
    int end = window->count ? window->first + window->count : w->n;
    *sets = (end + w->plan.merged - 1) / w->plan.merged - first;
    return first;
}

/* Panels of weights first, then groups of tiles. */
static void hs_od_run_prepare(const hs_exec *exec, const hs_od_step *step,
                              const hs_od_window *window, int rank) {
    const hs_od_winograd *w = ((const hs_od_prepare *)step)->conv;
    int panels = w->plan.panels, made = w->fresh ? w->plan.spec.part_count * panels : 0;
    int sets, first = hs_od_winograd_window(w, window, &sets), ready = -1;
    int loads = sets * w->plan.load_tasks;
    for (int task; (task = hs_team_next(window->team, made + loads)) >= 0;) {
        if (task < made) {
            hs_od_make_panel(exec, w, task / panels, task % panels);
            continue;
        }
        int load = first * w->plan.load_tasks + task - made;
        hs_od_winograd_set set;
        hs_od_winograd_collect(exec, w, load / w->plan.load_tasks, &set);
        if (w->norm)
            hs_od_load_norm(exec, w, rank, &set, load / w->plan.load_tasks, &ready);
        exec->kernels->winograd_load(&w->plan, load % w->plan.load_tasks, set.items, set.count,
                                     hs_od_scratch(exec, rank));
    }
}

/* V of a set, unless it is `ready`, in this rank's scratch. */
static void hs_od_load_own(const hs_exec *exec, const hs_od_winograd *w, int rank,
                           hs_od_winograd_set *set, int number, int *ready) {
    const hs_winograd_plan *plan = &w->plan;
    float *scratch = hs_od_scratch(exec, rank);
    set->items[0].v = scratch + plan->scratch_floats - plan->v_floats;
    if (*ready == number)
        return;
    if (w->norm)
        hs_od_load_norm(exec, w, rank, set, number, ready);
    for (int load = 0; load < plan->load_tasks; load++)
        exec->kernels->winograd_load(plan, load, set->items, set->count, scratch);
    *ready = number;
}

/* Neighbouring tasks share weights where V is shared, and pixels elsewhere. */
static void hs_od_run_winograd(const hs_exec *exec, const hs_od_step *step,
                               const hs_od_window *window, int rank) {
    const hs_od_winograd *w = (const hs_od_winograd *)step;
    int sets, first = hs_od_winograd_window(w, window, &sets), tasks = w->plan.task_count,
              ready = -1;
    for (int task; (task = hs_team_next(window->team, sets * tasks)) >= 0;) {
        bool shared = w->v >= 0;
        bool across = shared && !w->plan.by_items;
        int number = first + (across ? task % sets : task / tasks);
        hs_od_winograd_set set;
        hs_od_winograd_collect(exec, w, number, &set);
        if (w->own_v)
            hs_od_load_own(exec, w, rank, &set, number, &ready);
        else if (w->norm && !shared)
            hs_od_load_norm(exec, w, rank, &set, number, &ready);
        exec->kernels->winograd_run(&w->plan, across ? task / sets : task % tasks, set.items,
                                    set.count, hs_od_scratch(exec, rank));
    }
}

static void hs_od_cut_winograd(hs_od_planner *p, const hs_od_conv_spec *s, int tile,
                               const hs_od_part *parts, int count, hs_od_winograd *w) {
    hs_winograd_spec spec = {.items = w->n,
                             .threads = p->exec->threads,
                             .h = (int)s->out_h,
                             .w = (int)s->out_w,
                             .tile = tile};
    if (tile == 1) {
        const hs_shape *kernel = &hs_od_node(p, s->conv->input[1])->shape;
        spec.side = (int)kernel->dim[2];
        spec.stride = s->conv->attr.conv.stride;
        spec.pad_top = s->pad_top;
        spec.pad_left = s->pad_left;
        spec.in_h = (int)s->in_h;
        spec.in_w = (int)s->in_w;
    }
    spec.normed = s->norm != NULL;
    spec.silu = s->norm && hs_od_norm_is_silu(s->norm);
    spec.out_c = (int)s->out_c;
    spec.upsample = s->upsample;
    spec.part_count = count;
    for (int i = 0; i < count; i++)
        spec.part_c[i] = parts[i].channels;
    spec.factors = hs_od_factors(p, s->in_c, s->out_c);
    spec.late = tile > 1 && hs_od_conv_late(p->exec->kernels, spec.factors, s->in_c, s->out_c,
                                            s->out_h * s->out_w, p->largest_map, w->n);
    p->exec->kernels->winograd_make(&spec, &w->plan);
    int64_t floats = w->plan.scratch_floats + (s->norm ? hs_od_lines_floats(w) : 0);
    hs_od_need_scratch(p, floats * (int64_t)sizeof(float));
}

/* What the step that reads the input reads; it was just added. */
static void hs_od_touch_input(hs_od_planner *p, const hs_od_winograd *w) {
    for (int i = 0; i < w->plan.spec.part_count; i++)
        hs_od_touch(p, w->src[i].buffer);
    if (w->norm)
        hs_od_touch_norm(p, w->norm);
}

/* What the convolution itself reads and writes besides; it was just added. */
static void hs_od_touch_winograd(hs_od_planner *p, const hs_od_winograd *w) {
    for (int i = 0; i < w->plan.spec.part_count && w->fresh; i++)
        hs_od_touch(p, w->u[i]);
    hs_od_touch(p, w->dst.buffer);
    if (w->sums >= 0)
        hs_od_touch(p, w->sums);
    if (w->v >= 0)
        hs_od_touch(p, w->v);
    if (w->residual.buffer >= 0)
        hs_od_touch(p, w->residual.buffer);
    if (w->item_bias.buffer >= 0)
        hs_od_touch(p, w->item_bias.buffer);
}

/* May `bytes` more be spent on weights that need not be made in every pass? */
static bool hs_od_afford(hs_od_planner *p, int64_t bytes) {
    if (p->spent_bytes + bytes > p->weight_bytes / HS_OD_SPENT_SHARE)
        return false;
    p->spent_bytes += bytes;
    return true;
}

/* The shares of the weights, and whether they are made in every pass. */
static void hs_od_describe_weights(hs_od_planner *p, const hs_od_conv_spec *s,
                                   const hs_od_part *parts, hs_od_winograd *w) {
    const hs_shape *kernel = &hs_od_node(p, s->conv->input[1])->shape;
    int64_t bytes = 0, kernel_values = hs_shape_count(kernel);
    for (int i = 0; i < w->plan.spec.part_count; i++) {
        w->weights[i] = (hs_od_winograd_weight){
            .tile = w->plan.spec.tile,
            .taps = (int)(kernel->dim[2] * kernel->dim[3]),
            .factors = w->plan.spec.factors,
            .panels = w->plan.panels,
            .panel = w->plan.panel,
            .panel_floats = w->plan.panel_floats[i],
            .outputs = kernel->dim[0],
            .inputs = kernel->dim[1],
            .first = s->adjoint ? s->first : parts[i].first,
            .channels = s->adjoint ? s->channels : parts[i].channels,
            .adjoint = s->adjoint,
            .late = w->plan.spec.late,
        };
        bytes += w->plan.panels * w->plan.panel_floats[i] * (int64_t)sizeof(float);
    }
    w->fresh = hs_od_conv_fresh(&w->plan.spec, (int64_t)w->plan.tiles_x * w->plan.tiles_y, bytes,
                                p->weight_bytes);
    int64_t value_bytes = w->plan.spec.factors ? 2 : (int64_t)sizeof(float);
    if (w->fresh && w->plan.spec.factors != HS_FACTORS_BF16)
        w->fresh = !hs_od_afford(p, bytes - value_bytes * kernel_values);
}

static hs_status hs_od_want_weights(hs_od_planner *p, const hs_od_conv_spec *s, hs_od_winograd *w) {
    for (int i = 0; i < w->plan.spec.part_count; i++)
        if (w->fresh && w->weights[i].factors)
            HS_TRY(hs_od_weight_half(p, s->conv->input[1], &w->data[i]));
        else if (w->fresh)
            HS_TRY(hs_od_weight_plain(p, s->conv->input[1], &w->data[i]));
        else
            HS_TRY(hs_od_weight_winograd(p, s->conv->input[1], &w->weights[i], &w->data[i]));
    return HS_OK;
}

/* By factors, tile and whether it is the step before. */
static const char *hs_od_winograd_kind(const hs_winograd_spec *spec, bool prepared) {
#define HS_KIND(name)                                                                              \
    { name, name ", prepared" }
    static const char *const others[2][2] = {HS_KIND("conv2d 1x1, bf16"),
                                             HS_KIND("conv2d 3x3, stride 2, bf16")};
    if (spec->tile == 1 && (spec->side == 1 || spec->stride == 2))
        return others[spec->side == 3][prepared];
    static const char *const kinds[3][4][2] = {
        {HS_KIND("conv2d 3x3"), HS_KIND("conv2d 3x3, Winograd 2"),
         HS_KIND("conv2d 3x3, Winograd 4"), HS_KIND("conv2d 3x3, Winograd 6")},
        {HS_KIND("conv2d 3x3, bf16"), HS_KIND("conv2d 3x3, Winograd 2, bf16"),
         HS_KIND("conv2d 3x3, Winograd 4, bf16"), HS_KIND("conv2d 3x3, Winograd 6, bf16")},
        {HS_KIND("conv2d 3x3, int16"), HS_KIND("conv2d 3x3, Winograd 2, int16"),
         HS_KIND("conv2d 3x3, Winograd 4, int16"), HS_KIND("conv2d 3x3, Winograd 6, int16")}};
    return kinds[spec->factors][spec->tile / 2][prepared];
}

/* The step that comes first, or NULL, and the buffers that it fills for `w`. */
static hs_status hs_od_plan_prepare(hs_od_planner *p, hs_value value, hs_od_winograd *w,
                                    hs_od_prepare **out) {
    hs_od_step *step;
    *out = NULL;
    w->v = -1;
    w->own_v = w->plan.load_tasks && !w->fresh && hs_od_winograd_sets(w) == 1 &&
               w->n * w->plan.tiles_x * w->plan.tiles_y <= HS_OD_OWN_TILES &&
               w->plan.spec.out_c >= HS_OD_OWN_OUTPUTS * (p->exec->threads - 1);
    if ((!w->plan.load_tasks || w->own_v) && !w->fresh)
        return HS_OK;
    HS_TRY(hs_od_new_step(p, sizeof(hs_od_prepare), hs_od_run_prepare, value, &step));
    step->kind = hs_od_winograd_kind(&w->plan.spec, true);
    step->group = w->fresh ? 0 : w->plan.merged;
    step->flops = 0; /* all in the next step */
    if (w->plan.load_tasks)
        HS_TRY(hs_od_new_buffer(p, w->plan.v_floats,
                                w->plan.by_items ? w->n : hs_od_winograd_sets(w), &w->v));
    for (int i = 0; i < w->plan.spec.part_count && w->fresh; i++)
        HS_TRY(hs_od_new_buffer(p, w->weights[i].panels * w->weights[i].panel_floats, 1, &w->u[i]));
    *out = (hs_od_prepare *)step;
    return HS_OK;
}

hs_status hs_od_new_tile_sums(hs_od_planner *p, hs_value value, int tiles, int **pixels, int *out) {
    hs_shape shape = hs_od_shape(p, value);
    *out = -1;
    if (!p->normed[value])
        return HS_OK;
    *pixels = hs_arena_alloc(&p->exec->memory, (size_t)tiles, sizeof **pixels);
    if (!*pixels)
        return hs_fail_memory(p->err, (size_t)tiles * sizeof **pixels);
    HS_TRY(hs_od_new_buffer(p, 2LL * tiles * shape.dim[1], (int)shape.dim[0], out));
    p->tile_sums[value] = (hs_od_tile_sums){*out, tiles, *pixels};
    return HS_OK;
}

static hs_status hs_od_plan_tile_sums(hs_od_planner *p, const hs_od_conv_spec *s,
                                      hs_od_winograd *w) {
    int tiles = w->plan.tiles_x * w->plan.tiles_y, *pixels;
    HS_TRY(hs_od_new_tile_sums(p, s->value, tiles, &pixels, &w->sums));
    for (int i = 0; i < tiles && w->sums >= 0; i++)
        pixels[i] = hs_winograd_tile_pixels(&w->plan, i);
    return HS_OK;
}

hs_status hs_od_plan_winograd(hs_od_planner *p, const hs_od_conv_spec *s, int tile,
                              const hs_od_part *parts, int count, hs_od_place residual,
                              hs_od_place item_bias) {
    hs_od_step *step;
    hs_od_prepare *prepare;
    hs_od_winograd w = {.n = (int)hs_od_node(p, s->value)->shape.dim[0],
                        .dst = p->place[s->value],
                        .norm = s->norm,
                        .residual = {.buffer = -1},
                        .item_bias = item_bias};
    hs_od_cut_winograd(p, s, tile, parts, count, &w);
    for (int i = 0; i < count; i++) {
        w.src[i] = hs_od_operand(p, parts[i].value, w.n);
        w.first[i] = parts[i].first;
    }
    if (s->sum)
        w.residual = residual.buffer >= 0 ? residual : w.dst;
    hs_od_describe_weights(p, s, parts, &w);
    HS_TRY(hs_od_plan_prepare(p, s->value, &w, &prepare));
    if (w.v >= 0)
        hs_od_touch_input(p, &w);
    HS_TRY(hs_od_new_step(p, sizeof w, hs_od_run_winograd, s->value, &step));
    if (w.v < 0)
        hs_od_touch_input(p, &w);
    step->kind = hs_od_winograd_kind(&w.plan.spec, false);
    step->group = w.fresh ? 0 : w.plan.merged;
    step->flops =
        2.0 * w.weights[0].taps * w.n * (double)(s->out_c * s->out_h * s->out_w * w.plan.in_c);
    w.base = *step;
    hs_od_winograd *placed = (hs_od_winograd *)step;
    *placed = w;
    HS_TRY(hs_od_plan_tile_sums(p, s, placed));
    if (prepare)
        prepare->conv = placed;
    hs_od_touch_winograd(p, placed);
    if (s->bias && item_bias.buffer < 0)
        HS_TRY(hs_od_weight_plain(p, s->conv->input[2], &placed->bias));
    return hs_od_want_weights(p, s, placed);
}
