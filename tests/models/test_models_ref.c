/* Every golden model on the reference back end, in float. */
#include "models/golden.h"

/* Largest error observed: 4.5e-6 (keras; the UNet2DModel ones 1.5e-6). */
#define TOLERANCE 1e-5

static void models_agree_with_pytorch(void **state) {
    double worst = 0;
    for (size_t i = 0; i < HS_GOLDEN_COUNT; i++) {
        double error = hs_golden_model(&hs_backend_ref, hs_golden_models[i]);
        print_message("%-20s %.2g\n", hs_golden_models[i], error);
        worst = error > worst ? error : worst;
    }
    assert_true(worst <= TOLERANCE);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(models_agree_with_pytorch)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
