/*
 * admission.h: who is let in: limits.connections of all workers, limits.connections_per_ip of one address. A newcomer
 * past the first takes the place of a connection that has been idle for a while, if this worker has one.
 * Owns: nothing. Runs in: the worker's thread. Never fails: who is not let in is closed, counted, and told of in the
 * log once a second.
 */
#ifndef CRESCENT_SERVER_ADMISSION_H
#define CRESCENT_SERVER_ADMISSION_H

#include <stdbool.h>

struct connection;
struct server;

void admission_open(struct server *s);
/* An accepted connection, registered, of which nothing was read yet. False: it is closed. */
bool admission_admit(struct server *s, struct connection *c);
/*
 * Its other end is known, by PROXY protocol where that is spoken, and libh2o has not got it yet: it counts for its
 * address, but for a proxy's, who brings the connections of others. One that PROXY protocol names nobody for is a
 * single client's, and counts for the proxy's address. False: that has too many, and it is closed.
 */
bool admission_address(struct server *s, struct connection *c);

#endif
