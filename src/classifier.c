/*
 * One classifier bound to one back end: scores of images. Plans are made once
 * per batch and input size and kept, the least recently used giving way. What a
 * classifier is made of is opened by models/classifier_model.c.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "backends/backend.h"
#include "models/classifier_model.h"
#include "models/model.h"

#define HS_CLASSIFIER_PLANS 4
#define HS_CLASSIFIER_BATCH 64 /* at most, in one pass */
#define HS_CLASSIFIER_MACS 2e9 /* of one pass, about */

typedef struct hs_classifier_plan {
    int n, height, width; /* n 0: an empty slot */
    uint64_t last_used;
    hs_resnet_graph net;
    hs_exec *exec;
} hs_classifier_plan;

struct hs_classifier {
    hs_classifier_model model;
    hs_classifier_options options;
    const hs_backend *backend;
    hs_weight_cache *cache; /* NULL: the back end has none */
    hs_classifier_plan plans[HS_CLASSIFIER_PLANS];
    uint64_t clock;
    char fingerprint[33]; /* empty: not computed yet */
};

/* What one call works with. */
typedef struct hs_classifier_run {
    int channels, height, width; /* of the images */
    hs_preprocess_sizes sizes;
    hs_resize_axis y, x;
    int batch;
    float *clamped, *resized, *scratch; /* of one image */
    float *input;                       /* [batch,channels,out,out] */
    float *logits;                      /* [batch,outputs] */
} hs_classifier_run;

hs_classifier_options hs_classifier_options_default(void) {
    return (hs_classifier_options){.backend = HS_BACKEND_ONEDNN};
}

/* ------------------------------------------------------------- opening -- */

static hs_status hs_classifier_create(const char *name, const hs_model_files *files,
                                      const char *path, const hs_classifier_options *options,
                                      const hs_monitor *monitor, hs_classifier **out,
                                      hs_error *err) {
    hs_classifier_options defaults = hs_classifier_options_default();
    hs_classifier *classifier = hs_calloc(1, sizeof *classifier);
    if (!classifier)
        return hs_fail_memory(err, sizeof *classifier);
    classifier->options = options ? *options : defaults;
    hs_status status;
    HS_CHECK(hs_classifier_model_open(name, files, path, &classifier->options, monitor,
                                      &classifier->model, err));
    classifier->options.labels = classifier->options.preprocess = NULL; /* the caller's */
    classifier->backend =
        classifier->options.backend == HS_BACKEND_REF ? &hs_backend_ref : &hs_backend_onednn;
    if (classifier->backend->cache_new && !(classifier->cache = classifier->backend->cache_new()))
        HS_CHECK(hs_fail(err, HS_ERROR_MEMORY, "out of memory: weight cache"));
    *out = classifier;
    return HS_OK;
cleanup:
    hs_classifier_free(classifier);
    return status;
}

hs_status hs_classifier_open(const char *path, const hs_classifier_options *options,
                             const hs_monitor *monitor, hs_classifier **out, hs_error *err) {
    struct stat info;
    char *folder = NULL;
    *out = NULL;
    if (stat(path, &info) == 0 && S_ISREG(info.st_mode))
        return hs_classifier_create(path, NULL, path, options, monitor, out, err);
    HS_TRY(hs_model_find_folder(path, &folder, err));
    hs_status status = hs_classifier_create(path, &(hs_model_files){.root = folder}, NULL, options,
                                            monitor, out, err);
    free(folder);
    return status;
}

hs_status hs_classifier_open_blobs(const char *name, const hs_blob *blobs, size_t count,
                                   const hs_classifier_options *options, const hs_monitor *monitor,
                                   hs_classifier **out, hs_error *err) {
    *out = NULL;
    if (!name || !blobs)
        return hs_fail(err, HS_ERROR_ARGUMENT, "classifier: expected a name and blobs, found NULL");
    hs_model_files files = {.root = name, .blobs = blobs, .blob_count = count};
    return hs_classifier_create(name, &files, NULL, options, monitor, out, err);
}

static void hs_classifier_plan_free(const hs_backend *backend, hs_classifier_plan *plan) {
    if (plan->exec)
        backend->free(plan->exec);
    hs_graph_free(plan->net.graph);
    *plan = (hs_classifier_plan){0};
}

