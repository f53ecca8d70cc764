/*
 * The linear stage of a graph. See cut.h.
 *
 * A primal value that stage 2 needs is kept, or computed again from others that
 * are kept or computed again. Which, is a minimum cut: in a network in which
 * value i is an edge of capacity bytes(i),
 *
 *   source --endless--> i   where i cannot be computed again
 *   j --endless--> i        where i can be, and j is an operand of it
 *   i --endless--> sink     where stage 2 reads i
 *
 * every way from source to sink must meet a kept value.
 */
#include "graph/cut.h"

#include <stdlib.h>
#include <string.h>

#include "graph/min_cut.h"
#include "graph/optable.h"
#include "graph/path.h"

typedef struct hs_cutter {
    const hs_graph *graph;
    int32_t count;
    bool *linear; /* depends on a source and leads to an output; no source */
    bool *read;   /* of the primal point, and an operand of a linear node */
    bool *again;  /* computed again in stage 2 */
    bool *slope;  /* a slope that is kept whatever it takes */
    bool *kept;
    hs_value *map; /* the value in the new graph, or HS_NO_VALUE */
} hs_cutter;

static void hs_cutter_free(hs_cutter *c) {
    free(c->map);
    free(c->kept);
    free(c->slope);
    free(c->again);
    free(c->read);
    free(c->linear);
}

static hs_status hs_cutter_make(hs_cutter *c, const hs_graph *graph, hs_error *err) {
    size_t count = (size_t)graph->count;
    *c = (hs_cutter){.graph = graph,
                     .count = graph->count,
                     .linear = hs_calloc(count, sizeof(bool)),
                     .read = hs_calloc(count, sizeof(bool)),
                     .again = hs_calloc(count, sizeof(bool)),
                     .slope = hs_calloc(count, sizeof(bool)),
                     .kept = hs_calloc(count, sizeof(bool)),
                     .map = hs_calloc(count, sizeof(hs_value))};
    if (!c->linear || !c->read || !c->again || !c->slope || !c->kept || !c->map)
        return hs_fail_memory(err, count * (5 * sizeof(bool) + sizeof(hs_value)));
    for (int32_t i = 0; i < c->count; i++)
        c->map[i] = HS_NO_VALUE;
    return HS_OK;
}

static hs_status hs_cut_check(const hs_graph *graph, const hs_value *sources, int source_count,
                              const hs_value *outputs, int output_count, hs_error *err) {
    for (int i = 0; i < source_count + output_count; i++) {
        hs_value value = i < source_count ? sources[i] : outputs[i - source_count];
        if (value < 0 || value >= graph->count)
            return hs_fail(err, HS_ERROR_ARGUMENT, "cut: value %d is not in the graph of %d",
                           (int)value, (int)graph->count);
        for (int j = 0; i < source_count && j < i; j++)
            if (sources[j] == value)
                return hs_fail(err, HS_ERROR_ARGUMENT, "cut: value %d is a source twice",
                               (int)value);
    }
    return HS_OK;
}

/* Mark the linear nodes and what they read. */
static hs_status hs_cut_mark(hs_cutter *c, const hs_value *sources, int source_count,
                             const hs_value *outputs, int output_count, hs_error *err) {
    bool *from = c->again, *to = c->kept; /* borrowed; cleared below */
    hs_path_from(c->graph, sources, source_count, from);
    hs_path_to(c->graph, outputs, output_count, to);
    for (int i = 0; i < output_count; i++)
        if (!from[outputs[i]]) {
            const char *name = c->graph->nodes[outputs[i]].name;
            return hs_fail(err, HS_ERROR_ARGUMENT, "cut: output %d, %s, depends on no source",
                           (int)outputs[i], name ? name : "(unnamed)");
        }
    for (int32_t i = 0; i < c->count; i++)
        c->linear[i] = from[i] && to[i];
    for (int i = 0; i < source_count; i++)
        c->linear[sources[i]] = false;
    for (int32_t i = 0; i < c->count; i++)
        for (int j = 0; c->linear[i] && j < c->graph->nodes[i].input_count; j++) {
            hs_value input = c->graph->nodes[i].input[j];
            c->read[input] = !from[input] && c->graph->nodes[input].op != HS_OP_WEIGHT;
        }
    memset(from, 0, (size_t)c->count * sizeof *from);
    memset(to, 0, (size_t)c->count * sizeof *to);
    return HS_OK;
}

/* Cheap against the products of stage 2, and on one row for all k vectors. */
static bool hs_cut_cheap(const hs_cutter *c, hs_value value) {
    hs_op op = c->graph->nodes[value].op;
    return op == HS_OP_GROUP_NORM || op == HS_OP_MODULATE || op == HS_OP_ACTIVATION ||
           (op == HS_OP_ACTIVATION_SLOPE && !c->slope[value]) || op == HS_OP_AFFINE ||
           op == HS_OP_CONCAT;
}

