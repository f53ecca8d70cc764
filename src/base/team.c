/*
 * See team.h. The state of a walk is one 64-bit word, `claims`:
 *
 *      63           32 31            0
 *     +---------------+---------------+
 *     | epoch         | opened        |      opened == HS_IDLE: no list is walked
 *     +---------------+---------------+
 *
 * Every step of every list has an epoch of its own. The tasks of a step fall into equal ranges,
 * a share for each member, and each has a word `taken` of how many of its share are taken:
 *
 *     | epoch         | tasks taken   |      an older epoch: none of this step's yet
 *
 * A task is taken by raising it; first of one's own share, then of the others'. Who finishes
 * the last one of `count` opens the next epoch. That cannot have happened while a word
 * has an older epoch and its share a task, so a member that comes back from wherever it was
 * finds newer epochs only, and gets no task.
 *
 * The list itself (function, ctx, steps) must not change while a member reads
 * it. A member sets its flag `inside` and *then* looks at `claims` again; the
 * caller sees the list end and *then* looks at the flags, and waits for those
 * that are set. One of the two sees the other (both are sequentially
 * consistent), so a member inside always reads the list that is being walked.
 *
 * Linux: sleeping is a futex, on the half of `claims` that is the epoch.
 */
#include "base/team.h"

#include <limits.h>
#include <linux/futex.h>
#include <omp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

#define HS_SPIN_NANOSECONDS 50000
#define HS_IDLE UINT32_MAX

enum {
    HS_OUTSIDE,
    HS_INSIDE,
    HS_AWAITED
}; /* of a member: AWAITED is INSIDE, and the caller sleeps */

struct hs_team {
    _Alignas(HS_ALIGN) atomic_uint inside;
    hs_crew *crew;
    int rank;
    uint32_t epoch; /* of the step that the member is in */
    int count;      /* tasks of the step */
    int held;       /* of these it has taken, but not said that they are done */
    bool asked;     /* for a task of this step */
    pthread_t thread;
    _Alignas(HS_ALIGN) _Atomic uint64_t taken; /* of its share, by anyone */
};

struct hs_crew {
    _Alignas(HS_ALIGN) _Atomic uint64_t claims;
    _Alignas(HS_ALIGN) atomic_int done; /* tasks of this epoch */
    _Alignas(HS_ALIGN) atomic_int sleepers;
    atomic_bool stop;
    hs_team_function *function;
    void *ctx;
    uint32_t first, last; /* epochs of the list's steps */
    int size, started;    /* members; threads among them that run */
    hs_team *members;     /* [size] */
};

static uint64_t hs_claims(uint32_t epoch, uint32_t next) {
    return (uint64_t)epoch << 32 | next;
}

static uint32_t hs_epoch_of(uint64_t claims) {
    return (uint32_t)(claims >> 32);
}

static bool hs_is_idle(uint64_t claims) {
    return (uint32_t)claims == HS_IDLE;
}

/* ------------------------------------------------------------- waiting -- */

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

