/*
 * hs_jacobian_directions on whole U-Nets: singular values and subspaces against
 * a full SVD by PyTorch along the same trajectory, units, masks, what keeps the
 * outside, interruption, and what is refused.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "directions/pca_support.h"
#include "io/direction_file.h"

#define HS_STEPS 5
#define HS_STEP 2
/* At tol 1e-3. Beside each: the largest observed. */
#define HS_SIGMA_TOLERANCE 5e-6 /* 7.2e-7: errors go with the square of the residual */
#define HS_ANGLE_TOLERANCE 5e-3 /* 1.0e-3: residual over the gap to the next */

static const char *const models[] = {"heads", "scale_shift", "gray"};

typedef struct opened {
    hs_model *model;
    hs_denoiser *denoiser;
    hs_sampler *sampler;
    hs_model_info info;
    uint8_t *inside; /* [H,W]: x, y, w, h = 2, 1, 4, 5 */
} opened;

static opened open_model(const char *name, double eta, hs_backend_kind backend, int threads) {
    hs_error err;
    opened o = {0};
    char path[200];
    snprintf(path, sizeof path, "golden/models/%s", name);
    assert_ok(hs_model_open(path, NULL, &o.model, &err));
    hs_model_get_info(o.model, &o.info);
    hs_denoiser_options options = hs_denoiser_options_default();
    options.backend = backend;
    options.threads = threads;
    assert_ok(hs_denoiser_create(o.model, &options, &o.denoiser, &err));
    hs_sampler_options sampler = hs_sampler_options_default();
    sampler.steps = HS_STEPS;
    sampler.eta = &eta;
    sampler.eta_count = 1;
    assert_ok(hs_sampler_create(o.denoiser, &sampler, NULL, &o.sampler, &err));
    o.inside = calloc((size_t)o.info.image[1], (size_t)o.info.image[2]);
    assert_non_null(o.inside);
    for (int y = 1; y < 6; y++)
        memset(o.inside + y * o.info.image[2] + 2, 1, 4);
    return o;
}

static void close_model(opened *o) {
    free(o->inside);
    hs_sampler_free(o->sampler);
    hs_denoiser_free(o->denoiser);
    hs_model_free(o->model);
}

static const int one_step[] = {HS_STEP};

static hs_jacobian_options options_for(int k) {
    hs_jacobian_options options = hs_jacobian_options_default();
    options.k = k;
    options.seed = 7;
    options.steps = one_step;
    options.step_count = 1;
    return options;
}

static hs_directions *find(const opened *o, const hs_jacobian_options *options) {
    hs_error err;
    hs_directions *directions = NULL;
    hs_product_stats stats, told;
    assert_ok(hs_jacobian_cost(o->sampler, options, &told, &err));
    assert_int_equal(told.products, 0);
    assert_ok(hs_jacobian_directions(o->sampler, options, NULL, &directions, &stats, &err));
    assert_true(stats.products > 0);
    assert_true(stats.bytes > 0 && stats.bytes == told.bytes);
    return directions;
}

