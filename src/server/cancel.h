/*
 * cancel.h: what ends a wait from outside: the client has gone, or the endpoint's timeout has passed. The task is
 * cancelled once; what it would have answered is dropped. Runs in: the worker's thread, from the loop.
 */
#ifndef CRESCENT_SERVER_CANCEL_H
#define CRESCENT_SERVER_CANCEL_H

#include "base/time.h"
#include <stdbool.h>

struct connection;
struct exchange;

/* Its task is suspended now: sets the deadline (an upstream has its own), and makes the request outlive its client
 * where the endpoint wants. */
void cancel_arm(struct exchange *ex);
/*
 * The client has left before the answer: either libh2o has disposed of the request (ex->req is NULL), or an HTTP/1
 * connection was found dead. By `on_disconnect` the task is cancelled, or goes on for nobody.
 */
void cancel_gone(struct exchange *ex);
/* Of a connection that is cut for abuse: the requests that have gone from it before, and that went on for nobody. */
void cancel_left(struct connection *c);
/* Whether a client's leaving cancels it. */
bool cancel_wanted(const struct exchange *ex);
/* When the exchange's task is cancelled for having taken too long; MONO_NEVER: it is not. cookie: the exchange. */
mono_t cancel_deadline(void *cookie);

#endif
