/*
 * One model bound to one back end: what the rooms above the denoiser use
 * beside the public hs_denoiser_* of hspace.h. It knows the schedule only to
 * turn v and sample predictions into eps.
 */
#ifndef HS_DENOISER_H
#define HS_DENOISER_H

#include "models/model.h"

/* Floats of one sample's image, C*H*W, and of its h, c*h*w. */
size_t hs_denoiser_image_size(const hs_denoiser *denoiser);
size_t hs_denoiser_h_size(const hs_denoiser *denoiser);

/* The threads that it was asked to use; 0: as many as the process may. */
int hs_denoiser_threads(const hs_denoiser *denoiser);

/* hs_model_fingerprint of the denoiser's model. */
hs_status hs_denoiser_fingerprint(const hs_denoiser *denoiser, char out[33], hs_error *err);

#endif
