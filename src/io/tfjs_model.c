/*
 * The weights of a TensorFlow.js model: model.json lists groups of shards,
 * each group one stream of bytes, and the tensors that lie in it end to end.
 * Raw tensors and float16 ones stay in the mapped shards unless they cross
 * from one to the next; so do uint8 ones that are quantised, with a table of the
 * floats that their bytes stand for, and uint16 ones are decoded, as TensorFlow.js
 * does it: q * scale + min in double, rounded once. The graph
 * (modelTopology) is not looked at.
 */
#include "io/tfjs_model.h"

#include <stdlib.h>
#include <string.h>

#include "io/json.h"

#define HS_MAX_TFJS_SHARDS 10000
#define HS_MAX_SCALE 1e30 /* 65535 * scale + min is finite as a float */

typedef struct hs_tfjs {
    const char *path;
    hs_tensor_set *set;
    hs_tfjs_shard_opener *open_shard;
    void *ctx;
    json_t *seen;    /* names of the shards opened so far */
    hs_file *shards; /* of the current group; the set owns the mappings */
    size_t shard_count;
    size_t shard, at; /* the next byte: shards[shard].data[at] */
    uint64_t left;    /* bytes from there to the end of the group */
    hs_error *err;
} hs_tfjs;

/* One entry of "weights". */
typedef struct hs_tfjs_weight {
    hs_tensor tensor;
    hs_dtype stored; /* in the shards; I16 stands for uint16 */
    bool quantised;  /* by scale and min */
    double scale, min;
    uint64_t bytes; /* in the stream */
} hs_tfjs_weight;

/* ----------------------------------------------------------- the stream -- */

/* Point at the next `bytes` bytes of the group, in `copy` when they cross a
 * shard's end; they must be there. */
static const uint8_t *hs_take(hs_tfjs *model, uint64_t bytes, uint8_t *copy) {
    uint64_t done = 0;
    while (model->shard + 1 < model->shard_count && model->at == model->shards[model->shard].size) {
        model->shard++;
        model->at = 0;
    }
    const uint8_t *here = model->shards[model->shard].data;
    model->left -= bytes;
    if (!copy) {
        here = here ? here + model->at : (const uint8_t *)"";
        model->at += (size_t)bytes;
        return here;
    }
    while (done < bytes) {
        const hs_file *shard = &model->shards[model->shard];
        size_t piece = shard->size - model->at;
        piece = piece < bytes - done ? piece : (size_t)(bytes - done);
        if (piece)
            memcpy(copy + done, shard->data + model->at, piece);
        done += piece;
        model->at += piece;
        if (done < bytes) {
            model->shard++;
            model->at = 0;
        }
    }
    return copy;
}

static bool hs_crosses(const hs_tfjs *model, uint64_t bytes) {
    size_t shard = model->shard, at = model->at;
    while (shard + 1 < model->shard_count && at == model->shards[shard].size) {
        shard++;
        at = 0;
    }
    return bytes > model->shards[shard].size - at;
}

/* -------------------------------------------------------------- decoding -- */

/* The floats that bytes stand for. */
static hs_status hs_add_codes(hs_tfjs *model, hs_tfjs_weight *weight) {
    float *codes = hs_arena_alloc(&model->set->arena, 256, sizeof *codes);
    if (!codes)
        return hs_fail_memory(model->err, 256 * sizeof *codes);
    for (int q = 0; q < 256; q++)
        codes[q] = (float)(q * weight->scale + weight->min);
    weight->tensor.dtype = HS_U8;
    weight->tensor.codes = codes;
    return hs_tensor_set_add(model->set, &weight->tensor, model->err);
}

/* Of uint16. */
static void hs_decode(const hs_tfjs_weight *weight, const uint8_t *in, int64_t count, float *out) {
    for (int64_t i = 0; i < count; i++) {
        int q = in[2 * i] | in[2 * i + 1] << 8;
        out[i] = (float)(q * weight->scale + weight->min);
    }
}

static hs_status hs_load_weight(hs_tfjs *model, hs_tfjs_weight *weight) {
    uint8_t *copy = NULL;
    int64_t count = hs_tensor_count(&weight->tensor);
    if (weight->bytes > model->left)
        return hs_fail(model->err, HS_ERROR_FORMAT,
                       "%s: tensor %.200s: expected %llu bytes in the shards, found %llu",
                       model->path, weight->tensor.name, (unsigned long long)weight->bytes,
                       (unsigned long long)model->left);
    bool decoded = weight->quantised && weight->stored != HS_U8;
    if (hs_crosses(model, weight->bytes)) {
        copy = decoded ? hs_calloc(weight->bytes, 1)
                       : hs_arena_alloc(&model->set->arena, weight->bytes, 1);
        if (!copy)
            return hs_fail_memory(model->err, weight->bytes);
    }
    weight->tensor.data = hs_take(model, weight->bytes, copy);
    if (!decoded)
        return weight->quantised ? hs_add_codes(model, weight)
                                 : hs_tensor_set_add(model->set, &weight->tensor, model->err);
    float *values = hs_arena_alloc(&model->set->arena, (size_t)count, sizeof *values);
    if (values)
        hs_decode(weight, weight->tensor.data, count, values);
    free(copy);
    if (!values)
        return hs_fail_memory(model->err, (size_t)count * sizeof *values);
    weight->tensor.data = values;
    return hs_tensor_set_add(model->set, &weight->tensor, model->err);
}

