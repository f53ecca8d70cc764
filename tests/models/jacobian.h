/*
 * Products with J = d eps / d h of the models of tests/golden/models, on any
 * back end, in two stages (graph/cut.h), against what torch.func computed in
 * float64.
 */
#ifndef HS_TESTS_MODELS_JACOBIAN_H
#define HS_TESTS_MODELS_JACOBIAN_H

#include "graph/jvp.h"
#include "graph/two_stages.h"
#include "graph/vjp.h"
#include "models/golden.h"

#define HS_JACOBIAN_GOLDEN "golden/jacobian.safetensors"

/* A U-Net for one sample, with J v and J^T u for k vectors, and a point. */
typedef struct hs_golden_jacobian {
    hs_unet_graph unet;
    hs_value source[2], product[2]; /* v, u; J v, J^T u */
    int64_t k, h_count, x_count;    /* of one row */
    float *point[3];                /* x, t, delta_h (zero) */
} hs_golden_jacobian;

static inline void hs_golden_jacobian_open(hs_golden_jacobian *j, const hs_model *model,
                                           const hs_tensor_set *golden, hs_h_space space,
                                           int64_t k) {
    hs_error err = {0};
    assert_ok(hs_model_build(model, 1, space, &j->unet, &err));
    hs_graph *graph = j->unet.graph;
    hs_shape h = graph->nodes[j->unet.h].shape, x = graph->nodes[j->unet.out].shape;
    j->k = k;
    j->h_count = hs_shape_count(&h);
    j->x_count = hs_shape_count(&x);
    h.dim[0] = x.dim[0] = k;
    assert_ok(hs_graph_input(graph, "v", h, &j->source[0], &err));
    assert_ok(hs_graph_input(graph, "u", x, &j->source[1], &err));
    assert_ok(
        hs_graph_jvp(graph, j->unet.h_edited, j->source[0], j->unet.out, &j->product[0], &err));
    assert_ok(
        hs_graph_vjp(graph, j->unet.h_edited, j->source[1], j->unet.out, &j->product[1], &err));
    /* the second sample of the golden file */
    j->point[0] = calloc((size_t)j->x_count, sizeof(float));
    j->point[1] = calloc(1, sizeof(float));
    j->point[2] = calloc((size_t)j->h_count, sizeof(float));
    assert_true(j->point[0] && j->point[1] && j->point[2]);
    memcpy(j->point[0], hs_golden_tensor(golden, "x", 2 * j->x_count) + j->x_count,
           (size_t)j->x_count * sizeof(float));
    j->point[1][0] = hs_golden_tensor(golden, "t", 2)[1];
}

static inline void hs_golden_jacobian_close(hs_golden_jacobian *j) {
    for (int i = 0; i < 3; i++)
        free(j->point[i]);
    hs_graph_free(j->unet.graph);
}

static inline void hs_golden_jacobian_bind(const hs_golden_jacobian *j, hs_binding point[3]) {
    point[0] = (hs_binding){.value = j->unet.x, .f32 = j->point[0]};
    point[1] = (hs_binding){.value = j->unet.t, .f32 = j->point[1]};
    point[2] = (hs_binding){.value = j->unet.delta_h, .f32 = j->point[2]};
}

/* Floats of one row of the product, and of the vectors. */
static inline int64_t hs_golden_jacobian_rows_of(const hs_golden_jacobian *j, int transpose) {
    return transpose ? j->h_count : j->x_count;
}

/* J v (transpose 0) or J^T u (1) of k vectors in two stages; the result, of k
 * rows, is malloc'ed. Doubles on `ref`, with double_precision. */
static inline double *hs_golden_jacobian_product(const hs_backend *backend,
                                                 const hs_golden_jacobian *j, int transpose,
                                                 bool double_precision, const float *vectors) {
    hs_error err = {0};
    hs_cut cut;
    hs_binding point[3];
    int64_t count = j->k * hs_golden_jacobian_rows_of(j, transpose);
    double *result = calloc((size_t)count, sizeof *result);
    float *narrow = calloc((size_t)count, sizeof *narrow);
    assert_true(result && narrow);
    hs_golden_jacobian_bind(j, point);
    assert_ok(hs_graph_cut(j->unet.graph, &j->source[transpose], 1, &j->product[transpose], 1,
                           1 << 24, &cut, &err)); /* slopes kept; test_cut.c has both */
    hs_two_stages stages =
        hs_two_stages_open(backend, j->unet.graph, &cut, 1, double_precision, point, 3);
    hs_binding in = {.value = cut.sources[0], .f32 = (float *)(uintptr_t)vectors};
    hs_binding out = {.value = cut.outputs[0]};
    if (double_precision)
        out.f64 = result;
    else
        out.f32 = narrow;
    assert_ok(backend->execute(stages.second, &in, 1, &out, 1, &err));
    for (int64_t i = 0; i < count && !double_precision; i++)
        result[i] = narrow[i];
    hs_two_stages_close(backend, &stages);
    hs_cut_free(&cut);
    free(narrow);
    return result;
}

