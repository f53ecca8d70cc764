/*
 * conv2d: cross-correlation with zero padding, as PyTorch's.
 *
 *   y[n,o,y,x] = bias[o] + sum_{i,ky,kx} w[o,i,ky,kx] x[n,i, y s + ky - top, x s + kx - left]
 *
 * conv2d_transpose is its adjoint in x: the sum runs over the outputs in which
 * an input takes part. Neither is differentiated in its weights.
 */
#include <string.h>

#include "graph/ops/ops.h"

typedef struct hs_conv_size {
    int64_t n, in_c, in_h, in_w, out_c, out_h, out_w, kernel_h, kernel_w;
    int64_t stride, pad_top, pad_left;
} hs_conv_size;

/* Output size along one axis; less than 1 where the kernel does not fit. */
static int64_t hs_conv_extent(int64_t in, int before, int after, int64_t kernel, int stride) {
    int64_t free_size = in + before + after - kernel;
    return free_size < 0 ? 0 : free_size / stride + 1;
}

static hs_status hs_conv_check_attr(const hs_node *node, hs_error *err) {
    if (node->attr.conv.stride < 1)
        return hs_rule_fail(node, err, "stride is %d, expected at least 1", node->attr.conv.stride);
    if (node->attr.conv.pad_top < 0 || node->attr.conv.pad_left < 0 ||
        node->attr.conv.pad_bottom < 0 || node->attr.conv.pad_right < 0)
        return hs_rule_fail(node, err, "padding is %d, %d, %d, %d, expected none below 0",
                            node->attr.conv.pad_top, node->attr.conv.pad_left,
                            node->attr.conv.pad_bottom, node->attr.conv.pad_right);
    return HS_OK;
}

/* Height and width that conv2d gives for an input of in_h x in_w. */
static hs_status hs_conv_output(const hs_node *node, const hs_shape *w, int64_t in_h, int64_t in_w,
                                int64_t *out_h, int64_t *out_w, hs_error *err) {
    *out_h = hs_conv_extent(in_h, node->attr.conv.pad_top, node->attr.conv.pad_bottom, w->dim[2],
                            node->attr.conv.stride);
    *out_w = hs_conv_extent(in_w, node->attr.conv.pad_left, node->attr.conv.pad_right, w->dim[3],
                            node->attr.conv.stride);
    if (*out_h < 1 || *out_w < 1)
        return hs_rule_fail(node, err,
                            "kernel is %lld x %lld, expected at most the padded input, "
                            "%lld x %lld",
                            (long long)w->dim[2], (long long)w->dim[3],
                            (long long)in_h + node->attr.conv.pad_top + node->attr.conv.pad_bottom,
                            (long long)in_w + node->attr.conv.pad_left + node->attr.conv.pad_right);
    return HS_OK;
}

static hs_status hs_conv2d_shape(const hs_graph *graph, hs_node *node, hs_error *err) {
    HS_TRY(hs_conv_check_attr(node, err));
    HS_TRY(hs_rule_expect(graph, node, 0, "x", (hs_shape){4, {-1, -1, -1, -1}}, err));
    const hs_shape *x = hs_rule_input(graph, node, 0), *w = hs_rule_input(graph, node, 1);
    HS_TRY(hs_rule_expect(graph, node, 1, "weight", (hs_shape){4, {-1, x->dim[1], -1, -1}}, err));
    if (node->input_count == 3)
        HS_TRY(hs_rule_expect(graph, node, 2, "bias", (hs_shape){1, {w->dim[0]}}, err));
    node->shape = (hs_shape){4, {x->dim[0], w->dim[0]}};
    return hs_conv_output(node, w, x->dim[2], x->dim[3], &node->shape.dim[2], &node->shape.dim[3],
                          err);
}

