/*
 * Resume points of hs_jacobian_directions (see jacobian_run.h): a safetensors
 * file with the groups that are done, each under names that end in its step and
 * region. The way along the trajectory is not kept: it costs one U-Net pass a
 * step, which is little beside the products.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "directions/jacobian_run.h"
#include "io/tensor_set.h"

#define HS_RESUME_FORMAT "hspace.jacobian-resume.1"
#define HS_RESUME_SECONDS 60
/* Writing takes at most this share of the time, however large a point is. */
#define HS_RESUME_SHARE 0.05
#define HS_GROUP_TENSORS 6

static double hs_jacobian_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* The tensors of one group, as they lie in the run; names in `arena`. */
static hs_status hs_group_tensors(const hs_jacobian_run *run, int group, hs_arena *arena,
                                  hs_tensor out[HS_GROUP_TENSORS], hs_error *err) {
    const hs_directions *d = run->directions;
    int64_t k = run->o.k, first = group * k;
    int64_t h = (int64_t)run->h_size, image = (int64_t)run->image_size;
    hs_tensor tensors[HS_GROUP_TENSORS] = {{"delta_h", HS_F32, 2, {k, h}, d->delta_h + first * h},
                                           {"u", HS_F32, 2, {k, image}, d->u + first * image},
                                           {"sigma", HS_F32, 1, {k}, d->sigma + first},
                                           {"residual", HS_F32, 1, {k}, d->residual + first},
                                           {"h_norm", HS_F64, 1, {1}, run->h_norm + group},
                                           {"products", HS_I64, 1, {1}, run->products + group}};
    for (int i = 0; i < HS_GROUP_TENSORS; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s.%d.%d", tensors[i].name, run->steps[group / run->regions],
                 group % run->regions);
        out[i] = tensors[i];
        out[i].name = hs_arena_strdup(arena, name);
        if (!out[i].name)
            return hs_fail_memory(err, sizeof name);
    }
    return HS_OK;
}

/* -------------------------------------------------------------- writing -- */

static hs_status hs_jacobian_resume_save(hs_jacobian_run *run, hs_error *err) {
    hs_status status;
    hs_arena arena = {0};
    int count = 0;
    size_t most = (size_t)run->done_count * HS_GROUP_TENSORS;
    double start = hs_jacobian_now();
    hs_tensor *tensors = hs_calloc(most + 1, sizeof *tensors);
    char *identity = json_dumps(run->identity, JSON_COMPACT | JSON_SORT_KEYS);
    json_t *metadata =
        json_pack("{s:s, s:s}", "format", HS_RESUME_FORMAT, "run", identity ? identity : "");
    char *text = metadata ? json_dumps(metadata, JSON_COMPACT) : NULL;
    if (!tensors || !identity || !text) {
        status = hs_fail_memory(err, most * sizeof *tensors);
        goto cleanup;
    }
    for (int group = 0; group < run->groups; group++) {
        if (!run->done[group])
            continue;
        HS_CHECK(hs_group_tensors(run, group, &arena, tensors + count, err));
        count += HS_GROUP_TENSORS;
    }
    HS_CHECK(hs_safetensors_write(run->o.resume, tensors, count, text, err));
    run->saved_at = hs_jacobian_now();
    run->save_seconds = run->saved_at - start;
cleanup:
    free(text);
    json_decref(metadata);
    free(identity);
    free(tensors);
    hs_arena_free(&arena);
    return status;
}

hs_status hs_jacobian_resume_point(hs_jacobian_run *run, hs_status status, hs_error *err) {
    const char *path = run->o.resume;
    hs_error failure = {0};
    if (!path || run->done_count == 0)
        return status;
    if (status != HS_OK) {
        if (hs_jacobian_resume_save(run, &failure) != HS_OK)
            hs_notice(run->monitor, "what was finished could not be kept: %s", failure.message);
        else
            hs_notice(run->monitor, "%s: keeps what was finished, %d of %d", path, run->done_count,
                      run->groups);
        return status;
    }
    double every = run->o.resume_every > 0 ? run->o.resume_every : HS_RESUME_SECONDS;
    double rest = run->save_seconds / HS_RESUME_SHARE;
    if (hs_jacobian_now() - run->saved_at < (every > rest ? every : rest))
        return HS_OK;
    if (hs_jacobian_resume_save(run, &failure) != HS_OK) {
        hs_notice(run->monitor, "the resume point was not written, the run goes on: %s",
                  failure.message);
        run->saved_at = hs_jacobian_now();
    }
    return HS_OK;
}

/* -------------------------------------------------------------- reading -- */

/* HS_ERROR_MISMATCH that names the first key in which two runs differ. */
static hs_status hs_jacobian_compare(const char *path, const json_t *wanted, const json_t *found,
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

static hs_status hs_jacobian_resume_check(const hs_jacobian_run *run, const hs_tensor_set *set,
                                          hs_error *err) {
    const char *path = run->o.resume;
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
        status = hs_jacobian_compare(path, run->identity, found, err);
    json_decref(found);
    json_decref(metadata);
    return status;
}

/* A group that the file has is copied to where the run has it, whole. */
static hs_status hs_jacobian_resume_group(hs_jacobian_run *run, const hs_tensor_set *set, int group,
                                          hs_error *err) {
    hs_status status = HS_OK;
    hs_arena arena = {0};
    hs_tensor wanted[HS_GROUP_TENSORS];
    HS_CHECK(hs_group_tensors(run, group, &arena, wanted, err));
    if (!hs_tensor_set_find(set, wanted[0].name))
        goto cleanup;
    for (int i = 0; i < HS_GROUP_TENSORS; i++) {
        const hs_tensor *w = &wanted[i], *found = hs_tensor_set_find(set, w->name);
        if (!found || found->dtype != w->dtype || found->rank != w->rank ||
            memcmp(found->dim, w->dim, (size_t)w->rank * sizeof *w->dim)) {
            char expected[200], other[200] = "none";
            hs_tensor_describe(w, expected);
            if (found)
                hs_tensor_describe(found, other);
            HS_CHECK(hs_fail(err, HS_ERROR_FORMAT, "%s: tensor %s: expected %s, found %s",
                             run->o.resume, w->name, expected, other));
        }
        memcpy((void *)(uintptr_t)w->data, found->data, (size_t)hs_tensor_bytes(w));
    }
    run->done[group] = true;
    run->done_count++;
cleanup:
    hs_arena_free(&arena);
    return status;
}

hs_status hs_jacobian_resume_begin(hs_jacobian_run *run, hs_error *err) {
    const char *path = run->o.resume;
    hs_tensor_set *set = NULL;
    hs_atomic probe;
    run->saved_at = hs_jacobian_now();
    if (!path)
        return HS_OK;
    if (access(path, F_OK) != 0) { /* better to hear of it now than after hours */
        HS_TRY(hs_atomic_open(&probe, path, err));
        hs_atomic_abort(&probe);
        return HS_OK;
    }
    HS_TRY(hs_safetensors_open(path, &set, err));
    hs_status status = hs_jacobian_resume_check(run, set, err);
    for (int group = 0; group < run->groups && status == HS_OK; group++)
        status = hs_jacobian_resume_group(run, set, group, err);
    hs_tensor_set_free(set);
    if (status == HS_OK)
        hs_notice(run->monitor, "%s: goes on from there, %d of %d finished", path, run->done_count,
                  run->groups);
    return status;
}
