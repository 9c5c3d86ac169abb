/*
 * steps_rate.h: the steps of a request that its endpoint's rate limits take: by address before verify, by all other
 * keys after it; and the header fields on every answer that tell of them.
 * Runs in: the worker's thread. Fails: what is too much is answered, 429.
 */
#ifndef CRESCENT_SERVER_STEPS_RATE_H
#define CRESCENT_SERVER_STEPS_RATE_H

#include "server/exchange.h"
#include <lua.h>

/* Puts into the Lua state what the step by_key calls there. [-0,+0,e] */
void steps_rate_open(lua_State *L, struct server *s);
/* Limits whose key is "ip". */
enum step_result steps_rate_by_ip(struct exchange *ex);
/* All others; a request that has not the key is counted by its address. */
enum step_result steps_rate_by_key(struct exchange *ex);
/* Whether by_key runs Lua for this endpoint. */
bool steps_rate_runs_lua(const struct endpoint *e);
/* Adds RateLimit and RateLimit-Policy to the server's response, unless it brings its own. */
void steps_rate_headers(struct exchange *ex);

#endif
