/* The reference back end: memory that is shared by lifetimes changes nothing,
 * float mode rounds what passes between ops, and bindings are checked. What it
 * computes is tested op by op in tests/graph. */
#include "support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backends/backend.h"

/* x -> conv -> silu -> conv -> + x -> ... : a chain of residual blocks, and an
 * op whose result nobody reads. */
typedef struct hs_chain {
    hs_graph *graph;
    hs_value x, first, out, unused_input;
    float weights[3 * 3 * 9];
    hs_tensor tensor;
} hs_chain;

#define HS_BLOCKS 6
#define HS_COUNT (2 * 3 * 6 * 5)

static void hs_chain_make(hs_chain *chain) {
    hs_error err;
    hs_attr conv = {
        .conv = {.stride = 1, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1}};
    hs_attr silu = {.activation = {HS_SILU}}, huge = {.affine = {.alpha = 1e300}};
    hs_value w, value, dead;
    hs_test_fill(7, chain->weights, 81);
    chain->tensor = (hs_tensor){
        .name = "w", .dtype = HS_F32, .rank = 4, .dim = {3, 3, 3, 3}, .data = chain->weights};
    hs_graph *graph = chain->graph = hs_graph_new();
    assert_non_null(graph);
    hs_shape shape = {4, {2, 3, 6, 5}};
    assert_ok(hs_graph_input(graph, "x", shape, &chain->x, &err));
    assert_ok(hs_graph_input(graph, "spare", shape, &chain->unused_input, &err));
    assert_ok(hs_graph_weight(graph, &chain->tensor, (hs_shape){4, {3, 3, 3, 3}}, &w, &err));
    assert_ok(hs_graph_add(graph, HS_OP_AFFINE, &chain->x, 1, &huge, "dead", &dead, &err));
    value = chain->x;
    for (int i = 0; i < HS_BLOCKS; i++) {
        hs_value inputs[] = {value, w}, skip = value;
        assert_ok(hs_graph_add(graph, HS_OP_CONV2D, inputs, 2, &conv, "conv", &value, &err));
        assert_ok(hs_graph_add(graph, HS_OP_ACTIVATION, &value, 1, &silu, NULL, &value, &err));
        const hs_value sum[] = {value, skip};
        assert_ok(hs_graph_add(graph, HS_OP_ADD, sum, 2, NULL, NULL, &value, &err));
        if (i == 0)
            chain->first = value;
    }
    chain->out = value;
}

/* Plan for `outputs` and read chain->out; `bytes` is the plan's arena. */
static void hs_chain_run(const hs_chain *chain, const hs_value *outputs, int count,
                         bool double_precision, const double *x, double *out, int64_t *bytes) {
    hs_error err;
    hs_exec *exec;
    hs_exec_bytes all;
    hs_plan_options options = {
        .outputs = outputs, .output_count = count, .double_precision = double_precision};
    assert_ok(hs_backend_ref.plan(chain->graph, &options, &exec, &err));
    hs_binding in[] = {{.value = chain->x, .f64 = (double *)x},
                       {.value = chain->unused_input, .f64 = (double *)x}};
    hs_binding result = {.value = chain->out, .f64 = out};
    for (int again = 0; again < 2; again++) /* a plan is executed many times */
        assert_ok(hs_backend_ref.execute(exec, in, 2, &result, 1, &err));
    hs_backend_ref.bytes(exec, &all);
    *bytes = all.own;
    assert_int_equal(all.weights, 81 * 8);
    hs_backend_ref.free(exec);
}

