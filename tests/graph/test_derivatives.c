/*
 * The JVP and VJP rule of every op, on one-op graphs in double: against
 * central differences, against each other, and with several tangents at one
 * point. Weights are not differentiated.
 */
#include "graph/graph_support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Largest errors observed: central differences 2.3e-10 of the largest value,
 * <u, J v> against <J^T u, v> 1.2e-16 of |u||Jv|; k tangents at once against
 * one by one are the same bits. */
#define HS_DIFFERENCE_TOLERANCE 1e-9
#define HS_ADJOINT_TOLERANCE 1e-15

/* One case with its data and, for each of its inputs named in `mask`, a
 * tangent of `k` rows; a cotangent of k rows. */
typedef struct hs_probe {
    hs_op_case test;
    hs_op_graph made;
    unsigned mask;
    double *x[HS_MAX_INPUTS];
    hs_value v_value[HS_MAX_INPUTS], u_value, Jv, JTu[HS_MAX_INPUTS];
    double *v[HS_MAX_INPUTS], *u;
    hs_shape v_shape[HS_MAX_INPUTS], u_shape;
} hs_probe;

static void hs_probe_open(hs_probe *probe, const hs_op_case *test, unsigned mask, int64_t k,
                          uint64_t seed) {
    hs_error err;
    *probe = (hs_probe){.test = *test, .mask = mask};
    probe->made = hs_op_graph_make(test);
    hs_graph *graph = probe->made.graph;
    hs_random_inputs(test, &seed, probe->x);
    for (int i = 0; i < HS_MAX_INPUTS; i++) {
        probe->v_value[i] = HS_NO_VALUE;
        if (i >= test->input_count || !(mask >> i & 1))
            continue;
        probe->v_shape[i] = test->shape[i];
        probe->v_shape[i].dim[0] = k ? k : test->shape[i].dim[0];
        assert_ok(hs_graph_input(graph, NULL, probe->v_shape[i], &probe->v_value[i], &err));
        probe->v[i] = hs_random_values(&seed, hs_shape_count(&probe->v_shape[i]), false);
    }
    probe->u_shape = graph->nodes[probe->made.out].shape;
    probe->u_shape.dim[0] = k ? k : probe->u_shape.dim[0];
    assert_ok(hs_graph_input(graph, NULL, probe->u_shape, &probe->u_value, &err));
    probe->u = hs_random_values(&seed, hs_shape_count(&probe->u_shape), false);
    const hs_op_info *info = hs_op_get(test->op);
    assert_ok(info->jvp(graph, probe->made.out, probe->v_value, &probe->Jv, &err));
    assert_ok(info->vjp(graph, probe->made.out, probe->u_value, mask, probe->JTu, &err));
    assert_true(hs_shape_equal(&graph->nodes[probe->Jv].shape, &probe->u_shape));
    for (int i = 0; i < test->input_count; i++)
        if (mask >> i & 1)
            assert_true(hs_shape_equal(&graph->nodes[probe->JTu[i]].shape, &probe->v_shape[i]));
        else
            assert_int_equal(probe->JTu[i], HS_NO_VALUE);
}

static void hs_probe_close(hs_probe *probe) {
    hs_free_inputs(probe->x);
    hs_free_inputs(probe->v);
    free(probe->u);
    hs_graph_free(probe->made.graph);
}

static double *hs_probe_read(const hs_probe *probe, hs_value value) {
    hs_binding bindings[2 * HS_MAX_INPUTS + 1];
    int count = 0;
    for (int i = 0; i < probe->test.input_count; i++) {
        bindings[count++] = (hs_binding){.value = probe->made.input[i], .f64 = probe->x[i]};
        if (probe->v[i])
            bindings[count++] = (hs_binding){.value = probe->v_value[i], .f64 = probe->v[i]};
    }
    bindings[count++] = (hs_binding){.value = probe->u_value, .f64 = probe->u};
    return hs_run_graph(probe->made.graph, value, bindings, count);
}

