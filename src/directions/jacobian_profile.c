/*
 * What a file of Jacobian directions says of the steps: where a direction was
 * found, and how its singular value goes over the steps. Both are kept by
 * training timestep, so they hold on any step grid.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "diffusion/trajectory.h"
#include "io/direction_file.h"

/* A list of K integers in the metadata; false if there is none. */
static bool hs_profile_list(const hs_directions *directions, const char *key, int64_t *out) {
    char *text = hs_directions_get_metadata(directions, key);
    json_t *list = text ? json_loads(text, 0, NULL) : NULL;
    bool good = json_array_size(list) == (size_t)directions->K;
    for (int i = 0; good && i < directions->K; i++) {
        json_t *item = json_array_get(list, (size_t)i);
        good = json_is_integer(item);
        out[i] = json_integer_value(item);
    }
    json_decref(list);
    free(text);
    return good;
}

/* Of two equally near the noisier, as everywhere. */
static bool hs_nearer(int64_t t, int64_t candidate, int64_t best) {
    int64_t a = llabs((long long)(candidate - t)), b = llabs((long long)(best - t));
    return a < b || (a == b && candidate > best);
}

static hs_status hs_profile_index(const hs_directions *directions, int index, hs_error *err) {
    if (index >= 0 && index < directions->K)
        return HS_OK;
    return hs_fail(err, HS_ERROR_ARGUMENT, "direction %d, expected 0 to %d", index,
                   directions->K - 1);
}

hs_status hs_directions_found_at(const hs_directions *directions, int index,
                                 const hs_sampler *sampler, int *step, hs_error *err) {
    HS_TRY(hs_profile_index(directions, index, err));
    int64_t *found_at = hs_calloc((size_t)directions->K, sizeof *found_at);
    if (!found_at)
        return hs_fail_memory(err, (size_t)directions->K * sizeof *found_at);
    hs_status status = HS_OK;
    if (!hs_profile_list(directions, "found_at", found_at))
        HS_CHECK(hs_fail(err, HS_ERROR_MISMATCH,
                         "direction %s (%.60s) was not found at one step (no metadata found_at): "
                         "only those of `jacobian` are",
                         directions->names[index], directions->method));
    int best = 0;
    for (int i = 1; i < sampler->T; i++)
        if (hs_nearer(found_at[index], sampler->timesteps[i], sampler->timesteps[best]))
            best = i;
    *step = best;
cleanup:
    free(found_at);
    return status;
}

/* Whether the run that made the file took all of its steps. */
static bool hs_profile_all_steps(const hs_directions *directions) {
    char *text = hs_directions_get_metadata(directions, "options");
    json_t *options = text ? json_loads(text, 0, NULL) : NULL;
    const char *steps = json_string_value(json_object_get(options, "steps"));
    bool all = steps && !strcmp(steps, "all");
    json_decref(options);
    free(text);
    return all;
}

hs_status hs_directions_sigma_profile(const hs_directions *directions, int index,
                                      const hs_sampler *sampler, double *factors, hs_error *err) {
    HS_TRY(hs_profile_index(directions, index, err));
    size_t K = (size_t)directions->K;
    int64_t *lists = hs_calloc(3 * K, sizeof *lists);
    if (!lists)
        return hs_fail_memory(err, 3 * K * sizeof *lists);
    int64_t *found_at = lists, *component = lists + K, *region = lists + 2 * K;
    hs_status status = HS_OK;
    bool complete = directions->sigma && directions->S == 1 && hs_profile_all_steps(directions) &&
                    hs_profile_list(directions, "found_at", found_at) &&
                    hs_profile_list(directions, "component", component) &&
                    hs_profile_list(directions, "region", region);
    if (!complete || !(directions->sigma[index] > 0))
        HS_CHECK(hs_fail(err, HS_ERROR_MISMATCH,
                         "direction %s: the sigma profile needs the singular values of all steps: "
                         "a file made by `jacobian --step all`",
                         directions->names[index]));
    for (int i = 0; i < sampler->T; i++) {
        int best = index;
        for (int j = 0; j < directions->K; j++)
            if (component[j] == component[index] && region[j] == region[index] &&
                hs_nearer(sampler->timesteps[i], found_at[j], found_at[best]))
                best = j;
        factors[i] = (double)directions->sigma[best] / (double)directions->sigma[index];
    }
cleanup:
    free(lists);
    return status;
}
