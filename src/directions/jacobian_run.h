/*
 * One run of hs_jacobian_directions: what its parts share. The work is divided
 * into groups, one a step and mask; a group is done or not begun.
 *
 *   jacobian.c          options, the walk along the trajectory, the public function
 *   jacobian_group.c    the directions of one group
 *   jacobian_finish.c   names, units, metadata
 *   jacobian_resume.c   resume points
 *   jacobian_profile.c  what a Jacobian direction says of the steps
 */
#ifndef HS_DIRECTIONS_JACOBIAN_RUN_H
#define HS_DIRECTIONS_JACOBIAN_RUN_H

#include <jansson.h>

#include "diffusion/trajectory.h"
#include "io/resume.h"
#include "directions/svd.h"
#include "io/direction_file.h"
#include "jacobian.h"

#define HS_JACOBIAN_UNIT 0.1 /* one unit is this share of the norm of h */

typedef struct hs_jacobian_run {
    hs_sampler *sampler;
    hs_jacobian_options o; /* nothing left to choose */
    const hs_monitor *monitor;
    size_t image_size, h_size; /* C*H*W, c*h*w */
    int *steps;                /* [step_count] ascending */
    int step_count, mask_count;
    int regions;           /* mask_count, or 1 without masks */
    int groups;            /* step_count * regions; group = step * regions + region */
    uint8_t *rows;         /* [mask_count,C,H,W]: the masks, one value a row of J */
    hs_latents_view start; /* n is 0: from a seed */

    hs_jacobian *jacobian;
    hs_linop op;       /* J at the point */
    int64_t svd_mem;   /* what max_mem leaves to the singular vectors; 0: no bound */
    int64_t svd_bytes; /* what they take at most, the found ones included */
    float *h;          /* [c,h,w] at the point */

    /* found so far */
    hs_directions *directions; /* delta_h [K,1,c,h,w], sigma, residual [K], u [K,C,H,W] */
    double *h_norm;            /* [groups] */
    int64_t *products;         /* [groups] */
    bool *done;                /* [groups] */
    int done_count;

    json_t *identity; /* what must agree for a resume point to be of use */
    hs_resume resume;
} hs_jacobian_run;

const char *hs_keep_outside_name(hs_keep_outside keep_outside); /* "no", ... */

/* jacobian_group.c: the directions of a group, the Jacobian standing at its step.
 * HS_ERROR_CANCELLED and all others leave it not done. */
hs_status hs_jacobian_group(hs_jacobian_run *run, int group, hs_error *err);

/* jacobian_finish.c: the empty result with its names; its metadata when all is
 * done. Description and identity are for the metadata and for resume points. */
hs_status hs_jacobian_result(hs_jacobian_run *run, hs_error *err);
hs_status hs_jacobian_metadata(const hs_jacobian_run *run, hs_error *err);
json_t *hs_jacobian_identity(const hs_jacobian_run *run); /* NULL: no memory */

/*
 * jacobian_resume.c. Begin: take the groups that the file in o.resume has; where
 * there is none, see that it could be written. HS_ERROR_MISMATCH names what the
 * file was made with and this run is not.
 */
hs_status hs_jacobian_resume_begin(hs_jacobian_run *run, hs_error *err);
/* After each group: save if it is time, or if `status` is not HS_OK. Returns
 * `status`, its message followed by where to go on. */
hs_status hs_jacobian_resume_point(hs_jacobian_run *run, hs_status status, hs_error *err);

#endif
