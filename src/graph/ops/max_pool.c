/*
 * max_pool: the largest value of each kernel x kernel window, padded with minus
 * infinity, as PyTorch's MaxPool2d without dilation and ceil_mode:
 *
 *   y[n,c,i,j] = max x[n,c, i s + a - p, j s + b - p],  0 <= a, b < kernel
 *
 * With m(i,j) the position of that value (the first of equal ones), the
 * derivative picks there: max_pool_tangent (x, v) is v at m(i,j), and
 * max_pool_cotangent (x, u) adds u(i,j) to m(i,j). They are each other's
 * adjoint. A NaN in a window is its maximum.
 */
#include <math.h>
#include <string.h>

#include "graph/ops/ops.h"

/* Output size along one axis; 0 where the kernel does not fit. */
static int64_t hs_pool_extent(const hs_node *node, int64_t in) {
    int64_t free_size = in + 2 * node->attr.pool.pad - node->attr.pool.kernel;
    return free_size < 0 ? 0 : free_size / node->attr.pool.stride + 1;
}

/* The shape that max_pool gives for x. */
static hs_status hs_pool_output(const hs_node *node, const hs_shape *x, hs_shape *out,
                                hs_error *err) {
    int kernel = node->attr.pool.kernel, stride = node->attr.pool.stride;
    int pad = node->attr.pool.pad;
    if (kernel < 1 || stride < 1)
        return hs_rule_fail(node, err, "kernel is %d and stride %d, expected at least 1", kernel,
                            stride);
    if (pad < 0 || pad > kernel / 2)
        return hs_rule_fail(node, err, "padding is %d, expected 0 to half of the kernel, %d", pad,
                            kernel / 2);
    *out = (hs_shape){4, {x->dim[0], x->dim[1]}};
    for (int axis = 2; axis < 4; axis++) {
        out->dim[axis] = hs_pool_extent(node, x->dim[axis]);
        if (out->dim[axis] < 1)
            return hs_rule_fail(node, err,
                                "x is %lld x %lld with padding %d, expected at least "
                                "the kernel, %d",
                                (long long)x->dim[2], (long long)x->dim[3], pad, kernel);
    }
    return HS_OK;
}

static hs_status hs_max_pool_shape(const hs_graph *graph, hs_node *node, hs_error *err) {
    HS_TRY(hs_rule_expect(graph, node, 0, "x", (hs_shape){4, {-1, -1, -1, -1}}, err));
    return hs_pool_output(node, hs_rule_input(graph, node, 0), &node->shape, err);
}

static hs_status hs_max_pool_tangent_shape(const hs_graph *graph, hs_node *node, hs_error *err) {
    HS_TRY(hs_rule_expect(graph, node, 0, "x", (hs_shape){4, {-1, -1, -1, -1}}, err));
    HS_TRY(hs_rule_primal(graph, node, 0, "x", 1, "the tangent", err));
    return hs_pool_output(node, hs_rule_input(graph, node, 1), &node->shape, err);
}

static hs_status hs_max_pool_cotangent_shape(const hs_graph *graph, hs_node *node, hs_error *err) {
    HS_TRY(hs_rule_expect(graph, node, 0, "x", (hs_shape){4, {-1, -1, -1, -1}}, err));
    const hs_shape *x = hs_rule_input(graph, node, 0), *u = hs_rule_input(graph, node, 1);
    hs_shape expected;
    HS_TRY(hs_pool_output(node, x, &expected, err));
    expected.dim[0] = x->dim[0] == 1 ? -1 : x->dim[0];
    HS_TRY(hs_rule_expect(graph, node, 1, "the cotangent", expected, err));
    node->shape = *x;
    node->shape.dim[0] = u->dim[0];
    return HS_OK;
}

/* Where in the plane [h,w] the largest value of window (i, j) is. */
static int64_t hs_pool_position(const hs_node *node, const double *plane, int64_t h, int64_t w,
                                int64_t i, int64_t j) {
    int64_t kernel = node->attr.pool.kernel;
    int64_t top = i * node->attr.pool.stride - node->attr.pool.pad;
    int64_t left = j * node->attr.pool.stride - node->attr.pool.pad;
    int64_t best = -1;
    for (int64_t y = top < 0 ? 0 : top; y < top + kernel && y < h; y++)
        for (int64_t x = left < 0 ? 0 : left; x < left + kernel && x < w; x++)
            if (best < 0 || plane[y * w + x] > plane[best] || isnan(plane[y * w + x]))
                best = y * w + x;
    return best;
}

