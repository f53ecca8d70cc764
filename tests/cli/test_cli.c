/* The commands end to end, on the embedded model with few steps. */
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "program.h"

static int make_folder(void **state) {
    char *folder = hs_test_make_folder();
    hs_run_ok(folder, "$H pca --quiet --steps 4 -n 12 -k 3 -o pca.safetensors");
    *state = folder;
    return 0;
}

static int remove_folder(void **state) {
    hs_test_remove_folder(*state);
    free(*state);
    return 0;
}

static void assert_kind(const char *folder, const char *name, const char *magic, size_t at) {
    size_t size;
    char *bytes = hs_read_all(folder, name, &size);
    if (size < at + strlen(magic) || memcmp(bytes + at, magic, strlen(magic)) != 0)
        fail_msg("%s does not have \"%s\" at byte %zu", name, magic, at);
    free(bytes);
}

static void assert_same_file(const char *folder, const char *a, const char *b) {
    size_t a_size, b_size;
    char *a_bytes = hs_read_all(folder, a, &a_size), *b_bytes = hs_read_all(folder, b, &b_size);
    if (a_size != b_size || memcmp(a_bytes, b_bytes, a_size) != 0)
        fail_msg("%s and %s differ", a, b);
    free(b_bytes);
    free(a_bytes);
}

/* A tensor of a file, which must have `count` values. */
static const float *get(hs_tensors *tensors, const char *name, int64_t count) {
    hs_error err;
    hs_tensor_view view;
    int64_t found = 1;
    assert_ok(hs_tensors_get(tensors, name, &view, &err));
    for (int i = 0; i < view.rank; i++)
        found *= view.dim[i];
    if (found != count)
        fail_msg("%s has %lld values, expected %lld", name, (long long)found, (long long)count);
    return view.data;
}

static hs_tensors *load(const char *folder, const char *name) {
    char path[500];
    hs_error err;
    hs_tensors *tensors;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_ok(hs_tensors_load(path, &tensors, &err));
    return tensors;
}

static void test_help(void **state) {
    static const char *const commands[] = {"info",   "sample", "pca", "jacobian",
                                           "invert", "edit",   "eps", "demo"};
    hs_run run = hs_run_shell(*state, "$H --help");
    assert_int_equal(run.status, 0);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        char arguments[100], usage[100];
        assert_non_null(strstr(run.out, commands[i]));
        snprintf(arguments, sizeof arguments, "$H %s --help", commands[i]);
        snprintf(usage, sizeof usage, "Usage: hspace %s", commands[i]);
        hs_run help = hs_run_shell(*state, arguments);
        assert_int_equal(help.status, 0);
        assert_non_null(strstr(help.out, usage));
        assert_non_null(strstr(help.out, "--model"));
        assert_string_equal(help.err, "");
        hs_run_free(&help);
    }
    assert_null(strstr(run.out, "serve")); /* not in this version */
    hs_run_free(&run);
    run = hs_run_shell(*state, "$H --version");
    assert_int_equal(run.status, 0);
    assert_true(strncmp(run.out, "hspace ", 7) == 0 && strstr(run.out, hs_version()));
    hs_run_free(&run);
}

static void test_info(void **state) {
    json_t *report = hs_run_json(*state, "$H info --json");
    json_t *h = json_object_get(json_object_get(report, "h"), "after");
    assert_int_equal(json_integer_value(json_object_get(report, "parameters")), 2736099);
    assert_int_equal(json_integer_value(json_array_get(h, 0)), 128);
    assert_int_equal(json_integer_value(json_array_get(h, 2)), 8);
    assert_true(json_number_value(json_object_get(report, "load_seconds")) <=
                json_number_value(json_object_get(report, "seconds")));
    json_decref(report);
    hs_run run = hs_run_shell(*state, "$H info");
    assert_non_null(strstr(run.out, "UNet2DModel, 2736099 parameters"));
    hs_run_free(&run);
}

/* -m goes before HSPACE_MODEL, that before the default, and a folder before an
 * embedded model of its name. */
