/*
 * round.h: what trials and workers say about scripts, put into the catalog.
 * Runs in: the keeper's loop. Never fails.
 */
#ifndef CRESCENT_RELOAD_ROUND_H
#define CRESCENT_RELOAD_ROUND_H

#include "reload/internal.h"

/* The candidate of r->tries and all modules of the folder; texts borrowed from the catalog and the tries. */
void round_candidate(struct reload *r, struct snapshot *candidate_out);
/* No log shows the values of this set from now on: routes are made of them, too. */
void round_secrets(struct reload *r, const struct snapshot_env *set);
/* From the attempt. */
void round_env(struct reload *r, const struct snapshot_env *set, const char *error);
void round_tried(struct reload *r, size_t script, const struct trial_result *result);
/* The newest text (NULL: unreadable) does not load, for these reasons; logged unless that was known, and kept, without
 * what env gave. */
void round_broken(struct reload *r, struct catalog_script *s, struct catalog_text *text, const char *errors);
/* One that was mended is live: it has no error any more, which is told. */
void round_fixed(struct catalog_script *s);
/* What stands in `next` cannot be served after all: the one before it comes back. */
void round_demote(struct reload *r, struct catalog_script *s, const char *errors);
void round_end(struct reload *r);

#endif
