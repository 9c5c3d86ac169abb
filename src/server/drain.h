/*
 * drain.h: the orderly end of a server: it stops accepting, answers what is under way, lets its connections go.
 * Owns nothing. Runs in: the worker's thread. Never fails: at the deadline it is over all the same.
 */
#ifndef CRESCENT_SERVER_DRAIN_H
#define CRESCENT_SERVER_DRAIN_H

#include "base/slice.h"
#include "base/time.h"

struct server;

struct server_drain {
    mono_t deadline;
    /*
     * Others serve in its place: it takes no more from the listening sockets, at once, and connections end with their
     * next answer, or when they have been idle long enough; none that a request may be on its way to is closed. Else
     * the whole server stops: who has knocked is let in first, and idle connections are closed.
     */
    bool replaced;
    struct slice gone; /* replaced: as in listener_leave: nobody else has those, who has knocked there is let in */
};

/* Calls drained when no connection is left or the deadline has passed. A second call may turn a replacement into a
 * stop, and bring the deadline forward; else it changes nothing. */
void server_drain(struct server *s, const struct server_drain *how, void (*drained)(void *cookie), void *cookie);

#endif
