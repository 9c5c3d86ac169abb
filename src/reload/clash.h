/*
 * clash.h: no two scripts on one route: the one already live stays, the newcomer is broken; among newcomers the first
 * in byte order wins.
 * Runs in: the keeper's loop. Never fails.
 */
#ifndef CRESCENT_RELOAD_CLASH_H
#define CRESCENT_RELOAD_CLASH_H

#include "reload/internal.h"

/* Sends every newcomer that clashes back to its last good load. */
void clash_settle(struct reload *r);

#endif
