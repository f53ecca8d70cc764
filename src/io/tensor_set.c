/* See tensor_set.h: what the readers of all formats share. */
#include "io/tensor_set.h"

#include <stdlib.h>
#include <string.h>

hs_tensor_set *hs_tensor_set_new(void) {
    return hs_calloc(1, sizeof(hs_tensor_set));
}

void hs_tensor_set_free(hs_tensor_set *set) {
    if (!set)
        return;
    for (int i = 0; i < set->file_count; i++)
        hs_file_unmap(&set->files[i]);
    free(set->files);
    free(set->tensors);
    hs_arena_free(&set->arena);
    free(set);
}

/* Room for `more` tensors. */
static hs_status hs_tensor_set_reserve(hs_tensor_set *set, int more, hs_error *err) {
    if (more <= set->capacity - set->count)
        return HS_OK;
    int64_t capacity = set->capacity ? 2 * (int64_t)set->capacity : 64;
    if (capacity < (int64_t)set->count + more)
        capacity = (int64_t)set->count + more;
    if (capacity > INT32_MAX / 2)
        return hs_fail(err, HS_ERROR_FORMAT, "more than %d tensors", INT32_MAX / 2);
    hs_tensor *grown = reallocarray(set->tensors, (size_t)capacity, sizeof *grown);
    if (!grown)
        return hs_fail_memory(err, (size_t)capacity * sizeof *grown);
    set->tensors = grown;
    set->capacity = (int)capacity;
    return HS_OK;
}

hs_status hs_tensor_set_add(hs_tensor_set *set, const hs_tensor *tensor, hs_error *err) {
    HS_TRY(hs_tensor_set_reserve(set, 1, err));
    char *name = hs_arena_strdup(&set->arena, tensor->name);
    if (!name)
        return hs_fail_memory(err, strlen(tensor->name) + 1);
    set->tensors[set->count] = *tensor;
    set->tensors[set->count++].name = name;
    return HS_OK;
}

static bool hs_in_mapping(const hs_tensor_set *set, const void *data) {
    for (int i = 0; i < set->file_count; i++) {
        const hs_file *file = &set->files[i];
        uintptr_t base = (uintptr_t)file->data, at = (uintptr_t)data;
        if (file->mapped && at >= base && at < base + file->size)
            return true;
    }
    return false;
}

/* A reader may attach the file before it seals the set or after. */
static void hs_mark_mapped(hs_tensor_set *set) {
    for (int i = 0; i < set->count; i++)
        set->tensors[i].mapped = hs_in_mapping(set, set->tensors[i].data);
}

hs_status hs_tensor_set_attach(hs_tensor_set *set, hs_file *file, hs_error *err) {
    hs_file *grown = reallocarray(set->files, (size_t)set->file_count + 1, sizeof *grown);
    if (!grown) {
        hs_file_unmap(file);
        return hs_fail_memory(err, ((size_t)set->file_count + 1) * sizeof *grown);
    }
    set->files = grown;
    set->files[set->file_count++] = *file;
    *file = (hs_file){0};
    hs_mark_mapped(set);
    return HS_OK;
}

hs_status hs_tensor_set_merge(hs_tensor_set *set, hs_tensor_set *from, hs_error *err) {
    HS_TRY(hs_tensor_set_reserve(set, from->count, err));
    size_t files = (size_t)set->file_count + (size_t)from->file_count;
    hs_file *grown = reallocarray(set->files, files ? files : 1, sizeof *grown);
    if (!grown)
        return hs_fail_memory(err, files * sizeof *grown);
    set->files = grown;
    for (int i = 0; i < from->file_count; i++)
        set->files[set->file_count++] = from->files[i];
    for (int i = 0; i < from->count; i++)
        set->tensors[set->count++] = from->tensors[i];
    hs_arena_join(&set->arena, &from->arena);
    from->file_count = 0;
    hs_tensor_set_free(from);
    return HS_OK;
}

static int hs_compare_names(const void *a, const void *b) {
    return strcmp(((const hs_tensor *)a)->name, ((const hs_tensor *)b)->name);
}

hs_status hs_tensor_set_seal(hs_tensor_set *set, const char *path, hs_error *err) {
    if (set->count > 1)
        qsort(set->tensors, (size_t)set->count, sizeof *set->tensors, hs_compare_names);
    hs_mark_mapped(set);
    for (int i = 1; i < set->count; i++)
        if (!strcmp(set->tensors[i - 1].name, set->tensors[i].name))
            return hs_fail(err, HS_ERROR_FORMAT, "%s: tensor %.200s: expected once, found twice",
                           path, set->tensors[i].name);
    return HS_OK;
}

const hs_tensor *hs_tensor_set_find(const hs_tensor_set *set, const char *name) {
    hs_tensor key = {.name = name};
    if (!set->count)
        return NULL;
    return bsearch(&key, set->tensors, (size_t)set->count, sizeof key, hs_compare_names);
}

void hs_tensor_set_release(const hs_tensor_set *set, const hs_tensor *tensor) {
    if (tensor->mapped)
        hs_file_release(tensor->data, (size_t)hs_tensor_bytes(tensor));
}

hs_status hs_tensor_shape_bytes(const char *path, const char *name, hs_dtype dtype, int rank,
                                const int64_t *dim, int64_t *bytes, hs_error *err) {
    int64_t size = (int64_t)hs_dtype_size(dtype);
    bool empty = false;
    if (rank < 0 || rank > HS_MAX_RANK)
        return hs_fail(err, HS_ERROR_FORMAT,
                       "%s: tensor %.200s: expected at most %d dimensions, found %d", path, name,
                       HS_MAX_RANK, rank);
    for (int i = 0; i < rank; i++) {
        if (dim[i] < 0)
            return hs_fail(err, HS_ERROR_FORMAT,
                           "%s: tensor %.200s: dimension %d is negative: %lld", path, name, i,
                           (long long)dim[i]);
        empty = empty || dim[i] == 0;
        /* The product is checked without zeros, so that [huge, huge, 0] does
         * not pass here and overflow in a partial product elsewhere. */
        if (dim[i] && !hs_mul_i64(size, dim[i], &size))
            return hs_fail(err, HS_ERROR_FORMAT,
                           "%s: tensor %.200s: its shape overflows 64 bits at dimension %d", path,
                           name, i);
    }
    *bytes = empty ? 0 : size;
    return HS_OK;
}
