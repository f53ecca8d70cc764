/*
 * fourier_embed: Gaussian Fourier features, as diffusers'
 * GaussianFourierProjection: angle = 2 pi w log(t) (or 2 pi w t without `log`),
 * y[n] = [sin(angle), cos(angle)], the halves exchanged by flip_sin_to_cos.
 * Angles are rounded to float32 at every step, for the reason that
 * time_embed.c gives. log(0) is minus infinity and gives NaN, as there.
 */
#include <math.h>

#include "graph/ops/ops.h"

static hs_status hs_fourier_embed_shape(const hs_graph *graph, hs_node *node, hs_error *err) {
    HS_TRY(hs_rule_expect(graph, node, 0, "t", (hs_shape){1, {-1}}, err));
    HS_TRY(hs_rule_expect(graph, node, 1, "weight", (hs_shape){1, {-1}}, err));
    node->shape = (hs_shape){
        2, {hs_rule_input(graph, node, 0)->dim[0], 2 * hs_rule_input(graph, node, 1)->dim[0]}};
    return HS_OK;
}

static void hs_fourier_embed_reference(const hs_graph *graph, const hs_node *node,
                                       const double *const *in, double *out, double *scratch) {
    int64_t dim = node->shape.dim[1], half = dim / 2;
    bool flip = node->attr.fourier.flip_sin_to_cos;
    for (int64_t n = 0; n < node->shape.dim[0]; n++) {
        double *row = out + n * dim;
        float t = (float)in[0][n];
        if (node->attr.fourier.log)
            t = (float)log((double)t);
        for (int64_t i = 0; i < half; i++) {
            float angle = t * (float)in[1][i];
            angle *= 2;
            angle *= (float)M_PI;
            row[flip ? half + i : i] = sin((double)angle);
            row[flip ? i : half + i] = cos((double)angle);
        }
    }
}

const hs_op_info hs_op_fourier_embed = {
    .name = "fourier_embed",
    .min_inputs = 2,
    .max_inputs = 2,
    .shape = hs_fourier_embed_shape,
    .reference = hs_fourier_embed_reference,
};