static void test_which_model(void **state) {
    static const struct {
        const char *arguments;
        int parameters;
    } cases[] = {{"env -u HSPACE_MODEL $H info --json", 7053091},
                 {"env HSPACE_MODEL= $H info --json", 7053091},
                 {"env HSPACE_MODEL=avatars64 $H info -m avatars32 --json", 2736099}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *report = hs_run_json(*state, cases[i].arguments);
        assert_int_equal(json_integer_value(json_object_get(report, "parameters")),
                         cases[i].parameters);
        json_decref(report);
    }
    hs_run run = hs_run_shell(*state, "env HSPACE_MODEL=avatars16 $H info");
    assert_true(run.status != 0 && strstr(run.err, "avatars16"));
    hs_run_free(&run);
    run = hs_run_shell(*state, "mkdir avatars64 && $H info -m avatars64; rmdir avatars64");
    assert_non_null(strstr(run.err, "avatars64: "));
    hs_run_free(&run);
}

/* --precision fast: what it changes is measured; files say it; recipes keep it. */
static void test_precision(void **state) {
    json_t *report =
        hs_run_json(*state, "$H info -m avatars64 --json --quiet --verify=3 --steps 5");
    json_t *verified = json_object_get(report, "verify");
    double psnr = json_number_value(json_object_get(verified, "psnr"));
    assert_int_equal(json_integer_value(json_object_get(verified, "images")), 3);
    assert_true(psnr > 40 && psnr < 90);
    assert_true(json_number_value(json_object_get(verified, "largest")) >= 1);
    json_decref(report);
    hs_run_ok(
        *state,
        "$H sample -m avatars64 --quiet --precision fast --steps 3 --seed 4 --recipe fast.json "
        "--tensors fast.safetensors -o fast.png");
    hs_run_ok(*state, "$H edit -m avatars64 --quiet --replay fast.json -o again.png");
    hs_run_ok(*state, "cmp fast.png again.png");
    hs_run_ok(*state, "grep -q '.precision...fast' fast.safetensors");
    hs_run_ok(
        *state,
        "$H sample -m avatars64 --quiet --steps 3 --seed 4 --tensors f32.safetensors -o f32.png");
    hs_run run = hs_run_shell(*state, "cmp -s f32.safetensors fast.safetensors");
    assert_int_equal(run.status, 1);
    hs_run_free(&run);
    run = hs_run_shell(*state, "$H jacobian --quiet --precision fast --steps 3 --step 1 -o j.st");
    assert_true(run.status != 0 && strstr(run.err, "float32"));
    hs_run_free(&run);
}

/* What the steps multiplied is what the model's passes multiply; every time is
 * positive and all of them together are less than the run took. */
static void test_profile(void **state) {
    json_t *info = hs_run_json(*state, "$H info --json");
    double macs = json_number_value(json_object_get(info, "macs"));
    json_decref(info);
    json_t *report = hs_run_json(
        *state, "$H sample --json --profile --quiet --steps 3 --seed 0-2 -o profile.png");
    double passes = json_number_value(json_object_get(report, "passes"));
    json_t *profile = json_object_get(report, "profile");
    double peak = json_number_value(json_object_get(profile, "peak_gflops"));
    double flops = 0, seconds = 0;
    json_t *row;
    size_t i;
    assert_true(passes == 9 && macs > 1e8 && peak > 0.1);
    json_array_foreach(json_object_get(profile, "steps"), i, row) {
        double took = json_number_value(json_object_get(row, "seconds"));
        double gflops = json_number_value(json_object_get(row, "gflops"));
        double share = json_number_value(json_object_get(row, "share_of_peak"));
        assert_true(took > 0 && json_integer_value(json_object_get(row, "runs")) > 0);
        assert_true(fabs(share * peak - gflops) <= 1e-6 * gflops);
        flops += 1e9 * gflops * took;
        seconds += took;
    }
    assert_true(i > 5);
    assert_true(fabs(flops - 2 * macs * passes) <= 1e-6 * flops);
    assert_true(fabs(seconds - json_number_value(json_object_get(profile, "seconds"))) < 1e-6);
    assert_true(seconds < json_number_value(json_object_get(report, "seconds")));
    json_decref(report);

    report = hs_run_json(*state, "$H sample --json --quiet --steps 1 -o profile.png");
    assert_null(json_object_get(report, "profile"));
    json_decref(report);
    hs_run run = hs_run_shell(*state, "$H sample --profile --quiet --steps 1 -o profile.png");
    assert_int_equal(run.status, 0);
    assert_string_equal(run.out, "");
    assert_non_null(strstr(run.err, "conv2d 3x3"));
    assert_non_null(strstr(run.err, "measured now"));
    hs_run_free(&run);
}

