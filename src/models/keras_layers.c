/* See keras_layers.h. */
#include "models/keras_layers.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/json.h"

static const char *const hs_keras_kind_names[HS_KERAS_KINDS] = {"conv2d", "dense",
                                                                "group_normalization"};

const char *hs_keras_base(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Whether `text` [length] is `kind` or kind_<number>; the number, 0 without. */
static bool hs_keras_numbered(const char *text, size_t length, const char *kind, int *number) {
    size_t stem = strlen(kind);
    if (length < stem || memcmp(text, kind, stem))
        return false;
    *number = 0;
    if (length == stem)
        return true;
    if (text[stem] != '_' || length == stem + 1 || length > stem + 8)
        return false;
    for (size_t i = stem + 1; i < length; i++) {
        if (!isdigit((unsigned char)text[i]))
            return false;
        *number = *number * 10 + (text[i] - '0');
    }
    return true;
}

/* A tensor's name taken apart: the last component that is a layer of a kind. */
typedef struct hs_keras_name {
    hs_keras_kind kind;
    int number;
    size_t path_length; /* of the layer's path in the name */
    const char *rest;   /* "MatMul/ReadVariableOp" */
} hs_keras_name;

static bool hs_keras_split(const char *name, hs_keras_name *out) {
    bool found = false;
    const char *slash;
    for (const char *start = name; (slash = strchr(start, '/')); start = slash + 1)
        for (int kind = 0; kind < HS_KERAS_KINDS; kind++) {
            int number;
            if (!hs_keras_numbered(start, (size_t)(slash - start), hs_keras_kind_names[kind],
                                   &number))
                continue;
            *out = (hs_keras_name){.kind = (hs_keras_kind)kind,
                                   .number = number,
                                   .path_length = (size_t)(slash - name),
                                   .rest = slash + 1};
            found = true;
        }
    return found;
}

/* The layer of this name, new if need be. */
static hs_status hs_keras_layer_get(hs_keras_layers *layers, const char *name,
                                    const hs_keras_name *parts, hs_keras_layer **out,
                                    hs_error *err) {
    enum { MOST = 4096 };
    hs_keras_layer **list = &layers->list[parts->kind];
    int *count = &layers->count[parts->kind];
    for (int i = *count - 1; i >= 0; i--)
        if (!strncmp((*list)[i].path, name, parts->path_length) &&
            !(*list)[i].path[parts->path_length]) {
            *out = &(*list)[i];
            return HS_OK;
        }
    if (*count == MOST)
        return hs_fail(err, HS_ERROR_UNSUPPORTED, "%s: more than %d layers of kind %s",
                       layers->path, MOST, hs_keras_kind_names[parts->kind]);
    if (!*list) {
        *list = hs_arena_alloc(&layers->arena, MOST, sizeof **list);
        if (!*list)
            return hs_fail_memory(err, MOST * sizeof **list);
    }
    char *path = hs_arena_alloc(&layers->arena, parts->path_length + 1, 1);
    if (!path)
        return hs_fail_memory(err, parts->path_length + 1);
    memcpy(path, name, parts->path_length);
    *out = &(*list)[(*count)++];
    **out = (hs_keras_layer){.number = parts->number, .path = path, .stride = 1};
    return HS_OK;
}

/* Scalars that norms carry must be the same for all of them. */
static hs_status hs_keras_constant(hs_keras_layers *layers, const hs_tensor *tensor,
                                   const char *rest, hs_error *err) {
    if (!strcmp(rest, "batchnorm/add/y")) {
        float eps;
        HS_TRY(hs_tensor_to_f32(tensor, 0, 1, &eps, err));
        if (layers->eps != 0 && layers->eps != (double)eps)
            return hs_fail(err, HS_ERROR_UNSUPPORTED, "%s: %s is %g, expected %g as before",
                           layers->path, tensor->name, (double)eps, layers->eps);
        layers->eps = (double)eps;
    } else if (!strcmp(rest, "stack/3") && tensor->dtype == HS_I32) {
        int32_t groups;
        memcpy(&groups, tensor->data, 4);
        if (layers->groups && layers->groups != groups)
            return hs_fail(err, HS_ERROR_UNSUPPORTED, "%s: %s is %d, expected %d as before",
                           layers->path, tensor->name, groups, layers->groups);
        layers->groups = groups;
    }
    return HS_OK;
}

/* 8-bit files hold the frequencies rounded to 1/255 of the largest; they must
 * be the family's, and are then computed exactly. */
static hs_status hs_keras_frequencies(const hs_keras_layers *layers, const hs_tensor *tensor,
                                      hs_error *err) {
    int64_t half = hs_tensor_count(tensor);
    for (int64_t i = 0; i < half; i++) {
        float found;
        HS_TRY(hs_tensor_to_f32(tensor, i, 1, &found, err));
        double expected = exp(-log(10000) * (double)i / (double)(half - 1));
        if (!(fabs((double)found - expected) < 0.004))
            return hs_fail(err, HS_ERROR_UNSUPPORTED,
                           "%s: time frequency %lld of %s is %g, expected %g", layers->path,
                           (long long)i, tensor->name, (double)found, expected);
    }
    return HS_OK;
}

/* A tensor outside of the layers: constants of shapes and scales, and the
 * frequencies of the time embedding. */
static hs_status hs_keras_other(const hs_keras_layers *layers, const hs_tensor *tensor,
                                hs_error *err) {
    if (tensor->dtype == HS_I32 || hs_tensor_count(tensor) == 1)
        return HS_OK;
    if (strstr(tensor->name, "/time_embedding"))
        return hs_keras_frequencies(layers, tensor, err);
    char found[200];
    hs_tensor_describe(tensor, found);
    return hs_fail(err, HS_ERROR_FORMAT,
                   "%s: tensor %.200s, %s, is superfluous: the family has no place for it",
                   layers->path, tensor->name, found);
}

static hs_status hs_keras_place(hs_keras_layers *layers, const hs_tensor *tensor, hs_error *err) {
    hs_keras_name parts = {0};
    hs_keras_layer *layer = NULL;
    if (!hs_keras_split(tensor->name, &parts))
        return hs_keras_other(layers, tensor, err);
    const char *rest = parts.rest;
    bool norm = parts.kind == HS_KERAS_NORM;
    bool kernel = norm ? !strcmp(rest, "Reshape_1/ReadVariableOp")
                       : !strcmp(rest, "Conv2D/ReadVariableOp") ||
                             !strcmp(rest, "MatMul/ReadVariableOp") ||
                             !strcmp(rest, "Tensordot/ReadVariableOp");
    bool bias = !strcmp(rest, norm ? "Reshape_2/ReadVariableOp" : "BiasAdd/ReadVariableOp");
    if (!kernel && !bias) {
        HS_TRY(hs_keras_other(layers, tensor, err));
        return norm && hs_tensor_count(tensor) == 1 ? hs_keras_constant(layers, tensor, rest, err)
                                                    : HS_OK;
    }
    HS_TRY(hs_keras_layer_get(layers, tensor->name, &parts, &layer, err));
    *(kernel ? &layer->kernel : &layer->bias) = tensor;
    layer->over_pixels |= !strncmp(rest, "Tensordot/", 10);
    return HS_OK;
}

static int hs_keras_by_number(const void *a, const void *b) {
    int x = ((const hs_keras_layer *)a)->number, y = ((const hs_keras_layer *)b)->number;
    return (x > y) - (x < y);
}

/* Both weights there, of the ranks of the kind, and no number twice. */
static hs_status hs_keras_check(const hs_keras_layers *layers, int kind, hs_error *err) {
    static const int ranks[HS_KERAS_KINDS] = {4, 2, 1};
    for (int i = 0; i < layers->count[kind]; i++) {
        const hs_keras_layer *layer = &layers->list[kind][i];
        if (!layer->kernel || !layer->bias)
            return hs_fail(err, HS_ERROR_FORMAT, "%s: %s has no %s", layers->path, layer->path,
                           layer->kernel ? "bias" : "kernel");
        char found[200];
        hs_tensor_describe(layer->kernel, found);
        int last = layer->kernel->rank - 1;
        if (last != ranks[kind] - 1 || layer->bias->rank != 1 ||
            layer->bias->dim[0] != layer->kernel->dim[last])
            return hs_fail(err, HS_ERROR_FORMAT,
                           "%s: %s is %s, expected rank %d and a bias of as many channels",
                           layers->path, layer->kernel->name, found, ranks[kind]);
        if (i && layer->number == layer[-1].number)
            return hs_fail(err, HS_ERROR_FORMAT, "%s: %s and %s have the same number", layers->path,
                           layer[-1].path, layer->path);
    }
    return HS_OK;
}

/* --------------------------------------------------------- the topology -- */

const char *hs_keras_node_input(const hs_keras_layers *layers, const char *node, int input) {
    const json_t *inputs = json_object_get(json_object_get(layers->nodes, node), "input");
    return json_string_value(json_array_get(inputs, (size_t)input));
}

/* attr.strides.list.i, numbers as strings, [1, s, s, 1]. */
static hs_status hs_keras_stride(const hs_keras_layers *layers, hs_keras_layer *layer,
                                 hs_error *err) {
    static const char *const endings[] = {"BiasAdd", "Conv2D"};
    const json_t *list = NULL;
    for (int i = 0; i < 2 && !list; i++) {
        char *name = hs_format("%s/%s", layer->path, endings[i]);
        const json_t *attr =
            name ? json_object_get(json_object_get(layers->nodes, name), "attr") : NULL;
        list = json_object_get(json_object_get(json_object_get(attr, "strides"), "list"), "i");
        free(name);
    }
    const char *text = json_string_value(json_array_get(list, 1));
    const char *other = json_string_value(json_array_get(list, 2));
    if (!text || !other || strcmp(text, other) || (strcmp(text, "1") && strcmp(text, "2")))
        return hs_fail(err, HS_ERROR_UNSUPPORTED, "%s: %s has the strides %s, %s, expected 1 or 2",
                       layers->path, layer->path, text ? text : "?", other ? other : "?");
    layer->stride = text[0] - '0';
    return HS_OK;
}

/* Names of the nodes "<layer>/<op>" of the layers `kind`, by number. */
static hs_status hs_keras_nodes_of(hs_keras_layers *layers, const char *kind, const char *op,
                                   char ***out, int *count, hs_error *err) {
    size_t most = json_object_size(layers->nodes);
    hs_keras_layer *found = hs_calloc(most, sizeof *found); /* path and number alone */
    if (!found)
        return hs_fail_memory(err, most * sizeof *found);
    const char *name;
    json_t *node;
    int n = 0;
    json_object_foreach(layers->nodes, name, node) {
        const char *last = strrchr(name, '/');
        const char *layer = last;
        while (layer && layer > name && layer[-1] != '/')
            layer--;
        if (last && !strcmp(last + 1, op) &&
            hs_keras_numbered(layer, (size_t)(last - layer), kind, &found[n].number))
            found[n++].path = (char *)(uintptr_t)name;
    }
    qsort(found, (size_t)n, sizeof *found, hs_keras_by_number);
    *out = hs_arena_alloc(&layers->arena, (size_t)n + 1, sizeof **out);
    for (int i = 0; *out && i < n; i++)
        (*out)[i] = found[i].path; /* lives as long as `nodes` */
    *count = n;
    free(found);
    return *out ? HS_OK : hs_fail_memory(err, (size_t)n * sizeof **out);
}

static hs_status hs_keras_topology(hs_keras_layers *layers, hs_error *err) {
    const json_t *list = json_object_get(json_object_get(layers->root, "modelTopology"), "node");
    size_t i;
    json_t *node;
    layers->nodes = json_object();
    json_array_foreach((json_t *)(uintptr_t)list, i, node) {
        const char *name = json_string_value(json_object_get(node, "name"));
        if (!name || json_object_set(layers->nodes, name, node))
            return hs_fail(err, HS_ERROR_FORMAT, "%s: node %zu of modelTopology has no name",
                           layers->path, i);
    }
    for (int c = 0; c < layers->count[HS_KERAS_CONV]; c++)
        HS_TRY(hs_keras_stride(layers, &layers->list[HS_KERAS_CONV][c], err));
    HS_TRY(hs_keras_nodes_of(layers, "add", "add", &layers->adds, &layers->add_count, err));
    return hs_keras_nodes_of(layers, "concatenate", "concat", &layers->concats,
                             &layers->concat_count, err);
}

hs_status hs_keras_layers_gather(const char *path, hs_tensor_set *set, json_t *root,
                                 hs_keras_layers *out, hs_error *err) {
    *out = (hs_keras_layers){.path = path, .set = set, .root = root};
    for (int i = 0; i < set->count; i++)
        HS_TRY(hs_keras_place(out, &set->tensors[i], err));
    for (int kind = 0; kind < HS_KERAS_KINDS; kind++) {
        if (!out->count[kind])
            return hs_fail(err, HS_ERROR_UNSUPPORTED,
                           "%s: has no %s layer, expected a model of the Keras DDPM family", path,
                           hs_keras_kind_names[kind]);
        qsort(out->list[kind], (size_t)out->count[kind], sizeof **out->list, hs_keras_by_number);
        HS_TRY(hs_keras_check(out, kind, err));
    }
    if (out->groups < 1 || !(out->eps > 0 && out->eps < 1))
        return hs_fail(err, HS_ERROR_UNSUPPORTED,
                       "%s: group norms of %d groups and eps %g, expected at least 1 and a small "
                       "positive number",
                       path, out->groups, out->eps);
    return hs_keras_topology(out, err);
}

void hs_keras_layers_free(hs_keras_layers *layers) {
    json_decref(layers->nodes);
    hs_arena_free(&layers->arena);
}
