/*
 * The linear stage of a graph: that it computes the bits that the uncut graph
 * computes, for as many vectors as one likes after one run of the first stage,
 * and that it keeps what it should and no more.
 */
#include "graph/random_graph.h"
#include "graph/two_stages.h"

#include <stdlib.h>
#include <string.h>

#include "graph/jvp.h"
#include "graph/vjp.h"

#define K 2
#define HS_GRAPHS 100

/* A random graph, its derivatives, two blocks of vectors. */
typedef struct hs_derived {
    hs_random_graph r;
    hs_value source[2], product[2]; /* v, u; J v, J^T u */
    double *data[2][2];             /* [v, u][block] */
} hs_derived;

static void hs_derive(hs_derived *d, uint64_t seed) {
    hs_error err;
    hs_random_graph_make(&d->r, seed, 14, 1);
    hs_graph *graph = d->r.graph;
    hs_shape shape = graph->nodes[d->r.x].shape;
    shape.dim[0] = K;
    for (int i = 0; i < 2; i++)
        assert_ok(hs_graph_input(graph, i ? "u" : "v", shape, &d->source[i], &err));
    assert_ok(hs_graph_jvp(graph, d->r.x, d->source[0], d->r.out, &d->product[0], &err));
    assert_ok(hs_graph_vjp(graph, d->r.x, d->source[1], d->r.out, &d->product[1], &err));
    for (int i = 0; i < 4; i++)
        d->data[i / 2][i % 2] = hs_random_values(&d->r.seed, K * HS_RANDOM_ROW, false);
}

static void hs_derived_free(hs_derived *d) {
    hs_random_graph_free(&d->r);
    for (int i = 0; i < 4; i++)
        free(d->data[i / 2][i % 2]);
}

/* Cut from the sources first ... end-1 to their products, run two blocks. */
static void hs_check_cut(const hs_derived *d, int first, int end, int64_t slope_bytes) {
    hs_error err;
    hs_cut cut;
    hs_binding point[5], vectors[2], outputs[2];
    double results[2][K * HS_RANDOM_ROW];
    int count = end - first;
    hs_random_graph_bind(&d->r, point);
    assert_ok(hs_graph_cut(d->r.graph, d->source + first, count, d->product + first, count,
                           slope_bytes, &cut, &err));
    hs_two_stages stages =
        hs_two_stages_open(&hs_backend_ref, d->r.graph, &cut, count, true, point, 3);
    for (int block = 0; block < 2; block++) {
        for (int i = 0; i < count; i++) {
            vectors[i] = (hs_binding){.value = cut.sources[i], .f64 = d->data[first + i][block]};
            outputs[i] = (hs_binding){.value = cut.outputs[i], .f64 = results[i]};
        }
        assert_ok(hs_backend_ref.execute(stages.second, vectors, count, outputs, count, &err));
        for (int i = 0; i < count; i++) {
            point[3] = (hs_binding){.value = d->source[first + i], .f64 = vectors[i].f64};
            double *whole = hs_run_graph(d->r.graph, d->product[first + i], point, 4);
            assert_memory_equal(results[i], whole, sizeof results[i]);
            free(whole);
        }
    }
    hs_two_stages_close(&hs_backend_ref, &stages);
    hs_cut_free(&cut);
}

static void hs_test_same_bits(void **state) {
    for (uint64_t seed = 0; seed < HS_GRAPHS; seed++) {
        hs_derived d;
        hs_derive(&d, seed);
        for (int64_t slopes = 0; slopes <= 1 << 20; slopes += 1 << 20) {
            hs_check_cut(&d, 0, 1, slopes); /* J v */
            hs_check_cut(&d, 1, 2, slopes); /* J^T u */
            hs_check_cut(&d, 0, 2, slopes); /* both in one stage */
        }
        hs_derived_free(&d);
    }
}

/* The linear stage stands alone: the graph that it was cut from may go, and the
 * kept values may be bound in place of links. It is linear. */
