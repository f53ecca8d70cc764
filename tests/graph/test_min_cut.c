/* Minimum cuts of small random networks against every cut there is. */
#include "support.h"

#include <stdlib.h>

#include "graph/min_cut.h"

#define HS_NODES 7 /* 0 is the source, 1 the sink */
#define HS_EDGES 14

/* What the cut with these nodes on the sink's side costs. */
static int64_t hs_cut_cost(const hs_flow_edge *edges, const bool *sink_side) {
    int64_t sum = 0;
    for (int e = 0; e < HS_EDGES; e++)
        if (!sink_side[edges[e].from] && sink_side[edges[e].to])
            sum += edges[e].capacity;
    return sum;
}

static void hs_random_network(uint64_t *state, hs_flow_edge *edges) {
    for (int e = 0; e < HS_EDGES; e++) {
        double kind = hs_test_random(state);
        edges[e] = (hs_flow_edge){.from = (int)((hs_test_random(state) + 1) / 2 * HS_NODES),
                                  .to = (int)((hs_test_random(state) + 1) / 2 * HS_NODES),
                                  .capacity = (int64_t)((hs_test_random(state) + 1) * 5)};
        /* no endless way from source to sink: such edges leave neither */
        if (kind > 0.5 && edges[e].from > 1 && edges[e].to > 1)
            edges[e].capacity = HS_FLOW_ENDLESS / HS_EDGES;
    }
}

static void hs_test_against_all_cuts(void **state) {
    uint64_t seed = 1;
    int positive = 0;
    for (int round = 0; round < 2000; round++) {
        hs_error err;
        hs_flow_edge edges[HS_EDGES];
        bool found[HS_NODES], side[HS_NODES] = {false, true}, nearest[HS_NODES];
        hs_random_network(&seed, edges);
        assert_ok(hs_min_cut(HS_NODES, edges, HS_EDGES, 0, 1, found, &err));
        assert_false(found[0]);
        assert_true(found[1]);
        int64_t best = INT64_MAX;
        for (int i = 0; i < HS_NODES; i++)
            nearest[i] = true;
        for (int bits = 0; bits < 1 << (HS_NODES - 2); bits++) {
            for (int i = 2; i < HS_NODES; i++)
                side[i] = bits >> (i - 2) & 1;
            int64_t cost = hs_cut_cost(edges, side);
            for (int i = 0; i < HS_NODES; i++) /* the smallest side among the best */
                nearest[i] = cost < best    ? side[i]
                             : cost == best ? nearest[i] && side[i]
                                            : nearest[i];
            best = cost < best ? cost : best;
        }
        assert_int_equal(hs_cut_cost(edges, found), best);
        assert_memory_equal(found, nearest, sizeof found);
        positive += best > 0;
    }
    assert_true(positive > 500);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(hs_test_against_all_cuts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
