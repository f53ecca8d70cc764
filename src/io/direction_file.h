/* Direction files (docs/FORMATS.md): K directions in safetensors. Also the
 * in-memory form, the public hs_directions. */
#ifndef HS_IO_DIRECTION_FILE_H
#define HS_IO_DIRECTION_FILE_H

#include <jansson.h>

#include "base/mem.h"

#define HS_DIRECTIONS_FORMAT "hspace.directions"
#define HS_DIRECTIONS_VERSION "1"

struct hs_directions {
    int K, S, T;
    int h_shape[3];
    int image[3];       /* C, H, W of `u` or delta_x_T; zeros without them */
    float *delta_h;     /* [K,S,c,h,w] */
    float *sigma;       /* [K,S] or NULL */
    float *mean;        /* [T,c,h,w] or NULL */
    float *u;           /* [K,C,H,W] or NULL */
    float *residual;    /* [K] or NULL */
    hs_space space;     /* HS_SPACE_H, or HS_SPACE_NOISE, which has these in place of delta_h: */
    float *delta_x_T;   /* [K,C,H,W] */
    float *delta_z;     /* [K,T,C,H,W] or NULL; S is T with it, else 1 */
    int64_t *timesteps; /* [T]; NULL: a file written by hand that does not say */
    char **names;       /* [K] */
    int N;              /* num_train_timesteps; 0 unknown */
    hs_h_space h_space;
    char model[33]; /* fingerprint, "" when unknown */
    char *unit, *method;
    char *metadata; /* JSON object of strings: what is not a member above
                       ("options", "seeds", "eta", "mask", ...), and, after
                       hs_directions_update_metadata, a copy of what is */
};

/* An empty handle with K names allocated as "0", "1", ..., unit and method
 * "unknown", HS_H_AFTER; fill in the rest (malloc'ed arrays). NULL: no memory.
 * Free with hs_directions_free. */
hs_directions *hs_directions_new(int K, int S, int T, const int h_shape[3]);
/* Add or replace one metadata string. */
hs_status hs_directions_set_metadata(hs_directions *directions, const char *key, const char *value,
                                     hs_error *err);
/* The same for JSON: a string as it is, all else as text with `digits` decimal
 * digits (17: every bit of a double). `value` is taken; NULL: HS_ERROR_MEMORY. */
hs_status hs_directions_put_json(hs_directions *directions, const char *key, json_t *value,
                                 int digits, hs_error *err);
/* The value of one metadata string, or NULL; free() it. */
char *hs_directions_get_metadata(const hs_directions *directions, const char *key);
/* Put the members (names, unit, method, model, ...) into `metadata`, so that
 * hs_directions_view.metadata is complete: call it when all members are set.
 * Reading does it; writing does not need it. */
hs_status hs_directions_update_metadata(hs_directions *directions, hs_error *err);
/* What goes into the file: `metadata` with the members put in; free() *out. */
hs_status hs_directions_full_metadata(const hs_directions *directions, char **out, hs_error *err);

/* hs_directions_load from memory; `path` names the file in messages. */
hs_status hs_directions_parse(const char *path, const void *data, size_t size, hs_directions **out,
                              hs_error *err);

/* "before", "middle", "after", and back (false: none of them). */
const char *hs_h_space_name(hs_h_space h_space);
bool hs_h_space_from_name(const char *name, hs_h_space *out);

#endif
