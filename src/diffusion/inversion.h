/*
 * Inversion of real images, cut into files:
 *
 *   inversion.c         hs_invert: checks, batches, DDIM, the round trip
 *   edit_friendly.c     the three edit-friendly kinds
 *   anderson.c          the iteration for the fixed point of their last step
 *   inversion_result.c  what the latents hold: arrays, metadata, PSNR
 *   inversion_resume.c  resume points
 */
#ifndef HS_DIFFUSION_INVERSION_H
#define HS_DIFFUSION_INVERSION_H

#include <jansson.h>

#include "diffusion/trajectory.h"
#include "io/latent_file.h"
#include "io/resume.h"

/* What one hs_invert call was asked for, its result so far, and its scratch. */
typedef struct hs_inversion {
    hs_sampler *sampler;
    hs_invert_options options;
    int n, batch;
    size_t image_size, h_size;
    const hs_monitor *monitor;
    double done, total; /* units of progress: steps of one image, there and back */
    double decoding;    /* of these, what the decoding at work takes */
    int ready;          /* images that are done: the first ones */

    hs_latents *latents;
    double *residual;      /* [n] of the fixed point, NULL where there is none */
    double *psnr;          /* [n] */
    float *reconstruction; /* [n,C,H,W] what the latents decode to */

    json_t *identity; /* what must agree for a resume point to be of use */
    hs_resume resume;

    int *t;       /* [batch] */
    float *x;     /* [batch,C,H,W] the state */
    float *eps;   /* [batch,C,H,W] */
    float *h;     /* [batch,c,h,w] */
    float *noise; /* [C,H,W] */
    int *settled; /* [batch] the fixed point is found */
} hs_inversion;

/* eps (and h, unless NULL) of the first `count` of job->x at timestep t. */
hs_status hs_inversion_eps(hs_inversion *job, int count, int t, float *h, hs_error *err);
/* Keep job->h as h of `step` of images first ... first+count-1. */
void hs_inversion_keep_h(hs_inversion *job, int first, int count, int step);
/* `count` images are one step further. */
hs_status hs_inversion_advance(hs_inversion *job, int count, hs_error *err);

/* The last step has no variance, so its x must be a fixed point. */
bool hs_inversion_fixed_point(const hs_inversion *job);
/* x_T, z and h of images first ... first+count-1 by an edit-friendly kind. */
hs_status hs_invert_edit_friendly(hs_inversion *job, int first, int count, hs_error *err);

/* Arrays for n images, x_0 copied in, timesteps set. */
hs_status hs_inversion_allocate(hs_inversion *job, const float *x_0, hs_error *err);
/* PSNR of the reconstructions of images first ... first+count-1 into job->psnr. */
void hs_inversion_measure(hs_inversion *job, int first, int count);
/* How the latents were made, as their metadata. */
hs_status hs_inversion_describe(hs_inversion *job, hs_error *err);

/*
 * Begin: take the images over that are done in options.resume, if that file
 * exists; else see that it could be written. HS_ERROR_MISMATCH names what the
 * file was made with and this run is not.
 */
hs_status hs_inversion_resume_begin(hs_inversion *job, hs_error *err);
/* After each batch: save if it is time, or if `status` says that the run ends.
 * Returns `status`. */
hs_status hs_inversion_resume_point(hs_inversion *job, hs_status status, hs_error *err);

#endif
