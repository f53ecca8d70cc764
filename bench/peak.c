/* What this machine can do at most, measured now: float32 multiply-adds on
 * independent registers, and bytes of a triad over arrays larger than caches. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/team.h"

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
    ZERO(5)                                                                                        \
    ZERO(6) ZERO(7) ZERO(8) ZERO(9) ZERO(10) ZERO(11) "1:\n" CHAIN(kind, 0) CHAIN(kind, 1)         \
        CHAIN(kind, 2) CHAIN(kind, 3) CHAIN(kind, 4) CHAIN(kind, 5) CHAIN(kind, 6) CHAIN(kind, 7)  \
            CHAIN(kind, 8) CHAIN(kind, 9) "dec %0\n jnz 1b\n"
#define CLOBBERS                                                                                   \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",       \
        "xmm11", "cc"

static int flops_per_round(void) {
    return 2 * 10 * (__builtin_cpu_supports("avx512f") ? 16 : 8);
}

static void multiply_add(void) {
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

static void multiply_add(void) {
    v4 x[8] = {{0}}, a = {1, 1, 1, 1}, b = {0};
    for (int i = 0; i < ROUNDS; i++)
        for (int j = 0; j < 8; j++) {
            x[j] = x[j] * a + b;
            __asm__ volatile("" : "+w"(x[j]));
        }
}
#endif

typedef struct work {
    int threads; /* as many tasks, each too long for one thread to take two */
    float *a, *b, *c;
} work;

static void run_multiply_add(void *ctx, int step, hs_team *team, int rank) {
    const work *w = ctx;
    while (hs_team_next(team, w->threads) >= 0)
        multiply_add();
}

static void run_triad(void *ctx, int step, hs_team *team, int rank) {
    const work *w = ctx;
    size_t share = TRIAD / (size_t)w->threads;
    for (int task; (task = hs_team_next(team, w->threads)) >= 0;)
        for (size_t i = (size_t)task * share; i < ((size_t)task + 1) * share; i++)
            w->a[i] = w->b[i] + 3.0f * w->c[i];
}

/* The best rate of `repeats` runs, `amount` a second. */
static double best_rate(hs_crew *crew, int repeats, hs_team_function *function, work *w,
                        double amount) {
    double best = 0;
    for (int r = 0; r < repeats; r++) {
        double start = bench_seconds();
        hs_crew_run(crew, 1, function, w);
        double rate = amount / (bench_seconds() - start);
        best = rate > best ? rate : best;
    }
    return best;
}

int bench_peak(int threads, int repeats) {
    hs_error err;
    hs_crew *crew;
    work w = {threads < 1 ? hs_cpu_count() : threads, calloc(TRIAD, 4), calloc(TRIAD, 4),
              calloc(TRIAD, 4)};
    int status = 1;
    if (!w.a || !w.b || !w.c)
        fprintf(stderr, "peak: no memory\n");
    else if (hs_crew_new(w.threads, &crew, &err) != HS_OK)
        fprintf(stderr, "%s\n", err.message);
    else {
        double flops = best_rate(crew, repeats, run_multiply_add, &w,
                                 (double)w.threads * ROUNDS * flops_per_round());
        double bytes = best_rate(crew, repeats, run_triad, &w, 12.0 * TRIAD);
        printf("threads=%d gflops=%.1f gbytes=%.1f\n", w.threads, flops / 1e9, bytes / 1e9);
        hs_crew_free(crew);
        status = 0;
    }
    free(w.a);
    free(w.b);
    free(w.c);
    return status;
}
