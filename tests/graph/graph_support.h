/* What the graph's tests share: one-op graphs, run on the reference back end
 * in double. */
#ifndef HS_TESTS_GRAPH_SUPPORT_H
#define HS_TESTS_GRAPH_SUPPORT_H

#include "support.h"

#include "backends/backend.h"
#include "graph/optable.h"

typedef struct hs_op_case {
    hs_op op;
    int input_count;
    hs_shape shape[HS_MAX_INPUTS];
    unsigned weights;  /* bit i: input i is a weight, without rows */
    unsigned positive; /* bit i: values in [1, 2), for a divisor */
    hs_attr attr;
} hs_op_case;

/* Every op that can be differentiated occurs, most of them several times. */
extern const hs_op_case hs_op_cases[];
extern const int hs_op_case_count;

/* A graph of inputs and one op on them; fails the test on an error. */
typedef struct hs_op_graph {
    hs_graph *graph;
    hs_value input[HS_MAX_INPUTS];
    hs_value out;
} hs_op_graph;
hs_op_graph hs_op_graph_make(const hs_op_case *test);

/* `count` random values in [-2, 2), or [1, 2) if positive; free() them. */
double *hs_random_values(uint64_t *state, int64_t count, bool positive);

/* Random data for each input of `test`; free each. */
void hs_random_inputs(const hs_op_case *test, uint64_t *state, double *data[HS_MAX_INPUTS]);
void hs_free_inputs(double *data[HS_MAX_INPUTS]);

/* Plan, run and read one value in double; free() it. */
double *hs_run_graph(const hs_graph *graph, hs_value out, const hs_binding *inputs, int count);

double hs_dot(const double *a, const double *b, int64_t count);

#endif
