/* The table of ops is complete: every row has what its kind of op needs. */
#include "graph/graph_support.h"

#include <string.h>

/* The ops that no derivative passes through: leaves, functions of the timestep,
 * and values of the primal point that derivatives only use. Whoever adds an op
 * that cannot be differentiated has to say so here. */
static const hs_op hs_not_differentiable[] = {
    HS_OP_INPUT,           HS_OP_WEIGHT,           HS_OP_TIME_EMBED,
    HS_OP_FOURIER_EMBED,   HS_OP_GROUP_NORM_STATS, HS_OP_ACTIVATION_SLOPE,
    HS_OP_ATTENTION_PROBS,
};

static bool hs_may_lack_derivative(hs_op op) {
    for (size_t i = 0; i < sizeof hs_not_differentiable / sizeof *hs_not_differentiable; i++)
        if (hs_not_differentiable[i] == op)
            return true;
    return false;
}

static void hs_test_rows(void **state) {
    for (int i = 0; i < HS_OP_COUNT; i++) {
        const hs_op_info *info = hs_op_get((hs_op)i);
        if (!info || !info->name)
            fail_msg("op %d has no row", i);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(info->name, hs_op_get((hs_op)j)->name);
        if (i == HS_OP_INPUT || i == HS_OP_WEIGHT)
            continue;
        if (!info->shape || !info->reference)
            fail_msg("%s: no shape rule or no reference", info->name);
        if (info->min_inputs < 1 || info->max_inputs < info->min_inputs ||
            info->max_inputs > HS_MAX_INPUTS)
            fail_msg("%s: %d to %d inputs", info->name, info->min_inputs, info->max_inputs);
    }
    assert_null(hs_op_get(HS_OP_COUNT));
    assert_null(hs_op_get((hs_op)-1));
}

static void hs_test_derivatives(void **state) {
    for (int i = 0; i < HS_OP_COUNT; i++) {
        const hs_op_info *info = hs_op_get((hs_op)i);
        bool has = info->differentiable != 0;
        if (has == hs_may_lack_derivative((hs_op)i))
            fail_msg("%s: %s", info->name,
                     has ? "listed as not differentiable, but is"
                         : "has no derivative and is not listed as such");
        if ((info->jvp != NULL) != has || (info->vjp != NULL) != has)
            fail_msg("%s: JVP or VJP rule missing, or superfluous", info->name);
        if (info->differentiable >> info->max_inputs)
            fail_msg("%s: differentiable in inputs that it cannot have", info->name);
    }
}

/* What a convolution and attention cost, against counts by hand. */
static void hs_test_macs(void **state) {
    const struct {
        hs_op_case test;
        int64_t macs;
    } cases[] = {
        {{HS_OP_CONV2D,
          2,
          {{4, {2, 3, 8, 6}}, {4, {5, 3, 3, 3}}},
          2,
          0,
          {.conv = {.stride = 2, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1}}},
         2 * 5 * (4 * 3) * (3 * 9)},
        {{HS_OP_CONV2D_TRANSPOSE,
          2,
          {{4, {2, 5, 4, 3}}, {4, {5, 3, 3, 3}}},
          2,
          0,
          {.conv = {.stride = 2,
                    .pad_top = 1,
                    .pad_left = 1,
                    .pad_bottom = 1,
                    .pad_right = 1,
                    .in_h = 8,
                    .in_w = 6}}},
         2 * 5 * (4 * 3) * (3 * 9)},
        {{HS_OP_LINEAR, 2, {{2, {3, 7}}, {2, {4, 7}}}, 2, 0, {.conv = {0}}}, 3 * 7 * 4},
        {{HS_OP_ATTENTION,
          3,
          {{4, {2, 6, 3, 3}}, {4, {2, 6, 3, 3}}, {4, {2, 6, 3, 3}}},
          0,
          0,
          {.attention = {.heads = 2, .scale = 1}}},
         2 * (2 * 6 * 9 * 9)},
        {{HS_OP_ACTIVATION, 1, {{2, {2, 9}}}, 0, 0, {.activation = {HS_SILU}}}, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hs_op_graph made = hs_op_graph_make(&cases[i].test);
        assert_int_equal(hs_node_macs(made.graph, made.out), cases[i].macs);
        hs_graph_free(made.graph);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hs_test_rows),
        cmocka_unit_test(hs_test_derivatives),
        cmocka_unit_test(hs_test_macs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
