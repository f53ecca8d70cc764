/* The golden classifiers: how each is opened, and its images. */
#ifndef HS_TESTS_MODELS_CLASSIFIER_SUPPORT_H
#define HS_TESTS_MODELS_CLASSIFIER_SUPPORT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "io/tensor_set.h"
#include "support.h"

#define HS_CLASSIFIERS "golden/classifiers/"
#define HS_IMAGENET "mean=0.485/0.456/0.406,std=0.229/0.224/0.225"

typedef struct hs_classifier_case {
    const char *name;
    const char *labels, *preprocess;
    hs_classifier_kind kind; /* as found */
    int labels_count;
    double unit; /* of its scores: errors are relative to it */
} hs_classifier_case;

static const hs_classifier_case hs_classifier_cases[] = {
    {"basic", NULL, NULL, HS_CLASSIFIER_MULTI_LABEL, 5, 1},
    {"bottleneck", NULL, NULL, HS_CLASSIFIER_SINGLE_LABEL, 7, 1},
    {"bottleneck_3x3", NULL, NULL, HS_CLASSIFIER_SINGLE_LABEL, 2, 1},
    {"gray", NULL, NULL, HS_CLASSIFIER_REGRESSION, 3, 1},
    {"resnet18.pth", HS_CLASSIFIERS "five.txt", "size=33," HS_IMAGENET, HS_CLASSIFIER_SINGLE_LABEL,
     5, 1},
    {"pairs.pth", HS_CLASSIFIERS "two_a_label.txt", "size=33x33," HS_IMAGENET, HS_CLASSIFIER_PAIRS,
     4, 1},
    {"heads.safetensors", HS_CLASSIFIERS "two_a_label.txt",
     HS_IMAGENET ",size=32,resample=bilinear", HS_CLASSIFIER_PAIRS, 4, 1},
    {"hopenet.safetensors", NULL, "size=32," HS_IMAGENET, HS_CLASSIFIER_POSE, 3, 99},
};
#define HS_CLASSIFIER_CASES ((int)(sizeof hs_classifier_cases / sizeof *hs_classifier_cases))

static inline hs_classifier *hs_classifier_opened(const hs_classifier_case *c,
                                                  hs_backend_kind backend, int threads) {
    hs_error err = {0};
    hs_classifier *classifier;
    hs_classifier_options options = hs_classifier_options_default();
    char path[128];
    snprintf(path, sizeof path, HS_CLASSIFIERS "%s", c->name);
    options.backend = backend;
    options.threads = threads;
    options.labels = c->labels;
    options.preprocess = c->preprocess;
    assert_ok(hs_classifier_open(path, &options, NULL, &classifier, &err));
    return classifier;
}

static inline hs_tensor_set *hs_classifier_golden(const hs_classifier_case *c) {
    hs_error err = {0};
    hs_tensor_set *set;
    char path[128];
    snprintf(path, sizeof path, HS_CLASSIFIERS "%s.golden.safetensors", c->name);
    assert_ok(hs_safetensors_open(path, &set, &err));
    return set;
}

/* "images.K" as floats, and their n and C, H, W; NULL when there are no more. */
static inline float *hs_classifier_images(const hs_tensor_set *set, int k, int *n, int image[3]) {
    char name[32];
    snprintf(name, sizeof name, "images.%d", k);
    const hs_tensor *tensor = hs_tensor_set_find(set, name);
    if (!tensor)
        return NULL;
    int64_t count = hs_tensor_count(tensor);
    float *x = malloc((size_t)count * sizeof *x);
    assert_non_null(x);
    assert_int_equal(tensor->dtype, HS_U8);
    for (int64_t i = 0; i < count; i++)
        x[i] = (float)(((const uint8_t *)tensor->data)[i] / 127.5 - 1);
    *n = (int)tensor->dim[0];
    for (int i = 0; i < 3; i++)
        image[i] = (int)tensor->dim[i + 1];
    return x;
}

#endif
