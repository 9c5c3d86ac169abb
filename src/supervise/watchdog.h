/*
 * watchdog.h: what is stuck past its limit is ended. Three judges, pure, each with a few words of memory a child (a
 * stretch of Lua against CPU time, an accept queue that stands still, a pong that is owed), and the tick that asks
 * them. Owns nothing. Runs in: the supervisor. Never fails. What it reads from shared memory is believed for nothing
 * but the child's own fate; process ids come from the supervisor's table.
 */
#ifndef CRESCENT_SUPERVISE_WATCHDOG_H
#define CRESCENT_SUPERVISE_WATCHDOG_H

#include "base/time.h"
#include "shm/progress.h"

#define WATCHDOG_TICK DUR_MS(50)
#define WATCHDOG_GRACE DUR_S(1)        /* beyond max_run: what could be interrupted has been */
#define WATCHDOG_STEP DUR_MS(500)      /* what one look counts at most: past that the machine stood still */
#define WATCHDOG_QUEUE DUR_MS(50)      /* an accept queue that stands still this long is given to others */
#define WATCHDOG_ASK DUR_S(1)          /* between two pings */
#define WATCHDOG_PONG_WORKER DUR_S(10) /* owed this long: killed */
#define WATCHDOG_PONG_KEEPER DUR_S(30)

struct watchdog_stretch { /* born as {0} */
    bool inside;
    uint64_t sequence;
    dur_t cpu;    /* the process's, at the last look */
    dur_t used;   /* in this stretch, since it was first seen */
    mono_t since; /* that moment */
};
/*
 * Whether the stretch in `view` has used more CPU time than `limit` since it was first seen. A virtual machine that was
 * halted counts that time as used: a worker is not judged by it before it had the chance to go on.
 */
bool watchdog_stretch_over(struct watchdog_stretch *w, const struct progress_view *view, dur_t cpu, dur_t limit,
                           mono_t now);

/* How much CPU time a stretch gets that says so of itself: its max_run, bounded, and the grace. */
dur_t watchdog_limit(dur_t max_run);
/*
 * How long a worker may owe its pong. Within a stretch CPU time is what counts, of which it gets the half on a busy
 * machine: before that is used up, silence says nothing.
 */
dur_t watchdog_silence(const struct progress_view *view);

struct watchdog_queue { /* born as {0} */
    bool waiting, stuck;
    uint64_t accepts;
    mono_t since; /* it waits since then */
};
/* Whether connections wait and none is accepted; once stuck, until the accept counter moves. */
bool watchdog_queue_stuck(struct watchdog_queue *w, bool waiting, uint64_t accepts, mono_t now);

struct watchdog_pulse { /* born as {.at = birth} */
    bool owed;
    uint32_t sequence;
    mono_t at; /* of the last ping */
};
enum watchdog_word { WATCHDOG_FINE, WATCHDOG_PING, WATCHDOG_LOST };
/* PING: send w->sequence now. */
enum watchdog_word watchdog_pulse_next(struct watchdog_pulse *w, mono_t now, dur_t limit);
/* False: nobody asked for this pong. */
bool watchdog_pulse_answered(struct watchdog_pulse *w, uint32_t sequence);

struct supervisor;

/* The worker came to its end because of what the script in that view did: one strike towards its quarantine. */
void watchdog_strike(struct supervisor *s, const struct progress_view *view);
/* Looks at every child; call each WATCHDOG_TICK, after what has arrived was read. */
void watchdog_tick(struct supervisor *s, mono_t now);

#endif
