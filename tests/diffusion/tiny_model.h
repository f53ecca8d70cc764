/*
 * The tiny network of golden/make_diffusion.py as a model, so that denoiser
 * and sampler are tested without the rooms that read checkpoints:
 *
 *   a = silu(conv(x) + linear(sinusoids(t)));  h = conv(pool(a))
 *   eps = x + conv([upsample(silu(h + delta_h)), a])
 */
#ifndef HS_TESTS_DIFFUSION_TINY_MODEL_H
#define HS_TESTS_DIFFUSION_TINY_MODEL_H

#include "golden.h"

#include "denoiser.h"

/* "rgb" (3x8x8), "odd" (1x6x6) or "dot" (1x2x2), with a plain linear schedule
 * that the test may change. Free with hs_tiny_free, not hs_model_free. */
hs_model *hs_tiny_open(const char *name);
void hs_tiny_free(hs_model *model);

/* A denoiser for it by the reference back end. */
hs_denoiser *hs_tiny_denoiser(hs_model *model);

#endif
