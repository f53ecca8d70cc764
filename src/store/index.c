/* See index.h. */
#include "store/index.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/file.h"

/* How long another process's transaction is waited for; they are all short. */
#define HS_INDEX_BUSY_MS 60000

static const char hs_index_schema[] =
    "CREATE TABLE recipe (id INTEGER PRIMARY KEY CHECK (id = 1), model TEXT NOT NULL,"
    " name TEXT NOT NULL, steps INTEGER NOT NULL, eta TEXT NOT NULL, z_seed INTEGER NOT NULL,"
    " clip INTEGER NOT NULL, h_space TEXT NOT NULL);"
    "CREATE TABLE source (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL,"
    " fingerprint TEXT NOT NULL UNIQUE);"
    "CREATE TABLE attribute (id INTEGER PRIMARY KEY, source INTEGER NOT NULL REFERENCES source,"
    " name TEXT NOT NULL, UNIQUE (source, name));"
    "CREATE TABLE sample (source INTEGER NOT NULL REFERENCES source, seed INTEGER NOT NULL,"
    " PRIMARY KEY (source, seed)) WITHOUT ROWID;"
    "CREATE TABLE score (attribute INTEGER NOT NULL REFERENCES attribute, seed INTEGER NOT NULL,"
    " value REAL NOT NULL, PRIMARY KEY (attribute, seed)) WITHOUT ROWID;"
    "CREATE TABLE claim (source INTEGER NOT NULL REFERENCES source, seed INTEGER NOT NULL,"
    " owner TEXT NOT NULL, PRIMARY KEY (source, seed)) WITHOUT ROWID;";

/* --------------------------------------------------------------- opening -- */

/* Make the tables of a new file; two processes may try at once. */
static hs_status hs_index_make(hs_index *index, hs_error *err) {
    const hs_database *database = &index->database;
    char sql[128];
    int64_t tables = 0;
    HS_TRY(hs_database_run(database, "BEGIN IMMEDIATE", err));
    hs_status status =
        hs_database_number(database, "SELECT count(*) FROM sqlite_schema", 0, &tables, err);
    if (status == HS_OK && !tables) {
        snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %d",
                 HS_INDEX_APPLICATION, HS_INDEX_VERSION);
        status = hs_database_run(database, hs_index_schema, err);
        if (status == HS_OK)
            status = hs_database_run(database, sql, err);
    }
    return hs_database_end(database, status, err);
}

static hs_status hs_index_connect(hs_index *index, const char *file, bool create, hs_error *err) {
    int flags = SQLITE_OPEN_READWRITE | (create ? SQLITE_OPEN_CREATE : 0);
    if (sqlite3_open_v2(file, &index->database.db, flags, NULL) != SQLITE_OK)
        return hs_fail(err, HS_ERROR_IO, "%s: cannot be opened: %s", index->database.path,
                       index->database.db ? sqlite3_errmsg(index->database.db) : "memory");
    sqlite3_busy_timeout(index->database.db, HS_INDEX_BUSY_MS);
    return HS_OK;
}

/* The tables of an index in `file`, which nobody else knows yet. */
static hs_status hs_index_fill(const char *path, const char *file, hs_error *err) {
    hs_index fresh = {.database.path = path};
    hs_status status = hs_index_connect(&fresh, file, false, err);
    if (status == HS_OK)
        status = hs_database_run(&fresh.database, "PRAGMA journal_mode = WAL", err);
    if (status == HS_OK)
        status = hs_index_make(&fresh, err);
    if (sqlite3_close(fresh.database.db) != SQLITE_OK && status == HS_OK)
        status = hs_fail(err, HS_ERROR_IO, "%s: the new index could not be closed", path);
    return status;
}

/*
 * A new index appears under its name with all its tables, so that a process that
 * is killed meanwhile leaves none, and nobody ever reads half of one. Of two
 * processes that try at once the first one's stays. Where a file has one name
 * alone (no hard links), the tables are made in place by hs_index_check.
 */
static hs_status hs_index_create(const char *path, hs_error *err) {
    hs_atomic file;
    HS_TRY(hs_atomic_open(&file, path, err));
    hs_status status = file.temporary ? hs_index_fill(path, file.temporary, err) : HS_OK;
    if (status == HS_OK && file.temporary && link(file.temporary, file.path) != 0) {
        /* Somebody's is there, or links are not: see above. */
    }
    hs_atomic_abort(&file);
    return status;
}

static hs_status hs_index_check(hs_index *index, bool create, hs_error *err) {
    const hs_database *database = &index->database;
    int64_t tables, application, version;
    HS_TRY(hs_database_number(database, "SELECT count(*) FROM sqlite_schema", 0, &tables, err));
    if (!tables && create) {
        HS_TRY(hs_database_run(database, "PRAGMA journal_mode = WAL", err));
        HS_TRY(hs_index_make(index, err));
    }
    HS_TRY(hs_database_number(database, "PRAGMA application_id", 0, &application, err));
    HS_TRY(hs_database_number(database, "PRAGMA user_version", 0, &version, err));
    if (application != HS_INDEX_APPLICATION)
        return hs_fail(err, HS_ERROR_FORMAT, "%s: a database, but not an index of hspace",
                       database->path);
    if (version != HS_INDEX_VERSION)
        return hs_fail(err, HS_ERROR_UNSUPPORTED,
                       "%s: an index of version %lld, expected %d (written by a newer hspace?)",
                       database->path, (long long)version, HS_INDEX_VERSION);
    /* Foreign keys guard against our own mistakes; a full sync a transaction
     * is cheap beside the images that went into it. */
    return hs_database_run(database, "PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL", err);
}

