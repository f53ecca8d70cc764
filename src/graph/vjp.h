/*
 * The cotangent map of a graph, by the ops' own rules (optable.h).
 */
#ifndef HS_GRAPH_VJP_H
#define HS_GRAPH_VJP_H

#include "graph/graph.h"

/*
 * Append to `graph` the nodes that compute J^T u, with J = d of / d at as in
 * hs_graph_jvp. `u` is a value of the shape of `of`: of as many rows, or of k
 * rows where `at` and `of` have one. The result has the shape of `at` with as
 * many rows as u. Where a value is used several times its cotangents are added.
 *
 * Errors as hs_graph_jvp's.
 */
hs_status hs_graph_vjp(hs_graph *graph, hs_value at, hs_value u, hs_value of, hs_value *out,
                       hs_error *err);

#endif
