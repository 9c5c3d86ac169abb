/*
 * sqlite_schema.h: what makes a SQLite file a store of ours: pragmas, application_id, the schema's steps.
 * Owns nothing. Runs in: the store's thread. Fails: words that name the file; a file that is not ours is left as it is.
 */
#ifndef CRESCENT_STORE_SQLITE_SCHEMA_H
#define CRESCENT_STORE_SQLITE_SCHEMA_H

#include "base/error.h"
#include <sqlite3.h>
#include <stdbool.h>

#define SQLITE_SCHEMA_VERSION 1
#define SQLITE_SCHEMA_APPLICATION 0x43524553 /* "CRES" */

/* suspect: what the log holds is in memory, perhaps, and not on the disk: it is brought into the file first, or this
 * fails. */
int sqlite_schema_open(sqlite3 *db, const char *path, bool suspect, struct error *err);

#endif
