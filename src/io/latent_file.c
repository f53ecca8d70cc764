/* See latent_file.h. */
#include "io/latent_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/json.h"
#include "io/tensor_read.h"

hs_latents *hs_latents_new(void) {
    return hs_calloc(1, sizeof(hs_latents));
}

void hs_latents_free(hs_latents *latents) {
    if (!latents)
        return;
    free(latents->x_T);
    free(latents->z);
    free(latents->x_0);
    free(latents->h);
    free(latents->timesteps);
    free(latents->metadata);
    free(latents);
}

void hs_latents_view_get(const hs_latents *latents, hs_latents_view *view) {
    *view = (hs_latents_view){.n = latents->n,
                              .T = latents->T,
                              .x_T = latents->x_T,
                              .z = latents->z,
                              .x_0 = latents->x_0,
                              .h = latents->h,
                              .timesteps = latents->timesteps,
                              .metadata = latents->metadata};
    memcpy(view->image, latents->image, sizeof view->image);
    memcpy(view->h_shape, latents->h_shape, sizeof view->h_shape);
}

/* ------------------------------------------------------------- reading -- */

/* A file may say nothing; one of another kind, or a newer one, is refused. */
static hs_status hs_latents_check_format(const char *path, const char *text, hs_error *err) {
    json_t *metadata = NULL;
    hs_status status = HS_OK;
    if (!text)
        return HS_OK;
    HS_TRY(hs_json_parse_object(path, text, strlen(text), &metadata, err));
    const char *format = json_string_value(json_object_get(metadata, "format"));
    const char *version = json_string_value(json_object_get(metadata, "version"));
    if (format && !strncmp(format, "hspace.", 7)) {
        if (strcmp(format, HS_LATENTS_FORMAT))
            status =
                hs_fail(err, HS_ERROR_FORMAT,
                        "%s: metadata format: expected " HS_LATENTS_FORMAT ", found \"%.100s\"",
                        path, format);
        else if (!version || strcmp(version, HS_LATENTS_VERSION))
            status =
                hs_fail(err, version ? HS_ERROR_UNSUPPORTED : HS_ERROR_FORMAT,
                        "%s: metadata version: expected " HS_LATENTS_VERSION ", found \"%.100s\"",
                        path, version ? version : "");
    }
    json_decref(metadata);
    return status;
}

static hs_status hs_latents_need(const char *path, const hs_tensor_set *set, const char *name,
                                 const char *shape, const hs_tensor **out, hs_error *err) {
    *out = hs_tensor_set_find(set, name);
    if (*out)
        return HS_OK;
    return hs_fail(err, HS_ERROR_FORMAT, "%s: expected a tensor %s %s, found none", path, name,
                   shape);
}

static hs_status hs_latents_fill(const char *path, const hs_tensor_set *set, hs_latents *l,
                                 hs_error *err) {
    const hs_tensor *x_T, *timesteps, *z, *x_0, *h;
    int64_t shape[4] = {-1, -1, -1, -1};
    HS_TRY(hs_latents_need(path, set, "x_T", "[n,C,H,W]", &x_T, err));
    HS_TRY(hs_latents_need(path, set, "timesteps", "[T]", &timesteps, err));
    HS_TRY(hs_tensor_read_timesteps(path, timesteps, &l->T, &l->timesteps, err));
    HS_TRY(hs_tensor_read_floats(path, x_T, 4, shape, &l->x_T, err));
    memcpy(shape, x_T->dim, sizeof shape);
    l->n = (int)shape[0];
    for (int i = 0; i < 3; i++)
        l->image[i] = (int)shape[i + 1];
    const int64_t z_shape[5] = {shape[0], l->T, shape[1], shape[2], shape[3]};
    const int64_t h_shape[5] = {shape[0], l->T, -1, -1, -1};
    if ((z = hs_tensor_set_find(set, "z")))
        HS_TRY(hs_tensor_read_floats(path, z, 5, z_shape, &l->z, err));
    if ((x_0 = hs_tensor_set_find(set, "x_0")))
        HS_TRY(hs_tensor_read_floats(path, x_0, 4, shape, &l->x_0, err));
    if ((h = hs_tensor_set_find(set, "h"))) {
        HS_TRY(hs_tensor_read_floats(path, h, 5, h_shape, &l->h, err));
        for (int i = 0; i < 3; i++)
            l->h_shape[i] = (int)h->dim[i + 2];
    }
    if (set->metadata && !(l->metadata = hs_strdup(set->metadata)))
        return hs_fail_memory(err, strlen(set->metadata));
    return HS_OK;
}

