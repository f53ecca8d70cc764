/* hspace info --verify: the same images in both precisions, pixel by pixel. */
#include "cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* x_0 [n,C,H,W] of seeds 0 ... n - 1, eta 0, and the median time of a pass. */
static hs_status cli_verify_sample(cli_session *session, hs_precision precision, int steps, int n,
                                   float *x_0, double *seconds, hs_error *err) {
    hs_denoiser_options wanted = cli_denoiser_options(session->options);
    hs_sampler_options sampling = hs_sampler_options_default();
    hs_denoiser *denoiser = NULL;
    hs_sampler *sampler = NULL;
    hs_pass_stats stats;
    int64_t *seeds = calloc((size_t)n, sizeof *seeds);
    wanted.precision = precision;
    wanted.profile = false;
    sampling.steps = steps;
    hs_status status =
        seeds ? hs_denoiser_create(session->model, &wanted, &denoiser, err) : cli_fail_memory(err);
    for (int i = 0; seeds && i < n; i++)
        seeds[i] = i;
    if (status == HS_OK)
        status = hs_sampler_create(denoiser, &sampling, &session->monitor, &sampler, err);
    if (status == HS_OK)
        status =
            hs_sample(sampler, n, seeds, NULL, NULL, 0, NULL, &session->monitor, x_0, NULL, err);
    if (status == HS_OK) {
        hs_denoiser_stats(denoiser, &stats);
        *seconds = stats.seconds_per_pass;
    }
    hs_sampler_free(sampler);
    hs_denoiser_free(denoiser);
    free(seeds);
    return status;
}

static double cli_level(float x) {
    double level = round(127.5 * ((double)x + 1));
    return level < 0 ? 0 : level > 255 ? 255 : level;
}

static void cli_verify_compare(const float *a, const float *b, int64_t size, cli_verified *v) {
    double sum = 0;
    v->psnr = 0;
    v->least_psnr = INFINITY;
    for (int i = 0; i < v->images; i++) {
        double square = 0;
        for (int64_t p = i * size; p < (i + 1) * size; p++) {
            double difference = fabs(cli_level(a[p]) - cli_level(b[p]));
            v->largest = fmax(v->largest, difference);
            sum += difference;
            square += difference * difference;
        }
        double psnr = square > 0 ? 10 * log10(255 * 255 * (double)size / square) : CLI_VERIFY_EQUAL;
        v->psnr += psnr / v->images;
        v->least_psnr = fmin(v->least_psnr, psnr);
    }
    v->mean = sum / (double)(v->images * size);
}

hs_status cli_verify(cli_session *session, int steps, int images, cli_verified *out,
                     hs_error *err) {
    const int *image = session->info.image;
    int64_t size = (int64_t)image[0] * image[1] * image[2];
    float *x_0 = calloc((size_t)(2 * images * size), sizeof *x_0);
    *out = (cli_verified){.images = images, .steps = steps};
    hs_status status = x_0 ? HS_OK : cli_fail_memory(err);
    if (status == HS_OK)
        status = cli_verify_sample(session, HS_PRECISION_F32, steps, images, x_0, &out->seconds_f32,
                                   err);
    if (status == HS_OK)
        status = cli_verify_sample(session, HS_PRECISION_FAST, steps, images, x_0 + images * size,
                                   &out->seconds_fast, err);
    if (status == HS_OK)
        cli_verify_compare(x_0, x_0 + images * size, size, out);
    free(x_0);
    return status;
}
