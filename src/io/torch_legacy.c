/*
 * The stream that torch.save wrote before PyTorch 1.6, and still writes when
 * asked: five pickles (a magic number, the protocol version, facts about the
 * machine, the state dict, the list of storage keys) and then, key by key, a
 * count and the storage's bytes.
 */
#include "io/torch.h"

#include <stdlib.h>
#include <string.h>

#define HS_LEGACY_PROTOCOL 1001

/* LONG1 of 0x1950a86a20f9469cfc6c, and STOP; PROTO goes before it. */
static const uint8_t hs_legacy_magic[] = {0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9,
                                          0x20, 0x6a, 0xa8, 0x50, 0x19, '.'};

/* Read the pickle at *at and step over it. */
static hs_status hs_next_pickle(const hs_torch *file, size_t *at, hs_pickle *out, hs_error *err) {
    HS_TRY(hs_pickle_read(file->path, file->data + *at, file->size - *at, out, err));
    *at += out->size;
    return HS_OK;
}

static hs_status hs_check_preamble(const hs_torch *file, size_t *at, hs_error *err) {
    hs_pickle pickle;
    size_t magic = sizeof hs_legacy_magic;
    if (file->size < 2 + magic || memcmp(file->data + 2, hs_legacy_magic, magic) != 0)
        return hs_fail(err, HS_ERROR_FORMAT,
                       "%s: expected a torch.save file, found a pickle without PyTorch's magic "
                       "number",
                       file->path);
    *at = 2 + magic;
    HS_TRY(hs_next_pickle(file, at, &pickle, err));
    bool known = pickle.root->kind == HS_PICKLE_INT && pickle.root->integer == HS_LEGACY_PROTOCOL;
    hs_pickle_free(&pickle);
    if (!known)
        return hs_fail(err, HS_ERROR_UNSUPPORTED,
                       "%s: torch.save stream of another version, expected %d", file->path,
                       HS_LEGACY_PROTOCOL);
    HS_TRY(hs_next_pickle(file, at, &pickle, err));
    const hs_pickle_value *little = hs_pickle_get(pickle.root, "little_endian");
    known = little && little->kind == HS_PICKLE_BOOL && little->integer;
    hs_pickle_free(&pickle);
    if (!known)
        return hs_fail(err, HS_ERROR_UNSUPPORTED,
                       "%s: written on a big-endian machine, expected little-endian data",
                       file->path);
    return HS_OK;
}

static int hs_compare_keys(const void *a, const void *b) {
    return strcmp((*(hs_pickle_storage *const *)a)->key, (*(hs_pickle_storage *const *)b)->key);
}

/* All storages that the state dict mentions, by key; one key comes up once for
 * each tensor that shares it. */
static hs_status hs_sort_storages(const hs_torch *file, hs_pickle_storage ***out, size_t *count,
                                  hs_error *err) {
    *count = 0;
    for (hs_pickle_storage *storage = file->pickle.storages; storage; storage = storage->next)
        ++*count;
    *out = hs_calloc(*count, sizeof **out);
    if (!*out)
        return hs_fail_memory(err, *count * sizeof **out);
    size_t i = 0;
    for (hs_pickle_storage *storage = file->pickle.storages; storage; storage = storage->next)
        (*out)[i++] = storage;
    if (*count > 1)
        qsort(*out, *count, sizeof **out, hs_compare_keys);
    return HS_OK;
}

/* The storages of one key get `data`: the next of the stream. */
static hs_status hs_place_storage(const hs_torch *file, const hs_pickle_value *key,
                                  hs_pickle_storage **storages, size_t count, size_t *at,
                                  hs_error *err) {
    size_t low = 0, high = count;
    while (low < high) { /* the first whose key is not smaller */
        size_t middle = low + (high - low) / 2, size = key->text.size;
        int order = strncmp(storages[middle]->key, (const char *)key->text.bytes, size);
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == count || !hs_pickle_is_text(key, storages[low]->key) || storages[low]->data)
        return hs_fail(err, HS_ERROR_FORMAT,
                       "%s: the list of storages names %.*s, which no tensor uses or which came "
                       "before",
                       file->path, key->text.size < 100 ? (int)key->text.size : 100,
                       (const char *)key->text.bytes);
    const hs_pickle_storage *first = storages[low];
    size_t left = file->size - *at;
    int64_t written = 0;
    for (int i = 7; left >= 8 && i >= 0; i--)
        written = (int64_t)((uint64_t)written << 8 | file->data[*at + (size_t)i]);
    size_t bytes = (size_t)first->count * hs_dtype_size(first->dtype);
    if (left < 8 || written != first->count || bytes > left - 8)
        return hs_fail(err, HS_ERROR_FORMAT,
                       "%s: storage %s: expected %lld elements (%zu bytes), found a count of %lld "
                       "and %zu bytes to the end of the file",
                       file->path, first->key, (long long)first->count, bytes, (long long)written,
                       left < 8 ? 0 : left - 8);
    for (size_t i = low; i < count && !strcmp(storages[i]->key, first->key); i++) {
        if (storages[i]->dtype != first->dtype || storages[i]->count != first->count)
            return hs_fail(err, HS_ERROR_FORMAT,
                           "%s: storage %s: two tensors disagree about its type or size",
                           file->path, first->key);
        storages[i]->data = file->data + *at + 8;
    }
    *at += 8 + bytes;
    return HS_OK;
}

static hs_status hs_place_storages(const hs_torch *file, const hs_pickle_value *keys, size_t at,
                                   hs_error *err) {
    hs_status status = HS_OK;
    hs_pickle_storage **storages;
    size_t count;
    HS_TRY(hs_sort_storages(file, &storages, &count, err));
    for (size_t i = 0; i < keys->list.count; i++) {
        if (keys->list.items[i]->kind != HS_PICKLE_STRING) {
            status = hs_fail(err, HS_ERROR_FORMAT, "%s: a storage key is not a string", file->path);
            goto cleanup;
        }
        HS_CHECK(hs_place_storage(file, keys->list.items[i], storages, count, &at, err));
    }
    for (size_t i = 0; i < count; i++) {
        if (!storages[i]->data) {
            status = hs_fail(err, HS_ERROR_FORMAT,
                             "%s: storage %s: a tensor needs it, but the file does not have it",
                             file->path, storages[i]->key);
            goto cleanup;
        }
    }
cleanup:
    free(storages);
    return status;
}

hs_status hs_torch_read_legacy(hs_torch *file, hs_error *err) {
    size_t at = 0;
    hs_pickle keys;
    HS_TRY(hs_check_preamble(file, &at, err));
    HS_TRY(hs_next_pickle(file, &at, &file->pickle, err));
    HS_TRY(hs_next_pickle(file, &at, &keys, err));
    hs_status status =
        keys.root->kind == HS_PICKLE_LIST
            ? hs_place_storages(file, keys.root, at, err)
            : hs_fail(err, HS_ERROR_FORMAT, "%s: expected a list of storage keys, found a %s",
                      file->path, hs_pickle_kind_name(keys.root->kind));
    hs_pickle_free(&keys);
    return status;
}