/* Mark the slopes to keep: the smallest ones, as long as all of them fit. */
static void hs_cut_slopes(hs_cutter *c, int64_t bytes) {
    for (;;) {
        hs_value smallest = HS_NO_VALUE;
        int64_t size = bytes / (int64_t)sizeof(float);
        for (int32_t i = 0; i < c->count; i++) {
            const hs_node *node = &c->graph->nodes[i];
            int64_t count = hs_shape_count(&node->shape);
            if (c->read[i] && node->op == HS_OP_ACTIVATION_SLOPE && !c->slope[i] &&
                (smallest == HS_NO_VALUE ? count <= size : count < size)) {
                smallest = i;
                size = count;
            }
        }
        if (smallest == HS_NO_VALUE)
            return;
        c->slope[smallest] = true;
        bytes -= size * (int64_t)sizeof(float);
    }
}

/* Node `value` as stage 2 computes it again: a group_norm takes the stats that
 * the graph holds for its x. */
static hs_node hs_cut_again(const hs_graph *graph, hs_value value) {
    hs_node node = graph->nodes[value];
    if (node.op != HS_OP_GROUP_NORM || node.input_count == 4)
        return node;
    for (hs_value i = node.input[0] + 1; i < graph->count; i++) {
        const hs_node *other = &graph->nodes[i];
        if (other->op != HS_OP_GROUP_NORM_STATS || other->input[0] != node.input[0] ||
            other->attr.group_norm.groups != node.attr.group_norm.groups ||
            other->attr.group_norm.eps != node.attr.group_norm.eps)
            continue;
        node.input[node.input_count++] = i;
        return node;
    }
    return node;
}

/* Bytes of a value; as the price of keeping it, limited, so that no sum of
 * prices comes near HS_FLOW_ENDLESS. */
static int64_t hs_cut_price(const hs_node *node) {
    const int64_t limit = (int64_t)1 << 40;
    int64_t bytes = hs_shape_count(&node->shape) * (int64_t)sizeof(float);
    if (node->op == HS_OP_CONCAT)
        return HS_FLOW_ENDLESS;
    return bytes < limit ? bytes : limit;
}

/* The edges of value i, whose ends are nodes 2 i and 2 i + 1 of the network. */
static int hs_cut_edges(const hs_cutter *c, int32_t i, const bool *cone, hs_flow_edge *edges) {
    const int source = 2 * c->count, sink = source + 1;
    int count = 0;
    hs_node node = hs_cut_again(c->graph, i);
    edges[count++] = (hs_flow_edge){2 * i, 2 * i + 1, hs_cut_price(&node)};
    if (c->read[i])
        edges[count++] = (hs_flow_edge){2 * i + 1, sink, HS_FLOW_ENDLESS};
    if (!hs_cut_cheap(c, i))
        edges[count++] = (hs_flow_edge){source, 2 * i, HS_FLOW_ENDLESS};
    else
        for (int j = 0; j < node.input_count; j++)
            if (cone[node.input[j]])
                edges[count++] = (hs_flow_edge){2 * node.input[j] + 1, 2 * i, HS_FLOW_ENDLESS};
    return count;
}

/* cone: what is read, and the operands of what could be computed again for it.
 * The stats of a group norm come after it in the graph; nothing cheap does. */
static void hs_cut_cone(const hs_cutter *c, bool *cone) {
    for (int32_t i = 0; i < c->count; i++)
        cone[i] = c->read[i];
    for (int32_t i = c->count - 1; i >= 0; i--) {
        if (!cone[i] || !hs_cut_cheap(c, i))
            continue;
        hs_node node = hs_cut_again(c->graph, i);
        for (int j = 0; j < node.input_count; j++)
            cone[node.input[j]] = c->graph->nodes[node.input[j]].op != HS_OP_WEIGHT;
    }
}

/* Set `kept` and `again`. */
static hs_status hs_cut_choose(hs_cutter *c, hs_error *err) {
    hs_status status = HS_OK;
    size_t count = (size_t)c->count;
    int edge_count = 0, nodes = 2 * c->count + 2;
    bool *cone = hs_calloc(count, sizeof *cone), *late = hs_calloc((size_t)nodes, sizeof *late);
    hs_flow_edge *edges = hs_calloc(count, (HS_MAX_INPUTS + 3) * sizeof *edges);
    if (!cone || !late || !edges) {
        status = hs_fail_memory(err, count * (HS_MAX_INPUTS + 3) * sizeof *edges);
        goto cleanup;
    }
    hs_cut_cone(c, cone);
    for (int32_t i = 0; i < c->count; i++)
        if (cone[i])
            edge_count += hs_cut_edges(c, i, cone, edges + edge_count);
    HS_CHECK(hs_min_cut(nodes, edges, edge_count, nodes - 2, nodes - 1, late, err));
    for (int32_t i = 0; i < c->count; i++) {
        c->kept[i] = !late[2 * i] && late[2 * i + 1];
        c->again[i] = late[2 * i] && late[2 * i + 1];
    }
cleanup:
    free(edges);
    free(late);
    free(cone);
    return status;
}

