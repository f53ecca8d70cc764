/* See noise.h.
 *
 * PyTorch fills a call of `total` >= 16 values in blocks of 16, one block from
 * 16 uniforms. If `total` is not a multiple of 16 it draws `total` uniforms
 * first, and then makes the last 16 values anew from 16 more, which overlap the
 * last whole block:
 *
 *     0        16        32        48   total = 53
 *     |--block--|--block--|--block--|----|
 *                             |---tail---|     from uniforms 53 ... 68
 */
#include "diffusion/noise.h"

#include <string.h>

#define HS_BLOCK 16

static void hs_skip(hs_generator *generator, size_t uniforms) {
    for (size_t i = 0; i < uniforms; i++)
        hs_generator_u32(generator);
}

/* Copy what [first, first+count) of the call has in common with the 16 values
 * `block` that begin at `at`. */
static void hs_copy_overlap(const float *block, size_t at, size_t first, size_t count, float *out) {
    size_t from = at > first ? at : first;
    size_t to = at + HS_BLOCK < first + count ? at + HS_BLOCK : first + count;
    if (from < to)
        memcpy(out + (from - first), block + (from - at), (to - from) * sizeof *out);
}

void hs_randn_piece(hs_generator *generator, size_t total, size_t first, size_t count, float *out) {
    bool aligned = total % HS_BLOCK == 0 && first % HS_BLOCK == 0 && count % HS_BLOCK == 0;
    if (total < HS_BLOCK || aligned) {
        hs_generator_randn(generator, count, out);
        return;
    }
    size_t end = first + count, whole = total - total % HS_BLOCK;
    size_t at = first - first % HS_BLOCK; /* where `generator` stands */
    float block[HS_BLOCK];
    for (; at + HS_BLOCK <= end && at < whole; at += HS_BLOCK) {
        hs_generator_randn(generator, HS_BLOCK, block);
        hs_copy_overlap(block, at, first, count, out);
    }
    if (at < end && at < whole) { /* the next piece begins in this block: look ahead */
        hs_generator ahead = *generator;
        hs_generator_randn(&ahead, HS_BLOCK, block);
        hs_copy_overlap(block, at, first, count, out);
    }
    if (total > whole && end > total - HS_BLOCK) {
        hs_generator ahead = *generator;
        hs_skip(&ahead, total - at);
        hs_generator_randn(&ahead, HS_BLOCK, block);
        hs_copy_overlap(block, total - HS_BLOCK, first, count, out);
    }
}
