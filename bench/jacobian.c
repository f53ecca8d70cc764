/*
 * The leading singular triplets of d eps / d h at one point: the whole job, one
 * more product of each kind at a fixed point, and a forward pass of what lies
 * behind h to compare them with.
 */
#include "bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "directions/svd.h"
#include "graph/cut.h"

#define TIMESTEP 500
#define REPEATS 5

static double median(double *seconds, int count) {
    qsort(seconds, (size_t)count, sizeof *seconds, bench_compare);
    return seconds[count / 2];
}

static hs_status apply(void *ctx, bool transpose, int k, const float *x, float *y, hs_error *err) {
    return hs_jacobian_apply(ctx, transpose, k, x, y, err);
}

/* Seconds of one vector of a block, fixed point. */
static hs_status time_products(hs_jacobian *j, bool transpose, size_t in, size_t out,
                               double *seconds, hs_error *err) {
    size_t k = (size_t)hs_jacobian_block(j);
    double times[REPEATS];
    float *x = malloc(k * in * sizeof *x), *y = malloc(k * out * sizeof *y);
    hs_status status = x && y ? HS_OK : HS_ERROR_MEMORY;
    if (x)
        bench_fill(x, k * in);
    for (int r = -1; r < REPEATS && status == HS_OK; r++) {
        double start = bench_seconds();
        status = hs_jacobian_apply(j, transpose, (int)k, x, y, err);
        if (r >= 0)
            times[r] = (bench_seconds() - start) / (double)k;
    }
    *seconds = median(times, REPEATS);
    free(y);
    free(x);
    return status;
}

/* Seconds of a forward pass from h to the result, with the rest of the point
 * kept: the same two plans as a product's. */
static hs_status time_up_path(hs_denoiser *denoiser, const float *x, double *seconds,
                              hs_error *err) {
    const hs_backend *backend = hs_denoiser_backend(denoiser);
    hs_unet_graph unet;
    hs_cut cut;
    hs_exec *point = NULL, *up = NULL;
    HS_TRY(
        hs_model_build(hs_denoiser_model(denoiser), 1, hs_denoiser_h_space(denoiser), &unet, err));
    HS_TRY(hs_graph_cut(unet.graph, &unet.h_edited, 1, &unet.out, 1, 0, &cut, err));
    hs_value *kept = hs_calloc((size_t)cut.kept_count, sizeof *kept);
    hs_link *links = hs_calloc((size_t)cut.kept_count, sizeof *links);
    for (int i = 0; i < cut.kept_count; i++)
        kept[i] = cut.kept[i].value;
    hs_plan_options first = {.threads = hs_denoiser_threads(denoiser),
                             .outputs = &unet.h,
                             .output_count = 1,
                             .cache = hs_denoiser_cache(denoiser),
                             .kept = kept,
                             .kept_count = cut.kept_count};
    HS_TRY(backend->plan(unet.graph, &first, &point, err));
    for (int i = 0; i < cut.kept_count; i++)
        links[i] = (hs_link){cut.kept[i].input, point, cut.kept[i].value};
    hs_plan_options second = {.threads = hs_denoiser_threads(denoiser),
                              .outputs = cut.outputs,
                              .output_count = 1,
                              .cache = hs_denoiser_cache(denoiser),
                              .links = links,
                              .link_count = cut.kept_count};
    HS_TRY(backend->plan(cut.graph, &second, &up, err));
    float t = TIMESTEP, *h = hs_calloc(hs_denoiser_h_size(denoiser), sizeof *h);
    float *zero = hs_calloc(hs_denoiser_h_size(denoiser), sizeof *zero);
    float *out = hs_calloc(hs_denoiser_image_size(denoiser), sizeof *out);
    hs_binding inputs[] = {
        {unet.x, (float *)x, NULL}, {unet.t, &t, NULL}, {unet.delta_h, zero, NULL}};
    hs_binding output = {unet.h, h, NULL};
    HS_TRY(backend->execute(point, inputs, 3, &output, 1, err));
    double times[REPEATS];
    hs_binding source = {cut.sources[0], h, NULL}, result = {cut.outputs[0], out, NULL};
    for (int r = -1; r < REPEATS; r++) {
        double start = bench_seconds();
        HS_TRY(backend->execute(up, &source, 1, &result, 1, err));
        if (r >= 0)
            times[r] = bench_seconds() - start;
    }
    *seconds = median(times, REPEATS);
    backend->free(up);
    backend->free(point);
    free(out);
    free(zero);
    free(h);
    free(links);
    free(kept);
    hs_cut_free(&cut);
    hs_graph_free(unet.graph);
    return HS_OK;
}

