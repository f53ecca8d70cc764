/* Whole trajectories against diffusers' DDIMPipeline and DDIMScheduler. */
#include "tiny_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diffusion/trajectory.h"
#include "io/direction_file.h"

static const int64_t hs_seeds[] = {3, INT64_C(4294967301)}; /* the second is 2^32 + 5 */

/* The scheduler config and options of one golden trajectory. */
typedef struct hs_case {
    const char *name;
    int T;
    double eta;
    bool clip;
    double clip_range;
    hs_prediction prediction;
    const char *beta_schedule, *spacing;
    int64_t z_seed;
    bool offset, delta_h, asyrp;
} hs_case;

static const hs_case hs_cases[] = {
    {.name = "eta_0", .T = 10},
    {.name = "eta_0.3", .T = 10, .eta = 0.3},
    {.name = "eta_1", .T = 10, .eta = 1},
    {.name = "T_7", .T = 7, .eta = 1},
    {.name = "clip_eta_0", .T = 10, .clip = true, .clip_range = 0.7},
    {.name = "clip_eta_1", .T = 10, .eta = 1, .clip = true},
    {.name = "v", .T = 10, .eta = 0.3, .prediction = HS_PREDICT_V},
    {.name = "v_clip", .T = 10, .eta = 0.3, .prediction = HS_PREDICT_V, .clip = true},
    {.name = "sample", .T = 10, .eta = 0.3, .prediction = HS_PREDICT_SAMPLE},
    {.name = "sample_clip", .T = 10, .eta = 1, .prediction = HS_PREDICT_SAMPLE, .clip = true},
    {.name = "cosine_clip", .T = 10, .eta = 1, .clip = true, .beta_schedule = "squaredcos_cap_v2"},
    {.name = "scaled_linear", .T = 10, .eta = 0.3, .beta_schedule = "scaled_linear"},
    {.name = "trailing", .T = 7, .eta = 0.3, .spacing = "trailing"},
    {.name = "linspace", .T = 7, .eta = 0.3, .spacing = "linspace"},
    {.name = "offset_final", .T = 10, .eta = 1, .offset = true},
    {.name = "z_plus_one", .T = 10, .eta = 1, .z_seed = HS_Z_PLUS_ONE},
    {.name = "z_own", .T = 10, .eta = 1, .z_seed = 77},
    {.name = "delta_eta_0", .T = 10, .delta_h = true},
    {.name = "delta_eta_1", .T = 10, .eta = 1, .delta_h = true},
    {.name = "asyrp_eta_0", .T = 10, .delta_h = true, .asyrp = true},
    {.name = "asyrp_eta_1", .T = 10, .eta = 1, .delta_h = true, .asyrp = true},
};

/* Everything a trajectory needs, made by hs_open_case. */
typedef struct hs_run {
    hs_model *model;
    hs_denoiser *denoiser;
    hs_sampler *sampler;
    size_t size;
} hs_run;

static hs_run hs_open_run(const char *model, const hs_case *c) {
    hs_error err;
    hs_run run = {.model = hs_tiny_open(model)};
    hs_schedule_config *config = &run.model->schedule;
    config->prediction = c->prediction;
    config->clip_sample = c->clip;
    if (c->clip_range > 0)
        config->clip_sample_range = c->clip_range;
    if (c->beta_schedule)
        snprintf(config->beta_schedule, sizeof config->beta_schedule, "%s", c->beta_schedule);
    if (c->spacing)
        snprintf(config->timestep_spacing, sizeof config->timestep_spacing, "%s", c->spacing);
    config->steps_offset = c->offset ? 1 : 0;
    config->set_alpha_to_one = !c->offset;
    run.denoiser = hs_tiny_denoiser(run.model);
    run.size = hs_denoiser_image_size(run.denoiser);
    hs_sampler_options options = hs_sampler_options_default();
    options.steps = c->T;
    options.eta = &c->eta;
    options.eta_count = 1;
    options.clip = c->clip;
    options.asyrp = c->asyrp;
    options.z_seed = c->z_seed ? c->z_seed : HS_Z_CONTINUE;
    assert_ok(hs_sampler_create(run.denoiser, &options, NULL, &run.sampler, &err));
    return run;
}

static void hs_close_run(hs_run *run) {
    hs_sampler_free(run->sampler);
    hs_denoiser_free(run->denoiser);
    hs_tiny_free(run->model);
}

/* One direction, golden's delta_h, on the sampler's grid; S = 1: its first step. */
static hs_directions *hs_golden_direction(const hs_tensor_set *set, const hs_sampler *sampler,
                                          int S) {
    hs_directions *directions = hs_directions_new(1, S, sampler->T, (int[]){6, 4, 4});
    assert_non_null(directions);
    directions->delta_h = hs_golden_f32(set, "delta_h", 10 * 96);
    directions->timesteps = calloc((size_t)sampler->T, sizeof *directions->timesteps);
    for (int i = 0; i < sampler->T; i++)
        directions->timesteps[i] = sampler->timesteps[i];
    return directions;
}

