/*
 * Classifiers against transformers and PyTorch on both back ends
 * (tests/golden/make_classifiers.py), and what hs_classifier_scores promises.
 */
#include <math.h>

#include "hspace_demo.h"
#include "models/classifier_support.h"

/* Largest error observed: 1.5e-6 of the unit of the scores. */
#define TOLERANCE 1e-5

/* The worst error over all golden images; frees the classifier. */
static double hs_case_error(const hs_classifier_case *c, hs_classifier *classifier) {
    hs_error err = {0};
    hs_tensor_set *golden = hs_classifier_golden(c);
    double worst = 0;
    int n, image[3], k = 0;
    for (float *x; (x = hs_classifier_images(golden, k, &n, image)) != NULL; k++) {
        char name[32];
        snprintf(name, sizeof name, "scores.%d", k);
        const hs_tensor *expected = hs_tensor_set_find(golden, name);
        float scores[64];
        assert_int_equal(hs_tensor_count(expected), n * c->labels_count);
        assert_ok(hs_classifier_scores(classifier, n, image, x, scores, &err));
        for (int i = 0; i < n * c->labels_count; i++) {
            double wanted = (double)((const float *)expected->data)[i];
            double error = fabs((double)scores[i] - wanted) / fmax(c->unit, fabs(wanted));
            assert_false(isnan(error));
            worst = fmax(worst, error);
        }
        free(x);
    }
    assert_in_range(k, 1, 3);
    hs_tensor_set_free(golden);
    hs_classifier_free(classifier);
    return worst;
}

static void agree_with_pytorch(void **state) {
    double worst = 0;
    for (int i = 0; i < HS_CLASSIFIER_CASES; i++) {
        const hs_classifier_case *c = &hs_classifier_cases[i];
        double ref = hs_case_error(c, hs_classifier_opened(c, HS_BACKEND_REF, 1));
        double onednn = hs_case_error(c, hs_classifier_opened(c, HS_BACKEND_ONEDNN, 1));
        print_message("%-20s ref %.1e, onednn %.1e\n", c->name, ref, onednn);
        worst = fmax(worst, fmax(ref, onednn));
    }
    assert_true(worst <= TOLERANCE);
}

static void embedded_agrees_with_pytorch(void **state) {
    const hs_classifier_case embedded = {.name = "embedded", .labels_count = 18, .unit = 1};
    hs_classifier *classifier;
    hs_error err = {0};
    assert_ok(hs_demo_classifier_open("avatars32", NULL, NULL, &classifier, &err));
    assert_int_equal(hs_classifier_find(classifier, "Smiling"), 0);
    assert_int_equal(hs_classifier_find(classifier, "Background"), 17);
    double error = hs_case_error(&embedded, classifier);
    print_message("embedded: %.1e\n", error);
    assert_true(error <= TOLERANCE);
}

static void info_says_what_it_is(void **state) {
    for (int i = 0; i < HS_CLASSIFIER_CASES; i++) {
        const hs_classifier_case *c = &hs_classifier_cases[i];
        hs_classifier *classifier = hs_classifier_opened(c, HS_BACKEND_REF, 1);
        hs_classifier_info info;
        int count;
        hs_classifier_get_info(classifier, &info);
        assert_int_equal(info.kind, c->kind);
        assert_int_equal(info.label_count, c->labels_count);
        assert_int_equal(info.channels, strcmp(c->name, "gray") ? 3 : 1);
        assert_in_range(info.parameters, 1000, 100000);
        const char *const *labels = hs_classifier_labels(classifier, &count);
        assert_int_equal(count, c->labels_count);
        for (int j = 0; j < count; j++)
            assert_int_equal(hs_classifier_find(classifier, labels[j]), j);
        assert_int_equal(hs_classifier_find(classifier, "no such label"), -1);
        hs_classifier_free(classifier);
    }
    hs_classifier *basic = hs_classifier_opened(&hs_classifier_cases[0], HS_BACKEND_ONEDNN, 0);
    hs_classifier_info info;
    hs_classifier_get_info(basic, &info);
    assert_string_equal(info.architecture, "ResNetForImageClassification");
    assert_int_equal(info.height, 24);
    assert_int_equal(hs_classifier_find(basic, "Long hair"), 4);
    hs_classifier_free(basic);
}

/* One image in a batch, alone, and with other threads: the same bits. */
static void batch_and_threads_change_nothing(void **state) {
    enum { N = 150, LABELS = 5 };
    const int image[3] = {3, 24, 24}, size = 3 * 24 * 24;
    hs_error err = {0};
    float *x = malloc((size_t)N * size * sizeof *x), all[N * LABELS], again[N * LABELS];
    assert_non_null(x);
    hs_test_fill(5, x, (int64_t)N * size);
    hs_classifier *one = hs_classifier_opened(&hs_classifier_cases[0], HS_BACKEND_ONEDNN, 1);
    hs_classifier *three = hs_classifier_opened(&hs_classifier_cases[0], HS_BACKEND_ONEDNN, 3);
    assert_ok(hs_classifier_scores(one, N, image, x, all, &err));
    assert_ok(hs_classifier_scores(three, N, image, x, again, &err));
    assert_memory_equal(again, all, sizeof all);
    for (int i = 0; i < N; i += 49) {
        assert_ok(hs_classifier_scores(one, 1, image, x + i * size, again, &err));
        assert_memory_equal(again, all + i * LABELS, LABELS * sizeof *all);
    }
    hs_classifier_free(three);
    hs_classifier_free(one);
    free(x);
}

