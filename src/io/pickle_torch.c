/*
 * The names that a state dict's pickle may mention, and what they stand for.
 * The table is the whole of it: what is not listed is refused.
 */
#include "io/pickle_torch.h"

#include <string.h>

#define HS_MAX_KEY 200

typedef enum hs_global_kind {
    HS_GLOBAL_ORDERED_DICT,
    HS_GLOBAL_REBUILD_TENSOR,
    HS_GLOBAL_REBUILD_PARAMETER,
    HS_GLOBAL_SIZE,
    HS_GLOBAL_STORAGE
} hs_global_kind;

static const struct hs_global {
    const char *module, *name;
    hs_global_kind kind;
    hs_dtype dtype; /* of HS_GLOBAL_STORAGE */
} hs_globals[] = {
    {"collections", "OrderedDict", HS_GLOBAL_ORDERED_DICT, 0},
    {"torch._utils", "_rebuild_tensor", HS_GLOBAL_REBUILD_TENSOR, 0},
    {"torch._utils", "_rebuild_tensor_v2", HS_GLOBAL_REBUILD_TENSOR, 0},
    {"torch._utils", "_rebuild_parameter", HS_GLOBAL_REBUILD_PARAMETER, 0},
    {"torch", "Size", HS_GLOBAL_SIZE, 0},
    {"torch", "FloatStorage", HS_GLOBAL_STORAGE, HS_F32},
    {"torch", "HalfStorage", HS_GLOBAL_STORAGE, HS_F16},
    {"torch", "BFloat16Storage", HS_GLOBAL_STORAGE, HS_BF16},
    {"torch", "DoubleStorage", HS_GLOBAL_STORAGE, HS_F64},
    {"torch", "LongStorage", HS_GLOBAL_STORAGE, HS_I64},
    {"torch", "IntStorage", HS_GLOBAL_STORAGE, HS_I32},
    {"torch", "ShortStorage", HS_GLOBAL_STORAGE, HS_I16},
    {"torch", "CharStorage", HS_GLOBAL_STORAGE, HS_I8},
    {"torch", "ByteStorage", HS_GLOBAL_STORAGE, HS_U8},
    {"torch", "BoolStorage", HS_GLOBAL_STORAGE, HS_BOOL},
    {"torch.storage", "UntypedStorage", HS_GLOBAL_STORAGE, HS_U8},
};
#define HS_GLOBAL_COUNT ((int64_t)(sizeof hs_globals / sizeof *hs_globals))

hs_status hs_pickle_find_global(const char *path, const hs_pickle_value *module,
                                const hs_pickle_value *name, int64_t *row, hs_error *err) {
    for (int64_t i = 0; i < HS_GLOBAL_COUNT; i++) {
        if (hs_pickle_is_text(module, hs_globals[i].module) &&
            hs_pickle_is_text(name, hs_globals[i].name)) {
            *row = i;
            return HS_OK;
        }
    }
    int module_size = module->text.size < 100 ? (int)module->text.size : 100;
    int name_size = name->text.size < 100 ? (int)name->text.size : 100;
    return hs_fail(err, HS_ERROR_UNSUPPORTED,
                   "%s: refuses to load %.*s.%.*s: only tensors in dicts are read from a pickle, "
                   "nothing is executed",
                   path, module_size, (const char *)module->text.bytes, name_size,
                   (const char *)name->text.bytes);
}

/* The i-th of `args`, which must be of that kind; NULL otherwise. */
static const hs_pickle_value *hs_argument(const hs_pickle_value *args, size_t i,
                                          hs_pickle_kind kind) {
    return i < args->list.count && args->list.items[i]->kind == kind ? args->list.items[i] : NULL;
}

static hs_status hs_bad_tensor(const char *path, const char *what, hs_error *err) {
    return hs_fail(err, HS_ERROR_FORMAT, "%s: the pickle describes a tensor with %s", path, what);
}

/* (storage, offset, size, stride, ...): what follows (requires_grad, hooks,
 * metadata) does not change the values. */
