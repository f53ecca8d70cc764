/* The public hs_sampler: a denoiser with a step grid, eta and seeds rules. */
#include "diffusion/trajectory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "denoiser.h"

hs_sampler_options hs_sampler_options_default(void) {
    return (hs_sampler_options){.steps = 50, .z_seed = HS_Z_CONTINUE};
}

static hs_status hs_check_sampler_options(const hs_sampler_options *options, hs_error *err) {
    int T = options->steps, count = options->eta_count;
    if (T < 1)
        return hs_fail(err, HS_ERROR_ARGUMENT, "steps is %d, expected 1 or more", T);
    if (count < 0 || (count > 1 && count != T) || (count > 0 && !options->eta))
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "eta has %d values, expected 1, or one for each of the %d steps", count, T);
    for (int i = 0; i < count; i++)
        if (!isfinite(options->eta[i]) || options->eta[i] < 0)
            return hs_fail(err, HS_ERROR_ARGUMENT, "eta[%d] is %g, expected 0 or more", i,
                           options->eta[i]);
    if (options->z_seed < HS_Z_PLUS_ONE)
        return hs_fail(err, HS_ERROR_ARGUMENT, "z_seed is %lld, expected a seed of 0 or more",
                       (long long)options->z_seed);
    return HS_OK;
}

/* The step grid with its coefficients, and eta spread over the steps. */
static hs_status hs_set_steps(hs_sampler *sampler, const hs_sampler_options *options,
                              hs_error *err) {
    const hs_schedule_config *config = &sampler->model->schedule;
    int T = options->steps;
    if (T > config->num_train_timesteps) /* before anything of that size is allocated */
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "steps is %d, expected 1 ... %d (the model's num_train_timesteps)", T,
                       config->num_train_timesteps);
    sampler->T = T;
    sampler->timesteps = hs_calloc((size_t)T, sizeof *sampler->timesteps);
    sampler->eta = hs_calloc((size_t)T, sizeof *sampler->eta);
    sampler->coefficients = hs_calloc((size_t)T, sizeof *sampler->coefficients);
    if (!sampler->timesteps || !sampler->eta || !sampler->coefficients)
        return hs_fail_memory(err, (size_t)T * sizeof *sampler->coefficients);
    HS_TRY(hs_schedule_timesteps(config, T, sampler->timesteps, err));
    for (int i = 0; i < T; i++) {
        int t = sampler->timesteps[i], prev = t - config->num_train_timesteps / T;
        if (options->eta_count)
            sampler->eta[i] = options->eta[options->eta_count > 1 ? i : 0];
        sampler->any_eta = sampler->any_eta || sampler->eta[i] > 0;
        hs_step step = hs_schedule_step(&sampler->schedule, t, prev, sampler->eta[i]);
        if (!isfinite(step.direction) || !isfinite(step.noise))
            return hs_fail(err, HS_ERROR_ARGUMENT,
                           "eta %g is too large for step %d (timestep %d): "
                           "1 - alphas_cumprod - eta^2 var is negative",
                           sampler->eta[i], i, t);
        sampler->coefficients[i] = step;
    }
    return HS_OK;
}

static void hs_set_clipping(hs_sampler *sampler, bool clip, const hs_monitor *monitor) {
    const hs_schedule_config *config = &sampler->model->schedule;
    sampler->schedule.clip = clip && config->clip_sample;
    if (clip && !config->clip_sample)
        hs_notice(monitor, "%s: the scheduler config has no clip_sample, so nothing is clipped",
                  sampler->model->name);
    else if (!clip && config->clip_sample)
        hs_notice(monitor,
                  "%s: clip_sample of the scheduler config is switched off, because clipping "
                  "makes the process not invertible (--clip honours it)",
                  sampler->model->name);
}

hs_status hs_sampler_create(hs_denoiser *denoiser, const hs_sampler_options *options,
                            const hs_monitor *monitor, hs_sampler **out, hs_error *err) {
    hs_sampler_options defaults = hs_sampler_options_default();
    if (!options)
        options = &defaults;
    HS_TRY(hs_check_sampler_options(options, err));
    hs_sampler *sampler = hs_calloc(1, sizeof *sampler);
    if (!sampler)
        return hs_fail_memory(err, sizeof *sampler);
    sampler->denoiser = denoiser;
    sampler->model = hs_denoiser_model(denoiser);
    sampler->z_seed = options->z_seed;
    sampler->asyrp = options->asyrp;
    const hs_schedule_config *config = &sampler->model->schedule;
    hs_status status;
    status = hs_schedule_create(config, &sampler->schedule, err);
    if (status != HS_OK) {
        status = hs_fail_prefix(err, status, "%s", sampler->model->name);
        goto cleanup;
    }
    HS_CHECK(hs_set_steps(sampler, options, err));
    if (config->absent && strcmp(config->beta_schedule, "keras_cosine") == 0)
        hs_notice(monitor,
                  "%s: no scheduler config was found: the family's cosine schedule, N = %d",
                  sampler->model->name, config->num_train_timesteps);
    else if (config->absent)
        hs_notice(monitor, "%s: no scheduler config was found: %s schedule, beta %g ... %g, N = %d",
                  sampler->model->name, config->beta_schedule, config->beta_start, config->beta_end,
                  config->num_train_timesteps);
    hs_set_clipping(sampler, options->clip, monitor);
    *out = sampler;
    return HS_OK;
cleanup:
    hs_sampler_free(sampler);
    return status;
}

void hs_sampler_free(hs_sampler *sampler) {
    if (!sampler)
        return;
    hs_schedule_free(&sampler->schedule);
    free(sampler->timesteps);
    free(sampler->eta);
    free(sampler->coefficients);
    free(sampler->t);
    free(sampler->eps);
    free(sampler->eps_dir);
    free(sampler->z);
    free(sampler);
}

hs_denoiser *hs_sampler_denoiser(const hs_sampler *sampler) {
    return sampler->denoiser;
}

int hs_sampler_steps(const hs_sampler *sampler) {
    return sampler->T;
}

const int *hs_sampler_timesteps(const hs_sampler *sampler) {
    return sampler->timesteps;
}

const double *hs_sampler_eta(const hs_sampler *sampler) {
    return sampler->eta;
}
