/* Golden tensors of this room, by name. */
#ifndef HS_TESTS_DIFFUSION_GOLDEN_H
#define HS_TESTS_DIFFUSION_GOLDEN_H

#include "support.h"

#include "io/tensor_set.h"

/* golden/diffusion/<file>.safetensors; fails the test if it cannot be read. */
hs_tensor_set *hs_golden_open(const char *file);
/* The named tensor, which must hold `count` values of this type (-1: any). */
const hs_tensor *hs_golden(const hs_tensor_set *set, const char *name, hs_dtype dtype,
                           int64_t count);
/* Its values as floats, aligned; free() them. */
float *hs_golden_f32(const hs_tensor_set *set, const char *name, int64_t count);

#endif
