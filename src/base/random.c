/* See random.h. MT19937: Matsumoto and Nishimura, 1998. */
#include "base/random.h"

#include <math.h>

void hs_generator_seed(hs_generator *generator, uint64_t seed) {
    *generator = (hs_generator){.index = 624};
    uint32_t *mt = generator->state;
    mt[0] = (uint32_t)seed;
    for (uint32_t i = 1; i < 624; i++)
        mt[i] = 1812433253u * (mt[i - 1] ^ (mt[i - 1] >> 30)) + i;
}

static void hs_twist(hs_generator *generator) {
    uint32_t *mt = generator->state;
    for (int i = 0; i < 624; i++) {
        uint32_t y = (mt[i] & 0x80000000u) | (mt[(i + 1) % 624] & 0x7fffffffu);
        mt[i] = mt[(i + 397) % 624] ^ (y >> 1) ^ (y & 1 ? 0x9908b0dfu : 0);
    }
    generator->index = 0;
}

uint32_t hs_generator_u32(hs_generator *generator) {
    if (generator->index >= 624)
        hs_twist(generator);
    uint32_t y = generator->state[generator->index++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

float hs_generator_uniform(hs_generator *generator) {
    return (float)(hs_generator_u32(generator) & 0xffffffu) * 0x1p-24f;
}

/* 53 bits of two words, the first one high. */
static double hs_uniform_double(hs_generator *generator) {
    uint64_t high = hs_generator_u32(generator), low = hs_generator_u32(generator);
    return (double)((high << 32 | low) & ((UINT64_C(1) << 53) - 1)) * 0x1p-53;
}

/* Box-Muller on 16 uniforms in place: pair j is (u[j], u[j+8]). */
static void hs_normal_16(float *u) {
    for (int j = 0; j < 8; j++) {
        float radius = sqrtf(-2.0f * logf(1.0f - u[j]));
        float theta = 6.283185307179586f * u[j + 8];
        u[j] = radius * cosf(theta);
        u[j + 8] = radius * sinf(theta);
    }
}

static void hs_normal_fill_16(hs_generator *generator, float *out) {
    for (int j = 0; j < 16; j++)
        out[j] = hs_generator_uniform(generator);
    hs_normal_16(out);
}

/* Short calls go one by one through double, two normals from two uniforms. */
static double hs_normal_double(hs_generator *generator) {
    if (generator->has_cached_normal) {
        generator->has_cached_normal = 0;
        return generator->cached_normal;
    }
    double u1 = hs_uniform_double(generator), u2 = hs_uniform_double(generator);
    double radius = sqrt(-2.0 * log1p(-u2)), theta = 6.283185307179586 * u1;
    generator->cached_normal = radius * sin(theta);
    generator->has_cached_normal = 1;
    return radius * cos(theta);
}

void hs_generator_randn(hs_generator *generator, size_t count, float *out) {
    if (count < 16) {
        for (size_t i = 0; i < count; i++)
            out[i] = (float)hs_normal_double(generator);
        return;
    }
    size_t whole = count / 16 * 16;
    for (size_t i = 0; i < whole; i += 16)
        hs_normal_fill_16(generator, out + i);
    if (count == whole)
        return;
    /* PyTorch draws all `count` uniforms first; those of the incomplete block
     * are used up, and the last 16 values are drawn anew. */
    for (size_t i = whole; i < count; i++)
        hs_generator_uniform(generator);
    hs_normal_fill_16(generator, out + count - 16);
}