static void hs_test_lifetimes(void **state) {
    hs_chain chain;
    uint64_t seed = 3;
    double x[HS_COUNT], shared[HS_COUNT], kept[HS_COUNT];
    hs_value all[64];
    int64_t shared_bytes, kept_bytes;
    hs_chain_make(&chain);
    for (int i = 0; i < HS_COUNT; i++)
        x[i] = hs_test_random(&seed);
    for (int i = 0; i < chain.graph->count; i++)
        all[i] = i;
    hs_chain_run(&chain, &chain.out, 1, true, x, shared, &shared_bytes);
    hs_chain_run(&chain, all, chain.graph->count, true, x, kept, &kept_bytes);
    assert_memory_equal(shared, kept, sizeof kept);
    /* Input, skip, and two results at a time, against all of them. */
    assert_true(shared_bytes <= 5 * (HS_COUNT * 8 + HS_ALIGN));
    assert_true(kept_bytes >= (3 * HS_BLOCKS + 2) * HS_COUNT * 8);
    hs_graph_free(chain.graph);
}

/* Float mode is near to double, not equal to it, and every value is a float. */
static void hs_test_float(void **state) {
    hs_chain chain;
    uint64_t seed = 4;
    double x[HS_COUNT], single[HS_COUNT], wide[HS_COUNT];
    int64_t bytes;
    hs_chain_make(&chain);
    for (int i = 0; i < HS_COUNT; i++)
        x[i] = hs_test_random(&seed);
    hs_chain_run(&chain, &chain.out, 1, false, x, single, &bytes);
    hs_chain_run(&chain, &chain.out, 1, true, x, wide, &bytes);
    double error = hs_test_relative_error_f64(single, wide, HS_COUNT);
    assert_true(error > 1e-9 && error < 5e-7); /* observed: 7.0e-8 */
    print_message("float against double: %.1e\n", error);
    for (int i = 0; i < HS_COUNT; i++)
        assert_true((double)(float)single[i] == single[i]);
    hs_graph_free(chain.graph);
}

/* Weights of every floating type; doubles stay exact in double precision. */
static void hs_test_weight_types(void **state) {
    hs_error err;
    const uint16_t half[] = {0x3c00, 0xc000}, brain[] = {0x3f80, 0xc000};
    const double wide[] = {1.0 / 3, -2};
    const int32_t whole[] = {1, -2};
    const hs_tensor tensors[] = {
        {.name = "half", .dtype = HS_F16, .rank = 1, .dim = {2}, .data = half},
        {.name = "brain", .dtype = HS_BF16, .rank = 1, .dim = {2}, .data = brain},
        {.name = "wide", .dtype = HS_F64, .rank = 1, .dim = {2}, .data = wide},
        {.name = "whole", .dtype = HS_I32, .rank = 1, .dim = {2}, .data = whole},
    };
    for (int i = 0; i < 4; i++) {
        hs_graph *graph = hs_graph_new();
        hs_exec *exec = NULL;
        hs_value value;
        double out[2];
        assert_ok(hs_graph_weight(graph, &tensors[i], (hs_shape){1, {2}}, &value, &err));
        hs_plan_options options = {.outputs = &value, .output_count = 1, .double_precision = true};
        hs_binding result = {.value = value, .f64 = out};
        if (i == 3) {
            assert_int_equal(hs_backend_ref.plan(graph, &options, &exec, &err),
                             HS_ERROR_UNSUPPORTED);
            assert_non_null(strstr(err.message, "whole is I32"));
            assert_null(exec);
        } else {
            assert_ok(hs_backend_ref.plan(graph, &options, &exec, &err));
            assert_ok(hs_backend_ref.execute(exec, NULL, 0, &result, 1, &err));
            assert_true(out[0] == (i == 2 ? 1.0 / 3 : 1) && out[1] == -2);
        }
        hs_backend_ref.free(exec);
        hs_graph_free(graph);
    }
}

