/*
 * kv.c: see kv.h.
 */
#include "store/kv.h"
#include <math.h>

struct apply {
    const struct store_driver *driver;
    struct store_db *db;
    struct store_op *op;
    int64_t now;
    struct error *err;
};

/* 1: the key is there and has not expired; 0: it is not. -1: the driver failed. */
static int find(struct apply *a, struct store_row *row_out)
{
    int found = a->driver->get(a->db, a->op->bucket, a->op->key, row_out, a->err);
    return found == 1 && row_out->expires != 0 && row_out->expires <= a->now ? 0 : found;
}

static int64_t expiry(const struct apply *a)
{
    return a->op->ttl_ms != 0 ? a->now + (int64_t)a->op->ttl_ms : 0;
}

static int put(struct apply *a, const struct store_value *value, int64_t expires)
{
    struct store_row row = {.value = *value, .expires = expires};
    return a->driver->put(a->db, a->op->bucket, a->op->key, &row, a->err);
}

static void answer(struct apply *a, enum kv_kind kind)
{
    a->op->answer = (struct store_value){.kind = kind};
}

static int get(struct apply *a)
{
    struct store_row row;
    int found = find(a, &row);
    if (found != 1)
        return found;
    a->op->answer = row.value;
    buf_add_slice(&a->op->bytes, row.value.bytes);
    a->op->answer.bytes = buf_slice(&a->op->bytes);
    return 0;
}

static int set(struct apply *a)
{
    answer(a, KV_TRUE);
    return put(a, &a->op->value, expiry(a));
}

static int add(struct apply *a)
{
    struct store_row row;
    int found = find(a, &row);
    answer(a, found == 0 ? KV_TRUE : KV_FALSE);
    return found == 0 ? put(a, &a->op->value, expiry(a)) : found == 1 ? 0 : -1;
}

static int incr(struct apply *a)
{
    struct store_row row;
    int found = find(a, &row);
    if (found < 0)
        return -1;
    if (found == 1 && row.value.kind != KV_NUMBER) {
        a->op->end = KV_NOT_A_NUMBER;
        return 0;
    }
    struct store_value sum = {.kind = KV_NUMBER};
    double before = found == 1 ? row.value.number : 0, by = a->op->value.number;
    sum.number = before + by;
    /* At 2^53 one more is nothing to a double: that would be a count that does not count. */
    if (!(fabs(sum.number) <= KV_EXACT_MAX) || (by != 0 && sum.number == before)) {
        a->op->end = KV_OUT_OF_RANGE;
        return 0;
    }
    a->op->answer = sum;
    return put(a, &sum, found == 1 ? row.expires : expiry(a));
}

static int drop(struct apply *a)
{
    struct store_row row;
    int found = find(a, &row);
    answer(a, found == 1 ? KV_TRUE : KV_FALSE);
    return found == 1 ? a->driver->drop(a->db, a->op->bucket, a->op->key, a->err) : found;
}

static int ttl(struct apply *a)
{
    struct store_row row;
    int found = find(a, &row);
    if (found == 1 && row.expires == 0)
        answer(a, KV_FOREVER);
    else if (found == 1)
        a->op->answer = (struct store_value){.kind = KV_NUMBER, .number = (double)(row.expires - a->now) / 1e3};
    return found < 0 ? -1 : 0;
}

static int list(struct apply *a)
{
    bool more = false;
    struct store_op *op = a->op;
    if (a->driver->list(a->db, op->bucket, op->key, op->after, a->now, op->limit, &op->bytes, &more, a->err) != 0)
        return -1;
    op->answer = (struct store_value){.kind = KV_KEYS, .bytes = buf_slice(&op->bytes), .number = more};
    return 0;
}

int store_kv_apply(const struct store_driver *driver, struct store_db *db, struct store_op *op, int64_t now,
                   struct error *err)
{
    static int (*const functions[KV_WHAT_COUNT])(struct apply * a) = {
        [KV_GET] = get,     [KV_SET] = set, [KV_ADD] = add,   [KV_INCR] = incr,
        [KV_DELETE] = drop, [KV_TTL] = ttl, [KV_LIST] = list,
    };
    struct apply a = {driver, db, op, now, err};
    op->end = KV_DONE;
    op->answer = (struct store_value){.kind = KV_NOTHING};
    buf_clear(&op->bytes);
    return functions[op->what](&a);
}
