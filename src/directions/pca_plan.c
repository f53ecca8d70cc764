/* See pca_plan.h. Bytes are reckoned in double: no n, k or d can overflow. */
#include "directions/pca_plan.h"

#include <math.h>
#include <stdio.h>

#include "denoiser.h"
#include "directions/gram_pca.h"

static hs_status hs_pca_check_samples(const hs_pca_options *options, hs_error *err) {
    if (options->n < 2 || options->n > HS_PCA_MAX_SAMPLES)
        return hs_fail(err, HS_ERROR_ARGUMENT, "PCA: n is %d, expected 2 to %d samples", options->n,
                       HS_PCA_MAX_SAMPLES);
    if (options->first_seed < 0 || options->first_seed > INT64_MAX - options->n)
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "PCA: first_seed is %lld, expected 0 or more (and first_seed + n a 64-bit "
                       "number)",
                       (long long)options->first_seed);
    if (options->around && (!(options->around_delta > 0) || !(options->around_delta <= 1)))
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "PCA: around_delta is %g, expected more than 0 and at most 1",
                       options->around_delta);
    if (options->around && options->around_seed < 0)
        return hs_fail(err, HS_ERROR_ARGUMENT, "PCA: around_seed is %lld, expected 0 or more",
                       (long long)options->around_seed);
    return HS_OK;
}

static hs_status hs_pca_check_options(const hs_pca_options *options, int64_t length,
                                      hs_error *err) {
    HS_TRY(hs_pca_check_samples(options, err));
    HS_TRY(hs_gram_check(options->n, options->k, length, err));
    if (options->align != HS_ALIGN_INDEX && options->align != HS_ALIGN_SCORE)
        return hs_fail(err, HS_ERROR_ARGUMENT, "PCA: align is %d, expected index or score",
                       (int)options->align);
    if (options->incremental < -1 || options->incremental > 1)
        return hs_fail(err, HS_ERROR_ARGUMENT, "PCA: incremental is %d, expected -1, 0 or 1",
                       options->incremental);
    if (options->batch < 0 ||
        (options->batch > 0 && options->batch / 2 < options->k && options->batch < options->n))
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "PCA: batch is %d, expected at least 2k = %lld samples (0: chosen)",
                       options->batch, 2 * (long long)options->k);
    if (options->max_mem < 0)
        return hs_fail(err, HS_ERROR_ARGUMENT, "PCA: max_mem is %lld, expected 0 or more bytes",
                       (long long)options->max_mem);
    if (!(options->resume_every >= 0) || !isfinite(options->resume_every))
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "PCA: resume_every is %g, expected 0 or more seconds",
                       options->resume_every);
    return HS_OK;
}

/* x, its stream of z, and what the result takes: delta_h and mean of all steps. */
static double hs_pca_sample_bytes(const hs_pca_plan *plan) {
    return 4.0 * (double)plan->image + (plan->noise ? (double)sizeof(hs_generator) : 0) +
           sizeof(int64_t); /* its seed */
}

static double hs_pca_result_bytes(const hs_pca_plan *plan) {
    return 4.0 * plan->T * (plan->kept + 1.0) * (double)plan->d;
}

/* What formulas leave out because it is small: work space of the products and
 * the eigenvalue solver, scores, the mixed noise of `around`. */
static double hs_pca_small_bytes(const hs_pca_plan *plan) {
    double around = plan->around ? 4.0 * 18 * (double)plan->image + sizeof(hs_generator) : 0;
    return around + (4.0 * plan->k + 8) * (double)plan->d + 65536;
}

static double hs_pca_exact_bytes(const hs_pca_plan *plan) {
    double n = plan->n, k = plan->k;
    double gram = hs_gram_bytes(plan->n, plan->k, plan->d) + 8.0 * 2 * n * k;
    double twice = 16.0 * n * n;
    return n * (hs_pca_sample_bytes(plan) + 4.0 * (double)plan->d) + hs_pca_result_bytes(plan) +
           hs_pca_small_bytes(plan) + (gram > twice ? gram : twice);
}

static double hs_pca_incremental_bytes(const hs_pca_plan *plan, bool joint, bool scores, int b) {
    double d = (double)plan->d, T = plan->T, r = plan->kept, m = r + b + 1.0;
    double rows = joint ? 4.0 * b * T * d + 4.0 * b * d : 8.0 * (r + b) * d;
    return rows + b * hs_pca_sample_bytes(plan) + hs_pca_result_bytes(plan) +
           hs_pca_small_bytes(plan) + 8.0 * T * d + (joint ? 8.0 * T * d : 0) +
           hs_gram_bytes((int64_t)m, plan->kept, plan->d) + 8.0 * m * m +
           (scores ? 8.0 * T * r * b : 0);
}

/* The largest batch up to the authors' (and 2k) that fits, down to 2k. */
static int hs_pca_choose_batch(const hs_pca_plan *plan, const hs_pca_options *options,
                               double max_mem) {
    double smallest = fmin(2.0 * plan->k, plan->n);
    double b = fmin(fmax(smallest, HS_PCA_BATCH), plan->n);
    bool scores = options->align == HS_ALIGN_SCORE;
    if (options->batch > 0)
        return options->batch < plan->n ? options->batch : plan->n;
    while (b > smallest && hs_pca_incremental_bytes(plan, options->joint, scores, (int)b) > max_mem)
        b = fmax(smallest, floor(0.8 * b));
    return (int)b;
}

