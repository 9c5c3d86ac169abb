/*
 * store.h: THE INTERFACE of what is durable. An operation is handed over on the keeper's loop, done on the store's
 * thread together with all that waits (one transaction, one fsync: a group commit), and told on the loop: what it
 * changed is on the disk then. Operations are done in the order in which they were handed over.
 *
 * Each one that changes something carries an id. Its answer is kept under it in the same commit, until the asker says
 * that it is settled, or has been gone for a minute; an operation with an id that is known gets that answer, and
 * changes nothing.
 *
 * Owns: the thread, its driver, operations under way. Runs in: the keeper's loop. Fails: an operation ends as
 * KV_NOT_DONE or KV_UNKNOWN while the store is away. It comes back by itself: the thread tries each second.
 */
#ifndef CRESCENT_STORE_STORE_H
#define CRESCENT_STORE_STORE_H

#include "io/loop.h"
#include "store/driver.h"

struct store;
struct counters;

/* Lives in the asker's own struct; from store_submit to `done` it is the store's, with all that its slices name. */
struct store_op {
    struct list link;
    void (*done)(struct store_op *op); /* on the loop, once */

    uint64_t life, number; /* the call's id: of the asker, and the how-manieth of its calls */
    uint64_t settled;      /* the asker knows the ends of all with a lower number */
    enum kv_what what;
    struct slice bucket, key; /* LIST: the prefix */
    struct slice after;       /* LIST */
    struct store_value value; /* SET, ADD; INCR: the number */
    uint64_t ttl_ms;          /* SET, ADD, INCR; 0: none */
    uint32_t limit;           /* LIST */

    enum kv_end end;
    struct store_value answer;
    struct buf bytes; /* of the answer, the asker's to free */
};

struct store_host {
    struct loop *loop;
    struct counters *counters; /* of this process; written on the loop. NULL: none */
    /* It has opened (again), or is away. The first call is the end of the first try to open it. */
    void (*turned)(void *cookie, bool up, const char *why);
    void *cookie;
};

/* Begins to open it. The place's path is copied. NULL with words: no thread can be started. */
struct store *store_new(const struct store_host *host, const struct store_place *place, struct error *err);
void store_submit(struct store *s, struct store_op *op);
/*
 * No more. What is under way is ended, what waits is given back as KV_NOT_DONE, both within this call; the store is
 * closed. False: a disk held it up for longer than `most`: the process must end, nothing was freed. Leaves NULL.
 */
bool store_free(struct store **s, dur_t most);
bool store_changes(enum kv_what what);

#endif
