/*
 * memory.c: rows in a sorted array, copied at the beginning of a transaction that changes, put back by a rollback. See
 * memory.h.
 */
#include "store/memory.h"
#include "base/panic.h"
#include <stdlib.h>
#include <unistd.h>

struct entry {  /* a row; or, without a bucket and with a life for a key, kept answers */
    char *name; /* bucket length, bucket, key: what is compared */
    size_t name_len, bucket_len;
    char *bytes;
    size_t len;
    struct store_row row;
    bool kept;
};

struct table {
    struct entry *entries;
    size_t count, room;
};

struct store_db {
    struct store_memory *m;
    bool sound, changes;
};

struct store_memory {
    struct table table, before;
    struct store_db db;
    _Atomic int fails, held;
    _Atomic bool lost, done, shut;
    _Atomic unsigned commits, opened, slow_us;
    _Atomic int syncs, most_syncs; /* under way, and the most that ever were */
};

/* --- the table ---------------------------------------------------------------------------------------------------- */

static void entry_free(struct entry *e)
{
    free(e->name);
    free(e->bytes);
}

static void table_free(struct table *t)
{
    for (size_t i = 0; i < t->count; i++)
        entry_free(&t->entries[i]);
    free(t->entries);
    *t = (struct table){0};
}

static char *copy(const char *bytes, size_t len)
{
    char *to = need_alloc(len + 1);
    if (len > 0)
        memcpy(to, bytes, len);
    to[len] = '\0';
    return to;
}

static void table_copy(struct table *to, const struct table *from)
{
    to->entries = need_zero(from->count + 1, sizeof(*to->entries));
    to->count = to->room = from->count;
    for (size_t i = 0; i < from->count; i++) {
        const struct entry *e = &from->entries[i];
        to->entries[i] = *e;
        to->entries[i].name = copy(e->name, e->name_len);
        to->entries[i].bytes = copy(e->bytes, e->len);
        to->entries[i].row.value.bytes.at = to->entries[i].bytes;
    }
}

