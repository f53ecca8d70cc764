/*
 * The tangent and cotangent maps of whole graphs, on random graphs in double:
 * against central differences, against each other, k vectors at once against
 * one by one; and what is refused. The rules of single ops are tested in
 * test_derivatives.c, whole networks in tests/models/test_jacobian.c.
 */
#include "graph/random_graph.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "graph/jvp.h"
#include "graph/vjp.h"

#define HS_GRAPHS 400
#define HS_STEPS 14

/* Largest errors observed: central differences 2.2e-9 of the largest value (with
 * h ten times larger a hundred times that: their own error), <u, J v> against
 * <J^T u, v> 2.8e-16 of |u||Jv|. */
#define HS_DIFFERENCE_TOLERANCE 2e-8
#define HS_ADJOINT_TOLERANCE 2e-15

/* A random graph with both derivatives of `out` by x on k vectors. */
typedef struct hs_derived {
    hs_random_graph r;
    hs_value v, u, Jv, JTu;
    double *v_data, *u_data;
    int64_t k;
} hs_derived;

static void hs_derive(hs_derived *d, uint64_t seed, int64_t rows, int64_t k) {
    hs_error err;
    hs_random_graph_make(&d->r, seed, HS_STEPS, rows);
    hs_graph *graph = d->r.graph;
    hs_shape shape = graph->nodes[d->r.x].shape;
    shape.dim[0] = d->k = k;
    assert_ok(hs_graph_input(graph, "v", shape, &d->v, &err));
    assert_ok(hs_graph_input(graph, "u", shape, &d->u, &err));
    assert_ok(hs_graph_jvp(graph, d->r.x, d->v, d->r.out, &d->Jv, &err));
    assert_ok(hs_graph_vjp(graph, d->r.x, d->u, d->r.out, &d->JTu, &err));
    assert_true(hs_shape_equal(&graph->nodes[d->Jv].shape, &shape));
    assert_true(hs_shape_equal(&graph->nodes[d->JTu].shape, &shape));
    d->v_data = hs_random_values(&d->r.seed, k * HS_RANDOM_ROW, false);
    d->u_data = hs_random_values(&d->r.seed, k * HS_RANDOM_ROW, false);
}

static void hs_derived_free(hs_derived *d) {
    hs_random_graph_free(&d->r);
    free(d->v_data);
    free(d->u_data);
}

static double *hs_derived_read(const hs_derived *d, hs_value value) {
    hs_binding bindings[5];
    hs_random_graph_bind(&d->r, bindings);
    bindings[3] = (hs_binding){.value = d->v, .f64 = d->v_data};
    bindings[4] = (hs_binding){.value = d->u, .f64 = d->u_data};
    return hs_run_graph(d->r.graph, value, bindings, 5);
}

/* J v against (f(x + h v) - f(x - h v)) / 2h, for as many vectors as rows. */
static double hs_difference_error(hs_derived *d) {
    const double h = 1e-6;
    int64_t count = d->k * HS_RANDOM_ROW;
    double *x = d->r.data[0], *moved[2], *Jv = hs_derived_read(d, d->Jv);
    d->r.data[0] = hs_alloc_aligned((size_t)count, sizeof(double));
    for (int side = 0; side < 2; side++) {
        for (int64_t i = 0; i < count; i++)
            d->r.data[0][i] = x[i] + (side ? -h : h) * d->v_data[i];
        moved[side] = hs_derived_read(d, d->r.out);
    }
    for (int64_t i = 0; i < count; i++)
        moved[0][i] = (moved[0][i] - moved[1][i]) / (2 * h);
    double error = hs_test_relative_error_f64(Jv, moved[0], count);
    free(d->r.data[0]);
    d->r.data[0] = x;
    free(moved[0]);
    free(moved[1]);
    free(Jv);
    return error;
}

static double hs_adjoint_error(const hs_derived *d) {
    int64_t count = d->k * HS_RANDOM_ROW;
    double *Jv = hs_derived_read(d, d->Jv), *JTu = hs_derived_read(d, d->JTu);
    double size = sqrt(hs_dot(d->u_data, d->u_data, count) * hs_dot(Jv, Jv, count));
    double difference = hs_dot(d->u_data, Jv, count) - hs_dot(JTu, d->v_data, count);
    free(Jv);
    free(JTu);
    assert_true(size > 0);
    return fabs(difference) / size;
}

