/* Latent files: round trips and lies. */
#include <math.h>

#include "io/blob.h"
#include "io/latent_file.h"

#define T(dtype, shape, offsets)                                                                   \
    "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"
/* n = 2, T = 1, C,H,W = 1,1,2. */
#define X_T "\"x_T\":" T("F32", "[2,1,1,2]", "[8,24]")
#define STEPS "\"timesteps\":" T("I64", "[1]", "[0,8]")

static const hs_test_refusal refusals[] = {
    {"no x_T", "{" STEPS "}", 8, HS_ERROR_FORMAT, "expected a tensor x_T [n,C,H,W], found none"},
    {"no timesteps", "{\"x_T\":" T("F32", "[1,1,1,1]", "[0,4]") "}", 4, HS_ERROR_FORMAT,
     "expected a tensor timesteps [T], found none"},
    {"x_T of rank 3", "{" STEPS ",\"x_T\":" T("F32", "[1,1,2]", "[8,16]") "}", 16, HS_ERROR_FORMAT,
     "tensor x_T: expected shape [any, any, any, any], found F32 [1, 1, 2]"},
    {"x_T is empty", "{" STEPS ",\"x_T\":" T("F32", "[0,1,1,2]", "[8,8]") "}", 8, HS_ERROR_FORMAT,
     "tensor x_T: expected shape"},
    {"x_T of integers", "{" STEPS ",\"x_T\":" T("I32", "[1,1,1,2]", "[8,16]") "}", 16,
     HS_ERROR_FORMAT, "tensor x_T: expected floating-point values, found I32 [1, 1, 1, 2]"},
    {"timesteps of I32", "{\"timesteps\":" T("I32", "[2]", "[0,8]") "," X_T "}", 24,
     HS_ERROR_FORMAT, "tensor timesteps: expected I64, found I32"},
    {"z of another T", "{" STEPS "," X_T ",\"z\":" T("F32", "[2,2,1,1,2]", "[24,56]") "}", 56,
     HS_ERROR_FORMAT, "tensor z: expected shape [2, 1, 1, 1, 2], found F32 [2, 2, 1, 1, 2]"},
    {"z of rank 4", "{" STEPS "," X_T ",\"z\":" T("F32", "[2,1,1,2]", "[24,40]") "}", 40,
     HS_ERROR_FORMAT, "tensor z: expected shape [2, 1, 1, 1, 2]"},
    {"x_0 of another n", "{" STEPS "," X_T ",\"x_0\":" T("F32", "[1,1,1,2]", "[24,32]") "}", 32,
     HS_ERROR_FORMAT, "tensor x_0: expected shape [2, 1, 1, 2], found F32 [1, 1, 1, 2]"},
    {"h of another T", "{" STEPS "," X_T ",\"h\":" T("F32", "[2,3,1,1,1]", "[24,48]") "}", 48,
     HS_ERROR_FORMAT, "tensor h: expected shape [2, 1, any, any, any]"},
    {"an unknown tensor", "{" STEPS "," X_T ",\"x0\":" T("U8", "[1]", "[24,25]") "}", 25,
     HS_ERROR_FORMAT, "tensor x0 does not belong in this file"},
    {"a direction file", "{\"__metadata__\":{\"format\":\"hspace.directions\"}," STEPS "," X_T "}",
     24, HS_ERROR_FORMAT, "metadata format: expected hspace.latents"},
    {"no version", "{\"__metadata__\":{\"format\":\"hspace.latents\"}," STEPS "," X_T "}", 24,
     HS_ERROR_FORMAT, "metadata version: expected 1"},
    {"a newer version",
     "{\"__metadata__\":{\"format\":\"hspace.latents\",\"version\":\"9\"}," STEPS "," X_T "}", 24,
     HS_ERROR_UNSUPPORTED, "metadata version: expected 1, found \"9\""},
    {"not safetensors", "[]", 0, HS_ERROR_FORMAT, "expected a JSON object"},
};

static void refuse_row(void **state) {
    const hs_test_refusal *row = *state;
    hs_error err = {0};
    hs_latents *latents = NULL;
    size_t size;
    uint8_t *blob = hs_test_blob(row->header, NULL, (size_t)row->data, &size);
    hs_test_refused(hs_latents_parse("l.safetensors", blob, size, &latents, &err), &err,
                    row->status, row->message);
    assert_null(latents);
    free(blob);
}

static void refuse_nan(void **state) {
    hs_error err = {0};
    hs_latents *latents = NULL;
    float data[6] = {0, 0, 1, 2, 3, (float)NAN};
    size_t size;
    uint8_t *blob = hs_test_blob("{" STEPS "," X_T "}", data, sizeof data, &size);
    hs_test_refused(hs_latents_parse("l", blob, size, &latents, &err), &err, HS_ERROR_NUMERIC,
                    "tensor x_T: expected finite numbers, found");
    free(blob);
}

