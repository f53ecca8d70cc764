/* See path.h. */
#include "graph/path.h"

#include <stdlib.h>

#include "graph/optable.h"

void hs_path_from(const hs_graph *graph, const hs_value *from, int count, bool *mark) {
    for (hs_value i = 0; i < graph->count; i++)
        mark[i] = false;
    for (int i = 0; i < count; i++)
        mark[from[i]] = true;
    for (hs_value i = 0; i < graph->count; i++)
        for (int j = 0; j < graph->nodes[i].input_count; j++)
            mark[i] = mark[i] || mark[graph->nodes[i].input[j]];
}

void hs_path_to(const hs_graph *graph, const hs_value *to, int count, bool *mark) {
    for (hs_value i = 0; i < graph->count; i++)
        mark[i] = false;
    for (int i = 0; i < count; i++)
        mark[to[i]] = true;
    for (hs_value i = graph->count - 1; i >= 0; i--)
        for (int j = 0; mark[i] && j < graph->nodes[i].input_count; j++)
            mark[graph->nodes[i].input[j]] = true;
}

static const char *hs_path_name(const hs_graph *graph, hs_value value) {
    return graph->nodes[value].name ? graph->nodes[value].name : "(unnamed)";
}

static hs_status hs_path_check_vector(const hs_graph *graph, hs_value vector, hs_value like,
                                      hs_error *err) {
    const hs_shape *found = &graph->nodes[vector].shape;
    hs_shape expected = graph->nodes[like].shape;
    if (expected.dim[0] == 1)
        expected.dim[0] = found->dim[0];
    if (hs_shape_equal(found, &expected))
        return HS_OK;
    char found_text[100], expected_text[100];
    if (graph->nodes[like].shape.dim[0] == 1)
        expected.dim[0] = -1;
    hs_shape_describe(found, found_text);
    hs_shape_describe(&expected, expected_text);
    return hs_fail(err, HS_ERROR_MISMATCH,
                   "value %d, %s, is %s, expected %s to go with value %d, %s", (int)vector,
                   hs_path_name(graph, vector), found_text, expected_text, (int)like,
                   hs_path_name(graph, like));
}

hs_status hs_path_open(const hs_graph *graph, hs_value at, hs_value of, hs_value vector,
                       hs_value like, bool **on, hs_error *err) {
    hs_status status = HS_OK;
    const hs_value values[] = {at, of, vector};
    *on = NULL;
    for (int i = 0; i < 3; i++)
        if (values[i] < 0 || values[i] >= graph->count)
            return hs_fail(err, HS_ERROR_ARGUMENT, "value %d is not in the graph of %d",
                           (int)values[i], (int)graph->count);
    HS_TRY(hs_path_check_vector(graph, vector, like, err));
    size_t count = (size_t)graph->count;
    bool *from = hs_calloc(count, sizeof *from), *to = hs_calloc(count, sizeof *to);
    if (!from || !to) {
        status = hs_fail_memory(err, count);
        goto cleanup;
    }
    hs_path_from(graph, &at, 1, from);
    if (!from[of]) {
        status = hs_fail(err, HS_ERROR_ARGUMENT, "value %d, %s, does not depend on value %d, %s",
                         (int)of, hs_path_name(graph, of), (int)at, hs_path_name(graph, at));
        goto cleanup;
    }
    hs_path_to(graph, &of, 1, to);
    for (hs_value i = 0; i < graph->count; i++)
        from[i] = from[i] && to[i];
    *on = from;
    from = NULL;
cleanup:
    free(to);
    free(from);
    return status;
}

hs_status hs_path_inputs(const hs_graph *graph, const bool *on, hs_value value, unsigned *mask,
                         hs_error *err) {
    const hs_node *node = &graph->nodes[value];
    const hs_op_info *info = hs_op_get(node->op);
    *mask = 0;
    for (int i = 0; i < node->input_count; i++) {
        if (!on[node->input[i]])
            continue;
        if (!(info->differentiable >> i & 1))
            return hs_fail(err, HS_ERROR_UNSUPPORTED,
                           "%s %s: this op cannot be differentiated in its input %d", info->name,
                           hs_path_name(graph, value), i);
        *mask |= 1u << i;
    }
    return HS_OK;
}
