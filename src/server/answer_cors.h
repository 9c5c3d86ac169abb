/*
 * answer_cors.h: policy/cors on a request's way: the step that refuses other sites' requests and answers preflights,
 * and the headers that every answer of an endpoint with `cors` carries, whoever makes it. Owns nothing.
 * Runs in: the worker's thread. Fails: a script that says such headers itself is told that it must not.
 */
#ifndef CRESCENT_SERVER_ANSWER_CORS_H
#define CRESCENT_SERVER_ANSWER_CORS_H

#include "server/exchange.h"

/* Of another site that is not allowed: 403. A preflight: 204, whatever the endpoint's methods are. */
enum step_result answer_cors_step(struct exchange *ex);
/* The server's response is complete: what it says of who may read it. */
void answer_cors_add(struct exchange *ex);
/*
 * The same of one that is refused before its route is looked up, though path and host are known: by what the endpoint
 * there says of it, which does nothing else.
 */
void answer_cors_unrouted(struct exchange *ex);
/* The server's response is a script's, or ex->plan its plan of a proxied one: -1 where that decides what `cors` does.
 */
int answer_cors_check(const struct exchange *ex, struct error *err);
/* The server's response has the header of an upstream, whose own words about that are not meant for here. */
void answer_cors_clean(struct exchange *ex);

#endif
