/*
 * outbound.c: see outbound.h. A turn that has been given is counted at once, and told on the loop's next chance, so
 * that who gives one back never runs into who gets it.
 */
#include "io/outbound.h"
#include "base/map.h"
#include "base/panic.h"
#include <stdlib.h>

struct outbound_host {
    struct list link; /* in outbound.hosts */
    char *origin;
    size_t under_way, waits;
    struct list waiting; /* of outbound_wait */
    unsigned failures;   /* in a row */
    dur_t open_for;      /* 0: the circuit is closed */
    mono_t open_until;   /* then one may try */
    mono_t opened;       /* the last time */
    uint64_t asked;      /* the last time: a number of outbound.asked */
    bool probing;        /* one does */
};

struct outbound {
    struct loop *loop;
    struct map *by_origin;
    struct list hosts; /* the one used longest ago first */
    struct list told;  /* waits whose `go` is owed */
    struct loop_later later;
    uint64_t asked; /* turns, ever */
};

static void tell(struct loop_later *later);

struct outbound *outbound_new(struct loop *l)
{
    struct outbound *o = need_zero(1, sizeof(*o));
    o->loop = l;
    o->by_origin = map_new();
    list_init(&o->hosts);
    list_init(&o->told);
    loop_later_init(&o->later, tell);
    return o;
}

static void forget(struct outbound *o, struct outbound_host *h)
{
    CHECK(h->under_way == 0 && h->waits == 0);
    list_remove(&h->link);
    CHECK(map_remove(o->by_origin, slice_of(h->origin)) == h);
    free(h->origin);
    free(h);
}

void outbound_free(struct outbound **op)
{
    struct outbound *o = *op;
    if (o == NULL)
        return;
    while (!list_empty(&o->hosts))
        forget(o, CONTAINER_OF(o->hosts.next, struct outbound_host, link));
    CHECK(list_empty(&o->told));
    loop_later_cancel(&o->later);
    map_free(&o->by_origin);
    free(o);
    *op = NULL;
}

static struct outbound_host *find(const struct outbound *o, struct slice origin)
{
    return map_get(o->by_origin, origin);
}

/* NULL: all that are remembered are in use. */
static struct outbound_host *find_or_make(struct outbound *o, struct slice origin)
{
    struct outbound_host *h = find(o, origin);
    if (h == NULL && map_count(o->by_origin) >= OUTBOUND_HOSTS_MAX) {
        struct list *at = o->hosts.next;
        while (at != &o->hosts && (CONTAINER_OF(at, struct outbound_host, link)->under_way > 0 ||
                                   CONTAINER_OF(at, struct outbound_host, link)->waits > 0))
            at = at->next;
        if (at == &o->hosts)
            return NULL;
        forget(o, CONTAINER_OF(at, struct outbound_host, link));
    }
    if (h == NULL) {
        h = need_zero(1, sizeof(*h));
        h->origin = slice_dup(origin);
        list_init(&h->link);
        list_init(&h->waiting);
        map_set(o->by_origin, origin, h);
    }
    list_remove(&h->link);
    list_add(&o->hosts, &h->link);
    return h;
}

/* --- turns ------------------------------------------------------------------------------------------------------- */

static void tell(struct loop_later *later)
{
    struct outbound *o = CONTAINER_OF(later, struct outbound, later);
    while (!list_empty(&o->told)) {
        struct outbound_wait *w = CONTAINER_OF(o->told.next, struct outbound_wait, link);
        list_remove(&w->link);
        w->go(w);
    }
}

static void owe(struct outbound *o, struct outbound_wait *w)
{
    list_remove(&w->link);
    list_add(&o->told, &w->link);
    loop_later(o->loop, &o->later);
}

static void begin(struct outbound_host *h, struct outbound_wait *w)
{
    w->under_way = true;
    h->under_way++;
}

/* Who waits with a lower bound of its own does not hold up those behind it. */
static void give_turns(struct outbound *o, struct outbound_host *h)
{
    for (struct list *at = h->waiting.next, *next; at != &h->waiting && h->under_way < OUTBOUND_CONCURRENCY_MAX;
         at = next) {
        struct outbound_wait *w = CONTAINER_OF(at, struct outbound_wait, link);
        next = at->next;
        if (h->under_way >= w->concurrency)
            continue;
        h->waits--;
        begin(h, w);
        owe(o, w);
    }
}