static void hs_test_random_graphs(void **state) {
    double worst[2] = {0, 0};
    for (uint64_t seed = 0; seed < HS_GRAPHS; seed++) {
        hs_derived d;
        int64_t rows = 1 + (int64_t)seed % 2; /* n == k */
        hs_derive(&d, seed, rows, rows);
        double difference = hs_difference_error(&d), adjoint = hs_adjoint_error(&d);
        if (!(difference <= HS_DIFFERENCE_TOLERANCE) || !(adjoint <= HS_ADJOINT_TOLERANCE))
            fail_msg("graph %d: differences %g, adjoint %g", (int)seed, difference, adjoint);
        worst[0] = fmax(worst[0], difference);
        worst[1] = fmax(worst[1], adjoint);
        hs_derived_free(&d);
    }
    print_message("largest errors: differences %.1e, adjoint %.1e\n", worst[0], worst[1]);
}

/* Three vectors at one point give the bits that each gives alone. */
static void hs_test_many_at_one_point(void **state) {
    for (uint64_t seed = 100; seed < 120; seed++) {
        hs_derived many, one;
        hs_derive(&many, seed, 1, 3);
        hs_derive(&one, seed, 1, 1);
        assert_memory_equal(many.r.data[0], one.r.data[0], HS_RANDOM_ROW * sizeof(double));
        double *Jv = hs_derived_read(&many, many.Jv), *JTu = hs_derived_read(&many, many.JTu);
        for (int64_t row = 0; row < 3; row++) {
            int64_t at = row * HS_RANDOM_ROW;
            memcpy(one.v_data, many.v_data + at, HS_RANDOM_ROW * sizeof(double));
            memcpy(one.u_data, many.u_data + at, HS_RANDOM_ROW * sizeof(double));
            double *alone = hs_derived_read(&one, one.Jv);
            assert_memory_equal(Jv + at, alone, HS_RANDOM_ROW * sizeof(double));
            free(alone);
            alone = hs_derived_read(&one, one.JTu);
            assert_memory_equal(JTu + at, alone, HS_RANDOM_ROW * sizeof(double));
            free(alone);
        }
        free(Jv);
        free(JTu);
        hs_derived_free(&many);
        hs_derived_free(&one);
    }
}

/* The random graphs meet every op that can be differentiated: at least one node
 * of each has an input that depends on x and leads to what is read. */
static void hs_test_every_op_is_met(void **state) {
    bool met[HS_OP_COUNT] = {false};
    for (uint64_t seed = 0; seed < HS_GRAPHS; seed++) {
        hs_random_graph r;
        bool from[4096] = {false}, to[4096] = {false};
        hs_random_graph_make(&r, seed, HS_STEPS, 1 + (int64_t)seed % 2);
        assert_true(r.graph->count <= 4096);
        from[r.x] = to[r.out] = true;
        for (int i = 0; i < r.graph->count; i++)
            for (int j = 0; j < r.graph->nodes[i].input_count; j++)
                from[i] |= from[r.graph->nodes[i].input[j]];
        for (int i = r.graph->count - 1; i >= 0; i--)
            for (int j = 0; to[i] && j < r.graph->nodes[i].input_count; j++)
                to[r.graph->nodes[i].input[j]] = true;
        for (int i = 0; i < r.graph->count; i++)
            met[r.graph->nodes[i].op] |= from[i] && to[i];
        hs_random_graph_free(&r);
    }
    for (int op = 0; op < HS_OP_COUNT; op++)
        if (hs_op_get((hs_op)op)->differentiable && !met[op])
            fail_msg("no random graph differentiates %s", hs_op_get((hs_op)op)->name);
}

/* Tangent and cotangent share what they need of the primal point. */
static void hs_test_sharing(void **state) {
    hs_derived d;
    for (uint64_t seed = 0; seed < 10; seed++) {
        hs_derive(&d, seed, 1, 2);
        const hs_graph *graph = d.r.graph;
        for (int i = 0; i < graph->count; i++)
            for (int j = 0; j < i; j++) {
                const hs_node *a = &graph->nodes[i], *b = &graph->nodes[j];
                bool primal =
                    i > d.u && (a->op == HS_OP_GROUP_NORM_STATS ||
                                a->op == HS_OP_ACTIVATION_SLOPE || a->op == HS_OP_ATTENTION_PROBS);
                if (primal && a->op == b->op && a->input[0] == b->input[0] &&
                    a->input[1] == b->input[1] && memcmp(&a->attr, &b->attr, sizeof a->attr) == 0)
                    fail_msg("graph %d: nodes %d and %d, %s, are the same", (int)seed, j, i,
                             hs_op_get(a->op)->name);
            }
        hs_derived_free(&d);
    }
}

