/*
 * Resume points of hs_invert (see inversion.h): a safetensors file with all that
 * was found for the images that are done, a batch being done once it was decoded
 * too. One table says what that is; it serves to write a point and to read it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "denoiser.h"
#include "diffusion/inversion.h"
#include "io/file.h"
#include "io/tensor_set.h"

#define HS_RESUME_FORMAT "hspace.invert-resume.1"
#define HS_RESUME_SECONDS 60
/* Writing takes at most this share of the time, however large a point is. */
#define HS_RESUME_SHARE 0.05
#define HS_MAX_RESUME_TENSORS 6

static double hs_inversion_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* What is known of the first `ready` images, as it lies in the run. */
static int hs_inversion_table(const hs_inversion *job, int64_t ready,
                              hs_tensor out[HS_MAX_RESUME_TENSORS]) {
    const hs_latents *latents = job->latents;
    int64_t T = latents->T, image = (int64_t)job->image_size, h = (int64_t)job->h_size;
    int count = 0;
    out[count++] = (hs_tensor){"x_T", HS_F32, 2, {ready, image}, latents->x_T};
    out[count++] = (hs_tensor){"h", HS_F32, 2, {ready, T * h}, latents->h};
    out[count++] = (hs_tensor){"psnr", HS_F64, 1, {ready}, job->psnr};
    if (!job->options.unchecked)
        out[count++] =
            (hs_tensor){"reconstruction", HS_F32, 2, {ready, image}, job->reconstruction};
    if (latents->z)
        out[count++] = (hs_tensor){"z", HS_F32, 2, {ready, T * image}, latents->z};
    if (job->residual)
        out[count++] = (hs_tensor){"residual", HS_F64, 1, {ready}, job->residual};
    return count;
}

/* What must be the same for two runs to be parts of one; NULL: no memory. */
static json_t *hs_inversion_identity(const hs_inversion *job, const char *fingerprint) {
    static const char *const methods[] = {"ddim", "x0", "x_prev", "dpm"};
    static const char *const positions[] = {"before", "middle", "after"};
    const hs_sampler *sampler = job->sampler;
    char images[40];
    XXH128_hash_t hash =
        XXH3_128bits(job->latents->x_0, (size_t)job->n * job->image_size * sizeof(float));
    snprintf(images, sizeof images, "%016llx%016llx", (unsigned long long)hash.high64,
             (unsigned long long)hash.low64);
    bool ddim = job->options.method == HS_INVERT_DDIM;
    json_t *json =
        json_pack("{s:s, s:s, s:s, s:b, s:I, s:i, s:s, s:i, s:[], s:[]}", "model", fingerprint,
                  "h_space", positions[hs_denoiser_h_space(sampler->denoiser)], "method",
                  methods[job->options.method], "checked", !job->options.unchecked, "seed",
                  ddim ? (json_int_t)0 : (json_int_t)job->options.seed, "images", job->n, "pixels",
                  images, "steps", sampler->T, "eta", "timesteps");
    for (int i = 0; json && i < sampler->T; i++) {
        json_array_append_new(json_object_get(json, "eta"), json_real(sampler->eta[i]));
        json_array_append_new(json_object_get(json, "timesteps"),
                              json_integer(sampler->timesteps[i]));
    }
    return json;
}

/* -------------------------------------------------------------- writing -- */

static hs_status hs_inversion_resume_save(hs_inversion *job, hs_error *err) {
    hs_tensor tensors[HS_MAX_RESUME_TENSORS];
    int count = hs_inversion_table(job, job->ready, tensors);
    double start = hs_inversion_now();
    char *identity = json_dumps(job->identity, JSON_COMPACT | JSON_SORT_KEYS);
    json_t *metadata =
        json_pack("{s:s, s:s}", "format", HS_RESUME_FORMAT, "run", identity ? identity : "");
    char *text = metadata ? json_dumps(metadata, JSON_COMPACT) : NULL;
    hs_status status = identity && text
                           ? hs_safetensors_write(job->options.resume, tensors, count, text, err)
                           : hs_fail_memory(err, 4096);
    job->saved_at = hs_inversion_now();
    job->save_seconds = job->saved_at - start;
    free(text);
    json_decref(metadata);
    free(identity);
    return status;
}

hs_status hs_inversion_resume_point(hs_inversion *job, hs_status status, hs_error *err) {
    const char *path = job->options.resume;
    hs_error failure = {0};
    if (!path || !job->ready)
        return status;
    if (status != HS_OK) {
        if (hs_inversion_resume_save(job, &failure) != HS_OK)
            hs_notice(job->monitor, "what was finished could not be kept: %s", failure.message);
        return status;
    }
    double every = job->options.resume_every > 0 ? job->options.resume_every : HS_RESUME_SECONDS;
    double rest = job->save_seconds / HS_RESUME_SHARE;
    if (hs_inversion_now() - job->saved_at < (every > rest ? every : rest))
        return HS_OK;
    if (hs_inversion_resume_save(job, &failure) != HS_OK)
        hs_notice(job->monitor, "the resume point was not written, the run goes on: %s",
                  failure.message);
    return HS_OK;
}

