/*
 * safetensors, reading: 8 bytes of little-endian header length, a JSON header,
 * then the tensors' bytes without gaps.
 *
 *   | u64 n | n bytes: {"name": {"dtype", "shape", "data_offsets"}, ...} | data |
 *
 * Offsets count from the start of the data. Everything the header says is
 * checked against the file before it is used.
 */
#include <stdlib.h>
#include <string.h>

#include "io/json.h"
#include "io/tensor_set.h"

#define HS_SAFETENSORS_MAX_HEADER ((uint64_t)100 << 20) /* as the format's own reader */

/* Where a tensor's bytes lie, to find gaps and overlaps. */
typedef struct hs_extent {
    int64_t begin, end;
    const char *name;
} hs_extent;

/* The file that is being read, for checks and messages. */
typedef struct hs_safetensors {
    const char *path;
    const uint8_t *data; /* of the tensors */
    int64_t size;
} hs_safetensors;

static const hs_dtype hs_known_dtypes[] = {HS_F32, HS_F16, HS_BF16, HS_F64, HS_I64,
                                           HS_I32, HS_I16, HS_I8,   HS_U8,  HS_BOOL};

static hs_status hs_read_dtype(const hs_safetensors *file, const char *name, const json_t *entry,
                               hs_dtype *out, hs_error *err) {
    const json_t *value = json_object_get(entry, "dtype");
    const char *text = json_string_value(value);
    char found[100];
    for (size_t i = 0; text && i < sizeof hs_known_dtypes / sizeof *hs_known_dtypes; i++) {
        if (!strcmp(text, hs_dtype_name(hs_known_dtypes[i]))) {
            *out = hs_known_dtypes[i];
            return HS_OK;
        }
    }
    hs_json_describe(value, found);
    return hs_fail(err, text ? HS_ERROR_UNSUPPORTED : HS_ERROR_FORMAT,
                   "%s: tensor %.200s: expected a dtype F32, F16, BF16, F64, I64, I32, I16, I8, U8 "
                   "or BOOL, found %s",
                   file->path, name, found);
}

static hs_status hs_read_shape(const hs_safetensors *file, const char *name, const json_t *entry,
                               hs_tensor *tensor, hs_error *err) {
    json_t *shape = json_object_get(entry, "shape");
    char found[100];
    if (!json_is_array(shape) || json_array_size(shape) > HS_MAX_RANK) {
        hs_json_describe(shape, found);
        return hs_fail(err, HS_ERROR_FORMAT,
                       "%s: tensor %.200s: expected a shape of at most %d dimensions, found %s",
                       file->path, name, HS_MAX_RANK, found);
    }
    tensor->rank = (int)json_array_size(shape);
    for (int i = 0; i < tensor->rank; i++) {
        const json_t *value = json_array_get(shape, (size_t)i);
        if (!json_is_integer(value) || json_integer_value(value) < 0) {
            hs_json_describe(value, found);
            return hs_fail(err, HS_ERROR_FORMAT,
                           "%s: tensor %.200s: dimension %d: expected a whole number, found %s",
                           file->path, name, i, found);
        }
        tensor->dim[i] = json_integer_value(value);
    }
    return HS_OK;
}

