/*
 * The derivative of self-attention at one point, for k vectors. With P the
 * probabilities, and D(S) = P o (S - rowsum(P o S)) the softmax' derivative:
 *
 *   tangent    y  = D(scale (dq k^T + q dk^T)) v + P dv
 *   cotangent  dq = scale D(u v^T) k,  dk = scale D(u v^T)^T q,  dv = P^T u
 *
 * All are small matrix products over blocks of rows. What has to be transposed
 * for them is, in a first step; the cotangent of k needs the whole of D, which
 * a second step makes.
 */
#include "backends/onednn/onednn.h"

#define HS_BLOCK_ROWS 32

enum { HS_DQ, HS_DK, HS_DV };

typedef struct hs_od_attention_tangent {
    hs_od_step base;
    bool adjoint;
    int which, n, heads, tokens, channels, blocks;
    int64_t stride;                     /* floats between tokens */
    hs_od_place q, k, v, p, in[3], dst; /* in: dq, dk, dv, or u */
    int left, right;                    /* buffers of transposed tokens [., heads, d, L] */
    int left_rows;                      /* rows of the one of `left`: 1 or n */
    int spread;                         /* buffer of D, [n, heads, L, L] */
    float scale;
} hs_od_attention_tangent;

/* What a task works on. */
typedef struct hs_od_block {
    int item, head, first, rows;
    int64_t at, columns; /* of the block's first row, and of the head's first channel */
} hs_od_block;

static hs_od_block hs_od_block_of(const hs_od_attention_tangent *s, int task) {
    hs_od_block b;
    b.first = task % s->blocks * HS_BLOCK_ROWS;
    b.head = task / s->blocks % s->heads;
    b.item = task / s->blocks / s->heads;
    b.rows = s->tokens - b.first < HS_BLOCK_ROWS ? s->tokens - b.first : HS_BLOCK_ROWS;
    b.columns = (int64_t)b.head * s->channels;
    b.at = b.first * s->stride + b.columns;
    return b;
}

static float *hs_od_turned(const hs_exec *exec, const hs_od_attention_tangent *s, int buffer,
                           int item, int head) {
    return hs_od_piece(exec, buffer, item) + (int64_t)head * s->channels * s->tokens;
}

static const float *hs_od_probs(const hs_exec *exec, const hs_od_attention_tangent *s,
                                const hs_od_block *b) {
    return hs_od_item(exec, s->p, b->item) + ((int64_t)b->head * s->tokens + b->first) * s->tokens;
}

static void hs_od_turn(const hs_exec *exec, const hs_od_attention_tangent *s, hs_od_place from,
                       int buffer, int item, int head) {
    const float *tokens = hs_od_item(exec, from, item) + (int64_t)head * s->channels;
    hs_od_transpose_tokens(tokens, s->stride, s->tokens, s->channels,
                           hs_od_turned(exec, s, buffer, item, head));
}

/* left: k (tangent) or v (cotangent); right: dk of each item. */
static void hs_od_run_turn(const hs_exec *exec, const hs_od_step *step, const hs_od_window *window,
                           int rank) {
    const hs_od_attention_tangent *s = *(hs_od_attention_tangent *const *)(step + 1);
    for (int task; (task = hs_od_next(window, s->n, s->heads)) >= 0;) {
        int item = task / s->heads, head = task % s->heads;
        if (item < s->left_rows)
            hs_od_turn(exec, s, s->adjoint ? s->v : s->k, s->left, item, head);
        if (!s->adjoint)
            hs_od_turn(exec, s, s->in[HS_DK], s->right, item, head);
    }
}

/* rows of D(S) in place; P of the same rows. */
static void hs_od_softmax_slope(float *x, const float *probs, int rows, int columns, float scale) {
    for (int r = 0; r < rows; r++, x += columns, probs += columns) {
        double sum = 0;
        for (int c = 0; c < columns; c++)
            sum += (double)(probs[c] * x[c]);
        for (int c = 0; c < columns; c++)
            x[c] = scale * probs[c] * (x[c] - (float)sum);
    }
}

static void hs_od_add(float *x, const float *y, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        x[i] += y[i];
}

