/*
 * desk.h: what keeper and workers say to the supervisor: a table of messages, who may send them, and handlers.
 * Owns nothing. Runs in: the supervisor. Fails: never by a child's bytes: what is malformed or not theirs to say ends
 * that child.
 */
#ifndef CRESCENT_SUPERVISE_DESK_H
#define CRESCENT_SUPERVISE_DESK_H

#include "supervise/supervisor.h"

/* Reads and handles all that has arrived from c. */
void desk_read(struct supervisor *s, struct child *c);

#endif
