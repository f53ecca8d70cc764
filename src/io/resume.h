/*
 * What resume points have in common (those of pca, jacobian, invert and
 * evaluate): a safetensors file whose metadata name its format and, as JSON, the run that it
 * belongs to; when to write one; how to take a tensor back to its place.
 */
#ifndef HS_IO_RESUME_H
#define HS_IO_RESUME_H

#include <jansson.h>

#include "io/tensor_set.h"

typedef struct hs_resume {
    const char *path;   /* NULL: no resume points */
    const char *format; /* of the file, with its version */
    double every;       /* seconds between points; 0: 60 */
    double saved_at, save_seconds;
} hs_resume;

/* Before the run: *set gets the file, or NULL where there is none; then it is
 * seen that it could be written, which is better known now than after hours.
 * HS_ERROR_MISMATCH names the first key of `identity` in which the file's run
 * differs. */
hs_status hs_resume_open(hs_resume *resume, const json_t *identity, hs_tensor_set **set,
                         hs_error *err);

/* Whether the next point is due: writing takes at most a twentieth of the time,
 * however large a point is. */
bool hs_resume_due(const hs_resume *resume);

/* Write a point. Failing or not, the next one is due `every` seconds from now. */
hs_status hs_resume_save(hs_resume *resume, const json_t *identity, const hs_tensor *tensors,
                         int count, hs_error *err);

/* The file's tensor of `wanted`'s name, type and shape, into wanted->data. */
hs_status hs_resume_copy(const hs_resume *resume, const hs_tensor_set *set, const hs_tensor *wanted,
                         hs_error *err);

#endif
