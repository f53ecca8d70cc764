/*
 * Direction files, reading and writing. What a file does not say takes a
 * default (a file written by hand has no metadata); what it says must agree
 * with its tensors. Whether it fits a model is judged elsewhere
 * (hs_directions_fit).
 */
#include "io/direction_file.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "io/json.h"
#include "io/tensor_read.h"

/* The file that is being read. */
typedef struct hs_direction_reader {
    const char *path;
    const hs_tensor_set *set;
    const json_t *metadata; /* an object of strings, or NULL */
    hs_directions *directions;
} hs_direction_reader;

static const char *hs_metadata_get(const hs_direction_reader *r, const char *key) {
    return json_string_value(json_object_get(r->metadata, key));
}

static hs_status hs_metadata_refuse(const hs_direction_reader *r, const char *key,
                                    const char *expected, hs_error *err) {
    return hs_fail(err, HS_ERROR_FORMAT, "%s: metadata %s: expected %s, found \"%.100s\"", r->path,
                   key, expected, hs_metadata_get(r, key));
}

/* A decimal number of at most nine digits; *out keeps its value when absent. */
static hs_status hs_metadata_int(const hs_direction_reader *r, const char *key, int *out,
                                 hs_error *err) {
    const char *text = hs_metadata_get(r, key);
    if (!text)
        return HS_OK;
    size_t length = strlen(text);
    if (!length || length > 9 || strspn(text, "0123456789") != length || atoi(text) < 1)
        return hs_metadata_refuse(r, key, "a number from 1 to 999999999", err);
    *out = atoi(text);
    return HS_OK;
}

static hs_status hs_metadata_text(const hs_direction_reader *r, const char *key, char **out,
                                  hs_error *err) {
    const char *text = hs_metadata_get(r, key);
    if (!text)
        return HS_OK;
    char *copy = hs_strdup(text);
    if (!copy)
        return hs_fail_memory(err, strlen(text) + 1);
    free(*out);
    *out = copy;
    return HS_OK;
}

/* Other programs put "format": "pt" or "np"; only a file that says that it is
 * another of ours, or a newer one, is refused. */
static hs_status hs_read_format(const hs_direction_reader *r, hs_error *err) {
    const char *format = hs_metadata_get(r, "format");
    if (!format || strncmp(format, "hspace.", 7))
        return HS_OK;
    if (strcmp(format, HS_DIRECTIONS_FORMAT))
        return hs_metadata_refuse(r, "format", HS_DIRECTIONS_FORMAT, err);
    const char *version = hs_metadata_get(r, "version");
    if (!version)
        return hs_fail(err, HS_ERROR_FORMAT, "%s: metadata version is missing", r->path);
    if (strcmp(version, HS_DIRECTIONS_VERSION))
        return hs_fail(err, HS_ERROR_UNSUPPORTED,
                       "%s: metadata version: expected " HS_DIRECTIONS_VERSION
                       ", found \"%.100s\" (written by a newer hspace?)",
                       r->path, version);
    return HS_OK;
}

static hs_status hs_read_names(const hs_direction_reader *r, hs_error *err) {
    hs_status status = HS_OK;
    hs_directions *d = r->directions;
    const char *text = hs_metadata_get(r, "names");
    json_t *list = NULL;
    if (!text)
        return HS_OK;
    status = hs_json_parse("names", text, strlen(text), &list, err);
    if (status != HS_OK)
        return hs_fail_prefix(err, status, "%s: metadata", r->path);
    if (!json_is_array(list) || json_array_size(list) != (size_t)d->K) {
        char found[100];
        hs_json_describe(list, found);
        status =
            hs_fail(err, HS_ERROR_FORMAT, "%s: metadata names: expected a list of %d, found %s",
                    r->path, d->K, found);
        goto cleanup;
    }
    for (int k = 0; k < d->K; k++) {
        const char *name = json_string_value(json_array_get(list, (size_t)k));
        char *copy = name && *name ? hs_strdup(name) : NULL;
        if (!copy) {
            status = hs_fail(err, HS_ERROR_FORMAT,
                             "%s: metadata names: entry %d: expected a string that is not empty",
                             r->path, k);
            goto cleanup;
        }
        free(d->names[k]);
        d->names[k] = copy;
    }
cleanup:
    json_decref(list);
    return status;
}

