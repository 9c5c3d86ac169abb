/*
 * sqlite_db.c: see sqlite_db.h. From here on in the order of time: the file, the connection, the schema, transactions.
 */
#include "store/sqlite_db.h"
#include "base/fd.h"
#include "base/panic.h"
#include "store/sqlite_file.h"
#include "store/sqlite_schema.h"
#include <pthread.h>
#include <stdlib.h>

#define BUSY_MS 3000 /* for somebody who looks at, or changes, the file by hand: less than callers wait */

struct store_db {
    sqlite3 *sqlite;
    struct sqlite_file file;
    bool sound, moved;
    sqlite3_stmt *statements[SQLITE_DB_STATEMENTS];
};

static const char *const texts[SQLITE_DB_STATEMENTS] = {
    [SQLITE_DB_GET] = "SELECT kind, value, expires FROM kv WHERE bucket = ?1 AND key = ?2",
    [SQLITE_DB_PUT] =
        "INSERT INTO kv (bucket, key, kind, value, expires) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (bucket, key)"
        " DO UPDATE SET kind = excluded.kind, value = excluded.value, expires = excluded.expires",
    /* The usual set, of a key that is there and has no time to live: the index of those is neither read nor written. */
    [SQLITE_DB_UPDATE] = "UPDATE kv SET kind = ?3, value = ?4 WHERE bucket = ?1 AND key = ?2 AND expires IS NULL",
    [SQLITE_DB_DROP] = "DELETE FROM kv WHERE bucket = ?1 AND key = ?2",
    [SQLITE_DB_LIST] = "SELECT key FROM kv WHERE bucket = ?1 AND key >= ?2 AND key > ?3 AND (?4 IS NULL OR key < ?4)"
                       " AND (expires IS NULL OR expires > ?5) ORDER BY key LIMIT ?6",
    [SQLITE_DB_RECALL] = "SELECT answer FROM calls WHERE id = ?1",
    [SQLITE_DB_KEEP] = "INSERT OR REPLACE INTO calls (id, done, answer) VALUES (?1, ?2, ?3)",
    [SQLITE_DB_SWEEP] =
        "DELETE FROM kv WHERE rowid IN (SELECT rowid FROM kv WHERE expires <= ?1 ORDER BY expires LIMIT ?2)",
    /* They are few: a row for each life. What was done in the future was done before the clock was set back. */
    [SQLITE_DB_FORGET] = "DELETE FROM calls WHERE id IN"
                         " (SELECT id FROM calls WHERE done <= ?1 - ?3 OR done > ?1 + ?3 LIMIT ?2)",
    [SQLITE_DB_STALE_KV] = "SELECT 1 FROM kv WHERE expires <= ?1 LIMIT 1",
    [SQLITE_DB_STALE_CALLS] = "SELECT 1 FROM calls WHERE done <= ?1 - ?2 OR done > ?1 + ?2 LIMIT 1",
    [SQLITE_DB_BEGIN] = "BEGIN",
    [SQLITE_DB_BEGIN_CHANGES] = "BEGIN IMMEDIATE",
    [SQLITE_DB_COMMIT] = "COMMIT",
};

/* --- failures ----------------------------------------------------------------------------------------------------- */

/* After these SQLite has taken back what was under way, and is as good as before. */
static bool harmless(int code)
{
    switch (code & 0xff) {
    case SQLITE_FULL:
    case SQLITE_BUSY:
    case SQLITE_NOMEM:
    case SQLITE_TOOBIG:
    case SQLITE_CONSTRAINT:
        return true;
    default:
        return false;
    }
}