/* ---------------------------------------------------------- the manifest -- */

static hs_status hs_bad_type(const hs_tfjs *model, const char *name, const char *found,
                             const char *expected) {
    return hs_fail(model->err, HS_ERROR_UNSUPPORTED, "%s: tensor %.200s: dtype %.50s, expected %s",
                   model->path, name, found, expected);
}

/* {"dtype": "uint8", "scale": s, "min": m} or {"dtype": "float16"} */
static hs_status hs_read_quantization(const hs_tfjs *model, const json_t *object,
                                      hs_tfjs_weight *weight) {
    const char *name = weight->tensor.name, *dtype = NULL;
    if (weight->tensor.dtype != HS_F32)
        return hs_fail(model->err, HS_ERROR_UNSUPPORTED,
                       "tensor %.200s: quantised %s, expected quantisation of float32 only", name,
                       hs_dtype_name(weight->tensor.dtype));
    HS_TRY(hs_json_get_string(object, "dtype", "", &dtype, model->err));
    if (!strcmp(dtype, "float16")) {
        weight->stored = weight->tensor.dtype = HS_F16;
        return HS_OK;
    }
    if (strcmp(dtype, "uint8") != 0 && strcmp(dtype, "uint16") != 0)
        return hs_bad_type(model, name, dtype, "quantisation to uint8, uint16 or float16");
    weight->stored = strcmp(dtype, "uint8") ? HS_I16 : HS_U8;
    weight->quantised = true;
    HS_TRY(hs_json_need(object, "scale", model->err));
    HS_TRY(hs_json_get_double(object, "scale", 0, -HS_MAX_SCALE, HS_MAX_SCALE, &weight->scale,
                              model->err));
    HS_TRY(hs_json_need(object, "min", model->err));
    return hs_json_get_double(object, "min", 0, -HS_MAX_SCALE, HS_MAX_SCALE, &weight->min,
                              model->err);
}

static hs_status hs_read_dtype(const hs_tfjs *model, const char *dtype, hs_tfjs_weight *weight) {
    static const struct {
        const char *name;
        hs_dtype dtype;
    } known[] = {{"float32", HS_F32}, {"int32", HS_I32}, {"bool", HS_BOOL}, {"uint8", HS_U8}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (!strcmp(dtype, known[i].name)) {
            weight->stored = weight->tensor.dtype = known[i].dtype;
            return HS_OK;
        }
    }
    return hs_bad_type(model, weight->tensor.name, dtype, "float32, int32, bool or uint8");
}

/* What the manifest says of one tensor; messages lack the file's name. */
static hs_status hs_read_weight(const hs_tfjs *model, const json_t *object,
                                hs_tfjs_weight *weight) {
    const char *dtype = NULL;
    json_t *quantization = NULL;
    HS_TRY(hs_json_need(object, "name", model->err));
    HS_TRY(hs_json_get_string(object, "name", NULL, &weight->tensor.name, model->err));
    HS_TRY(hs_json_need(object, "dtype", model->err));
    HS_TRY(hs_json_get_string(object, "dtype", NULL, &dtype, model->err));
    HS_TRY(hs_json_need(object, "shape", model->err));
    HS_TRY(hs_json_get_ints(object, "shape", 0, INT64_MAX, weight->tensor.dim, HS_MAX_RANK,
                            &weight->tensor.rank, model->err));
    HS_TRY(hs_json_get_object(object, "quantization", &quantization, model->err));
    HS_TRY(hs_read_dtype(model, dtype, weight));
    if (quantization)
        HS_TRY(hs_read_quantization(model, quantization, weight));
    return HS_OK;
}

/* Open the shards of one group. */
static hs_status hs_open_group(hs_tfjs *model, const json_t *paths) {
    size_t i;
    json_t *value;
    model->shard_count = model->shard = model->at = 0;
    model->left = 0;
    free(model->shards);
    model->shards = hs_calloc(json_array_size(paths), sizeof *model->shards);
    if (!model->shards)
        return hs_fail_memory(model->err, json_array_size(paths) * sizeof *model->shards);
    json_array_foreach((json_t *)(uintptr_t)paths, i, value) {
        const char *name = json_string_value(value);
        if (!name || !*name || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, ".."))
            return hs_fail(model->err, HS_ERROR_FORMAT,
                           "%s: weightsManifest: paths[%zu]: expected a plain file name, found %s",
                           model->path, i, name ? name : "no string");
        if (json_object_get(model->seen, name) ||
            json_object_size(model->seen) >= HS_MAX_TFJS_SHARDS)
            return hs_fail(model->err, HS_ERROR_FORMAT,
                           "%s: weightsManifest: shard %.200s is named twice, or is one of more "
                           "than %d",
                           model->path, name, HS_MAX_TFJS_SHARDS);
        if (json_object_set_new(model->seen, name, json_true()) != 0)
            return hs_fail_memory(model->err, strlen(name));
        hs_file file = {0};
        HS_TRY(model->open_shard(model->ctx, name, &file, model->err));
        model->shards[i] = file;
        model->shard_count++;
        model->left += file.size;
        HS_TRY(hs_tensor_set_attach(model->set, &file, model->err));
    }
    return HS_OK;
}

