/*
 * bind_sleep.h: sleep(duration): the smallest awaitable, the one to copy.
 * Runs in: the state's thread.
 */
#ifndef CRESCENT_BIND_BIND_SLEEP_H
#define CRESCENT_BIND_BIND_SLEEP_H

#include <lua.h>

/* Pushes the function sleep. [-0,+1,m] */
void bind_sleep_open(lua_State *L);

#endif