/* f(x + step v); the inputs are restored after. */
static double *hs_probe_moved(hs_probe *probe, double step) {
    double *kept[HS_MAX_INPUTS] = {NULL};
    for (int i = 0; i < probe->test.input_count; i++) {
        if (!probe->v[i])
            continue;
        int64_t count = hs_shape_count(&probe->test.shape[i]);
        kept[i] = probe->x[i];
        probe->x[i] = hs_alloc_aligned((size_t)count, sizeof(double));
        for (int64_t j = 0; j < count; j++)
            probe->x[i][j] = kept[i][j] + step * probe->v[i][j];
    }
    double *result = hs_probe_read(probe, probe->made.out);
    for (int i = 0; i < probe->test.input_count; i++)
        if (kept[i]) {
            free(probe->x[i]);
            probe->x[i] = kept[i];
        }
    return result;
}

/* J v against (f(x + h v) - f(x - h v)) / 2h. */
static double hs_difference_error(hs_probe *probe) {
    const double h = 1e-5;
    int64_t count = hs_shape_count(&probe->u_shape);
    double *Jv = hs_probe_read(probe, probe->Jv);
    double *ahead = hs_probe_moved(probe, h), *behind = hs_probe_moved(probe, -h);
    for (int64_t i = 0; i < count; i++)
        ahead[i] = (ahead[i] - behind[i]) / (2 * h);
    double error = hs_test_relative_error_f64(Jv, ahead, count);
    free(behind);
    free(ahead);
    free(Jv);
    return error;
}

/* |<u, J v> - <J^T u, v>| / |u| |J v| */
static double hs_adjoint_error(const hs_probe *probe) {
    int64_t count = hs_shape_count(&probe->u_shape);
    double *Jv = hs_probe_read(probe, probe->Jv);
    double size = sqrt(hs_dot(probe->u, probe->u, count) * hs_dot(Jv, Jv, count));
    double difference = hs_dot(probe->u, Jv, count);
    assert_true(size > 0);
    for (int i = 0; i < probe->test.input_count; i++) {
        if (!probe->v[i])
            continue;
        double *JTu = hs_probe_read(probe, probe->JTu[i]);
        difference -= hs_dot(JTu, probe->v[i], hs_shape_count(&probe->v_shape[i]));
        free(JTu);
    }
    free(Jv);
    return fabs(difference) / size;
}

/* The inputs in which a case can be differentiated. */
static unsigned hs_case_mask(const hs_op_case *test) {
    return hs_op_get(test->op)->differentiable & ((1u << test->input_count) - 1);
}

static void hs_check_rules(const hs_op_case *test, int index, unsigned mask, double worst[2]) {
    hs_probe probe;
    hs_probe_open(&probe, test, mask, 0, (uint64_t)index);
    double difference = hs_difference_error(&probe), adjoint = hs_adjoint_error(&probe);
    if (difference > HS_DIFFERENCE_TOLERANCE || adjoint > HS_ADJOINT_TOLERANCE)
        fail_msg("case %d (%s), inputs %#x: differences %g, adjoint %g", index,
                 hs_op_get(test->op)->name, mask, difference, adjoint);
    worst[0] = fmax(worst[0], difference);
    worst[1] = fmax(worst[1], adjoint);
    hs_probe_close(&probe);
}

/* `test` with one row in every input that has rows. */
static hs_op_case hs_one_row(const hs_op_case *test) {
    hs_op_case one = *test;
    for (int i = 0; i < test->input_count; i++)
        if (!(test->weights >> i & 1))
            one.shape[i].dim[0] = 1;
    return one;
}

/* Each input alone, and all at once, which meets the rules' sums. */
static void hs_check_case(const hs_op_case *test, int index, double worst[2]) {
    unsigned mask = hs_case_mask(test);
    if (!mask)
        return;
    for (int i = 0; i < test->input_count; i++)
        if (mask >> i & 1)
            hs_check_rules(test, index, 1u << i, worst);
    hs_check_rules(test, index, mask, worst);
}

