/* Noise schedules, step grids and step coefficients against diffusers. */
#include "golden.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diffusion/schedule.h"

static hs_schedule_config hs_config(const char *beta_schedule, int N) {
    hs_schedule_config config = {.num_train_timesteps = N,
                                 .beta_start = 1e-4,
                                 .beta_end = 0.02,
                                 .set_alpha_to_one = true,
                                 .clip_sample_range = 1};
    snprintf(config.beta_schedule, sizeof config.beta_schedule, "%s", beta_schedule);
    snprintf(config.timestep_spacing, sizeof config.timestep_spacing, "leading");
    return config;
}

static double hs_compare_schedule(const hs_tensor_set *set, const char *name,
                                  const hs_schedule_config *config) {
    hs_error err;
    hs_schedule schedule;
    char tensor[80];
    snprintf(tensor, sizeof tensor, "alphas_cumprod.%s", name);
    float *golden = hs_golden_f32(set, tensor, config->num_train_timesteps);
    assert_ok(hs_schedule_create(config, &schedule, &err));
    double worst = 0;
    for (int i = 0; i < schedule.N; i++) {
        /* 1 - beta rounds to 2^-24 in float32, which is all of the error where
         * beta is close to 1 (the last values of a cosine schedule). */
        double beta = 1 - schedule.alphas_cumprod[i] / (i ? schedule.alphas_cumprod[i - 1] : 1);
        double difference = fabs((double)golden[i] / schedule.alphas_cumprod[i] - 1);
        worst = fmax(worst, difference / (1 + 0x1p-24 / (1 - beta) / 1e-6));
    }
    free(golden);
    hs_schedule_free(&schedule);
    return worst;
}

/* diffusers works in float32: a product of 1000 factors is good to some
 * sqrt(1000) * 2^-25. Largest relative difference seen: 8.8e-7. */
static void test_alphas_cumprod(void **state) {
    hs_tensor_set *set = hs_golden_open("schedule");
    hs_schedule_config linear = hs_config("linear", 1000),
                       scaled = hs_config("scaled_linear", 1000);
    hs_schedule_config cosine = hs_config("squaredcos_cap_v2", 1000),
                       short_ = hs_config("linear", 100);
    hs_schedule_config trained = hs_config("linear", 100);
    scaled.beta_start = 0.00085;
    scaled.beta_end = 0.012;
    short_.beta_start = 1e-3;
    short_.beta_end = 0.2;
    const hs_tensor *betas = hs_golden(set, "trained_betas", HS_F64, 100);
    double trained_betas[100];
    memcpy(trained_betas, betas->data, sizeof trained_betas);
    trained.trained_betas = trained_betas;
    struct {
        const char *name;
        const hs_schedule_config *config;
    } cases[] = {{"linear", &linear},
                 {"linear_100", &short_},
                 {"scaled_linear", &scaled},
                 {"squaredcos_cap_v2", &cosine},
                 {"trained_betas", &trained}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double worst = hs_compare_schedule(set, cases[i].name, cases[i].config);
        print_message("alphas_cumprod %s: %.3g\n", cases[i].name, worst);
        assert_true(worst <= 5e-6);
    }
    hs_tensor_set_free(set);
}

/* The Keras family's schedule against the same formula in NumPy, in double. */
static void test_keras_cosine(void **state) {
    hs_error err;
    hs_tensor_set *set = hs_golden_open("schedule");
    hs_schedule_config config = hs_config("keras_cosine", 300);
    const hs_tensor *golden = hs_golden(set, "alphas_cumprod.keras_cosine", HS_F64, 300);
    hs_schedule schedule;
    assert_ok(hs_schedule_create(&config, &schedule, &err));
    for (int i = 0; i < 300; i++) {
        double expected;
        memcpy(&expected, (const char *)golden->data + 8 * i, 8);
        assert_true(fabs(schedule.alphas_cumprod[i] / expected - 1) < 1e-10);
    }
    hs_schedule_free(&schedule);
    hs_tensor_set_free(set);
}

static void test_timesteps(void **state) {
    hs_error err;
    hs_tensor_set *set = hs_golden_open("schedule");
    int checked = 0;
    for (int k = 0; k < set->count; k++) {
        const hs_tensor *golden = &set->tensors[k];
        char spacing[16];
        int N, offset, T, out[1000];
        if (sscanf(golden->name, "timesteps.%15[a-z].%d.%d.%d", spacing, &N, &offset, &T) != 4)
            continue;
        hs_schedule_config config = hs_config("linear", N);
        memcpy(config.timestep_spacing, spacing, sizeof spacing);
        config.steps_offset = offset;
        assert_ok(hs_schedule_timesteps(&config, T, out, &err));
        for (int i = 0; i < T; i++) {
            int32_t expected;
            memcpy(&expected, (const char *)golden->data + 4 * i, 4);
            if (out[i] != expected)
                fail_msg("%s: step %d is at %d, expected %d", golden->name, i, out[i], expected);
        }
        checked++;
    }
    assert_true(checked >= 60);
    hs_tensor_set_free(set);
}

