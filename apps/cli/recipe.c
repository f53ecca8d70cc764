/* Recipes: writing the one of an image, and making an image from one. */
#include "cli.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* An absolute path where the file exists, so that a recipe can be used from
 * elsewhere; a hub id stays as it is. malloc'ed. */
static char *cli_absolute(const char *path) {
    char *absolute = realpath(path, NULL);
    return absolute ? absolute : strdup(path);
}

hs_status cli_save_recipe(cli_session *session, const char *path, hs_error *err) {
    const cli_options *options = session->options;
    char fingerprint[33];
    int count = options->direction_count;
    hs_recipe_edit *edits = calloc((size_t)count + 1, sizeof *edits);
    char **files = cli_new_strings(count);
    char *model = cli_absolute(cli_model_name(options));
    char *latent = options->latent ? cli_absolute(options->latent) : NULL;
    hs_status status =
        edits && files && model && (latent || !options->latent) ? HS_OK : cli_fail_memory(err);
    for (int i = 0; i < count && status == HS_OK; i++) {
        const hs_edit *edit = &session->edits[i];
        files[i] = cli_absolute(options->directions[i].file);
        if (!files[i])
            status = cli_fail_memory(err);
        edits[i] = (hs_recipe_edit){.file = files[i],
                                    .name = hs_directions_name(edit->directions, edit->index),
                                    .strength = edit->strength,
                                    .first = edit->first,
                                    .last = edit->last};
    }
    if (status == HS_OK)
        status = hs_model_fingerprint(session->model, fingerprint, err);
    if (status == HS_OK) {
        hs_recipe recipe = {.model = model,
                            .fingerprint = fingerprint,
                            .seed = options->seeds ? options->seeds[0] : 0,
                            .latent = latent,
                            .latent_item = options->items ? (int)options->items[0] : 0,
                            .steps = hs_sampler_steps(session->sampler),
                            .eta = hs_sampler_eta(session->sampler),
                            .eta_count = options->eta_count > 1 ? options->eta_count : 1,
                            .z_seed = options->z_seed,
                            .h_space = options->h_space,
                            .asyrp = options->asyrp,
                            .clip = options->clip,
                            .fast = options->precision == HS_PRECISION_FAST,
                            .edits = edits,
                            .edit_count = count};
        status = hs_recipe_save(path, &recipe, err);
    }
    free(latent);
    free(model);
    cli_free_strings(files, count);
    free(edits);
    return status;
}

/* A relative file of a recipe lies beside the recipe. malloc'ed. */
static char *cli_beside(const char *file, const char *recipe) {
    const char *slash = strrchr(recipe, '/');
    char *path = NULL;
    if (*file == '/' || !slash)
        return strdup(file);
    return asprintf(&path, "%.*s/%s", (int)(slash - recipe), recipe, file) < 0 ? NULL : path;
}

/* The edits of a recipe as -d options. */
static hs_status cli_apply_edits(cli_options *options, const hs_recipe *recipe, const char *path,
                                 hs_error *err) {
    options->directions = calloc((size_t)recipe->edit_count + 1, sizeof *options->directions);
    if (!options->directions)
        return cli_fail_memory(err);
    for (int i = 0; i < recipe->edit_count; i++) {
        const hs_recipe_edit *edit = &recipe->edits[i];
        if (edit->first != recipe->edits[0].first || edit->last != recipe->edits[0].last)
            return cli_fail(err, HS_ERROR_UNSUPPORTED,
                            "%s: its edits have different windows, which this command cannot apply",
                            path);
        cli_direction_spec *spec = &options->directions[options->direction_count++];
        spec->file = cli_beside(edit->file, path);
        spec->name = strdup(edit->name);
        spec->strengths = calloc(1, sizeof *spec->strengths);
        if (!spec->file || !spec->name || !spec->strengths)
            return cli_fail_memory(err);
        spec->strengths[0] = edit->strength;
        spec->count = 1;
        options->first = edit->first;
        options->last = edit->last;
    }
    return HS_OK;
}

hs_status cli_apply_recipe(cli_options *options, const char *path, hs_recipe **keep,
                           hs_error *err) {
    if (options->seeds || options->latent || options->items || options->direction_count)
        cli_usage_error("--replay takes seed, latent and directions from the recipe: leave out "
                        "--seed, --latent, --item and -d");
    hs_status status = hs_recipe_load(path, keep, err);
    if (status != HS_OK)
        return status;
    const hs_recipe *recipe = *keep;
    options->latent = recipe->latent;
    options->items = recipe->latent ? calloc(1, sizeof *options->items) : NULL;
    options->seeds = recipe->latent ? NULL : calloc(1, sizeof *options->seeds);
    free(options->eta);
    options->eta = calloc((size_t)recipe->eta_count + 1, sizeof *options->eta);
    if (!options->eta || (!options->seeds && !recipe->latent) ||
        (!options->items && recipe->latent))
        return cli_fail_memory(err);
    if (options->items)
        options->items[options->item_count++] = recipe->latent_item;
    if (options->seeds)
        options->seeds[0] = recipe->seed;
    options->seed_count = 1;
    if (recipe->eta_count)
        memcpy(options->eta, recipe->eta, (size_t)recipe->eta_count * sizeof *options->eta);
    options->eta_count = recipe->eta_count ? recipe->eta_count : 1;
    if (!options->model)
        options->model = recipe->model;
    options->steps = recipe->steps;
    options->z_seed = recipe->z_seed;
    options->h_space = recipe->h_space;
    options->asyrp = recipe->asyrp;
    options->clip = recipe->clip;
    if (recipe->fast)
        options->precision = HS_PRECISION_FAST;
    return cli_apply_edits(options, recipe, path, err);
}
