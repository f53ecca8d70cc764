/* The parts of hs_bench. Each prints one line of key=value pairs. */
#ifndef HS_BENCH_H
#define HS_BENCH_H

#include "jacobian.h"

/* Multiply-adds from registers, and a triad from memory. */
int bench_peak(int threads, int repeats);

/* Time `repeats` passes of a batch of n; the input is bench_input's. */
typedef struct bench_pass_options {
    const char *model;
    int n, repeats, threads;
    const char *output;   /* write eps here, raw float32, or NULL */
    const char *expected; /* compare eps with this file, or NULL */
    bool reference;       /* compare eps with the reference back end instead */
    bool fast;            /* HS_PRECISION_FAST */
    bool profile;         /* print the time of each kind of step */
} bench_pass_options;
int bench_pass(const bench_pass_options *options);

/* The k leading singular triplets of d eps / d h at one point, and, unless
 * job_only, one more product and a forward pass of the up path. */
typedef struct bench_jacobian_options {
    const char *model;
    int k, threads;
    double tol;
    int method; /* hs_svd_method */
    bool job_only;
    bool count_power;     /* count the iterations of the authors' procedure instead */
    const char *expected; /* compare J v and J^T u with this file, or NULL */
} bench_jacobian_options;
int bench_jacobian(const bench_jacobian_options *options);

/* Iterations of the authors' procedure for k vectors at the Jacobian's point, each
 * one product of either kind, and the Lanczos steps that it took to count them. */
hs_status bench_power_iterations(hs_jacobian *j, size_t h, size_t image, int k, double tol,
                                 int *iterations, int *steps, hs_error *err);

/* Write a folder of random weights: google/ddpm-ema-celebahq-256's
 * architecture for images of `size`. */
int bench_random_model(const char *folder, int size);

/* Time our Winograd convolution beside oneDNN's direct one, on one thread. */
typedef struct bench_conv_options {
    int in_c, out_c, h, w;
    int repeats, tile;                                  /* turns; 6, 4, 2 or 1 */
    int block, panel_block, band_rows, splits, sharing; /* 0: as hs_winograd_make chooses */
    int factors;                                        /* hs_factors */
    int late;
    const char *isa; /* NULL: the best */
} bench_conv_options;
int bench_conv(const bench_conv_options *options);

/* Values in [-1, 1) that any language makes again: a linear congruence. */
void bench_fill(float *x, size_t count);
double bench_seconds(void); /* monotonic */
/* CPU time of all threads: with one thread, what a pass takes beside any load. */
double bench_cpu_seconds(void);
/* Largest difference relative to the largest expected value. */
double bench_error(const float *found, const float *expected, size_t count);
/* Likewise the rms of the difference over that of `expected`. */
double bench_rms_error(const float *found, const float *expected, size_t count);
int bench_compare(const void *a, const void *b); /* of doubles, for qsort */

#endif
