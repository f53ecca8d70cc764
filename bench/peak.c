/* What this machine can do at most, measured now: float32 multiply-adds
 * (base/peak.c), and bytes of a triad over arrays larger than caches. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/threads.h"

#define TRIAD (1 << 25) /* floats: 128 MB an array */

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
    double flops = hs_machine_peak(threads), bytes = 0;
    if (threads < 1)
        threads = hs_cpu_count();
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
