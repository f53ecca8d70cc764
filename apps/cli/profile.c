/* --profile: where the time of U-Net passes and Jacobian products went. */
#include "cli.h"

#include <stdio.h>
#include <stdlib.h>

enum { KEY_PROFILE = 0x180 };

static const struct argp_option cli_profile_options[] = {
    {"profile", KEY_PROFILE, NULL, 0,
     "Say at the end, on stderr or in --json, what the passes' time went into, with GFLOP/s and "
     "the share of this machine's peak",
     12},
    {0}};

static error_t cli_profile_parse(int key, char *arg, struct argp_state *state) {
    cli_options *options = state->input;
    if (key != KEY_PROFILE)
        return ARGP_ERR_UNKNOWN;
    options->profile = true;
    return 0;
}

const struct argp cli_profile_argp = {.options = cli_profile_options, .parser = cli_profile_parse};

static int cli_compare_rows(const void *a, const void *b) {
    double x = ((const hs_profile_row *)a)->seconds, y = ((const hs_profile_row *)b)->seconds;
    return (x < y) - (x > y);
}

/* The rows that ran, the slowest first, malloc'ed; NULL: there are none. */
static hs_profile_row *cli_profile_rows(const cli_session *session, int *count, double *seconds) {
    const hs_profile_row *rows = NULL;
    int all = session->denoiser ? hs_denoiser_profile(session->denoiser, &rows) : 0;
    hs_profile_row *sorted = all ? calloc((size_t)all, sizeof *sorted) : NULL;
    *count = 0;
    *seconds = 0;
    for (int i = 0; sorted && i < all; i++)
        if (rows[i].runs) {
            *seconds += rows[i].seconds;
            sorted[(*count)++] = rows[i];
        }
    if (*count)
        qsort(sorted, (size_t)*count, sizeof *sorted, cli_compare_rows);
    return sorted;
}

json_t *cli_profile_json(const cli_session *session) {
    int count;
    double seconds, peak = hs_machine_peak(session->options->threads);
    hs_profile_row *rows = cli_profile_rows(session, &count, &seconds);
    json_t *list = json_array();
    for (int i = 0; i < count; i++) {
        double rate = rows[i].flops / rows[i].seconds;
        json_t *row = json_pack("{s:s, s:I, s:f, s:f, s:f}", "kind", rows[i].kind, "runs",
                                (json_int_t)rows[i].runs, "seconds", rows[i].seconds, "gflops",
                                1e-9 * rate, "share_of_peak", peak > 0 ? rate / peak : 0);
        json_array_append_new(list, row);
    }
    free(rows);
    return json_pack("{s:f, s:f, s:o}", "peak_gflops", 1e-9 * peak, "seconds", seconds, "steps",
                     list);
}

void cli_profile_print(const cli_session *session) {
    int count;
    double seconds, total = 0;
    hs_profile_row *rows = cli_profile_rows(session, &count, &seconds);
    if (!count) {
        cli_message("--profile: nothing ran on a back end that keeps times");
        free(rows);
        return;
    }
    double peak = hs_machine_peak(session->options->threads);
    for (int i = 0; i < count; i++)
        total += rows[i].flops;
    fprintf(stderr, "    seconds      %%     runs  GFLOP/s  of peak\n");
    for (int i = 0; i < count; i++) {
        const hs_profile_row *row = &rows[i];
        fprintf(stderr, "%11.4f  %5.1f %8lld", row->seconds, 100 * row->seconds / seconds,
                (long long)row->runs);
        if (row->flops > 0)
            fprintf(stderr, "  %7.1f  %7.2f", 1e-9 * row->flops / row->seconds,
                    row->flops / row->seconds / peak);
        else
            fprintf(stderr, "  %7s  %7s", "", "");
        fprintf(stderr, "  %s\n", row->kind);
    }
    fprintf(stderr, "%11.4f  %5.1f %8s  %7.1f  %7.2f  all; peak %.1f GFLOP/s, measured now\n",
            seconds, 100.0, "", 1e-9 * total / seconds, total / seconds / peak, 1e-9 * peak);
    free(rows);
}
