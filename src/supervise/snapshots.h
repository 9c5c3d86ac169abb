/*
 * snapshots.h: the two snapshots that the supervisor holds, by descriptor and never read: the live one, and the next.
 * Which is which is decided by the generation word, at the moment of use.
 * Owns: the descriptors. Runs in: the supervisor, pure but for closing. Never fails.
 */
#ifndef CRESCENT_SUPERVISE_SNAPSHOTS_H
#define CRESCENT_SUPERVISE_SNAPSHOTS_H

#include <stdint.h>

struct snapshot_held {
    uint64_t generation; /* 0: none */
    int fd;
};
struct snapshots { /* born by snapshots_init */
    struct snapshot_held live, next;
};

void snapshots_init(struct snapshots *s);
/* Takes the descriptor of the next one; a next one that never became live gives way. word: the generation word. */
void snapshots_keep(struct snapshots *s, uint64_t word, uint64_t generation, int fd);
/* The one for a new child, borrowed: what the word names, else the last that was live, else {0, -1}. */
struct snapshot_held snapshots_live(struct snapshots *s, uint64_t word);
void snapshots_close(struct snapshots *s);

#endif
