/*
 * Every allocation of the readers and writers fails once, in turn: the call
 * must return an error, crash nowhere and leak nothing. This program's own
 * malloc family counts, and refuses the one whose turn it is; with a sanitizer,
 * which has a family of its own, only the calls themselves are run.
 *
 * jansson's own allocations are counted but never fail: version 2.14 loses a
 * byte of a token whose buffer cannot grow, says nothing, and may crash.
 */
#include <unistd.h>

#include "io/blob.h"
#include "io/direction_file.h"
#include "io/json.h"
#include "io/latent_file.h"
#include "io/recipe.h"
#include "io/tensor_set.h"

static long countdown = -1; /* allocations until the one that fails; < 0: none does */
static long live;           /* allocations that are not freed yet */

#ifndef __SANITIZE_ADDRESS__
#define COUNTED 1
#define HS_EXPORT __attribute__((visibility("default"))) /* jansson is to use it too */

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *pointer);

static bool refused(void) {
    return countdown >= 0 && countdown-- == 0;
}

static void *counted(void *pointer) {
    live += pointer != NULL;
    return pointer;
}

HS_EXPORT void *malloc(size_t size) {
    return refused() ? NULL : counted(__libc_malloc(size));
}

HS_EXPORT void *calloc(size_t count, size_t size) {
    return refused() ? NULL : counted(__libc_calloc(count, size));
}

HS_EXPORT void *aligned_alloc(size_t alignment, size_t size) {
    return refused() ? NULL : counted(__libc_memalign(alignment, size));
}

HS_EXPORT void *realloc(void *old, size_t size) {
    if (refused())
        return NULL;
    return old ? __libc_realloc(old, size) : counted(__libc_realloc(old, size));
}

HS_EXPORT void *reallocarray(void *old, size_t count, size_t size) {
    size_t bytes;
    return __builtin_mul_overflow(count, size, &bytes) ? NULL : realloc(old, bytes);
}

HS_EXPORT void free(void *pointer) {
    live -= pointer != NULL;
    __libc_free(pointer);
}

static void *jansson_malloc(size_t size) {
    return counted(__libc_malloc(size));
}
#else
#define COUNTED 0

static void *jansson_malloc(size_t size) {
    return malloc(size);
}
#endif

/* The folder that the calls below work in, and a file of each kind in it. */
typedef struct files {
    char *folder, *directions, *latents, *recipe, *index, *out;
} files;

static hs_status load_directions(const files *f) {
    hs_error err;
    hs_directions *d = NULL;
    hs_status status = hs_directions_load(f->directions, &d, &err);
    assert_true((status == HS_OK) == (d != NULL));
    hs_directions_free(d);
    return status;
}

static hs_status save_directions(const files *f) {
    hs_error err;
    hs_directions *d = NULL;
    hs_status status = hs_directions_load(f->directions, &d, &err);
    if (status == HS_OK)
        status = hs_directions_set_metadata(d, "note", "text", &err);
    if (status == HS_OK)
        status = hs_directions_save(d, f->out, &err);
    hs_directions_free(d);
    return status;
}

static hs_status copy_latents(const files *f) {
    hs_error err;
    hs_latents *l = NULL;
    hs_latents_view view;
    hs_status status = hs_latents_load(f->latents, &l, &err);
    if (status == HS_OK) {
        hs_latents_view_get(l, &view);
        status = hs_latents_save(f->out, &view, &err);
    }
    hs_latents_free(l);
    return status;
}

static hs_status copy_recipe(const files *f) {
    hs_error err;
    hs_recipe *r = NULL;
    hs_status status = hs_recipe_load(f->recipe, &r, &err);
    if (status == HS_OK)
        status = hs_recipe_save(f->out, r, &err);
    hs_recipe_free(r);
    return status;
}

static hs_status open_shards(const files *f) {
    hs_error err;
    hs_tensor_set *set = NULL;
    hs_status status = hs_safetensors_open_sharded(f->index, &set, &err);
    hs_tensor_set_free(set);
    return status;
}

/* Fail the first, the second, ... allocation until none is left to fail; what
 * was written must be whole, or not there. */
