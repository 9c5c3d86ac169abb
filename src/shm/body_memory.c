/*
 * body_memory.c: see body_memory.h.
 */
#include "shm/body_memory.h"
#include "base/panic.h"

static void say(struct body_memory *m)
{
    atomic_store(&m->area->body_memory[m->slot], m->own);
}

void body_memory_open(struct body_memory *m, struct area *a, uint32_t slot, uint64_t limit)
{
    CHECK(slot < AREA_SLOTS);
    *m = (struct body_memory){.area = a, .slot = slot, .limit = limit};
    say(m);
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
    uint64_t limit = m->limit + (whole <= BODY_MEMORY_SMALL ? m->limit / 4 : 0);
    body_memory_add(m, n); /* said first, asked then: of two that do so, the later one sees both */
    if (body_memory_sum(m) <= limit)
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

void body_memory_give(struct body_memory *m, uint64_t n)
{
    if (m == NULL)
        return;
    CHECK(m->own >= n);
    m->own -= n;
    say(m);
}
