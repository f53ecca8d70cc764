/* SQLite as the index uses it: statements that bind and fail in one line each. */
#ifndef HS_STORE_DATABASE_H
#define HS_STORE_DATABASE_H

#include <sqlite3.h>

#include "base/error.h"

typedef struct hs_database {
    sqlite3 *db;
    const char *path; /* for messages */
} hs_database;

/* HS_ERROR_FORMAT for a damaged file, HS_ERROR_IO for the rest, with SQLite's
 * own words. */
hs_status hs_database_fail(const hs_database *database, hs_error *err);

/* Statements without results, one or several. */
hs_status hs_database_run(const hs_database *database, const char *sql, hs_error *err);
hs_status hs_database_prepare(const hs_database *database, const char *sql, sqlite3_stmt **out,
                              hs_error *err);
/* One step of a statement: *row is whether it gave a row. */
hs_status hs_database_step(const hs_database *database, sqlite3_stmt *statement, bool *row,
                           hs_error *err);
/* Step a statement that gives none, and make it ready for other values. */
hs_status hs_database_done(const hs_database *database, sqlite3_stmt *statement, hs_error *err);
/* The one number that a query gives; `otherwise` where it gives no row. */
hs_status hs_database_number(const hs_database *database, const char *sql, int64_t otherwise,
                             int64_t *out, hs_error *err);
/* End the transaction: commit where `status` is HS_OK, else roll back. Returns
 * `status`, or the commit's. */
hs_status hs_database_end(const hs_database *database, hs_status status, hs_error *err);

#endif
