/* Building graphs: what each op's shape rule gives, and what it refuses, with
 * a message that names the op, the node, the expected and the found. */
#include "graph/graph_support.h"

#include <string.h>

typedef struct hs_refusal {
    hs_op_case test;
    const char *says[4]; /* all of these, beside the op's and the node's name */
} hs_refusal;

#define HS_CONV(...)                                                                               \
    {                                                                                              \
        .conv = {.stride = 1, __VA_ARGS__ }                                                        \
    }
#define HS_NO_ATTR                                                                                 \
    {                                                                                              \
        .conv = { 0 }                                                                              \
    }

static const hs_refusal hs_refusals[] = {
    {{HS_OP_CONV2D, 2, {{4, {1, 32, 8, 8}}, {4, {16, 64, 3, 3}}}, 0, 0, HS_CONV()},
     {"weight", "[16, 64, 3, 3]", "[*, 32, *, *]"}},
    {{HS_OP_CONV2D, 3, {{4, {1, 3, 8, 8}}, {4, {5, 3, 3, 3}}, {1, {4}}}, 0, 0, HS_CONV()},
     {"bias", "[4]", "[5]"}},
    {{HS_OP_CONV2D, 2, {{2, {1, 3}}, {4, {5, 3, 3, 3}}}, 0, 0, HS_CONV()},
     {"x is [1, 3]", "[*, *, *, *]"}},
    {{HS_OP_CONV2D, 2, {{4, {1, 3, 2, 8}}, {4, {5, 3, 3, 3}}}, 0, 0, HS_CONV()},
     {"kernel is 3 x 3", "2 x 8"}},
    {{HS_OP_CONV2D, 2, {{4, {1, 3, 8, 8}}, {4, {5, 3, 3, 3}}}, 0, 0, HS_NO_ATTR},
     {"stride is 0", "at least 1"}},
    {{HS_OP_CONV2D, 2, {{4, {1, 3, 8, 8}}, {4, {5, 3, 3, 3}}}, 0, 0, HS_CONV(.pad_left = -1)},
     {"-1", "none below 0"}},
    {{HS_OP_CONV2D, 1, {{4, {1, 3, 8, 8}}}, 0, 0, HS_CONV()}, {"1 inputs", "2 to 3"}},
    {{HS_OP_CONV2D_TRANSPOSE,
      2,
      {{4, {1, 5, 6, 6}}, {4, {5, 3, 3, 3}}},
      0,
      0,
      HS_CONV(.in_h = 8, .in_w = 9)},
     {"u is [1, 5, 6, 6]", "[*, 5, 6, 7]"}},
    {{HS_OP_CONV2D_TRANSPOSE, 2, {{4, {1, 5, 6, 6}}, {4, {5, 3, 3, 3}}}, 0, 0, HS_CONV()},
     {"input size is 0 x 0"}},
    {{HS_OP_LINEAR, 2, {{2, {1, 8}}, {2, {4, 7}}}, 0, 0, HS_NO_ATTR},
     {"weight is [4, 7]", "[*, 8]"}},
    {{HS_OP_LINEAR, 2, {{4, {1, 8, 1, 1}}, {2, {4, 8}}}, 0, 0, HS_NO_ATTR}, {"x is", "[*, *]"}},
    {{HS_OP_LINEAR, 3, {{2, {1, 8}}, {2, {4, 8}}, {1, {8}}}, 0, 0, HS_NO_ATTR},
     {"bias is [8]", "[4]"}},
    {{HS_OP_LINEAR_TRANSPOSE, 2, {{2, {1, 8}}, {2, {4, 8}}}, 0, 0, HS_NO_ATTR},
     {"u is [1, 8]", "[*, 4]"}},
    {{HS_OP_GROUP_NORM,
      3,
      {{4, {1, 30, 2, 2}}, {1, {30}}, {1, {30}}},
      0,
      0,
      {.group_norm = {.groups = 4, .eps = 1e-5}}},
     {"groups is 4", "30 channels"}},
    {{HS_OP_GROUP_NORM,
      3,
      {{4, {1, 30, 2, 2}}, {1, {31}}, {1, {30}}},
      0,
      0,
      {.group_norm = {.groups = 3, .eps = 1e-5}}},
     {"gamma is [31]", "[30]"}},
    {{HS_OP_GROUP_NORM,
      3,
      {{4, {1, 30, 2, 2}}, {1, {30}}, {1, {29}}},
      0,
      0,
      {.group_norm = {.groups = 3, .eps = 1e-5}}},
     {"beta is [29]", "[30]"}},
    {{HS_OP_GROUP_NORM,
      3,
      {{4, {1, 30, 2, 2}}, {1, {30}}, {1, {30}}},
      0,
      0,
      {.group_norm = {.groups = 3, .eps = -1}}},
     {"eps is -1"}},
    {{HS_OP_GROUP_NORM_STATS, 1, {{4, {1, 30, 2, 2}}}, 0, 0, HS_NO_ATTR}, {"groups is 0"}},
    {{HS_OP_GROUP_NORM_TANGENT,
      4,
      {{4, {2, 6, 3, 2}}, {3, {2, 3, 2}}, {1, {6}}, {4, {2, 6, 3, 2}}},
      0,
      0,
      {.group_norm = {.groups = 2}}},
     {"stats is [2, 3, 2]", "[2, 2, 2]"}},
    {{HS_OP_GROUP_NORM_COTANGENT,
      4,
      {{4, {2, 6, 3, 2}}, {3, {2, 2, 2}}, {1, {6}}, {4, {3, 6, 3, 2}}},
      0,
      0,
      {.group_norm = {.groups = 2}}},
     {"x is [2, 6, 3, 2]", "[3, 6, 3, 2]", "one row"}},
    {{HS_OP_ACTIVATION, 1, {{2, {1, 8}}}, 0, 0, {.activation = {(hs_activation)7}}}, {"kind is 7"}},
    {{HS_OP_ACTIVATION_SLOPE, 1, {{2, {1, 8}}}, 0, 0, {.activation = {(hs_activation)4}}},
     {"kind is 4"}},
    {{HS_OP_TIME_EMBED, 1, {{2, {1, 8}}}, 0, 0, {.time_embed = {.dim = 8, .max_period = 10}}},
     {"t is [1, 8]", "[*]"}},
    {{HS_OP_TIME_EMBED, 1, {{1, {1}}}, 0, 0, {.time_embed = {.dim = 1, .max_period = 10}}},
     {"dim is 1"}},
    {{HS_OP_TIME_EMBED,
      1,
      {{1, {1}}},
      0,
      0,
      {.time_embed = {.dim = 2, .freq_shift = 1, .max_period = 10}}},
     {"freq_shift is 1"}},
    {{HS_OP_TIME_EMBED, 1, {{1, {1}}}, 0, 0, {.time_embed = {.dim = 8}}}, {"max_period is 0"}},
    {{HS_OP_FOURIER_EMBED, 2, {{1, {1}}, {2, {1, 8}}}, 0, 0, HS_NO_ATTR},
     {"weight is [1, 8]", "[*]"}},
    {{HS_OP_ADD, 2, {{4, {1, 8, 4, 4}}, {4, {1, 8, 4, 5}}}, 0, 0, HS_NO_ATTR},
     {"b is [1, 8, 4, 5]", "[1, 8, 4, 4]"}},
    {{HS_OP_ADD_CHANNEL, 2, {{4, {2, 8, 4, 4}}, {2, {3, 8}}}, 0, 0, HS_NO_ATTR},
     {"b is [3, 8]", "[2, 8]"}},
    {{HS_OP_SUM_SPATIAL, 1, {{2, {3, 8}}}, 0, 0, HS_NO_ATTR}, {"x is [3, 8]"}},
    {{HS_OP_MODULATE, 2, {{4, {2, 8, 4, 4}}, {2, {2, 8}}}, 0, 0, HS_NO_ATTR},
     {"s is [2, 8]", "[2, 16]"}},
    {{HS_OP_MODULATE_SCALE, 2, {{2, {3, 16}}, {4, {2, 8, 4, 4}}}, 0, 0, HS_NO_ATTR},
     {"s is [3, 16]", "[2, 16]"}},
    {{HS_OP_AFFINE, 1, {{2, {3, 8}}}, 0, 0, {.affine = {.alpha = 1.0 / 0.0}}}, {"alpha is inf"}},
    {{HS_OP_DIVIDE_ROWS, 2, {{4, {2, 8, 4, 4}}, {1, {3}}}, 0, 0, HS_NO_ATTR}, {"t is [3]", "[2]"}},
    {{HS_OP_MUL, 2, {{4, {2, 8, 4, 4}}, {4, {3, 8, 4, 4}}}, 0, 0, HS_NO_ATTR},
     {"a is [2, 8, 4, 4]", "[3, 8, 4, 4]"}},
    {{HS_OP_CONCAT, 2, {{4, {2, 8, 4, 4}}, {4, {2, 3, 4, 5}}}, 0, 0, HS_NO_ATTR},
     {"input 1 is [2, 3, 4, 5]", "[2, *, 4, 4]"}},
    {{HS_OP_CONCAT, 1, {{1, {2}}}, 0, 0, HS_NO_ATTR}, {"rank 2"}},
    {{HS_OP_SLICE, 1, {{2, {2, 8}}}, 0, 0, {.channels = {.first = 5, .count = 4}}},
     {"4 channels from 5", "the 8"}},
    {{HS_OP_PAD_CHANNELS, 1, {{2, {2, 8}}}, 0, 0, {.channels = {.first = 5, .total = 12}}},
     {"8 channels at 5", "among 12"}},
    {{HS_OP_UPSAMPLE, 1, {{2, {2, 8}}}, 0, 0, HS_NO_ATTR}, {"x is [2, 8]"}},
    {{HS_OP_AVG_POOL, 1, {{4, {2, 8, 1, 4}}}, 0, 0, HS_NO_ATTR}, {"x is 1 x 4"}},
    {{HS_OP_MAX_POOL, 1, {{2, {2, 8}}}, 0, 0, {.pool = {3, 2, 1}}}, {"x is [2, 8]"}},
    {{HS_OP_MAX_POOL, 1, {{4, {2, 8, 4, 4}}}, 0, 0, HS_NO_ATTR}, {"kernel is 0"}},
    {{HS_OP_MAX_POOL, 1, {{4, {2, 8, 4, 4}}}, 0, 0, {.pool = {3, 0, 1}}}, {"stride 0"}},
    {{HS_OP_MAX_POOL, 1, {{4, {2, 8, 4, 4}}}, 0, 0, {.pool = {3, 2, 2}}},
     {"padding is 2", "half of the kernel, 1"}},
    {{HS_OP_MAX_POOL, 1, {{4, {2, 8, 1, 4}}}, 0, 0, {.pool = {4, 2, 1}}},
     {"x is 1 x 4", "the kernel, 4"}},
    {{HS_OP_MAX_POOL_TANGENT, 2, {{4, {2, 8, 4, 4}}, {4, {3, 8, 4, 4}}}, 0, 0, {.pool = {3, 2, 1}}},
     {"x is [2, 8, 4, 4]", "[3, 8, 4, 4]", "one row"}},
    {{HS_OP_MAX_POOL_COTANGENT,
      2,
      {{4, {2, 8, 4, 4}}, {4, {2, 8, 4, 4}}},
      0,
      0,
      {.pool = {3, 2, 1}}},
     {"cotangent is [2, 8, 4, 4]", "[2, 8, 2, 2]"}},
    {{HS_OP_MEAN_SPATIAL, 1, {{2, {2, 8}}}, 0, 0, HS_NO_ATTR}, {"x is [2, 8]"}},
    {{HS_OP_ATTENTION,
      3,
      {{4, {1, 8, 4, 4}}, {4, {1, 8, 4, 4}}, {4, {1, 8, 4, 2}}},
      0,
      0,
      {.attention = {.heads = 2}}},
     {"v is [1, 8, 4, 2]", "[1, 8, 4, 4]"}},
    {{HS_OP_ATTENTION,
      3,
      {{4, {1, 8, 4, 4}}, {4, {1, 8, 4, 4}}, {4, {1, 8, 4, 4}}},
      0,
      0,
      {.attention = {.heads = 3}}},
     {"heads is 3", "8 channels"}},
    {{HS_OP_ATTENTION_PROBS,
      2,
      {{4, {1, 8, 4, 4}}, {4, {1, 9, 4, 4}}},
      0,
      0,
      {.attention = {.heads = 1}}},
     {"k is [1, 9, 4, 4]"}},
    {{HS_OP_ATTENTION_TANGENT,
      7,
      {{4, {1, 8, 2, 2}},
       {4, {1, 8, 2, 2}},
       {4, {1, 8, 2, 2}},
       {4, {1, 2, 4, 4}},
       {4, {3, 8, 2, 2}},
       {4, {3, 8, 2, 2}},
       {4, {1, 8, 2, 2}}},
      0,
      0,
      {.attention = {.heads = 2}}},
     {"dv is [1, 8, 2, 2]", "[3, 8, 2, 2]"}},
    {{HS_OP_ATTENTION_COTANGENT,
      5,
      {{4, {1, 8, 2, 2}},
       {4, {1, 8, 2, 2}},
       {4, {1, 8, 2, 2}},
       {4, {1, 1, 4, 4}},
       {4, {3, 8, 2, 2}}},
      0,
      0,
      {.attention = {.heads = 2}}},
     {"p is [1, 1, 4, 4]", "[1, 2, 4, 4]"}},
    {{HS_OP_ATTENTION_COTANGENT,
      5,
      {{4, {1, 8, 2, 2}},
       {4, {1, 8, 2, 2}},
       {4, {1, 8, 2, 2}},
       {4, {1, 2, 4, 4}},
       {4, {3, 8, 2, 2}}},
      0,
      0,
      {.attention = {.heads = 2, .which = 3}}},
     {"which is 3"}},
};
#define HS_REFUSALS ((int)(sizeof hs_refusals / sizeof *hs_refusals))

