/*
 * attention: self-attention over the L = h w positions of q, k, v [n,c,h,w].
 * A head owns c / heads consecutive channels; with its q, k, v as [L,d],
 *
 *   S = scale q k^T,  P = softmax of S along the keys,  y = P v.
 *
 * Derivatives, with P [n,heads,L,L] computed once by attention_probs:
 *   tangent    dS = scale (dq k^T + q dk^T)
 *              dP = P o (dS - rowsum(P o dS))
 *              dy = dP v + P dv
 *   cotangent  dv = P^T u,  G = u v^T,  D = P o (G - rowsum(P o G))
 *              dq = scale D k,  dk = scale D^T q
 * Channels are the outer dimension of the feature maps, so every loop below
 * runs along the keys, in whose direction memory is contiguous.
 */
#include <math.h>
#include <string.h>

#include "graph/ops/ops.h"

typedef struct hs_heads {
    int64_t rows, heads, d, L; /* of the result; channels of one head; positions */
    double scale;
} hs_heads;

static hs_heads hs_heads_of(const hs_node *node, const hs_shape *x) {
    int64_t heads = node->attr.attention.heads;
    return (hs_heads){.rows = x->dim[0],
                      .heads = heads,
                      .d = x->dim[1] / heads,
                      .L = x->dim[2] * x->dim[3],
                      .scale = node->attr.attention.scale};
}

/* Inputs first ... first+count-1 have one shape, whose channels `heads` divides. */
static hs_status hs_attention_check(const hs_graph *graph, const hs_node *node, int count,
                                    hs_error *err) {
    static const char *const names[] = {"q", "k", "v"};
    HS_TRY(hs_rule_expect(graph, node, 0, "q", (hs_shape){4, {-1, -1, -1, -1}}, err));
    for (int i = 1; i < count; i++)
        HS_TRY(hs_rule_same(graph, node, 0, "q", i, names[i], err));
    int heads = node->attr.attention.heads;
    int64_t channels = hs_rule_input(graph, node, 0)->dim[1];
    if (heads < 1 || channels % heads)
        return hs_rule_fail(node, err, "heads is %d, expected a divisor of the %lld channels",
                            heads, (long long)channels);
    if (!isfinite(node->attr.attention.scale))
        return hs_rule_fail(node, err, "scale is %g, expected a finite number",
                            node->attr.attention.scale);
    return HS_OK;
}

static hs_status hs_attention_shape(const hs_graph *graph, hs_node *node, hs_error *err) {
    HS_TRY(hs_attention_check(graph, node, 3, err));
    return hs_shape_like_first(graph, node, err);
}

static hs_shape hs_probs_shape(const hs_node *node, const hs_shape *q) {
    int64_t L = q->dim[2] * q->dim[3];
    return (hs_shape){4, {q->dim[0], node->attr.attention.heads, L, L}};
}

static hs_status hs_attention_probs_shape(const hs_graph *graph, hs_node *node, hs_error *err) {
    HS_TRY(hs_attention_check(graph, node, 2, err));
    node->shape = hs_probs_shape(node, hs_rule_input(graph, node, 0));
    return HS_OK;
}

/* q, k, v, p of the tangent and cotangent ops. */
static hs_status hs_attention_check_primal(const hs_graph *graph, const hs_node *node,
                                           hs_error *err) {
    HS_TRY(hs_attention_check(graph, node, 3, err));
    return hs_rule_expect(graph, node, 3, "p", hs_probs_shape(node, hs_rule_input(graph, node, 0)),
                          err);
}

static hs_status hs_attention_tangent_shape(const hs_graph *graph, hs_node *node, hs_error *err) {
    HS_TRY(hs_attention_check_primal(graph, node, err));
    HS_TRY(hs_rule_primal(graph, node, 0, "q", 4, "dq", err));
    HS_TRY(hs_rule_same(graph, node, 4, "dq", 5, "dk", err));
    HS_TRY(hs_rule_same(graph, node, 4, "dq", 6, "dv", err));
    node->shape = *hs_rule_input(graph, node, 4);
    return HS_OK;
}

static hs_status hs_attention_cotangent_shape(const hs_graph *graph, hs_node *node, hs_error *err) {
    HS_TRY(hs_attention_check_primal(graph, node, err));
    HS_TRY(hs_rule_primal(graph, node, 0, "q", 4, "u", err));
    if (node->attr.attention.which < 0 || node->attr.attention.which > 2)
        return hs_rule_fail(node, err, "which is %d, expected 0 (q), 1 (k) or 2 (v)",
                            node->attr.attention.which);
    node->shape = *hs_rule_input(graph, node, 4);
    return HS_OK;
}

