/*
 * Labels: a CSV of item,attribute,... or a table as CelebA's
 * list_attr_celeba.txt (a count, a line of names, a row an image). People make
 * these by hand and by script, so a row that cannot be used is named, counted
 * and left out; only a file without a usable header or row is refused.
 */
#include "io/labels.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/csv.h"
#include "io/file.h"

#define HS_LABELS_SHOWN 20 /* bad rows that are named one by one */

typedef struct hs_label_reader {
    const char *path;
    bool pairs;
    const hs_monitor *monitor;
    hs_csv csv;
    hs_labels *labels;
    int room;    /* rows allocated */
    int *line;   /* [room] */
    int columns; /* of a row */
} hs_label_reader;

/* ---------------------------------------------------------------- handle -- */

hs_labels *hs_labels_new(int rows, int attributes) {
    hs_labels *labels = hs_calloc(1, sizeof *labels);
    if (!labels)
        return NULL;
    size_t n = (size_t)rows, a = (size_t)attributes;
    labels->rows = rows;
    labels->attributes = attributes;
    labels->items = hs_calloc(n + 1, sizeof *labels->items);
    labels->seeds = hs_calloc(n + 1, sizeof *labels->seeds);
    labels->names = hs_calloc(a + 1, sizeof *labels->names);
    labels->values = n && a > SIZE_MAX / sizeof(double) / n ? NULL : hs_calloc(n * a + 1, 8);
    if (!labels->items || !labels->seeds || !labels->names || !labels->values) {
        hs_labels_free(labels);
        return NULL;
    }
    for (size_t i = 0; i < n * a; i++)
        labels->values[i] = NAN;
    return labels;
}

void hs_labels_free(hs_labels *labels) {
    if (!labels)
        return;
    free(labels->values);
    free(labels->names);
    free(labels->seeds);
    free(labels->partners);
    free(labels->items);
    hs_arena_free(&labels->arena);
    free(labels);
}

void hs_labels_view_get(const hs_labels *labels, hs_labels_view *view) {
    *view = (hs_labels_view){.rows = labels->rows,
                             .attributes = labels->attributes,
                             .bad = labels->bad,
                             .items = labels->items,
                             .partners = labels->partners,
                             .seeds = labels->seeds,
                             .names = labels->names,
                             .values = labels->values};
}

int hs_labels_find(const hs_labels *labels, const char *attribute) {
    for (int a = 0; a < labels->attributes; a++)
        if (!strcmp(labels->names[a], attribute))
            return a;
    return -1;
}

void hs_labels_drop(hs_labels *labels, const bool *drop) {
    int kept = 0;
    size_t a = (size_t)labels->attributes;
    for (int i = 0; i < labels->rows; i++) {
        if (drop[i])
            continue;
        labels->items[kept] = labels->items[i];
        if (labels->partners)
            labels->partners[kept] = labels->partners[i];
        labels->seeds[kept] = labels->seeds[i];
        memmove(labels->values + (size_t)kept * a, labels->values + (size_t)i * a,
                a * sizeof *labels->values);
        kept++;
    }
    labels->bad += labels->rows - kept;
    labels->rows = kept;
}

hs_status hs_labels_from_pairs(const hs_labels *pairs, const char *attribute, hs_labels **out,
                               hs_error *err) {
    if (!pairs->partners || pairs->rows > INT_MAX / 2)
        return hs_fail(err, HS_ERROR_ARGUMENT, "these labels are not pairs");
    hs_labels *labels = hs_labels_new(2 * pairs->rows, 1);
    if (!labels)
        return hs_fail_memory(err, (size_t)pairs->rows * sizeof(double));
    labels->bad = pairs->bad;
    bool done = (labels->names[0] = hs_arena_strdup(&labels->arena, attribute)) != NULL;
    for (int i = 0; i < labels->rows; i++) {
        const char *item = i % 2 ? pairs->partners[i / 2] : pairs->items[i / 2];
        labels->items[i] = hs_arena_strdup(&labels->arena, item);
        labels->seeds[i] = hs_labels_seed(item);
        labels->values[i] = i % 2 ? 0 : 1;
        done = done && labels->items[i];
    }
    if (!done) {
        hs_labels_free(labels);
        return hs_fail_memory(err, (size_t)pairs->rows * sizeof(double));
    }
    *out = labels;
    return HS_OK;
}

/* Digits alone, below 2^63. */
static int64_t hs_digits(const char *text, size_t length) {
    if (!length || length > 18 || strspn(text, "0123456789") < length)
        return -1;
    return strtoll(text, NULL, 10);
}

