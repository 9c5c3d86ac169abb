/*
 * turns.h: stretches of Lua that are due take turns: in one pass of the loop they take TURNS_PASS, and the last of
 * them, at most. Those that are left stand in line for the next pass, so that deadlines, descriptors and other requests
 * come between: thousands of parts may become due at one moment. Owns nothing: what stands in line lives in its owner.
 * Runs in: the state's thread, from the loop. Never fails.
 */
#ifndef CRESCENT_SCRIPT_TURNS_H
#define CRESCENT_SCRIPT_TURNS_H

#include "base/list.h"
#include "base/time.h"
#include "io/loop.h"
#include "script/state.h"

#define TURNS_PASS DUR_MS(5)

struct turn {
    struct list link;
    mono_t since;                /* the pass in which it came to stand in line */
    void (*run)(struct turn *t); /* one stretch, or less; it stands in line no more */
};

struct turns { /* lives in the state */
    struct list line;
    struct loop_later next;
    mono_t pass;   /* the pass in which one was last asked for, */
    mono_t until;  /* and when its time is used up */
    dur_t longest; /* turn since somebody stands in line without a break */
};

void turns_init(struct turns *t);
void turns_make(struct turn *t, void (*run)(struct turn *t));
/* Whether a stretch that is due now may run at once: nobody stands in line, and the pass has time left. */
bool turns_at_once(struct state *s);
/* At the end of the line; one that stands there keeps its place. */
void turns_add(struct state *s, struct turn *t);
/*
 * How long who is first in line has stood there, less the one turn since then that took longest: as loop_lag, which
 * knows nothing of them, for they leave its passes short.
 */
dur_t turns_lag(const struct state *s);
bool turns_waits(const struct turn *t);
void turns_cancel(struct turn *t);

#endif
