/* See linop_mask.h. */
#include "directions/linop_mask.h"

#include <stdlib.h>

#include "base/mem.h"

static hs_status hs_linop_mask_apply(void *ctx, bool transpose, int k, const float *x, float *y,
                                     hs_error *err) {
    hs_linop_mask *masked = ctx;
    const hs_linop *inner = masked->inner;
    int64_t m = inner->rows;
    if (!transpose) {
        HS_TRY(inner->apply(inner->ctx, false, k, x, y, err));
        for (int64_t i = 0; i < k * m; i++)
            if (masked->mask[i % m] != masked->keep)
                y[i] = 0;
        return HS_OK;
    }
    for (int64_t i = 0; i < k * m; i++)
        masked->work[i] = masked->mask[i % m] == masked->keep ? x[i] : 0;
    return inner->apply(inner->ctx, true, k, masked->work, y, err);
}

hs_status hs_linop_mask_create(const hs_linop *inner, const uint8_t *mask, bool complement,
                               hs_linop_mask *out, hs_error *err) {
    int64_t m = inner->rows, count;
    *out = (hs_linop_mask){.inner = inner, .mask = mask, .keep = complement ? 0 : 1};
    for (int64_t i = 0; i < m; i++) {
        if (mask[i] > 1)
            return hs_fail(err, HS_ERROR_ARGUMENT, "mask: entry %lld is %d, expected 0 or 1",
                           (long long)i, mask[i]);
        out->rows += mask[i] == out->keep;
    }
    if (out->rows == 0)
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "mask: all %lld entries are %d, expected some that are %d", (long long)m,
                       1 - out->keep, out->keep);
    if (!hs_mul_i64(m, inner->block, &count))
        count = INT64_MAX;
    out->work = hs_alloc_aligned((size_t)count, sizeof(float));
    if (!out->work)
        return hs_fail_memory(err, (size_t)count * sizeof(float));
    out->op = (hs_linop){.rows = m,
                         .columns = inner->columns,
                         .block = inner->block,
                         .ctx = out,
                         .apply = hs_linop_mask_apply};
    return HS_OK;
}

void hs_linop_mask_free(hs_linop_mask *masked) {
    if (!masked)
        return;
    free(masked->work);
    *masked = (hs_linop_mask){0};
}