/* Values beyond [-1,1] count as the pixels that a file would hold. */
static void images_are_clamped(void **state) {
    const int image[3] = {3, 24, 24};
    enum { SIZE = 3 * 24 * 24 };
    float x[SIZE], inside[SIZE], a[5], b[5];
    hs_error err = {0};
    hs_test_fill(6, x, SIZE);
    for (int i = 0; i < SIZE; i++) {
        x[i] *= 1.5f;
        inside[i] = fmaxf(-1, fminf(1, x[i]));
    }
    hs_classifier *classifier = hs_classifier_opened(&hs_classifier_cases[0], HS_BACKEND_ONEDNN, 1);
    assert_ok(hs_classifier_scores(classifier, 1, image, x, a, &err));
    assert_ok(hs_classifier_scores(classifier, 1, image, inside, b, &err));
    assert_memory_equal(a, b, sizeof a);
    hs_classifier_free(classifier);
}

static void kind_can_be_chosen(void **state) {
    const hs_classifier_case *dict = &hs_classifier_cases[4];
    hs_error err = {0};
    hs_classifier_options options = hs_classifier_options_default();
    options.labels = dict->labels;
    options.preprocess = dict->preprocess;
    float x[3 * 20 * 20], logits[5], scores[5];
    const int image[3] = {3, 20, 20};
    hs_test_fill(8, x, 3 * 20 * 20);
    hs_classifier *classifier;
    options.kind = HS_CLASSIFIER_REGRESSION;
    assert_ok(hs_classifier_open(HS_CLASSIFIERS "resnet18.pth", &options, NULL, &classifier, &err));
    assert_ok(hs_classifier_scores(classifier, 1, image, x, logits, &err));
    hs_classifier_free(classifier);
    options.kind = HS_CLASSIFIER_MULTI_LABEL;
    assert_ok(hs_classifier_open(HS_CLASSIFIERS "resnet18.pth", &options, NULL, &classifier, &err));
    assert_ok(hs_classifier_scores(classifier, 1, image, x, scores, &err));
    hs_classifier_free(classifier);
    for (int i = 0; i < 5; i++)
        assert_float_equal(scores[i], 1 / (1 + expf(-logits[i])), 1e-6f);
}

static void hs_read_blob(hs_blob *blob, const char *folder, const char *name) {
    char path[128];
    hs_error err = {0};
    hs_file file;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_ok(hs_file_map(path, &file, &err));
    void *copy = malloc(file.size);
    assert_non_null(copy);
    memcpy(copy, file.data, file.size);
    *blob = (hs_blob){name, copy, file.size};
    hs_file_unmap(&file);
}

/* From memory as from files; the fingerprint knows what scores depend on. */
static void blobs_and_fingerprint(void **state) {
    const char *folder = HS_CLASSIFIERS "basic";
    const int image[3] = {3, 30, 26};
    float x[3 * 30 * 26], a[5], b[5];
    char from_file[33], from_blobs[33], other[33];
    hs_error err = {0};
    hs_blob blobs[3];
    hs_classifier *classifier;
    hs_test_fill(9, x, 3 * 30 * 26);
    hs_read_blob(&blobs[0], folder, "config.json");
    hs_read_blob(&blobs[1], folder, "model.safetensors");
    hs_read_blob(&blobs[2], folder, "preprocessor_config.json");

    assert_ok(hs_classifier_open(folder, NULL, NULL, &classifier, &err));
    assert_ok(hs_classifier_scores(classifier, 1, image, x, a, &err));
    assert_ok(hs_classifier_fingerprint(classifier, from_file, &err));
    hs_classifier_free(classifier);
    assert_ok(hs_classifier_open_blobs("inside", blobs, 3, NULL, NULL, &classifier, &err));
    assert_ok(hs_classifier_scores(classifier, 1, image, x, b, &err));
    assert_ok(hs_classifier_fingerprint(classifier, from_blobs, &err));
    hs_classifier_free(classifier);
    assert_memory_equal(a, b, sizeof a);
    assert_string_equal(from_file, from_blobs);

    hs_classifier_options options = hs_classifier_options_default();
    options.preprocess = "size=24,mean=0.5,std=0.25";
    assert_ok(hs_classifier_open(folder, &options, NULL, &classifier, &err));
    assert_ok(hs_classifier_fingerprint(classifier, other, &err));
    assert_string_not_equal(from_file, other);
    hs_classifier_free(classifier);
    for (int i = 0; i < 3; i++)
        free((void *)(uintptr_t)blobs[i].data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agree_with_pytorch),    cmocka_unit_test(embedded_agrees_with_pytorch),
        cmocka_unit_test(info_says_what_it_is),  cmocka_unit_test(batch_and_threads_change_nothing),
        cmocka_unit_test(images_are_clamped),    cmocka_unit_test(kind_can_be_chosen),
        cmocka_unit_test(blobs_and_fingerprint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
