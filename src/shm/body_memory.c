/*
 * body_memory.c: see body_memory.h.
 */
#include "shm/body_memory.h"
#include "base/panic.h"

#define ALL (UINT64_MAX / 2)

static void say(struct body_memory *m)
{
    atomic_store(&m->area->body_memory[m->slot], m->own);
}

void body_memory_open(struct body_memory *m, struct area *a, uint32_t slot, uint64_t limit)
{
    CHECK(slot < AREA_SLOTS);
    *m = (struct body_memory){.area = a, .slot = slot, .limit = limit, .share = ALL};
    peers_open(&m->peers, a, slot, PEERS_BODIES);
    say(m);
}

void body_memory_share(struct body_memory *m, uint64_t share)
{
    m->share = share < m->limit ? share : ALL; /* then it is the limit that says no */
}

/* What is small may have a quarter more. */
static uint64_t roomier(uint64_t limit, uint64_t whole)
{
    return whole <= BODY_MEMORY_SMALL ? limit + limit / 4 : limit;
}

uint64_t body_memory_sum(const struct body_memory *m)
{
    uint64_t sum = 0;
    uint32_t used = area_used(m->area);
    for (uint32_t i = 0; i < used && i < AREA_SLOTS; i++) {
        uint64_t n = i == m->slot ? m->own : atomic_load(&m->area->body_memory[i]);
        sum += n < m->limit || i == m->slot ? n : m->limit;
    }
    return m->slot < used ? sum : sum + m->own;
}

bool body_memory_take(struct body_memory *m, uint64_t n, uint64_t whole)
{
    if (m == NULL)
        return true;
    body_memory_add(m, n); /* said first, asked then: of two that do so, the later one sees both */
    if (body_memory_sum(m) <= roomier(m->limit, whole))
        return true;
    body_memory_give(m, n);
    return false;
}

void body_memory_add(struct body_memory *m, uint64_t n)
{
    if (m == NULL)
        return;
    m->own += n;
    say(m);
}

static uint32_t kib(uint64_t n)
{
    return (uint32_t)((n + 1023) >> 10);
}

bool body_memory_charge(struct body_memory *m, struct body_charge *c, uint64_t whole, uint64_t beyond)
{
    if (m == NULL)
        return true;
    uint32_t more = kib(whole) - c->kib;
    uint64_t has = peers_add(&m->peers, c->peer, more); /* likewise */
    if (has > beyond >> 10 && has - (beyond >> 10) > roomier(m->share, whole) >> 10) {
        peers_remove(&m->peers, c->peer, more);
        return false;
    }
    c->kib += more;
    return true;
}

void body_memory_discharge(struct body_memory *m, struct body_charge *c, uint64_t whole)
{
    if (m == NULL)
        return;
    uint32_t less = c->kib - kib(whole);
    peers_remove(&m->peers, c->peer, less);
    c->kib -= less;
}

void body_memory_give(struct body_memory *m, uint64_t n)
{
    if (m == NULL)
        return;
    CHECK(m->own >= n);
    m->own -= n;
    say(m);
}
