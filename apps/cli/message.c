/* One-line messages, and an end of the program that loses no output. */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void cli_print_line(const char *format, va_list args) {
    char text[1200];
    vsnprintf(text, sizeof text, format, args);
    for (unsigned char *p = (unsigned char *)text; *p; p++)
        if (*p < 0x20 || *p == 0x7f)
            *p = '?'; /* names come from anywhere: keep it one line */
    fprintf(stderr, "hspace: %s\n", text);
}

void cli_message(const char *format, ...) {
    va_list args;
    va_start(args, format);
    cli_print_line(format, args);
    va_end(args);
}

void cli_usage_error(const char *format, ...) {
    va_list args;
    va_start(args, format);
    cli_print_line(format, args);
    va_end(args);
    exit(CLI_USAGE);
}

int cli_finish(hs_status status, const hs_error *err) {
    if (status == HS_OK)
        return 0;
    cli_message("%s", err->message);
    return CLI_FAILED;
}

hs_status cli_fail(hs_error *err, hs_status code, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    err->code = code;
    return code;
}

hs_status cli_fail_memory(hs_error *err) {
    return cli_fail(err, HS_ERROR_MEMORY,
                    "out of memory: ask for fewer images or steps, or a smaller model");
}

static void cli_close_streams(void) {
    errno = 0;
    bool failed = ferror(stdout) != 0;
    if (fclose(stdout) != 0 || failed) {
        if (errno)
            cli_message("standard output: %s", strerror(errno));
        else
            cli_message("standard output could not be written");
        _exit(CLI_FAILED);
    }
}

void cli_guard_streams(void) {
    /* A closed descriptor 0, 1 or 2 would be given to the next file that is
     * opened. Hold it with one that refuses: reading for 1 and 2. */
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)!open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
    /* Over a limit on file sizes a write then fails, as on a full disk. */
    signal(SIGXFSZ, SIG_IGN);
    atexit(cli_close_streams);
}

void cli_format_bytes(double bytes, char text[32]) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    size_t unit = 0;
    while (bytes >= 1024 && unit + 1 < sizeof units / sizeof *units) {
        bytes /= 1024;
        unit++;
    }
    snprintf(text, 32, unit && bytes < 100 ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
}

void cli_format_seconds(double seconds, char text[32]) {
    if (!(seconds >= 0) || seconds > 1e9)
        snprintf(text, 32, "unknown");
    else if (seconds < 1)
        snprintf(text, 32, "%.3g ms", seconds * 1e3);
    else if (seconds < 60)
        snprintf(text, 32, seconds < 9.95 ? "%.1f s" : "%.0f s", seconds);
    else if (seconds < 3600)
        snprintf(text, 32, "%d min %d s", (int)seconds / 60, (int)seconds % 60);
    else
        snprintf(text, 32, "%d h %d min", (int)(seconds / 3600), (int)fmod(seconds / 60, 60));
}
