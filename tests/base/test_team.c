/*
 * The crew: every task once, steps in order, one that is held up delays nobody
 * else, any number of threads and lists, thread counts put back.
 */
#include <omp.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/team.h"
#include "support.h"

#define TASKS 100
#define STEPS 300

typedef struct work {
    atomic_int taken[STEPS]; /* tasks done in each step */
    atomic_int seen[TASKS];
    atomic_int disorder; /* tasks that began before the step before was done */
    atomic_int inner;
    int tasks;
} work;

static void count_tasks(void *ctx, int step, hs_team *team, int rank) {
    work *w = ctx;
    atomic_store(&w->inner, omp_get_max_threads());
    for (int task; (task = hs_team_next(team, w->tasks)) >= 0;) {
        if (step && atomic_load(&w->taken[step - 1]) != w->tasks)
            atomic_fetch_add(&w->disorder, 1);
        atomic_fetch_add(&w->seen[task], 1);
        atomic_fetch_add(&w->taken[step], 1);
    }
}

static hs_crew *crew_of(int threads) {
    hs_error err;
    hs_crew *crew;
    assert_ok(hs_crew_new(threads, &crew, &err));
    assert_int_equal(hs_crew_size(crew), threads);
    return crew;
}

static void test_every_task_once_and_in_order(void **state) {
    static work w;
    for (int threads = 1; threads <= 7; threads += 2) { /* more than there are CPUs, too */
        hs_crew *crew = crew_of(threads);
        for (int tasks = 1; tasks <= TASKS; tasks += 33)
            for (int lists = 0; lists < 3; lists++) {
                memset(&w, 0, sizeof w);
                w.tasks = tasks;
                hs_crew_run(crew, STEPS, count_tasks, &w);
                assert_int_equal(atomic_load(&w.disorder), 0);
                assert_int_equal(atomic_load(&w.inner), 1); /* a library's regions run alone */
                for (int i = 0; i < STEPS; i++)
                    assert_int_equal(atomic_load(&w.taken[i]), tasks);
                for (int i = 0; i < tasks; i++)
                    assert_int_equal(atomic_load(&w.seen[i]), STEPS);
            }
        hs_crew_free(crew);
    }
}

/* A member that takes one task, as the small ops do, and does not ask again;
 * every third step has nothing to do, and the one after says so by not asking. */
static void take_one_or_none(void *ctx, int step, hs_team *team, int rank) {
    work *w = ctx;
    if (step % 3 == 0)
        return;
    if (hs_team_next(team, step % 3 == 2 ? 0 : 1) >= 0)
        atomic_fetch_add(&w->taken[step], 1);
}

static void test_one_task_and_none(void **state) {
    static work w;
    for (int threads = 1; threads <= 4; threads++) {
        hs_crew *crew = crew_of(threads);
        memset(&w, 0, sizeof w);
        hs_crew_run(crew, STEPS, take_one_or_none, &w);
        hs_crew_run(crew, 0, take_one_or_none, &w); /* an empty list ends at once */
        for (int i = 0; i < STEPS; i++)
            assert_int_equal(atomic_load(&w.taken[i]), i % 3 == 1);
        hs_crew_free(crew);
    }
}

typedef struct held {
    atomic_int others_done; /* steps that others finished while it was held */
    atomic_bool in_step;
} held;

/* Whoever has rank 1 is off its CPU, in a step but without a task. */
static void hold_one_up(void *ctx, int step, hs_team *team, int rank) {
    held *h = ctx;
    if (rank == 1 && !atomic_exchange(&h->in_step, true))
        usleep(100000);
    while (hs_team_next(team, 4) >= 0)
        if (rank != 1 && atomic_load(&h->in_step))
            atomic_fetch_add(&h->others_done, 1);
    if (step == 0) /* until it is there */
        for (int i = 0; i < 1000 && !atomic_load(&h->in_step); i++)
            usleep(1000);
}

static void test_who_holds_no_task_delays_nobody(void **state) {
    hs_crew *crew = crew_of(2);
    held h = {0};
    hs_crew_run(crew, STEPS, hold_one_up, &h);
    assert_true(atomic_load(&h.in_step));
    /* It slept 0.1 s; all steps but the first went by meanwhile, and the list
     * ended only after it was outside. */
    assert_true(atomic_load(&h.others_done) >= 4 * (STEPS - 1));
    hs_crew_free(crew);
}

/* All are in the step, each takes a task, and goes on when all have one. */
typedef struct meeting {
    atomic_int here, have;
    int first[4]; /* the task that each rank got first */
    atomic_int seen;
} meeting;

static void meet(void *ctx, int step, hs_team *team, int rank) {
    meeting *m = ctx;
    atomic_fetch_add(&m->here, 1);
    while (atomic_load(&m->here) < 4)
        usleep(100);
    m->first[rank] = hs_team_next(team, 10);
    atomic_fetch_add(&m->seen, 1);
    atomic_fetch_add(&m->have, 1);
    while (atomic_load(&m->have) < 4)
        usleep(100);
    while (hs_team_next(team, 10) >= 0)
        atomic_fetch_add(&m->seen, 1);
}

static void test_own_share_first(void **state) {
    hs_crew *crew = crew_of(4);
    meeting m = {0};
    hs_crew_run(crew, 1, meet, &m);
    for (int rank = 0; rank < 4; rank++) /* where a fourth of 10 each begins, rounded up */
        assert_int_equal(m.first[rank], (10 * rank + 3) / 4);
    assert_int_equal(atomic_load(&m.seen), 10);
    hs_crew_free(crew);
}

static void test_sleepers_wake(void **state) {
    static work w;
    hs_crew *crew = crew_of(3);
    for (int i = 0; i < 30; i++) {
        usleep(2000); /* far longer than they spin */
        memset(&w, 0, sizeof w);
        w.tasks = 7;
        hs_crew_run(crew, 20, count_tasks, &w);
        assert_int_equal(atomic_load(&w.taken[19]), 7);
    }
    hs_crew_free(crew);
    hs_crew_free(NULL);
}

static void test_counts_are_restored(void **state) {
    static work w = {.tasks = 3};
    int before = omp_get_max_threads();
    omp_set_num_threads(3);
    hs_crew *crew = crew_of(2);
    hs_crew_run(crew, STEPS, count_tasks, &w);
    assert_int_equal(omp_get_max_threads(), 3);
    hs_crew_free(crew);
    omp_set_num_threads(before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_task_once_and_in_order),
        cmocka_unit_test(test_one_task_and_none),
        cmocka_unit_test(test_who_holds_no_task_delays_nobody),
        cmocka_unit_test(test_own_share_first),
        cmocka_unit_test(test_sleepers_wake),
        cmocka_unit_test(test_counts_are_restored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
