/*
 * One row an op: its name, its arity and its four rules. The rows are
 * collected in optable.c; each op's rules stand together in ops/<name>.c, the
 * ops that only derivatives need beside the op that they belong to.
 */
#ifndef HS_GRAPH_OPTABLE_H
#define HS_GRAPH_OPTABLE_H

#include "graph/graph.h"

typedef struct hs_op_info {
    const char *name;
    int min_inputs, max_inputs;

    /* Set node->shape from the inputs' shapes and the attributes. */
    hs_status (*shape)(const hs_graph *graph, hs_node *node, hs_error *err);

    /* Plain C, in double, logical layout: in[i] and out are row-major. Where
     * the attribute or shape calls for it the input may be NULL (no bias).
     * `scratch` holds as many doubles as the next rule says. NULL for inputs
     * and weights, which a back end fills itself. */
    void (*reference)(const hs_graph *graph, const hs_node *node, const double *const *in,
                      double *out, double *scratch);
    int64_t (*scratch)(const hs_graph *graph, const hs_node *node); /* NULL: none */

    /* Bit i: the op can be differentiated in input i. Zero for ops that the
     * derivative never meets (time embedding of t). Ops that only derivatives
     * use are linear in the inputs named here and differentiable in no other. */
    unsigned differentiable;

    /*
     * Tangent: add to `graph` nodes that compute J v, where v[i] is the tangent
     * of input i or HS_NO_VALUE for zero; at least one is not. `value` is the
     * primal node (its inputs and result may be used). Tangents may have more
     * rows than the primal, if the primal has one row: k vectors at one point.
     */
    hs_status (*jvp)(hs_graph *graph, hs_value value, const hs_value *v, hs_value *out,
                     hs_error *err);

    /* Cotangent: for each i with wanted bit i, add nodes that compute J_i^T u
     * and set out[i]; other entries become HS_NO_VALUE. */
    hs_status (*vjp)(hs_graph *graph, hs_value value, hs_value u, unsigned wanted, hs_value *out,
                     hs_error *err);

    /* Multiply-accumulates; NULL: none worth counting. */
    int64_t (*macs)(const hs_graph *graph, const hs_node *node);
} hs_op_info;

const hs_op_info *hs_op_get(hs_op op);

#endif
