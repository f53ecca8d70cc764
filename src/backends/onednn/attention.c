/*
 * Self-attention: softmax(scale q k^T) v for each item and head. First every
 * head's keys are transposed, then a task takes a block of query rows, so that
 * only [rows, L] scores exist at a time. attention_probs stops at the softmax
 * and keeps it, [n,heads,L,L], for the derivatives.
 */
#include "backends/onednn/onednn.h"

#define HS_QUERY_ROWS 32

typedef struct hs_od_attention {
    hs_od_step base;
    int n, heads, tokens, channels; /* channels of one head */
    bool only_probs;
    int64_t stride; /* floats between tokens */
    hs_od_place q, k, v, dst;
    int keys; /* buffer, of each item [heads, channels, tokens] */
    float scale;
} hs_od_attention;

static float *hs_od_keys(const hs_exec *exec, const hs_od_attention *s, int item, int head) {
    return hs_od_piece(exec, s->keys, item) + (int64_t)head * s->channels * s->tokens;
}

void hs_od_transpose_tokens(const float *tokens, int64_t stride, int count, int channels,
                            float *out) {
    for (int first = 0; first < count; first += 16) { /* blocks stay in L1 */
        int end = first + 16 < count ? first + 16 : count;
        for (int c = 0; c < channels; c++)
            for (int t = first; t < end; t++)
                out[(int64_t)c * count + t] = tokens[t * stride + c];
    }
}

static void hs_od_run_keys(const hs_exec *exec, const hs_od_step *step, const hs_od_window *window,
                           int rank) {
    const hs_od_attention *s = *(hs_od_attention *const *)(step + 1);
    for (int task; (task = hs_od_next(window, s->n, s->heads)) >= 0;) {
        int item = task / s->heads, head = task % s->heads;
        const float *k = hs_od_item(exec, s->k, item) + head * s->channels;
        hs_od_transpose_tokens(k, s->stride, s->tokens, s->channels,
                               hs_od_keys(exec, s, item, head));
    }
}

static void hs_od_run_attention(const hs_exec *exec, const hs_od_step *step,
                                const hs_od_window *window, int rank) {
    const hs_od_attention *s = (const hs_od_attention *)step;
    int blocks = (s->tokens + HS_QUERY_ROWS - 1) / HS_QUERY_ROWS;
    float *scores = hs_od_scratch(exec, rank);
    for (int task; (task = hs_od_next(window, s->n, s->heads * blocks)) >= 0;) {
        int block = task % blocks, head = task / blocks % s->heads;
        int item = task / blocks / s->heads;
        int first = block * HS_QUERY_ROWS;
        int rows = s->tokens - first < HS_QUERY_ROWS ? s->tokens - first : HS_QUERY_ROWS;
        int64_t at = first * s->stride + head * s->channels;
        float *probs = scores;
        if (s->only_probs)
            probs =
                hs_od_item(exec, s->dst, item) + ((int64_t)head * s->tokens + first) * s->tokens;
        exec->kernels->gemm(rows, s->tokens, s->channels, hs_od_item(exec, s->q, item) + at,
                            s->stride, hs_od_keys(exec, s, item, head), s->tokens, probs,
                            s->tokens);
        exec->kernels->softmax(probs, rows, s->tokens, s->scale);
        if (!s->only_probs)
            exec->kernels->gemm(rows, s->channels, s->tokens, probs, s->tokens,
                                hs_od_item(exec, s->v, item) + head * s->channels, s->stride,
                                hs_od_item(exec, s->dst, item) + at, s->stride);
    }
}

hs_status hs_od_plan_attention(hs_od_planner *p, hs_value value) {
    const hs_node *node = hs_od_node(p, value);
    hs_od_step *keys, *step;
    HS_TRY(
        hs_od_new_step(p, sizeof *keys + sizeof(hs_od_attention *), hs_od_run_keys, value, &keys));
    keys->group = 1;
    hs_od_attention *s = hs_arena_alloc(&p->exec->memory, 1, sizeof *s);
    if (!s)
        return hs_fail_memory(p->err, sizeof *s);
    *(hs_od_attention **)(keys + 1) = s;
    keys->flops = 0; /* all in the second step */
    const hs_shape *q = &hs_od_node(p, node->input[0])->shape;
    s->only_probs = node->op == HS_OP_ATTENTION_PROBS;
    s->n = (int)q->dim[0];
    s->heads = node->attr.attention.heads;
    s->channels = (int)q->dim[1] / s->heads;
    s->tokens = (int)(q->dim[2] * q->dim[3]);
    s->stride = q->dim[1];
    s->scale = (float)node->attr.attention.scale;
    s->q = p->place[node->input[0]];
    s->k = p->place[node->input[1]];
    if (!s->only_probs)
        s->v = p->place[node->input[2]];
    HS_TRY(hs_od_new_buffer(p, s->stride * s->tokens, s->n, &s->keys));
    hs_od_touch(p, s->k.buffer);
    hs_od_touch(p, s->keys);
    hs_od_need_scratch(p, (int64_t)HS_QUERY_ROWS * s->tokens * (int64_t)sizeof(float));

    HS_TRY(hs_od_new_step(p, sizeof *step, hs_od_run_attention, value, &step));
    step->group = 1;
    s->base = *step;
    p->exec->steps[p->exec->step_count - 1] = &s->base;
    HS_TRY(hs_od_make_place(p, value));
    s->dst = p->place[value];
    hs_od_touch(p, s->q.buffer);
    hs_od_touch(p, s->keys);
    if (!s->only_probs)
        hs_od_touch(p, s->v.buffer);
    hs_od_release_inputs(p, value);
    return HS_OK;
}