static double norm(const float *x, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

/* ------------------------------------------------------ against PyTorch -- */

static void compare(const hs_tensor_set *golden, const char *name, int eta, bool masked,
                    const hs_directions *found, double worst[2]) {
    char key[100];
    int64_t d = (int64_t)found->h_shape[0] * found->h_shape[1] * found->h_shape[2];
    snprintf(key, sizeof key, "%s/%d/%s/sigma", name, eta, masked ? "mask" : "all");
    const double *sigma = hs_test_golden_f64(golden, key, 6);
    snprintf(key, sizeof key, "%s/%d/%s/v", name, eta, masked ? "mask" : "all");
    const float *v = hs_test_golden_f32(golden, key, 4 * d);
    for (int j = 0; j < 4; j++) {
        worst[0] = fmax(worst[0], fabs((double)found->sigma[j] - sigma[j]) / sigma[j]);
        assert_true(found->residual[j] <= 1e-3F);
    }
    worst[1] = fmax(worst[1], hs_test_spans_angle(4, d, sigma, found->delta_h, d, v, d));
}

static void test_pytorch(void **state) {
    hs_error err;
    hs_tensor_set *golden = NULL;
    double worst[2] = {0, 0};
    assert_ok(hs_safetensors_open("golden/svd.safetensors", &golden, &err));
    for (int run = 0; run < 6; run++) {
        opened o = open_model(models[run / 2], run % 2, HS_BACKEND_ONEDNN, 1);
        hs_mask mask = {.name = "m", .inside = o.inside};
        for (int masked = 0; masked < 2; masked++) {
            hs_jacobian_options options = options_for(4);
            options.masks = &mask;
            options.mask_count = masked;
            hs_directions *found = find(&o, &options);
            compare(golden, models[run / 2], run % 2, masked, found, worst);
            hs_directions_free(found);
        }
        close_model(&o);
    }
    print_message("sigma %.1e, angle %.1e\n", worst[0], worst[1]);
    assert_true(worst[0] <= HS_SIGMA_TOLERANCE);
    assert_true(worst[1] <= HS_ANGLE_TOLERANCE);
    hs_tensor_set_free(golden);
}

/* ---------------------------------------------------------- the whole J -- */

/* All columns of J at a point by hs_denoiser_products; J^T J v = sigma^2 v. */
static void test_dense(void **state) {
    hs_error err;
    opened o = open_model("gray", 0, HS_BACKEND_REF, 1);
    hs_jacobian_options options = options_for(3);
    options.steps = (int[]){0}; /* whose x is x_T */
    hs_directions *found = find(&o, &options);
    size_t m = 64, n = 8 * 4 * 4, k = 3;
    assert_int_equal(found->h_shape[0] * found->h_shape[1] * found->h_shape[2], n);
    float *x = calloc(m, sizeof *x), *eye = calloc(n * n, sizeof *eye);
    float *J = calloc(n * m, sizeof *J), *JTu = calloc(k * n, sizeof *JTu);
    assert_true(x && eye && J && JTu);
    for (size_t i = 0; i < n; i++)
        eye[i * n + i] = 1;
    assert_ok(hs_randn(7, 1, m, x, &err));
    assert_ok(hs_denoiser_products(o.denoiser, x, hs_sampler_timesteps(o.sampler)[0], NULL, (int)n,
                                   eye, J, (int)k, found->u, JTu, &err));
    double worst = 0;
    for (size_t j = 0; j < k; j++) {
        const float *delta_h = found->delta_h + j * n, *u = found->u + j * m;
        double length = norm(delta_h, n), sigma = (double)found->sigma[j];
        assert_true(fabs(norm(u, m) - 1) < 1e-5);
        for (size_t row = 0; row < m; row++) {
            double Jv = 0;
            for (size_t column = 0; column < n; column++)
                Jv += (double)J[column * m + row] * (double)delta_h[column] / length;
            worst = fmax(worst, fabs(Jv / sigma - (double)u[row]));
        }
        for (size_t column = 0; column < n; column++) {
            double sum = 0;
            for (size_t row = 0; row < m; row++)
                sum += (double)J[column * m + row] * (double)u[row];
            assert_true(fabs(sum - (double)JTu[j * n + column]) < 1e-6);
        }
    }
    assert_true(worst < 1e-3); /* tol */
    free(JTu);
    free(J);
    free(eye);
    free(x);
    hs_directions_free(found);
    close_model(&o);
}

/* ------------------------------------------------ units, names, steps -- */

static void test_units(void **state) {
    hs_error err;
    opened o = open_model("heads", 1, HS_BACKEND_ONEDNN, 1);
    size_t n = 16 * 4 * 4, image = 3 * 8 * 8;
    int64_t seed = 7;
    float *x = calloc(image, sizeof *x), *h = calloc(HS_STEPS * n, sizeof *h);
    assert_true(x && h);
    assert_ok(hs_sample(o.sampler, 1, &seed, NULL, NULL, 0, NULL, NULL, x, h, &err));
    hs_jacobian_options options = options_for(2);
    options.step_count = 0;
    hs_directions *found = find(&o, &options);
    assert_int_equal(found->K, 2 * HS_STEPS);
    assert_int_equal(found->S, 1);
    assert_string_equal(found->unit, "tenth of the norm of h");
    double factors[HS_STEPS];
    for (int i = 0; i < found->K; i++) {
        int step = -1;
        char name[20];
        snprintf(name, sizeof name, "s%d.%d", i / 2, i % 2);
        assert_string_equal(hs_directions_name(found, i), name);
        double wanted = 0.1 * norm(h + (size_t)(i / 2) * n, n);
        assert_true(fabs(norm(found->delta_h + (size_t)i * n, n) / wanted - 1) < 1e-5);
        assert_ok(hs_directions_found_at(found, i, o.sampler, &step, &err));
        assert_int_equal(step, i / 2);
        assert_ok(hs_directions_sigma_profile(found, i, o.sampler, factors, &err));
        for (int t = 0; t < HS_STEPS; t++)
            assert_true(fabs(factors[t] * (double)found->sigma[i] -
                             (double)found->sigma[t * 2 + i % 2]) < 1e-7);
    }
    hs_directions_free(found);
    options.step_count = 1;
    found = find(&o, &options);
    assert_int_equal(hs_directions_sigma_profile(found, 0, o.sampler, factors, &err),
                     HS_ERROR_MISMATCH);
    hs_directions_free(found);
    free(h);
    free(x);
    close_model(&o);
}

/* A profile weighs the strength: 2 at one step alone is strength 2 in its window. */
static void test_profile_edit(void **state) {
    hs_error err;
    opened o = open_model("gray", 0, HS_BACKEND_ONEDNN, 1);
    hs_jacobian_options options = options_for(1);
    hs_directions *found = find(&o, &options);
    double profile[HS_STEPS] = {0, 0, 2, 0, 0};
    hs_edit edits[2] = {{.directions = found, .strength = 1, .last = -1, .profile = profile},
                        {.directions = found, .strength = 2, .first = 2, .last = 2}};
    int64_t seed = 11;
    float x[2][64];
    for (int i = 0; i < 2; i++)
        assert_ok(hs_sample(o.sampler, 1, &seed, NULL, edits + i, 1, NULL, NULL, x[i], NULL, &err));
    assert_memory_equal(x[0], x[1], sizeof x[0]);
    profile[3] = NAN;
    assert_int_equal(hs_sample(o.sampler, 1, &seed, NULL, edits, 1, NULL, NULL, x[0], NULL, &err),
                     HS_ERROR_ARGUMENT);
    hs_directions_free(found);
    close_model(&o);
}

/* ------------------------------------------------------------ the same -- */

static void assert_same(const hs_directions *a, const hs_directions *b) {
    size_t K = (size_t)a->K, n = (size_t)(a->h_shape[0] * a->h_shape[1] * a->h_shape[2]);
    size_t m = (size_t)(a->image[0] * a->image[1] * a->image[2]);
    assert_int_equal(a->K, b->K);
    assert_memory_equal(a->delta_h, b->delta_h, K * n * sizeof(float));
    assert_memory_equal(a->u, b->u, K * m * sizeof(float));
    assert_memory_equal(a->sigma, b->sigma, K * sizeof(float));
    assert_memory_equal(a->residual, b->residual, K * sizeof(float));
    assert_string_equal(a->metadata, b->metadata);
}

static void test_threads(void **state) {
    hs_directions *found[2];
    for (int i = 0; i < 2; i++) {
        opened o = open_model("heads", 0, HS_BACKEND_ONEDNN, 1 + 2 * i);
        hs_jacobian_options options = options_for(3);
        found[i] = find(&o, &options);
        close_model(&o);
    }
    assert_same(found[0], found[1]);
    hs_directions_free(found[0]);
    hs_directions_free(found[1]);
}

/* From the seed, and from the latents that it stands for. */
static void test_latents(void **state) {
    hs_error err;
    opened o = open_model("gray", 1, HS_BACKEND_ONEDNN, 1);
    hs_latents *latents = NULL;
    assert_ok(hs_latents_from_seeds(o.sampler, 2, (int64_t[]){3, 7}, &latents, &err));
    hs_jacobian_options options = options_for(2);
    hs_directions *a = find(&o, &options);
    options.latents = latents;
    options.item = 1;
    hs_directions *b = find(&o, &options);
    assert_memory_equal(a->delta_h, b->delta_h, 2 * 128 * sizeof(float));
    options.item = 2;
    hs_directions *none = NULL;
    assert_int_equal(hs_jacobian_directions(o.sampler, &options, NULL, &none, NULL, &err),
                     HS_ERROR_ARGUMENT);
    assert_null(none);
    hs_directions_free(a);
    hs_directions_free(b);
    hs_latents_free(latents);
    close_model(&o);
}

static bool stop_late(void *ctx, const char *phase, double done, double total) {
    assert_true(done >= 0 && done <= total);
    return done < *(const double *)ctx;
}

static void test_resume(void **state) {
    hs_error err;
    opened o = open_model("heads", 1, HS_BACKEND_ONEDNN, 1);
    char *folder = hs_test_make_folder(), path[300];
    snprintf(path, sizeof path, "%s/resume", folder);
    hs_mask masks[] = {{.name = "a", .inside = o.inside}, {.name = "b", .inside = calloc(8, 8)}};
    memset((uint8_t *)(uintptr_t)masks[1].inside + 50, 1, 9);
    hs_jacobian_options options = options_for(2);
    options.steps = (int[]){4, 0, 2};
    options.step_count = 3;
    options.masks = masks;
    options.mask_count = 2;
    hs_directions *whole = find(&o, &options), *out = NULL;
    assert_string_equal(hs_directions_name(whole, 3), "s0.1@b");
    assert_string_equal(hs_directions_name(whole, 8), "s4.0@a");
    options.resume = path;
    for (double stop = 0.5; stop < 7; stop += 2) { /* in the first group, the third, ... */
        hs_monitor monitor = {.ctx = &stop, .progress = stop_late};
        hs_status status = hs_jacobian_directions(o.sampler, &options, &monitor, &out, NULL, &err);
        assert_int_equal(status, stop < 6 ? HS_ERROR_CANCELLED : HS_OK);
        assert_int_equal(access(path, F_OK) == 0, stop > 1);
    }
    assert_same(whole, out);
    options.seed = 8; /* another run */
    hs_directions *none = NULL;
    assert_int_equal(hs_jacobian_directions(o.sampler, &options, NULL, &none, NULL, &err),
                     HS_ERROR_MISMATCH);
    assert_non_null(strstr(err.message, "start: expected 8, found 7"));
    hs_directions_free(out);
    hs_directions_free(whole);
    free((uint8_t *)(uintptr_t)masks[1].inside);
    hs_test_remove_folder(folder);
    free(folder);
    close_model(&o);
}

/* ------------------------------------------------------------- outside -- */

/* |(1 - M) J v| / |J v| of the first direction. */
static double outside_share(const opened *o, const hs_directions *found) {
    hs_error err;
    float x[192], Jv[192];
    double out = 0, all = 0;
    assert_ok(hs_randn(7, 1, 192, x, &err));
    assert_ok(hs_denoiser_products(o->denoiser, x, hs_sampler_timesteps(o->sampler)[0], NULL, 1,
                                   found->delta_h, Jv, 0, NULL, NULL, &err));
    for (int i = 0; i < 192; i++) {
        double square = (double)Jv[i] * (double)Jv[i];
        all += square;
        out += o->inside[i % 64] ? 0 : square;
    }
    return sqrt(out / all);
}

static void test_keep_outside(void **state) {
    opened o = open_model("heads", 0, HS_BACKEND_ONEDNN, 1);
    hs_mask mask = {.name = "m", .inside = o.inside};
    double share[4];
    for (int kind = 0; kind < 4; kind++) { /* no mask, mask, project, ratio */
        hs_jacobian_options options = options_for(2);
        options.steps = (int[]){0};
        options.masks = &mask;
        options.mask_count = kind > 0;
        options.keep_outside = kind > 1 ? (hs_keep_outside)(kind - 1) : HS_KEEP_OUTSIDE_NO;
        options.outside_count = 12;
        hs_directions *found = find(&o, &options);
        share[kind] = outside_share(&o, found);
        hs_directions_free(found);
    }
    print_message("outside: %.3f, masked %.3f, projected %.3f, ratio %.3f\n", share[0], share[1],
                  share[2], share[3]);
    assert_true(share[1] < share[0]);
    assert_true(share[2] < share[1]);
    assert_true(share[3] < share[1]);
    close_model(&o);
}

/* ------------------------------------------------------------- refused -- */

static void refuse(const opened *o, const hs_jacobian_options *options, hs_status wanted,
                   const char *words) {
    hs_error err = {0};
    hs_directions *none = NULL;
    hs_status status = hs_jacobian_directions(o->sampler, options, NULL, &none, NULL, &err);
    if (status != wanted || !strstr(err.message, words))
        fail_msg("expected %s and \"%s\", found %s: %s", hs_status_name(wanted), words,
                 hs_status_name(status), err.message);
    assert_null(none);
}

static void test_refused(void **state) {
    opened o = open_model("gray", 0, HS_BACKEND_ONEDNN, 1);
    uint8_t empty[64] = {0}, all[64], dot[64] = {[9] = 1}, two[64] = {[3] = 2};
    memset(all, 1, sizeof all);
    hs_mask mask = {.name = "m", .inside = empty}, twins[2] = {{"m", NULL, dot}, {"m", NULL, dot}};
    hs_jacobian_options options = options_for(2), o2;
    options.masks = &mask;
    options.mask_count = 1;
    refuse(&o, &options, HS_ERROR_ARGUMENT, "mask m: no pixel is inside");
    mask.inside = two;
    refuse(&o, &options, HS_ERROR_ARGUMENT, "pixel 3 is 2");
    mask.inside = dot;
    refuse(&o, &options, HS_ERROR_ARGUMENT, "at most 1 directions");
    mask.inside = all;
    options.keep_outside = HS_KEEP_OUTSIDE_PROJECT;
    refuse(&o, &options, HS_ERROR_ARGUMENT, "no outside to keep");
    options.mask_count = 0;
    refuse(&o, &options, HS_ERROR_ARGUMENT, "needs a mask");
    o2 = options_for(1);
    o2.masks = twins;
    o2.mask_count = 2;
    refuse(&o, &o2, HS_ERROR_ARGUMENT, "two masks are named m");
    o2 = options_for(65);
    refuse(&o, &o2, HS_ERROR_ARGUMENT, "k is 65, but d eps / d h is 64 x 128");
    o2 = options_for(0);
    refuse(&o, &o2, HS_ERROR_ARGUMENT, "k is 0");
    o2 = options_for(1);
    o2.steps = (int[]){5};
    refuse(&o, &o2, HS_ERROR_ARGUMENT, "step 5, expected 0 to 4");
    o2.steps = (int[]){1, 1};
    o2.step_count = 2;
    refuse(&o, &o2, HS_ERROR_ARGUMENT, "step 1 is asked for twice");
    o2 = options_for(1);
    o2.tol = NAN;
    refuse(&o, &o2, HS_ERROR_ARGUMENT, "tol is nan");
    o2 = options_for(4);
    o2.max_products = 20;
    refuse(&o, &o2, HS_ERROR_NUMERIC, "step 2 (timestep 400)");
    o2 = options_for(4);
    o2.max_mem = 1000;
    refuse(&o, &o2, HS_ERROR_MEMORY, "the memory budget");
    close_model(&o);
}

/* A latent with NaN in it: said, and nothing returned. */
static void test_nan(void **state) {
    hs_error err;
    opened o = open_model("gray", 0, HS_BACKEND_ONEDNN, 1);
    hs_latents *latents = NULL;
    hs_latents_view view;
    assert_ok(hs_latents_from_seeds(o.sampler, 1, (int64_t[]){7}, &latents, &err));
    hs_latents_view_get(latents, &view);
    ((float *)(uintptr_t)view.x_T)[5] = NAN;
    hs_jacobian_options options = options_for(2);
    options.latents = latents;
    refuse(&o, &options, HS_ERROR_NUMERIC, "NaN");
    options.steps = (int[]){0};
    refuse(&o, &options, HS_ERROR_NUMERIC, "NaN");
    hs_latents_free(latents);
    close_model(&o);
}

/* What is told keeps within any budget that is not refused, vectors, slopes and all, and
 * the directions are the same. */
static void test_max_mem(void **state) {
    hs_error err;
    opened o = open_model("../../../models/demo/avatars64", 0, HS_BACKEND_ONEDNN, 2);
    hs_jacobian_options options = options_for(3);
    hs_product_stats told;
    hs_directions *free_ones = find(&o, &options);
    size_t size = (size_t)free_ones->h_shape[0] * (size_t)free_ones->h_shape[1] *
                  (size_t)free_ones->h_shape[2];
    assert_ok(hs_jacobian_cost(o.sampler, &options, &told, &err));
    int64_t all = told.bytes, step = 1000000;
    int kept = 0;
    for (options.max_mem = all * 3 / 4; options.max_mem < all + 2 * step; options.max_mem += step) {
        hs_status status = hs_jacobian_cost(o.sampler, &options, &told, &err);
        if (status == HS_ERROR_MEMORY && !kept)
            continue; /* too little, until it is enough */
        assert_ok(status);
        assert_true(told.bytes <= options.max_mem);
        if (kept++ % 12)
            continue;
        hs_directions *found = find(&o, &options);
        assert_memory_equal(found->delta_h, free_ones->delta_h, 3 * size * sizeof(float));
        hs_directions_free(found);
    }
    assert_true(kept > 3);
    hs_directions_free(free_ones);
    close_model(&o);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pytorch), cmocka_unit_test(test_dense),
        cmocka_unit_test(test_units),   cmocka_unit_test(test_profile_edit),
        cmocka_unit_test(test_threads), cmocka_unit_test(test_latents),
        cmocka_unit_test(test_resume),  cmocka_unit_test(test_keep_outside),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_nan),
        cmocka_unit_test(test_max_mem),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
