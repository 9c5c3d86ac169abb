/*
 * drain.h: the orderly end of a server: it stops accepting, answers what is under way, lets its connections go.
 * Owns nothing. Runs in: the worker's thread. Never fails: at the deadline it is over all the same.
 */
#ifndef CRESCENT_SERVER_DRAIN_H
#define CRESCENT_SERVER_DRAIN_H

#include "base/time.h"

struct server;

/* Stops accepting; answers what is under way; calls drained when no connection is left or the deadline has passed. A
 * second call changes nothing. */
void server_drain(struct server *s, mono_t deadline, void (*drained)(void *cookie), void *cookie);

#endif
