/*
 * nested.h: Lua code within Lua code: a script's own coroutines let our waits pass outwards to the task, and calls that
 * recurse in C stop early: LuaJIT unwinds n of them in n² steps, so that thousands would take seconds, in which no hook
 * fires. The Lua part is lua/crescent/nested.lua.
 * Runs in: the state's thread. Fails: Lua errors.
 */
#ifndef CRESCENT_SCRIPT_NESTED_H
#define CRESCENT_SCRIPT_NESTED_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

/* Replaces coroutine.*, xpcall and what calls scripts back (string.gsub, string.format, ...) in the state. [-0,+0,e] */
void nested_open(lua_State *L);
/*
 * Yields to the task: to be returned by the C function. wait: the number of the wait that begins; 0: none will end it.
 * [-0,+0,v]
 */
int nested_yield(lua_State *L, uint64_t wait);
/* Pushes the private value that marks a yield as ours. [-0,+1] */
void nested_push_mark(lua_State *L);
/*
 * To be called by a C function that calls a script back, before it does: raises when STATE_LEVELS of them are nested,
 * or the C stack is nearly used up. [-0,+0,v]
 */
void nested_check_stack(lua_State *L);

#endif