static void hs_od_tangent_block(const hs_exec *exec, const hs_od_attention_tangent *s,
                                const hs_od_block *b, float *scores, float *more) {
    const hs_kernels *k = exec->kernels;
    int64_t L = s->tokens;
    const float *keys = hs_od_turned(exec, s, s->left, s->left_rows > 1 ? b->item : 0, b->head);
    const float *dkeys = hs_od_turned(exec, s, s->right, b->item, b->head);
    float *y = hs_od_item(exec, s->dst, b->item) + b->at;
    k->gemm(b->rows, s->tokens, s->channels, hs_od_item(exec, s->in[HS_DQ], b->item) + b->at,
            s->stride, keys, L, scores, L);
    k->gemm(b->rows, s->tokens, s->channels, hs_od_item(exec, s->q, b->item) + b->at, s->stride,
            dkeys, L, more, L);
    hs_od_add(scores, more, b->rows * L);
    hs_od_softmax_slope(scores, hs_od_probs(exec, s, b), b->rows, s->tokens, s->scale);
    k->gemm(b->rows, s->channels, s->tokens, scores, L,
            hs_od_item(exec, s->v, b->item) + b->columns, s->stride, y, s->stride);
    k->gemm(b->rows, s->channels, s->tokens, hs_od_probs(exec, s, b), L,
            hs_od_item(exec, s->in[HS_DV], b->item) + b->columns, s->stride, more, s->channels);
    for (int r = 0; r < b->rows; r++)
        hs_od_add(y + r * s->stride, more + (int64_t)r * s->channels, s->channels);
}

/* D(u v^T) of a block of rows. */
static void hs_od_spread_block(const hs_exec *exec, const hs_od_attention_tangent *s,
                               const hs_od_block *b, float *out) {
    const float *values = hs_od_turned(exec, s, s->left, s->left_rows > 1 ? b->item : 0, b->head);
    exec->kernels->gemm(b->rows, s->tokens, s->channels,
                        hs_od_item(exec, s->in[0], b->item) + b->at, s->stride, values, s->tokens,
                        out, s->tokens);
    hs_od_softmax_slope(out, hs_od_probs(exec, s, b), b->rows, s->tokens, s->scale);
}

/* Columns first ... of a [L, L] matrix as rows, for a product with its transpose. */
static void hs_od_columns(const float *matrix, int tokens, int first, int rows, float *out) {
    for (int64_t i = 0; i < tokens; i++)
        for (int r = 0; r < rows; r++)
            out[(int64_t)r * tokens + i] = matrix[i * tokens + first + r];
}

static void hs_od_cotangent_block(const hs_exec *exec, const hs_od_attention_tangent *s,
                                  const hs_od_block *b, float *scores) {
    hs_od_place other = s->which == HS_DQ ? s->k : s->which == HS_DK ? s->q : s->in[0];
    const float *matrix = NULL;
    if (s->which == HS_DQ)
        hs_od_spread_block(exec, s, b, scores);
    else if (s->which == HS_DK)
        matrix = hs_od_piece(exec, s->spread, b->item) + (int64_t)b->head * s->tokens * s->tokens;
    else
        matrix = hs_od_item(exec, s->p, b->item) + (int64_t)b->head * s->tokens * s->tokens;
    if (matrix)
        hs_od_columns(matrix, s->tokens, b->first, b->rows, scores);
    exec->kernels->gemm(b->rows, s->channels, s->tokens, scores, s->tokens,
                        hs_od_item(exec, other, b->item) + b->columns, s->stride,
                        hs_od_item(exec, s->dst, b->item) + b->at, s->stride);
}

static void hs_od_run_spread(const hs_exec *exec, const hs_od_step *step,
                             const hs_od_window *window, int rank) {
    const hs_od_attention_tangent *s = *(hs_od_attention_tangent *const *)(step + 1);
    for (int task; (task = hs_od_next(window, s->n, s->heads * s->blocks)) >= 0;) {
        hs_od_block b = hs_od_block_of(s, task);
        float *out = hs_od_piece(exec, s->spread, b.item) +
                     ((int64_t)b.head * s->tokens + b.first) * s->tokens;
        hs_od_spread_block(exec, s, &b, out);
    }
}

static void hs_od_run_attention_tangent(const hs_exec *exec, const hs_od_step *step,
                                        const hs_od_window *window, int rank) {
    const hs_od_attention_tangent *s = (const hs_od_attention_tangent *)step;
    float *scores = hs_od_scratch(exec, rank), *more = scores + HS_BLOCK_ROWS * s->tokens;
    for (int task; (task = hs_od_next(window, s->n, s->heads * s->blocks)) >= 0;) {
        hs_od_block b = hs_od_block_of(s, task);
        if (s->adjoint)
            hs_od_cotangent_block(exec, s, &b, scores);
        else
            hs_od_tangent_block(exec, s, &b, scores, more);
    }
}