static hs_status hs_read_model(const hs_direction_reader *r, hs_error *err) {
    hs_directions *d = r->directions;
    const char *model = hs_metadata_get(r, "model"), *h_space = hs_metadata_get(r, "h_space");
    if (model && *model) {
        if (strlen(model) != 32 || strspn(model, "0123456789abcdef") != 32)
            return hs_metadata_refuse(r, "model", "a fingerprint of 32 hex digits", err);
        memcpy(d->model, model, sizeof d->model);
    }
    if (h_space && !hs_h_space_from_name(h_space, &d->h_space))
        return hs_metadata_refuse(r, "h_space", "before, middle or after", err);
    HS_TRY(hs_metadata_int(r, "N", &d->N, err));
    HS_TRY(hs_metadata_text(r, "unit", &d->unit, err));
    return hs_metadata_text(r, "method", &d->method, err);
}

/* ---------------------------------------------------------------- noise -- */

/* What metadata "space" says: directions of h, or of x_T and z. */
static hs_status hs_read_space(const hs_direction_reader *r, hs_space *out, hs_error *err) {
    const char *space = hs_metadata_get(r, "space");
    *out = space && !strcmp(space, "noise") ? HS_SPACE_NOISE : HS_SPACE_H;
    if (space && *out != HS_SPACE_NOISE && strcmp(space, "h") != 0)
        return hs_metadata_refuse(r, "space", "h or noise", err);
    return HS_OK;
}

/* Sizes of a handle of noise directions: K, S and T. */
static hs_status hs_read_noise_sizes(const hs_direction_reader *r, int64_t size[5], int *T,
                                     hs_error *err) {
    const hs_tensor *x_T = hs_tensor_set_find(r->set, "delta_x_T");
    const hs_tensor *z = hs_tensor_set_find(r->set, "delta_z");
    const hs_tensor *timesteps = hs_tensor_set_find(r->set, "timesteps");
    const int64_t any[5] = {-1, -1, -1, -1, -1};
    if (!x_T || !timesteps)
        return hs_fail(err, HS_ERROR_FORMAT,
                       "%s: directions of noise: expected tensors delta_x_T [K,C,H,W] and "
                       "timesteps [T], found no %s",
                       r->path, x_T ? "timesteps" : "delta_x_T");
    HS_TRY(hs_tensor_expect(r->path, x_T, 4, any, err));
    HS_TRY(hs_tensor_expect(r->path, timesteps, 1, any, err));
    if (timesteps->dim[0] > INT_MAX)
        return hs_fail(err, HS_ERROR_FORMAT, "%s: tensor timesteps: too many steps", r->path);
    *T = (int)timesteps->dim[0];
    size[0] = x_T->dim[0];
    size[1] = z ? *T : 1;
    size[2] = size[3] = size[4] = 0;
    return HS_OK;
}

static hs_status hs_read_noise_tensors(const hs_direction_reader *r, hs_error *err) {
    hs_directions *d = r->directions;
    const hs_tensor *x_T = hs_tensor_set_find(r->set, "delta_x_T");
    const hs_tensor *z = hs_tensor_set_find(r->set, "delta_z");
    const int64_t z_shape[5] = {d->K, d->T, x_T->dim[1], x_T->dim[2], x_T->dim[3]};
    int T = d->T;
    for (int i = 0; i < 3; i++)
        d->image[i] = (int)x_T->dim[i + 1];
    HS_TRY(hs_tensor_read_floats(r->path, x_T, 4, x_T->dim, &d->delta_x_T, err));
    if (z)
        HS_TRY(hs_tensor_read_floats(r->path, z, 5, z_shape, &d->delta_z, err));
    return hs_tensor_read_timesteps(r->path, hs_tensor_set_find(r->set, "timesteps"), &T,
                                    &d->timesteps, err);
}

