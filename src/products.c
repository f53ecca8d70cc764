/* hs_denoiser_products: the products of jacobian.h at one point, for callers. */
#include "jacobian.h"

#include "base/tensor.h"

static hs_status hs_products_check(const hs_denoiser *denoiser, int count, const float *in,
                                   const float *out, size_t size, const char *name, hs_error *err) {
    if (count < 0 || (count > 0 && (!in || !out)))
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "products: %d vectors %s, expected 0 or more, with their place", count,
                       name);
    int64_t values, bad;
    if (!hs_mul_i64(count, (int64_t)size, &values))
        return hs_fail(err, HS_ERROR_ARGUMENT, "products: %d vectors %s are too many", count, name);
    if (count && (bad = hs_tensor_first_bad(in, values)) >= 0)
        return hs_fail(err, HS_ERROR_NUMERIC, "products: value %lld of %s is %g, not finite",
                       (long long)bad, name, (double)in[bad]);
    return HS_OK;
}

hs_status hs_denoiser_products(hs_denoiser *denoiser, const float *x, int t, const float *delta_h,
                               int k_v, const float *v, float *Jv, int k_u, const float *u,
                               float *JTu, hs_error *err) {
    size_t image = hs_denoiser_image_size(denoiser), h = hs_denoiser_h_size(denoiser);
    HS_TRY(hs_products_check(denoiser, k_v, v, Jv, h, "v", err));
    HS_TRY(hs_products_check(denoiser, k_u, u, JTu, image, "u", err));
    hs_jacobian *jacobian = NULL;
    HS_TRY(hs_jacobian_create(denoiser, 0, HS_SLOPE_BYTES, &jacobian, err));
    hs_status status;
    HS_CHECK(hs_jacobian_point(jacobian, x, t, delta_h, NULL, NULL, err));
    if (k_v)
        HS_CHECK(hs_jacobian_apply(jacobian, false, k_v, v, Jv, err));
    if (k_u)
        HS_CHECK(hs_jacobian_apply(jacobian, true, k_u, u, JTu, err));
cleanup:
    hs_jacobian_free(jacobian);
    return status;
}
