/* Between torch.c, which makes tensors of a state dict, and the two containers
 * that torch.save has written. */
#ifndef HS_IO_TORCH_H
#define HS_IO_TORCH_H

#include "io/pickle.h"

typedef struct hs_torch {
    const char *path; /* for messages */
    const uint8_t *data;
    size_t size;
    hs_pickle pickle; /* owned */
} hs_torch;

/* Each reads the state dict into `pickle` and points every storage of it at
 * storage->count elements inside the file. */
hs_status hs_torch_read_zip(hs_torch *file, hs_error *err);
hs_status hs_torch_read_legacy(hs_torch *file, hs_error *err);

#endif
