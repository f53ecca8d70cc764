/* See blend.h. */
#include "edit/blend.h"

#include <math.h>
#include <string.h>

/*
 * Slerp after Shoemake (1985), with vectors of any length: the weights are those
 * of the unit vectors' arc. Below this sine the arc is a line to float precision,
 * or, for opposite vectors, has no plane.
 */
#define HS_SMALLEST_SINE 1e-6

static void hs_slerp_weights(double weight, size_t count, const float *a, const float *b,
                             double out[2]) {
    double aa = 0, ab = 0, bb = 0;
    for (size_t i = 0; i < count; i++) {
        aa += (double)a[i] * (double)a[i];
        ab += (double)a[i] * (double)b[i];
        bb += (double)b[i] * (double)b[i];
    }
    double cosine = aa > 0 && bb > 0 ? ab / sqrt(aa) / sqrt(bb) : 1;
    double angle = acos(fmax(-1, fmin(1, cosine))), sine = sin(angle);
    if (sine < HS_SMALLEST_SINE)
        return;
    out[0] = sin((1 - weight) * angle) / sine;
    out[1] = sin(weight * angle) / sine;
}

void hs_blend_vectors(hs_blend blend, double weight, size_t count, const float *a, const float *b,
                      float *out) {
    if (weight == 0 || weight == 1) {
        memmove(out, weight == 0 ? a : b, count * sizeof *out);
        return;
    }
    double share[2] = {1 - weight, weight};
    if (blend == HS_BLEND_SLERP)
        hs_slerp_weights(weight, count, a, b, share);
    for (int i = 0; blend == HS_BLEND_SQRT && i < 2; i++)
        share[i] = sqrt(share[i]);
    for (size_t i = 0; i < count; i++)
        out[i] = (float)(share[0] * (double)a[i] + share[1] * (double)b[i]);
}