static hs_status hs_conv2d_transpose_shape(const hs_graph *graph, hs_node *node, hs_error *err) {
    int64_t out_h, out_w;
    HS_TRY(hs_conv_check_attr(node, err));
    HS_TRY(hs_rule_expect(graph, node, 1, "weight", (hs_shape){4, {-1, -1, -1, -1}}, err));
    const hs_shape *u = hs_rule_input(graph, node, 0), *w = hs_rule_input(graph, node, 1);
    if (node->attr.conv.in_h < 1 || node->attr.conv.in_w < 1)
        return hs_rule_fail(node, err, "input size is %d x %d, expected at least 1 x 1",
                            node->attr.conv.in_h, node->attr.conv.in_w);
    HS_TRY(
        hs_conv_output(node, w, node->attr.conv.in_h, node->attr.conv.in_w, &out_h, &out_w, err));
    HS_TRY(hs_rule_expect(graph, node, 0, "u", (hs_shape){4, {-1, w->dim[0], out_h, out_w}}, err));
    node->shape = (hs_shape){4, {u->dim[0], w->dim[1], node->attr.conv.in_h, node->attr.conv.in_w}};
    return HS_OK;
}

static hs_conv_size hs_conv_size_of(const hs_node *node, const hs_shape *x, const hs_shape *w,
                                    const hs_shape *y) {
    return (hs_conv_size){
        .n = x->dim[0],
        .in_c = x->dim[1],
        .in_h = x->dim[2],
        .in_w = x->dim[3],
        .out_c = w->dim[0],
        .out_h = y->dim[2],
        .out_w = y->dim[3],
        .kernel_h = w->dim[2],
        .kernel_w = w->dim[3],
        .stride = node->attr.conv.stride,
        .pad_top = node->attr.conv.pad_top,
        .pad_left = node->attr.conv.pad_left,
    };
}

/* The outputs first <= o < end for which o * stride + offset lies in [0, in). */
static void hs_conv_range(int64_t in, int64_t out, int64_t stride, int64_t offset, int64_t *first,
                          int64_t *end) {
    *first = offset >= 0 ? 0 : (-offset + stride - 1) / stride;
    *end = in - 1 - offset < 0 ? 0 : (in - 1 - offset) / stride + 1;
    if (*end > out)
        *end = out;
}

/* One kernel tap between two planes: out += w x, or, adjoint, x += w out. */
static void hs_conv_tap(const hs_conv_size *s, int64_t ky, int64_t kx, double w, double *x,
                        double *out, bool adjoint) {
    int64_t y0, y1, x0, x1, dy = ky - s->pad_top, dx = kx - s->pad_left;
    hs_conv_range(s->in_h, s->out_h, s->stride, dy, &y0, &y1);
    hs_conv_range(s->in_w, s->out_w, s->stride, dx, &x0, &x1);
    for (int64_t y = y0; y < y1; y++) {
        double *restrict in_row = x + (y * s->stride + dy) * s->in_w + dx;
        double *restrict out_row = out + y * s->out_w;
        if (adjoint)
            for (int64_t j = x0; j < x1; j++)
                in_row[j * s->stride] += w * out_row[j];
        else if (s->stride == 1) /* apart, so that it vectorises */
            for (int64_t j = x0; j < x1; j++)
                out_row[j] += w * in_row[j];
        else
            for (int64_t j = x0; j < x1; j++)
                out_row[j] += w * in_row[j * s->stride];
    }
}

/* All taps between the planes of one image: x [in_c,in_h,in_w], out
 * [out_c,out_h,out_w]; one of the two is read, the other added to. */
static void hs_conv_image(const hs_conv_size *s, double *x, const double *w, double *out,
                          bool adjoint) {
    for (int64_t o = 0; o < s->out_c; o++)
        for (int64_t i = 0; i < s->in_c; i++)
            for (int64_t ky = 0; ky < s->kernel_h; ky++)
                for (int64_t kx = 0; kx < s->kernel_w; kx++)
                    hs_conv_tap(s, ky, kx,
                                w[((o * s->in_c + i) * s->kernel_h + ky) * s->kernel_w + kx],
                                x + i * s->in_h * s->in_w, out + o * s->out_h * s->out_w, adjoint);
}

