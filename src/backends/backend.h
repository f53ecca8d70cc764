/*
 * A back end makes a plan for one graph once (layouts, fusions, primitives,
 * one arena) and then executes it many times without allocating.
 */
#ifndef HS_BACKENDS_BACKEND_H
#define HS_BACKENDS_BACKEND_H

#include "graph/graph.h"

typedef struct hs_exec hs_exec; /* a planned graph */

/* Converted weights of one model, and the arena, shared by the plans of its
 * graphs (other batches, parts of the graph), of which one runs at a time. It
 * must outlive them, and the model it. */
typedef struct hs_weight_cache hs_weight_cache;

/*
 * An input of a planned graph that is not bound by the caller but read where
 * another plan of the same back end keeps it. `source` must outlive the plan
 * and have been executed before the plan is; what its last execution left is
 * what is read. The shapes must be equal.
 */
typedef struct hs_link {
    hs_value value;        /* an input of the graph that is planned */
    const hs_exec *source; /* has source_value among its `kept` */
    hs_value source_value; /* in the graph of `source` */
} hs_link;

/* Where the time of passes goes, summed over all plans that were given this. */
#define HS_PROFILE_KINDS 48
typedef struct hs_profile {
    hs_profile_row rows[HS_PROFILE_KINDS]; /* in the order in which they were first planned */
    int count;
    int64_t mark; /* nanoseconds: when the step that now runs began */
} hs_profile;

typedef struct hs_plan_options {
    int threads;             /* 0: all CPUs */
    bool double_precision;   /* ref only: keep doubles between ops */
    const hs_value *outputs; /* [output_count] values that the caller will read */
    int output_count;
    hs_weight_cache *cache; /* converted weights shared by plans, or NULL */
    /* [kept_count] values, inputs included, weights not, that stay in the plan
     * after execute, in the back end's own layout, for the links of others. They
     * count in the bytes of this plan; a value may be kept and an output. */
    const hs_value *kept;
    int kept_count;
    const hs_link *links; /* [link_count] */
    int link_count;
    hs_profile *profile; /* outlives the plan; NULL: none. `ref` keeps none */
    bool fast; /* onednn only: the factors of convolutions may be rounded, to bf16 or to 16 bits
                  with a scale, but for those of few channels */
    const struct hs_kernels *kernels; /* onednn only, for tests: in place of the best; or NULL */
} hs_plan_options;

/* Memory of a plan. Plans with one weight cache share their weights and, as they
 * never run at once, the arena for what lives within a pass: of these only the
 * largest counts. */
typedef struct hs_exec_bytes {
    int64_t own;     /* kept values and work space */
    int64_t shared;  /* arena */
    int64_t weights; /* converted */
} hs_exec_bytes;

/* Row-major data of an input or output value; exactly one pointer is set. A
 * double pointer is for `ref` alone. */
typedef struct hs_binding {
    hs_value value;
    float *f32;
    double *f64;
} hs_binding;

typedef struct hs_backend {
    const char *name;
    /* The graph must outlive the plan. HS_ERROR_UNSUPPORTED names the op. */
    hs_status (*plan)(const hs_graph *graph, const hs_plan_options *options, hs_exec **out,
                      hs_error *err);
    /* Every input on which an output or kept value depends must be bound, but
     * for the linked ones, which must not; bindings of other inputs are ignored.
     * Outputs that are not bound are computed and dropped. */
    hs_status (*execute)(hs_exec *exec, const hs_binding *inputs, int input_count,
                         const hs_binding *outputs, int output_count, hs_error *err);
    void (*bytes)(const hs_exec *exec, hs_exec_bytes *bytes);
    void (*free)(hs_exec *exec);
    /* Let go of what plans share beyond what this one uses, until another of them
     * runs. NULL: nothing is shared. Not while a plan runs. */
    void (*trim)(const hs_exec *exec);
    /* NULL members: this back end shares no weights. cache_new: NULL, no memory. */
    hs_weight_cache *(*cache_new)(void);
    void (*cache_free)(hs_weight_cache *cache);
    /* Whether hs_plan_options.fast is meant to save time on this CPU; NULL: not known here. */
    bool (*has_fast)(void);
} hs_backend;

extern const hs_backend hs_backend_ref;
extern const hs_backend hs_backend_onednn;

#endif
