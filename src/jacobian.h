/*
 * The Jacobian J = d eps / d h of one denoiser at one point (paper IV-B), by
 * exact products. The way down and the middle run once a point; products run
 * only what lies behind h, with the primal values of the point kept.
 */
#ifndef HS_JACOBIAN_H
#define HS_JACOBIAN_H

#include "denoiser.h"

typedef struct hs_jacobian hs_jacobian;

/* What the slopes of activations may take of a point's memory where nothing is told
 * of it: all of the slopes of a small model, those of the small maps of a large one. */
#define HS_SLOPE_BYTES ((int64_t)32 << 20)

/* `block`: vectors that one product takes at once; 0: chosen by the model's size.
 * slope_bytes: what slopes may take that are computed once a point; those beyond are
 * computed in every product, with the same bits (graph/cut.h).
 * The denoiser must outlive it; its h_space and threads are used. */
hs_status hs_jacobian_create(hs_denoiser *denoiser, int block, int64_t slope_bytes,
                             hs_jacobian **out, hs_error *err);
void hs_jacobian_free(hs_jacobian *jacobian);
int hs_jacobian_block(const hs_jacobian *jacobian);
/* Planned bytes beyond those of the denoiser's own plans: the point, its kept
 * values, the plans of both products for a full block, and the weights that only
 * these need. */
int64_t hs_jacobian_bytes(const hs_jacobian *jacobian);

/* Go to a point: x [C,H,W], timestep t, delta_h [c,h,w] or NULL. eps [C,H,W] and
 * h [c,h,w] (before delta_h) are filled in where not NULL. One U-Net pass. */
hs_status hs_jacobian_point(hs_jacobian *jacobian, const float *x, int t, const float *delta_h,
                            float *eps, float *h, hs_error *err);

/* transpose false: in [k,c,h,w], out [k,C,H,W] = J in. transpose true: in
 * [k,C,H,W], out [k,c,h,w] = J^T in. Any k >= 1; more than a block are taken in
 * blocks. v and sample predictions are converted: J is always that of eps. */
hs_status hs_jacobian_apply(hs_jacobian *jacobian, bool transpose, int k, const float *in,
                            float *out, hs_error *err);

/* Products so far (vectors counted) and the median seconds of one. */
void hs_jacobian_stats(const hs_jacobian *jacobian, int64_t *products, double *seconds);

#endif