/* K, S, c, h, w from delta_h; `[S,c,h,w]` is a single direction. */
static hs_status hs_read_sizes(const hs_direction_reader *r, int64_t size[5], hs_error *err) {
    const hs_tensor *delta_h = hs_tensor_set_find(r->set, "delta_h");
    const int64_t any[5] = {-1, -1, -1, -1, -1};
    if (!delta_h)
        return hs_fail(err, HS_ERROR_FORMAT,
                       "%s: expected a tensor delta_h [K,S,c,h,w], found none", r->path);
    bool single = delta_h->rank == 4;
    HS_TRY(hs_tensor_expect(r->path, delta_h, single ? 4 : 5, any, err));
    size[0] = 1;
    memcpy(size + single, delta_h->dim, (size_t)delta_h->rank * sizeof *size);
    return HS_OK;
}

/* T, from whatever tells it, or S; S has to be T or 1. */
static hs_status hs_read_T(const hs_direction_reader *r, int S, int *out, hs_error *err) {
    const hs_tensor *timesteps = hs_tensor_set_find(r->set, "timesteps");
    const hs_tensor *mean = hs_tensor_set_find(r->set, "mean");
    int T = S, said = 0;
    HS_TRY(hs_metadata_int(r, "T", &said, err));
    if (timesteps && timesteps->rank == 1 && timesteps->dim[0] <= INT_MAX)
        T = (int)timesteps->dim[0];
    else if (mean && mean->rank == 4 && mean->dim[0] <= INT_MAX)
        T = (int)mean->dim[0];
    else if (said)
        T = said;
    if (said && said != T)
        return hs_fail(err, HS_ERROR_FORMAT,
                       "%s: metadata T: expected %d as in the tensors, found %d", r->path, T, said);
    if (S != T && S != 1)
        return hs_fail(err, HS_ERROR_FORMAT,
                       "%s: tensor delta_h: expected 1 or T = %d slices a direction, found %d",
                       r->path, T, S);
    *out = T;
    return HS_OK;
}

static hs_status hs_read_optional(const hs_direction_reader *r, const char *name, int rank,
                                  const int64_t *expected, float **out, hs_error *err) {
    const hs_tensor *tensor = hs_tensor_set_find(r->set, name);
    return tensor ? hs_tensor_read_floats(r->path, tensor, rank, expected, out, err) : HS_OK;
}

static hs_status hs_read_tensors(const hs_direction_reader *r, const int64_t size[5],
                                 hs_error *err) {
    hs_directions *d = r->directions;
    const hs_tensor *delta_h = hs_tensor_set_find(r->set, "delta_h");
    const hs_tensor *timesteps = hs_tensor_set_find(r->set, "timesteps");
    const hs_tensor *u = hs_tensor_set_find(r->set, "u");
    const int64_t mean[4] = {d->T, size[2], size[3], size[4]};
    const int64_t image[4] = {d->K, -1, -1, -1};
    int T = d->T;
    HS_TRY(hs_tensor_read_floats(r->path, delta_h, delta_h->rank, size + (delta_h->rank == 4),
                                 &d->delta_h, err));
    HS_TRY(hs_read_optional(r, "sigma", 2, size, &d->sigma, err));
    HS_TRY(hs_read_optional(r, "mean", 4, mean, &d->mean, err));
    HS_TRY(hs_read_optional(r, "u", 4, image, &d->u, err));
    for (int i = 0; u && i < 3; i++)
        d->image[i] = (int)u->dim[i + 1];
    HS_TRY(hs_read_optional(r, "residual", 1, size, &d->residual, err));
    if (!timesteps)
        return HS_OK;
    return hs_tensor_read_timesteps(r->path, timesteps, &T, &d->timesteps, err);
}