static int failed(struct store_db *db, int code, struct error *err)
{
    if (!harmless(code))
        db->sound = false;
    int extended = sqlite3_extended_errcode(db->sqlite);
    return error_set(err, "%s: %s (%d)", db->file.path, sqlite3_errmsg(db->sqlite), extended);
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

/* Debian's SQLite allocates for each statement, and counts what it has under a lock: a seventh of the time of a set. It
 * must be told before it is used; where something has used it already it stays as it was. */
static void count_nothing(void)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

static int connect_to(struct store_db *db, struct error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT; /* SQLite's settings are the process's */
    CHECK(pthread_once(&once, count_nothing) == 0);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
    int code = sqlite3_open_v2(db->file.path, &db->sqlite, flags, NULL);
    NEED(db->sqlite != NULL);
    sqlite3_extended_result_codes(db->sqlite, 1);
    sqlite3_busy_timeout(db->sqlite, BUSY_MS);
    sqlite3_db_config(db->sqlite, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db->sqlite, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    return code == SQLITE_OK ? 0 : failed(db, code, err);
}

static int prepare_all(struct store_db *db, struct error *err)
{
    for (int i = 0; i < SQLITE_DB_STATEMENTS; i++) {
        int code = sqlite3_prepare_v3(db->sqlite, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &db->statements[i], NULL);
        if (code != SQLITE_OK)
            return failed(db, code, err);
    }
    return 0;
}

struct store_db *sqlite_db_open(const struct store_place *place, struct error *err)
{
    struct store_db *db = need_zero(1, sizeof(*db));
    db->sound = true;
    db->file.fd = db->file.log_fd = -1;
    if (sqlite_file_open(&db->file, place->path, place->may_create, err) == 0 && connect_to(db, err) == 0 &&
        sqlite_schema_open(db->sqlite, db->file.path, place->suspect, err) == 0 && prepare_all(db, err) == 0 &&
        sqlite_file_note(&db->file, err) == 0 && sqlite_file_sync(&db->file, err) == 0)
        return db;
    sqlite_db_close(&db);
    return NULL;
}

void sqlite_db_close(struct store_db **dbp)
{
    struct store_db *db = *dbp;
    *dbp = NULL;
    if (db == NULL)
        return;
    for (int i = 0; i < SQLITE_DB_STATEMENTS; i++)
        sqlite3_finalize(db->statements[i]);
    /* The log belongs to the file that was moved: brought into it, it is lost to nobody, and cannot be taken for the
     * log of another file that is put in its place. */
    if (db->moved)
        sqlite3_wal_checkpoint_v2(db->sqlite, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    if (db->sqlite != NULL)
        CHECK(sqlite3_close(db->sqlite) == SQLITE_OK);
    sqlite_file_close(&db->file); /* not before SQLite has closed its own */
    free(db);
}

bool sqlite_db_sound(const struct store_db *db)
{
    return db->sound;
}

void sqlite_db_advise(const struct store_db *db, struct buf *words)
{
    sqlite_file_advise(&db->file, words);
}

/* --- transactions ------------------------------------------------------------------------------------------------- */

static int execute(struct store_db *db, enum sqlite_db_statement which, struct error *err)
{
    return sqlite_db_step(db, sqlite_db_statement(db, which), err) == SQLITE_DONE ? 0 : -1;
}

int sqlite_db_begin(struct store_db *db, bool changes, struct error *err)
{
    return execute(db, changes ? SQLITE_DB_BEGIN_CHANGES : SQLITE_DB_BEGIN, err);
}

/* A read that stands open would hold its view of the file beyond the transaction. */
static void reset_all(struct store_db *db)
{
    for (int i = 0; i < SQLITE_DB_STATEMENTS; i++)
        sqlite3_reset(db->statements[i]);
}

int sqlite_db_commit(struct store_db *db, struct error *err)
{
    reset_all(db);
    if (execute(db, SQLITE_DB_COMMIT, err) != 0)
        return -1;
    return sqlite_db_there(db, err);
}

int sqlite_db_sync(struct store_db *db, struct error *err)
{
    return sqlite_file_sync(&db->file, err);
}

int sqlite_db_there(struct store_db *db, struct error *err)
{
    if (sqlite_file_there(&db->file, err))
        return 0;
    db->sound = false;
    db->moved = true;
    return -1;
}

void sqlite_db_rollback(struct store_db *db)
{
    reset_all(db);
    if (sqlite3_get_autocommit(db->sqlite) == 0 && sqlite3_exec(db->sqlite, "ROLLBACK", NULL, NULL, NULL) != SQLITE_OK)
        db->sound = false;
}

/* --- statements --------------------------------------------------------------------------------------------------- */

sqlite3_stmt *sqlite_db_statement(struct store_db *db, enum sqlite_db_statement which)
{
    sqlite3_stmt *statement = db->statements[which];
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return statement;
}

int sqlite_db_step(struct store_db *db, sqlite3_stmt *statement, struct error *err)
{
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        return code;
    if (code != SQLITE_DONE)
        failed(db, code, err);
    sqlite3_reset(statement);
    return code == SQLITE_DONE ? code : -1;
}

int sqlite_db_changed(struct store_db *db)
{
    return sqlite3_changes(db->sqlite);
}
