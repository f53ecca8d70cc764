/* The table of ops: one row an op, defined beside its rules in ops/. */
#include "graph/optable.h"

#include "graph/ops/ops.h"

static const hs_op_info hs_op_input = {.name = "input"};
static const hs_op_info hs_op_weight = {.name = "weight"};

static const hs_op_info *const hs_ops[HS_OP_COUNT] = {
    [HS_OP_INPUT] = &hs_op_input,
    [HS_OP_WEIGHT] = &hs_op_weight,
    [HS_OP_CONV2D] = &hs_op_conv2d,
    [HS_OP_LINEAR] = &hs_op_linear,
    [HS_OP_GROUP_NORM] = &hs_op_group_norm,
    [HS_OP_ACTIVATION] = &hs_op_activation,
    [HS_OP_TIME_EMBED] = &hs_op_time_embed,
    [HS_OP_FOURIER_EMBED] = &hs_op_fourier_embed,
    [HS_OP_ADD] = &hs_op_add,
    [HS_OP_ADD_CHANNEL] = &hs_op_add_channel,
    [HS_OP_MODULATE] = &hs_op_modulate,
    [HS_OP_AFFINE] = &hs_op_affine,
    [HS_OP_DIVIDE_ROWS] = &hs_op_divide_rows,
    [HS_OP_CONCAT] = &hs_op_concat,
    [HS_OP_UPSAMPLE] = &hs_op_upsample,
    [HS_OP_AVG_POOL] = &hs_op_avg_pool,
    [HS_OP_MAX_POOL] = &hs_op_max_pool,
    [HS_OP_MEAN_SPATIAL] = &hs_op_mean_spatial,
    [HS_OP_ATTENTION] = &hs_op_attention,
    [HS_OP_CONV2D_TRANSPOSE] = &hs_op_conv2d_transpose,
    [HS_OP_LINEAR_TRANSPOSE] = &hs_op_linear_transpose,
    [HS_OP_GROUP_NORM_STATS] = &hs_op_group_norm_stats,
    [HS_OP_GROUP_NORM_TANGENT] = &hs_op_group_norm_tangent,
    [HS_OP_GROUP_NORM_COTANGENT] = &hs_op_group_norm_cotangent,
    [HS_OP_ACTIVATION_SLOPE] = &hs_op_activation_slope,
    [HS_OP_MAX_POOL_TANGENT] = &hs_op_max_pool_tangent,
    [HS_OP_MAX_POOL_COTANGENT] = &hs_op_max_pool_cotangent,
    [HS_OP_MUL] = &hs_op_mul,
    [HS_OP_MODULATE_SCALE] = &hs_op_modulate_scale,
    [HS_OP_ATTENTION_PROBS] = &hs_op_attention_probs,
    [HS_OP_ATTENTION_TANGENT] = &hs_op_attention_tangent,
    [HS_OP_ATTENTION_COTANGENT] = &hs_op_attention_cotangent,
    [HS_OP_SUM_SPATIAL] = &hs_op_sum_spatial,
    [HS_OP_SLICE] = &hs_op_slice,
    [HS_OP_PAD_CHANNELS] = &hs_op_pad_channels,
};

const hs_op_info *hs_op_get(hs_op op) {
    return op >= 0 && op < HS_OP_COUNT ? hs_ops[op] : NULL;
}
