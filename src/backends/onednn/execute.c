/* One pass over the steps, and the back end's table. */
#include "backends/onednn/execute.h"

#include <stdlib.h>
#include <string.h>

void hs_od_fail(const hs_exec *exec, dnnl_status_t status) {
    atomic_store(&((hs_exec *)exec)->failed, (int)status);
}

static void hs_od_pass(void *ctx, int visit, hs_team *team, int rank) {
    const hs_exec *exec = ctx;
    const hs_od_visit *v = &exec->walk[visit];
    hs_od_window window = {team, v->first, v->count};
    exec->steps[v->step]->run(exec, exec->steps[v->step], &window, rank);
}

/* A list of one visit: what is timed alone. */
static void hs_od_profiled_step(void *ctx, int step, hs_team *team, int rank) {
    const hs_exec *exec = ctx;
    hs_od_pass(ctx, exec->profiled_visit, team, rank);
}

static void hs_od_profiled_pass(hs_exec *exec) {
    int items = hs_od_items(exec);
    hs_od_profile_begin(exec->profile);
    for (int i = 0; i < exec->visit_count; i++) {
        const hs_od_visit *v = &exec->walk[i];
        exec->profiled_visit = i;
        hs_crew_run(exec->crew, 1, hs_od_profiled_step, exec);
        hs_od_profile_end_step(exec->profile, exec->steps[v->step],
                               v->count ? (double)v->count / items : 1,
                               !v->count || v->first + v->count == items);
    }
}

static hs_status hs_od_bind(hs_exec *exec, const hs_binding *bindings, int count, hs_error *err) {
    for (int i = 0; i < count; i++) {
        if (!bindings[i].f32)
            return hs_fail(err, HS_ERROR_ARGUMENT, "the CPU back end takes float32 only");
        exec->bound[bindings[i].value] = bindings[i].f32;
    }
    return HS_OK;
}

static hs_status hs_od_execute(hs_exec *exec, const hs_binding *inputs, int input_count,
                               const hs_binding *outputs, int output_count, hs_error *err) {
    memset(exec->bound, 0, (size_t)exec->graph->count * sizeof *exec->bound);
    HS_TRY(hs_od_bind(exec, inputs, input_count, err));
    HS_TRY(hs_od_bind(exec, outputs, output_count, err));
    for (hs_value i = 0; i < exec->graph->count; i++)
        if (exec->graph->nodes[i].op == HS_OP_INPUT && exec->places[i].buffer >= 0 &&
            !exec->buffers[exec->places[i].buffer].linked && !exec->bound[i])
            return hs_fail(err, HS_ERROR_ARGUMENT, "the graph's input %s is not bound",
                           exec->graph->nodes[i].name);
    atomic_store(&exec->failed, 0);
    if (exec->profile)
        hs_od_profiled_pass(exec);
    else
        hs_crew_run(exec->crew, exec->visit_count, hs_od_pass, exec);
    int failed = atomic_load(&exec->failed);
    if (failed)
        return hs_od_dnnl_error(err, "pass", (dnnl_status_t)failed);
    return HS_OK;
}

static void hs_od_bytes(const hs_exec *exec, hs_exec_bytes *bytes) {
    *bytes = (hs_exec_bytes){.own = exec->kept_bytes + exec->threads * exec->scratch_bytes,
                             .shared = exec->arena_bytes,
                             .weights = hs_od_weights_bytes(exec->cache)};
}

static void hs_od_trim(const hs_exec *exec) {
    hs_od_arena_trim(exec->cache, exec->arena_bytes);
}

void hs_od_free(hs_exec *exec) {
    if (!exec)
        return;
    for (int i = 0; i < exec->step_count; i++)
        if (exec->steps[i]->destroy)
            exec->steps[i]->destroy(exec->steps[i]);
    if (exec->streams)
        for (int i = 0; i < exec->threads; i++)
            dnnl_stream_destroy(exec->streams[i]);
    dnnl_engine_destroy(exec->engine);
    if (exec->owns_cache)
        hs_od_weights_free(exec->cache);
    hs_pages_free(exec->scratch, (size_t)(exec->threads * exec->scratch_bytes));
    hs_pages_free(exec->kept_arena, (size_t)exec->kept_bytes);
    free(exec->streams);
    free(exec->bound);
    free(exec->lifetimes);
    free(exec->buffers);
    free(exec->steps);
    hs_arena_free(&exec->memory);
    free(exec);
}

static bool hs_od_has_fast(void) {
    const hs_kernels *kernels = hs_kernels_get();
    return kernels->bf16 || kernels->fixed;
}

const hs_backend hs_backend_onednn = {
    .name = "onednn",
    .plan = hs_od_plan,
    .execute = hs_od_execute,
    .bytes = hs_od_bytes,
    .free = hs_od_free,
    .trim = hs_od_trim,
    .cache_new = hs_od_weights_new,
    .cache_free = hs_od_weights_free,
    .has_fast = hs_od_has_fast,
};
