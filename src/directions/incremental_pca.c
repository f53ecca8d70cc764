/* See incremental_pca.h. */
#include "directions/incremental_pca.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/threads.h"
#include "directions/gram_pca.h"

hs_status hs_incremental_pca_create(int k, int64_t d, float *components, int64_t stride,
                                    hs_incremental_pca *out, hs_error *err) {
    hs_incremental_pca pca = {.k = k, .d = d, .components = components, .stride = stride};
    pca.s = hs_calloc((size_t)k, sizeof(double));
    pca.mean = hs_calloc((size_t)d, sizeof(double));
    if (!pca.s || !pca.mean) {
        hs_incremental_pca_free(&pca);
        return hs_fail_memory(err, ((size_t)k + (size_t)d) * sizeof(double));
    }
    for (int64_t j = 0; j < k; j++)
        memset(components + j * stride, 0, (size_t)d * sizeof(float));
    *out = pca;
    return HS_OK;
}

void hs_incremental_pca_free(hs_incremental_pca *pca) {
    free(pca->s);
    free(pca->mean);
    *pca = (hs_incremental_pca){0};
}

/* What the rows of the stack are made of. */
typedef struct hs_stack {
    const hs_incremental_pca *pca;
    int b;
    const float *x;
    const double *batch_mean;
    double correction; /* sqrt(count b / (count + b)) */
} hs_stack;

static void hs_stack_fill(const hs_gram_rows *rows, int64_t first, int64_t count, double *block) {
    const hs_stack *stack = rows->ctx;
    const hs_incremental_pca *pca = stack->pca;
    for (int64_t j = 0; j < pca->rank; j++, block += count) {
        const float *component = pca->components + j * pca->stride + first;
        for (int64_t c = 0; c < count; c++)
            block[c] = pca->s[j] * (double)component[c];
    }
    for (int64_t i = 0; i < stack->b; i++, block += count) {
        const float *x = stack->x + i * pca->d + first;
        for (int64_t c = 0; c < count; c++)
            block[c] = (double)x[c] - stack->batch_mean[first + c];
    }
    if (pca->count > 0)
        for (int64_t c = 0; c < count; c++)
            block[c] = stack->correction * (pca->mean[first + c] - stack->batch_mean[first + c]);
}

/* The batch and its correction row are the new variance: their squared norms
 * stand on the Gram matrix's diagonal. */
static double hs_stack_new_total(int64_t rank, int64_t m, const double *gram) {
    double total = 0;
    for (int64_t i = rank; i < m; i++)
        total += gram[i * m + i];
    return total;
}

/* Replace the components by those of the stack. */
static hs_status hs_stack_decompose(hs_incremental_pca *pca, const hs_gram_rows *rows, int b,
                                    double *gram, double *scores, hs_error *err) {
    hs_gram_eigen eigen = {0};
    int m = rows->n;
    HS_TRY(hs_gram_decompose(m, pca->k < m ? pca->k : m, gram, &eigen, err));
    hs_status status = hs_gram_components(&eigen, rows, pca->components, pca->stride, err);
    if (status == HS_OK) {
        for (int64_t j = 0; scores && j < pca->k; j++)
            for (int64_t i = 0; i < b; i++)
                scores[j * b + i] = j < eigen.k ? eigen.scores[j * m + pca->rank + i] : 0;
        for (int64_t j = eigen.k; j < pca->rank; j++)
            memset(pca->components + j * pca->stride, 0, (size_t)pca->d * sizeof(float));
        memset(pca->s, 0, (size_t)pca->k * sizeof(double));
        memcpy(pca->s, eigen.s, (size_t)eigen.k * sizeof(double));
        pca->rank = eigen.k;
    }
    hs_gram_eigen_free(&eigen);
    return status;
}

hs_status hs_incremental_pca_add(hs_incremental_pca *pca, int b, const float *x, double *scores,
                                 hs_error *err) {
    hs_status status;
    int64_t m = pca->rank + b + (pca->count > 0);
    if (b < 1 || m > INT32_MAX)
        return hs_fail(err, HS_ERROR_ARGUMENT, "incremental PCA: a batch of %d rows", b);
    double *batch_mean = hs_calloc((size_t)pca->d, sizeof(double));
    double *gram = hs_calloc((size_t)m, (size_t)m * sizeof(double));
    hs_threads_saved saved = hs_threads_push(1);
    hs_stack stack = {.pca = pca, .b = b, .x = x, .batch_mean = batch_mean};
    hs_gram_rows rows = {.n = (int)m, .d = pca->d, .fill = hs_stack_fill, .ctx = &stack};
    if (!batch_mean || !gram) {
        status = hs_fail_memory(err, (size_t)(m * m + pca->d) * sizeof(double));
        goto cleanup;
    }
    double before = (double)pca->count, after = before + b;
    stack.correction = sqrt(before * b / after);
    hs_gram_mean(b, pca->d, x, batch_mean);
    HS_CHECK(hs_gram_add(&rows, gram, err));
    pca->total += hs_stack_new_total(pca->rank, m, gram);
    HS_CHECK(hs_stack_decompose(pca, &rows, b, gram, scores, err));
    for (int64_t c = 0; c < pca->d; c++)
        pca->mean[c] += b / after * (batch_mean[c] - pca->mean[c]);
    pca->count += b;
cleanup:
    hs_threads_pop(saved);
    free(gram);
    free(batch_mean);
    return status;
}
