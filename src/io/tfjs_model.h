/* The part of the TensorFlow.js reader that does not touch files, for
 * hs_tfjs_open, tests and fuzzing. */
#ifndef HS_IO_TFJS_MODEL_H
#define HS_IO_TFJS_MODEL_H

#include "io/tensor_set.h"

/* Provide the bytes of the shard `name`, a plain file name; the set that is
 * being made unmaps them. */
typedef hs_status hs_tfjs_shard_opener(void *ctx, const char *name, hs_file *out, hs_error *err);

/* Read the text of a model.json, of which `path` is the name in messages. */
hs_status hs_tfjs_parse(const char *path, const void *json, size_t size,
                        hs_tfjs_shard_opener *open_shard, void *ctx, hs_tensor_set **out,
                        hs_error *err);

#endif