static void hs_test_stands_alone(void **state) {
    hs_derived d;
    hs_error err;
    hs_cut cut;
    hs_binding point[HS_RANDOM_POOL + 64];
    double *kept[HS_RANDOM_POOL + 63];
    hs_derive(&d, 7);
    assert_ok(hs_graph_cut(d.r.graph, d.source, 1, d.product, 1, 0, &cut, &err));
    assert_true(cut.kept_count > 3 && cut.kept_count < HS_RANDOM_POOL + 63);
    for (int i = 0; i < cut.kept_count; i++) {
        hs_random_graph_bind(&d.r, point);
        kept[i] = hs_run_graph(d.r.graph, cut.kept[i].value, point, 3);
    }
    hs_graph_free(d.r.graph);
    d.r.graph = NULL;
    for (int i = 0; i < cut.kept_count; i++)
        point[i] = (hs_binding){.value = cut.kept[i].input, .f64 = kept[i]};
    double *product[3], *mix = d.data[1][0];
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < K * HS_RANDOM_ROW; j++)
            mix[j] = i < 2 ? d.data[0][i][j] : 2 * d.data[0][0][j] - d.data[0][1][j];
        point[cut.kept_count] = (hs_binding){.value = cut.sources[0], .f64 = mix};
        product[i] = hs_run_graph(cut.graph, cut.outputs[0], point, cut.kept_count + 1);
    }
    for (int j = 0; j < K * HS_RANDOM_ROW; j++)
        mix[j] = 2 * product[0][j] - product[1][j];
    assert_true(hs_test_relative_error_f64(product[2], mix, K * HS_RANDOM_ROW) < 1e-14);
    for (int i = 0; i < cut.kept_count; i++)
        free(kept[i]);
    for (int i = 0; i < 3; i++)
        free(product[i]);
    hs_cut_free(&cut);
    hs_derived_free(&d);
}

/* A residual block of an up path, as the models build it. */
typedef struct hs_block {
    hs_graph *graph;
    hs_value h, skip, s, temb; /* inputs: [1,4,4,4] twice, [1,8], [1,4] */
    hs_value x, out, second;   /* the concatenation, the result, norm2's input */
    hs_tensor tensors[4];
    int weight_count;
    double weights[4 * 8 * 9];
} hs_block;

static hs_value hs_block_op(hs_block *b, hs_op op, hs_value x, hs_value w, hs_shape shape,
                            hs_attr attr) {
    hs_error err;
    hs_value inputs[] = {x, w, w}, out;
    int count = hs_op_get(op)->min_inputs;
    if (w == HS_NO_VALUE && count > 1) {
        hs_tensor *tensor = &b->tensors[b->weight_count++];
        *tensor = (hs_tensor){.name = "w", .dtype = HS_F64, .rank = 1, .data = b->weights};
        tensor->dim[0] = hs_shape_count(&shape);
        assert_ok(hs_graph_weight(b->graph, tensor, shape, &inputs[1], &err));
        inputs[2] = inputs[1];
    }
    assert_ok(hs_graph_add(b->graph, op, inputs, count, &attr, NULL, &out, &err));
    return out;
}

static void hs_block_make(hs_block *b) {
    hs_error err;
    hs_attr norm = {.group_norm = {.groups = 2, .eps = 1e-5}}, silu = {.activation = {HS_SILU}};
    hs_attr conv = {
        .conv = {.stride = 1, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1}};
    hs_shape map = {4, {1, 4, 4, 4}}, none = {0}, square = {4, {4, 4, 3, 3}};
    hs_attr zero = {0};
    b->weight_count = 0;
    b->graph = hs_graph_new();
    assert_non_null(b->graph);
    assert_ok(hs_graph_input(b->graph, "h", map, &b->h, &err));
    assert_ok(hs_graph_input(b->graph, "skip", map, &b->skip, &err));
    assert_ok(hs_graph_input(b->graph, "s", (hs_shape){2, {1, 8}}, &b->s, &err));
    assert_ok(hs_graph_input(b->graph, "temb", (hs_shape){2, {1, 4}}, &b->temb, &err));
    hs_value y;
    const hs_value both[] = {b->h, b->skip};
    assert_ok(hs_graph_add(b->graph, HS_OP_CONCAT, both, 2, NULL, NULL, &b->x, &err));
    y = hs_block_op(b, HS_OP_GROUP_NORM, b->x, HS_NO_VALUE, (hs_shape){1, {8}}, norm);
    y = hs_block_op(b, HS_OP_ACTIVATION, y, HS_NO_VALUE, none, silu);
    y = hs_block_op(b, HS_OP_CONV2D, y, HS_NO_VALUE, (hs_shape){4, {4, 8, 3, 3}}, conv);
    y = b->second = hs_block_op(b, HS_OP_ADD_CHANNEL, y, b->temb, none, zero);
    y = hs_block_op(b, HS_OP_GROUP_NORM, y, HS_NO_VALUE, (hs_shape){1, {4}}, norm);
    y = hs_block_op(b, HS_OP_MODULATE, y, b->s, none, zero);
    y = hs_block_op(b, HS_OP_ACTIVATION, y, HS_NO_VALUE, none, silu);
    y = hs_block_op(b, HS_OP_CONV2D, y, HS_NO_VALUE, square, conv);
    b->out = hs_block_op(b, HS_OP_ADD, y, b->h, none, zero);
}

