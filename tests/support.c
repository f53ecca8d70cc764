/* See support.h. */
#include "support.h"

#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

double hs_test_relative_error(const float *a, const float *b, int64_t count) {
    double worst = 0, largest = 0;
    for (int64_t i = 0; i < count; i++) {
        double difference = fabs((double)a[i] - (double)b[i]);
        if (!isfinite(difference))
            fail_msg("value %lld is %g, expected %g", (long long)i, (double)a[i], (double)b[i]);
        worst = fmax(worst, difference);
        largest = fmax(largest, fabs((double)b[i]));
    }
    return largest > 0 ? worst / largest : worst;
}

double hs_test_relative_error_f64(const double *a, const double *b, int64_t count) {
    double worst = 0, largest = 0;
    for (int64_t i = 0; i < count; i++) {
        double difference = fabs(a[i] - b[i]);
        if (!isfinite(difference))
            fail_msg("value %lld is %g, expected %g", (long long)i, a[i], b[i]);
        worst = fmax(worst, difference);
        largest = fmax(largest, fabs(b[i]));
    }
    return largest > 0 ? worst / largest : worst;
}

double hs_test_random(uint64_t *state) { /* splitmix64 */
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return (double)(z >> 11) * 0x1p-52 - 1.0;
}

void hs_test_fill(uint64_t seed, float *out, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        out[i] = (float)hs_test_random(&seed);
}

char *hs_test_make_folder(void) {
    char *path = NULL;
    const char *base = getenv("TMPDIR");
    if (asprintf(&path, "%s/hspace-test-XXXXXX", base ? base : "/tmp") < 0 || !mkdtemp(path))
        fail_msg("no temporary folder");
    return path;
}

static int hs_test_remove_entry(const char *path, const struct stat *info, int kind,
                                struct FTW *walk) {
    return remove(path);
}

void hs_test_remove_folder(char *path) {
    nftw(path, hs_test_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}
