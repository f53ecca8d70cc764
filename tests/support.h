/* What the tests share. Include this instead of cmocka.h. */
#ifndef HS_TESTS_SUPPORT_H
#define HS_TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hspace.h"

/* Fail the test with the error's message unless `call` (which must use `err`
 * as its error) returns HS_OK. */
#define assert_ok(call)                                            \
    do {                                                           \
        if ((call) != HS_OK)                                       \
            fail_msg("%s: %s", hs_status_name(err.code), err.message); \
    } while (0)

/* max |a - b| / max |b|; fails on NaN. */
double hs_test_relative_error(const float *a, const float *b, int64_t count);
double hs_test_relative_error_f64(const double *a, const double *b, int64_t count);

/* A deterministic stream of doubles in [-1, 1), not PyTorch's. */
double hs_test_random(uint64_t *state);
void hs_test_fill(uint64_t seed, float *out, int64_t count);

/* A fresh empty folder under the system's temporary one; removed, with all
 * that is in it, by hs_test_remove_folder. Free the result after that. */
char *hs_test_make_folder(void);
void hs_test_remove_folder(char *path);

#endif
