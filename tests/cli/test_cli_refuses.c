/* What the program says to mistakes: one line on stderr that begins with
 * "hspace: ", and an exit status of 1 (it failed) or 2 (usage). */
#include "support.h"

#include <stdlib.h>
#include <string.h>

#include "program.h"

typedef struct hs_case {
    const char *arguments;
    int status;
    const char *fragment; /* of the line */
} hs_case;

static const hs_case usage[] = {
    {"$H bogus", 2, "no command 'bogus'"},
    {"$H jacobian --seed 3", 2, "-o says where"},
    {"$H jacobian --seed 3,4 -o a", 2, "one sample at a time"},
    {"$H jacobian --step x -o a", 2, "--step: 'x'"},
    {"$H jacobian -k 0 -o a", 2, "-k: '0'"},
    {"$H jacobian --tol 2 -o a", 2, "--tol: '2'"},
    {"$H jacobian --method lanczos -o a", 2, "none of krylov, subspace, batched"},
    {"$H jacobian --region 1,2,3 -o a", 2, "'1,2,3' is not x,y,w,h"},
    {"$H jacobian --region 1,2,3,0 -o a", 2, "is empty"},
    {"$H jacobian --mask m.png:300 -o a", 2, "--mask: labels"},
    {"$H jacobian --keep-outside -o a", 2, "nothing is outside"},
    {"$H jacobian --keep-outside=all --region 0,0,1,1 -o a", 2, "neither project nor resefa"},
    {"$H jacobian --compare -o a", 2, "--compare: needs --mask"},
    {"$H jacobian --window 1-2 -o a", 2, "--window: goes with --preview or --compare"},
    {"$H jacobian --strength 2 -o a", 2, "--strength: goes with --preview or --compare"},
    {"$H jacobian --strength 0 --compare --region 0,0,1,1 -o a", 2, "--strength: '0'"},
    {"$H jacobian --window 2-1 --compare --region 0,0,1,1 -o a", 2, "--window: '2-1'"},
    {"$H jacobian --item 2 -o a", 2, "there is no --latent"},
    {"$H jacobian --clip -o a", 2, "no derivative"},
    {"$H jacobian --plot p.txt -o a", 2, "neither a picture"},
    {"$H edit -d a --profile up -o a.png", 2, "neither flat nor sigma"},
    {"$H edit -d a --same-step --window 0-1 -o a.png", 2, "exclude each other"},
    {"$H serve", 2, "not in this version"},
    {"$H jacobian --plot a.png --preview ./a.png -o x.safetensors", 2, "same file"},
    {"$H invert a.png --preview ./a.png -o x.safetensors", 2, "same file"},
    {"$H invert a.png --resume ./x -o x", 2, "-o and --resume are the same file"},
    {"$H annotate --classifier c --scores up -o x", 2, "--scores: 'up' is none of softmax"},
    {"$H annotate --labels l --classifier c -o x", 2, "--labels goes with neither"},
    {"$H attribute --index i --crop 0,0,9,9 --attribute A -o x", 2, "--crop: goes with --images"},
    {"$H attribute --images i --labels l --crop 0,0 --attribute A -o x", 2, "is not X,Y,W,H"},
    {"$H attribute --images i --attribute A -o x", 2, "--images and --labels belong together"},
    {"$H --seed 3", 2, "options follow the command"},
    {"$H sample", 2, "-o says where"},
    {"$H sample -o x.txt", 2, "neither a picture"},
    {"$H sample -o ''", 2, "-o"},
    {"$H sample --bogus", 2, "unrecognized option '--bogus'"},
    {"$H sample -o", 2, "requires an argument"},
    {"$H sample -o a.png b.png", 2, "unexpected argument 'b.png'"},
    {"$H sample --seed 3-1 -o a.png", 2, "--seed: the range 3-1 runs backwards"},
    {"$H sample --seed x -o a.png", 2, "--seed: 'x'"},
    {"$H sample --seed 0-999999999 -o a.png", 2, "more than 100000 seeds"},
    {"$H sample --steps 0 -o a.png", 2, "--steps: '0'"},
    {"$H sample --steps 1000000000 -o a.png", 2, "--steps: '1000000000'"},
    {"$H sample --steps -5 -o a.png", 2, "--steps"},
    {"$H sample --eta nan -o a.png", 2, "--eta: 'nan'"},
    {"$H sample --eta -1 -o a.png", 2, "--eta"},
    {"$H sample --eta 0,,1 -o a.png", 2, "--eta"},
    {"$H sample --threads 0 -o a.png", 2, "--threads: '0'"},
    {"$H sample --threads 1000000000 -o a.png", 2, "--threads"},
    {"$H sample --max-mem 0 -o a.png", 2, "--max-mem: '0'"},
    {"$H sample --max-mem 1Q -o a.png", 2, "--max-mem: '1Q'"},
    {"$H sample --h-space under -o a.png", 2, "none of before, middle, after"},
    {"$H sample --device tpu -o a.png", 2, "neither cpu nor cuda"},
    {"$H sample --device cuda -o a.png", 1, "built without CUDA"},
    {"$H sample --precision quick -o a.png", 2, "neither f32 nor fast"},
    {"$H info --verify --backend ref", 2, "--verify: "},
    {"$H info --verify=0", 2, "--verify: "},
    {"$H sample --z-seed -2 -o a.png", 2, "--z-seed"},
    {"$H sample --seed 1 --latent l.safetensors -o a.png", 2, "exclude each other"},
    {"$H edit -o a.png", 2, "-d FILE says which direction"},
    {"$H edit --swap-h 3 -o a.png", 2, "'3' is not A,B"},
    {"$H edit --swap-h 3,x -o a.png", 2, "--swap-h: '3,x'"},
    {"$H edit --swap-h 3,4 --seed 3 -o a.png", 2, "leave out --seed"},
    {"$H edit --swap-h 3,4 --space h -o a.png", 2, "--space goes with"},
    {"$H edit --swap-h 3,4 --interpolate lerp -o a.png", 2, "exclude each other"},
    {"$H edit --swap-h 3,4 -d a -o a.png", 2, "goes without directions (-d)"},
    {"$H edit --swap-h 3,4 --window 0-1 -o a.png", 2, "without directions (--window)"},
    {"$H edit --swap-h 3,4 --recipe r.json -o a.png", 2, "has no recipe"},
    {"$H edit --swap-h 3,4 --points 2 -o a.png", 2, "--points: goes with --interpolate"},
    {"$H edit --interpolate bezier --seed 3,4 -o a.png", 2, "none of lerp, slerp, sqrt"},
    {"$H edit --interpolate lerp --seed 3 -o a.png", 2, "two samples or more"},
    {"$H edit --interpolate lerp --seed 3,4 --space w -o a.png", 2, "none of pixel, noise, h"},
    {"$H edit --interpolate lerp --seed 3,4 --space h,h -o a.png", 2, "h stands there twice"},
    {"$H edit --interpolate lerp --seed 3,4 --points 0 -o a.png", 2, "--points: '0'"},
    {"$H edit --interpolate lerp --seed 3,4 --space pixel --tensors t", 2, "no x_T to keep"},
    {"$H edit --interpolate lerp --seed 3,4 --space noise,h --tensors t", 2, "one --space"},
    {"$H edit --item 1 -d a -o a.png", 2, "there is no --latent"},
    {"$H edit -d a --space pixel -o a.png", 2, "go with --interpolate"},
    {"$H edit -d a=-1..1:3 --cumulative -o a.png", 2, "no sweep"},
    {"$H edit -d a --random -1 -o a.png", 2, "--random: '-1'"},
    {"$H edit -d a --random 1 --recipe r.json -o a.png", 2, "no place for directions of chance"},
    {"$H edit --random 1 --swap-h 3,4 -o a.png", 2, "not of --swap-h"},
    {"$H edit -d 'a=-3..3' -o a.png", 2, "-d: '-3..3' is not a sweep"},
    {"$H edit -d 'a=0..3:1000000000' -o a.png", 2, "2 to 1000 strengths"},
    {"$H edit -d 'a=x' -o a.png", 2, "-d: 'x' is not a number"},
    {"$H edit -d 'a=0..1:3' -d 'b=0..1:4' -o a.png", 2, "sweeps of 3 and of 4"},
    {"$H edit -d a --window 5-3 -o a.png", 2, "--window: '5-3'"},
    {"$H edit --replay r.json --seed 3 -o a.png", 2, "--replay takes seed"},
    {"$H pca", 2, "-o says where"},
    {"$H pca -n 0 -o a", 2, "-n: '0'"},
    {"$H pca -n 1000000000 -o a", 2, "-n: '1000000000'"},
    {"$H pca -k 0 -o a", 2, "-k: '0'"},
    {"$H pca -n 5 -k 5 -o a", 2, "-k: 5 components need at least 6 samples"},
    {"$H pca --align up -o a", 2, "neither index nor score"},
    {"$H pca --delta 7 -o a", 2, "--delta: '7'"},
    {"$H pca --seed 0-15 -o a", 2, "--seed: '0-15'"},
    {"$H pca --preview p.txt -o a", 2, "neither a picture"},
    {"$H pca -n 9 -k 2 -o a --resume ./a", 2, "-o and --resume are the same file"},
    {"$H pca -n 9 -k 2 -o a --resume p.png --preview p.png", 2, "--preview and --resume are"},
    {"$H pca -n 9 -k 2 -o a.png", 2, "no picture"},
    {"$H pca --exact --incremental -o a", 2, "exclude each other"},
    {"$H pca --delta 0.2 -o a", 2, "--around SEED"},
    {"$H pca --joint --align score -o a", 2, "--align score"},
    {"$H sample -o a.png --tensors ./a.png", 2, "-o and --tensors are the same file"},
    {"$H sample -o a.png --tensors t --recipe t", 2, "--tensors and --recipe are the same file"},
    {"$H sample --latent l --tensors l", 2, "--tensors and --latent are the same file"},
    {"$H edit -d a -d b#1 --tensors b -o a.png", 2, "--tensors and -d are the same file"},
    {"$H eps --input a --timestep 3 -o a", 2, "--input and -o are the same file"},
    {"$H eps", 2, "needs --input"},
    {"$H eps --input a --timestep 1e3 -o b", 2, "--timestep"},
    {"$H info -o x", 2, "writes no file"},
    {"$H demo -n 2", 2, "-n: '2'"},
    {"$H demo -n 10 -k 10", 2, "-k: 10 components"},
};

