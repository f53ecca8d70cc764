/*
 * The CPU back end against the reference one: every op and every fusion, over
 * odd sizes and channels that fill no vector; then what it promises beyond
 * that: results that do not depend on threads or batch.
 */
#include <stdlib.h>
#include <string.h>

#include "backends/kernels/kernels.h"
#include "backends/net.h"
#include "backends/onednn/conv2d.h"

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

/* Read through an upsampling: by several, of a concatenation that is itself never
 * made, with all that a convolution absorbs; and where somebody wants it made. */
static void test_convolutions_of_upsamplings(void **state) {
    for (int wanted = 0; wanted < 2; wanted++)
        for (int size = 3; size <= 20; size += 17) {
            hs_net net = net_new();
            hs_value x = net_input(&net, "x", (hs_shape){4, {2, 40, size, size + 2}});
            hs_value up = ADD(&net, HS_OP_UPSAMPLE, NONE, x);
            hs_value a = net_conv(&net, up, 36, 3, 1, true),
                     b = net_conv(&net, up, 36, 3, 1, false);
            hs_value sum = ADD(&net, HS_OP_ADD, NONE, a, b);
            hs_value both = ADD(&net, HS_OP_CONCAT, NONE, net_conv(&net, x, 33, 3, 1, true), x);
            hs_value c = net_conv(&net, ADD(&net, HS_OP_UPSAMPLE, NONE, both), 36, 3, 1, true);
            hs_value y = ADD(&net, HS_OP_ADD, NONE, c, sum);
            net_check(&net, (hs_value[]){y, up}, 1 + wanted, 2e-6);
        }
}

/* Weights that are large for their maps are transformed in every pass of a large
 * model: of a concatenation's parts, for several items, by any number of threads.
 * They stay plain: less is kept than the 36 floats for 9 of transformed ones, which
 * a small model has; of rounded factors, in bf16: half of that. But for bf16 they are kept
 * while they take little of the whole model. The large one has 64 MiB that this pass does
 * not need. out: channels, of so many that transformed ones take 2 MiB. */
static void check_weights_made_in_every_pass(bool large, bool fast, int out) {
    hs_error err;
    hs_exec *exec;
    hs_exec_bytes bytes;
    int64_t total;
    hs_net net = net_new();
    hs_value a = net_input(&net, "a", (hs_shape){4, {2, 72, 32, 36}});
    hs_value b = net_input(&net, "b", (hs_shape){4, {2, 80, 32, 36}});
    hs_value x = ADD(&net, HS_OP_CONCAT, NONE, a, b);
    hs_value y = net_conv(&net, x, out, 3, 1, true);
    if (large)
        net_conv(&net, net_input(&net, "c", (hs_shape){4, {1, 4096, 1, 1}}), 4096, 1, 1, false);
    hs_plan_options options = {.threads = 1, .outputs = &y, .output_count = 1, .fast = fast};
    assert_ok(hs_backend_onednn.plan(net.graph, &options, &exec, &err));
    hs_backend_onednn.bytes(exec, &bytes);
    hs_backend_onednn.free(exec);
    bool fixed = fast && hs_kernels_get()->fixed;
    bool kept = !large || (fixed ? out < 1000 : !fast && out < 600);
    int64_t values = (fast ? 2 : 4) * 152LL * out; /* bytes of one tap of all kernels */
    int64_t most = kept ? 50 : fast ? 12 : 10;     /* 32 channels of a panel are full */
    if (strcmp(hs_kernels_get()->isa, "generic") != 0)
        assert_in_range(bytes.weights, (kept ? 36 : 9) * values, most * values);
    if (fast) { /* how exact: test_winograd */
        net_free(&net);
        return;
    }
    float *one = net_run(&hs_backend_onednn, net.graph, 1, &y, 1, 2, &total);
    for (int threads = 2; threads <= 3; threads++) {
        float *many = net_run(&hs_backend_onednn, net.graph, threads, &y, 1, 1, &total);
        assert_memory_equal(one, many, (size_t)total * sizeof *one);
        free(many);
    }
    free(one);
    net_check(&net, &y, 1, 2e-6);
}

