/*
 * See config.h. A scheduler file describes two things: the process that the
 * model was trained for (N, betas, prediction) and the sampler that its authors
 * liked. hspace takes the first from any class that means the DDPM process, and
 * samples with DDIM to DDPM steps of its own.
 */
#include "models/config.h"

#include <stdio.h>
#include <string.h>

#include "io/json.h"

#define HS_MAX_TRAIN_TIMESTEPS 100000

hs_schedule_config hs_schedule_config_default(void) {
    return (hs_schedule_config){
        .num_train_timesteps = 1000,
        .beta_schedule = "linear",
        .beta_start = 1e-4,
        .beta_end = 0.02,
        .prediction = HS_PREDICT_EPSILON,
        .timestep_spacing = "leading",
        .set_alpha_to_one = true,
        .clip_sample_range = 1,
        .absent = true,
    };
}

/* What a class assumes for keys that its config leaves out. */
typedef struct hs_scheduler_class {
    const char *name;
    const char *beta_schedule;
    double beta_start, beta_end;
    const char *timestep_spacing;
    bool set_alpha_to_one, clip_sample;
    bool own_steps; /* steps like hspace's: DDPM and DDIM */
} hs_scheduler_class;

static const hs_scheduler_class hs_scheduler_classes[] = {
    {"DDPMScheduler", "linear", 1e-4, 0.02, "leading", true, true, true},
    {"DDPMParallelScheduler", "linear", 1e-4, 0.02, "leading", true, true, true},
    {"DDIMScheduler", "linear", 1e-4, 0.02, "leading", true, true, true},
    {"DDIMParallelScheduler", "linear", 1e-4, 0.02, "leading", true, true, true},
    {"DDIMInverseScheduler", "linear", 1e-4, 0.02, "leading", true, true, true},
    {"PNDMScheduler", "linear", 1e-4, 0.02, "leading", false, false, false},
    {"RePaintScheduler", "linear", 1e-4, 0.02, "leading", true, true, false},
    {"DPMSolverMultistepScheduler", "linear", 1e-4, 0.02, "linspace", true, false, false},
    {"DPMSolverSinglestepScheduler", "linear", 1e-4, 0.02, "linspace", true, false, false},
    {"DEISMultistepScheduler", "linear", 1e-4, 0.02, "linspace", true, false, false},
    {"UniPCMultistepScheduler", "linear", 1e-4, 0.02, "linspace", true, false, false},
    {"SASolverScheduler", "linear", 1e-4, 0.02, "linspace", true, false, false},
    {"EulerDiscreteScheduler", "linear", 1e-4, 0.02, "linspace", true, false, false},
    {"EulerAncestralDiscreteScheduler", "linear", 1e-4, 0.02, "linspace", true, false, false},
    {"LMSDiscreteScheduler", "linear", 1e-4, 0.02, "linspace", true, false, false},
    {"HeunDiscreteScheduler", "linear", 0.00085, 0.012, "linspace", true, false, false},
    {"KDPM2DiscreteScheduler", "linear", 0.00085, 0.012, "linspace", true, false, false},
    {"KDPM2AncestralDiscreteScheduler", "linear", 0.00085, 0.012, "linspace", true, false, false},
    {"LCMScheduler", "scaled_linear", 0.00085, 0.012, "leading", true, false, false},
    {"TCDScheduler", "scaled_linear", 0.00085, 0.012, "leading", true, false, false},
};

static const hs_scheduler_class *hs_scheduler_class_find(const char *name) {
    for (size_t i = 0; i < sizeof hs_scheduler_classes / sizeof *hs_scheduler_classes; i++)
        if (!strcmp(hs_scheduler_classes[i].name, name))
            return &hs_scheduler_classes[i];
    return NULL;
}

/* A class that is not in the table is taken for the DDPM process if its file
 * says all that defines it. */
static bool hs_scheduler_says_process(const json_t *json) {
    bool betas = !hs_json_absent(json, "trained_betas") ||
                 (!hs_json_absent(json, "beta_start") && !hs_json_absent(json, "beta_end"));
    return betas && !hs_json_absent(json, "beta_schedule") &&
           !hs_json_absent(json, "num_train_timesteps");
}

/* Copy one of `allowed` (NULL-terminated) into out [size], which holds the
 * default. */
static hs_status hs_schedule_choice(const json_t *json, const char *key, const char *const *allowed,
                                    char *out, size_t size, hs_error *err) {
    const char *text;
    HS_TRY(hs_json_get_string(json, key, out, &text, err));
    char list[200] = "";
    for (int i = 0; allowed[i]; i++) {
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", allowed[i]);
        if (!strcmp(text, allowed[i])) {
            if (text != out)
                snprintf(out, size, "%s", text);
            return HS_OK;
        }
    }
    return hs_fail(err, HS_ERROR_UNSUPPORTED, "%s \"%.60s\" is not supported, expected one of %s",
                   key, text, list);
}

static hs_status hs_schedule_trained_betas(const json_t *json, hs_arena *arena,
                                           hs_schedule_config *out, hs_error *err) {
    int expected = out->num_train_timesteps;
    json_t *list;
    HS_TRY(hs_json_get_array(json, "trained_betas", &list, err));
    if (!list)
        return HS_OK;
    if (json_array_size(list) != (size_t)expected)
        return hs_fail(err, HS_ERROR_FORMAT,
                       "trained_betas has %zu values, expected num_train_timesteps = %d",
                       json_array_size(list), expected);
    double *betas = hs_arena_alloc(arena, (size_t)expected, sizeof *betas);
    if (!betas)
        return hs_fail_memory(err, (size_t)expected * sizeof *betas);
    int count;
    HS_TRY(hs_json_get_doubles(json, "trained_betas", 0, 1, betas, expected, &count, err));
    out->trained_betas = betas;
    return HS_OK;
}

