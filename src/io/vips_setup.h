/*
 * libvips, started once for the process. Whoever calls libvips calls
 * hs_vips_setup first.
 *
 * What it changes is process-wide, and so concerns a host program that uses
 * libvips too: loaders that libvips calls untrusted are blocked (except SVG,
 * by which figures are rendered; files are never opened by it, see image.h),
 * the operation cache is off, each pipeline runs on one thread, and libvips'
 * warnings are not printed. libvips is never shut down.
 */
#ifndef HS_IO_VIPS_SETUP_H
#define HS_IO_VIPS_SETUP_H

#include "base/error.h"

/* Thread-safe; the first call does the work, each returns what it came to. */
hs_status hs_vips_setup(hs_error *err);

/* Fail with "what: " and the first line of what libvips says, and forget that.
 * libvips keeps one message for the whole process: calls that fail at once in
 * two threads may swap theirs. */
hs_status hs_vips_fail(hs_error *err, hs_status code, const char *format, ...) HS_PRINTF(3, 4);

#endif
