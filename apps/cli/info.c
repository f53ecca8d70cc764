/* hspace info: what a model is, and what one image costs here. */
#include "cli.h"

#include <stdio.h>

static const char doc[] = "Show a model's architecture, its h-space and schedule, and the time and "
                          "memory of one image on this machine (a few passes are run).";

enum { KEY_STEPS = 0x200, KEY_VERIFY };

/* Images that --verify makes in both precisions, seeds 0, 1, ... */
#define CLI_VERIFY_IMAGES 4
#define CLI_VERIFY_MOST 1000

typedef struct cli_info_options {
    cli_options common;
    int verify; /* images; 0: none */
} cli_info_options;

static const struct argp_option info_options[] = {
    {"steps", KEY_STEPS, "T", 0, "Steps of the image that is reckoned with; default 50", 1},
    {"verify", KEY_VERIFY, "N", OPTION_ARG_OPTIONAL,
     "Make N images (default 4) with --precision f32 and with fast, and say how much they differ",
     1},
    {0}};

static error_t cli_info_parse(int key, char *arg, struct argp_state *state) {
    cli_info_options *options = state->input;
    switch (key) {
    case KEY_STEPS:
        options->common.steps = cli_option_int("--steps", arg, 1, CLI_MAX_STEPS);
        return 0;
    case KEY_VERIFY:
        options->verify =
            arg ? cli_option_int("--verify", arg, 1, CLI_VERIFY_MOST) : CLI_VERIFY_IMAGES;
        return 0;
    default: return cli_default_key(key, arg, state);
    }
}

static const struct argp_child info_children[] = {
    {&cli_common_argp, 0, NULL, 0}, {&cli_profile_argp, 0, NULL, 0}, {0}};
static const struct argp info_argp = {
    .options = info_options, .parser = cli_info_parse, .doc = doc, .children = info_children};

static const char *cli_prediction_name(hs_prediction prediction) {
    switch (prediction) {
    case HS_PREDICT_EPSILON: return "epsilon";
    case HS_PREDICT_V: return "v_prediction";
    case HS_PREDICT_SAMPLE: return "sample";
    }
    return "unknown";
}

static void cli_info_print(const cli_session *session, double seconds, int steps) {
    static const char *const positions[] = {"before", "middle", "after"};
    const hs_model_info *info = &session->info;
    char text[32], image[32];
    printf("model            %s\n", info->name);
    printf("architecture     %s, %lld parameters\n", info->architecture,
           (long long)info->parameters);
    cli_format_bytes((double)info->weight_bytes, text);
    printf("weights          %s, %s\n", info->weight_dtype, text);
    printf("image            %d x %d x %d (C,H,W)\n", info->image[0], info->image[1],
           info->image[2]);
    for (int i = 0; i < 3; i++)
        printf("h-space %-8s %d x %d x %d (c,h,w)\n", positions[i], info->h[i][0], info->h[i][1],
               info->h[i][2]);
    printf("schedule         %s, N = %d, predicts %s\n", info->beta_schedule,
           info->num_train_timesteps, cli_prediction_name(info->prediction));
    printf("one pass         %.3g GMAC, of these %.3g up to h\n", (double)info->macs * 1e-9,
           (double)info->macs_to_h * 1e-9);
    cli_format_seconds(seconds, text);
    cli_format_seconds(seconds * steps, image);
    printf("time             %s a pass, %s an image of %d steps\n", text, image, steps);
    cli_format_bytes((double)session->planned_bytes, text);
    printf("memory           %s for a pass of one image: program, weights, activations\n", text);
}

static void cli_info_print_verified(const cli_verified *v) {
    char f32[32], fast[32];
    cli_format_seconds(v->seconds_f32, f32);
    cli_format_seconds(v->seconds_fast, fast);
    if (v->largest == 0) {
        printf("precision fast   %d images of %d steps are those of f32, to the pixel; %s a pass, "
               "f32 %s\n",
               v->images, v->steps, fast, f32);
        return;
    }
    printf("precision fast   %d images of %d steps against f32: 8-bit pixels differ by %.2g at the "
           "mean and %g at most, PSNR %.1f dB (least %.1f); %s a pass, f32 %s\n",
           v->images, v->steps, v->mean, v->largest, v->psnr, v->least_psnr, fast, f32);
}

static void cli_info_report(const cli_session *session, double seconds, int steps,
                            const cli_verified *verified) {
    static const char *const positions[] = {"before", "middle", "after"};
    const hs_model_info *info = &session->info;
    json_t *report = cli_report_new(session), *h = json_object();
    for (int i = 0; i < 3; i++)
        json_object_set_new(h, positions[i], cli_json_ints(info->h[i], 3));
    json_object_set_new(report, "architecture", json_string(info->architecture));
    json_object_set_new(report, "parameters", json_integer(info->parameters));
    json_object_set_new(report, "image", cli_json_ints(info->image, 3));
    json_object_set_new(report, "h", h);
    json_object_set_new(report, "macs", json_integer(info->macs));
    json_object_set_new(report, "macs_to_h", json_integer(info->macs_to_h));
    json_object_set_new(report, "num_train_timesteps", json_integer(info->num_train_timesteps));
    json_object_set_new(report, "beta_schedule", json_string(info->beta_schedule));
    json_object_set_new(report, "prediction_type",
                        json_string(cli_prediction_name(info->prediction)));
    json_object_set_new(report, "weight_dtype", json_string(info->weight_dtype));
    json_object_set_new(report, "weight_bytes", json_integer(info->weight_bytes));
    json_object_set_new(report, "planned_bytes", json_integer(session->planned_bytes));
    json_object_set_new(report, "steps", json_integer(steps));
    json_object_set_new(report, "seconds_per_image", json_real(seconds * steps));
    if (verified)
        json_object_set_new(
            report, "verify",
            json_pack("{s:i,s:i,s:f,s:f,s:f,s:f,s:f,s:f}", "images", verified->images, "steps",
                      verified->steps, "largest", verified->largest, "mean", verified->mean, "psnr",
                      verified->psnr, "least_psnr", verified->least_psnr, "seconds_per_pass_f32",
                      verified->seconds_f32, "seconds_per_pass_fast", verified->seconds_fast));
    cli_report_print(report);
}

int cli_info(int argc, char **argv) {
    cli_info_options options = {0};
    cli_parse_command(&info_argp, argc, argv, &options);
    if (options.common.output)
        cli_usage_error("info: writes no file; --json > FILE keeps what it says");
    if (options.verify && options.common.backend != HS_BACKEND_ONEDNN)
        cli_usage_error("--verify: precision fast is of the back end onednn alone");
    cli_session session;
    cli_session_begin(&session, &options.common);
    hs_error err;
    cli_verified verified;
    double seconds = 0;
    int steps = options.common.steps ? options.common.steps : 50;
    hs_status status = cli_open_denoiser(&session, &err);
    if (status == HS_OK)
        status = cli_make_ready(&session, 1, &err);
    if (status == HS_OK)
        status = cli_measure_pass(&session, 1, &seconds, &err);
    if (status == HS_OK && options.verify)
        status = cli_verify(&session, steps, options.verify, &verified, &err);
    cli_progress_end(&session.progress);
    if (status == HS_OK && options.common.json)
        cli_info_report(&session, seconds, steps, options.verify ? &verified : NULL);
    else if (status == HS_OK) {
        cli_info_print(&session, seconds, steps);
        if (options.verify)
            cli_info_print_verified(&verified);
    }
    int result = cli_finish(status, &err);
    cli_session_end(&session);
    cli_options_free(&options.common);
    return result;
}
