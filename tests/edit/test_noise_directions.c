/* Directions of noise: their file, what an edit along one does, who refuses them. */
#include "tiny_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/direction_file.h"
#include "io/latent_file.h"

#define X 192 /* 3x8x8 */
#define T 10
#define K 2

static const int64_t seeds[] = {3, 8};

typedef struct hs_fixture {
    hs_model *model;
    hs_denoiser *denoiser;
    hs_sampler *sampler;
    hs_directions *directions; /* K of x_T and, where eta > 0, z */
    char notices[400];
} hs_fixture;

static void hs_open(hs_fixture *f, double eta) {
    hs_error err;
    *f = (hs_fixture){.model = hs_tiny_open("rgb")};
    f->denoiser = hs_tiny_denoiser(f->model);
    hs_sampler_options options = {.steps = T, .eta = &eta, .eta_count = 1, .z_seed = HS_Z_CONTINUE};
    assert_ok(hs_sampler_create(f->denoiser, &options, NULL, &f->sampler, &err));
    hs_directions *d = f->directions = hs_directions_new(K, eta > 0 ? T : 1, T, (int[3]){0});
    assert_non_null(d);
    d->space = HS_SPACE_NOISE;
    d->image[0] = 3;
    d->image[1] = d->image[2] = 8;
    d->delta_x_T = malloc(K * X * sizeof(float));
    assert_ok(hs_randn(1, 1, K * X, d->delta_x_T, &err));
    if (eta > 0) {
        d->delta_z = malloc(K * T * X * sizeof(float));
        assert_ok(hs_randn(2, 1, K * T * X, d->delta_z, &err));
    }
    d->timesteps = calloc(T, sizeof *d->timesteps);
    for (int i = 0; i < T; i++)
        d->timesteps[i] = hs_sampler_timesteps(f->sampler)[i];
}

static void hs_close(hs_fixture *f) {
    hs_directions_free(f->directions);
    hs_sampler_free(f->sampler);
    hs_denoiser_free(f->denoiser);
    hs_tiny_free(f->model);
}

static void hs_hear(void *ctx, const char *text) {
    hs_fixture *f = ctx;
    strncat(f->notices, text, sizeof f->notices - strlen(f->notices) - 1);
}

/* Saved, read, picked and fitted it stays what it is. */
static void test_file(void **state) {
    char *folder = hs_test_make_folder(), path[500];
    for (int z = 0; z < 2; z++) {
        hs_error err;
        hs_fixture f;
        hs_open(&f, z);
        hs_directions *read, *picked, *fitted, *random;
        hs_directions_view view;
        snprintf(path, sizeof path, "%s/noise.safetensors", folder);
        assert_ok(hs_directions_save(f.directions, path, &err));
        assert_ok(hs_directions_load(path, &read, &err));
        assert_ok(hs_directions_pick(read, 1, &picked, &err));
        hs_monitor monitor = {.ctx = &f, .notice = hs_hear};
        assert_ok(hs_directions_fit(picked, f.sampler, &monitor, &fitted, &err));
        hs_directions_view_get(fitted, &view);
        assert_int_equal(view.space, HS_SPACE_NOISE);
        assert_null(view.delta_h);
        assert_non_null(strstr(view.metadata, "\"space\":\"noise\""));
        assert_null(strstr(view.metadata, "h_space"));
        assert_memory_equal(view.delta_x_T, f.directions->delta_x_T + X, X * sizeof(float));
        assert_int_equal(view.delta_z != NULL, z);
        if (z)
            assert_memory_equal(view.delta_z, f.directions->delta_z + T * X, T * X * sizeof(float));
        assert_null(strstr(f.notices, "x_T alone"));
        /* Random ones of the same norms. */
        assert_ok(hs_directions_random_like(fitted, 4, &random, &err));
        double norm[2] = {0};
        for (int i = 0; i < X; i++) {
            norm[0] += pow((double)view.delta_x_T[i], 2);
            norm[1] += pow((double)random->delta_x_T[i], 2);
        }
        assert_true(fabs(norm[0] / norm[1] - 1) < 1e-5);
        assert_int_equal(random->delta_z != NULL, z);
        hs_directions_free(random);
        hs_directions_free(fitted);
        hs_directions_free(picked);
        hs_directions_free(read);
        hs_close(&f);
    }
    hs_test_remove_folder(folder);
    free(folder);
}