static int hs_compare_strings(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static hs_status hs_check_names(const char *path, const hs_directions *d, hs_error *err) {
    hs_status status = HS_OK;
    const char **sorted = hs_calloc((size_t)d->K, sizeof *sorted);
    if (!sorted)
        return hs_fail_memory(err, (size_t)d->K * sizeof *sorted);
    for (int k = 0; k < d->K; k++)
        sorted[k] = d->names[k];
    qsort(sorted, (size_t)d->K, sizeof *sorted, hs_compare_strings);
    for (int k = 1; status == HS_OK && k < d->K; k++)
        if (!strcmp(sorted[k - 1], sorted[k]))
            status = hs_fail(err, HS_ERROR_FORMAT,
                             "%s: metadata names: expected different ones, found \"%.100s\" twice",
                             path, sorted[k]);
    free(sorted);
    return status;
}

/* What must hold for any handle, read or made: names tell directions apart,
 * numbers are numbers, steps are steps of the model. */
static hs_status hs_directions_check(const char *path, const hs_directions *d, hs_error *err) {
    int64_t h = (int64_t)d->h_shape[0] * d->h_shape[1] * d->h_shape[2];
    int64_t image = (int64_t)d->image[0] * d->image[1] * d->image[2];
    int64_t slices = (int64_t)d->K * d->S;
    bool noise = d->space == HS_SPACE_NOISE;
    if (noise ? !d->delta_x_T : !d->delta_h)
        return hs_fail(err, HS_ERROR_ARGUMENT, "%s: these directions have no %s", path,
                       noise ? "delta_x_T" : "delta_h");
    HS_TRY(hs_check_names(path, d, err));
    if (noise)
        HS_TRY(hs_check_finite(path, "delta_x_T", d->delta_x_T, d->K * image, err));
    else
        HS_TRY(hs_check_finite(path, "delta_h", d->delta_h, slices * h, err));
    if (d->delta_z)
        HS_TRY(hs_check_finite(path, "delta_z", d->delta_z, d->K * d->T * image, err));
    if (d->sigma)
        HS_TRY(hs_check_finite(path, "sigma", d->sigma, slices, err));
    for (int64_t i = 0; d->sigma && i < slices; i++)
        if (d->sigma[i] < 0)
            return hs_fail(err, HS_ERROR_FORMAT,
                           "%s: tensor sigma: expected no negative number, found %g at position "
                           "%lld",
                           path, (double)d->sigma[i], (long long)i);
    if (d->mean)
        HS_TRY(hs_check_finite(path, "mean", d->mean, d->T * h, err));
    if (d->u)
        HS_TRY(hs_check_finite(path, "u", d->u, d->K * image, err));
    if (d->residual)
        HS_TRY(hs_check_finite(path, "residual", d->residual, d->K, err));
    if (!d->timesteps)
        return HS_OK;
    HS_TRY(hs_check_timesteps(path, d->timesteps, d->T, err));
    if (d->N && d->timesteps[0] >= d->N)
        return hs_fail(err, HS_ERROR_FORMAT,
                       "%s: timesteps: expected numbers below N = %d, found %lld", path, d->N,
                       (long long)d->timesteps[0]);
    return HS_OK;
}

static hs_status hs_directions_read(const char *path, const hs_tensor_set *set, hs_directions **out,
                                    hs_error *err) {
    static const char *const known_h[] = {"delta_h",  "sigma",     "mean", "u",
                                          "residual", "timesteps", NULL};
    static const char *const known_noise[] = {"delta_x_T", "delta_z", "timesteps", NULL};
    hs_status status = HS_OK;
    json_t *metadata = NULL;
    int64_t size[5];
    int T = 0;
    hs_space space;
    hs_direction_reader r = {.path = path, .set = set};
    if (set->metadata)
        HS_CHECK(hs_json_parse_object(path, set->metadata, strlen(set->metadata), &metadata, err));
    r.metadata = metadata;
    HS_CHECK(hs_read_format(&r, err));
    HS_CHECK(hs_read_space(&r, &space, err));
    bool noise = space == HS_SPACE_NOISE;
    HS_CHECK(hs_tensor_set_known(path, set, noise ? known_noise : known_h, err));
    if (noise) {
        HS_CHECK(hs_read_noise_sizes(&r, size, &T, err));
    } else {
        HS_CHECK(hs_read_sizes(&r, size, err));
        HS_CHECK(hs_read_T(&r, (int)size[1], &T, err));
    }
    int h_shape[3] = {(int)size[2], (int)size[3], (int)size[4]};
    hs_directions *d = hs_directions_new((int)size[0], (int)size[1], T, h_shape);
    if (!(r.directions = d)) {
        status = hs_fail_memory(err, (size_t)size[0] * sizeof(char *));
        goto cleanup;
    }
    d->space = space;
    if (set->metadata) {
        free(d->metadata);
        if (!(d->metadata = hs_strdup(set->metadata))) {
            status = hs_fail_memory(err, strlen(set->metadata));
            goto cleanup;
        }
    }
    HS_CHECK(hs_read_names(&r, err));
    HS_CHECK(hs_read_model(&r, err));
    HS_CHECK(noise ? hs_read_noise_tensors(&r, err) : hs_read_tensors(&r, size, err));
    HS_CHECK(hs_directions_check(path, d, err));
    HS_CHECK(hs_directions_update_metadata(d, err));
    *out = d;
    r.directions = NULL;
cleanup:
    hs_directions_free(r.directions);
    json_decref(metadata);
    return status;
}

hs_status hs_directions_parse(const char *path, const void *data, size_t size, hs_directions **out,
                              hs_error *err) {
    hs_tensor_set *set = NULL;
    HS_TRY(hs_safetensors_parse(path, data, size, &set, err));
    hs_status status = hs_directions_read(path, set, out, err);
    hs_tensor_set_free(set);
    return status;
}

hs_status hs_directions_load(const char *path, hs_directions **out, hs_error *err) {
    hs_tensor_set *set = NULL;
    HS_TRY(hs_safetensors_open(path, &set, err));
    hs_status status = hs_directions_read(path, set, out, err);
    hs_tensor_set_free(set);
    return status;
}

hs_status hs_directions_save(const hs_directions *d, const char *path, hs_error *err) {
    hs_tensor tensors[8] = {
        {"delta_h",
         HS_F32,
         5,
         {d->K, d->S, d->h_shape[0], d->h_shape[1], d->h_shape[2]},
         d->delta_h},
        {"sigma", HS_F32, 2, {d->K, d->S}, d->sigma},
        {"mean", HS_F32, 4, {d->T, d->h_shape[0], d->h_shape[1], d->h_shape[2]}, d->mean},
        {"u", HS_F32, 4, {d->K, d->image[0], d->image[1], d->image[2]}, d->u},
        {"residual", HS_F32, 1, {d->K}, d->residual},
        {"delta_x_T", HS_F32, 4, {d->K, d->image[0], d->image[1], d->image[2]}, d->delta_x_T},
        {"delta_z", HS_F32, 5, {d->K, d->T, d->image[0], d->image[1], d->image[2]}, d->delta_z},
        {"timesteps", HS_I64, 1, {d->T}, d->timesteps}};
    int count = 0;
    char *metadata = NULL;
    for (int i = 0; i < 8; i++) /* keep those that there are */
        if (tensors[i].data)
            tensors[count++] = tensors[i];
    HS_TRY(hs_directions_check(path, d, err));
    HS_TRY(hs_directions_full_metadata(d, &metadata, err));
    hs_status status = hs_safetensors_write(path, tensors, count, metadata, err);
    free(metadata);
    return status;
}
