/*
 * See denoiser.h. Plans are made once per batch size and kept, the least
 * recently used one giving way; each owns its graph, which it refers to.
 */
#include "denoiser.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "diffusion/schedule.h" /* alphas_cumprod, for v and sample predictions */

#define HS_PLANS 8  /* kept at once */
#define HS_RING 256 /* calls that the median pass time looks back on */

/*
 * The batch: enough work that what a call and its steps cost does not count, and no
 * more, since larger feature maps leave the caches (avatars32 on Zen 3: a sample of 8 at
 * once takes 0.87 of the time of one of 16). Weights that no cache holds are read from
 * memory in every pass: of a model with more of them than HS_CACHED_WEIGHTS so many
 * samples share them that reading takes some 3 % of the time. A byte takes as long as
 * about ten multiply-adds, hence 400 a byte.
 */
#define HS_MAX_BATCH 16
#define HS_BATCH_MACS 3.5e9
#define HS_CACHED_WEIGHTS ((double)(64 << 20)) /* bytes, float32 */
#define HS_BYTE_MACS 400.0

/* A plan for a batch of n, with the buffers that its inputs and outputs bind. */
typedef struct hs_batch_plan {
    int n;      /* 0: empty slot */
    bool given; /* h is an input, not computed: hs_denoiser_eps_at_h */
    uint64_t last_used;
    hs_unet_graph unet;
    hs_exec *exec;
    hs_exec_bytes bytes; /* own: the buffers below included */
    float *t;            /* [n] */
    float *no_delta_h;   /* [n,c,h,w] zeros; NULL where h is given, as is h */
    float *out, *h;      /* [n,C,H,W], [n,c,h,w]: the caller's are filled by batches that succeed */
} hs_batch_plan;

struct hs_denoiser {
    hs_model *model;
    const hs_backend *backend;
    hs_denoiser_options options;
    size_t image_size, h_size;
    hs_schedule schedule;   /* alphas_cumprod NULL for epsilon models */
    hs_weight_cache *cache; /* converted weights that all plans share, or NULL */
    hs_batch_plan plans[HS_PLANS];
    uint64_t clock;
    int too_large; /* smallest batch that max_mem was too small for, 0: none */
    hs_profile profile;
    int64_t passes, calls;
    float seconds[HS_RING]; /* per batch item, of the latest calls */
};

hs_denoiser_options hs_denoiser_options_default(void) {
    return (hs_denoiser_options){.backend = HS_BACKEND_ONEDNN, .h_space = HS_H_AFTER};
}

bool hs_cpu_has_fast(void) {
    return hs_backend_onednn.has_fast();
}

static hs_status hs_check_denoiser_options(const hs_denoiser_options *options, hs_error *err) {
    if (options->backend != HS_BACKEND_ONEDNN && options->backend != HS_BACKEND_REF)
        return hs_fail(err, HS_ERROR_ARGUMENT, "denoiser: back end %d, expected onednn or ref",
                       (int)options->backend);
    if (options->h_space < HS_H_BEFORE || options->h_space > HS_H_AFTER)
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "denoiser: h_space %d, expected before, middle or after",
                       (int)options->h_space);
    if (options->threads < 0 || options->threads > 4096)
        return hs_fail(err, HS_ERROR_ARGUMENT, "denoiser: threads %d, expected 0 ... 4096",
                       options->threads);
    if (options->precision != HS_PRECISION_F32 && options->precision != HS_PRECISION_FAST)
        return hs_fail(err, HS_ERROR_ARGUMENT, "denoiser: precision %d, expected f32 or fast",
                       (int)options->precision);
    if (options->precision == HS_PRECISION_FAST && options->backend != HS_BACKEND_ONEDNN)
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "denoiser: precision fast is of the back end onednn alone");
    if (options->max_mem < 0)
        return hs_fail(err, HS_ERROR_ARGUMENT, "denoiser: max_mem %lld, expected 0 or more",
                       (long long)options->max_mem);
    return HS_OK;
}

static size_t hs_volume(const int shape[3]) {
    return (size_t)shape[0] * (size_t)shape[1] * (size_t)shape[2];
}