hs_status hs_index_open(const char *path, bool create, hs_index **out, hs_error *err) {
    hs_status status = HS_OK;
    hs_index *index = hs_calloc(1, sizeof *index);
    char *copy = index ? hs_arena_strdup(&index->arena, path) : NULL;
    if (!copy) {
        free(index);
        return hs_fail_memory(err, strlen(path) + 1);
    }
    index->database.path = copy;
    hs_index_owner(index->owner);
    if (!create && access(path, R_OK) != 0) {
        status = hs_fail(err, HS_ERROR_IO, "%s: there is no index that can be read", path);
        goto cleanup;
    }
    if (create && access(path, F_OK) != 0)
        HS_CHECK(hs_index_create(path, err));
    HS_CHECK(hs_index_connect(index, path, create, err));
    HS_CHECK(hs_index_check(index, create, err));
    *out = index;
    index = NULL;
cleanup:
    hs_index_free(index);
    return status;
}

void hs_index_free(hs_index *index) {
    if (!index)
        return;
    sqlite3_close(index->database.db);
    hs_arena_free(&index->arena);
    free(index);
}

/* ---------------------------------------------------------------- recipe -- */

/* eta [T] as JSON text, one number where all are the same; free() it. */
static char *hs_index_eta_text(const hs_index_recipe *recipe) {
    json_t *list = json_array();
    bool same = true;
    for (int i = 0; i < recipe->eta_count; i++) {
        same = same && recipe->eta[i] == recipe->eta[0];
        json_array_append_new(list, json_real(recipe->eta[i]));
    }
    if (same && recipe->eta_count > 1)
        while (json_array_size(list) > 1)
            json_array_remove(list, 1);
    char *text = json_dumps(list, JSON_COMPACT);
    json_decref(list);
    return text;
}

static hs_status hs_index_eta_parse(hs_index *index, const char *text, hs_index_recipe *out,
                                    hs_error *err) {
    json_t *list = text ? json_loads(text, 0, NULL) : NULL;
    size_t count = json_array_size(list);
    double *eta = hs_arena_alloc(&index->arena, count + 1, sizeof *eta);
    if (!eta || !count || count > 1000000) {
        json_decref(list);
        return hs_fail(err, HS_ERROR_FORMAT, "%s: its recipe's eta is \"%.60s\"",
                       index->database.path, text ? text : "");
    }
    for (size_t i = 0; i < count; i++)
        eta[i] = json_number_value(json_array_get(list, i));
    json_decref(list);
    out->eta = eta;
    out->eta_count = (int)count;
    return HS_OK;
}

static const char *hs_column_text(hs_index *index, sqlite3_stmt *statement, int column) {
    const char *text = (const char *)sqlite3_column_text(statement, column);
    return hs_arena_strdup(&index->arena, text ? text : "");
}

hs_status hs_index_recipe_get(hs_index *index, hs_index_recipe *out, bool *any, hs_error *err) {
    hs_status status;
    sqlite3_stmt *statement = NULL;
    hs_index_recipe recipe = {0};
    HS_CHECK(hs_database_prepare(
        &index->database, "SELECT model, name, steps, eta, z_seed, clip, h_space FROM recipe",
        &statement, err));
    HS_CHECK(hs_database_step(&index->database, statement, any, err));
    if (!*any)
        goto cleanup;
    recipe.model = hs_column_text(index, statement, 0);
    recipe.name = hs_column_text(index, statement, 1);
    recipe.steps = sqlite3_column_int(statement, 2);
    recipe.z_seed = sqlite3_column_int64(statement, 4);
    recipe.clip = sqlite3_column_int(statement, 5) != 0;
    recipe.h_space = hs_column_text(index, statement, 6);
    if (!recipe.model || !recipe.name || !recipe.h_space) {
        status = hs_fail_memory(err, 64);
        goto cleanup;
    }
    HS_CHECK(
        hs_index_eta_parse(index, (const char *)sqlite3_column_text(statement, 3), &recipe, err));
    *out = recipe;
cleanup:
    sqlite3_finalize(statement);
    return status;
}

