/*
 * orders.h: what supervisor and keeper tell a worker: two tables of handlers.
 * Owns: the links (in struct worker). Runs in: the worker's loop. Fails: the supervisor's end ends the worker; the
 * keeper's is waited out: requests go on.
 */
#ifndef CRESCENT_WORKER_ORDERS_H
#define CRESCENT_WORKER_ORDERS_H

#include "worker/internal.h"

void orders_open(struct worker *w);
/* To the keeper; descriptors in it are closed when there is none. */
void orders_to_keeper(struct worker *w, const struct message *m);
/* Handles what the keeper has sent by now. */
void orders_hear(struct worker *w);
/* Accepts from now on, and says so. */
void orders_serve(struct worker *w);

#endif
