/*
 * PyTorch's CPU generator: torch.Generator().manual_seed(seed) and
 * torch.randn in float32, value for value (METHODS 2 states the algorithm).
 */
#ifndef HS_BASE_RANDOM_H
#define HS_BASE_RANDOM_H

#include "base/error.h"

/* Plain data: copy it to fork the stream, write it to resume it. */
typedef struct hs_generator {
    uint32_t state[624]; /* MT19937 */
    int32_t index;       /* next word of `state`; 624: twist first */
    int32_t has_cached_normal;
    double cached_normal; /* second value of the double path (count < 16) */
} hs_generator;

void hs_generator_seed(hs_generator *generator, uint64_t seed); /* low 32 bits count */
uint32_t hs_generator_u32(hs_generator *generator);
/* (u32 & 0xFFFFFF) / 2^24, as torch.rand in float32. */
float hs_generator_uniform(hs_generator *generator);
/* One call of torch.randn(count). */
void hs_generator_randn(hs_generator *generator, size_t count, float *out);

#endif
