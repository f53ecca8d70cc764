/* See schedule.h. DDIM: Song, Meng and Ermon, 2021; cosine schedule: Nichol and Dhariwal, 2021.
 * The grids and the names are those of diffusers' DDIMScheduler. */
#include "diffusion/schedule.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HS_MAX_TRAIN_TIMESTEPS 1000000 /* a bound on what a config can make us allocate */
#define HS_PI 3.14159265358979323846

/* Of linspace(first, last, count) in double. */
static double hs_linspace(double first, double last, int count, int i) {
    return count == 1 ? first : first + (last - first) * i / (count - 1);
}

static double hs_cosine_alpha_bar(double time) {
    double c = cos((time + 0.008) / 1.008 * HS_PI / 2);
    return c * c;
}

static hs_status hs_check_config(const hs_schedule_config *config, hs_error *err) {
    if (config->num_train_timesteps < 1 || config->num_train_timesteps > HS_MAX_TRAIN_TIMESTEPS)
        return hs_fail(err, HS_ERROR_UNSUPPORTED,
                       "scheduler config: num_train_timesteps is %d, expected 1 ... %d",
                       config->num_train_timesteps, HS_MAX_TRAIN_TIMESTEPS);
    if (config->rescale_betas_zero_snr)
        return hs_fail(err, HS_ERROR_UNSUPPORTED,
                       "scheduler config: rescale_betas_zero_snr is true, which is not supported: "
                       "alphas_cumprod would end in 0, where eps does not determine x_0");
    if (config->thresholding)
        return hs_fail(err, HS_ERROR_UNSUPPORTED,
                       "scheduler config: thresholding is true, which is not supported");
    if (config->clip_sample && !(config->clip_sample_range > 0))
        return hs_fail(err, HS_ERROR_UNSUPPORTED,
                       "scheduler config: clip_sample_range is %g, expected a positive number",
                       config->clip_sample_range);
    return HS_OK;
}

/* beta of step i by the config's schedule; NaN for a name that is not known. */
static double hs_beta(const hs_schedule_config *config, int i) {
    const char *kind = config->beta_schedule;
    int N = config->num_train_timesteps;
    if (config->trained_betas)
        return config->trained_betas[i];
    if (strcmp(kind, "linear") == 0)
        return hs_linspace(config->beta_start, config->beta_end, N, i);
    if (strcmp(kind, "scaled_linear") == 0) {
        double root = hs_linspace(sqrt(config->beta_start), sqrt(config->beta_end), N, i);
        return root * root;
    }
    double ratio = hs_cosine_alpha_bar((i + 1.0) / N) / hs_cosine_alpha_bar((double)i / N);
    if (strcmp(kind, "squaredcos_cap_v2") == 0)
        return fmin(1 - ratio, 0.999);
    if (strcmp(kind, "keras_cosine") == 0)
        return fmin(fmax(1 - ratio, 1e-4), 0.9999);
    return NAN;
}

static bool hs_schedule_known(const hs_schedule_config *config) {
    static const char *const names[] = {"linear", "scaled_linear", "squaredcos_cap_v2",
                                        "keras_cosine"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(config->beta_schedule, names[i]) == 0)
            return true;
    return config->trained_betas != NULL;
}

