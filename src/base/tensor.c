/* See tensor.h. */
#include "base/tensor.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    size_t size;
} hs_dtypes[] = {
    [HS_F32] = {"F32", 4}, [HS_F16] = {"F16", 2},   [HS_BF16] = {"BF16", 2}, [HS_F64] = {"F64", 8},
    [HS_I64] = {"I64", 8}, [HS_I32] = {"I32", 4},   [HS_I16] = {"I16", 2},   [HS_I8] = {"I8", 1},
    [HS_U8] = {"U8", 1},   [HS_BOOL] = {"BOOL", 1},
};

size_t hs_dtype_size(hs_dtype dtype) {
    return hs_dtypes[dtype].size;
}

const char *hs_dtype_name(hs_dtype dtype) {
    return hs_dtypes[dtype].name;
}

int64_t hs_tensor_count(const hs_tensor *tensor) {
    int64_t count = 1;
    for (int i = 0; i < tensor->rank; i++)
        count *= tensor->dim[i];
    return count;
}

int64_t hs_tensor_bytes(const hs_tensor *tensor) {
    return hs_tensor_count(tensor) * (int64_t)hs_dtype_size(tensor->dtype);
}

void hs_tensor_describe(const hs_tensor *tensor, char text[200]) {
    int used = snprintf(text, 200, "%s [", hs_dtype_name(tensor->dtype));
    for (int i = 0; i < tensor->rank && used < 180; i++)
        used += snprintf(text + used, 200 - (size_t)used, "%s%lld", i ? ", " : "",
                         (long long)tensor->dim[i]);
    if (used < 199)
        snprintf(text + used, 200 - (size_t)used, "]");
}

/* By the bits, so that it means the same on every machine. */
float hs_f16_to_f32(uint16_t bits) {
    uint32_t sign = (uint32_t)(bits & 0x8000) << 16;
    uint32_t exponent = (bits >> 10) & 0x1f, fraction = bits & 0x3ff, word;
    if (exponent == 0x1f) {
        word = sign | 0x7f800000 | fraction << 13;
    } else if (exponent) {
        word = sign | (exponent + 112) << 23 | fraction << 13;
    } else if (fraction) { /* subnormal: 2^-24 * fraction, exact in float */
        float value = (float)fraction * 0x1p-24f;
        return sign ? -value : value;
    } else {
        word = sign;
    }
    float value;
    memcpy(&value, &word, 4);
    return value;
}

bool hs_tensor_is_real(const hs_tensor *tensor) {
    return tensor->dtype <= HS_F64 || tensor->codes;
}

hs_status hs_tensor_to_f32(const hs_tensor *tensor, int64_t first, int64_t count, float *out,
                           hs_error *err) {
    const uint8_t *data =
        (const uint8_t *)tensor->data + first * (int64_t)hs_dtype_size(tensor->dtype);
    uint16_t half;
    double wide;
    switch (tensor->dtype) {
    case HS_F32: memcpy(out, data, (size_t)count * 4); return HS_OK;
    case HS_F16:
        for (int64_t i = 0; i < count; i++) {
            memcpy(&half, data + 2 * i, 2);
            out[i] = hs_f16_to_f32(half);
        }
        return HS_OK;
    case HS_BF16:
        for (int64_t i = 0; i < count; i++) {
            memcpy(&half, data + 2 * i, 2);
            out[i] = hs_bf16_to_f32(half);
        }
        return HS_OK;
    case HS_F64:
        for (int64_t i = 0; i < count; i++) {
            memcpy(&wide, data + 8 * i, 8);
            out[i] = (float)wide;
        }
        return HS_OK;
    case HS_U8:
        if (!tensor->codes)
            break;
        for (int64_t i = 0; i < count; i++)
            out[i] = tensor->codes[data[i]];
        return HS_OK;
    default: break;
    }
    return hs_fail(err, HS_ERROR_UNSUPPORTED, "tensor %s is %s, expected a floating type",
                   tensor->name ? tensor->name : "(unnamed)", hs_dtype_name(tensor->dtype));
}

int64_t hs_tensor_first_bad(const float *values, int64_t count) {
    /* Blocks first, with no branch inside, so that the compiler vectorises. */
    enum { BLOCK = 1024 };
    for (int64_t start = 0; start < count; start += BLOCK) {
        int64_t end = count - start < BLOCK ? count : start + BLOCK;
        uint32_t bad = 0;
        for (int64_t i = start; i < end; i++) {
            uint32_t word;
            memcpy(&word, values + i, 4);
            bad |= (word & 0x7f800000) == 0x7f800000;
        }
        for (int64_t i = start; bad && i < end; i++)
            if (!isfinite(values[i]))
                return i;
    }
    return -1;
}