static bool hs_is_kept(const hs_cut *cut, hs_value value) {
    for (int i = 0; i < cut->kept_count; i++)
        if (cut->kept[i].value == value)
            return true;
    return false;
}

static int hs_count_op(const hs_graph *graph, hs_op op) {
    int count = 0;
    for (int i = 0; i < graph->count; i++)
        count += graph->nodes[i].op == op;
    return count;
}

/* Kept: the parts of the concatenation, the second norm's input, s, and the two
 * norms' stats; everything else that the derivative reads is computed again, if no
 * slopes are to be kept. */
static void hs_check_block(hs_op adjoint_conv, hs_op norm_op, bool transpose) {
    hs_error err;
    hs_block b;
    hs_cut cut;
    hs_value vector, product;
    hs_block_make(&b);
    assert_ok(hs_graph_input(b.graph, "v", (hs_shape){4, {3, 4, 4, 4}}, &vector, &err));
    assert_ok(transpose ? hs_graph_vjp(b.graph, b.h, vector, b.out, &product, &err)
                        : hs_graph_jvp(b.graph, b.h, vector, b.out, &product, &err));
    assert_ok(hs_graph_cut(b.graph, &vector, 1, &product, 1, 0, &cut, &err));
    assert_int_equal(cut.kept_count, 6);
    assert_true(hs_is_kept(&cut, b.h) && hs_is_kept(&cut, b.skip) && hs_is_kept(&cut, b.s));
    assert_true(hs_is_kept(&cut, b.second));
    assert_int_equal(hs_cut_bytes(&cut), 4 * (3 * 64 + 8 + 2 * 4));
    assert_int_equal(hs_count_op(cut.graph, HS_OP_GROUP_NORM_STATS), 0);
    for (int i = 0; i < cut.graph->count; i++)
        if (cut.graph->nodes[i].op == HS_OP_GROUP_NORM)
            assert_int_equal(cut.graph->nodes[i].input_count, 4);
    assert_int_equal(hs_count_op(cut.graph, HS_OP_GROUP_NORM), 2);
    assert_int_equal(hs_count_op(cut.graph, HS_OP_ACTIVATION), 0);
    assert_int_equal(hs_count_op(cut.graph, HS_OP_ACTIVATION_SLOPE), 2);
    assert_int_equal(hs_count_op(cut.graph, HS_OP_CONCAT), 1);
    assert_int_equal(hs_count_op(cut.graph, HS_OP_MODULATE), 1);
    assert_int_equal(hs_count_op(cut.graph, norm_op), 2);
    assert_int_equal(hs_count_op(cut.graph, adjoint_conv), 2);
    assert_int_equal(hs_count_op(cut.graph, HS_OP_INPUT), 7);
    assert_string_equal(cut.graph->nodes[cut.sources[0]].name, "v");
    hs_cut_free(&cut);
    /* Slopes of 64 and of 128 values: as far as the bytes go, the small one first. */
    static const int64_t bytes[] = {4 * 64 - 1, 4 * 64, 4 * 192 - 1, 4 * 192};
    static const int kept[] = {0, 1, 1, 2};
    for (int i = 0; i < 4; i++) {
        assert_ok(hs_graph_cut(b.graph, &vector, 1, &product, 1, bytes[i], &cut, &err));
        assert_int_equal(cut.kept_count, 6 + kept[i]);
        assert_int_equal(hs_cut_bytes(&cut), 4 * (3 * 64 + 8 + 2 * 4) + (kept[i] > 0 ? 4 * 64 : 0) +
                                                 (kept[i] > 1 ? 4 * 128 : 0));
        assert_int_equal(hs_count_op(cut.graph, HS_OP_ACTIVATION_SLOPE), 2 - kept[i]);
        assert_int_equal(hs_count_op(cut.graph, HS_OP_GROUP_NORM), 2 - kept[i]);
        hs_cut_free(&cut);
    }
    hs_graph_free(b.graph);
}

static void hs_test_residual_block(void **state) {
    hs_check_block(HS_OP_CONV2D, HS_OP_GROUP_NORM_TANGENT, false);
    hs_check_block(HS_OP_CONV2D_TRANSPOSE, HS_OP_GROUP_NORM_COTANGENT, true);
}

