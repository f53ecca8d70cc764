/* Thread counts of the libraries: pushed, nested, put back. */
#include <cblas.h>
#include <omp.h>

#include "base/threads.h"
#include "support.h"

static void test_counts_are_restored(void **state) {
    int omp = omp_get_max_threads(), blas = openblas_get_num_threads();
    hs_threads_saved outer = hs_threads_push(2);
    assert_int_equal(omp_get_max_threads(), 2);
    assert_int_equal(openblas_get_num_threads(), 2);
    hs_threads_saved inner = hs_threads_push(1);
    assert_int_equal(omp_get_max_threads(), 1);
    assert_int_equal(openblas_get_num_threads(), 1);
    hs_threads_pop(inner);
    assert_int_equal(omp_get_max_threads(), 2);
    hs_threads_pop(outer);
    assert_int_equal(omp_get_max_threads(), omp);
    assert_int_equal(openblas_get_num_threads(), blas);
    assert_true(hs_cpu_count() >= 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_counts_are_restored)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