static void hs_test_bindings(void **state) {
    hs_chain chain;
    hs_error err;
    hs_exec *exec;
    double x[HS_COUNT] = {0};
    float out[HS_COUNT];
    hs_chain_make(&chain);
    hs_value beyond = chain.graph->count;
    hs_plan_options bad = {.outputs = &beyond, .output_count = 1};
    assert_int_equal(hs_backend_ref.plan(chain.graph, &bad, &exec, &err), HS_ERROR_ARGUMENT);
    assert_null(exec);

    hs_plan_options options = {.outputs = &chain.out, .output_count = 1};
    assert_ok(hs_backend_ref.plan(chain.graph, &options, &exec, &err));
    hs_binding in[] = {{.value = chain.x, .f64 = x}, {.value = chain.unused_input, .f64 = x}};
    hs_binding result = {.value = chain.out, .f32 = out}, other = {.value = chain.first, .f64 = x};
    assert_int_equal(hs_backend_ref.execute(exec, in + 1, 1, &result, 1, &err), HS_ERROR_ARGUMENT);
    assert_non_null(strstr(err.message, "input x is not bound"));
    assert_ok(hs_backend_ref.execute(exec, in, 1, &result, 1, &err)); /* nothing reads spare */
    assert_int_equal(hs_backend_ref.execute(exec, in, 2, &other, 1, &err), HS_ERROR_ARGUMENT);
    assert_int_equal(hs_backend_ref.execute(exec, &result, 1, NULL, 0, &err), HS_ERROR_ARGUMENT);
    in[0].f32 = out;
    assert_int_equal(hs_backend_ref.execute(exec, in, 2, &result, 1, &err), HS_ERROR_ARGUMENT);
    in[0].f32 = NULL;
    assert_ok(hs_backend_ref.execute(exec, in, 2, &result, 1, &err));
    for (int i = 0; i < HS_COUNT; i++)
        assert_true(out[i] == 0); /* no bias: zero stays zero */
    hs_backend_ref.free(exec);
    hs_backend_ref.free(NULL);
    hs_graph_free(chain.graph);
}

/* y = 2 x - 1 with x linked or bound. */
typedef struct hs_second {
    hs_graph *graph;
    hs_value x, y;
} hs_second;

static void hs_second_make(hs_second *second, int64_t rows) {
    hs_error err;
    hs_attr attr = {.affine = {.alpha = 2, .beta = -1}};
    second->graph = hs_graph_new();
    assert_non_null(second->graph);
    assert_ok(hs_graph_input(second->graph, "x", (hs_shape){4, {rows, 3, 6, 5}}, &second->x, &err));
    assert_ok(
        hs_graph_add(second->graph, HS_OP_AFFINE, &second->x, 1, &attr, "y", &second->y, &err));
}

/* A second plan reads what the first keeps, after each of its executions, and
 * the first plan's outputs are what they are without. */
static void hs_test_links(void **state) {
    hs_chain chain;
    hs_second second;
    hs_error err;
    hs_exec *exec, *linked;
    uint64_t seed = 5;
    double x[HS_COUNT], first[HS_COUNT], y[HS_COUNT], plain[HS_COUNT], out[HS_COUNT];
    hs_exec_bytes bytes;
    int64_t kept_bytes;
    hs_chain_make(&chain);
    hs_second_make(&second, 2);
    hs_value outputs[] = {chain.out, chain.first};
    hs_value kept[] = {chain.first, chain.unused_input};
    hs_plan_options options = {.outputs = outputs,
                               .output_count = 2,
                               .kept = kept,
                               .kept_count = 2,
                               .double_precision = true};
    assert_ok(hs_backend_ref.plan(chain.graph, &options, &exec, &err));
    for (int way = 0; way < 2; way++) { /* a node and an input are kept */
        hs_link link = {.value = second.x, .source = exec, .source_value = kept[way]};
        hs_plan_options on = {.outputs = &second.y,
                              .output_count = 1,
                              .links = &link,
                              .link_count = 1,
                              .double_precision = true};
        assert_ok(hs_backend_ref.plan(second.graph, &on, &linked, &err));
        hs_backend_ref.bytes(linked, &bytes);
        assert_true(bytes.own < 2 * HS_COUNT * 8); /* y alone */
        for (int round = 0; round < 2; round++) {
            for (int i = 0; i < HS_COUNT; i++)
                x[i] = hs_test_random(&seed);
            hs_binding in[] = {{.value = chain.x, .f64 = x},
                               {.value = chain.unused_input, .f64 = x}};
            hs_binding results[] = {{.value = chain.out, .f64 = out},
                                    {.value = chain.first, .f64 = first}};
            hs_binding result = {.value = second.y, .f64 = y};
            assert_ok(hs_backend_ref.execute(exec, in, 2, results, 2, &err));
            assert_ok(hs_backend_ref.execute(linked, NULL, 0, &result, 1, &err));
            for (int i = 0; i < HS_COUNT; i++)
                assert_true(y[i] == 2 * (way ? x : first)[i] - 1);
            hs_chain_run(&chain, &chain.out, 1, true, x, plain, &kept_bytes);
            assert_memory_equal(out, plain, sizeof out);
        }
        hs_binding bound = {.value = second.x, .f64 = x};
        assert_int_equal(hs_backend_ref.execute(linked, &bound, 1, NULL, 0, &err),
                         HS_ERROR_ARGUMENT);
        assert_non_null(strstr(err.message, "linked and bound"));
        hs_backend_ref.free(linked);
    }
    hs_backend_ref.free(exec);
    hs_graph_free(second.graph);
    hs_graph_free(chain.graph);
}

