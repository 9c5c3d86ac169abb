/*
 * relief.h: an upgrade: a new keeper, of another configuration or binary, is to relieve the one that serves. What is
 * served now must be served after it: a script that no longer loads there is the fault of what is new, and a reason to
 * leave all as it is. A script that was broken before (its last good version serves) stays what it is.
 * Owns nothing. Runs in: the keeper's loop. Never fails.
 */
#ifndef CRESCENT_RELOAD_RELIEF_H
#define CRESCENT_RELOAD_RELIEF_H

#include "reload/internal.h"

/* The catalog is as it was restored: notes what is owed. */
void relief_begin(struct reload *r);
/* All was tried, nothing is published yet. True: it may not be, and the supervisor was told why. */
bool relief_objects(struct reload *r);

#endif
