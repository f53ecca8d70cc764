/* See random_graph.h. Every step takes values of one shape from a pool and puts
 * one back, so that any op may follow any other. */
#include "graph/random_graph.h"

#include <stdlib.h>

#define C HS_RANDOM_CHANNELS
#define SIDE HS_RANDOM_SIDE

static int hs_random_below(hs_random_graph *r, int count) {
    int index = (int)((hs_test_random(&r->seed) + 1) / 2 * count);
    return index < count ? index : count - 1;
}

static hs_value hs_pick(hs_random_graph *r) {
    /* the newer half more often, so that graphs get deep */
    int first = hs_random_below(r, 2) ? r->pool_count / 2 : 0;
    return r->pool[first + hs_random_below(r, r->pool_count - first)];
}

static hs_value hs_op1(hs_random_graph *r, hs_op op, hs_value a, hs_attr attr) {
    hs_error err;
    hs_value out;
    assert_ok(hs_graph_add(r->graph, op, &a, 1, &attr, NULL, &out, &err));
    return out;
}

static hs_value hs_op_many(hs_random_graph *r, hs_op op, int count, const hs_value *inputs,
                           hs_attr attr) {
    hs_error err;
    hs_value out;
    assert_ok(hs_graph_add(r->graph, op, inputs, count, &attr, NULL, &out, &err));
    return out;
}

/* A weight with values around `centre`. */
static hs_value hs_random_weight(hs_random_graph *r, hs_shape shape, double centre, double spread) {
    hs_error err;
    hs_value out;
    int64_t count = hs_shape_count(&shape);
    double *data = hs_random_values(&r->seed, count, false);
    assert_true(r->weight_count < HS_RANDOM_WEIGHTS);
    for (int64_t i = 0; i < count; i++)
        data[i] = centre + spread * data[i] / 2;
    hs_tensor *tensor = &r->tensors[r->weight_count++];
    *tensor = (hs_tensor){.name = "w", .dtype = HS_F64, .rank = 1, .dim = {count}, .data = data};
    assert_ok(hs_graph_weight(r->graph, tensor, shape, &out, &err));
    return out;
}

static hs_value hs_random_conv(hs_random_graph *r, hs_value x, int in, int stride) {
    hs_attr attr = {
        .conv = {.stride = stride, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1}};
    hs_value inputs[] = {x, hs_random_weight(r, (hs_shape){4, {C, in, 3, 3}}, 0, 0.5),
                         hs_random_weight(r, (hs_shape){1, {C}}, 0, 0.5)};
    return hs_op_many(r, HS_OP_CONV2D, 2 + hs_random_below(r, 2), inputs, attr);
}

static hs_value hs_random_conv_transpose(hs_random_graph *r, hs_value x) {
    hs_attr attr = {
        .conv = {.stride = 2, .pad_bottom = 1, .pad_right = 1, .in_h = 2 * SIDE, .in_w = 2 * SIDE}};
    const hs_value inputs[] = {x, hs_random_weight(r, (hs_shape){4, {C, C, 3, 3}}, 0, 0.5)};
    hs_value wide = hs_op_many(r, HS_OP_CONV2D_TRANSPOSE, 2, inputs, attr);
    return hs_op1(r, HS_OP_AVG_POOL, wide, (hs_attr){0});
}

static hs_value hs_random_group_norm(hs_random_graph *r, hs_value x) {
    const hs_value inputs[] = {x, hs_random_weight(r, (hs_shape){1, {C}}, 1, 0.5),
                               hs_random_weight(r, (hs_shape){1, {C}}, 0, 0.5)};
    return hs_op_many(r, HS_OP_GROUP_NORM, 3, inputs,
                      (hs_attr){.group_norm = {.groups = 1 + hs_random_below(r, 2), .eps = 1e-3}});
}

/* [rows,`width`] from a feature map, through both linear ops. */
static hs_value hs_random_vector(hs_random_graph *r, hs_value x, int width) {
    hs_op over_pixels = hs_random_below(r, 2) ? HS_OP_SUM_SPATIAL : HS_OP_MEAN_SPATIAL;
    hs_value inputs[] = {hs_op1(r, over_pixels, x, (hs_attr){0}),
                         hs_random_weight(r, (hs_shape){2, {C, C}}, 0, 0.2),
                         hs_random_weight(r, (hs_shape){1, {C}}, 0, 0.2)};
    inputs[0] = hs_op_many(r, HS_OP_LINEAR, 3, inputs, (hs_attr){0});
    inputs[1] = hs_random_weight(r, (hs_shape){2, {C, width}}, 0, 0.3);
    return hs_op_many(r, HS_OP_LINEAR_TRANSPOSE, 2, inputs, (hs_attr){0});
}