static void test_weights_made_in_every_pass(void **state) {
    check_weights_made_in_every_pass(false, false, 104);
    check_weights_made_in_every_pass(true, false, 104);
    check_weights_made_in_every_pass(true, false, 640);
    check_weights_made_in_every_pass(true, true, 432);
    check_weights_made_in_every_pass(true, true, 1680);
}

/* With --precision fast every kind of convolution, with all that is fused into it, is near
 * what float32 gives (observed: 2.5e-3 of the largest value), and the same for any number of
 * threads. */
static void check_fast(const hs_kernels *kernels, int size, bool modulated, double bound) {
    hs_net net = net_new();
    hs_value outputs[3];
    int64_t total;
    net_unet(&net, 2, 32, size, modulated, outputs);
    hs_plan_options options = {
        .threads = 1, .outputs = outputs, .output_count = 2, .fast = true, .kernels = kernels};
    float *exact = net_run(&hs_backend_onednn, net.graph, 2, outputs, 2, 1, &total);
    float *fast = net_run_with(&hs_backend_onednn, net.graph, &options, 2, &total);
    double error = hs_test_relative_error(fast, exact, total);
    print_message("fast: largest error %.2g\n", error);
    assert_true(error < bound && (error > 1e-5 || (!kernels && !hs_backend_onednn.has_fast())));
    for (options.threads = 2; options.threads <= 8; options.threads *= 2) {
        float *again = net_run_with(&hs_backend_onednn, net.graph, &options, 1, &total);
        assert_memory_equal(again, fast, (size_t)total * sizeof *fast);
        free(again);
    }
    free(exact);
    free(fast);
    net_free(&net);
}

static void test_fast(void **state) {
    check_fast(NULL, 64, false, hs_kernels_get()->matrices ? 5e-2 : 1e-2);
}

/* The same as on a processor that multiplies matrices: all convolutions tap by tap, which apply
 * the norms that they read. (Observed: 2.4e-2, since this network's attention is steep; 7e-3 with
 * 1x1 convolutions in float32.) */
static void test_fast_by_taps(void **state) {
    hs_kernels kernels = *hs_kernels_get();
    kernels.fixed = false;
    kernels.matrices = true;
    kernels.bf16 = true;
    check_fast(&kernels, 12, false, 5e-2);
    check_fast(&kernels, 40, true, 5e-2);
}

/* Tiles of 6 round too much for float32; small maps with large kernels are taken by what
 * they are of their network. */
static void test_tiles(void **state) {
    const hs_kernels *kernels = hs_kernels_named("avx2");
    if (!kernels)
        skip();
    assert_true(kernels->fixed);
    const int64_t map = 64 * 64;
    const hs_factors f32 = HS_FACTORS_F32, fixed = HS_FACTORS_FIXED;
    assert_int_equal(hs_od_conv_tile(kernels, f32, 64, 64, map, map), 4);
    assert_int_equal(hs_od_conv_tile(kernels, fixed, 64, 64, map, map), 6);
    assert_int_equal(hs_od_conv_tile(kernels, fixed, 64, 64, map / 4, map), 4);
    assert_int_equal(hs_od_conv_tile(kernels, f32, 512, 512, map / 64, map), 4);
    assert_int_equal(hs_od_conv_tile(kernels, f32, 512, 512, map / 64, 4 * map), 2);
    assert_false(hs_od_conv_late(kernels, f32, 512, 512, map / 64, map, 1));
}

/* With 32 registers U is made late where tiles are few, or always where such maps are a small share
 * of the network; the tile does not depend on the batch. */
static void test_late(void **state) {
    const hs_kernels avx512 = {.isa = "avx512"};
    const int64_t map = 64 * 64;
    const hs_factors f32 = HS_FACTORS_F32, bf16 = HS_FACTORS_BF16;
    assert_true(hs_od_conv_late(&avx512, f32, 512, 512, map / 64, map, 2));
    assert_false(hs_od_conv_late(&avx512, f32, 512, 512, map / 64, map, 3));
    assert_true(hs_od_conv_late(&avx512, f32, 512, 512, map / 64, 4 * map, 100));
    assert_false(hs_od_conv_late(&avx512, f32, 512, 512, map, map, 1));
    assert_false(hs_od_conv_late(&avx512, bf16, 512, 512, map / 64, map, 1));
    assert_int_equal(hs_od_conv_tile(&avx512, f32, 512, 512, map / 64, 4 * map), 4);
    assert_int_equal(hs_od_conv_tile(&avx512, bf16, 512, 512, map / 64, 4 * map), 2);
}

