/* Recipes (docs/FORMATS.md): how one image was made, as JSON. The public
 * hs_recipe; this is what tests and the fuzzer need beside it. */
#ifndef HS_IO_RECIPE_H
#define HS_IO_RECIPE_H

#include "base/error.h"

#define HS_RECIPE_FORMAT "hspace.recipe"
#define HS_RECIPE_VERSION 1

/* hs_recipe_load from memory; `path` names the file in messages. */
hs_status hs_recipe_parse(const char *path, const void *data, size_t size, hs_recipe **out,
                          hs_error *err);

#endif
