/* See pca_run_support.h. */
#include "directions/pca_run_support.h"

#include <string.h>

hs_test_pca hs_test_pca_open(const char *model, int steps, double eta, int64_t z_seed) {
    hs_error err;
    hs_test_pca pca = {.model = hs_tiny_open(model)};
    pca.denoiser = hs_tiny_denoiser(pca.model);
    hs_sampler_options options = hs_sampler_options_default();
    options.steps = steps;
    options.eta = &eta;
    options.eta_count = 1;
    options.z_seed = z_seed;
    assert_ok(hs_sampler_create(pca.denoiser, &options, NULL, &pca.sampler, &err));
    return pca;
}

void hs_test_pca_close(hs_test_pca *pca) {
    hs_sampler_free(pca->sampler);
    hs_denoiser_free(pca->denoiser);
    hs_tiny_free(pca->model);
}

hs_directions *hs_test_pca_run(const hs_test_pca *pca, const hs_pca_options *options) {
    hs_error err;
    hs_directions *out = NULL;
    assert_ok(hs_pca(pca->sampler, options, NULL, &out, &err));
    assert_non_null(out);
    return out;
}

void hs_test_same_directions(const hs_directions *a, const hs_directions *b) {
    size_t d = (size_t)(a->h_shape[0] * a->h_shape[1] * a->h_shape[2]);
    size_t T = (size_t)a->T, K = (size_t)a->K;
    assert_int_equal(a->K, b->K);
    assert_int_equal(a->S, b->S);
    assert_int_equal(a->T, b->T);
    assert_memory_equal(a->delta_h, b->delta_h, K * T * d * sizeof(float));
    assert_memory_equal(a->sigma, b->sigma, K * T * sizeof(float));
    assert_memory_equal(a->mean, b->mean, T * d * sizeof(float));
    assert_memory_equal(a->timesteps, b->timesteps, T * sizeof(int64_t));
    assert_string_equal(a->metadata, b->metadata);
}
