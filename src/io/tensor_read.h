/* Tensors of our own files (directions, latents), copied out and checked. */
#ifndef HS_IO_TENSOR_READ_H
#define HS_IO_TENSOR_READ_H

#include "io/tensor_set.h"

/*
 * Check a tensor's rank and dimensions; expected [rank], where -1 stands for
 * any number from 1 to 2^31-1. HS_ERROR_FORMAT names file, tensor, both shapes.
 */
hs_status hs_tensor_expect(const char *path, const hs_tensor *tensor, int rank,
                           const int64_t *expected, hs_error *err);
/* The same, and copy it, widened to float, into fresh memory: free() *out. A
 * NaN or an infinity is HS_ERROR_NUMERIC, an integer type HS_ERROR_FORMAT. */
hs_status hs_tensor_read_floats(const char *path, const hs_tensor *tensor, int rank,
                                const int64_t *expected, float **out, hs_error *err);
/* Inference timesteps I64 [T], noisiest first: strictly decreasing, none
 * negative. *T is set, *out is to be freed. */
hs_status hs_tensor_read_timesteps(const char *path, const hs_tensor *tensor, int *T, int64_t **out,
                                   hs_error *err);
/* HS_ERROR_FORMAT that names the first tensor of the set not in `known`, which
 * ends in NULL. */
hs_status hs_tensor_set_known(const char *path, const hs_tensor_set *set, const char *const *known,
                              hs_error *err);

/* The checks on values alone, for writers. */
hs_status hs_check_finite(const char *path, const char *name, const float *values, int64_t count,
                          hs_error *err);
hs_status hs_check_timesteps(const char *path, const int64_t *timesteps, int T, hs_error *err);

#endif