/* The memory that is announced is what is then used, within a tenth. */
static void test_planned_memory(void **state) {
#ifdef __SANITIZE_ADDRESS__
    skip(); /* its own memory is as much again */
#endif
    json_t *report = hs_run_json(*state, "$H info --json");
    double planned = json_number_value(json_object_get(report, "planned_bytes"));
    double peak = json_number_value(json_object_get(report, "peak_bytes"));
    if (!(fabs(peak - planned) <= 0.1 * planned))
        fail_msg("%.1f MiB planned, %.1f MiB used", planned / 0x1p20, peak / 0x1p20);
    json_decref(report);
}

static void test_sample_outputs(void **state) {
    const char *folder = *state;
    hs_run_ok(folder, "$H sample --quiet --steps 2 --seed 0-3 -o grid.png");
    hs_run_ok(folder, "$H sample --quiet --steps 2 -o one.webp");
    hs_run_ok(folder, "$H sample --quiet --steps 2 -o one.jpg");
    hs_run_ok(folder, "$H sample --quiet --steps 2 --seed 0,1 -o grid.svg");
    hs_run_ok(folder, "$H sample --quiet --steps 2 --seed 7,7 -o items/");
    hs_run_ok(folder, "$H sample --quiet --steps 2 --seed 7,7 -o items");
    assert_kind(folder, "grid.png", "PNG", 1);
    assert_kind(folder, "one.webp", "WEBP", 8);
    assert_kind(folder, "one.jpg", "\xff\xd8", 0);
    assert_kind(folder, "grid.svg", "<", 0);
    assert_same_file(folder, "items/000_seed_7.png", "items/001_seed_7.png");
}

/* A folder is filled batch by batch, with the images of single runs; a run that is
 * stopped says what it leaves. */
static void test_sample_folder(void **state) {
    const char *folder = *state;
    hs_run_ok(folder, "$H sample --quiet -m avatars32 --steps 2 --seed 100-119 -o many/");
    hs_run_ok(folder, "$H sample --quiet -m avatars32 --steps 2 --seed 117,118 -o two/");
    assert_same_file(folder, "many/017_seed_117.png", "two/000_seed_117.png");
    assert_same_file(folder, "many/018_seed_118.png", "two/001_seed_118.png");
    hs_run run = hs_run_shell(
        folder, "sh -c '\"$1\" sample --quiet -m avatars32 --steps 5 --seed 0-9999 -o stopped/ & "
                "p=$!; while kill -0 $p && [ ! -e stopped/000_seed_0.png ]; do sleep 0.02; done; "
                "kill -INT $p; wait $p' sh $H");
    if (run.status != 1 || !strstr(run.err, " of 10000 images are in stopped/"))
        fail_msg("exit status %d: %s", run.status, run.err);
    hs_run_free(&run);
    assert_false(hs_exists(folder, "stopped/9999_seed_9999.png"));
}

/* Passes are counted, and --tensors has what fixes the images. */
static void test_sample_tensors(void **state) {
    const char *folder = *state;
    json_t *report = hs_run_json(
        folder,
        "$H sample --json --quiet --steps 3 --eta 0,1,1 --seed 3,5 --tensors t.safetensors");
    assert_int_equal(json_integer_value(json_object_get(report, "passes")), 6);
    assert_int_equal(json_integer_value(json_object_get(report, "images")), 2);
    json_decref(report);
    hs_tensors *tensors = load(folder, "t.safetensors");
    const int64_t image = 3 * 32 * 32, h = 128 * 8 * 8;
    const float *x_T = get(tensors, "x_T", 2 * image);
    get(tensors, "z", 2 * 3 * image);
    get(tensors, "h", 2 * 3 * h);
    float expected[16];
    hs_error err;
    float *whole = malloc((size_t)image * sizeof *whole);
    assert_ok(hs_randn(5, 1, (size_t)image, whole, &err));
    memcpy(expected, whole, sizeof expected);
    free(whole);
    assert_memory_equal(x_T + image, expected, sizeof expected);
    hs_tensors_free(tensors);
}

/* The latent file gives the image that its seeds gave, eta taken from it. */
static void test_latents_round_trip(void **state) {
    const char *folder = *state;
    hs_run_ok(folder, "$H sample --quiet --steps 3 --eta 0.7 --seed 3,5 --tensors l.safetensors "
                      "-o before/");
    hs_run_ok(folder, "$H sample --quiet --latent l.safetensors -o after/");
    assert_same_file(folder, "before/000_seed_3.png", "after/000_latent_0.png");
    assert_same_file(folder, "before/001_seed_5.png", "after/001_latent_1.png");
}

