/*
 * The CPU back end against the reference one: every op and every fusion, over
 * odd sizes and channels that fill no vector; then what it promises beyond
 * that: results that do not depend on threads or batch.
 */
#include <stdlib.h>
#include <string.h>

#include "backends/backend.h"
#include "support.h"

/* A graph under construction with weights of its own. */
typedef struct hs_net {
    hs_graph *graph;
    hs_arena arena;
    uint64_t seed;
} hs_net;

static hs_value net_add(hs_net *net, hs_op op, int count, const hs_value *in, hs_attr attr) {
    hs_error err;
    hs_value out;
    assert_ok(hs_graph_add(net->graph, op, in, count, &attr, NULL, &out, &err));
    return out;
}

#define ADD(net, op, attr, ...)                                                                    \
    net_add(net, op, (int)(sizeof((hs_value[]){__VA_ARGS__}) / sizeof(hs_value)),                  \
            (hs_value[]){__VA_ARGS__}, attr)
#define NONE ((hs_attr){0})

static hs_value net_input(hs_net *net, const char *name, hs_shape shape) {
    hs_error err;
    hs_value out;
    assert_ok(hs_graph_input(net->graph, name, shape, &out, &err));
    return out;
}

static hs_value net_weight(hs_net *net, hs_shape shape, float scale) {
    hs_error err;
    hs_value out;
    int64_t count = hs_shape_count(&shape);
    float *data = hs_arena_alloc(&net->arena, (size_t)count, sizeof *data);
    hs_tensor *tensor = hs_arena_alloc(&net->arena, 1, sizeof *tensor);
    hs_test_fill(++net->seed, data, count);
    for (int64_t i = 0; i < count; i++)
        data[i] *= scale;
    *tensor = (hs_tensor){.name = "w", .dtype = HS_F32, .rank = shape.rank, .data = data};
    memcpy(tensor->dim, shape.dim, sizeof shape.dim);
    assert_ok(hs_graph_weight(net->graph, tensor, shape, &out, &err));
    return out;
}

static hs_value net_conv(hs_net *net, hs_value x, int out, int k, int stride, bool bias) {
    int64_t in = net->graph->nodes[x].shape.dim[1];
    hs_value w = net_weight(net, (hs_shape){4, {out, in, k, k}}, 1.0f / (float)(k * k));
    hs_attr attr = {.conv = {stride, k / 2, k / 2, k / 2, k / 2, 0, 0}};
    if (stride == 2) /* padding of one side only, as in diffusers' first version */
        attr.conv.pad_top = attr.conv.pad_left = 0;
    if (!bias)
        return ADD(net, HS_OP_CONV2D, attr, x, w);
    return ADD(net, HS_OP_CONV2D, attr, x, w, net_weight(net, (hs_shape){1, {out}}, 1));
}

static hs_value net_norm(hs_net *net, hs_value x, int groups) {
    int64_t c = net->graph->nodes[x].shape.dim[1];
    hs_attr attr = {.group_norm = {groups, 1e-5}};
    hs_value gamma = net_weight(net, (hs_shape){1, {c}}, 1);
    return ADD(net, HS_OP_GROUP_NORM, attr, x, gamma, net_weight(net, (hs_shape){1, {c}}, 1));
}

static hs_value net_act(hs_net *net, hs_value x, hs_activation kind) {
    return ADD(net, HS_OP_ACTIVATION, ((hs_attr){.activation = {kind}}), x);
}

/* A residual block with all that can be fused. */
static hs_value net_block(hs_net *net, hs_value x, hs_value temb, int out, bool modulated) {
    hs_value h = net_act(net, net_norm(net, x, 2), HS_SILU);
    h = net_conv(net, h, out, 3, 1, true);
    int64_t in = net->graph->nodes[temb].shape.dim[1];
    int rows = modulated ? 2 * out : out;
    hs_value v =
        ADD(net, HS_OP_LINEAR, NONE, temb, net_weight(net, (hs_shape){2, {rows, in}}, 0.3f),
            net_weight(net, (hs_shape){1, {rows}}, 0.3f));
    if (!modulated)
        h = ADD(net, HS_OP_ADD_CHANNEL, NONE, h, v);
    h = net_norm(net, h, 2);
    if (modulated)
        h = ADD(net, HS_OP_MODULATE, NONE, h, v);
    h = net_conv(net, net_act(net, h, HS_SILU), out, 3, 1, true);
    hs_value shortcut = x;
    if (net->graph->nodes[x].shape.dim[1] != out)
        shortcut = net_conv(net, x, out, 1, 1, true);
    return ADD(net, HS_OP_ADD, NONE, shortcut, h);
}

