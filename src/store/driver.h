/*
 * driver.h: what a kind of store must be able to do: simple things on rows, and transactions. What they mean (add,
 * incr, times to live, answers that are kept) is written once, above them: store/kv.c, store/answers.c, store/batch.c.
 * All of it runs on the store's thread, one call at a time, but `sync`. Fails: -1 with words; then `sound` says whether
 * the driver can be used on after a rollback, or must be closed.
 */
#ifndef CRESCENT_STORE_DRIVER_H
#define CRESCENT_STORE_DRIVER_H

#include "base/buf.h"
#include "base/error.h"
#include "ipc/kv.h"

struct store_db; /* an open one: each driver's own */
struct store_driver;

struct store_place { /* where a store is */
    const struct store_driver *driver;
    char *path;      /* of a file */
    void *cookie;    /* the driver's */
    bool may_create; /* else it must be there */
    bool suspect;    /* the last one was closed because of a fault of the disk: what it wrote may be in memory only */
};

struct store_value {
    enum kv_kind kind;
    struct slice bytes; /* STRING, JSON */
    double number;      /* NUMBER */
};

struct store_row {
    struct store_value value;
    int64_t expires; /* ms since 1970; 0: never */
};

struct store_driver {
    const char *name;
    /* NULL with words. The place is borrowed for the call, its cookie for the life. */
    struct store_db *(*open)(const struct store_place *place, struct error *err);
    void (*close)(struct store_db **db);
    bool (*sound)(const struct store_db *db);
    /* Appends what whoever runs the server should put right, in one line; nothing where all is well. NULL: nothing
     * ever.
     */
    void (*advise)(const struct store_db *db, struct buf *words);

    /* One transaction at a time, and nothing else outside of one. changes: it will write. commit: the next ones see it;
     * it is durable after a sync. */
    int (*begin)(struct store_db *db, bool changes, struct error *err);
    int (*commit)(struct store_db *db, struct error *err);
    void (*rollback)(struct store_db *db);
    /* Waits until what was committed before is on the disk. On any thread, beside the other calls; one at a time, and
     * not beside `close`. After a failure it is not known what is there: it must be closed. */
    int (*sync)(struct store_db *db, struct error *err);

    /* 1: there; 0: not. The row's bytes are borrowed until the next call. A row that has expired is there, too. What
     * is no value is KV_SPOILED, which is its reader's matter, and no failure. */
    int (*get)(struct store_db *db, struct slice bucket, struct slice key, struct store_row *row_out,
               struct error *err);
    int (*put)(struct store_db *db, struct slice bucket, struct slice key, const struct store_row *row,
               struct error *err);
    int (*drop)(struct store_db *db, struct slice bucket, struct slice key, struct error *err);
    /* Keys that begin with prefix, after `after` (empty: from the first), and have not expired; in the order of their
     * bytes. Appends at most `limit` strings; more_out: there are others behind them. */
    int (*list)(struct store_db *db, struct slice bucket, struct slice prefix, struct slice after, int64_t now,
                uint32_t limit, struct buf *keys_out, bool *more_out, struct error *err);

    /* What is kept of the answers to a life's calls (store/answers.h): 1 (appended) or 0; and keeping it, in place of
     * what was. */
    int (*recall)(struct store_db *db, uint64_t life, struct buf *answers_out, struct error *err);
    int (*keep)(struct store_db *db, uint64_t life, int64_t now, struct slice answers, struct error *err);

    /* Removes rows that have expired; answers that were kept longer ago than STORE_KEPT_MS. At most so many; returns
     * how many, or -1. */
    int (*sweep)(struct store_db *db, int64_t now, unsigned most, struct error *err);
    int (*forget)(struct store_db *db, int64_t now, unsigned most, struct error *err);
    /* Whether these two would find anything: 1 or 0. */
    int (*stale)(struct store_db *db, int64_t now, struct error *err);
};

#define STORE_KEPT_MS 60000

#endif
