/* Scheduler configs: what a checkpoint says about its noise schedule. */
#ifndef HS_MODELS_CONFIG_H
#define HS_MODELS_CONFIG_H

#include "models/model.h"

/* What is assumed where no scheduler file is found: linear betas 1e-4 ... 0.02,
 * N = 1000, eps prediction; `absent` is set. */
hs_schedule_config hs_schedule_config_default(void);

/*
 * Read a scheduler_config.json. Keys that are absent take the default of the
 * class that the file names, as in diffusers. trained_betas is copied into
 * `arena`. Schedules, predictions and classes that hspace does not know are
 * HS_ERROR_UNSUPPORTED and named.
 */
hs_status hs_schedule_config_parse(const char *path, const void *data, size_t size,
                                   const hs_monitor *monitor, hs_arena *arena,
                                   hs_schedule_config *out, hs_error *err);

#endif