static const hs_case failures[] = {
    {"$H info -m nowhere", 1, "nowhere"},
    {"$H info -m empty", 1, "empty"},
    {"$H info -m file", 1, "file"},
    {"$H sample -m broken --steps 2 -o a.png", 1, "broken"},
    {"$H sample --steps 1001 -o a.png", 1, "1001"},
    {"$H sample --quiet --precision fast --backend ref -o a.png", 1, "onednn alone"},
    {"$H jacobian --quiet --precision fast --steps 3 --step 1 -o e", 1, "float32"},
    {"$H sample --steps 3 --eta 0,1 -o a.png", 1, "eta"},
    {"$H sample --steps 2 -o nowhere/a.png", 1, "nowhere"},
    {"$H sample --steps 2 -o file/", 1, "file"},
    {"$H sample --steps 2 -o file/a.png", 1, "file is not a folder"},
    {"$H sample --steps 2 --tensors nowhere/t -o a.png", 1, "nowhere/t"},
    {"prlimit --fsize=4096 $H sample --steps 1 --tensors t", 1, "t: cannot write: File too large"},
    {"$H sample --steps 2 --tensors empty -o a.png", 1, "is a folder"},
    {"$H sample --steps 2 --seed 1,2 --recipe r.json -o a.png", 1, "describes one image"},
    {"$H sample --latent nowhere.safetensors -o a.png", 1, "nowhere.safetensors"},
    {"$H sample --latent file -o a.png", 1, "file"},
    {"$H sample --max-mem 1 --steps 2 -o a.png", 1, "memory"},
    {"$H edit -d nowhere.safetensors --steps 2 -o a.png", 1, "nowhere.safetensors"},
    {"$H edit -d file --steps 2 -o a.png", 1, "file"},
    {"$H edit -d file --steps 2 --window 0-2 -o a.png", 1, "steps 0 to 1"},
    {"$H edit --interpolate lerp --latent nowhere -o a.png", 1, "nowhere"},
    {"$H edit --swap-h 1,2 --steps 1000 --max-mem 90M --tensors t", 1, "--tensors keeps h"},
    {"$H edit --replay nowhere.json -o a.png", 1, "nowhere.json"},
    {"$H edit --replay file -o a.png", 1, "file"},
    {"$H pca --steps 2 -n 4 -k 2 -o nowhere/a", 1, "nowhere"},
    {"$H pca --steps 2 -n 4 -k 2 -o empty", 1, "is a folder"},
    {"$H jacobian --steps 3 --step 3 -o e", 1, "--step: 3 is outside 0 to 2"},
    {"$H jacobian --steps 3 --region 30,0,8,8 -o e", 1, "reaches to 38, 8"},
    {"$H jacobian --steps 3 --mask nowhere.png -o e", 1, "nowhere.png"},
    {"$H jacobian --steps 3 --mask file -o e", 1, "file"},
    {"$H jacobian --quiet --steps 3 --region 3,3,1,1 -k 4 -o e", 1, "at most 3 directions"},
    {"$H jacobian --quiet --steps 3 --step 0 -k 5 --max-products 15 -o e", 1, "step 0"},
    {"$H jacobian --steps 3 -o nowhere/e", 1, "nowhere"},
    {"$H jacobian --steps 3 --latent file -o e", 1, "file"},
    {"$H eps --input nowhere --timestep 3 -o e", 1, "nowhere"},
    {"$H eps --input file --timestep 3 -o e", 1, "file"},
};

