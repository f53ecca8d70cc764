/*
 * The tensors of a checkpoint, whatever file they came from. Data stay in the
 * mapped files (or in the caller's memory); nothing is copied, except where a
 * format has to be decoded (tfjs_model.c).
 */
#ifndef HS_IO_TENSOR_SET_H
#define HS_IO_TENSOR_SET_H

#include "base/mem.h"
#include "base/tensor.h"
#include "io/file.h"

typedef struct hs_tensor_set {
    hs_tensor *tensors; /* sorted by name, names are unique */
    int count, capacity;
    char *metadata;     /* safetensors' __metadata__ as a JSON object, or NULL */
    hs_file *files;     /* mappings that the tensors point into */
    int file_count;
    hs_arena arena;     /* names, decoded data */
} hs_tensor_set;

void hs_tensor_set_free(hs_tensor_set *set);
const hs_tensor *hs_tensor_set_find(const hs_tensor_set *set, const char *name); /* or NULL */

/* Readers. `path` names the file in messages. Each checks every length, offset
 * and count against the file's size before it uses it. */

/* One .safetensors file. */
hs_status hs_safetensors_open(const char *path, hs_tensor_set **out, hs_error *err);
/* The same from memory that outlives the set. */
hs_status hs_safetensors_parse(const char *path, const void *data, size_t size,
                               hs_tensor_set **out, hs_error *err);
/* A sharded checkpoint: `path` is the *.safetensors.index.json. */
hs_status hs_safetensors_open_sharded(const char *path, hs_tensor_set **out, hs_error *err);
/* A torch.save file (zip, or the older stream format): a state dict, possibly
 * nested under "state_dict"/"model". Executes nothing. */
hs_status hs_torch_open(const char *path, hs_tensor_set **out, hs_error *err);
hs_status hs_torch_parse(const char *path, const void *data, size_t size, hs_tensor_set **out,
                         hs_error *err);
/* A sharded .bin checkpoint: `path` is the *.bin.index.json. */
hs_status hs_torch_open_sharded(const char *path, hs_tensor_set **out, hs_error *err);
/* A TensorFlow.js graph model: `path` is its model.json. uint8 tensors are
 * decoded to F32 by value = q * scale + min; int32 ones kept. */
hs_status hs_tfjs_open(const char *path, hs_tensor_set **out, hs_error *err);

/* Write tensors (any order; sorted inside) with string metadata, a JSON object
 * of strings or NULL, atomically. */
hs_status hs_safetensors_write(const char *path, const hs_tensor *tensors, int count,
                               const char *metadata_json, hs_error *err);

#endif
