/* PyTorch's CPU generator against recorded values, and one call in pieces. */
#include "golden.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "diffusion/noise.h"

static void test_words_and_uniforms(void **state) {
    hs_tensor_set *set = hs_golden_open("random");
    const hs_tensor *seeds = hs_golden(set, "seeds", HS_I64, -1);
    for (int i = 0; i < seeds->dim[0]; i++) {
        int64_t seed, word;
        memcpy(&seed, (const char *)seeds->data + 8 * i, 8);
        char name[40];
        hs_generator generator;
        snprintf(name, sizeof name, "words.%d", i);
        const hs_tensor *words = hs_golden(set, name, HS_I64, 700);
        hs_generator_seed(&generator, (uint64_t)seed);
        for (int j = 0; j < 700; j++) {
            memcpy(&word, (const char *)words->data + 8 * j, 8);
            assert_int_equal(hs_generator_u32(&generator), word);
        }
        snprintf(name, sizeof name, "uniform.%d", i);
        float *uniform = hs_golden_f32(set, name, 700);
        hs_generator_seed(&generator, (uint64_t)seed);
        for (int j = 0; j < 700; j++)
            assert_true(hs_generator_uniform(&generator) == uniform[j]);
        free(uniform);
    }
    hs_tensor_set_free(set);
}

/* Largest difference seen: 3.6e-7. */
static void test_randn(void **state) {
    hs_tensor_set *set = hs_golden_open("random");
    const hs_tensor *seeds = hs_golden(set, "seeds", HS_I64, -1);
    const hs_tensor *lengths = hs_golden(set, "lengths", HS_I64, -1);
    double worst = 0;
    for (int i = 0; i < seeds->dim[0]; i++)
        for (int k = 0; k < lengths->dim[0]; k++) {
            hs_error err;
            int64_t seed, length;
            memcpy(&seed, (const char *)seeds->data + 8 * i, 8);
            memcpy(&length, (const char *)lengths->data + 8 * k, 8);
            char name[40];
            snprintf(name, sizeof name, "randn.%d.%lld", i, (long long)length);
            const hs_tensor *golden = hs_golden(set, name, HS_F32, -1);
            int64_t count = hs_tensor_count(golden);
            float *expected = hs_golden_f32(set, name, count);
            float *found = calloc((size_t)count, sizeof *found);
            assert_ok(hs_randn(seed, (int)golden->dim[0], (size_t)length, found, &err));
            for (int64_t j = 0; j < count; j++)
                worst = fmax(worst, fabs((double)found[j] - (double)expected[j]));
            free(expected);
            free(found);
        }
    hs_tensor_set_free(set);
    print_message("largest difference of a normal: %.3g\n", worst);
    assert_true(worst <= 2e-6);
}

/* A call cut in pieces of any length has the values of the whole call, also
 * when each piece resumes from a copy of the generator. */
static void test_pieces(void **state) {
    static const size_t pieces[] = {1, 3, 15, 16, 17, 20, 48, 61};
    float whole[500], found[500];
    for (size_t total = 1; total <= 500; total += total < 70 ? 1 : 43)
        for (size_t p = 0; p < sizeof pieces / sizeof *pieces; p++) {
            hs_generator generator;
            hs_generator_seed(&generator, 5);
            hs_generator_randn(&generator, total, whole);
            hs_generator_seed(&generator, 5);
            for (size_t first = 0; first < total; first += pieces[p]) {
                size_t count = total - first < pieces[p] ? total - first : pieces[p];
                hs_generator copy = generator;
                hs_randn_piece(&copy, total, first, count, found + first);
                generator = copy;
            }
            if (memcmp(found, whole, total * sizeof *whole) != 0)
                fail_msg("a call of %zu values in pieces of %zu differs", total, pieces[p]);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_words_and_uniforms),
                                       cmocka_unit_test(test_randn), cmocka_unit_test(test_pieces)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