void hs_classifier_free(hs_classifier *classifier) {
    if (!classifier)
        return;
    for (int i = 0; i < HS_CLASSIFIER_PLANS; i++)
        hs_classifier_plan_free(classifier->backend, &classifier->plans[i]);
    if (classifier->cache)
        classifier->backend->cache_free(classifier->cache);
    hs_classifier_model_free(&classifier->model);
    free(classifier);
}

const char *const *hs_classifier_labels(const hs_classifier *classifier, int *count) {
    *count = classifier->model.label_count;
    return classifier->model.labels;
}

int hs_classifier_find(const hs_classifier *classifier, const char *label) {
    for (int i = 0; i < classifier->model.label_count; i++)
        if (!strcmp(classifier->model.labels[i], label))
            return i;
    return -1;
}

void hs_classifier_get_info(const hs_classifier *classifier, hs_classifier_info *info) {
    const hs_classifier_model *m = &classifier->model;
    const hs_resnet_config *c = &m->net.config;
    *info = (hs_classifier_info){
        .name = m->name,
        .architecture = c->torchvision ? "torchvision ResNet" : "ResNetForImageClassification",
        .kind = (hs_classifier_kind)(m->head + 1),
        .parameters = m->net.parameters,
        .channels = c->channels,
        .label_count = m->label_count,
    };
    if (m->preprocess.crop || m->preprocess.height) {
        info->height = m->preprocess.crop ? m->preprocess.crop : m->preprocess.height;
        info->width = m->preprocess.crop ? m->preprocess.crop : m->preprocess.width;
    }
}

hs_status hs_classifier_fingerprint(hs_classifier *classifier, char out[33], hs_error *err) {
    hs_classifier_model *m = &classifier->model;
    if (!classifier->fingerprint[0]) {
        hs_model model = {.name = m->name, .config_json = m->identity, .weights = m->weights};
        HS_TRY(hs_model_fingerprint(&model, classifier->fingerprint, err));
    }
    memcpy(out, classifier->fingerprint, sizeof classifier->fingerprint);
    return HS_OK;
}

/* --------------------------------------------------------------- plans -- */

static hs_status hs_classifier_make_plan(const hs_classifier *classifier, int n, int height,
                                         int width, hs_classifier_plan *out, hs_error *err) {
    hs_classifier_plan plan = {.n = n, .height = height, .width = width};
    HS_TRY(hs_resnet_build(&classifier->model.net, n, height, width, &plan.net, err));
    hs_plan_options options = {.threads = classifier->options.threads,
                               .outputs = &plan.net.logits,
                               .output_count = 1,
                               .cache = classifier->cache};
    hs_status status = classifier->backend->plan(plan.net.graph, &options, &plan.exec, err);
    if (status != HS_OK) {
        hs_graph_free(plan.net.graph);
        return status;
    }
    *out = plan;
    return HS_OK;
}

static hs_status hs_classifier_get_plan(hs_classifier *classifier, int n, int height, int width,
                                        hs_classifier_plan **out, hs_error *err) {
    hs_classifier_plan *oldest = &classifier->plans[0], *found = NULL;
    for (int i = 0; i < HS_CLASSIFIER_PLANS; i++) {
        hs_classifier_plan *plan = &classifier->plans[i];
        if (plan->n == n && plan->height == height && plan->width == width)
            found = plan;
        if (plan->last_used < oldest->last_used)
            oldest = plan;
    }
    if (!found) {
        hs_classifier_plan made;
        HS_TRY(hs_classifier_make_plan(classifier, n, height, width, &made, err));
        hs_classifier_plan_free(classifier->backend, oldest);
        *oldest = made;
        found = oldest;
    }
    found->last_used = ++classifier->clock;
    *out = found;
    return HS_OK;
}

/* Images in one pass, by the work of one; batches of nearly equal size, so
 * that few plans are made. */
static hs_status hs_classifier_batch(const hs_classifier *classifier, int n, int height, int width,
                                     int *batch, hs_error *err) {
    hs_resnet_graph one;
    HS_TRY(hs_resnet_build(&classifier->model.net, 1, height, width, &one, err));
    double macs = 1;
    for (hs_value i = 0; i < one.graph->count; i++)
        macs += (double)hs_node_macs(one.graph, i);
    hs_graph_free(one.graph);
    int limit = (int)fmin(fmax(HS_CLASSIFIER_MACS / macs, 1), HS_CLASSIFIER_BATCH);
    int batches = (n - 1) / limit + 1;
    *batch = (n - 1) / batches + 1;
    return HS_OK;
}

