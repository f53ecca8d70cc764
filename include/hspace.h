/*
 * hspace: interpretable directions in the semantic latent space (h-space) of
 * pretrained diffusion models, after Haas et al., FG 2024 (arXiv 2303.11073).
 *
 * This is the whole public interface. Conventions, everywhere:
 *
 *  - Arrays are contiguous row-major float32 unless told; shapes stand in
 *    brackets, outermost first. n samples, T inference steps (index 0 is the
 *    noisiest), C,H,W the image, c,h,w the h-space activation, K directions.
 *  - Images are in [-1, 1], channels first; 8-bit pixels are
 *    round((x + 1) * 127.5), clamped.
 *  - A function that can fail returns hs_status and takes an hs_error that the
 *    caller owns (NULL is allowed). On failure its outputs are untouched or
 *    NULL, and the error's message names the file or argument, what was
 *    expected and what was found. The library never prints, exits or aborts.
 *  - `hs_x_free` accepts NULL. Whoever gets a handle through a `**out`
 *    parameter owns it; `const` pointers returned by getters belong to the
 *    handle and live as long as it.
 *  - A handle may be used by one thread at a time; different handles may be
 *    used by different threads at once. Functions on `const` handles may be
 *    called at once from several threads.
 */
#ifndef HSPACE_H
#define HSPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define HS_API __attribute__((visibility("default")))
#define HS_PRINTF(a, b) __attribute__((format(printf, a, b)))
#else
#define HS_API
#define HS_PRINTF(a, b)
#endif

/* ------------------------------------------------------------- errors -- */

typedef enum hs_status {
    HS_OK = 0,
    HS_ERROR_ARGUMENT,    /* a value that the function does not accept */
    HS_ERROR_MEMORY,      /* allocation failed, or the budget is too small */
    HS_ERROR_IO,          /* a file cannot be opened, read, written, synced */
    HS_ERROR_FORMAT,      /* a file is damaged or is not what it says */
    HS_ERROR_UNSUPPORTED, /* well-formed, but asks for what hspace does not do */
    HS_ERROR_MISMATCH,    /* two things that do not belong together */
    HS_ERROR_NUMERIC,     /* NaN or infinity, no convergence, rank deficiency */
    HS_ERROR_CANCELLED,   /* the caller's monitor asked to stop */
    HS_ERROR_INTERNAL     /* a bug in hspace, or in a library below it */
} hs_status;

typedef struct hs_error {
    hs_status code;
    char message[1000]; /* one line, UTF-8, no trailing newline */
} hs_error;

/* A short name of the status, such as "format". Never NULL. */
HS_API const char *hs_status_name(hs_status status);

/* "major.minor.patch" */
HS_API const char *hs_version(void);

/* ------------------------------------------------------------ monitor -- */

/*
 * How long work reports to its caller. Any member may be NULL. Called from
 * the thread that called the library, never from a worker.
 */
typedef struct hs_monitor {
    void *ctx;
    /* done of total units of `phase`; return false to stop: the function then
     * saves what can be resumed and returns HS_ERROR_CANCELLED. What follows a
     * colon in `phase` is detail that may be another in each call. */
    bool (*progress)(void *ctx, const char *phase, double done, double total);
    /* One line that the user should read: a default taken, a file converted. */
    void (*notice)(void *ctx, const char *text);
} hs_monitor;

/* -------------------------------------------------------------- model -- */

typedef struct hs_model hs_model;

/* Where h is read and delta_h is added (METHODS: h_space). */
typedef enum hs_h_space {
    HS_H_BEFORE, /* input of the mid block */
    HS_H_MIDDLE, /* second group norm of the mid block's second residual block */
    HS_H_AFTER   /* output of the mid block: the default */
} hs_h_space;

typedef enum hs_prediction { HS_PREDICT_EPSILON, HS_PREDICT_V, HS_PREDICT_SAMPLE } hs_prediction;

/* One file of a model that lives in memory (the embedded one). */
typedef struct hs_blob {
    const char *name; /* path inside the model folder, "unet/config.json" */
    const void *data;
    size_t size;
} hs_blob;

/*
 * Open a checkpoint: a diffusers folder (model_index.json, a bare folder with
 * config.json, or one with unet/), the id of a model in the hub's local cache,
 * or a TensorFlow.js graph-model folder of the Keras DDPM family. Weights are
 * mapped, not read. HS_ERROR_UNSUPPORTED names what the config asks for.
 */
HS_API hs_status hs_model_open(const char *path, const hs_monitor *monitor, hs_model **out,
                               hs_error *err);
/* The same from memory. The blobs must outlive the model. */
HS_API hs_status hs_model_open_blobs(const char *name, const hs_blob *blobs, size_t count,
                                     const hs_monitor *monitor, hs_model **out, hs_error *err);
HS_API void hs_model_free(hs_model *model);

typedef struct hs_model_info {
    const char *name;         /* the path or id it was opened by */
    const char *architecture; /* "UNet2DModel", "Keras DDPM" */
    int64_t parameters;
    int image[3];      /* C, H, W */
    int h[3][3];       /* c, h, w of each hs_h_space */
    int64_t macs;      /* multiply-accumulates of one pass, one sample */
    int64_t macs_to_h; /* of these, up to and including h (HS_H_AFTER) */
    int num_train_timesteps;
    const char *beta_schedule;
    hs_prediction prediction;
    const char *weight_dtype; /* "F32", "F16", "BF16", "U8" */
    int64_t weight_bytes;     /* on disk */
} hs_model_info;

HS_API void hs_model_get_info(const hs_model *model, hs_model_info *info);

/* 32 hex digits: XXH3-128 over the config and the sorted (name, shape, values)
 * of all weights; the same wherever the files lie. Reads all weights once. */
HS_API hs_status hs_model_fingerprint(hs_model *model, char out[33], hs_error *err);

/* ----------------------------------------------------------- denoiser -- */

typedef struct hs_denoiser hs_denoiser;

typedef enum hs_backend_kind { HS_BACKEND_ONEDNN, HS_BACKEND_REF } hs_backend_kind;

/* FAST: the factors of most convolutions are rounded, the activations before them as exact as
 * those need; sums and all else stay float32 or as exact. It halves the memory of most
 * weights. CPUs that multiply matrices of bf16 (AMX) round to that; others with VNNI, or with
 * AVX2 alone, to integers of 16 bits with a scale, of which they add two products at
 * once. (Of a large model the weights of large maps are kept in bf16, but with AMX, and made
 * from that in every pass.) With AVX-512 and neither, kernels of many channels alone are
 * rounded, to bf16, which saves memory and no time; without AVX2 nothing is. What time it
 * takes: bench/SPEED.md. Images differ a little from those of F32, and from one kind of CPU to
 * another. `hspace info --verify` measures by how much. */
typedef enum hs_precision { HS_PRECISION_F32, HS_PRECISION_FAST } hs_precision;

/* Whether HS_PRECISION_FAST is meant to save time on this CPU: it has AMX, VNNI, or AVX2 without
 * AVX-512. */
HS_API bool hs_cpu_has_fast(void);

typedef struct hs_denoiser_options {
    hs_backend_kind backend; /* default HS_BACKEND_ONEDNN */
    int threads;             /* 0: as many as the process may use */
    hs_h_space h_space;      /* default HS_H_AFTER */
    int64_t max_mem;         /* bytes for weights and activations; 0: no bound */
    bool profile;            /* keep times by kind of step: hs_denoiser_profile */
    hs_precision precision;  /* default HS_PRECISION_F32; FAST is for onednn alone, and not for
                                Jacobian products */
} hs_denoiser_options;

