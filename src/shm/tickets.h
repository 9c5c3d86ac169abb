/*
 * tickets.h: the keys of TLS session tickets (RFC 5077 4), one set for all workers, so that each resumes what another
 * began, and a worker's death or replacement ends no session. A new key takes over after each period; the one before it
 * still opens tickets, older ones are wiped: what was recorded of a session longer ago stays closed for ever.
 * Written by the supervisor only; read by any process. Fails: never; memory that a broken worker has overwritten gives
 * keys that open nothing.
 */
#ifndef CRESCENT_SHM_TICKETS_H
#define CRESCENT_SHM_TICKETS_H

#include "base/time.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Half a day, as RFC 5077 5.5 has it: a stolen key opens at most two periods; a ticket's life is far shorter. */
#define TICKETS_PERIOD DUR_S(12 * 3600)

struct tickets_key {
    unsigned char name[16], cipher[32], mac[32];
};

#define TICKETS_WORDS (sizeof(struct tickets_key) / sizeof(uint64_t))

struct tickets {              /* born as zeros: no key */
    _Atomic uint64_t version; /* how many keys there have been; the newest is key[version % 3] */
    _Atomic int64_t made_at;  /* the newest; monotonic clock, ns */
    _Atomic uint64_t key[3][TICKETS_WORDS];
};

/* Supervisor: makes a new key where there is none, or the newest has had its period. True when it did. */
bool tickets_rotate(struct tickets *t, mono_t now);

struct tickets_view { /* a reader's copy; born as {0} */
    uint64_t version; /* 0: no key yet */
    struct tickets_key newest, previous;
    bool has_previous;
};
/* Brings the view up to date; cheap when nothing has changed. False while there is no key. */
bool tickets_look(const struct tickets *t, struct tickets_view *view);

#endif