hs_status hs_schedule_create(const hs_schedule_config *config, hs_schedule *out, hs_error *err) {
    HS_TRY(hs_check_config(config, err));
    if (!hs_schedule_known(config))
        return hs_fail(err, HS_ERROR_UNSUPPORTED,
                       "scheduler config: beta_schedule is '%.31s', expected linear, "
                       "scaled_linear, squaredcos_cap_v2 or keras_cosine",
                       config->beta_schedule);
    int N = config->num_train_timesteps;
    double *alphas_cumprod = hs_calloc((size_t)N, sizeof *alphas_cumprod);
    if (!alphas_cumprod)
        return hs_fail_memory(err, (size_t)N * sizeof *alphas_cumprod);
    double product = 1;
    for (int i = 0; i < N; i++) {
        double beta = hs_beta(config, i);
        product *= 1 - beta;
        /* Every later formula divides by sqrt(alphas_cumprod) and by
         * sqrt(1 - alphas_cumprod), so both must stay away from zero. */
        if (!(beta > 0 && beta < 1) || product < 1e-30) {
            free(alphas_cumprod);
            return hs_fail(err, HS_ERROR_UNSUPPORTED,
                           "scheduler config: beta[%d] is %g and alphas_cumprod[%d] %g, expected "
                           "beta in (0, 1) and alphas_cumprod above 1e-30",
                           i, beta, i, product);
        }
        alphas_cumprod[i] = product;
    }
    *out = (hs_schedule){.N = N,
                         .alphas_cumprod = alphas_cumprod,
                         .final_alpha_cumprod = config->set_alpha_to_one ? 1 : alphas_cumprod[0],
                         .prediction = config->prediction,
                         .clip = config->clip_sample,
                         .clip_range = config->clip_sample_range};
    return HS_OK;
}

void hs_schedule_free(hs_schedule *schedule) {
    free(schedule->alphas_cumprod);
    *schedule = (hs_schedule){0};
}

/* Timestep i of T, noisiest first, before it is checked; -1 for a spacing that
 * is not known. rint rounds half to even, as NumPy does. */
static long hs_timestep(const hs_schedule_config *config, int T, int i) {
    int N = config->num_train_timesteps;
    const char *spacing = config->timestep_spacing;
    if (strcmp(spacing, "leading") == 0)
        return (long)(T - 1 - i) * (N / T) + config->steps_offset;
    if (strcmp(spacing, "linspace") == 0) {
        double step = T > 1 ? (double)(N - 1) / (T - 1) : 0;
        return i == 0 && T > 1 ? N - 1 : (long)rint((T - 1 - i) * step);
    }
    if (strcmp(spacing, "trailing") == 0) {
        /* numpy.arange(N, 0, -N/T) steps by the difference of its first two
         * values, which decides how halves round. (For some T rounding makes it one
         * value longer, a step at t = -1 in diffusers; here there are T.) */
        double step = ((double)N - (double)N / T) - N;
        return (long)rint(N + i * step) - 1;
    }
    return -1;
}

hs_status hs_schedule_timesteps(const hs_schedule_config *config, int T, int *out, hs_error *err) {
    int N = config->num_train_timesteps;
    const char *spacing = config->timestep_spacing;
    if (strcmp(spacing, "leading") != 0 && strcmp(spacing, "linspace") != 0 &&
        strcmp(spacing, "trailing") != 0)
        return hs_fail(err, HS_ERROR_UNSUPPORTED,
                       "scheduler config: timestep_spacing is '%.15s', expected leading, trailing "
                       "or linspace",
                       spacing);
    if (T < 1 || T > N)
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "steps is %d, expected 1 ... %d (the model's num_train_timesteps)", T, N);
    /* The noisiest and the cleanest bound the others. */
    for (int i = 0; i<T; i += T> 1 ? T - 1 : 1) {
        long t = hs_timestep(config, T, i);
        if (t < 0 || t >= N)
            return hs_fail(err, HS_ERROR_ARGUMENT,
                           "steps %d with steps_offset %d gives timestep %ld, outside 0 ... %d: "
                           "use fewer steps",
                           T, config->steps_offset, t, N - 1);
    }
    for (int i = 0; i < T; i++)
        out[i] = (int)hs_timestep(config, T, i);
    return HS_OK;
}

hs_step hs_schedule_step(const hs_schedule *schedule, int t, int prev, double eta) {
    double a = schedule->alphas_cumprod[t];
    double a_prev = prev >= 0 ? schedule->alphas_cumprod[prev] : schedule->final_alpha_cumprod;
    double var = (1 - a_prev) / (1 - a) * (1 - a / a_prev);
    return (hs_step){.sqrt_a = sqrt(a),
                     .sqrt_one_minus_a = sqrt(1 - a),
                     .sqrt_a_prev = sqrt(a_prev),
                     .direction = sqrt(1 - a_prev - eta * eta * var),
                     .noise = eta * sqrt(var)};
}