hs_status hs_denoiser_create(hs_model *model, const hs_denoiser_options *options, hs_denoiser **out,
                             hs_error *err) {
    hs_denoiser_options defaults = hs_denoiser_options_default();
    if (!options)
        options = &defaults;
    HS_TRY(hs_check_denoiser_options(options, err));
    hs_denoiser *denoiser = hs_calloc(1, sizeof *denoiser);
    if (!denoiser)
        return hs_fail_memory(err, sizeof *denoiser);
    denoiser->model = model;
    denoiser->options = *options;
    denoiser->backend = options->backend == HS_BACKEND_REF ? &hs_backend_ref : &hs_backend_onednn;
    denoiser->image_size = hs_volume(model->image);
    denoiser->h_size = hs_volume(model->h[options->h_space]);
    hs_status status = HS_OK;
    if (denoiser->backend->cache_new) {
        denoiser->cache = denoiser->backend->cache_new();
        if (!denoiser->cache)
            HS_CHECK(hs_fail(err, HS_ERROR_MEMORY, "out of memory: weight cache"));
    }
    if (model->schedule.prediction != HS_PREDICT_EPSILON)
        HS_CHECK(hs_schedule_create(&model->schedule, &denoiser->schedule, err));
    *out = denoiser;
    return HS_OK;
cleanup:
    hs_denoiser_free(denoiser);
    return status;
}

static void hs_batch_plan_free(const hs_backend *backend, hs_batch_plan *plan) {
    if (plan->exec)
        backend->free(plan->exec);
    hs_graph_free(plan->unet.graph);
    free(plan->t);
    free(plan->no_delta_h);
    free(plan->out);
    free(plan->h);
    *plan = (hs_batch_plan){0};
}

void hs_denoiser_free(hs_denoiser *denoiser) {
    if (!denoiser)
        return;
    for (int i = 0; i < HS_PLANS; i++)
        hs_batch_plan_free(denoiser->backend, &denoiser->plans[i]);
    if (denoiser->cache)
        denoiser->backend->cache_free(denoiser->cache);
    hs_schedule_free(&denoiser->schedule);
    free(denoiser);
}

const hs_model *hs_denoiser_model(const hs_denoiser *denoiser) {
    return denoiser->model;
}

hs_h_space hs_denoiser_h_space(const hs_denoiser *denoiser) {
    return denoiser->options.h_space;
}

hs_precision hs_denoiser_precision(const hs_denoiser *denoiser) {
    return denoiser->options.precision;
}

const char *hs_denoiser_precision_name(const hs_denoiser *denoiser) {
    return denoiser->options.precision == HS_PRECISION_FAST ? "fast" : NULL;
}

size_t hs_denoiser_image_size(const hs_denoiser *denoiser) {
    return denoiser->image_size;
}

size_t hs_denoiser_h_size(const hs_denoiser *denoiser) {
    return denoiser->h_size;
}

int hs_denoiser_threads(const hs_denoiser *denoiser) {
    return denoiser->options.threads;
}

hs_status hs_denoiser_fingerprint(const hs_denoiser *denoiser, char out[33], hs_error *err) {
    return hs_model_fingerprint(denoiser->model, out, err);
}

/* ------------------------------------------------------------- plans -- */

static hs_status hs_batch_plan_buffers(const hs_denoiser *denoiser, hs_batch_plan *plan,
                                       hs_error *err) {
    int64_t image, h;
    if (!hs_mul_i64(plan->n, (int64_t)denoiser->image_size, &image) ||
        !hs_mul_i64(plan->n, (int64_t)denoiser->h_size, &h) || image > INT64_MAX / 64 ||
        h > INT64_MAX / 64)
        return hs_fail(err, HS_ERROR_ARGUMENT, "denoiser: a batch of %d is too large", plan->n);
    plan->t = hs_alloc_aligned((size_t)plan->n, sizeof(float));
    plan->out = hs_alloc_aligned((size_t)image, sizeof(float));
    if (!plan->given) {
        plan->no_delta_h = hs_calloc((size_t)h, sizeof(float));
        plan->h = hs_alloc_aligned((size_t)h, sizeof(float));
    }
    plan->bytes.own = (int64_t)sizeof(float) * (plan->n + image + (plan->given ? 0 : 2 * h));
    if (!plan->t || !plan->out || (!plan->given && (!plan->no_delta_h || !plan->h)))
        return hs_fail_memory(err, (size_t)plan->bytes.own);
    return HS_OK;
}