HS_API hs_denoiser_options hs_denoiser_options_default(void);

/* Bind a model to a back end. The model must outlive the denoiser. */
HS_API hs_status hs_denoiser_create(hs_model *model, const hs_denoiser_options *options,
                                    hs_denoiser **out, hs_error *err);
HS_API void hs_denoiser_free(hs_denoiser *denoiser);
HS_API const hs_model *hs_denoiser_model(const hs_denoiser *denoiser);
HS_API hs_h_space hs_denoiser_h_space(const hs_denoiser *denoiser);
HS_API hs_precision hs_denoiser_precision(const hs_denoiser *denoiser);

/*
 * One U-Net pass: eps = e(x, t; h + delta_h).
 *   x        [n,C,H,W]
 *   t        [n] timesteps in [0, N)
 *   delta_h  [n,c,h,w] added to h, or NULL for none
 *   eps      [n,C,H,W]; v and sample predictions are converted to eps
 *   h        [n,c,h,w] the activation before delta_h is added, or NULL
 * Works in batches of hs_denoiser_batch, whose plans are made once and kept; on failure
 * the items of the batches that were finished are there, the others untouched. A batch
 * gives what its samples give one by one, bit for bit, for any thread count.
 */
HS_API hs_status hs_denoiser_eps(hs_denoiser *denoiser, int n, const float *x, const int *t,
                                 const float *delta_h, float *eps, float *h, hs_error *err);

/* The batch that `denoiser` works best with, given its max_mem; at most `n`. */
HS_API int hs_denoiser_batch(hs_denoiser *denoiser, int n);
/* Planned bytes (weights as kept, plus activations) for the largest batch that n samples
 * are cut into, without regard to max_mem. */
HS_API hs_status hs_denoiser_bytes(hs_denoiser *denoiser, int n, int64_t *bytes, hs_error *err);

typedef struct hs_pass_stats {
    int64_t passes;          /* U-Net passes so far, batch items counted */
    double seconds_per_pass; /* median over batches, per item */
} hs_pass_stats;
HS_API void hs_denoiser_stats(const hs_denoiser *denoiser, hs_pass_stats *stats);

/* Where the time of passes and Jacobian products went, by kind of step. */
typedef struct hs_profile_row {
    const char *kind; /* "conv2d 3x3, Winograd 4", "group_norm"; static */
    int64_t runs;     /* how often such a step ran */
    double seconds;   /* of wall clock, on all threads at once */
    double flops;     /* two a multiply-add of the op as defined: Winograd's, which does
                         fewer, may exceed the peak; 0: not counted */
} hs_profile_row;
/* The rows so far, in the denoiser and valid as long as it; their number is
 * returned: 0 unless the denoiser was made with `profile`, and for the reference
 * back end, which keeps none. */
HS_API int hs_denoiser_profile(const hs_denoiser *denoiser, const hs_profile_row **rows);

/* Float32 multiply-adds from registers on so many threads (0: all CPUs of the
 * process), in operations a second, two each: the best of a few tries of 5 ms.
 * 0: the threads could not be started. */
HS_API double hs_machine_peak(int threads);

/*
 * Exact products with the Jacobian of one sample (paper IV-B),
 *
 *   J = d eps / d h  at  eps = e(x, t; h + delta_h),   Jv = J v,   JTu = J^T u,
 *
 * by forward and reverse differentiation, not by differences; h is that of the
 * denoiser's h_space, eps the noise whatever the model predicts.
 *   x        [C,H,W]
 *   t        timestep in [0, N)
 *   delta_h  [c,h,w], or NULL for none
 *   v, Jv    [k_v,c,h,w], [k_v,C,H,W]; NULL with k_v = 0
 *   u, JTu   [k_u,C,H,W], [k_u,c,h,w]; NULL with k_u = 0
 * J is linear, so Jv and JTu scale with v and u, whose units are the caller's.
 * The plans are made anew by each call: many products at one point belong in one.
 */
HS_API hs_status hs_denoiser_products(hs_denoiser *denoiser, const float *x, int t,
                                      const float *delta_h, int k_v, const float *v, float *Jv,
                                      int k_u, const float *u, float *JTu, hs_error *err);

/* ------------------------------------------------------------ sampling -- */

typedef struct hs_sampler hs_sampler;
typedef struct hs_latents hs_latents;
typedef struct hs_directions hs_directions;

#define HS_Z_CONTINUE INT64_C(-1) /* diffusers: z follows x_T in the same stream */
#define HS_Z_PLUS_ONE INT64_C(-2) /* one [T,C,H,W] draw from seed + 1 (authors) */

typedef struct hs_sampler_options {
    int steps;         /* T, default 50 */
    const double *eta; /* [eta_count] */
    int eta_count;     /* 1 or T; 0: eta = 0 */
    int64_t z_seed;    /* HS_Z_CONTINUE, HS_Z_PLUS_ONE or a seed of its own */
    bool asyrp;        /* two passes a step: x0_hat edited, eps_dir not */
    bool clip;         /* honour clip_sample of the scheduler config */
} hs_sampler_options;

HS_API hs_sampler_options hs_sampler_options_default(void);

/* The denoiser must outlive the sampler. Notices (clipping switched off, an
 * absent scheduler config) go to the monitor once, here. */
HS_API hs_status hs_sampler_create(hs_denoiser *denoiser, const hs_sampler_options *options,
                                   const hs_monitor *monitor, hs_sampler **out, hs_error *err);
HS_API void hs_sampler_free(hs_sampler *sampler);
HS_API hs_denoiser *hs_sampler_denoiser(const hs_sampler *sampler);
HS_API int hs_sampler_steps(const hs_sampler *sampler);
HS_API const int *hs_sampler_timesteps(const hs_sampler *sampler); /* [T] */
HS_API const double *hs_sampler_eta(const hs_sampler *sampler);    /* [T] */

/* One edit: strength units of direction `index`, in steps first..last. A direction of
 * noise moves x_T, where the window and the profile have step 0, and z of the steps
 * whose eta is above 0. */
typedef struct hs_edit {
    const hs_directions *directions;
    int index;
    double strength;
    int first, last;       /* window, 0 = noisiest; last < 0: to the end */
    const double *profile; /* [T] factors of strength, one a step; NULL: 1 at all steps */
} hs_edit;

/*
 * Make n images.
 *   seeds    [n], PyTorch's; or `latents` (seeds then ignored, item i uses
 *            latents item i % count); exactly one of the two is non-NULL
 *   edits    [edit_count] summed; per_item NULL: all edits for every item with
 *            strength as given; else per_item [n, edit_count] strengths
 *   x_0      [n,C,H,W]
 *   h        [n,T,c,h,w], or NULL
 * Works in batches of hs_denoiser_batch; on failure or cancellation the items of
 * the batches that were finished are there, the others untouched.
 */
HS_API hs_status hs_sample(hs_sampler *sampler, int n, const int64_t *seeds,
                           const hs_latents *latents, const hs_edit *edits, int edit_count,
                           const double *per_item, const hs_monitor *monitor, float *x_0, float *h,
                           hs_error *err);

/* What PyTorch's CPU generator, seeded with `seed`, gives for successive
 * torch.randn calls of `count` values each. out [calls, count]. */
HS_API hs_status hs_randn(int64_t seed, int calls, size_t count, float *out, hs_error *err);

/* ------------------------------------------------------------- latents -- */

/* Tensors that fix images: see docs/FORMATS.md. */
typedef struct hs_latents_view {
    int n, T;
    int image[3], h_shape[3];
    const float *x_T;         /* [n,C,H,W] */
    const float *z;           /* [n,T,C,H,W] or NULL */
    const float *x_0;         /* [n,C,H,W] or NULL */
    const float *h;           /* [n,T,c,h,w] or NULL */
    const int64_t *timesteps; /* [T] */
    const char *metadata;     /* JSON object of strings ("eta", "model", ...), or NULL */
} hs_latents_view;