static hs_value net_attention(hs_net *net, hs_value x, int heads) {
    int c = (int)net->graph->nodes[x].shape.dim[1];
    hs_value n = net_norm(net, x, 2);
    hs_value q = net_conv(net, n, c, 1, 1, true), k = net_conv(net, n, c, 1, 1, true);
    hs_value v = net_conv(net, n, c, 1, 1, true);
    hs_attr attr = {.attention = {heads, 0.4, 0}};
    hs_value a = net_conv(net, ADD(net, HS_OP_ATTENTION, attr, q, k, v), c, 1, 1, true);
    return ADD(net, HS_OP_ADD, NONE, a, x);
}

/* A small U-Net with every fusion in it; outputs: h and the result. */
static void net_unet(hs_net *net, int n, int c, int size, bool modulated, hs_value outputs[3]) {
    hs_value x = net_input(net, "x", (hs_shape){4, {n, 3, size, size + 2}});
    hs_value t = net_input(net, "t", (hs_shape){1, {n}});
    hs_attr embed = {.time_embed = {c, false, 1, 10000}};
    hs_value temb = ADD(net, HS_OP_TIME_EMBED, embed, t);
    temb = ADD(net, HS_OP_LINEAR, NONE, temb, net_weight(net, (hs_shape){2, {4 * c, c}}, 0.2f),
               net_weight(net, (hs_shape){1, {4 * c}}, 0.2f));
    temb = net_act(net, temb, HS_SILU);
    hs_value skip0 = net_conv(net, x, c, 3, 1, true);
    hs_value skip1 = net_block(net, skip0, temb, c, modulated);
    hs_value down = net_conv(net, skip1, c, 3, 2, true);
    hs_value mid = net_attention(net, net_block(net, down, temb, 2 * c, modulated), 2);
    hs_value h = net_block(net, mid, temb, 2 * c, modulated);
    hs_value up = net_conv(net, ADD(net, HS_OP_UPSAMPLE, NONE, h), 2 * c, 3, 1, true);
    up = net_block(net, ADD(net, HS_OP_CONCAT, NONE, up, skip1), temb, c, modulated);
    up = net_block(net, ADD(net, HS_OP_CONCAT, NONE, up, skip0), temb, c, modulated);
    hs_value y = net_conv(net, net_act(net, net_norm(net, up, 2), HS_SILU), 3, 3, 1, true);
    outputs[0] = h;
    outputs[1] = y;
    outputs[2] = mid;
}

static void net_free(hs_net *net) {
    hs_graph_free(net->graph);
    hs_arena_free(&net->arena);
}

/* Run on a back end; results of all outputs one after the other, malloc'ed. */
static float *net_run(const hs_backend *backend, const hs_graph *graph, int threads,
                      const hs_value *outputs, int output_count, int passes, int64_t *total) {
    hs_error err;
    hs_exec *exec;
    hs_plan_options options = {threads, false, outputs, output_count, NULL};
    assert_ok(backend->plan(graph, &options, &exec, &err));
    hs_binding in[8], out[8];
    int in_count = 0;
    *total = 0;
    for (int i = 0; i < output_count; i++)
        *total += hs_shape_count(&graph->nodes[outputs[i]].shape);
    float *result = malloc((size_t)*total * sizeof *result), *next = result;
    for (int i = 0; i < output_count; i++) {
        out[i] = (hs_binding){outputs[i], next, NULL};
        next += hs_shape_count(&graph->nodes[outputs[i]].shape);
    }
    for (hs_value v = 0; v < graph->count; v++) {
        const hs_node *node = &graph->nodes[v];
        if (node->op != HS_OP_INPUT)
            continue;
        int64_t count = hs_shape_count(&node->shape), row = count / node->shape.dim[0];
        float *data = malloc((size_t)count * sizeof *data);
        for (int64_t r = 0; r < node->shape.dim[0]; r++) /* row r is the same for any n */
            hs_test_fill(100 * (uint64_t)v + (uint64_t)r, data + r * row, row);
        if (node->shape.rank == 1)
            for (int64_t i = 0; i < count; i++)
                data[i] = (float)(int)(500 + 400 * data[i]);
        in[in_count++] = (hs_binding){v, data, NULL};
    }
    for (int i = 0; i < passes; i++)
        assert_ok(backend->execute(exec, in, in_count, out, output_count, &err));
    for (int i = 0; i < in_count; i++)
        free(in[i].f32);
    backend->free(exec);
    return result;
}

