/*
 * Seeds handed out, and batches that are done. A claim is a row that names its
 * process by host, boot, pid and start time: pids are used again, starts are
 * not. A claim of this host whose process is gone is void at once; one of
 * another host (an index on a shared disk) is kept, for nobody here can know.
 */
#include "store/index.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---------------------------------------------------------------- owners -- */

/* The start time of a process in clock ticks since the boot; 0: there is none. */
static unsigned long long hs_process_start(long pid) {
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = '\0';
    /* Field 2 is the name in brackets, which may hold anything. */
    char *at = strrchr(text, ')');
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    return at ? strtoull(at + 1, NULL, 10) : 0;
}

/* "host boot": a word each. */
static void hs_machine(char machine[140]) {
    char host[65] = "", boot[40] = "";
    gethostname(host, sizeof host - 1);
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "r");
    if (file && !fgets(boot, sizeof boot, file))
        *boot = '\0';
    if (file)
        fclose(file);
    boot[strcspn(boot, "\n")] = '\0';
    for (char *p = host; *p; p++)
        if (isspace((unsigned char)*p))
            *p = '_';
    snprintf(machine, 140, "%s %s", *host ? host : "-", *boot ? boot : "-");
}

void hs_index_owner(char owner[200]) {
    char machine[140];
    long pid = getpid();
    hs_machine(machine);
    snprintf(owner, 200, "%s %ld %llu", machine, pid, hs_process_start(pid));
}

bool hs_index_owner_alive(const char *owner, const char *self) {
    char host[70], boot[50], own_host[70], own_boot[50];
    long pid;
    unsigned long long start;
    if (!strcmp(owner, self))
        return true;
    if (sscanf(owner, "%69s %49s %ld %llu", host, boot, &pid, &start) != 4)
        return false; /* not one of ours */
    if (sscanf(self, "%69s %49s", own_host, own_boot) != 2 || strcmp(host, own_host) != 0)
        return true;
    if (strcmp(boot, own_boot) != 0)
        return false;
    if (kill((pid_t)pid, 0) != 0 && errno == ESRCH)
        return false;
    unsigned long long now = hs_process_start(pid);
    return !now || !start || now == start;
}

/* ---------------------------------------------------------------- claims -- */

static hs_status hs_index_delete_claims(hs_index *index, const char *owner, hs_error *err) {
    sqlite3_stmt *statement = NULL;
    HS_TRY(hs_database_prepare(&index->database, "DELETE FROM claim WHERE owner = ?", &statement,
                               err));
    sqlite3_bind_text(statement, 1, owner, -1, SQLITE_TRANSIENT);
    hs_status status = hs_database_done(&index->database, statement, err);
    sqlite3_finalize(statement);
    return status;
}

/* Inside a transaction: the claims of processes that are gone. */
static hs_status hs_index_void_claims(hs_index *index, hs_error *err) {
    hs_status status;
    sqlite3_stmt *owners = NULL;
    bool row = true;
    HS_CHECK(
        hs_database_prepare(&index->database, "SELECT DISTINCT owner FROM claim", &owners, err));
    while (row) {
        HS_CHECK(hs_database_step(&index->database, owners, &row, err));
        const char *owner = row ? (const char *)sqlite3_column_text(owners, 0) : NULL;
        if (owner && !hs_index_owner_alive(owner, index->owner))
            HS_CHECK(hs_index_delete_claims(index, owner, err));
    }
cleanup:
    sqlite3_finalize(owners);
    return status;
}

/* The first `limit` seeds of first ... first + n - 1 that nobody has. */
static hs_status hs_index_find_seeds(hs_index *index, int64_t source, int64_t first, int64_t n,
                                     int limit, int64_t *seeds, int *count, int64_t *busy,
                                     hs_error *err) {
    hs_status status;
    sqlite3_stmt *taken = NULL;
    bool row = true;
    int64_t next = first, end = first + n;
    *count = 0;
    *busy = 0;
    HS_CHECK(hs_database_prepare(
        &index->database,
        "SELECT seed, 0 FROM sample WHERE source = ?1 AND seed >= ?2 AND seed < ?3 UNION ALL "
        "SELECT seed, 1 FROM claim WHERE source = ?1 AND seed >= ?2 AND seed < ?3 ORDER BY 1",
        &taken, err));
    sqlite3_bind_int64(taken, 1, source);
    sqlite3_bind_int64(taken, 2, first);
    sqlite3_bind_int64(taken, 3, end);
    while (row) {
        HS_CHECK(hs_database_step(&index->database, taken, &row, err));
        int64_t seed = row ? sqlite3_column_int64(taken, 0) : end;
        while (next < seed && *count < limit)
            seeds[(*count)++] = next++;
        if (row && sqlite3_column_int(taken, 1))
            (*busy)++;
        if (next <= seed && *count < limit)
            next = seed + 1;
    }
cleanup:
    sqlite3_finalize(taken);
    return status;
}

static hs_status hs_index_insert_claims(hs_index *index, int64_t source, const int64_t *seeds,
                                        int count, hs_error *err) {
    hs_status status;
    sqlite3_stmt *statement = NULL;
    HS_CHECK(hs_database_prepare(&index->database, "INSERT INTO claim VALUES (?, ?, ?)", &statement,
                                 err));
    for (int i = 0; i < count; i++) {
        sqlite3_bind_int64(statement, 1, source);
        sqlite3_bind_int64(statement, 2, seeds[i]);
        sqlite3_bind_text(statement, 3, index->owner, -1, SQLITE_STATIC);
        HS_CHECK(hs_database_done(&index->database, statement, err));
    }
cleanup:
    sqlite3_finalize(statement);
    return status;
}

