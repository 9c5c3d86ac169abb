/*
 * rate_rules.h: `rate_limit` as Lua has it, in a script or in crescent.lua: "100/m", { limit, per, burst, by }, or a
 * list of these; "none" for no limit.
 * Owns: nothing. Runs in: the state's thread. Fails: with words; raises for memory only.
 */
#ifndef CRESCENT_LOAD_RATE_RULES_H
#define CRESCENT_LOAD_RATE_RULES_H

#include "policy/ratelimit.h"
#include <lua.h>

/*
 * Adds the limits of the value at the top of the stack; "none" adds none. functions: `by` may be a function (which is
 * kept in the registry until the limits are freed). The limits are to be owned already: what was added stays with them.
 * [-0,+0,m]
 */
int rate_rules_read(lua_State *L, bool functions, struct ratelimit *into, struct error *err);

#endif
