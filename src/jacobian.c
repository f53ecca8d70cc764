/*
 * See jacobian.h. One graph holds the U-Net, its tangent and its cotangent in
 * h; hs_graph_cut takes the two linear stages out of it:
 *
 *   graph  --kept values-->  cut J:    v -> J v       planned for a batch of k,
 *                       \->  cut J^T:  u -> J^T u     once for each k in use
 */
#include "jacobian.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "graph/cut.h"
#include "graph/jvp.h"
#include "graph/vjp.h"

#define HS_RING 64
#define HS_MAX_BLOCK 8
#define HS_BLOCK_MACS 8e9 /* of a call: hides what its steps and reading weights cost */

/* A linear stage for k vectors. */
typedef struct hs_product {
    int k; /* 0: none yet */
    hs_cut cut;
    hs_exec *exec;
} hs_product;

struct hs_jacobian {
    hs_denoiser *denoiser;
    hs_unet_graph unet; /* primal, tangent and cotangent of one vector */
    hs_exec *point;
    hs_exec_bytes bytes; /* of the point and the products, */
    hs_exec_bytes there; /* and of what the denoiser had before, of the shared kinds */
    int block;
    int64_t slope_bytes; /* what the point's slopes may take */
    bool ready;          /* hs_jacobian_point was here */
    double slope;
    size_t image_size, h_size;
    hs_product full[2], rest[2]; /* [transpose]: of a block, and of what is left over */
    float *t, *no_delta_h, *out, *h;
    int64_t products, calls;
    double seconds[HS_RING];
};

static double hs_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ------------------------------------------------------------ planning -- */

/* Append the product of k vectors to the U-Net's graph and cut it out. */
static hs_status hs_product_cut(hs_unet_graph *unet, bool transpose, int k, int64_t slope_bytes,
                                hs_cut *cut, hs_error *err) {
    hs_graph *graph = unet->graph;
    hs_shape shape = graph->nodes[transpose ? unet->out : unet->h_edited].shape;
    hs_value vector, product;
    shape.dim[0] = k;
    HS_TRY(hs_graph_input(graph, transpose ? "u" : "v", shape, &vector, err));
    if (transpose)
        HS_TRY(hs_graph_vjp(graph, unet->h_edited, vector, unet->out, &product, err));
    else
        HS_TRY(hs_graph_jvp(graph, unet->h_edited, vector, unet->out, &product, err));
    return hs_graph_cut(graph, &vector, 1, &product, 1, slope_bytes, cut, err);
}

/* The U-Net with both products of k vectors. Whatever k is, the same nodes get
 * the same numbers, so that one point serves the cuts for any k. */
static hs_status hs_cut_both(const hs_jacobian *j, int k, hs_unet_graph *unet, hs_cut cuts[2],
                             hs_error *err) {
    const hs_denoiser *denoiser = j->denoiser;
    HS_TRY(
        hs_model_build(hs_denoiser_model(denoiser), 1, hs_denoiser_h_space(denoiser), unet, err));
    HS_TRY(hs_product_cut(unet, false, k, j->slope_bytes, &cuts[0], err));
    return hs_product_cut(unet, true, k, j->slope_bytes, &cuts[1], err);
}

/* The arena and, with a cache, the weights are one for all plans. */
static void hs_count_bytes(hs_jacobian *j, const hs_exec *exec) {
    hs_exec_bytes bytes;
    hs_denoiser_backend(j->denoiser)->bytes(exec, &bytes);
    j->bytes.own += bytes.own;
    if (j->bytes.shared < bytes.shared)
        j->bytes.shared = bytes.shared;
    if (!hs_denoiser_cache(j->denoiser))
        j->bytes.weights += bytes.weights;
    else if (j->bytes.weights < bytes.weights)
        j->bytes.weights = bytes.weights;
}

/* The point keeps what either product needs. */
static hs_status hs_plan_point(hs_jacobian *j, const hs_cut cuts[2], hs_error *err) {
    const hs_backend *backend = hs_denoiser_backend(j->denoiser);
    hs_value outputs[] = {j->unet.out, j->unet.h};
    int count = 0;
    hs_value *kept = hs_calloc((size_t)(cuts[0].kept_count + cuts[1].kept_count), sizeof *kept);
    if (!kept)
        return hs_fail_memory(err, (size_t)(cuts[0].kept_count + cuts[1].kept_count) * 4);
    for (int c = 0; c < 2; c++)
        for (int i = 0; i < cuts[c].kept_count; i++) {
            int same = 0;
            while (same < count && kept[same] != cuts[c].kept[i].value)
                same++;
            if (same == count)
                kept[count++] = cuts[c].kept[i].value;
        }
    hs_plan_options options = {.threads = hs_denoiser_threads(j->denoiser),
                               .outputs = outputs,
                               .output_count = 2,
                               .cache = hs_denoiser_cache(j->denoiser),
                               .profile = hs_denoiser_profiler(j->denoiser),
                               .kept = kept,
                               .kept_count = count};
    hs_status status = backend->plan(j->unet.graph, &options, &j->point, err);
    free(kept);
    if (status == HS_OK)
        hs_count_bytes(j, j->point);
    return status;
}

