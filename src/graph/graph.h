/*
 * The op graph: what a network computes, with static shapes and no notion of
 * how. Values are numbered in the order in which they were added, and an op
 * uses only values that exist already, so the order is a schedule.
 *
 *   builder (models/)  ->  hs_graph  ->  backend plan  ->  execute
 *                             |
 *                             +-- jvp / vjp rules add nodes to it (optable.h)
 *
 * Feature maps are [n,c,h,w], vectors [n,c]: logical shapes; back ends choose
 * the layout. Weights are nodes that point at a mapped tensor.
 */
#ifndef HS_GRAPH_GRAPH_H
#define HS_GRAPH_GRAPH_H

#include "base/mem.h"
#include "base/tensor.h"

typedef int32_t hs_value; /* index of a node; its result */
#define HS_NO_VALUE ((hs_value)-1)
#define HS_MAX_INPUTS 8

typedef enum hs_op {
    HS_OP_INPUT,        /* fed by the caller */
    HS_OP_WEIGHT,       /* a checkpoint's tensor */
    HS_OP_CONV2D,       /* (x, w [o,i,kh,kw], bias [o] or none) */
    HS_OP_LINEAR,       /* (x [n,i], w [o,i], bias [o] or none) */
    HS_OP_GROUP_NORM,   /* (x, gamma [c], beta [c], group_norm_stats of x or none) */
    HS_OP_ACTIVATION,   /* (x) SiLU, mish, GELU, ReLU */
    HS_OP_TIME_EMBED,   /* (t [n]) -> [n,dim] sinusoids */
    HS_OP_FOURIER_EMBED,/* (t [n], w [dim/2]) -> [n,dim], of log t */
    HS_OP_ADD,          /* (a, b) same shape */
    HS_OP_ADD_CHANNEL,  /* (x [n or 1,c,h,w], b [n,c]) */
    HS_OP_MODULATE,     /* (x [n,c,h,w], s [n,2c]): x * (1 + s[:c]) + s[c:] */
    HS_OP_AFFINE,       /* (x): alpha * x + beta, scalars */
    HS_OP_DIVIDE_ROWS,  /* (x [n,...], t [n or 1]): x[i] / t[i] */
    HS_OP_CONCAT,       /* (a, b, ...) along channels */
    HS_OP_UPSAMPLE,     /* (x) nearest, twice as high and wide */
    HS_OP_AVG_POOL,     /* (x) 2x2, stride 2; the last row of an odd height is dropped */
    HS_OP_MAX_POOL,     /* (x) square windows, padded with minus infinity */
    HS_OP_MEAN_SPATIAL, /* (x [n,c,h,w]) -> [n,c]: global average pooling */
    HS_OP_ATTENTION,    /* (q, k, v [n,c,h,w]): tokens are the h*w positions */
    /*
     * What derivatives need. Linear in their last inputs; see ops/ for which.
     * Where such an op combines values of the primal point (x, stats, q, k, v,
     * p, s, a) with tangents or cotangents (v, u, dq, dk, dv) of k rows, each
     * primal value has k rows too, or one row that serves all of them: k
     * vectors at one point. add_channel and divide_rows allow the same.
     */
    HS_OP_CONV2D_TRANSPOSE,      /* (u, w): adjoint of conv2d in x */
    HS_OP_LINEAR_TRANSPOSE,      /* (u, w): u w */
    HS_OP_GROUP_NORM_STATS,      /* (x) -> [n,groups,2]: mean, 1/sqrt(var+eps) */
    HS_OP_GROUP_NORM_TANGENT,    /* (x, stats, gamma, v) */
    HS_OP_GROUP_NORM_COTANGENT,  /* (x, stats, gamma, u) */
    HS_OP_ACTIVATION_SLOPE,      /* (x): f'(x) */
    HS_OP_MAX_POOL_TANGENT,      /* (x, v): v where x is the window's largest */
    HS_OP_MAX_POOL_COTANGENT,    /* (x, u): u added there */
    HS_OP_MUL,                   /* (a, v) same shape, or a with one row */
    HS_OP_MODULATE_SCALE,        /* (s [n,2c], v [n,c,h,w]): v * (1 + s[:c]) */
    HS_OP_ATTENTION_PROBS,       /* (q, k) -> [n,heads,L,L] */
    HS_OP_ATTENTION_TANGENT,     /* (q, k, v, p, dq, dk, dv) */
    HS_OP_ATTENTION_COTANGENT,   /* (q, k, v, p, u) -> one of dq, dk, dv: `which` */
    HS_OP_SUM_SPATIAL,           /* (x [n,c,h,w]) -> [n,c] */
    HS_OP_SLICE,                 /* (x) channels first ... first+count-1 */
    HS_OP_PAD_CHANNELS,          /* (x) zeros around: adjoint of slice */
    HS_OP_COUNT
} hs_op;

