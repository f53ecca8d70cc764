/* See index.h: scores out of an index, labels into it, what is in it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "io/labels.h"
#include "store/index.h"

/* ---------------------------------------------------------------- labels -- */

/* Labels are told apart by what they say: the same file twice is one source. */
static void hs_labels_fingerprint(const hs_labels *labels, char out[33]) {
    XXH3_state_t *state = XXH3_createState();
    XXH128_hash_t hash = {0};
    if (state) {
        XXH3_128bits_reset(state);
        for (int a = 0; a < labels->attributes; a++)
            XXH3_128bits_update(state, labels->names[a], strlen(labels->names[a]) + 1);
        XXH3_128bits_update(state, labels->seeds, (size_t)labels->rows * sizeof *labels->seeds);
        XXH3_128bits_update(state, labels->values,
                            (size_t)labels->rows * (size_t)labels->attributes *
                                sizeof *labels->values);
        hash = XXH3_128bits_digest(state);
        XXH3_freeState(state);
    }
    snprintf(out, 33, "%016llx%016llx", (unsigned long long)hash.high64,
             (unsigned long long)hash.low64);
}

/* The rows that name a seed, packed to the front; the others are told. */
static int hs_labels_seed_rows(const hs_labels *labels, const char *name, const hs_monitor *monitor,
                               int64_t *seeds, double *values) {
    int n = 0;
    size_t a = (size_t)labels->attributes;
    for (int i = 0; i < labels->rows; i++) {
        if (labels->seeds[i] < 0) {
            if (i - n < 20)
                hs_notice(monitor, "%s: left out: \"%.100s\" names no seed", name,
                          labels->items[i]);
            continue;
        }
        seeds[n] = labels->seeds[i];
        memcpy(values + (size_t)n * a, labels->values + (size_t)i * a, a * sizeof *values);
        n++;
    }
    return n;
}

hs_status hs_index_import(hs_index *index, const char *name, const hs_labels *labels,
                          const hs_monitor *monitor, int *added, hs_error *err) {
    hs_status status;
    int64_t source;
    char fingerprint[33];
    size_t rows = (size_t)labels->rows, a = (size_t)labels->attributes;
    int64_t *seeds = hs_calloc(rows + 1, sizeof *seeds);
    double *values = hs_calloc(rows * a + 1, sizeof *values);
    if (!seeds || !values) {
        status = hs_fail_memory(err, rows * (a + 1) * sizeof *values);
        goto cleanup;
    }
    int n = hs_labels_seed_rows(labels, name, monitor, seeds, values);
    if (!n) {
        status =
            hs_fail(err, HS_ERROR_FORMAT,
                    "%s: none of its %d rows names a seed, as \"12\" or \"003_seed_12.png\" do",
                    name, labels->rows);
        goto cleanup;
    }
    hs_labels_fingerprint(labels, fingerprint);
    HS_CHECK(hs_index_source(index, "labels", name, fingerprint, labels->names, labels->attributes,
                             &source, err));
    HS_CHECK(hs_index_add(index, source, n, seeds, labels->names, labels->attributes, values, err));
    *added = n;
cleanup:
    free(values);
    free(seeds);
    return status;
}

/* --------------------------------------------------------------- summary -- */

hs_status hs_index_summary(hs_index *index, hs_index_attribute **out, int *count, hs_error *err) {
    hs_status status;
    sqlite3_stmt *statement = NULL;
    hs_index_attribute *list = NULL;
    int64_t total;
    int n = 0;
    bool row = true;
    HS_CHECK(
        hs_database_number(&index->database, "SELECT count(*) FROM attribute", 0, &total, err));
    list = hs_calloc((size_t)total + 1, sizeof *list);
    if (!list) {
        status = hs_fail_memory(err, (size_t)total * sizeof *list);
        goto cleanup;
    }
    HS_CHECK(hs_database_prepare(
        &index->database,
        "SELECT a.name, s.kind, s.name, count(v.value), ifnull(avg(v.value), 0),"
        " ifnull(min(v.value), 0), ifnull(max(v.value), 0)"
        " FROM attribute a JOIN source s ON s.id = a.source"
        " LEFT JOIN score v ON v.attribute = a.id GROUP BY a.id ORDER BY a.id",
        &statement, err));
    while (n < total) {
        HS_CHECK(hs_database_step(&index->database, statement, &row, err));
        if (!row)
            break;
        const char *text[3];
        for (int i = 0; i < 3; i++) {
            const char *value = (const char *)sqlite3_column_text(statement, i);
            if (!(text[i] = hs_arena_strdup(&index->arena, value ? value : ""))) {
                status = hs_fail_memory(err, 64);
                goto cleanup;
            }
        }
        list[n++] = (hs_index_attribute){.name = text[0],
                                         .kind = text[1],
                                         .source = text[2],
                                         .samples = sqlite3_column_int64(statement, 3),
                                         .mean = sqlite3_column_double(statement, 4),
                                         .min = sqlite3_column_double(statement, 5),
                                         .max = sqlite3_column_double(statement, 6)};
    }
    *out = list;
    *count = n;
    list = NULL;
cleanup:
    free(list);
    sqlite3_finalize(statement);
    return status;
}

