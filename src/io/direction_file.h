/* Direction files (docs/FORMATS.md): K directions in safetensors. Also the
 * in-memory form, the public hs_directions. */
#ifndef HS_IO_DIRECTION_FILE_H
#define HS_IO_DIRECTION_FILE_H

#include "base/mem.h"

struct hs_directions {
    int K, S, T;
    int h_shape[3];
    int image[3];       /* C, H, W of `u`; zeros without it */
    float *delta_h;     /* [K,S,c,h,w] */
    float *sigma;       /* [K,S] or NULL */
    float *mean;        /* [T,c,h,w] or NULL */
    float *u;           /* [K,C,H,W] or NULL */
    float *residual;    /* [K] or NULL */
    int64_t *timesteps; /* [T] */
    char **names;       /* [K] */
    int N;              /* num_train_timesteps; 0 unknown */
    hs_h_space h_space;
    char model[33];     /* fingerprint, "" when unknown */
    char *unit, *method;
    char *metadata;     /* JSON object of the strings that go into the file:
                           everything that is not a member above included
                           ("options", "seeds", "eta", "mask", ...) */
};

/* An empty handle with K names allocated as "0", "1", ...; fill in the rest
 * (malloc'ed arrays). NULL: no memory. Free with hs_directions_free. */
hs_directions *hs_directions_new(int K, int S, int T, const int h_shape[3]);
/* Add or replace one metadata string. */
hs_status hs_directions_set_metadata(hs_directions *directions, const char *key, const char *value,
                                     hs_error *err);
/* The value of one metadata string, or NULL; valid until the next set. */
char *hs_directions_get_metadata(const hs_directions *directions, const char *key); /* free() it */

#endif
