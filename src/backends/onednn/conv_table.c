/*
 * Which way a 3x3 convolution of stride 1 runs. The table is made by
 * measurement (`hs_bench conv IN OUT H W --tile T`, one thread, CPU time, in
 * turns with oneDNN's direct convolution on the same instruction set) and not
 * at run time, so that a model's results do not depend on what else ran.
 *
 * Measured on 2 cores of Sapphire Rapids, oneDNN 2.6.3, times faster than direct:
 *
 *   shape               AVX-512          AVX2
 *                     tile 4  tile 2   tile 4  tile 2
 *   128->128 @256^2     2.5    1.7      3.2     2.2
 *   256->128 @256^2     2.4    1.7      3.0     2.2
 *   256->256 @128^2     2.6    1.7      3.2     2.2
 *   256->256 @64^2      2.3    1.7      2.5     1.8
 *    64->64  @64^2      2.6    1.7      2.3     1.6
 *   512->512 @32^2      2.2    1.4      2.7     1.5
 *   256->256 @32^2      2.2    1.6      2.5     1.7
 *    32->32  @32^2      2.1    1.3      2.2     1.4
 *  1024->512 @16^2      1.7    1.5      2.0     1.6
 *   512->512 @16^2      1.5    1.6      2.0     1.7
 *   256->256 @16^2      2.1    1.7      2.5     1.7
 *    64->64  @16^2      2.6    1.5      2.8     1.6
 *  1024->512 @8^2       1.0    1.4      1.1     1.4
 *   512->512 @8^2       1.0    1.4      1.5     1.7
 *   256->256 @8^2       1.1    1.4      1.8     1.7
 *   128->128 @8^2       1.3    1.6      2.0     1.7
 *    64->64  @8^2       2.2    1.6      2.5     1.6
 *    16->16  @32^2      1.2    0.7      2.1     1.3
 *   128->3   @256^2     1.3    0.9      2.7     2.1
 *     3->128 @256^2     0.3    0.3      0.3     0.3
 *
 * and with AVX2 on one core of Zen 3 (512 KB of second-level cache), quiet, GFLOP/s
 * of direct and of tile 4, and how many times faster tiles 4 and 2 are:
 *
 *    64->64  @64^2    90   281   3.1   1.9        128->128 @8^2    46   177   3.8   2.3
 *   256->256 @32^2    87   331   3.8   2.3        256->128 @8^2    47   195   4.1   2.4
 *    96->32  @32^2    83   189   2.3   1.7        512->512 @8^2    44   145   3.3   2.5
 *    32->32  @32^2    92   230   2.5   1.4       1024->512 @8^2    51   129   2.5   2.5
 *    16->16  @32^2    65   105   1.6   1.4        192->64  @16^2   89   316   3.6   2.4
 *    32->3   @32^2    13    37   2.8   1.6         64->64  @16^2   55   185   3.4   2.1
 *   512->512 @16^2    87   290   3.4   2.5
 *
 *   256->256 @16^2    55   223   4.0   2.7        768->256 @16^2   54   211   3.9   2.5
 *
 * Transformed weights take 4 times (tile 4) or 1.8 times (tile 2) the memory of
 * plain ones; hs_od_conv_fresh says where they are not kept. Where channels are
 * many and pixels few, weights are most of a model's memory: there, at 16^2 and
 * below, tile 2 is taken although tile 4 is faster: by AVX2, and by rounded factors. (CelebA-HQ-256
 * on Zen 3: with the direct convolution there 738 MiB and 1 706 ms, with tile 2 856 and 1 693, with
 * tile 4 at 16^2 1 207 and 1 614. A network that is nothing but such layers, the anime faces' at
 * 64^2, batch 1: 664 MiB and 154 ms, 782 and 120, with tile 4 at 16^2 826 and 86.) So what such a
 * map is in its network counts: where it is at least a 64th of the largest one, its convolutions
 * are a quarter of the work, not a hundredth, and batches are large. These take tile 4 (the anime
 * faces: 340 MiB more; sixteen images 0.87 of the time with AVX2 and 0.89 on Zen 4, one the same
 * and 1.10).
 *
 * Float32 with AVX-512 need not choose: U of tile 4 is made late, of plain weights in registers
 * (kernels/winograd_late.c). On Zen 4, one thread, GFLOP/s with U kept and late: 128->128 @8^2
 * 376 and 320 from the cache, 512->512 @8^2 160 and 250 to 310, @16^2 405 and 320, where tile 2
 * has 230. On two threads an image of avatars32 takes 2.17 ms for 2.51, of the anime faces 50.6 ms
 * for 63.3; of the latter two images 109 for 111, three 173 for 171, four 232 for 222. So U is
 * late where a batch has 8 tiles at most, and wherever tile 2 was taken (CelebA-HQ-256 0.94 to
 * 0.96 of the time, 924 -> 804 MiB). 16 registers do not hold the sums: with AVX2 512->512
 * @8^2 had 175 and 115 to 135.
 *
 * A handful of channels is left to the direct convolution, but for a handful of outputs of a large
 * map: the last convolution of a network (on Zen 4 128->3 at 256^2 and 64^2 1.3 and 1.5 times as
 * fast as direct, 32->3 at 32^2 1.3).
 *
 * Tile 6 has four times the error of tile 4, too much for float32's tolerances: it is for
 * fixed factors (--precision fast without AMX), where maps are large and kernels are not.
 * In GFLOP/s, with these factors, one thread, median of five: AVX2 (Zen 3, noisy)
 *
 *                  tile 6  tile 4                      tile 6  tile 4
 *   128->128 @256^2   458     357    128->128 @64^2       388     282
 *   256->128 @256^2   451     355     64->64  @64^2       279     229
 *   128->128 @128^2   393     349     32->32  @64^2       139     176
 *   256->256 @64^2    378     309    256->256 @32^2       387     420
 *   512->256 @64^2    376     425
 *
 * and AVX-512 with VNNI (Zen 4, where float32 has 345 to 405 with tile 4, direct 115)
 *
 *   128->128 @256^2   684     561    128->128 @64^2       642     601
 *   256->128 @256^2   714     601     64->64  @64^2       559     489
 *   256->256 @128^2   770     674     32->32  @64^2       387     322
 *   128->128 @128^2   653     562    256->256 @32^2       572     666
 *   256->256 @64^2    755     685    128->128 @32^2       637     622
 *   512->256 @64^2    700     680    512->512 @32^2       687     725
 *
 * Alone, tile 4 is 1.03 to 1.05 times as fast there with bf16, whose factors are made faster; but
 * bf16 is too coarse for tile 6, and 1x1 stays float32 with it: a pass of CelebA-HQ-256 takes
 * 1.25 times as long.
 *
 * In bf16 all kernels of 1x1 and 3x3 go tap by tap (tile 1) where the processor multiplies
 * matrices (AMX; winograd.c): on one core of Emerald Rapids 1058 to 1280 GFLOP/s for 64 to 1024
 * channels at 16^2 to 256^2, 2.2 to 3.5 times float32's tile 4 and 1.5 to 1.8 times tile 4
 * with fixed factors and VNNI. The other instruction for bf16 does not pay on that processor: with
 * it whole passes take 1.03 to 1.42 times float32's time.
 */
