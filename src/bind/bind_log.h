/*
 * bind_log.h: log.debug, info, warn, error("message", { field = value }); and print, which is log.info.
 * Runs in: the state's thread.
 */
#ifndef CRESCENT_BIND_BIND_LOG_H
#define CRESCENT_BIND_BIND_LOG_H

#include <lua.h>

/* Pushes the table log. [-0,+1,m] */
void bind_log_open(lua_State *L);
/* Pushes the function print. [-0,+1,m] */
void bind_log_open_print(lua_State *L);

#endif