/* ------------------------------------------------------------ planning -- */

static void hs_od_touch_attention(hs_od_planner *p, const hs_od_attention_tangent *s) {
    hs_od_place places[] = {s->q, s->k, s->v, s->p, s->in[0], s->in[1], s->in[2]};
    int count = s->adjoint ? 5 : 7;
    for (int i = 0; i < count; i++)
        hs_od_touch(p, places[i].buffer);
    if (s->left >= 0)
        hs_od_touch(p, s->left);
    if (s->right >= 0)
        hs_od_touch(p, s->right);
    if (s->spread >= 0)
        hs_od_touch(p, s->spread);
}

/* A step of its own in front of the main one, which it points at. */
static hs_status hs_od_step_before(hs_od_planner *p, hs_od_run *run, hs_value value,
                                   hs_od_attention_tangent *s) {
    hs_od_step *step;
    HS_TRY(hs_od_new_step(p, sizeof *step + sizeof s, run, value, &step));
    *(hs_od_attention_tangent **)(step + 1) = s;
    return HS_OK;
}

static hs_status hs_od_plan_turned(hs_od_planner *p, hs_value value, hs_od_attention_tangent *s) {
    int64_t head = (int64_t)s->heads * s->channels * s->tokens;
    HS_TRY(hs_od_step_before(p, hs_od_run_turn, value, s));
    HS_TRY(hs_od_new_buffer(p, head, s->left_rows, &s->left));
    if (!s->adjoint)
        HS_TRY(hs_od_new_buffer(p, head, s->n, &s->right));
    hs_od_touch_attention(p, s);
    if (s->which != HS_DK || !s->adjoint)
        return HS_OK;
    HS_TRY(hs_od_step_before(p, hs_od_run_spread, value, s));
    HS_TRY(hs_od_new_buffer(p, (int64_t)s->heads * s->tokens * s->tokens, s->n, &s->spread));
    hs_od_touch_attention(p, s);
    return HS_OK;
}

hs_status hs_od_plan_attention_tangent(hs_od_planner *p, hs_value value) {
    const hs_node *node = hs_od_node(p, value);
    hs_od_attention_tangent *s = hs_arena_alloc(&p->exec->memory, 1, sizeof *s);
    if (!s)
        return hs_fail_memory(p->err, sizeof *s);
    s->adjoint = node->op == HS_OP_ATTENTION_COTANGENT;
    s->which = node->attr.attention.which;
    s->n = (int)node->shape.dim[0];
    s->heads = node->attr.attention.heads;
    s->channels = (int)node->shape.dim[1] / s->heads;
    s->tokens = (int)(node->shape.dim[2] * node->shape.dim[3]);
    s->blocks = (s->tokens + HS_BLOCK_ROWS - 1) / HS_BLOCK_ROWS;
    s->stride = node->shape.dim[1];
    s->scale = (float)node->attr.attention.scale;
    s->left = s->right = s->spread = -1;
    s->left_rows = (int)hs_od_node(p, node->input[0])->shape.dim[0];
    s->q = hs_od_operand(p, node->input[0], s->n);
    s->k = hs_od_operand(p, node->input[1], s->n);
    s->v = hs_od_operand(p, node->input[2], s->n);
    s->p = hs_od_operand(p, node->input[3], s->n);
    for (int i = 4; i < node->input_count; i++)
        s->in[i - 4] = hs_od_operand(p, node->input[i], s->n);
    if (!s->adjoint || s->which != HS_DV)
        HS_TRY(hs_od_plan_turned(p, value, s));
    int64_t width = s->tokens > s->channels ? s->tokens : s->channels;
    hs_od_need_scratch(p, HS_BLOCK_ROWS * (s->tokens + width) * (int64_t)sizeof(float));

    hs_od_step *step;
    HS_TRY(hs_od_new_step(p, sizeof *step, hs_od_run_attention_tangent, value, &step));
    s->base = *step;
    p->exec->steps[p->exec->step_count - 1] = &s->base;
    HS_TRY(hs_od_make_place(p, value));
    s->dst = p->place[value];
    hs_od_touch_attention(p, s);
    hs_od_release_inputs(p, value);
    return HS_OK;
}