/* The same seed gives the same image for any number of threads. */
static void test_threads(void **state) {
    const char *folder = *state;
    hs_run_ok(folder, "$H sample --quiet --threads 1 --steps 3 --seed 9 --tensors t1");
    hs_run_ok(folder, "$H sample --quiet --threads 2 --steps 3 --seed 9 --tensors t2");
    assert_same_file(folder, "t1", "t2");
    hs_run_ok(folder, "$H pca --quiet --threads 1 --steps 2 -n 24 -k 4 -o p1");
    hs_run_ok(folder, "$H pca --quiet --threads 3 --steps 2 -n 24 -k 4 -o p2");
    assert_same_file(folder, "p1", "p2");
}

static void test_pca(void **state) {
    const char *folder = *state;
    json_t *report =
        hs_run_json(folder, "$H pca --json --quiet --steps 3 -n 8 -k 2 --joint --seed 40 "
                            "--preview preview.png -o joint.safetensors");
    assert_int_equal(json_integer_value(json_object_get(report, "k")), 2);
    assert_int_equal(json_integer_value(json_object_get(report, "n")), 8);
    assert_true(json_number_value(json_array_get(json_object_get(report, "mean_sigma"), 0)) > 0);
    json_decref(report);
    assert_kind(folder, "preview.png", "PNG", 1);
    hs_tensors *tensors = load(folder, "joint.safetensors");
    get(tensors, "delta_h", 2 * 3 * 128 * 8 * 8);
    get(tensors, "sigma", 2 * 3);
    get(tensors, "mean", 3 * 128 * 8 * 8);
    hs_tensors_free(tensors);
    assert_false(hs_exists(folder, "joint.safetensors.resume"));
    hs_run_ok(folder, "$H pca --quiet --steps 2 -n 6 -k 1 --around 4 --align score -o around");
    hs_run_ok(folder, "$H pca --quiet --steps 2 -n 8 -k 2 --incremental --batch 4 -o incremental");
}

/* Before it starts it says what it will take. */
static void test_pca_announces(void **state) {
    hs_run run = hs_run_shell(*state, "$H pca --steps 2 -n 4 -k 1 -o small");
    assert_int_equal(run.status, 0);
    assert_non_null(strstr(run.err, "PCA of 4 samples at 2 steps: 8 passes"));
    assert_non_null(strstr(run.err, "memory: "));
    hs_run_free(&run);
}

/* A stop: exit status 1, no output, and a line that says how to go on. How long
 * the program takes to get under way depends on the machine. */
static void test_pca_interrupted(void **state) {
    static const char *const delays[] = {"1", "3", "9"};
    const char *folder = *state;
    for (int i = 0; i < 3 && !hs_exists(folder, "long.resume"); i++) {
        char arguments[300];
        snprintf(arguments, sizeof arguments,
                 "sh -c '\"$1\" pca --quiet --steps 50 -n 2000 -k 3 -o long & p=$!; sleep %s; "
                 "kill -TERM $p; wait $p' sh $H",
                 delays[i]);
        hs_run run = hs_run_shell(folder, arguments);
        bool resumable = hs_exists(folder, "long.resume");
        if (run.status != 1 || !strstr(run.err, resumable ? "goes on from long.resume" : "stopped"))
            fail_msg("exit status %d: %s", run.status, run.err);
        hs_run_free(&run);
    }
    assert_true(hs_exists(folder, "long.resume"));
    assert_false(hs_exists(folder, "long"));
}

