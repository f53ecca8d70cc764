/* See net.h. */
#include "backends/net.h"

#include <stdlib.h>
#include <string.h>

hs_value net_add(hs_net *net, hs_op op, int count, const hs_value *in, hs_attr attr) {
    hs_error err;
    hs_value out;
    assert_ok(hs_graph_add(net->graph, op, in, count, &attr, NULL, &out, &err));
    return out;
}

hs_value net_input(hs_net *net, const char *name, hs_shape shape) {
    hs_error err;
    hs_value out;
    assert_ok(hs_graph_input(net->graph, name, shape, &out, &err));
    return out;
}

hs_value net_weight(hs_net *net, hs_shape shape, float scale) {
    hs_error err;
    hs_value out;
    int64_t count = hs_shape_count(&shape);
    float *data = hs_arena_alloc(&net->arena, (size_t)count, sizeof *data);
    hs_tensor *tensor = hs_arena_alloc(&net->arena, 1, sizeof *tensor);
    hs_test_fill(++net->seed, data, count);
    for (int64_t i = 0; i < count; i++)
        data[i] *= scale;
    *tensor = (hs_tensor){.name = "w", .dtype = HS_F32, .rank = shape.rank, .data = data};
    memcpy(tensor->dim, shape.dim, sizeof shape.dim);
    assert_ok(hs_graph_weight(net->graph, tensor, shape, &out, &err));
    return out;
}

hs_value net_conv(hs_net *net, hs_value x, int out, int k, int stride, bool bias) {
    int64_t in = net->graph->nodes[x].shape.dim[1];
    hs_value w = net_weight(net, (hs_shape){4, {out, in, k, k}}, 1.0f / (float)(k * k));
    hs_attr attr = {.conv = {stride, k / 2, k / 2, k / 2, k / 2, 0, 0}};
    if (stride == 2) /* padding of one side only, as in diffusers' first version */
        attr.conv.pad_top = attr.conv.pad_left = 0;
    if (!bias)
        return ADD(net, HS_OP_CONV2D, attr, x, w);
    return ADD(net, HS_OP_CONV2D, attr, x, w, net_weight(net, (hs_shape){1, {out}}, 1));
}

hs_value net_norm(hs_net *net, hs_value x, int groups) {
    int64_t c = net->graph->nodes[x].shape.dim[1];
    hs_attr attr = {.group_norm = {groups, 1e-5}};
    hs_value gamma = net_weight(net, (hs_shape){1, {c}}, 1);
    return ADD(net, HS_OP_GROUP_NORM, attr, x, gamma, net_weight(net, (hs_shape){1, {c}}, 1));
}

hs_value net_act(hs_net *net, hs_value x, hs_activation kind) {
    return ADD(net, HS_OP_ACTIVATION, ((hs_attr){.activation = {kind}}), x);
}

/* A residual block with all that can be fused. */
hs_value net_block(hs_net *net, hs_value x, hs_value temb, int out, bool modulated) {
    hs_value h = net_act(net, net_norm(net, x, 2), HS_SILU);
    h = net_conv(net, h, out, 3, 1, true);
    int64_t in = net->graph->nodes[temb].shape.dim[1];
    int rows = modulated ? 2 * out : out;
    hs_value v =
        ADD(net, HS_OP_LINEAR, NONE, temb, net_weight(net, (hs_shape){2, {rows, in}}, 0.3f),
            net_weight(net, (hs_shape){1, {rows}}, 0.3f));
    if (!modulated)
        h = ADD(net, HS_OP_ADD_CHANNEL, NONE, h, v);
    h = net_norm(net, h, 2);
    if (modulated)
        h = ADD(net, HS_OP_MODULATE, NONE, h, v);
    h = net_conv(net, net_act(net, h, HS_SILU), out, 3, 1, true);
    hs_value shortcut = x;
    if (net->graph->nodes[x].shape.dim[1] != out)
        shortcut = net_conv(net, x, out, 1, 1, true);
    return ADD(net, HS_OP_ADD, NONE, shortcut, h);
}

hs_value net_attention(hs_net *net, hs_value x, int heads) {
    int c = (int)net->graph->nodes[x].shape.dim[1];
    hs_value n = net_norm(net, x, 2);
    hs_value q = net_conv(net, n, c, 1, 1, true), k = net_conv(net, n, c, 1, 1, true);
    hs_value v = net_conv(net, n, c, 1, 1, true);
    hs_attr attr = {.attention = {heads, 0.4, 0}};
    hs_value a = net_conv(net, ADD(net, HS_OP_ATTENTION, attr, q, k, v), c, 1, 1, true);
    return ADD(net, HS_OP_ADD, NONE, a, x);
}