/* data_offsets, within the file and as long as type and shape say. */
static hs_status hs_read_extent(const hs_safetensors *file, const json_t *entry,
                                const hs_tensor *tensor, hs_extent *out, hs_error *err) {
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    int64_t bytes;
    char shape[200];
    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end)) {
        char found[100];
        hs_json_describe(offsets, found);
        return hs_fail(err, HS_ERROR_FORMAT,
                       "%s: tensor %.200s: expected data_offsets [begin, end], found %s",
                       file->path, tensor->name, found);
    }
    *out = (hs_extent){json_integer_value(begin), json_integer_value(end), tensor->name};
    if (out->begin < 0 || out->begin > out->end || out->end > file->size)
        return hs_fail(err, HS_ERROR_FORMAT,
                       "%s: tensor %.200s: expected data_offsets within 0 and %lld, found [%lld, "
                       "%lld]",
                       file->path, tensor->name, (long long)file->size, (long long)out->begin,
                       (long long)out->end);
    HS_TRY(hs_tensor_shape_bytes(file->path, tensor->name, tensor->dtype, tensor->rank, tensor->dim,
                                 &bytes, err));
    hs_tensor_describe(tensor, shape);
    if (out->end - out->begin != bytes)
        return hs_fail(err, HS_ERROR_FORMAT,
                       "%s: tensor %.200s: expected %lld bytes for %s, found %lld", file->path,
                       tensor->name, (long long)bytes, shape, (long long)(out->end - out->begin));
    return HS_OK;
}

static hs_status hs_read_entry(const hs_safetensors *file, const char *name, const json_t *entry,
                               hs_tensor_set *set, hs_extent *extent, hs_error *err) {
    static const char *const known[] = {"dtype", "shape", "data_offsets", NULL};
    hs_tensor tensor = {.name = name};
    if (!json_is_object(entry)) {
        char found[100];
        hs_json_describe(entry, found);
        return hs_fail(err, HS_ERROR_FORMAT, "%s: tensor %.200s: expected an object, found %s",
                       file->path, name, found);
    }
    hs_status status = hs_json_known_keys(entry, known, err);
    if (status != HS_OK)
        return hs_fail_prefix(err, status, "%s: tensor %.200s", file->path, name);
    HS_TRY(hs_read_dtype(file, name, entry, &tensor.dtype, err));
    HS_TRY(hs_read_shape(file, name, entry, &tensor, err));
    HS_TRY(hs_read_extent(file, entry, &tensor, extent, err));
    tensor.data = file->data + extent->begin;
    return hs_tensor_set_add(set, &tensor, err);
}

static hs_status hs_read_metadata(const hs_safetensors *file, const json_t *metadata,
                                  hs_tensor_set *set, hs_error *err) {
    const char *key;
    json_t *value;
    char found[100];
    if (!json_is_object(metadata)) {
        hs_json_describe(metadata, found);
        return hs_fail(err, HS_ERROR_FORMAT, "%s: __metadata__: expected an object, found %s",
                       file->path, found);
    }
    json_object_foreach((json_t *)(uintptr_t)metadata, key, value) {
        if (!json_is_string(value)) {
            hs_json_describe(value, found);
            return hs_fail(err, HS_ERROR_FORMAT,
                           "%s: __metadata__: key \"%.100s\": expected a string, found %s",
                           file->path, key, found);
        }
    }
    char *text = json_dumps(metadata, JSON_COMPACT);
    if (text)
        set->metadata = hs_arena_strdup(&set->arena, text);
    free(text);
    return set->metadata ? HS_OK : hs_fail_memory(err, 0);
}

