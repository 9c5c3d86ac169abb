/*
 * bind.h: the table of globals that a script sees, one line each. bind_open is what state_new is given.
 * Runs in: the state's thread.
 */
#ifndef CRESCENT_BIND_BIND_H
#define CRESCENT_BIND_BIND_H

#include <lua.h>

/* Fills the table at the top of the stack with what scripts can call, and entries that refuse, by name, what the design
 * has and this version does not (emit, sql, ...). [-0,+0,e] */
void bind_open(lua_State *L);

#endif
