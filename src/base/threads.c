/* See threads.h. */
#include "base/threads.h"

#include <cblas.h>
#include <omp.h>
#include <sched.h>
#include <unistd.h>

int hs_cpu_count(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return CPU_COUNT(&set);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int)online : 1;
}

hs_threads_saved hs_threads_push(int threads) {
    hs_threads_saved saved = {omp_get_max_threads(), openblas_get_num_threads()};
    if (threads <= 0)
        threads = hs_cpu_count();
    omp_set_num_threads(threads);
    openblas_set_num_threads(threads);
    return saved;
}

void hs_threads_pop(hs_threads_saved saved) {
    omp_set_num_threads(saved.omp);
    openblas_set_num_threads(saved.blas);
}
