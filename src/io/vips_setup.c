/* See vips_setup.h. */
#include "io/vips_setup.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <vips/vips.h>

#if !VIPS_MAJOR_VERSION || VIPS_MAJOR_VERSION < 8 ||                                               \
    (VIPS_MAJOR_VERSION == 8 && VIPS_MINOR_VERSION < 13)
#error "libvips 8.13 or newer is needed: older ones cannot block untrusted loaders"
#endif

/* The one state of the library that is not in a handle: libvips has only one. */
static pthread_once_t hs_vips_once = PTHREAD_ONCE_INIT;
static hs_error hs_vips_result;

/* The library never prints: failures reach the caller by hs_error. */
static void hs_vips_silence(const char *domain, GLogLevelFlags level, const char *message,
                            void *ctx) {
}

static void hs_vips_start(void) {
    if (VIPS_INIT("hspace")) {
        hs_vips_fail(&hs_vips_result, HS_ERROR_INTERNAL, "libvips does not start");
        return;
    }
    vips_block_untrusted_set(TRUE);
    vips_operation_block_set("VipsForeignLoadSvg", FALSE);
    vips_cache_set_max(0);
    vips_concurrency_set(1);
    g_log_set_handler("VIPS", G_LOG_LEVEL_WARNING, hs_vips_silence, NULL);
}

hs_status hs_vips_setup(hs_error *err) {
    pthread_once(&hs_vips_once, hs_vips_start);
    if (hs_vips_result.code != HS_OK)
        return hs_fail(err, hs_vips_result.code, "%s", hs_vips_result.message);
    return HS_OK;
}

hs_status hs_vips_fail(hs_error *err, hs_status code, const char *format, ...) {
    char what[400], why[400];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    char *text = vips_error_buffer_copy(); /* and clears it */
    snprintf(why, sizeof why, "%s", text ? text : "");
    g_free(text);
    why[strcspn(why, "\r\n")] = '\0';
    return hs_fail(err, code, "%s: %s", what, *why ? why : "libvips gives no reason");
}