int64_t hs_labels_seed(const char *item) {
    const char *slash = strrchr(item, '/'), *name = slash ? slash + 1 : item;
    int64_t seed = slash ? -1 : hs_digits(item, strlen(item));
    const char *mark = strstr(name, "seed_");
    if (seed >= 0 || !mark || (mark != name && mark[-1] != '_'))
        return seed;
    return hs_digits(mark + 5, strspn(mark + 5, "0123456789"));
}

/* ------------------------------------------------------------- messages -- */

/* A row that is left out. */
static void hs_bad_row(hs_label_reader *r, int line, const char *why) {
    if (r->labels->bad++ < HS_LABELS_SHOWN)
        hs_notice(r->monitor, "%s: line %d left out: %s", r->path, line, why);
}

static void hs_bad_cell(hs_label_reader *r, const char *name, const char *found) {
    char why[400];
    snprintf(why, sizeof why, "%.100s: expected a number, found \"%.100s\"", name, found);
    hs_bad_row(r, r->csv.line, why);
}

/* ---------------------------------------------------------------- header -- */

static bool hs_is_utf8(const char *text) {
    json_t *value = json_string(text);
    json_decref(value);
    return value != NULL;
}

static hs_status hs_add_name(hs_label_reader *r, const char *name, hs_error *err) {
    hs_labels *labels = r->labels;
    if (!*name || !hs_is_utf8(name))
        return hs_fail(err, HS_ERROR_FORMAT,
                       "%s: line %d: column %d: expected an attribute's name in UTF-8%s", r->path,
                       r->csv.line, labels->attributes + 2, *name ? "" : ", found none");
    if (hs_labels_find(labels, name) >= 0)
        return hs_fail(err, HS_ERROR_FORMAT, "%s: line %d: attribute \"%.100s\" stands there twice",
                       r->path, r->csv.line, name);
    const char *copy = hs_arena_strdup(&labels->arena, name);
    if (!copy)
        return hs_fail_memory(err, strlen(name) + 1);
    labels->names[labels->attributes++] = copy;
    return HS_OK;
}

/* The names, from cell `first` of the record. */
static hs_status hs_read_names(hs_label_reader *r, int first, hs_error *err) {
    hs_csv *csv = &r->csv;
    if (csv->broken)
        return hs_fail(err, HS_ERROR_FORMAT, "%s: line %d: %s", r->path, csv->line, csv->broken);
    if (csv->count > HS_LABELS_MAX_COLUMNS)
        return hs_fail(err, HS_ERROR_UNSUPPORTED, "%s: line %d: %d columns, expected at most %d",
                       r->path, csv->line, csv->count, HS_LABELS_MAX_COLUMNS);
    r->columns = csv->count - first + 1;
    if (r->columns < 2)
        return hs_fail(
            err, HS_ERROR_FORMAT,
            "%s: line %d: expected a header such as file,Smiling,Beard; found one column", r->path,
            csv->line);
    if (r->pairs && r->columns != 2)
        return hs_fail(err, HS_ERROR_FORMAT,
                       "%s: line %d: expected two columns of file names, with and without the "
                       "attribute; found %d",
                       r->path, csv->line, r->columns);
    for (int i = first; i < csv->count && !r->pairs; i++) {
        char *rest;
        strtod(csv->cell[i], &rest);
        if (*csv->cell[i] && !*rest)
            return hs_fail(err, HS_ERROR_FORMAT,
                           "%s: line %d: expected a header with the attributes' names, found the "
                           "number %.60s",
                           r->path, csv->line, csv->cell[i]);
        HS_TRY(hs_add_name(r, csv->cell[i], err));
    }
    return HS_OK;
}

/* CelebA's table: the number of images alone on the first line. */
static bool hs_is_table(const char *text) {
    size_t blanks = strspn(text, " \t"), digits = strspn(text + blanks, "0123456789");
    const char *end = text + blanks + digits;
    return digits && end[strspn(end, " \t\r")] == '\n';
}

static hs_status hs_read_header(hs_label_reader *r, int *count, hs_error *err) {
    hs_csv *csv = &r->csv;
    bool table = hs_is_table(csv->at);
    csv->separator = table ? ' ' : hs_csv_separator(csv->at);
    *count = -1;
    if (!hs_csv_next(csv))
        return hs_fail(err, HS_ERROR_FORMAT, "%s: the file is empty", r->path);
    if (!table)
        return hs_read_names(r, 1, err);
    int64_t said = hs_digits(csv->cell[0], strlen(csv->cell[0]));
    *count = said > INT_MAX ? -1 : (int)said;
    if (!hs_csv_next(csv))
        return hs_fail(err, HS_ERROR_FORMAT, "%s: expected a line of attributes, found the end",
                       r->path);
    return hs_read_names(r, 0, err);
}

