/*
 * probation.h: what a request has to do with its endpoint's quarantine (shm/quarantine): it is refused, passes, or is
 * the probe that decides how it goes on. Says in the log when a quarantine begins, grows and ends.
 * Owns nothing. Runs in: the worker's thread. Never fails.
 */
#ifndef CRESCENT_SERVER_PROBATION_H
#define CRESCENT_SERVER_PROBATION_H

#include "server/exchange.h"

/*
 * Three steps, of which one decides: it stands before the first Lua of the endpoint, and behind all that a stranger
 * cannot pass. So it comes before verify where that runs Lua, else before the keys of rate limits where these do, and
 * else right before handle.
 */
enum step_result probation_before_verify(struct exchange *ex);
enum step_result probation_before_keys(struct exchange *ex);
enum step_result probation_before_handle(struct exchange *ex);
/* A stretch of it was interrupted. */
void probation_struck(struct exchange *ex);
/* Its Lua has run to the end, or waits for its client for the first time. */
void probation_passed(struct exchange *ex);
/* It ends: a probe that did neither is given back. */
void probation_over(struct exchange *ex);

#endif
