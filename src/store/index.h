/*
 * The sample index (docs/FORMATS.md): which seeds were scored, by whom, how.
 *
 *   index.c         opening, the schema, the recipe, sources
 *   index_claims.c  seeds handed out to processes, finished batches
 *   index_scores.c  scores out of it, labels into it, what is in it
 *
 * A batch of seeds is claimed in one transaction and its scores added in
 * another, so a process that dies loses at most its batch; a claim names its
 * process, and one whose process is gone is void.
 */
#ifndef HS_STORE_INDEX_H
#define HS_STORE_INDEX_H

#include "base/mem.h"
#include "store/database.h"

#define HS_INDEX_APPLICATION 0x68734978 /* "hsIx", SQLite's application_id */
#define HS_INDEX_VERSION 1              /* SQLite's user_version */

struct hs_index {
    hs_database database;
    hs_arena arena;  /* path, and the strings of what getters gave */
    char owner[200]; /* this process, as claims name it */
};

/* "host boot pid start" of this process, and whether one so named may be alive. */
void hs_index_owner(char owner[200]);
bool hs_index_owner_alive(const char *owner, const char *self);

#endif