/* A small U-Net with every fusion in it; outputs: h and the result. */
void net_unet(hs_net *net, int n, int c, int size, bool modulated, hs_value outputs[3]) {
    hs_value x = net_input(net, "x", (hs_shape){4, {n, 3, size, size + 2}});
    hs_value t = net_input(net, "t", (hs_shape){1, {n}});
    hs_attr embed = {.time_embed = {c, false, 1, 10000}};
    hs_value temb = ADD(net, HS_OP_TIME_EMBED, embed, t);
    temb = ADD(net, HS_OP_LINEAR, NONE, temb, net_weight(net, (hs_shape){2, {4 * c, c}}, 0.2f),
               net_weight(net, (hs_shape){1, {4 * c}}, 0.2f));
    temb = net_act(net, temb, HS_SILU);
    hs_value skip0 = net_conv(net, x, c, 3, 1, true);
    hs_value skip1 = net_block(net, skip0, temb, c, modulated);
    hs_value down = net_conv(net, skip1, c, 3, 2, true);
    hs_value mid = net_attention(net, net_block(net, down, temb, 2 * c, modulated), 2);
    hs_value h = net_block(net, mid, temb, 2 * c, modulated);
    hs_value up = net_conv(net, ADD(net, HS_OP_UPSAMPLE, NONE, h), 2 * c, 3, 1, true);
    up = net_block(net, ADD(net, HS_OP_CONCAT, NONE, up, skip1), temb, c, modulated);
    up = net_block(net, ADD(net, HS_OP_CONCAT, NONE, up, skip0), temb, c, modulated);
    hs_value y = net_conv(net, net_act(net, net_norm(net, up, 2), HS_SILU), 3, 3, 1, true);
    outputs[0] = h;
    outputs[1] = y;
    outputs[2] = mid;
}

void net_free(hs_net *net) {
    hs_graph_free(net->graph);
    hs_arena_free(&net->arena);
}

float *net_input_data(const hs_graph *graph, hs_value value) {
    const hs_node *node = &graph->nodes[value];
    int64_t count = hs_shape_count(&node->shape), row = count / node->shape.dim[0];
    float *data = malloc((size_t)count * sizeof *data);
    assert_non_null(data);
    for (int64_t r = 0; r < node->shape.dim[0]; r++)
        hs_test_fill(100 * (uint64_t)value + (uint64_t)r, data + r * row, row);
    if (node->shape.rank == 1) /* timesteps */
        for (int64_t i = 0; i < count; i++)
            data[i] = (float)(int)(500 + 400 * data[i]);
    return data;
}

float *net_run_with(const hs_backend *backend, const hs_graph *graph,
                    const hs_plan_options *options, int passes, int64_t *total) {
    hs_error err;
    hs_exec *exec;
    const hs_value *outputs = options->outputs;
    int output_count = options->output_count;
    assert_ok(backend->plan(graph, options, &exec, &err));
    hs_binding in[8], out[8];
    int in_count = 0;
    *total = 0;
    for (int i = 0; i < output_count; i++)
        *total += hs_shape_count(&graph->nodes[outputs[i]].shape);
    float *result = malloc((size_t)*total * sizeof *result), *next = result;
    for (int i = 0; i < output_count; i++) {
        out[i] = (hs_binding){outputs[i], next, NULL};
        next += hs_shape_count(&graph->nodes[outputs[i]].shape);
    }
    for (hs_value v = 0; v < graph->count; v++) {
        const hs_node *node = &graph->nodes[v];
        if (node->op != HS_OP_INPUT)
            continue;
        in[in_count++] = (hs_binding){v, net_input_data(graph, v), NULL};
    }
    for (int i = 0; i < passes; i++)
        assert_ok(backend->execute(exec, in, in_count, out, output_count, &err));
    for (int i = 0; i < in_count; i++)
        free(in[i].f32);
    backend->free(exec);
    return result;
}

float *net_run(const hs_backend *backend, const hs_graph *graph, int threads,
               const hs_value *outputs, int output_count, int passes, int64_t *total) {
    hs_plan_options options = {
        .threads = threads, .outputs = outputs, .output_count = output_count};
    return net_run_with(backend, graph, &options, passes, total);
}

/* Largest error of each output against `ref`, of its largest value. */
void net_check(hs_net *net, const hs_value *outputs, int count, double tolerance) {
    int64_t total;
    float *expected = net_run(&hs_backend_ref, net->graph, 1, outputs, count, 1, &total);
    float *found = net_run(&hs_backend_onednn, net->graph, 2, outputs, count, 2, &total);
    float *a = found, *b = expected;
    for (int i = 0; i < count; i++) {
        int64_t size = hs_shape_count(&net->graph->nodes[outputs[i]].shape);
        double error = hs_test_relative_error(a, b, size);
        if (error > tolerance)
            fail_msg("output %d differs by %.3g, tolerance %.3g", i, error, tolerance);
        a += size;
        b += size;
    }
    free(found);
    free(expected);
    net_free(net);
}

hs_net net_new(void) {
    hs_net net = {.graph = hs_graph_new()};
    assert_non_null(net.graph);
    return net;
}
