/*
 * succession.h: the workers of an upgrade. All new ones start beside the old ones, in free slots; when each has been
 * ready once, all old ones are told to leave, at one moment. Until then none of the old ones is missed, so whatever
 * fails leads back.
 * Owns nothing. Runs in: the supervisor. Never fails.
 */
#ifndef CRESCENT_SUPERVISE_SUCCESSION_H
#define CRESCENT_SUPERVISE_SUCCESSION_H

#include "supervise/supervisor.h"

/* Whether so many workers fit beside all that are there: those of earlier upgrades, too, until they have finished. */
bool succession_room(const struct supervisor *s, uint32_t workers);
/* The workers of the next edition may start. There must be room for them. */
void succession_begin(struct supervisor *s);
/*
 * A new worker that is to be waited for, the one with the most failures: it was not ready yet. NULL: each was, and one
 * is now, who accepts for those that have died since.
 */
const struct child *succession_awaited(const struct supervisor *s);
/* The next edition has succeeded: the old workers finish what they have, and leave. */
void succession_over(struct supervisor *s);
/* It has failed: the new ones leave, those that serve already after what they have. */
void succession_undo(struct supervisor *s);

#endif