static int make_files(void **state) {
    char *folder = hs_test_make_folder();
    hs_run_ok(folder, "true; mkdir empty broken; echo 'not what you think' > file; "
                      "echo '{' > broken/config.json");
    *state = folder;
    return 0;
}

static int remove_files(void **state) {
    hs_test_remove_folder(*state);
    free(*state);
    return 0;
}

static void check(const char *folder, const hs_case *c) {
    hs_run run = hs_run_shell(folder, c->arguments);
    const char *newline = strchr(run.err, '\n');
    if (run.status != c->status)
        fail_msg("%s: exit status %d, expected %d; stderr: %s", c->arguments, run.status, c->status,
                 run.err);
    if (strncmp(run.err, "hspace: ", 8) != 0 || !newline || newline[1] != '\0')
        fail_msg("%s: stderr is not one line of hspace's: %s", c->arguments, run.err);
    if (!strstr(run.err, c->fragment))
        fail_msg("%s: '%s' is not in: %s", c->arguments, c->fragment, run.err);
    if (*run.out)
        fail_msg("%s: says on stdout: %s", c->arguments, run.out);
    hs_run_free(&run);
}

static void test_usage(void **state) {
    for (size_t i = 0; i < sizeof usage / sizeof *usage; i++)
        check(*state, &usage[i]);
}

static void test_failures(void **state) {
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++)
        check(*state, &failures[i]);
    assert_false(hs_exists(*state, "a.png"));
    assert_false(hs_exists(*state, "e"));
}

/* No arguments at all: usage on stderr, status 2. */
static void test_no_arguments(void **state) {
    hs_run run = hs_run_shell(*state, "$H");
    assert_int_equal(run.status, 2);
    assert_string_equal(run.out, "");
    assert_non_null(strstr(run.err, "Usage: hspace COMMAND"));
    hs_run_free(&run);
}

/* Output that cannot be written is a failure, once and in one line. */
static void test_lost_output(void **state) {
    static const char *const commands[] = {"$H --version > /dev/full",
                                           "$H --version >&-",
                                           "$H --help > /dev/full",
                                           "$H sample --help >&-",
                                           "$H info > /dev/full",
                                           "$H info --json > /dev/full",
                                           "$H info --json >&-",
                                           "$H sample --steps 1 -o b.png > /dev/full",
                                           "$H sample --steps 1 -o b.png >&-"};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        hs_case c = {commands[i], 1, "standard output"};
        check(*state, &c);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_arguments), cmocka_unit_test(test_usage),
        cmocka_unit_test(test_failures), cmocka_unit_test(test_lost_output)};
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
