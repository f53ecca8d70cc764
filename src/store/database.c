/* See database.h. */
#include "store/database.h"

hs_status hs_database_fail(const hs_database *database, hs_error *err) {
    int code = sqlite3_errcode(database->db) & 0xff;
    bool damaged = code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
    if (code == SQLITE_NOMEM)
        return hs_fail_memory(err, 0);
    if (code == SQLITE_BUSY)
        return hs_fail(err, HS_ERROR_IO, "%s: another process has kept it locked for too long",
                       database->path);
    return hs_fail(err, damaged ? HS_ERROR_FORMAT : HS_ERROR_IO, "%s: %s: %s", database->path,
                   damaged ? "not an index, or a damaged one" : "the index failed",
                   sqlite3_errmsg(database->db));
}

hs_status hs_database_run(const hs_database *database, const char *sql, hs_error *err) {
    return sqlite3_exec(database->db, sql, NULL, NULL, NULL) == SQLITE_OK
               ? HS_OK
               : hs_database_fail(database, err);
}

hs_status hs_database_prepare(const hs_database *database, const char *sql, sqlite3_stmt **out,
                              hs_error *err) {
    return sqlite3_prepare_v2(database->db, sql, -1, out, NULL) == SQLITE_OK
               ? HS_OK
               : hs_database_fail(database, err);
}

hs_status hs_database_step(const hs_database *database, sqlite3_stmt *statement, bool *row,
                           hs_error *err) {
    int code = sqlite3_step(statement);
    *row = code == SQLITE_ROW;
    return *row || code == SQLITE_DONE ? HS_OK : hs_database_fail(database, err);
}

hs_status hs_database_done(const hs_database *database, sqlite3_stmt *statement, hs_error *err) {
    hs_status status = HS_OK;
    if (sqlite3_step(statement) != SQLITE_DONE)
        status = hs_database_fail(database, err);
    sqlite3_reset(statement);
    return status;
}

hs_status hs_database_number(const hs_database *database, const char *sql, int64_t otherwise,
                             int64_t *out, hs_error *err) {
    sqlite3_stmt *statement = NULL;
    bool row = false;
    HS_TRY(hs_database_prepare(database, sql, &statement, err));
    hs_status status = hs_database_step(database, statement, &row, err);
    if (status == HS_OK)
        *out = row ? sqlite3_column_int64(statement, 0) : otherwise;
    sqlite3_finalize(statement);
    return status;
}

hs_status hs_database_end(const hs_database *database, hs_status status, hs_error *err) {
    if (status == HS_OK)
        status = hs_database_run(database, "COMMIT", err);
    if (status != HS_OK && !sqlite3_get_autocommit(database->db))
        sqlite3_exec(database->db, "ROLLBACK", NULL, NULL, NULL); /* the error is told already */
    return status;
}
