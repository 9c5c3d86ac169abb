/*
 * sandbox_cjson.h: the bound of what lua-cjson encodes. It writes into memory that no script's ceiling counts, and asks
 * nobody for the time: one long string that is named many times, or tables within tables that unfold without end.
 * Runs in: the state's thread. Fails: Lua errors.
 */
#ifndef CRESCENT_SCRIPT_SANDBOX_CJSON_H
#define CRESCENT_SCRIPT_SANDBOX_CJSON_H

#include <lua.h>
#include <stdbool.h>

/*
 * Bounds `encode` of the instance of cjson at the top of the stack, and of those that its `new` makes. safe: it is one
 * of cjson.safe, whose encode returns nil and words. [-0,+0,m]
 */
void sandbox_cjson_bound(lua_State *L, bool safe);

#endif
