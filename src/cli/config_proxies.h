/*
 * config_proxies.h: the settings that say who may say who the client is, and where senders believe us to be:
 * trusted_proxies, public_url, proxy_protocol. Each call replaces what a weaker source gave.
 * Owns: nothing. Runs in: config child, check, routes. Fails: what was expected, in words.
 */
#ifndef CRESCENT_CLI_CONFIG_PROXIES_H
#define CRESCENT_CLI_CONFIG_PROXIES_H

#include "cli/config_load.h"
#include <lua.h>

/* The value at the top of the stack: a network, or a list of them. Never raises. [-0,+0] */
int config_proxies_trusted_value(lua_State *L, struct config *c, struct error *err);
/* Networks with a comma between. */
int config_proxies_trusted_text(struct slice text, struct config *c, struct error *err);
/* "https://hooks.example.com/base" */
int config_proxies_url(struct slice text, struct config *c, struct error *err);
/* True, false, or a list of addresses that are listened on; where: its origin, for later words. [-0,+0] */
int config_proxies_protocol_value(lua_State *L, struct config_draft *d, const char *where, struct error *err);
int config_proxies_protocol_text(struct slice text, struct config_draft *d, const char *where, struct error *err);
/* Marks the listeners of proxy_protocol, once all are known. */
int config_proxies_finish(struct config_draft *d, struct error *err);
void config_proxies_free(struct config_draft *d);

#endif