/* An edit is sampling from x_T and z that were moved by hand; from seeds and from
 * latents; hs_latents_edited says the same x_T and z. */
static void test_edit(void **state) {
    for (int eta = 0; eta < 2; eta++) {
        hs_error err;
        hs_fixture f;
        hs_latents *start, *edited, *moved;
        float x_0[2 * X], expected[2 * X], again[2 * X];
        const double strengths[] = {0.5, -2};
        hs_open(&f, eta);
        hs_edit edit = {.directions = f.directions, .index = 1, .last = -1};
        assert_ok(hs_latents_from_seeds(f.sampler, 2, seeds, &start, &err));
        assert_ok(hs_latents_from_seeds(f.sampler, 2, seeds, &moved, &err));
        for (int i = 0; i < 2; i++)
            for (int j = 0; j < X; j++) {
                float *x_T = moved->x_T + i * X + j;
                *x_T =
                    (float)((double)*x_T + strengths[i] * (double)f.directions->delta_x_T[X + j]);
                for (int step = 0; eta && step < T; step++) {
                    float *z = moved->z + (i * T + step) * X + j;
                    *z = (float)((double)*z +
                                 strengths[i] * (double)f.directions->delta_z[(T + step) * X + j]);
                }
            }
        assert_ok(hs_sample(f.sampler, 2, NULL, moved, NULL, 0, NULL, NULL, expected, NULL, &err));
        assert_ok(hs_sample(f.sampler, 2, seeds, NULL, &edit, 1, strengths, NULL, x_0, NULL, &err));
        assert_memory_equal(x_0, expected, sizeof x_0);
        assert_ok(hs_sample(f.sampler, 2, NULL, start, &edit, 1, strengths, NULL, x_0, NULL, &err));
        assert_memory_equal(x_0, expected, sizeof x_0);
        assert_ok(
            hs_latents_edited(f.sampler, 2, NULL, start, &edit, 1, strengths, NULL, &edited, &err));
        assert_ok(hs_sample(f.sampler, 2, NULL, edited, NULL, 0, NULL, NULL, again, NULL, &err));
        assert_memory_equal(again, expected, sizeof again);
        hs_latents_free(edited);

        /* From step 1 on x_T stays, and at eta 0 everything. */
        edit.first = 1;
        assert_ok(
            hs_latents_edited(f.sampler, 2, seeds, NULL, &edit, 1, strengths, NULL, &edited, &err));
        assert_memory_equal(edited->x_T, start->x_T, 2 * X * sizeof(float));
        if (eta) {
            assert_memory_equal(edited->z, start->z, X * sizeof(float));
            assert_memory_equal(edited->z + X, moved->z + X, (T - 1) * X * sizeof(float));
        }
        hs_latents_free(edited);
        hs_latents_free(moved);
        hs_latents_free(start);
        hs_close(&f);
    }
}

/* Nobody takes it for a direction of h, or the other way round. */
static void test_refusals(void **state) {
    hs_error err;
    hs_fixture f;
    hs_directions *out, *h;
    float x_0[X];
    hs_open(&f, 1);
    hs_direction_ref from = {f.directions, 1};
    assert_int_equal(
        hs_directions_disentangle(f.directions, &from, 1, false, NULL, &out, NULL, &err),
        HS_ERROR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "is of noise"));
    h = hs_directions_new(1, 1, T, (int[]){6, 4, 4});
    h->delta_h = calloc(96, sizeof(float));
    h->delta_h[3] = 1;
    assert_int_equal(hs_directions_disentangle(h, &from, 1, false, NULL, &out, NULL, &err),
                     HS_ERROR_UNSUPPORTED);
    hs_directions_free(h);
    f.directions->image[1] = 4;
    hs_edit edit = {.directions = f.directions, .strength = 1, .last = -1};
    assert_int_equal(hs_sample(f.sampler, 1, seeds, NULL, &edit, 1, NULL, NULL, x_0, NULL, &err),
                     HS_ERROR_MISMATCH);
    assert_int_equal(hs_directions_fit(f.directions, f.sampler, NULL, &out, &err),
                     HS_ERROR_MISMATCH);
    assert_non_null(strstr(err.message, "the image of"));
    hs_close(&f);
}

