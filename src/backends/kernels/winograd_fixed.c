/*
 * Winograd's products with fixed-point factors: integers of 16 bits, two products of which
 * an AVX2 processor adds in one instruction, and one with VNNI to their sum besides, where
 * it does one of float32.
 *
 *   V = v (b / 32764) g    v: |v| < 2^15; b: the largest of the tile's pixels, all channels
 *                          of the part; g: the most that its position makes of pixels <= 1
 *   U = u s                s: of a position, an output channel and a chain of input channels
 *   M = sum over chains of (b / 32764) (g s) sum over c of v u
 *
 * s is so large that 2^15 times the sum of |u| over a chain stays below 2^31: sums do not
 * overflow, whatever the pixels are, and are exact, in any order. They are added in float32.
 * g is the sum of |B^T| over the position's row, times that over its column. Pixels that are
 * not finite, or beyond 1e30, make b so, and with it all results of their tile.
 *
 * A chunk of 16 channels lies in V and U as eight pairs: channels i and i + 8, the former in
 * the lower half of a float's place. U of a panel at one position is, chain by chain,
 * [chunks][8][PANEL] pairs and then the scales g s, [PANEL].
 */
#include <math.h>
#include <string.h>

#include "backends/kernels/winograd_parts.h"
#include "base/tensor.h"

#define HS_FIXED_V 32764.0f        /* largest v, but for rounding */
#define HS_FIXED_SUM 65535.0f      /* times 2^15 it is below 2^31 */
#define HS_FIXED_U 32767.0f        /* largest u */
#define HS_FIXED_LEAST 1e-30f      /* smaller pixels count as zeros */
#define HS_FIXED_ROUND 12582912.0f /* 1.5 * 2^23: what is added to it is rounded */
#define HS_FIXED_MARGIN 0.99999f   /* for the rounding of sums and factors */
#define HS_FIXED_PAIRS (HS_WINO_CHUNK / 2)

/* g of a row or column. */
static const float *hs_winograd_gains(int tile) {
#define HS_GAIN_4(t, u2) ((1 + (t)) * (1 + (u2)))
#define HS_GAIN_6(t, u2, v2) ((1 + (t)) * (1 + (u2) + (v2) + (u2) * (v2)))
    static const float g2[4] = {2, 2, 2, 2};
    static const float g4[6] = {1 + HS_P + HS_Q,        HS_GAIN_4(HS_A, HS_B2),
                                HS_GAIN_4(HS_A, HS_B2), HS_GAIN_4(HS_B, HS_A2),
                                HS_GAIN_4(HS_B, HS_A2), 1 + HS_P + HS_Q};
    static const float end = 1 + HS_6_1 + HS_6_2 + HS_6_3;
    static const float g6[8] = {end,
                                HS_GAIN_6(0.5f, 1.0f, 4.0f),
                                HS_GAIN_6(0.5f, 1.0f, 4.0f),
                                HS_GAIN_6(1.0f, 0.25f, 4.0f),
                                HS_GAIN_6(1.0f, 0.25f, 4.0f),
                                HS_GAIN_6(2.0f, 0.25f, 1.0f),
                                HS_GAIN_6(2.0f, 0.25f, 1.0f),
                                end};
    static const float g0[1] = {1};
    return tile == 6 ? g6 : tile == 4 ? g4 : tile == 2 ? g2 : g0;
}

/* ---------------------------------------------------------------- input -- */

float HS_KERNEL(hs_winograd_largest)(const float *pixel, int channels) {
    hs_ivec most = {0}; /* of bits without the sign, which are in the order of their floats */
    int whole = channels / HS_LANES * HS_LANES;
    for (int c = 0; c < whole; c += HS_LANES)
        most = hs_max_bits(most, (hs_ivec)hs_load(pixel + c) & 0x7fffffff);
    if (whole < channels)
        most = hs_max_bits(most, (hs_ivec)hs_wino_load_some(pixel + whole, channels - whole) &
                                     0x7fffffff);
    int32_t largest = 0;
    for (int i = 0; i < HS_LANES; i++)
        largest = most[i] > largest ? most[i] : largest;
    float x;
    memcpy(&x, &largest, sizeof x);
    return x;
}

