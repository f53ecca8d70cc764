/* Opening a classifier: config, weights, labels, preprocessing. */
#include "models/classifier_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/family.h"

typedef struct hs_classifier_opener {
    hs_classifier_model *model;
    const hs_model_files *files;
    const hs_classifier_options *options;
    const hs_monitor *monitor;
    hs_error *err;
    const char *config; /* canonical config.json, or NULL; in the model's arena */
} hs_classifier_opener;

/* ------------------------------------------------------------- folders -- */

/* config.json -> net.config; its canonical text goes into the identity. */
static hs_status hs_classifier_read_config(hs_classifier_opener *o) {
    hs_status status;
    hs_file file = {0};
    json_t *json = NULL;
    char *path = hs_model_files_path(o->files, "config.json");
    if (!path)
        return hs_fail_memory(o->err, 4096);
    HS_CHECK(hs_model_files_read(o->files, "config.json", &file, o->err));
    HS_CHECK(hs_json_parse_object(path, file.data, file.size, &json, o->err));
    HS_CHECK(hs_resnet_config_parse(path, json, &o->model->net, o->err));
    o->config = hs_config_canonical(file.data, file.size, &o->model->arena);
    if (!o->config)
        status = hs_fail_memory(o->err, file.size);
cleanup:
    json_decref(json);
    hs_file_unmap(&file);
    free(path);
    return status;
}

static hs_status hs_classifier_read_preprocess(hs_classifier_opener *o) {
    static const char *const name = "preprocessor_config.json";
    int channels = o->model->net.config.channels;
    if (o->options->preprocess)
        return hs_preprocess_text(o->options->preprocess, channels, &o->model->preprocess, o->err);
    if (!o->files || !hs_model_files_has(o->files, name))
        return hs_fail(o->err, HS_ERROR_ARGUMENT,
                       "%s: nothing says how images are prepared: no %s; give the preprocessing, "
                       "such as size=224,mean=0.485/0.456/0.406,std=0.229/0.224/0.225",
                       o->model->name, name);
    hs_file file = {0};
    char *path = hs_model_files_path(o->files, name);
    if (!path)
        return hs_fail_memory(o->err, 4096);
    hs_status status = hs_model_files_read(o->files, name, &file, o->err);
    if (status == HS_OK)
        status = hs_preprocess_parse(path, file.data, file.size, channels, &o->model->preprocess,
                                     o->err);
    hs_file_unmap(&file);
    free(path);
    return status;
}

/* ---------------------------------------------------------- state dicts -- */

static hs_status hs_classifier_read_dict(hs_classifier_opener *o, const char *path) {
    const char *end = strrchr(path, '.');
    if (end && !strcmp(end, ".safetensors"))
        HS_TRY(hs_safetensors_open(path, &o->model->weights, o->err));
    else
        HS_TRY(hs_torch_open(path, &o->model->weights, o->err));
    return hs_resnet_torchvision_config(path, o->model->weights, &o->model->net, o->err);
}

/* -------------------------------------------------------------- labels -- */

/* Cut `text`, which is writable, into lines without their white space at the
 * end; *out [count] is in the model's arena. Empty lines at the end are none. */
