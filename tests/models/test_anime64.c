/*
 * The published Keras DDPM model, where it is at hand, against a run of its
 * TensorFlow graph node by node (golden/make_models.py --anime64).
 */
#include <sys/stat.h>

#include "models/golden.h"

/* Largest error observed: 1.2e-6. */
#define TOLERANCE 1e-5

static char hs_folder[512];

static void anime64_agrees_with_its_graph(void **state) {
    hs_error err = {0};
    hs_model *model;
    hs_tensor_set *golden;
    hs_unet_graph unet;
    assert_ok(hs_model_open(hs_folder, NULL, &model, &err));
    assert_ok(hs_safetensors_open("golden/models/anime64.safetensors", &golden, &err));
    assert_ok(hs_model_build(model, 1, HS_H_AFTER, &unet, &err));
    assert_int_equal(model->parameters, 63200387);
    assert_int_equal(model->schedule.num_train_timesteps, 300);
    assert_string_equal(model->schedule.beta_schedule, "keras_cosine");
    int64_t count = 3 * 64 * 64;
    for (int i = 0; i < 2; i++) {
        float t = i ? 17 : 282, *eps, *h;
        hs_golden_run(&hs_backend_onednn, &unet, hs_golden_tensor(golden, "x", count), &t, NULL,
                      &eps, &h);
        const float *expected = hs_golden_tensor(golden, i ? "eps_17" : "eps_282", count);
        double error = hs_test_relative_error(eps, expected, count);
        print_message("t = %g: %.2g\n", (double)t, error);
        assert_true(error <= TOLERANCE);
        free(eps);
        free(h);
    }
    hs_graph_free(unet.graph);
    hs_tensor_set_free(golden);
    hs_model_free(model);
}

int main(void) {
    const char *shared = getenv("HSPACE_SHARED");
    struct stat info;
    snprintf(hs_folder, sizeof hs_folder, "%s/data/anime64", shared ? shared : "../../shared");
    if (stat(hs_folder, &info)) {
        printf("%s is not here: skipped (HSPACE_SHARED names the folder above data/)\n", hs_folder);
        return 77; /* CTest's SKIP_RETURN_CODE */
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(anime64_agrees_with_its_graph)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
