/*
 * body_memory.h: limits.body_memory: how many bytes of bodies all workers hold together. Each worker counts its own in
 * its word of the area, and asks for more only as long as the sum of all words stays below the limit. A word that
 * lies (its worker is broken) is taken for the limit at most: then nobody gets more, and nobody gets too much.
 * What is small may use a quarter more, so that a flood of large bodies does not keep small ones out.
 * Of all that, one address has a share at most (limits.body_memory_per_ip), whichever workers it comes to.
 * Owns nothing. Runs in: a worker's thread; readers anywhere. Never fails.
 */
#ifndef CRESCENT_SHM_BODY_MEMORY_H
#define CRESCENT_SHM_BODY_MEMORY_H

#include "shm/area.h"
#include "shm/peers.h"
#include <stdbool.h>

#define BODY_MEMORY_SMALL ((uint64_t)64 << 10) /* a body of so many bytes is small: most webhooks are */
#define BODY_MEMORY_MUST UINT64_MAX            /* beyond its share: whatever that says */

struct body_memory {
    struct area *area;
    uint32_t slot;
    uint64_t limit;
    uint64_t own;   /* what this worker holds; its word says the same */
    uint64_t share; /* of the limit, for one address */
    struct peers peers;
};

struct body_charge { /* whose memory a buffer is */
    uint64_t peer;   /* as shm/peers has it; 0: nobody's */
    uint32_t kib;
};

/* A worker's, which holds nothing yet. An address may have all of it, until its share is told. */
void body_memory_open(struct body_memory *m, struct area *a, uint32_t slot, uint64_t limit);
void body_memory_share(struct body_memory *m, uint64_t share);
/*
 * n bytes more, for a body that then has `whole` of them: false, and nothing changed, when that would pass the limit.
 * Two workers that ask at the same time for the last bytes may both be refused, never both be served. m may be NULL:
 * then nothing is counted.
 */
bool body_memory_take(struct body_memory *m, uint64_t n, uint64_t whole);
/* n bytes more whatever the limit says: what must be counted and cannot be refused. */
void body_memory_add(struct body_memory *m, uint64_t n);
/*
 * A buffer has grown to `whole` bytes, for the address of its charge: false, and nothing changed, when that address
 * would then have more than its share and `beyond` bytes. What is charged is counted by take or add as well.
 */
bool body_memory_charge(struct body_memory *m, struct body_charge *c, uint64_t whole, uint64_t beyond);
/* It has gone, or back to `whole` bytes. */
void body_memory_discharge(struct body_memory *m, struct body_charge *c, uint64_t whole);
/* n bytes less. */
void body_memory_give(struct body_memory *m, uint64_t n);
/* What all workers hold, each bounded by the limit. */
uint64_t body_memory_sum(const struct body_memory *m);

#endif