HS_API hs_status hs_latents_load(const char *path, hs_latents **out, hs_error *err);
HS_API void hs_latents_view_get(const hs_latents *latents, hs_latents_view *view);
HS_API void hs_latents_free(hs_latents *latents);
/* Item i alone, with its x_T, z and metadata. */
HS_API hs_status hs_latents_item(const hs_latents *latents, int item, hs_latents **out,
                                 hs_error *err);
/* The same of several, in this order: items [count]. */
HS_API hs_status hs_latents_pick(const hs_latents *latents, int count, const int *items,
                                 hs_latents **out, hs_error *err);
HS_API hs_status hs_latents_save(const char *path, const hs_latents_view *view, hs_error *err);
/* x_T and z that `seeds` [n] give under this sampler: the view of the result
 * has x_T, timesteps and, where any eta > 0, z. */
HS_API hs_status hs_latents_from_seeds(const hs_sampler *sampler, int n, const int64_t *seeds,
                                       hs_latents **out, hs_error *err);

/* x_T and z of n images as hs_sample would start them: those of `seeds` or `latents`
 * (items cycled), moved by the edits that are of noise. No U-Net pass. */
HS_API hs_status hs_latents_edited(hs_sampler *sampler, int n, const int64_t *seeds,
                                   const hs_latents *latents, const hs_edit *edits, int edit_count,
                                   const double *per_item, const hs_monitor *monitor,
                                   hs_latents **out, hs_error *err);

/* How a real image is turned into latents. The three edit-friendly kinds
 * (Huberman-Spiegelglas et al., 2024) differ in how they draw the noisy images
 * whose steps they then solve for z. */
typedef enum hs_invert_method {
    HS_INVERT_DDIM,   /* eta = 0: the deterministic process backwards, no z */
    HS_INVERT_X0,     /* every x_t on its own from q(x_t | x_0) */
    HS_INVERT_X_PREV, /* a chain, each x_t from the cleaner one before it */
    HS_INVERT_DPM     /* x_T from q(x_T | x_0), then the posterior, step by step */
} hs_invert_method;

typedef struct hs_invert_options {
    hs_invert_method method;
    int64_t seed;        /* edit-friendly: image j draws from PyTorch's seed + j */
    bool unchecked;      /* no round trip, half of the work: psnr is NAN, no
                            reconstruction, no psnr in the metadata */
    const char *resume;  /* file for resume points, or NULL */
    double resume_every; /* seconds between resume points; 0: 60 */
} hs_invert_options;

/* DDIM, seed 0, no resume points. */
HS_API hs_invert_options hs_invert_options_default(void);

/*
 * Find latents of n real images x_0 [n,C,H,W], so that hs_sample makes them
 * again, edited or not (section V of the paper; METHODS: inversion).
 *
 *  - HS_INVERT_DDIM, for a sampler of eta = 0: from t = timesteps[T-1] upward,
 *    next = min(N - 2, t + N / T),
 *    x_next = sqrt(a_next) x0_hat + sqrt(1 - a_next) eps. Exact only in the
 *    limit of many steps.
 *  - The others, for a sampler whose eta is above 0 at every step: all x_t are
 *    drawn, then z_t = (x_prev - mu_t(x_t)) / (eta sqrt(var)), so that decoding
 *    gives the image back to float precision. One randn a step, noisiest first,
 *    for HS_INVERT_X_PREV cleanest first. Where the last step has no variance,
 *    its x is not the drawn one but the fixed point
 *    x = sqrt(a) x_0 + sqrt(1 - a) eps(x), at most 50 rounds, and its z is 0.
 *
 * The result has x_T, z (not for DDIM), x_0 (the images given), h [n,T,c,h,w]
 * (h[i] at timesteps[i]) and timesteps; its metadata eta, h_space, model,
 * seeds, inversion, psnr and residual (docs/FORMATS.md).
 *
 * psnr [n] or NULL: of what hs_sample makes of the result against x_0, in dB
 * for a peak of 2, nothing clamped: 10 log10(4 / mean square difference), at
 * most 200 (equal images). reconstruction [n,C,H,W] or NULL: that image.
 *
 * Works in batches of hs_denoiser_batch; an image's latents do not depend on
 * its neighbours but for its seed. A sampler that clips is refused: clipping
 * cannot be inverted. HS_ERROR_NUMERIC for NaN or infinity anywhere.
 *
 * Batches that are done are kept in options->resume now and then, and when the
 * run is cancelled or fails; the next run with the same options and images goes
 * on from there, to the same bits. Remove the file when the result is saved.
 */
HS_API hs_status hs_invert(hs_sampler *sampler, const hs_invert_options *options, int n,
                           const float *x_0, const hs_monitor *monitor, hs_latents **out,
                           double *psnr, float *reconstruction, hs_error *err);

/* ------------------------------------------------------------- mixing -- */

/* What an image is made from, and so what can be moved or mixed. */
typedef enum hs_space {
    HS_SPACE_H,     /* h of every step */
    HS_SPACE_NOISE, /* x_T, and z where eta > 0 */
    HS_SPACE_PIXEL  /* the finished images */
} hs_space;

/* From a (w = 0) to b (w = 1); both ends are exact copies. */
typedef enum hs_blend {
    HS_BLEND_LERP,  /* (1 - w) a + w b */
    HS_BLEND_SLERP, /* (sin((1 - w) p) a + sin(w p) b) / sin p, p the angle between
                       them; lerp where they are parallel or one is 0 */
    HS_BLEND_SQRT   /* sqrt(1 - w) a + sqrt(w) b: independent Gaussians keep their variance */
} hs_blend;

typedef struct hs_mix {
    int base;      /* HS_SPACE_H: the sample whose x_T and z are kept */
    int from, to;  /* samples: 0 ... count - 1 */
    double weight; /* w, 0 to 1 */
} hs_mix;

/*
 * Make n images, each mixed from two of `count` samples given by `seeds` [count]
 * or `latents` (its items, count being its n), exactly one of which is non-NULL.
 *
 *  - HS_SPACE_H (paper, Fig. 2a): from x_T and z of sample `base`, with h replaced
 *    at every step by the blend of the h that `from` and `to` have at that step
 *    of their own, unedited way. weight 1 is a swap: base with h of `to`.
 *  - HS_SPACE_NOISE: x_T, and z of every step, are blends, each as one vector.
 *  - HS_SPACE_PIXEL: the images x_0 are.
 *
 *   x_0   [n,C,H,W]
 *   used  NULL, or gets x_T, z, h (that was used) and timesteps of the n images;
 *         not with HS_SPACE_PIXEL. It takes n T (c h w + C H W) floats.
 * All go through the steps together, so without `used` nothing is kept of a step
 * but h and z of the samples. A mix whose h is its base's own is that sample,
 * bit for bit. On failure x_0 is untouched.
 */
HS_API hs_status hs_mix_samples(hs_sampler *sampler, int count, const int64_t *seeds,
                                const hs_latents *latents, hs_space space, hs_blend blend, int n,
                                const hs_mix *mixes, const hs_monitor *monitor, float *x_0,
                                hs_latents **used, hs_error *err);

/* ---------------------------------------------------------- directions -- */

HS_API hs_status hs_directions_load(const char *path, hs_directions **out, hs_error *err);
HS_API hs_status hs_directions_save(const hs_directions *directions, const char *path,
                                    hs_error *err);