/* row[j] += factor * sum_c a[c,i] b[c,j]: position i against all positions. */
static void hs_attention_scores(const hs_heads *s, const double *a, int64_t i, const double *b,
                                double factor, double *restrict row) {
    for (int64_t c = 0; c < s->d; c++) {
        double weight = factor * a[c * s->L + i];
        const double *restrict other = b + c * s->L;
        for (int64_t j = 0; j < s->L; j++)
            row[j] += weight * other[j];
    }
}

/* out[c,i] += factor * sum_j row[j] x[c,j] */
static void hs_attention_gather(const hs_heads *s, const double *row, const double *x,
                                double factor, int64_t i, double *out) {
    for (int64_t c = 0; c < s->d; c++) {
        double sum = 0;
        for (int64_t j = 0; j < s->L; j++)
            sum += row[j] * x[c * s->L + j];
        out[c * s->L + i] += factor * sum;
    }
}

/* out[c,j] += factor * row[j] x[c,i]: the adjoint of gather in its position. */
static void hs_attention_scatter(const hs_heads *s, const double *row, const double *x,
                                 double factor, int64_t i, double *restrict out) {
    for (int64_t c = 0; c < s->d; c++) {
        double weight = factor * x[c * s->L + i];
        for (int64_t j = 0; j < s->L; j++)
            out[c * s->L + j] += weight * row[j];
    }
}

static void hs_softmax(double *row, int64_t count) {
    double largest = -INFINITY, sum = 0;
    for (int64_t j = 0; j < count; j++)
        largest = row[j] > largest ? row[j] : largest;
    for (int64_t j = 0; j < count; j++)
        sum += row[j] = exp(row[j] - largest);
    for (int64_t j = 0; j < count; j++)
        row[j] /= sum;
}

/* row = p o (row - <p, row>): the softmax's derivative, which is symmetric. */
static void hs_softmax_derivative(const double *p, double *row, int64_t count) {
    double sum = 0;
    for (int64_t j = 0; j < count; j++)
        sum += p[j] * row[j];
    for (int64_t j = 0; j < count; j++)
        row[j] = p[j] * (row[j] - sum);
}

static void hs_attention_reference(const hs_graph *graph, const hs_node *node,
                                   const double *const *in, double *out, double *scratch) {
    hs_heads s = hs_heads_of(node, &node->shape);
    memset(out, 0, (size_t)hs_shape_count(&node->shape) * sizeof *out);
    for (int64_t head = 0; head < s.rows * s.heads; head++) {
        int64_t at = head * s.d * s.L;
        for (int64_t i = 0; i < s.L; i++) {
            memset(scratch, 0, (size_t)s.L * sizeof *scratch);
            hs_attention_scores(&s, in[0] + at, i, in[1] + at, s.scale, scratch);
            hs_softmax(scratch, s.L);
            hs_attention_gather(&s, scratch, in[2] + at, 1, i, out + at);
        }
    }
}

static void hs_attention_probs_reference(const hs_graph *graph, const hs_node *node,
                                         const double *const *in, double *out, double *scratch) {
    hs_heads s = hs_heads_of(node, hs_rule_input(graph, node, 0));
    memset(out, 0, (size_t)hs_shape_count(&node->shape) * sizeof *out);
    for (int64_t head = 0; head < s.rows * s.heads; head++)
        for (int64_t i = 0; i < s.L; i++) {
            int64_t at = head * s.d * s.L;
            double *row = out + (head * s.L + i) * s.L;
            hs_attention_scores(&s, in[0] + at, i, in[1] + at, s.scale, row);
            hs_softmax(row, s.L);
        }
}