float HS_KERNEL(hs_winograd_scale)(int tile, float largest, float *factors) {
    const float *gain = hs_winograd_gains(tile);
    int alpha = tile ? tile + 2 : 1;
    bool none = largest < HS_FIXED_LEAST;
    for (int y = 0; y < alpha; y++)
        for (int x = 0; x < alpha; x++)
            factors[y * alpha + x] = none ? 0 : HS_FIXED_V / (largest * (gain[y] * gain[x]));
    return none ? 0 : largest > HS_WINO_FIXED_MOST ? NAN : largest / HS_FIXED_V;
}

#if HS_LANES >= 8
#define HS_FIXED_LANES 8
#else
#define HS_FIXED_LANES 4
#endif
typedef float hs_fixed_vec __attribute__((vector_size(4 * HS_FIXED_LANES), aligned(4), may_alias));
typedef uint32_t hs_fixed_pairs
    __attribute__((vector_size(4 * HS_FIXED_LANES), aligned(4), may_alias));

/* x * factor, rounded, in the lower 16 bits. */
HS_INLINE hs_fixed_pairs hs_winograd_fix(const float *x, float factor) {
    hs_fixed_vec y = *(const hs_fixed_vec *)x * factor + HS_FIXED_ROUND;
    return (hs_fixed_pairs)y;
}

void HS_KERNEL(hs_winograd_fix_chunks)(int count, const float *x, const float *factors, int step,
                                       float *v, int64_t v_stride) {
    for (int e = 0; e < count; e++, x += HS_WINO_CHUNK, factors += step, v += v_stride)
#pragma GCC unroll 2
        for (int i = 0; i < HS_FIXED_PAIRS; i += HS_FIXED_LANES) {
            hs_fixed_pairs lower = hs_winograd_fix(x + i, *factors);
            hs_fixed_pairs upper = hs_winograd_fix(x + i + HS_FIXED_PAIRS, *factors);
            *(hs_fixed_pairs *)(v + i) = (lower & 0xffff) | upper << 16;
        }
}

/* ------------------------------------------------------------- products -- */

/* sum + the two products of each pair. */
HS_INLINE hs_ivec hs_winograd_two(hs_ivec sum, hs_ivec x, hs_ivec w) {
#if defined(__AVX512VNNI__)
    return (hs_ivec)_mm512_dpwssd_epi32((__m512i)sum, (__m512i)x, (__m512i)w);
#elif defined(__AVX512F__)
    return sum + (hs_ivec)_mm512_madd_epi16((__m512i)x, (__m512i)w);
#elif defined(__AVXVNNI__)
    return (hs_ivec)_mm256_dpwssd_avx_epi32((__m256i)sum, (__m256i)x, (__m256i)w);
#elif defined(__AVX2__)
    return sum + (hs_ivec)_mm256_madd_epi16((__m256i)x, (__m256i)w);
#else
    return sum + (x << 16 >> 16) * (w << 16 >> 16) + (x >> 16) * (w >> 16);
#endif
}

/* A pair, which is no float, in all lanes. */
HS_INLINE hs_ivec hs_winograd_broadcast(const float *pair) {
    int32_t bits;
    memcpy(&bits, pair, sizeof bits);
    return bits - (hs_ivec){0};
}

/* `rows` is a constant where this is inlined, so the sums stay in registers. */
HS_INLINE void hs_winograd_rows_fixed(int rows, int chunks, const float *v, const float *u,
                                      const float *scales, float *m, bool more,
                                      const hs_winograd_ahead *ahead) {
    hs_ivec sum[HS_WINO_ROWS][HS_WINO_VECTORS];
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int j = 0; j < HS_WINO_VECTORS; j++)
            sum[i][j] = (hs_ivec){0};
    uintptr_t next = ahead->next;
