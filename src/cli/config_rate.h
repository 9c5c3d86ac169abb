/*
 * config_rate.h: the setting rate_limit: the limits of endpoints that give none of their own. As in a script, but for
 * functions; in the environment with commas between several.
 * Runs in: a process that may die (config child, check, routes). Fails: with words, without the setting's name.
 */
#ifndef CRESCENT_CLI_CONFIG_RATE_H
#define CRESCENT_CLI_CONFIG_RATE_H

#include "base/config.h"
#include <lua.h>

/* The value at the top of the stack. [-0,+0,m] */
int config_rate_value(lua_State *L, struct config *c, struct error *err);
/* "100/m", or "100/m, 5/s by header:x-api-key"; "none". */
int config_rate_text(struct slice text, struct config *c, struct error *err);

#endif
