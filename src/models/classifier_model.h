/*
 * A classifier as it lies on disk or in memory: the network, what is done with
 * an image before it, its labels. classifier.c runs it.
 */
#ifndef HS_MODELS_CLASSIFIER_MODEL_H
#define HS_MODELS_CLASSIFIER_MODEL_H

#include "models/files.h"
#include "models/preprocess.h"
#include "models/resnet.h"

typedef struct hs_classifier_model {
    char *name; /* the path or name that it was opened by */
    hs_resnet net;
    hs_preprocess preprocess;
    const char *const *labels; /* [label_count] one a score */
    int label_count;
    hs_resnet_head head;
    hs_tensor_set *weights; /* as published; net has its own copy */
    char *identity;         /* all that scores depend on beside the weights; in `arena` */
    hs_arena arena;
} hs_classifier_model;

/* `options` is not NULL. `files` is a folder or blobs, `path` a state dict;
 * exactly one is not NULL. Filled in also on failure: free it in any case. */
hs_status hs_classifier_model_open(const char *name, const hs_model_files *files, const char *path,
                                   const hs_classifier_options *options, const hs_monitor *monitor,
                                   hs_classifier_model *out, hs_error *err);
void hs_classifier_model_free(hs_classifier_model *model);

#endif
