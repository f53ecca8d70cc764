/*
 * Which nodes share a step. A node is absorbed when its only reader computes
 * it on the way:
 *
 *   conv2d -> add             the residual is added to the band just written
 *   conv2d -> add_channel     the vector becomes the convolution's bias
 *   group_norm [-> modulate] [-> activation]
 *   concat -> group norms and convolutions only: never made
 */
#include "backends/onednn/fuse.h"

static bool hs_od_single(const hs_od_planner *p, hs_value value, hs_op op) {
    return hs_od_node(p, value)->op == op && p->uses[value] == 1 && !p->is_output[value] &&
           !p->absorbed[value];
}

static void hs_od_absorb(hs_od_planner *p, hs_value consumer, hs_value value) {
    p->absorbed[value] = true;
    p->fused[consumer] = value;
}

static void hs_od_fuse_node(hs_od_planner *p, hs_value value) {
    const hs_node *node = hs_od_node(p, value);
    hs_value a = node->input[0], b = node->input_count > 1 ? node->input[1] : HS_NO_VALUE;
    switch (node->op) {
    case HS_OP_ADD:
        /* The later of two: the other one is ready when this step runs. */
        if (a > b && hs_od_single(p, a, HS_OP_CONV2D))
            hs_od_absorb(p, value, a);
        else if (b > a && hs_od_single(p, b, HS_OP_CONV2D))
            hs_od_absorb(p, value, b);
        else if (hs_od_single(p, a, HS_OP_CONV2D))
            hs_od_absorb(p, value, a);
        else if (b != a && hs_od_single(p, b, HS_OP_CONV2D))
            hs_od_absorb(p, value, b);
        break;
    case HS_OP_ADD_CHANNEL:
        if (hs_od_single(p, a, HS_OP_CONV2D) && hs_od_single(p, b, HS_OP_LINEAR)) {
            p->absorbed[a] = true; /* the linear node keeps its own step */
            p->fused[value] = a;
        }
        break;
    case HS_OP_MODULATE:
        if (hs_od_single(p, a, HS_OP_GROUP_NORM))
            hs_od_absorb(p, value, a);
        break;
    case HS_OP_ACTIVATION:
        if (node->shape.rank == 4 &&
            (hs_od_single(p, a, HS_OP_GROUP_NORM) ||
             (hs_od_single(p, a, HS_OP_MODULATE) && p->fused[a] != HS_NO_VALUE)))
            hs_od_absorb(p, value, a);
        break;
    default: break;
    }
}

static void hs_od_find_virtual(hs_od_planner *p) {
    for (hs_value i = 0; i < p->graph->count; i++)
        p->virtual_concat[i] = hs_od_node(p, i)->op == HS_OP_CONCAT && !p->is_output[i];
    for (hs_value i = 0; i < p->graph->count; i++) {
        const hs_node *node = hs_od_node(p, i);
        for (int k = 0; p->needed[i] && k < node->input_count; k++) {
            bool reads_parts = k == 0 && (node->op == HS_OP_GROUP_NORM || node->op == HS_OP_CONV2D);
            if (!reads_parts)
                p->virtual_concat[node->input[k]] = false;
        }
    }
    /* Parts of parts are not followed: the inner concatenation is made. */
    for (hs_value i = 0; i < p->graph->count; i++)
        if (p->virtual_concat[i])
            for (int k = 0; k < hs_od_node(p, i)->input_count; k++)
                p->virtual_concat[hs_od_node(p, i)->input[k]] = false;
}

/* Count the edges of nodes that some output depends on; the others are never
 * planned. From the end, so that a node's readers were seen before it. */
static void hs_od_count_uses(hs_od_planner *p) {
    for (hs_value i = p->graph->count - 1; i >= 0; i--) {
        const hs_node *node = hs_od_node(p, i);
        p->needed[i] = p->is_output[i] || p->uses[i] > 0;
        for (int k = 0; p->needed[i] && k < node->input_count; k++)
            p->uses[node->input[k]]++;
    }
}

void hs_od_fuse(hs_od_planner *p) {
    hs_od_count_uses(p);
    for (hs_value i = 0; i < p->graph->count; i++)
        p->fused[i] = HS_NO_VALUE;
    hs_od_find_virtual(p);
    for (hs_value i = 0; i < p->graph->count; i++)
        if (p->needed[i])
            hs_od_fuse_node(p, i);
}
