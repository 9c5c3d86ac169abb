/*
 * calls.c: three lists: `waiting` (to be sent, in order), `sent` (with the keeper, in order), `over` (to be told on the
 * next pass). See calls.h.
 */
#include "ipc/calls.h"
#include "base/panic.h"
#include "io/timeout.h"
#include "ipc/kv.h"
#include "shm/counters.h"
#include <stdlib.h>
#include <sys/random.h>

enum place { WAITING, SENT, OVER };

struct call {
    struct list link;
    enum place place; /* in which list it is */
    uint64_t number;
    struct message asks; /* until it is sent; its texts are the asker's */
    enum message_type type;
    struct buf body; /* of the message, to be asked again; then of the answer */
    size_t size;     /* of the message, about */
    bool large;
    bool asked;   /* of some keeper, at least once */
    bool doubted; /* one of these has gone without an answer */
    mono_t began;
    enum calls_end end;
    calls_told_fn *told; /* NULL: nobody waits for it */
    void *cookie;
};

struct calls {
    struct loop *loop;
    struct counters *counters;
    struct link *keeper; /* NULL: away */
    uint64_t life, last; /* the high half of all ids, and the low one of the newest */
    struct list waiting, sent, over;
    size_t count;                              /* of all but `over` */
    size_t sent_count, sent_bytes, sent_large; /* with the keeper */
    struct timeout patience;
    struct loop_later tell;
};

static void on_patience(struct timeout *t);
static void on_tell(struct loop_later *later);

struct calls *calls_new(struct loop *loop, struct counters *counters)
{
    struct calls *c = need_zero(1, sizeof(*c));
    c->loop = loop;
    c->counters = counters;
    NEED(getrandom(&c->life, sizeof(c->life), 0) == (ssize_t)sizeof(c->life));
    c->life |= 1; /* 0 is nobody's */
    list_init(&c->waiting);
    list_init(&c->sent);
    list_init(&c->over);
    loop_later_init(&c->tell, on_tell);
    return c;
}

static struct call *first(struct list *of)
{
    return list_empty(of) ? NULL : CONTAINER_OF(of->next, struct call, link);
}

static void release(struct call *call)
{
    list_remove(&call->link);
    buf_free(&call->body);
    free(call);
}

void calls_free(struct calls **cp)
{
    struct calls *c = *cp;
    *cp = NULL;
    if (c == NULL)
        return;
    timeout_clear(&c->patience);
    loop_later_cancel(&c->tell);
    struct list *all[] = {&c->waiting, &c->sent, &c->over};
    for (size_t i = 0; i < 3; i++)
        while (!list_empty(all[i]))
            release(first(all[i]));
    free(c);
}

