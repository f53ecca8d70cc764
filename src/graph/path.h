/* The nodes that lie between values of a graph. For jvp.c, vjp.c and cut.c. */
#ifndef HS_GRAPH_PATH_H
#define HS_GRAPH_PATH_H

#include "graph/graph.h"

/* Set mark[i], of graph->count, where node i is one of `from` or depends on one. */
void hs_path_from(const hs_graph *graph, const hs_value *from, int count, bool *mark);

/* The same where node i is one of `to` or one of them depends on it. */
void hs_path_to(const hs_graph *graph, const hs_value *to, int count, bool *mark);

/*
 * What both derivatives check before they begin: that the values exist, that
 * `vector` has the shape of `like` with as many rows or, where that has one
 * row, any number, and that `of` depends on `at`. *on, [graph->count], marks
 * the nodes on the way, both ends included; free() it.
 */
hs_status hs_path_open(const hs_graph *graph, hs_value at, hs_value of, hs_value vector,
                       hs_value like, bool **on, hs_error *err);

/* Bit i of *mask: input i of `value` is on the way. HS_ERROR_UNSUPPORTED where
 * the op cannot be differentiated in one of these. */
hs_status hs_path_inputs(const hs_graph *graph, const bool *on, hs_value value, unsigned *mask,
                         hs_error *err);

#endif
