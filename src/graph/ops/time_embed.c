/*
 * time_embed: sinusoids of the timestep, as diffusers' get_timestep_embedding.
 *
 *   angle[n,i] = t[n] exp(-ln(max_period) i / (dim / 2 - freq_shift))
 *   y[n] = [sin(angle), cos(angle)], the halves exchanged by flip_sin_to_cos,
 *   and a zero at the end where dim is odd.
 *
 * Frequencies and angles are rounded to float32 at every step, in this order,
 * whatever the precision around: checkpoints were trained on these numbers,
 * and an angle near 1000 has lost four digits by then.
 */
#include <math.h>

#include "graph/ops/ops.h"

static hs_status hs_time_embed_shape(const hs_graph *graph, hs_node *node, hs_error *err) {
    int dim = node->attr.time_embed.dim;
    HS_TRY(hs_rule_expect(graph, node, 0, "t", (hs_shape){1, {-1}}, err));
    if (dim < 2)
        return hs_rule_fail(node, err, "dim is %d, expected at least 2", dim);
    if (!(node->attr.time_embed.max_period > 0))
        return hs_rule_fail(node, err, "max_period is %g, expected more than 0",
                            node->attr.time_embed.max_period);
    if (!(dim / 2 - node->attr.time_embed.freq_shift > 0)) /* the divisor above */
        return hs_rule_fail(node, err, "freq_shift is %g, expected less than %d, half of dim",
                            node->attr.time_embed.freq_shift, dim / 2);
    node->shape = (hs_shape){2, {hs_rule_input(graph, node, 0)->dim[0], dim}};
    return HS_OK;
}

static void hs_time_embed_reference(const hs_graph *graph, const hs_node *node,
                                    const double *const *in, double *out, double *scratch) {
    int dim = node->attr.time_embed.dim, half = dim / 2;
    bool flip = node->attr.time_embed.flip_sin_to_cos;
    float slope = (float)-log(node->attr.time_embed.max_period);
    float divisor = (float)(half - node->attr.time_embed.freq_shift);
    for (int64_t n = 0; n < node->shape.dim[0]; n++) {
        double *row = out + n * dim;
        row[dim - 1] = 0; /* stays for odd dim */
        for (int i = 0; i < half; i++) {
            float exponent = slope * (float)i;
            exponent /= divisor;
            float frequency = (float)exp((double)exponent);
            float angle = (float)in[0][n] * frequency;
            row[flip ? half + i : i] = sin((double)angle);
            row[flip ? i : half + i] = cos((double)angle);
        }
    }
}

const hs_op_info hs_op_time_embed = {
    .name = "time_embed",
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = hs_time_embed_shape,
    .reference = hs_time_embed_reference,
};
