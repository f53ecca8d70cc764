/*
 * Incremental PCA with a running mean (Ross, Lim, Lin, Yang: Incremental
 * Learning for Robust Visual Tracking, IJCV 2008): of a stream of batches it
 * keeps the mean and the k leading components. A batch of b rows with mean m_b
 * is taken in by the thin SVD of
 *
 *   [ diag(s) V                            ]   k rows
 *   [ x - m_b                              ]   b rows
 *   [ sqrt(count b/(count+b)) (mean - m_b) ]   1 row
 *
 * which is done by the Gram matrix of these k+b+1 rows (gram_pca.h), in double
 * and on column blocks. What a batch has beyond the k leading components is
 * forgotten; batches of b >= 2k make that loss small.
 */
#ifndef HS_DIRECTIONS_INCREMENTAL_PCA_H
#define HS_DIRECTIONS_INCREMENTAL_PCA_H

#include "base/error.h"

/* Plain data, so that a resume point is a copy of it. */
typedef struct hs_incremental_pca {
    int k;
    int64_t d;
    int64_t count;     /* samples so far */
    int64_t rank;      /* components so far, at most k */
    float *components; /* [k,d] unit rows, `stride` floats apart; rows from `rank` on are
                          zero. The caller's: k*d floats are the bulk of it all */
    int64_t stride;
    double *s;    /* [k] singular values, largest first */
    double *mean; /* [d] */
    double total; /* sum of squared distances from the mean: of all s^2 */
} hs_incremental_pca;

/* Nothing seen yet; `components` is cleared. */
hs_status hs_incremental_pca_create(int k, int64_t d, float *components, int64_t stride,
                                    hs_incremental_pca *out, hs_error *err);
void hs_incremental_pca_free(hs_incremental_pca *pca);

/*
 * Take in rows x [b,d]; after a failure the state is lost.
 *   scores   [k,b] coordinates of the batch in the new components, in units of
 *            s and about the batch's mean; rows from `rank` on are 0; or NULL
 */
hs_status hs_incremental_pca_add(hs_incremental_pca *pca, int b, const float *x, double *scores,
                                 hs_error *err);

#endif
