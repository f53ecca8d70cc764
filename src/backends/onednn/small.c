/*
 * Ops on vectors of a few hundred values, once a pass: time embedding,
 * activations and sums of [n,c]. They run through the op's own reference rule
 * in double, by one member of the team: nothing here is worth a kernel, and
 * the embedding of t profits from the precision.
 */
#include "backends/onednn/onednn.h"

typedef struct hs_od_small {
    hs_od_step base;
    const hs_node *node;
    int input_count;
    hs_od_place in[HS_MAX_INPUTS], out;
    const float *weight[HS_MAX_INPUTS]; /* in place of in[i] */
    int64_t count[HS_MAX_INPUTS], rows[HS_MAX_INPUTS];
    double *x[HS_MAX_INPUTS], *y, *scratch; /* in the exec's memory */
} hs_od_small;

static void hs_od_run_small(const hs_exec *exec, const hs_od_step *step, const hs_od_window *window,
                            int rank) {
    const hs_od_small *s = (const hs_od_small *)step;
    if (hs_team_next(window->team, 1) < 0)
        return;
    for (int i = 0; i < s->input_count; i++) {
        int64_t row = s->count[i] / s->rows[i];
        for (int64_t r = 0; r < s->rows[i]; r++) {
            const float *from =
                s->weight[i] ? s->weight[i] + r * row : hs_od_item(exec, s->in[i], (int)r);
            for (int64_t c = 0; c < row; c++)
                s->x[i][r * row + c] = (double)from[c];
        }
    }
    hs_op_get(s->node->op)
        ->reference(exec->graph, s->node, (const double *const *)s->x, s->y, s->scratch);
    int64_t rows = s->node->shape.dim[0], row = hs_shape_count(&s->node->shape) / rows;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < row; c++)
            hs_od_item(exec, s->out, (int)r)[c] = (float)s->y[r * row + c];
}

hs_status hs_od_plan_small(hs_od_planner *p, hs_value value) {
    const hs_node *node = hs_od_node(p, value);
    hs_od_step *step;
    HS_TRY(hs_od_new_step(p, sizeof(hs_od_small), hs_od_run_small, value, &step));
    hs_od_small *s = (hs_od_small *)step;
    s->node = node;
    s->input_count = node->input_count;
    for (int i = 0; i < node->input_count; i++) {
        const hs_node *input = hs_od_node(p, node->input[i]);
        s->count[i] = hs_shape_count(&input->shape);
        s->rows[i] = input->op == HS_OP_WEIGHT ? 1 : input->shape.dim[0];
        s->x[i] = hs_arena_alloc(&p->exec->memory, (size_t)s->count[i], sizeof(double));
        if (!s->x[i])
            return hs_fail_memory(p->err, (size_t)s->count[i] * sizeof(double));
        if (input->op == HS_OP_WEIGHT) {
            HS_TRY(hs_od_weight_plain(p, node->input[i], &s->weight[i]));
        } else {
            s->in[i] = p->place[node->input[i]];
            hs_od_touch(p, s->in[i].buffer);
        }
    }
    s->y = hs_arena_alloc(&p->exec->memory, (size_t)hs_shape_count(&node->shape), sizeof(double));
    if (!s->y)
        return hs_fail_memory(p->err, (size_t)hs_shape_count(&node->shape) * sizeof(double));
    const hs_op_info *info = hs_op_get(node->op);
    if (info->scratch) {
        int64_t count = info->scratch(p->graph, node);
        s->scratch = hs_arena_alloc(&p->exec->memory, (size_t)count, sizeof(double));
        if (!s->scratch)
            return hs_fail_memory(p->err, (size_t)count * sizeof(double));
    }
    HS_TRY(hs_od_make_place(p, value));
    s->out = p->place[value];
    hs_od_release_inputs(p, value);
    return HS_OK;
}
