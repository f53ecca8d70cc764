/* The in-memory form of direction files: see direction_file.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/direction_file.h"
#include "io/json.h"

static const char *const hs_h_space_names[] = {
    [HS_H_BEFORE] = "before", [HS_H_MIDDLE] = "middle", [HS_H_AFTER] = "after"};

const char *hs_h_space_name(hs_h_space h_space) {
    return hs_h_space_names[h_space];
}

bool hs_h_space_from_name(const char *name, hs_h_space *out) {
    for (int i = HS_H_BEFORE; i <= HS_H_AFTER; i++) {
        if (!strcmp(name, hs_h_space_names[i])) {
            *out = (hs_h_space)i;
            return true;
        }
    }
    return false;
}

hs_directions *hs_directions_new(int K, int S, int T, const int h_shape[3]) {
    hs_directions *d = hs_calloc(1, sizeof *d);
    if (!d)
        return NULL;
    *d = (hs_directions){.K = K, .S = S, .T = T, .h_space = HS_H_AFTER};
    memcpy(d->h_shape, h_shape, sizeof d->h_shape);
    d->unit = hs_strdup("unknown");
    d->method = hs_strdup("unknown");
    d->metadata = hs_strdup("{}");
    d->names = hs_calloc((size_t)K, sizeof *d->names);
    bool complete = d->unit && d->method && d->metadata && d->names;
    for (int k = 0; complete && k < K; k++)
        complete = (d->names[k] = hs_format("%d", k)) != NULL;
    if (complete)
        return d;
    hs_directions_free(d);
    return NULL;
}

void hs_directions_free(hs_directions *directions) {
    if (!directions)
        return;
    for (int k = 0; directions->names && k < directions->K; k++)
        free(directions->names[k]);
    free(directions->names);
    free(directions->delta_h);
    free(directions->sigma);
    free(directions->mean);
    free(directions->u);
    free(directions->residual);
    free(directions->delta_x_T);
    free(directions->delta_z);
    free(directions->timesteps);
    free(directions->unit);
    free(directions->method);
    free(directions->metadata);
    free(directions);
}

int hs_directions_count(const hs_directions *directions) {
    return directions->K;
}

const char *hs_directions_name(const hs_directions *directions, int index) {
    return index >= 0 && index < directions->K ? directions->names[index] : NULL;
}

int hs_directions_find(const hs_directions *directions, const char *name) {
    for (int k = 0; k < directions->K; k++)
        if (!strcmp(directions->names[k], name))
            return k;
    /* Digits alone: strtol would take spaces and signs too. */
    if (!*name || strspn(name, "0123456789") != strlen(name) || strlen(name) > 9)
        return -1;
    int index = atoi(name);
    return index < directions->K ? index : -1;
}

void hs_directions_view_get(const hs_directions *directions, hs_directions_view *view) {
    *view = (hs_directions_view){.K = directions->K,
                                 .S = directions->S,
                                 .T = directions->T,
                                 .delta_h = directions->delta_h,
                                 .sigma = directions->sigma,
                                 .mean = directions->mean,
                                 .timesteps = directions->timesteps,
                                 .unit = directions->unit,
                                 .method = directions->method,
                                 .metadata = directions->metadata,
                                 .u = directions->u,
                                 .residual = directions->residual,
                                 .space = directions->space,
                                 .delta_x_T = directions->delta_x_T,
                                 .delta_z = directions->delta_z};
    memcpy(view->image, directions->image, sizeof view->image);
    memcpy(view->h_shape, directions->h_shape, sizeof view->h_shape);
}

/* ------------------------------------------------------------ metadata -- */

static hs_status hs_metadata_object(const hs_directions *directions, json_t **out, hs_error *err) {
    return hs_json_parse_object("metadata", directions->metadata, strlen(directions->metadata), out,
                                err);
}

static hs_status hs_metadata_store(hs_directions *directions, const json_t *object, hs_error *err) {
    char *text = json_dumps(object, JSON_COMPACT);
    if (!text)
        return hs_fail_memory(err, 0);
    free(directions->metadata);
    directions->metadata = text;
    return HS_OK;
}