#pragma GCC unroll 1
    for (int chunk = 0; chunk < chunks; chunk++, v += rows * HS_FIXED_PAIRS) {
        next = hs_winograd_ask(next, ahead);
#pragma GCC unroll 8
        for (int p = 0; p < HS_FIXED_PAIRS; p++, u += HS_WINO_PANEL) {
            hs_ivec w[HS_WINO_VECTORS];
#pragma GCC unroll 4
            for (int j = 0; j < HS_WINO_VECTORS; j++)
                w[j] = (hs_ivec)hs_load(u + j * HS_LANES);
#pragma GCC unroll 16
            for (int i = 0; i < rows; i++) {
                hs_ivec x = hs_winograd_broadcast(v + i * HS_FIXED_PAIRS + p);
                HS_KEEP(x);
#pragma GCC unroll 4
                for (int j = 0; j < HS_WINO_VECTORS; j++) {
                    sum[i][j] = hs_winograd_two(sum[i][j], x, w[j]);
                    HS_KEEP(sum[i][j]); /* else products of two rows are added first, and spilled */
                }
            }
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int j = 0; j < HS_WINO_VECTORS; j++) {
            float *to = m + i * HS_WINO_PANEL + j * HS_LANES;
            hs_vec before = more ? hs_load(to) : (hs_vec){0};
            hs_vec scale = hs_load(u + j * HS_LANES) * scales[i];
            hs_store(to,
                     hs_multiply_add(__builtin_convertvector(sum[i][j], hs_vec), scale, before));
        }
}

void HS_KERNEL(hs_winograd_product_fixed)(int rows, int chunks, const float *v, const float *u,
                                          const float *scales, float *m, bool more,
                                          const hs_winograd_ahead *ahead) {
    HS_WINO_ANY(hs_winograd_rows_fixed, chunks, v, u, scales, m, more, ahead)
}

/* -------------------------------------------------------------- weights -- */

#define HS_FIXED_CHANNELS (HS_WINO_FIXED_CHAIN * HS_WINO_CHUNK) /* of a chain */

typedef float hs_fixed_lanes[HS_WINO_PANEL];

/* g times (x[0], x[stride], x[2 stride]), LANES outputs from `at` on. */
HS_INLINE hs_vec hs_winograd_times_g(const float *g, const hs_fixed_lanes *x, int stride, int at) {
    return g[0] * hs_load(x[0] + at) + g[1] * hs_load(x[stride] + at) +
           g[2] * hs_load(x[2 * stride] + at);
}

/* The factors of a chain at one position, and the scales that undo them: LANES outputs,
 * of which `sum` and `most` are the sum and the largest of |u|. Each rounding adds half a
 * unit at most. */
static void hs_winograd_factors(hs_vec sum, hs_vec most, int channels, float gain, float *factor,
                                float *scale) {
    for (int k = 0; k < HS_LANES; k++) {
        float by = fminf((HS_FIXED_SUM - 0.5f * (float)channels) / sum[k], HS_FIXED_U / most[k]);
        bool none = most[k] < HS_FIXED_LEAST;
        factor[k] = none ? 0 : by * HS_FIXED_MARGIN;
        scale[k] = none ? 0 : gain / factor[k];
    }
}

/* Integers from u [channels][PANEL], LANES outputs from `at` on, to where their pairs lie. */
static void hs_winograd_pack_pairs(const hs_fixed_lanes *u, int channels, int at,
                                   const float *factor, float *packed) {
    hs_vec by = hs_load(factor);
    for (int c = 0; c < channels; c += HS_WINO_CHUNK)
        for (int i = 0; i < HS_FIXED_PAIRS; i++, packed += HS_WINO_PANEL) {
            hs_uvec lower = (hs_uvec)(hs_load(u[c + i] + at) * by + HS_FIXED_ROUND);
            hs_uvec upper =
                (hs_uvec)(hs_load(u[c + i + HS_FIXED_PAIRS] + at) * by + HS_FIXED_ROUND);
            hs_store(packed + at, (hs_vec)((lower & 0xffff) | upper << 16));
        }
}

/* A chain at one position, as floats, and of each output the sum and the largest size. */
typedef struct hs_fixed_chain {
    hs_fixed_lanes u[HS_FIXED_CHANNELS];
    hs_vec sum[HS_WINO_VECTORS], most[HS_WINO_VECTORS];
} hs_fixed_chain;

/* The chain is g times three of `from`, which are `step` lanes apart, of channels that are
 * `stride` lanes apart; g NULL: it is the first of the three. */
