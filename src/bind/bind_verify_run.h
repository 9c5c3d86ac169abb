/*
 * bind_verify_run.h: the evaluation of verifiers in Lua. Runs in: the state's thread.
 */
#ifndef CRESCENT_BIND_BIND_VERIFY_RUN_H
#define CRESCENT_BIND_BIND_VERIFY_RUN_H

#include <lua.h>

/* Pushes the table of verify.lua: task(object, req), and call(object, req), the object's __call. [-0,+1,e] */
void bind_verify_run_open(lua_State *L);

#endif
