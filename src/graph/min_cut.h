/* The cheapest set of edges that separates two nodes of a flow network. */
#ifndef HS_GRAPH_MIN_CUT_H
#define HS_GRAPH_MIN_CUT_H

#include "base/error.h"

/* More than any sum of capacities: an edge of it is never cut. */
#define HS_FLOW_ENDLESS ((int64_t)1 << 62)

typedef struct hs_flow_edge {
    int from, to;
    int64_t capacity; /* 0 or more; the finite ones sum up to less than HS_FLOW_ENDLESS */
} hs_flow_edge;

/*
 * sink_side, [node_count]: the nodes from which the sink can still be reached
 * once the network carries all it can. Edges that lead into this set are a
 * minimum cut: of several, the one nearest to the sink. Every way from source
 * to sink must have a finite edge.
 */
hs_status hs_min_cut(int node_count, const hs_flow_edge *edges, int edge_count, int source,
                     int sink, bool *sink_side, hs_error *err);

#endif