static void test_edit(void **state) {
    const char *folder = *state;
    json_t *report = hs_run_json(
        folder, "$H edit --json --quiet --steps 4 --seed 3,5 -d pca.safetensors#1=-2..2:3 "
                "-d pca.safetensors#0=0.5 --window 0-2 --tensors e.safetensors -o edit.png");
    json_t *edits = json_object_get(report, "edits");
    assert_int_equal(json_integer_value(json_object_get(report, "images")), 6);
    json_t *strengths = json_object_get(json_array_get(edits, 0), "strengths");
    assert_true(json_number_value(json_array_get(strengths, 0)) == -2);
    assert_true(json_number_value(json_array_get(strengths, 1)) == 0);
    json_decref(report);
    assert_kind(folder, "edit.png", "PNG", 1);

    /* Seed by seed, strengths within: items 0 and 1 share x_T, 0 and 3 do not. */
    const int64_t image = 3 * 32 * 32;
    hs_tensors *tensors = load(folder, "e.safetensors");
    const float *x_T = get(tensors, "x_T", 6 * image), *x_0 = get(tensors, "x_0", 6 * image);
    assert_memory_equal(x_T, x_T + image, (size_t)image * sizeof *x_T);
    assert_memory_not_equal(x_T, x_T + 3 * image, (size_t)image * sizeof *x_T);
    assert_memory_not_equal(x_0, x_0 + image, (size_t)image * sizeof *x_0);
    hs_tensors_free(tensors);
    hs_run_ok(folder, "$H edit --quiet --steps 4 --seed 3 -d pca.safetensors#1=-2..2:3 -o edits/");
    assert_true(hs_exists(folder, "edits/000_seed_3_strength_-2.png"));
    assert_true(hs_exists(folder, "edits/001_seed_3_strength_0.png"));
}

/* Strength 0 is the unedited image; rows from latents are the rows from seeds. */
static void test_edit_agrees_with_sample(void **state) {
    const char *folder = *state;
    hs_run_ok(folder, "$H sample --quiet --steps 4 --seed 3,5 --tensors s.safetensors -o plain/");
    hs_run_ok(folder, "$H edit --quiet --steps 4 --seed 3,5 -d pca.safetensors#0=0..2:2 -o seeds/");
    hs_run_ok(folder,
              "$H edit --quiet --latent s.safetensors -d pca.safetensors#0=0..2:2 -o rows/");
    assert_same_file(folder, "plain/000_seed_3.png", "seeds/000_seed_3_strength_0.png");
    assert_same_file(folder, "plain/001_seed_5.png", "seeds/002_seed_5_strength_0.png");
    assert_same_file(folder, "seeds/001_seed_3_strength_+2.png",
                     "rows/001_latent_0_strength_+2.png");
    assert_same_file(folder, "seeds/003_seed_5_strength_+2.png",
                     "rows/003_latent_1_strength_+2.png");
}

/* A recipe makes its image again, from another folder too. */
static void test_recipe(void **state) {
    const char *folder = *state;
    hs_run_ok(folder, "$H edit --quiet --steps 4 --eta 0.5 --seed 8 -d pca.safetensors#2=1.5 "
                      "--window 1-3 --recipe r.json -o once.png");
    hs_run_ok(folder, "mkdir elsewhere");
    hs_run_ok(folder,
              "sh -c 'cd elsewhere && \"$1\" edit --quiet --replay ../r.json -o ../again.png' "
              "sh $H");
    assert_same_file(folder, "once.png", "again.png");
}

/* eps of a sample's own x_T is the first step's; delta_h and h agree with it. */
static void test_eps(void **state) {
    const char *folder = *state;
    const int64_t image = 3 * 32 * 32, h_size = 128 * 8 * 8;
    char path[500];
    hs_error err;
    float *x = malloc((size_t)(2 * image) * sizeof *x),
          *delta_h = calloc((size_t)h_size, sizeof *delta_h);
    assert_ok(hs_randn(1, 2, (size_t)image, x, &err));
    delta_h[7] = 3;
    hs_tensor_view views[] = {
        {.name = "sample", .rank = 4, .dim = {2, 3, 32, 32}, .data = x},
        {.name = "delta_h", .rank = 4, .dim = {1, 128, 8, 8}, .data = delta_h}};
    snprintf(path, sizeof path, "%s/in.safetensors", folder);
    assert_ok(hs_tensors_save(path, views, 1, &err));
    hs_run_ok(folder, "$H eps --quiet --input in.safetensors --timestep 980 -o plain.safetensors");
    assert_ok(hs_tensors_save(path, views, 2, &err));
    hs_run_ok(folder, "$H eps --quiet --input in.safetensors --timestep 980,20 -o out.safetensors");
    hs_tensors *plain = load(folder, "plain.safetensors"), *out = load(folder, "out.safetensors");
    const float *eps = get(plain, "eps", 2 * image), *edited = get(out, "eps", 2 * image);
    const float *h = get(plain, "h", 2 * h_size);
    /* h is the activation before delta_h is added; eps changes. */
    assert_memory_equal(h, get(out, "h", 2 * h_size), (size_t)h_size * sizeof *h);
    assert_memory_not_equal(eps, edited, (size_t)image * sizeof *eps);
    hs_tensors_free(out);
    hs_tensors_free(plain);

    /* What the file may not hold. */
    views[0].dim[2] = 31;
    assert_ok(hs_tensors_save(path, views, 1, &err));
    hs_run run = hs_run_shell(folder, "$H eps --input in.safetensors --timestep 3 -o e");
    assert_int_equal(run.status, 1);
    assert_non_null(strstr(run.err, "sample is [2, 3, 31, 32], expected [n, 3, 32, 32]"));
    hs_run_free(&run);
    views[0].dim[2] = 32;
    views[1].name = "v";
    assert_ok(hs_tensors_save(path, views, 2, &err));
    run = hs_run_shell(folder, "$H eps --input in.safetensors --timestep 3 -o e");
    assert_int_equal(run.status, 1);
    assert_non_null(strstr(run.err, "v and u are for one sample"));
    hs_run_free(&run);
    run = hs_run_shell(folder, "$H eps --input in.safetensors --timestep 1000 -o e");
    assert_int_equal(run.status, 1);
    hs_run_free(&run);
    free(delta_h);
    free(x);
}

