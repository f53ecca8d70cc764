/* Recipes: round trips, defaults, and what is refused. */
#include <math.h>

#include "io/blob.h"
#include "io/recipe.h"

#define HEAD "\"format\":\"hspace.recipe\",\"version\":1"
#define SEED HEAD ",\"seed\":3,\"steps\":4"
#define EDIT(members) "{" SEED ",\"edits\":[{" members "}]}"
#define FILE_NAME "\"file\":\"d.safetensors\",\"name\":\"0\""

static const hs_test_refusal refusals[] = {
    {"not JSON", "{", 0, HS_ERROR_FORMAT, "r.json: line 1"},
    {"a list", "[]", 0, HS_ERROR_FORMAT, "expected a JSON object, found a list of 0"},
    {"no format", "{}", 0, HS_ERROR_FORMAT, "key \"format\": expected hspace.recipe, found \"\""},
    {"another format", "{\"format\":\"x\"}", 0, HS_ERROR_FORMAT, "found \"x\""},
    {"no version", "{\"format\":\"hspace.recipe\"}", 0, HS_ERROR_FORMAT, "key \"version\""},
    {"version zero", "{\"format\":\"hspace.recipe\",\"version\":0}", 0, HS_ERROR_FORMAT,
     "key \"version\": expected an integer from 1"},
    {"a newer version", "{\"format\":\"hspace.recipe\",\"version\":2}", 0, HS_ERROR_UNSUPPORTED,
     "key \"version\": expected 1, found 2"},
    {"an unknown key", "{" SEED ",\"gamma\":2}", 0, HS_ERROR_FORMAT, "key \"gamma\" is not known"},
    {"no start", "{" HEAD ",\"steps\":4}", 0, HS_ERROR_FORMAT, "key \"seed\" is missing"},
    {"two starts", "{" SEED ",\"latent\":\"l\"}", 0, HS_ERROR_FORMAT,
     "expected one of \"seed\" and \"latent\", found both"},
    {"an item without a file", "{" SEED ",\"latent_item\":1}", 0, HS_ERROR_FORMAT,
     "key \"latent_item\" needs \"latent\""},
    {"seed is not whole", "{" HEAD ",\"seed\":3.5,\"steps\":4}", 0, HS_ERROR_FORMAT,
     "key \"seed\": expected an integer"},
    {"seed is too large", "{" HEAD ",\"seed\":9223372036854775808,\"steps\":4}", 0, HS_ERROR_FORMAT,
     "integer"},
    {"no steps", "{" HEAD ",\"seed\":3}", 0, HS_ERROR_FORMAT, "key \"steps\" is missing"},
    {"no step", "{" HEAD ",\"seed\":3,\"steps\":0}", 0, HS_ERROR_FORMAT,
     "key \"steps\": expected an integer from 1 to 1000000, found 0"},
    {"a billion steps", "{" HEAD ",\"seed\":3,\"steps\":1000000000}", 0, HS_ERROR_FORMAT,
     "found 1000000000"},
    {"eta is text", "{" SEED ",\"eta\":\"1\"}", 0, HS_ERROR_FORMAT,
     "key \"eta\": expected a number"},
    {"eta is negative", "{" SEED ",\"eta\":-0.5}", 0, HS_ERROR_FORMAT, "found -0.5"},
    {"eta of another length", "{" SEED ",\"eta\":[1,1]}", 0, HS_ERROR_FORMAT,
     "key \"eta\": expected 1 or 4 numbers, found 2"},
    {"eta is an empty list", "{" SEED ",\"eta\":[]}", 0, HS_ERROR_FORMAT, "found 0"},
    {"eta is too long", "{" SEED ",\"eta\":[1,1,1,1,1]}", 0, HS_ERROR_FORMAT,
     "key \"eta\": expected a list of at most 4"},
    {"eta has text", "{" SEED ",\"eta\":[1,1,\"x\",1]}", 0, HS_ERROR_FORMAT, "key \"eta[2]\""},
    {"z_seed is text", "{" SEED ",\"z_seed\":\"x\"}", 0, HS_ERROR_FORMAT,
     "key \"z_seed\": expected \"continue\", \"+1\" or a number, found \"x\""},
    {"z_seed is negative", "{" SEED ",\"z_seed\":-1}", 0, HS_ERROR_FORMAT, "found -1"},
    {"an unknown h-space", "{" SEED ",\"h_space\":\"mid\"}", 0, HS_ERROR_FORMAT,
     "key \"h_space\": expected before, middle or after, found \"mid\""},
    {"clip is a number", "{" SEED ",\"clip\":1}", 0, HS_ERROR_FORMAT,
     "key \"clip\": expected true or false, found 1"},
    {"edits are an object", "{" SEED ",\"edits\":{}}", 0, HS_ERROR_FORMAT,
     "key \"edits\": expected a list"},
    {"an edit is a number", "{" SEED ",\"edits\":[7]}", 0, HS_ERROR_FORMAT,
     "edit 0: expected an object, found 7"},
    {"an edit without a file", EDIT("\"name\":\"0\""), 0, HS_ERROR_FORMAT,
     "edit 0: key \"file\" is missing"},
    {"an edit without a name", EDIT("\"file\":\"d\""), 0, HS_ERROR_FORMAT,
     "edit 0: key \"name\" is missing"},
    {"a name is a number", EDIT("\"file\":\"d\",\"name\":0"), 0, HS_ERROR_FORMAT,
     "edit 0: key \"name\": expected a string, found 0"},
    {"strength is text", EDIT(FILE_NAME ",\"strength\":\"1\""), 0, HS_ERROR_FORMAT,
     "edit 0: key \"strength\": expected a number"},
    {"a window behind the end", EDIT(FILE_NAME ",\"first\":4"), 0, HS_ERROR_FORMAT,
     "edit 0: key \"first\": expected an integer from 0 to 3, found 4"},
    {"a window that is empty", EDIT(FILE_NAME ",\"first\":2,\"last\":1"), 0, HS_ERROR_FORMAT,
     "edit 0: key \"last\": expected an integer from 2 to 3, found 1"},
    {"an edit's unknown key", EDIT(FILE_NAME ",\"window\":1"), 0, HS_ERROR_FORMAT,
     "edit 0: key \"window\" is not known"},
};

