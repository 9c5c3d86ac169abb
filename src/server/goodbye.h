/*
 * goodbye.h: the end of connections in a drain: HTTP/1 ends with its next answer, HTTP/2 after two GOAWAYs. And of a
 * single one of HTTP/2 that has had all its requests.
 * Owns nothing. Runs in: the worker's thread. Never fails.
 */
#ifndef CRESCENT_SERVER_GOODBYE_H
#define CRESCENT_SERVER_GOODBYE_H

#include "base/time.h"

struct connection;
struct server;

/* Tells whoever is due, and ends who has been told both and has had all. Called again and again until nobody is left:
 * connections come later (a handshake was under way), and the second GOAWAY has its time after the first. */
void goodbye_say(struct server *s, mono_t now);
/* The same for one connection of HTTP/2, of which libh2o has said something. */
void goodbye_one(struct connection *c, mono_t now);

#endif
