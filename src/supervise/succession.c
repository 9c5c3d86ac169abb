/*
 * succession.c: see succession.h.
 */
#include "supervise/succession.h"

#include "base/panic.h"
#include "supervise/child.h"

bool succession_room(const struct supervisor *s, uint32_t workers)
{
    uint32_t used = 0;

    for (uint32_t i = 0; i < s->places; i++)
        used += !child_free(&s->workers[i]);
    return workers <= AREA_SLOTS - used;
}

void succession_begin(struct supervisor *s)
{
    struct edition *next = s->upgrade.next;
    uint32_t slot = 0;

    for (uint32_t member = 0; member < next->config.workers; member++, slot++) {
        while (slot < AREA_SLOTS && !child_free(&s->workers[slot]))
            slot++;
        CHECK(slot < AREA_SLOTS);
        child_init(&s->workers[slot], HERITAGE_WORKER, next, slot, member);
        s->places = slot >= s->places ? slot + 1 : s->places;
    }
}

const struct child *succession_awaited(const struct supervisor *s)
{
    const struct child *awaited = NULL, *died = NULL;
    bool ready = false;

    for (uint32_t i = 0; i < s->places; i++) {
        const struct child *c = &s->workers[i];

        if (c->edition != s->upgrade.next)
            continue;
        ready = ready || c->ready;
        if (c->served)
            died = c->ready ? died : c;
        else if (awaited == NULL || c->stillborn > awaited->stillborn)
            awaited = c;
    }
    return awaited != NULL || ready ? awaited : died;
}

/* From here on nobody new gets in at the addresses of `from` that `to` has not; `gone`: which those are. */
static void shut(struct edition *from, const struct edition *to, struct buf *gone)
{
    sockets_shut(&from->sockets, &to->sockets);
    sockets_gone(&from->sockets, &to->sockets, gone);
}

void succession_over(struct supervisor *s)
{
    struct edition *next = s->upgrade.next;
    struct buf gone = {0};

    shut(s->now, next, &gone);
    for (uint32_t i = 0; i < s->places; i++)
        if (s->workers[i].edition == s->now)
            child_leave(s, &s->workers[i], next->config.drain, buf_slice(&gone));
    buf_free(&gone);
}

void succession_undo(struct supervisor *s)
{
    struct edition *next = s->upgrade.next;
    struct buf gone = {0};

    shut(next, s->now, &gone);
    for (uint32_t i = 0; i < s->places; i++) {
        struct child *c = &s->workers[i];

        if (c->edition == next && c->ready)
            child_leave(s, c, s->now->config.drain, buf_slice(&gone));
        else if (c->edition == next)
            child_end(c);
    }
    buf_free(&gone);
}
