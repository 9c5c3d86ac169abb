/*
 * renewal.h: a worker that says it is worn (worker/worn.h) is replaced, one for one:
 * another starts beside it, in a free slot, from the same edition and for the same member; once that serves, the worn
 * one finishes what it has, as in an upgrade, and leaves. Nobody is refused meanwhile.
 * Owns nothing. Runs in: the supervisor. Fails: while there is no room, and in an upgrade (which replaces it anyway),
 * the worn one goes on; a successor that dies is started again like any child.
 */
#ifndef CRESCENT_SUPERVISE_RENEWAL_H
#define CRESCENT_SUPERVISE_RENEWAL_H

#include "supervise/supervisor.h"

/* So many that were replaced may still finish what they have, for one member: each holds memory up to its ceiling. */
#define RENEWAL_LEAVING 2
/* Shorter lives count as deaths in a row (restart.h): this is beyond its RESTART_GOOD_RUN. */
#define RENEWAL_LASTED DUR_S(9)

/* Starts the successors that are due; call in each pass. */
void renewal_go_on(struct supervisor *s, mono_t now);
/* c serves from now on: if it is a successor, the worn one leaves. */
void renewal_ready(struct supervisor *s, const struct child *c);
/* c has died: true when it was worn and its successor is there already, so that its place stays empty. */
bool renewal_died(struct supervisor *s, struct child *c);

#endif
