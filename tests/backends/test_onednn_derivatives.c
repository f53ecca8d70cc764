/*
 * Jacobian products on the CPU back end: the point once, then the linear stage
 * for k vectors, against the uncut graph on the reference back end in double.
 */
#include <stdlib.h>
#include <string.h>

#include "backends/net.h"
#include "graph/cut.h"
#include "graph/jvp.h"
#include "graph/vjp.h"

/* Double values of `output`, all inputs bound to their deterministic data. */
static double *reference(const hs_graph *graph, hs_value output) {
    hs_error err;
    hs_exec *exec;
    hs_plan_options options = {.double_precision = true, .outputs = &output, .output_count = 1};
    assert_ok(hs_backend_ref.plan(graph, &options, &exec, &err));
    hs_binding in[8];
    int count = 0;
    for (hs_value v = 0; v < graph->count; v++)
        if (graph->nodes[v].op == HS_OP_INPUT)
            in[count++] = (hs_binding){v, net_input_data(graph, v), NULL};
    double *result = calloc((size_t)hs_shape_count(&graph->nodes[output].shape), sizeof *result);
    hs_binding out = {output, NULL, result};
    assert_ok(hs_backend_ref.execute(exec, in, count, &out, 1, &err));
    for (int i = 0; i < count; i++)
        free(in[i].f32);
    hs_backend_ref.free(exec);
    return result;
}

/* The same by two plans of the CPU back end, slopes kept or computed again; the point
 * computes `of`. */
static float *staged(const hs_graph *graph, hs_value source, hs_value output, hs_value of,
                     int threads, int64_t slope_bytes) {
    hs_error err;
    hs_cut cut;
    hs_exec *point, *linear;
    assert_ok(hs_graph_cut(graph, &source, 1, &output, 1, slope_bytes, &cut, &err));
    hs_value kept[100];
    hs_link links[100];
    assert_true(cut.kept_count <= 100);
    for (int i = 0; i < cut.kept_count; i++)
        kept[i] = cut.kept[i].value;
    hs_plan_options first = {.threads = threads,
                             .outputs = &of,
                             .output_count = 1,
                             .kept = kept,
                             .kept_count = cut.kept_count};
    assert_ok(hs_backend_onednn.plan(graph, &first, &point, &err));
    for (int i = 0; i < cut.kept_count; i++)
        links[i] = (hs_link){cut.kept[i].input, point, cut.kept[i].value};
    hs_plan_options second = {.threads = threads,
                              .outputs = cut.outputs,
                              .output_count = 1,
                              .links = links,
                              .link_count = cut.kept_count};
    assert_ok(hs_backend_onednn.plan(cut.graph, &second, &linear, &err));
    hs_binding in[8];
    int count = 0;
    for (hs_value v = 0; v < graph->count; v++)
        if (graph->nodes[v].op == HS_OP_INPUT && v != source)
            in[count++] = (hs_binding){v, net_input_data(graph, v), NULL};
    float *result = calloc((size_t)hs_shape_count(&graph->nodes[output].shape), sizeof *result);
    float *primal = calloc((size_t)hs_shape_count(&graph->nodes[of].shape), sizeof *primal);
    hs_binding whole = {of, primal, NULL};
    hs_binding vector = {cut.sources[0], net_input_data(graph, source), NULL};
    hs_binding out = {cut.outputs[0], result, NULL};
    for (int pass = 0; pass < 2; pass++) { /* a second pass finds nothing spoilt */
        assert_ok(hs_backend_onednn.execute(point, in, count, &whole, 1, &err));
        for (int product = 0; product < 2; product++)
            assert_ok(hs_backend_onednn.execute(linear, &vector, 1, &out, 1, &err));
    }
    for (int i = 0; i < count; i++)
        free(in[i].f32);
    free(primal);
    free(vector.f32);
    hs_backend_onednn.free(linear);
    hs_backend_onednn.free(point);
    hs_cut_free(&cut);
    return result;
}

