/*
 * desk.c: see desk.h.
 */
#include "keeper/desk.h"
#include "base/panic.h"
#include "ipc/calls.h"
#include <math.h>
#include <stdlib.h>

struct place {     /* of a worker */
    uint32_t life; /* moves when it leaves: answers to the one before are nobody's */
    unsigned count, reads;
    size_t bytes;
};

struct keeper_desk {
    struct store *store;
    void (*send)(void *cookie, uint32_t slot, const struct message *m);
    void *cookie;
    struct place *places;
    uint32_t place_count;
    size_t under_way;
};

struct order { /* one operation, and for whom it is */
    struct store_op op;
    struct keeper_desk *desk;
    uint32_t slot, life;
    size_t bytes;
    char texts[];
};

struct keeper_desk *keeper_desk_new(uint32_t places, struct store *store,
                                    void (*send)(void *cookie, uint32_t slot, const struct message *m), void *cookie)
{
    struct keeper_desk *d = need_zero(1, sizeof(*d));
    d->store = store;
    d->send = send;
    d->cookie = cookie;
    d->places = need_zero(places + 1, sizeof(*d->places));
    d->place_count = places;
    return d;
}

void keeper_desk_free(struct keeper_desk **d)
{
    struct keeper_desk *gone = *d;
    *d = NULL;
    if (gone == NULL)
        return;
    CHECK(gone->under_way == 0);
    free(gone->places);
    free(gone);
}

void keeper_desk_left(struct keeper_desk *d, uint32_t slot)
{
    CHECK(slot < d->place_count);
    d->places[slot] = (struct place){.life = d->places[slot].life + 1};
}

/* --- an answer ---------------------------------------------------------------------------------------------------- */

static void answer(struct keeper_desk *d, uint32_t slot, const struct store_op *op)
{
    struct message m = {.type = MESSAGE_kv_done,
                        .kv_done = {.id_high = op->life,
                                    .id_low = op->number,
                                    .end = op->end,
                                    .kind = op->answer.kind,
                                    .value = op->answer.bytes}};
    memcpy(&m.kv_done.number, &op->answer.number, sizeof(m.kv_done.number));
    d->send(d->cookie, slot, &m);
}

static void on_done(struct store_op *op)
{
    struct order *o = CONTAINER_OF(op, struct order, op);
    struct keeper_desk *d = o->desk;
    struct place *p = &d->places[o->slot];
    d->under_way--;
    if (p->life == o->life) {
        p->count--;
        p->reads -= !store_changes(op->what);
        p->bytes -= o->bytes;
        answer(d, o->slot, op);
    }
    buf_free(&op->bytes);
    free(o);
}

/* --- a call ------------------------------------------------------------------------------------------------------- */

static bool value_fits(const struct message_kv *m)
{
    double number;
    memcpy(&number, &m->number, sizeof(number));
    if (m->what != KV_SET && m->what != KV_ADD && m->what != KV_INCR)
        return m->kind == KV_NOTHING && (m->what == KV_LIST || m->value.len == 0);
    if (m->kind == KV_NUMBER)
        return isfinite(number) && m->value.len == 0;
    return m->what != KV_INCR && (m->kind == KV_STRING || m->kind == KV_JSON) && m->value.len <= KV_VALUE_MAX;
}

static bool makes_sense(const struct message_kv *m)
{
    bool list = m->what == KV_LIST;
    if (m->what >= KV_WHAT_COUNT || m->bucket.len > KV_BUCKET_MAX || m->key.len > KV_KEY_MAX ||
        (m->key.len == 0 && !list))
        return false;
    if (list ? m->limit < 1 || m->limit > KV_LIST_MAX || m->value.len > KV_KEY_MAX : m->limit != 0)
        return false;
    return m->ttl_ms <= KV_TTL_MAX_MS && value_fits(m);
}

static size_t weight(const struct message_kv *m)
{
    return m->bucket.len + m->key.len + m->value.len;
}

/* The worker holds to the same bounds, and counts more to a call than its texts. */
static bool within_window(const struct place *p, const struct message_kv *m)
{
    return p->count < CALLS_WINDOW && (store_changes((enum kv_what)m->what) || p->reads < CALLS_WINDOW_READS) &&
           (p->bytes == 0 || p->bytes + weight(m) <= CALLS_WINDOW_BYTES);
}

static struct slice take_text(struct slice from, char **room)
{
    struct slice text = {*room, from.len};
    if (from.len > 0)
        memcpy(*room, from.at, from.len);
    *room += from.len;
    return text;
}

static struct order *new_order(struct keeper_desk *d, uint32_t slot, const struct message_kv *m)
{
    struct order *o = need_zero(1, sizeof(*o) + weight(m) + 1);
    char *room = o->texts;
    *o = (struct order){.desk = d, .slot = slot, .life = d->places[slot].life};
    o->bytes = weight(m);
    o->op.done = on_done;
    o->op.what = (enum kv_what)m->what;
    o->op.life = m->id_high;
    o->op.number = m->id_low;
    o->op.settled = m->settled;
    o->op.bucket = take_text(m->bucket, &room);
    o->op.key = take_text(m->key, &room);
    o->op.ttl_ms = m->ttl_ms;
    o->op.limit = m->limit;
    struct slice value = take_text(m->value, &room);
    if (m->what == KV_LIST)
        o->op.after = value;
    else
        o->op.value = (struct store_value){.kind = (enum kv_kind)m->kind, .bytes = value};
    memcpy(&o->op.value.number, &m->number, sizeof(o->op.value.number));
    return o;
}

bool keeper_desk_kv(struct keeper_desk *d, uint32_t slot, const struct message_kv *m)
{
    CHECK(slot < d->place_count);
    struct place *p = &d->places[slot];
    if (!makes_sense(m) || !within_window(p, m))
        return false;
    if (d->store == NULL) {
        answer(d, slot, &(struct store_op){.life = m->id_high, .number = m->id_low, .end = KV_NOT_DONE});
        return true;
    }
    struct order *o = new_order(d, slot, m);
    p->count++;
    p->reads += !store_changes(o->op.what);
    p->bytes += o->bytes;
    d->under_way++;
    store_submit(d->store, &o->op);
    return true;
}
