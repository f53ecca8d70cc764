/*
 * J = d eps / d h of whole U-Nets over the golden models (the configuration
 * space and the Keras family) and the positions of h. On the reference back
 * end: against torch.func, central differences and its own adjoint; two stages
 * against one graph, several vectors against one. On the CPU back end: against
 * torch.func.
 */
#include "models/jacobian.h"

#include <math.h>

/* Relative to the largest value, or to |u||J v|. Beside each: the largest error
 * observed. */
#define HS_FLOAT_TOLERANCE 1e-5      /* CPU 8.1e-6 (AVX2), 8.2e-6 (AVX-512), ref 3.0e-6 */
#define HS_DOUBLE_TOLERANCE 1e-13    /* 1.8e-14 */
#define HS_KERAS_TOLERANCE 1e-6      /* 1.1e-7: TensorFlow rounds t's sinusoids elsewhere */
#define HS_ADJOINT_TOLERANCE 4e-15   /* 4.0e-16 */
#define HS_DIFFERENCE_TOLERANCE 5e-8 /* 7.0e-9: of the differences themselves */

static double hs_dot_of(const double *a, const float *b, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += a[i] * b[i];
    return sum;
}

static bool hs_is_keras(const hs_golden_jacobian_model *m) {
    return strncmp(m->name, "keras", 5) == 0;
}

static double hs_float_error(const hs_golden_jacobian_model *m, hs_h_space space) {
    return hs_golden_jacobian_error(&hs_backend_ref, m, space, false);
}

static double hs_onednn_error(const hs_golden_jacobian_model *m, hs_h_space space) {
    return hs_golden_jacobian_error(&hs_backend_onednn, m, space, false);
}

static double hs_double_error(const hs_golden_jacobian_model *m, hs_h_space space) {
    double error = hs_golden_jacobian_error(&hs_backend_ref, m, space, true);
    if (!hs_is_keras(m))
        return error;
    assert_true(error <= HS_KERAS_TOLERANCE);
    return 0;
}

static void hs_test_pytorch_float(void **state) {
    assert_true(hs_golden_jacobian_each("PyTorch, float", hs_float_error) <= HS_FLOAT_TOLERANCE);
}

static void hs_test_pytorch_onednn(void **state) {
    assert_true(hs_golden_jacobian_each("PyTorch, onednn", hs_onednn_error) <= HS_FLOAT_TOLERANCE);
}

static void hs_test_pytorch_double(void **state) {
    assert_true(hs_golden_jacobian_each("PyTorch, double", hs_double_error) <= HS_DOUBLE_TOLERANCE);
}

/* Random v and u of k rows. */
static void hs_random_vectors_of(const hs_golden_jacobian *j, uint64_t seed, float *vectors[2]) {
    for (int i = 0; i < 2; i++) {
        int64_t count = j->k * hs_golden_jacobian_rows_of(j, !i);
        vectors[i] = calloc((size_t)count, sizeof(float));
        assert_non_null(vectors[i]);
        hs_test_fill(seed + (uint64_t)i, vectors[i], count);
    }
}

/* |<u, J v> - <J^T u, v>| / |u||J v|, in double. */
static double hs_adjoint_error(const hs_golden_jacobian_model *m, hs_h_space space) {
    hs_golden_jacobian j;
    float *vectors[2];
    double size[2] = {0, 0};
    hs_golden_jacobian_open(&j, m->model, m->golden, space, 3);
    hs_random_vectors_of(&j, 5, vectors);
    double *Jv = hs_golden_jacobian_product(&hs_backend_ref, &j, 0, true, vectors[0]);
    double *JTu = hs_golden_jacobian_product(&hs_backend_ref, &j, 1, true, vectors[1]);
    double difference =
        hs_dot_of(Jv, vectors[1], 3 * j.x_count) - hs_dot_of(JTu, vectors[0], 3 * j.h_count);
    for (int64_t i = 0; i < 3 * j.x_count; i++) {
        size[0] += Jv[i] * Jv[i];
        size[1] += (double)vectors[1][i] * vectors[1][i];
    }
    assert_true(size[0] > 0 && size[1] > 0);
    free(Jv);
    free(JTu);
    free(vectors[0]);
    free(vectors[1]);
    hs_golden_jacobian_close(&j);
    return fabs(difference) / sqrt(size[0] * size[1]);
}

static void hs_test_adjoint(void **state) {
    assert_true(hs_golden_jacobian_each("adjoint", hs_adjoint_error) <= HS_ADJOINT_TOLERANCE);
}

/* `value` of the uncut graph in double; delta_h is delta, the vectors v and u. */
static double *hs_whole(const hs_golden_jacobian *j, hs_value value, double *delta,
                        float *vectors[2]) {
    hs_error err = {0};
    hs_exec *exec;
    hs_binding in[5];
    hs_plan_options options = {.outputs = &value, .output_count = 1, .double_precision = true};
    int64_t count = hs_shape_count(&j->unet.graph->nodes[value].shape);
    hs_binding out = {.value = value, .f64 = calloc((size_t)count, sizeof(double))};
    assert_non_null(out.f64);
    hs_golden_jacobian_bind(j, in);
    if (delta)
        in[2] = (hs_binding){.value = j->unet.delta_h, .f64 = delta};
    for (int i = 0; i < 2; i++)
        in[3 + i] = (hs_binding){.value = j->source[i], .f32 = vectors[i]};
    assert_ok(hs_backend_ref.plan(j->unet.graph, &options, &exec, &err));
    assert_ok(hs_backend_ref.execute(exec, in, 5, &out, 1, &err));
    hs_backend_ref.free(exec);
    return out.f64;
}

