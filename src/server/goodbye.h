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
struct st_h2o_http2_frame_t;

/* Tells whoever is due, and ends who has been told both and has had all. Called again and again until nobody is left:
 * connections come later (a handshake was under way), and the second GOAWAY has its time after the first. */
void goodbye_say(struct server *s, mono_t now);
/* The same for one connection of HTTP/2, of which libh2o has said something, and which it has not closed. */
void goodbye_one(struct connection *c, mono_t now);
/*
 * A frame of a stream that a parting connection's client has opened behind the last one it was told of: it becomes one
 * that means nothing. By the GOAWAY the client knows that nobody has looked at it.
 */
void goodbye_pass_over(struct connection *c, struct st_h2o_http2_frame_t *frame);

#endif
