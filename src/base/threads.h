/*
 * Thread counts: the only place that touches those of OpenMP and OpenBLAS. Our
 * own threads are a crew (base/team.h).
 */
#ifndef HS_BASE_THREADS_H
#define HS_BASE_THREADS_H

#include "hspace.h"

/*
 * Make `threads` (0: all CPUs) the number of threads that OpenMP and OpenBLAS
 * use until the matching hs_threads_pop, which restores what was before.
 * Primitives are made under push(1), because they run inside a crew; dense
 * linear algebra runs under push(threads), outside of any crew.
 */
typedef struct hs_threads_saved {
    int omp, blas;
} hs_threads_saved;
hs_threads_saved hs_threads_push(int threads);
void hs_threads_pop(hs_threads_saved saved);

#endif
