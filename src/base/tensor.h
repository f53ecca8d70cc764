/*
 * A tensor as files hold it: a name, a type, a shape and bytes that somebody
 * else owns (a mapped file, most often). The vocabulary that io, models, graph
 * and back ends share.
 */
#ifndef HS_BASE_TENSOR_H
#define HS_BASE_TENSOR_H

#include <string.h>

#include "base/error.h"

typedef enum hs_dtype {
    HS_F32,
    HS_F16,
    HS_BF16,
    HS_F64,
    HS_I64,
    HS_I32,
    HS_I16,
    HS_I8,
    HS_U8,
    HS_BOOL
} hs_dtype;

size_t hs_dtype_size(hs_dtype dtype);
const char *hs_dtype_name(hs_dtype dtype); /* as in safetensors: "F32", "BF16" */

#define HS_MAX_RANK 8

typedef struct hs_tensor {
    const char *name;
    hs_dtype dtype;
    int rank;
    int64_t dim[HS_MAX_RANK];
    const void *data;   /* row-major, little-endian; may be unaligned */
    bool mapped;        /* `data` lie in a read-only file mapping: pages that are
                           dropped come back when they are read */
    const float *codes; /* of HS_U8: the 256 values that its bytes stand for; or NULL */
} hs_tensor;

int64_t hs_tensor_count(const hs_tensor *tensor); /* product of dim, 1 for rank 0 */
int64_t hs_tensor_bytes(const hs_tensor *tensor);
/* "F32 [512, 256, 3, 3]" into text. */
void hs_tensor_describe(const hs_tensor *tensor, char text[200]);

/* True for floating types, and for bytes that stand for floats. */
bool hs_tensor_is_real(const hs_tensor *tensor);

/* Widen `count` values from the first_th on to float; only where the tensor is real
 * (an HS_ERROR_UNSUPPORTED names others). F64 is rounded. */
hs_status hs_tensor_to_f32(const hs_tensor *tensor, int64_t first, int64_t count, float *out,
                           hs_error *err);

/* The index of the first NaN or infinity of `count` values, or -1. */
int64_t hs_tensor_first_bad(const float *values, int64_t count);

float hs_f16_to_f32(uint16_t bits);

static inline float hs_bf16_to_f32(uint16_t bits) {
    uint32_t word = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &word, sizeof value);
    return value;
}

/* The nearest, ties to even; a NaN stays one. */
static inline uint16_t hs_f32_to_bf16(float value) {
    uint32_t word;
    memcpy(&word, &value, sizeof word);
    if (value != value)
        return (uint16_t)(word >> 16 | 0x40);
    return (uint16_t)((word + 0x7fff + (word >> 16 & 1)) >> 16);
}

#endif