static hs_value hs_random_concat(hs_random_graph *r) {
    hs_value inputs[] = {hs_pick(r), hs_pick(r), hs_pick(r)};
    int count = 2 + hs_random_below(r, 2);
    hs_value all = hs_op_many(r, HS_OP_CONCAT, count, inputs, (hs_attr){0});
    if (hs_random_below(r, 2))
        return hs_random_conv(r, all, count * C, 1);
    return hs_op1(r, HS_OP_SLICE, all, (hs_attr){.channels = {.first = C / 2, .count = C}});
}

static hs_value hs_random_slice_and_pad(hs_random_graph *r, hs_value x) {
    hs_value part = hs_op1(r, HS_OP_SLICE, x, (hs_attr){.channels = {.first = 1, .count = 2}});
    hs_value padded =
        hs_op1(r, HS_OP_PAD_CHANNELS, part, (hs_attr){.channels = {.first = 2, .total = C}});
    const hs_value both[] = {padded, hs_pick(r)};
    return hs_op_many(r, HS_OP_ADD, 2, both, (hs_attr){0});
}

static hs_value hs_random_attention(hs_random_graph *r) {
    hs_value inputs[3];
    hs_attr attr = {.attention = {.heads = 1 + hs_random_below(r, 2), .scale = 0.2}};
    for (int i = 0; i < 3; i++)
        inputs[i] = hs_pick(r);
    return hs_op_many(r, HS_OP_ATTENTION, 3, inputs, attr);
}

static const hs_attr hs_same_size_pool = {.pool = {.kernel = 3, .stride = 1, .pad = 1}};

/* The ops of derivatives, whose primal inputs must not depend on x. */
static hs_value hs_random_tangent(hs_random_graph *r) {
    hs_attr norm = {.group_norm = {.groups = 2, .eps = 1e-3}};
    hs_attr heads = {.attention = {.heads = 2, .scale = 0.3, .which = hs_random_below(r, 3)}};
    hs_value y = r->y;
    if (hs_random_below(r, 3) == 0) {
        hs_op op = hs_random_below(r, 2) ? HS_OP_MAX_POOL_TANGENT : HS_OP_MAX_POOL_COTANGENT;
        const hs_value inputs[] = {y, hs_pick(r)};
        return hs_op_many(r, op, 2, inputs, hs_same_size_pool);
    }
    if (hs_random_below(r, 2)) {
        hs_op op = hs_random_below(r, 2) ? HS_OP_GROUP_NORM_TANGENT : HS_OP_GROUP_NORM_COTANGENT;
        const hs_value inputs[] = {y, hs_op1(r, HS_OP_GROUP_NORM_STATS, y, norm),
                                   hs_random_weight(r, (hs_shape){1, {C}}, 1, 0.5), hs_pick(r)};
        return hs_op_many(r, op, 4, inputs, norm);
    }
    const hs_value pair[] = {y, y};
    hs_value p = hs_op_many(r, HS_OP_ATTENTION_PROBS, 2, pair, heads);
    const hs_value inputs[] = {y, y, y, p, hs_pick(r), hs_pick(r), hs_pick(r)};
    if (hs_random_below(r, 2))
        return hs_op_many(r, HS_OP_ATTENTION_TANGENT, 7, inputs, heads);
    return hs_op_many(r, HS_OP_ATTENTION_COTANGENT, 5, inputs, heads);
}

static hs_value hs_random_vectors(hs_random_graph *r, int which) {
    hs_value x = hs_pick(r), by = hs_pick(r);
    if (which == 0) {
        const hs_value inputs[] = {x, hs_random_vector(r, by, C)};
        return hs_op_many(r, HS_OP_ADD_CHANNEL, 2, inputs, (hs_attr){0});
    }
    if (which == 1) {
        const hs_value inputs[] = {x, hs_random_vector(r, by, 2 * C)};
        return hs_op_many(r, HS_OP_MODULATE, 2, inputs, (hs_attr){0});
    }
    const hs_value inputs[] = {hs_random_vector(r, r->y, 2 * C), x};
    return hs_op_many(r, HS_OP_MODULATE_SCALE, 2, inputs, (hs_attr){0});
}

