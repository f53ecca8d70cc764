/* What this machine can do at most, measured now: float32 multiply-adds
 * (base/peak.c), and bytes of a triad over arrays larger than caches. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/team.h"

#define TRIAD (1 << 25) /* floats: 128 MB an array */

typedef struct triad {
    int threads; /* as many tasks, each too long for one thread to take two */
    float *a, *b, *c;
} triad;

static void run_triad(void *ctx, int step, hs_team *team, int rank) {
    const triad *t = ctx;
    size_t share = TRIAD / (size_t)t->threads;
    for (int task; (task = hs_team_next(team, t->threads)) >= 0;)
        for (size_t i = (size_t)task * share; i < ((size_t)task + 1) * share; i++)
            t->a[i] = t->b[i] + 3.0f * t->c[i];
}

int bench_peak(int threads, int repeats) {
    hs_error err;
    hs_crew *crew;
    triad t = {threads < 1 ? hs_cpu_count() : threads, calloc(TRIAD, 4), calloc(TRIAD, 4),
               calloc(TRIAD, 4)};
    int status = 1;
    if (!t.a || !t.b || !t.c)
        fprintf(stderr, "peak: no memory\n");
    else if (hs_crew_new(t.threads, &crew, &err) != HS_OK)
        fprintf(stderr, "%s\n", err.message);
    else {
        double bytes = 0;
        for (int r = 0; r < repeats; r++) {
            double start = bench_seconds();
            hs_crew_run(crew, 1, run_triad, &t);
            double rate = 12.0 * TRIAD / (bench_seconds() - start);
            bytes = rate > bytes ? rate : bytes;
        }
        printf("threads=%d gflops=%.1f gbytes=%.1f\n", t.threads, hs_machine_peak(t.threads) / 1e9,
               bytes / 1e9);
        hs_crew_free(crew);
        status = 0;
    }
    free(t.a);
    free(t.b);
    free(t.c);
    return status;
}
