/* Every forward op's reference against PyTorch and diffusers, in double:
 * tests/golden/make_graph.py names the cases. */
#include "graph/graph_support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/tensor_set.h"

typedef struct hs_golden {
    const char *name;
    hs_op op;
    hs_attr attr;
    double tolerance; /* 0: HS_TOLERANCE */
} hs_golden;

/* Largest error observed: 6.1e-16 of the largest value of a case. */
#define HS_TOLERANCE 5e-15

/* float32 sines of PyTorch against ours in double. Observed: 3.5e-8. */
#define HS_SINE 3e-7
/* Where PyTorch's float32 exp, which is not always the nearest float, gives a
 * neighbour of our frequency (2 of 128), the angle near 999 is off by a unit in
 * its last place. Observed: 3.0e-5. */
#define HS_SINE_OF_NEIGHBOUR 2e-4

static const hs_golden hs_goldens[] = {
    {"conv2d_3x3",
     HS_OP_CONV2D,
     {.conv = {.stride = 1, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1}},
     0},
    {"conv2d_stride2",
     HS_OP_CONV2D,
     {.conv = {.stride = 2, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1}},
     0},
    {"conv2d_after", HS_OP_CONV2D, {.conv = {.stride = 2, .pad_bottom = 1, .pad_right = 1}}, 0},
    {"conv2d_1x1", HS_OP_CONV2D, {.conv = {.stride = 1}}, 0},
    {"conv2d_5x2",
     HS_OP_CONV2D,
     {.conv = {.stride = 3, .pad_left = 2, .pad_right = 1, .pad_bottom = 3}},
     0},
    {"linear", HS_OP_LINEAR, {.conv = {0}}, 0},
    {"linear_no_bias", HS_OP_LINEAR, {.conv = {0}}, 0},
    {"group_norm", HS_OP_GROUP_NORM, {.group_norm = {.groups = 3, .eps = 1e-5}}, 0},
    {"group_norm_each", HS_OP_GROUP_NORM, {.group_norm = {.groups = 6, .eps = 0.3}}, 0},
    {"silu", HS_OP_ACTIVATION, {.activation = {HS_SILU}}, 0},
    {"gelu", HS_OP_ACTIVATION, {.activation = {HS_GELU}}, 0},
    {"relu", HS_OP_ACTIVATION, {.activation = {HS_RELU}}, 0},
    {"mish", HS_OP_ACTIVATION, {.activation = {HS_MISH}}, 0},
    {"mish_torch", HS_OP_ACTIVATION, {.activation = {HS_MISH}}, 0},
    {"time_embed_plain",
     HS_OP_TIME_EMBED,
     {.time_embed = {.dim = 32, .max_period = 10000}},
     HS_SINE},
    {"time_embed_flip",
     HS_OP_TIME_EMBED,
     {.time_embed = {.dim = 32, .flip_sin_to_cos = true, .max_period = 10000}},
     HS_SINE},
    {"time_embed_shift",
     HS_OP_TIME_EMBED,
     {.time_embed = {.dim = 32, .freq_shift = 1, .max_period = 10000}},
     HS_SINE},
    {"time_embed_odd",
     HS_OP_TIME_EMBED,
     {.time_embed = {.dim = 9, .flip_sin_to_cos = true, .freq_shift = 1, .max_period = 10000}},
     HS_SINE},
    {"time_embed_large",
     HS_OP_TIME_EMBED,
     {.time_embed = {.dim = 256, .freq_shift = 1, .max_period = 10000}},
     HS_SINE_OF_NEIGHBOUR},
    {"fourier_log", HS_OP_FOURIER_EMBED, {.fourier = {.log = true}}, HS_SINE},
    {"fourier_flip",
     HS_OP_FOURIER_EMBED,
     {.fourier = {.flip_sin_to_cos = true, .log = true}},
     HS_SINE},
    {"fourier_raw", HS_OP_FOURIER_EMBED, {.fourier = {.log = false}}, HS_SINE},
    {"add", HS_OP_ADD, {.conv = {0}}, 0},
    {"add_channel", HS_OP_ADD_CHANNEL, {.conv = {0}}, 0},
    {"modulate", HS_OP_MODULATE, {.conv = {0}}, 0},
    {"affine", HS_OP_AFFINE, {.affine = {.alpha = 2, .beta = -1}}, 0},
    {"divide_rows", HS_OP_DIVIDE_ROWS, {.conv = {0}}, 0},
    {"concat", HS_OP_CONCAT, {.conv = {0}}, 0},
    {"upsample", HS_OP_UPSAMPLE, {.conv = {0}}, 0},
    {"avg_pool", HS_OP_AVG_POOL, {.conv = {0}}, 0},
    {"mean_spatial", HS_OP_MEAN_SPATIAL, {.conv = {0}}, 0},
    {"max_pool", HS_OP_MAX_POOL, {.pool = {3, 2, 1}}, 0},
    {"max_pool_gaps", HS_OP_MAX_POOL, {.pool = {2, 3, 1}}, 0},
    {"attention",
     HS_OP_ATTENTION,
     {.attention = {.heads = 1, .scale = 0.40824829046386307}},
     0}, /* 1 / sqrt(6) */
    {"attention_heads", HS_OP_ATTENTION, {.attention = {.heads = 3, .scale = 0.9}}, 0},
};
#define HS_GOLDENS ((int)(sizeof hs_goldens / sizeof *hs_goldens))