/* A sample alone, with U made late and V by each thread, is what it is in a batch, for any number of
 * threads. */
static void test_alone_and_batch_change_nothing(void **state) {
    for (int channels = 64; channels <= 320; channels += 256)
        for (int silu = 0; silu < 2; silu++) {
            int64_t one_total, total;
            hs_net one = net_new(), five = net_new();
            hs_value y[2];
            for (int i = 0; i < 2; i++) {
                hs_net *net = i ? &five : &one;
                hs_value a = net_input(net, "a", (hs_shape){4, {i ? 5 : 1, channels, 8, 8}});
                hs_value b = net_conv(net, a, 40, 1, 1, true);
                hs_value x = net_norm(net, ADD(net, HS_OP_CONCAT, NONE, a, b), 8);
                y[i] = net_conv(net, silu ? net_act(net, x, HS_SILU) : x, 72, 3, 1, true);
            }
            float *batch = net_run(&hs_backend_onednn, five.graph, 2, &y[1], 1, 1, &total);
            for (int threads = 1; threads <= 4; threads++) {
                float *alone =
                    net_run(&hs_backend_onednn, one.graph, threads, &y[0], 1, 2, &one_total);
                assert_int_equal(total, 5 * one_total);
                assert_memory_equal(batch, alone, (size_t)one_total * sizeof *batch);
                free(alone);
            }
            free(batch);
            net_free(&five);
            net_check(&one, &y[0], 1, 1e-5); /* frees it */
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

/* A norm takes the sums that a convolution left of its tiles, which the map's sides cut,
 * alone and beside a part without them; again with a mean far from zero. */
static void test_group_norm_of_convolution(void **state) {
    hs_net net = net_new();
    hs_value x = net_input(&net, "x", (hs_shape){4, {2, 32, 17, 19}});
    hs_value v = net_input(&net, "v", (hs_shape){2, {2, 32}});
    hs_value far = ADD(&net, HS_OP_AFFINE, ((hs_attr){.affine = {0.1, 30}}), v);
    hs_value a = net_conv(&net, x, 32, 3, 1, true);
    hs_value b = ADD(&net, HS_OP_ADD_CHANNEL, NONE, net_conv(&net, x, 32, 3, 1, true), far);
    hs_value c = net_norm(&net, a, 4), d = net_norm(&net, b, 4);
    hs_value e = net_norm(&net, ADD(&net, HS_OP_CONCAT, NONE, a, x, b), 8);
    hs_value f =
        net_norm(&net, ADD(&net, HS_OP_ADD, NONE, net_conv(&net, x, 32, 3, 1, true), x), 4);
    net_check(&net, (hs_value[]){c, d, e, f}, 4, 2e-5); /* rounding b alone makes 3e-6 */
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

/* Maps of 24 x 24 are small: a step runs for all items. Those of 64 x 64 are not. */
static void check_threads_and_batch(int size) {
    int64_t one_total, total;
    hs_value outputs[3];
    hs_net one = net_new(), five = net_new();
    net_unet(&one, 1, 16, size, false, outputs);
    float *reference = net_run(&hs_backend_onednn, one.graph, 1, outputs, 2, 1, &one_total);
    for (int threads = 2; threads <= 5; threads++) {
        float *again = net_run(&hs_backend_onednn, one.graph, threads, outputs, 2, 3, &total);
        assert_memory_equal(again, reference, (size_t)total * sizeof *again);
        free(again);
    }
    net_unet(&five, 5, 16, size, false, outputs);
    for (int threads = 1; threads <= 5; threads++) {
        float *batch = net_run(&hs_backend_onednn, five.graph, threads, outputs, 2, 2, &total);
        int64_t h = hs_shape_count(&five.graph->nodes[outputs[0]].shape) / 5;
        assert_memory_equal(batch, reference, (size_t)h * sizeof *batch);
        assert_memory_equal(batch + 5 * h, reference + h, (size_t)(one_total - h) * sizeof *batch);
        free(batch);
    }
    free(reference);
    net_free(&five);
    net_free(&one);
}

static void test_threads_and_batch_change_nothing(void **state) {
    check_threads_and_batch(24);
    check_threads_and_batch(64);
}

/* Every item of every step is run once, each of its steps in order; large maps in windows of as
 * many items as there are threads. */
static void test_walk(void **state) {
    enum { items = 5 };
    hs_error err;
    hs_exec *exec;
    hs_value outputs[3];
    hs_net net = net_new();
    net_unet(&net, items, 16, 64, false, outputs);
    hs_plan_options options = {.threads = 2, .outputs = outputs, .output_count = 2};
    assert_ok(hs_backend_onednn.plan(net.graph, &options, &exec, &err));
    int next[items] = {0}, windows = 0;
    for (int i = 0; i < exec->visit_count; i++) {
        const hs_od_visit *visit = &exec->walk[i];
        int count = visit->count ? visit->count : items;
        windows += visit->count > 0;
        assert_true(!visit->count || count == 2 || (count == 1 && visit->first == 4));
        for (int item = visit->first; item < visit->first + count; item++)
            assert_int_equal(next[item]++, visit->step);
    }
    for (int item = 0; item < items; item++)
        assert_int_equal(next[item], exec->step_count);
    assert_true(windows > 6);
    hs_backend_onednn.free(exec);
    net_free(&net);
}

/* All that one item of a batch is made from lies together, what all share behind the last one. */
static void test_items_lie_together(void **state) {
    hs_error err;
    hs_exec *exec;
    hs_value outputs[3];
    hs_net net = net_new();
    net_unet(&net, 3, 16, 24, false, outputs);
    hs_plan_options options = {
        .threads = 2, .outputs = outputs, .output_count = 2, .kept = outputs + 2, .kept_count = 1};
    assert_ok(hs_backend_onednn.plan(net.graph, &options, &exec, &err));
    const float *arena = *exec->arena;
    int64_t stride = 0;
    int of_items = 0, kept = 0;
    for (int i = 0; i < exec->buffer_count; i++) {
        const hs_od_buffer *buffer = &exec->buffers[i];
        if (buffer->kept) {
            kept++;
            assert_true(hs_od_piece(exec, i, 1) - hs_od_piece(exec, i, 0) >= buffer->floats);
        } else if (buffer->pieces == 3) {
            of_items++;
            stride = stride ? stride : buffer->stride;
            assert_int_equal(buffer->stride, stride);
            assert_in_range(hs_od_piece(exec, i, 0) - arena, 0, stride - buffer->floats);
        }
    }
    assert_true(of_items > 20);
    assert_int_equal(kept, 1);
    for (int i = 0; i < exec->buffer_count; i++)
        if (!exec->buffers[i].kept && exec->buffers[i].pieces != 3)
            assert_true(hs_od_piece(exec, i, 0) - arena >= 3 * stride);
    assert_true(exec->arena_bytes >= 3 * stride * (int64_t)sizeof(float));
    hs_backend_onednn.free(exec);
    net_free(&net);
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
        cmocka_unit_test(test_convolutions_of_upsamplings),
        cmocka_unit_test(test_weights_made_in_every_pass),
        cmocka_unit_test(test_fast),
        cmocka_unit_test(test_fast_by_taps),
        cmocka_unit_test(test_tiles),
        cmocka_unit_test(test_late),
        cmocka_unit_test(test_alone_and_batch_change_nothing),
        cmocka_unit_test(test_residual_in_place_and_copied),
        cmocka_unit_test(test_group_norms),
        cmocka_unit_test(test_group_norm_offset),
        cmocka_unit_test(test_group_norm_of_convolution),
        cmocka_unit_test(test_pointwise),
        cmocka_unit_test(test_resnet_layers),
        cmocka_unit_test(test_attention),
        cmocka_unit_test(test_unets),
        cmocka_unit_test(test_threads_and_batch_change_nothing),
        cmocka_unit_test(test_walk),
        cmocka_unit_test(test_items_lie_together),
        cmocka_unit_test(test_bad_weights_are_named),
        cmocka_unit_test(test_unbound_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
