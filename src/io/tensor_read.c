/* See tensor_read.h. */
#include "io/tensor_read.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "[any, 4, 8]" */
static void hs_describe_expected(int rank, const int64_t *expected, char text[200]) {
    int used = snprintf(text, 200, "[");
    for (int i = 0; i < rank && used < 180; i++) {
        const char *comma = i ? ", " : "";
        if (expected[i] < 0)
            used += snprintf(text + used, 200 - (size_t)used, "%sany", comma);
        else
            used +=
                snprintf(text + used, 200 - (size_t)used, "%s%lld", comma, (long long)expected[i]);
    }
    snprintf(text + used, 200 - (size_t)used, "]");
}

hs_status hs_tensor_expect(const char *path, const hs_tensor *tensor, int rank,
                           const int64_t *expected, hs_error *err) {
    bool fits = tensor->rank == rank;
    for (int i = 0; fits && i < rank; i++)
        fits = expected[i] < 0 ? tensor->dim[i] >= 1 && tensor->dim[i] <= INT32_MAX
                               : tensor->dim[i] == expected[i];
    if (fits)
        return HS_OK;
    char wanted[200], found[200];
    hs_describe_expected(rank, expected, wanted);
    hs_tensor_describe(tensor, found);
    return hs_fail(err, HS_ERROR_FORMAT, "%s: tensor %.200s: expected shape %s, found %s", path,
                   tensor->name, wanted, found);
}

hs_status hs_check_finite(const char *path, const char *name, const float *values, int64_t count,
                          hs_error *err) {
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return hs_fail(err, HS_ERROR_NUMERIC,
                           "%s: tensor %.200s: expected finite numbers, found %g at position %lld",
                           path, name, (double)values[i], (long long)i);
    return HS_OK;
}

hs_status hs_tensor_read_floats(const char *path, const hs_tensor *tensor, int rank,
                                const int64_t *expected, float **out, hs_error *err) {
    HS_TRY(hs_tensor_expect(path, tensor, rank, expected, err));
    int64_t count = hs_tensor_count(tensor);
    if (tensor->dtype > HS_F64) {
        char found[200];
        hs_tensor_describe(tensor, found);
        return hs_fail(err, HS_ERROR_FORMAT,
                       "%s: tensor %.200s: expected floating-point values, found %s", path,
                       tensor->name, found);
    }
    float *values = hs_alloc_aligned((size_t)count, sizeof *values);
    if (!values)
        return hs_fail_memory(err, (size_t)count * sizeof *values);
    hs_status status = hs_tensor_to_f32(tensor, 0, count, values, err);
    if (status == HS_OK)
        status = hs_check_finite(path, tensor->name, values, count, err);
    if (status != HS_OK) {
        free(values);
        return status;
    }
    *out = values;
    return HS_OK;
}

hs_status hs_check_timesteps(const char *path, const int64_t *timesteps, int T, hs_error *err) {
    for (int i = 0; i < T; i++) {
        if (timesteps[i] < 0 || timesteps[i] > INT32_MAX)
            return hs_fail(err, HS_ERROR_FORMAT,
                           "%s: timesteps: expected numbers from 0 to %d, found %lld at step %d",
                           path, INT32_MAX, (long long)timesteps[i], i);
        if (i && timesteps[i] >= timesteps[i - 1])
            return hs_fail(err, HS_ERROR_FORMAT,
                           "%s: timesteps: expected them to fall, noisiest first, found %lld after "
                           "%lld at step %d",
                           path, (long long)timesteps[i], (long long)timesteps[i - 1], i);
    }
    return HS_OK;
}

hs_status hs_tensor_read_timesteps(const char *path, const hs_tensor *tensor, int *T, int64_t **out,
                                   hs_error *err) {
    int64_t any = -1;
    HS_TRY(hs_tensor_expect(path, tensor, 1, &any, err));
    if (tensor->dtype != HS_I64)
        return hs_fail(err, HS_ERROR_FORMAT, "%s: tensor %.200s: expected I64, found %s", path,
                       tensor->name, hs_dtype_name(tensor->dtype));
    int64_t *values = hs_calloc((size_t)tensor->dim[0], sizeof *values);
    if (!values)
        return hs_fail_memory(err, (size_t)tensor->dim[0] * sizeof *values);
    memcpy(values, tensor->data, (size_t)tensor->dim[0] * sizeof *values);
    hs_status status = hs_check_timesteps(path, values, (int)tensor->dim[0], err);
    if (status != HS_OK) {
        free(values);
        return status;
    }
    *T = (int)tensor->dim[0];
    *out = values;
    return HS_OK;
}

hs_status hs_tensor_set_known(const char *path, const hs_tensor_set *set, const char *const *known,
                              hs_error *err) {
    for (int t = 0; t < set->count; t++) {
        int i = 0;
        while (known[i] && strcmp(known[i], set->tensors[t].name))
            i++;
        if (!known[i])
            return hs_fail(err, HS_ERROR_FORMAT, "%s: tensor %.200s does not belong in this file",
                           path, set->tensors[t].name);
    }
    return HS_OK;
}