HS_API void hs_directions_free(hs_directions *directions);
HS_API int hs_directions_count(const hs_directions *directions);
HS_API const char *hs_directions_name(const hs_directions *directions, int index);
/* Direction `index` of several as a handle of its own, with all that the file
 * says. */
HS_API hs_status hs_directions_pick(const hs_directions *directions, int index, hs_directions **out,
                                    hs_error *err);
/* By name, or by number in decimal; -1 if there is none. */
HS_API int hs_directions_find(const hs_directions *directions, const char *name);

typedef struct hs_directions_view {
    int K, S, T; /* S = T or 1 */
    int h_shape[3];
    const float *delta_h;     /* [K,S,c,h,w] in units: strength 1 = one unit */
    const float *sigma;       /* [K,S] or NULL */
    const float *mean;        /* [T,c,h,w] or NULL */
    const int64_t *timesteps; /* [T]; NULL: written by hand, does not say */
    const char *unit;         /* "standard deviation", ... */
    const char *method;       /* "pca", "jacobian", "attribute", ... */
    const char *metadata;     /* all metadata as one JSON object */
    int image[3];             /* C, H, W of u; zeros without it */
    const float *u;           /* [K,C,H,W] unit left singular vectors, or NULL */
    const float *residual;    /* [K] of Jacobian directions, or NULL */
    /* HS_SPACE_NOISE: directions of x_T and z. These two stand in place of delta_h,
     * which is NULL, as are sigma, mean and u; h_shape is zeros. */
    hs_space space;
    const float *delta_x_T; /* [K,C,H,W] in units */
    const float *delta_z;   /* [K,T,C,H,W], or NULL: x_T alone is moved */
} hs_directions_view;
HS_API void hs_directions_view_get(const hs_directions *directions, hs_directions_view *view);

/*
 * Check that `directions` belongs to the sampler's model and h-space and bring
 * it to the sampler's step grid (nearest timestep; of two equally near the
 * noisier), with a notice when that changed anything. HS_ERROR_MISMATCH says
 * why a file is refused. Of directions of noise, z is brought to the step grid.
 */
HS_API hs_status hs_directions_fit(const hs_directions *directions, const hs_sampler *sampler,
                                   const hs_monitor *monitor, hs_directions **out, hs_error *err);
/* K random directions with, at each step, the norms of the first K of `like`, which
 * may be of noise. */
HS_API hs_status hs_directions_random_like(const hs_directions *like, int64_t seed,
                                           hs_directions **out, hs_error *err);

/* One direction of a handle. */
typedef struct hs_direction_ref {
    const hs_directions *directions;
    int index;
} hs_direction_ref;

/*
 * Project directions `from` [from_count] out of all of `directions` (paper,
 * eq. 12): v - V (V^T V)^-1 V^T v over the whole [T*c*h*w] vector, or with
 * `per_step` at each step on its own. All must be of one model, h-space and step
 * grid (HS_ERROR_MISMATCH; what a file does not say is not compared); a direction
 * with S = 1 stands for the same one at every step. Columns of V that depend on
 * the others are left out, with a notice; a direction of which nothing would be
 * left is HS_ERROR_NUMERIC.
 *   left  [K] or NULL: the share of each direction's norm that is left, also
 *         in the metadata as norm_left. The unit stays that of `directions`.
 */
HS_API hs_status hs_directions_disentangle(const hs_directions *directions,
                                           const hs_direction_ref *from, int from_count,
                                           bool per_step, const hs_monitor *monitor,
                                           hs_directions **out, double *left, hs_error *err);

typedef enum hs_align { HS_ALIGN_INDEX, HS_ALIGN_SCORE } hs_align;

typedef struct hs_pca_options {
    int n;              /* samples */
    int k;              /* components */
    int64_t first_seed; /* seeds first_seed ... first_seed + n - 1 */
    bool joint;         /* one PCA of the concatenated [T*c*h*w] vectors */
    hs_align align;
    int64_t max_mem;     /* bytes beyond the denoiser's; 0: 8 GiB */
    int batch;           /* incremental: batch b >= 2k; 0: chosen */
    int incremental;     /* -1 chosen by size and budget, 0 never, 1 always */
    bool around;         /* variations around one sample instead of fresh ones: */
    int64_t around_seed; /*   x_T, z = sqrt(1-delta^2) own + delta fresh noise  */
    double around_delta;
    const char *resume;  /* file for resume points, or NULL */
    double resume_every; /* seconds between resume points; 0: 60 */
} hs_pca_options;

HS_API hs_pca_options hs_pca_options_default(void);

typedef struct hs_cost {
    int64_t bytes;     /* beyond the model's weights */
    int64_t passes;    /* U-Net passes, batch items counted */
    char formula[400]; /* how it was reckoned, one line for the user */
} hs_cost;

/* Memory and passes that hs_pca would take, without starting it. */
HS_API hs_status hs_pca_cost(const hs_sampler *sampler, const hs_pca_options *options,
                             hs_cost *cost, hs_error *err);
/*
 * PCA of h-space (paper IV-A). The result's `sigma` is s / sqrt(n-1), its unit
 * one standard deviation, `mean` the mean h of each step; metadata has the
 * explained variance ratios.
 *
 * The way so far is kept in options->resume now and then, and when the run is
 * cancelled; the next run with the same options goes on from there, to the same
 * bits. Remove the file when the result is saved.
 */
HS_API hs_status hs_pca(hs_sampler *sampler, const hs_pca_options *options,
                        const hs_monitor *monitor, hs_directions **out, hs_error *err);

/* Where an image is looked at: pixels inside are 1, all others 0. */
typedef struct hs_mask {
    const char *name;      /* for the directions' names: "eye" */
    const char *source;    /* for the file's metadata: "eye.png", "8,8,16,10"; NULL: the name */
    const uint8_t *inside; /* [H,W] 0 or 1 */
} hs_mask;

/*
 * Read a mask of an image of height x width: white (>= 128) is inside, in a
 * colour picture by the mean of its channels. With labels [label_count] the
 * picture is a label map as face parsers write them, gray, and the pixels whose
 * value is one of the labels (0 ... 255) are inside. HS_ERROR_MISMATCH for another
 * size, or where nothing is inside.
 *   inside [height,width] out
 */
HS_API hs_status hs_mask_load(const char *path, const int *labels, int label_count, int height,
                              int width, uint8_t *inside, hs_error *err);

typedef enum hs_jacobian_method {
    HS_JACOBIAN_KRYLOV,   /* block Golub-Kahan-Lanczos: the fewest products */
    HS_JACOBIAN_SUBSPACE, /* block subspace iteration: the paper's Alg. 1 */
    HS_JACOBIAN_BATCHED   /* Alg. 2: small batches, those found deflated */
} hs_jacobian_method;

/* Directions that change a region and leave the rest. */
typedef enum hs_keep_outside {
    HS_KEEP_OUTSIDE_NO,      /* singular vectors of M J, M the mask's rows */
    HS_KEEP_OUTSIDE_PROJECT, /* these, without their part in the span of the leading
                                singular vectors of (1 - M) J: LowRankGAN, LOCO-Edit */
    HS_KEEP_OUTSIDE_RATIO    /* max |M J v|^2 / (|(1 - M) J v|^2 + lambda^2 |v|^2): ReSeFa */
} hs_keep_outside;

