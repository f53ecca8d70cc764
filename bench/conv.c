/*
 * One 3x3 convolution, ours beside oneDNN's direct one: verified against it,
 * then timed in turns (A B A B ...) by the CPU time of this thread, so that a
 * busy neighbour counts little. Rates are those of the direct convolution's
 * operations, whatever is really computed.
 */
#include "bench.h"

#include <math.h>
#include <oneapi/dnnl/dnnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backends/kernels/kernels.h"
#include "base/mem.h"
#include "base/threads.h"

typedef struct conv_data {
    const bench_conv_options *o;
    float *src, *plain, *bias, *packed, *v, *scratch, *dst, *direct_dst;
    const hs_kernels *kernels;
    hs_winograd_plan plan;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t args[4];
} conv_data;

static double thread_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static float *floats(int64_t count, float scale, uint32_t seed) {
    float *x = hs_pages_alloc((size_t)count * sizeof *x);
    for (int64_t i = 0; x && scale > 0 && i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = scale * ((float)(seed >> 8) * 0x1p-23f - 1.0f);
    }
    return x;
}

/* oneDNN's own choice of layout for the weights. */
static dnnl_status_t make_direct(conv_data *d) {
    const bench_conv_options *o = d->o;
    dnnl_dims_t src = {1, o->in_c, o->h, o->w}, dst = {1, o->out_c, o->h, o->w};
    dnnl_dims_t weights = {o->out_c, o->in_c, 3, 3}, bias = {o->out_c}, one = {1, 1};
    dnnl_memory_desc_t src_md, dst_md, any_md, plain_md, bias_md;
    dnnl_memory_desc_init_by_tag(&src_md, 4, src, dnnl_f32, dnnl_nhwc);
    dnnl_memory_desc_init_by_tag(&dst_md, 4, dst, dnnl_f32, dnnl_nhwc);
    dnnl_memory_desc_init_by_tag(&any_md, 4, weights, dnnl_f32, dnnl_format_tag_any);
    dnnl_memory_desc_init_by_tag(&plain_md, 4, weights, dnnl_f32, dnnl_oihw);
    dnnl_memory_desc_init_by_tag(&bias_md, 1, bias, dnnl_f32, dnnl_a);
    dnnl_convolution_desc_t desc;
    dnnl_primitive_desc_t pd = NULL, reorder_pd = NULL;
    dnnl_primitive_t reorder = NULL;
    dnnl_memory_t plain, packed, memory[4];
    dnnl_status_t s =
        dnnl_convolution_forward_desc_init(&desc, dnnl_forward_inference, dnnl_convolution_direct,
                                           &src_md, &any_md, &bias_md, &dst_md, one, one, one);
    if (s != dnnl_success || (s = dnnl_engine_create(&d->engine, dnnl_cpu, 0)) != dnnl_success ||
        (s = dnnl_stream_create(&d->stream, d->engine, dnnl_stream_default_flags)) !=
            dnnl_success ||
        (s = dnnl_primitive_desc_create(&pd, &desc, NULL, d->engine, NULL)) != dnnl_success)
        return s;
    dnnl_primitive_create(&d->primitive, pd);
    const dnnl_memory_desc_t *chosen = dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
    dnnl_memory_create(&plain, &plain_md, d->engine, d->plain);
    dnnl_memory_create(&packed, chosen, d->engine, DNNL_MEMORY_ALLOCATE);
    dnnl_reorder_primitive_desc_create(&reorder_pd, &plain_md, d->engine, chosen, d->engine, NULL);
    dnnl_primitive_create(&reorder, reorder_pd);
    dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, plain}, {DNNL_ARG_TO, packed}};
    dnnl_primitive_execute(reorder, d->stream, 2, args);
    dnnl_memory_create(&memory[0], &src_md, d->engine, d->src);
    memory[1] = packed;
    dnnl_memory_create(&memory[2], &bias_md, d->engine, d->bias);
    dnnl_memory_create(&memory[3], &dst_md, d->engine, d->direct_dst);
    static const int names[] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_BIAS, DNNL_ARG_DST};
    for (int i = 0; i < 4; i++)
        d->args[i] = (dnnl_exec_arg_t){names[i], memory[i]};
    dnnl_memory_destroy(plain);
    dnnl_primitive_destroy(reorder);
    dnnl_primitive_desc_destroy(reorder_pd);
    dnnl_primitive_desc_destroy(pd);
    return dnnl_primitive_execute(d->primitive, d->stream, 4, d->args);
}

static void run_winograd(conv_data *d) {
    hs_winograd_item item = {
        .src = {d->src}, .weights = {d->packed}, .bias = d->bias, .dst = d->dst, .v = d->v};
    for (int task = 0; task < d->plan.load_tasks; task++)
        d->kernels->winograd_load(&d->plan, task, &item, 1, d->scratch);
    for (int task = 0; task < d->plan.task_count; task++)
        d->kernels->winograd_run(&d->plan, task, &item, 1, d->scratch);
}

