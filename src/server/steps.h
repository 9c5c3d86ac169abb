/*
 * steps.h: the steps of a request, in the order in which pipeline.c lists them.
 * Runs in: the worker's thread. Fails: what a peer or a script did wrong is answered, by the step that finds it.
 */
#ifndef CRESCENT_SERVER_STEPS_H
#define CRESCENT_SERVER_STEPS_H

#include "server/exchange.h"

/* Puts into the Lua state what the steps call there. 0, or -1 with words. */
int steps_open(struct server *s, struct error *err);

/* The view, which everything else reads: 400. */
enum step_result steps_view(struct exchange *ex);
/* Server-wide bounds on target and header fields: 414, 431. */
enum step_result steps_limits(struct exchange *ex);
/* A host that asks for client certificates, over a connection that has not met that: 421. */
enum step_result steps_site(struct exchange *ex);
/* The live generation, held from here on, and in it the endpoint: 503, 404. */
enum step_result steps_route(struct exchange *ex);
/* The handler of the method: 405, and the answer to OPTIONS. */
enum step_result steps_method(struct exchange *ex);
/* The endpoint's max_body: 413. */
enum step_result steps_size(struct exchange *ex);
/* The endpoint's verifier, in C where it has no Lua function: 401. */
enum step_result steps_verify(struct exchange *ex);
/* Event types that the endpoint does not list are acknowledged and forgotten. */
enum step_result steps_events(struct exchange *ex);
/* The script's handler, and what it returns. */
enum step_result steps_handle(struct exchange *ex);

#endif
