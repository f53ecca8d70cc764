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
    char *metadata; /* safetensors' __metadata__ as a JSON object, or NULL; in `arena` */
    hs_file *files; /* mappings that the tensors point into */
    int file_count;
    hs_arena arena; /* names, decoded data */
} hs_tensor_set;

void hs_tensor_set_free(hs_tensor_set *set);
const hs_tensor *hs_tensor_set_find(const hs_tensor_set *set, const char *name); /* or NULL */
/* hs_file_release for a tensor of the set that lies in one of its mapped files;
 * nothing for one that lies elsewhere (heap memory would be lost). */
void hs_tensor_set_release(const hs_tensor_set *set, const hs_tensor *tensor);

/*
 * Building a set, for the readers: new, then any number of add, attach and
 * merge, then one seal. A set is freed by hs_tensor_set_free at any point.
 */
hs_tensor_set *hs_tensor_set_new(void); /* NULL: no memory */
/* Copy `tensor` and its name; its data must live in an attached file, in the
 * set's arena, or in memory that outlives the set. */
hs_status hs_tensor_set_add(hs_tensor_set *set, const hs_tensor *tensor, hs_error *err);
/* Give the mapping to the set, which unmaps it at last; *file is emptied, also
 * when the call fails. */
hs_status hs_tensor_set_attach(hs_tensor_set *set, hs_file *file, hs_error *err);
/* Move the tensors, files and arena of `from` into `set`; frees `from` when it
 * succeeds. Metadata of `from` are dropped. `set` has to be sealed (again). */
hs_status hs_tensor_set_merge(hs_tensor_set *set, hs_tensor_set *from, hs_error *err);
/* Sort by name; two tensors of one name are HS_ERROR_FORMAT in file `path`. */
hs_status hs_tensor_set_seal(hs_tensor_set *set, const char *path, hs_error *err);

/*
 * Bytes of a tensor of this shape, with every product checked: HS_ERROR_FORMAT
 * for a negative dimension or an overflow. `path` and `name` go into messages.
 */
hs_status hs_tensor_shape_bytes(const char *path, const char *name, hs_dtype dtype, int rank,
                                const int64_t *dim, int64_t *bytes, hs_error *err);

/* Opens one shard: hs_safetensors_open or hs_torch_open. */
typedef hs_status hs_shard_opener(const char *path, hs_tensor_set **out, hs_error *err);
/*
 * Read the index `path` ({"weight_map": {tensor: file}}), open every shard
 * beside it, and merge them. Shards are plain file names; a tensor that a
 * shard lacks, or has and the index does not put there, is HS_ERROR_FORMAT.
 */
hs_status hs_shards_open(const char *path, hs_shard_opener *open_shard, hs_tensor_set **out,
                         hs_error *err);

/* Readers. `path` names the file in messages. Each checks every length, offset
 * and count against the file's size before it uses it. */

/* One .safetensors file. */
hs_status hs_safetensors_open(const char *path, hs_tensor_set **out, hs_error *err);
/* The same from memory that outlives the set. */
hs_status hs_safetensors_parse(const char *path, const void *data, size_t size, hs_tensor_set **out,
                               hs_error *err);
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
