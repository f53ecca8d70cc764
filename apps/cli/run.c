/* Images for every pair of a row (seed or latent) and a column (strengths). */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

void cli_run_free(cli_run *run) {
    free(run->x);
    free(run->h);
    run->x = run->h = NULL;
}

/* [columns, rows, size] to [rows, columns, size], in place. */
static hs_status cli_transpose(float *data, int rows, int columns, size_t size, hs_error *err) {
    if (rows == 1 || columns == 1)
        return HS_OK;
    size_t total = (size_t)rows * (size_t)columns * size;
    float *copy = malloc(total * sizeof *copy);
    if (!copy)
        return cli_fail_memory(err);
    memcpy(copy, data, total * sizeof *copy);
    for (int r = 0; r < rows; r++)
        for (int s = 0; s < columns; s++)
            memcpy(data + ((size_t)r * (size_t)columns + (size_t)s) * size,
                   copy + ((size_t)s * (size_t)rows + (size_t)r) * size, size * sizeof *data);
    free(copy);
    return HS_OK;
}

/* x and h of a run, by the sizes that the session knows. */
static hs_status cli_run_allocate(const cli_session *session, cli_run *run, hs_error *err) {
    const hs_model_info *info = &session->info;
    const int *h = info->h[hs_denoiser_h_space(session->denoiser)];
    int items = run->rows * run->columns;
    int with_steps[4] = {hs_sampler_steps(session->sampler), h[0], h[1], h[2]};
    size_t x_count = cli_float_count(items, info->image, 3);
    size_t h_count = cli_float_count(items, with_steps, 4);
    run->x = x_count ? calloc(x_count, sizeof *run->x) : NULL;
    run->h = run->keep_h && h_count ? calloc(h_count, sizeof *run->h) : NULL;
    return run->x && (run->h || !run->keep_h) ? HS_OK : cli_fail_memory(err);
}

hs_status cli_run_sample(cli_session *session, cli_run *run, hs_error *err) {
    const hs_latents *latents = run->seeds ? NULL : session->latents;
    size_t rows = (size_t)run->rows, columns = (size_t)run->columns, items = rows * columns;
    size_t edits = (size_t)run->edit_count;
    int64_t *seeds = calloc(items, sizeof *seeds);
    double *per_item = calloc(items * edits + 1, sizeof *per_item);
    hs_status status = seeds && per_item ? HS_OK : cli_fail_memory(err);
    if (status == HS_OK)
        status = cli_run_allocate(session, run, err);
    if (status != HS_OK)
        goto cleanup;
    /* hs_sample's item i takes latent i % rows, so with latents the rows are
     * the fast index; the grid is wanted the other way round. */
    for (size_t i = 0; i < items; i++) {
        size_t row = latents ? i % rows : i / columns, column = latents ? i / rows : i % columns;
        seeds[i] = latents ? 0 : run->seeds[row];
        size_t cell = run->by_row ? row * columns + column : column;
        for (size_t e = 0; e < edits; e++)
            per_item[i * edits + e] = run->strengths[cell * edits + e];
    }
    status =
        hs_sample(session->sampler, (int)items, latents ? NULL : seeds, latents, run->edits,
                  run->edit_count, edits ? per_item : NULL, &session->monitor, run->x, run->h, err);
    if (!session->progress.of)
        cli_progress_end(&session->progress);
    if (status == HS_OK && latents) {
        const int *h = session->info.h[hs_denoiser_h_space(session->denoiser)];
        int T = hs_sampler_steps(session->sampler);
        status = cli_transpose(run->x, run->rows, run->columns,
                               cli_float_count(1, session->info.image, 3), err);
        if (status == HS_OK && run->h)
            status = cli_transpose(run->h, run->rows, run->columns, cli_float_count(T, h, 3), err);
    }
cleanup:
    free(per_item);
    free(seeds);
    return status;
}

/* Each of `rows` entries of `size` floats `columns` times. */
static float *cli_repeat(const float *data, int rows, int columns, size_t size) {
    float *out = malloc((size_t)rows * (size_t)columns * size * sizeof *out);
    for (int i = 0; out && i < rows * columns; i++)
        memcpy(out + (size_t)i * size, data + (size_t)(i / columns) * size, size * sizeof *out);
    return out;
}

json_t *cli_tensors_facts(const cli_session *session) {
    static const char *const positions[] = {"before", "middle", "after"};
    char fingerprint[33];
    int T = hs_sampler_steps(session->sampler);
    const double *eta = hs_sampler_eta(session->sampler);
    json_t *object = json_object(), *list = json_array();
    for (int i = 0; i < T; i++)
        json_array_append_new(list, json_real(eta[i]));
    char *text = json_dumps(list, JSON_REAL_PRECISION(17));
    json_object_set_new(object, "eta", json_string(text ? text : "[]"));
    free(text);
    json_decref(list);
    json_object_set_new(object, "h_space",
                        json_string(positions[hs_denoiser_h_space(session->denoiser)]));
    if (hs_denoiser_precision(session->denoiser) == HS_PRECISION_FAST)
        json_object_set_new(object, "precision", json_string("fast"));
    if (hs_model_fingerprint(session->model, fingerprint, NULL) == HS_OK)
        json_object_set_new(object, "model", json_string(fingerprint));
    return object;
}