static hs_value hs_random_step(hs_random_graph *r) {
    static const hs_activation kinds[] = {HS_SILU, HS_MISH, HS_GELU};
    hs_value x = hs_pick(r);
    const hs_value with_next[] = {x, hs_pick(r)}, with_t[] = {x, r->t}, with_y[] = {r->y, x};
    switch (hs_random_below(r, 17)) {
    case 0: return hs_random_conv(r, x, C, 1);
    case 1: return hs_op1(r, HS_OP_UPSAMPLE, hs_random_conv(r, x, C, 2), (hs_attr){0});
    case 2: return hs_random_conv_transpose(r, x);
    case 3:
    case 4: return hs_random_group_norm(r, x);
    case 5:
    case 6:
        return hs_op1(r, HS_OP_ACTIVATION, x,
                      (hs_attr){.activation = {kinds[hs_random_below(r, 3)]}});
    case 7:
    case 8: return hs_op_many(r, HS_OP_ADD, 2, with_next, (hs_attr){0});
    case 9: return hs_op1(r, HS_OP_AFFINE, x, (hs_attr){.affine = {-0.7, 0.3}});
    case 10: return hs_op_many(r, HS_OP_DIVIDE_ROWS, 2, with_t, (hs_attr){0});
    case 11: return hs_random_concat(r);
    case 12: return hs_random_slice_and_pad(r, x);
    case 13: return hs_random_attention(r);
    case 14: return hs_random_vectors(r, hs_random_below(r, 3));
    case 15: return hs_op1(r, HS_OP_MAX_POOL, x, hs_same_size_pool);
    default:
        if (hs_random_below(r, 2))
            return hs_op_many(r, HS_OP_MUL, 2, with_y, (hs_attr){0});
        return hs_random_tangent(r);
    }
}

void hs_random_graph_make(hs_random_graph *made, uint64_t seed, int steps, int64_t rows) {
    hs_error err;
    hs_shape shape = {4, {rows, C, SIDE, SIDE}};
    *made = (hs_random_graph){.graph = hs_graph_new(), .rows = rows, .seed = seed};
    assert_non_null(made->graph);
    assert_true(steps + 2 <= HS_RANDOM_POOL);
    assert_ok(hs_graph_input(made->graph, "x", shape, &made->x, &err));
    assert_ok(hs_graph_input(made->graph, "y", shape, &made->y, &err));
    assert_ok(hs_graph_input(made->graph, "t", (hs_shape){1, {rows}}, &made->t, &err));
    made->pool[made->pool_count++] = made->x;
    made->pool[made->pool_count++] = made->y;
    for (int i = 0; i < steps; i++) {
        hs_value value = hs_random_step(made);
        made->pool[made->pool_count++] = value;
    }
    /* The last values and x, of the size of a normalised map. */
    hs_value sum = made->x;
    for (int i = 0; i < 3; i++) {
        const hs_value pair[] = {sum, made->pool[made->pool_count - 1 - i]};
        sum = hs_op_many(made, HS_OP_ADD, 2, pair, (hs_attr){0});
    }
    made->out = hs_random_group_norm(made, sum);
    made->data[0] = hs_random_values(&made->seed, rows * HS_RANDOM_ROW, false);
    made->data[1] = hs_random_values(&made->seed, rows * HS_RANDOM_ROW, false);
    made->data[2] = hs_random_values(&made->seed, rows, true);
}

void hs_random_graph_free(hs_random_graph *made) {
    hs_graph_free(made->graph);
    for (int i = 0; i < made->weight_count; i++)
        free((void *)(uintptr_t)made->tensors[i].data);
    for (int i = 0; i < 3; i++)
        free(made->data[i]);
}

void hs_random_graph_bind(const hs_random_graph *made, hs_binding bindings[3]) {
    const hs_value values[] = {made->x, made->y, made->t};
    for (int i = 0; i < 3; i++)
        bindings[i] = (hs_binding){.value = values[i], .f64 = made->data[i]};
}
