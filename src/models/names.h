/* The names that checkpoints give to one and the same tensor. */
#ifndef HS_MODELS_NAMES_H
#define HS_MODELS_NAMES_H

#include "io/tensor_set.h"

/* The tensor that diffusers calls `name` today, under that name or an older
 * one; NULL if there is none. */
const hs_tensor *hs_names_find(const hs_tensor_set *set, const char *name);

/* A tensor that old checkpoints hold twice, under a second name. */
bool hs_names_redundant(const hs_tensor_set *set, const char *name);

#endif
