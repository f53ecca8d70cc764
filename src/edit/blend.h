/* Vectors between two vectors: the three ways of hs_blend, in double. */
#ifndef HS_EDIT_BLEND_H
#define HS_EDIT_BLEND_H

#include <stddef.h>

#include "hspace.h"

/* out [count] at `weight` of the way from a to b. At 0 and 1 it is a copy. `out`
 * may be a or b. */
void hs_blend_vectors(hs_blend blend, double weight, size_t count, const float *a, const float *b,
                      float *out);

#endif