static void hs_check_refusal(int index) {
    const hs_refusal *refusal = &hs_refusals[index];
    hs_error err = {0};
    hs_graph *graph = hs_graph_new();
    hs_value inputs[HS_MAX_INPUTS], out = 1234;
    assert_non_null(graph);
    for (int i = 0; i < refusal->test.input_count; i++)
        assert_ok(hs_graph_input(graph, NULL, refusal->test.shape[i], &inputs[i], &err));
    int before = graph->count;
    hs_status status = hs_graph_add(graph, refusal->test.op, inputs, refusal->test.input_count,
                                    &refusal->test.attr, "down.0.part", &out, &err);
    const char *op = hs_op_get(refusal->test.op)->name;
    if (status != HS_ERROR_MISMATCH || out != 1234 || graph->count != before)
        fail_msg("refusal %d (%s): status %s", index, op, hs_status_name(status));
    if (strncmp(err.message, op, strlen(op)) != 0 || !strstr(err.message, " down.0.part: "))
        fail_msg("refusal %d: \"%s\" does not begin with %s down.0.part", index, err.message, op);
    for (int i = 0; i < 4 && refusal->says[i]; i++)
        if (!strstr(err.message, refusal->says[i]))
            fail_msg("refusal %d: \"%s\" lacks \"%s\"", index, err.message, refusal->says[i]);
    hs_graph_free(graph);
}

