/*
 * quarantine.h: endpoints whose stretches of Lua were interrupted or killed three times in a minute: refused for ten
 * seconds, then one request is let through as a probe; it ends the quarantine, or doubles it, up to ten minutes.
 * The key is the script's version (load/snapshot.h), which no other script has, ever: a changed script is another one.
 * Lies in shared memory, so it outlives workers and keeper. Any process writes, each change is one atomic step, and
 * whoever dies in between leaves nothing locked. Readers treat it as hostile: what cannot be is taken for nothing.
 * Owns nothing. Runs in: workers (ask, strike, probes), the supervisor (strike), the keeper (look, end). Fails: more
 * troubled scripts than there is room for are not counted, and the caller is told.
 */
#ifndef CRESCENT_SHM_QUARANTINE_H
#define CRESCENT_SHM_QUARANTINE_H

#include "base/time.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define QUARANTINE_ENTRIES 512
#define QUARANTINE_STRIKES 3
#define QUARANTINE_WINDOW DUR_S(60)

struct quarantine_entry {
    _Alignas(64) _Atomic uint64_t version; /* whose; 0: never used */
    _Atomic uint64_t word;    /* 0: not quarantined; else since when a probe is due, and more: see the .c */
    _Atomic uint64_t strikes; /* so many ever: says whose place below is the next */
    _Atomic uint64_t struck[QUARANTINE_STRIKES]; /* when, in ms of the monotonic clock; 0: not yet */
};

struct quarantine {
    _Atomic uint32_t used;  /* any entry ever was: until then nobody looks further */
    _Atomic uint64_t begun; /* how often one began */
    struct quarantine_entry entry[QUARANTINE_ENTRIES];
};

enum quarantine_verdict {
    QUARANTINE_PASS,
    QUARANTINE_REFUSE,
    QUARANTINE_PROBE /* let this one through, and say how it went: quarantine_passed, _struck or _undecided */
};
/* wait_out: of REFUSE: until the next probe. probe_out: of PROBE: which one it is; else 0. */
enum quarantine_verdict quarantine_ask(struct quarantine *q, uint64_t version, mono_t now, dur_t *wait_out,
                                       uint64_t *probe_out);

enum quarantine_strike {
    QUARANTINE_COUNTED,
    QUARANTINE_BEGUN,
    QUARANTINE_DOUBLED, /* it was the probe */
    QUARANTINE_FULL     /* there is no room to count it */
};
/* One of its stretches was interrupted, or killed with its worker. for_out: of BEGUN and DOUBLED: how long. */
enum quarantine_strike quarantine_struck(struct quarantine *q, uint64_t version, mono_t now, dur_t *for_out);

/* Says in the log what a strike did, if it did more than count. */
void quarantine_log(const char *endpoint, enum quarantine_strike what, dur_t time);

/* The probe went well. Whether that ended the quarantine: it may have ended already, or another probe been let through.
 */
bool quarantine_passed(struct quarantine *q, uint64_t version, uint64_t probe);
/* The probe ended before it was decided (refused, cancelled): the next request may be one. */
void quarantine_undecided(struct quarantine *q, uint64_t version, uint64_t probe, mono_t now);
/* Ends it, and forgets the strikes. Whether there was one. */
bool quarantine_end(struct quarantine *q, uint64_t version);

struct quarantine_view {
    dur_t wait;   /* until the next probe; 0: the next request is one */
    dur_t period; /* how long it lasts this time */
    bool probing; /* one was let through and has not ended */
};
/* Whether it is quarantined. view_out may be NULL. */
bool quarantine_look(const struct quarantine *q, uint64_t version, mono_t now, struct quarantine_view *view_out);

#endif