static hs_status hs_rebuild_tensor(const char *path, hs_pickle *pickle, const hs_pickle_value *args,
                                   hs_pickle_value **result, hs_error *err) {
    const hs_pickle_value *storage = hs_argument(args, 0, HS_PICKLE_STORAGE);
    const hs_pickle_value *offset = hs_argument(args, 1, HS_PICKLE_INT);
    const hs_pickle_value *size = hs_argument(args, 2, HS_PICKLE_TUPLE);
    const hs_pickle_value *stride = hs_argument(args, 3, HS_PICKLE_TUPLE);
    if (!storage || !offset || !size || !stride)
        return hs_bad_tensor(path, "arguments that are not (storage, offset, size, stride)", err);
    if (offset->integer < 0)
        return hs_bad_tensor(path, "a negative storage offset", err);
    if (size->list.count != stride->list.count)
        return hs_bad_tensor(path, "sizes and strides of different rank", err);
    if (size->list.count > HS_MAX_RANK)
        return hs_fail(err, HS_ERROR_UNSUPPORTED,
                       "%s: the pickle describes a tensor of %zu dimensions, expected at most %d",
                       path, size->list.count, HS_MAX_RANK);
    hs_pickle_value *value = hs_pickle_new(pickle, HS_PICKLE_TENSOR);
    hs_pickle_tensor *tensor = hs_arena_alloc(&pickle->arena, 1, sizeof *tensor);
    if (!value || !tensor)
        return hs_fail_memory(err, sizeof *tensor);
    tensor->storage = storage->storage;
    tensor->offset = offset->integer;
    tensor->rank = (int)size->list.count;
    for (int i = 0; i < tensor->rank; i++) {
        const hs_pickle_value *dim = hs_argument(size, (size_t)i, HS_PICKLE_INT);
        const hs_pickle_value *step = hs_argument(stride, (size_t)i, HS_PICKLE_INT);
        if (!dim || dim->integer < 0 || !step || step->integer < 0)
            return hs_bad_tensor(path, "a size or stride that is not a whole number >= 0", err);
        tensor->dim[i] = dim->integer;
        tensor->stride[i] = step->integer;
    }
    value->tensor = tensor;
    *result = value;
    return HS_OK;
}

/* Python 3 makes it empty and sets the items; Python 2 passes [[k, v], ...]. */
static hs_status hs_ordered_dict(const char *path, hs_pickle *pickle, const hs_pickle_value *args,
                                 hs_pickle_value **result, hs_error *err) {
    hs_pickle_value *dict = hs_pickle_new(pickle, HS_PICKLE_DICT);
    if (!dict)
        return hs_fail_memory(err, sizeof *dict);
    const hs_pickle_value *pairs = hs_argument(args, 0, HS_PICKLE_LIST);
    if (args->list.count > 1 || (args->list.count == 1 && !pairs))
        return hs_fail(err, HS_ERROR_FORMAT,
                       "%s: the pickle makes an OrderedDict of something that is not a list", path);
    for (size_t i = 0; pairs && i < pairs->list.count; i++) {
        const hs_pickle_value *pair = pairs->list.items[i];
        if ((pair->kind != HS_PICKLE_LIST && pair->kind != HS_PICKLE_TUPLE) ||
            pair->list.count != 2)
            return hs_fail(err, HS_ERROR_FORMAT,
                           "%s: the pickle makes an OrderedDict of items that are not pairs", path);
        HS_TRY(hs_pickle_extend(path, pickle, dict, pair->list.items, 2, err));
    }
    *result = dict;
    return HS_OK;
}

