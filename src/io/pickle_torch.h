/* Between pickle.c, the machine, and pickle_torch.c, the names it knows. */
#ifndef HS_IO_PICKLE_TORCH_H
#define HS_IO_PICKLE_TORCH_H

#include "io/pickle.h"

/* The row of `module`.`name` in the table of known globals;
 * HS_ERROR_UNSUPPORTED names one that is not there. */
hs_status hs_pickle_find_global(const char *path, const hs_pickle_value *module,
                                const hs_pickle_value *name, int64_t *row, hs_error *err);
/* What calling that row with `args` (a TUPLE) stands for, into *result. */
hs_status hs_pickle_reduce(const char *path, hs_pickle *pickle, int64_t row,
                           const hs_pickle_value *args, hs_pickle_value **result, hs_error *err);
/* What the persistent id `id` stands for, into *result. */
hs_status hs_pickle_persistent(const char *path, hs_pickle *pickle, const hs_pickle_value *id,
                               hs_pickle_value **result, hs_error *err);

/* A new value of that kind in the arena, or NULL. */
hs_pickle_value *hs_pickle_new(hs_pickle *pickle, hs_pickle_kind kind);
/* Append to a TUPLE, LIST or DICT; HS_ERROR_FORMAT over the limit of items. */
hs_status hs_pickle_extend(const char *path, hs_pickle *pickle, hs_pickle_value *list,
                           hs_pickle_value *const *items, size_t count, hs_error *err);

#endif
