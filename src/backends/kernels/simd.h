/*
 * Sixteen floats as a vector; the compiler maps them to one AVX-512 register,
 * two AVX2 ones, or four of SSE or NEON.
 */
#ifndef HS_BACKENDS_SIMD_H
#define HS_BACKENDS_SIMD_H

#include "backends/kernels/kernels.h"

#define HS_PASTE_(a, b) a##_##b
#define HS_PASTE(a, b) HS_PASTE_(a, b)
#define HS_KERNEL(name) HS_PASTE(name, HS_ISA) /* hs_linear -> hs_linear_avx512 */

typedef float hs_v16 __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t hs_i16 __attribute__((vector_size(64), aligned(4), may_alias));

#define HS_INLINE static inline __attribute__((always_inline))

HS_INLINE hs_v16 hs_load(const float *x) {
    return *(const hs_v16 *)x;
}

HS_INLINE void hs_store(float *x, hs_v16 v) {
    *(hs_v16 *)x = v;
}

HS_INLINE hs_v16 hs_set1(float x) {
    return (hs_v16){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x};
}

HS_INLINE float hs_sum16(hs_v16 v) {
    float sum = 0;
    for (int i = 0; i < 16; i++)
        sum += v[i];
    return sum;
}

HS_INLINE hs_v16 hs_select(hs_i16 mask, hs_v16 yes, hs_v16 no) {
    return (hs_v16)(((hs_i16)yes & mask) | ((hs_i16)no & ~mask));
}

/*
 * exp(x), within 2 ulp for x in [-87, 88]; outside the argument is clamped.
 * x = k ln 2 + r with |r| <= ln 2 / 2; ln 2 is split in two so that r is exact
 * to float precision, and e^r is its Taylor polynomial up to r^7.
 */
HS_INLINE hs_v16 hs_exp(hs_v16 x) {
    const hs_v16 low = hs_set1(-87.0f), high = hs_set1(88.0f);
    x = hs_select(x < low, low, x);
    x = hs_select(x > high, high, x);
    const hs_v16 magic = hs_set1(12582912.0f); /* 1.5 * 2^23: adding it rounds */
    hs_v16 k = x * 1.44269504088896341f + magic;
    hs_i16 n = (hs_i16)k - (hs_i16)magic;
    k -= magic;
    hs_v16 r = x - k * 0.693359375f;
    r = r + k * 2.12194440e-4f;
    hs_v16 p = hs_set1(1.0f / 5040);
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    return (hs_v16)((hs_i16)p + (n << 23));
}

HS_INLINE hs_v16 hs_silu(hs_v16 x) {
    return x / (1.0f + hs_exp(-x));
}

#endif