/* HS_ERROR_MISMATCH unless both recipes make the same images. */
static hs_status hs_index_compare(const hs_index *index, const hs_index_recipe *has,
                                  const hs_index_recipe *given, hs_error *err) {
    const char *path = index->database.path;
    if (strcmp(has->model, given->model) != 0)
        return hs_fail(err, HS_ERROR_MISMATCH,
                       "%s: its samples are of another model, %.100s (fingerprint %.32s), not of "
                       "%.100s (%.32s)",
                       path, has->name, has->model, given->name, given->model);
    if (has->steps != given->steps)
        return hs_fail(err, HS_ERROR_MISMATCH, "%s: its samples have %d steps, not %d", path,
                       has->steps, given->steps);
    char *a = hs_index_eta_text(has), *b = hs_index_eta_text(given);
    hs_status status = HS_OK;
    if (!a || !b)
        status = hs_fail_memory(err, 64);
    else if (strcmp(a, b) != 0)
        status = hs_fail(err, HS_ERROR_MISMATCH, "%s: its samples have eta %.60s, not %.60s", path,
                         a, b);
    free(b);
    free(a);
    if (status == HS_OK && has->z_seed != given->z_seed)
        return hs_fail(err, HS_ERROR_MISMATCH, "%s: its samples have another --z-seed", path);
    if (status == HS_OK && has->clip != given->clip)
        return hs_fail(err, HS_ERROR_MISMATCH, "%s: its samples were made %s --clip", path,
                       has->clip ? "with" : "without");
    return status;
}

static hs_status hs_index_recipe_put(hs_index *index, const hs_index_recipe *recipe,
                                     hs_error *err) {
    hs_status status;
    sqlite3_stmt *statement = NULL;
    char *eta = hs_index_eta_text(recipe);
    if (!eta)
        return hs_fail_memory(err, 64);
    HS_CHECK(hs_database_prepare(
        &index->database, "INSERT INTO recipe VALUES (1, ?, ?, ?, ?, ?, ?, ?)", &statement, err));
    sqlite3_bind_text(statement, 1, recipe->model, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 2, recipe->name, -1, SQLITE_STATIC);
    sqlite3_bind_int(statement, 3, recipe->steps);
    sqlite3_bind_text(statement, 4, eta, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 5, recipe->z_seed);
    sqlite3_bind_int(statement, 6, recipe->clip);
    sqlite3_bind_text(statement, 7, recipe->h_space, -1, SQLITE_STATIC);
    HS_CHECK(hs_database_done(&index->database, statement, err));
cleanup:
    sqlite3_finalize(statement);
    free(eta);
    return status;
}

hs_status hs_index_bind(hs_index *index, const hs_index_recipe *recipe, hs_error *err) {
    hs_index_recipe has;
    bool any = false;
    HS_TRY(hs_database_run(&index->database, "BEGIN IMMEDIATE", err));
    hs_status status = hs_index_recipe_get(index, &has, &any, err);
    if (status == HS_OK)
        status = any ? hs_index_compare(index, &has, recipe, err)
                     : hs_index_recipe_put(index, recipe, err);
    return hs_database_end(&index->database, status, err);
}

/* --------------------------------------------------------------- sources -- */

static hs_status hs_index_add_attributes(hs_index *index, int64_t source, const char *const *names,
                                         int count, hs_error *err) {
    hs_status status;
    sqlite3_stmt *statement = NULL;
    HS_CHECK(hs_database_prepare(&index->database,
                                 "INSERT OR IGNORE INTO attribute (source, name) VALUES (?, ?)",
                                 &statement, err));
    for (int i = 0; i < count; i++) {
        sqlite3_bind_int64(statement, 1, source);
        sqlite3_bind_text(statement, 2, names[i], -1, SQLITE_STATIC);
        HS_CHECK(hs_database_done(&index->database, statement, err));
    }
cleanup:
    sqlite3_finalize(statement);
    return status;
}

static hs_status hs_index_source_id(hs_index *index, const char *kind, const char *name,
                                    const char *fingerprint, int64_t *out, hs_error *err) {
    hs_status status;
    sqlite3_stmt *insert = NULL, *find = NULL;
    bool row = false;
    HS_CHECK(hs_database_prepare(
        &index->database, "INSERT OR IGNORE INTO source (kind, name, fingerprint) VALUES (?, ?, ?)",
        &insert, err));
    sqlite3_bind_text(insert, 1, kind, -1, SQLITE_STATIC);
    sqlite3_bind_text(insert, 2, name, -1, SQLITE_STATIC);
    sqlite3_bind_text(insert, 3, fingerprint, -1, SQLITE_STATIC);
    HS_CHECK(hs_database_done(&index->database, insert, err));
    HS_CHECK(hs_database_prepare(&index->database, "SELECT id FROM source WHERE fingerprint = ?",
                                 &find, err));
    sqlite3_bind_text(find, 1, fingerprint, -1, SQLITE_STATIC);
    HS_CHECK(hs_database_step(&index->database, find, &row, err));
    *out = sqlite3_column_int64(find, 0);
cleanup:
    sqlite3_finalize(find);
    sqlite3_finalize(insert);
    return status;
}

hs_status hs_index_source(hs_index *index, const char *kind, const char *name,
                          const char *fingerprint, const char *const *attributes, int count,
                          int64_t *source, hs_error *err) {
    HS_TRY(hs_database_run(&index->database, "BEGIN IMMEDIATE", err));
    hs_status status = hs_index_source_id(index, kind, name, fingerprint, source, err);
    if (status == HS_OK)
        status = hs_index_add_attributes(index, *source, attributes, count, err);
    return hs_database_end(&index->database, status, err);
}
