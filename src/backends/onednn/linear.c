/*
 * Linear layers of vectors: the time embedding and its projections. All linear
 * nodes that read the same vector become one step when the first is met (a
 * U-Net has one projection a residual block, all of one vector), and a bias
 * that the consumer adds anyway is added here.
 */
#include "backends/onednn/onednn.h"

#define HS_ROWS 64 /* of one task */

typedef struct hs_od_linear_part {
    const float *weights, *bias, *more_bias; /* biases: may be NULL */
    int rows, first_task;
    hs_od_place dst;
} hs_od_linear_part;

typedef struct hs_od_linear {
    hs_od_step base;
    int n, in, part_count, tasks;
    hs_od_place src;
    hs_od_linear_part *parts;
} hs_od_linear;

static void hs_od_run_linear(const hs_exec *exec, const hs_od_step *step,
                             const hs_od_window *window, int rank) {
    const hs_od_linear *s = (const hs_od_linear *)step;
    for (int task; (task = hs_team_next(window->team, s->tasks)) >= 0;) {
        int i = s->part_count - 1;
        while (s->parts[i].first_task > task)
            i--;
        const hs_od_linear_part *part = &s->parts[i];
        int first = (task - part->first_task) * HS_ROWS;
        int rows = part->rows - first < HS_ROWS ? part->rows - first : HS_ROWS;
        float *y = hs_od_item(exec, part->dst, 0) + first;
        int64_t x_stride = exec->buffers[s->src.buffer].stride;
        int64_t y_stride = exec->buffers[part->dst.buffer].stride;
        exec->kernels->linear(hs_od_item(exec, s->src, 0), x_stride, s->n, s->in,
                              part->weights + (int64_t)first * s->in,
                              part->bias ? part->bias + first : NULL, rows, y, y_stride);
        if (part->more_bias)
            for (int item = 0; item < s->n; item++)
                for (int r = 0; r < rows; r++)
                    y[item * y_stride + r] += part->more_bias[first + r];
    }
}

/* The bias of the convolution whose result this projection is added to, when
 * one step does both: conv2d.c passes the sum as that convolution's bias. */
static hs_value hs_od_consumer_bias(const hs_od_planner *p, hs_value value) {
    for (hs_value i = value + 1; i < p->graph->count; i++) {
        const hs_node *node = hs_od_node(p, i);
        if (node->op != HS_OP_ADD_CHANNEL || node->input[1] != value || p->fused[i] == HS_NO_VALUE)
            continue;
        const hs_node *conv = hs_od_node(p, p->fused[i]);
        return conv->input_count > 2 ? conv->input[2] : HS_NO_VALUE;
    }
    return HS_NO_VALUE;
}

static bool hs_od_joins(const hs_od_planner *p, hs_value value, hs_value src) {
    const hs_node *node = hs_od_node(p, value);
    return node->op == HS_OP_LINEAR && p->needed[value] && node->input[0] == src &&
           p->place[value].buffer < 0;
}

hs_status hs_od_plan_linear(hs_od_planner *p, hs_value value) {
    hs_value src = hs_od_node(p, value)->input[0];
    if (p->place[value].buffer >= 0) { /* done together with an earlier one */
        hs_od_release(p, src);
        return HS_OK;
    }
    hs_od_step *step;
    HS_TRY(hs_od_new_step(p, sizeof(hs_od_linear), hs_od_run_linear, value, &step));
    hs_od_linear *s = (hs_od_linear *)step;
    s->src = p->place[src];
    s->n = (int)hs_od_node(p, src)->shape.dim[0];
    s->in = (int)hs_od_node(p, src)->shape.dim[1];
    int64_t total = 0;
    for (hs_value i = value; i < p->graph->count; i++)
        if (hs_od_joins(p, i, src)) {
            s->part_count++;
            total += hs_od_node(p, i)->shape.dim[1];
        }
    s->parts = hs_arena_alloc(&p->exec->memory, (size_t)s->part_count, sizeof *s->parts);
    if (!s->parts)
        return hs_fail_memory(p->err, (size_t)s->part_count * sizeof *s->parts);
    int buffer;
    HS_TRY(hs_od_new_buffer(p, total, s->n, &buffer));
    hs_od_touch(p, s->src.buffer);
    hs_od_touch(p, buffer);
    int64_t offset = 0;
    step->flops = 2.0 * (double)(total * s->n) * s->in;
    hs_od_linear_part *part = s->parts;
    for (hs_value i = value; i < p->graph->count; i++) {
        if (!hs_od_joins(p, i, src))
            continue;
        const hs_node *node = hs_od_node(p, i);
        part->rows = (int)node->shape.dim[1];
        part->first_task = s->tasks;
        part->dst = p->place[i] = (hs_od_place){buffer, offset, false};
        s->tasks += (part->rows + HS_ROWS - 1) / HS_ROWS;
        offset += part->rows;
        HS_TRY(hs_od_weight_plain(p, node->input[1], &part->weights));
        if (node->input_count > 2)
            HS_TRY(hs_od_weight_plain(p, node->input[2], &part->bias));
        hs_value more = hs_od_consumer_bias(p, i);
        if (more != HS_NO_VALUE)
            HS_TRY(hs_od_weight_plain(p, more, &part->more_bias));
        part++;
    }
    hs_od_release(p, src);
    return HS_OK;
}
