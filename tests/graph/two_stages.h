/*
 * Running a cut graph in its two stages on a back end: the first planned from
 * the graph itself with the kept values, the second linked to it.
 */
#ifndef HS_TESTS_TWO_STAGES_H
#define HS_TESTS_TWO_STAGES_H

#include <stdlib.h>

#include "backends/backend.h"
#include "graph/cut.h"
#include "support.h"

typedef struct hs_two_stages {
    hs_exec *first, *second;
} hs_two_stages;

/* Plan both for the cut's outputs and run the first at the given point. */
static inline hs_two_stages hs_two_stages_open(const hs_backend *backend, const hs_graph *graph,
                                               const hs_cut *cut, int output_count,
                                               bool double_precision, const hs_binding *point,
                                               int point_count) {
    hs_error err;
    hs_two_stages stages;
    size_t count = (size_t)cut->kept_count + 1;
    hs_value *kept = calloc(count, sizeof *kept);
    hs_link *links = calloc(count, sizeof *links);
    assert_true(kept && links);
    for (int i = 0; i < cut->kept_count; i++)
        kept[i] = cut->kept[i].value;
    hs_plan_options options = {.threads = 1,
                               .double_precision = double_precision,
                               .kept = kept,
                               .kept_count = cut->kept_count};
    assert_ok(backend->plan(graph, &options, &stages.first, &err));
    for (int i = 0; i < cut->kept_count; i++)
        links[i] =
            (hs_link){.value = cut->kept[i].input, .source = stages.first, .source_value = kept[i]};
    hs_plan_options linked = {.threads = 1,
                              .double_precision = double_precision,
                              .outputs = cut->outputs,
                              .output_count = output_count,
                              .links = links,
                              .link_count = cut->kept_count};
    assert_ok(backend->plan(cut->graph, &linked, &stages.second, &err));
    free(links);
    free(kept);
    assert_ok(backend->execute(stages.first, point, point_count, NULL, 0, &err));
    return stages;
}

static inline void hs_two_stages_close(const hs_backend *backend, hs_two_stages *stages) {
    backend->free(stages->second);
    backend->free(stages->first);
}

#endif