hs_status hs_pickle_reduce(const char *path, hs_pickle *pickle, int64_t row,
                           const hs_pickle_value *args, hs_pickle_value **result, hs_error *err) {
    switch (hs_globals[row].kind) {
    case HS_GLOBAL_ORDERED_DICT: return hs_ordered_dict(path, pickle, args, result, err);
    case HS_GLOBAL_REBUILD_TENSOR: return hs_rebuild_tensor(path, pickle, args, result, err);
    case HS_GLOBAL_REBUILD_PARAMETER: /* (tensor, requires_grad, hooks) */
        if (!hs_argument(args, 0, HS_PICKLE_TENSOR))
            return hs_fail(err, HS_ERROR_FORMAT,
                           "%s: the pickle makes a parameter of something that is not a tensor",
                           path);
        *result = args->list.items[0];
        return HS_OK;
    case HS_GLOBAL_SIZE:
        if (!hs_argument(args, 0, HS_PICKLE_TUPLE))
            return hs_fail(err, HS_ERROR_FORMAT,
                           "%s: the pickle makes a torch.Size of something that is not a tuple",
                           path);
        *result = args->list.items[0];
        return HS_OK;
    case HS_GLOBAL_STORAGE: break;
    }
    return hs_fail(err, HS_ERROR_UNSUPPORTED,
                   "%s: refuses to call %s.%s: storages are read by persistent id only", path,
                   hs_globals[row].module, hs_globals[row].name);
}

hs_status hs_pickle_persistent(const char *path, hs_pickle *pickle, const hs_pickle_value *id,
                               hs_pickle_value **result, hs_error *err) {
    if (id->kind != HS_PICKLE_TUPLE || !hs_argument(id, 0, HS_PICKLE_STRING) ||
        !hs_pickle_is_text(id->list.items[0], "storage"))
        return hs_fail(err, HS_ERROR_UNSUPPORTED,
                       "%s: refuses a persistent id that is not a \"storage\" tuple", path);
    const hs_pickle_value *type = hs_argument(id, 1, HS_PICKLE_GLOBAL);
    const hs_pickle_value *key = hs_argument(id, 2, HS_PICKLE_STRING);
    const hs_pickle_value *count = hs_argument(id, 4, HS_PICKLE_INT);
    if (!type || hs_globals[type->integer].kind != HS_GLOBAL_STORAGE || !key || !count)
        return hs_fail(err, HS_ERROR_FORMAT,
                       "%s: the pickle names a storage by something that is not "
                       "(\"storage\", type, key, location, count)",
                       path);
    /* The sixth member, of the older format, would be a view of a storage. */
    if (id->list.count > 6 || (id->list.count == 6 && !hs_argument(id, 5, HS_PICKLE_NONE)))
        return hs_fail(err, HS_ERROR_UNSUPPORTED,
                       "%s: a storage that is a view of another one is not supported; save the "
                       "file again with PyTorch 1.0 or later",
                       path);
    hs_dtype dtype = hs_globals[type->integer].dtype;
    int64_t bytes;
    if (!hs_mul_i64(count->integer, (int64_t)hs_dtype_size(dtype), &bytes))
        return hs_fail(err, HS_ERROR_FORMAT, "%s: the pickle claims a storage of %lld elements",
                       path, (long long)count->integer);
    /* Bounded, because a key that the memo shares is copied here. */
    if (key->text.size > HS_MAX_KEY || memchr(key->text.bytes, 0, key->text.size))
        return hs_fail(err, HS_ERROR_FORMAT,
                       "%s: the pickle names a storage by a key that is longer than %d bytes or "
                       "holds a NUL",
                       path, HS_MAX_KEY);
    hs_pickle_value *value = hs_pickle_new(pickle, HS_PICKLE_STORAGE);
    hs_pickle_storage *storage = hs_arena_alloc(&pickle->arena, 1, sizeof *storage);
    char *name = hs_arena_alloc(&pickle->arena, key->text.size + 1, 1);
    if (!value || !storage || !name)
        return hs_fail_memory(err, sizeof *storage + key->text.size);
    memcpy(name, key->text.bytes, key->text.size);
    storage->dtype = dtype;
    storage->key = name;
    storage->count = count->integer;
    storage->next = pickle->storages;
    pickle->storages = storage;
    value->storage = storage;
    *result = value;
    return HS_OK;
}
