/*
 * batch.c: see batch.h.
 */
#include "store/batch.h"
#include "base/panic.h"
#include "store/kv.h"

#define SWEEP_ALONG \
    16u /* stale rows that each batch takes along, and twice its changes: it keeps up with what makes them */

static struct store_op *first(struct list *of)
{
    return CONTAINER_OF(of->next, struct store_op, link);
}

static size_t weight(const struct store_op *op)
{
    return op->bucket.len + op->key.len + op->after.len + op->value.bytes.len;
}

static void move(struct store_op *op, struct store_batch *b)
{
    list_remove(&op->link);
    list_add(&b->ops, &op->link);
    if (store_changes(op->what))
        b->changes++;
    else
        b->reads++;
}

static int change(const struct store_driver *driver, struct store_db *db, struct store_answers *answers,
                  struct store_op *op, int64_t now, struct store_batch *b)
{
    int known = store_answers_recall(answers, db, op, &b->why);
    b->recalled += known == 1;
    if (known != 0)
        return known == 1 ? 0 : -1;
    if (store_kv_apply(driver, db, op, now, &b->why) != 0)
        return -1;
    store_answers_add(answers, op);
    return 0;
}

/* One after the other, as many as fit. */
static int apply_all(const struct store_driver *driver, struct store_db *db, struct store_answers *answers,
                     struct list *todo, int64_t now, struct store_batch *b)
{
    bool changes = store_changes(first(todo)->what);
    size_t bytes = 0;
    while (!list_empty(todo) && b->reads + b->changes < STORE_BATCH_MOST && bytes < STORE_BATCH_BYTES) {
        struct store_op *op = first(todo);
        if (!changes && store_changes(op->what))
            break;
        move(op, b);
        int done = store_changes(op->what) ? change(driver, db, answers, op, now, b)
                                           : store_kv_apply(driver, db, op, now, &b->why);
        if (done != 0)
            return -1;
        bytes += weight(op) + op->bytes.len;
    }
    if (!changes)
        return 0;
    if (store_answers_keep(answers, db, now, &b->why) != 0)
        return -1;
    return driver->sweep(db, now, SWEEP_ALONG + 2 * b->changes, &b->why) < 0 ? -1 : 0;
}

static void fail_all(struct store_batch *b, enum kv_end end)
{
    b->failed = true;
    for (struct list *at = b->ops.next; at != &b->ops; at = at->next) {
        struct store_op *op = CONTAINER_OF(at, struct store_op, link);
        op->end = store_changes(op->what) ? end : KV_NOT_DONE;
        op->answer = (struct store_value){.kind = KV_NOTHING};
        buf_free(&op->bytes);
    }
}

void store_batch_fail(struct store_batch *b, enum kv_end end, const struct error *why)
{
    b->why = *why;
    fail_all(b, end);
}

static void begin_batch(struct store_batch *b)
{
    *b = (struct store_batch){.began = mono_now()};
    list_init(&b->ops);
}

void store_batch_run(const struct store_driver *driver, struct store_db *db, struct store_answers *answers,
                     struct list *todo, int64_t now, struct store_batch *batch_out)
{
    struct store_batch *b = batch_out;
    begin_batch(b);
    if (driver->begin(db, store_changes(first(todo)->what), &b->why) != 0) {
        move(first(todo), b); /* a failure has somebody to tell; the others are tried, or refused, after it */
        fail_all(b, KV_NOT_DONE);
    } else if (apply_all(driver, db, answers, todo, now, b) != 0) {
        driver->rollback(db);
        fail_all(b, KV_NOT_DONE);
    } else if (driver->commit(db, &b->why) != 0) {
        /* A fault of the disk: what was written may be found there later. Else (no room) it was taken back. */
        fail_all(b, driver->sound(db) ? KV_NOT_DONE : KV_UNKNOWN);
        driver->rollback(db);
    }
    if (b->failed)
        store_answers_drop(answers);
}

void store_batch_refuse(struct list *todo, const struct error *why, struct store_batch *batch_out)
{
    begin_batch(batch_out);
    while (!list_empty(todo))
        move(first(todo), batch_out);
    store_batch_fail(batch_out, KV_NOT_DONE, why);
}