/* Both products at `at`, for k vectors; largest error relative to the largest value. */
static void check(hs_net *net, hs_value at, hs_value of, int k, double tolerance) {
    hs_error err;
    hs_shape v_shape = net->graph->nodes[at].shape, u_shape = net->graph->nodes[of].shape;
    hs_value products[2], sources[2];
    v_shape.dim[0] = u_shape.dim[0] = k;
    sources[0] = net_input(net, "v", v_shape);
    sources[1] = net_input(net, "u", u_shape);
    assert_ok(hs_graph_jvp(net->graph, at, sources[0], of, &products[0], &err));
    assert_ok(hs_graph_vjp(net->graph, at, sources[1], of, &products[1], &err));
    for (int i = 0; i < 2; i++) {
        int64_t count = hs_shape_count(&net->graph->nodes[products[i]].shape);
        double *expected = reference(net->graph, products[i]);
        float *one = staged(net->graph, sources[i], products[i], of, 1, 0);
        float *found = staged(net->graph, sources[i], products[i], of, 2, 0);
        float *kept = staged(net->graph, sources[i], products[i], of, 2, 1 << 20);
        assert_memory_equal(one, found, (size_t)count * sizeof *one);
        assert_memory_equal(one, kept, (size_t)count * sizeof *one);
        double worst = 0, largest = 0;
        for (int64_t j = 0; j < count; j++) {
            double difference = (double)found[j] - expected[j];
            worst = difference > worst ? difference : -difference > worst ? -difference : worst;
            largest = expected[j] > largest    ? expected[j]
                      : -expected[j] > largest ? -expected[j]
                                               : largest;
        }
        if (!(worst <= tolerance * largest))
            fail_msg("%s: error %.3g of %.3g", i ? "J^T u" : "J v", worst, largest);
        free(kept);
        free(found);
        free(one);
        free(expected);
    }
}

static hs_value net_map(hs_net *net, int c, int h, int w) {
    return net_input(net, "x", (hs_shape){4, {1, c, h, w}});
}

/* At -O1 gcc contracts no product and sum: one more rounding. */
#ifdef __SANITIZE_ADDRESS__
#define CONV_TOLERANCE 4e-6
#else
#define CONV_TOLERANCE 3e-6
#endif

static void test_convolutions(void **state) {
    static const int shapes[][5] = {
        {3, 16, 9, 7, 3},    {16, 3, 32, 32, 3},   {33, 17, 5, 5, 1}, {5, 6, 8, 9, 5},
        {64, 32, 16, 16, 3}, {104, 152, 32, 32, 3}}; /* transformed in every pass */
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int k = 1; k <= 3; k += 2) {
            const int *s = shapes[i];
            hs_net net = net_new();
            hs_value x = net_map(&net, s[0], s[2], s[3]);
            check(&net, x, net_conv(&net, x, s[1], s[4], 1, true), k, CONV_TOLERANCE);
            net_free(&net);
        }
}

static void test_norm_with_activation(void **state) {
    static const hs_activation acts[] = {HS_SILU, HS_MISH, HS_GELU, HS_RELU};
    for (int kind = 0; kind < 5; kind++)
        for (int modulated = 0; modulated < 2; modulated++) {
            hs_net net = net_new();
            hs_value x = net_map(&net, 24, 9, 11);
            hs_value s = net_input(&net, "s", (hs_shape){2, {1, 48}});
            hs_value y = net_norm(&net, x, 3);
            if (modulated)
                y = ADD(&net, HS_OP_MODULATE, NONE, y, s);
            if (kind < 4)
                y = net_act(&net, y, acts[kind]);
            check(&net, x, net_conv(&net, y, 8, 1, 1, false), 3, 1e-5);
            net_free(&net);
        }
}

static void test_attention(void **state) {
    static const int shapes[][4] = {{16, 1, 8, 8}, {24, 3, 5, 7}, {64, 8, 9, 9}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const int *s = shapes[i];
        hs_net net = net_new();
        hs_value x = net_map(&net, s[0], s[2], s[3]);
        check(&net, x, net_attention(&net, x, s[1]), 2, 1e-5);
        net_free(&net);
    }
}

static void test_resampling(void **state) {
    hs_net net = net_new();
    hs_value x = net_map(&net, 12, 6, 8),
             skip = net_input(&net, "s", (hs_shape){4, {1, 20, 12, 16}});
    hs_value up = ADD(&net, HS_OP_UPSAMPLE, NONE, x);
    hs_value whole = ADD(&net, HS_OP_CONCAT, NONE, up, skip, up);
    hs_value y = net_conv(&net, net_act(&net, net_norm(&net, whole, 4), HS_SILU), 8, 3, 1, true);
    y = ADD(&net, HS_OP_ADD, NONE, y, net_conv(&net, whole, 8, 1, 1, true));
    y = ADD(&net, HS_OP_AVG_POOL, NONE, y);
    y = ADD(&net, HS_OP_AFFINE, ((hs_attr){.affine = {0.5, 2}}), y);
    check(&net, x, y, 2, 1e-5);
    net_free(&net);
}

/* From the middle's end, and from inside it, to the image. */
static void test_unets(void **state) {
    for (int modulated = 0; modulated < 2; modulated++)
        for (int where = 0; where < 2; where++)
            for (int k = 1; k <= 5; k += 4) {
                hs_net net = net_new();
                hs_value outputs[3];
                net_unet(&net, 1, 16, 16, modulated, outputs);
                check(&net, outputs[where ? 2 : 0], outputs[1], k, 1e-5);
                net_free(&net);
            }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_convolutions), cmocka_unit_test(test_norm_with_activation),
        cmocka_unit_test(test_attention),    cmocka_unit_test(test_resampling),
        cmocka_unit_test(test_unets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
