/* See recipe.h. Reading refuses keys that it does not know: a recipe that is
 * half understood would make another image. */
#include "io/recipe.h"

#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "io/direction_file.h"
#include "io/file.h"
#include "io/json.h"

#define HS_RECIPE_MAX_STEPS 1000000
#define HS_RECIPE_MAX_EDITS 100000

/* What hs_recipe_load gives: the recipe is its first member. */
typedef struct hs_recipe_owner {
    hs_recipe recipe;
    hs_arena arena; /* strings and arrays */
} hs_recipe_owner;

void hs_recipe_free(hs_recipe *recipe) {
    if (!recipe)
        return;
    hs_arena_free(&((hs_recipe_owner *)recipe)->arena);
    free(recipe);
}

/* ------------------------------------------------------------- reading -- */

static hs_status hs_recipe_string(const json_t *object, const char *key, hs_arena *arena,
                                  const char **out, hs_error *err) {
    const char *text;
    HS_TRY(hs_json_get_string(object, key, NULL, &text, err));
    if (text && !(text = hs_arena_strdup(arena, text)))
        return hs_fail_memory(err, 0);
    *out = text;
    return HS_OK;
}

static hs_status hs_recipe_int(const json_t *object, const char *key, int otherwise, int min,
                               int max, int *out, hs_error *err) {
    int64_t value;
    HS_TRY(hs_json_get_int(object, key, otherwise, min, max, &value, err));
    *out = (int)value;
    return HS_OK;
}

/* "eta": a number, or a list of one or `steps` of them. */
static hs_status hs_read_eta(const json_t *object, hs_arena *arena, hs_recipe *recipe,
                             hs_error *err) {
    const json_t *value = json_object_get(object, "eta");
    double *eta =
        hs_arena_alloc(arena, json_is_array(value) ? json_array_size(value) + 1 : 1, sizeof *eta);
    if (!eta)
        return hs_fail_memory(err, json_array_size(value) * sizeof *eta);
    recipe->eta = eta;
    recipe->eta_count = 1;
    if (!json_is_array(value))
        return hs_json_get_double(object, "eta", 0, 0, DBL_MAX, eta, err);
    HS_TRY(hs_json_get_doubles(object, "eta", 0, DBL_MAX, eta, recipe->steps, &recipe->eta_count,
                               err));
    if (recipe->eta_count == 1 || recipe->eta_count == recipe->steps)
        return HS_OK;
    return hs_fail(err, HS_ERROR_FORMAT, "key \"eta\": expected 1 or %d numbers, found %d",
                   recipe->steps, recipe->eta_count);
}

/* "z_seed": "continue", "+1" or a seed. */
static hs_status hs_read_z_seed(const json_t *object, hs_recipe *recipe, hs_error *err) {
    const json_t *value = json_object_get(object, "z_seed");
    const char *text = json_string_value(value);
    if (hs_json_absent(object, "z_seed") || (text && !strcmp(text, "continue"))) {
        recipe->z_seed = HS_Z_CONTINUE;
        return HS_OK;
    }
    if (text && !strcmp(text, "+1")) {
        recipe->z_seed = HS_Z_PLUS_ONE;
        return HS_OK;
    }
    if (text)
        return hs_fail(err, HS_ERROR_FORMAT,
                       "key \"z_seed\": expected \"continue\", \"+1\" or a number, found "
                       "\"%.100s\"",
                       text);
    return hs_json_get_int(object, "z_seed", 0, 0, INT64_MAX, &recipe->z_seed, err);
}

static hs_status hs_read_h_space(const json_t *object, hs_recipe *recipe, hs_error *err) {
    const char *text;
    HS_TRY(hs_json_get_string(object, "h_space", "after", &text, err));
    if (hs_h_space_from_name(text, &recipe->h_space))
        return HS_OK;
    return hs_fail(err, HS_ERROR_FORMAT,
                   "key \"h_space\": expected before, middle or after, found \"%.100s\"", text);
}

