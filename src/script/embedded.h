/*
 * embedded.h: the Lua files of lua/crescent, which are part of the binary.
 * Runs in: the state's thread. Fails: Lua errors.
 */
#ifndef CRESCENT_SCRIPT_EMBEDDED_H
#define CRESCENT_SCRIPT_EMBEDDED_H

#include <lua.h>

/* Runs lua/crescent/<name>.lua and leaves its value on the stack. Returns 1. A file that is not there raises. [-0,+1,e]
 */
int script_embedded_load(lua_State *L, const char *name);

#endif
