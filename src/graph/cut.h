/*
 * Cutting a graph of primal and derivative nodes in two, so that many products
 * with one Jacobian share the work that does not depend on the vectors:
 *
 *   graph ----------------------> stage 1: planned from the graph itself, with
 *     |                           the kept values in hs_plan_options.kept;
 *     |                           executed once a point
 *     +-- hs_graph_cut ---------> stage 2: hs_cut.graph, the linear map; each
 *                                 kept value is an input of it, to be linked
 *                                 (hs_plan_options.links) to stage 1 or bound;
 *                                 executed once a block of k vectors
 *
 * Stage 2 holds the nodes that depend on the sources (v or u), and of the
 * primal point what is cheap to compute again: group_norm, modulate, activation,
 * activation_slope, affine and concat, on one row for all k vectors. Which
 * values are kept is the choice of fewest bytes: a minimum cut between what
 * stage 2 needs and what it cannot compute again. Of equal choices it is the
 * one that computes least again, but a concatenation is never kept: its parts
 * are, and stage 2 concatenates them.
 *
 * To compute a slope again costs about the time that reading it takes, but no
 * memory; of a small model, whose maps stay in the cache, reading is faster. So
 * the slopes of activations are kept as far as `slope_bytes` go, the smallest
 * maps first. The products are the same bits with and without, where the point
 * computes the activations, too.
 *
 * A group_norm that is computed again has, where the graph holds its
 * group_norm_stats, these as its fourth input: the back end need not compute
 * them, x is read once.
 */
#ifndef HS_GRAPH_CUT_H
#define HS_GRAPH_CUT_H

#include "graph/graph.h"

typedef struct hs_kept {
    hs_value value; /* in the graph that was cut; any op but a weight */
    hs_value input; /* the input of hs_cut.graph that stands for it, of its shape and name */
} hs_kept;

typedef struct hs_cut {
    hs_graph *graph; /* weights are nodes of it as before; their tensors must outlive it */
    hs_kept *kept;   /* [kept_count], in the order of `value` */
    int kept_count;
    hs_value *sources; /* [source_count] inputs of `graph` */
    hs_value *outputs; /* [output_count] values of `graph` */
} hs_cut;

/*
 * Fill in `out` with the linear stage from `sources` to `outputs`, values of
 * `graph`, which need not outlive it. A source that no output depends on is
 * still an input. slope_bytes: what slopes may take that are kept for being
 * slopes, in float32; 0: all are computed again. hs_cut_free it; after an error
 * there is nothing to free.
 *
 * HS_ERROR_ARGUMENT: a value is not in the graph, a source is given twice, an
 * output depends on no source.
 */
hs_status hs_graph_cut(const hs_graph *graph, const hs_value *sources, int source_count,
                       const hs_value *outputs, int output_count, int64_t slope_bytes, hs_cut *out,
                       hs_error *err);
void hs_cut_free(hs_cut *cut);

/* Bytes of the kept values in float32. */
int64_t hs_cut_bytes(const hs_cut *cut);

#endif