/* Every T gives T falling timesteps in [0, N), for every spacing. */
static void test_grids_are_falling(void **state) {
    hs_error err;
    int out[1000];
    static const char *const spacings[] = {"leading", "trailing", "linspace"};
    for (int s = 0; s < 3; s++)
        for (int T = 1; T <= 1000; T++) {
            hs_schedule_config config = hs_config("linear", 1000);
            snprintf(config.timestep_spacing, sizeof config.timestep_spacing, "%s", spacings[s]);
            assert_ok(hs_schedule_timesteps(&config, T, out, &err));
            assert_in_range(out[0], 0, 999);
            assert_in_range(out[T - 1], 0, 999);
            for (int i = 1; i < T; i++)
                assert_true(out[i] < out[i - 1]);
        }
}

/* The coefficients keep the variance: for unit x_0 = 0, eps and z, what a step
 * makes of x_t = sqrt(1-a) eps has variance 1 - a_prev, whatever eta is. */
static void test_step(void **state) {
    hs_error err;
    hs_schedule schedule;
    hs_schedule_config config = hs_config("linear", 1000);
    assert_ok(hs_schedule_create(&config, &schedule, &err));
    for (int t = 20; t < 1000; t += 49)
        for (double eta = 0; eta <= 1; eta += 0.25) {
            hs_step step = hs_schedule_step(&schedule, t, t - 20, eta);
            double variance = step.direction * step.direction + step.noise * step.noise;
            assert_true(fabs(variance - (1 - schedule.alphas_cumprod[t - 20])) < 1e-12);
        }
    hs_step last = hs_schedule_step(&schedule, 0, -20, 1);
    assert_true(last.noise == 0 && last.direction == 0 && last.sqrt_a_prev == 1);
    hs_schedule_free(&schedule);
    config.set_alpha_to_one = false;
    assert_ok(hs_schedule_create(&config, &schedule, &err));
    assert_true(schedule.final_alpha_cumprod == schedule.alphas_cumprod[0]);
    hs_schedule_free(&schedule);
}

static void hs_expect_refused(const hs_schedule_config *config, const char *word) {
    hs_error err = {0};
    hs_schedule schedule;
    assert_int_equal(hs_schedule_create(config, &schedule, &err), HS_ERROR_UNSUPPORTED);
    if (!strstr(err.message, word))
        fail_msg("the message does not name %s: %s", word, err.message);
}

static void test_refusals(void **state) {
    hs_error err;
    int out[1000];
    hs_schedule_config config = hs_config("sigmoid", 1000);
    hs_expect_refused(&config, "sigmoid");
    config = hs_config("linear", 0);
    hs_expect_refused(&config, "num_train_timesteps");
    config = hs_config("linear", 1000000000);
    hs_expect_refused(&config, "num_train_timesteps");
    config = hs_config("linear", 10);
    config.beta_end = 1;
    hs_expect_refused(&config, "beta[9]");
    config.beta_end = NAN;
    hs_expect_refused(&config, "beta[");
    config = hs_config("linear", 1000);
    config.rescale_betas_zero_snr = true;
    hs_expect_refused(&config, "rescale_betas_zero_snr");
    config = hs_config("linear", 1000);
    config.thresholding = true;
    hs_expect_refused(&config, "thresholding");
    config = hs_config("linear", 1000);
    config.clip_sample = true;
    config.clip_sample_range = 0;
    hs_expect_refused(&config, "clip_sample_range");

    config = hs_config("linear", 1000);
    assert_int_equal(hs_schedule_timesteps(&config, 0, out, &err), HS_ERROR_ARGUMENT);
    assert_int_equal(hs_schedule_timesteps(&config, 1001, out, &err), HS_ERROR_ARGUMENT);
    config.steps_offset = 1;
    assert_int_equal(hs_schedule_timesteps(&config, 1000, out, &err), HS_ERROR_ARGUMENT);
    assert_non_null(strstr(err.message, "steps_offset"));
    snprintf(config.timestep_spacing, sizeof config.timestep_spacing, "karras");
    assert_int_equal(hs_schedule_timesteps(&config, 10, out, &err), HS_ERROR_UNSUPPORTED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alphas_cumprod), cmocka_unit_test(test_keras_cosine),
        cmocka_unit_test(test_timesteps),      cmocka_unit_test(test_grids_are_falling),
        cmocka_unit_test(test_step),           cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
