/*
 * sqlite_schema.c: see sqlite_schema.h.
 */
#include "store/sqlite_schema.h"
#include "base/panic.h"
#include <stdio.h>
#include <string.h>

/* Read whole at each opening up to this size: 64 MiB take 0.1 s. What is larger shows its faults where they are met. */
#define CHECK_PAGES_MOST 16384

/*
 * Each step leads to the version of its place (from 1). `from`: the first version of the program that can use a file
 * with it; a step may not ask for more than the one before its own, so that an upgrade can be taken back by one.
 */
static const struct step {
    int from;
    const char *text;
} steps[] = {
    {1, "CREATE TABLE crescent (name TEXT PRIMARY KEY, value) WITHOUT ROWID;"
        "CREATE TABLE kv (bucket TEXT NOT NULL, key TEXT NOT NULL, kind TEXT NOT NULL, expires INTEGER, value NOT NULL,"
        " PRIMARY KEY (bucket, key));"
        "CREATE INDEX kv_expires ON kv (expires) WHERE expires IS NOT NULL;"
        "CREATE TABLE calls (id BLOB PRIMARY KEY, done INTEGER NOT NULL, answer BLOB NOT NULL) WITHOUT ROWID;"},
};
_Static_assert(sizeof(steps) / sizeof(steps[0]) == SQLITE_SCHEMA_VERSION, "a step for each version");

static int failed(sqlite3 *db, const char *path, struct error *err)
{
    return error_set(err, "%s: %s (%d)", path, sqlite3_errmsg(db), sqlite3_extended_errcode(db));
}

/* The first column of the first row of a statement: a number, and its text. */
struct answer {
    long long number;
    char text[128];
    bool any;
};

static int ask(sqlite3 *db, const char *path, const char *text, struct answer *answer_out, struct error *err)
{
    sqlite3_stmt *statement;
    *answer_out = (struct answer){0};
    if (sqlite3_prepare_v2(db, text, -1, &statement, NULL) != SQLITE_OK)
        return failed(db, path, err);
    int code = sqlite3_step(statement), result = 0;
    if (code == SQLITE_ROW) {
        const char *words = (const char *)sqlite3_column_text(statement, 0);
        answer_out->any = true;
        answer_out->number = sqlite3_column_int64(statement, 0);
        snprintf(answer_out->text, sizeof(answer_out->text), "%s", words != NULL ? words : "");
    } else if (code != SQLITE_DONE) {
        result = failed(db, path, err);
    }
    sqlite3_finalize(statement);
    return result;
}

static int execute(sqlite3 *db, const char *path, const char *text, struct error *err)
{
    return sqlite3_exec(db, text, NULL, NULL, NULL) == SQLITE_OK ? 0 : failed(db, path, err);
}

/* --- whose it is -------------------------------------------------------------------------------------------------- */

/* Nothing is written before this is known. version_out: 0 for an empty one. */
static int identify(sqlite3 *db, const char *path, int *version_out, struct error *err)
{
    struct answer application, version, tables;
    if (ask(db, path, "PRAGMA application_id", &application, err) != 0 ||
        ask(db, path, "PRAGMA user_version", &version, err) != 0 ||
        ask(db, path, "SELECT count(*) FROM sqlite_schema", &tables, err) != 0)
        return -1;
    *version_out = (int)version.number;
    if (application.number == SQLITE_SCHEMA_APPLICATION && version.number > 0)
        return 0;
    if (application.number == 0 && version.number == 0 && tables.number == 0)
        return 0;
    return error_set(err, "%s is a database of another program: a store needs a file of its own", path);
}

/* A newer one is used where its last step says so. */
static int may_use(sqlite3 *db, const char *path, int version, struct error *err)
{
    struct answer from;
    if (version <= SQLITE_SCHEMA_VERSION)
        return 0;
    if (ask(db, path, "SELECT value FROM crescent WHERE name = 'usable from'", &from, err) != 0)
        return -1;
    if (from.any && from.number > 0 && from.number <= SQLITE_SCHEMA_VERSION)
        return 0;
    return error_set(
        err, "%s was made by a newer version of crescent (its schema is %d, this version knows %d): start that one",
        path, version, SQLITE_SCHEMA_VERSION);
}

/* --- as we want it ------------------------------------------------------------------------------------------------ */

