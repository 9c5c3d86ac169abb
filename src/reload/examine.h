/*
 * examine.h: the folder against the catalog: which scripts are to be tried, with which text; what is gone.
 * Runs in: the keeper's loop; reads files. Fails: when the folder as a whole cannot be read (nothing is changed then).
 */
#ifndef CRESCENT_RELOAD_EXAMINE_H
#define CRESCENT_RELOAD_EXAMINE_H

#include "reload/internal.h"

/* Fills r->tries (sorted by name) and brings modules up to date; sets r->changed where no trial is needed for it. */
int examine_folder(struct reload *r, struct error *err);

#endif