static double hs_compare(const hs_tensor_set *set, const char *name, const float *x, size_t count) {
    float *golden = hs_golden_f32(set, name, (int64_t)count);
    double error = hs_test_relative_error(x, golden, (int64_t)count);
    free(golden);
    return error;
}

/* Largest relative difference seen over all cases: 6.0e-6. */
static void test_trajectories(void **state) {
    hs_error err;
    hs_tensor_set *set = hs_golden_open("trajectories");
    for (size_t k = 0; k < sizeof hs_cases / sizeof *hs_cases; k++) {
        const hs_case *c = &hs_cases[k];
        hs_run run = hs_open_run("rgb", c);
        hs_directions *directions = NULL;
        hs_edit edit = {.strength = 1, .last = -1};
        if (c->delta_h)
            edit.directions = directions = hs_golden_direction(set, run.sampler, c->T);
        float x_0[2 * 192];
        assert_ok(hs_sample(run.sampler, 2, hs_seeds, NULL, &edit, c->delta_h ? 1 : 0, NULL, NULL,
                            x_0, NULL, &err));
        double error = hs_compare(set, c->name, x_0, 2 * 192);
        print_message("%-14s %.3g\n", c->name, error);
        assert_true(error <= 2e-5);
        hs_directions_free(directions);
        hs_close_run(&run);
    }
    hs_tensor_set_free(set);
}

/* One eta a step; a step of eta 0 draws its noise too. */
static void test_eta_per_step(void **state) {
    hs_error err;
    static const double eta[] = {0, 0.5, 1, 0, 0.25, 1, 0.75, 0, 1, 0.5};
    hs_tensor_set *set = hs_golden_open("trajectories");
    hs_model *model = hs_tiny_open("rgb");
    hs_denoiser *denoiser = hs_tiny_denoiser(model);
    hs_sampler *sampler;
    hs_sampler_options options = {
        .steps = 10, .eta = eta, .eta_count = 10, .z_seed = HS_Z_CONTINUE};
    assert_ok(hs_sampler_create(denoiser, &options, NULL, &sampler, &err));
    float x_0[2 * 192];
    assert_ok(hs_sample(sampler, 2, hs_seeds, NULL, NULL, 0, NULL, NULL, x_0, NULL, &err));
    assert_true(hs_compare(set, "eta_list", x_0, 2 * 192) <= 2e-5);
    hs_sampler_free(sampler);
    hs_denoiser_free(denoiser);
    hs_tiny_free(model);
    hs_tensor_set_free(set);
}

/* h of all steps, and that capturing it changes nothing. */
static void test_h(void **state) {
    hs_error err;
    hs_tensor_set *set = hs_golden_open("trajectories");
    hs_run run = hs_open_run("rgb", &(hs_case){.T = 10, .eta = 1});
    float x_0[2 * 192], h[2 * 10 * 96];
    assert_ok(hs_sample(run.sampler, 2, hs_seeds, NULL, NULL, 0, NULL, NULL, x_0, h, &err));
    assert_true(hs_compare(set, "eta_1", x_0, 2 * 192) <= 2e-5);
    assert_true(hs_compare(set, "h", h, 2 * 10 * 96) <= 2e-5);
    hs_close_run(&run);
    hs_tensor_set_free(set);
}

/* Images that are not whole blocks of 16 normals, by both rules for z; and the
 * same noise as tensors, from hs_latents_from_seeds, gives the same images. */
static void test_odd_sizes(void **state) {
    hs_error err;
    hs_tensor_set *set = hs_golden_open("trajectories");
    for (int k = 0; k < 8; k++) {
        const char *model = k & 1 ? "odd" : "dot";
        int T = k & 2 ? 3 : 7;
        bool plus_one = k & 4;
        hs_run run = hs_open_run(
            model, &(hs_case){.T = T, .eta = 1, .z_seed = plus_one ? HS_Z_PLUS_ONE : 0});
        size_t count = 2 * run.size;
        float x_0[2 * 36], again[2 * 36];
        char name[40];
        snprintf(name, sizeof name, "%s_%d_%s", model, T, plus_one ? "plus_one" : "continue");
        assert_ok(hs_sample(run.sampler, 2, hs_seeds, NULL, NULL, 0, NULL, NULL, x_0, NULL, &err));
        double error = hs_compare(set, name, x_0, count);
        print_message("%-16s %.3g\n", name, error);
        assert_true(error <= 2e-5);

        hs_latents *latents;
        hs_latents_view view;
        assert_ok(hs_latents_from_seeds(run.sampler, 2, hs_seeds, &latents, &err));
        hs_latents_view_get(latents, &view);
        snprintf(name, sizeof name, "%s_%d_z", model, T);
        if (plus_one)
            assert_true(hs_compare(set, name, view.z, count * (size_t)T) <= 1e-6);
        assert_ok(hs_sample(run.sampler, 2, NULL, latents, NULL, 0, NULL, NULL, again, NULL, &err));
        assert_memory_equal(x_0, again, count * sizeof *x_0);
        hs_latents_free(latents);
        hs_close_run(&run);
    }
    hs_tensor_set_free(set);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_trajectories),
                                       cmocka_unit_test(test_eta_per_step),
                                       cmocka_unit_test(test_h), cmocka_unit_test(test_odd_sizes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