/* ------------------------------------------------------------------ rows -- */

static hs_status hs_make_room(hs_label_reader *r, hs_error *err) {
    hs_labels *labels = r->labels;
    if (labels->rows < r->room)
        return HS_OK;
    if (r->room > INT_MAX / 2)
        return hs_fail(err, HS_ERROR_UNSUPPORTED, "%s: too many rows", r->path);
    size_t room = r->room ? 2 * (size_t)r->room : 64, a = (size_t)labels->attributes;
    const char **items = realloc(labels->items, room * sizeof *items);
    if (items)
        labels->items = items;
    const char **partners = realloc(labels->partners, room * sizeof *partners);
    if (partners)
        labels->partners = partners;
    int64_t *seeds = realloc(labels->seeds, room * sizeof *seeds);
    if (seeds)
        labels->seeds = seeds;
    int *line = realloc(r->line, room * sizeof *line);
    if (line)
        r->line = line;
    double *values = realloc(labels->values, (room * a + 1) * sizeof *values);
    if (values)
        labels->values = values;
    if (!items || !partners || !seeds || !line || !values)
        return hs_fail_memory(err, room * (a + 4) * sizeof *values);
    r->room = (int)room;
    return HS_OK;
}

/* An empty cell is NAN: nobody knows. */
static bool hs_read_value(const char *text, double *out) {
    char *end;
    *out = NAN;
    if (!*text)
        return true;
    if (strspn(text, "0123456789+-.eE") != strlen(text))
        return false;
    double value = strtod(text, &end);
    if (*end || !isfinite(value))
        return false;
    *out = value;
    return true;
}

static hs_status hs_read_row(hs_label_reader *r, hs_error *err) {
    hs_csv *csv = &r->csv;
    hs_labels *labels = r->labels;
    char why[100];
    if (csv->broken) {
        hs_bad_row(r, csv->line, csv->broken);
        return HS_OK;
    }
    if (csv->count != r->columns) {
        snprintf(why, sizeof why, "expected %d columns, found %d", r->columns, csv->count);
        hs_bad_row(r, csv->line, why);
        return HS_OK;
    }
    if (!*csv->cell[0] || (r->pairs && !*csv->cell[1])) {
        hs_bad_row(r, csv->line, "the file or seed is missing");
        return HS_OK;
    }
    HS_TRY(hs_make_room(r, err));
    double *values = labels->values + (size_t)labels->rows * (size_t)labels->attributes;
    for (int a = 0; a < labels->attributes; a++)
        if (!hs_read_value(csv->cell[a + 1], &values[a])) {
            hs_bad_cell(r, labels->names[a], csv->cell[a + 1]);
            return HS_OK;
        }
    const char *item = hs_arena_strdup(&labels->arena, csv->cell[0]);
    const char *partner = r->pairs ? hs_arena_strdup(&labels->arena, csv->cell[1]) : "";
    if (!item || !partner)
        return hs_fail_memory(err, strlen(csv->cell[0]) + 1);
    labels->items[labels->rows] = item;
    labels->partners[labels->rows] = partner;
    labels->seeds[labels->rows] = hs_labels_seed(item);
    r->line[labels->rows++] = csv->line;
    return HS_OK;
}

/* ------------------------------------------------------------ duplicates -- */

typedef struct hs_row_key {
    const char *item, *partner;
    int row;
} hs_row_key;

static int hs_compare_keys(const void *a, const void *b) {
    const hs_row_key *x = a, *y = b;
    int order = strcmp(x->item, y->item);
    if (!order)
        order = strcmp(x->partner, y->partner);
    return order ? order : (x->row > y->row) - (x->row < y->row);
}

static void hs_move_row(hs_label_reader *r, int from, int to) {
    hs_labels *labels = r->labels;
    size_t a = (size_t)labels->attributes;
    labels->items[to] = labels->items[from];
    labels->partners[to] = labels->partners[from];
    labels->seeds[to] = labels->seeds[from];
    r->line[to] = r->line[from];
    memmove(labels->values + (size_t)to * a, labels->values + (size_t)from * a,
            a * sizeof *labels->values);
}

