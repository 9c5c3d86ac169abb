/*
 * store.c: the store as the keeper's loop sees it: operations gathered over a pass and handed to the thread at once,
 * its reports counted, logged when the store goes or comes, and told. See store.h.
 */
#include "store/store.h"
#include "base/log.h"
#include "base/panic.h"
#include "shm/counters.h"
#include "store/thread.h"
#include <stdlib.h>

struct store {
    struct store_host host;
    char *path;
    struct mailbox *mailbox;
    struct store_thread *thread;
    struct list gathered;
    struct loop_later hand_over;
    bool was_up, was_away;
    mono_t away; /* since then */
};

bool store_changes(enum kv_what what)
{
    return what == KV_SET || what == KV_ADD || what == KV_INCR || what == KV_DELETE;
}

/* --- reports ------------------------------------------------------------------------------------------------------ */

static void count(const struct store *s, const struct store_batch *b)
{
    struct counters *c = s->host.counters;
    if (c == NULL)
        return;
    counters_add(c, COUNTER_store_reads, b->failed ? 0 : b->reads);
    counters_add(c, COUNTER_store_changes, b->failed ? 0 : b->changes);
    counters_add(c, COUNTER_store_recalled, b->failed ? 0 : b->recalled);
    counters_add(c, COUNTER_store_failed, b->failed ? b->reads + b->changes : 0);
    if (!b->waited)
        return;
    counters_add(c, COUNTER_store_commits, 1);
    counters_observe(c, HISTOGRAM_store_commit, (uint64_t)b->took.ns);
}

/* One line when it goes, one when it is back. How the first try to open it failed is told by whoever began it. */
static void log_turn(struct store *s, const struct store_report *r)
{
    if (!r->up)
        s->away = mono_now();
    if (!r->up && s->was_up)
        log_at(LOG_ERROR, "the store is away: what needs it is answered 503", LOG_STR("store", s->path),
               LOG_STR("error", r->why.text));
    else if (r->up && s->was_away)
        log_at(LOG_INFO, "the store is back", LOG_STR("store", s->path),
               LOG_FLOAT("ms", (double)mono_since(mono_now(), s->away).ns / 1e6));
    if (r->advice.len > 0 && !s->was_up)
        log_at(LOG_WARN, "the store is open to others", LOG_STR("store", s->path),
               LOG_SLICE("advice", buf_slice(&r->advice)));
    s->was_up = s->was_up || r->up;
    s->was_away = s->was_away || !r->up;
}

static void tell_all(struct list *ops)
{
    while (!list_empty(ops)) {
        struct store_op *op = CONTAINER_OF(ops->next, struct store_op, link);
        list_remove(&op->link);
        op->done(op);
    }
}

static void on_report(void *cookie, struct mail *mail)
{
    struct store *s = cookie;
    struct store_report *r = CONTAINER_OF(mail, struct store_report, mail);
    if (r->turned) {
        log_turn(s, r);
        if (s->host.counters != NULL)
            counters_set(s->host.counters, COUNTER_store_up, r->up);
        s->host.turned(s->host.cookie, r->up, r->why.text);
    } else {
        count(s, &r->batch);
    }
    tell_all(&r->batch.ops);
    buf_free(&r->advice);
    free(r);
}

/* --- operations --------------------------------------------------------------------------------------------------- */

static void on_hand_over(struct loop_later *later)
{
    struct store *s = CONTAINER_OF(later, struct store, hand_over);
    store_thread_put(s->thread, &s->gathered);
}

void store_submit(struct store *s, struct store_op *op)
{
    list_init(&op->link);
    list_add(&s->gathered, &op->link);
    loop_later(s->host.loop, &s->hand_over);
}

/* --- birth and end ------------------------------------------------------------------------------------------------ */

static void release(struct store *s)
{
    mailbox_free(&s->mailbox);
    free(s->path);
    free(s);
}

struct store *store_new(const struct store_host *host, const struct store_place *place, struct error *err)
{
    struct store *s = need_zero(1, sizeof(*s));
    s->host = *host;
    s->path = need_strdup(place->path != NULL ? place->path : place->driver->name);
    list_init(&s->gathered);
    loop_later_init(&s->hand_over, on_hand_over);
    s->mailbox = mailbox_new(host->loop, on_report, s);
    s->thread = store_thread_new(place, s->mailbox, err);
    if (s->thread != NULL)
        return s;
    release(s);
    return NULL;
}

bool store_free(struct store **sp, dur_t most)
{
    struct store *s = *sp;
    struct store_batch left;
    struct list waiting;
    static const struct error leaving = {"the keeper leaves"};
    *sp = NULL;
    if (s == NULL)
        return true;
    list_init(&waiting);
    loop_later_cancel(&s->hand_over);
    if (!store_thread_free(&s->thread, most, &waiting))
        return false;
    while (!list_empty(&s->gathered)) {
        struct list *one = s->gathered.next;
        list_remove(one);
        list_add(&waiting, one);
    }
    store_batch_refuse(&waiting, &leaving, &left);
    mailbox_free(&s->mailbox);
    tell_all(&left.ops);
    release(s);
    return true;
}
