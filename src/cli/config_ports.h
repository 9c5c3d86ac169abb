/*
 * config_ports.h: the setting http_ports: true (any port), false (none: no requests go out at all), or the list of
 * those that scripts may connect to. Each call replaces what a weaker source gave. Owns: nothing. Runs in: config
 * child, check, routes. Fails: what was expected, in words.
 */
#ifndef CRESCENT_CLI_CONFIG_PORTS_H
#define CRESCENT_CLI_CONFIG_PORTS_H

#include "base/config.h"
#include <lua.h>

/* The value at the top of the stack. Raises for want of memory only. [-0,+0,m] */
int config_ports_value(lua_State *L, struct config *c, struct error *err);
/* "true", "false", or numbers with a comma between. */
int config_ports_text(struct slice text, struct config *c, struct error *err);

#endif
