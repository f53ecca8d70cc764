/*
 * Convolutions 1x1, 3x3 of stride 2, and of small maps, with fixed factors (kernels/conv_fixed.h),
 * as one step: --precision fast, on processors for which such factors are faster. Parts of a
 * concatenation that is never made are summed in the products.
 */
#include "backends/onednn/conv2d.h"

typedef struct hs_od_fixed {
    hs_od_step base;
    int n;
    hs_conv_fixed_plan plan;
    hs_od_place src[HS_WINOGRAD_PARTS];
    const float *weights[HS_WINOGRAD_PARTS];
    hs_od_place dst, residual, item_bias; /* buffer -1: none */
    const float *bias;
    int sums; /* buffer [n, units, 2, out_c], or -1 */
} hs_od_fixed;

static void hs_od_run_fixed(const hs_exec *exec, const hs_od_step *step, const hs_od_window *window,
                            int rank) {
    const hs_od_fixed *f = (const hs_od_fixed *)step;
    for (int task; (task = hs_od_next(window, f->n, f->plan.task_count)) >= 0;) {
        int number = task / f->plan.task_count;
        hs_winograd_item item = {.dst = hs_od_item(exec, f->dst, number), .bias = f->bias};
        for (int i = 0; i < f->plan.spec.part_count; i++) {
            item.src[i] = hs_od_item(exec, f->src[i], number);
            item.weights[i] = f->weights[i];
        }
        if (f->item_bias.buffer >= 0)
            item.bias = hs_od_item(exec, f->item_bias, number);
        if (f->residual.buffer >= 0)
            item.residual = hs_od_item(exec, f->residual, number);
        if (f->sums >= 0)
            item.sums = hs_od_piece(exec, f->sums, number);
        exec->kernels->conv_fixed_run(&f->plan, task % f->plan.task_count, &item,
                                      hs_od_scratch(exec, rank));
    }
}

bool hs_od_is_fixed(const hs_od_planner *p, const hs_od_conv_spec *s) {
    const hs_shape *kernel = &hs_od_node(p, s->conv->input[1])->shape;
    int64_t side = kernel->dim[2];
    return hs_od_factors(p, s->in_c, s->out_c) == HS_FACTORS_FIXED && !s->adjoint && !s->upsample &&
           kernel->dim[3] == side && (side == 1 || side == 3);
}

static hs_status hs_od_fixed_weights(hs_od_planner *p, const hs_od_conv_spec *s,
                                     const hs_od_part *parts, hs_od_fixed *f) {
    const hs_shape *kernel = &hs_od_node(p, s->conv->input[1])->shape;
    for (int i = 0; i < f->plan.spec.part_count; i++) {
        hs_od_winograd_weight weight = {.taps = (int)(kernel->dim[2] * kernel->dim[3]),
                                        .factors = HS_FACTORS_FIXED,
                                        .panels = f->plan.panels,
                                        .panel_floats = f->plan.panel_floats[i],
                                        .outputs = kernel->dim[0],
                                        .inputs = kernel->dim[1],
                                        .first = parts[i].first,
                                        .channels = parts[i].channels};
        HS_TRY(hs_od_weight_winograd(p, s->conv->input[1], &weight, &f->weights[i]));
    }
    if (s->bias && f->item_bias.buffer < 0)
        HS_TRY(hs_od_weight_plain(p, s->conv->input[2], &f->bias));
    return HS_OK;
}

static hs_status hs_od_fixed_sums(hs_od_planner *p, hs_value value, hs_od_fixed *f) {
    int units = f->plan.units, left = f->plan.spec.h * f->plan.spec.w, *pixels;
    HS_TRY(hs_od_new_tile_sums(p, value, units, &pixels, &f->sums));
    for (int i = 0; i < units && f->sums >= 0; i++, left -= HS_CONV_FIXED_UNIT)
        pixels[i] = left < HS_CONV_FIXED_UNIT ? left : HS_CONV_FIXED_UNIT;
    return HS_OK;
}

hs_status hs_od_plan_fixed(hs_od_planner *p, const hs_od_conv_spec *s, const hs_od_part *parts,
                           int count, hs_od_place residual, hs_od_place item_bias) {
    const hs_shape *kernel = &hs_od_node(p, s->conv->input[1])->shape;
    hs_od_step *step;
    HS_TRY(hs_od_new_step(p, sizeof(hs_od_fixed), hs_od_run_fixed, s->value, &step));
    step->group = 1;
    hs_od_fixed *f = (hs_od_fixed *)step;
    f->n = (int)hs_od_node(p, s->value)->shape.dim[0];
    f->dst = p->place[s->value];
    f->residual = s->sum && residual.buffer < 0 ? f->dst : residual;
    f->item_bias = item_bias;
    hs_conv_fixed_spec spec = {.items = f->n,
                               .threads = p->exec->threads,
                               .in_h = (int)s->in_h,
                               .in_w = (int)s->in_w,
                               .h = (int)s->out_h,
                               .w = (int)s->out_w,
                               .out_c = (int)s->out_c,
                               .side = (int)kernel->dim[2],
                               .stride = s->conv->attr.conv.stride,
                               .pad_top = s->pad_top,
                               .pad_left = s->pad_left,
                               .part_count = count};
    for (int i = 0; i < count; i++) {
        spec.part_c[i] = parts[i].channels;
        f->src[i] = hs_od_operand(p, parts[i].value, f->n);
        hs_od_touch(p, f->src[i].buffer);
    }
    p->exec->kernels->conv_fixed_make(&spec, &f->plan);
    hs_od_need_scratch(p, f->plan.scratch_floats * (int64_t)sizeof(float));
    step->kind = spec.side == 1     ? "conv2d 1x1, int16"
                 : spec.stride == 1 ? "conv2d 3x3, direct, int16"
                                    : "conv2d 3x3, stride 2, int16";
    step->flops = 2.0 * f->n * (double)(s->out_c * s->out_h * s->out_w * s->in_c) *
                  (double)(kernel->dim[2] * kernel->dim[3]);
    HS_TRY(hs_od_fixed_sums(p, s->value, f));
    hs_od_touch(p, f->dst.buffer);
    if (f->residual.buffer >= 0)
        hs_od_touch(p, f->residual.buffer);
    if (item_bias.buffer >= 0)
        hs_od_touch(p, item_bias.buffer);
    return hs_od_fixed_weights(p, s, parts, f);
}