#include <limits.h>
#include <string.h>

#include "backends/onednn/conv2d.h"

typedef struct hs_od_conv_row {
    int64_t pixels;  /* at least */
    int64_t in, out; /* channels: at least */
    int64_t kernels; /* inputs times outputs: at most */
    int tile;
    int64_t share; /* 0, or the network's largest map is at most so many times this one */
    int late;      /* 0, or U is made late where the batch has at most so many tiles; HS_OD_ALWAYS:
                      the row is for such convolutions only. Of float32 */
} hs_od_conv_row;

#define HS_OD_ALWAYS INT_MAX

/* The first row that fits; the first one of a table is for fixed factors alone. */
static const hs_od_conv_row hs_od_conv_avx512[] = {
    {4096, 32, 32, 256 * 512, 6},
    {1024, 32, 1, INT64_MAX, 4},
    {256, 32, 32, 256 * 768, 4},
    {64, 32, 32, 64 * 64, 4},
    {64, 32, 32, INT64_MAX, 4, .share = 64, .late = 8},
    {64, 32, 32, INT64_MAX, 4, .late = HS_OD_ALWAYS},
    {64, 32, 32, INT64_MAX, 2},
    {0, 0, 0, INT64_MAX, 0},
};
static const hs_od_conv_row hs_od_conv_avx2[] = {
    {4096, 64, 64, 256 * 256, 6},
    {1024, 16, 1, INT64_MAX, 4},
    {256, 16, 16, 256 * 768, 4},
    {64, 16, 16, 256 * 128, 4},
    {64, 16, 16, INT64_MAX, 4, .share = 64},
    {64, 16, 16, INT64_MAX, 2},
    {0, 0, 0, INT64_MAX, 0},
};
/* Without fused multiply-add oneDNN's own kernels were not measured. */
static const hs_od_conv_row hs_od_conv_generic[] = {{0, 0, 0, INT64_MAX, 0}};

