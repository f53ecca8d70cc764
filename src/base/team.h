/*
 * A crew of threads that walks a list of steps together, each cut into tasks.
 *
 * A U-Net pass is one such list: some 200 steps of a few microseconds to
 * milliseconds each. A step is over when its *tasks* are done, not when all
 * threads have arrived somewhere: a thread that another process keeps off its
 * CPU delays the others only while it holds a task, and whoever runs goes on
 * to the next step meanwhile. Who waits spins for at most 50 microseconds and
 * then sleeps. So a busy neighbour costs a pass its share of the CPU and not a
 * hundredfold, as barriers that spin for milliseconds do.
 *
 * Each member has a share of the tasks of a step, a range of them, the same range for the same
 * count, and takes those of others only when it is through with its own: where cores have
 * caches of their own a member finds there what it wrote in the step before, if tasks follow
 * each other as what they work on does.
 *
 * Results must not depend on the number of threads: no sum is split otherwise for
 * another one.
 */
#ifndef HS_BASE_TEAM_H
#define HS_BASE_TEAM_H

#include "base/error.h"

typedef struct hs_crew hs_crew; /* the threads; they sleep between two lists */
typedef struct hs_team hs_team; /* what one of them sees of the list being walked */

/*
 * `threads` threads (at least 1), the caller of hs_crew_run being one of them.
 * HS_ERROR_MEMORY: no memory, or the system starts no more threads. They take
 * no signals. hs_crew_free (NULL is fine) ends them.
 */
hs_status hs_crew_new(int threads, hs_crew **out, hs_error *err);
void hs_crew_free(hs_crew *crew);
int hs_crew_size(const hs_crew *crew);

/*
 * What a member does of step number `step`; `rank` in 0 ... size-1 is its own,
 * the caller's 0. It must ask hs_team_next for tasks until that answers -1,
 * with the same `count` in every member (one that never asks says that there
 * are none); a member may come to a step late or
 * never, may find no task left, and then what the step reads and writes may
 * have changed already: outside of its tasks it only looks up where things are.
 */
typedef void hs_team_function(void *ctx, int step, hs_team *team, int rank);

/* The next task in [0, count) of this step, or -1 when none is left. That answer, or leaving the
 * step, says that the tasks got before are done. */
int hs_team_next(hs_team *team, int count);

/*
 * Walk steps 0 ... steps-1 and return when all are done and no member is inside
 * `function`. Each step begins after the one before is done and sees what it
 * wrote. One call at a time for a crew. Inside, OpenMP's own regions (a
 * library's) run alone.
 */
void hs_crew_run(hs_crew *crew, int steps, hs_team_function *function, void *ctx);

#endif