/* MODEL/KIND, or MODEL/KIND_WHERE, of the golden file. */
static inline const hs_tensor *hs_golden_jacobian_tensor(const hs_tensor_set *products,
                                                         const char *model, const char *kind,
                                                         const char *where, int64_t count) {
    char name[80];
    snprintf(name, sizeof name, "%s/%s%s%s", model, kind, where ? "_" : "", where ? where : "");
    const hs_tensor *tensor = hs_tensor_set_find(products, name);
    if (!tensor || hs_tensor_count(tensor) != count)
        fail_msg("golden tensor %s is missing or of another size", name);
    return tensor;
}

/* A model with its golden values, opened by hs_golden_jacobian_each_model. */
typedef struct hs_golden_jacobian_model {
    const char *name;
    hs_model *model;
    hs_tensor_set *golden;   /* MODEL/golden.safetensors */
    hs_tensor_set *products; /* HS_JACOBIAN_GOLDEN */
} hs_golden_jacobian_model;

/* Call `check` for every golden model and position of h; the largest of what it
 * returns, each model's printed under `title`. */
static inline double hs_golden_jacobian_each(const char *title,
                                             double (*check)(const hs_golden_jacobian_model *,
                                                             hs_h_space)) {
    hs_error err = {0};
    double worst = 0;
    hs_golden_jacobian_model m;
    assert_ok(hs_safetensors_open(HS_JACOBIAN_GOLDEN, &m.products, &err));
    for (size_t i = 0; i < HS_GOLDEN_COUNT; i++) {
        char folder[128], file[160];
        double error = 0;
        m.name = hs_golden_models[i];
        snprintf(folder, sizeof folder, "golden/models/%s", m.name);
        snprintf(file, sizeof file, "%s/golden.safetensors", folder);
        assert_ok(hs_model_open(folder, NULL, &m.model, &err));
        assert_ok(hs_safetensors_open(file, &m.golden, &err));
        for (int space = HS_H_BEFORE; space <= HS_H_AFTER; space++) {
            double part = check(&m, (hs_h_space)space);
            assert_true(part >= 0);
            error = part > error ? part : error;
        }
        print_message("%s: %-20s %.2g\n", title, m.name, error);
        worst = error > worst ? error : worst;
        hs_tensor_set_free(m.golden);
        hs_model_free(m.model);
    }
    hs_tensor_set_free(m.products);
    print_message("%s: largest %.2g\n", title, worst);
    return worst;
}

/* Errors of J v and J^T u against PyTorch, relative to the largest value. */
static inline double hs_golden_jacobian_error(const hs_backend *backend,
                                              const hs_golden_jacobian_model *m, hs_h_space space,
                                              bool double_precision) {
    static const char *const where[] = {"before", "middle", "after"};
    hs_golden_jacobian j;
    double worst = 0;
    hs_golden_jacobian_open(&j, m->model, m->golden, space, 2);
    for (int transpose = 0; transpose < 2; transpose++) {
        int64_t in = 2 * hs_golden_jacobian_rows_of(&j, !transpose);
        int64_t out = 2 * hs_golden_jacobian_rows_of(&j, transpose);
        const hs_tensor *vectors =
            hs_golden_jacobian_tensor(m->products, m->name, transpose ? "u" : "v", NULL, in);
        const hs_tensor *expected = hs_golden_jacobian_tensor(
            m->products, m->name, transpose ? "JTu" : "Jv", where[space], out);
        assert_true(vectors->dtype == HS_F32 && expected->dtype == HS_F64);
        double *result =
            hs_golden_jacobian_product(backend, &j, transpose, double_precision, vectors->data);
        double error = hs_test_relative_error_f64(result, expected->data, out);
        worst = error > worst ? error : worst;
        free(result);
    }
    hs_golden_jacobian_close(&j);
    return worst;
}

#endif