/* Largest error of each output against `ref`, of its largest value. */
static void net_check(hs_net *net, const hs_value *outputs, int count, double tolerance) {
    int64_t total;
    float *expected = net_run(&hs_backend_ref, net->graph, 1, outputs, count, 1, &total);
    float *found = net_run(&hs_backend_onednn, net->graph, 2, outputs, count, 2, &total);
    float *a = found, *b = expected;
    for (int i = 0; i < count; i++) {
        int64_t size = hs_shape_count(&net->graph->nodes[outputs[i]].shape);
        double error = hs_test_relative_error(a, b, size);
        if (error > tolerance)
            fail_msg("output %d differs by %.3g, tolerance %.3g", i, error, tolerance);
        a += size;
        b += size;
    }
    free(found);
    free(expected);
    net_free(net);
}

static hs_net net_new(void) {
    hs_net net = {.graph = hs_graph_new()};
    assert_non_null(net.graph);
    return net;
}

/* Largest seen: 4e-7. */
static void test_convolutions(void **state) {
    static const int shapes[][6] = {/* in, out, h, w, k, stride */
                                    {3, 16, 32, 32, 3, 1},  {16, 3, 32, 32, 3, 1},
                                    {5, 7, 1, 1, 3, 1},     {17, 33, 65, 9, 3, 1},
                                    {32, 48, 16, 16, 1, 1}, {16, 16, 32, 32, 3, 2},
                                    {20, 12, 13, 11, 3, 2}, {64, 64, 40, 64, 3, 1},
                                    {1, 1, 5, 4, 3, 1},     {8, 24, 7, 7, 5, 1}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int bias = 0; bias < 2; bias++) {
            const int *s = shapes[i];
            hs_net net = net_new();
            hs_value x = net_input(&net, "x", (hs_shape){4, {2, s[0], s[2], s[3]}});
            hs_value y = net_conv(&net, x, s[1], s[4], s[5], bias);
            net_check(&net, &y, 1, 2e-6);
        }
}

static void test_residual_in_place_and_copied(void **state) {
    hs_net net = net_new();
    hs_value x = net_input(&net, "x", (hs_shape){4, {2, 19, 12, 9}});
    hs_value a = ADD(&net, HS_OP_ADD, NONE, x, net_conv(&net, x, 19, 3, 1, true));
    hs_value b = net_conv(&net, a, 19, 1, 1, true), c = net_conv(&net, a, 19, 3, 1, true);
    hs_value d = ADD(&net, HS_OP_ADD, NONE, c, b);
    hs_value e = ADD(&net, HS_OP_ADD, NONE, d, a);
    hs_value f = ADD(&net, HS_OP_ADD, NONE, e, e);
    net_check(&net, (hs_value[]){a, f, d}, 3, 2e-6);
}

static void test_group_norms(void **state) {
    static const int shapes[][4] = {/* c, groups, h, w */
                                    {8, 2, 1, 1},
                                    {32, 32, 9, 5},
                                    {48, 3, 16, 16},
                                    {20, 4, 65, 31}};
    static const hs_activation acts[] = {HS_SILU, HS_MISH, HS_GELU, HS_RELU};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int a = 0; a < 5; a++) {
            const int *s = shapes[i];
            hs_net net = net_new();
            hs_value x = net_input(&net, "x", (hs_shape){4, {3, s[0], s[2], s[3]}});
            hs_value v = net_input(&net, "v", (hs_shape){2, {3, 2 * s[0]}});
            hs_value y = net_norm(&net, x, s[1]);
            if (a == 2)
                y = ADD(&net, HS_OP_MODULATE, NONE, y, v);
            if (a < 4)
                y = net_act(&net, y, acts[a]);
            net_check(&net, &y, 1, 5e-6);
        }
}

