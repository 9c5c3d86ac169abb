/*
 * calls.c: three lists: `waiting` (to be sent, in order), `sent` (with the keeper, in order), `over` (to be told on the
 * next pass). See calls.h.
 */
#include "ipc/calls.h"
#include "base/panic.h"
#include "base/uuid.h"
#include "io/timeout.h"
#include "shm/counters.h"
#include <stdlib.h>

enum place { WAITING, SENT, OVER };

struct call {
    struct list link;
    enum place place; /* in which list it is */
    uint64_t id_high, id_low;
    enum message_type type;
    struct buf body; /* of the message, to be asked again; then of the answer */
    size_t size;     /* of the message */
    bool large;
    bool asked; /* of some keeper, at least once */
    mono_t began;
    enum calls_end end;
    calls_told_fn *told; /* NULL: nobody waits for it */
    void *cookie;
};

struct calls {
    struct loop *loop;
    struct counters *counters;
    struct link *keeper; /* NULL: away */
    struct list waiting, sent, over;
    size_t count, bytes;                       /* of all but `over` */
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

/* Where the id stands in each kind of message that is a call or an answer to one. */
static void find_id(struct message *m, uint64_t **high_out, uint64_t **low_out)
{
    switch (m->type) {
    case MESSAGE_kv:
        *high_out = &m->kv.id_high;
        *low_out = &m->kv.id_low;
        return;
    case MESSAGE_kv_done:
        *high_out = &m->kv_done.id_high;
        *low_out = &m->kv_done.id_low;
        return;
    default:
        PANIC("%s is no call", messages_name(m->type));
    }
}

/* A time-ordered id: what is kept under it in the store stands in the order of its making. */
static void give_id(struct call *call)
{
    struct uuid id = uuid_new(wall_now());
    for (int i = 0; i < 8; i++) {
        call->id_high = call->id_high << 8 | id.bytes[i];
        call->id_low = call->id_low << 8 | id.bytes[8 + i];
    }
}

static void arm(struct calls *c);

/* The call, once more or for the first time, behind what was sent before it. */
static void send(struct calls *c, struct call *call)
{
    struct message m;
    CHECK(messages_read(call->type, buf_slice(&call->body), NULL, 0, &m) == 0);
    list_remove(&call->link);
    list_add(&c->sent, &call->link);
    call->place = SENT;
    call->asked = true;
    c->sent_count++;
    c->sent_bytes += call->size;
    c->sent_large += call->large;
    link_send(c->keeper, &m);
}

static bool fits(const struct calls *c, const struct call *call)
{
    return c->sent_count < CALLS_WINDOW && (!call->large || c->sent_large < CALLS_WINDOW_READS) &&
           (c->sent_bytes == 0 || c->sent_bytes + call->size <= CALLS_WINDOW_BYTES);
}

/* What is first in the line and does not fit holds up those behind it: the order is the promise. */
static void send_on(struct calls *c)
{
    struct call *call;
    while (c->keeper != NULL && (call = first(&c->waiting)) != NULL && fits(c, call))
        send(c, call);
}

struct call *calls_ask(struct calls *c, struct message *m, bool large, calls_told_fn *told, void *cookie)
{
    uint64_t *high, *low;
    struct call *call = need_zero(1, sizeof(*call));
    give_id(call);
    find_id(m, &high, &low);
    *high = call->id_high;
    *low = call->id_low;
    CHECK(messages_write(m, &call->body, (int[MESSAGES_FDS_MAX]){0}) == 0);
    list_init(&call->link);
    call->size = call->body.len;
    if (c->count >= CALLS_MOST || c->bytes + call->size > CALLS_MOST_BYTES) {
        if (c->counters != NULL)
            counters_add(c->counters, COUNTER_calls_failed, 1);
        release(call);
        return NULL;
    }
    call->type = m->type;
    call->large = large;
    call->told = told;
    call->cookie = cookie;
    call->began = loop_now(c->loop);
    c->count++;
    c->bytes += call->size;
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
    c->bytes -= call->size;
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
    uint64_t *high, *low;
    find_id((struct message *)answer, &high, &low);
    for (struct list *at = c->sent.next; at != &c->sent; at = at->next) {
        struct call *call = CONTAINER_OF(at, struct call, link);
        if (call->id_high == *high && call->id_low == *low)
            return call;
    }
    return NULL;
}

bool calls_answer(struct calls *c, const struct message *answer)
{
    struct call *call = find_sent(c, answer);
    if (call == NULL)
        return false;
    leave_window(c, call);
    if (call->told != NULL) {
        buf_clear(&call->body);
        call->type = answer->type;
        messages_write(answer, &call->body, (int[MESSAGES_FDS_MAX]){0});
    }
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
    c->bytes += ghost->size;
}

static void give_up(struct calls *c, struct call *call)
{
    if (call->place == SENT)
        leave_ghost(c, call);
    finish(c, call, call->asked ? CALLS_UNKNOWN : CALLS_NOT_DONE);
}

static void on_patience(struct timeout *t)
{
    struct calls *c = CONTAINER_OF(t, struct calls, patience);
    mono_t now = loop_now(c->loop);
    struct call *call;
    while ((call = oldest(c)) != NULL && !mono_before(now, mono_add(call->began, CALLS_PATIENCE)))
        give_up(c, call);
    send_on(c);
    arm(c);
}