static hs_status hs_batch_plan_make(hs_denoiser *denoiser, int n, bool given, hs_batch_plan *out,
                                    hs_error *err) {
    hs_batch_plan plan = {.n = n, .given = given};
    const hs_backend *backend = denoiser->backend;
    hs_status status;
    HS_CHECK(hs_batch_plan_buffers(denoiser, &plan, err));
    HS_CHECK(hs_model_build(denoiser->model, n, denoiser->options.h_space, &plan.unet, err));
    if (given)
        hs_graph_make_input(plan.unet.graph, plan.unet.h_edited);
    hs_value outputs[] = {plan.unet.out, plan.unet.h};
    hs_plan_options options = {.threads = denoiser->options.threads,
                               .outputs = outputs,
                               .output_count = given ? 1 : 2,
                               .cache = denoiser->cache,
                               .fast = denoiser->options.precision == HS_PRECISION_FAST,
                               .profile = hs_denoiser_profiler(denoiser)};
    status = backend->plan(plan.unet.graph, &options, &plan.exec, err);
    if (status == HS_ERROR_NUMERIC) /* a weight: the back end does not know whose */
        status = hs_fail_prefix(err, status, "%s", denoiser->model->name);
    if (status != HS_OK)
        goto cleanup;
    int64_t buffers = plan.bytes.own;
    backend->bytes(plan.exec, &plan.bytes);
    plan.bytes.own += buffers;
    *out = plan;
    return HS_OK;
cleanup:
    hs_batch_plan_free(backend, &plan);
    return status;
}

static hs_batch_plan *hs_find_plan(hs_denoiser *denoiser, int n, bool given) {
    for (int i = 0; i < HS_PLANS; i++)
        if (denoiser->plans[i].n == n && denoiser->plans[i].given == given)
            return &denoiser->plans[i];
    return NULL;
}

/* The slot to fill next: an empty one, or the least recently used. */
static hs_batch_plan *hs_oldest_plan(hs_denoiser *denoiser) {
    hs_batch_plan *oldest = &denoiser->plans[0];
    for (int i = 1; i < HS_PLANS; i++)
        if (denoiser->plans[i].last_used < oldest->last_used)
            oldest = &denoiser->plans[i];
    return oldest;
}

static int64_t hs_plan_total(const hs_batch_plan *plan) {
    return plan->bytes.own + plan->bytes.shared + plan->bytes.weights;
}

static int64_t hs_max_i64(int64_t a, int64_t b) {
    return a > b ? a : b;
}

/* Bytes of a new plan and those that are kept; what they share counts once.
 * `oldest` gets the least recently used of the kept. */
static int64_t hs_sum_bytes(hs_denoiser *denoiser, const hs_batch_plan *made,
                            hs_batch_plan **oldest) {
    hs_exec_bytes sum = made->bytes;
    *oldest = NULL;
    for (int i = 0; i < HS_PLANS; i++) {
        hs_batch_plan *plan = &denoiser->plans[i];
        if (!plan->n)
            continue;
        sum.own += plan->bytes.own;
        sum.shared = hs_max_i64(sum.shared, plan->bytes.shared);
        if (denoiser->cache)
            sum.weights = hs_max_i64(sum.weights, plan->bytes.weights);
        else
            sum.weights += plan->bytes.weights;
        if (!*oldest || plan->last_used < (*oldest)->last_used)
            *oldest = plan;
    }
    return sum.own + sum.shared + sum.weights;
}

/* Kept plans give way, oldest first, until the new one fits beside them. */
static void hs_make_room(hs_denoiser *denoiser, const hs_batch_plan *made) {
    hs_batch_plan *oldest;
    while (hs_sum_bytes(denoiser, made, &oldest) > denoiser->options.max_mem && oldest)
        hs_batch_plan_free(denoiser->backend, oldest);
}

/* The plan for a batch of n, made now if it is not kept. It is valid until
 * the next call. `needed`, if not NULL, gets its bytes even when it is refused. */
