/*
 * orphans.h: children that the supervisor has not started. A worker's spawner kills all that it started when its worker
 * dies, and a worker does so when its spawner dies; where both have died, their programs become the supervisor's
 * children (it is a subreaper), and are killed here.
 * What was there at the start (an entry point's helpers), and what comes when no worker has died lately (as process 1
 * of a container: whatever lost its parent there), is none of that: it is left alone, and its end collected.
 * Owns: the list of those. Runs in: the supervisor, never waits but at its end. Fails: without /proc it sees nobody.
 */
#ifndef CRESCENT_SUPERVISE_ORPHANS_H
#define CRESCENT_SUPERVISE_ORPHANS_H

#include "base/time.h"

#include <stddef.h>
#include <sys/types.h>

struct supervisor;

#define ORPHANS_FOREIGN 64

struct orphans {
    mono_t worker_died; /* the last one */
    mono_t hunt_until;  /* whoever comes until then is killed */
    mono_t next;        /* the next look */
    pid_t foreign[ORPHANS_FOREIGN];
    size_t foreign_count;
};

/* At the start, and when another program has taken the supervisor over. */
void orphans_begin(struct supervisor *s);
/* A worker has died, whatever of. */
void orphans_worker_died(struct supervisor *s, mono_t now);
/* Call each tick. */
void orphans_tick(struct supervisor *s, mono_t now);
/* All children of our own have gone: waits until the last spawners have, too, a second or two at most. */
void orphans_end(struct supervisor *s);

#endif
