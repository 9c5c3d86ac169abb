/*
 * bind_time.h: the globals `time` (now, monotonic, parse, format) and `uuid` (v4, v7). Nothing here waits.
 * Runs in: the state's thread.
 */
#ifndef CRESCENT_BIND_BIND_TIME_H
#define CRESCENT_BIND_BIND_TIME_H

#include <lua.h>

/* Pushes the table time. [-0,+1,m] */
void bind_time_open(lua_State *L);
/* Pushes the table uuid, which can be called. [-0,+1,m] */
void bind_time_open_uuid(lua_State *L);

#endif