typedef struct hs_jacobian_options {
    int k;                     /* directions a step and mask */
    const int *steps;          /* [step_count] different ones, 0 = noisiest; sorted inside */
    int step_count;            /* 0: all T */
    int64_t seed;              /* whose trajectory (x_T and z); or */
    const hs_latents *latents; /* these, not NULL: */
    int item;                  /* the item of latents */
    const hs_mask *masks;      /* [mask_count] */
    int mask_count;            /* 0: the whole image */
    hs_jacobian_method method;
    double tol;           /* largest residual, default 1e-3 */
    int64_t max_products; /* a step and mask, vectors counted; 0: 400 (k + 2) */
    hs_keep_outside keep_outside;
    int outside_count;   /* PROJECT: how many of (1 - M) J are removed; 0: 2 k */
    double lambda;       /* RATIO: a share of sigma_1 of (1 - M) J; 0: 0.1 */
    int64_t max_mem;     /* bytes beyond the denoiser's: fewer vectors at a time; slopes are kept
                            as far as it reaches. 0: no bound */
    const char *resume;  /* file for resume points, or NULL */
    double resume_every; /* seconds between resume points; 0: 60 */
} hs_jacobian_options;

HS_API hs_jacobian_options hs_jacobian_options_default(void);

typedef struct hs_product_stats {
    int64_t products;           /* vectors through J or J^T in this run */
    double seconds_per_product; /* median */
    int64_t bytes;              /* planned, beyond the denoiser's and the result's */
} hs_product_stats;

/*
 * The leading singular triplets of J = d eps / d h at steps of one sample's own
 * trajectory (paper IV-B, Alg. 1 and 2; masks: eq. 9-10): J v = sigma u.
 *
 * The result has K = steps x masks x k directions, S = 1 (an edit applies them
 * at all steps, or in its window), named "s24.0" for the first of step 24 and,
 * where there are several masks, "s24.0@eye". delta_h is the unit vector v times
 * a tenth of the norm of the sample's own h at the step where it was found;
 * sigma [K,1]; u unit norm; residual max(|J v - sigma u|, |J^T u - sigma v|) /
 * sigma, or with KEEP_OUTSIDE_RATIO that of the generalised problem, whose sigma
 * is |M J v|. Sign: the entry of v that is largest in magnitude is positive. Metadata
 * docs/FORMATS.md.
 *
 * What is finished is kept in options->resume when the run is cancelled or
 * fails, and the next run with the same options goes on from there, to the same
 * bits; remove the file when the result is saved. HS_ERROR_NUMERIC where a residual stays above
 * tol, or the rank is below k.
 *
 *   stats    out, or NULL; filled in on failure too
 */
HS_API hs_status hs_jacobian_directions(hs_sampler *sampler, const hs_jacobian_options *options,
                                        const hs_monitor *monitor, hs_directions **out,
                                        hs_product_stats *stats, hs_error *err);

/* What such a run would take: stats->bytes, the rest 0. Makes its plans and lets
 * them go; no pass is made. Errors as hs_jacobian_directions before it starts. */
HS_API hs_status hs_jacobian_cost(hs_sampler *sampler, const hs_jacobian_options *options,
                                  hs_product_stats *stats, hs_error *err);

/* The step of the sampler where direction `index` was found: the one nearest in
 * timestep. HS_ERROR_MISMATCH for directions that were not found at a step. */
HS_API hs_status hs_directions_found_at(const hs_directions *directions, int index,
                                        const hs_sampler *sampler, int *step, hs_error *err);
/*
 * The authors' weights of the steps for a Jacobian direction found at step i:
 * factors [T] = sigma_{j,t} / sigma_{j,i}, for hs_edit.profile. HS_ERROR_MISMATCH
 * unless the directions were found at all steps.
 */
HS_API hs_status hs_directions_sigma_profile(const hs_directions *directions, int index,
                                             const hs_sampler *sampler, double *factors,
                                             hs_error *err);

/* -------------------------------------------------------------- labels -- */

/* A table of labels or scores: a row an image, a column an attribute. */
typedef struct hs_labels hs_labels;

typedef struct hs_labels_view {
    int rows, attributes;
    int bad;                     /* rows of the file that were left out */
    const char *const *items;    /* [rows] the first column: a file or a seed */
    const char *const *partners; /* [rows] the second file of each pair, or NULL */
    const int64_t *seeds;        /* [rows] of "12" or "003_seed_12.png"; -1: names none */
    const char *const *names;    /* [attributes] */
    const double *values;        /* [rows, attributes]; NAN: the cell is empty */
} hs_labels_view;

/*
 * Read a CSV with a header (file or seed, then the attributes' names; separated
 * by commas, semicolons or tabs) or a table as CelebA's list_attr_celeba.txt.
 * With `pairs`: two columns of files, with the attribute and without it. Rows
 * that cannot be used (another number of cells, text for a number, an item that
 * stood there before) are named to the monitor, counted in `bad` and left out;
 * HS_ERROR_FORMAT where there is no header or no row is left.
 */
HS_API hs_status hs_labels_load(const char *path, bool pairs, const hs_monitor *monitor,
                                hs_labels **out, hs_error *err);
HS_API void hs_labels_view_get(const hs_labels *labels, hs_labels_view *view);
/* The attribute's column, or -1. */
HS_API int hs_labels_find(const hs_labels *labels, const char *attribute);
HS_API void hs_labels_free(hs_labels *labels);
/* Take out the rows whose drop [rows] is true; they count as bad. Views taken
 * before are void. */
HS_API void hs_labels_drop(hs_labels *labels, const bool *drop);
/* Pairs as a table of one attribute: 1 for the first file, 0 for the second. */
HS_API hs_status hs_labels_from_pairs(const hs_labels *pairs, const char *attribute,
                                      hs_labels **out, hs_error *err);

/* ---------------------------------------------------------- supervised -- */

typedef struct hs_attribute_options {
    const char *attribute; /* a column of the labels */
    const char *name;      /* of the direction; NULL: the attribute */
    hs_space space;        /* HS_SPACE_H, or HS_SPACE_NOISE: of x_T, and z where eta > 0 */
    /* The sides: the `top` highest scores against as many lowest (0: 100, or half
     * of the samples where there are fewer), or by_threshold: scores >= high
     * against scores <= low. */
    int top;
    bool by_threshold;
    double low, high;
    /* Attributes to balance: both sides have equally many samples above and below
     * the middle of each one's range, in all combinations. */
    const char *const *balance;
    int balance_count;
    /* Joint regression on these too, in place of the mean difference: over all
     * samples with scores, the effect of `attribute` with these held fixed. */
    const char *const *given;
    int given_count;
    double held_out;  /* share of the sides held out for the AUC, 0 to 0.5; 0.2 */
    const int *curve; /* [curve_count] directions of so many a side, compared with the last */
    int curve_count;
} hs_attribute_options;

HS_API hs_attribute_options hs_attribute_options_default(void);

#define HS_CURVE_MAX 16

typedef struct hs_attribute_report {
    int high, low;                /* samples a side */
    int samples;                  /* whose h went in (joint regression: all) */
    double high_score, low_score; /* mean score of each side */
    double norm;                  /* of the direction, over all steps */
    /* Held-out samples projected on the direction of the others: the share of
     * (high, low) pairs in the right order; NAN where none were held out. */
    double auc;
    int held_high, held_low;
    int curve_count, curve[HS_CURVE_MAX];
    double cosine[HS_CURVE_MAX]; /* with the last one's direction */
} hs_attribute_report;

/* h [count,T,c,h,w] of these rows of the labels, for hs_attribute; in
 * HS_SPACE_NOISE x_T of each and, where any eta > 0, its z of all steps after it. */
typedef hs_status (*hs_h_source)(void *ctx, int count, const int *rows, const hs_monitor *monitor,
                                 float *h, hs_error *err);

