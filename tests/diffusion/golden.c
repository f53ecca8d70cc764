/* See golden.h. */
#include "golden.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

hs_tensor_set *hs_golden_open(const char *file) {
    hs_error err;
    hs_tensor_set *set = NULL;
    char path[200];
    snprintf(path, sizeof path, "golden/diffusion/%s.safetensors", file);
    assert_ok(hs_safetensors_open(path, &set, &err));
    return set;
}

const hs_tensor *hs_golden(const hs_tensor_set *set, const char *name, hs_dtype dtype,
                           int64_t count) {
    const hs_tensor *tensor = hs_tensor_set_find(set, name);
    if (!tensor)
        fail_msg("golden values have no %s", name);
    if (tensor->dtype != dtype || (count >= 0 && hs_tensor_count(tensor) != count))
        fail_msg("golden %s has %lld values of type %s", name, (long long)hs_tensor_count(tensor),
                 hs_dtype_name(tensor->dtype));
    return tensor;
}

float *hs_golden_f32(const hs_tensor_set *set, const char *name, int64_t count) {
    const hs_tensor *tensor = hs_golden(set, name, HS_F32, count);
    count = hs_tensor_count(tensor);
    float *values = malloc((size_t)count * sizeof *values);
    assert_non_null(values);
    memcpy(values, tensor->data, (size_t)count * sizeof *values);
    return values;
}
