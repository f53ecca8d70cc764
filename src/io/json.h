/*
 * JSON by jansson, with errors that name the file, the key, what was expected
 * and what was found. Duplicate keys are refused.
 *
 * The getters look `key` up in `object`; a key that is absent or null gives
 * the default. A wrong type or a value out of range is HS_ERROR_FORMAT; the
 * message does not know the file: put it before with hs_fail_prefix.
 */
#ifndef HS_IO_JSON_H
#define HS_IO_JSON_H

#include <jansson.h>

#include "base/error.h"

/* Parse text of which `path` is the name; any value at the top. The caller
 * json_decref()s *out. HS_ERROR_FORMAT says the line and column. */
hs_status hs_json_parse(const char *path, const void *data, size_t size, json_t **out,
                        hs_error *err);
/* The same, and the value must be an object. */
hs_status hs_json_parse_object(const char *path, const void *data, size_t size, json_t **out,
                               hs_error *err);
/* Read a file that holds one object. */
hs_status hs_json_load(const char *path, json_t **out, hs_error *err);
/* Write `value` (indented, a newline at the end) atomically. */
hs_status hs_json_save(const char *path, const json_t *value, hs_error *err);

/* Absent or null. */
bool hs_json_absent(const json_t *object, const char *key);
/* HS_ERROR_FORMAT when the key is absent or null. */
hs_status hs_json_need(const json_t *object, const char *key, hs_error *err);
/* HS_ERROR_FORMAT that names the first key not in `known`, which ends in NULL. */
hs_status hs_json_known_keys(const json_t *object, const char *const *known, hs_error *err);

hs_status hs_json_get_int(const json_t *object, const char *key, int64_t otherwise, int64_t min,
                          int64_t max, int64_t *out, hs_error *err);
/* Integers are accepted too. */
hs_status hs_json_get_double(const json_t *object, const char *key, double otherwise, double min,
                             double max, double *out, hs_error *err);
hs_status hs_json_get_bool(const json_t *object, const char *key, bool otherwise, bool *out,
                           hs_error *err);
/* Belongs to `object`, or is `otherwise`. */
hs_status hs_json_get_string(const json_t *object, const char *key, const char *otherwise,
                             const char **out, hs_error *err);
/* Borrowed; NULL when absent. */
hs_status hs_json_get_array(const json_t *object, const char *key, json_t **out, hs_error *err);
hs_status hs_json_get_object(const json_t *object, const char *key, json_t **out, hs_error *err);
/* A list of at most `capacity` numbers; *count is 0 when absent. Messages name
 * the element: "key[3]". */
hs_status hs_json_get_ints(const json_t *object, const char *key, int64_t min, int64_t max,
                           int64_t *out, int capacity, int *count, hs_error *err);
hs_status hs_json_get_doubles(const json_t *object, const char *key, double min, double max,
                              double *out, int capacity, int *count, hs_error *err);
/* A list of strings: pointers that belong to `object`. */
hs_status hs_json_get_strings(const json_t *object, const char *key, const char **out, int capacity,
                              int *count, hs_error *err);

/* The index of a sharded checkpoint (shards.c), checked: *out is its weight_map,
 * an object of plain file names by tensor; json_decref() it. */
hs_status hs_shards_parse(const char *path, const void *data, size_t size, json_t **out,
                          hs_error *err);

/* A value in a few words for a message: "the string \"abc\"", "a list of 3". */
void hs_json_describe(const json_t *value, char text[100]);

#endif