static void hs_conv2d_reference(const hs_graph *graph, const hs_node *node, const double *const *in,
                                double *out, double *scratch) {
    hs_conv_size s = hs_conv_size_of(node, hs_rule_input(graph, node, 0),
                                     hs_rule_input(graph, node, 1), &node->shape);
    int64_t plane = s.out_h * s.out_w, image = s.in_c * s.in_h * s.in_w;
    for (int64_t n = 0; n < s.n; n++) {
        double *y = out + n * s.out_c * plane;
        for (int64_t j = 0; j < s.out_c * plane; j++)
            y[j] = node->input_count == 3 ? in[2][j / plane] : 0;
        /* the cast: hs_conv_tap reads x here and writes it for the adjoint */
        hs_conv_image(&s, (double *)in[0] + n * image, in[1], y, false);
    }
}

static void hs_conv2d_transpose_reference(const hs_graph *graph, const hs_node *node,
                                          const double *const *in, double *out, double *scratch) {
    hs_conv_size s = hs_conv_size_of(node, &node->shape, hs_rule_input(graph, node, 1),
                                     hs_rule_input(graph, node, 0));
    int64_t from = s.out_c * s.out_h * s.out_w, image = s.in_c * s.in_h * s.in_w;
    memset(out, 0, (size_t)(s.n * image) * sizeof *out);
    for (int64_t n = 0; n < s.n; n++)
        hs_conv_image(&s, out + n * image, in[1], (double *)in[0] + n * from, true);
}

static hs_status hs_conv2d_jvp(hs_graph *graph, hs_value value, const hs_value *v, hs_value *out,
                               hs_error *err) {
    hs_node node = graph->nodes[value]; /* the tangent has no bias */
    return hs_emit2(graph, HS_OP_CONV2D, v[0], node.input[1], &node.attr, out, err);
}

static hs_status hs_conv2d_vjp(hs_graph *graph, hs_value value, hs_value u, unsigned wanted,
                               hs_value *out, hs_error *err) {
    hs_node node = graph->nodes[value];
    const hs_shape *x = hs_rule_input(graph, &node, 0);
    hs_vjp_clear(out, node.input_count);
    if (!(wanted & 1))
        return HS_OK;
    node.attr.conv.in_h = (int)x->dim[2];
    node.attr.conv.in_w = (int)x->dim[3];
    return hs_emit2(graph, HS_OP_CONV2D_TRANSPOSE, u, node.input[1], &node.attr, &out[0], err);
}

static hs_status hs_conv2d_transpose_vjp(hs_graph *graph, hs_value value, hs_value u,
                                         unsigned wanted, hs_value *out, hs_error *err) {
    hs_node node = graph->nodes[value];
    hs_vjp_clear(out, node.input_count);
    if (!(wanted & 1))
        return HS_OK;
    return hs_emit2(graph, HS_OP_CONV2D, u, node.input[1], &node.attr, &out[0], err);
}

static int64_t hs_conv2d_macs(const hs_graph *graph, const hs_node *node) {
    const hs_shape *w = hs_rule_input(graph, node, 1);
    return hs_shape_count(&node->shape) * w->dim[1] * w->dim[2] * w->dim[3];
}

static int64_t hs_conv2d_transpose_macs(const hs_graph *graph, const hs_node *node) {
    const hs_shape *w = hs_rule_input(graph, node, 1);
    return hs_shape_count(hs_rule_input(graph, node, 0)) * w->dim[1] * w->dim[2] * w->dim[3];
}

const hs_op_info hs_op_conv2d = {
    .name = "conv2d",
    .min_inputs = 2,
    .max_inputs = 3,
    .shape = hs_conv2d_shape,
    .reference = hs_conv2d_reference,
    .differentiable = 1,
    .jvp = hs_conv2d_jvp,
    .vjp = hs_conv2d_vjp,
    .macs = hs_conv2d_macs,
};

const hs_op_info hs_op_conv2d_transpose = {
    .name = "conv2d_transpose",
    .min_inputs = 2,
    .max_inputs = 2,
    .shape = hs_conv2d_transpose_shape,
    .reference = hs_conv2d_transpose_reference,
    .differentiable = 1,
    .jvp = hs_jvp_linear,
    .vjp = hs_conv2d_transpose_vjp,
    .macs = hs_conv2d_transpose_macs,
};
