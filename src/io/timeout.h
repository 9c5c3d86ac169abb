/*
 * timeout.h: one-shot deadlines on the monotonic clock (libh2o's own timers follow the wall clock: a step of it would
 * fire or freeze them). A heap in the loop; the struct lives in the thing that waits.
 * Runs in: the loop's thread. Never fails (memory by NEED).
 */
#ifndef CRESCENT_IO_TIMEOUT_H
#define CRESCENT_IO_TIMEOUT_H

#include "io/loop.h"
#include <stddef.h>

struct timeout {
    struct loop *loop; /* NULL: not set */
    uint32_t index;    /* in the heap */
    mono_t at;
    void (*fired)(struct timeout *t);
};

/* Sets it, or moves it. It fires once, from the loop, never before `at`. */
void timeout_set(struct loop *l, struct timeout *t, mono_t at, void (*fired)(struct timeout *));
/* Not set is fine. */
void timeout_clear(struct timeout *t);
static inline bool timeout_is_set(const struct timeout *t)
{
    return t->loop != NULL;
}

#endif
