/* hs_mix_samples and its blends, against numpy, PyTorch and plain sampling. */
#include "tiny_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edit/blend.h"
#include "io/latent_file.h"

#define X 192 /* 3x8x8 */
#define HH 96 /* 6x4x4 */
#define T 10

static const char *const kinds[] = {"lerp", "slerp", "sqrt"};
static const char *const spaces[] = {"h", "noise", "pixel"};
static const int64_t seeds[] = {3, INT64_C(4294967301)};

typedef struct hs_fixture {
    hs_tensor_set *golden;
    hs_model *model;
    hs_denoiser *denoiser;
    hs_sampler *sampler;
    int calls, stop_after;
    double done, total;
} hs_fixture;

static void hs_open(hs_fixture *f, double eta, bool asyrp) {
    hs_error err;
    *f = (hs_fixture){.golden = hs_golden_open("mix"), .model = hs_tiny_open("rgb")};
    f->denoiser = hs_tiny_denoiser(f->model);
    hs_sampler_options options = {
        .steps = T, .eta = &eta, .eta_count = 1, .z_seed = HS_Z_CONTINUE, .asyrp = asyrp};
    assert_ok(hs_sampler_create(f->denoiser, &options, NULL, &f->sampler, &err));
}

static void hs_close(hs_fixture *f) {
    hs_sampler_free(f->sampler);
    hs_denoiser_free(f->denoiser);
    hs_tiny_free(f->model);
    hs_tensor_set_free(f->golden);
}

static void hs_mix_seeds(hs_fixture *f, hs_space space, hs_blend blend, int n, const hs_mix *mixes,
                         float *x_0) {
    hs_error err;
    assert_ok(
        hs_mix_samples(f->sampler, 2, seeds, NULL, space, blend, n, mixes, NULL, x_0, NULL, &err));
}

/* Largest error ever seen: 7e-8. */
static void test_blends(void **state) {
    hs_tensor_set *golden = hs_golden_open("mix");
    float *vectors = hs_golden_f32(golden, "vectors", 8 * 60), out[4 * 60];
    for (int kind = 0; kind < 3; kind++)
        for (int which = 0; which < 2; which++) {
            char name[60];
            snprintf(name, sizeof name, "blend.%s.%s", kinds[kind], which ? "0.9" : "0.25");
            float *expected = hs_golden_f32(golden, name, 4 * 60);
            for (int pair = 0; pair < 4; pair++) {
                const float *a = vectors + pair * 2 * 60;
                hs_blend_vectors((hs_blend)kind, which ? 0.9 : 0.25, 60, a, a + 60,
                                 out + pair * 60);
                assert_true(hs_test_relative_error(out + pair * 60, expected + pair * 60, 60) <=
                            5e-7);
            }
            free(expected);
        }
    free(vectors);
    hs_tensor_set_free(golden);
}

