/*
 * A restricted pickle reader: what torch.save writes for a state dict, and
 * nothing else. It is a parser, not an interpreter of Python: a GLOBAL is a
 * name looked up in a table of a few rows, a REDUCE builds one of our own
 * values, and every name outside the table ends the reading with an error
 * that says so. Nothing is imported, called or executed.
 *
 * Memory is bounded by the pickle's size: an instruction makes at most one
 * value, strings point into the pickle, and a value that the memo repeats is
 * shared, never copied. So values may form cycles; who walks them bounds the
 * depth.
 */
#ifndef HS_IO_PICKLE_H
#define HS_IO_PICKLE_H

#include "base/mem.h"
#include "base/tensor.h"

#define HS_PICKLE_MAX_INSTRUCTIONS ((size_t)1 << 22)
#define HS_PICKLE_MAX_DEPTH 256 /* containers that are open at once */

typedef enum hs_pickle_kind {
    HS_PICKLE_NONE,
    HS_PICKLE_BOOL,
    HS_PICKLE_INT,
    HS_PICKLE_BIG_INT, /* beyond 64 bits: its value is not kept */
    HS_PICKLE_FLOAT,
    HS_PICKLE_STRING,
    HS_PICKLE_BYTES,
    HS_PICKLE_TUPLE,
    HS_PICKLE_LIST,
    HS_PICKLE_DICT, /* collections.OrderedDict too */
    HS_PICKLE_GLOBAL,
    HS_PICKLE_STORAGE,
    HS_PICKLE_TENSOR
} hs_pickle_kind;

/* What a persistent id ("storage", type, key, location, count) stands for. */
typedef struct hs_pickle_storage {
    struct hs_pickle_storage *next; /* all of them: hs_pickle.storages */
    hs_dtype dtype;
    const char *key;     /* NUL-terminated copy in the arena */
    int64_t count;       /* elements, as the pickle claims; >= 0, bytes fit int64 */
    const uint8_t *data; /* NULL; for the reader of the container to fill in */
} hs_pickle_storage;

/* Arguments of torch._utils._rebuild_tensor_v2: all >= 0; neither their product
 * nor the storage's bounds have been checked. */
typedef struct hs_pickle_tensor {
    hs_pickle_storage *storage;
    int64_t offset; /* elements */
    int rank;
    int64_t dim[HS_MAX_RANK], stride[HS_MAX_RANK];
} hs_pickle_tensor;

typedef struct hs_pickle_value hs_pickle_value;
struct hs_pickle_value {
    hs_pickle_kind kind;
    union {
        int64_t integer; /* BOOL, INT; GLOBAL: its row in the table */
        double number;
        struct {
            const uint8_t *bytes; /* in the pickle, no NUL at the end */
            size_t size;
        } text; /* STRING, BYTES */
        struct {
            hs_pickle_value **items; /* DICT: key, value, key, value, ... */
            size_t count, capacity;
        } list; /* TUPLE, LIST, DICT */
        hs_pickle_storage *storage;
        hs_pickle_tensor *tensor;
    };
};

typedef struct hs_pickle {
    hs_pickle_value *root;
    size_t size;                 /* bytes read, the final STOP included */
    hs_pickle_storage *storages; /* one per persistent id met, newest first */
    size_t items;                /* in all containers together */
    hs_arena arena;              /* every value above lives here */
} hs_pickle;

/*
 * Read one pickle (protocol 2 to 5) from the beginning of `data`, which must
 * outlive `out`; `path` names it in messages. HS_ERROR_FORMAT: damaged or over
 * a limit; HS_ERROR_UNSUPPORTED: asks for something outside the table. On
 * failure `out` is empty. Free with hs_pickle_free.
 */
hs_status hs_pickle_read(const char *path, const void *data, size_t size, hs_pickle *out,
                         hs_error *err);
void hs_pickle_free(hs_pickle *pickle);

/* The value under a string key of a DICT (the last one if it is repeated), or
 * NULL; also NULL when `dict` is not a DICT. */
hs_pickle_value *hs_pickle_get(const hs_pickle_value *dict, const char *key);
bool hs_pickle_is_text(const hs_pickle_value *value, const char *text);
const char *hs_pickle_kind_name(hs_pickle_kind kind); /* "dict", "tensor" */

#endif