static int compare(struct slice a, struct slice b)
{
    int order = memcmp(a.at, b.at, a.len < b.len ? a.len : b.len);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* Where it is, or would be. */
static bool find(const struct table *t, struct slice name, bool kept, size_t *at_out)
{
    for (*at_out = 0; *at_out < t->count; ++*at_out) {
        const struct entry *e = &t->entries[*at_out];
        int order = e->kept != kept ? e->kept - kept : compare((struct slice){e->name, e->name_len}, name);
        if (order >= 0)
            return order == 0;
    }
    return false;
}

static void remove_at(struct table *t, size_t at)
{
    entry_free(&t->entries[at]);
    memmove(&t->entries[at], &t->entries[at + 1], (--t->count - at) * sizeof(*t->entries));
}

static void put_at(struct table *t, struct slice name, size_t bucket_len, bool kept, const struct store_row *row)
{
    size_t at;
    if (find(t, name, kept, &at))
        remove_at(t, at);
    if (t->count == t->room) {
        t->room = t->room * 2 + 8;
        t->entries = need_realloc(t->entries, t->room * sizeof(*t->entries));
    }
    memmove(&t->entries[at + 1], &t->entries[at], (t->count++ - at) * sizeof(*t->entries));
    struct entry *e = &t->entries[at];
    *e = (struct entry){
        .name = copy(name.at, name.len), .name_len = name.len, .bucket_len = bucket_len, .kept = kept, .row = *row};
    e->len = row->value.bytes.len;
    e->bytes = copy(row->value.bytes.at, e->len);
    e->row.value.bytes.at = e->bytes;
}

static struct slice name_of(struct slice bucket, struct slice key, struct buf *room)
{
    buf_clear(room);
    buf_add_u32(room, (uint32_t)bucket.len);
    buf_add_slice(room, bucket);
    buf_add_slice(room, key);
    return buf_slice(room);
}

/* --- told to fail ------------------------------------------------------------------------------------------------- */

static int fails(struct store_db *db, enum store_memory_call which, struct error *err)
{
    if (atomic_load(&db->m->fails) != (int)which)
        return 0;
    if (atomic_load(&db->m->lost))
        db->sound = false;
    return error_set(err, "memory: told to fail");
}

/* --- the driver --------------------------------------------------------------------------------------------------- */

static struct store_db *open_memory(const struct store_place *place, struct error *err)
{
    struct store_memory *m = place->cookie;
    m->db = (struct store_db){.m = m, .sound = true};
    if (atomic_load(&m->shut)) {
        error_set(err, "memory: told not to open");
        return NULL;
    }
    atomic_fetch_add(&m->opened, 1);
    return &m->db;
}

static void close_memory(struct store_db **db)
{
    *db = NULL;
}

static bool sound(const struct store_db *db)
{
    return db->sound;
}

static int begin(struct store_db *db, bool changes, struct error *err)
{
    if (fails(db, STORE_MEMORY_BEGIN, err) != 0)
        return -1;
    db->changes = changes;
    if (changes)
        table_copy(&db->m->before, &db->m->table);
    return 0;
}

static void stand_still(struct store_db *db, enum store_memory_call which)
{
    while (atomic_load(&db->m->held) == (int)which)
        usleep(1000);
}

static int commit(struct store_db *db, struct error *err)
{
    stand_still(db, STORE_MEMORY_COMMIT);
    if (db->changes && fails(db, STORE_MEMORY_COMMIT, err) != 0) {
        if (atomic_load(&db->m->lost) && atomic_load(&db->m->done))
            table_free(&db->m->before), db->changes = false;
        return -1;
    }
    if (db->changes)
        atomic_fetch_add(&db->m->commits, 1);
    table_free(&db->m->before);
    db->changes = false;
    return 0;
}

/* Beside the other calls. */
static int sync_memory(struct store_db *db, struct error *err)
{
    int now = atomic_fetch_add(&db->m->syncs, 1) + 1;
    if (now > atomic_load(&db->m->most_syncs))
        atomic_store(&db->m->most_syncs, now);
    stand_still(db, STORE_MEMORY_SYNC);
    atomic_fetch_sub(&db->m->syncs, 1);
    if (atomic_load(&db->m->slow_us) > 0)
        usleep(atomic_load(&db->m->slow_us));
    return atomic_load(&db->m->fails) == STORE_MEMORY_SYNC ? error_set(err, "memory: told to fail") : 0;
}

static void rollback(struct store_db *db)
{
    if (!db->changes)
        return;
    table_free(&db->m->table);
    db->m->table = db->m->before;
    db->m->before = (struct table){0};
    db->changes = false;
}

static int get(struct store_db *db, struct slice bucket, struct slice key, struct store_row *row_out, struct error *err)
{
    struct buf room = {0};
    size_t at;
    if (fails(db, STORE_MEMORY_GET, err) != 0)
        return -1;
    bool found = find(&db->m->table, name_of(bucket, key, &room), false, &at);
    if (found)
        *row_out = db->m->table.entries[at].row;
    buf_free(&room);
    return found;
}

static int put(struct store_db *db, struct slice bucket, struct slice key, const struct store_row *row,
               struct error *err)
{
    struct buf room = {0};
    if (fails(db, STORE_MEMORY_PUT, err) != 0)
        return -1;
    put_at(&db->m->table, name_of(bucket, key, &room), bucket.len, false, row);
    buf_free(&room);
    return 0;
}

static int drop(struct store_db *db, struct slice bucket, struct slice key, struct error *err)
{
    struct buf room = {0};
    size_t at;
    if (fails(db, STORE_MEMORY_DROP, err) != 0)
        return -1;
    if (find(&db->m->table, name_of(bucket, key, &room), false, &at))
        remove_at(&db->m->table, at);
    buf_free(&room);
    return 0;
}

static int list(struct store_db *db, struct slice bucket, struct slice prefix, struct slice after, int64_t now,
                uint32_t limit, struct buf *keys_out, bool *more_out, struct error *err)
{
    uint32_t count = 0;
    if (fails(db, STORE_MEMORY_LIST, err) != 0)
        return -1;
    *more_out = false;
    for (size_t i = 0; i < db->m->table.count && !*more_out; i++) {
        const struct entry *e = &db->m->table.entries[i];
        struct slice name = {e->name + 4, e->name_len - 4}, key = slice_from(name, e->bucket_len);
        bool dead = e->row.expires != 0 && e->row.expires <= now;
        if (e->kept || dead || !slice_equal((struct slice){name.at, e->bucket_len}, bucket) ||
            !slice_starts(key, prefix) || (after.len > 0 && compare(key, after) <= 0))
            continue;
        *more_out = count == limit;
        if (count++ < limit)
            buf_add_string(keys_out, key);
    }
    return 0;
}

static struct slice life_name(const uint64_t *life)
{
    return (struct slice){(const char *)life, sizeof(*life)};
}

static int recall(struct store_db *db, uint64_t life, struct buf *answers_out, struct error *err)
{
    size_t at;
    if (fails(db, STORE_MEMORY_RECALL, err) != 0)
        return -1;
    bool known = find(&db->m->table, life_name(&life), true, &at);
    if (known)
        buf_add_slice(answers_out, db->m->table.entries[at].row.value.bytes);
    return known;
}

static int keep(struct store_db *db, uint64_t life, int64_t now, struct slice answers, struct error *err)
{
    struct store_row row = {.value = {.kind = KV_STRING, .bytes = answers}, .expires = now + STORE_KEPT_MS};
    if (fails(db, STORE_MEMORY_KEEP, err) != 0)
        return -1;
    put_at(&db->m->table, life_name(&life), 0, true, &row);
    return 0;
}

static int remove_expired(struct table *t, bool kept, int64_t now, unsigned most)
{
    int count = 0;
    for (size_t i = 0; i < t->count && (unsigned)count < most;) {
        int64_t expires = t->entries[i].row.expires;
        if (t->entries[i].kept != kept || expires == 0 || expires > now) {
            i++;
            continue;
        }
        remove_at(t, i);
        count++;
    }
    return count;
}

static int sweep(struct store_db *db, int64_t now, unsigned most, struct error *err)
{
    if (fails(db, STORE_MEMORY_SWEEP, err) != 0)
        return -1;
    return remove_expired(&db->m->table, false, now, most);
}

static int forget(struct store_db *db, int64_t now, unsigned most, struct error *err)
{
    if (fails(db, STORE_MEMORY_SWEEP, err) != 0)
        return -1;
    return remove_expired(&db->m->table, true, now, most);
}

static int stale(struct store_db *db, int64_t now, struct error *err)
{
    if (fails(db, STORE_MEMORY_STALE, err) != 0)
        return -1;
    for (size_t i = 0; i < db->m->table.count; i++)
        if (db->m->table.entries[i].row.expires != 0 && db->m->table.entries[i].row.expires <= now)
            return 1;
    return 0;
}

static const struct store_driver driver = {
    .name = "memory",
    .open = open_memory,
    .close = close_memory,
    .sound = sound,
    .begin = begin,
    .commit = commit,
    .rollback = rollback,
    .sync = sync_memory,
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

/* --- for the test ------------------------------------------------------------------------------------------------- */

struct store_memory *store_memory_new(void)
{
    return need_zero(1, sizeof(struct store_memory));
}

void store_memory_free(struct store_memory **m)
{
    if (*m == NULL)
        return;
    table_free(&(*m)->table);
    table_free(&(*m)->before);
    free(*m);
    *m = NULL;
}

struct store_place store_memory_place(struct store_memory *m)
{
    return (struct store_place){.driver = &driver, .cookie = m, .may_create = true};
}

void store_memory_fail(struct store_memory *m, enum store_memory_call which, bool lost, bool done)
{
    atomic_store(&m->lost, lost);
    atomic_store(&m->done, done);
    atomic_store(&m->fails, which);
}

void store_memory_shut(struct store_memory *m, bool shut)
{
    atomic_store(&m->shut, shut);
}

void store_memory_hold(struct store_memory *m, enum store_memory_call which)
{
    atomic_store(&m->held, (int)which);
}

void store_memory_slow(struct store_memory *m, unsigned us)
{
    atomic_store(&m->slow_us, us);
}

unsigned store_memory_commits(const struct store_memory *m)
{
    return atomic_load(&m->commits);
}

unsigned store_memory_opened(const struct store_memory *m)
{
    return atomic_load(&m->opened);
}

int store_memory_most_syncs(const struct store_memory *m)
{
    return atomic_load(&m->most_syncs);
}

static size_t count(const struct store_memory *m, bool kept)
{
    size_t of = 0;
    for (size_t i = 0; i < m->table.count; i++)
        of += m->table.entries[i].kept == kept;
    return of;
}

size_t store_memory_rows(const struct store_memory *m)
{
    return count(m, false);
}

size_t store_memory_kept(const struct store_memory *m)
{
    return count(m, true);
}
