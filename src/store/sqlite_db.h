/*
 * sqlite_db.h: a SQLite file as a store: opened, known for ours, brought to this version's schema; transactions;
 * statements.
 *
 * One server to a file: an flock on it, held as long as it is open, ends with the process whatever ends that. The
 * file's own descriptor is closed after SQLite has closed its: before, that would drop SQLite's locks (they belong to
 * the process).
 *
 * A schema is a number (user_version). A step to the next one adds what the version before need not know of, and says
 * from which version on programs can use the file: one that finds a newer schema goes on where it may, and refuses
 * where not.
 *
 * Owns: the connection, the lock. Runs in: the store's thread. Fails: words that name the file.
 */
#ifndef CRESCENT_STORE_SQLITE_DB_H
#define CRESCENT_STORE_SQLITE_DB_H

#include "store/driver.h"
#include <sqlite3.h>

/* The statements of store/sqlite_kv.c and of transactions, prepared once. */
enum sqlite_db_statement {
    SQLITE_DB_GET,
    SQLITE_DB_PUT,
    SQLITE_DB_UPDATE,
    SQLITE_DB_DROP,
    SQLITE_DB_LIST,
    SQLITE_DB_RECALL,
    SQLITE_DB_KEEP,
    SQLITE_DB_SWEEP,
    SQLITE_DB_FORGET,
    SQLITE_DB_STALE_KV,
    SQLITE_DB_STALE_CALLS,
    SQLITE_DB_BEGIN,
    SQLITE_DB_BEGIN_CHANGES,
    SQLITE_DB_COMMIT,
    SQLITE_DB_STATEMENTS
};

struct store_db *sqlite_db_open(const struct store_place *place, struct error *err);
void sqlite_db_close(struct store_db **db);
bool sqlite_db_sound(const struct store_db *db);
/* See driver.h: others may read or change its files. */
void sqlite_db_advise(const struct store_db *db, struct buf *words);
int sqlite_db_begin(struct store_db *db, bool changes, struct error *err);
/* Also that the file which was written is still the one at its path: what a name no longer leads to is not durable. */
int sqlite_db_commit(struct store_db *db, struct error *err);
/* Waits for the disk until all that was committed before is on it. On any thread, see driver.h. */
int sqlite_db_sync(struct store_db *db, struct error *err);
/* Whether the file is still the one at its path: 0, or -1, and it is not sound any more. */
int sqlite_db_there(struct store_db *db, struct error *err);
void sqlite_db_rollback(struct store_db *db);

/* Ready to be bound; valid until the next call for the same one. */
sqlite3_stmt *sqlite_db_statement(struct store_db *db, enum sqlite_db_statement which);
/* One step: SQLITE_ROW or SQLITE_DONE; else -1 with words. */
int sqlite_db_step(struct store_db *db, sqlite3_stmt *statement, struct error *err);
/* How many rows the last one changed. */
int sqlite_db_changed(struct store_db *db);

#endif