/* A mean far from zero beside a small deviation: the sums must not cancel. */
static void test_group_norm_offset(void **state) {
    hs_net net = net_new();
    hs_value x = net_input(&net, "x", (hs_shape){4, {1, 16, 32, 32}});
    hs_value far = ADD(&net, HS_OP_AFFINE, ((hs_attr){.affine = {0.1, 10}}), x);
    hs_value y = net_norm(&net, far, 4);
    net_check(&net, &y, 1, 3e-4); /* 0.1 in 10: ref's own input is rounded to 1e-6 of it */
}

static void test_pointwise(void **state) {
    hs_net net = net_new();
    hs_value x = net_input(&net, "x", (hs_shape){4, {2, 21, 6, 10}});
    hs_value v = net_input(&net, "v", (hs_shape){2, {2, 42}});
    hs_value w = net_input(&net, "w", (hs_shape){2, {2, 21}});
    hs_value t = net_input(&net, "t", (hs_shape){1, {2}});
    hs_value a = ADD(&net, HS_OP_MODULATE, NONE, x, v);
    hs_value b = ADD(&net, HS_OP_ADD_CHANNEL, NONE, x, w);
    hs_value c = ADD(&net, HS_OP_DIVIDE_ROWS, NONE, x, t);
    hs_value d = net_act(&net, x, HS_GELU);
    hs_value e = ADD(&net, HS_OP_AVG_POOL, NONE, x), f = ADD(&net, HS_OP_UPSAMPLE, NONE, x);
    hs_value g = ADD(&net, HS_OP_CONCAT, NONE, a, b, x);
    net_check(&net, (hs_value[]){a, b, c, d, e, f, g}, 7, 1e-6);
}

/* A ResNet's layers: a wide kernel with stride, max pooling, ReLU on maps, the
 * mean of each channel, on sizes that the windows cut; largest seen: 3e-7. */
static void test_resnet_layers(void **state) {
    static const int pools[][3] = {{3, 2, 1}, {2, 2, 0}, {2, 3, 1}, {5, 1, 2}};
    for (size_t i = 0; i < sizeof pools / sizeof *pools; i++)
        for (int size = 5; size <= 33; size += 14) {
            hs_net net = net_new();
            hs_value x = net_input(&net, "x", (hs_shape){4, {2, 3, size, size + 3}});
            hs_value w = net_weight(&net, (hs_shape){4, {21, 3, 7, 7}}, 0.1f);
            hs_value bias = net_weight(&net, (hs_shape){1, {21}}, 1);
            hs_attr stem = {.conv = {2, 3, 3, 3, 3, 0, 0}}, pool = {0};
            pool.pool.kernel = pools[i][0];
            pool.pool.stride = pools[i][1];
            pool.pool.pad = pools[i][2];
            hs_value a = ADD(&net, HS_OP_CONV2D, stem, x, w, bias);
            hs_value b = net_act(&net, a, HS_RELU);
            hs_value c = ADD(&net, HS_OP_MAX_POOL, pool, b);
            hs_value d = ADD(&net, HS_OP_ADD, NONE, c, net_conv(&net, c, 21, 3, 1, true));
            hs_value e = ADD(&net, HS_OP_MEAN_SPATIAL, NONE, net_act(&net, d, HS_RELU));
            hs_value f = ADD(&net, HS_OP_LINEAR, NONE, net_act(&net, e, HS_RELU),
                             net_weight(&net, (hs_shape){2, {7, 21}}, 0.3f));
            net_check(&net, (hs_value[]){a, b, c, d, e, f}, 6, 3e-6);
        }
}

