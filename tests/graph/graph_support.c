/* See graph_support.h. */
#include "graph/graph_support.h"

#include <stdlib.h>

const hs_op_case hs_op_cases[] = {
    /* 3x3, padding 1, bias */
    {HS_OP_CONV2D,
     3,
     {{4, {2, 3, 5, 6}}, {4, {4, 3, 3, 3}}, {1, {4}}},
     6,
     0,
     {.conv = {.stride = 1, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1}}},
    /* stride 2 on an odd size, diffusers' padding 0: one row and column after */
    {HS_OP_CONV2D,
     2,
     {{4, {2, 2, 7, 5}}, {4, {3, 2, 3, 3}}},
     2,
     0,
     {.conv = {.stride = 2, .pad_bottom = 1, .pad_right = 1}}},
    {HS_OP_CONV2D,
     3,
     {{4, {1, 5, 4, 3}}, {4, {2, 5, 1, 1}}, {1, {2}}},
     6,
     0,
     {.conv = {.stride = 1}}},
    /* kernel not square, stride 3 that leaves inputs untouched, odd padding */
    {HS_OP_CONV2D,
     2,
     {{4, {2, 2, 9, 8}}, {4, {3, 2, 2, 5}}},
     2,
     0,
     {.conv = {.stride = 3, .pad_top = 2, .pad_right = 3}}},
    {HS_OP_CONV2D_TRANSPOSE,
     2,
     {{4, {2, 4, 4, 3}}, {4, {4, 3, 3, 3}}},
     2,
     0,
     {.conv = {.stride = 2,
               .pad_top = 1,
               .pad_left = 1,
               .pad_bottom = 1,
               .pad_right = 1,
               .in_h = 7,
               .in_w = 6}}},
    {HS_OP_LINEAR, 3, {{2, {3, 5}}, {2, {4, 5}}, {1, {4}}}, 6, 0, {.conv = {0}}},
    {HS_OP_LINEAR, 2, {{2, {1, 7}}, {2, {2, 7}}}, 2, 0, {.conv = {0}}},
    {HS_OP_LINEAR_TRANSPOSE, 2, {{2, {3, 4}}, {2, {4, 5}}}, 2, 0, {.conv = {0}}},
    {HS_OP_GROUP_NORM,
     3,
     {{4, {2, 6, 3, 5}}, {1, {6}}, {1, {6}}},
     6,
     0,
     {.group_norm = {.groups = 3, .eps = 1e-5}}},
    /* a channel a group, and all channels one group */
    {HS_OP_GROUP_NORM,
     3,
     {{4, {2, 4, 3, 3}}, {1, {4}}, {1, {4}}},
     6,
     0,
     {.group_norm = {.groups = 4, .eps = 1e-3}}},
    {HS_OP_GROUP_NORM,
     3,
     {{4, {1, 4, 1, 3}}, {1, {4}}, {1, {4}}},
     6,
     0,
     {.group_norm = {.groups = 1, .eps = 1e-6}}},
    {HS_OP_GROUP_NORM_TANGENT,
     4,
     {{4, {2, 6, 3, 2}}, {3, {2, 2, 2}}, {1, {6}}, {4, {2, 6, 3, 2}}},
     4,
     0,
     {.group_norm = {.groups = 2, .eps = 1e-5}}},
    {HS_OP_GROUP_NORM_COTANGENT,
     4,
     {{4, {2, 6, 3, 2}}, {3, {2, 2, 2}}, {1, {6}}, {4, {2, 6, 3, 2}}},
     4,
     0,
     {.group_norm = {.groups = 2, .eps = 1e-5}}},
    {HS_OP_ACTIVATION, 1, {{4, {2, 3, 4, 5}}}, 0, 0, {.activation = {HS_SILU}}},
    {HS_OP_ACTIVATION, 1, {{4, {2, 3, 4, 5}}}, 0, 0, {.activation = {HS_MISH}}},
    {HS_OP_ACTIVATION, 1, {{2, {2, 30}}}, 0, 0, {.activation = {HS_GELU}}},
    {HS_OP_ACTIVATION, 1, {{4, {2, 3, 4, 5}}}, 0, 0, {.activation = {HS_RELU}}},
    {HS_OP_ADD, 2, {{4, {2, 3, 4, 5}}, {4, {2, 3, 4, 5}}}, 0, 0, {.conv = {0}}},
    {HS_OP_ADD_CHANNEL, 2, {{4, {2, 3, 4, 5}}, {2, {2, 3}}}, 0, 0, {.conv = {0}}},
    {HS_OP_MODULATE, 2, {{4, {2, 3, 4, 5}}, {2, {2, 6}}}, 0, 0, {.conv = {0}}},
    {HS_OP_MODULATE_SCALE, 2, {{2, {2, 6}}, {4, {2, 3, 4, 5}}}, 0, 0, {.conv = {0}}},
    {HS_OP_AFFINE, 1, {{4, {2, 3, 4, 5}}}, 0, 0, {.affine = {.alpha = 1.75, .beta = -0.5}}},
    {HS_OP_DIVIDE_ROWS, 2, {{4, {2, 3, 2, 5}}, {1, {2}}}, 0, 2, {.conv = {0}}},
    {HS_OP_CONCAT,
     3,
     {{4, {2, 3, 2, 5}}, {4, {2, 1, 2, 5}}, {4, {2, 4, 2, 5}}},
     0,
     0,
     {.conv = {0}}},
    {HS_OP_CONCAT, 2, {{2, {2, 3}}, {2, {2, 1}}}, 0, 0, {.conv = {0}}},
    {HS_OP_UPSAMPLE, 1, {{4, {2, 3, 3, 5}}}, 0, 0, {.conv = {0}}},
    {HS_OP_UPSAMPLE, 1, {{4, {2, 3, 3, 2}}}, 0, 0, {.upsample = {.odd_h = true}}},
    {HS_OP_AVG_POOL, 1, {{4, {2, 3, 4, 6}}}, 0, 0, {.conv = {0}}},
    {HS_OP_AVG_POOL, 1, {{4, {2, 3, 5, 7}}}, 0, 0, {.conv = {0}}},
    {HS_OP_AVG_POOL, 1, {{4, {2, 3, 3, 2}}}, 0, 0, {.conv = {0}}},
    /* a ResNet's, overlapping and cut at the lower edge; windows that touch
     * nothing twice; gaps between the windows */
    {HS_OP_MAX_POOL, 1, {{4, {2, 3, 6, 7}}}, 0, 0, {.pool = {3, 2, 1}}},
    {HS_OP_MAX_POOL, 1, {{4, {2, 2, 5, 4}}}, 0, 0, {.pool = {2, 2, 0}}},
    {HS_OP_MAX_POOL, 1, {{4, {1, 2, 7, 9}}}, 0, 0, {.pool = {2, 3, 1}}},
    {HS_OP_MAX_POOL_TANGENT, 2, {{4, {2, 3, 6, 7}}, {4, {2, 3, 6, 7}}}, 0, 0, {.pool = {3, 2, 1}}},
    {HS_OP_MAX_POOL_COTANGENT,
     2,
     {{4, {2, 3, 6, 7}}, {4, {2, 3, 3, 4}}},
     0,
     0,
     {.pool = {3, 2, 1}}},
    {HS_OP_MEAN_SPATIAL, 1, {{4, {2, 3, 4, 5}}}, 0, 0, {.conv = {0}}},
    {HS_OP_ATTENTION,
     3,
     {{4, {2, 4, 2, 3}}, {4, {2, 4, 2, 3}}, {4, {2, 4, 2, 3}}},
     0,
     0,
     {.attention = {.heads = 1, .scale = 0.5}}},
    {HS_OP_ATTENTION,
     3,
     {{4, {2, 6, 3, 3}}, {4, {2, 6, 3, 3}}, {4, {2, 6, 3, 3}}},
     0,
     0,
     {.attention = {.heads = 3, .scale = 0.7}}},
    {HS_OP_ATTENTION_TANGENT,
     7,
     {{4, {2, 4, 2, 3}},
      {4, {2, 4, 2, 3}},
      {4, {2, 4, 2, 3}},
      {4, {2, 2, 6, 6}},
      {4, {2, 4, 2, 3}},
      {4, {2, 4, 2, 3}},
      {4, {2, 4, 2, 3}}},
     0,
     0,
     {.attention = {.heads = 2, .scale = 0.7}}},
    {HS_OP_ATTENTION_COTANGENT,
     5,
     {{4, {2, 4, 2, 3}},
      {4, {2, 4, 2, 3}},
      {4, {2, 4, 2, 3}},
      {4, {2, 2, 6, 6}},
      {4, {2, 4, 2, 3}}},
     0,
     0,
     {.attention = {.heads = 2, .scale = 0.7, .which = 0}}},
    {HS_OP_ATTENTION_COTANGENT,
     5,
     {{4, {2, 4, 2, 3}},
      {4, {2, 4, 2, 3}},
      {4, {2, 4, 2, 3}},
      {4, {2, 2, 6, 6}},
      {4, {2, 4, 2, 3}}},
     0,
     0,
     {.attention = {.heads = 2, .scale = 0.7, .which = 1}}},
    {HS_OP_ATTENTION_COTANGENT,
     5,
     {{4, {2, 4, 2, 3}},
      {4, {2, 4, 2, 3}},
      {4, {2, 4, 2, 3}},
      {4, {2, 2, 6, 6}},
      {4, {2, 4, 2, 3}}},
     0,
     0,
     {.attention = {.heads = 2, .scale = 0.7, .which = 2}}},
    {HS_OP_MUL, 2, {{4, {2, 3, 4, 5}}, {4, {2, 3, 4, 5}}}, 0, 0, {.conv = {0}}},
    {HS_OP_SUM_SPATIAL, 1, {{4, {2, 3, 4, 5}}}, 0, 0, {.conv = {0}}},
    {HS_OP_SLICE, 1, {{4, {2, 5, 2, 3}}}, 0, 0, {.channels = {.first = 1, .count = 3}}},
    {HS_OP_SLICE, 1, {{2, {2, 5}}}, 0, 0, {.channels = {.first = 3, .count = 2}}},
    {HS_OP_PAD_CHANNELS, 1, {{4, {2, 2, 2, 3}}}, 0, 0, {.channels = {.first = 1, .total = 5}}},
};
const int hs_op_case_count = (int)(sizeof hs_op_cases / sizeof *hs_op_cases);

