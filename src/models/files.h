/*
 * Where the files of a checkpoint are: a folder, an entry of the hub's local
 * cache, or blobs in memory. Knows the layouts, not what the files say.
 */
#ifndef HS_MODELS_FILES_H
#define HS_MODELS_FILES_H

#include "io/file.h"
#include "io/tensor_set.h"

typedef struct hs_model_files {
    const char *root;     /* the folder, or the name of the blobs */
    const hs_blob *blobs; /* NULL: files on disk */
    size_t blob_count;
} hs_model_files;

/*
 * The folder that `name` means: an existing folder, or the snapshot of the hub
 * id "owner/name" in the local cache. *out is malloc'ed.
 */
hs_status hs_model_find_folder(const char *name, char **out, hs_error *err);

bool hs_model_files_has(const hs_model_files *files, const char *relative);
/* The first of `candidates` (NULL-terminated) that is there, or NULL. */
const char *hs_model_files_first(const hs_model_files *files, const char *const *candidates);
/* "root/relative", malloc'ed; NULL: no memory. */
char *hs_model_files_path(const hs_model_files *files, const char *relative);
/* Map one file; hs_file_unmap it. */
hs_status hs_model_files_read(const hs_model_files *files, const char *relative, hs_file *out,
                              hs_error *err);

/* Open the weights of a diffusers model whose config lies in `folder` ("unet/"
 * or ""): safetensors before .bin, one file before shards, fp16 variants last. */
hs_status hs_model_files_weights(const hs_model_files *files, const char *folder,
                                 hs_tensor_set **out, hs_error *err);
/* The same for a transformers model, whose files lie at the root: "model" and,
 * as .bin, "pytorch_model". */
hs_status hs_model_files_classifier_weights(const hs_model_files *files, hs_tensor_set **out,
                                            hs_error *err);

#endif