typedef enum hs_activation { HS_SILU, HS_MISH, HS_GELU, HS_RELU } hs_activation; /* GELU: erf */

typedef struct hs_shape {
    int rank;
    int64_t dim[4];
} hs_shape;

/* Attributes; each op reads its own member. */
typedef union hs_attr {
    struct { int stride, pad_top, pad_left, pad_bottom, pad_right; int in_h, in_w; } conv;
    /* conv.in_h, in_w: conv2d_transpose only, the size of conv2d's input */
    struct { bool odd_h, odd_w; } upsample; /* append one row, column of zeros */
    struct { int groups; double eps; } group_norm; /* also stats, tangent, cotangent */
    struct { hs_activation kind; } activation;     /* also slope */
    struct { int dim; bool flip_sin_to_cos; double freq_shift; double max_period; } time_embed;
    struct { bool flip_sin_to_cos; bool log; } fourier; /* angle = 2 pi w log(t) */
    struct { double alpha, beta; } affine;
    struct { int kernel, stride, pad; } pool;                 /* max_pool and its derivatives */
    struct { int heads; double scale; int which; } attention; /* which: 0 q, 1 k, 2 v */
    struct { int first, count, total; } channels; /* slice: first, count; pad: first, total */
} hs_attr;

typedef struct hs_node {
    hs_op op;
    int input_count;
    hs_value input[HS_MAX_INPUTS];
    hs_attr attr;
    hs_shape shape;       /* of the result */
    const char *name;     /* for outputs, inputs, profiles; may be NULL */
    const hs_tensor *weight; /* HS_OP_WEIGHT: the tensor; `shape` may be a reshaped view */
} hs_node;

typedef struct hs_graph {
    hs_node *nodes;
    int32_t count, capacity;
    hs_arena arena; /* names */
} hs_graph;

hs_graph *hs_graph_new(void); /* NULL: no memory */
void hs_graph_free(hs_graph *graph);

/* Add nodes. Each returns HS_OK and the new value, or says which op, of which
 * name and shapes, does not fit (HS_ERROR_MISMATCH), or HS_ERROR_MEMORY. */
hs_status hs_graph_input(hs_graph *graph, const char *name, hs_shape shape, hs_value *out,
                         hs_error *err);
/* `tensor` must outlive the graph and have as many elements as `shape`. */
hs_status hs_graph_weight(hs_graph *graph, const hs_tensor *tensor, hs_shape shape, hs_value *out,
                          hs_error *err);
hs_status hs_graph_add(hs_graph *graph, hs_op op, const hs_value *inputs, int input_count,
                       const hs_attr *attr, const char *name, hs_value *out, hs_error *err);
/* Make `value` an input: what it was computed from is no longer needed for it. */
void hs_graph_make_input(hs_graph *graph, hs_value value);
void hs_graph_set_name(hs_graph *graph, hs_value value, const char *name);
/* The first value of that name, HS_NO_VALUE if there is none. */
hs_value hs_graph_find(const hs_graph *graph, const char *name);

hs_shape hs_shape_make(int rank, ...); /* int64_t each */
int64_t hs_shape_count(const hs_shape *shape);
bool hs_shape_equal(const hs_shape *a, const hs_shape *b);
/* "[1, 64, 8, 8]"; a negative dimension, in what a rule expects, is "*". */
void hs_shape_describe(const hs_shape *shape, char text[100]);

/* Multiply-accumulates of one node: convolution, linear, attention and their
 * derivatives' ops; else 0. */
int64_t hs_node_macs(const hs_graph *graph, hs_value value);

#endif
