/*
 * overload.h: more requests than can be served are refused at once, with a 503 that says to come back: past
 * limits.requests in progress in all workers, or while this worker's loop lags by more than limits.lag. Both are looked
 * at for each request, and nothing is remembered: who comes when there is room is served. A request is in progress
 * until its answer is whole, a stream until its end: what then waits for its client is nobody's work (see
 * access_works), and bounded by the sweep. The admin listener is another process's and hears nothing of it.
 * Owns: struct overload, in the server. Runs in: the worker's thread. Never fails.
 */
#ifndef CRESCENT_SERVER_OVERLOAD_H
#define CRESCENT_SERVER_OVERLOAD_H

#include "server/exchange.h"

/*
 * The step, right after the route: so pages can read the answer of an endpoint with `cors`, and its record names the
 * endpoint. To find the route costs less than to refuse.
 */
enum step_result overload_step(struct exchange *ex);
/*
 * Whether limits.requests are in progress, or as many of this worker's wait for their clients: those who keep theirs
 * waiting have less time then.
 */
bool overload_pressed(struct server *s);
/* Now and then: says in the log what was refused since it last did. */
void overload_tick(struct server *s, mono_t now);

#endif
