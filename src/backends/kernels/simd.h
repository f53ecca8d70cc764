/*
 * One register's worth of floats as a vector. Never more: GCC keeps a vector
 * that is wider than a register in memory, and every operation on it goes
 * through the stack.
 */
#ifndef HS_BACKENDS_SIMD_H
#define HS_BACKENDS_SIMD_H

#include "backends/kernels/kernels.h"

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define HS_PASTE_(a, b) a##_##b
#define HS_PASTE(a, b) HS_PASTE_(a, b)
#define HS_KERNEL(name) HS_PASTE(name, HS_ISA) /* hs_linear -> hs_linear_avx512 */

#if defined(__AVX512F__)
#define HS_LANES 16
#elif defined(__AVX2__)
#define HS_LANES 8
#else
#define HS_LANES 4
#endif

typedef float hs_vec __attribute__((vector_size(4 * HS_LANES), aligned(4), may_alias));
typedef int32_t hs_ivec __attribute__((vector_size(4 * HS_LANES), aligned(4), may_alias));
typedef uint32_t hs_uvec __attribute__((vector_size(4 * HS_LANES), aligned(4), may_alias));

/* A register's worth of doubles, and as many floats. */
#define HS_DOUBLES (HS_LANES / 2)
typedef double hs_dvec __attribute__((vector_size(8 * HS_DOUBLES), aligned(8), may_alias));
typedef float hs_half __attribute__((vector_size(4 * HS_DOUBLES), aligned(4), may_alias));

/* Keeps a broadcast in a register: folded into every multiply-add it would be
 * loaded again for each, and the loads would be the limit. */
#if defined(__AVX512F__)
#define HS_KEEP(x) __asm__("" : "+v"(x))
#elif defined(__AVX2__)
#define HS_KEEP(x) __asm__("" : "+x"(x))
#elif defined(__aarch64__)
#define HS_KEEP(x) __asm__("" : "+w"(x))
#else
#define HS_KEEP(x) ((void)0)
#endif

#define HS_INLINE static inline __attribute__((always_inline))

HS_INLINE hs_vec hs_load(const float *x) {
    return *(const hs_vec *)x;
}

HS_INLINE void hs_store(float *x, hs_vec v) {
    *(hs_vec *)x = v;
}

HS_INLINE hs_dvec hs_widen(const float *x) {
    return __builtin_convertvector(*(const hs_half *)x, hs_dvec);
}

HS_INLINE void hs_store_rounded(float *x, hs_dvec v) {
    *(hs_half *)x = __builtin_convertvector(v, hs_half);
}

HS_INLINE hs_vec hs_set1(float x) {
    return x - (hs_vec){0};
}

/* a b + c, rounded once where the processor can: written as a product and a sum, the
 * compiler would do so in one place and not in the next. */
HS_INLINE hs_vec hs_multiply_add(hs_vec a, hs_vec b, hs_vec c) {
#if defined(__AVX512F__)
    return (hs_vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX2__)
    return (hs_vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__aarch64__)
    return (hs_vec)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    return a * b + c;
#endif
}

/* In pairs, so that the order does not hang on the compiler. */
HS_INLINE float hs_sum(hs_vec v) {
    float part[HS_LANES];
    hs_store(part, v);
    for (int half = HS_LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            part[i] += part[i + half];
    return part[0];
}

/* low <= x <= high; a NaN stays one. */
HS_INLINE hs_vec hs_clamp(hs_vec x, float low, float high) {
#if defined(__AVX512F__)
    return _mm512_min_ps(hs_set1(high), _mm512_max_ps(hs_set1(low), x));
#elif defined(__AVX2__)
    return _mm256_min_ps(hs_set1(high), _mm256_max_ps(hs_set1(low), x));
#else
    hs_ivec below = x<low, above = x> high;
    hs_ivec bits = ((hs_ivec)x & ~(below | above)) | ((hs_ivec)hs_set1(low) & below) |
                   ((hs_ivec)hs_set1(high) & above);
    return (hs_vec)bits;
#endif
}

/*
 * exp(x), within 2 ulp for x in [-87, 88]; outside the argument is clamped.
 * x = k ln 2 + r with |r| <= ln 2 / 2; ln 2 is split in two so that r is exact
 * to float precision, and e^r is its Taylor polynomial up to r^7.
 */
HS_INLINE hs_vec hs_exp(hs_vec x) {
    x = hs_clamp(x, -87.0f, 88.0f);
    const hs_vec magic = hs_set1(12582912.0f); /* 1.5 * 2^23: adding it rounds */
    hs_vec k = x * 1.44269504088896341f + magic;
    hs_ivec n = (hs_ivec)k - (hs_ivec)magic;
    k -= magic;
    hs_vec r = x - k * 0.693359375f;
    r = r + k * 2.12194440e-4f;
    hs_vec p = hs_set1(1.0f / 5040);
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    return (hs_vec)((hs_ivec)p + (n << 23));
}

HS_INLINE hs_vec hs_silu(hs_vec x) {
    return x / (1.0f + hs_exp(-x));
}

/* The same within 4e-6 of itself for |x| < 32, in two thirds of the instructions: 2^t by the
 * polynomial of the smallest relative error, 2.6e-6, for |t| <= 1/2. With `small`, |x| < 80. */
HS_INLINE hs_vec hs_silu_rounded(hs_vec x, bool small) {
    const hs_vec magic = hs_set1(12582912.0f); /* its lowest bits become the exponent's */
    hs_vec t = x * -1.44269504088896341f;
    if (!small)
        t = hs_clamp(t, -126.0f, 126.0f);
    hs_vec n = t + magic, f = t - (n - magic), f2 = f * f;
    hs_vec low = hs_multiply_add(hs_set1(0.693121815f), f, hs_set1(0.999999261f));
    hs_vec high = hs_multiply_add(hs_set1(0.0559178606f), f, hs_set1(0.240247448f));
    high = hs_multiply_add(hs_set1(0.00957010182f), f2, high);
    hs_vec p = hs_multiply_add(high, f2, low);
    return x / (1.0f + (hs_vec)((hs_ivec)p + ((hs_ivec)n << 23)));
}

#endif