/*
 * The direction of an attribute (paper, section V, eq. 11). h is made again
 * from the labels' seeds (source NULL; noise takes no U-Net pass), or asked from `source`, in
 * batches of hs_denoiser_batch; only sums are kept, in double. One unit is one full mean
 * difference; of joint regression, the partial effect times the difference of
 * the sides' mean scores. The AUC is that of the direction without the held-out
 * samples; the one returned is made of all. Metadata: options, result (the
 * report), eta, seeds. `report` may be NULL.
 */
HS_API hs_status hs_attribute(hs_sampler *sampler, const hs_labels *labels,
                              const hs_attribute_options *options, hs_h_source source, void *ctx,
                              const hs_monitor *monitor, hs_directions **out,
                              hs_attribute_report *report, hs_error *err);

/*
 * The same for several attributes at once, options [count], from one pass over the
 * samples of all: a handle with a direction each, in order, named by its attribute.
 * The held-out samples are the same ones for all (options[0].held_out of them).
 *   reports  [count], or NULL
 *   curve    NULL, or the directions of options[0].curve, of one attribute alone,
 *            named by their numbers of samples a side
 */
HS_API hs_status hs_attribute_many(hs_sampler *sampler, const hs_labels *labels,
                                   const hs_attribute_options *options, int count,
                                   hs_h_source source, void *ctx, const hs_monitor *monitor,
                                   hs_directions **out, hs_attribute_report *reports,
                                   hs_directions **curve, hs_error *err);

/* --------------------------------------------------------------- index -- */

/*
 * An index of samples: seeds, how they were made, and their scores, in an SQLite
 * file (docs/FORMATS.md). Every call that writes is one transaction: a process
 * that is killed leaves an index that opens and lacks at most its last batch.
 * Several processes may add to one index; each waits for the others'
 * transactions, up to a minute.
 */
typedef struct hs_index hs_index;

/* HS_ERROR_FORMAT for a file that is damaged or is no index; `create`: an absent
 * or empty one becomes one. */
HS_API hs_status hs_index_open(const char *path, bool create, hs_index **out, hs_error *err);
HS_API void hs_index_free(hs_index *index);

/* How all samples of an index were made. */
typedef struct hs_index_recipe {
    const char *model; /* hs_model_fingerprint */
    const char *name;  /* path or id, for messages; not compared */
    int steps;
    const double *eta; /* [eta_count]: 1 or steps */
    int eta_count;
    int64_t z_seed; /* as in hs_sampler_options */
    bool clip;
    const char *h_space; /* "before", "middle", "after"; images do not depend on it, not compared */
} hs_index_recipe;

/* Give a new index its recipe; HS_ERROR_MISMATCH where it has another one. */
HS_API hs_status hs_index_bind(hs_index *index, const hs_index_recipe *recipe, hs_error *err);
/* *any: whether there is one. What it points to belongs to the index. */
HS_API hs_status hs_index_recipe_get(hs_index *index, hs_index_recipe *out, bool *any,
                                     hs_error *err);

/* Who scores: kind "classifier" or "labels"; the fingerprint tells sources apart.
 * *source is its number in this index. */
HS_API hs_status hs_index_source(hs_index *index, const char *kind, const char *name,
                                 const char *fingerprint, const char *const *attributes, int count,
                                 int64_t *source, hs_error *err);
/*
 * Take up to `limit` seeds of first ... first + n - 1 that this source has not
 * scored and no living process is at: *count of them in `seeds` [limit]; 0: there
 * are none left. *busy: at least this many others are at work on.
 */
HS_API hs_status hs_index_claim(hs_index *index, int64_t source, int64_t first, int64_t n,
                                int limit, int64_t *seeds, int *count, int64_t *busy,
                                hs_error *err);
/* Give this process's claims back: it stops before they are done. */
HS_API hs_status hs_index_release(hs_index *index, hs_error *err);
/* Add scores [n,count] (NAN: not known) of seeds [n]; their claims end. */
HS_API hs_status hs_index_add(hs_index *index, int64_t source, int n, const int64_t *seeds,
                              const char *const *attributes, int count, const double *values,
                              hs_error *err);
/* Add labels by seed, as a source of their own; rows that name no seed are told
 * and left out. *added: rows that went in. */
HS_API hs_status hs_index_import(hs_index *index, const char *name, const hs_labels *labels,
                                 const hs_monitor *monitor, int *added, hs_error *err);

typedef struct hs_index_attribute {
    const char *name, *kind, *source; /* of the index */
    int64_t samples;                  /* that have a score */
    double mean, min, max;
} hs_index_attribute;

/* Its attributes: *out [*count], free() it. */
HS_API hs_status hs_index_summary(hs_index *index, hs_index_attribute **out, int *count,
                                  hs_error *err);
/* Seeds with a score. */
HS_API hs_status hs_index_samples(hs_index *index, int64_t *samples, hs_error *err);
/* All seeds, rising, and their scores for `attributes`; `source` says whose where
 * several have scored one, else NULL. */
HS_API hs_status hs_index_scores(hs_index *index, const char *const *attributes, int count,
                                 const char *source, hs_labels **out, hs_error *err);

/* ------------------------------------------------------------- recipes -- */

/* One edit of a recipe: hs_edit by file and name. */
typedef struct hs_recipe_edit {
    const char *file; /* direction file */
    const char *name; /* of the direction in it */
    double strength;
    int first, last; /* window, 0 = noisiest; last < 0: to the end */
} hs_recipe_edit;

/* Everything needed to make one image again; JSON on disk (docs/FORMATS.md).
 * Strings are UTF-8. */
typedef struct hs_recipe {
    const char *model;       /* path, id or name; NULL: not said */
    const char *fingerprint; /* hs_model_fingerprint, or NULL */
    int64_t seed;            /* used without `latent` */
    const char *latent;      /* latent file, or NULL */
    int latent_item;         /* which of its n images, from 0 */
    int steps;               /* T */
    const double *eta;       /* [eta_count], as in hs_sampler_options */
    int eta_count;           /* 1 or steps; 0: eta = 0 */
    int64_t z_seed;          /* as in hs_sampler_options */
    hs_h_space h_space;
    bool asyrp, clip;
    bool fast;                   /* HS_PRECISION_FAST */
    const hs_recipe_edit *edits; /* [edit_count] */
    int edit_count;
} hs_recipe;

/* Values that make no sense are HS_ERROR_ARGUMENT; nothing is written then. */
HS_API hs_status hs_recipe_save(const char *path, const hs_recipe *recipe, hs_error *err);
/* Free the result, and all that it points to, with hs_recipe_free. */
HS_API hs_status hs_recipe_load(const char *path, hs_recipe **out, hs_error *err);
HS_API void hs_recipe_free(hs_recipe *recipe); /* one from hs_recipe_load */
/* ------------------------------------------------------------- tensors -- */

/* Tensors of a .safetensors file, by name. */
typedef struct hs_tensors hs_tensors;

typedef struct hs_tensor_view {
    const char *name;
    int rank;       /* 0 ... 8 */
    int64_t dim[8]; /* [rank] */
    const float *data;
} hs_tensor_view;

HS_API hs_status hs_tensors_load(const char *path, hs_tensors **out, hs_error *err);
HS_API void hs_tensors_free(hs_tensors *tensors);
HS_API int hs_tensors_count(const hs_tensors *tensors);
HS_API const char *hs_tensors_name(const hs_tensors *tensors, int index);
/* The tensor `name`, widened to float32 (F16, BF16; F64 is rounded); the view
 * belongs to the handle. HS_ERROR_MISMATCH where the file has no such tensor,
 * HS_ERROR_UNSUPPORTED where its values are not of a floating type. */
