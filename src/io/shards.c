/*
 * Sharded checkpoints: an index ({"weight_map": {tensor: file}}) beside the
 * shards. The index decides: every tensor must be in the shard it names, and
 * nowhere else. Shards are opened in the order in which the index names them.
 */
#include <stdlib.h>
#include <string.h>

#include "io/json.h"
#include "io/tensor_set.h"

#define HS_MAX_SHARDS 10000

/* A shard lies beside its index: nothing that could lead out of the folder. */
static hs_status hs_check_shard_name(const char *path, const char *tensor, const json_t *value,
                                     hs_error *err) {
    const char *name = json_string_value(value);
    char found[100];
    if (name && *name && !strchr(name, '/') && strcmp(name, ".") && strcmp(name, ".."))
        return HS_OK;
    hs_json_describe(value, found);
    return hs_fail(err, HS_ERROR_FORMAT,
                   "%s: weight_map: tensor %.200s: expected a plain file name, found %s", path,
                   tensor, found);
}

hs_status hs_shards_parse(const char *path, const void *data, size_t size, json_t **out,
                          hs_error *err) {
    json_t *index, *map, *value;
    const char *tensor;
    HS_TRY(hs_json_parse_object(path, data, size, &index, err));
    hs_status status = hs_json_need(index, "weight_map", err);
    if (status == HS_OK)
        status = hs_json_get_object(index, "weight_map", &map, err);
    if (status != HS_OK) {
        status = hs_fail_prefix(err, status, "%s", path);
        goto cleanup;
    }
    json_object_foreach(map, tensor, value) {
        HS_CHECK(hs_check_shard_name(path, tensor, value, err));
    }
    if (!json_object_size(map)) {
        status =
            hs_fail(err, HS_ERROR_FORMAT, "%s: weight_map: expected tensors, found none", path);
        goto cleanup;
    }
    *out = json_incref(map);
cleanup:
    json_decref(index);
    return status;
}

/* Every tensor of the shard is one that the index puts there. */
static hs_status hs_check_shard(const char *path, const char *shard, const hs_tensor_set *set,
                                const json_t *map, hs_error *err) {
    for (int i = 0; i < set->count; i++) {
        const char *name = set->tensors[i].name;
        const char *where = json_string_value(json_object_get(map, name));
        if (where && !strcmp(where, shard))
            continue;
        return hs_fail(err, HS_ERROR_FORMAT,
                       "%s: tensor %.200s: found in shard %.200s, expected %s%.200s", path, name,
                       shard, where ? "in " : "nowhere: the index does not list it",
                       where ? where : "");
    }
    return HS_OK;
}

static hs_status hs_add_shard(const char *path, const char *shard, const json_t *map,
                              hs_shard_opener *open_shard, hs_tensor_set *set, hs_error *err) {
    hs_tensor_set *part = NULL;
    const char *slash = strrchr(path, '/');
    char *full = hs_format("%.*s%s", slash ? (int)(slash - path + 1) : 0, path, shard);
    if (!full)
        return hs_fail_memory(err, strlen(path) + strlen(shard));
    hs_status status = open_shard(full, &part, err);
    if (status == HS_OK)
        status = hs_check_shard(path, shard, part, map, err);
    if (status == HS_OK)
        status = hs_tensor_set_merge(set, part, err);
    if (status != HS_OK && part)
        hs_tensor_set_free(part);
    free(full);
    return status;
}

/* Open each shard once; `seen` collects their names. */
static hs_status hs_add_shards(const char *path, const json_t *map, json_t *seen,
                               hs_shard_opener *open_shard, hs_tensor_set *set, hs_error *err) {
    const char *tensor;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)map, tensor, value) {
        const char *shard = json_string_value(value);
        if (json_object_get(seen, shard))
            continue;
        if (json_object_set_new(seen, shard, json_true()) != 0)
            return hs_fail_memory(err, strlen(shard));
        if (json_object_size(seen) > HS_MAX_SHARDS)
            return hs_fail(err, HS_ERROR_FORMAT, "%s: expected at most %d shards, found more", path,
                           HS_MAX_SHARDS);
        HS_TRY(hs_add_shard(path, shard, map, open_shard, set, err));
    }
    HS_TRY(hs_tensor_set_seal(set, path, err));
    json_object_foreach((json_t *)(uintptr_t)map, tensor, value) {
        if (!hs_tensor_set_find(set, tensor))
            return hs_fail(err, HS_ERROR_FORMAT,
                           "%s: tensor %.200s: expected in shard %.200s, found in none", path,
                           tensor, json_string_value(value));
    }
    return HS_OK;
}

hs_status hs_shards_open(const char *path, hs_shard_opener *open_shard, hs_tensor_set **out,
                         hs_error *err) {
    hs_status status = HS_OK;
    hs_file file;
    json_t *map = NULL, *seen = json_object();
    hs_tensor_set *set = hs_tensor_set_new();
    if (!seen || !set) {
        status = hs_fail_memory(err, sizeof *set);
        goto cleanup;
    }
    HS_CHECK(hs_file_map(path, &file, err));
    status = hs_shards_parse(path, file.data, file.size, &map, err);
    hs_file_unmap(&file);
    if (status != HS_OK)
        goto cleanup;
    HS_CHECK(hs_add_shards(path, map, seen, open_shard, set, err));
    *out = set;
    set = NULL;
cleanup:
    hs_tensor_set_free(set);
    json_decref(map);
    json_decref(seen);
    return status;
}
