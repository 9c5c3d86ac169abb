/*
 * tapes.h: drains the tapes: lines and exchanges of all processes, in the order of each, as lines to the writer thread.
 * Asleep it costs nothing; awake it looks each 10 ms, so that busy workers wake it at most a hundred times a second.
 * Owns: its readers, the writer thread, the keeper's own tape. Runs in: the keeper's loop. Fails: at start with words.
 * Only one keeper reads at a time (area_lock_tapes): the others wait for its end.
 */
#ifndef CRESCENT_KEEPER_TAPES_H
#define CRESCENT_KEEPER_TAPES_H

#include "base/config.h"
#include "io/loop.h"
#include "shm/area.h"

struct tapes;

struct tapes_host { /* all of it outlives the tapes */
    struct loop *loop;
    const struct config *config;
    struct area *area;
    int area_fd; /* carries the lock */
    int wake;    /* eventfd */
};

/* From here on this process's own lines take this way too. */
struct tapes *tapes_new(const struct tapes_host *host, struct error *err);
/* The log's file is opened again; without one this is said, and nothing else. */
void tapes_reopen(struct tapes *t);
/* A moment's look, whatever the bell says: a writer may have died before it rang. */
void tapes_look(struct tapes *t);
/* The last thing: what is on the tapes is written, if its reader takes it within the time. */
void tapes_finish(struct tapes *t, dur_t most);

#endif