static double hs_norm(const float *x, int count) {
    double sum = 0;
    for (int i = 0; i < count; i++)
        sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

/* What each is for: slerp keeps the norm of vectors of equal norm, sqrt that of
 * orthogonal ones; lerp shortens both. Ends are copies, and so is what lies
 * between a vector and itself. */
static void test_blend_properties(void **state) {
    float a[4] = {3, 0, 0, 4}, b[4] = {0, 5, 0, 0}, zero[4] = {0}, opposite[4], out[4];
    for (int i = 0; i < 4; i++)
        opposite[i] = -a[i];
    for (int kind = 0; kind < 3; kind++) {
        hs_blend_vectors((hs_blend)kind, 0, 4, a, b, out);
        assert_memory_equal(out, a, sizeof a);
        hs_blend_vectors((hs_blend)kind, 1, 4, a, b, out);
        assert_memory_equal(out, b, sizeof b);
    }
    for (double w = 0.1; w < 1; w += 0.2) {
        hs_blend_vectors(HS_BLEND_SLERP, w, 4, a, b, out);
        assert_true(fabs(hs_norm(out, 4) - 5) < 1e-6);
        hs_blend_vectors(HS_BLEND_SQRT, w, 4, a, b, out);
        assert_true(fabs(hs_norm(out, 4) - 5) < 1e-6);
        hs_blend_vectors(HS_BLEND_LERP, w, 4, a, b, out);
        assert_true(fabs(hs_norm(out, 4) - 5 * hypot(w, 1 - w)) < 1e-6);
        hs_blend_vectors(HS_BLEND_SLERP, w, 4, a, a, out);
        assert_memory_equal(out, a, sizeof a);
        hs_blend_vectors(HS_BLEND_LERP, w, 4, a, a, out);
        assert_memory_equal(out, a, sizeof a);
    }
    hs_blend_vectors(HS_BLEND_SLERP, 0.25, 4, a, zero, out);
    assert_true(out[0] == 2.25F);
    hs_blend_vectors(HS_BLEND_SLERP, 0.25, 4, a, opposite, out); /* no arc: through the middle */
    assert_true(out[0] == 1.5F && out[3] == 2);
}

/* Every space and kind of blend, by a PyTorch loop that has h replaced. Largest
 * error ever seen, here and below: 5.3e-7. */
static void test_against_pytorch(void **state) {
    const hs_mix mixes[] = {{0, 0, 1, 0.3}, {1, 1, 0, 0.3}}, swaps[] = {{0, 0, 1, 1}, {1, 1, 0, 1}};
    for (int eta = 0; eta < 2; eta++) {
        hs_fixture f;
        char name[60];
        float x_0[2 * X], *expected;
        hs_open(&f, 0.5 * eta, false);
        for (int space = 0; space < 3; space++)
            for (int kind = 0; kind < 3; kind++) {
                snprintf(name, sizeof name, "x_0.%s.%s.%s", spaces[space], kinds[kind],
                         eta ? "0.5" : "0.0");
                expected = hs_golden_f32(f.golden, name, 2 * X);
                hs_mix_seeds(&f, (hs_space)space, (hs_blend)kind, 2, mixes, x_0);
                if (!(hs_test_relative_error(x_0, expected, 2 * X) <= 4e-6))
                    fail_msg("%s: %g", name, hs_test_relative_error(x_0, expected, 2 * X));
                free(expected);
            }
        expected = hs_golden_f32(f.golden, eta ? "swap.0.5" : "swap.0.0", 2 * X);
        hs_mix_seeds(&f, HS_SPACE_H, HS_BLEND_LERP, 2, swaps, x_0);
        assert_true(hs_test_relative_error(x_0, expected, 2 * X) <= 4e-6);
        free(expected);
        hs_close(&f);
    }
}

/* Asyrp: the other's h in x0_hat, one's own in the direction to x_t. */
static void test_asyrp(void **state) {
    const hs_mix swaps[] = {{0, 0, 1, 1}, {1, 1, 0, 1}};
    hs_fixture f;
    float x_0[2 * X], *expected;
    hs_open(&f, 0.5, true);
    expected = hs_golden_f32(f.golden, "swap.asyrp", 2 * X);
    hs_mix_seeds(&f, HS_SPACE_H, HS_BLEND_LERP, 2, swaps, x_0);
    assert_true(hs_test_relative_error(x_0, expected, 2 * X) <= 4e-6);
    hs_pass_stats stats;
    hs_denoiser_stats(f.denoiser, &stats);
    assert_int_equal(stats.passes, T * (2 + 2 * 2));
    free(expected);
    hs_close(&f);
}

/* Ends are the plain samples, bit for bit; a mix of many is each alone. */
static void test_ends_and_batches(void **state) {
    enum { n = 23 };
    hs_error err;
    hs_fixture f;
    static float plain[2 * X], x_0[n * X], one[X];
    hs_open(&f, 0.5, false);
    assert_ok(hs_sample(f.sampler, 2, seeds, NULL, NULL, 0, NULL, NULL, plain, NULL, &err));
    for (int space = 0; space < 3; space++)
        for (int kind = 0; kind < 3; kind++) {
            const hs_mix ends[] = {{0, 0, 1, 0}, {1, 0, 1, 1}};
            hs_mix_seeds(&f, (hs_space)space, (hs_blend)kind, 2, ends, x_0);
            assert_memory_equal(x_0, plain, sizeof plain);
        }
    for (int space = 0; space < 3; space++) {
        hs_mix mixes[n];
        for (int i = 0; i < n; i++)
            mixes[i] = (hs_mix){i % 2, i % 2, 1 - i % 2, i / (double)(n - 1)};
        hs_mix_seeds(&f, (hs_space)space, HS_BLEND_SLERP, n, mixes, x_0);
        for (int i = 1; i < n; i += 7) {
            hs_mix_seeds(&f, (hs_space)space, HS_BLEND_SLERP, 1, mixes + i, one);
            assert_memory_equal(one, x_0 + i * X, sizeof one);
        }
    }
    hs_close(&f);
}

/* Putting back a sample's own h changes nothing: on the embedded model too, whose
 * middle block the CPU back end then leaves out, wherever h is. */
static void test_own_h(void **state) {
    for (int h_space = HS_H_BEFORE; h_space <= HS_H_AFTER; h_space++) {
        hs_error err;
        hs_model *model;
        hs_denoiser *denoiser;
        enum { size = 3 * 32 * 32, n = 3 };
        static float x[n * size], eps[n * size], again[n * size], h[n * 128 * 8 * 8];
        const int t[n] = {980, 500, 20};
        hs_denoiser_options options = hs_denoiser_options_default();
        options.h_space = (hs_h_space)h_space;
        assert_ok(hs_model_open("../models/demo/avatars32", NULL, &model, &err));
        assert_ok(hs_denoiser_create(model, &options, &denoiser, &err));
        assert_ok(hs_randn(1, n, size, x, &err));
        assert_ok(hs_denoiser_eps(denoiser, n, x, t, NULL, eps, h, &err));
        assert_ok(hs_denoiser_eps_at_h(denoiser, n, x, t, h, again, &err));
        assert_memory_equal(eps, again, sizeof eps);
        h[5] += 1;
        assert_ok(hs_denoiser_eps_at_h(denoiser, n, x, t, h, again, &err));
        assert_memory_not_equal(eps, again, size * sizeof *eps);
        assert_memory_equal(eps + size, again + size, (n - 1) * size * sizeof *eps);
        h[7] = NAN;
        assert_int_equal(hs_denoiser_eps_at_h(denoiser, n, x, t, h, again, &err), HS_ERROR_NUMERIC);
        assert_non_null(strstr(err.message, "the given h"));
        hs_denoiser_free(denoiser);
        hs_model_free(model);
    }
}

/* `used` is what was used: noise makes the images again, and in h-space x_T, z
 * and h are the base's and the other's. */
static void test_used(void **state) {
    const hs_mix mixes[] = {{0, 0, 1, 0}, {0, 0, 1, 0.4}, {1, 1, 0, 1}};
    hs_error err;
    hs_fixture f;
    hs_latents *used, *start;
    hs_latents_view view, plain;
    static float x_0[3 * X], again[3 * X], h[2 * T * HH];
    hs_open(&f, 0.5, false);
    assert_ok(hs_mix_samples(f.sampler, 2, seeds, NULL, HS_SPACE_NOISE, HS_BLEND_SQRT, 3, mixes,
                             NULL, x_0, &used, &err));
    assert_ok(hs_sample(f.sampler, 3, NULL, used, NULL, 0, NULL, NULL, again, NULL, &err));
    assert_memory_equal(x_0, again, sizeof x_0);
    hs_latents_free(used);

    assert_ok(hs_latents_from_seeds(f.sampler, 2, seeds, &start, &err));
    assert_ok(hs_sample(f.sampler, 2, seeds, NULL, NULL, 0, NULL, NULL, again, h, &err));
    hs_latents_view_get(start, &plain);
    /* From latents as from seeds. */
    assert_ok(hs_mix_samples(f.sampler, 0, NULL, start, HS_SPACE_H, HS_BLEND_LERP, 3, mixes, NULL,
                             x_0, &used, &err));
    hs_mix_seeds(&f, HS_SPACE_H, HS_BLEND_LERP, 3, mixes, again);
    assert_memory_equal(x_0, again, sizeof x_0);
    hs_latents_view_get(used, &view);
    assert_int_equal(view.n, 3);
    assert_memory_equal(view.x_T, plain.x_T, X * sizeof(float));
    assert_memory_equal(view.x_T + X, plain.x_T, X * sizeof(float));
    assert_memory_equal(view.x_T + 2 * X, plain.x_T + X, X * sizeof(float));
    assert_memory_equal(view.z + T * X, plain.z, T * X * sizeof(float));
    assert_memory_equal(view.h, h, T * HH * sizeof(float));
    assert_memory_equal(view.h + 2 * T * HH, h, T * HH * sizeof(float)); /* swapped */
    for (int i = 0; i < T * HH; i += 37)
        assert_true(fabs((double)view.h[T * HH + i] -
                         (0.6 * (double)h[i] + 0.4 * (double)h[T * HH + i])) < 1e-6);
    hs_latents_free(used);
    hs_latents_free(start);
    hs_close(&f);
}

static bool hs_watch(void *ctx, const char *phase, double done, double total) {
    hs_fixture *f = ctx;
    assert_true(done >= f->done && done <= total);
    f->done = done;
    f->total = total;
    return ++f->calls != f->stop_after;
}

static void test_cancel_and_refusals(void **state) {
    hs_error err;
    hs_fixture f;
    hs_latents *latents, *used = NULL;
    float x_0[X], untouched[X] = {0};
    memset(x_0, 0, sizeof x_0);
    hs_open(&f, 0, false);
    hs_mix mix = {0, 0, 1, 0.5};
    hs_monitor monitor = {.ctx = &f, .progress = hs_watch};
    assert_ok(hs_mix_samples(f.sampler, 2, seeds, NULL, HS_SPACE_H, HS_BLEND_LERP, 1, &mix,
                             &monitor, x_0, NULL, &err));
    assert_true(f.done == f.total && f.total == 3 * T);
    memset(x_0, 0, sizeof x_0);
    f.stop_after = 5;
    f.done = f.calls = 0;
    assert_int_equal(hs_mix_samples(f.sampler, 2, seeds, NULL, HS_SPACE_H, HS_BLEND_LERP, 1, &mix,
                                    &monitor, x_0, &used, &err),
                     HS_ERROR_CANCELLED);
    assert_null(used);
    assert_memory_equal(x_0, untouched, sizeof x_0);

    static const hs_mix bad[] = {
        {2, 0, 1, 0}, {0, -1, 1, 0}, {0, 0, 2, 0}, {0, 0, 1, 1.5}, {0, 0, 1, NAN}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(hs_mix_samples(f.sampler, 2, seeds, NULL, HS_SPACE_H, HS_BLEND_LERP, 1,
                                        &bad[i], NULL, x_0, NULL, &err),
                         HS_ERROR_ARGUMENT);
    assert_int_equal(hs_mix_samples(f.sampler, 2, seeds, NULL, HS_SPACE_PIXEL, HS_BLEND_LERP, 1,
                                    &mix, NULL, x_0, &used, &err),
                     HS_ERROR_ARGUMENT);
    assert_int_equal(hs_mix_samples(f.sampler, 2, NULL, NULL, HS_SPACE_H, HS_BLEND_LERP, 1, &mix,
                                    NULL, x_0, NULL, &err),
                     HS_ERROR_ARGUMENT);
    assert_ok(hs_latents_from_seeds(f.sampler, 2, seeds, &latents, &err));
    latents->image[1] = 4;
    assert_int_equal(hs_mix_samples(f.sampler, 0, NULL, latents, HS_SPACE_H, HS_BLEND_LERP, 1, &mix,
                                    NULL, x_0, NULL, &err),
                     HS_ERROR_MISMATCH);
    hs_latents_free(latents);
    hs_close(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_blends),
                                       cmocka_unit_test(test_blend_properties),
                                       cmocka_unit_test(test_against_pytorch),
                                       cmocka_unit_test(test_asyrp),
                                       cmocka_unit_test(test_ends_and_batches),
                                       cmocka_unit_test(test_own_h),
                                       cmocka_unit_test(test_used),
                                       cmocka_unit_test(test_cancel_and_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
