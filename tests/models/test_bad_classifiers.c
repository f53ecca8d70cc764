/* Classifiers that do not fit, are damaged or incomplete: one clear line each. */
#include <jansson.h>

#include "models/classifier_support.h"

static void hs_refused(const char *path, const hs_classifier_options *options, hs_status status,
                       const char *const *words) {
    hs_error err = {0};
    hs_classifier *classifier = (hs_classifier *)(uintptr_t)1;
    hs_status found = hs_classifier_open(path, options, NULL, &classifier, &err);
    if (found == HS_OK) {
        hs_classifier_free(classifier);
        fail_msg("%s was opened, expected an error that says %s", path, words[0]);
    }
    assert_null(classifier);
    for (; *words; words++)
        if (!strstr(err.message, *words))
            fail_msg("\"%s\" does not say \"%s\"", err.message, *words);
    if (found != status)
        fail_msg("%s: %s, expected %s", err.message, hs_status_name(found), hs_status_name(status));
    assert_null(strchr(err.message, '\n'));
}
#define REFUSED(path, options, status, ...)                                                        \
    hs_refused(path, options, status, (const char *const[]){__VA_ARGS__, NULL})

/* A copy of golden/classifiers/basic, to be damaged. */
typedef struct hs_copy {
    char *folder;
    json_t *config, *processor;
    hs_tensor_set *weights;
} hs_copy;

static void hs_copy_json(const hs_copy *copy, const char *name, const json_t *json) {
    char *path = hs_format("%s/%s", copy->folder, name);
    assert_int_equal(json_dump_file(json, path, 0), 0);
    free(path);
}

static void hs_copy_weights(const hs_copy *copy, const hs_tensor *tensors, int count) {
    hs_error err = {0};
    char *path = hs_format("%s/model.safetensors", copy->folder);
    assert_ok(hs_safetensors_write(path, tensors, count, NULL, &err));
    free(path);
}

static void hs_copy_write(const hs_copy *copy) {
    hs_copy_json(copy, "config.json", copy->config);
    hs_copy_json(copy, "preprocessor_config.json", copy->processor);
    hs_copy_weights(copy, copy->weights->tensors, copy->weights->count);
}

static void hs_copy_open(hs_copy *copy) {
    hs_error err = {0};
    copy->folder = hs_test_make_folder();
    copy->config = json_load_file(HS_CLASSIFIERS "basic/config.json", 0, NULL);
    copy->processor = json_load_file(HS_CLASSIFIERS "basic/preprocessor_config.json", 0, NULL);
    assert_ok(hs_safetensors_open(HS_CLASSIFIERS "basic/model.safetensors", &copy->weights, &err));
    hs_copy_write(copy);
}

static void hs_copy_close(hs_copy *copy) {
    hs_test_remove_folder(copy->folder);
    free(copy->folder);
    json_decref(copy->config);
    json_decref(copy->processor);
    hs_tensor_set_free(copy->weights);
}

/* Set object[key] to the JSON text `value`, expect the refusal, put it back. */
static void hs_refused_key(hs_copy *copy, json_t *object, const char *key, const char *value,
                           hs_status status, const char *word) {
    json_t *old = json_incref(json_object_get(object, key));
    assert_int_equal(json_object_set_new(object, key, json_loads(value, JSON_DECODE_ANY, NULL)), 0);
    hs_copy_write(copy);
    REFUSED(copy->folder, NULL, status, word, "expected");
    if (old)
        json_object_set_new(object, key, old);
    else
        json_object_del(object, key);
}