/*
 * Each batch forgets what is beyond the components that are kept, and a
 * direction that is small in every batch never gets in. With k kept, b = 2k and
 * the h of a 32 x 32 model, the k leading ones explain up to 3 % less than
 * exact ones do; with 2k kept, at most 0.4 % less.
 */
static int hs_pca_choose_kept(const hs_pca_plan *plan, const hs_pca_options *options) {
    int64_t kept = 2 * (int64_t)plan->k, length = options->joint ? plan->T * plan->d : plan->d;
    if (kept > plan->n - 1)
        kept = plan->n - 1;
    return (int)(kept < length ? kept : length);
}

static void hs_pca_size(double bytes, char *out, size_t size) {
    const char *units[] = {"B", "KB", "MB", "GB", "TB", "PB", "EB"};
    size_t unit = 0;
    while (bytes >= 999.5 && unit + 1 < sizeof units / sizeof *units) {
        bytes /= 1000;
        unit++;
    }
    snprintf(out, size, "%.3g %s", bytes, units[unit]);
}

static void hs_pca_describe(hs_pca_plan *plan, const hs_pca_options *options, double bytes) {
    char size[32];
    hs_pca_size(bytes, size, sizeof size);
    if (plan->exact)
        snprintf(plan->formula, sizeof plan->formula,
                 "exact %s PCA: n (C H W + c h w) 4 + 2 n^2 8 + T (k+1) c h w 4 bytes and work "
                 "space = %s with n = %d, k = %d, T = %d, C H W = %lld, c h w = %lld; %s",
                 options->joint ? "joint" : "per-step", size, plan->n, plan->k, plan->T,
                 (long long)plan->image, (long long)plan->d,
                 options->joint ? "2 n T passes" : "n T passes");
    else
        snprintf(plan->formula, sizeof plan->formula,
                 "incremental %s PCA: T r c h w 4 + %s + b C H W 4 + T c h w %d bytes and work "
                 "space = %s with b = %d, n = %d, k = %d, r = %d components kept, T = %d, "
                 "C H W = %lld, c h w = %lld; n T passes",
                 options->joint ? "joint" : "per-step",
                 options->joint ? "b (T+1) c h w 4" : "(r+b) c h w 8", options->joint ? 20 : 12,
                 size, plan->batch, plan->n, plan->k, plan->kept, plan->T, (long long)plan->image,
                 (long long)plan->d);
}

/* Exact, unless told otherwise, too many samples, or too much memory. */
static hs_status hs_pca_choose(const hs_pca_options *options, hs_pca_plan *plan, hs_error *err) {
    double max_mem = (double)(options->max_mem ? options->max_mem : HS_PCA_DEFAULT_MAX_MEM);
    double exact = hs_pca_exact_bytes(plan), bytes = exact;
    bool scores = options->align == HS_ALIGN_SCORE;
    plan->exact = options->incremental == 0 ||
                  (options->incremental < 0 && plan->n <= HS_PCA_EXACT_SAMPLES && exact <= max_mem);
    plan->batch = plan->n;
    plan->batches = 1;
    if (!plan->exact) {
        plan->kept = hs_pca_choose_kept(plan, options);
        plan->batch = hs_pca_choose_batch(plan, options, max_mem);
        if (hs_pca_incremental_bytes(plan, options->joint, scores, plan->batch) > max_mem) {
            plan->kept = plan->k;
            plan->batch = hs_pca_choose_batch(plan, options, max_mem);
        }
        plan->batches = (plan->n - 1) / plan->batch + 1;
        bytes = hs_pca_incremental_bytes(plan, options->joint, scores, plan->batch);
    }
    double passes = (double)plan->n * plan->T * (plan->exact && options->joint ? 2 : 1);
    plan->bytes = bytes < 9e18 ? (int64_t)bytes : INT64_MAX;
    plan->passes = (int64_t)passes;
    hs_pca_describe(plan, options, bytes);
    if (bytes > max_mem) {
        char allowed[32];
        hs_pca_size(max_mem, allowed, sizeof allowed);
        return hs_fail(err, HS_ERROR_MEMORY, "max_mem is %s, too little for %s", allowed,
                       plan->formula);
    }
    return HS_OK;
}

hs_status hs_pca_plan_make(const hs_sampler *sampler, const hs_pca_options *options,
                           hs_pca_plan *out, hs_error *err) {
    hs_pca_plan plan = {.n = options->n, .k = options->k, .kept = options->k, .T = sampler->T};
    plan.d = (int64_t)hs_denoiser_h_size(sampler->denoiser);
    plan.image = (int64_t)hs_denoiser_image_size(sampler->denoiser);
    plan.noise = sampler->any_eta;
    plan.around = options->around;
    HS_TRY(hs_pca_check_options(options, options->joint ? plan.d * plan.T : plan.d, err));
    HS_TRY(hs_pca_choose(options, &plan, err));
    *out = plan;
    return HS_OK;
}

int hs_pca_plan_batch(const hs_pca_plan *plan, int index, int *first) {
    int head = plan->n - (plan->batches - 1) * plan->batch;
    *first = index == 0 ? 0 : head + (index - 1) * plan->batch;
    return index == 0 ? head : plan->batch;
}
