/* See json.h. */
#include "io/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "io/file.h"

/* Nobody's config is larger; it keeps a hostile file from filling memory. */
#define HS_JSON_MAX_BYTES ((size_t)100 << 20)

hs_status hs_json_parse(const char *path, const void *data, size_t size, json_t **out,
                        hs_error *err) {
    json_error_t where;
    if (size > HS_JSON_MAX_BYTES)
        return hs_fail(err, HS_ERROR_FORMAT, "%s: expected at most %zu bytes of JSON, found %zu",
                       path, HS_JSON_MAX_BYTES, size);
    json_t *value =
        json_loadb(size ? data : "", size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &where);
    if (!value && json_error_code(&where) == json_error_out_of_memory)
        return hs_fail_memory(err, size);
    if (!value)
        return hs_fail(err, HS_ERROR_FORMAT, "%s: line %d, column %d: not valid JSON: %s", path,
                       where.line, where.column, where.text);
    *out = value;
    return HS_OK;
}

hs_status hs_json_parse_object(const char *path, const void *data, size_t size, json_t **out,
                               hs_error *err) {
    json_t *value = NULL;
    HS_TRY(hs_json_parse(path, data, size, &value, err));
    if (!json_is_object(value)) {
        char found[100];
        hs_json_describe(value, found);
        json_decref(value);
        return hs_fail(err, HS_ERROR_FORMAT, "%s: expected a JSON object, found %s", path, found);
    }
    *out = value;
    return HS_OK;
}

hs_status hs_json_load(const char *path, json_t **out, hs_error *err) {
    hs_file file;
    HS_TRY(hs_file_map(path, &file, err));
    hs_status status = hs_json_parse_object(path, file.data, file.size, out, err);
    hs_file_unmap(&file);
    return status;
}

hs_status hs_json_save(const char *path, const json_t *value, hs_error *err) {
    hs_atomic file;
    char *text = json_dumps(value, JSON_INDENT(2) | JSON_ENCODE_ANY);
    if (!text)
        return hs_fail_memory(err, 0);
    hs_status status = hs_atomic_open(&file, path, err);
    if (status == HS_OK)
        status = hs_atomic_write(&file, text, strlen(text), err);
    if (status == HS_OK)
        status = hs_atomic_write(&file, "\n", 1, err);
    if (status == HS_OK)
        status = hs_atomic_commit(&file, err);
    hs_atomic_abort(&file);
    free(text);
    return status;
}

void hs_json_describe(const json_t *value, char text[100]) {
    switch (value ? json_typeof(value) : JSON_NULL) {
    case JSON_OBJECT: snprintf(text, 100, "an object"); return;
    case JSON_ARRAY: snprintf(text, 100, "a list of %zu", json_array_size(value)); return;
    case JSON_STRING: snprintf(text, 100, "the string \"%.60s\"", json_string_value(value)); return;
    case JSON_INTEGER: snprintf(text, 100, "%lld", (long long)json_integer_value(value)); return;
    case JSON_REAL: snprintf(text, 100, "%.17g", json_real_value(value)); return;
    case JSON_TRUE: snprintf(text, 100, "true"); return;
    case JSON_FALSE: snprintf(text, 100, "false"); return;
    case JSON_NULL: snprintf(text, 100, "null"); return;
    }
    snprintf(text, 100, "an unknown value");
}

static json_t *hs_json_find(const json_t *object, const char *key) {
    json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

bool hs_json_absent(const json_t *object, const char *key) {
    return !hs_json_find(object, key);
}

hs_status hs_json_need(const json_t *object, const char *key, hs_error *err) {
    if (!hs_json_absent(object, key))
        return HS_OK;
    return hs_fail(err, HS_ERROR_FORMAT, "key \"%s\" is missing", key);
}

hs_status hs_json_known_keys(const json_t *object, const char *const *known, hs_error *err) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        int i = 0;
        while (known[i] && strcmp(known[i], key))
            i++;
        if (!known[i])
            return hs_fail(err, HS_ERROR_FORMAT, "key \"%.100s\" is not known", key);
    }
    return HS_OK;
}

/* "key" or "key[index]" is not what was expected. */
static hs_status hs_json_refuse(const char *key, int index, const char *expected,
                                const json_t *value, hs_error *err) {
    char found[100], element[24] = "";
    hs_json_describe(value, found);
    if (index >= 0)
        snprintf(element, sizeof element, "[%d]", index);
    return hs_fail(err, HS_ERROR_FORMAT, "key \"%s%s\": expected %s, found %s", key, element,
                   expected, found);
}