hs_status hs_index_samples(hs_index *index, int64_t *samples, hs_error *err) {
    return hs_database_number(&index->database, "SELECT count(DISTINCT seed) FROM sample", 0,
                              samples, err);
}

/* ---------------------------------------------------------------- scores -- */

/* Of the attributes of this name, the id; it must be one source's. */
static hs_status hs_index_find_attribute(hs_index *index, const char *name, const char *source,
                                         int64_t *id, hs_error *err) {
    hs_status status;
    sqlite3_stmt *find = NULL;
    bool row;
    HS_CHECK(hs_database_prepare(
        &index->database,
        "SELECT a.id, count(*), min(s.name), max(s.name) FROM attribute a JOIN source s ON s.id ="
        " a.source WHERE a.name = ?1 AND (?2 IS NULL OR s.name = ?2)",
        &find, err));
    sqlite3_bind_text(find, 1, name, -1, SQLITE_STATIC);
    if (source)
        sqlite3_bind_text(find, 2, source, -1, SQLITE_STATIC);
    HS_CHECK(hs_database_step(&index->database, find, &row, err));
    int found = row ? sqlite3_column_int(find, 1) : 0;
    if (found == 1)
        *id = sqlite3_column_int64(find, 0);
    else if (!found)
        status = hs_fail(err, HS_ERROR_ARGUMENT,
                         "%s: there is no attribute '%.60s' in it%s%.60s (hspace annotate --list "
                         "shows them)",
                         index->database.path, name, source ? " by " : "", source ? source : "");
    else
        status =
            hs_fail(err, HS_ERROR_ARGUMENT,
                    "%s: attribute '%.60s' was scored by %d sources (%.60s, %.60s): say which",
                    index->database.path, name, found, (const char *)sqlite3_column_text(find, 2),
                    (const char *)sqlite3_column_text(find, 3));
cleanup:
    sqlite3_finalize(find);
    return status;
}

static int hs_compare_seeds(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Column `a` of the table, whose seeds rise. */
static hs_status hs_index_read_column(hs_index *index, int64_t id, int a, hs_labels *labels,
                                      hs_error *err) {
    hs_status status;
    sqlite3_stmt *read = NULL;
    bool row = true;
    HS_CHECK(hs_database_prepare(&index->database,
                                 "SELECT seed, value FROM score WHERE attribute = ?", &read, err));
    sqlite3_bind_int64(read, 1, id);
    while (row) {
        HS_CHECK(hs_database_step(&index->database, read, &row, err));
        if (!row)
            break;
        int64_t seed = sqlite3_column_int64(read, 0);
        const int64_t *at =
            bsearch(&seed, labels->seeds, (size_t)labels->rows, sizeof seed, hs_compare_seeds);
        double value = sqlite3_column_double(read, 1);
        if (at && isfinite(value)) /* a seed that came in the meantime is not there */
            labels->values[(at - labels->seeds) * labels->attributes + a] = value;
    }
cleanup:
    sqlite3_finalize(read);
    return status;
}

/* Seeds, and items that are their decimals. */
static hs_status hs_index_read_seeds(hs_index *index, hs_labels *labels, hs_error *err) {
    hs_status status;
    sqlite3_stmt *read = NULL;
    bool row = true;
    int n = 0;
    HS_CHECK(hs_database_prepare(&index->database, "SELECT DISTINCT seed FROM sample ORDER BY seed",
                                 &read, err));
    while (n < labels->rows) {
        HS_CHECK(hs_database_step(&index->database, read, &row, err));
        if (!row)
            break;
        char text[24];
        labels->seeds[n] = sqlite3_column_int64(read, 0);
        snprintf(text, sizeof text, "%lld", (long long)labels->seeds[n]);
        if (!(labels->items[n++] = hs_arena_strdup(&labels->arena, text))) {
            status = hs_fail_memory(err, sizeof text);
            goto cleanup;
        }
    }
    labels->rows = n;
cleanup:
    sqlite3_finalize(read);
    return status;
}

hs_status hs_index_scores(hs_index *index, const char *const *attributes, int count,
                          const char *source, hs_labels **out, hs_error *err) {
    hs_status status;
    int64_t samples;
    hs_labels *labels = NULL;
    HS_TRY(hs_index_samples(index, &samples, err));
    if (!samples)
        return hs_fail(err, HS_ERROR_ARGUMENT, "%s: there are no samples in it",
                       index->database.path);
    if (samples > INT32_MAX || !(labels = hs_labels_new((int)samples, count)))
        return hs_fail_memory(err, (size_t)samples * ((size_t)count + 2) * sizeof(double));
    HS_CHECK(hs_index_read_seeds(index, labels, err));
    for (int a = 0; a < count; a++) {
        int64_t id = 0;
        HS_CHECK(hs_index_find_attribute(index, attributes[a], source, &id, err));
        if (!(labels->names[a] = hs_arena_strdup(&labels->arena, attributes[a]))) {
            status = hs_fail_memory(err, 64);
            goto cleanup;
        }
        HS_CHECK(hs_index_read_column(index, id, a, labels, err));
    }
    *out = labels;
    labels = NULL;
cleanup:
    hs_labels_free(labels);
    return status;
}
