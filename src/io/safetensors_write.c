/* safetensors, writing (the layout is drawn in safetensors.c). */
#include <stdlib.h>
#include <string.h>

#include "io/json.h"
#include "io/tensor_set.h"

/* Large types first, then by name: with a header padded to 8 bytes, every
 * tensor is aligned to its own type. */
static int hs_compare_written(const void *a, const void *b) {
    const hs_tensor *x = *(const hs_tensor *const *)a, *y = *(const hs_tensor *const *)b;
    size_t p = hs_dtype_size(x->dtype), q = hs_dtype_size(y->dtype);
    if (p != q)
        return p > q ? -1 : 1;
    return strcmp(x->name, y->name);
}

static hs_status hs_put_metadata(const char *path, json_t *header, const char *metadata,
                                 hs_error *err) {
    json_t *object, *value;
    const char *key;
    HS_TRY(hs_json_parse_object(path, metadata, strlen(metadata), &object, err));
    json_object_foreach(object, key, value) {
        if (!json_is_string(value)) {
            hs_status status = hs_fail(err, HS_ERROR_ARGUMENT,
                                       "%s: metadata key \"%.100s\": expected a string", path, key);
            json_decref(object);
            return status;
        }
    }
    if (json_object_set_new(header, "__metadata__", object) != 0)
        return hs_fail_memory(err, strlen(metadata));
    return HS_OK;
}

/* Put one tensor at offset *at of the data, and move *at behind it. */
static hs_status hs_put_tensor(const char *path, json_t *header, const hs_tensor *tensor,
                               int64_t *at, hs_error *err) {
    int64_t bytes, end;
    if (!*tensor->name || !strcmp(tensor->name, "__metadata__") ||
        json_object_get(header, tensor->name))
        return hs_fail(err, HS_ERROR_ARGUMENT, "%s: a tensor cannot be named \"%.200s\"%s", path,
                       tensor->name, json_object_get(header, tensor->name) ? " twice" : "");
    HS_TRY(hs_tensor_shape_bytes(path, tensor->name, tensor->dtype, tensor->rank, tensor->dim,
                                 &bytes, err));
    if (__builtin_add_overflow(*at, bytes, &end))
        return hs_fail(err, HS_ERROR_ARGUMENT, "%s: tensor %.200s: the file overflows 64 bits",
                       path, tensor->name);
    json_t *shape = json_array();
    for (int i = 0; i < tensor->rank; i++)
        json_array_append_new(shape, json_integer(tensor->dim[i]));
    json_t *entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", hs_dtype_name(tensor->dtype),
                              "shape", shape, "data_offsets", (json_int_t)*at, (json_int_t)end);
    /* jansson takes valid UTF-8 alone. */
    if (!entry || json_array_size(json_object_get(entry, "shape")) != (size_t)tensor->rank ||
        json_object_set(header, tensor->name, entry) != 0) {
        json_decref(entry);
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "%s: tensor \"%.200s\": its name is not UTF-8, or memory ran out", path,
                       tensor->name);
    }
    json_decref(entry);
    *at = end;
    return HS_OK;
}

/* Length, header and the spaces that align what follows. */
static hs_status hs_write_header(hs_atomic *file, const json_t *header, hs_error *err) {
    static const char spaces[8] = "        ";
    uint8_t length[8];
    char *text = json_dumps(header, JSON_COMPACT);
    if (!text)
        return hs_fail_memory(err, 0);
    size_t used = strlen(text), padded = (used + 7) / 8 * 8;
    for (int i = 0; i < 8; i++)
        length[i] = (uint8_t)((uint64_t)padded >> (8 * i));
    hs_status status = hs_atomic_write(file, length, 8, err);
    if (status == HS_OK)
        status = hs_atomic_write(file, text, used, err);
    if (status == HS_OK)
        status = hs_atomic_write(file, spaces, padded - used, err);
    free(text);
    return status;
}

hs_status hs_safetensors_write(const char *path, const hs_tensor *tensors, int count,
                               const char *metadata_json, hs_error *err) {
    hs_status status = HS_OK;
    int64_t size = 0;
    hs_atomic file = {.fd = -1};
    json_t *header = json_object();
    const hs_tensor **sorted = hs_calloc((size_t)count, sizeof *sorted);
    if (!header || !sorted) {
        status = hs_fail_memory(err, (size_t)count * sizeof *sorted);
        goto cleanup;
    }
    for (int i = 0; i < count; i++)
        sorted[i] = &tensors[i];
    if (count > 1)
        qsort(sorted, (size_t)count, sizeof *sorted, hs_compare_written);
    if (metadata_json)
        HS_CHECK(hs_put_metadata(path, header, metadata_json, err));
    for (int i = 0; i < count; i++)
        HS_CHECK(hs_put_tensor(path, header, sorted[i], &size, err));
    HS_CHECK(hs_atomic_open(&file, path, err));
    HS_CHECK(hs_write_header(&file, header, err));
    for (int i = 0; i < count; i++)
        HS_CHECK(hs_atomic_write(&file, sorted[i]->data, (size_t)hs_tensor_bytes(sorted[i]), err));
    HS_CHECK(hs_atomic_commit(&file, err));
cleanup:
    hs_atomic_abort(&file);
    free(sorted);
    json_decref(header);
    return status;
}
