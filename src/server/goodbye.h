/*
 * goodbye.h: the end of connections in a drain: HTTP/1 ends with its next answer, HTTP/2 after two GOAWAYs. And of a
 * single one of HTTP/2 that has had all its requests.
 * Owns nothing. Runs in: the worker's thread. Never fails.
 */
#ifndef CRESCENT_SERVER_GOODBYE_H
#define CRESCENT_SERVER_GOODBYE_H

#include "base/time.h"
#include <stdbool.h>

struct connection;
struct server;

/* Tells whoever is due. Called again and again until nobody is left: connections come later (a handshake was under
 * way), and the second GOAWAY has its time after the first. hurry: it does not wait for requests that are being
 * received. */
void goodbye_say(struct server *s, mono_t now, bool hurry);
/* Tells one what is due; called again until it has been told both (false: not yet). receiving: a request is on its way.
 */
bool goodbye_one(struct connection *c, mono_t now, bool receiving);

#endif