/* The inputs of the new graph: the sources, then the kept values. */
static hs_status hs_cut_inputs(hs_cutter *c, const hs_value *sources, int source_count, hs_cut *out,
                               hs_error *err) {
    for (int i = 0; i < source_count; i++) {
        const hs_node *node = &c->graph->nodes[sources[i]];
        HS_TRY(hs_graph_input(out->graph, node->name, node->shape, &out->sources[i], err));
        c->map[sources[i]] = out->sources[i];
    }
    for (int32_t i = 0; i < c->count; i++) {
        const hs_node *node = &c->graph->nodes[i];
        if (!c->kept[i])
            continue;
        HS_TRY(hs_graph_input(out->graph, node->name, node->shape, &c->map[i], err));
        out->kept[out->kept_count++] = (hs_kept){.value = i, .input = c->map[i]};
    }
    return HS_OK;
}

/* Copy one node; the weights that it uses come with it. */
static hs_status hs_cut_copy(hs_cutter *c, hs_graph *graph, hs_value value, hs_error *err) {
    hs_node node = c->again[value] ? hs_cut_again(c->graph, value) : c->graph->nodes[value];
    for (int i = 0; i < node.input_count; i++) {
        hs_value *input = &c->map[node.input[i]];
        const hs_node *old = &c->graph->nodes[node.input[i]];
        if (*input == HS_NO_VALUE && old->op == HS_OP_WEIGHT)
            HS_TRY(hs_graph_weight(graph, old->weight, old->shape, input, err));
        node.input[i] = *input;
    }
    return hs_graph_add(graph, node.op, node.input, node.input_count, &node.attr, node.name,
                        &c->map[value], err);
}

static hs_status hs_cut_build(hs_cutter *c, const hs_value *sources, int source_count,
                              const hs_value *outputs, int output_count, hs_cut *out,
                              hs_error *err) {
    int kept_count = 0;
    for (int32_t i = 0; i < c->count; i++)
        kept_count += c->kept[i];
    out->graph = hs_graph_new();
    out->kept = hs_calloc((size_t)kept_count, sizeof *out->kept);
    out->sources = hs_calloc((size_t)source_count, sizeof *out->sources);
    out->outputs = hs_calloc((size_t)output_count, sizeof *out->outputs);
    if (!out->graph || !out->kept || !out->sources || !out->outputs)
        return hs_fail_memory(err, (size_t)kept_count * sizeof *out->kept);
    HS_TRY(hs_cut_inputs(c, sources, source_count, out, err));
    for (int32_t i = 0; i < c->count; i++)
        if (c->again[i] || c->linear[i])
            HS_TRY(hs_cut_copy(c, out->graph, i, err));
    for (int i = 0; i < output_count; i++)
        out->outputs[i] = c->map[outputs[i]];
    return HS_OK;
}

hs_status hs_graph_cut(const hs_graph *graph, const hs_value *sources, int source_count,
                       const hs_value *outputs, int output_count, int64_t slope_bytes, hs_cut *out,
                       hs_error *err) {
    hs_status status = HS_OK;
    hs_cutter c = {0};
    *out = (hs_cut){0};
    HS_TRY(hs_cut_check(graph, sources, source_count, outputs, output_count, err));
    HS_CHECK(hs_cutter_make(&c, graph, err));
    HS_CHECK(hs_cut_mark(&c, sources, source_count, outputs, output_count, err));
    hs_cut_slopes(&c, slope_bytes);
    HS_CHECK(hs_cut_choose(&c, err));
    HS_CHECK(hs_cut_build(&c, sources, source_count, outputs, output_count, out, err));
cleanup:
    if (status != HS_OK)
        hs_cut_free(out);
    hs_cutter_free(&c);
    return status;
}

void hs_cut_free(hs_cut *cut) {
    hs_graph_free(cut->graph);
    free(cut->kept);
    free(cut->sources);
    free(cut->outputs);
    *cut = (hs_cut){0};
}

int64_t hs_cut_bytes(const hs_cut *cut) {
    int64_t bytes = 0;
    for (int i = 0; i < cut->kept_count; i++)
        bytes +=
            hs_shape_count(&cut->graph->nodes[cut->kept[i].input].shape) * (int64_t)sizeof(float);
    return bytes;
}