/* J v and J^T u of one vector each, for the peer's: error of the worse. */
static hs_status compare_products(hs_jacobian *j, size_t h, size_t image, const char *path,
                                  double *error, hs_error *err) {
    size_t large = h > image ? h : image;
    float *in = malloc(large * sizeof *in), *out = malloc((h + image) * sizeof *out);
    float *expected = malloc((h + image) * sizeof *expected);
    FILE *file = fopen(path, "rb");
    hs_status status = HS_OK;
    if (!in || !out || !expected || !file ||
        fread(expected, sizeof *expected, h + image, file) != h + image)
        status = hs_fail(err, HS_ERROR_IO, "%s: cannot read %zu values", path, h + image);
    if (in)
        bench_fill(in, large);
    if (status == HS_OK)
        status = hs_jacobian_apply(j, false, 1, in, out, err);
    if (status == HS_OK)
        status = hs_jacobian_apply(j, true, 1, in, out + image, err);
    if (status == HS_OK)
        *error =
            fmax(bench_error(out, expected, image), bench_error(out + image, expected + image, h));
    if (file)
        fclose(file);
    free(expected);
    free(out);
    free(in);
    return status;
}

static hs_status run(hs_denoiser *denoiser, const bench_jacobian_options *o, hs_error *err) {
    size_t image = hs_denoiser_image_size(denoiser), h = hs_denoiser_h_size(denoiser);
    float *x = malloc(image * sizeof *x);
    if (!x)
        return hs_fail_memory(err, image * sizeof *x);
    bench_fill(x, image);
    hs_jacobian *j;
    hs_svd svd = {0};
    double start = bench_seconds(), jv, jtu, up = 0;
    HS_TRY(hs_jacobian_create(denoiser, 0, HS_SLOPE_BYTES, &j, err));
    double plan = bench_seconds() - start;
    start = bench_seconds();
    HS_TRY(hs_jacobian_point(j, x, TIMESTEP, NULL, NULL, NULL, err));
    if (o->count_power) {
        int iterations, steps;
        HS_TRY(bench_power_iterations(j, h, image, o->k, o->tol, &iterations, &steps, err));
        printf("power_iterations=%d lanczos_steps=%d\n", iterations, steps);
        hs_jacobian_free(j);
        free(x);
        return HS_OK;
    }
    hs_linop op = {(int64_t)image, (int64_t)h, hs_jacobian_block(j), j, apply};
    hs_svd_options options = hs_svd_options_default();
    options.k = o->k;
    options.tol = o->tol;
    options.method = o->method;
    HS_TRY(hs_svd_run(&op, &options, NULL, &svd, err));
    double seconds = bench_seconds() - start;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double residual = 0;
    for (int i = 0; i < svd.k; i++)
        residual = fmax(residual, svd.residual[i]);
    printf("seconds=%.2f products=%lld residual=%.2g sigma=%.5g plan_ms=%.0f rss_mb=%.0f", seconds,
           (long long)svd.products, residual, svd.sigma[0], plan * 1e3,
           (double)usage.ru_maxrss / 1024);
    fflush(stdout);
    if (o->expected) {
        double error = 0;
        HS_TRY(compare_products(j, h, image, o->expected, &error, err));
        printf(" error=%.2g", error);
    }
    if (!o->job_only) {
        HS_TRY(time_products(j, false, h, image, &jv, err));
        HS_TRY(time_products(j, true, image, h, &jtu, err));
        hs_jacobian_free(j);
        j = NULL;
        HS_TRY(time_up_path(denoiser, x, &up, err));
        printf(" jv_ms=%.1f jtu_ms=%.1f up_ms=%.1f", jv * 1e3, jtu * 1e3, up * 1e3);
    }
    printf("\n");
    hs_svd_free(&svd);
    hs_jacobian_free(j);
    free(x);
    return HS_OK;
}

int bench_jacobian(const bench_jacobian_options *o) {
    hs_error err;
    hs_model *model = NULL;
    hs_denoiser *denoiser = NULL;
    hs_denoiser_options options = hs_denoiser_options_default();
    options.threads = o->threads;
    hs_status status = hs_model_open(o->model, NULL, &model, &err);
    if (status == HS_OK)
        status = hs_denoiser_create(model, &options, &denoiser, &err);
    if (status == HS_OK)
        status = run(denoiser, o, &err);
    if (status != HS_OK)
        fprintf(stderr, "hs_bench: %s\n", err.message);
    hs_denoiser_free(denoiser);
    hs_model_free(model);
    return status != HS_OK;
}
