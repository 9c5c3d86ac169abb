/*
 * worn.h: what wears a worker out, so that another shall take its place (supervise/renewal) while it finishes what it
 * has: scripts keep more than its memory has room for, its spawner has died, it had too few descriptors for a message
 * of the keeper, a file, or the folder `files`, has been replaced by one that its jail does not know. Owns nothing.
 * Runs in: the worker's loop. Fails: never; where no successor can start it goes on.
 */
#ifndef CRESCENT_WORKER_WORN_H
#define CRESCENT_WORKER_WORN_H

#include "worker/internal.h"

/* For script_host.full and exec_on_lost; the cookie is the worker. */
void worn_by_scripts(void *cookie, const struct host_full *full);
void worn_by_spawner(void *cookie);
/* To be called now and then: whether its link broke, it may not read what libraries need any more, or not reach the
 * folder of `files`. */
void worn_look(struct worker *w);

#endif
