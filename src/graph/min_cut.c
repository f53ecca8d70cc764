/*
 * Maximum flow by shortest augmenting paths (Edmonds and Karp 1972). The
 * networks of cut.c have some thousand nodes, ways of a few edges and as many
 * augmentations as values are kept, so nothing faster is called for.
 *
 * Edge e is the arc 2e from its first to its second node and the arc 2e + 1
 * back; what an arc has left is `left`.
 */
#include "graph/min_cut.h"

#include <stdlib.h>

#include "base/mem.h"

typedef struct hs_flow {
    int nodes;
    int *first;    /* [nodes] an arc that leaves the node, or -1 */
    int *next;     /* [arcs] the next one that leaves the same node, or -1 */
    int *target;   /* [arcs] */
    int64_t *left; /* [arcs] */
    int *by;       /* [nodes] the arc by which the search came; -1: not reached */
    int *queue;    /* [nodes] */
} hs_flow;

static void hs_flow_free(hs_flow *flow) {
    free(flow->queue);
    free(flow->by);
    free(flow->left);
    free(flow->target);
    free(flow->next);
    free(flow->first);
}

static hs_status hs_flow_make(hs_flow *flow, int nodes, const hs_flow_edge *edges, int edge_count,
                              hs_error *err) {
    size_t arcs = 2 * (size_t)edge_count, n = (size_t)nodes;
    *flow = (hs_flow){.nodes = nodes,
                      .first = hs_calloc(n, sizeof(int)),
                      .next = hs_calloc(arcs, sizeof(int)),
                      .target = hs_calloc(arcs, sizeof(int)),
                      .left = hs_calloc(arcs, sizeof(int64_t)),
                      .by = hs_calloc(n, sizeof(int)),
                      .queue = hs_calloc(n, sizeof(int))};
    if (!flow->first || !flow->next || !flow->target || !flow->left || !flow->by || !flow->queue)
        return hs_fail_memory(err, (n + arcs) * 3 * sizeof(int));
    for (int i = 0; i < nodes; i++)
        flow->first[i] = -1;
    for (int e = 0; e < edge_count; e++) {
        const int ends[] = {edges[e].from, edges[e].to};
        for (int back = 0; back < 2; back++) {
            int arc = 2 * e + back;
            flow->target[arc] = ends[!back];
            flow->left[arc] = back ? 0 : edges[e].capacity;
            flow->next[arc] = flow->first[ends[back]];
            flow->first[ends[back]] = arc;
        }
    }
    return HS_OK;
}

/* Breadth first from `start` along arcs with something left, or, backwards,
 * against them, until `goal` (-1: to the end). True: the goal was reached. */
static bool hs_flow_search(hs_flow *flow, int start, int goal, bool backwards) {
    int head = 0, tail = 0;
    for (int i = 0; i < flow->nodes; i++)
        flow->by[i] = -1;
    flow->by[start] = -2; /* reached, by no arc */
    flow->queue[tail++] = start;
    while (head < tail) {
        for (int arc = flow->first[flow->queue[head++]]; arc >= 0; arc = flow->next[arc]) {
            int to = flow->target[arc];
            if (flow->by[to] != -1 || flow->left[arc ^ (backwards ? 1 : 0)] == 0)
                continue;
            flow->by[to] = arc;
            if (to == goal)
                return true;
            flow->queue[tail++] = to;
        }
    }
    return false;
}

/* Send as much as fits along the way that the search found. */
static void hs_flow_augment(hs_flow *flow, int source, int sink) {
    int64_t amount = HS_FLOW_ENDLESS;
    for (int i = sink; i != source; i = flow->target[flow->by[i] ^ 1])
        if (flow->left[flow->by[i]] < amount)
            amount = flow->left[flow->by[i]];
    for (int i = sink; i != source; i = flow->target[flow->by[i] ^ 1]) {
        flow->left[flow->by[i]] -= amount;
        flow->left[flow->by[i] ^ 1] += amount;
    }
}

hs_status hs_min_cut(int node_count, const hs_flow_edge *edges, int edge_count, int source,
                     int sink, bool *sink_side, hs_error *err) {
    hs_status status = HS_OK;
    hs_flow flow;
    HS_CHECK(hs_flow_make(&flow, node_count, edges, edge_count, err));
    while (hs_flow_search(&flow, source, sink, false))
        hs_flow_augment(&flow, source, sink);
    hs_flow_search(&flow, sink, -1, true);
    for (int i = 0; i < node_count; i++)
        sink_side[i] = flow.by[i] != -1;
cleanup:
    hs_flow_free(&flow);
    return status;
}