static void fail_each(const files *f, hs_status (*call)(const files *), int at_least) {
    for (int failed = 0;; failed++) {
        long before = live;
        countdown = COUNTED ? failed : -1;
        hs_status status = call(f);
        bool all_served = countdown >= 0 || !COUNTED;
        countdown = -1;
        assert_int_equal(live, before);
        if (!all_served) {
            if (status == HS_OK)
                fail_msg("allocation %d failed and nobody noticed", failed);
            assert_int_not_equal(access(f->out, F_OK), 0);
            continue;
        }
        assert_int_equal(status, HS_OK);
        assert_true(!COUNTED || failed >= at_least);
        unlink(f->out);
        return;
    }
}

static void directions_load(void **state) {
    fail_each(*state, load_directions, 5);
}

static void directions_save(void **state) {
    fail_each(*state, save_directions, 5);
}

static void latents(void **state) {
    fail_each(*state, copy_latents, 5);
}

static void recipe(void **state) {
    fail_each(*state, copy_recipe, 5);
}

static void shards(void **state) {
    fail_each(*state, open_shards, 5);
}

/* --------------------------------------------------------------- set-up -- */

static void make_directions(const char *path) {
    hs_error err = {0};
    const int h_shape[3] = {1, 2, 2};
    hs_directions *d = hs_directions_new(2, 1, 1, h_shape);
    assert_non_null(d);
    d->delta_h = calloc(8, sizeof *d->delta_h);
    d->sigma = calloc(2, sizeof *d->sigma);
    d->timesteps = calloc(1, sizeof *d->timesteps);
    assert_true(d->delta_h && d->sigma && d->timesteps);
    d->N = 1000;
    assert_ok(hs_directions_set_metadata(d, "seeds", "0-9", &err));
    assert_ok(hs_directions_save(d, path, &err));
    hs_directions_free(d);
}

static int make(void **state) {
    static files f;
    json_set_alloc_funcs(jansson_malloc, free);
    static const float values[4];
    static const int64_t timesteps[1] = {5};
    static const double eta[2] = {1, 0.5};
    static const hs_recipe_edit edit = {"d.safetensors", "0", 1, 0, 1};
    hs_error err = {0};
    f.folder = hs_test_make_folder();
    f.directions = hs_test_path(f.folder, "d.safetensors");
    f.latents = hs_test_path(f.folder, "l.safetensors");
    f.recipe = hs_test_path(f.folder, "r.json");
    f.index = hs_test_path(f.folder, "i.json");
    f.out = hs_test_path(f.folder, "out");
    make_directions(f.directions);
    hs_latents_view view = {.n = 1,
                            .T = 1,
                            .image = {1, 2, 2},
                            .x_T = values,
                            .timesteps = timesteps,
                            .metadata = "{\"eta\":\"[1]\"}"};
    assert_ok(hs_latents_save(f.latents, &view, &err));
    const hs_recipe r = {.model = "m",
                         .seed = 1,
                         .steps = 2,
                         .eta = eta,
                         .eta_count = 2,
                         .z_seed = HS_Z_CONTINUE,
                         .edits = &edit,
                         .edit_count = 1};
    assert_ok(hs_recipe_save(f.recipe, &r, &err));
    static const char index[] = "{\"weight_map\":{\"delta_h\":\"d.safetensors\",\"sigma\":"
                                "\"d.safetensors\",\"timesteps\":\"d.safetensors\"}}";
    hs_test_write(f.index, index, strlen(index));
    *state = &f;
    return 0;
}

static int destroy(void **state) {
    files *f = *state;
    hs_test_remove_folder(f->folder);
    char *paths[] = {f->folder, f->directions, f->latents, f->recipe, f->index, f->out};
    for (size_t i = 0; i < HS_TEST_ROWS(paths); i++)
        free(paths[i]);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(directions_load), cmocka_unit_test(directions_save),
        cmocka_unit_test(latents),         cmocka_unit_test(recipe),
        cmocka_unit_test(shards),
    };
    return cmocka_run_group_tests(tests, make, destroy);
}
