/*
 * config_list.h: settings that are lists in crescent.lua: exec, http_ports.
 * Owns: nothing. Runs in: config child, check, routes. Fails: what was expected, in words.
 */
#ifndef CRESCENT_CLI_CONFIG_LIST_H
#define CRESCENT_CLI_CONFIG_LIST_H

#include "base/config.h"
#include <lua.h>

/* Takes the item at the top of the stack, which is of the type asked for, and leaves it there. */
typedef int config_list_add(lua_State *L, struct config *c, struct error *err);
/*
 * Adds each item of the table at the top of the stack. What it has beside its items would be one that is silently not
 * allowed: an error that begins with `expected`, as does one for an item of another type. [-0,+0,m]
 */
int config_list_each(lua_State *L, int type, const char *expected, config_list_add *add, struct config *c,
                     struct error *err);

#endif
