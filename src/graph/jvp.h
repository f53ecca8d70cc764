/*
 * The tangent map of a graph, by the ops' own rules (optable.h).
 */
#ifndef HS_GRAPH_JVP_H
#define HS_GRAPH_JVP_H

#include "graph/graph.h"

/*
 * Append to `graph` the nodes that compute J v, the change of value `of` for a
 * change `v` of value `at`, with J = d of / d at at the point that the graph's
 * inputs give.
 *
 * `v` is any value of the graph, usually an input, of the shape of `at`: of as
 * many rows, or, where `at` has one row, of k rows that are k vectors at one
 * point. The result has the shape of `of` with as many rows as v. Only what
 * depends on `at` and leads to `of` gets a tangent. What the rules need of the
 * primal point (group norm statistics, slopes, attention probabilities) is
 * added once for all derivatives of a graph, vjp.h's included.
 *
 * HS_ERROR_ARGUMENT: `of` does not depend on `at` (*out is HS_NO_VALUE).
 * HS_ERROR_MISMATCH: v does not fit `at`. HS_ERROR_UNSUPPORTED names an op on
 * the way that cannot be differentiated. After an error the graph may hold
 * nodes that nothing uses; its values still mean what they meant.
 */
hs_status hs_graph_jvp(hs_graph *graph, hs_value at, hs_value v, hs_value of, hs_value *out,
                       hs_error *err);

#endif
