/* hs_tensors_*: the public way to tensors in a .safetensors file. Values are
 * widened when they are asked for, once each. */
#include "io/tensor_set.h"

#include <stdlib.h>
#include <string.h>

struct hs_tensors {
    hs_tensor_set *set;
    char *path;
    float **wide; /* [set->count], NULL: not asked for yet */
};

hs_status hs_tensors_load(const char *path, hs_tensors **out, hs_error *err) {
    hs_tensor_set *set = NULL;
    HS_TRY(hs_safetensors_open(path, &set, err));
    hs_tensors *tensors = hs_calloc(1, sizeof *tensors);
    if (tensors) {
        tensors->path = hs_strdup(path);
        tensors->wide = hs_calloc((size_t)set->count + 1, sizeof *tensors->wide);
    }
    if (!tensors || !tensors->path || !tensors->wide) {
        hs_tensor_set_free(set);
        hs_tensors_free(tensors);
        return hs_fail_memory(err, sizeof *tensors);
    }
    tensors->set = set;
    *out = tensors;
    return HS_OK;
}

void hs_tensors_free(hs_tensors *tensors) {
    if (!tensors)
        return;
    for (int i = 0; tensors->set && i < tensors->set->count; i++)
        free(tensors->wide[i]);
    free(tensors->wide);
    free(tensors->path);
    hs_tensor_set_free(tensors->set);
    free(tensors);
}

int hs_tensors_count(const hs_tensors *tensors) {
    return tensors->set->count;
}

const char *hs_tensors_name(const hs_tensors *tensors, int index) {
    return index >= 0 && index < tensors->set->count ? tensors->set->tensors[index].name : NULL;
}

hs_status hs_tensors_get(hs_tensors *tensors, const char *name, hs_tensor_view *out,
                         hs_error *err) {
    const hs_tensor *tensor = hs_tensor_set_find(tensors->set, name);
    if (!tensor)
        return hs_fail(err, HS_ERROR_MISMATCH, "%s: has no tensor '%s'", tensors->path, name);
    float **wide = &tensors->wide[tensor - tensors->set->tensors];
    if (!*wide) {
        int64_t count = hs_tensor_count(tensor);
        float *values = hs_alloc_aligned((size_t)count + 1, sizeof *values);
        if (!values)
            return hs_fail_memory(err, (size_t)count * sizeof *values);
        hs_status status = hs_tensor_to_f32(tensor, 0, count, values, err);
        if (status != HS_OK) {
            free(values);
            return hs_fail_prefix(err, status, "%s", tensors->path);
        }
        *wide = values;
    }
    *out = (hs_tensor_view){.name = tensor->name, .rank = tensor->rank, .data = *wide};
    memcpy(out->dim, tensor->dim, (size_t)tensor->rank * sizeof *out->dim);
    return HS_OK;
}

hs_status hs_tensors_save(const char *path, const hs_tensor_view *views, int count, hs_error *err) {
    if (count < 0)
        return hs_fail(err, HS_ERROR_ARGUMENT, "%s: %d tensors to write", path, count);
    hs_tensor *tensors = hs_calloc((size_t)count + 1, sizeof *tensors);
    if (!tensors)
        return hs_fail_memory(err, (size_t)count * sizeof *tensors);
    hs_status status = HS_OK;
    for (int i = 0; i < count && status == HS_OK; i++) {
        if (views[i].rank < 0 || views[i].rank > HS_MAX_RANK) {
            status = hs_fail(err, HS_ERROR_ARGUMENT, "%s: tensor %s has rank %d, expected 0 to %d",
                             path, views[i].name, views[i].rank, HS_MAX_RANK);
            break;
        }
        tensors[i] = (hs_tensor){
            .name = views[i].name, .dtype = HS_F32, .rank = views[i].rank, .data = views[i].data};
        memcpy(tensors[i].dim, views[i].dim, (size_t)views[i].rank * sizeof *views[i].dim);
    }
    if (status == HS_OK)
        status = hs_safetensors_write(path, tensors, count, NULL, err);
    free(tensors);
    return status;
}
