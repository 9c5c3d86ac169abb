/*
 * fullness.h: whether a Lua state is filled by what scripts keep (in a module's variable, an upvalue), so that all of
 * its scripts fail from now on; then whoever owns the state is told (host.full), each time anew, FULLNESS_PAUSE apart.
 * It is, where a task has met the ceiling and after a whole collection
 * - FULLNESS_HELD of it is in use, and not by tasks under way, or
 * - half of it is, and what is kept has grown by FULLNESS_GROWN since scripts were loaded last, or
 * - half of it is, and FULLNESS_ROW tasks of several scripts have met it, one after the other, in turns.
 * Owns nothing. Runs in: the state's thread, between stretches. Never fails.
 */
#ifndef CRESCENT_SCRIPT_FULLNESS_H
#define CRESCENT_SCRIPT_FULLNESS_H

#include "base/time.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FULLNESS_HELD(ceiling) ((ceiling) / 10 * 9)
#define FULLNESS_GROWN(ceiling) ((ceiling) / 4)
#define FULLNESS_ROW 8
#define FULLNESS_TURNS 3
#define FULLNESS_PAUSE DUR_S(1)
#define FULLNESS_DOUBT DUR_S(5) /* likewise, when it was not: to look costs whole collections and a walk */

struct state;

struct fullness {   /* born as {0}; lives in the state */
    size_t least;   /* bytes in use since scripts were loaded last, at the least: what they need */
    unsigned row;   /* tasks that met the ceiling since one did well */
    unsigned turns; /* how often one of another script came next */
    uint64_t version;
    mono_t next; /* not looked at before */
};

/* A script or module has been loaded. */
void fullness_loaded(struct state *s);
/* A task of this version of a script has ended. met: by the ceiling; else it did well. */
void fullness_note(struct state *s, uint64_t version, bool met);
/* A task has met the ceiling, and a whole collection has just ended. */
void fullness_look(struct state *s);

#endif
