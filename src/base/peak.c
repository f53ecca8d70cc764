/* What the CPU can do at most, measured now: float32 multiply-adds on
 * independent registers. */
#include <time.h>

#include "base/team.h"

#define HS_ROUNDS 1600000L /* about 5 ms */
#define HS_TRIES 12

#if defined(__x86_64__)
/* Ten independent chains hide the latency of two ports; assembly, so that no
 * compiler removes them. Zeros, so that no number is slow. */
#define HS_ZERO(i) "vxorps %%xmm" #i ", %%xmm" #i ", %%xmm" #i "\n"
#define HS_CHAIN(kind, i) "vfmadd213ps %%" kind "10, %%" kind "11, %%" kind #i "\n"
#define HS_LOOP(kind)                                                                              \
    HS_ZERO(0)                                                                                     \
    HS_ZERO(1)                                                                                     \
    HS_ZERO(2)                                                                                     \
    HS_ZERO(3)                                                                                     \
    HS_ZERO(4)                                                                                     \
    HS_ZERO(5)                                                                                     \
    HS_ZERO(6)                                                                                     \
    HS_ZERO(7) HS_ZERO(8) HS_ZERO(9) HS_ZERO(10) HS_ZERO(11) "1:\n" HS_CHAIN(kind, 0)              \
        HS_CHAIN(kind, 1) HS_CHAIN(kind, 2) HS_CHAIN(kind, 3) HS_CHAIN(kind, 4) HS_CHAIN(kind, 5)  \
            HS_CHAIN(kind, 6) HS_CHAIN(kind, 7) HS_CHAIN(kind, 8)                                  \
                HS_CHAIN(kind, 9) "dec %0\n jnz 1b\n"
#define HS_CLOBBERS                                                                                \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",       \
        "xmm11", "cc"

static int hs_flops_per_round(void) {
    return 2 * 10 * (__builtin_cpu_supports("avx512f") ? 16 : 8);
}

static void hs_multiply_add(void) {
    long rounds = HS_ROUNDS;
    if (__builtin_cpu_supports("avx512f"))
        __asm__ volatile(HS_LOOP("zmm") : "+r"(rounds) : : HS_CLOBBERS);
    else
        __asm__ volatile(HS_LOOP("ymm") : "+r"(rounds) : : HS_CLOBBERS);
}
#else
typedef float v4 __attribute__((vector_size(16)));

static int hs_flops_per_round(void) {
    return 2 * 8 * 4;
}

static void hs_multiply_add(void) {
    v4 x[8] = {{0}}, a = {1, 1, 1, 1}, b = {0};
    for (int i = 0; i < HS_ROUNDS; i++)
        for (int j = 0; j < 8; j++) {
            x[j] = x[j] * a + b;
            __asm__ volatile("" : "+w"(x[j]));
        }
}
#endif

static double hs_peak_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* As many tasks as threads, each too long for one thread to take two. */
static void hs_peak_step(void *ctx, int step, hs_team *team, int rank) {
    const int *threads = ctx;
    while (hs_team_next(team, *threads) >= 0)
        hs_multiply_add();
}

double hs_machine_peak(int threads) {
    double best = 0;
    hs_crew *crew;
    if (threads < 1)
        threads = hs_cpu_count();
    if (hs_crew_new(threads, &crew, NULL) != HS_OK)
        return 0;
    for (int i = 0; i < HS_TRIES; i++) {
        double start = hs_peak_seconds();
        hs_crew_run(crew, 1, hs_peak_step, &threads);
        double rate =
            (double)threads * HS_ROUNDS * hs_flops_per_round() / (hs_peak_seconds() - start);
        best = rate > best ? rate : best;
    }
    hs_crew_free(crew);
    return best;
}