static void refuse_row(void **state) {
    const hs_test_refusal *row = *state;
    hs_error err = {0};
    hs_recipe *recipe = NULL;
    hs_test_refused(hs_recipe_parse("r.json", row->header, strlen(row->header), &recipe, &err),
                    &err, row->status, row->message);
    assert_non_null(strstr(err.message, "r.json"));
    assert_null(recipe);
}

static void read_defaults(void **state) {
    hs_error err = {0};
    hs_recipe *r = NULL;
    const char *text = EDIT(FILE_NAME);
    assert_ok(hs_recipe_parse("r.json", text, strlen(text), &r, &err));
    assert_null(r->model);
    assert_null(r->fingerprint);
    assert_null(r->latent);
    assert_true(r->seed == 3 && r->steps == 4 && r->eta_count == 1 && r->eta[0] == 0);
    assert_true(r->z_seed == HS_Z_CONTINUE && r->h_space == HS_H_AFTER && !r->asyrp && !r->clip);
    assert_int_equal(r->edit_count, 1);
    assert_string_equal(r->edits[0].file, "d.safetensors");
    assert_string_equal(r->edits[0].name, "0");
    assert_true(r->edits[0].strength == 1 && r->edits[0].first == 0 && r->edits[0].last == -1);
    hs_recipe_free(r);
    hs_recipe_free(NULL);
}

/* The recipe that docs/FORMATS.md shows. */
static void read_documented(void **state) {
    hs_error err = {0};
    hs_recipe *r = NULL;
    char text[65536] = "";
    FILE *file = fopen("../docs/FORMATS.md", "rb");
    assert_non_null(file);
    size_t size = fread(text, 1, sizeof text - 1, file);
    assert_true(size < sizeof text - 1 && fclose(file) == 0);
    char *start = strstr(text, "```json\n");
    assert_non_null(start);
    start += 8;
    char *end = strstr(start, "```");
    assert_non_null(end);
    assert_ok(hs_recipe_parse("FORMATS.md", start, (size_t)(end - start), &r, &err));
    assert_true(r->seed == 3 && r->steps == 50 && r->edit_count == 1);
    assert_true(r->edits[0].strength == -1.5 && r->edits[0].last == 24);
    hs_recipe_free(r);
}

static void assert_same_text(const char *a, const char *b) {
    assert_true((a == NULL) == (b == NULL));
    if (a)
        assert_string_equal(a, b);
}

