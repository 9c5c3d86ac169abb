/*
 * linger.h: what becomes of a connection that is closed while its client still sends, or may: its sending side is shut
 * down, and what comes is read and thrown away until the client has closed as well, or is quiet for a while. Closed at
 * once, the kernel would answer such bytes by a reset and drop what it had still to send: the end of the answer
 * (RFC 9112 9.6; on HTTP/2 every client sends, about the windows that it opens while it reads).
 * One that was closed for abuse is kept as it is, unread, for a second: its client, which has been told, would come
 * again as fast as it is let go, and each time do a little of its harm. Owns: the descriptors of closed connections
 * that are still read. Runs in: the worker's thread. Never fails: where there is no descriptor for it, the close is at
 * once.
 */
#ifndef CRESCENT_SERVER_LINGER_H
#define CRESCENT_SERVER_LINGER_H

#include "server/connections.h"

void linger_init(struct connections *cs);
/* Ends all. */
void linger_free(struct connections *cs);
/* They are waited for: from now on each lasts a second after its client's last byte, instead of five. */
void linger_hurry(struct connections *cs);
/* The connection, which is still open, is to linger when libh2o closes it. (Most are found by themselves.) */
void linger_keep(struct connection *c);
/* libh2o has closed it. */
void linger_closed(struct connection *c);
/* Whether there is any left. */
bool linger_any(const struct connections *cs);

#endif
