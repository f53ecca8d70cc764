/* The life of a planned graph: see plan.c and execute.c. */
#ifndef HS_BACKENDS_ONEDNN_EXECUTE_H
#define HS_BACKENDS_ONEDNN_EXECUTE_H

#include "backends/onednn/onednn.h"

hs_status hs_od_plan(const hs_graph *graph, const hs_plan_options *options, hs_exec **out,
                     hs_error *err);
void hs_od_free(hs_exec *exec);

#endif