static hs_status hs_get_plan(hs_denoiser *denoiser, int n, bool given, hs_batch_plan **out,
                             int64_t *needed, hs_error *err) {
    if (n < 1)
        return hs_fail(err, HS_ERROR_ARGUMENT, "denoiser: a batch of %d, expected 1 or more", n);
    hs_batch_plan *plan = hs_find_plan(denoiser, n, given);
    if (!plan) {
        hs_batch_plan made;
        HS_TRY(hs_batch_plan_make(denoiser, n, given, &made, err));
        int64_t bytes = hs_plan_total(&made), max_mem = denoiser->options.max_mem;
        if (needed)
            *needed = bytes;
        if (max_mem && bytes > max_mem) {
            hs_batch_plan_free(denoiser->backend, &made);
            return hs_fail(err, HS_ERROR_MEMORY,
                           "denoiser: a batch of %d needs %.1f MiB, the memory budget is %.1f MiB",
                           n, (double)bytes / 0x1p20, (double)max_mem / 0x1p20);
        }
        if (max_mem)
            hs_make_room(denoiser, &made);
        plan = hs_oldest_plan(denoiser);
        hs_batch_plan_free(denoiser->backend, plan);
        *plan = made;
    }
    if (needed)
        *needed = hs_plan_total(plan);
    plan->last_used = ++denoiser->clock;
    *out = plan;
    return HS_OK;
}

/* By the model alone, so that the answer is the same every time; batches are of nearly
 * equal size, so that few plans are made. */
static int hs_batch_by_work(const hs_denoiser *denoiser, int n) {
    const hs_model *model = denoiser->model;
    double macs = model->macs > 0 ? (double)model->macs : 1;
    double far = (double)sizeof(float) * (double)model->parameters - HS_CACHED_WEIGHTS;
    double wanted = fmax(HS_BATCH_MACS, far * HS_BYTE_MACS) / macs;
    int limit = (int)fmin(fmax(wanted, 1), HS_MAX_BATCH);
    int batches = (n - 1) / limit + 1;
    return (n - 1) / batches + 1;
}

hs_status hs_denoiser_bytes(hs_denoiser *denoiser, int n, int64_t *bytes, hs_error *err) {
    hs_batch_plan *plan;
    int64_t needed = 0;
    int batch = n > 1 ? hs_batch_by_work(denoiser, n) : n;
    hs_status status = hs_get_plan(denoiser, batch, false, &plan, &needed, err);
    if (status == HS_OK || (status == HS_ERROR_MEMORY && needed)) {
        *bytes = needed;
        return HS_OK;
    }
    return status;
}

/* Halved while the plan exceeds max_mem. */
static int hs_fitting_batch(hs_denoiser *denoiser, int n, bool given) {
    int batch = n > 1 ? hs_batch_by_work(denoiser, n) : 1;
    while (denoiser->options.max_mem && batch > 1) {
        hs_batch_plan *plan;
        bool refused = denoiser->too_large && batch >= denoiser->too_large;
        if (!refused && hs_get_plan(denoiser, batch, given, &plan, NULL, NULL) == HS_OK)
            break;
        denoiser->too_large = refused ? denoiser->too_large : batch;
        batch /= 2;
    }
    return batch;
}

int hs_denoiser_batch(hs_denoiser *denoiser, int n) {
    return hs_fitting_batch(denoiser, n, false);
}

/* -------------------------------------------------------------- passes -- */

hs_status hs_denoiser_check_timestep(const hs_denoiser *denoiser, int t, hs_error *err) {
    int N = denoiser->model->schedule.num_train_timesteps;
    if (t >= 0 && t < N)
        return HS_OK;
    return hs_fail(err, HS_ERROR_ARGUMENT, "denoiser: timestep %d is outside 0 ... %d", t, N - 1);
}

static hs_status hs_check_pass(const hs_denoiser *denoiser, int n, const int *t, hs_error *err) {
    for (int i = 0; i < n; i++)
        HS_TRY(hs_denoiser_check_timestep(denoiser, t[i], err));
    return HS_OK;
}

static bool hs_all_finite(const float *x, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!isfinite(x[i]))
            return false;
    return true;
}

