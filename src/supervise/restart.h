/*
 * restart.h: how long to wait before a child that died is started again: the first three deaths in 10 s wait for
 * nothing, then 100 ms, doubling up to 10 s; a life of a second or more is a good run and forgives what was before: a
 * request that ends a worker now and then costs the others no outage, a child that cannot start costs no CPU time.
 * Owns nothing. Runs in: anywhere, pure (the clock is given). Never fails.
 */
#ifndef CRESCENT_SUPERVISE_RESTART_H
#define CRESCENT_SUPERVISE_RESTART_H

#include "base/time.h"

#define RESTART_FREE 3
#define RESTART_WINDOW DUR_S(10)
#define RESTART_GOOD_RUN DUR_S(1)
#define RESTART_FIRST DUR_MS(100)
#define RESTART_MOST DUR_S(10)

struct restart {                 /* born as {0} */
    mono_t deaths[RESTART_FREE]; /* the last ones, oldest first */
    unsigned count;
    dur_t wait; /* the last one that was not nothing; 0: none yet */
};

/* The child that was started at `born` died at `now`: how long to wait before its next start. */
dur_t restart_after(struct restart *r, mono_t born, mono_t now);

#endif
