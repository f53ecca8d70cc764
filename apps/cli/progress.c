/*
 * Progress: a bar with a rate and the time left where stderr is a terminal,
 * else a plain line every ten seconds at most. Also clocks, and Ctrl-C.
 */
#include "cli.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define CLI_BAR_EVERY 0.1   /* seconds between redraws of the bar */
#define CLI_LINE_EVERY 10.0 /* seconds between plain lines */

static volatile sig_atomic_t cli_interrupt_flag;

static void cli_on_interrupt(int signal_number) {
    cli_interrupt_flag = 1;
}

void cli_catch_interrupt(void) {
    /* SA_RESETHAND: the second Ctrl-C finds the default action and kills. */
    struct sigaction action = {.sa_handler = cli_on_interrupt,
                               .sa_flags = SA_RESETHAND | SA_RESTART};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool cli_interrupted(void) {
    return cli_interrupt_flag != 0;
}

static double cli_read_clock(clockid_t id) {
    struct timespec now;
    clock_gettime(id, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

double cli_clock(void) {
    return cli_read_clock(CLOCK_MONOTONIC);
}

double cli_seconds_since_start(void) {
    /* Field 22 of /proc/self/stat: clock ticks between boot and our start. The
     * second field, the program's name in parentheses, may hold anything. */
    char text[1024];
    FILE *file = fopen("/proc/self/stat", "r");
    if (!file)
        return 0;
    size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[size] = '\0';
    const char *rest = strrchr(text, ')');
    unsigned long long ticks = 0;
    if (!rest || sscanf(rest + 1,
                        " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
                        "%*d %*d %llu",
                        &ticks) != 1)
        return 0;
    return fmax(0, cli_read_clock(CLOCK_BOOTTIME) - (double)ticks / (double)sysconf(_SC_CLK_TCK));
}

void cli_progress_begin(cli_progress *progress, bool quiet) {
    *progress = (cli_progress){.quiet = quiet, .terminal = isatty(STDERR_FILENO) == 1};
}

void cli_progress_end(cli_progress *progress) {
    if (progress->drawn) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
    }
    progress->drawn = false;
    progress->phase[0] = '\0';
}

/* "12.3/s, 1 min 5 s left", or nothing while too little is known. */
static void cli_format_rate(const cli_progress *progress, double now, double done, double total,
                            char text[96]) {
    double elapsed = now - progress->begun, advanced = done - progress->first_done;
    text[0] = '\0';
    if (elapsed < 0.5 || advanced <= 0)
        return;
    char left[32];
    double rate = advanced / elapsed;
    cli_format_seconds(fmax(1, (total - done) / rate), left);
    snprintf(text, 96, rate >= 10 ? "%.0f/s, %s left" : "%.2g/s, %s left", rate, left);
}

static void cli_draw_bar(cli_progress *progress, double done, double total, const char *rate) {
    struct winsize window = {0};
    int columns =
        ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col ? window.ws_col : 80;
    double share = total > 0 ? fmin(1, fmax(0, done / total)) : 0;
    int room = columns - (int)strlen(progress->phase) - (int)strlen(rate) - 14;
    int width = room > 40 ? 40 : room;
    fprintf(stderr, "\r\033[K%s ", progress->phase);
    if (width >= 5) {
        int filled = (int)(share * width + 0.5);
        fputc('[', stderr);
        for (int i = 0; i < width; i++)
            fputc(i < filled ? '=' : ' ', stderr);
        fputs("] ", stderr);
    }
    fprintf(stderr, "%3.0f%%  %s", 100 * share, rate);
    fflush(stderr);
    progress->drawn = true;
}

static bool cli_on_progress(void *ctx, const char *phase, double done, double total) {
    cli_progress *progress = ctx;
    double now = cli_clock();
    if (progress->of) { /* the parts of a whole look like one */
        double each = total / progress->items;
        done += each * progress->done;
        total = each * progress->of;
    }
    /* What follows a colon is detail, which does not begin a new phase. */
    bool same = *progress->phase && strcspn(progress->phase, ":") == strcspn(phase, ":") &&
                !strncmp(progress->phase, phase, strcspn(phase, ":"));
    if (!same)
        cli_progress_end(progress);
    snprintf(progress->phase, sizeof progress->phase, "%s", phase);
    if (!same) {
        progress->begun = now;
        progress->first_done = done;
        progress->shown = now;
        return !cli_interrupt_flag;
    }
    double every = progress->terminal ? CLI_BAR_EVERY : CLI_LINE_EVERY;
    if (!progress->quiet && now - progress->shown >= every) {
        char rate[96];
        cli_format_rate(progress, now, done, total, rate);
        if (progress->terminal)
            cli_draw_bar(progress, done, total, rate);
        else
            fprintf(stderr, "hspace: %s: %.0f%%%s%s\n", phase, total > 0 ? 100 * done / total : 0,
                    *rate ? ", " : "", rate);
        progress->shown = now;
    }
    return !cli_interrupt_flag;
}

static void cli_on_notice(void *ctx, const char *text) {
    cli_progress *progress = ctx;
    if (progress->drawn)
        fputs("\r\033[K", stderr);
    progress->drawn = false;
    cli_message("note: %s", text);
}

hs_monitor cli_progress_monitor(cli_progress *progress) {
    return (hs_monitor){.ctx = progress, .progress = cli_on_progress, .notice = cli_on_notice};
}
