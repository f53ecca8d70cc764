/* The result of a run and what is said about it (see jacobian_run.h). */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "denoiser.h"
#include "directions/jacobian_run.h"

static hs_status hs_jacobian_set_text(char **member, char *text, hs_error *err) {
    if (!text)
        return hs_fail_memory(err, 64);
    free(*member);
    *member = text;
    return HS_OK;
}

/* s24.0, or s24.0@eye where there are several masks. */
static hs_status hs_jacobian_names(hs_jacobian_run *run, hs_error *err) {
    int k = run->o.k;
    for (int i = 0; i < run->groups * k; i++) {
        int group = i / k, step = run->steps[group / run->regions];
        bool several = run->mask_count > 1;
        char *name = hs_format("s%d.%d%s%s", step, i % k, several ? "@" : "",
                               several ? run->o.masks[group % run->regions].name : "");
        HS_TRY(hs_jacobian_set_text(&run->directions->names[i], name, err));
    }
    return HS_OK;
}

hs_status hs_jacobian_result(hs_jacobian_run *run, hs_error *err) {
    const hs_sampler *sampler = run->sampler;
    size_t groups = (size_t)run->groups, K = groups * (size_t)run->o.k;
    hs_h_space h_space = hs_denoiser_h_space(sampler->denoiser);
    hs_directions *directions =
        hs_directions_new((int)K, 1, sampler->T, sampler->model->h[h_space]);
    if (!directions)
        return hs_fail_memory(err, K * sizeof(char *));
    run->directions = directions;
    directions->h_space = h_space;
    directions->N = sampler->model->schedule.num_train_timesteps;
    memcpy(directions->image, sampler->model->image, sizeof directions->image);
    directions->delta_h = hs_calloc(K, run->h_size * sizeof(float));
    directions->u = hs_calloc(K, run->image_size * sizeof(float));
    directions->sigma = hs_calloc(K, sizeof(float));
    directions->residual = hs_calloc(K, sizeof(float));
    directions->timesteps = hs_calloc((size_t)sampler->T, sizeof(int64_t));
    run->h_norm = hs_calloc(groups, sizeof *run->h_norm);
    run->products = hs_calloc(groups, sizeof *run->products);
    run->done = hs_calloc(groups, sizeof *run->done);
    if (!directions->delta_h || !directions->u || !directions->sigma || !directions->residual ||
        !directions->timesteps || !run->h_norm || !run->products || !run->done)
        return hs_fail_memory(err, K * (run->h_size + run->image_size) * sizeof(float));
    for (int i = 0; i < sampler->T; i++)
        directions->timesteps[i] = sampler->timesteps[i];
    HS_TRY(hs_jacobian_set_text(&directions->unit, hs_strdup("tenth of the norm of h"), err));
    HS_TRY(hs_jacobian_set_text(&directions->method, hs_strdup("jacobian"), err));
    HS_TRY(hs_jacobian_names(run, err));
    HS_TRY(hs_denoiser_fingerprint(sampler->denoiser, directions->model, err));
    run->identity = hs_jacobian_identity(run);
    return run->identity ? HS_OK : hs_fail_memory(err, 4096);
}

/* ----------------------------------------------------------- description -- */

static json_t *hs_jacobian_eta(const hs_sampler *sampler) {
    bool same = true;
    for (int i = 1; i < sampler->T; i++)
        same = same && sampler->eta[i] == sampler->eta[0];
    if (same)
        return json_real(sampler->eta[0]);
    json_t *list = json_array();
    for (int i = 0; i < sampler->T; i++)
        json_array_append_new(list, json_real(sampler->eta[i]));
    return list;
}

static json_t *hs_jacobian_describe_options(const hs_jacobian_run *run) {
    static const char *const methods[] = {[HS_JACOBIAN_KRYLOV] = "krylov",
                                          [HS_JACOBIAN_SUBSPACE] = "subspace",
                                          [HS_JACOBIAN_BATCHED] = "batched"};
    const hs_jacobian_options *o = &run->o;
    json_t *json = json_pack("{s:i, s:s, s:f, s:s}", "k", o->k, "method", methods[o->method], "tol",
                             o->tol, "keep_outside", hs_keep_outside_name(o->keep_outside));
    if (json && o->keep_outside != HS_KEEP_OUTSIDE_NO)
        json_object_set_new(json, "outside_count", json_integer(o->outside_count));
    if (json && o->keep_outside == HS_KEEP_OUTSIDE_RATIO)
        json_object_set_new(json, "lambda", json_real(o->lambda));
    return json;
}

static json_t *hs_jacobian_hash(const void *data, size_t size, XXH64_hash_t seed) {
    char text[20];
    snprintf(text, sizeof text, "%016" PRIx64, (uint64_t)XXH3_64bits_withSeed(data, size, seed));
    return json_string(text);
}