static void hs_test_refusals(void **state) {
    bool met[HS_OP_COUNT] = {[HS_OP_INPUT] = true, [HS_OP_WEIGHT] = true};
    for (int i = 0; i < HS_REFUSALS; i++) {
        hs_check_refusal(i);
        met[hs_refusals[i].test.op] = true;
    }
    for (int op = 0; op < HS_OP_COUNT; op++)
        if (!met[op])
            fail_msg("no refusal of %s is tested", hs_op_get((hs_op)op)->name);
}

static void hs_test_shapes(void **state) {
    const struct {
        hs_op_case test;
        hs_shape shape;
    } cases[] = {
        {{HS_OP_CONV2D,
          2,
          {{4, {2, 3, 7, 8}}, {4, {5, 3, 3, 3}}},
          0,
          0,
          {.conv = {.stride = 2, .pad_bottom = 1, .pad_right = 1}}},
         {4, {2, 5, 3, 4}}},
        {{HS_OP_AVG_POOL, 1, {{4, {2, 3, 7, 8}}}, 0, 0, HS_NO_ATTR}, {4, {2, 3, 3, 4}}},
        {{HS_OP_UPSAMPLE, 1, {{4, {2, 3, 7, 8}}}, 0, 0, HS_NO_ATTR}, {4, {2, 3, 14, 16}}},
        {{HS_OP_FOURIER_EMBED, 2, {{1, {3}}, {1, {5}}}, 0, 0, HS_NO_ATTR}, {2, {3, 10}}},
        {{HS_OP_ATTENTION_PROBS,
          2,
          {{4, {2, 6, 4, 3}}, {4, {2, 6, 4, 3}}},
          0,
          0,
          {.attention = {.heads = 3, .scale = 1}}},
         {4, {2, 3, 12, 12}}},
        {{HS_OP_ADD_CHANNEL, 2, {{4, {1, 6, 4, 3}}, {2, {5, 6}}}, 0, 0, HS_NO_ATTR},
         {4, {5, 6, 4, 3}}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hs_op_graph made = hs_op_graph_make(&cases[i].test);
        assert_true(hs_shape_equal(&made.graph->nodes[made.out].shape, &cases[i].shape));
        hs_graph_free(made.graph);
    }
}

static void hs_test_values(void **state) {
    hs_error err;
    hs_graph *graph = hs_graph_new();
    hs_value a, sum;
    char name[] = "a";
    assert_ok(hs_graph_input(graph, name, hs_shape_make(2, (int64_t)1, (int64_t)4), &a, &err));
    name[0] = 'z'; /* names are copied */
    assert_int_equal(hs_graph_find(graph, "a"), a);
    assert_int_equal(hs_graph_find(graph, "z"), HS_NO_VALUE);
    hs_graph_set_name(graph, a, "b");
    assert_int_equal(hs_graph_find(graph, "b"), a);

    const hs_value later[] = {a, a + 1}, none[] = {a, HS_NO_VALUE};
    assert_int_equal(hs_graph_add(graph, HS_OP_ADD, later, 2, NULL, NULL, &sum, &err),
                     HS_ERROR_MISMATCH);
    assert_non_null(strstr(err.message, "input 1 is value 1"));
    assert_int_equal(hs_graph_add(graph, HS_OP_ADD, none, 2, NULL, NULL, &sum, &err),
                     HS_ERROR_MISMATCH);
    assert_int_equal(hs_graph_add(graph, HS_OP_WEIGHT, &a, 1, NULL, NULL, &sum, &err),
                     HS_ERROR_ARGUMENT);
    assert_int_equal(hs_graph_add(graph, HS_OP_COUNT, &a, 1, NULL, NULL, &sum, &err),
                     HS_ERROR_ARGUMENT);
    assert_int_equal(graph->count, 1);
    hs_graph_free(graph);
    hs_graph_free(NULL);
}

static void hs_test_bad_shapes(void **state) {
    hs_error err;
    hs_graph *graph = hs_graph_new();
    hs_value value;
    const hs_shape bad[] = {
        {0}, {5, {1, 1, 1, 1}}, {2, {3, 0}}, {2, {-1, 3}}, {3, {1 << 30, 1 << 30, 1 << 30}},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(hs_graph_input(graph, "x", bad[i], &value, &err), HS_ERROR_MISMATCH);
    /* The result of an op may be too large though its inputs are not. */
    assert_ok(hs_graph_input(graph, "x", (hs_shape){4, {1, 1, 1 << 28, 1 << 29}}, &value, &err));
    assert_int_equal(hs_graph_add(graph, HS_OP_UPSAMPLE, &value, 1, NULL, "up", &value, &err),
                     HS_ERROR_MISMATCH);
    assert_non_null(strstr(err.message, "upsample up"));

    float data[6] = {0};
    hs_tensor tensor = {.name = "w", .dtype = HS_F32, .rank = 2, .dim = {2, 3}, .data = data};
    assert_int_equal(hs_graph_weight(graph, &tensor, (hs_shape){1, {5}}, &value, &err),
                     HS_ERROR_MISMATCH);
    assert_non_null(strstr(err.message, "tensor w is F32 [2, 3]"));
    assert_non_null(strstr(err.message, "[5]"));
    assert_ok(hs_graph_weight(graph, &tensor, (hs_shape){4, {3, 2, 1, 1}}, &value, &err));
    hs_graph_free(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hs_test_refusals),
        cmocka_unit_test(hs_test_shapes),
        cmocka_unit_test(hs_test_values),
        cmocka_unit_test(hs_test_bad_shapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