static int hs_compare_extents(const void *a, const void *b) {
    const hs_extent *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

/* The tensors must cover the data exactly: no byte twice, none unused. */
static hs_status hs_check_extents(const hs_safetensors *file, hs_extent *extents, int count,
                                  hs_error *err) {
    int64_t at = 0;
    if (count > 1)
        qsort(extents, (size_t)count, sizeof *extents, hs_compare_extents);
    for (int i = 0; i < count; i++) {
        if (extents[i].begin != at)
            return hs_fail(err, HS_ERROR_FORMAT,
                           "%s: tensor %.200s: expected its data at offset %lld, found %lld (%s)",
                           file->path, extents[i].name, (long long)at, (long long)extents[i].begin,
                           extents[i].begin < at ? "it overlaps another tensor" : "a gap");
        at = extents[i].end;
    }
    if (at != file->size)
        return hs_fail(err, HS_ERROR_FORMAT,
                       "%s: expected %lld bytes of tensors, found %lld (%lld belong to none)",
                       file->path, (long long)at, (long long)file->size,
                       (long long)(file->size - at));
    return HS_OK;
}

static hs_status hs_read_header(const hs_safetensors *file, const json_t *header,
                                hs_tensor_set *set, hs_error *err) {
    hs_status status = HS_OK;
    const char *name;
    json_t *entry;
    int count = 0;
    hs_extent *extents = hs_calloc(json_object_size(header), sizeof *extents);
    if (!extents)
        return hs_fail_memory(err, json_object_size(header) * sizeof *extents);
    json_object_foreach((json_t *)(uintptr_t)header, name, entry) {
        if (!strcmp(name, "__metadata__")) {
            HS_CHECK(hs_read_metadata(file, entry, set, err));
            continue;
        }
        HS_CHECK(hs_read_entry(file, name, entry, set, &extents[count], err));
        count++;
    }
    HS_CHECK(hs_check_extents(file, extents, count, err));
    HS_CHECK(hs_tensor_set_seal(set, file->path, err));
cleanup:
    free(extents);
    return status;
}

/* The header's length, checked. */
static hs_status hs_read_length(const char *path, const uint8_t *data, size_t size, uint64_t *out,
                                hs_error *err) {
    uint64_t length = 0;
    if (size < 8)
        return hs_fail(err, HS_ERROR_FORMAT,
                       "%s: expected a safetensors file of at least 8 bytes, found %zu", path,
                       size);
    for (int i = 7; i >= 0; i--)
        length = length << 8 | data[i];
    if (length > HS_SAFETENSORS_MAX_HEADER)
        return hs_fail(err, HS_ERROR_FORMAT,
                       "%s: expected a safetensors header of at most %llu bytes, found a length of "
                       "%llu (is it a safetensors file?)",
                       path, (unsigned long long)HS_SAFETENSORS_MAX_HEADER,
                       (unsigned long long)length);
    if (length > size - 8)
        return hs_fail(err, HS_ERROR_FORMAT,
                       "%s: expected a header of %llu bytes, found %zu bytes after its length "
                       "(truncated?)",
                       path, (unsigned long long)length, size - 8);
    *out = length;
    return HS_OK;
}

hs_status hs_safetensors_parse(const char *path, const void *data, size_t size, hs_tensor_set **out,
                               hs_error *err) {
    hs_status status = HS_OK;
    json_t *header = NULL;
    hs_tensor_set *set = NULL;
    uint64_t length = 0;
    const uint8_t *bytes = data;
    HS_CHECK(hs_read_length(path, bytes, size, &length, err));
    status = hs_json_parse_object(path, bytes + 8, (size_t)length, &header, err);
    if (status != HS_OK) {
        status = hs_fail_prefix(err, status, "safetensors header");
        goto cleanup;
    }
    if (!(set = hs_tensor_set_new())) {
        status = hs_fail_memory(err, sizeof *set);
        goto cleanup;
    }
    hs_safetensors file = {path, bytes + 8 + length, (int64_t)(size - 8 - length)};
    HS_CHECK(hs_read_header(&file, header, set, err));
    *out = set;
    set = NULL;
cleanup:
    hs_tensor_set_free(set);
    json_decref(header);
    return status;
}

hs_status hs_safetensors_open(const char *path, hs_tensor_set **out, hs_error *err) {
    hs_file file;
    hs_tensor_set *set;
    HS_TRY(hs_file_map(path, &file, err));
    hs_status status = hs_safetensors_parse(path, file.data, file.size, &set, err);
    if (status != HS_OK) {
        hs_file_unmap(&file);
        return status;
    }
    status = hs_tensor_set_attach(set, &file, err);
    if (status != HS_OK) {
        hs_tensor_set_free(set);
        return status;
    }
    *out = set;
    return HS_OK;
}

hs_status hs_safetensors_open_sharded(const char *path, hs_tensor_set **out, hs_error *err) {
    return hs_shards_open(path, hs_safetensors_open, out, err);
}
