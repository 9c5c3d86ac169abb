/*
 * body_refusal.h: what becomes of an upload that there is no memory for, or that turns out too long. Over HTTP/1 it is
 * answered with a 503 and Retry-After, or a 413, and the connection closes; what still comes is read and thrown away
 * for a while, also behind the close (see linger.h). Whatever else was being read is closed at once. HTTP/2 streams are
 * reset by libh2o itself. Owns nothing. Runs in: the worker's thread. Never fails.
 */
#ifndef CRESCENT_SERVER_BODY_REFUSAL_H
#define CRESCENT_SERVER_BODY_REFUSAL_H

#include "server/connections.h"

struct server;

/* Counts a refusal, and sees to it that the log says so, once a second at most. */
void body_refusal_count(struct server *s, enum reason why);
/*
 * libh2o asks for more room for the connection's input, and there is none, for REASON_body_memory and the like: gives
 * up what it holds. The room instead.
 */
h2o_iovec_t body_refusal_begin(struct connection *c, enum reason why);
/* It asks again: the same room once more. A NULL base now and then, so that one peer does not hold the loop. */
h2o_iovec_t body_refusal_room(struct connection *c, h2o_buffer_t *input);
/* libh2o has closed its socket. */
void body_refusal_closed(struct connection *c);

#endif