/* One row takes the ways in which a primal value serves many tangents. */
static void hs_test_rules(void **state) {
    double worst[2] = {0, 0};
    for (int c = 0; c < hs_op_case_count; c++) {
        hs_op_case one = hs_one_row(&hs_op_cases[c]);
        hs_check_case(&hs_op_cases[c], c, worst);
        hs_check_case(&one, c, worst);
    }
    print_message("largest errors: differences %.1e, adjoint %.1e\n", worst[0], worst[1]);
}

/* Rows `row` of what k tangents give at once is what that tangent gives alone. */
static void hs_check_row(const hs_probe *many, int index, int64_t row) {
    hs_probe one;
    hs_probe_open(&one, &many->test, many->mask, 0, 1);
    for (int i = 0; i < many->test.input_count; i++) {
        int64_t count = hs_shape_count(&many->test.shape[i]);
        memcpy(one.x[i], many->x[i], (size_t)count * sizeof(double));
        if (one.v[i])
            memcpy(one.v[i], many->v[i] + row * count, (size_t)count * sizeof(double));
    }
    int64_t u_count = hs_shape_count(&one.u_shape);
    memcpy(one.u, many->u + row * u_count, (size_t)u_count * sizeof(double));

    double *all = hs_probe_read(many, many->Jv), *alone = hs_probe_read(&one, one.Jv);
    if (memcmp(all + row * u_count, alone, (size_t)u_count * sizeof(double)) != 0)
        fail_msg("case %d (%s): tangent %lld differs when alone", index,
                 hs_op_get(one.test.op)->name, (long long)row);
    free(all);
    free(alone);
    for (int i = 0; i < one.test.input_count; i++) {
        if (!one.v[i])
            continue;
        int64_t count = hs_shape_count(&one.v_shape[i]);
        all = hs_probe_read(many, many->JTu[i]);
        alone = hs_probe_read(&one, one.JTu[i]);
        if (memcmp(all + row * count, alone, (size_t)count * sizeof(double)) != 0)
            fail_msg("case %d (%s): cotangent %lld of input %d differs when alone", index,
                     hs_op_get(one.test.op)->name, (long long)row, i);
        free(all);
        free(alone);
    }
    hs_probe_close(&one);
}

static void hs_test_many_at_one_point(void **state) {
    for (int c = 0; c < hs_op_case_count; c++) {
        hs_op_case one = hs_one_row(&hs_op_cases[c]);
        unsigned mask = hs_case_mask(&one), each[HS_MAX_INPUTS + 1], count = 0;
        each[count++] = mask;
        for (int i = 0; i < one.input_count; i++)
            if (mask >> i & 1 && mask != 1u << i)
                each[count++] = 1u << i;
        for (unsigned m = 0; m < count; m++) {
            hs_probe many;
            hs_probe_open(&many, &one, each[m], 3, (uint64_t)c);
            for (int64_t row = 0; row < 3; row++)
                hs_check_row(&many, c, row);
            hs_probe_close(&many);
        }
    }
}

/* A rule that nobody tests is as good as none. */
static void hs_test_every_op_has_a_case(void **state) {
    for (int op = 0; op < HS_OP_COUNT; op++) {
        unsigned covered = 0, mask = hs_op_get((hs_op)op)->differentiable;
        for (int c = 0; c < hs_op_case_count; c++)
            if (hs_op_cases[c].op == (hs_op)op)
                covered |= hs_case_mask(&hs_op_cases[c]);
        if (op == HS_OP_CONCAT) /* as many inputs as one likes */
            mask &= 7;
        if (mask & ~covered)
            fail_msg("%s: no case for inputs %#x", hs_op_get((hs_op)op)->name, mask & ~covered);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hs_test_rules),
        cmocka_unit_test(hs_test_many_at_one_point),
        cmocka_unit_test(hs_test_every_op_has_a_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
