/*
 * peers.c: see peers.h. UNSAFE BYTES: what other workers have written is summed, never used as a place.
 */
#include "shm/peers.h"
#include "base/panic.h"
#include "codec/ip.h"
#include "crypto/random.h"
#include "shm/area.h"
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void peers_make(struct area *a)
{
    random_fill(a->peers_secret, sizeof(a->peers_secret));
}

void peers_open(struct peers *p, struct area *a, uint32_t slot, enum peers_kind kind)
{
    CHECK(slot < AREA_SLOTS);
    p->area = a;
    p->slot = slot;
    p->kind = kind;
    memcpy(p->secret, a->peers_secret, sizeof(p->secret));
}

/* --- addresses -------------------------------------------------------------------------------------------------- */

/* Above all that stands in a prefix of ::/32, of which nothing is routed. */
static uint64_t key_v4(const uint8_t bytes[4])
{
    return UINT64_C(1) << 32 | (uint64_t)bytes[0] << 24 | (uint64_t)bytes[1] << 16 | (uint64_t)bytes[2] << 8 | bytes[3];
}

uint64_t peers_key(const struct ip *address)
{
    uint64_t key = 0;
    if (address->kind == IP_V4)
        return key_v4(address->at);
    if (address->kind != IP_V6)
        return 0;
    for (int i = 0; i < 8; i++)
        key = key << 8 | address->at[i];
    return key != 0 ? key : 1; /* ::1 and its like */
}

/* The finish of splitmix64: each bit of the key moves half of those of the result. */
static size_t place(const struct peers *p, unsigned row, uint64_t key)
{
    uint64_t x = key ^ p->secret[row];
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return (size_t)((x ^ x >> 31) % PEERS_COUNTERS);
}

/* --- counting --------------------------------------------------------------------------------------------------- */

static uint64_t sum(const struct peers *p, unsigned row, size_t at)
{
    uint64_t all = 0;
    uint32_t used = area_used(p->area);
    for (uint32_t i = 0; i < used; i++)
        all += atomic_load(&p->area->peers[p->kind][i].count[row][at]);
    return all;
}

uint64_t peers_add(struct peers *p, uint64_t key, uint32_t n)
{
    uint64_t least = UINT64_MAX;
    if (key == 0)
        return 0;
    for (unsigned row = 0; row < PEERS_ROWS; row++) {
        size_t at = place(p, row, key);
        _Atomic uint32_t *own = &p->area->peers[p->kind][p->slot].count[row][at];
        /* Said first, asked then: of two workers that do so, the later one sees both. */
        atomic_store(own, atomic_load_explicit(own, memory_order_relaxed) + n);
        uint64_t all = sum(p, row, at);
        least = all < least ? all : least;
    }
    return least;
}

void peers_remove(struct peers *p, uint64_t key, uint32_t n)
{
    if (key == 0)
        return;
    for (unsigned row = 0; row < PEERS_ROWS; row++) {
        _Atomic uint32_t *own = &p->area->peers[p->kind][p->slot].count[row][place(p, row, key)];
        uint32_t all = atomic_load_explicit(own, memory_order_relaxed);
        atomic_store(own, all > n ? all - n : 0); /* less than n: a broken worker has been here */
    }
}

/* Its whole pages go back to the system: to write zeros would take memory for all that nobody ever touched. */
static void empty(struct peers_slot *slot)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = (uintptr_t)slot, end = begin + sizeof(*slot);
    uintptr_t first = (begin + page - 1) & ~(page - 1), last = end & ~(page - 1);
    if (first >= last || madvise((void *)first, last - first, MADV_REMOVE) != 0)
        first = last = end; /* no such pages: by hand */
    memset((void *)begin, 0, first - begin);
    memset((void *)last, 0, end - last);
}

void peers_forget(struct area *a, uint32_t slot)
{
    CHECK(slot < AREA_SLOTS);
    for (int kind = 0; kind < PEERS_KINDS; kind++)
        empty(&a->peers[kind][slot]);
}
