/* What --json prints. */
#include "cli.h"

#include <stdio.h>
#include <sys/resource.h>

json_t *cli_json_ints(const int *values, int count) {
    json_t *array = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(array, json_integer(values[i]));
    return array;
}

json_t *cli_json_int64s(const int64_t *values, int count) {
    json_t *array = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(array, json_integer(values[i]));
    return array;
}

json_t *cli_report_new(const cli_session *session) {
    hs_pass_stats stats = {0};
    struct rusage usage = {0};
    if (session->denoiser) /* disentangle needs none */
        hs_denoiser_stats(session->denoiser, &stats);
    getrusage(RUSAGE_SELF, &usage);
    /* Names of files need not be UTF-8, which JSON wants. */
    json_t *model = json_string(session->info.name);
    json_t *report = json_object();
    json_object_set_new(report, "command", json_string(session->options->command));
    json_object_set_new(report, "version", json_string(hs_version()));
    json_object_set_new(report, "model", model ? model : json_null());
    json_object_set_new(report, "load_seconds", json_real(session->load_seconds));
    json_object_set_new(report, "seconds", json_real(cli_seconds_since_start()));
    json_object_set_new(report, "passes", json_integer(stats.passes));
    json_object_set_new(report, "seconds_per_pass", json_real(stats.seconds_per_pass));
    json_object_set_new(report, "peak_bytes", json_integer((json_int_t)usage.ru_maxrss * 1024));
    if (session->options->profile)
        json_object_set_new(report, "profile", cli_profile_json(session));
    return report;
}

void cli_report_print(json_t *report) {
    json_dumpf(report, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(report);
}

/* The sampler's settings. */
static void cli_report_sampler(const cli_session *session, json_t *report) {
    static const char *const positions[] = {"before", "middle", "after"};
    int T = hs_sampler_steps(session->sampler);
    const double *eta = hs_sampler_eta(session->sampler);
    bool constant = true;
    for (int i = 1; i < T; i++)
        constant = constant && eta[i] == eta[0];
    json_t *value = constant ? json_real(eta[0]) : json_array();
    for (int i = 0; i < T && !constant; i++)
        json_array_append_new(value, json_real(eta[i]));
    json_object_set_new(report, "steps", json_integer(T));
    json_object_set_new(report, "eta", value);
    json_object_set_new(report, "h_space",
                        json_string(positions[hs_denoiser_h_space(session->denoiser)]));
}

void cli_report_images(const cli_session *session, const cli_run *run, const char *recipe,
                       json_t *extra) {
    const cli_options *options = session->options;
    int count = run->rows * run->columns;
    if (options->json) {
        json_t *report = cli_report_new(session);
        cli_report_sampler(session, report);
        json_object_set_new(report, "images", json_integer(count));
        if (run->seeds)
            json_object_set_new(report, "seeds", cli_json_int64s(run->seeds, run->rows));
        json_object_update(report, extra);
        if (options->output)
            json_object_set_new(report, "output", json_string(options->output));
        if (options->tensors)
            json_object_set_new(report, "tensors", json_string(options->tensors));
        if (recipe)
            json_object_set_new(report, "recipe", json_string(recipe));
        cli_report_print(report);
    } else if (!options->quiet) {
        char taken[32];
        cli_format_seconds(cli_seconds_since_start(), taken);
        int steps = hs_sampler_steps(session->sampler);
        printf("%d image%s of %d step%s in %s:", count, count == 1 ? "" : "s", steps,
               steps == 1 ? "" : "s", taken);
        const char *outputs[] = {options->output, options->tensors, recipe};
        for (int i = 0; i < 3; i++)
            if (outputs[i])
                printf(" %s", outputs[i]);
        putchar('\n');
    }
    json_decref(extra);
}