hs_op_graph hs_op_graph_make(const hs_op_case *test) {
    hs_error err;
    hs_op_graph made = {.graph = hs_graph_new()};
    assert_non_null(made.graph);
    for (int i = 0; i < test->input_count; i++)
        assert_ok(hs_graph_input(made.graph, NULL, test->shape[i], &made.input[i], &err));
    assert_ok(hs_graph_add(made.graph, test->op, made.input, test->input_count, &test->attr,
                           "tested", &made.out, &err));
    return made;
}

double *hs_random_values(uint64_t *state, int64_t count, bool positive) {
    double *values = hs_alloc_aligned((size_t)count, sizeof *values);
    assert_non_null(values);
    for (int64_t i = 0; i < count; i++) {
        double value = hs_test_random(state);
        values[i] = positive ? 1.5 + 0.5 * value : 2 * value;
    }
    return values;
}

void hs_random_inputs(const hs_op_case *test, uint64_t *state, double *data[HS_MAX_INPUTS]) {
    for (int i = 0; i < HS_MAX_INPUTS; i++)
        data[i] = NULL;
    for (int i = 0; i < test->input_count; i++)
        data[i] = hs_random_values(state, hs_shape_count(&test->shape[i]), test->positive >> i & 1);
}

void hs_free_inputs(double *data[HS_MAX_INPUTS]) {
    for (int i = 0; i < HS_MAX_INPUTS; i++)
        free(data[i]);
}

double *hs_run_graph(const hs_graph *graph, hs_value out, const hs_binding *inputs, int count) {
    hs_error err;
    hs_exec *exec;
    hs_plan_options options = {
        .double_precision = true, .outputs = &out, .output_count = 1, .threads = 1};
    int64_t size = hs_shape_count(&graph->nodes[out].shape);
    double *values = hs_alloc_aligned((size_t)size, sizeof *values);
    hs_binding output = {.value = out, .f64 = values};
    assert_non_null(values);
    assert_ok(hs_backend_ref.plan(graph, &options, &exec, &err));
    assert_ok(hs_backend_ref.execute(exec, inputs, count, &output, 1, &err));
    hs_backend_ref.free(exec);
    return values;
}

double hs_dot(const double *a, const double *b, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += a[i] * b[i];
    return sum;
}