static int set_pragmas(sqlite3 *db, const char *path, struct error *err)
{
    struct answer mode, level;
    if (ask(db, path, "PRAGMA journal_mode = WAL", &mode, err) != 0)
        return -1;
    if (strcmp(mode.text, "wal") != 0)
        return error_set(err, "%s: its file system does not do what a write-ahead log needs (mode %s)", path,
                         mode.text);
    /* FULL: a commit is on the disk when it returns (as long as it is being opened). FAST: what is deleted is
     * overwritten where that costs no write. */
    if (execute(db, path,
                "PRAGMA synchronous = FULL; PRAGMA secure_delete = FAST; PRAGMA wal_autocheckpoint = 4000;"
                "PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -8192; PRAGMA temp_store = MEMORY;"
                "PRAGMA cell_size_check = ON",
                err) != 0 ||
        ask(db, path, "PRAGMA synchronous", &level, err) != 0)
        return -1;
    return level.number == 2 ? 0 : error_set(err, "%s: SQLite does not wait for the disk", path);
}

/* SQLite's verdict has a headline; ours is a line. */
static const char *one_line(char *verdict)
{
    static const char headline[] = "*** in database main ***\n";
    char *from = strncmp(verdict, headline, strlen(headline)) == 0 ? verdict + strlen(headline) : verdict;
    for (char *end = from; (end = strchr(end, '\n')) != NULL;)
        *end = ' ';
    return from;
}

static int check_pages(sqlite3 *db, const char *path, struct error *err)
{
    struct answer pages, verdict;
    if (ask(db, path, "PRAGMA page_count", &pages, err) != 0)
        return -1;
    if (pages.number > CHECK_PAGES_MOST)
        return 0;
    if (ask(db, path, "PRAGMA quick_check(1)", &verdict, err) != 0)
        return -1;
    return strcmp(verdict.text, "ok") == 0 ? 0 : error_set(err, "%s is damaged: %s", path, one_line(verdict.text));
}

/* One transaction: a file is of one version, or of the next. */
static int migrate(sqlite3 *db, const char *path, int version, struct error *err)
{
    char text[256];
    if (version >= SQLITE_SCHEMA_VERSION)
        return 0;
    if (execute(db, path, "BEGIN IMMEDIATE", err) != 0)
        return -1;
    int done = 0;
    for (int i = version; i < SQLITE_SCHEMA_VERSION && done == 0; i++) {
        CHECK(steps[i].from <= (i > 0 ? i : 1));
        done = execute(db, path, steps[i].text, err);
        snprintf(text, sizeof(text),
                 "INSERT OR REPLACE INTO crescent VALUES ('usable from', %d); PRAGMA user_version = %d; PRAGMA "
                 "application_id = %d",
                 steps[i].from, i + 1, SQLITE_SCHEMA_APPLICATION);
        if (done == 0)
            done = execute(db, path, text, err);
    }
    if (done == 0)
        done = execute(db, path, "COMMIT", err);
    if (done != 0)
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return done;
}

/*
 * Brings the log into the file. An fsync that failed may have left in memory only what the log seems to hold: written
 * once more, to the file, it is on the disk, or this fails, too. Without that fear it is done where it can be.
 */
static int checkpoint(sqlite3 *db, const char *path, bool suspect, struct error *err)
{
    int logged = 0, moved = 0;
    int code = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, &logged, &moved);
    if (!suspect && (code == SQLITE_OK || (code & 0xff) == SQLITE_FULL || (code & 0xff) == SQLITE_BUSY))
        return 0;
    if (code != SQLITE_OK)
        return failed(db, path, err);
    return logged == moved
               ? 0
               : error_set(err, "%s: after a fault of the disk its log cannot be brought into it yet", path);
}

/* NORMAL: a commit waits for nothing, whoever commits does (sqlite_file_sync). What SQLite itself relies on it still
 * waits for: the log's head before its frames, the log before a checkpoint, the file before the log begins anew. */
static int leave_the_waiting(sqlite3 *db, const char *path, struct error *err)
{
    struct answer level;
    if (execute(db, path, "PRAGMA synchronous = NORMAL", err) != 0 ||
        ask(db, path, "PRAGMA synchronous", &level, err) != 0)
        return -1;
    return level.number == 1 ? 0 : error_set(err, "%s: SQLite does not leave the waiting for the disk to us", path);
}

int sqlite_schema_open(sqlite3 *db, const char *path, bool suspect, struct error *err)
{
    int version;
    if (identify(db, path, &version, err) != 0 || may_use(db, path, version, err) != 0 ||
        set_pragmas(db, path, err) != 0 || check_pages(db, path, err) != 0)
        return -1;
    if (migrate(db, path, version, err) != 0 || checkpoint(db, path, suspect, err) != 0)
        return -1;
    return leave_the_waiting(db, path, err);
}