/* -------------------------------------------------------------- reading -- */

/* HS_ERROR_MISMATCH that names the first key in which two runs differ. */
static hs_status hs_inversion_compare(const char *path, const json_t *wanted, const json_t *found,
                                      hs_error *err) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)wanted, key, value) {
        json_t *other = json_object_get(found, key);
        if (other && json_equal(value, other))
            continue;
        char *a = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        char *b = other ? json_dumps(other, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
        hs_status status = hs_fail(
            err, HS_ERROR_MISMATCH,
            "%s: the resume point is of another run: %s: expected %.200s, found %.200s (remove "
            "the file to start anew)",
            path, key, a ? a : "?", b ? b : "nothing");
        free(b);
        free(a);
        return status;
    }
    return HS_OK;
}

static hs_status hs_inversion_resume_check(const hs_inversion *job, const hs_tensor_set *set,
                                           hs_error *err) {
    const char *path = job->options.resume;
    json_t *metadata = set->metadata ? json_loads(set->metadata, 0, NULL) : NULL;
    const char *format = json_string_value(json_object_get(metadata, "format"));
    const char *text = json_string_value(json_object_get(metadata, "run"));
    json_t *found = text ? json_loads(text, 0, NULL) : NULL;
    hs_status status;
    if (!format || strcmp(format, HS_RESUME_FORMAT) || !json_is_object(found))
        status = hs_fail(err, HS_ERROR_FORMAT,
                         "%s: expected a resume point (metadata format %s), found %.100s", path,
                         HS_RESUME_FORMAT, format ? format : "none");
    else
        status = hs_inversion_compare(path, job->identity, found, err);
    json_decref(found);
    json_decref(metadata);
    return status;
}

/* How many images the point has: the rows of x_T. */
static hs_status hs_inversion_resume_rows(const hs_inversion *job, const hs_tensor_set *set,
                                          int64_t *rows, hs_error *err) {
    const hs_tensor *x_T = hs_tensor_set_find(set, "x_T");
    *rows = x_T && x_T->rank == 2 ? x_T->dim[0] : 0;
    if (*rows < 1 || *rows > job->n)
        return hs_fail(err, HS_ERROR_FORMAT, "%s: tensor x_T: expected 1 to %d rows, found %lld",
                       job->options.resume, job->n, (long long)*rows);
    return HS_OK;
}

static hs_status hs_inversion_resume_load(hs_inversion *job, const hs_tensor_set *set,
                                          hs_error *err) {
    hs_tensor table[HS_MAX_RESUME_TENSORS];
    int64_t rows;
    HS_TRY(hs_inversion_resume_check(job, set, err));
    HS_TRY(hs_inversion_resume_rows(job, set, &rows, err));
    int count = hs_inversion_table(job, rows, table);
    for (int i = 0; i < count; i++) {
        const hs_tensor *wanted = &table[i], *found = hs_tensor_set_find(set, wanted->name);
        if (!found || found->dtype != wanted->dtype || found->rank != wanted->rank ||
            memcmp(found->dim, wanted->dim, (size_t)wanted->rank * sizeof *wanted->dim)) {
            char expected[200], other[200] = "none";
            hs_tensor_describe(wanted, expected);
            if (found)
                hs_tensor_describe(found, other);
            return hs_fail(err, HS_ERROR_FORMAT, "%s: tensor %s: expected %s, found %s",
                           job->options.resume, wanted->name, expected, other);
        }
    }
    for (int i = 0; i < count; i++)
        memcpy((void *)(uintptr_t)table[i].data, hs_tensor_set_find(set, table[i].name)->data,
               (size_t)hs_tensor_bytes(&table[i]));
    job->ready = (int)rows;
    return HS_OK;
}

hs_status hs_inversion_resume_begin(hs_inversion *job, hs_error *err) {
    const char *path = job->options.resume;
    char fingerprint[33];
    hs_tensor_set *set = NULL;
    hs_atomic probe;
    job->saved_at = hs_inversion_now();
    if (!path)
        return HS_OK;
    HS_TRY(hs_denoiser_fingerprint(job->sampler->denoiser, fingerprint, err));
    if (!(job->identity = hs_inversion_identity(job, fingerprint)))
        return hs_fail_memory(err, 4096);
    if (access(path, F_OK) != 0) { /* better to hear of it now than after hours */
        HS_TRY(hs_atomic_open(&probe, path, err));
        hs_atomic_abort(&probe);
        return HS_OK;
    }
    HS_TRY(hs_safetensors_open(path, &set, err));
    hs_status status = hs_inversion_resume_load(job, set, err);
    hs_tensor_set_free(set);
    if (status == HS_OK)
        hs_notice(job->monitor, "%s: goes on from there, %d of %d images are done", path,
                  job->ready, job->n);
    return status;
}
