/* What this machine can do at most, measured now: float32 multiply-adds on
 * independent registers, and bytes of a triad over arrays larger than caches. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/threads.h"

#define ROUNDS 20000000L
#define TRIAD (1 << 25) /* floats: 128 MB an array */

#if defined(__x86_64__)
/* Ten independent chains hide the latency of two ports; assembly, so that no
 * compiler removes them. Zeros, so that no number is slow. */
#define ZERO(i) "vxorps %%xmm" #i ", %%xmm" #i ", %%xmm" #i "\n"
#define CHAIN(kind, i) "vfmadd213ps %%" kind "10, %%" kind "11, %%" kind #i "\n"
#define LOOP(kind)                                                                                 \
    ZERO(0)                                                                                        \
    ZERO(1)                                                                                        \
    ZERO(2)                                                                                        \
    ZERO(3)                                                                                        \
    ZERO(4)                                                                                        \
    ZERO(5) ZERO(6) ZERO(7) ZERO(8) ZERO(9) ZERO(10) ZERO(11) "1:\n" CHAIN(kind, 0) CHAIN(kind, 1) \
        CHAIN(kind, 2) CHAIN(kind, 3) CHAIN(kind, 4) CHAIN(kind, 5) CHAIN(kind, 6) CHAIN(kind, 7)  \
            CHAIN(kind, 8) CHAIN(kind, 9) "dec %0\n jnz 1b\n"
#define CLOBBERS                                                                                   \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",       \
        "xmm11", "cc"

static int flops_per_round(void) {
    return 2 * 10 * (__builtin_cpu_supports("avx512f") ? 16 : 8);
}

static void multiply_add(void *ctx, hs_team *team, int rank) {
    long rounds = ROUNDS;
    if (__builtin_cpu_supports("avx512f"))
        __asm__ volatile(LOOP("zmm") : "+r"(rounds) : : CLOBBERS);
    else
        __asm__ volatile(LOOP("ymm") : "+r"(rounds) : : CLOBBERS);
}
#else
typedef float v4 __attribute__((vector_size(16)));

static int flops_per_round(void) {
    return 2 * 8 * 4;
}

static void multiply_add(void *ctx, hs_team *team, int rank) {
    v4 x[8] = {{0}}, a = {1, 1, 1, 1}, b = {0};
    for (int i = 0; i < ROUNDS; i++)
        for (int j = 0; j < 8; j++) {
            x[j] = x[j] * a + b;
            __asm__ volatile("" : "+w"(x[j]));
        }
}
#endif

typedef struct triad {
    float *a, *b, *c;
} triad;

static void run_triad(void *ctx, hs_team *team, int rank) {
    triad *t = ctx;
    size_t size = (size_t)hs_team_size(team), share = TRIAD / size;
    for (size_t i = (size_t)rank * share; i < ((size_t)rank + 1) * share; i++)
        t->a[i] = t->b[i] + 3.0f * t->c[i];
}

void bench_peak(int threads, int repeats) {
    double flops = 0, bytes = 0;
    if (threads < 1)
        threads = hs_cpu_count();
    for (int r = 0; r < repeats; r++) {
        double start = bench_seconds();
        hs_team_run(threads, multiply_add, NULL);
        double rate = (double)threads * ROUNDS * flops_per_round() / (bench_seconds() - start);
        flops = rate > flops ? rate : flops;
    }
    triad t = {calloc(TRIAD, 4), calloc(TRIAD, 4), calloc(TRIAD, 4)};
    for (int r = 0; r < repeats && t.a && t.b && t.c; r++) {
        double start = bench_seconds();
        hs_team_run(threads, run_triad, &t);
        double rate = 12.0 * TRIAD / (bench_seconds() - start);
        bytes = rate > bytes ? rate : bytes;
    }
    printf("threads=%d gflops=%.1f gbytes=%.1f\n", threads, flops / 1e9, bytes / 1e9);
    free(t.a);
    free(t.b);
    free(t.c);
}
