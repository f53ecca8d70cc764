/* A sampler of the tiny network for the tests of hs_pca. */
#ifndef HS_TESTS_PCA_RUN_SUPPORT_H
#define HS_TESTS_PCA_RUN_SUPPORT_H

#include "diffusion/tiny_model.h"
#include "diffusion/trajectory.h"
#include "io/direction_file.h"

typedef struct hs_test_pca {
    hs_model *model;
    hs_denoiser *denoiser;
    hs_sampler *sampler;
} hs_test_pca;

/* `model` as for hs_tiny_open; one eta for all steps. */
hs_test_pca hs_test_pca_open(const char *model, int steps, double eta, int64_t z_seed);
void hs_test_pca_close(hs_test_pca *pca);

/* Run; fails the test on an error. */
hs_directions *hs_test_pca_run(const hs_test_pca *pca, const hs_pca_options *options);

/* Fails unless both hold the same bits. */
void hs_test_same_directions(const hs_directions *a, const hs_directions *b);

#endif
