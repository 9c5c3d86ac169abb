/*
 * sqlite_kv.c: see sqlite_kv.h.
 */
#include "store/sqlite_kv.h"
#include "codec/utf8.h"
#include "store/sqlite_db.h"
#include <math.h>
#include <stdint.h>

/* What stands in the column `kind`. */
static const char *const kinds[] = {[KV_STRING] = "string", [KV_NUMBER] = "number", [KV_JSON] = "table"};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static void bind_text(sqlite3_stmt *s, int at, struct slice text)
{
    sqlite3_bind_text(s, at, text.at != NULL ? text.at : "", (int)text.len, SQLITE_STATIC);
}

static struct slice column_bytes(sqlite3_stmt *s, int column)
{
    struct slice bytes = {sqlite3_column_blob(s, column), 0};
    bytes.len = (size_t)sqlite3_column_bytes(s, column);
    return bytes;
}

/* --- rows --------------------------------------------------------------------------------------------------------- */

/* False: somebody has changed it by hand, to what is no value. */
static bool read_value(sqlite3_stmt *s, struct store_value *value_out)
{
    struct slice kind = column_bytes(s, 0);
    int type = sqlite3_column_type(s, 1);
    for (int i = 0; i < KINDS; i++)
        if (kinds[i] != NULL && slice_equal(kind, slice_of(kinds[i])))
            *value_out = (struct store_value){.kind = (enum kv_kind)i};
    if (value_out->kind == KV_NUMBER) {
        value_out->number = sqlite3_column_double(s, 1);
        return (type == SQLITE_INTEGER || type == SQLITE_FLOAT) && isfinite(value_out->number);
    }
    value_out->bytes = column_bytes(s, 1);
    return value_out->kind != KV_NOTHING && (type == SQLITE_TEXT || type == SQLITE_BLOB) &&
           value_out->bytes.len <= KV_VALUE_MAX;
}

static int get(struct store_db *db, struct slice bucket, struct slice key, struct store_row *row_out, struct error *err)
{
    sqlite3_stmt *s = sqlite_db_statement(db, SQLITE_DB_GET);
    *row_out = (struct store_row){0};
    bind_text(s, 1, bucket);
    bind_text(s, 2, key);
    int code = sqlite_db_step(db, s, err);
    if (code != SQLITE_ROW)
        return code == SQLITE_DONE ? 0 : -1;
    row_out->expires = sqlite3_column_int64(s, 2);
    if (!read_value(s, &row_out->value))
        row_out->value = (struct store_value){.kind = KV_SPOILED};
    return 1;
}

static bool shown_as_text(struct slice s)
{
    return slice_find(s, '\0') == SIZE_MAX && utf8_valid(s) == s.len;
}

static void bind_value(sqlite3_stmt *s, const struct store_value *value)
{
    bind_text(s, 3, slice_of(kinds[value->kind]));
    if (value->kind == KV_NUMBER && value->number == floor(value->number) && fabs(value->number) <= KV_EXACT_MAX)
        sqlite3_bind_int64(s, 4, (sqlite3_int64)value->number);
    else if (value->kind == KV_NUMBER)
        sqlite3_bind_double(s, 4, value->number);
    else if (shown_as_text(value->bytes))
        bind_text(s, 4, value->bytes);
    else
        sqlite3_bind_blob(s, 4, value->bytes.at, (int)value->bytes.len, SQLITE_STATIC);
}

/* 1: the key was there, without a time to live, and has the value now; 0: it was not, and nothing was changed. */
static int update(struct store_db *db, struct slice bucket, struct slice key, const struct store_value *value,
                  struct error *err)
{
    sqlite3_stmt *s = sqlite_db_statement(db, SQLITE_DB_UPDATE);
    bind_text(s, 1, bucket);
    bind_text(s, 2, key);
    bind_value(s, value);
    return sqlite_db_step(db, s, err) == SQLITE_DONE ? sqlite_db_changed(db) : -1;
}

static int put(struct store_db *db, struct slice bucket, struct slice key, const struct store_row *row,
               struct error *err)
{
    int updated = row->expires == 0 ? update(db, bucket, key, &row->value, err) : 0;
    if (updated != 0)
        return updated == 1 ? 0 : -1;
    sqlite3_stmt *s = sqlite_db_statement(db, SQLITE_DB_PUT);
    bind_text(s, 1, bucket);
    bind_text(s, 2, key);
    bind_value(s, &row->value);
    if (row->expires != 0)
        sqlite3_bind_int64(s, 5, row->expires);
    return sqlite_db_step(db, s, err) == SQLITE_DONE ? 0 : -1;
}

static int drop(struct store_db *db, struct slice bucket, struct slice key, struct error *err)
{
    sqlite3_stmt *s = sqlite_db_statement(db, SQLITE_DB_DROP);
    bind_text(s, 1, bucket);
    bind_text(s, 2, key);
    return sqlite_db_step(db, s, err) == SQLITE_DONE ? 0 : -1;
}

/* The first text that is behind all that begin with the prefix; false: there is none. */
static bool behind(struct slice prefix, char room[KV_KEY_MAX], struct slice *behind_out)
{
    size_t len = prefix.len;
    while (len > 0 && (unsigned char)prefix.at[len - 1] == 0xff)
        len--;
    if (len == 0 || len > KV_KEY_MAX)
        return false;
    memcpy(room, prefix.at, len);
    room[len - 1] = (char)((unsigned char)room[len - 1] + 1);
    *behind_out = (struct slice){room, len};
    return true;
}

