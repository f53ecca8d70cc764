/* How each family opens its files; model.c chooses by what lies in the folder. */
#ifndef HS_MODELS_FAMILY_H
#define HS_MODELS_FAMILY_H

#include "models/files.h"
#include "models/model.h"

/*
 * Each fills in family, config, config_json, weights, schedule, weight_dtype
 * and weight_bytes of a model whose name is set. On failure the model is freed
 * by the caller with hs_model_free.
 */
hs_status hs_diffusers_open(hs_model *model, const hs_model_files *files, const hs_monitor *monitor,
                            hs_error *err);
hs_status hs_keras_ddpm_open(hs_model *model, const hs_model_files *files,
                             const hs_monitor *monitor, hs_error *err);

/* A JSON object's text with sorted keys, without what names a version (keys
 * that begin with "_"); in `arena`. NULL: no memory, or not an object. */
char *hs_config_canonical(const void *data, size_t size, hs_arena *arena);

#endif
