/*
 * steps.h: the steps of a request, in the order in which pipeline.c lists them.
 * Runs in: the worker's thread. Fails: what a peer or a script did wrong is answered, by the step that finds it.
 */
#ifndef CRESCENT_SERVER_STEPS_H
#define CRESCENT_SERVER_STEPS_H

#include "script/task.h"
#include "server/exchange.h"

/* Puts into the Lua state what the steps call there. 0, or -1 with words. */
int steps_open(struct server *s, struct error *err);

/* The view, which everything else reads: 400. And before any other refusal whether the connection may ask: 429. */
enum step_result steps_view(struct exchange *ex);
/* Server-wide bounds on target and header fields: 414, 431. */
enum step_result steps_limits(struct exchange *ex);
/* A host that asks for client certificates, over a connection that has not met that: 421. */
enum step_result steps_site(struct exchange *ex);
/* The live generation, held from here on, and in it the endpoint: 503, 404. */
enum step_result steps_route(struct exchange *ex);
/* The endpoint there; NULL: none, or no scripts yet. It is not held: no longer than this pass of the loop. */
const struct endpoint *steps_endpoint_at(struct server *s, struct slice host, struct slice path);
/* The handler of the method: 405, and the answer to OPTIONS. */
enum step_result steps_method(struct exchange *ex);
/* The endpoint's max_body: 413; and whether there was memory for the body: 503. The former, within limits.body. */
enum step_result steps_size(struct exchange *ex);
size_t steps_body_bound(const struct server *s, const struct endpoint *e);
/* The endpoint's verifier, in C where it has no Lua function: 401. */
enum step_result steps_verify(struct exchange *ex);
/* Event types that the endpoint does not list are acknowledged and forgotten. */
enum step_result steps_events(struct exchange *ex);
/* The script's handler, and what it returns. */
enum step_result steps_handle(struct exchange *ex);
/* The body of a streamed answer, written by the function that the handler gave. */
enum step_result steps_stream(struct exchange *ex);

/* --- between steps.c, steps_rate.c and steps_stream.c --- */

/*
 * Starts a task of what the registry's function `push` pushes for this exchange; `failed` where that raises, with the
 * error on top of L's stack (then STEP_DONE). done is to call steps_task_over as its last action.
 */
enum step_result steps_task(struct exchange *ex, int push, task_done_fn *done,
                            void (*failed)(struct exchange *ex, lua_State *L));
/* A task has ended: the step returns its outcome, or, when it had waited, the pipeline goes on from the loop. */
void steps_task_over(struct exchange *ex, enum step_result outcome);
/* A task of a script has failed with the error at the top of co's stack, or could not be started: is answered. */
enum step_result steps_raised(struct exchange *ex, lua_State *co);
void steps_unstarted(struct exchange *ex, lua_State *L);
/* The plan of a streamed answer, with the response's headers: begins. Whether there is a body to write. */
bool steps_stream_begin(struct exchange *ex);
/* Called with the exchange: pushes the function and its argument. */
int steps_stream_push(lua_State *L);

#endif
