/*
 * stretch.h: one stretch of Lua, from the moment a script is entered until it waits, returns or raises: the watchdog is
 * told of it (shm/progress), and it is interrupted past its max_run (script/interrupt). Never one within another.
 * Owns nothing. Runs in: the state's thread. Never fails.
 */
#ifndef CRESCENT_SCRIPT_STRETCH_H
#define CRESCENT_SCRIPT_STRETCH_H

#include "base/time.h"
#include "script/state.h"

/* name, version: the script. preparing: its generation is not live yet. */
void stretch_begin(struct state *s, const char *name, uint64_t version, dur_t max_run, bool preparing);
/* One more of the same script, with the same limit. */
void stretch_again(struct state *s);
/* Whether it was interrupted: then nothing that the script did or returned since counts. */
bool stretch_end(struct state *s);

#endif