static hs_status hs_check_output(const hs_denoiser *denoiser, const hs_batch_plan *plan,
                                 const float *x, const int *t, const float *third, int first,
                                 hs_error *err) {
    size_t size = denoiser->image_size, h_size = denoiser->h_size;
    for (int i = 0; i < plan->n; i++) {
        if (hs_all_finite(plan->out + (size_t)i * size, size))
            continue;
        const char *cause = "the weights or the computation";
        if (!hs_all_finite(x + (size_t)i * size, size))
            cause = "the input image, which is not finite either";
        else if (!hs_all_finite(third + (size_t)i * h_size, h_size))
            cause = plan->given ? "the given h, which is not finite either"
                                : "delta_h, which is not finite either";
        return hs_fail(err, HS_ERROR_NUMERIC,
                       "%s: NaN or infinity in the U-Net's output (item %d, timestep %d), from %s",
                       denoiser->model->name, first + i, t[i], cause);
    }
    return HS_OK;
}

void hs_denoiser_to_eps(const hs_denoiser *denoiser, int t, const float *x, const float *out,
                        float *eps) {
    size_t size = denoiser->image_size;
    hs_prediction prediction = denoiser->model->schedule.prediction;
    if (prediction == HS_PREDICT_EPSILON) {
        memcpy(eps, out, size * sizeof *eps);
        return;
    }
    double a = denoiser->schedule.alphas_cumprod[t];
    double sqrt_a = sqrt(a), sqrt_one_minus_a = sqrt(1 - a);
    if (prediction == HS_PREDICT_V) {
        for (size_t i = 0; i < size; i++)
            eps[i] = (float)(sqrt_a * (double)out[i] + sqrt_one_minus_a * (double)x[i]);
        return;
    }
    for (size_t i = 0; i < size; i++)
        eps[i] = (float)(((double)x[i] - sqrt_a * (double)out[i]) / sqrt_one_minus_a);
}

double hs_denoiser_eps_slope(const hs_denoiser *denoiser, int t) {
    hs_prediction prediction = denoiser->model->schedule.prediction;
    if (prediction == HS_PREDICT_EPSILON)
        return 1;
    double a = denoiser->schedule.alphas_cumprod[t];
    return prediction == HS_PREDICT_V ? sqrt(a) : -sqrt(a / (1 - a));
}

void hs_denoiser_count_pass(hs_denoiser *denoiser, double seconds) {
    denoiser->passes++;
    denoiser->seconds[denoiser->calls++ % HS_RING] = (float)seconds;
}

const hs_backend *hs_denoiser_backend(const hs_denoiser *denoiser) {
    return denoiser->backend;
}

hs_weight_cache *hs_denoiser_cache(const hs_denoiser *denoiser) {
    return denoiser->cache;
}

hs_exec_bytes hs_denoiser_shared_bytes(const hs_denoiser *denoiser) {
    hs_exec_bytes bytes = {0};
    for (int i = 0; i < HS_PLANS && denoiser->cache; i++) {
        const hs_exec_bytes *plan = &denoiser->plans[i].bytes;
        bytes.shared = hs_max_i64(bytes.shared, plan->shared);
        bytes.weights = hs_max_i64(bytes.weights, plan->weights);
    }
    return bytes;
}

void hs_denoiser_drop_plans(hs_denoiser *denoiser) {
    for (int i = 0; i < HS_PLANS; i++)
        hs_batch_plan_free(denoiser->backend, &denoiser->plans[i]);
}

hs_profile *hs_denoiser_profiler(hs_denoiser *denoiser) {
    return denoiser->options.profile ? &denoiser->profile : NULL;
}

int hs_denoiser_profile(const hs_denoiser *denoiser, const hs_profile_row **rows) {
    *rows = denoiser->profile.rows;
    return denoiser->profile.count;
}

static double hs_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* One pass by `plan` of the samples from `first` on, whose third input is delta_h, or the
 * given h: the eps, checked, and h unless it is NULL. */