static void hs_product_free(const hs_backend *backend, hs_product *product) {
    if (product->exec)
        backend->free(product->exec);
    hs_cut_free(&product->cut);
    *product = (hs_product){0};
}

/* Plan a cut whose kept values the point has. Takes the cut. */
static hs_status hs_plan_product(hs_jacobian *j, hs_cut *cut, int k, hs_product *out,
                                 hs_error *err) {
    const hs_backend *backend = hs_denoiser_backend(j->denoiser);
    hs_product product = {.k = k, .cut = *cut};
    *cut = (hs_cut){0};
    hs_link *links = hs_calloc((size_t)product.cut.kept_count, sizeof *links);
    hs_status status = links ? HS_OK : hs_fail_memory(err, (size_t)product.cut.kept_count);
    for (int i = 0; links && i < product.cut.kept_count; i++)
        links[i] = (hs_link){product.cut.kept[i].input, j->point, product.cut.kept[i].value};
    hs_plan_options options = {.threads = hs_denoiser_threads(j->denoiser),
                               .outputs = product.cut.outputs,
                               .output_count = 1,
                               .cache = hs_denoiser_cache(j->denoiser),
                               .profile = hs_denoiser_profiler(j->denoiser),
                               .links = links,
                               .link_count = product.cut.kept_count};
    if (status == HS_OK)
        status = backend->plan(product.cut.graph, &options, &product.exec, err);
    free(links);
    if (status != HS_OK) {
        hs_product_free(backend, &product);
        return status;
    }
    *out = product;
    return HS_OK;
}

/* By the work behind h alone, so that the answer is the same every time. */
static int hs_choose_block(const hs_model *model) {
    double macs = (double)(model->macs - model->macs_to_h);
    return (int)fmin(fmax(HS_BLOCK_MACS / fmax(macs, 1), 1), HS_MAX_BLOCK);
}

static hs_status hs_jacobian_plan(hs_jacobian *j, hs_error *err) {
    hs_cut cuts[2] = {{0}};
    hs_status status;
    HS_CHECK(hs_cut_both(j, j->block, &j->unet, cuts, err));
    HS_CHECK(hs_plan_point(j, cuts, err));
    HS_CHECK(hs_plan_product(j, &cuts[0], j->block, &j->full[0], err));
    HS_CHECK(hs_plan_product(j, &cuts[1], j->block, &j->full[1], err));
    int64_t point = j->bytes.own;
    for (int i = 0; i < 2; i++)
        hs_count_bytes(j, j->full[i].exec);
    if (j->block > 1) /* the plans for what is left over take less than these */
        j->bytes.own += j->bytes.own - point;
cleanup:
    hs_cut_free(&cuts[0]);
    hs_cut_free(&cuts[1]);
    return status;
}

hs_status hs_jacobian_create(hs_denoiser *denoiser, int block, int64_t slope_bytes,
                             hs_jacobian **out, hs_error *err) {
    if (block < 0 || block > 1024)
        return hs_fail(err, HS_ERROR_ARGUMENT, "jacobian: block %d, expected 0 ... 1024", block);
    if (hs_denoiser_precision(denoiser) != HS_PRECISION_F32)
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "jacobian: its products are of float32, and the denoiser's precision is %s",
                       hs_denoiser_precision_name(denoiser));
    hs_jacobian *j = hs_calloc(1, sizeof *j);
    if (!j)
        return hs_fail_memory(err, sizeof *j);
    j->denoiser = denoiser;
    j->block = block ? block : hs_choose_block(hs_denoiser_model(denoiser));
    j->slope_bytes = slope_bytes;
    j->image_size = hs_denoiser_image_size(denoiser);
    j->h_size = hs_denoiser_h_size(denoiser);
    j->there = hs_denoiser_shared_bytes(denoiser);
    j->t = hs_calloc(1, sizeof *j->t);
    j->no_delta_h = hs_calloc(j->h_size, sizeof(float));
    j->out = hs_calloc(j->image_size, sizeof(float));
    j->h = hs_calloc(j->h_size, sizeof(float));
    hs_status status = j->t && j->no_delta_h && j->out && j->h
                           ? hs_jacobian_plan(j, err)
                           : hs_fail_memory(err, (j->image_size + 2 * j->h_size) * sizeof(float));
    if (status != HS_OK) {
        hs_jacobian_free(j);
        return status;
    }
    *out = j;
    return HS_OK;
}

void hs_jacobian_free(hs_jacobian *j) {
    if (!j)
        return;
    const hs_backend *backend = hs_denoiser_backend(j->denoiser);
    for (int i = 0; i < 2; i++) {
        hs_product_free(backend, &j->full[i]);
        hs_product_free(backend, &j->rest[i]);
    }
    if (j->point)
        backend->free(j->point);
    hs_graph_free(j->unet.graph);
    free(j->h);
    free(j->out);
    free(j->no_delta_h);
    free(j->t);
    free(j);
}

int hs_jacobian_block(const hs_jacobian *j) {
    return j->block;
}