/* Written by numpy and safetensors: golden/make_io.py. */
static void read_python_file(void **state) {
    hs_error err = {0};
    hs_latents *l = NULL;
    assert_ok(hs_latents_load("golden/io/latents.safetensors", &l, &err));
    assert_true(l->n == 2 && l->T == 2 && l->image[0] == 2 && l->image[2] == 2);
    for (int i = 0; i < 16; i++)
        assert_true(l->x_T[i] == (float)i / 8);
    assert_null(l->metadata);
    hs_latents_free(l);
}

/* n = 2, T = 3, image [1,2,2], h [2,1,1]. */
typedef struct hs_test_values {
    float x_T[8], z[24], x_0[8], h[12];
    int64_t timesteps[3];
    hs_latents_view view;
} hs_test_values;

static void fill(hs_test_values *v) {
    hs_test_fill(1, v->x_T, 8);
    hs_test_fill(2, v->z, 24);
    hs_test_fill(3, v->x_0, 8);
    hs_test_fill(4, v->h, 12);
    memcpy(v->timesteps, (const int64_t[]){666, 333, 0}, sizeof v->timesteps);
    v->view = (hs_latents_view){2,    3,      {1, 2, 2}, {2, 1, 1},    v->x_T,
                                v->z, v->x_0, v->h,      v->timesteps, "{\"eta\":\"[1]\"}"};
}

static void round_trip(void **state) {
    hs_error err = {0};
    char *folder = hs_test_make_folder(), *path = hs_test_path(folder, "l.safetensors");
    hs_latents *latents = NULL;
    hs_latents_view w;
    hs_test_values v;
    fill(&v);
    assert_ok(hs_latents_save(path, &v.view, &err));
    assert_ok(hs_latents_load(path, &latents, &err));
    hs_latents_view_get(latents, &w);
    assert_true(w.n == 2 && w.T == 3);
    assert_memory_equal(w.image, v.view.image, sizeof w.image);
    assert_memory_equal(w.h_shape, v.view.h_shape, sizeof w.h_shape);
    assert_memory_equal(w.x_T, v.x_T, sizeof v.x_T);
    assert_memory_equal(w.z, v.z, sizeof v.z);
    assert_memory_equal(w.x_0, v.x_0, sizeof v.x_0);
    assert_memory_equal(w.h, v.h, sizeof v.h);
    assert_memory_equal(w.timesteps, v.timesteps, sizeof v.timesteps);
    assert_string_equal(w.metadata,
                        "{\"eta\":\"[1]\",\"format\":\"hspace.latents\",\"version\":\"1\"}");
    hs_latents_free(latents);
    /* Only what must be there. */
    v.view = (hs_latents_view){
        .n = 2, .T = 3, .image = {1, 2, 2}, .x_T = v.x_T, .timesteps = v.timesteps};
    assert_ok(hs_latents_save(path, &v.view, &err));
    assert_ok(hs_latents_load(path, &latents, &err));
    hs_latents_view_get(latents, &w);
    assert_null(w.z);
    assert_null(w.x_0);
    assert_null(w.h);
    hs_latents_free(latents);
    hs_latents_free(NULL);
    hs_test_remove_folder(folder);
    free(path);
    free(folder);
}

static void save_refuses(void **state) {
    hs_error err = {0};
    hs_test_values v;
    fill(&v);
    hs_test_refused(hs_latents_save("/dev/full", &v.view, &err), &err, HS_ERROR_IO,
                    "No space left");
    v.z[23] = (float)INFINITY;
    hs_test_refused(hs_latents_save("/dev/null", &v.view, &err), &err, HS_ERROR_NUMERIC,
                    "tensor z: expected finite numbers, found inf at position 23");
    fill(&v);
    v.timesteps[1] = 700;
    hs_test_refused(hs_latents_save("/dev/null", &v.view, &err), &err, HS_ERROR_FORMAT,
                    "found 700 after 666");
    fill(&v);
    v.view.n = 0;
    hs_test_refused(hs_latents_save("/dev/null", &v.view, &err), &err, HS_ERROR_FORMAT,
                    "found F32 [0, 1, 2, 2]");
    fill(&v);
    v.view.x_T = NULL;
    hs_test_refused(hs_latents_save("/dev/null", &v.view, &err), &err, HS_ERROR_ARGUMENT,
                    "latents without x_T");
    fill(&v);
    v.view.metadata = "{\"k\":1}";
    hs_test_refused(hs_latents_save("/dev/null", &v.view, &err), &err, HS_ERROR_ARGUMENT,
                    "metadata key \"k\": expected a string");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuse_nan),
        cmocka_unit_test(read_python_file),
        cmocka_unit_test(round_trip),
        cmocka_unit_test(save_refuses),
    };
    return hs_test_run(refusals, HS_TEST_ROWS(refusals), refuse_row, tests, HS_TEST_ROWS(tests));
}