static hs_status hs_read_edit(const json_t *object, int steps, hs_arena *arena,
                              hs_recipe_edit *edit, hs_error *err) {
    static const char *const known[] = {"file", "name", "strength", "first", "last", NULL};
    if (!json_is_object(object)) {
        char found[100];
        hs_json_describe(object, found);
        return hs_fail(err, HS_ERROR_FORMAT, "expected an object, found %s", found);
    }
    HS_TRY(hs_json_known_keys(object, known, err));
    HS_TRY(hs_json_need(object, "file", err));
    HS_TRY(hs_json_need(object, "name", err));
    HS_TRY(hs_recipe_string(object, "file", arena, &edit->file, err));
    HS_TRY(hs_recipe_string(object, "name", arena, &edit->name, err));
    HS_TRY(hs_json_get_double(object, "strength", 1, -DBL_MAX, DBL_MAX, &edit->strength, err));
    HS_TRY(hs_recipe_int(object, "first", 0, 0, steps - 1, &edit->first, err));
    return hs_recipe_int(object, "last", -1, edit->first, steps - 1, &edit->last, err);
}

static hs_status hs_read_edits(const json_t *object, hs_arena *arena, hs_recipe *recipe,
                               hs_error *err) {
    json_t *list;
    HS_TRY(hs_json_get_array(object, "edits", &list, err));
    size_t count = json_array_size(list);
    if (count > HS_RECIPE_MAX_EDITS)
        return hs_fail(err, HS_ERROR_FORMAT, "key \"edits\": expected at most %d, found %zu",
                       HS_RECIPE_MAX_EDITS, count);
    hs_recipe_edit *edits = hs_arena_alloc(arena, count, sizeof *edits);
    if (!edits)
        return hs_fail_memory(err, count * sizeof *edits);
    for (size_t i = 0; i < count; i++) {
        hs_status status =
            hs_read_edit(json_array_get(list, i), recipe->steps, arena, &edits[i], err);
        if (status != HS_OK)
            return hs_fail_prefix(err, status, "edit %zu", i);
    }
    recipe->edits = edits;
    recipe->edit_count = (int)count;
    return HS_OK;
}

/* Where the image starts: a seed, or an item of a latent file. */
static hs_status hs_read_start(const json_t *object, hs_arena *arena, hs_recipe *recipe,
                               hs_error *err) {
    HS_TRY(hs_recipe_string(object, "latent", arena, &recipe->latent, err));
    if (!recipe->latent)
        HS_TRY(hs_json_need(object, "seed", err));
    if (recipe->latent && !hs_json_absent(object, "seed"))
        return hs_fail(err, HS_ERROR_FORMAT, "expected one of \"seed\" and \"latent\", found both");
    if (!recipe->latent && !hs_json_absent(object, "latent_item"))
        return hs_fail(err, HS_ERROR_FORMAT, "key \"latent_item\" needs \"latent\"");
    HS_TRY(hs_json_get_int(object, "seed", 0, INT64_MIN, INT64_MAX, &recipe->seed, err));
    return hs_recipe_int(object, "latent_item", 0, 0, INT_MAX, &recipe->latent_item, err);
}

static hs_status hs_read_recipe(const json_t *object, hs_arena *arena, hs_recipe *recipe,
                                hs_error *err) {
    static const char *const known[] = {"format",  "version",     "model", "fingerprint", "seed",
                                        "latent",  "latent_item", "steps", "eta",         "z_seed",
                                        "h_space", "asyrp",       "clip",  "fast",        "edits",
                                        NULL};
    const char *format;
    int version;
    HS_TRY(hs_json_get_string(object, "format", "", &format, err));
    if (strcmp(format, HS_RECIPE_FORMAT))
        return hs_fail(err, HS_ERROR_FORMAT,
                       "key \"format\": expected " HS_RECIPE_FORMAT ", found \"%.100s\"", format);
    HS_TRY(hs_recipe_int(object, "version", 0, 1, INT_MAX, &version, err));
    if (version != HS_RECIPE_VERSION)
        return hs_fail(err, version ? HS_ERROR_UNSUPPORTED : HS_ERROR_FORMAT,
                       "key \"version\": expected %d, found %d%s", HS_RECIPE_VERSION, version,
                       version ? " (written by a newer hspace?)" : "");
    HS_TRY(hs_json_known_keys(object, known, err));
    HS_TRY(hs_recipe_string(object, "model", arena, &recipe->model, err));
    HS_TRY(hs_recipe_string(object, "fingerprint", arena, &recipe->fingerprint, err));
    HS_TRY(hs_read_start(object, arena, recipe, err));
    HS_TRY(hs_json_need(object, "steps", err));
    HS_TRY(hs_recipe_int(object, "steps", 0, 1, HS_RECIPE_MAX_STEPS, &recipe->steps, err));
    HS_TRY(hs_read_eta(object, arena, recipe, err));
    HS_TRY(hs_read_z_seed(object, recipe, err));
    HS_TRY(hs_read_h_space(object, recipe, err));
    HS_TRY(hs_json_get_bool(object, "asyrp", false, &recipe->asyrp, err));
    HS_TRY(hs_json_get_bool(object, "clip", false, &recipe->clip, err));
    HS_TRY(hs_json_get_bool(object, "fast", false, &recipe->fast, err));
    return hs_read_edits(object, arena, recipe, err);
}