size_t calls_count(const struct calls *c)
{
    return c->count;
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

#define OVERHEAD 64 /* bytes of a message beside its texts, about */

static size_t size_of(const struct message *m)
{
    CHECK(m->type == MESSAGE_kv);
    return OVERHEAD + m->kv.bucket.len + m->kv.key.len + m->kv.value.len;
}

static void arm(struct calls *c);

/* What is in doubt stands before it in the line, and the first of that has the lowest number. */
static void write_body(struct calls *c, struct call *call)
{
    call->asks.kv.id_high = c->life;
    call->asks.kv.id_low = call->number;
    call->asks.kv.settled = first(&c->sent)->number;
    buf_reserve(&call->body, call->size);
    CHECK(messages_write(&call->asks, &call->body, (int[MESSAGES_FDS_MAX]){0}) == 0);
}

/* The call, once more or for the first time, behind what was sent before it. */
static void send(struct calls *c, struct call *call)
{
    list_remove(&call->link);
    list_add(&c->sent, &call->link);
    call->place = SENT;
    c->sent_count++;
    c->sent_bytes += call->size;
    c->sent_large += call->large;
    if (!call->asked)
        write_body(c, call);
    call->asked = true;
    link_send_body(c->keeper, call->type, buf_slice(&call->body));
}

static bool fits(const struct calls *c, size_t size, bool large)
{
    return c->sent_count < CALLS_WINDOW && (!large || c->sent_large < CALLS_WINDOW_READS) &&
           (c->sent_bytes == 0 || c->sent_bytes + size <= CALLS_WINDOW_BYTES);
}

/* What is first in the line and does not fit holds up those behind it: the order is the promise. */
static void send_on(struct calls *c)
{
    struct call *call;
    while (c->keeper != NULL && (call = first(&c->waiting)) != NULL && fits(c, call->size, call->large))
        send(c, call);
}

bool calls_goes(const struct calls *c, const struct message *m, bool large)
{
    return c->keeper != NULL && list_empty(&c->waiting) && fits(c, size_of(m), large);
}

struct call *calls_ask(struct calls *c, const struct message *m, bool large, calls_told_fn *told, void *cookie)
{
    struct call *call = need_zero(1, sizeof(*call));
    call->number = ++c->last;
    call->asks = *m;
    call->type = m->type;
    call->size = size_of(m);
    call->large = large;
    call->told = told;
    call->cookie = cookie;
    call->began = loop_now(c->loop);
    call->place = WAITING;
    c->count++;
    list_init(&call->link);
    list_add(&c->waiting, &call->link);
    send_on(c);
    arm(c);
    return call;
}

/* --- its end ------------------------------------------------------------------------------------------------------ */

/* It is with the keeper no more. */
static void leave_window(struct calls *c, struct call *call)
{
    c->sent_count--;
    c->sent_bytes -= call->size;
    c->sent_large -= call->large;
}

/* It is kept no longer; whoever waits is told on the next pass. */
static void finish(struct calls *c, struct call *call, enum calls_end end)
{
    c->count--;
    call->end = end;
    if (call->told == NULL) {
        release(call);
        return;
    }
    list_remove(&call->link);
    list_add(&c->over, &call->link);
    call->place = OVER;
    loop_later(c->loop, &c->tell);
}

static void observe(struct calls *c, const struct call *call)
{
    if (c->counters == NULL)
        return;
    counters_add(c->counters, call->end == CALLS_ANSWERED ? COUNTER_calls_answered : COUNTER_calls_failed, 1);
    if (call->end == CALLS_ANSWERED)
        counters_observe(c->counters, HISTOGRAM_call_time, (uint64_t)mono_since(loop_now(c->loop), call->began).ns);
}

/* Whoever is told may ask, forget, and be told of its own end meanwhile. */
static void on_tell(struct loop_later *later)
{
    struct calls *c = CONTAINER_OF(later, struct calls, tell);
    struct list now;
    list_init(&now);
    for (struct call *call; (call = first(&c->over)) != NULL;) {
        list_remove(&call->link);
        list_add(&now, &call->link);
    }
    for (struct call *call; (call = first(&now)) != NULL;) {
        struct message answer;
        list_remove(&call->link);
        observe(c, call);
        if (call->told != NULL && call->end == CALLS_ANSWERED) {
            CHECK(messages_read(call->type, buf_slice(&call->body), NULL, 0, &answer) == 0);
            call->told(call->cookie, call->end, &answer);
        } else if (call->told != NULL) {
            call->told(call->cookie, call->end, NULL);
        }
        release(call);
    }
}

/* The answers come in the order of the questions, so it is most often the first. */
static struct call *find_sent(struct calls *c, const struct message *answer)
{
    CHECK(answer->type == MESSAGE_kv_done);
    if (answer->kv_done.id_high != c->life)
        return NULL;
    for (struct list *at = c->sent.next; at != &c->sent; at = at->next) {
        struct call *call = CONTAINER_OF(at, struct call, link);
        if (call->number == answer->kv_done.id_low)
            return call;
    }
    return NULL;
}

/* "Not done" is what this keeper knows; the one that has gone may have done it. */
static void keep_answer(struct call *call, const struct message *answer)
{
    struct message a = *answer;
    if (call->doubted && a.kv_done.end == KV_NOT_DONE)
        a.kv_done.end = KV_UNKNOWN;
    call->type = a.type;
    buf_clear(&call->body);
    messages_write(&a, &call->body, (int[MESSAGES_FDS_MAX]){0});
}

bool calls_answer(struct calls *c, const struct message *answer)
{
    struct call *call = find_sent(c, answer);
    if (call == NULL)
        return false;
    leave_window(c, call);
    if (call->told != NULL)
        keep_answer(call, answer);
    finish(c, call, CALLS_ANSWERED);
    send_on(c);
    arm(c);
    return true;
}

void calls_forget(struct calls *c, struct call **callp)
{
    struct call *call = *callp;
    *callp = NULL;
    if (call == NULL)
        return;
    call->told = NULL;
    if (call->place != WAITING)
        return;
    finish(c, call, CALLS_NOT_DONE);
    send_on(c);
}

/* --- the keeper comes and goes ------------------------------------------------------------------------------------ */

/* What was sent is in doubt: it goes to the front of the line, but for what nobody waits for. */
static void take_back(struct calls *c)
{
    while (!list_empty(&c->sent)) { /* from the last one to the first */
        struct call *call = CONTAINER_OF(c->sent.prev, struct call, link);
        leave_window(c, call);
        if (call->told == NULL) {
            finish(c, call, CALLS_UNKNOWN);
            continue;
        }
        list_remove(&call->link);
        list_add(c->waiting.next, &call->link); /* before the one that was first */
        call->place = WAITING;
        call->doubted = true;
    }
}

void calls_link(struct calls *c, struct link *l)
{
    take_back(c);
    c->keeper = l;
    send_on(c);
    arm(c);
}

/* --- patience ----------------------------------------------------------------------------------------------------- */

/* Both lists are in the order of asking. NULL: nobody waits. */
static struct call *oldest(struct calls *c)
{
    struct list *both[] = {&c->sent, &c->waiting};
    for (size_t i = 0; i < 2; i++)
        for (struct list *at = both[i]->next; at != both[i]; at = at->next) {
            struct call *call = CONTAINER_OF(at, struct call, link);
            if (call->told != NULL)
                return call;
        }
    return NULL;
}

/* Set while somebody waits; where the oldest call is answered meanwhile it fires in vain, once in five seconds. */
static void arm(struct calls *c)
{
    if (timeout_is_set(&c->patience))
        return;
    struct call *call = oldest(c);
    if (call != NULL)
        timeout_set(c->loop, &c->patience, mono_add(call->began, CALLS_PATIENCE), on_patience);
}

/* With the keeper something stays in the call's place: its answer, or the link's end, makes room for another. */
static void leave_ghost(struct calls *c, struct call *call)
{
    struct call *ghost = need_zero(1, sizeof(*ghost));
    *ghost = *call;
    ghost->told = NULL;
    ghost->body = (struct buf){0};
    list_add(&call->link, &ghost->link); /* before it */
    c->count++;
}

static void give_up(struct calls *c, struct call *call)
{
    if (call->place == SENT)
        leave_ghost(c, call);
    finish(c, call, call->asked ? CALLS_UNKNOWN : CALLS_NOT_DONE);
}

static void on_patience_over(struct timeout *t)
{
    struct calls *c = CONTAINER_OF(t, struct calls, patience);
    mono_t now = loop_now(c->loop);
    struct call *call;
    while ((call = oldest(c)) != NULL && !mono_before(now, mono_add(call->began, CALLS_PATIENCE)))
        give_up(c, call);
    send_on(c);
    arm(c);
}

/* A script may have kept this worker for so long, and the answer lie there unread: a pass of the loop first. */
static void on_patience(struct timeout *t)
{
    struct calls *c = CONTAINER_OF(t, struct calls, patience);
    timeout_set(c->loop, &c->patience, mono_add(mono_now(), DUR_MS(1)), on_patience_over);
}