static void hs_attention_tangent_reference(const hs_graph *graph, const hs_node *node,
                                           const double *const *in, double *out, double *scratch) {
    hs_heads s = hs_heads_of(node, &node->shape);
    bool one_row = hs_rule_input(graph, node, 0)->dim[0] == 1;
    memset(out, 0, (size_t)hs_shape_count(&node->shape) * sizeof *out);
    for (int64_t head = 0; head < s.rows * s.heads; head++) {
        int64_t primal = one_row ? head % s.heads : head;
        int64_t at = head * s.d * s.L, from = primal * s.d * s.L;
        for (int64_t i = 0; i < s.L; i++) {
            const double *p = in[3] + (primal * s.L + i) * s.L;
            memset(scratch, 0, (size_t)s.L * sizeof *scratch);
            hs_attention_scores(&s, in[4] + at, i, in[1] + from, s.scale, scratch);
            hs_attention_scores(&s, in[0] + from, i, in[5] + at, s.scale, scratch);
            hs_softmax_derivative(p, scratch, s.L);
            hs_attention_gather(&s, scratch, in[2] + from, 1, i, out + at);
            hs_attention_gather(&s, p, in[6] + at, 1, i, out + at);
        }
    }
}

static void hs_attention_cotangent_reference(const hs_graph *graph, const hs_node *node,
                                             const double *const *in, double *out,
                                             double *scratch) {
    hs_heads s = hs_heads_of(node, &node->shape);
    bool one_row = hs_rule_input(graph, node, 0)->dim[0] == 1;
    int which = node->attr.attention.which;
    memset(out, 0, (size_t)hs_shape_count(&node->shape) * sizeof *out);
    for (int64_t head = 0; head < s.rows * s.heads; head++) {
        int64_t primal = one_row ? head % s.heads : head;
        int64_t at = head * s.d * s.L, from = primal * s.d * s.L;
        for (int64_t i = 0; i < s.L; i++) {
            const double *p = in[3] + (primal * s.L + i) * s.L, *u = in[4] + at;
            if (which == 2) {
                hs_attention_scatter(&s, p, u, 1, i, out + at);
                continue;
            }
            memset(scratch, 0, (size_t)s.L * sizeof *scratch);
            hs_attention_scores(&s, u, i, in[2] + from, 1, scratch);
            hs_softmax_derivative(p, scratch, s.L);
            if (which == 0)
                hs_attention_gather(&s, scratch, in[1] + from, s.scale, i, out + at);
            else
                hs_attention_scatter(&s, scratch, in[0] + from, s.scale, i, out + at);
        }
    }
}

static int64_t hs_attention_scratch(const hs_graph *graph, const hs_node *node) {
    const hs_shape *q = hs_rule_input(graph, node, 0);
    return q->dim[2] * q->dim[3]; /* one row of scores */
}

/* Tangent op with zeros, of the given tangents' shape, for what is missing. */
static hs_status hs_attention_emit_tangent(hs_graph *graph, const hs_value primal[4],
                                           const hs_attr *attr, const hs_value *v, hs_value *out,
                                           hs_error *err) {
    hs_value inputs[7] = {primal[0], primal[1], primal[2], primal[3], v[0], v[1], v[2]};
    hs_value given = v[0] != HS_NO_VALUE ? v[0] : v[1] != HS_NO_VALUE ? v[1] : v[2];
    hs_value zero = HS_NO_VALUE;
    for (int i = 4; i < 7; i++) {
        if (inputs[i] != HS_NO_VALUE)
            continue;
        if (zero == HS_NO_VALUE)
            HS_TRY(hs_emit_scaled(graph, given, 0, &zero, err));
        inputs[i] = zero;
    }
    return hs_graph_add(graph, HS_OP_ATTENTION_TANGENT, inputs, 7, attr, NULL, out, err);
}

/* Cotangent ops for the wanted ones of q, k, v. */
static hs_status hs_attention_emit_cotangents(hs_graph *graph, const hs_value primal[4],
                                              hs_attr attr, hs_value u, unsigned wanted,
                                              hs_value out[3], hs_error *err) {
    const hs_value inputs[] = {primal[0], primal[1], primal[2], primal[3], u};
    for (int i = 0; i < 3; i++) {
        attr.attention.which = i;
        if (wanted >> i & 1)
            HS_TRY(hs_graph_add(graph, HS_OP_ATTENTION_COTANGENT, inputs, 5, &attr, NULL, &out[i],
                                err));
    }
    return HS_OK;
}

static hs_status hs_attention_jvp(hs_graph *graph, hs_value value, const hs_value *v, hs_value *out,
                                  hs_error *err) {
    hs_node node = graph->nodes[value];
    hs_value *primal = node.input;
    HS_TRY(hs_emit_shared(graph, HS_OP_ATTENTION_PROBS, primal, 2, &node.attr, &primal[3], err));
    return hs_attention_emit_tangent(graph, primal, &node.attr, v, out, err);
}