/* -------------------------------------------------------------- images -- */

static void hs_classifier_run_close(hs_classifier_run *run) {
    hs_resize_axis_free(&run->y);
    hs_resize_axis_free(&run->x);
    free(run->clamped);
    free(run->resized);
    free(run->scratch);
    free(run->input);
    free(run->logits);
}

static hs_status hs_classifier_run_open(const hs_classifier *classifier, int n, const int image[3],
                                        hs_classifier_run *run, hs_error *err) {
    const hs_classifier_model *m = &classifier->model;
    hs_status status;
    *run = (hs_classifier_run){.channels = image[0], .height = image[1], .width = image[2]};
    HS_CHECK(hs_preprocess_sizes_of(&m->preprocess, image[1], image[2], &run->sizes, err));
    const int *resized = run->sizes.resized, *out = run->sizes.out;
    HS_CHECK(hs_resize_axis_make(image[1], resized[0], m->preprocess.filter, &run->y, err));
    HS_CHECK(hs_resize_axis_make(image[2], resized[1], m->preprocess.filter, &run->x, err));
    HS_CHECK(hs_classifier_batch(classifier, n, out[0], out[1], &run->batch, err));
    size_t size = (size_t)image[0] * (size_t)image[1] * (size_t)image[2];
    size_t all = (size_t)image[0] * (size_t)resized[0] * (size_t)resized[1];
    size_t input = (size_t)run->batch * (size_t)image[0] * (size_t)out[0] * (size_t)out[1];
    run->clamped = hs_alloc_aligned(size, sizeof(float));
    run->resized = hs_alloc_aligned(all, sizeof(float));
    run->scratch = hs_alloc_aligned((size_t)image[1] * (size_t)resized[1], sizeof(float));
    run->input = hs_alloc_aligned(input, sizeof(float));
    run->logits = hs_alloc_aligned((size_t)run->batch * (size_t)m->net.outputs, sizeof(float));
    if (run->clamped && run->resized && run->scratch && run->input && run->logits)
        return HS_OK;
    status = hs_fail_memory(err, (size + all + input) * sizeof(float));
cleanup:
    hs_classifier_run_close(run);
    return status;
}

static float hs_clamp_pixel(float x) {
    return x < -1 ? -1 : x > 1 ? 1 : x; /* a NaN stays one */
}

/* One image [C,H,W] in [-1,1] to what the network takes, [C,out,out]. */
static void hs_classifier_prepare(const hs_classifier *classifier, hs_classifier_run *run,
                                  const float *image, float *input) {
    const hs_preprocess *p = &classifier->model.preprocess;
    const hs_preprocess_sizes *s = &run->sizes;
    int64_t size = (int64_t)run->channels * run->height * run->width;
    for (int64_t i = 0; i < size; i++)
        run->clamped[i] = hs_clamp_pixel(image[i]);
    hs_resize_planes(&run->y, &run->x, run->channels, run->clamped, run->resized, run->scratch);
    for (int c = 0; c < run->channels; c++) {
        /* pixel = 127.5 (x + 1); (pixel * factor - mean) / std */
        double half = 127.5 * p->factor;
        double a = half / p->std[c], b = (half - p->mean[c]) / p->std[c];
        for (int i = 0; i < s->out[0]; i++) {
            const float *from =
                run->resized + ((int64_t)c * s->resized[0] + s->top + i) * s->resized[1] + s->left;
            float *to = input + ((int64_t)c * s->out[0] + i) * s->out[1];
            for (int j = 0; j < s->out[1]; j++)
                to[j] = (float)(a * (double)hs_clamp_pixel(from[j]) + b);
        }
    }
}

/* -------------------------------------------------------------- scores -- */

static void hs_softmax(const float *logits, int count, double *p) {
    double largest = (double)logits[0], sum = 0;
    for (int i = 1; i < count; i++)
        largest = fmax(largest, (double)logits[i]);
    for (int i = 0; i < count; i++)
        sum += p[i] = exp((double)logits[i] - largest);
    for (int i = 0; i < count; i++)
        p[i] /= sum;
}

/* 1 / (1 + e^-x) */
static double hs_logistic(double x) {
    return x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x));
}

