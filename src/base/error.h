/* Errors: how every function of the library fails. */
#ifndef HS_BASE_ERROR_H
#define HS_BASE_ERROR_H

#include "hspace.h"

/* Fill `err` (which may be NULL) and return `code`: `return hs_fail(err, ...)`. */
hs_status hs_fail(hs_error *err, hs_status code, const char *format, ...) HS_PRINTF(3, 4);

/* Put "prefix: " before the message of an error that is passed on. */
hs_status hs_fail_prefix(hs_error *err, hs_status code, const char *format, ...) HS_PRINTF(3, 4);

/* HS_ERROR_MEMORY with the number of bytes that could not be had. */
hs_status hs_fail_memory(hs_error *err, size_t bytes);

/* Tell the monitor one line, if it listens. */
void hs_notice(const hs_monitor *monitor, const char *format, ...) HS_PRINTF(2, 3);

/* Report progress; HS_ERROR_CANCELLED in `err` if the caller asked to stop. */
hs_status hs_progress(const hs_monitor *monitor, const char *phase, double done, double total,
                      hs_error *err);

#define HS_TRY(call)                                                                               \
    do {                                                                                           \
        hs_status hs_try_status_ = (call);                                                         \
        if (hs_try_status_ != HS_OK)                                                               \
            return hs_try_status_;                                                                 \
    } while (0)

/* For functions with one exit: `status` and the label `cleanup` must exist. */
#define HS_CHECK(call)                                                                             \
    do {                                                                                           \
        status = (call);                                                                           \
        if (status != HS_OK)                                                                       \
            goto cleanup;                                                                          \
    } while (0)

#endif