static const hs_od_conv_row *hs_od_conv_find(const hs_kernels *kernels, hs_factors factors,
                                             int64_t in_c, int64_t out_c, int64_t pixels,
                                             int64_t largest) {
    const hs_od_conv_row *row = hs_od_conv_generic;
    const char *isa = kernels->isa;
    if (!strncmp(isa, "avx512", 6) || !strcmp(isa, "amx"))
        row = hs_od_conv_avx512 + (factors != HS_FACTORS_FIXED);
    else if (!strncmp(isa, "avx", 3))
        row = hs_od_conv_avx2 + (factors != HS_FACTORS_FIXED);
    while (pixels < row->pixels || in_c < row->in || out_c < row->out ||
           in_c * out_c > row->kernels || (row->share && pixels * row->share < largest) ||
           (row->late == HS_OD_ALWAYS && factors))
        row++;
    return row;
}

int hs_od_conv_tile(const hs_kernels *kernels, hs_factors factors, int64_t in_c, int64_t out_c,
                    int64_t pixels, int64_t largest) {
    return hs_od_conv_find(kernels, factors, in_c, out_c, pixels, largest)->tile;
}

bool hs_od_conv_late(const hs_kernels *kernels, hs_factors factors, int64_t in_c, int64_t out_c,
                     int64_t pixels, int64_t largest, int items) {
    const hs_od_conv_row *row = hs_od_conv_find(kernels, factors, in_c, out_c, pixels, largest);
    int64_t tiles = items * ((pixels + 15) / 16);
    return factors == HS_FACTORS_F32 && row->tile == 4 && tiles <= row->late;
}

/*
 * Transforming a weight takes about as long as 8 tiles take to use it, by count of
 * operations: 1 to 2 % of a pass of CelebA-HQ-256, if its weights are made in every
 * one; with AVX-512, by samples, 5 to 7.
 * Small ones are kept, since little is saved, and so are those of a small model: there
 * the batches of a Jacobian would make them a hundred times a step. Rounded ones of tile 2 are
 * kept too: of CelebA-HQ-256 they take 44 MiB more than what they are made from, and making
 * them took 3 % of a pass. (Of the others winograd.c keeps some, too.)
 */
#define HS_OD_FRESH_TILES 64
#define HS_OD_FRESH_BYTES ((int64_t)2 << 20)
#define HS_OD_FRESH_MODEL ((int64_t)64 << 20)

bool hs_od_conv_fresh(const hs_winograd_spec *spec, int64_t tiles, int64_t bytes, int64_t model) {
    bool compact = spec->tile == 1 || (spec->tile == 2 && spec->factors != HS_FACTORS_F32);
    return !compact && tiles >= HS_OD_FRESH_TILES && bytes >= HS_OD_FRESH_BYTES &&
           model >= HS_OD_FRESH_MODEL;
}
