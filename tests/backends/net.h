/* Small networks with random weights, for tests of back ends and derivatives. */
#ifndef HS_TESTS_NET_H
#define HS_TESTS_NET_H

#include "backends/backend.h"
#include "support.h"

/* A graph under construction with weights of its own. */
typedef struct hs_net {
    hs_graph *graph;
    hs_arena arena;
    uint64_t seed;
} hs_net;

hs_net net_new(void);
void net_free(hs_net *net);

hs_value net_add(hs_net *net, hs_op op, int count, const hs_value *in, hs_attr attr);
#define ADD(net, op, attr, ...)                                                                    \
    net_add(net, op, (int)(sizeof((hs_value[]){__VA_ARGS__}) / sizeof(hs_value)),                  \
            (hs_value[]){__VA_ARGS__}, attr)
#define NONE ((hs_attr){0})

hs_value net_input(hs_net *net, const char *name, hs_shape shape);
hs_value net_weight(hs_net *net, hs_shape shape, float scale);
hs_value net_conv(hs_net *net, hs_value x, int out, int k, int stride, bool bias);
hs_value net_norm(hs_net *net, hs_value x, int groups);
hs_value net_act(hs_net *net, hs_value x, hs_activation kind);
/* A residual block with all that can be fused. */
hs_value net_block(hs_net *net, hs_value x, hs_value temb, int out, bool modulated);
hs_value net_attention(hs_net *net, hs_value x, int heads);
/* A small U-Net with every fusion in it. outputs: h, the result, the value
 * before the last block of the middle. */
void net_unet(hs_net *net, int n, int c, int size, bool modulated, hs_value outputs[3]);

/* Deterministic values for an input; row r is the same for any number of rows.
 * malloc'ed. */
float *net_input_data(const hs_graph *graph, hs_value value);
/* Run on a back end; results of all outputs one after the other, malloc'ed. */
float *net_run(const hs_backend *backend, const hs_graph *graph, int threads,
               const hs_value *outputs, int output_count, int passes, int64_t *total);
/* The same, as the options say. */
float *net_run_with(const hs_backend *backend, const hs_graph *graph,
                    const hs_plan_options *options, int passes, int64_t *total);
/* Fail unless each output of the CPU back end is within `tolerance` of its
 * largest value of the reference one's; frees the net. */
void net_check(hs_net *net, const hs_value *outputs, int count, double tolerance);

#endif
