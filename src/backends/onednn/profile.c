/* Time by kind of step, for users: a profiled pass walks every step as a list
 * of its own. Kinds that do not fit share the last row. */
#include <string.h>
#include <time.h>

#include "backends/onednn/onednn.h"

static int64_t hs_od_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int hs_od_profile_row(hs_profile *profile, const char *kind) {
    for (int i = 0; i < profile->count; i++)
        if (!strcmp(profile->rows[i].kind, kind))
            return i;
    if (profile->count == HS_PROFILE_KINDS) {
        profile->rows[HS_PROFILE_KINDS - 1].kind = "other";
        return HS_PROFILE_KINDS - 1;
    }
    profile->rows[profile->count].kind = kind;
    return profile->count++;
}

void hs_od_profile_plan(hs_exec *exec) {
    for (int i = 0; exec->profile && i < exec->step_count; i++)
        exec->steps[i]->profile_row = hs_od_profile_row(exec->profile, exec->steps[i]->kind);
}

void hs_od_profile_begin(hs_profile *profile) {
    profile->mark = hs_od_now();
}

void hs_od_profile_end_step(hs_profile *profile, const hs_od_step *step, double share, bool last) {
    int64_t now = hs_od_now();
    hs_profile_row *row = &profile->rows[step->profile_row];
    row->seconds += 1e-9 * (double)(now - profile->mark);
    row->flops += share * step->flops;
    row->runs += last;
    profile->mark = now;
}
