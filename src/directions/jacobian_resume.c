/*
 * Resume points of hs_jacobian_directions (see jacobian_run.h): a safetensors
 * file with the groups that are done, each under names that end in its step and
 * region. The way along the trajectory is not kept: it costs one U-Net pass a
 * step, which is little beside the products.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "directions/jacobian_run.h"

#define HS_GROUP_TENSORS 6

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
    hs_tensor *tensors = hs_calloc(most + 1, sizeof *tensors);
    if (!tensors)
        return hs_fail_memory(err, most * sizeof *tensors);
    for (int group = 0; group < run->groups; group++) {
        if (!run->done[group])
            continue;
        HS_CHECK(hs_group_tensors(run, group, &arena, tensors + count, err));
        count += HS_GROUP_TENSORS;
    }
    status = hs_resume_save(&run->resume, run->identity, tensors, count, err);
cleanup:
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
    if (hs_resume_due(&run->resume) && hs_jacobian_resume_save(run, &failure) != HS_OK)
        hs_notice(run->monitor, "the resume point was not written, the run goes on: %s",
                  failure.message);
    return HS_OK;
}

/* -------------------------------------------------------------- reading -- */

/* A group that the file has is copied to where the run has it, whole. */
static hs_status hs_jacobian_resume_group(hs_jacobian_run *run, const hs_tensor_set *set, int group,
                                          hs_error *err) {
    hs_status status = HS_OK;
    hs_arena arena = {0};
    hs_tensor wanted[HS_GROUP_TENSORS];
    HS_CHECK(hs_group_tensors(run, group, &arena, wanted, err));
    if (!hs_tensor_set_find(set, wanted[0].name))
        goto cleanup;
    for (int i = 0; i < HS_GROUP_TENSORS; i++)
        HS_CHECK(hs_resume_copy(&run->resume, set, &wanted[i], err));
    run->done[group] = true;
    run->done_count++;
cleanup:
    hs_arena_free(&arena);
    return status;
}

hs_status hs_jacobian_resume_begin(hs_jacobian_run *run, hs_error *err) {
    hs_tensor_set *set;
    run->resume = (hs_resume){run->o.resume, "hspace.jacobian-resume.1", run->o.resume_every, 0, 0};
    HS_TRY(hs_resume_open(&run->resume, run->identity, &set, err));
    if (!set)
        return HS_OK;
    hs_status status = HS_OK;
    for (int group = 0; group < run->groups && status == HS_OK; group++)
        status = hs_jacobian_resume_group(run, set, group, err);
    hs_tensor_set_free(set);
    if (status == HS_OK)
        hs_notice(run->monitor, "%s: goes on from there, %d of %d finished", run->o.resume,
                  run->done_count, run->groups);
    return status;
}