static hs_status hs_attention_vjp(hs_graph *graph, hs_value value, hs_value u, unsigned wanted,
                                  hs_value *out, hs_error *err) {
    hs_node node = graph->nodes[value];
    hs_value *primal = node.input;
    hs_vjp_clear(out, 3);
    HS_TRY(hs_emit_shared(graph, HS_OP_ATTENTION_PROBS, primal, 2, &node.attr, &primal[3], err));
    return hs_attention_emit_cotangents(graph, primal, node.attr, u, wanted, out, err);
}

static hs_status hs_attention_tangent_jvp(hs_graph *graph, hs_value value, const hs_value *v,
                                          hs_value *out, hs_error *err) {
    hs_node node = graph->nodes[value];
    return hs_attention_emit_tangent(graph, node.input, &node.attr, v + 4, out, err);
}

static hs_status hs_attention_tangent_vjp(hs_graph *graph, hs_value value, hs_value u,
                                          unsigned wanted, hs_value *out, hs_error *err) {
    hs_node node = graph->nodes[value];
    hs_vjp_clear(out, 7);
    return hs_attention_emit_cotangents(graph, node.input, node.attr, u, wanted >> 4, out + 4, err);
}

static hs_status hs_attention_cotangent_vjp(hs_graph *graph, hs_value value, hs_value u,
                                            unsigned wanted, hs_value *out, hs_error *err) {
    hs_node node = graph->nodes[value];
    hs_value v[3];
    hs_vjp_clear(out, 5);
    hs_vjp_clear(v, 3);
    if (!(wanted & 16))
        return HS_OK;
    v[node.attr.attention.which] = u;
    return hs_attention_emit_tangent(graph, node.input, &node.attr, v, &out[4], err);
}

/* `products` products of an L x L with an L x c matrix, in every row of `x`. */
static int64_t hs_attention_count(const hs_shape *x, int products) {
    return products * hs_shape_count(x) * x->dim[2] * x->dim[3];
}

static int64_t hs_attention_macs(const hs_graph *graph, const hs_node *node) {
    return hs_attention_count(&node->shape, 2);
}

static int64_t hs_attention_probs_macs(const hs_graph *graph, const hs_node *node) {
    return hs_attention_count(hs_rule_input(graph, node, 0), 1);
}

static int64_t hs_attention_tangent_macs(const hs_graph *graph, const hs_node *node) {
    return hs_attention_count(&node->shape, 4);
}

static int64_t hs_attention_cotangent_macs(const hs_graph *graph, const hs_node *node) {
    return hs_attention_count(&node->shape, node->attr.attention.which == 2 ? 1 : 2);
}

const hs_op_info hs_op_attention = {
    .name = "attention",
    .min_inputs = 3,
    .max_inputs = 3,
    .shape = hs_attention_shape,
    .reference = hs_attention_reference,
    .scratch = hs_attention_scratch,
    .differentiable = 7,
    .jvp = hs_attention_jvp,
    .vjp = hs_attention_vjp,
    .macs = hs_attention_macs,
};

const hs_op_info hs_op_attention_probs = {
    .name = "attention_probs",
    .min_inputs = 2,
    .max_inputs = 2,
    .shape = hs_attention_probs_shape,
    .reference = hs_attention_probs_reference,
    .macs = hs_attention_probs_macs,
};

const hs_op_info hs_op_attention_tangent = {
    .name = "attention_tangent",
    .min_inputs = 7,
    .max_inputs = 7,
    .shape = hs_attention_tangent_shape,
    .reference = hs_attention_tangent_reference,
    .scratch = hs_attention_scratch,
    .differentiable = 7 << 4,
    .jvp = hs_attention_tangent_jvp,
    .vjp = hs_attention_tangent_vjp,
    .macs = hs_attention_tangent_macs,
};

const hs_op_info hs_op_attention_cotangent = {
    .name = "attention_cotangent",
    .min_inputs = 5,
    .max_inputs = 5,
    .shape = hs_attention_cotangent_shape,
    .reference = hs_attention_cotangent_reference,
    .scratch = hs_attention_scratch,
    .differentiable = 1 << 4,
    .jvp = hs_jvp_linear,
    .vjp = hs_attention_cotangent_vjp,
    .macs = hs_attention_cotangent_macs,
};