enum outbound_answer outbound_enter(struct outbound *o, struct slice origin, unsigned concurrency,
                                    struct outbound_wait *wait, void (*go)(struct outbound_wait *))
{
    CHECK(wait->host == NULL);
    struct outbound_host *h = find_or_make(o, origin);
    if (h == NULL)
        return OUTBOUND_FULL;
    h->asked = ++o->asked;
    bool half_open = h->open_for.ns > 0;
    if (half_open && (h->probing || mono_before(loop_now(o->loop), h->open_until)))
        return OUTBOUND_OPEN;
    *wait = (struct outbound_wait){.host = h, .concurrency = concurrency, .go = go};
    list_init(&wait->link);
    if (half_open || (h->under_way < concurrency && list_empty(&h->waiting))) {
        wait->probe = h->probing = half_open;
        begin(h, wait);
        return OUTBOUND_GO;
    }
    list_add(&h->waiting, &wait->link);
    h->waits++;
    if (h->under_way < concurrency) /* those before it are more modest */
        give_turns(o, h);
    return OUTBOUND_WAIT;
}

/* --- how it went ------------------------------------------------------------------------------------------------- */

static void open_circuit(struct outbound *o, struct outbound_host *h, bool again)
{
    h->open_for = again && h->open_for.ns > 0 ? (dur_t){2 * h->open_for.ns} : OUTBOUND_OPEN_LEAST;
    if (h->open_for.ns > OUTBOUND_OPEN_MOST.ns)
        h->open_for = OUTBOUND_OPEN_MOST;
    h->opened = loop_now(o->loop);
    h->open_until = mono_add(h->opened, h->open_for);
    while (!list_empty(&h->waiting)) {
        struct outbound_wait *w = CONTAINER_OF(h->waiting.next, struct outbound_wait, link);
        h->waits--;
        w->host = NULL;
        w->open = true;
        owe(o, w);
    }
}

static void judge(struct outbound *o, struct outbound_host *h, bool probe, enum outbound_outcome outcome)
{
    if (probe)
        h->probing = false;
    if (outcome == OUTBOUND_GOOD) {
        h->failures = 0;
        h->open_for = (dur_t){0};
    } else if (outcome == OUTBOUND_FAILED) {
        h->failures++;
        if (probe || (h->failures >= OUTBOUND_FAILURES && h->open_for.ns == 0))
            open_circuit(o, h, probe);
    }
}

void outbound_answered(struct outbound *o, struct outbound_wait *wait)
{
    CHECK(wait->under_way);
    if (wait->answered)
        return;
    judge(o, wait->host, wait->probe, OUTBOUND_GOOD);
    wait->answered = true;
    wait->probe = false; /* others may ask meanwhile */
}

void outbound_leave(struct outbound *o, struct outbound_wait *wait, enum outbound_outcome outcome)
{
    struct outbound_host *h = wait->host;
    if (wait->go != NULL) /* waiting, or owed its turn */
        list_remove(&wait->link);
    wait->host = NULL;
    if (h == NULL)
        return;
    if (wait->under_way) {
        h->under_way--;
        judge(o, h, wait->probe, wait->answered ? OUTBOUND_UNKNOWN : outcome);
        give_turns(o, h);
    } else {
        h->waits--;
    }
}

/* --- what is known ----------------------------------------------------------------------------------------------- */

size_t outbound_load(const struct outbound *o, struct slice origin)
{
    const struct outbound_host *h = find(o, origin);
    return h != NULL ? h->under_way + h->waits : 0;
}

bool outbound_is_open(const struct outbound *o, struct slice origin)
{
    const struct outbound_host *h = find(o, origin);
    return h != NULL && h->open_for.ns > 0 && (h->probing || mono_before(loop_now(o->loop), h->open_until));
}

mono_t outbound_open_until(const struct outbound *o, struct slice origin)
{
    const struct outbound_host *h = find(o, origin);
    return h != NULL && h->open_for.ns > 0 ? h->open_until : (mono_t){0};
}

uint64_t outbound_last_asked(const struct outbound *o, struct slice origin)
{
    const struct outbound_host *h = find(o, origin);
    return h != NULL ? h->asked : 0;
}

void outbound_hurry(struct outbound *o, struct slice origin)
{
    struct outbound_host *h = find(o, origin);
    if (h == NULL || h->open_for.ns == 0)
        return;
    mono_t soon = mono_add(h->opened, OUTBOUND_OPEN_LEAST);
    if (mono_before(soon, h->open_until))
        h->open_until = soon;
}

size_t outbound_hosts(const struct outbound *o)
{
    return map_count(o->by_origin);
}