HS_API hs_status hs_tensors_get(hs_tensors *tensors, const char *name, hs_tensor_view *out,
                                hs_error *err);
/* Write `count` float32 tensors, whole or not at all. */
HS_API hs_status hs_tensors_save(const char *path, const hs_tensor_view *views, int count,
                                 hs_error *err);

/* -------------------------------------------------------- classifiers -- */

/* Scores of images by attribute: a residual network bound to a back end. */
typedef struct hs_classifier hs_classifier;

/* How a classifier's outputs become scores. */
typedef enum hs_classifier_kind {
    HS_CLASSIFIER_AUTO,         /* what the checkpoint says, else by its outputs and labels */
    HS_CLASSIFIER_SINGLE_LABEL, /* softmax: probabilities that sum to 1 */
    HS_CLASSIFIER_MULTI_LABEL,  /* logistic function: a probability each */
    HS_CLASSIFIER_REGRESSION,   /* the outputs as they are */
    HS_CLASSIFIER_PAIRS,        /* two outputs a label, (no, yes): softmax of each pair */
    HS_CLASSIFIER_POSE          /* Hopenet: yaw, pitch, roll in degrees, sum_b p_b 3 b - 99 */
} hs_classifier_kind;

typedef struct hs_classifier_options {
    hs_backend_kind backend; /* default HS_BACKEND_ONEDNN */
    int threads;             /* 0: as many as the process may use */
    hs_classifier_kind kind; /* default HS_CLASSIFIER_AUTO */
    const char *labels;      /* a file with one label a line, UTF-8, in place of the
                                checkpoint's own; NULL: these */
    /* "size=224,mean=0.485/0.456/0.406,std=0.229/0.224/0.225" in place of
     * preprocessor_config.json: a size or HEIGHTxWIDTH, mean and std of values from
     * 0 to 1 (one a channel, or one for all), and perhaps ",resample=bilinear",
     * "bicubic" or "lanczos". NULL: the file, which must be there then. */
    const char *preprocess;
} hs_classifier_options;

HS_API hs_classifier_options hs_classifier_options_default(void);

/*
 * Open a classifier:
 *  - a folder (or an id in the hub's local cache) of transformers'
 *    ResNetForImageClassification: config.json, model.safetensors or
 *    pytorch_model.bin, preprocessor_config.json;
 *  - a file with a torchvision ResNet's state dict (.safetensors, or .pth and
 *    others by torch.save; names may begin with "module." or "model."), which
 *    needs labels and preprocess. Its head: "fc" with one output a label (one
 *    label: multi-label, else single-label, unless `kind` says otherwise) or two
 *    a label (pairs); "fc.0", "fc.1", ... with two outputs each, also called
 *    fcs, heads or classifiers (pairs); or Hopenet's "fc_yaw", "fc_pitch" and
 *    "fc_roll" of 66 bins, which needs no labels.
 * `options` may be NULL. One that needs labels or preprocess that nobody gives
 * is HS_ERROR_ARGUMENT, labels of another number HS_ERROR_MISMATCH, tensors that
 * are missing, misshapen or superfluous HS_ERROR_FORMAT.
 */
HS_API hs_status hs_classifier_open(const char *path, const hs_classifier_options *options,
                                    const hs_monitor *monitor, hs_classifier **out, hs_error *err);
/* The same from memory: "config.json", "model.safetensors" and
 * "preprocessor_config.json". The blobs must outlive the classifier. */
HS_API hs_status hs_classifier_open_blobs(const char *name, const hs_blob *blobs, size_t count,
                                          const hs_classifier_options *options,
                                          const hs_monitor *monitor, hs_classifier **out,
                                          hs_error *err);
HS_API void hs_classifier_free(hs_classifier *classifier);

typedef struct hs_classifier_info {
    const char *name;         /* the path or id it was opened by */
    const char *architecture; /* "ResNetForImageClassification", "torchvision ResNet" */
    hs_classifier_kind kind;  /* never HS_CLASSIFIER_AUTO */
    int64_t parameters;
    int channels;      /* of the images it takes */
    int height, width; /* of its input; 0: as the image's */
    int label_count;
} hs_classifier_info;

HS_API void hs_classifier_get_info(const hs_classifier *classifier, hs_classifier_info *info);
/* [*count] labels, one a score. */
HS_API const char *const *hs_classifier_labels(const hs_classifier *classifier, int *count);
/* The label's index, or -1. */
HS_API int hs_classifier_find(const hs_classifier *classifier, const char *label);
/* As hs_model_fingerprint, over all that scores depend on: config, weights,
 * preprocessing, labels and kind. */
HS_API hs_status hs_classifier_fingerprint(hs_classifier *classifier, char out[33], hs_error *err);

/*
 * Scores of n images of any size.
 *   image   C, H, W
 *   images  [n,C,H,W] in [-1,1]; what is outside is clamped, as in a picture file
 *   scores  [n,labels]: probabilities in [0,1]; regression: the model's units;
 *           pose: degrees
 * Images are resized as the classifier asks, antialiased, in float; of equal size
 * they are not touched. Works in batches; an image's scores are the same bits
 * whatever the batch and the number of threads. HS_ERROR_MISMATCH where C is not
 * the classifier's. On failure the scores of batches that were finished are there.
 */
HS_API hs_status hs_classifier_scores(hs_classifier *classifier, int n, const int image[3],
                                      const float *images, float *scores, hs_error *err);

/* ------------------------------------------------------------- effects -- */

/* A row of an effect matrix: what an edit does to each attribute. */
typedef struct hs_effect_row {
    hs_edit edit;       /* its strength is found where options.calibrate is given */
    const char *target; /* the attribute that it is meant to change, or NULL */
    int group;          /* 0, 1, ..., never falling: rows summed up together, as before and after */
} hs_effect_row;

typedef struct hs_effect_options {
    const hs_effect_row *rows; /* [row_count] */
    int row_count;
    const char *const *attributes; /* [attribute_count] the columns; 0: all labels */
    int attribute_count;
    int n, sets; /* sets of n samples: set s has seeds first_seed + s n + 0 ... n-1 */
    int64_t first_seed;
    bool random;         /* a last row for each group: random directions of equal norms */
    int64_t random_seed; /* row r: hs_directions_random_like with random_seed + r */
    /* Above 0: each row takes the least strength at which the mean effect on its
     * target, over samples of their own, is at least this. */
    double calibrate;
    int calibrate_n;        /* of these samples; default 50 */
    int64_t calibrate_seed; /* the first one's */
    double most_strength;   /* where the search ends; default 8 */
    int64_t max_mem;        /* bytes beyond the denoiser's; 0: no bound */
    const char *resume;     /* file for resume points, or NULL */
    double resume_every;    /* seconds between resume points; 0: 10 */
} hs_effect_options;

/* n 100, sets 10, random rows, first_seed 1000000, calibration after all of those. */
HS_API hs_effect_options hs_effect_options_default(void);

/* The figures of one group. */
typedef struct hs_effect_summary {
    int rows;                     /* that have a target: */
    int strongest;                /* of these, on which no other attribute changes as much */
    double on, on_deviation;      /* mean change of the target's score, over the rows */
    double off, off_deviation;    /* mean absolute change of the other attributes' */
    double ratio;                 /* off / on; NAN unless on > 0 */
    double random_on, random_off; /* the same of the random directions; NAN without */
} hs_effect_summary;

typedef struct hs_effects hs_effects;

