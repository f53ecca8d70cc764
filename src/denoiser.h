/*
 * One model bound to one back end: what the rooms above the denoiser use
 * beside the public hs_denoiser_* of hspace.h. It knows the schedule only to
 * turn v and sample predictions into eps.
 */
#ifndef HS_DENOISER_H
#define HS_DENOISER_H

#include "backends/backend.h"
#include "models/model.h"

/* Floats of one sample's image, C*H*W, and of its h, c*h*w. */
size_t hs_denoiser_image_size(const hs_denoiser *denoiser);
size_t hs_denoiser_h_size(const hs_denoiser *denoiser);

/* What its results' files say of its precision: "fast"; NULL, nothing, of float32. */
const char *hs_denoiser_precision_name(const hs_denoiser *denoiser);

/* The threads that it was asked to use; 0: as many as the process may. */
int hs_denoiser_threads(const hs_denoiser *denoiser);

/* What jacobian.c plans with: the back end, and its converted weights or NULL. */
const hs_backend *hs_denoiser_backend(const hs_denoiser *denoiser);
hs_weight_cache *hs_denoiser_cache(const hs_denoiser *denoiser);
/* Of the plans that are kept: own is 0, shared and weights what they share. */
hs_exec_bytes hs_denoiser_shared_bytes(const hs_denoiser *denoiser);
/* eps [C,H,W] of one sample from the network's own prediction `out`. */
void hs_denoiser_to_eps(const hs_denoiser *denoiser, int t, const float *x, const float *out,
                        float *eps);
/* d eps / d out at timestep t: 1, sqrt(a) or -sqrt(a / (1 - a)). */
double hs_denoiser_eps_slope(const hs_denoiser *denoiser, int t);
/* HS_ERROR_ARGUMENT unless t is in [0, N). */
hs_status hs_denoiser_check_timestep(const hs_denoiser *denoiser, int t, hs_error *err);
/* What plans are to add their times to, or NULL. */
hs_profile *hs_denoiser_profiler(hs_denoiser *denoiser);
/* Count a pass that was made with plans of one's own. */
void hs_denoiser_count_pass(hs_denoiser *denoiser, double seconds);
/* Free the plans that are kept, for memory; the converted weights stay. */
void hs_denoiser_drop_plans(hs_denoiser *denoiser);

/*
 * One U-Net pass with h [n,c,h,w] given in place of the network's own, which is
 * not computed; x, t and eps as in hs_denoiser_eps. With the h that
 * hs_denoiser_eps returns for x and t, eps is the same, bit for bit.
 */
hs_status hs_denoiser_eps_at_h(hs_denoiser *denoiser, int n, const float *x, const int *t,
                               const float *h, float *eps, hs_error *err);

/* hs_model_fingerprint of the denoiser's model. */
hs_status hs_denoiser_fingerprint(const hs_denoiser *denoiser, char out[33], hs_error *err);

#endif
