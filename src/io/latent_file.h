/* Latent files (docs/FORMATS.md): the tensors that fix n images, in
 * safetensors. Also the in-memory form, the public hs_latents. */
#ifndef HS_IO_LATENT_FILE_H
#define HS_IO_LATENT_FILE_H

#include "base/mem.h"

#define HS_LATENTS_FORMAT "hspace.latents"
#define HS_LATENTS_VERSION "1"

struct hs_latents {
    int n, T;
    int image[3];       /* C, H, W */
    int h_shape[3];     /* c, h, w; zeros without `h` */
    float *x_T;         /* [n,C,H,W] */
    float *z;           /* [n,T,C,H,W] or NULL */
    float *x_0;         /* [n,C,H,W] or NULL */
    float *h;           /* [n,T,c,h,w] or NULL */
    int64_t *timesteps; /* [T] */
    char *metadata;     /* JSON object of strings, or NULL */
};

/* All zero; fill in malloc'ed arrays, free with hs_latents_free. NULL: no memory. */
hs_latents *hs_latents_new(void);
/* hs_latents_load from memory; `path` names the file in messages. */
hs_status hs_latents_parse(const char *path, const void *data, size_t size, hs_latents **out,
                           hs_error *err);

#endif
