/* One problem: a U-Net pass of a batch. What is timed is what is verified. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define TIMESTEP 100
#define MOST_REPEATS 1000 /* unless more are asked for */

static int failed(const hs_error *err) {
    fprintf(stderr, "hs_bench: %s\n", err->message);
    return 1;
}

static int compare_file(const char *path, const float *eps, size_t count, double *error,
                        double *rms) {
    float *expected = malloc(count * sizeof *expected);
    FILE *file = fopen(path, "rb");
    int status = 1;
    if (expected && file && fread(expected, sizeof *expected, count, file) == count) {
        *error = bench_error(eps, expected, count);
        *rms = bench_rms_error(eps, expected, count);
        status = 0;
    } else {
        fprintf(stderr, "hs_bench: %s: cannot read %zu values\n", path, count);
    }
    if (file)
        fclose(file);
    free(expected);
    return status;
}

static int write_file(const char *path, const float *eps, size_t count) {
    FILE *file = fopen(path, "wb");
    size_t written = file ? fwrite(eps, sizeof *eps, count, file) : 0;
    if (!file || fclose(file) || written != count) {
        fprintf(stderr, "hs_bench: %s: cannot write\n", path);
        return 1;
    }
    return 0;
}

static int compare_reference(hs_model *model, int n, const float *x, const int *t, const float *eps,
                             size_t count, double *error, double *rms) {
    hs_error err;
    hs_denoiser *denoiser = NULL;
    hs_denoiser_options options = hs_denoiser_options_default();
    options.backend = HS_BACKEND_REF;
    float *expected = malloc(count * sizeof *expected);
    if (!expected || hs_denoiser_create(model, &options, &denoiser, &err) != HS_OK ||
        hs_denoiser_eps(denoiser, n, x, t, NULL, expected, NULL, &err) != HS_OK) {
        hs_denoiser_free(denoiser);
        free(expected);
        return failed(&err);
    }
    *error = bench_error(eps, expected, count);
    *rms = bench_rms_error(eps, expected, count);
    hs_denoiser_free(denoiser);
    free(expected);
    return 0;
}

/* Of all passes, the first one too. */
static void print_profile(const hs_denoiser *denoiser, int passes) {
    const hs_profile_row *rows = NULL;
    int count = hs_denoiser_profile(denoiser, &rows);
    for (int i = 0; i < count; i++)
        if (rows[i].runs)
            printf("%10.3f ms %6lld steps %8.1f GFLOP/s  %s\n", 1e3 * rows[i].seconds / passes,
                   (long long)rows[i].runs / passes, 1e-9 * rows[i].flops / rows[i].seconds,
                   rows[i].kind);
}

int bench_pass(const bench_pass_options *o) {
    hs_error err;
    hs_model *model;
    hs_denoiser *denoiser;
    hs_model_info info;
    double start = bench_seconds();
    if (hs_model_open(o->model, NULL, &model, &err) != HS_OK)
        return failed(&err);
    hs_model_get_info(model, &info);
    hs_denoiser_options options = hs_denoiser_options_default();
    options.threads = o->threads;
    options.profile = o->profile;
    options.precision = o->fast ? HS_PRECISION_FAST : HS_PRECISION_F32;
    int64_t bytes;
    if (hs_denoiser_create(model, &options, &denoiser, &err) != HS_OK ||
        hs_denoiser_bytes(denoiser, o->n, &bytes, &err) != HS_OK)
        return failed(&err);
    double load = bench_seconds() - start;
    size_t count = (size_t)o->n * (size_t)(info.image[0] * info.image[1] * info.image[2]);
    float *x = malloc(count * sizeof *x), *eps = malloc(count * sizeof *eps);
    int *t = malloc((size_t)o->n * sizeof *t);
    int passes = 0, most = o->repeats > MOST_REPEATS ? o->repeats : MOST_REPEATS;
    double *seconds = malloc((size_t)most * sizeof *seconds);
    double *cpu = malloc((size_t)most * sizeof *cpu);
    if (!x || !eps || !t || !seconds || !cpu)
        return fputs("hs_bench: out of memory\n", stderr), 1;
    bench_fill(x, count);
    for (int i = 0; i < o->n; i++)
        t[i] = TIMESTEP;
    double end = 0; /* short passes go on for a second: the first hundredths are no measure */
    for (int r = -1; r < o->repeats || (r < most && bench_seconds() < end); r++) {
        start = bench_seconds();
        double cpu_start = bench_cpu_seconds();
        if (hs_denoiser_eps(denoiser, o->n, x, t, NULL, eps, NULL, &err) != HS_OK)
            return failed(&err);
        if (r < 0) { /* it touches the memory */
            end = bench_seconds() + 1;
            continue;
        }
        seconds[passes] = bench_seconds() - start;
        cpu[passes++] = bench_cpu_seconds() - cpu_start;
    }
    qsort(seconds, (size_t)passes, sizeof *seconds, bench_compare);
    qsort(cpu, (size_t)passes, sizeof *cpu, bench_compare);
    double median = seconds[passes / 2];
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("median_ms=%.3f min_ms=%.3f cpu_ms=%.3f gflops=%.1f load_ms=%.0f rss_mb=%.0f",
           median * 1e3, seconds[0] * 1e3, cpu[passes / 2] * 1e3,
           2e-9 * (double)info.macs * o->n / median, load * 1e3, (double)usage.ru_maxrss / 1024);
    double error = 0, rms = 0;
    int status = 0;
    if (o->output)
        status = write_file(o->output, eps, count);
    if (status == 0 && o->expected)
        status = compare_file(o->expected, eps, count, &error, &rms);
    else if (status == 0 && o->reference)
        status = compare_reference(model, o->n, x, t, eps, count, &error, &rms);
    if (status == 0 && (o->expected || o->reference))
        printf(" error=%.2g rms=%.2g", error, rms);
    printf("\n");
    if (o->profile)
        print_profile(denoiser, passes + 1);
    free(seconds);
    free(cpu);
    free(t);
    free(eps);
    free(x);
    hs_denoiser_free(denoiser);
    hs_model_free(model);
    return status;
}
