/*
 * Convolution 3x3 by Winograd's method (kernels/winograd.h) as steps: one, or
 * two where the transformed input of an item is made first and shared.
 *
 *   src [, src ...] --(load)--> v --(run)--> dst      few tiles: two steps
 *   src [, src ...] ----------(run)--------> dst      many tiles: one
 *
 * Parts of a concatenation that is never made are summed in the products.
 */
#include "backends/onednn/conv2d.h"

typedef struct hs_od_winograd {
    hs_od_step base;
    int n;
    hs_winograd_plan plan;
    hs_od_place src[HS_WINOGRAD_PARTS];
    const float *weights[HS_WINOGRAD_PARTS];
    hs_od_place dst, residual, item_bias; /* buffer -1: none */
    const float *bias;
    int v; /* buffer [n, v_floats], or -1 */
} hs_od_winograd;

int hs_od_winograd_tile(const hs_od_planner *p, const hs_od_conv_spec *s, int64_t in_c) {
    const hs_shape *kernel = &hs_od_node(p, s->conv->input[1])->shape;
    if (kernel->dim[2] != 3 || kernel->dim[3] != 3 || s->conv->attr.conv.stride != 1 ||
        s->pad_top != 1 || s->pad_left != 1 || s->pad_bottom != 1 || s->pad_right != 1)
        return 0;
    return hs_od_conv_tile(p->exec->kernels->isa, in_c, s->out_c, s->out_h, s->out_w);
}

static hs_winograd_item hs_od_winograd_item(const hs_exec *exec, const hs_od_winograd *w,
                                            int item) {
    hs_winograd_item pointers = {.dst = hs_od_item(exec, w->dst, item), .bias = w->bias};
    for (int i = 0; i < w->plan.spec.part_count; i++) {
        pointers.src[i] = hs_od_item(exec, w->src[i], item);
        pointers.weights[i] = w->weights[i];
    }
    if (w->item_bias.buffer >= 0)
        pointers.bias = hs_od_item(exec, w->item_bias, item);
    if (w->residual.buffer >= 0)
        pointers.residual = hs_od_item(exec, w->residual, item);
    if (w->v >= 0)
        pointers.v = hs_od_data(exec, w->v) + item * w->plan.v_floats;
    return pointers;
}

static void hs_od_run_winograd_load(const hs_exec *exec, const hs_od_step *step, hs_team *team,
                                    int rank) {
    const hs_od_winograd *w = (const hs_od_winograd *)step;
    for (int task; (task = hs_team_next(team, w->n * w->plan.load_tasks)) >= 0;) {
        hs_winograd_item item = hs_od_winograd_item(exec, w, task / w->plan.load_tasks);
        exec->kernels->winograd_load(&w->plan, task % w->plan.load_tasks, &item,
                                     hs_od_scratch(exec, rank));
    }
}

/* Neighbouring tasks share weights where V is shared, and pixels elsewhere. */
static void hs_od_run_winograd(const hs_exec *exec, const hs_od_step *step, hs_team *team,
                               int rank) {
    const hs_od_winograd *w = (const hs_od_winograd *)step;
    for (int task; (task = hs_team_next(team, w->n * w->plan.task_count)) >= 0;) {
        bool shared = w->v >= 0;
        int i = shared ? task % w->n : task / w->plan.task_count;
        hs_winograd_item item = hs_od_winograd_item(exec, w, i);
        exec->kernels->winograd_run(&w->plan, shared ? task / w->n : task % w->plan.task_count,
                                    &item, hs_od_scratch(exec, rank));
    }
}

static void hs_od_cut_winograd(hs_od_planner *p, const hs_od_conv_spec *s, int tile,
                               const hs_od_part *parts, int count, hs_winograd_plan *plan) {
    hs_winograd_spec spec = {.h = (int)s->out_h, .w = (int)s->out_w, .tile = tile};
    spec.out_c = (int)s->out_c;
    spec.upsample = s->upsample;
    spec.part_count = count;
    for (int i = 0; i < count; i++)
        spec.part_c[i] = parts[i].channels;
    p->exec->kernels->winograd_make(&spec, plan);
    hs_od_need_scratch(p, plan->scratch_floats * (int64_t)sizeof(float));
}

