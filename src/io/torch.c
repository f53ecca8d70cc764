/*
 * torch.save files: from the pickled state dict and its storages to a tensor
 * set. Contiguous tensors stay where the file has them; strided ones
 * (channels_last, transposed) are copied into the set's arena.
 */
#include "io/torch.h"

#include <stdlib.h>
#include <string.h>

#include "io/tensor_set.h"

/* Where training scripts put the state dict, in the order they are tried. */
static const char *const hs_wrappers[] = {"state_dict", "model_state_dict", "model", "module",
                                          "ema"};
#define HS_MAX_NESTING 2 /* a hostile dict may hold itself under all of them */

/* Expanded tensors (stride 0) can be larger than the file; this much is given
 * to them at least. */
#define HS_MIN_COPY ((int64_t)64 << 20)

typedef struct hs_torch_loader {
    const hs_torch *file;
    hs_tensor_set *set;
    int64_t copied;    /* bytes of strided tensors */
    size_t name_bytes; /* of all names */
    hs_error *err;
} hs_torch_loader;

static bool hs_is_entry(const hs_pickle_value *dict, size_t i) {
    return dict->list.items[i]->kind == HS_PICKLE_STRING &&
           dict->list.items[i + 1]->kind == HS_PICKLE_TENSOR;
}

static bool hs_has_tensors(const hs_pickle_value *dict) {
    for (size_t i = 0; dict->kind == HS_PICKLE_DICT && i < dict->list.count; i += 2)
        if (hs_is_entry(dict, i))
            return true;
    return false;
}

/* The dict of tensors: `root` itself, or the first wrapper's dict in it that
 * has any. A wrapper wins over tensors beside it, which belong to the training
 * (random states, losses). NULL if there is none. */
static const hs_pickle_value *hs_find_state_dict(const hs_pickle_value *root, int nesting) {
    for (size_t i = 0; i < sizeof hs_wrappers / sizeof *hs_wrappers; i++) {
        const hs_pickle_value *inner = hs_pickle_get(root, hs_wrappers[i]);
        if (!inner || nesting == HS_MAX_NESTING)
            continue;
        const hs_pickle_value *found = hs_find_state_dict(inner, nesting + 1);
        if (found)
            return found;
    }
    return hs_has_tensors(root) ? root : NULL;
}

/* Row-major without gaps; dimensions of 1 may have any stride. */
static bool hs_is_contiguous(const hs_pickle_tensor *tensor) {
    int64_t expected = 1;
    for (int i = tensor->rank - 1; i >= 0; i--) {
        if (tensor->dim[i] != 1 && tensor->stride[i] != expected)
            return false;
        expected *= tensor->dim[i];
    }
    return true;
}

/* One past the last element of the storage that the tensor touches, into *end;
 * false: beyond 64 bits. */
static bool hs_tensor_end(const hs_pickle_tensor *tensor, int64_t *end) {
    *end = tensor->offset;
    for (int i = 0; i < tensor->rank; i++)
        if (tensor->dim[i] == 0)
            return true;
    for (int i = 0; i < tensor->rank; i++) {
        int64_t reach;
        if (!hs_mul_i64(tensor->dim[i] - 1, tensor->stride[i], &reach) ||
            __builtin_add_overflow(*end, reach, end))
            return false;
    }
    return !__builtin_add_overflow(*end, 1, end);
}

/* `count` elements of `size` bytes, `stride` elements apart. */
static void hs_copy_strided(uint8_t *out, const uint8_t *in, int64_t count, int64_t stride,
                            size_t size) {
    int64_t step = stride * (int64_t)size;
    switch (size) {
    case 1:
        for (int64_t i = 0; i < count; i++)
            out[i] = in[i * step];
        break;
    case 2:
        for (int64_t i = 0; i < count; i++)
            memcpy(out + 2 * i, in + i * step, 2);
        break;
    case 4:
        for (int64_t i = 0; i < count; i++)
            memcpy(out + 4 * i, in + i * step, 4);
        break;
    default:
        for (int64_t i = 0; i < count; i++)
            memcpy(out + 8 * i, in + i * step, 8);
    }
}

/* Copy a strided tensor, of at least one dimension and element, row by row. */
static void hs_gather(const hs_pickle_tensor *tensor, uint8_t *out) {
    size_t size = hs_dtype_size(tensor->storage->dtype);
    const uint8_t *base = tensor->storage->data + tensor->offset * (int64_t)size;
    int last = tensor->rank - 1;
    int64_t index[HS_MAX_RANK] = {0};
    for (;;) {
        int64_t at = 0;
        for (int i = 0; i < last; i++)
            at += index[i] * tensor->stride[i];
        hs_copy_strided(out, base + at * (int64_t)size, tensor->dim[last], tensor->stride[last],
                        size);
        out += tensor->dim[last] * (int64_t)size;
        int i = last - 1;
        while (i >= 0 && ++index[i] == tensor->dim[i])
            index[i--] = 0;
        if (i < 0)
            return;
    }
}

