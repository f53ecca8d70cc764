/*
 * hs_bench: what bench/run calls.
 *
 *   hs_bench peak THREADS
 *   hs_bench pass MODEL N REPEATS THREADS [--fast] [--profile] [--output FILE]
 *                 [--expected FILE] [--reference]
 *   hs_bench jacobian MODEL K TOL THREADS [--method krylov|subspace|batched] [--job]
 *                     [--power] [--expected FILE]
 *   hs_bench random-model FOLDER SIZE
 *   hs_bench conv IN OUT H W [--isa NAME] [--tile 6|4|2|1] [--repeats N]
 *                 [--block N] [--panels N] [--rows N] [--splits N] [--sharing 1|-1]
 *                 [--factors 0|1|2] (float32, bf16, fixed) [--late 1] (U made of plain weights)
 */
#include "bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backends/kernels/winograd.h"

double bench_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

double bench_cpu_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void bench_fill(float *x, size_t count) {
    uint32_t state = 1;
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = (float)(state >> 8) / 8388608.0f - 1.0f;
    }
}

double bench_error(const float *found, const float *expected, size_t count) {
    double worst = 0, largest = 0;
    for (size_t i = 0; i < count; i++) {
        worst = fmax(worst, fabs((double)found[i] - (double)expected[i]));
        largest = fmax(largest, fabs((double)expected[i]));
    }
    return worst / largest;
}

double bench_rms_error(const float *found, const float *expected, size_t count) {
    double difference = 0, square = 0;
    for (size_t i = 0; i < count; i++) {
        double e = (double)found[i] - (double)expected[i];
        difference += e * e;
        square += (double)expected[i] * (double)expected[i];
    }
    return sqrt(difference / square);
}

int bench_compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int usage(void) {
    fputs("usage: hs_bench peak THREADS\n"
          "       hs_bench pass MODEL N REPEATS THREADS [--output FILE] [--expected FILE] "
          "[--reference] [--fast] [--profile]\n"
          "       hs_bench jacobian MODEL K TOL THREADS [--method krylov|subspace|batched] "
          "[--job] [--power] [--expected FILE]\n"
          "       hs_bench random-model FOLDER SIZE\n"
          "       hs_bench conv IN OUT H W [--isa NAME] [--tile 6|4|2|1] [--repeats N] [--block N] "
          "[--panels N] [--rows N] [--splits N] [--sharing 1|-1] [--factors 0|1|2] [--late 1]\n",
          stderr);
    return 2;
}

static int run_pass(int argc, char **argv) {
    bench_pass_options options = {argv[0], atoi(argv[1]), atoi(argv[2]), atoi(argv[3])};
    for (int i = 4; i < argc; i++) {
        if (!strcmp(argv[i], "--fast"))
            options.fast = true;
        else if (!strcmp(argv[i], "--reference"))
            options.reference = true;
        else if (!strcmp(argv[i], "--profile"))
            options.profile = true;
        else if (!strcmp(argv[i], "--output") && i + 1 < argc)
            options.output = argv[++i];
        else if (!strcmp(argv[i], "--expected") && i + 1 < argc)
            options.expected = argv[++i];
        else
            return usage();
    }
    if (options.n < 1 || options.repeats < 1)
        return usage();
    return bench_pass(&options);
}

static int run_jacobian(int argc, char **argv) {
    bench_jacobian_options options = {argv[0], atoi(argv[1]), atoi(argv[3]), atof(argv[2])};
    for (int i = 4; i < argc; i++) {
        if (!strcmp(argv[i], "--job"))
            options.job_only = true;
        else if (!strcmp(argv[i], "--power"))
            options.count_power = true;
        else if (!strcmp(argv[i], "--expected") && i + 1 < argc)
            options.expected = argv[++i];
        else if (!strcmp(argv[i], "--method") && i + 1 < argc)
            options.method = !strcmp(argv[i + 1], "subspace")  ? 1
                             : !strcmp(argv[i + 1], "batched") ? 2
                                                               : 0,
            i++;
        else
            return usage();
    }
    return bench_jacobian(&options);
}

static int run_conv(int argc, char **argv) {
    bench_conv_options o = {atoi(argv[0]), atoi(argv[1]), atoi(argv[2]), atoi(argv[3]), 7, 4};
    const struct {
        const char *name;
        int *value;
    } numbers[] = {{"--tile", &o.tile},          {"--repeats", &o.repeats}, {"--block", &o.block},
                   {"--panels", &o.panel_block}, {"--rows", &o.band_rows},  {"--splits", &o.splits},
                   {"--sharing", &o.sharing},    {"--factors", &o.factors}, {"--late", &o.late}};
    for (int i = 4; i + 1 < argc; i += 2) {
        size_t n = 0;
        while (n < sizeof numbers / sizeof *numbers && strcmp(argv[i], numbers[n].name))
            n++;
        if (!strcmp(argv[i], "--isa"))
            o.isa = argv[i + 1];
        else if (n < sizeof numbers / sizeof *numbers)
            *numbers[n].value = atoi(argv[i + 1]);
        else
            return usage();
    }
    if (argc % 2 || o.in_c < 1 || o.out_c < 1 || o.h < 1 || o.w < 1 || o.repeats < 1 ||
        (o.tile != 1 && o.tile != 2 && o.tile != 4 && o.tile != 6) || o.factors < 0 ||
        o.factors > HS_FACTORS_FIXED || (o.tile == 1 && o.factors != HS_FACTORS_BF16) ||
        (o.late && (o.tile != 4 || o.factors)))
        return usage();
    return bench_conv(&o);
}

int main(int argc, char **argv) {
    if (argc == 3 && !strcmp(argv[1], "peak"))
        return bench_peak(atoi(argv[2]), 7);
    if (argc >= 6 && !strcmp(argv[1], "pass"))
        return run_pass(argc - 2, argv + 2);
    if (argc >= 6 && !strcmp(argv[1], "jacobian"))
        return run_jacobian(argc - 2, argv + 2);
    if (argc >= 6 && !strcmp(argv[1], "conv"))
        return run_conv(argc - 2, argv + 2);
    if (argc == 4 && !strcmp(argv[1], "random-model"))
        return bench_random_model(argv[2], atoi(argv[3]));
    return usage();
}