static hs_status hs_schedule_prediction(const json_t *json, hs_schedule_config *out,
                                        hs_error *err) {
    static const char *const allowed[] = {"epsilon", "v_prediction", "sample", NULL};
    char text[16] = "epsilon";
    HS_TRY(hs_schedule_choice(json, "prediction_type", allowed, text, sizeof text, err));
    if (!strcmp(text, "v_prediction"))
        out->prediction = HS_PREDICT_V;
    else if (!strcmp(text, "sample"))
        out->prediction = HS_PREDICT_SAMPLE;
    return HS_OK;
}

static hs_status hs_schedule_class_defaults(const char *path, const json_t *json,
                                            const hs_monitor *monitor, hs_schedule_config *out,
                                            hs_error *err) {
    const char *name;
    HS_TRY(hs_json_get_string(json, "_class_name", "DDPMScheduler", &name, err));
    const hs_scheduler_class *class = hs_scheduler_class_find(name);
    if (!class && !hs_scheduler_says_process(json))
        return hs_fail(err, HS_ERROR_UNSUPPORTED,
                       "scheduler %.60s is not supported, expected one of the DDPM process, such "
                       "as DDPMScheduler or DDIMScheduler",
                       name);
    if (!class || !class->own_steps)
        hs_notice(monitor,
                  "%s: the noise schedule of %.60s is used; sampling takes DDIM to DDPM steps",
                  path, name);
    if (!class)
        return HS_OK;
    snprintf(out->beta_schedule, sizeof out->beta_schedule, "%s", class->beta_schedule);
    snprintf(out->timestep_spacing, sizeof out->timestep_spacing, "%s", class->timestep_spacing);
    out->beta_start = class->beta_start;
    out->beta_end = class->beta_end;
    out->set_alpha_to_one = class->set_alpha_to_one;
    out->clip_sample = class->clip_sample;
    return HS_OK;
}

/* Which betas: by name and range, or a list. */
static hs_status hs_schedule_betas(const json_t *json, hs_arena *arena, hs_schedule_config *out,
                                   hs_error *err) {
    static const char *const schedules[] = {"linear", "scaled_linear", "squaredcos_cap_v2",
                                            "keras_cosine", NULL};
    int64_t N;
    HS_TRY(hs_json_get_int(json, "num_train_timesteps", out->num_train_timesteps, 1,
                           HS_MAX_TRAIN_TIMESTEPS, &N, err));
    out->num_train_timesteps = (int)N;
    HS_TRY(hs_schedule_trained_betas(json, arena, out, err));
    if (!out->trained_betas)
        HS_TRY(hs_schedule_choice(json, "beta_schedule", schedules, out->beta_schedule,
                                  sizeof out->beta_schedule, err));
    HS_TRY(hs_json_get_double(json, "beta_start", out->beta_start, 0, 1, &out->beta_start, err));
    HS_TRY(hs_json_get_double(json, "beta_end", out->beta_end, 0, 1, &out->beta_end, err));
    return hs_json_get_bool(json, "rescale_betas_zero_snr", false, &out->rescale_betas_zero_snr,
                            err);
}

static hs_status hs_schedule_read(const char *path, const json_t *json, const hs_monitor *monitor,
                                  hs_arena *arena, hs_schedule_config *out, hs_error *err) {
    static const char *const spacings[] = {"leading", "trailing", "linspace", NULL};
    HS_TRY(hs_schedule_class_defaults(path, json, monitor, out, err));
    HS_TRY(hs_schedule_betas(json, arena, out, err));
    HS_TRY(hs_schedule_prediction(json, out, err));
    HS_TRY(hs_schedule_choice(json, "timestep_spacing", spacings, out->timestep_spacing,
                              sizeof out->timestep_spacing, err));
    int64_t offset;
    HS_TRY(hs_json_get_int(json, "steps_offset", 0, 0, out->num_train_timesteps - 1, &offset, err));
    out->steps_offset = (int)offset;
    HS_TRY(hs_json_get_bool(json, "set_alpha_to_one", out->set_alpha_to_one, &out->set_alpha_to_one,
                            err));
    HS_TRY(hs_json_get_bool(json, "clip_sample", out->clip_sample, &out->clip_sample, err));
    HS_TRY(
        hs_json_get_double(json, "clip_sample_range", 1, 1e-6, 1e6, &out->clip_sample_range, err));
    return hs_json_get_bool(json, "thresholding", false, &out->thresholding, err);
}

hs_status hs_schedule_config_parse(const char *path, const void *data, size_t size,
                                   const hs_monitor *monitor, hs_arena *arena,
                                   hs_schedule_config *out, hs_error *err) {
    json_t *json;
    HS_TRY(hs_json_parse_object(path, data, size, &json, err));
    hs_schedule_config config = hs_schedule_config_default();
    config.absent = false;
    hs_status status = hs_schedule_read(path, json, monitor, arena, &config, err);
    json_decref(json);
    if (status != HS_OK)
        return hs_fail_prefix(err, status, "%s", path);
    *out = config;
    return HS_OK;
}
