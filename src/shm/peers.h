/*
 * peers.h: what an address has at all workers together: its connections (limits.connections_per_ip), the memory of its
 * bodies (limits.body_memory_per_ip). Each worker counts its own, by what a secret hash makes of the address, in two
 * rows of its slot; an address has as many as the smaller one of the two sums over all slots. That is never too few; it
 * is too many only where others share its place in both rows, and nobody can choose that. A slot is emptied when its
 * worker has died, so no count outlives what it counts.
 * Each counter has one writer. Owns: nothing; the rows lie in the area. Runs in: the worker's thread; the supervisor
 * (secret, forgetting). Never fails.
 */
#ifndef CRESCENT_SHM_PEERS_H
#define CRESCENT_SHM_PEERS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define PEERS_ROWS 2
#define PEERS_COUNTERS 16384 /* in a row: places for addresses; what is not touched takes no memory */

struct area;
struct ip;

struct peers_slot { /* written by its worker */
    _Atomic uint32_t count[PEERS_ROWS][PEERS_COUNTERS];
};

enum peers_kind { PEERS_CONNECTIONS, PEERS_BODIES /* KiB */, PEERS_KINDS };

struct peers { /* one worker's access */
    struct area *area;
    enum peers_kind kind;
    uint32_t slot;
    uint64_t secret[PEERS_ROWS]; /* a copy: what lies in the area, a broken worker may change */
};

void peers_open(struct peers *p, struct area *a, uint32_t slot, enum peers_kind kind);
/* An IPv4 address, or the first 64 bits of an IPv6 one (who has one has them all) as a number. 0: it is neither. */
uint64_t peers_key(const struct ip *address);
/* n more of this key: how many there are now. n less. Key 0 is nobody: 0. */
uint64_t peers_add(struct peers *p, uint64_t key, uint32_t n);
void peers_remove(struct peers *p, uint64_t key, uint32_t n);
/* Supervisor: makes the secret of a new area; empties the slot of a worker that is dead. */
void peers_make(struct area *a);
void peers_forget(struct area *a, uint32_t slot);

#endif