/* What is read beside what can be computed from it costs nothing; of equal
 * prices the value is kept that needs least computing. */
static void hs_test_choices(void **state) {
    hs_error err;
    hs_cut cut;
    hs_value x, v, w, norm, act, product;
    double ones[4] = {1, 1, 1, 1};
    hs_tensor tensor = {.name = "w", .dtype = HS_F64, .rank = 1, .dim = {4}, .data = ones};
    hs_attr attr = {.group_norm = {.groups = 2, .eps = 1e-5}}, silu = {.activation = {HS_SILU}};
    hs_graph *graph = hs_graph_new();
    assert_non_null(graph);
    assert_ok(hs_graph_input(graph, "x", (hs_shape){4, {1, 4, 2, 2}}, &x, &err));
    assert_ok(hs_graph_input(graph, "v", (hs_shape){4, {3, 4, 2, 2}}, &v, &err));
    assert_ok(hs_graph_weight(graph, &tensor, (hs_shape){1, {4}}, &w, &err));
    const hs_value inputs[] = {x, w, w};
    assert_ok(hs_graph_add(graph, HS_OP_GROUP_NORM, inputs, 3, &attr, NULL, &norm, &err));
    assert_ok(hs_graph_add(graph, HS_OP_ACTIVATION, &norm, 1, &silu, NULL, &act, &err));
    const hs_value by_act[] = {act, v};
    assert_ok(hs_graph_add(graph, HS_OP_MUL, by_act, 2, NULL, NULL, &product, &err));
    assert_ok(hs_graph_cut(graph, &v, 1, &product, 1, 0, &cut, &err));
    assert_int_equal(cut.kept_count, 1);
    assert_int_equal(cut.kept[0].value, act);
    hs_cut_free(&cut);

    const hs_value by_x[] = {x, product};
    assert_ok(hs_graph_add(graph, HS_OP_MUL, by_x, 2, NULL, NULL, &product, &err));
    assert_ok(hs_graph_cut(graph, &v, 1, &product, 1, 0, &cut, &err));
    assert_int_equal(cut.kept_count, 1);
    assert_int_equal(cut.kept[0].value, x);
    assert_int_equal(hs_count_op(cut.graph, HS_OP_GROUP_NORM), 1);
    hs_cut_free(&cut);

    /* nothing of the primal point is read */
    assert_ok(hs_graph_add(graph, HS_OP_AFFINE, &v, 1, &(hs_attr){.affine = {2, 0}}, NULL, &product,
                           &err));
    assert_ok(hs_graph_cut(graph, &v, 1, &product, 1, 0, &cut, &err));
    assert_int_equal(cut.kept_count, 0);
    assert_int_equal(hs_cut_bytes(&cut), 0);
    assert_int_equal(cut.graph->count, 2);
    hs_cut_free(&cut);
    hs_graph_free(graph);
}

static void hs_test_refused(void **state) {
    hs_error err;
    hs_cut cut;
    hs_value x, v, y;
    hs_graph *graph = hs_graph_new();
    assert_non_null(graph);
    assert_ok(hs_graph_input(graph, "x", (hs_shape){1, {4}}, &x, &err));
    assert_ok(hs_graph_input(graph, "v", (hs_shape){1, {4}}, &v, &err));
    assert_ok(
        hs_graph_add(graph, HS_OP_AFFINE, &x, 1, &(hs_attr){.affine = {2, 0}}, "y", &y, &err));
    const hs_value twice[] = {v, v}, beyond = graph->count;
    assert_int_equal(hs_graph_cut(graph, &v, 1, &y, 1, 0, &cut, &err), HS_ERROR_ARGUMENT);
    assert_non_null(strstr(err.message, "y, depends on no source"));
    assert_null(cut.graph);
    assert_int_equal(hs_graph_cut(graph, twice, 2, &v, 1, 0, &cut, &err), HS_ERROR_ARGUMENT);
    assert_non_null(strstr(err.message, "a source twice"));
    assert_int_equal(hs_graph_cut(graph, &beyond, 1, &v, 1, 0, &cut, &err), HS_ERROR_ARGUMENT);
    assert_int_equal(hs_graph_cut(graph, &v, 1, &beyond, 1, 0, &cut, &err), HS_ERROR_ARGUMENT);
    assert_non_null(strstr(err.message, "not in the graph"));
    hs_graph_free(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hs_test_same_bits),      cmocka_unit_test(hs_test_stands_alone),
        cmocka_unit_test(hs_test_residual_block), cmocka_unit_test(hs_test_choices),
        cmocka_unit_test(hs_test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