/* What the demo says of component k is the mean of the file's ratios over the
 * steps, [T][k]. */
static void assert_explained(const char *folder, const json_t *report, size_t k) {
    char path[500];
    hs_error err;
    hs_directions *directions;
    hs_directions_view view;
    snprintf(path, sizeof path, "%s/show/pca.safetensors", folder);
    assert_ok(hs_directions_load(path, &directions, &err));
    hs_directions_view_get(directions, &view);
    json_t *metadata = json_loads(view.metadata, 0, NULL);
    json_t *ratios = json_loads(
        json_string_value(json_object_get(metadata, "explained_variance_ratio")), 0, NULL);
    double sum = 0;
    for (size_t i = 0; i < json_array_size(ratios); i++)
        sum += json_real_value(json_array_get(json_array_get(ratios, i), k));
    json_t *part = json_array_get(json_object_get(report, "components"), k);
    double said = json_real_value(json_object_get(part, "explained"));
    assert_int_equal(json_array_size(ratios), 3);
    assert_true(fabs(said - sum / 3) < 1e-8); /* printed with 9 digits */
    json_decref(ratios);
    json_decref(metadata);
    hs_directions_free(directions);
}

static void test_demo(void **state) {
    static const char *const files[] = {"index.html",     "overview.png", "pca.safetensors",
                                        "recipe.json",    "random-1.png", "component-0.png",
                                        "component-1.png"};
    const char *folder = *state;
    json_t *report = hs_run_json(folder, "$H demo --json --quiet --steps 3 -n 8 -k 2 -o show/");
    assert_int_equal(json_array_size(json_object_get(report, "components")), 2);
    assert_explained(folder, report, 0);
    assert_explained(folder, report, 1);
    json_decref(report);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char name[100];
        snprintf(name, sizeof name, "show/%s", files[i]);
        if (!hs_exists(folder, name))
            fail_msg("the demo did not write %s", files[i]);
    }
    char *page = hs_read_all(folder, "show/index.html", NULL);
    assert_non_null(strstr(page, "data:image/png;base64,"));
    assert_non_null(strstr(page, "</html>"));
    free(page);
    hs_run_ok(folder, "$H edit --quiet --replay show/recipe.json -o replayed.png");
    hs_run_ok(folder, "$H demo --quiet --steps 3 -n 4 -k 1 -o show"); /* once more */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_help),           cmocka_unit_test(test_info),
        cmocka_unit_test(test_which_model),    cmocka_unit_test(test_precision),
        cmocka_unit_test(test_profile),        cmocka_unit_test(test_planned_memory),
        cmocka_unit_test(test_sample_outputs), cmocka_unit_test(test_sample_folder),
        cmocka_unit_test(test_sample_tensors), cmocka_unit_test(test_latents_round_trip),
        cmocka_unit_test(test_threads),        cmocka_unit_test(test_pca),
        cmocka_unit_test(test_pca_announces),  cmocka_unit_test(test_pca_interrupted),
        cmocka_unit_test(test_edit),           cmocka_unit_test(test_edit_agrees_with_sample),
        cmocka_unit_test(test_recipe),         cmocka_unit_test(test_eps),
        cmocka_unit_test(test_demo),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