static int list(struct store_db *db, struct slice bucket, struct slice prefix, struct slice after, int64_t now,
                uint32_t limit, struct buf *keys_out, bool *more_out, struct error *err)
{
    sqlite3_stmt *s = sqlite_db_statement(db, SQLITE_DB_LIST);
    char room[KV_KEY_MAX];
    struct slice end;
    bind_text(s, 1, bucket);
    bind_text(s, 2, prefix);
    bind_text(s, 3, after);
    if (behind(prefix, room, &end))
        bind_text(s, 4, end);
    sqlite3_bind_int64(s, 5, now);
    sqlite3_bind_int64(s, 6, (sqlite3_int64)limit + 1);
    *more_out = false;
    int code;
    for (uint32_t i = 0; (code = sqlite_db_step(db, s, err)) == SQLITE_ROW; i++) {
        *more_out = i == limit;
        if (i < limit)
            buf_add_string(keys_out, column_bytes(s, 0));
    }
    return code == SQLITE_DONE ? 0 : -1;
}

/* --- kept answers ------------------------------------------------------------------------------------------------- */

/* Eight bytes: an earlier version kept each call by itself, under sixteen. */
static void bind_life(sqlite3_stmt *s, const uint64_t *life)
{
    sqlite3_bind_blob(s, 1, life, sizeof(*life), SQLITE_STATIC);
}

static int recall(struct store_db *db, uint64_t life, struct buf *answers_out, struct error *err)
{
    sqlite3_stmt *s = sqlite_db_statement(db, SQLITE_DB_RECALL);
    bind_life(s, &life);
    int code = sqlite_db_step(db, s, err);
    if (code == SQLITE_ROW)
        buf_add_slice(answers_out, column_bytes(s, 0));
    sqlite3_reset(s);
    return code == SQLITE_ROW ? 1 : code == SQLITE_DONE ? 0 : -1;
}

static int keep(struct store_db *db, uint64_t life, int64_t now, struct slice answers, struct error *err)
{
    sqlite3_stmt *s = sqlite_db_statement(db, SQLITE_DB_KEEP);
    bind_life(s, &life);
    sqlite3_bind_int64(s, 2, now);
    sqlite3_bind_blob(s, 3, answers.at != NULL ? answers.at : "", (int)answers.len, SQLITE_STATIC);
    return sqlite_db_step(db, s, err) == SQLITE_DONE ? 0 : -1;
}

/* --- what is stale ------------------------------------------------------------------------------------------------ */

/* 1: it finds something; 0: it does not; -1. */
static int finds(struct store_db *db, sqlite3_stmt *s, struct error *err)
{
    int code = sqlite_db_step(db, s, err);
    sqlite3_reset(s);
    return code == SQLITE_ROW ? 1 : code == SQLITE_DONE ? 0 : -1;
}

/* As finds: there is something to sweep. */
static int any_expired(struct store_db *db, int64_t now, struct error *err)
{
    sqlite3_stmt *s = sqlite_db_statement(db, SQLITE_DB_STALE_KV);
    sqlite3_bind_int64(s, 1, now);
    return finds(db, s, err);
}

/* Each batch sweeps, most find nothing: to ask costs an eighth of what the statement does. */
static int sweep(struct store_db *db, int64_t now, unsigned most, struct error *err)
{
    int any = any_expired(db, now, err);
    if (any != 1)
        return any;
    sqlite3_stmt *s = sqlite_db_statement(db, SQLITE_DB_SWEEP);
    sqlite3_bind_int64(s, 1, now);
    sqlite3_bind_int64(s, 2, most);
    return sqlite_db_step(db, s, err) == SQLITE_DONE ? sqlite_db_changed(db) : -1;
}

static int forget(struct store_db *db, int64_t now, unsigned most, struct error *err)
{
    sqlite3_stmt *s = sqlite_db_statement(db, SQLITE_DB_FORGET);
    sqlite3_bind_int64(s, 1, now);
    sqlite3_bind_int64(s, 2, most);
    sqlite3_bind_int64(s, 3, STORE_KEPT_MS);
    return sqlite_db_step(db, s, err) == SQLITE_DONE ? sqlite_db_changed(db) : -1;
}

static int stale(struct store_db *db, int64_t now, struct error *err)
{
    if (sqlite_db_there(db, err) != 0) /* a good time to notice: the sooner, the less can be mixed up */
        return -1;
    int any = any_expired(db, now, err);
    if (any != 0)
        return any;
    sqlite3_stmt *s = sqlite_db_statement(db, SQLITE_DB_STALE_CALLS);
    sqlite3_bind_int64(s, 1, now);
    sqlite3_bind_int64(s, 2, STORE_KEPT_MS);
    return finds(db, s, err);
}

const struct store_driver sqlite_kv_driver = {
    .name = "sqlite",
    .open = sqlite_db_open,
    .close = sqlite_db_close,
    .sound = sqlite_db_sound,
    .advise = sqlite_db_advise,
    .begin = sqlite_db_begin,
    .commit = sqlite_db_commit,
    .rollback = sqlite_db_rollback,
    .sync = sqlite_db_sync,
    .get = get,
    .put = put,
    .drop = drop,
    .list = list,
    .recall = recall,
    .keep = keep,
    .sweep = sweep,
    .forget = forget,
    .stale = stale,
};
