/*
 * Random graphs from every op that can be differentiated, in which values are
 * used several times, and some do not depend on x.
 */
#ifndef HS_TESTS_RANDOM_GRAPH_H
#define HS_TESTS_RANDOM_GRAPH_H

#include "graph/graph_support.h"

#define HS_RANDOM_CHANNELS 4
#define HS_RANDOM_SIDE 4
#define HS_RANDOM_ROW (HS_RANDOM_CHANNELS * HS_RANDOM_SIDE * HS_RANDOM_SIDE)
#define HS_RANDOM_POOL 64
#define HS_RANDOM_WEIGHTS 128

typedef struct hs_random_graph {
    hs_graph *graph;
    int64_t rows;
    hs_value x, y, t;              /* inputs [rows,4,4,4], the same, [rows]; x is differentiated */
    hs_value out;                  /* of x's shape, depends on x */
    hs_value pool[HS_RANDOM_POOL]; /* of x's shape; the first two are x and y */
    int pool_count;
    hs_tensor tensors[HS_RANDOM_WEIGHTS];
    int weight_count;
    uint64_t seed;
    double *data[3]; /* for x, y, t */
} hs_random_graph;

/* `steps` values are added to the pool. The struct must stay where it is. */
void hs_random_graph_make(hs_random_graph *made, uint64_t seed, int steps, int64_t rows);
void hs_random_graph_free(hs_random_graph *made);

/* Bindings of x, y and t to the graph's data; the count is 3. */
void hs_random_graph_bind(const hs_random_graph *made, hs_binding bindings[3]);

#endif
