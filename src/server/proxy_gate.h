/*
 * proxy_gate.h: on listeners of the setting proxy_protocol, a connection begins with a header that says whose it is. It
 * is read before anything else of the connection is, TLS included; from then on the connection's peer is the one that
 * it names. What has none, or one that cannot be read, or comes from somebody whom trusted_proxies does not name (where
 * it names anybody), is closed without a word, counted, and told in the log, a line a second at most. A header that
 * does not come is cut by the sweep like a request's. Owns: what was read of a header. Runs in: the worker's thread.
 * Fails: by closing the connection.
 */
#ifndef CRESCENT_SERVER_PROXY_GATE_H
#define CRESCENT_SERVER_PROXY_GATE_H

#include <stdbool.h>

struct server;
struct connection;

/* The connection is registered and nothing was read of it yet. go_on(server, connection, tls) takes it from there. */
void proxy_gate_begin(struct server *s, struct connection *c, bool tls,
                      void (*go_on)(struct server *s, struct connection *c, bool tls));
/* Of a connection whose header is awaited: whether nothing of it has come yet. */
bool proxy_gate_silent(const struct connection *c);
/* Its socket goes: forgets what was read. */
void proxy_gate_closed(struct connection *c);

#endif
