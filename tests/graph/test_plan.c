/* hs_plan_arena: no two buffers that live at once overlap, and the arena is
 * close to the most that lives at one step. */
#include "support.h"

#include <string.h>

#include "base/mem.h"
#include "graph/plan.h"

#define HS_MOST 80

static int64_t hs_rounded(int64_t bytes) {
    return (bytes + HS_ALIGN - 1) / HS_ALIGN * HS_ALIGN;
}

/* Every pair, by force. */
static void hs_check_plan(const hs_lifetime *b, int count, int64_t total) {
    for (int i = 0; i < count; i++) {
        assert_int_equal(b[i].offset % HS_ALIGN, 0);
        assert_true(b[i].offset >= 0 && b[i].offset + b[i].bytes <= total);
        if (b[i].bytes == 0)
            assert_int_equal(b[i].offset, 0);
        for (int j = 0; j < i; j++) {
            bool together = b[i].first <= b[j].last && b[j].first <= b[i].last;
            bool overlap = b[i].offset < b[j].offset + b[j].bytes &&
                           b[j].offset < b[i].offset + b[i].bytes && b[i].bytes && b[j].bytes;
            if (together && overlap)
                fail_msg("buffers %d and %d overlap", i, j);
        }
    }
}

/* The most bytes that live at one step: no plan can do with less. */
static int64_t hs_lower_bound(const hs_lifetime *b, int count) {
    int64_t most = 0;
    for (int step = 0; step < 3 * HS_MOST; step++) {
        int64_t sum = 0;
        for (int i = 0; i < count; i++)
            if (b[i].first <= step && step <= b[i].last)
                sum += hs_rounded(b[i].bytes);
        most = sum > most ? sum : most;
    }
    return most;
}

static int hs_pick(uint64_t *state, int below) {
    return (int)((hs_test_random(state) + 1) / 2 * below);
}

/* Over 400 random sets the arena was 2.1% above the bound on average and 19%
 * at most. */
static void hs_test_random_lifetimes(void **state) {
    hs_error err;
    uint64_t seed = 1;
    double sum = 0, worst = 1;
    for (int round = 0; round < 400; round++) {
        hs_lifetime b[HS_MOST];
        int count = 1 + hs_pick(&seed, HS_MOST);
        for (int i = 0; i < count; i++) {
            int first = hs_pick(&seed, HS_MOST);
            int length = hs_pick(&seed, 4) ? hs_pick(&seed, 4) : hs_pick(&seed, 2 * HS_MOST);
            b[i] = (hs_lifetime){.bytes = hs_pick(&seed, 5) ? hs_pick(&seed, 20000) : 0,
                                 .first = first,
                                 .last = first + length,
                                 .offset = -1};
        }
        int64_t total, bound = hs_lower_bound(b, count);
        assert_ok(hs_plan_arena(b, count, HS_SHARE_ALL, &total, &err));
        hs_check_plan(b, count, total);
        assert_true(total >= bound);
        double ratio = bound ? (double)total / (double)bound : 1;
        worst = ratio > worst ? ratio : worst;
        sum += ratio;
    }
    print_message("arena / lower bound: %.4f on average, %.4f at most\n", sum / 400, worst);
    assert_true(worst < 1.5);
    assert_true(sum / 400 < 1.06);
}

/* Two buffers that share bytes share all of them, and some do. */
static void hs_test_same_size(void **state) {
    hs_error err;
    uint64_t seed = 3;
    int shared = 0;
    for (int round = 0; round < 100; round++) {
        hs_lifetime b[HS_MOST];
        for (int i = 0; i < HS_MOST; i++) {
            int first = hs_pick(&seed, HS_MOST);
            b[i] = (hs_lifetime){.bytes = 1000 * (1 + hs_pick(&seed, 5)),
                                 .first = first,
                                 .last = first + hs_pick(&seed, 5)};
        }
        int64_t total, least;
        assert_ok(hs_plan_arena(b, HS_MOST, HS_SHARE_ALL, &least, &err));
        assert_ok(hs_plan_arena(b, HS_MOST, HS_SHARE_SAME_SIZE, &total, &err));
        hs_check_plan(b, HS_MOST, total);
        assert_true(total >= least);
        for (int i = 0; i < HS_MOST; i++)
            for (int j = 0; j < i; j++)
                if (b[i].offset < b[j].offset + b[j].bytes &&
                    b[j].offset < b[i].offset + b[i].bytes) {
                    assert_int_equal(b[i].offset, b[j].offset);
                    assert_int_equal(b[i].bytes, b[j].bytes);
                    shared++;
                }
    }
    assert_true(shared > 0);
}

/* A chain reuses two buffers: each result dies when the next one exists. */
static void hs_test_chain(void **state) {
    hs_error err;
    hs_lifetime b[20];
    int64_t total;
    for (int i = 0; i < 20; i++)
        b[i] = (hs_lifetime){.bytes = 1000, .first = i, .last = i + 1};
    assert_ok(hs_plan_arena(b, 20, HS_SHARE_ALL, &total, &err));
    hs_check_plan(b, 20, total);
    assert_int_equal(total, 2 * hs_rounded(1000));
}

/* The same input gives the same plan, whatever `offset` held before. */
static void hs_test_deterministic(void **state) {
    hs_error err;
    uint64_t seed = 5;
    hs_lifetime a[HS_MOST], b[HS_MOST];
    int64_t total_a, total_b;
    for (int i = 0; i < HS_MOST; i++) {
        int first = hs_pick(&seed, HS_MOST);
        a[i] = (hs_lifetime){
            .bytes = 64 * hs_pick(&seed, 5), .first = first, .last = first + hs_pick(&seed, 9)};
        b[i] = a[i];
        b[i].offset = 12345;
    }
    assert_ok(hs_plan_arena(a, HS_MOST, HS_SHARE_ALL, &total_a, &err));
    assert_ok(hs_plan_arena(b, HS_MOST, HS_SHARE_ALL, &total_b, &err));
    assert_int_equal(total_a, total_b);
    for (int i = 0; i < HS_MOST; i++)
        assert_int_equal(a[i].offset, b[i].offset);
}

static void hs_test_bad_buffers(void **state) {
    hs_error err;
    int64_t total = -7;
    hs_lifetime negative = {.bytes = -1}, backwards = {.bytes = 1, .first = 3, .last = 2};
    hs_lifetime huge[] = {{.bytes = INT64_MAX / 2 + 1}, {.bytes = INT64_MAX / 2 + 1}};
    assert_int_equal(hs_plan_arena(&negative, 1, HS_SHARE_ALL, &total, &err), HS_ERROR_ARGUMENT);
    assert_int_equal(hs_plan_arena(&backwards, 1, HS_SHARE_ALL, &total, &err), HS_ERROR_ARGUMENT);
    assert_non_null(strstr(err.message, "3 to 2"));
    assert_int_equal(hs_plan_arena(huge, 2, HS_SHARE_ALL, &total, &err), HS_ERROR_MEMORY);
    assert_int_equal(total, -7);
    assert_ok(hs_plan_arena(NULL, 0, HS_SHARE_ALL, &total, &err));
    assert_int_equal(total, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hs_test_random_lifetimes),
        cmocka_unit_test(hs_test_same_size),
        cmocka_unit_test(hs_test_chain),
        cmocka_unit_test(hs_test_deterministic),
        cmocka_unit_test(hs_test_bad_buffers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
