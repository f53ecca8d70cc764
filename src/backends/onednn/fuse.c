/*
 * Which nodes share a step. A node is absorbed when its only reader computes
 * it on the way:
 *
 *   conv2d -> add             the residual is added to the band just written
 *   conv2d -> add_channel     the vector becomes the convolution's bias
 *   group_norm [-> modulate] [-> activation, and with it its slope, where that is kept]
 *     -> conv2d             which applies it while it loads, if it runs tap by tap or by
 *                           Winograd's method with fixed factors
 *   concat, pad_channels      never made where all readers can read parts
 *   upsample                  never made where all readers are 3x3 convolutions
 *                             that run by Winograd's method and read through it
 *
 * and in derivatives, with P = group_norm(x) [-> modulate] computed again:
 *
 *   mul(slope(P), [modulate_scale(] group_norm_tangent(x, v))
 *   group_norm_cotangent(x, [modulate_scale(] mul(slope(P), u))
 *   and both with an input in place of slope(P): a slope that the point keeps
 *   slice of add, conv2d_transpose, group_norm_cotangent: only those channels
 */
#include "backends/onednn/fuse.h"

#include "backends/onednn/conv2d.h"

static bool hs_od_unshared(const hs_od_planner *p, hs_value value) {
    return p->uses[value] == 1 && !p->is_output[value] && !p->absorbed[value];
}

static bool hs_od_single(const hs_od_planner *p, hs_value value, hs_op op) {
    return hs_od_node(p, value)->op == op && hs_od_unshared(p, value);
}

/* A convolution, or the adjoint of one, that nobody else reads. */
static bool hs_od_single_conv(const hs_od_planner *p, hs_value value) {
    return hs_od_single(p, value, HS_OP_CONV2D) || hs_od_single(p, value, HS_OP_CONV2D_TRANSPOSE);
}

static void hs_od_absorb(hs_od_planner *p, hs_value consumer, hs_value value) {
    p->absorbed[value] = true;
    p->fused[consumer] = value;
}

/* The later operand that is a convolution: the other one is ready by then. */
static void hs_od_fuse_add(hs_od_planner *p, hs_value value) {
    hs_value a = hs_od_node(p, value)->input[0], b = hs_od_node(p, value)->input[1];
    hs_value later = a > b ? a : b, earlier = a > b ? b : a;
    if (a == b)
        return;
    if (hs_od_single_conv(p, later))
        hs_od_absorb(p, value, later);
    else if (hs_od_single_conv(p, earlier))
        hs_od_absorb(p, value, earlier);
}

/* A slope that is kept of the point, or slope(P): then the slope, the activation's
 * input and the norm are absorbed. */
static bool hs_od_slope_of_norm(const hs_od_planner *p, hs_value value, hs_value x) {
    if (hs_od_node(p, value)->op == HS_OP_INPUT)
        return true;
    if (!hs_od_single(p, value, HS_OP_ACTIVATION_SLOPE))
        return false;
    hs_value at = hs_od_node(p, value)->input[0], norm = at;
    if (hs_od_single(p, at, HS_OP_MODULATE))
        norm = p->fused[at]; /* it has absorbed the norm by now */
    else if (!hs_od_single(p, at, HS_OP_GROUP_NORM))
        return false;
    return norm != HS_NO_VALUE && hs_od_node(p, norm)->input[0] == x;
}

static void hs_od_absorb_slope(hs_od_planner *p, hs_value value) {
    for (hs_value at = value; hs_od_node(p, at)->op != HS_OP_INPUT;
         at = hs_od_node(p, at)->input[0]) {
        p->absorbed[at] = true;
        if (hs_od_node(p, at)->op == HS_OP_GROUP_NORM)
            return;
    }
}

static void hs_od_fuse_mul(hs_od_planner *p, hs_value value) {
    hs_value slope = hs_od_node(p, value)->input[0], scaled = hs_od_node(p, value)->input[1];
    hs_value tangent = scaled;
    if (hs_od_single(p, scaled, HS_OP_MODULATE_SCALE))
        tangent = hs_od_node(p, scaled)->input[1];
    if (!hs_od_single(p, tangent, HS_OP_GROUP_NORM_TANGENT) ||
        !hs_od_slope_of_norm(p, slope, hs_od_node(p, tangent)->input[0]))
        return;
    p->absorbed[tangent] = true;
    hs_od_absorb(p, value, scaled);
    hs_od_absorb_slope(p, slope);
}

