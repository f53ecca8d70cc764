/*
 * What the files of this folder share: their rows, and helpers for rules.
 * A file holds one op, with the ops that its derivatives need beside it.
 */
#ifndef HS_GRAPH_OPS_OPS_H
#define HS_GRAPH_OPS_OPS_H

#include "graph/optable.h"

extern const hs_op_info hs_op_conv2d, hs_op_conv2d_transpose;
extern const hs_op_info hs_op_linear, hs_op_linear_transpose;
extern const hs_op_info hs_op_group_norm, hs_op_group_norm_stats;
extern const hs_op_info hs_op_group_norm_tangent, hs_op_group_norm_cotangent;
extern const hs_op_info hs_op_activation, hs_op_activation_slope;
extern const hs_op_info hs_op_time_embed, hs_op_fourier_embed;
extern const hs_op_info hs_op_add, hs_op_add_channel, hs_op_sum_spatial;
extern const hs_op_info hs_op_modulate, hs_op_modulate_scale;
extern const hs_op_info hs_op_affine, hs_op_divide_rows, hs_op_mul;
extern const hs_op_info hs_op_concat, hs_op_slice, hs_op_pad_channels;
extern const hs_op_info hs_op_upsample, hs_op_avg_pool, hs_op_mean_spatial;
extern const hs_op_info hs_op_max_pool, hs_op_max_pool_tangent, hs_op_max_pool_cotangent;
extern const hs_op_info hs_op_attention, hs_op_attention_probs;
extern const hs_op_info hs_op_attention_tangent, hs_op_attention_cotangent;

/* Shape of input i. The pointer ends with the next node that is added. */
const hs_shape *hs_rule_input(const hs_graph *graph, const hs_node *node, int i);

/* HS_ERROR_MISMATCH with the op's and the node's name before the message. */
hs_status hs_rule_fail(const hs_node *node, hs_error *err, const char *format, ...) HS_PRINTF(3, 4);

/* Input i, called `what` in the message, must have shape `expected`; negative
 * dimensions match any. */
hs_status hs_rule_expect(const hs_graph *graph, const hs_node *node, int i, const char *what,
                         hs_shape expected, hs_error *err);

/* Inputs i and j have the same shape. */
hs_status hs_rule_same(const hs_graph *graph, const hs_node *node, int i, const char *what_i, int j,
                       const char *what_j, hs_error *err);

/* Primal input i goes with the tangent input j: the same shape, or one row. */
hs_status hs_rule_primal(const hs_graph *graph, const hs_node *node, int i, const char *what_i,
                         int j, const char *what_j, hs_error *err);

/* Rows of a primal input that goes with `rows` tangents: `rows`, or 1. */
int64_t hs_rule_rows(const hs_shape *primal, int64_t rows);

/* Shape rule of ops with one input whose result has its shape. */
hs_status hs_shape_like_first(const hs_graph *graph, hs_node *node, hs_error *err);

/* Elements of one row, and of one channel (rank 2 and up). */
int64_t hs_row_size(const hs_shape *shape);
int64_t hs_channel_size(const hs_shape *shape);

/* Add a node without a name. */
hs_status hs_emit1(hs_graph *graph, hs_op op, hs_value a, const hs_attr *attr, hs_value *out,
                   hs_error *err);
hs_status hs_emit2(hs_graph *graph, hs_op op, hs_value a, hs_value b, const hs_attr *attr,
                   hs_value *out, hs_error *err);

/*
 * The node `op` of these inputs and attributes: the one that is there, or a new
 * one. For what derivatives need of the primal point, so that the tangent and
 * the cotangent map of one graph share it.
 */
hs_status hs_emit_shared(hs_graph *graph, hs_op op, const hs_value *inputs, int input_count,
                         const hs_attr *attr, hs_value *out, hs_error *err);

/* factor * a */
hs_status hs_emit_scaled(hs_graph *graph, hs_value a, double factor, hs_value *out, hs_error *err);

/* a + b, where either may be HS_NO_VALUE for zero. */
hs_status hs_emit_sum(hs_graph *graph, hs_value a, hs_value b, hs_value *out, hs_error *err);

/* JVP rule of an op that is linear in one input: the op itself on its tangent. */
hs_status hs_jvp_linear(hs_graph *graph, hs_value value, const hs_value *v, hs_value *out,
                        hs_error *err);
/* VJP rule of an op that is linear in one input and its own adjoint. */
hs_status hs_vjp_self_adjoint(hs_graph *graph, hs_value value, hs_value u, unsigned wanted,
                              hs_value *out, hs_error *err);

/* Set out[0 ... count-1] to HS_NO_VALUE. */
void hs_vjp_clear(hs_value *out, int count);

#endif
