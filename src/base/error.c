/* See error.h. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Keep a message on one line: names from hostile files may hold anything. */
static void hs_one_line(char *text) {
    for (unsigned char *p = (unsigned char *)text; *p; p++)
        if (*p < 0x20 || *p == 0x7f)
            *p = '?';
}

hs_status hs_fail(hs_error *err, hs_status code, const char *format, ...) {
    if (!err)
        return code;
    va_list args;
    va_start(args, format);
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    err->code = code;
    hs_one_line(err->message);
    return code;
}

hs_status hs_fail_prefix(hs_error *err, hs_status code, const char *format, ...) {
    if (!err)
        return code;
    char old[sizeof err->message], prefix[sizeof err->message];
    memcpy(old, err->message, sizeof old);
    va_list args;
    va_start(args, format);
    vsnprintf(prefix, sizeof prefix, format, args);
    va_end(args);
    return hs_fail(err, code, "%s: %.900s", prefix, old);
}

hs_status hs_fail_memory(hs_error *err, size_t bytes) {
    return hs_fail(err, HS_ERROR_MEMORY, "out of memory: %zu bytes could not be allocated", bytes);
}

void hs_notice(const hs_monitor *monitor, const char *format, ...) {
    if (!monitor || !monitor->notice)
        return;
    char text[1000];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    hs_one_line(text);
    monitor->notice(monitor->ctx, text);
}

hs_status hs_progress(const hs_monitor *monitor, const char *phase, double done, double total,
                      hs_error *err) {
    if (!monitor || !monitor->progress || monitor->progress(monitor->ctx, phase, done, total))
        return HS_OK;
    return hs_fail(err, HS_ERROR_CANCELLED, "stopped on request during %s", phase);
}

const char *hs_status_name(hs_status status) {
    switch (status) {
    case HS_OK: return "ok";
    case HS_ERROR_ARGUMENT: return "argument";
    case HS_ERROR_MEMORY: return "memory";
    case HS_ERROR_IO: return "io";
    case HS_ERROR_FORMAT: return "format";
    case HS_ERROR_UNSUPPORTED: return "unsupported";
    case HS_ERROR_MISMATCH: return "mismatch";
    case HS_ERROR_NUMERIC: return "numeric";
    case HS_ERROR_CANCELLED: return "cancelled";
    case HS_ERROR_INTERNAL: return "internal";
    }
    return "unknown";
}

#ifndef HS_VERSION
#define HS_VERSION "0.1.0"
#endif

const char *hs_version(void) {
    return HS_VERSION;
}