static hs_status hs_run_pass(hs_denoiser *denoiser, hs_batch_plan *plan, const float *x,
                             const int *t, hs_binding third, float *eps, float *h, int first,
                             hs_error *err) {
    int n = plan->n;
    double start = hs_now();
    for (int i = 0; i < n; i++)
        plan->t[i] = (float)t[i];
    /* The back end only reads what inputs are bound to. */
    hs_binding inputs[] = {
        {.value = plan->unet.x, .f32 = (float *)x}, {.value = plan->unet.t, .f32 = plan->t}, third};
    hs_binding outputs[] = {{.value = plan->unet.out, .f32 = plan->out},
                            {.value = plan->unet.h, .f32 = plan->h}};
    HS_TRY(denoiser->backend->execute(plan->exec, inputs, 3, outputs, h ? 2 : 1, err));
    denoiser->passes += n;
    denoiser->seconds[denoiser->calls++ % HS_RING] = (float)((hs_now() - start) / n);
    HS_TRY(hs_check_output(denoiser, plan, x, t, third.f32, first, err));
    size_t size = denoiser->image_size;
    for (int i = 0; i < n; i++)
        hs_denoiser_to_eps(denoiser, t[i], x + (size_t)i * size, plan->out + (size_t)i * size,
                           eps + (size_t)i * size);
    if (h)
        memcpy(h, plan->h, (size_t)n * denoiser->h_size * sizeof *h);
    return HS_OK;
}

/* A call of n samples, cut into batches. */
typedef struct hs_pass_call {
    bool given; /* third is the h to go on from, not delta_h */
    const float *x;
    const int *t;
    const float *third; /* NULL: no delta_h */
    float *eps, *h;     /* h NULL: not wanted */
} hs_pass_call;

static hs_status hs_run_piece(hs_denoiser *denoiser, const hs_pass_call *call, int first, int n,
                              hs_error *err) {
    hs_batch_plan *plan;
    size_t image = (size_t)first * denoiser->image_size, h = (size_t)first * denoiser->h_size;
    HS_TRY(hs_get_plan(denoiser, n, call->given, &plan, NULL, err));
    hs_binding third = {.value = call->given ? plan->unet.h_edited : plan->unet.delta_h};
    third.f32 = call->third ? (float *)call->third + h : plan->no_delta_h;
    return hs_run_pass(denoiser, plan, call->x + image, call->t + first, third, call->eps + image,
                       call->h ? call->h + h : NULL, first, err);
}

static hs_status hs_run_call(hs_denoiser *denoiser, int n, const hs_pass_call *call,
                             hs_error *err) {
    if (n < 1)
        return hs_fail(err, HS_ERROR_ARGUMENT, "denoiser: a batch of %d, expected 1 or more", n);
    HS_TRY(hs_check_pass(denoiser, n, call->t, err));
    int batch = hs_fitting_batch(denoiser, n, call->given);
    for (int first = 0, count; first < n; first += count) {
        count = n - first < batch ? n - first : batch;
        HS_TRY(hs_run_piece(denoiser, call, first, count, err));
    }
    return HS_OK;
}

hs_status hs_denoiser_eps(hs_denoiser *denoiser, int n, const float *x, const int *t,
                          const float *delta_h, float *eps, float *h, hs_error *err) {
    hs_pass_call call = {.x = x, .t = t, .third = delta_h, .eps = eps, .h = h};
    return hs_run_call(denoiser, n, &call, err);
}

hs_status hs_denoiser_eps_at_h(hs_denoiser *denoiser, int n, const float *x, const int *t,
                               const float *h, float *eps, hs_error *err) {
    hs_pass_call call = {.given = true, .x = x, .t = t, .third = h, .eps = eps};
    return hs_run_call(denoiser, n, &call, err);
}

static int hs_compare_floats(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

void hs_denoiser_stats(const hs_denoiser *denoiser, hs_pass_stats *stats) {
    float seconds[HS_RING];
    size_t count = denoiser->calls < HS_RING ? (size_t)denoiser->calls : HS_RING;
    memcpy(seconds, denoiser->seconds, count * sizeof *seconds);
    qsort(seconds, count, sizeof *seconds, hs_compare_floats);
    double median = 0;
    if (count)
        median = 0.5 * ((double)seconds[(count - 1) / 2] + (double)seconds[count / 2]);
    *stats = (hs_pass_stats){.passes = denoiser->passes, .seconds_per_pass = median};
}
