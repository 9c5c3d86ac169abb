/*
 * members.h: who accepts from whose listening sockets. A worker that is dead, starting or stuck is orphaned: the
 * serving ones of its edition accept from its members too, until it serves. Owns nothing. Runs in: the supervisor.
 * Never fails.
 */
#ifndef CRESCENT_SUPERVISE_MEMBERS_H
#define CRESCENT_SUPERVISE_MEMBERS_H

#include "supervise/supervisor.h"

/* Sets whether c is orphaned; tells the serving workers when that is news. */
void members_orphan(struct supervisor *s, struct child *c, bool orphaned);
/* c serves from now on: tells it who is orphaned. */
void members_welcome(struct supervisor *s, struct child *c);

#endif
