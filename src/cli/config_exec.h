/*
 * config_exec.h: the setting exec: true (any program), false (none), or the list of those that scripts may start. Each
 * call replaces what a weaker source gave.
 * Owns: nothing. Runs in: config child, check, routes. Fails: what was expected, in words.
 */
#ifndef CRESCENT_CLI_CONFIG_EXEC_H
#define CRESCENT_CLI_CONFIG_EXEC_H

#include "base/config.h"
#include <lua.h>

/* The value at the top of the stack. Raises for want of memory only. [-0,+0,m] */
int config_exec_value(lua_State *L, struct config *c, struct error *err);
/* "true", "false", or names with a comma between. */
int config_exec_text(struct slice text, struct config *c, struct error *err);
/*
 * Logs each allowed program that is not there, or cannot be run: misspelt, or not installed yet, by which it would be
 * found out at the first request that wants it.
 */
void config_exec_warn(const struct config *c);

#endif
