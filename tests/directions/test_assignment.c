/* The assignment solver against all permutations, and at a size where order
 * and sign of the solution are known by construction. */
#include "support.h"

#include <math.h>
#include <stdlib.h>

#include "directions/assignment.h"

/* Best gain over all ways to give rows row ... k-1 the columns not in `used`. */
static double best_of(int k, const double *gain, int row, unsigned used) {
    if (row == k)
        return 0;
    double best = -INFINITY;
    for (int j = 0; j < k; j++)
        if (!(used >> j & 1))
            best = fmax(best, gain[row * k + j] + best_of(k, gain, row + 1, used | 1u << j));
    return best;
}

static void check_permutation(int k, const int *column) {
    unsigned char seen[64] = {0};
    for (int i = 0; i < k; i++) {
        assert_in_range(column[i], 0, k - 1);
        assert_false(seen[column[i]]);
        seen[column[i]] = 1;
    }
}

static void test_brute_force(void **state) {
    hs_error err;
    uint64_t stream = 1;
    for (int trial = 0; trial < 400; trial++) {
        int k = 1 + trial % 7, column[7];
        double gain[49], found = 0;
        for (int i = 0; i < k * k; i++) { /* every third trial has many ties */
            gain[i] = hs_test_random(&stream);
            if (trial % 3 == 0)
                gain[i] = round(2 * gain[i]);
        }
        assert_ok(hs_assignment(k, gain, column, &err));
        check_permutation(k, column);
        for (int i = 0; i < k; i++)
            found += gain[i * k + column[i]];
        double best = best_of(k, gain, 0, 0);
        if (!(fabs(found - best) <= 1e-14 * k)) /* observed: 9e-16 */
            fail_msg("trial %d: gain %.17g, best %.17g", trial, found, best);
    }
}

static void test_recovers_permutation(void **state) {
    enum { k = 50 };
    hs_error err;
    uint64_t stream = 2;
    int hidden[k], column[k];
    double *gain = malloc(sizeof(double) * k * k);
    assert_non_null(gain);
    for (int i = 0; i < k; i++)
        hidden[i] = (i * 17 + 5) % k;
    for (int i = 0; i < k; i++)
        for (int j = 0; j < k; j++)
            gain[i * k + j] = 0.5 * fabs(hs_test_random(&stream)) + (j == hidden[i] ? 0.6 : 0);
    assert_ok(hs_assignment(k, gain, column, &err));
    for (int i = 0; i < k; i++)
        assert_int_equal(column[i], hidden[i]);
    gain[7] = NAN;
    assert_int_equal(hs_assignment(k, gain, column, &err), HS_ERROR_NUMERIC);
    free(gain);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_brute_force),
        cmocka_unit_test(test_recovers_permutation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
