/*
 * bind_exec.h: the global exec: exec { "git", "pull", cwd = …, env = …, stdin = …, timeout = …, max_output = … }.
 * Runs in: the state's thread, on its loop; the program itself in exec/. Fails: nil, err for what the world does;
 * misuse raises.
 */
#ifndef CRESCENT_BIND_BIND_EXEC_H
#define CRESCENT_BIND_BIND_EXEC_H

#include <lua.h>

/* Pushes the function. [-0,+1,m] */
void bind_exec_open(lua_State *L);

#endif