static double hs_difference_error(const hs_golden_jacobian_model *m, hs_h_space space) {
    const double step = 1e-5;
    hs_golden_jacobian j;
    float *vectors[2];
    double *moved[2];
    hs_golden_jacobian_open(&j, m->model, m->golden, space, 1);
    hs_random_vectors_of(&j, 9, vectors);
    double *delta = calloc((size_t)j.h_count, sizeof *delta);
    assert_non_null(delta);
    for (int side = 0; side < 2; side++) {
        for (int64_t i = 0; i < j.h_count; i++)
            delta[i] = (side ? -step : step) * vectors[0][i];
        moved[side] = hs_whole(&j, j.unet.out, delta, vectors);
    }
    for (int64_t i = 0; i < j.x_count; i++)
        moved[0][i] = (moved[0][i] - moved[1][i]) / (2 * step);
    double *Jv = hs_golden_jacobian_product(&hs_backend_ref, &j, 0, true, vectors[0]);
    double error = hs_test_relative_error_f64(Jv, moved[0], j.x_count);
    free(Jv);
    free(moved[0]);
    free(moved[1]);
    free(delta);
    free(vectors[0]);
    free(vectors[1]);
    hs_golden_jacobian_close(&j);
    return error;
}

static void hs_test_differences(void **state) {
    assert_true(hs_golden_jacobian_each("differences", hs_difference_error) <=
                HS_DIFFERENCE_TOLERANCE);
}

/* 0, or fail: two stages give the bits of the uncut graph, three vectors at
 * once those of each alone. */
static double hs_check_bits(const hs_golden_jacobian_model *m, hs_h_space space) {
    hs_golden_jacobian many, one;
    float *vectors[2];
    hs_golden_jacobian_open(&many, m->model, m->golden, space, 3);
    hs_golden_jacobian_open(&one, m->model, m->golden, space, 1);
    hs_random_vectors_of(&many, 13, vectors);
    for (int transpose = 0; transpose < 2; transpose++) {
        int64_t in = hs_golden_jacobian_rows_of(&many, !transpose);
        int64_t out = hs_golden_jacobian_rows_of(&many, transpose);
        double *whole = hs_whole(&many, many.product[transpose], NULL, vectors);
        double *cut =
            hs_golden_jacobian_product(&hs_backend_ref, &many, transpose, true, vectors[transpose]);
        if (memcmp(whole, cut, (size_t)(3 * out) * sizeof *cut) != 0)
            fail_msg("%s: two stages are not one graph", m->name);
        for (int64_t row = 0; row < 3; row++) {
            double *alone = hs_golden_jacobian_product(&hs_backend_ref, &one, transpose, true,
                                                       vectors[transpose] + row * in);
            if (memcmp(cut + row * out, alone, (size_t)out * sizeof *cut) != 0)
                fail_msg("%s: vector %d differs when alone", m->name, (int)row);
            free(alone);
        }
        free(whole);
        free(cut);
    }
    free(vectors[0]);
    free(vectors[1]);
    hs_golden_jacobian_close(&many);
    hs_golden_jacobian_close(&one);
    return 0;
}

static void hs_test_bits(void **state) {
    hs_golden_jacobian_each("bits", hs_check_bits);
}

/* The linear stage begins at h: no weight of the down path, and where h is
 * after the mid block no weight of that, is in it. Both directions keep the
 * same values. */
static double hs_check_stage(const hs_golden_jacobian_model *m, hs_h_space space) {
    hs_error err = {0};
    hs_golden_jacobian j;
    hs_cut cut[2];
    hs_golden_jacobian_open(&j, m->model, m->golden, space, 2);
    for (int i = 0; i < 2; i++)
        assert_ok(hs_graph_cut(j.unet.graph, &j.source[i], 1, &j.product[i], 1, 0, &cut[i], &err));
    assert_int_equal(cut[0].kept_count, cut[1].kept_count);
    for (int i = 0; i < cut[0].kept_count; i++)
        assert_int_equal(cut[0].kept[i].value, cut[1].kept[i].value);
    for (int i = 0; i < cut[0].graph->count; i++) {
        const hs_node *node = &cut[0].graph->nodes[i];
        assert_true(node->op != HS_OP_TIME_EMBED && node->op != HS_OP_FOURIER_EMBED);
        assert_true(node->op != HS_OP_GROUP_NORM_STATS && node->op != HS_OP_ATTENTION);
        if (node->op == HS_OP_WEIGHT && node->name &&
            (strstr(node->name, "down_blocks.") || strstr(node->name, "time_embedding.") ||
             (space == HS_H_AFTER && strstr(node->name, "mid_block."))))
            fail_msg("%s: weight %s in the linear stage", m->name, node->name);
    }
    hs_cut_free(&cut[0]);
    hs_cut_free(&cut[1]);
    hs_golden_jacobian_close(&j);
    return 0;
}

static void hs_test_stage(void **state) {
    hs_golden_jacobian_each("stage", hs_check_stage);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hs_test_pytorch_float),  cmocka_unit_test(hs_test_pytorch_onednn),
        cmocka_unit_test(hs_test_pytorch_double), cmocka_unit_test(hs_test_adjoint),
        cmocka_unit_test(hs_test_differences),    cmocka_unit_test(hs_test_bits),
        cmocka_unit_test(hs_test_stage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
