/* See threads.h. Linux: the barrier sleeps on a futex. */
#include "base/threads.h"

#include <cblas.h>
#include <limits.h>
#include <linux/futex.h>
#include <omp.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define HS_SPIN_NANOSECONDS 50000

struct hs_team {
    _Alignas(64) atomic_int size;
    _Alignas(64) atomic_int next;        /* next task of this step */
    _Alignas(64) atomic_int waiting;     /* members at the barrier */
    _Alignas(64) atomic_uint generation; /* barriers passed: the futex word */
    atomic_int sleepers;
};

int hs_team_size(const hs_team *team) {
    return atomic_load_explicit(&team->size, memory_order_relaxed);
}

int hs_team_next(hs_team *team, int count) {
    int task = atomic_fetch_add_explicit(&team->next, 1, memory_order_relaxed);
    return task < count ? task : -1;
}

static void hs_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int64_t hs_nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/*
 * The last to arrive opens the barrier: it resets what the next step needs,
 * then changes `generation`, on which the others spin and then sleep. A member
 * counts itself among the sleepers before it looks at `generation` for the
 * last time, in the kernel, so a wake-up cannot be lost.
 */
void hs_team_barrier(hs_team *team) {
    int size = hs_team_size(team);
    if (size == 1) {
        atomic_store_explicit(&team->next, 0, memory_order_relaxed);
        return;
    }
    unsigned generation = atomic_load(&team->generation);
    if (atomic_fetch_add(&team->waiting, 1) + 1 == size) {
        atomic_store_explicit(&team->next, 0, memory_order_relaxed);
        atomic_store_explicit(&team->waiting, 0, memory_order_relaxed);
        atomic_store(&team->generation, generation + 1);
        if (atomic_load(&team->sleepers))
            syscall(SYS_futex, &team->generation, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
        return;
    }
    int64_t end = hs_nanoseconds() + HS_SPIN_NANOSECONDS;
    do {
        for (int i = 0; i < 32; i++) {
            if (atomic_load_explicit(&team->generation, memory_order_acquire) != generation)
                return;
            hs_pause();
        }
    } while (hs_nanoseconds() < end);
    atomic_fetch_add(&team->sleepers, 1);
    while (atomic_load(&team->generation) == generation)
        syscall(SYS_futex, &team->generation, FUTEX_WAIT_PRIVATE, generation, NULL, NULL, 0);
    atomic_fetch_sub(&team->sleepers, 1);
}

int hs_cpu_count(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return CPU_COUNT(&set);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int)online : 1;
}

void hs_team_run(int threads, hs_team_function *function, void *ctx) {
    hs_team team = {0};
    if (threads <= 0)
        threads = hs_cpu_count();
#pragma omp parallel num_threads(threads) default(none) shared(team) firstprivate(function, ctx)
    {
        /* OpenMP may give fewer threads than asked for. */
        atomic_store_explicit(&team.size, omp_get_num_threads(), memory_order_relaxed);
        omp_set_num_threads(1); /* of this implicit task: nested regions run alone */
        function(ctx, &team, omp_get_thread_num());
    }
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
