/*
 * Threads: the only place that touches thread counts.
 *
 * A U-Net pass is one parallel region: every member of the team walks the same
 * list of steps and meets the others at hs_team_barrier, which spins for at
 * most 50 microseconds and then sleeps, so that a busy neighbour costs a pass
 * its share of the CPU and not a hundredfold (OpenMP's own barriers spin for
 * milliseconds). Work is cut into tasks by its shape alone and never by the
 * size of the team, so results do not depend on the number of threads.
 */
#ifndef HS_BASE_THREADS_H
#define HS_BASE_THREADS_H

#include "base/error.h"

typedef struct hs_team hs_team;

/* What each member runs: `rank` in 0 ... size-1. */
typedef void hs_team_function(void *ctx, hs_team *team, int rank);

int hs_team_size(const hs_team *team);
void hs_team_barrier(hs_team *team);

/*
 * Hand out tasks: the next number in [0, count) of the current step, or -1
 * when none is left. Which member gets which task varies; what a task computes
 * must not. Every member must have got -1, and all have met at a barrier,
 * before the next step's tasks are asked for.
 */
int hs_team_next(hs_team *team, int count);

/* Run `function` on `threads` members (0: all CPUs of the process) and return
 * when all are done. Inside, OpenMP's own regions (a library's) run alone. */
void hs_team_run(int threads, hs_team_function *function, void *ctx);

/*
 * Make `threads` the number of threads that OpenMP and OpenBLAS use until the
 * matching hs_threads_pop, which restores what was before. Primitives are made
 * under push(1), because they run inside a team; dense linear algebra runs
 * under push(threads), outside of any team.
 */
typedef struct hs_threads_saved {
    int omp, blas;
} hs_threads_saved;
hs_threads_saved hs_threads_push(int threads);
void hs_threads_pop(hs_threads_saved saved);

#endif