static void hs_futex_wait(atomic_uint *word, uint32_t value) {
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void hs_futex_wake(atomic_uint *word) {
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static atomic_uint *hs_epoch_word(hs_crew *crew) {
    return (atomic_uint *)&crew->claims + (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
}

/* Return when the epoch is another than `epoch`. A member counts itself among
 * the sleepers before the kernel looks at the word for the last time, and the
 * word changes before the sleepers are looked at: no wake-up is lost. */
static void hs_await_epoch(hs_crew *crew, uint32_t epoch) {
    int64_t end = 0;
    do {
        for (int i = 0; i < 32; i++) {
            if (hs_epoch_of(atomic_load_explicit(&crew->claims, memory_order_acquire)) != epoch)
                return;
            hs_pause();
        }
        int64_t now = hs_nanoseconds();
        end = end ? end : now + HS_SPIN_NANOSECONDS;
        if (now >= end)
            break;
    } while (true);
    atomic_fetch_add(&crew->sleepers, 1);
    while (hs_epoch_of(atomic_load(&crew->claims)) == epoch)
        hs_futex_wait(hs_epoch_word(crew), epoch);
    atomic_fetch_sub(&crew->sleepers, 1);
}

static void hs_open_epoch(hs_crew *crew, uint32_t epoch, uint32_t next) {
    atomic_store_explicit(&crew->done, 0, memory_order_relaxed);
    atomic_store(&crew->claims, hs_claims(epoch, next));
    if (atomic_load(&crew->sleepers))
        hs_futex_wake(hs_epoch_word(crew));
}

/* ------------------------------------------------------------- walking -- */

static void hs_open_next(hs_crew *crew, uint32_t epoch) {
    hs_open_epoch(crew, epoch + 1, epoch == crew->last ? HS_IDLE : 0);
}

/* What the member holds is done. */
static void hs_team_put_down(hs_team *team) {
    int held = team->held;
    team->held = 0;
    if (held && atomic_fetch_add_explicit(&team->crew->done, held, memory_order_acq_rel) + held ==
                    team->count)
        hs_open_next(team->crew, team->epoch);
}

/* The first task of a member's share; ranks come first where tasks are few. */
static int hs_share_begin(int size, int rank, int count) {
    return (int)(((int64_t)rank * count + size - 1) / size);
}

/* A task of the share of member `owner`, or -1: none is left. */
static int hs_team_take(const hs_team *team, int owner) {
    hs_crew *crew = team->crew;
    _Atomic uint64_t *taken = &crew->members[owner].taken;
    int begin = hs_share_begin(crew->size, owner, team->count);
    int end = hs_share_begin(crew->size, owner + 1, team->count), next;
    uint64_t word = atomic_load_explicit(taken, memory_order_acquire);
    do {
        int32_t age = (int32_t)(team->epoch - hs_epoch_of(word));
        next = begin + (age ? 0 : (int)(uint32_t)word);
        if (age < 0 || next >= end)
            return -1;
    } while (!atomic_compare_exchange_weak_explicit(
        taken, &word, hs_claims(team->epoch, (uint32_t)(next - begin) + 1), memory_order_acq_rel,
        memory_order_acquire));
    return next;
}

int hs_team_next(hs_team *team, int count) {
    hs_crew *crew = team->crew;
    team->asked = true;
    team->count = count;
    uint64_t claims = hs_claims(team->epoch, 0);
    if (count <= 0) { /* nothing to do: one member opens the next step */
        if (atomic_compare_exchange_strong(&crew->claims, &claims, claims + 1))
            hs_open_next(crew, team->epoch);
        return -1;
    }
    for (int i = 0, owner = team->rank; i < crew->size; i++) {
        int task = hs_team_take(team, owner);
        if (task >= 0) {
            team->held++;
            return task;
        }
        owner = owner + 1 < crew->size ? owner + 1 : 0;
    }
    hs_team_put_down(team);
    return -1;
}

/* The member's share of the step whose epoch is `team->epoch`. */
static void hs_team_do(hs_team *team) {
    hs_crew *crew = team->crew;
    team->asked = false;
    crew->function(crew->ctx, (int)(team->epoch - crew->first), team, team->rank);
    if (!team->asked)
        hs_team_next(team, 0);
    hs_team_put_down(team);
}

/* Take part in every step that there is, and sleep between lists; the caller of
 * hs_crew_run leaves at the end of its list. */
static void hs_team_walk(hs_team *team, bool until_idle) {
    hs_crew *crew = team->crew;
    uint32_t tried = 0;
    bool any = false;
    while (!atomic_load_explicit(&crew->stop, memory_order_acquire)) {
        uint64_t claims = atomic_load_explicit(&crew->claims, memory_order_acquire);
        if (hs_is_idle(claims) && until_idle)
            return;
        if (hs_is_idle(claims) || (any && hs_epoch_of(claims) == tried)) {
            hs_await_epoch(crew, hs_epoch_of(claims));
            continue;
        }
        atomic_store(&team->inside, HS_INSIDE);
        claims = atomic_load(&crew->claims);
        if (!hs_is_idle(claims)) {
            any = true;
            team->epoch = tried = hs_epoch_of(claims);
            hs_team_do(team);
        }
        if (atomic_exchange(&team->inside, HS_OUTSIDE) == HS_AWAITED)
            hs_futex_wake(&team->inside);
    }
}

static void hs_await_outside(hs_team *member) {
    int64_t end = hs_nanoseconds() + HS_SPIN_NANOSECONDS;
    while (atomic_load(&member->inside) != HS_OUTSIDE) {
        hs_pause();
        unsigned inside = HS_INSIDE;
        if (hs_nanoseconds() >= end &&
            (atomic_compare_exchange_strong(&member->inside, &inside, HS_AWAITED) ||
             inside == HS_AWAITED))
            hs_futex_wait(&member->inside, HS_AWAITED);
    }
}

void hs_crew_run(hs_crew *crew, int steps, hs_team_function *function, void *ctx) {
    if (steps <= 0)
        return;
    int omp = omp_get_max_threads();
    if (omp != 1)
        omp_set_num_threads(1); /* of this thread: nested regions run alone */
    uint32_t epoch = hs_epoch_of(atomic_load(&crew->claims));
    crew->function = function;
    crew->ctx = ctx;
    crew->first = epoch + 1;
    crew->last = epoch + (uint32_t)steps;
    hs_open_epoch(crew, epoch + 1, 0);
    hs_team_walk(&crew->members[0], true);
    for (int i = 1; i < crew->size; i++)
        hs_await_outside(&crew->members[i]);
    if (omp != 1)
        omp_set_num_threads(omp);
}

/* ------------------------------------------------------------- threads -- */

static void *hs_team_thread(void *member) {
    omp_set_num_threads(1);
    hs_team_walk(member, false);
    return NULL;
}

static hs_status hs_crew_start(hs_crew *crew, hs_error *err) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = 0;
    for (crew->started = 1; crew->started < crew->size; crew->started++) {
        hs_team *member = &crew->members[crew->started];
        failed = pthread_create(&member->thread, NULL, hs_team_thread, member);
        if (failed)
            break;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed)
        return hs_fail(err, HS_ERROR_MEMORY, "thread %d of %d cannot be started: %s",
                       crew->started + 1, crew->size, strerror(failed));
    return HS_OK;
}

hs_status hs_crew_new(int threads, hs_crew **out, hs_error *err) {
    size_t bytes = sizeof(hs_crew) + (size_t)threads * sizeof(hs_team);
    hs_crew *crew = hs_alloc_aligned(1, bytes);
    if (!crew)
        return hs_fail_memory(err, bytes);
    memset(crew, 0, bytes);
    crew->size = threads;
    crew->members = (hs_team *)(crew + 1);
    for (int i = 0; i < threads; i++) {
        crew->members[i].crew = crew;
        crew->members[i].rank = i;
    }
    atomic_store(&crew->claims, hs_claims(0, HS_IDLE));
    hs_status status = hs_crew_start(crew, err);
    if (status != HS_OK) {
        hs_crew_free(crew);
        return status;
    }
    *out = crew;
    return HS_OK;
}

void hs_crew_free(hs_crew *crew) {
    if (!crew)
        return;
    atomic_store(&crew->stop, true);
    hs_open_epoch(crew, hs_epoch_of(atomic_load(&crew->claims)) + 1, HS_IDLE);
    for (int i = 1; i < crew->started; i++)
        pthread_join(crew->members[i].thread, NULL);
    free(crew);
}

int hs_crew_size(const hs_crew *crew) {
    return crew->size;
}