static hs_status hs_classifier_cut_labels(hs_classifier_opener *o, char *text, const char ***out,
                                          int *count) {
    const char *path = o->options->labels;
    size_t lines = 1, used = 0;
    for (const char *at = text; *at; at++)
        lines += *at == '\n';
    const char **labels = hs_arena_alloc(&o->model->arena, lines, sizeof *labels);
    if (!labels)
        return hs_fail_memory(o->err, lines * sizeof *labels);
    for (char *line; (line = strsep(&text, "\n")) != NULL; used++) {
        size_t length = strlen(line);
        while (length && strchr(" \t\r", line[length - 1]))
            line[--length] = 0;
        labels[used] = line;
    }
    while (used && !*labels[used - 1])
        used--;
    if (!used || used > HS_RESNET_WIDTH)
        return hs_fail(o->err, HS_ERROR_FORMAT, "%s: %zu labels, expected 1 to %d, one a line",
                       path, used, HS_RESNET_WIDTH);
    for (size_t i = 0; i < used; i++) {
        if (!*labels[i])
            return hs_fail(o->err, HS_ERROR_FORMAT, "%s: line %zu is empty, expected a label", path,
                           i + 1);
        for (size_t j = 0; j < i; j++)
            if (!strcmp(labels[i], labels[j]))
                return hs_fail(o->err, HS_ERROR_FORMAT,
                               "%s: lines %zu and %zu are the same label, %.60s", path, j + 1,
                               i + 1, labels[i]);
    }
    *out = labels;
    *count = (int)used;
    return HS_OK;
}

static hs_status hs_classifier_read_labels(hs_classifier_opener *o) {
    hs_classifier_model *m = o->model;
    m->labels = m->net.labels;
    m->label_count = m->net.label_count;
    if (!o->options->labels) {
        if (m->labels)
            return HS_OK;
        return hs_fail(o->err, HS_ERROR_ARGUMENT,
                       "%s: a state dict has no labels: give a file with one label a line",
                       m->name);
    }
    hs_file file = {0};
    const char **labels = NULL;
    HS_TRY(hs_file_map(o->options->labels, &file, o->err));
    size_t skip = file.size >= 3 && !memcmp(file.data, "\xEF\xBB\xBF", 3) ? 3 : 0;
    char *text = hs_arena_alloc(&m->arena, file.size - skip + 1, 1);
    if (text && file.size > skip)
        memcpy(text, file.data + skip, file.size - skip);
    bool binary = text && strlen(text) != file.size - skip;
    size_t size = file.size;
    hs_file_unmap(&file);
    if (!text)
        return hs_fail_memory(o->err, size);
    if (binary)
        return hs_fail(o->err, HS_ERROR_FORMAT, "%s: a zero byte, expected text, one label a line",
                       o->options->labels);
    HS_TRY(hs_classifier_cut_labels(o, text, &labels, &m->label_count));
    m->labels = labels;
    return HS_OK;
}

/* ---------------------------------------------------------------- head -- */

static const char *const hs_head_names[] = {"single-label", "multi-label", "regression", "pairs",
                                            "pose"};

/* Outputs that a head of this kind has for `labels` labels. */
static int64_t hs_head_outputs(hs_resnet_head head, int labels) {
    if (head == HS_HEAD_POSE)
        return labels == 3 ? 3 * HS_POSE_BINS : -1;
    return head == HS_HEAD_PAIRS ? 2 * (int64_t)labels : labels;
}

/* What the caller, the checkpoint, or the numbers of outputs and labels say. */
static hs_status hs_classifier_choose_head(hs_classifier_opener *o) {
    hs_classifier_model *m = o->model;
    const hs_resnet *net = &m->net;
    hs_classifier_kind kind = o->options->kind;
    m->head = net->head;
    if (kind != HS_CLASSIFIER_AUTO)
        m->head = (hs_resnet_head)(kind - 1);
    else if (!net->head_said && net->outputs == 2 * (int64_t)m->label_count)
        m->head = HS_HEAD_PAIRS;
    else if (!net->head_said)
        m->head = m->label_count == 1 ? HS_HEAD_MULTI : HS_HEAD_SINGLE;
    if ((m->head == HS_HEAD_POSE) != (net->head == HS_HEAD_POSE))
        return hs_fail(o->err, HS_ERROR_MISMATCH, "%s: kind %s asked for, but its heads are %s",
                       m->name, hs_head_names[m->head],
                       net->head == HS_HEAD_POSE ? "those of a pose" : "none of a pose");
    if (net->outputs != hs_head_outputs(m->head, m->label_count))
        return hs_fail(o->err, HS_ERROR_MISMATCH,
                       "%s: %d labels for %d outputs (%s): expected %s%s", m->name, m->label_count,
                       net->outputs, hs_head_names[m->head],
                       m->head == HS_HEAD_POSE    ? "three"
                       : m->head == HS_HEAD_PAIRS ? "one for two outputs"
                                                  : "one an output",
                       net->head_said || kind ? "" : ", or one for two");
    if (!net->head_said && kind == HS_CLASSIFIER_AUTO)
        hs_notice(o->monitor, "%s: nothing says how its outputs become scores; taken as %s",
                  m->name, hs_head_names[m->head]);
    return HS_OK;
}