static hs_status hs_read_group(hs_tfjs *model, const json_t *group) {
    json_t *paths = NULL, *weights = NULL, *object;
    size_t i;
    int64_t bytes;
    hs_status status = json_is_object(group) ? hs_json_get_array(group, "paths", &paths, model->err)
                                             : HS_ERROR_FORMAT;
    if (status == HS_OK)
        status = hs_json_get_array(group, "weights", &weights, model->err);
    if (status != HS_OK || !json_array_size(paths) || !json_array_size(weights))
        return hs_fail(model->err, HS_ERROR_FORMAT,
                       "%s: weightsManifest: expected a group of \"paths\" and \"weights\", found "
                       "neither or one of them",
                       model->path);
    HS_TRY(hs_open_group(model, paths));
    json_array_foreach(weights, i, object) {
        hs_tfjs_weight weight = {0};
        if (!json_is_object(object))
            return hs_fail(model->err, HS_ERROR_FORMAT,
                           "%s: weightsManifest: weights[%zu]: expected an object", model->path, i);
        status = hs_read_weight(model, object, &weight);
        if (status != HS_OK)
            return hs_fail_prefix(model->err, status, "%s: weights[%zu]", model->path, i);
        /* The widest type, so that the decoded size is checked too. */
        HS_TRY(hs_tensor_shape_bytes(model->path, weight.tensor.name, HS_F32, weight.tensor.rank,
                                     weight.tensor.dim, &bytes, model->err));
        weight.bytes = (uint64_t)bytes / 4 * hs_dtype_size(weight.stored);
        HS_TRY(hs_load_weight(model, &weight));
    }
    if (model->left)
        return hs_fail(model->err, HS_ERROR_FORMAT,
                       "%s: expected the shards to end with the last tensor, found %llu bytes more",
                       model->path, (unsigned long long)model->left);
    for (i = 0; i < model->shard_count; i++) /* decoded, or read again when needed */
        if (model->shards[i].mapped)
            hs_file_release(model->shards[i].data, model->shards[i].size);
    return HS_OK;
}

static hs_status hs_read_manifest(hs_tfjs *model, const json_t *root) {
    json_t *groups = NULL, *group;
    size_t i;
    hs_status status = hs_json_need(root, "weightsManifest", model->err);
    if (status == HS_OK)
        status = hs_json_get_array(root, "weightsManifest", &groups, model->err);
    if (status != HS_OK)
        return hs_fail_prefix(model->err, status, "%s", model->path);
    json_array_foreach(groups, i, group) {
        HS_TRY(hs_read_group(model, group));
    }
    return hs_tensor_set_seal(model->set, model->path, model->err);
}

hs_status hs_tfjs_parse(const char *path, const void *json, size_t size,
                        hs_tfjs_shard_opener *open_shard, void *ctx, hs_tensor_set **out,
                        hs_error *err) {
    json_t *root = NULL;
    hs_status status = HS_OK;
    hs_tfjs model = {.path = path, .open_shard = open_shard, .ctx = ctx, .err = err};
    model.set = hs_tensor_set_new();
    model.seen = json_object();
    if (!model.set || !model.seen) {
        status = hs_fail_memory(err, sizeof *model.set);
        goto cleanup;
    }
    HS_CHECK(hs_json_parse_object(path, json, size, &root, err));
    HS_CHECK(hs_read_manifest(&model, root));
    *out = model.set;
    model.set = NULL;
cleanup:
    free(model.shards);
    hs_tensor_set_free(model.set);
    json_decref(model.seen);
    json_decref(root);
    return status;
}

/* ----------------------------------------------------------------- files -- */

/* A shard beside the model.json whose path is `ctx`. */
static hs_status hs_open_beside(void *ctx, const char *name, hs_file *out, hs_error *err) {
    const char *path = ctx, *slash = strrchr(path, '/');
    char *full = hs_format("%.*s%s", slash ? (int)(slash - path + 1) : 0, path, name);
    if (!full)
        return hs_fail_memory(err, strlen(path) + strlen(name));
    hs_status status = hs_file_map(full, out, err);
    free(full);
    return status;
}

hs_status hs_tfjs_open(const char *path, hs_tensor_set **out, hs_error *err) {
    hs_file json;
    HS_TRY(hs_file_map(path, &json, err));
    hs_status status = hs_tfjs_parse(path, json.data, json.size, hs_open_beside,
                                     (void *)(uintptr_t)path, out, err);
    hs_file_unmap(&json);
    return status;
}
