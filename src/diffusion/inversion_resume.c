/*
 * Resume points of hs_invert (see inversion.h): a safetensors file with all that
 * was found for the images that are done, a batch being done once it was decoded
 * too. One table says what that is; it serves to write a point and to read it.
 */
#include <stdio.h>
#include <xxhash.h>

#include "denoiser.h"
#include "diffusion/inversion.h"

#define HS_MAX_RESUME_TENSORS 6

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
    const char *precision = hs_denoiser_precision_name(sampler->denoiser);
    if (json && precision)
        json_object_set_new(json, "precision", json_string(precision));
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
    return hs_resume_save(&job->resume, job->identity, tensors, count, err);
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
    if (hs_resume_due(&job->resume) && hs_inversion_resume_save(job, &failure) != HS_OK)
        hs_notice(job->monitor, "the resume point was not written, the run goes on: %s",
                  failure.message);
    return HS_OK;
}

/* -------------------------------------------------------------- reading -- */

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
    HS_TRY(hs_inversion_resume_rows(job, set, &rows, err));
    int count = hs_inversion_table(job, rows, table);
    for (int i = 0; i < count; i++)
        HS_TRY(hs_resume_copy(&job->resume, set, &table[i], err));
    job->ready = (int)rows;
    return HS_OK;
}

hs_status hs_inversion_resume_begin(hs_inversion *job, hs_error *err) {
    char fingerprint[33];
    hs_tensor_set *set;
    job->resume = (hs_resume){.path = job->options.resume,
                              .format = "hspace.invert-resume.1",
                              .every = job->options.resume_every};
    if (!job->resume.path)
        return HS_OK;
    HS_TRY(hs_denoiser_fingerprint(job->sampler->denoiser, fingerprint, err));
    if (!(job->identity = hs_inversion_identity(job, fingerprint)))
        return hs_fail_memory(err, 4096);
    HS_TRY(hs_resume_open(&job->resume, job->identity, &set, err));
    if (!set)
        return HS_OK;
    hs_status status = hs_inversion_resume_load(job, set, err);
    hs_tensor_set_free(set);
    if (status == HS_OK)
        hs_notice(job->monitor, "%s: goes on from there, %d of %d images are done",
                  job->resume.path, job->ready, job->n);
    return status;
}