static hs_status hs_metadata_put(json_t *object, const char *key, const char *value,
                                 hs_error *err) {
    if (json_object_set_new(object, key, json_string(value)) == 0)
        return HS_OK;
    return hs_fail(err, HS_ERROR_ARGUMENT,
                   "metadata key \"%.100s\": its value is not UTF-8, or memory ran out", key);
}

hs_status hs_directions_set_metadata(hs_directions *directions, const char *key, const char *value,
                                     hs_error *err) {
    json_t *object = NULL;
    HS_TRY(hs_metadata_object(directions, &object, err));
    hs_status status = hs_metadata_put(object, key, value, err);
    if (status == HS_OK)
        status = hs_metadata_store(directions, object, err);
    json_decref(object);
    return status;
}

hs_status hs_directions_put_json(hs_directions *directions, const char *key, json_t *value,
                                 int digits, hs_error *err) {
    char *text = NULL;
    if (json_is_string(value))
        text = hs_strdup(json_string_value(value));
    else if (value)
        text = json_dumps(value,
                          JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION((unsigned)digits));
    json_decref(value);
    if (!text)
        return hs_fail_memory(err, 4096);
    hs_status status = hs_directions_set_metadata(directions, key, text, err);
    free(text);
    return status;
}

char *hs_directions_get_metadata(const hs_directions *directions, const char *key) {
    json_t *object = NULL;
    if (hs_metadata_object(directions, &object, NULL) != HS_OK)
        return NULL;
    const char *value = json_string_value(json_object_get(object, key));
    char *copy = value ? hs_strdup(value) : NULL;
    json_decref(object);
    return copy;
}

static hs_status hs_put_names(const hs_directions *directions, json_t *object, hs_error *err) {
    hs_status status = HS_OK;
    char *text = NULL;
    json_t *list = json_array();
    for (int k = 0; k < directions->K; k++) {
        if (json_array_append_new(list, json_string(directions->names[k])) != 0) {
            status = hs_fail(err, HS_ERROR_ARGUMENT, "direction %d: its name is not UTF-8", k);
            goto cleanup;
        }
    }
    if (!(text = json_dumps(list, JSON_COMPACT))) {
        status = hs_fail_memory(err, 0);
        goto cleanup;
    }
    status = hs_metadata_put(object, "names", text, err);
cleanup:
    free(text);
    json_decref(list);
    return status;
}

static hs_status hs_put_members(const hs_directions *directions, json_t *object, hs_error *err) {
    char number[16];
    HS_TRY(hs_metadata_put(object, "format", HS_DIRECTIONS_FORMAT, err));
    HS_TRY(hs_metadata_put(object, "version", HS_DIRECTIONS_VERSION, err));
    HS_TRY(hs_put_names(directions, object, err));
    HS_TRY(hs_metadata_put(object, "unit", directions->unit, err));
    HS_TRY(hs_metadata_put(object, "method", directions->method, err));
    json_object_del(object, directions->space == HS_SPACE_NOISE ? "h_space" : "space");
    if (directions->space == HS_SPACE_NOISE)
        HS_TRY(hs_metadata_put(object, "space", "noise", err));
    else
        HS_TRY(hs_metadata_put(object, "h_space", hs_h_space_name(directions->h_space), err));
    snprintf(number, sizeof number, "%d", directions->T);
    HS_TRY(hs_metadata_put(object, "T", number, err));
    json_object_del(object, "model");
    json_object_del(object, "N");
    if (*directions->model)
        HS_TRY(hs_metadata_put(object, "model", directions->model, err));
    if (!directions->N)
        return HS_OK;
    snprintf(number, sizeof number, "%d", directions->N);
    return hs_metadata_put(object, "N", number, err);
}

hs_status hs_directions_full_metadata(const hs_directions *directions, char **out, hs_error *err) {
    json_t *object = NULL;
    HS_TRY(hs_metadata_object(directions, &object, err));
    hs_status status = hs_put_members(directions, object, err);
    char *text = status == HS_OK ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    if (status == HS_OK && !text)
        return hs_fail_memory(err, 0);
    if (status == HS_OK)
        *out = text;
    return status;
}

hs_status hs_directions_update_metadata(hs_directions *directions, hs_error *err) {
    char *text = NULL;
    HS_TRY(hs_directions_full_metadata(directions, &text, err));
    free(directions->metadata);
    directions->metadata = text;
    return HS_OK;
}