static void test_attention(void **state) {
    static const int shapes[][4] = {/* c, heads, h, w */
                                    {16, 1, 8, 8},
                                    {24, 3, 5, 7},
                                    {64, 8, 16, 16},
                                    {6, 6, 1, 1}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        hs_net net = net_new();
        hs_value x =
            net_input(&net, "x", (hs_shape){4, {2, shapes[i][0], shapes[i][2], shapes[i][3]}});
        hs_value y = net_attention(&net, x, shapes[i][1]);
        net_check(&net, &y, 1, 5e-6);
    }
}

static void test_unets(void **state) {
    for (int modulated = 0; modulated < 2; modulated++)
        for (int c = 6; c <= 32; c += 26) {
            hs_net net = net_new();
            hs_value outputs[3];
            net_unet(&net, 2, c, 16, modulated, outputs);
            net_check(&net, outputs, 3, 1e-5);
        }
}

static void test_threads_and_batch_change_nothing(void **state) {
    int64_t one_total, total;
    hs_value outputs[3];
    hs_net one = net_new(), five = net_new();
    net_unet(&one, 1, 16, 24, false, outputs);
    float *reference = net_run(&hs_backend_onednn, one.graph, 1, outputs, 2, 1, &one_total);
    for (int threads = 2; threads <= 5; threads++) {
        float *again = net_run(&hs_backend_onednn, one.graph, threads, outputs, 2, 3, &total);
        assert_memory_equal(again, reference, (size_t)total * sizeof *again);
        free(again);
    }
    net_unet(&five, 5, 16, 24, false, outputs);
    float *batch = net_run(&hs_backend_onednn, five.graph, 2, outputs, 2, 1, &total);
    int64_t h = hs_shape_count(&five.graph->nodes[outputs[0]].shape) / 5;
    assert_memory_equal(batch, reference, (size_t)h * sizeof *batch);
    assert_memory_equal(batch + 5 * h, reference + h, (size_t)(one_total - h) * sizeof *batch);
    free(batch);
    free(reference);
    net_free(&five);
    net_free(&one);
}

static void test_bad_weights_are_named(void **state) {
    hs_error err;
    hs_exec *exec = NULL;
    hs_net net = net_new();
    hs_value x = net_input(&net, "x", (hs_shape){4, {1, 4, 4, 4}});
    hs_value y = net_conv(&net, x, 4, 3, 1, false);
    hs_tensor *w = (hs_tensor *)net.graph->nodes[net.graph->nodes[y].input[1]].weight;
    ((float *)w->data)[7] = 0.0f / 0.0f;
    w->name = "conv_in.weight";
    hs_plan_options options = {1, false, &y, 1, NULL};
    assert_int_equal(hs_backend_onednn.plan(net.graph, &options, &exec, &err), HS_ERROR_NUMERIC);
    assert_non_null(strstr(err.message, "conv_in.weight"));
    assert_non_null(strstr(err.message, "7"));
    net_free(&net);
}

static void test_unbound_input(void **state) {
    hs_error err;
    hs_exec *exec = NULL;
    float out[64];
    hs_net net = net_new();
    hs_value x = net_input(&net, "image", (hs_shape){4, {1, 4, 4, 4}});
    hs_value y = net_conv(&net, x, 4, 3, 1, false);
    hs_plan_options options = {1, false, &y, 1, NULL};
    assert_ok(hs_backend_onednn.plan(net.graph, &options, &exec, &err));
    hs_binding binding = {y, out, NULL};
    assert_int_equal(hs_backend_onednn.execute(exec, NULL, 0, &binding, 1, &err),
                     HS_ERROR_ARGUMENT);
    assert_non_null(strstr(err.message, "image"));
    hs_backend_onednn.free(exec);
    net_free(&net);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_convolutions),
        cmocka_unit_test(test_residual_in_place_and_copied),
        cmocka_unit_test(test_group_norms),
        cmocka_unit_test(test_group_norm_offset),
        cmocka_unit_test(test_pointwise),
        cmocka_unit_test(test_resnet_layers),
        cmocka_unit_test(test_attention),
        cmocka_unit_test(test_unets),
        cmocka_unit_test(test_threads_and_batch_change_nothing),
        cmocka_unit_test(test_bad_weights_are_named),
        cmocka_unit_test(test_unbound_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
