/* What hs_pca is going to do: options checked, the method chosen, its memory
 * and passes reckoned, before anything of that size is allocated. */
#ifndef HS_DIRECTIONS_PCA_PLAN_H
#define HS_DIRECTIONS_PCA_PLAN_H

#include "diffusion/trajectory.h"

#define HS_PCA_MAX_SAMPLES 10000000 /* more is a slip of the keyboard */
#define HS_PCA_EXACT_SAMPLES 20000  /* above this, incremental unless told */
#define HS_PCA_BATCH 1000           /* incremental: the authors' batch */
#define HS_PCA_DEFAULT_MAX_MEM ((int64_t)8 << 30)

typedef struct hs_pca_plan {
    int n, k, T;
    int64_t d, image; /* c*h*w, C*H*W */
    bool exact;
    int kept;    /* components that are found: k, or more where some are forgotten */
    int batches; /* 1 when exact */
    int batch;   /* samples of a batch; of the first, what is left over */
    bool noise;  /* there are streams of z */
    bool around;
    int64_t bytes, passes;
    char formula[400];
} hs_pca_plan;

/*
 * HS_ERROR_ARGUMENT names the option and what was expected; HS_ERROR_MEMORY
 * says what the smallest way would take and what max_mem allows.
 */
hs_status hs_pca_plan_make(const hs_sampler *sampler, const hs_pca_options *options,
                           hs_pca_plan *plan, hs_error *err);

/* Samples of batch number `index`, and the first of them in *first. The first
 * batch is the small one, when n is not a multiple: it forgets least. */
int hs_pca_plan_batch(const hs_pca_plan *plan, int index, int *first);

#endif