/* -------------------------------------------------------------- opening -- */

static hs_status hs_classifier_identify(hs_classifier_opener *o) {
    hs_classifier_model *m = o->model;
    const hs_preprocess *p = &m->preprocess;
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        return hs_fail_memory(o->err, 4096);
    fprintf(stream, "%s\n%d\n%d %d %d %d %d %d %.17g", o->config ? o->config : "torchvision",
            (int)m->head, (int)p->resize, p->height, p->width, p->shortest, p->crop, (int)p->filter,
            p->factor);
    for (int c = 0; c < m->net.config.channels; c++)
        fprintf(stream, " %.17g %.17g", p->mean[c], p->std[c]);
    for (int i = 0; i < m->label_count; i++)
        fprintf(stream, "\n%s", m->labels[i]);
    if (fclose(stream) == 0 && text)
        m->identity = hs_arena_strdup(&m->arena, text);
    free(text);
    return m->identity ? HS_OK : hs_fail_memory(o->err, size);
}

static hs_status hs_classifier_check_options(const hs_classifier_options *options, hs_error *err) {
    if (options->backend != HS_BACKEND_ONEDNN && options->backend != HS_BACKEND_REF)
        return hs_fail(err, HS_ERROR_ARGUMENT, "classifier: back end %d, expected onednn or ref",
                       (int)options->backend);
    if (options->threads < 0 || options->threads > 4096)
        return hs_fail(err, HS_ERROR_ARGUMENT, "classifier: threads %d, expected 0 ... 4096",
                       options->threads);
    if (options->kind < HS_CLASSIFIER_AUTO || options->kind > HS_CLASSIFIER_POSE)
        return hs_fail(err, HS_ERROR_ARGUMENT, "classifier: kind %d, expected 0 ... %d",
                       (int)options->kind, HS_CLASSIFIER_POSE);
    return HS_OK;
}

hs_status hs_classifier_model_open(const char *name, const hs_model_files *files, const char *path,
                                   const hs_classifier_options *options, const hs_monitor *monitor,
                                   hs_classifier_model *out, hs_error *err) {
    hs_classifier_opener o = {out, files, options, monitor, err, NULL};
    HS_TRY(hs_classifier_check_options(options, err));
    out->name = hs_strdup(name);
    if (!out->name)
        return hs_fail_memory(err, strlen(name) + 1);
    if (files) {
        if (!hs_model_files_has(files, "config.json"))
            return hs_fail(err, HS_ERROR_IO, "%s: no classifier; looked for config.json",
                           files->root);
        HS_TRY(hs_classifier_read_config(&o));
        HS_TRY(hs_model_files_classifier_weights(files, &out->weights, err));
    } else {
        HS_TRY(hs_classifier_read_dict(&o, path));
    }
    HS_TRY(hs_resnet_load(name, out->weights, &out->net, err));
    HS_TRY(hs_classifier_read_labels(&o));
    HS_TRY(hs_classifier_choose_head(&o));
    HS_TRY(hs_classifier_read_preprocess(&o));
    return hs_classifier_identify(&o);
}

void hs_classifier_model_free(hs_classifier_model *model) {
    hs_resnet_free(&model->net);
    hs_tensor_set_free(model->weights);
    hs_arena_free(&model->arena);
    free(model->name);
    *model = (hs_classifier_model){0};
}
