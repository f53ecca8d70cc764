/*
 * Convolutions of few channels and few pixels, summed in double (kernels/narrow.c). Such
 * layers take a few microseconds whichever way they run, and the float32 sum of 9 c
 * products is what a small network's derivatives lose most digits to: its rounding is
 * several times that of the result.
 *
 * A task is a band of rows of one item. The rows of the input that a row of the result
 * reads are widened into scratch, with zeros around, so that the kernel asks nothing.
 */
#include <string.h>

#include "backends/onednn/conv2d.h"

#define HS_NARROW_CHANNELS 16     /* fewer than these, in or out */
#define HS_NARROW_MACS (1 << 18)  /* at most, of an item */
#define HS_NARROW_BAND_MACS 65536 /* of a task, about */

typedef struct hs_od_narrow {
    hs_od_step base;
    int n, bands, band_rows;
    int in_c, in_h, in_w, out_h, stride, pad_top, pad_left;
    hs_narrow_conv conv;
    hs_od_place src, dst, residual, item_bias; /* buffer -1: none */
} hs_od_narrow;

bool hs_od_is_narrow(const hs_od_planner *p, const hs_od_conv_spec *s) {
    const hs_shape *kernel = &hs_od_node(p, s->conv->input[1])->shape;
    if (s->in_c >= HS_NARROW_CHANNELS && s->out_c >= HS_NARROW_CHANNELS)
        return false;
    return s->out_c * s->out_h * s->out_w * s->in_c * kernel->dim[2] * kernel->dim[3] <=
           HS_NARROW_MACS;
}

/* Row y of the input, of `count` pixels from column -pad_left on. */
static void hs_od_widen_row(const hs_od_narrow *s, const float *src, int y, double *out) {
    int64_t width = s->conv.x_row, left = s->pad_left * s->in_c, count = s->in_w * s->in_c;
    memset(out, 0, (size_t)width * sizeof *out);
    if (y < 0 || y >= s->in_h)
        return;
    const float *row = src + y * count;
    for (int64_t i = 0; i < count && left + i < width; i++)
        out[left + i] = (double)row[i];
}

static void hs_od_run_narrow(const hs_exec *exec, const hs_od_step *step,
                             const hs_od_window *window, int rank) {
    const hs_od_narrow *s = (const hs_od_narrow *)step;
    double *x = hs_od_scratch(exec, rank);
    int64_t line = (int64_t)s->conv.pixels * s->conv.out_c;
    for (int task; (task = hs_od_next(window, s->n, s->bands)) >= 0;) {
        int item = task / s->bands, first = task % s->bands * s->band_rows;
        int end = first + s->band_rows < s->out_h ? first + s->band_rows : s->out_h;
        hs_narrow_conv conv = s->conv;
        if (s->item_bias.buffer >= 0)
            conv.bias = hs_od_item(exec, s->item_bias, item);
        const float *src = hs_od_item(exec, s->src, item), *residual = NULL;
        float *dst = hs_od_item(exec, s->dst, item);
        if (s->residual.buffer >= 0)
            residual = hs_od_item(exec, s->residual, item);
        for (int row = first; row < end; row++) {
            for (int k = 0; k < conv.rows; k++)
                hs_od_widen_row(s, src, row * s->stride - s->pad_top + k, x + k * conv.x_row);
            exec->kernels->narrow_conv(&conv, x, residual ? residual + row * line : NULL,
                                       dst + row * line);
        }
    }
}

static void hs_od_narrow_shape(const hs_od_planner *p, const hs_od_conv_spec *s,
                               hs_od_narrow *narrow) {
    const hs_shape *kernel = &hs_od_node(p, s->conv->input[1])->shape;
    int stride = s->conv->attr.conv.stride;
    narrow->in_c = (int)s->in_c;
    narrow->in_h = (int)s->in_h;
    narrow->in_w = (int)s->in_w;
    narrow->out_h = (int)s->out_h;
    narrow->stride = stride;
    narrow->pad_top = s->pad_top;
    narrow->pad_left = s->pad_left;
    narrow->conv.rows = (int)kernel->dim[2];
    narrow->conv.columns = (int)(kernel->dim[3] * s->in_c);
    narrow->conv.pixels = (int)s->out_w;
    narrow->conv.step = stride * (int)s->in_c;
    narrow->conv.x_row = ((s->out_w - 1) * stride + kernel->dim[3]) * s->in_c;
    narrow->conv.out_c = (int)s->out_c;
    int64_t row_macs = s->out_c * s->out_w * narrow->conv.rows * narrow->conv.columns;
    int64_t rows = (HS_NARROW_BAND_MACS + row_macs - 1) / row_macs;
    narrow->band_rows = (int)(rows < s->out_h ? rows : s->out_h);
    narrow->bands = (narrow->out_h + narrow->band_rows - 1) / narrow->band_rows;
}

/* In the order kh, kw, i, o. */
static hs_status hs_od_narrow_weights(hs_od_planner *p, const hs_od_conv_spec *s,
                                      const float **out) {
    hs_error *err = p->err;
    hs_status status = HS_OK;
    const hs_shape *kernel = &hs_od_node(p, s->conv->input[1])->shape;
    dnnl_dims_t dims = {s->out_c, s->in_c, kernel->dim[2], kernel->dim[3]};
    dnnl_memory_desc_t md;
    HS_DNNL(dnnl_memory_desc_init_by_tag(&md, 4, dims, dnnl_f32, dnnl_hwio), "conv2d");
    status = hs_od_weight_conv(p, s->conv->input[1], s->first, s->channels, s->adjoint, &md, out);
cleanup:
    return status;
}

hs_status hs_od_plan_narrow(hs_od_planner *p, const hs_od_conv_spec *s, hs_od_place residual,
                            hs_od_place item_bias) {
    hs_od_step *step;
    HS_TRY(hs_od_new_step(p, sizeof(hs_od_narrow), hs_od_run_narrow, s->value, &step));
    step->group = 1;
    hs_od_narrow *narrow = (hs_od_narrow *)step;
    step->kind = "conv2d, narrow";
    narrow->n = (int)hs_od_node(p, s->value)->shape.dim[0];
    hs_od_narrow_shape(p, s, narrow);
    step->flops = 2.0 * narrow->n * (double)(s->out_c * s->out_h * s->out_w) * narrow->conv.rows *
                  narrow->conv.columns;
    narrow->src = hs_od_operand(p, s->src, narrow->n);
    narrow->dst = p->place[s->value];
    narrow->residual = residual;
    if (s->sum && residual.buffer < 0)
        narrow->residual = narrow->dst;
    narrow->item_bias = item_bias;
    HS_TRY(hs_od_narrow_weights(p, s, &narrow->conv.weights));
    if (s->bias && item_bias.buffer < 0)
        HS_TRY(hs_od_weight_plain(p, s->conv->input[2], &narrow->conv.bias));
    hs_od_need_scratch(p, narrow->conv.rows * narrow->conv.x_row * (int64_t)sizeof(double));
    hs_od_touch(p, narrow->src.buffer);
    hs_od_touch(p, narrow->dst.buffer);
    if (residual.buffer >= 0)
        hs_od_touch(p, residual.buffer);
    if (item_bias.buffer >= 0)
        hs_od_touch(p, item_bias.buffer);
    return HS_OK;
}