/* The bytes of `tensor` in row-major order: in the file, or copied. */
static hs_status hs_locate(hs_torch_loader *loader, const hs_pickle_tensor *tensor,
                           hs_tensor *out) {
    const char *path = loader->file->path;
    int64_t bytes, end;
    HS_TRY(hs_tensor_shape_bytes(path, out->name, out->dtype, out->rank, out->dim, &bytes,
                                 loader->err));
    if (!hs_tensor_end(tensor, &end) || end > tensor->storage->count)
        return hs_fail(loader->err, HS_ERROR_FORMAT,
                       "%s: tensor %.200s: reaches beyond its storage %s of %lld elements "
                       "(offset %lld)",
                       path, out->name, tensor->storage->key, (long long)tensor->storage->count,
                       (long long)tensor->offset);
    if (bytes == 0 || hs_is_contiguous(tensor)) {
        out->data = tensor->storage->data + tensor->offset * (int64_t)hs_dtype_size(out->dtype);
        return HS_OK;
    }
    int64_t limit = (int64_t)loader->file->size;
    limit = limit > HS_MIN_COPY ? limit : HS_MIN_COPY;
    if (bytes > limit - loader->copied)
        return hs_fail(loader->err, HS_ERROR_UNSUPPORTED,
                       "%s: tensor %.200s: strided tensors of the file need more than %lld bytes "
                       "when they are written out; save them with .contiguous()",
                       path, out->name, (long long)limit);
    uint8_t *copy = hs_arena_alloc(&loader->set->arena, (size_t)bytes, 1);
    if (!copy)
        return hs_fail_memory(loader->err, (size_t)bytes);
    loader->copied += bytes;
    hs_gather(tensor, copy);
    out->data = copy;
    return HS_OK;
}

static hs_status hs_add_entry(hs_torch_loader *loader, const hs_pickle_value *key,
                              const hs_pickle_tensor *tensor) {
    /* Each name has bytes of its own in the pickle, unless one is repeated. */
    loader->name_bytes += key->text.size;
    if (loader->name_bytes > loader->file->pickle.size ||
        memchr(key->text.bytes, 0, key->text.size))
        return hs_fail(loader->err, HS_ERROR_FORMAT,
                       "%s: the state dict repeats a tensor's name, or a name holds a NUL",
                       loader->file->path);
    char *name = hs_calloc(key->text.size + 1, 1);
    if (!name)
        return hs_fail_memory(loader->err, key->text.size + 1);
    memcpy(name, key->text.bytes, key->text.size);
    hs_tensor out = {.name = name, .dtype = tensor->storage->dtype, .rank = tensor->rank};
    memcpy(out.dim, tensor->dim, sizeof out.dim);
    hs_status status = hs_locate(loader, tensor, &out);
    if (status == HS_OK)
        status = hs_tensor_set_add(loader->set, &out, loader->err);
    free(name);
    return status;
}

static hs_status hs_add_state_dict(hs_torch_loader *loader) {
    const hs_pickle_value *root = loader->file->pickle.root;
    const hs_pickle_value *dict = hs_find_state_dict(root, 0);
    if (!dict)
        return hs_fail(loader->err, HS_ERROR_FORMAT,
                       "%s: expected a dict of tensors, or one under \"state_dict\" or \"model\", "
                       "found a %s without named tensors",
                       loader->file->path, hs_pickle_kind_name(root->kind));
    for (size_t i = 0; i < dict->list.count; i += 2)
        if (hs_is_entry(dict, i))
            HS_TRY(hs_add_entry(loader, dict->list.items[i], dict->list.items[i + 1]->tensor));
    return hs_tensor_set_seal(loader->set, loader->file->path, loader->err);
}

static hs_status hs_torch_read(hs_torch *file, hs_error *err) {
    static const char lfs[] = "version https://git-lfs";
    if (file->size >= 4 && !memcmp(file->data, "PK", 2))
        return hs_torch_read_zip(file, err);
    if (file->size >= 2 && file->data[0] == 0x80)
        return hs_torch_read_legacy(file, err);
    if (file->size >= sizeof lfs && !memcmp(file->data, lfs, sizeof lfs - 1))
        return hs_fail(err, HS_ERROR_FORMAT,
                       "%s: expected a torch.save file, found a Git LFS pointer: fetch the file "
                       "itself (git lfs pull)",
                       file->path);
    return hs_fail(err, HS_ERROR_FORMAT,
                   "%s: expected a torch.save file (a zip archive or a pickle), found neither",
                   file->path);
}

hs_status hs_torch_parse(const char *path, const void *data, size_t size, hs_tensor_set **out,
                         hs_error *err) {
    hs_torch file = {.path = path, .data = data, .size = size};
    hs_torch_loader loader = {.file = &file, .set = hs_tensor_set_new(), .err = err};
    hs_status status = HS_OK;
    if (!loader.set) {
        status = hs_fail_memory(err, sizeof *loader.set);
        goto cleanup;
    }
    HS_CHECK(hs_torch_read(&file, err));
    HS_CHECK(hs_add_state_dict(&loader));
    *out = loader.set;
    loader.set = NULL;
cleanup:
    hs_tensor_set_free(loader.set);
    hs_pickle_free(&file.pickle);
    return status;
}

hs_status hs_torch_open(const char *path, hs_tensor_set **out, hs_error *err) {
    hs_file file;
    hs_tensor_set *set = NULL;
    HS_TRY(hs_file_map(path, &file, err));
    hs_status status = hs_torch_parse(path, file.data, file.size, &set, err);
    if (status == HS_OK)
        status = hs_tensor_set_attach(set, &file, err);
    if (status != HS_OK) {
        hs_file_unmap(&file);
        hs_tensor_set_free(set);
        return status;
    }
    *out = set;
    return HS_OK;
}

hs_status hs_torch_open_sharded(const char *path, hs_tensor_set **out, hs_error *err) {
    return hs_shards_open(path, hs_torch_open, out, err);
}