/* The direction of an attribute: the mean of x_T and z of one side less that of the
 * other, without a U-Net pass. */
static void test_attribute(void **state) {
    static const char csv[] = "seed,Hat\n3,0.9\n8,0.7\n11,0.2\n12,0.1\n13,0.5\n";
    static const int64_t sides[] = {3, 8, 11, 12};
    char *folder = hs_test_make_folder(), path[500];
    snprintf(path, sizeof path, "%s/labels.csv", folder);
    FILE *file = fopen(path, "w");
    assert_true(file && fputs(csv, file) >= 0 && fclose(file) == 0);
    for (int eta = 0; eta < 2; eta++) {
        hs_error err;
        hs_fixture f;
        hs_labels *labels;
        hs_directions *out;
        hs_directions_view view;
        hs_latents *of;
        hs_pass_stats stats;
        hs_attribute_options options = hs_attribute_options_default();
        options.attribute = "Hat";
        options.top = 2;
        options.held_out = 0;
        options.space = HS_SPACE_NOISE;
        hs_open(&f, eta);
        assert_ok(hs_labels_load(path, false, NULL, &labels, &err));
        assert_ok(hs_attribute(f.sampler, labels, &options, NULL, NULL, NULL, &out, NULL, &err));
        hs_directions_view_get(out, &view);
        assert_int_equal(view.space, HS_SPACE_NOISE);
        assert_string_equal(view.unit, "mean difference");
        assert_int_equal(view.delta_z != NULL, eta);
        hs_denoiser_stats(f.denoiser, &stats);
        assert_int_equal(stats.passes, 0);
        assert_ok(hs_latents_from_seeds(f.sampler, 4, sides, &of, &err));
        for (int j = 0; j < X * (1 + eta * T); j++) {
            double side[4];
            for (int i = 0; i < 4; i++)
                side[i] = (double)(j < X ? of->x_T[i * X + j] : of->z[i * T * X + j - X]);
            double expected = (side[0] + side[1] - side[2] - side[3]) / 2;
            double found = (double)(j < X ? view.delta_x_T[j] : view.delta_z[j - X]);
            assert_true(fabs(found - expected) < 1e-6);
        }
        options.space = HS_SPACE_PIXEL;
        assert_int_equal(
            hs_attribute(f.sampler, labels, &options, NULL, NULL, NULL, &out, NULL, &err),
            HS_ERROR_ARGUMENT);
        hs_latents_free(of);
        hs_directions_free(out);
        hs_labels_free(labels);
        hs_close(&f);
    }
    hs_test_remove_folder(folder);
    free(folder);
}

/* A file that says one thing and holds another. */
static void test_bad_files(void **state) {
    static const struct {
        const char *metadata, *tensors, *fragment;
    } cases[] = {
        {"{\"space\":\"noise\"}", "delta_h", "delta_h"},
        {"{\"space\":\"noise\"}", "delta_x_T", "found no timesteps"},
        {"{\"space\":\"noise\"}", "timesteps", "found no delta_x_T"},
        {"{\"space\":\"latent\"}", "delta_h", "expected h or noise"},
        {"{}", "delta_x_T", "delta_x_T"},
    };
    char *folder = hs_test_make_folder(), path[500];
    snprintf(path, sizeof path, "%s/bad.safetensors", folder);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hs_error err;
        hs_directions *out;
        float values[16] = {1};
        int64_t timesteps[1] = {980};
        bool steps = !strcmp(cases[i].tensors, "timesteps"), h = cases[i].tensors[6] == 'h';
        hs_tensor tensor = {cases[i].tensors,
                            steps ? HS_I64 : HS_F32,
                            steps ? 1
                            : h   ? 5
                                  : 4,
                            {1, 1, 1, 4, 4},
                            steps ? (void *)timesteps : (void *)values};
        assert_ok(hs_safetensors_write(path, &tensor, 1, cases[i].metadata, &err));
        assert_int_equal(hs_directions_load(path, &out, &err), HS_ERROR_FORMAT);
        if (!strstr(err.message, cases[i].fragment) || !strstr(err.message, "bad.safetensors"))
            fail_msg("'%s' is not in: %s", cases[i].fragment, err.message);
    }
    hs_test_remove_folder(folder);
    free(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file), cmocka_unit_test(test_edit), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_attribute), cmocka_unit_test(test_bad_files)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