static void assert_same(const hs_recipe *a, const hs_recipe *b) {
    assert_same_text(a->model, b->model);
    assert_same_text(a->fingerprint, b->fingerprint);
    assert_same_text(a->latent, b->latent);
    assert_true(a->seed == b->seed && a->latent_item == b->latent_item && a->steps == b->steps);
    assert_true(a->z_seed == b->z_seed && a->h_space == b->h_space);
    assert_true(a->asyrp == b->asyrp && a->clip == b->clip);
    assert_int_equal(a->eta_count, b->eta_count);
    assert_memory_equal(a->eta, b->eta, (size_t)a->eta_count * sizeof *a->eta);
    assert_int_equal(a->edit_count, b->edit_count);
    for (int i = 0; i < a->edit_count; i++) {
        assert_string_equal(a->edits[i].file, b->edits[i].file);
        assert_string_equal(a->edits[i].name, b->edits[i].name);
        assert_true(a->edits[i].strength == b->edits[i].strength);
        assert_true(a->edits[i].first == b->edits[i].first);
        assert_true(a->edits[i].last == b->edits[i].last);
    }
}

static void round_trip(void **state) {
    hs_error err = {0};
    char *folder = hs_test_make_folder(), *path = hs_test_path(folder, "r.json");
    static const double one = 0.1, many[3] = {1, 0.5, 1e-17};
    static const hs_recipe_edit edits[2] = {{"a b/\"pca\".safetensors", "s24.0", -2.7, 0, -1},
                                            {"smile.safetensors", "\xc3\xa9", 1e-9, 1, 2}};
    const hs_recipe rows[] = {
        {.seed = INT64_MIN, .steps = 1, .eta = &one, .eta_count = 1, .z_seed = HS_Z_CONTINUE},
        {.model = "google/ddpm",
         .fingerprint = "00112233445566778899aabbccddeeff",
         .seed = INT64_MAX,
         .steps = 3,
         .eta = many,
         .eta_count = 3,
         .z_seed = HS_Z_PLUS_ONE,
         .h_space = HS_H_MIDDLE,
         .asyrp = true,
         .edits = edits,
         .edit_count = 2},
        {.latent = "l.safetensors",
         .latent_item = 5,
         .steps = 1000000,
         .eta = &one,
         .eta_count = 1,
         .z_seed = INT64_MAX,
         .h_space = HS_H_BEFORE,
         .clip = true},
    };
    for (size_t i = 0; i < HS_TEST_ROWS(rows); i++) {
        hs_recipe *again = NULL;
        assert_ok(hs_recipe_save(path, &rows[i], &err));
        assert_ok(hs_recipe_load(path, &again, &err));
        assert_same(&rows[i], again);
        hs_recipe_free(again);
    }
    hs_test_remove_folder(folder);
    free(path);
    free(folder);
}

static void save_refuses(void **state) {
    hs_error err = {0};
    static const double eta[2] = {NAN, 0};
    hs_recipe_edit edit = {"d", "0", 1, 0, -1};
    const hs_recipe good = {.steps = 4, .z_seed = HS_Z_CONTINUE, .edits = &edit, .edit_count = 1};
    hs_recipe r = good;
    assert_ok(hs_recipe_save("/dev/null", &r, &err));
    hs_test_refused(hs_recipe_save("/dev/full", &r, &err), &err, HS_ERROR_IO, "No space left");
#define REFUSED(change, text)                                                                      \
    do {                                                                                           \
        r = good;                                                                                  \
        edit = (hs_recipe_edit){"d", "0", 1, 0, -1};                                               \
        change;                                                                                    \
        hs_test_refused(hs_recipe_save("/dev/null", &r, &err), &err, HS_ERROR_ARGUMENT, text);     \
    } while (0)
    REFUSED(r.steps = 0, "expected steps from 1 to 1000000, found 0");
    REFUSED(r.steps = 1000000000, "found 1000000000");
    REFUSED(r.eta_count = 2, "expected 1 or 4 values of eta, found 2");
    REFUSED((r.eta = eta, r.eta_count = 1), "eta 0: expected a number");
    REFUSED(r.z_seed = -3, "z_seed: expected no negative number");
    REFUSED((r.latent = "l", r.latent_item = -1), "latent_item: expected 0 or more, found -1");
    REFUSED(r.edit_count = -1, "edits, found -1");
    REFUSED(r.model = "\xff", "key \"model\": its value is not UTF-8");
    REFUSED(edit.name = NULL, "edit 0: expected a file, a name and a finite strength");
    REFUSED(edit.strength = INFINITY, "finite strength");
    REFUSED(edit.first = 4, "edit 0: expected a window within 0-3, found 4--1");
    REFUSED((edit.first = 2, edit.last = 1), "found 2-1");
    REFUSED(edit.last = 4, "found 0-4");
#undef REFUSED
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read_defaults),
        cmocka_unit_test(read_documented),
        cmocka_unit_test(round_trip),
        cmocka_unit_test(save_refuses),
    };
    return hs_test_run(refusals, HS_TEST_ROWS(refusals), refuse_row, tests, HS_TEST_ROWS(tests));
}
