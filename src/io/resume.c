/* See resume.h. */
#include "io/resume.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define HS_RESUME_SECONDS 60
#define HS_RESUME_SHARE 0.05 /* of the time, for writing */

static double hs_resume_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

bool hs_resume_due(const hs_resume *resume) {
    double every = resume->every > 0 ? resume->every : HS_RESUME_SECONDS;
    double rest = resume->save_seconds / HS_RESUME_SHARE;
    return hs_resume_now() - resume->saved_at >= (every > rest ? every : rest);
}

hs_status hs_resume_save(hs_resume *resume, const json_t *identity, const hs_tensor *tensors,
                         int count, hs_error *err) {
    hs_status status;
    double start = hs_resume_now();
    char *run = json_dumps(identity, JSON_COMPACT | JSON_SORT_KEYS);
    json_t *metadata = json_pack("{s:s, s:s}", "format", resume->format, "run", run ? run : "");
    char *text = metadata ? json_dumps(metadata, JSON_COMPACT) : NULL;
    if (run && text)
        status = hs_safetensors_write(resume->path, tensors, count, text, err);
    else
        status = hs_fail_memory(err, 4096);
    resume->saved_at = hs_resume_now();
    if (status == HS_OK)
        resume->save_seconds = resume->saved_at - start;
    free(text);
    json_decref(metadata);
    free(run);
    return status;
}

/* HS_ERROR_MISMATCH that names the first key in which two runs differ. */
static hs_status hs_resume_compare(const char *path, const json_t *wanted, const json_t *found,
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

static hs_status hs_resume_check(const hs_resume *resume, const json_t *identity,
                                 const hs_tensor_set *set, hs_error *err) {
    json_t *metadata = set->metadata ? json_loads(set->metadata, 0, NULL) : NULL;
    const char *format = json_string_value(json_object_get(metadata, "format"));
    const char *text = json_string_value(json_object_get(metadata, "run"));
    json_t *found = text ? json_loads(text, 0, NULL) : NULL;
    hs_status status;
    if (!format || strcmp(format, resume->format) || !json_is_object(found))
        status = hs_fail(err, HS_ERROR_FORMAT,
                         "%s: expected a resume point (metadata format %s), found %.100s",
                         resume->path, resume->format, format ? format : "none");
    else
        status = hs_resume_compare(resume->path, identity, found, err);
    json_decref(found);
    json_decref(metadata);
    return status;
}

hs_status hs_resume_open(hs_resume *resume, const json_t *identity, hs_tensor_set **set,
                         hs_error *err) {
    hs_atomic probe;
    *set = NULL;
    resume->saved_at = hs_resume_now();
    if (!resume->path)
        return HS_OK;
    if (access(resume->path, F_OK) != 0) {
        HS_TRY(hs_atomic_open(&probe, resume->path, err));
        hs_atomic_abort(&probe);
        return HS_OK;
    }
    HS_TRY(hs_safetensors_open(resume->path, set, err));
    hs_status status = hs_resume_check(resume, identity, *set, err);
    if (status != HS_OK) {
        hs_tensor_set_free(*set);
        *set = NULL;
    }
    return status;
}

hs_status hs_resume_copy(const hs_resume *resume, const hs_tensor_set *set, const hs_tensor *wanted,
                         hs_error *err) {
    const hs_tensor *found = hs_tensor_set_find(set, wanted->name);
    if (found && found->dtype == wanted->dtype && found->rank == wanted->rank &&
        !memcmp(found->dim, wanted->dim, (size_t)wanted->rank * sizeof *found->dim)) {
        if (hs_tensor_bytes(wanted) > 0)
            memcpy((void *)(uintptr_t)wanted->data, found->data, (size_t)hs_tensor_bytes(wanted));
        return HS_OK;
    }
    char expected[200], other[200] = "none";
    hs_tensor_describe(wanted, expected);
    if (found)
        hs_tensor_describe(found, other);
    return hs_fail(err, HS_ERROR_FORMAT, "%s: tensor %s: expected %s, found %s", resume->path,
                   wanted->name, expected, other);
}