/* Fill in a step that was just added; it reads and writes all that it names. */
static void hs_od_fill_winograd(hs_od_planner *p, const hs_od_conv_spec *s,
                                const hs_winograd_plan *plan, const hs_od_part *parts,
                                hs_od_winograd *w) {
    w->n = (int)hs_od_node(p, s->value)->shape.dim[0];
    w->plan = *plan;
    w->dst = p->place[s->value];
    w->residual = w->item_bias = (hs_od_place){.buffer = -1};
    w->v = -1;
    for (int i = 0; i < plan->spec.part_count; i++) {
        w->src[i] = hs_od_operand(p, parts[i].value, w->n);
        hs_od_touch(p, w->src[i].buffer);
    }
    hs_od_touch(p, w->dst.buffer);
}

static hs_status hs_od_want_winograd_weights(hs_od_planner *p, const hs_od_conv_spec *s,
                                             const hs_od_part *parts, hs_od_winograd *w) {
    for (int i = 0; i < w->plan.spec.part_count; i++) {
        hs_od_winograd_weight want = {.tile = w->plan.spec.tile,
                                      .panels = w->plan.panels,
                                      .panel_floats = w->plan.panel_floats[i]};
        int first = s->adjoint ? s->first : parts[i].first;
        int channels = s->adjoint ? s->channels : parts[i].channels;
        HS_TRY(hs_od_weight_winograd(p, s->conv->input[1], first, channels, s->adjoint, &want,
                                     &w->weights[i]));
    }
    return HS_OK;
}

hs_status hs_od_plan_winograd(hs_od_planner *p, const hs_od_conv_spec *s, int tile,
                              const hs_od_part *parts, int count, hs_od_place residual,
                              hs_od_place item_bias) {
    hs_od_step *step;
    hs_winograd_plan plan;
    hs_od_cut_winograd(p, s, tile, parts, count, &plan);
    int v = -1;
    if (plan.load_tasks) {
        HS_TRY(hs_od_new_step(p, sizeof(hs_od_winograd), hs_od_run_winograd_load, s->value, &step));
        hs_od_winograd *load = (hs_od_winograd *)step;
        hs_od_fill_winograd(p, s, &plan, parts, load);
        HS_TRY(hs_od_new_buffer(p, load->n * plan.v_floats, &v));
        load->v = v;
        step->kind = tile == 4 ? "conv2d 3x3, Winograd 4, input" : "conv2d 3x3, Winograd 2, input";
        step->flops = 0; /* all in the next step */
    }
    HS_TRY(hs_od_new_step(p, sizeof(hs_od_winograd), hs_od_run_winograd, s->value, &step));
    hs_od_winograd *w = (hs_od_winograd *)step;
    hs_od_fill_winograd(p, s, &plan, parts, w);
    step->kind = tile == 4 ? "conv2d 3x3, Winograd 4" : "conv2d 3x3, Winograd 2";
    step->flops = 18.0 * w->n * (double)(s->out_c * s->out_h * s->out_w * plan.in_c);
    HS_TRY(hs_od_want_winograd_weights(p, s, parts, w));
    w->v = v;
    if (v >= 0)
        hs_od_touch(p, v);
    if (s->sum)
        w->residual = residual.buffer >= 0 ? residual : w->dst;
    if (w->residual.buffer >= 0)
        hs_od_touch(p, w->residual.buffer);
    w->item_bias = item_bias;
    if (item_bias.buffer >= 0)
        hs_od_touch(p, item_bias.buffer);
    else if (s->bias)
        HS_TRY(hs_od_weight_plain(p, s->conv->input[2], &w->bias));
    return HS_OK;
}