/* Where the trajectory starts and what pushes it. */
static json_t *hs_jacobian_describe_start(const hs_jacobian_run *run) {
    const hs_latents_view *view = &run->start;
    size_t size = run->image_size, item = (size_t)run->o.item, T = (size_t)run->sampler->T;
    if (!view->n)
        return json_integer(run->o.seed);
    XXH64_hash_t hash = XXH3_64bits(view->x_T + item * size, size * sizeof(float));
    if (!run->sampler->any_eta)
        return hs_jacobian_hash(&hash, sizeof hash, 0);
    return hs_jacobian_hash(view->z + item * T * size, T * size * sizeof(float), hash);
}

json_t *hs_jacobian_identity(const hs_jacobian_run *run) {
    const hs_sampler *sampler = run->sampler;
    json_t *json = hs_jacobian_describe_options(run);
    json_t *timesteps = json_array(), *masks = json_array();
    if (!json || !timesteps || !masks) {
        json_decref(json);
        json_decref(timesteps);
        json_decref(masks);
        return NULL;
    }
    for (int i = 0; i < sampler->T; i++)
        json_array_append_new(timesteps, json_integer(sampler->timesteps[i]));
    for (int i = 0; i < run->mask_count; i++)
        json_array_append_new(
            masks, hs_jacobian_hash(run->rows + (size_t)i * run->image_size, run->image_size, 0));
    json_object_set_new(json, "model", json_string(run->directions->model));
    json_object_set_new(json, "h_space", json_string(hs_h_space_name(run->directions->h_space)));
    json_object_set_new(json, "timesteps", timesteps);
    json_object_set_new(json, "eta", hs_jacobian_eta(sampler));
    json_object_set_new(json, "z_seed", json_integer(sampler->z_seed));
    json_object_set_new(json, "start", hs_jacobian_describe_start(run));
    json_object_set_new(json, "masks", masks);
    json_object_set_new(json, "max_mem", json_integer(run->o.max_mem));
    return json;
}

/* -------------------------------------------------------------- metadata -- */

static json_t *hs_jacobian_mask_source(const hs_jacobian_run *run, int index) {
    const hs_mask *mask = &run->o.masks[index];
    json_t *source = json_string(mask->source ? mask->source : mask->name);
    return source ? source : json_string("(a name that is not UTF-8)");
}

static hs_status hs_jacobian_put_masks(const hs_jacobian_run *run, hs_error *err) {
    if (run->mask_count == 1)
        return hs_directions_put_json(run->directions, "mask", hs_jacobian_mask_source(run, 0), 9,
                                      err);
    json_t *list = json_array();
    for (int i = 0; i < run->mask_count; i++)
        json_array_append_new(list, hs_jacobian_mask_source(run, i));
    return hs_directions_put_json(run->directions, "mask", list, 9, err);
}

/* The lists [K] and [groups] that jacobian_profile.c and users read. */
static hs_status hs_jacobian_put_lists(const hs_jacobian_run *run, hs_error *err) {
    json_t *found_at = json_array(), *component = json_array(), *region = json_array();
    json_t *norms = json_array(), *products = json_array();
    for (int group = 0; group < run->groups; group++) {
        int step = run->steps[group / run->regions];
        for (int j = 0; j < run->o.k; j++) {
            json_array_append_new(found_at, json_integer(run->sampler->timesteps[step]));
            json_array_append_new(component, json_integer(j));
            json_array_append_new(region, json_integer(group % run->regions));
            json_array_append_new(norms, json_real(run->h_norm[group]));
        }
        json_array_append_new(products, json_integer(run->products[group]));
    }
    hs_directions *directions = run->directions;
    hs_status status = hs_directions_put_json(directions, "found_at", found_at, 9, err);
    hs_status others[] = {hs_directions_put_json(directions, "component", component, 9, err),
                          hs_directions_put_json(directions, "region", region, 9, err),
                          hs_directions_put_json(directions, "h_norm", norms, 9, err),
                          hs_directions_put_json(directions, "products", products, 9, err)};
    for (int i = 0; i < 4 && status == HS_OK; i++)
        status = others[i];
    return status;
}

hs_status hs_jacobian_metadata(const hs_jacobian_run *run, hs_error *err) {
    hs_directions *directions = run->directions;
    json_t *options = hs_jacobian_describe_options(run);
    json_t *steps = run->step_count == run->sampler->T ? json_string("all") : json_array();
    for (int i = 0; json_is_array(steps) && i < run->step_count; i++)
        json_array_append_new(steps, json_integer(run->steps[i]));
    if (options)
        json_object_set_new(options, "steps", steps);
    HS_TRY(hs_directions_put_json(directions, "options", options, 9, err));
    HS_TRY(hs_directions_put_json(directions, "eta", hs_jacobian_eta(run->sampler), 9, err));
    if (!run->start.n)
        HS_TRY(hs_directions_put_json(directions, "seeds",
                                      json_sprintf("%lld", (long long)run->o.seed), 9, err));
    else
        HS_TRY(
            hs_directions_put_json(directions, "latent_item", json_integer(run->o.item), 9, err));
    if (run->mask_count)
        HS_TRY(hs_jacobian_put_masks(run, err));
    HS_TRY(hs_jacobian_put_lists(run, err));
    return hs_directions_update_metadata(directions, err);
}