static double rms_difference(const float *a, const float *b, int64_t count) {
    double square = 0, difference = 0;
    for (int64_t i = 0; i < count; i++) {
        double e = (double)a[i] - (double)b[i];
        difference += e * e;
        square += (double)b[i] * (double)b[i];
    }
    return sqrt(difference / square);
}

static int compare_both(conv_data *d) {
    const bench_conv_options *o = d->o;
    const hs_winograd_plan *plan = &d->plan;
    hs_winograd_kernel kernel = {.tile = o->tile, .taps = 9, .out_c = o->out_c, .in_c = o->in_c};
    kernel.w = d->plain;
    kernel.factors = plan->spec.factors;
    kernel.late = plan->spec.late;
    kernel.out_stride = 9LL * o->in_c;
    kernel.in_stride = 9;
    double start = thread_seconds();
    for (int p = 0; p < plan->panels; p++)
        d->kernels->winograd_weights(&kernel, p, d->packed + p * plan->panel_floats[0]);
    double pack = thread_seconds() - start;
    run_winograd(d);
    double rms = rms_difference(d->dst, d->direct_dst, (int64_t)o->h * o->w * o->out_c);
    if (!(rms < (kernel.factors ? 0.02 : 1e-5))) {
        fprintf(stderr, "conv: results differ by %g of their rms\n", rms);
        return 1;
    }
    double best[2] = {1e30, 1e30}, flops = 18.0 * o->in_c * o->out_c * o->h * o->w;
    double *ratio = hs_calloc((size_t)o->repeats, sizeof *ratio);
    if (!ratio)
        return 1;
    int calls = 1 + (int)(2e9 / flops); /* a turn takes at least some 10 ms */
    for (int r = 0; r < o->repeats; r++) {
        double t[3] = {thread_seconds()};
        for (int i = 0; i < calls; i++)
            dnnl_primitive_execute(d->primitive, d->stream, 4, d->args);
        t[1] = thread_seconds();
        for (int i = 0; i < calls; i++)
            run_winograd(d);
        t[2] = thread_seconds();
        ratio[r] = (t[1] - t[0]) / (t[2] - t[1]);
        for (int i = 0; i < 2; i++)
            best[i] = fmin(best[i], (t[i + 1] - t[i]) / calls);
    }
    qsort(ratio, (size_t)o->repeats, sizeof *ratio, bench_compare);
    printf("conv=%dx%d_%dx%d isa=%s tile=%d tasks=%d+%d block=%d panels=%d rms=%.2g "
           "direct_gflops=%.1f winograd_gflops=%.1f best_ratio=%.2f median_ratio=%.2f "
           "weights_mb=%.1f pack_ms=%.2f\n",
           o->in_c, o->out_c, o->h, o->w, d->kernels->isa, plan->spec.tile, plan->load_tasks,
           plan->task_count, plan->spec.block, plan->spec.panel_block, rms, flops / best[0] / 1e9,
           flops / best[1] / 1e9, best[0] / best[1], ratio[o->repeats / 2],
           (double)(plan->panels * plan->panel_floats[0]) * 4e-6, pack * 1e3);
    free(ratio);
    return 0;
}

int bench_conv(const bench_conv_options *o) {
    conv_data d = {.o = o};
    d.kernels = o->isa ? hs_kernels_named(o->isa) : hs_kernels_get();
    if (!d.kernels) {
        fprintf(stderr, "conv: this CPU does not run %s\n", o->isa);
        return 1;
    }
    hs_winograd_spec spec = {.h = o->h, .w = o->w, .out_c = o->out_c, .part_count = 1};
    spec.part_c[0] = o->in_c;
    spec.tile = o->tile;
    spec.factors = (hs_factors)o->factors;
    spec.block = o->block;
    spec.panel_block = o->panel_block;
    spec.band_rows = o->band_rows;
    spec.splits = o->splits;
    spec.sharing = o->sharing;
    spec.late = o->late;
    d.kernels->winograd_make(&spec, &d.plan);
    int64_t pixels = (int64_t)o->h * o->w, packed = d.plan.panels * d.plan.panel_floats[0];
    float *memory[] = {d.src = floats(pixels * o->in_c, 1, 1),
                       d.plain = floats(9LL * o->in_c * o->out_c, 1, 2),
                       d.bias = floats(o->out_c, 1, 3),
                       d.dst = floats(pixels * o->out_c, 0, 0),
                       d.direct_dst = floats(pixels * o->out_c, 0, 0),
                       d.packed = floats(packed, 0, 0),
                       d.v = floats(d.plan.load_tasks ? d.plan.v_floats : 1, 0, 0),
                       d.scratch = floats(d.plan.scratch_floats, 0, 0)};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        if (!memory[i]) {
            fputs("conv: out of memory\n", stderr);
            return 1;
        }
    hs_threads_saved saved = hs_threads_push(1);
    int result = 1;
    if (make_direct(&d) == dnnl_success)
        result = compare_both(&d);
    else
        fputs("conv: oneDNN refuses\n", stderr);
    hs_threads_pop(saved);
    return result; /* the process ends: memory goes with it */
}