/* Of rows for the same item the first one counts. */
static hs_status hs_drop_duplicates(hs_label_reader *r, hs_error *err) {
    hs_labels *labels = r->labels;
    size_t n = (size_t)labels->rows;
    hs_row_key *keys = hs_calloc(n + 1, sizeof *keys);
    int *first = hs_calloc(n + 1, sizeof *first); /* line that said it before; 0: none */
    if (!keys || !first) {
        free(first);
        free(keys);
        return hs_fail_memory(err, n * sizeof *keys);
    }
    for (int i = 0; i < labels->rows; i++)
        keys[i] = (hs_row_key){labels->items[i], labels->partners[i], i};
    qsort(keys, n, sizeof *keys, hs_compare_keys);
    for (size_t i = 1; i < n; i++) {
        bool same = !strcmp(keys[i].item, keys[i - 1].item) &&
                    !strcmp(keys[i].partner, keys[i - 1].partner);
        int before = keys[i - 1].row;
        if (same)
            first[keys[i].row] = first[before] ? first[before] : r->line[before];
    }
    int kept = 0;
    for (int i = 0; i < (int)n; i++) {
        char why[200];
        if (!first[i]) {
            hs_move_row(r, i, kept++);
            continue;
        }
        snprintf(why, sizeof why, "\"%.100s\" stands on line %d already", labels->items[i],
                 first[i]);
        hs_bad_row(r, r->line[i], why);
    }
    labels->rows = kept;
    free(first);
    free(keys);
    return HS_OK;
}

/* ------------------------------------------------------------------ file -- */

static hs_status hs_read_labels(hs_label_reader *r, hs_error *err) {
    int said;
    HS_TRY(hs_read_header(r, &said, err));
    free(r->labels->values); /* hs_make_room makes it anew, for rows of this width */
    r->labels->values = NULL;
    while (hs_csv_next(&r->csv))
        HS_TRY(hs_read_row(r, err));
    int read = r->labels->rows + r->labels->bad;
    if (said >= 0 && said != read)
        hs_notice(r->monitor, "%s: its first line says %d rows, there are %d", r->path, said, read);
    HS_TRY(hs_drop_duplicates(r, err));
    if (r->labels->bad > HS_LABELS_SHOWN)
        hs_notice(r->monitor, "%s: %d more lines left out", r->path,
                  r->labels->bad - HS_LABELS_SHOWN);
    if (!read)
        return hs_fail(err, HS_ERROR_FORMAT, "%s: there is no row below its header", r->path);
    if (!r->labels->rows)
        return hs_fail(err, HS_ERROR_FORMAT, "%s: none of its %d rows can be used", r->path, read);
    return HS_OK;
}

hs_status hs_labels_parse(const char *path, const void *data, size_t size, bool pairs,
                          const hs_monitor *monitor, hs_labels **out, hs_error *err) {
    static const unsigned char bom[3] = {0xef, 0xbb, 0xbf};
    hs_status status;
    hs_label_reader r = {.path = path, .pairs = pairs, .monitor = monitor};
    if (size && memchr(data, 0, size))
        return hs_fail(err, HS_ERROR_FORMAT,
                       "%s: expected text in UTF-8, found a zero byte (UTF-16, or no text)", path);
    char *text = hs_calloc(size + 1, 1);
    r.csv.capacity = HS_LABELS_MAX_COLUMNS + 1;
    r.csv.cell = hs_calloc((size_t)r.csv.capacity, sizeof *r.csv.cell);
    r.labels = hs_labels_new(0, HS_LABELS_MAX_COLUMNS);
    if (!text || !r.csv.cell || !r.labels) {
        status = hs_fail_memory(err, size + 1);
        goto cleanup;
    }
    if (size)
        memcpy(text, data, size);
    if (size && !memchr(text, '\n', size)) /* lines end in CR alone, or there is one */
        for (char *cr = memchr(text, '\r', size); cr; cr = strchr(cr, '\r'))
            *cr = '\n';
    r.labels->attributes = 0; /* the header fills the names in */
    r.csv.at = text + (size >= 3 && !memcmp(text, bom, 3) ? 3 : 0);
    r.csv.end = text + size;
    HS_CHECK(hs_read_labels(&r, err));
    if (!pairs) {
        free(r.labels->partners);
        r.labels->partners = NULL;
    }
    *out = r.labels;
    r.labels = NULL;
cleanup:
    hs_labels_free(r.labels);
    free(r.line);
    free(r.csv.cell);
    free(text);
    return status;
}

hs_status hs_labels_load(const char *path, bool pairs, const hs_monitor *monitor, hs_labels **out,
                         hs_error *err) {
    hs_file file;
    HS_TRY(hs_file_map(path, &file, err));
    hs_status status = hs_labels_parse(path, file.data, file.size, pairs, monitor, out, err);
    hs_file_unmap(&file);
    return status;
}
