/* The cotangent map: one pass over the nodes between `of` and `at`, backwards.
 * See vjp.h. */
#include "graph/vjp.h"

#include <stdlib.h>

#include "graph/ops/ops.h"
#include "graph/path.h"

/* Add what node `value` hands to its inputs to their cotangents. */
static hs_status hs_vjp_node(hs_graph *graph, const bool *on, hs_value value, hs_value *cotangent,
                             hs_error *err) {
    unsigned mask;
    hs_value part[HS_MAX_INPUTS];
    hs_node node = graph->nodes[value]; /* adding nodes may move the array */
    HS_TRY(hs_path_inputs(graph, on, value, &mask, err));
    HS_TRY(hs_op_get(node.op)->vjp(graph, value, cotangent[value], mask, part, err));
    for (int i = 0; i < node.input_count; i++)
        if (mask >> i & 1)
            HS_TRY(hs_emit_sum(graph, cotangent[node.input[i]], part[i], &cotangent[node.input[i]],
                               err));
    return HS_OK;
}

hs_status hs_graph_vjp(hs_graph *graph, hs_value at, hs_value u, hs_value of, hs_value *out,
                       hs_error *err) {
    hs_status status = HS_OK;
    bool *on = NULL;
    hs_value *cotangent = NULL;
    *out = HS_NO_VALUE;
    HS_TRY(hs_path_open(graph, at, of, u, of, &on, err));
    int32_t count = graph->count;
    cotangent = hs_calloc((size_t)count, sizeof *cotangent);
    if (!cotangent) {
        status = hs_fail_memory(err, (size_t)count * sizeof *cotangent);
        goto cleanup;
    }
    hs_vjp_clear(cotangent, count);
    cotangent[of] = u;
    /* Every node on the way leads to `of`, so its cotangent is complete, and
     * there, when its turn comes. */
    for (hs_value i = of; i > at; i--)
        if (on[i])
            HS_CHECK(hs_vjp_node(graph, on, i, cotangent, err));
    *out = cotangent[at];
cleanup:
    free(cotangent);
    free(on);
    return status;
}