hs_status hs_index_claim(hs_index *index, int64_t source, int64_t first, int64_t n, int limit,
                         int64_t *seeds, int *count, int64_t *busy, hs_error *err) {
    if (n < 1 || limit < 1 || first < 0 || first > INT64_MAX - n)
        return hs_fail(err, HS_ERROR_ARGUMENT, "%lld seeds from %lld, %d at once", (long long)n,
                       (long long)first, limit);
    HS_TRY(hs_database_run(&index->database, "BEGIN IMMEDIATE", err));
    hs_status status = hs_index_void_claims(index, err);
    if (status == HS_OK)
        status = hs_index_find_seeds(index, source, first, n, limit, seeds, count, busy, err);
    if (status == HS_OK)
        status = hs_index_insert_claims(index, source, seeds, *count, err);
    return hs_database_end(&index->database, status, err);
}

hs_status hs_index_release(hs_index *index, hs_error *err) {
    return hs_index_delete_claims(index, index->owner, err);
}

/* --------------------------------------------------------------- batches -- */

/* The ids of a source's attributes, in the order of `names`. */
static hs_status hs_index_attribute_ids(hs_index *index, int64_t source, const char *const *names,
                                        int count, int64_t *ids, hs_error *err) {
    hs_status status;
    sqlite3_stmt *find = NULL;
    HS_CHECK(hs_database_prepare(
        &index->database, "SELECT id FROM attribute WHERE source = ? AND name = ?", &find, err));
    for (int a = 0; a < count; a++) {
        bool row;
        sqlite3_bind_int64(find, 1, source);
        sqlite3_bind_text(find, 2, names[a], -1, SQLITE_STATIC);
        HS_CHECK(hs_database_step(&index->database, find, &row, err));
        if (!row) {
            status = hs_fail(err, HS_ERROR_ARGUMENT, "%s: this source has no attribute '%.60s'",
                             index->database.path, names[a]);
            goto cleanup;
        }
        ids[a] = sqlite3_column_int64(find, 0);
        sqlite3_reset(find);
    }
cleanup:
    sqlite3_finalize(find);
    return status;
}

/* One row of scores, NAN left out. */
static hs_status hs_index_put_row(hs_index *index, sqlite3_stmt *sample, sqlite3_stmt *score,
                                  int64_t source, int64_t seed, const int64_t *ids, int count,
                                  const double *values, hs_error *err) {
    sqlite3_bind_int64(sample, 1, source);
    sqlite3_bind_int64(sample, 2, seed);
    HS_TRY(hs_database_done(&index->database, sample, err));
    for (int a = 0; a < count; a++) {
        if (values[a] != values[a])
            continue;
        sqlite3_bind_int64(score, 1, ids[a]);
        sqlite3_bind_int64(score, 2, seed);
        sqlite3_bind_double(score, 3, values[a]);
        HS_TRY(hs_database_done(&index->database, score, err));
    }
    return HS_OK;
}

static hs_status hs_index_put_rows(hs_index *index, int64_t source, int n, const int64_t *seeds,
                                   const int64_t *ids, int count, const double *values,
                                   hs_error *err) {
    hs_status status;
    sqlite3_stmt *sample = NULL, *score = NULL, *unclaim = NULL;
    const hs_database *database = &index->database;
    HS_CHECK(
        hs_database_prepare(database, "INSERT OR IGNORE INTO sample VALUES (?, ?)", &sample, err));
    HS_CHECK(hs_database_prepare(database, "INSERT OR REPLACE INTO score VALUES (?, ?, ?)", &score,
                                 err));
    HS_CHECK(hs_database_prepare(database, "DELETE FROM claim WHERE source = ? AND seed = ?",
                                 &unclaim, err));
    for (int i = 0; i < n; i++) {
        HS_CHECK(hs_index_put_row(index, sample, score, source, seeds[i], ids, count,
                                  values + (size_t)i * (size_t)count, err));
        sqlite3_bind_int64(unclaim, 1, source);
        sqlite3_bind_int64(unclaim, 2, seeds[i]);
        HS_CHECK(hs_database_done(database, unclaim, err));
    }
cleanup:
    sqlite3_finalize(unclaim);
    sqlite3_finalize(score);
    sqlite3_finalize(sample);
    return status;
}

hs_status hs_index_add(hs_index *index, int64_t source, int n, const int64_t *seeds,
                       const char *const *attributes, int count, const double *values,
                       hs_error *err) {
    hs_status status;
    int64_t *ids = hs_calloc((size_t)count + 1, sizeof *ids);
    if (!ids)
        return hs_fail_memory(err, (size_t)count * sizeof *ids);
    HS_CHECK(hs_database_run(&index->database, "BEGIN IMMEDIATE", err));
    status = hs_index_attribute_ids(index, source, attributes, count, ids, err);
    if (status == HS_OK)
        status = hs_index_put_rows(index, source, n, seeds, ids, count, values, err);
    status = hs_database_end(&index->database, status, err);
cleanup:
    free(ids);
    return status;
}