static void hs_od_fuse_cotangent(hs_od_planner *p, hs_value value) {
    hs_value scaled = hs_od_node(p, value)->input[3], mul = scaled;
    if (hs_od_single(p, scaled, HS_OP_MODULATE_SCALE))
        mul = hs_od_node(p, scaled)->input[1];
    if (!hs_od_single(p, mul, HS_OP_MUL) ||
        !hs_od_slope_of_norm(p, hs_od_node(p, mul)->input[0], hs_od_node(p, value)->input[0]))
        return;
    p->absorbed[mul] = true;
    hs_od_absorb(p, value, scaled);
    hs_od_absorb_slope(p, hs_od_node(p, mul)->input[0]);
}

/* The kept slope of the activation `value`, or HS_NO_VALUE. */
static hs_value hs_od_kept_slope(const hs_od_planner *p, hs_value value) {
    const hs_node *node = hs_od_node(p, value);
    for (int i = 0; i < p->options->kept_count; i++) {
        const hs_node *other = hs_od_node(p, p->options->kept[i]);
        if (other->op == HS_OP_ACTIVATION_SLOPE && other->input[0] == node->input[0] &&
            other->attr.activation.kind == node->attr.activation.kind)
            return p->options->kept[i];
    }
    return HS_NO_VALUE;
}

static void hs_od_fuse_activation(hs_od_planner *p, hs_value value) {
    hs_value a = hs_od_node(p, value)->input[0], slope = hs_od_kept_slope(p, value);
    if (hs_od_node(p, value)->shape.rank != 4)
        return;
    p->uses[a] -= slope != HS_NO_VALUE; /* not one more reader, but a second result */
    if (!hs_od_single(p, a, HS_OP_GROUP_NORM) &&
        (!hs_od_single(p, a, HS_OP_MODULATE) || p->fused[a] == HS_NO_VALUE)) {
        p->uses[a] += slope != HS_NO_VALUE;
        return;
    }
    hs_od_absorb(p, value, a);
    p->slope[value] = slope;
    if (slope != HS_NO_VALUE)
        p->absorbed[slope] = true;
}

static void hs_od_fuse_node(hs_od_planner *p, hs_value value) {
    const hs_node *node = hs_od_node(p, value);
    hs_value a = node->input[0], b = node->input_count > 1 ? node->input[1] : HS_NO_VALUE;
    switch (node->op) {
    case HS_OP_ADD: hs_od_fuse_add(p, value); break;
    case HS_OP_ADD_CHANNEL:
        if (hs_od_single(p, a, HS_OP_CONV2D) && hs_od_single(p, b, HS_OP_LINEAR))
            hs_od_absorb(p, value, a); /* the linear node keeps its own step */
        break;
    case HS_OP_MODULATE:
        if (hs_od_single(p, a, HS_OP_GROUP_NORM))
            hs_od_absorb(p, value, a);
        break;
    case HS_OP_ACTIVATION: hs_od_fuse_activation(p, value); break;
    case HS_OP_MUL: hs_od_fuse_mul(p, value); break;
    case HS_OP_GROUP_NORM_COTANGENT: hs_od_fuse_cotangent(p, value); break;
    default: break;
    }
}

/* May input k of `node` be parts that lie apart? A padding has parts missing. */
static bool hs_od_reads_parts(const hs_node *node, int k, bool padding) {
    switch (node->op) {
    case HS_OP_CONV2D: return k == 0;
    case HS_OP_GROUP_NORM:
    case HS_OP_GROUP_NORM_STATS:
    case HS_OP_GROUP_NORM_COTANGENT: return k == 0 && !padding;
    case HS_OP_GROUP_NORM_TANGENT: return padding ? k == 3 : k == 0;
    default: return false;
    }
}

/* A 2x nearest upsampling; one to an odd size repeats less than all. */
static bool hs_od_doubles(const hs_node *node) {
    return node->op == HS_OP_UPSAMPLE && !node->attr.upsample.odd_h && !node->attr.upsample.odd_w;
}

/* May `value` read its input k where that is not made? */
static bool hs_od_reads_virtual(const hs_od_planner *p, hs_value value, int k) {
    const hs_node *node = hs_od_node(p, value);
    hs_op op = hs_od_node(p, node->input[k])->op;
    if (op == HS_OP_UPSAMPLE)
        return k == 0 && node->op == HS_OP_CONV2D && hs_od_node_tile(p, value) > 0;
    return hs_od_reads_parts(node, k, op == HS_OP_PAD_CHANNELS);
}