/* What the tensors alone do not say; values are strings, as safetensors wants. */
static char *cli_tensors_metadata(const cli_session *session, const cli_run *run) {
    json_t *object = cli_tensors_facts(session), *list;
    char *text;
    if (run->seeds) {
        list = json_array(); /* one an item, as the tensors are */
        for (int i = 0; i < run->rows * run->columns; i++)
            json_array_append_new(list, json_integer(run->seeds[i / run->columns]));
        text = json_dumps(list, 0);
        json_object_set_new(object, "seeds", json_string(text ? text : "[]"));
        free(text);
        json_decref(list);
    }
    text = json_dumps(object, 0);
    json_decref(object);
    return text;
}

/* Does an edit move x_T? Then it is another one for every strength. */
static bool cli_moves_noise(const cli_run *run) {
    for (int e = 0; e < run->edit_count; e++) {
        hs_directions_view view;
        hs_directions_view_get(run->edits[e].directions, &view);
        if (view.space == HS_SPACE_NOISE)
            return true;
    }
    return false;
}

/* x_T and z [rows*columns] as the images started. */
static hs_status cli_moved_latents(cli_session *session, const cli_run *run, hs_latents **out,
                                   hs_error *err) {
    size_t items = (size_t)run->rows * (size_t)run->columns, edits = (size_t)run->edit_count;
    int64_t *seeds = calloc(items, sizeof *seeds);
    int *picked = calloc(items, sizeof *picked);
    double *per_item = calloc(items * edits + 1, sizeof *per_item);
    hs_latents *spread = NULL;
    hs_status status = seeds && picked && per_item ? HS_OK : cli_fail_memory(err);
    for (size_t i = 0; status == HS_OK && i < items; i++) {
        size_t row = i / (size_t)run->columns, cell = run->by_row ? i : i % (size_t)run->columns;
        seeds[i] = run->seeds ? run->seeds[row] : 0;
        picked[i] = (int)row;
        memcpy(per_item + i * edits, run->strengths + cell * edits, edits * sizeof *per_item);
    }
    if (status == HS_OK && !run->seeds)
        status = hs_latents_pick(session->latents, (int)items, picked, &spread, err);
    if (status == HS_OK)
        status = hs_latents_edited(session->sampler, (int)items, run->seeds ? seeds : NULL, spread,
                                   run->edits, run->edit_count, per_item, NULL, out, err);
    hs_latents_free(spread);
    free(per_item);
    free(picked);
    free(seeds);
    return status;
}

hs_status cli_run_save_tensors(cli_session *session, const cli_run *run, const char *path,
                               hs_error *err) {
    const hs_model_info *info = &session->info;
    const int *timesteps = hs_sampler_timesteps(session->sampler);
    int T = hs_sampler_steps(session->sampler);
    hs_latents *own = NULL;
    float *x_T = NULL, *z = NULL;
    int64_t *wide = calloc((size_t)T, sizeof *wide);
    char *metadata = cli_tensors_metadata(session, run);
    hs_status status = wide && metadata ? HS_OK : cli_fail_memory(err);
    bool moved = cli_moves_noise(run);
    if (status == HS_OK && moved)
        status = cli_moved_latents(session, run, &own, err);
    else if (status == HS_OK && run->seeds)
        status = hs_latents_from_seeds(session->sampler, run->rows, run->seeds, &own, err);
    if (status == HS_OK) {
        int columns = moved ? 1 : run->columns, rows = run->rows * run->columns / columns;
        hs_latents_view start;
        hs_latents_view_get(own ? own : session->latents, &start);
        x_T = cli_repeat(start.x_T, rows, columns, cli_float_count(1, info->image, 3));
        if (start.z)
            z = cli_repeat(start.z, rows, columns, cli_float_count(T, info->image, 3));
        for (int i = 0; i < T; i++)
            wide[i] = timesteps[i];
        hs_latents_view view = {.n = run->rows * run->columns,
                                .T = T,
                                .x_T = x_T,
                                .z = z,
                                .x_0 = run->x,
                                .h = run->h,
                                .timesteps = wide,
                                .metadata = metadata};
        memcpy(view.image, info->image, sizeof view.image);
        memcpy(view.h_shape, info->h[hs_denoiser_h_space(session->denoiser)], sizeof view.h_shape);
        status = x_T && (z || !start.z) ? hs_latents_save(path, &view, err) : cli_fail_memory(err);
    }
    free(z);
    free(x_T);
    free(metadata);
    free(wide);
    hs_latents_free(own);
    return status;
}