static hs_status hs_json_int(const char *key, int index, const json_t *value, int64_t min,
                             int64_t max, int64_t *out, hs_error *err) {
    char expected[100];
    if (json_is_integer(value)) {
        int64_t number = json_integer_value(value);
        if (number >= min && number <= max) {
            *out = number;
            return HS_OK;
        }
    }
    snprintf(expected, sizeof expected, "an integer from %lld to %lld", (long long)min,
             (long long)max);
    return hs_json_refuse(key, index, expected, value, err);
}

static hs_status hs_json_double(const char *key, int index, const json_t *value, double min,
                                double max, double *out, hs_error *err) {
    char expected[100];
    if (json_is_number(value)) {
        double number = json_number_value(value);
        if (number >= min && number <= max) {
            *out = number;
            return HS_OK;
        }
    }
    snprintf(expected, sizeof expected, "a number from %g to %g", min, max);
    return hs_json_refuse(key, index, expected, value, err);
}

hs_status hs_json_get_int(const json_t *object, const char *key, int64_t otherwise, int64_t min,
                          int64_t max, int64_t *out, hs_error *err) {
    const json_t *value = hs_json_find(object, key);
    if (value)
        return hs_json_int(key, -1, value, min, max, out, err);
    *out = otherwise;
    return HS_OK;
}

hs_status hs_json_get_double(const json_t *object, const char *key, double otherwise, double min,
                             double max, double *out, hs_error *err) {
    const json_t *value = hs_json_find(object, key);
    if (value)
        return hs_json_double(key, -1, value, min, max, out, err);
    *out = otherwise;
    return HS_OK;
}

hs_status hs_json_get_bool(const json_t *object, const char *key, bool otherwise, bool *out,
                           hs_error *err) {
    const json_t *value = hs_json_find(object, key);
    if (value && !json_is_boolean(value))
        return hs_json_refuse(key, -1, "true or false", value, err);
    *out = value ? json_is_true(value) : otherwise;
    return HS_OK;
}

hs_status hs_json_get_string(const json_t *object, const char *key, const char *otherwise,
                             const char **out, hs_error *err) {
    const json_t *value = hs_json_find(object, key);
    if (value && !json_is_string(value))
        return hs_json_refuse(key, -1, "a string", value, err);
    *out = value ? json_string_value(value) : otherwise;
    return HS_OK;
}

hs_status hs_json_get_array(const json_t *object, const char *key, json_t **out, hs_error *err) {
    json_t *value = hs_json_find(object, key);
    if (value && !json_is_array(value))
        return hs_json_refuse(key, -1, "a list", value, err);
    *out = value;
    return HS_OK;
}

hs_status hs_json_get_object(const json_t *object, const char *key, json_t **out, hs_error *err) {
    json_t *value = hs_json_find(object, key);
    if (value && !json_is_object(value))
        return hs_json_refuse(key, -1, "an object", value, err);
    *out = value;
    return HS_OK;
}

/* The list at `key`, at most `capacity` long; *count is 0 when absent. */
static hs_status hs_json_list(const json_t *object, const char *key, int capacity, json_t **out,
                              int *count, hs_error *err) {
    HS_TRY(hs_json_get_array(object, key, out, err));
    size_t size = json_array_size(*out);
    if (size > (size_t)capacity) {
        char expected[100];
        snprintf(expected, sizeof expected, "a list of at most %d", capacity);
        return hs_json_refuse(key, -1, expected, *out, err);
    }
    *count = (int)size;
    return HS_OK;
}

hs_status hs_json_get_ints(const json_t *object, const char *key, int64_t min, int64_t max,
                           int64_t *out, int capacity, int *count, hs_error *err) {
    json_t *list;
    int size;
    HS_TRY(hs_json_list(object, key, capacity, &list, &size, err));
    for (int i = 0; i < size; i++)
        HS_TRY(hs_json_int(key, i, json_array_get(list, (size_t)i), min, max, &out[i], err));
    *count = size;
    return HS_OK;
}

hs_status hs_json_get_doubles(const json_t *object, const char *key, double min, double max,
                              double *out, int capacity, int *count, hs_error *err) {
    json_t *list;
    int size;
    HS_TRY(hs_json_list(object, key, capacity, &list, &size, err));
    for (int i = 0; i < size; i++)
        HS_TRY(hs_json_double(key, i, json_array_get(list, (size_t)i), min, max, &out[i], err));
    *count = size;
    return HS_OK;
}

hs_status hs_json_get_strings(const json_t *object, const char *key, const char **out, int capacity,
                              int *count, hs_error *err) {
    json_t *list;
    int size;
    HS_TRY(hs_json_list(object, key, capacity, &list, &size, err));
    for (int i = 0; i < size; i++) {
        const json_t *value = json_array_get(list, (size_t)i);
        if (!json_is_string(value))
            return hs_json_refuse(key, i, "a string", value, err);
        out[i] = json_string_value(value);
    }
    *count = size;
    return HS_OK;
}