HS_INLINE void hs_winograd_fill_chain(hs_fixed_chain *chain, int channels, const float *g,
                                      const hs_fixed_lanes *from, int step, int stride) {
    hs_vec sum[HS_WINO_VECTORS], most[HS_WINO_VECTORS]; /* in registers meanwhile */
#pragma GCC unroll 4
    for (int j = 0; j < HS_WINO_VECTORS; j++)
        sum[j] = most[j] = (hs_vec){0};
    for (int c = 0; c < channels; c++, from += stride)
#pragma GCC unroll 4
        for (int j = 0; j < HS_WINO_VECTORS; j++) {
            int at = j * HS_LANES;
            hs_vec x = g ? hs_winograd_times_g(g, from, step, at) : hs_load(*from + at);
            hs_vec size = (hs_vec)((hs_ivec)x & 0x7fffffff);
            hs_store(chain->u[c] + at, x);
            sum[j] += size;
            most[j] = (hs_vec)hs_max_bits((hs_ivec)most[j], (hs_ivec)size);
        }
#pragma GCC unroll 4
    for (int j = 0; j < HS_WINO_VECTORS; j++) {
        chain->sum[j] = sum[j];
        chain->most[j] = most[j];
    }
}

/* The integers and, after them, the scales. */
static void hs_winograd_pack_chain(const hs_fixed_chain *chain, int channels, float gain,
                                   float *packed) {
    float *scales = packed + channels / 2 * HS_WINO_PANEL;
    for (int j = 0; j < HS_WINO_VECTORS; j++) {
        float factor[HS_LANES];
        int at = j * HS_LANES;
        hs_winograd_factors(chain->sum[j], chain->most[j], channels, gain, factor, scales + at);
        hs_winograd_pack_pairs(chain->u, channels, at, factor, packed);
    }
}

/* All positions of G g G^T; `position` floats apart, as gains are in a row and a column. */
static void hs_winograd_transform_chain(int tile, const hs_winograd_tap_lanes *taps, int channels,
                                        float *packed, int64_t position) {
    const hs_winograd_row *exact = HS_KERNEL(hs_winograd_g_of)(tile);
    const float *gain = hs_winograd_gains(tile);
    hs_fixed_lanes rows[HS_FIXED_CHANNELS][3];
    hs_fixed_chain chain;
    float g[8][3];
    for (int i = 0; i < 3 * (tile + 2); i++)
        g[i / 3][i % 3] = (float)exact[i / 3][i % 3];
    for (int y = 0; y < tile + 2; y++) {
        for (int c = 0; c < channels; c++)
            for (int x = 0; x < 3; x++)
                for (int at = 0; at < HS_WINO_PANEL; at += HS_LANES)
                    hs_store(rows[c][x] + at, hs_winograd_times_g(g[y], taps[c] + x, 3, at));
        for (int x = 0; x < tile + 2; x++, packed += position) {
            hs_winograd_fill_chain(&chain, channels, g[x], rows[0], 1, 3);
            hs_winograd_pack_chain(&chain, channels, gain[y] * gain[x], packed);
        }
    }
}

/* Tap by tap, as they are. */
static void hs_winograd_plain_chain(int count, const hs_winograd_tap_lanes *taps, int channels,
                                    float *packed, int64_t position) {
    hs_fixed_chain chain;
    for (int tap = 0; tap < count; tap++, packed += position) {
        hs_winograd_fill_chain(&chain, channels, NULL, taps[0] + tap, 0, 9);
        hs_winograd_pack_chain(&chain, channels, 1, packed);
    }
}

void HS_KERNEL(hs_winograd_weights_fixed)(const hs_winograd_kernel *kernel, int panel,
                                          float *packed) {
    int chunks = hs_winograd_ceil(kernel->in_c, HS_WINO_CHUNK);
    int64_t position = hs_winograd_fixed_floats(chunks);
    int64_t chain_floats = hs_winograd_fixed_floats(HS_WINO_FIXED_CHAIN);
    hs_winograd_tap_lanes taps[HS_FIXED_CHANNELS];
    for (int first = 0; first < kernel->in_c; first += HS_FIXED_CHANNELS, packed += chain_floats) {
        int rest = kernel->in_c - first, some = rest < HS_FIXED_CHANNELS ? rest : HS_FIXED_CHANNELS;
        int channels = hs_winograd_ceil(some, HS_WINO_CHUNK) * HS_WINO_CHUNK;
        HS_KERNEL(hs_winograd_taps)(kernel, panel, first, some, taps);
        if (kernel->tile)
            hs_winograd_transform_chain(kernel->tile, taps, channels, packed, position);
        else
            hs_winograd_plain_chain(kernel->taps, taps, channels, packed, position);
    }
}