hs_status hs_recipe_parse(const char *path, const void *data, size_t size, hs_recipe **out,
                          hs_error *err) {
    json_t *object = NULL;
    HS_TRY(hs_json_parse_object(path, data, size, &object, err));
    hs_recipe_owner *owner = hs_calloc(1, sizeof *owner);
    hs_status status = owner ? hs_read_recipe(object, &owner->arena, &owner->recipe, err)
                             : hs_fail_memory(err, sizeof *owner);
    json_decref(object);
    if (status != HS_OK) {
        hs_recipe_free((hs_recipe *)owner);
        return hs_fail_prefix(err, status, "%s", path);
    }
    *out = &owner->recipe;
    return HS_OK;
}

hs_status hs_recipe_load(const char *path, hs_recipe **out, hs_error *err) {
    hs_file file;
    HS_TRY(hs_file_map(path, &file, err));
    hs_status status = hs_recipe_parse(path, file.data, file.size, out, err);
    hs_file_unmap(&file);
    return status;
}

/* ------------------------------------------------------------- writing -- */

static hs_status hs_recipe_check(const hs_recipe *r, hs_error *err) {
    if (r->steps < 1 || r->steps > HS_RECIPE_MAX_STEPS)
        return hs_fail(err, HS_ERROR_ARGUMENT, "recipe: expected steps from 1 to %d, found %d",
                       HS_RECIPE_MAX_STEPS, r->steps);
    if (r->eta_count != 0 && r->eta_count != 1 && r->eta_count != r->steps)
        return hs_fail(err, HS_ERROR_ARGUMENT, "recipe: expected 1 or %d values of eta, found %d",
                       r->steps, r->eta_count);
    for (int i = 0; i < r->eta_count; i++)
        if (!(r->eta[i] >= 0) || !isfinite(r->eta[i]))
            return hs_fail(err, HS_ERROR_ARGUMENT,
                           "recipe: eta %d: expected a number that is not negative, found %g", i,
                           r->eta[i]);
    if (r->z_seed < HS_Z_PLUS_ONE)
        return hs_fail(err, HS_ERROR_ARGUMENT, "recipe: z_seed: expected no negative number");
    if (r->latent && r->latent_item < 0)
        return hs_fail(err, HS_ERROR_ARGUMENT, "recipe: latent_item: expected 0 or more, found %d",
                       r->latent_item);
    if (r->edit_count < 0 || r->edit_count > HS_RECIPE_MAX_EDITS)
        return hs_fail(err, HS_ERROR_ARGUMENT, "recipe: expected at most %d edits, found %d",
                       HS_RECIPE_MAX_EDITS, r->edit_count);
    for (int i = 0; i < r->edit_count; i++) {
        const hs_recipe_edit *e = &r->edits[i];
        if (!e->file || !e->name || !isfinite(e->strength))
            return hs_fail(err, HS_ERROR_ARGUMENT,
                           "recipe: edit %d: expected a file, a name and a finite strength", i);
        if (e->first < 0 || e->first >= r->steps || e->last >= r->steps ||
            (e->last >= 0 && e->last < e->first))
            return hs_fail(err, HS_ERROR_ARGUMENT,
                           "recipe: edit %d: expected a window within 0-%d, found %d-%d", i,
                           r->steps - 1, e->first, e->last);
    }
    return HS_OK;
}