static hs_status hs_latents_read(const char *path, const hs_tensor_set *set, hs_latents **out,
                                 hs_error *err) {
    static const char *const known[] = {"x_T", "z", "x_0", "h", "timesteps", NULL};
    HS_TRY(hs_latents_check_format(path, set->metadata, err));
    HS_TRY(hs_tensor_set_known(path, set, known, err));
    hs_latents *latents = hs_latents_new();
    if (!latents)
        return hs_fail_memory(err, sizeof *latents);
    hs_status status = hs_latents_fill(path, set, latents, err);
    if (status == HS_OK)
        *out = latents;
    else
        hs_latents_free(latents);
    return status;
}

hs_status hs_latents_parse(const char *path, const void *data, size_t size, hs_latents **out,
                           hs_error *err) {
    hs_tensor_set *set = NULL;
    HS_TRY(hs_safetensors_parse(path, data, size, &set, err));
    hs_status status = hs_latents_read(path, set, out, err);
    hs_tensor_set_free(set);
    return status;
}

hs_status hs_latents_load(const char *path, hs_latents **out, hs_error *err) {
    hs_tensor_set *set = NULL;
    HS_TRY(hs_safetensors_open(path, &set, err));
    hs_status status = hs_latents_read(path, set, out, err);
    hs_tensor_set_free(set);
    return status;
}

/* ------------------------------------------------------------- writing -- */

/* The caller's metadata with format and version put in; free() *out. */
static hs_status hs_latents_metadata(const char *path, const char *metadata, char **out,
                                     hs_error *err) {
    json_t *object = NULL;
    if (!metadata)
        metadata = "{}";
    HS_TRY(hs_json_parse_object(path, metadata, strlen(metadata), &object, err));
    bool put = json_object_set_new(object, "format", json_string(HS_LATENTS_FORMAT)) == 0 &&
               json_object_set_new(object, "version", json_string(HS_LATENTS_VERSION)) == 0;
    char *text = put ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    if (!text)
        return hs_fail_memory(err, strlen(metadata));
    *out = text;
    return HS_OK;
}

/* All tensors, also those that there are not (data NULL). */
static void hs_latents_tensors(const hs_latents_view *v, hs_tensor out[5]) {
    const int64_t C = v->image[0], H = v->image[1], W = v->image[2];
    out[0] = (hs_tensor){"x_T", HS_F32, 4, {v->n, C, H, W}, v->x_T};
    out[1] = (hs_tensor){"z", HS_F32, 5, {v->n, v->T, C, H, W}, v->z};
    out[2] = (hs_tensor){"x_0", HS_F32, 4, {v->n, C, H, W}, v->x_0};
    out[3] = (hs_tensor){
        "h", HS_F32, 5, {v->n, v->T, v->h_shape[0], v->h_shape[1], v->h_shape[2]}, v->h};
    out[4] = (hs_tensor){"timesteps", HS_I64, 1, {v->T}, v->timesteps};
}

/* Shapes without zeros and values without NaN, so that what is written can be
 * read again. */
static hs_status hs_latents_check(const char *path, const hs_latents_view *view, hs_error *err) {
    hs_tensor tensors[5];
    const int64_t any[5] = {-1, -1, -1, -1, -1};
    if (!view->x_T || !view->timesteps)
        return hs_fail(err, HS_ERROR_ARGUMENT, "%s: latents without %s cannot be written", path,
                       view->x_T ? "timesteps" : "x_T");
    hs_latents_tensors(view, tensors);
    for (int i = 0; i < 5; i++) {
        int64_t bytes;
        if (!tensors[i].data)
            continue;
        HS_TRY(hs_tensor_expect(path, &tensors[i], tensors[i].rank, any, err));
        HS_TRY(hs_tensor_shape_bytes(path, tensors[i].name, tensors[i].dtype, tensors[i].rank,
                                     tensors[i].dim, &bytes, err));
        if (tensors[i].dtype == HS_F32)
            HS_TRY(hs_check_finite(path, tensors[i].name, tensors[i].data, bytes / 4, err));
    }
    return hs_check_timesteps(path, view->timesteps, view->T, err);
}

hs_status hs_latents_save(const char *path, const hs_latents_view *view, hs_error *err) {
    hs_tensor tensors[5];
    int count = 0;
    char *metadata = NULL;
    HS_TRY(hs_latents_check(path, view, err));
    hs_latents_tensors(view, tensors);
    for (int i = 0; i < 5; i++) /* keep those that there are */
        if (tensors[i].data)
            tensors[count++] = tensors[i];
    HS_TRY(hs_latents_metadata(path, view->metadata, &metadata, err));
    hs_status status = hs_safetensors_write(path, tensors, count, metadata, err);
    free(metadata);
    return status;
}