int64_t hs_jacobian_bytes(const hs_jacobian *j) {
    int64_t arena = j->bytes.shared - j->there.shared;
    int64_t weights = j->bytes.weights - j->there.weights;
    return j->bytes.own + (arena > 0 ? arena : 0) + (weights > 0 ? weights : 0);
}

void hs_jacobian_stats(const hs_jacobian *j, int64_t *products, double *seconds) {
    double sorted[HS_RING];
    size_t count = j->calls < HS_RING ? (size_t)j->calls : HS_RING;
    for (size_t i = 0; i < count; i++) { /* insertion: few */
        size_t at = i;
        for (; at > 0 && sorted[at - 1] > j->seconds[i]; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = j->seconds[i];
    }
    *products = j->products;
    *seconds = count ? sorted[count / 2] : 0;
}

/* ------------------------------------------------------------ products -- */

hs_status hs_jacobian_point(hs_jacobian *j, const float *x, int t, const float *delta_h, float *eps,
                            float *h, hs_error *err) {
    HS_TRY(hs_denoiser_check_timestep(j->denoiser, t, err));
    double start = hs_now();
    j->ready = false;
    j->t[0] = (float)t;
    hs_binding inputs[] = {
        {.value = j->unet.x, .f32 = (float *)x},
        {.value = j->unet.t, .f32 = j->t},
        {.value = j->unet.delta_h, .f32 = delta_h ? (float *)delta_h : j->no_delta_h}};
    hs_binding outputs[] = {{.value = j->unet.out, .f32 = j->out},
                            {.value = j->unet.h, .f32 = j->h}};
    const hs_backend *backend = hs_denoiser_backend(j->denoiser);
    HS_TRY(backend->execute(j->point, inputs, 3, outputs, 2, err));
    hs_denoiser_count_pass(j->denoiser, hs_now() - start);
    if (backend->trim) /* a pass on the way takes more room than all products do */
        backend->trim(j->point);
    if (hs_tensor_first_bad(j->out, (int64_t)j->image_size) >= 0)
        return hs_fail(err, HS_ERROR_NUMERIC,
                       "%s: NaN or infinity in the U-Net's output at timestep %d",
                       hs_denoiser_model(j->denoiser)->name, t);
    if (eps)
        hs_denoiser_to_eps(j->denoiser, t, x, j->out, eps);
    if (h)
        memcpy(h, j->h, j->h_size * sizeof *h);
    j->slope = hs_denoiser_eps_slope(j->denoiser, t);
    j->ready = true;
    return HS_OK;
}

/* The plan for k vectors: that of a block, or the one for what is left over. */
static hs_status hs_get_product(hs_jacobian *j, bool transpose, int k, hs_product **out,
                                hs_error *err) {
    *out = k == j->block ? &j->full[transpose] : &j->rest[transpose];
    if ((*out)->k == k)
        return HS_OK;
    hs_product_free(hs_denoiser_backend(j->denoiser), *out);
    hs_unet_graph unet = {0};
    hs_cut cuts[2] = {{0}};
    hs_status status;
    HS_CHECK(hs_cut_both(j, k, &unet, cuts, err));
    HS_CHECK(hs_plan_product(j, &cuts[transpose], k, *out, err));
cleanup:
    hs_cut_free(&cuts[0]);
    hs_cut_free(&cuts[1]);
    hs_graph_free(unet.graph);
    return status;
}

static hs_status hs_apply_block(hs_jacobian *j, bool transpose, int k, const float *in, float *out,
                                hs_error *err) {
    hs_product *product;
    HS_TRY(hs_get_product(j, transpose, k, &product, err));
    double start = hs_now();
    hs_binding input = {.value = product->cut.sources[0], .f32 = (float *)in};
    hs_binding output = {.value = product->cut.outputs[0], .f32 = out};
    const hs_backend *backend = hs_denoiser_backend(j->denoiser);
    HS_TRY(backend->execute(product->exec, &input, 1, &output, 1, err));
    size_t count = (size_t)k * (transpose ? j->h_size : j->image_size);
    if (j->slope != 1)
        for (size_t i = 0; i < count; i++)
            out[i] = (float)(j->slope * (double)out[i]);
    j->products += k;
    j->seconds[j->calls++ % HS_RING] = (hs_now() - start) / k;
    return HS_OK;
}

hs_status hs_jacobian_apply(hs_jacobian *j, bool transpose, int k, const float *in, float *out,
                            hs_error *err) {
    if (!j->ready)
        return hs_fail(err, HS_ERROR_ARGUMENT, "jacobian: no point was given before the product");
    if (k < 1)
        return hs_fail(err, HS_ERROR_ARGUMENT, "jacobian: %d vectors, expected 1 or more", k);
    size_t in_size = transpose ? j->image_size : j->h_size;
    size_t out_size = transpose ? j->h_size : j->image_size;
    for (int first = 0; first < k; first += j->block) {
        int count = k - first < j->block ? k - first : j->block;
        HS_TRY(hs_apply_block(j, transpose, count, in + (size_t)first * in_size,
                              out + (size_t)first * out_size, err));
    }
    return HS_OK;
}