typedef struct hs_effects_view {
    int rows; /* group by group, with the random row, if any, last in each */
    int groups, attributes, n, sets;
    const char *const *attribute_names; /* [attributes] */
    const char *const *names;           /* [rows] of the directions; "random directions" */
    const int *group, *target;          /* [rows]; target: a column, or -1 */
    const bool *random;                 /* [rows] */
    const double *strength;             /* [rows]; NAN of random rows */
    const double *calibrated;           /* [rows] effect on the calibration samples; NAN without */
    /* [rows,attributes] mean over the sets of the mean change over n samples, edited
     * less unedited, and of its absolute value; deviations: standard, over the sets'
     * means, NAN for one set. */
    const double *change, *change_deviation, *absolute, *absolute_deviation;
    const hs_effect_summary *summaries; /* [groups] */
} hs_effects_view;

/* Memory and the most passes that hs_effect_measure would take. */
HS_API hs_status hs_effect_cost(const hs_sampler *sampler, const hs_classifier *classifier,
                                const hs_effect_options *options, hs_cost *cost, hs_error *err);
/*
 * The effect matrix (the protocol of the paper's Table I): every sample is made
 * unedited and with each row's edit, and `classifier` scores all of them. The random
 * directions have the norm at every step, strength and window of one row each; the
 * samples are spread over them, and a group's random row is of those that took one of
 * the group's (NAN where none did). What is done
 * is kept in options->resume and gone on from, to the same bits; remove the file
 * when the result is saved. A row that does not reach options->calibrate is taken at
 * its best strength, with a notice. HS_ERROR_ARGUMENT names an attribute or target
 * that the classifier or the columns do not have.
 */
HS_API hs_status hs_effect_measure(hs_sampler *sampler, hs_classifier *classifier,
                                   const hs_effect_options *options, const hs_monitor *monitor,
                                   hs_effects **out, hs_error *err);
HS_API void hs_effects_view_get(const hs_effects *effects, hs_effects_view *view);
HS_API void hs_effects_free(hs_effects *effects);

/* ------------------------------------------------------------- figures -- */

/* 8-bit pixels, interleaved [height, width, bands], owned by the caller. */
typedef struct hs_pixels {
    int width, height, bands; /* bands: 1 gray, 3 RGB */
    uint8_t *data;
} hs_pixels;

/* [-1,1] x [C,H,W] (C is 1 or 3) to 8-bit; `data` is malloc'ed, free() it. */
HS_API hs_status hs_pixels_from_tensor(const float *x, int C, int H, int W, hs_pixels *out,
                                       hs_error *err);

/*
 * A labelled grid of equal cells. Labels may be NULL, or single entries NULL.
 * cells [rows * columns] row by row; an entry with data NULL is left blank.
 */
typedef struct hs_grid {
    int rows, columns;
    const hs_pixels *cells;
    const char *title;
    const char *const *row_labels;    /* [rows] */
    const char *const *column_labels; /* [columns] */
    int scale; /* whole enlargement factor, nearest; 0: chosen by cell size */
    /* Optional groups of rows, set apart by a gap and named at their left:
     * "principal components", "random directions". */
    int group_count;                 /* 0: none */
    const int *group_rows;           /* [group_count], each >= 1, summing to rows */
    const char *const *group_labels; /* [group_count] */
} hs_grid;

/*
 * Labels of figures are UTF-8. A label wider than its room is broken at spaces,
 * set smaller, and at last cut by an ellipsis.
 *
 * HS_ERROR_ARGUMENT unless the ending of `path` is that of a picture: .png .jpg
 * .jpeg .webp .svg. Call it before long work whose result is a figure.
 */
HS_API hs_status hs_figure_check_path(const char *path, hs_error *err);

/* Draw and write; the kind of file by the ending. PNG and WebP are lossless:
 * cells are found in them as exact pixels. */
HS_API hs_status hs_grid_save(const hs_grid *grid, const char *path, hs_error *err);
HS_API hs_status hs_pixels_save(const hs_pixels *pixels, const char *path, hs_error *err);

/*
 * Read an image: PNG, JPEG, WebP, GIF, TIFF, HEIF or AVIF, at most 2^28 pixels,
 * turned upright by its EXIF tag and converted to 8-bit sRGB, or gray where it
 * is gray. Transparent parts come out black, so outside of a mask. `data` is
 * malloc'ed, free() it.
 */
HS_API hs_status hs_pixels_load(const char *path, hs_pixels *out, hs_error *err);

/*
 * An image as a model wants it: width x height with `bands` 1 or 3.
 *  - Cut: the largest centred part of the model's proportions; with `crop`
 *    (x, y, w, h from the top left of the upright image) that of the crop. So
 *    nothing is ever stretched.
 *  - Resized to width x height by Lanczos (3 lobes, antialiased, on the sRGB
 *    values); a part of that very size is copied.
 *  - Bands: colour to gray by (299 R + 587 G + 114 B) / 1000, gray to three
 *    equal bands.
 * `name` stands before messages. out->data is malloc'ed, free() it.
 */
HS_API hs_status hs_pixels_fit(const char *name, const hs_pixels *in, const int *crop, int width,
                               int height, int bands, hs_pixels *out, hs_error *err);

/* 8-bit pixels to x [bands,height,width] in [-1,1]: u8 / 127.5 - 1. */
HS_API void hs_tensor_from_pixels(const hs_pixels *pixels, float *x);

typedef enum hs_heatmap {
    HS_HEATMAP_SIGNED,  /* mean over channels: blue below 0, white, red above */
    HS_HEATMAP_ABSOLUTE /* root mean square over channels: dark to light */
} hs_heatmap;

/*
 * A map [C,H,W] of numbers (a singular vector u of the Jacobian, a difference
 * of images) as colours [H,W,3]. The palette ends at +-limit (0: at the largest
 * value); lightness is even in the value. `data` is malloc'ed, free() it.
 */
HS_API hs_status hs_heatmap_from_tensor(const float *x, int C, int H, int W, hs_heatmap kind,
                                        double limit, hs_pixels *out, hs_error *err);

/* One line of a plot. x NULL: 0, 1, 2, ... */
typedef struct hs_series {
    int count;
    const double *x, *y; /* [count], finite */
    const char *label;   /* in the legend; NULL: not named there */
} hs_series;

/* A line plot: explained variance by component, sigma by step. */
typedef struct hs_plot {
    const char *title, *x_label, *y_label; /* may be NULL */
    const hs_series *series;
    int series_count;
    bool log_y;     /* needs positive y */
    bool from_zero; /* the y axis includes 0 */
} hs_plot;

HS_API hs_status hs_plot_save(const hs_plot *plot, const char *path, hs_error *err);

/* Numbers in coloured cells, such as an effect matrix: direction by attribute. */
typedef struct hs_matrix {
    int rows, columns;
    const double *values;     /* [rows, columns], finite */
    const double *deviations; /* [rows, columns] shown as "+-", or NULL */
    const char *title;
    const char *row_title, *column_title;                 /* what rows and columns are */
    const char *const *row_labels, *const *column_labels; /* [rows], [columns] or NULL */
    double limit;      /* value of the strongest colour; 0: the largest |value| */
    int decimals;      /* 0: 2 */
    bool absolute;     /* colours by |value|, from 0 on */
    const bool *marks; /* [rows, columns] cells in a frame, or NULL */
    /* Optional groups of columns, set apart by a gap and named above. */
    int group_count;                 /* 0: none */
    const int *group_columns;        /* [group_count], each >= 1, summing to columns */
    const char *const *group_labels; /* [group_count] */
} hs_matrix;

HS_API hs_status hs_matrix_save(const hs_matrix *matrix, const char *path, hs_error *err);

/* ------------------------------------------------------------- threads -- */

/* CPUs that this process may run on. */
HS_API int hs_cpu_count(void);

#ifdef __cplusplus
}
#endif
#endif