static void configs_are_checked(void **state) {
    static const struct {
        const char *key, *value;
        hs_status status;
        const char *word;
    } cases[] = {
        {"model_type", "\"convnext\"", HS_ERROR_UNSUPPORTED, "convnext"},
        {"architectures", "[\"ResNetBackbone\"]", HS_ERROR_UNSUPPORTED, "ResNetBackbone"},
        {"layer_type", "\"preact\"", HS_ERROR_UNSUPPORTED, "preact"},
        {"hidden_act", "\"tanh\"", HS_ERROR_UNSUPPORTED, "tanh"},
        {"problem_type", "\"ranking\"", HS_ERROR_UNSUPPORTED, "ranking"},
        {"hidden_sizes", "[8, 10]", HS_ERROR_FORMAT, "hidden_sizes has 2"},
        {"hidden_sizes", "[]", HS_ERROR_FORMAT, "hidden_sizes has 0"},
        {"depths", "[1, -2, 1]", HS_ERROR_FORMAT, "depths"},
        {"depths", "[1, 1000000000, 1]", HS_ERROR_FORMAT, "depths"},
        {"embedding_size", "0", HS_ERROR_FORMAT, "embedding_size"},
        {"num_channels", "\"three\"", HS_ERROR_FORMAT, "num_channels"},
        {"id2label", "{\"0\": \"a\", \"2\": \"b\"}", HS_ERROR_FORMAT, "\"1\""},
        {"id2label", "{}", HS_ERROR_FORMAT, "id2label has 0"},
        {"id2label", "{\"0\": \"a\", \"1\": \"b\"}", HS_ERROR_MISMATCH, "2 labels for 5 outputs"},
        {"embedding_size", "7", HS_ERROR_FORMAT, "embedder.convolution.weight"},
        {"downsample_in_first_stage", "1", HS_ERROR_FORMAT, "downsample_in_first_stage"},
    };
    hs_copy copy;
    hs_copy_open(&copy);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        hs_refused_key(&copy, copy.config, cases[i].key, cases[i].value, cases[i].status,
                       cases[i].word);
    hs_copy_close(&copy);
}

static void preprocessing_is_checked(void **state) {
    static const struct {
        const char *key, *value;
        hs_status status;
        const char *word;
    } cases[] = {
        {"image_processor_type", "\"CLIPImageProcessor\"", HS_ERROR_UNSUPPORTED, "CLIP"},
        {"resample", "0", HS_ERROR_UNSUPPORTED, "resample 0"},
        {"do_center_crop", "true", HS_ERROR_UNSUPPORTED, "do_center_crop"},
        {"size", "{\"height\": 24}", HS_ERROR_FORMAT, "size"},
        {"size", "{\"height\": 24, \"width\": 0}", HS_ERROR_FORMAT, "width"},
        {"image_mean", "[0.5, 0.5]", HS_ERROR_FORMAT, "image_mean has 2"},
        {"image_std", "[0.5, 0, 0.5]", HS_ERROR_FORMAT, "image_std"},
        {"rescale_factor", "-1", HS_ERROR_FORMAT, "rescale_factor"},
    };
    hs_copy copy;
    hs_copy_open(&copy);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        hs_refused_key(&copy, copy.processor, cases[i].key, cases[i].value, cases[i].status,
                       cases[i].word);
    char *path = hs_format("%s/preprocessor_config.json", copy.folder);
    assert_int_equal(remove(path), 0);
    REFUSED(copy.folder, NULL, HS_ERROR_ARGUMENT, "preprocessor_config.json", "size=224");
    free(path);
    hs_copy_close(&copy);
}

