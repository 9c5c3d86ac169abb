/*
 * config_exec.h: the setting exec: true (any program), false (none), or the list of those that scripts may start. Each
 * call replaces what a weaker source gave.
 * Owns: nothing. Runs in: config child, check, routes. Fails: what was expected, in words.
 */
#ifndef CRESCENT_CLI_CONFIG_EXEC_H
#define CRESCENT_CLI_CONFIG_EXEC_H

#include "base/config.h"
#include <lua.h>

/* The value at the top of the stack. Never raises. [-0,+0] */
int config_exec_value(lua_State *L, struct config *c, struct error *err);
/* "true", "false", or names with a comma between. */
int config_exec_text(struct slice text, struct config *c, struct error *err);

#endif