/* Values of "NAME.suffix" as doubles and its shape, or NULL; free() it. */
static double *hs_golden_read(const hs_tensor_set *set, const char *name, const char *suffix,
                              hs_shape *shape) {
    char *full = hs_format("%s.%s", name, suffix);
    const hs_tensor *tensor = hs_tensor_set_find(set, full);
    free(full);
    if (!tensor)
        return NULL;
    int64_t count = hs_tensor_count(tensor);
    double *out = hs_alloc_aligned((size_t)count, sizeof *out);
    *shape = (hs_shape){.rank = tensor->rank};
    for (int i = 0; i < tensor->rank; i++)
        shape->dim[i] = tensor->dim[i];
    for (int64_t i = 0; i < count; i++) {
        float single;
        if (tensor->dtype == HS_F64) {
            memcpy(&out[i], (const char *)tensor->data + 8 * i, 8);
        } else {
            assert_int_equal(tensor->dtype, HS_F32);
            memcpy(&single, (const char *)tensor->data + 4 * i, 4);
            out[i] = (double)single;
        }
    }
    return out;
}

static double hs_golden_error(const hs_tensor_set *set, const hs_golden *golden) {
    hs_op_case test = {.op = golden->op, .attr = golden->attr};
    double *data[HS_MAX_INPUTS] = {NULL};
    for (int i = 0; i < HS_MAX_INPUTS; i++) {
        char suffix[] = {(char)('0' + i), 0};
        data[i] = hs_golden_read(set, golden->name, suffix, &test.shape[i]);
        if (!data[i])
            break;
        test.input_count++;
    }
    assert_true(test.input_count > 0);
    hs_shape shape;
    double *expected = hs_golden_read(set, golden->name, "out", &shape);
    assert_non_null(expected);
    hs_op_graph made = hs_op_graph_make(&test);
    assert_true(hs_shape_equal(&made.graph->nodes[made.out].shape, &shape));
    hs_binding bindings[HS_MAX_INPUTS];
    for (int i = 0; i < test.input_count; i++)
        bindings[i] = (hs_binding){.value = made.input[i], .f64 = data[i]};
    double *found = hs_run_graph(made.graph, made.out, bindings, test.input_count);
    double error = hs_test_relative_error_f64(found, expected, hs_shape_count(&shape));
    free(found);
    free(expected);
    hs_free_inputs(data);
    hs_graph_free(made.graph);
    return error;
}

static void hs_test_goldens(void **state) {
    hs_error err;
    hs_tensor_set *set;
    double exact = 0, sine = 0;
    int failed = 0;
    assert_ok(hs_safetensors_open("golden/graph_ops.safetensors", &set, &err));
    for (int i = 0; i < HS_GOLDENS; i++) {
        const hs_golden *golden = &hs_goldens[i];
        double error = hs_golden_error(set, golden);
        double tolerance = golden->tolerance > 0 ? golden->tolerance : HS_TOLERANCE;
        if (error > tolerance) {
            print_error("%s: error %g, allowed %g\n", golden->name, error, tolerance);
            failed++;
        }
        if (tolerance == HS_TOLERANCE)
            exact = fmax(exact, error);
        else if (tolerance == HS_SINE)
            sine = fmax(sine, error);
    }
    print_message("largest errors: %.1e, sines %.1e\n", exact, sine);
    assert_int_equal(failed, 0);
    hs_tensor_set_free(set);
}

/* The forward ops stand before conv2d_transpose in the list of ops. */
static void hs_test_every_forward_op_has_a_golden(void **state) {
    for (int op = HS_OP_CONV2D; op < HS_OP_CONV2D_TRANSPOSE; op++) {
        int count = 0;
        for (int i = 0; i < HS_GOLDENS; i++)
            count += hs_goldens[i].op == (hs_op)op;
        if (!count)
            fail_msg("%s has no golden values", hs_op_get((hs_op)op)->name);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hs_test_goldens),
        cmocka_unit_test(hs_test_every_forward_op_has_a_golden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
