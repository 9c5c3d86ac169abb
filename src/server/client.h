/*
 * client.h: whose request it is, and whether the endpoint lets such in: the steps for trusted_proxies, public_url and
 * allow_ips.
 * Owns: the server's set of trusted proxies. Runs in: the worker's thread. Fails: at start with words; a request by its
 * refusal.
 */
#ifndef CRESCENT_SERVER_CLIENT_H
#define CRESCENT_SERVER_CLIENT_H

#include "base/error.h"
#include "server/exchange.h"

int client_open(struct server *s, struct error *err);
/* Whether trusted_proxies names anybody, and whether it names this one. */
bool client_any_trusted(const struct server *s);
bool client_trusted(const struct server *s, const struct ip *peer);
/* What trusted proxies say, over what the connection says: 400; 421, where another host is asked for than by itself. */
enum step_result client_step(struct exchange *ex);
/* The endpoint's allow_ips: 403. */
enum step_result client_allowed(struct exchange *ex);

#endif
