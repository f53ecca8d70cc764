/* Tables of labels or scores by item: the public hs_labels, read from CSV and
 * list_attr_celeba.txt files (labels.c), or made by the index. */
#ifndef HS_IO_LABELS_H
#define HS_IO_LABELS_H

#include "base/mem.h"

#define HS_LABELS_MAX_COLUMNS 4096

struct hs_labels {
    int rows, attributes;
    int bad;               /* rows of the file that could not be used */
    const char **items;    /* [rows]; of the arena, as all strings here */
    const char **partners; /* [rows] pairs; else NULL */
    int64_t *seeds;        /* [rows] -1: the item names no seed */
    const char **names;    /* [attributes] */
    double *values;        /* [rows, attributes]; NAN: not known */
    hs_arena arena;
};

/* Room for rows x attributes, values NAN, strings and seeds to be filled in.
 * NULL: no memory. Free with hs_labels_free. */
hs_labels *hs_labels_new(int rows, int attributes);

/* hs_labels_load from memory; `path` names the file in messages. */
hs_status hs_labels_parse(const char *path, const void *data, size_t size, bool pairs,
                          const hs_monitor *monitor, hs_labels **out, hs_error *err);

/* The seed that an item names: "12", or ".../003_seed_12.png"; -1: none. */
int64_t hs_labels_seed(const char *item);

#endif
