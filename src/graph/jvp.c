/* The tangent map: one pass over the nodes between `at` and `of`, in their
 * order. See jvp.h. */
#include "graph/jvp.h"

#include <stdlib.h>

#include "graph/optable.h"
#include "graph/path.h"

/* The tangent of one node from those of its inputs. */
static hs_status hs_jvp_node(hs_graph *graph, const bool *on, hs_value value, hs_value *tangent,
                             hs_error *err) {
    unsigned mask;
    hs_value v[HS_MAX_INPUTS];
    HS_TRY(hs_path_inputs(graph, on, value, &mask, err));
    for (int i = 0; i < HS_MAX_INPUTS; i++)
        v[i] = mask >> i & 1 ? tangent[graph->nodes[value].input[i]] : HS_NO_VALUE;
    return hs_op_get(graph->nodes[value].op)->jvp(graph, value, v, &tangent[value], err);
}

hs_status hs_graph_jvp(hs_graph *graph, hs_value at, hs_value v, hs_value of, hs_value *out,
                       hs_error *err) {
    hs_status status = HS_OK;
    bool *on = NULL;
    hs_value *tangent = NULL;
    *out = HS_NO_VALUE;
    HS_TRY(hs_path_open(graph, at, of, v, at, &on, err));
    tangent = hs_calloc((size_t)graph->count, sizeof *tangent);
    if (!tangent) {
        status = hs_fail_memory(err, (size_t)graph->count * sizeof *tangent);
        goto cleanup;
    }
    tangent[at] = v;
    for (hs_value i = at + 1; i <= of; i++)
        if (on[i])
            HS_CHECK(hs_jvp_node(graph, on, i, tangent, err));
    *out = tangent[of];
cleanup:
    free(tangent);
    free(on);
    return status;
}