/* Take the reference to `value`, which is NULL for text that is not UTF-8. */
static hs_status hs_put(json_t *object, const char *key, json_t *value, hs_error *err) {
    if (json_object_set_new(object, key, value) == 0)
        return HS_OK;
    return hs_fail(err, HS_ERROR_ARGUMENT,
                   "recipe: key \"%s\": its value is not UTF-8, or memory ran out", key);
}

static hs_status hs_put_string(json_t *object, const char *key, const char *text, hs_error *err) {
    return text ? hs_put(object, key, json_string(text), err) : HS_OK;
}

static hs_status hs_put_eta(json_t *object, const hs_recipe *r, hs_error *err) {
    if (r->eta_count <= 1)
        return hs_put(object, "eta", json_real(r->eta_count ? r->eta[0] : 0), err);
    json_t *list = json_array();
    for (int i = 0; i < r->eta_count; i++) {
        if (json_array_append_new(list, json_real(r->eta[i])) != 0) {
            json_decref(list);
            return hs_fail_memory(err, (size_t)r->eta_count * 32);
        }
    }
    return hs_put(object, "eta", list, err);
}

static hs_status hs_put_edit(json_t *list, const hs_recipe_edit *edit, hs_error *err) {
    json_t *object = json_object();
    if (json_array_append_new(list, object) != 0)
        return hs_fail_memory(err, 0);
    HS_TRY(hs_put_string(object, "file", edit->file, err));
    HS_TRY(hs_put_string(object, "name", edit->name, err));
    HS_TRY(hs_put(object, "strength", json_real(edit->strength), err));
    HS_TRY(hs_put(object, "first", json_integer(edit->first), err));
    return edit->last < 0 ? HS_OK : hs_put(object, "last", json_integer(edit->last), err);
}

static hs_status hs_put_recipe(json_t *object, const hs_recipe *r, hs_error *err) {
    HS_TRY(hs_put(object, "format", json_string(HS_RECIPE_FORMAT), err));
    HS_TRY(hs_put(object, "version", json_integer(HS_RECIPE_VERSION), err));
    HS_TRY(hs_put_string(object, "model", r->model, err));
    HS_TRY(hs_put_string(object, "fingerprint", r->fingerprint, err));
    HS_TRY(hs_put_string(object, "latent", r->latent, err));
    if (r->latent)
        HS_TRY(hs_put(object, "latent_item", json_integer(r->latent_item), err));
    else
        HS_TRY(hs_put(object, "seed", json_integer(r->seed), err));
    HS_TRY(hs_put(object, "steps", json_integer(r->steps), err));
    HS_TRY(hs_put_eta(object, r, err));
    HS_TRY(hs_put(object, "z_seed",
                  r->z_seed == HS_Z_CONTINUE   ? json_string("continue")
                  : r->z_seed == HS_Z_PLUS_ONE ? json_string("+1")
                                               : json_integer(r->z_seed),
                  err));
    HS_TRY(hs_put_string(object, "h_space", hs_h_space_name(r->h_space), err));
    HS_TRY(hs_put(object, "asyrp", json_boolean(r->asyrp), err));
    HS_TRY(hs_put(object, "clip", json_boolean(r->clip), err));
    HS_TRY(hs_put(object, "fast", json_boolean(r->fast), err));
    json_t *edits = json_array();
    HS_TRY(hs_put(object, "edits", edits, err)); /* the object's from here on */
    for (int i = 0; i < r->edit_count; i++)
        HS_TRY(hs_put_edit(edits, &r->edits[i], err));
    return HS_OK;
}

hs_status hs_recipe_save(const char *path, const hs_recipe *recipe, hs_error *err) {
    HS_TRY(hs_recipe_check(recipe, err));
    json_t *object = json_object();
    if (!object)
        return hs_fail_memory(err, 0);
    hs_status status = hs_put_recipe(object, recipe, err);
    if (status == HS_OK)
        status = hs_json_save(path, object, err);
    json_decref(object);
    return status;
}