/* Three in one: y from x (max_pool), dy from v, or dx from u. `pooled` is the
 * shape of what max_pool gives, with the rows of the result. */
static void hs_pool_planes(const hs_graph *graph, const hs_node *node, const hs_shape *pooled,
                           const double *x, const double *from, double *out) {
    const hs_shape *in = hs_rule_input(graph, node, 0);
    int64_t h = in->dim[2], w = in->dim[3], out_h = pooled->dim[2], out_w = pooled->dim[3];
    int64_t planes = in->dim[0] * in->dim[1], all = pooled->dim[0] * pooled->dim[1];
    bool scatter = node->op == HS_OP_MAX_POOL_COTANGENT;
    if (scatter)
        memset(out, 0, (size_t)hs_shape_count(&node->shape) * sizeof *out);
    for (int64_t p = 0; p < all; p++) { /* one row of x may serve all */
        const double *plane = x + p % planes * h * w;
        for (int64_t i = 0; i < out_h; i++)
            for (int64_t j = 0; j < out_w; j++) {
                int64_t at = p * h * w + hs_pool_position(node, plane, h, w, i, j);
                int64_t pooled_at = (p * out_h + i) * out_w + j;
                if (scatter)
                    out[at] += from[pooled_at];
                else
                    out[pooled_at] = from[at];
            }
    }
}

static void hs_max_pool_reference(const hs_graph *graph, const hs_node *node,
                                  const double *const *in, double *out, double *scratch) {
    hs_pool_planes(graph, node, &node->shape, in[0], in[0], out);
}

static void hs_max_pool_tangent_reference(const hs_graph *graph, const hs_node *node,
                                          const double *const *in, double *out, double *scratch) {
    hs_pool_planes(graph, node, &node->shape, in[0], in[1], out);
}

static void hs_max_pool_cotangent_reference(const hs_graph *graph, const hs_node *node,
                                            const double *const *in, double *out, double *scratch) {
    hs_pool_planes(graph, node, hs_rule_input(graph, node, 1), in[0], in[1], out);
}

static hs_status hs_max_pool_jvp(hs_graph *graph, hs_value value, const hs_value *v, hs_value *out,
                                 hs_error *err) {
    hs_node node = graph->nodes[value];
    return hs_emit2(graph, HS_OP_MAX_POOL_TANGENT, node.input[0], v[0], &node.attr, out, err);
}

static hs_status hs_max_pool_vjp(hs_graph *graph, hs_value value, hs_value u, unsigned wanted,
                                 hs_value *out, hs_error *err) {
    hs_node node = graph->nodes[value];
    hs_vjp_clear(out, 1);
    if (!(wanted & 1))
        return HS_OK;
    return hs_emit2(graph, HS_OP_MAX_POOL_COTANGENT, node.input[0], u, &node.attr, &out[0], err);
}

/* Of the two derivatives: the other one, at the same x. */
static hs_status hs_max_pool_adjoint(hs_graph *graph, hs_value value, hs_value u, unsigned wanted,
                                     hs_value *out, hs_error *err) {
    hs_node node = graph->nodes[value];
    hs_op adjoint =
        node.op == HS_OP_MAX_POOL_TANGENT ? HS_OP_MAX_POOL_COTANGENT : HS_OP_MAX_POOL_TANGENT;
    hs_vjp_clear(out, 2);
    return wanted & 2 ? hs_emit2(graph, adjoint, node.input[0], u, &node.attr, &out[1], err)
                      : HS_OK;
}

const hs_op_info hs_op_max_pool = {
    .name = "max_pool",
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = hs_max_pool_shape,
    .reference = hs_max_pool_reference,
    .differentiable = 1,
    .jvp = hs_max_pool_jvp,
    .vjp = hs_max_pool_vjp,
};

const hs_op_info hs_op_max_pool_tangent = {
    .name = "max_pool_tangent",
    .min_inputs = 2,
    .max_inputs = 2,
    .shape = hs_max_pool_tangent_shape,
    .reference = hs_max_pool_tangent_reference,
    .differentiable = 2,
    .jvp = hs_jvp_linear,
    .vjp = hs_max_pool_adjoint,
};

const hs_op_info hs_op_max_pool_cotangent = {
    .name = "max_pool_cotangent",
    .min_inputs = 2,
    .max_inputs = 2,
    .shape = hs_max_pool_cotangent_shape,
    .reference = hs_max_pool_cotangent_reference,
    .differentiable = 2,
    .jvp = hs_jvp_linear,
    .vjp = hs_max_pool_adjoint,
};