static void hs_od_find_virtual(hs_od_planner *p) {
    for (hs_value i = 0; i < p->graph->count; i++) {
        const hs_node *node = hs_od_node(p, i);
        p->virtual_parts[i] =
            (node->op == HS_OP_CONCAT || node->op == HS_OP_PAD_CHANNELS || hs_od_doubles(node)) &&
            !p->is_output[i];
    }
    for (hs_value i = 0; i < p->graph->count; i++) {
        const hs_node *node = hs_od_node(p, i);
        for (int k = 0; p->needed[i] && k < node->input_count; k++)
            if (!hs_od_reads_virtual(p, i, k))
                p->virtual_parts[node->input[k]] = false;
    }
    /* Parts of parts are not followed: the inner one is made. */
    for (hs_value i = 0; i < p->graph->count; i++)
        if (p->virtual_parts[i])
            for (int k = 0; k < hs_od_node(p, i)->input_count; k++)
                p->virtual_parts[hs_od_node(p, i)->input[k]] = false;
}

static bool hs_od_can_slice(const hs_od_planner *p, hs_value value) {
    const hs_node *node = hs_od_node(p, value);
    if (!hs_od_unshared(p, value) || node->shape.rank != 4)
        return false;
    if (node->op == HS_OP_ADD)
        return node->input[0] != node->input[1] && hs_od_can_slice(p, node->input[0]) &&
               hs_od_can_slice(p, node->input[1]);
    return node->op == HS_OP_CONV2D_TRANSPOSE || node->op == HS_OP_GROUP_NORM_COTANGENT;
}

static void hs_od_slice(hs_od_planner *p, hs_value value, int first, int count) {
    const hs_node *node = hs_od_node(p, value);
    p->slice_first[value] = first;
    p->slice_count[value] = count;
    for (int k = 0; node->op == HS_OP_ADD && k < 2; k++)
        hs_od_slice(p, node->input[k], first, count);
}

static void hs_od_find_slices(hs_od_planner *p) {
    for (hs_value i = 0; i < p->graph->count; i++) {
        const hs_node *node = hs_od_node(p, i);
        if (!p->needed[i] || node->op != HS_OP_SLICE || !hs_od_can_slice(p, node->input[0]))
            continue;
        hs_od_slice(p, node->input[0], node->attr.channels.first, node->attr.channels.count);
        p->fused[i] = node->input[0]; /* it is where its input is */
    }
}

/* Count the edges of nodes that some output depends on; the others are never
 * planned. From the end, so that a node's readers were seen before it. A kept
 * value has a reader that never comes. */
static void hs_od_count_uses(hs_od_planner *p) {
    for (int i = 0; i < p->options->kept_count; i++)
        p->uses[p->options->kept[i]]++;
    for (hs_value i = p->graph->count - 1; i >= 0; i--) {
        const hs_node *node = hs_od_node(p, i);
        p->needed[i] = p->is_output[i] || p->uses[i] > 0;
        for (int k = 0; p->needed[i] && k < node->input_count; k++)
            p->uses[node->input[k]]++;
    }
}

/* Does a step of group_norm.c end in `value`, which a convolution could compute instead? */
static bool hs_od_is_loadable(const hs_od_planner *p, hs_value value) {
    const hs_node *node = hs_od_node(p, value);
    if (!hs_od_unshared(p, value) || p->slope[value] != HS_NO_VALUE || node->shape.rank != 4)
        return false;
    if (node->op == HS_OP_ACTIVATION && node->attr.activation.kind != HS_SILU)
        return false;
    return node->op == HS_OP_GROUP_NORM ||
           ((node->op == HS_OP_ACTIVATION || node->op == HS_OP_MODULATE) &&
            p->fused[value] != HS_NO_VALUE);
}

static void hs_od_find_loaded(hs_od_planner *p) {
    for (hs_value i = 0; i < p->graph->count; i++) {
        const hs_node *node = hs_od_node(p, i);
        if (p->needed[i] && node->op == HS_OP_CONV2D && hs_od_is_loadable(p, node->input[0]) &&
            hs_od_node_loads_norm(p, i))
            p->loaded[node->input[0]] = true;
    }
}

void hs_od_fuse(hs_od_planner *p) {
    hs_od_count_uses(p);
    for (hs_value i = 0; i < p->graph->count; i++)
        p->fused[i] = p->slope[i] = HS_NO_VALUE;
    hs_od_find_virtual(p);
    for (int i = 0; i < p->options->kept_count; i++) {
        p->virtual_parts[p->options->kept[i]] = false;
        p->is_output[p->options->kept[i]] = true; /* nothing may absorb it */
    }
    hs_od_find_slices(p);
    for (hs_value i = 0; i < p->graph->count; i++)
        if (p->needed[i])
            hs_od_fuse_node(p, i);
    hs_od_find_loaded(p);
}