/* The derivative of a value by itself is the vector. */
static void hs_test_identity(void **state) {
    hs_derived d;
    hs_error err;
    hs_value out;
    hs_derive(&d, 1, 1, 2);
    assert_ok(hs_graph_jvp(d.r.graph, d.r.x, d.v, d.r.x, &out, &err));
    assert_int_equal(out, d.v);
    assert_ok(hs_graph_vjp(d.r.graph, d.r.x, d.u, d.r.x, &out, &err));
    assert_int_equal(out, d.u);
    hs_derived_free(&d);
}

static void hs_check_refused(hs_graph *graph, hs_value at, hs_value vector, hs_value of,
                             hs_status expected, const char *message) {
    for (int transpose = 0; transpose < 2; transpose++) {
        hs_error err;
        hs_value out = 0;
        hs_status status = transpose ? hs_graph_vjp(graph, at, vector, of, &out, &err)
                                     : hs_graph_jvp(graph, at, vector, of, &out, &err);
        assert_int_equal(status, expected);
        assert_int_equal(out, HS_NO_VALUE);
        if (!strstr(err.message, message))
            fail_msg("\"%s\" does not say \"%s\"", err.message, message);
    }
}

static void hs_test_refused(void **state) {
    hs_error err;
    hs_value t, x, other, embedded, quotient, v, wrong, short_t;
    hs_attr attr = {.time_embed = {.dim = 4, .max_period = 1e4}};
    hs_graph *graph = hs_graph_new();
    assert_non_null(graph);
    assert_ok(hs_graph_input(graph, "t", (hs_shape){1, {2}}, &t, &err));
    assert_ok(hs_graph_input(graph, "x", (hs_shape){2, {2, 4}}, &x, &err));
    assert_ok(hs_graph_add(graph, HS_OP_TIME_EMBED, &t, 1, &attr, "embed", &embedded, &err));
    const hs_value pair[] = {x, t}, sum[] = {embedded, x};
    assert_ok(hs_graph_add(graph, HS_OP_DIVIDE_ROWS, pair, 2, NULL, "ratio", &quotient, &err));
    assert_ok(hs_graph_add(graph, HS_OP_ADD, sum, 2, NULL, "other", &other, &err));
    assert_ok(hs_graph_input(graph, "v", (hs_shape){2, {2, 4}}, &v, &err));
    assert_ok(hs_graph_input(graph, "wrong", (hs_shape){2, {3, 4}}, &wrong, &err));
    assert_ok(hs_graph_input(graph, "short", (hs_shape){1, {2}}, &short_t, &err));
    hs_check_refused(graph, x, v, v, HS_ERROR_ARGUMENT, "v, does not depend on value 1, x");
    hs_check_refused(graph, x, v, embedded, HS_ERROR_ARGUMENT, "embed, does not depend");
    hs_check_refused(graph, x, wrong, other, HS_ERROR_MISMATCH, "[3, 4], expected [2, 4]");
    hs_check_refused(graph, x, graph->count, other, HS_ERROR_ARGUMENT, "not in the graph");
    hs_check_refused(graph, HS_NO_VALUE, v, other, HS_ERROR_ARGUMENT, "not in the graph");
    /* by t: the vectors' shapes differ between the two */
    hs_value out;
    assert_int_equal(hs_graph_jvp(graph, t, short_t, other, &out, &err), HS_ERROR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "time_embed embed: this op cannot be differentiated"));
    assert_int_equal(hs_graph_vjp(graph, t, v, quotient, &out, &err), HS_ERROR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "divide_rows ratio: this op cannot be differentiated in "
                                        "its input 1"));
    assert_int_equal(out, HS_NO_VALUE);
    hs_graph_free(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hs_test_random_graphs),   cmocka_unit_test(hs_test_many_at_one_point),
        cmocka_unit_test(hs_test_every_op_is_met), cmocka_unit_test(hs_test_sharing),
        cmocka_unit_test(hs_test_identity),        cmocka_unit_test(hs_test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