static void preprocess_text_is_checked(void **state) {
    static const struct {
        const char *text, *word;
    } cases[] = {
        {"", "expected size="},
        {"size=24,mean=0.5", "std= is missing"},
        {"mean=0.5,std=0.5", "size= is missing"},
        {"size=24,std=1", "mean= is missing"},
        {"size=24x,mean=0.5,std=0.5", "24x"},
        {"size=0,mean=0.5,std=0.5", "size=0"},
        {"size=24,mean=0.5/0.5,std=0.5", "has 2 numbers, expected 3"},
        {"size=24,mean=0.5/0.5/0.5/0.5,std=0.5", "mean=0.5/0.5/0.5/0.5"},
        {"size=24,mean=0.5,std=0", "std=0"},
        {"size=24,mean=half,std=0.5", "mean=half"},
        {"size=24,mean=0.5,std=0.5,crop=3", "crop"},
        {"size=24,mean=0.5,std=0.5,resample=nearest", "nearest"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hs_classifier_options options = hs_classifier_options_default();
        options.preprocess = cases[i].text;
        REFUSED(HS_CLASSIFIERS "basic", &options, HS_ERROR_ARGUMENT, "preprocess", cases[i].word);
    }
}

static void tensors_are_checked(void **state) {
    hs_copy copy;
    hs_copy_open(&copy);
    int count = copy.weights->count;
    hs_tensor *tensors = calloc((size_t)count + 1, sizeof *tensors);
    assert_non_null(tensors);
    for (int i = 0; i < count; i++) { /* each missing in turn */
        const char *name = copy.weights->tensors[i].name;
        if (strstr(name, "num_batches_tracked"))
            continue;
        memcpy(tensors, copy.weights->tensors, (size_t)count * sizeof *tensors);
        tensors[i] = tensors[count - 1];
        hs_copy_weights(&copy, tensors, count - 1);
        REFUSED(copy.folder, NULL, HS_ERROR_FORMAT, name, "missing");
    }
    memcpy(tensors, copy.weights->tensors, (size_t)count * sizeof *tensors);
    tensors[count] = tensors[0];
    tensors[count].name = "zz.extra";
    hs_copy_weights(&copy, tensors, count + 1);
    REFUSED(copy.folder, NULL, HS_ERROR_FORMAT, "zz.extra", "superfluous");

    static const float bad[6] = {1, 1, -1, 1, 1, 1};
    for (int i = 0; i < count; i++)
        if (!strcmp(tensors[i].name, "resnet.embedder.embedder.normalization.running_var"))
            tensors[i].data = bad;
    hs_copy_weights(&copy, tensors, count);
    REFUSED(copy.folder, NULL, HS_ERROR_NUMERIC, "running_var", "-1", "position 2");
    free(tensors);

    char *path = hs_format("%s/model.safetensors", copy.folder);
    assert_int_equal(remove(path), 0);
    REFUSED(copy.folder, NULL, HS_ERROR_IO, "no weights", "model.safetensors");
    free(path);
    hs_copy_close(&copy);
}

static void hs_refused_labels(const char *folder, const char *text, size_t size, hs_status status,
                              const char *word) {
    hs_error err = {0};
    hs_classifier_options options = hs_classifier_options_default();
    char *path = hs_format("%s/labels.txt", folder);
    assert_ok(hs_file_write(path, text, size, &err));
    options.labels = path;
    options.preprocess = "size=33," HS_IMAGENET;
    REFUSED(HS_CLASSIFIERS "resnet18.pth", &options, status, word, "expected");
    free(path);
}

static void labels_are_checked(void **state) {
    char *folder = hs_test_make_folder();
    hs_classifier_options options = hs_classifier_options_default();
    options.preprocess = "size=33," HS_IMAGENET;
    REFUSED(HS_CLASSIFIERS "resnet18.pth", &options, HS_ERROR_ARGUMENT, "labels",
            "one label a line");
    options.labels = "no/such/file";
    REFUSED(HS_CLASSIFIERS "resnet18.pth", &options, HS_ERROR_IO, "no/such/file");
    options.labels = HS_CLASSIFIERS "two_a_label.txt";
    REFUSED(HS_CLASSIFIERS "resnet18.pth", &options, HS_ERROR_MISMATCH, "4 labels for 5 outputs");
    REFUSED(HS_CLASSIFIERS "hopenet.safetensors", &options, HS_ERROR_MISMATCH, "4 labels", "three");
    options.labels = HS_CLASSIFIERS "five.txt";
    options.kind = HS_CLASSIFIER_POSE;
    REFUSED(HS_CLASSIFIERS "resnet18.pth", &options, HS_ERROR_MISMATCH, "pose");
    options.kind = HS_CLASSIFIER_PAIRS;
    REFUSED(HS_CLASSIFIERS "resnet18.pth", &options, HS_ERROR_MISMATCH, "5 labels for 5 outputs");
    options.kind = HS_CLASSIFIER_AUTO;
    options.preprocess = NULL;
    REFUSED(HS_CLASSIFIERS "resnet18.pth", &options, HS_ERROR_ARGUMENT, "size=224");
    hs_refused_labels(folder, "", 0, HS_ERROR_FORMAT, "0 labels");
    hs_refused_labels(folder, "a\n\nb\nc\nd\ne\n", 11, HS_ERROR_FORMAT, "line 2 is empty");
    hs_refused_labels(folder, "a\nb\0\nc\nd\ne\n", 11, HS_ERROR_FORMAT, "zero byte");
    hs_test_remove_folder(folder);
    free(folder);
}

/* CRLF, a byte order mark, white space and empty lines at the end. */
static void labels_of_any_editor(void **state) {
    static const char text[] = "\xEF\xBB\xBF"
                               "cat\r\ndog  \r\nbird\r\nfish\r\nbig ant\r\n\r\n";
    char *folder = hs_test_make_folder(), *path = hs_format("%s/labels.txt", folder);
    hs_error err = {0};
    hs_classifier *classifier;
    hs_classifier_options options = hs_classifier_options_default();
    assert_ok(hs_file_write(path, text, sizeof text - 1, &err));
    options.labels = path;
    options.preprocess = "size=33," HS_IMAGENET;
    assert_ok(hs_classifier_open(HS_CLASSIFIERS "resnet18.pth", &options, NULL, &classifier, &err));
    assert_int_equal(hs_classifier_find(classifier, "cat"), 0);
    assert_int_equal(hs_classifier_find(classifier, "dog"), 1);
    assert_int_equal(hs_classifier_find(classifier, "big ant"), 4);
    hs_classifier_free(classifier);
    hs_test_remove_folder(folder);
    free(path);
    free(folder);
}

static void other_files_are_refused(void **state) {
    hs_classifier_options options = hs_classifier_options_default();
    options.preprocess = "size=33," HS_IMAGENET;
    options.labels = HS_CLASSIFIERS "five.txt";
    REFUSED("golden/models/plain", NULL, HS_ERROR_IO, "config.json");
    REFUSED("golden/models/plain/unet", NULL, HS_ERROR_IO, "no weights");
    REFUSED("no such thing", NULL, HS_ERROR_IO, "no such thing");
    REFUSED(HS_CLASSIFIERS "resize.safetensors", &options, HS_ERROR_UNSUPPORTED, "conv1.weight",
            "bicubic");
    REFUSED(HS_CLASSIFIERS "five.txt", &options, HS_ERROR_FORMAT, "five.txt");
}

static void images_are_checked(void **state) {
    hs_error err = {0};
    float x[3 * 24 * 24] = {0}, scores[5];
    hs_classifier *classifier = hs_classifier_opened(&hs_classifier_cases[0], HS_BACKEND_ONEDNN, 1);
    assert_int_equal(hs_classifier_scores(classifier, 1, (int[]){1, 24, 24}, x, scores, &err),
                     HS_ERROR_MISMATCH);
    assert_non_null(strstr(err.message, "3 channels"));
    assert_int_equal(hs_classifier_scores(classifier, 0, (int[]){3, 24, 24}, x, scores, &err),
                     HS_ERROR_ARGUMENT);
    assert_int_equal(hs_classifier_scores(classifier, 1, (int[]){3, 24, -1}, x, scores, &err),
                     HS_ERROR_ARGUMENT);
    x[17] = 0.0f / 0.0f;
    assert_int_equal(hs_classifier_scores(classifier, 1, (int[]){3, 24, 24}, x, scores, &err),
                     HS_ERROR_NUMERIC);
    assert_non_null(strstr(err.message, "image 0"));
    hs_classifier_free(classifier);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(configs_are_checked),        cmocka_unit_test(preprocessing_is_checked),
        cmocka_unit_test(preprocess_text_is_checked), cmocka_unit_test(tensors_are_checked),
        cmocka_unit_test(labels_are_checked),         cmocka_unit_test(labels_of_any_editor),
        cmocka_unit_test(other_files_are_refused),    cmocka_unit_test(images_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
