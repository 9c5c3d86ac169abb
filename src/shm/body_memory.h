/*
 * body_memory.h: limits.body_memory: how many bytes of bodies all workers hold together. Each worker counts its own in
 * its word of the area, and asks for more only as long as the sum of all words stays below the limit. A word that
 * lies (its worker is broken) is taken for the limit at most: then nobody gets more, and nobody gets too much.
 * What is small may use a quarter more, so that a flood of large bodies does not keep small ones out.
 * Owns nothing. Runs in: a worker's thread; readers anywhere. Never fails.
 */
#ifndef CRESCENT_SHM_BODY_MEMORY_H
#define CRESCENT_SHM_BODY_MEMORY_H

#include "shm/area.h"
#include <stdbool.h>

#define BODY_MEMORY_SMALL ((uint64_t)64 << 10) /* a body of so many bytes is small: most webhooks are */

struct body_memory {
    struct area *area;
    uint32_t slot;
    uint64_t limit;
    uint64_t own; /* what this worker holds; its word says the same */
};

/* A worker's, which holds nothing yet. */
void body_memory_open(struct body_memory *m, struct area *a, uint32_t slot, uint64_t limit);
/*
 * n bytes more, for a body that then has `whole` of them: false, and nothing changed, when that would pass the limit.
 * Two workers that ask at the same time for the last bytes may both be refused, never both be served. m may be NULL:
 * then nothing is counted.
 */
bool body_memory_take(struct body_memory *m, uint64_t n, uint64_t whole);
/* n bytes more whatever the limit says: what must be counted and cannot be refused. */
void body_memory_add(struct body_memory *m, uint64_t n);
/* n bytes less. */
void body_memory_give(struct body_memory *m, uint64_t n);
/* What all workers hold, each bounded by the limit. */
uint64_t body_memory_sum(const struct body_memory *m);

#endif