static void hs_check_bad_link(const hs_second *second, hs_link link, int count, hs_status expected,
                              const char *message) {
    hs_error err;
    hs_exec *exec;
    hs_link links[] = {link, link};
    hs_plan_options options = {
        .outputs = &second->y, .output_count = 1, .links = links, .link_count = count};
    assert_int_equal(hs_backend_ref.plan(second->graph, &options, &exec, &err), expected);
    assert_non_null(strstr(err.message, message));
    assert_null(exec);
}

static void hs_test_bad_links(void **state) {
    hs_chain chain;
    hs_second second, wide;
    hs_error err;
    hs_exec *exec;
    hs_chain_make(&chain);
    hs_second_make(&second, 2);
    hs_second_make(&wide, 3);
    hs_value weight = 2, beyond = chain.graph->count;
    assert_int_equal(chain.graph->nodes[weight].op, HS_OP_WEIGHT);
    const hs_value bad[] = {weight, beyond, HS_NO_VALUE};
    for (int i = 0; i < 3; i++) {
        hs_plan_options options = {.kept = &bad[i], .kept_count = 1};
        assert_int_equal(hs_backend_ref.plan(chain.graph, &options, &exec, &err),
                         HS_ERROR_ARGUMENT);
        assert_non_null(strstr(err.message, "kept value 0"));
    }
    hs_plan_options options = {.kept = &chain.first, .kept_count = 1};
    assert_ok(hs_backend_ref.plan(chain.graph, &options, &exec, &err));
    hs_link good = {second.x, exec, chain.first};
    hs_check_bad_link(&second, (hs_link){second.x, exec, chain.out}, 1, HS_ERROR_ARGUMENT,
                      "is not kept");
    hs_check_bad_link(&second, (hs_link){second.y, exec, chain.first}, 1, HS_ERROR_ARGUMENT,
                      "no input");
    hs_check_bad_link(&second, good, 2, HS_ERROR_ARGUMENT, "linked twice");
    hs_check_bad_link(&wide, good, 1, HS_ERROR_MISMATCH, "[3, 3, 6, 5]");
    hs_backend_ref.free(exec);
    hs_graph_free(wide.graph);
    hs_graph_free(second.graph);
    hs_graph_free(chain.graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hs_test_lifetimes),    cmocka_unit_test(hs_test_float),
        cmocka_unit_test(hs_test_weight_types), cmocka_unit_test(hs_test_bindings),
        cmocka_unit_test(hs_test_links),        cmocka_unit_test(hs_test_bad_links),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
