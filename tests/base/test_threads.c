/* The team: every task once, barriers that hold, thread counts put back. */
#include <omp.h>
#include <stdatomic.h>
#include <string.h>

#include "base/threads.h"
#include "support.h"

#define TASKS 1000
#define ROUNDS 200

typedef struct work {
    atomic_int taken[TASKS];
    atomic_int size, inner, early;
    atomic_int arrived;
} work;

static void take_tasks(void *ctx, hs_team *team, int rank) {
    work *w = ctx;
    atomic_store(&w->size, hs_team_size(team));
    atomic_store(&w->inner, omp_get_max_threads());
    for (int round = 0; round < ROUNDS; round++) {
        for (int task; (task = hs_team_next(team, TASKS)) >= 0;)
            atomic_fetch_add(&w->taken[task], 1);
        atomic_fetch_add(&w->arrived, 1);
        hs_team_barrier(team);
        /* Everybody arrived in this round before anybody left the barrier. */
        if (atomic_load(&w->arrived) < (round + 1) * hs_team_size(team))
            atomic_fetch_add(&w->early, 1);
        hs_team_barrier(team);
    }
}

static void test_every_task_once_a_round(void **state) {
    for (int threads = 1; threads <= 7; threads += 2) { /* more than there are CPUs, too */
        static work w;
        memset(&w, 0, sizeof w);
        hs_team_run(threads, take_tasks, &w);
        assert_int_equal(atomic_load(&w.size), threads);
        assert_int_equal(atomic_load(&w.inner), 1); /* a library's regions run alone */
        assert_int_equal(atomic_load(&w.early), 0);
        for (int i = 0; i < TASKS; i++)
            assert_int_equal(atomic_load(&w.taken[i]), ROUNDS);
    }
}

static void test_counts_are_restored(void **state) {
    int before = omp_get_max_threads();
    hs_threads_saved outer = hs_threads_push(3);
    assert_int_equal(omp_get_max_threads(), 3);
    hs_threads_saved inner = hs_threads_push(1);
    assert_int_equal(omp_get_max_threads(), 1);
    hs_threads_pop(inner);
    assert_int_equal(omp_get_max_threads(), 3);
    hs_threads_pop(outer);
    assert_int_equal(omp_get_max_threads(), before);
    static work w;
    hs_team_run(2, take_tasks, &w);
    assert_int_equal(omp_get_max_threads(), before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_task_once_a_round),
        cmocka_unit_test(test_counts_are_restored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