/* Expected angle in degrees: bin b stands for 3 b - 99. */
static double hs_pose_angle(const float *logits) {
    double p[HS_POSE_BINS], angle = -99;
    hs_softmax(logits, HS_POSE_BINS, p);
    for (int b = 0; b < HS_POSE_BINS; b++)
        angle += p[b] * 3 * b;
    return angle;
}

/* `p` holds as many doubles as there are labels. */
static void hs_classifier_score(const hs_classifier_model *m, const float *logits, double *p,
                                float *scores) {
    if (m->head == HS_HEAD_SINGLE)
        hs_softmax(logits, m->label_count, p);
    for (int i = 0; i < m->label_count; i++) {
        double score = 0;
        switch (m->head) {
        case HS_HEAD_SINGLE: score = p[i]; break;
        case HS_HEAD_MULTI: score = hs_logistic((double)logits[i]); break;
        case HS_HEAD_REGRESSION: score = (double)logits[i]; break;
        case HS_HEAD_PAIRS:
            score = hs_logistic((double)logits[2 * i + 1] - (double)logits[2 * i]);
            break;
        case HS_HEAD_POSE: score = hs_pose_angle(logits + (ptrdiff_t)i * HS_POSE_BINS); break;
        }
        scores[i] = (float)score;
    }
}

static hs_status hs_classifier_check_finite(const hs_classifier_model *m, const float *values,
                                            int64_t row, int n, int first, const char *what,
                                            hs_error *err) {
    for (int64_t i = 0; i < n * row; i++)
        if (!isfinite(values[i]))
            return hs_fail(err, HS_ERROR_NUMERIC, "%s: NaN or infinity in %s (image %d)", m->name,
                           what, first + (int)(i / row));
    return HS_OK;
}

/* Images first ... first + n - 1. */
static hs_status hs_classifier_pass(hs_classifier *classifier, hs_classifier_run *run, int first,
                                    int n, const float *images, double *p, float *scores,
                                    hs_error *err) {
    const hs_classifier_model *m = &classifier->model;
    hs_classifier_plan *plan;
    int64_t size = (int64_t)run->channels * run->height * run->width;
    int64_t input = (int64_t)run->channels * run->sizes.out[0] * run->sizes.out[1];
    HS_TRY(hs_classifier_check_finite(m, images + first * size, size, n, first, "the image", err));
    for (int i = 0; i < n; i++)
        hs_classifier_prepare(classifier, run, images + (first + i) * size, run->input + i * input);
    HS_TRY(hs_classifier_get_plan(classifier, n, run->sizes.out[0], run->sizes.out[1], &plan, err));
    hs_binding in = {.value = plan->net.x, .f32 = run->input};
    hs_binding out = {.value = plan->net.logits, .f32 = run->logits};
    HS_TRY(classifier->backend->execute(plan->exec, &in, 1, &out, 1, err));
    HS_TRY(hs_classifier_check_finite(m, run->logits, m->net.outputs, n, first,
                                      "the classifier's output", err));
    for (int i = 0; i < n; i++)
        hs_classifier_score(m, run->logits + (int64_t)i * m->net.outputs, p,
                            scores + (int64_t)(first + i) * m->label_count);
    return HS_OK;
}

hs_status hs_classifier_scores(hs_classifier *classifier, int n, const int image[3],
                               const float *images, float *scores, hs_error *err) {
    const hs_classifier_model *m = &classifier->model;
    if (n < 1 || image[1] < 1 || image[2] < 1 || image[1] > 1 << 15 || image[2] > 1 << 15)
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "classifier: %d images of %d x %d, expected at least 1, of at most 32768 "
                       "pixels a side",
                       n, image[1], image[2]);
    if (image[0] != m->net.config.channels)
        return hs_fail(err, HS_ERROR_MISMATCH,
                       "%s: a classifier of images with %d channels, found images with %d", m->name,
                       m->net.config.channels, image[0]);
    hs_classifier_run run;
    HS_TRY(hs_classifier_run_open(classifier, n, image, &run, err));
    hs_status status = HS_OK;
    double *p = hs_calloc((size_t)m->label_count, sizeof *p);
    if (!p)
        status = hs_fail_memory(err, (size_t)m->label_count * sizeof *p);
    for (int first = 0; first < n && status == HS_OK; first += run.batch) {
        int count = n - first < run.batch ? n - first : run.batch;
        status = hs_classifier_pass(classifier, &run, first, count, images, p, scores, err);
    }
    free(p);
    hs_classifier_run_close(&run);
    return status;
}
