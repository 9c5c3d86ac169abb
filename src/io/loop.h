/*
 * loop.h: one event loop (libh2o's evloop): descriptors, deadlines, things to do on the next pass.
 * Owns: the h2o loop and one nested epoll set for descriptors that are not h2o's. Runs in: one thread, its own.
 * Fails: at creation only (NEED). It cannot be entered twice (CHECK).
 */
#ifndef CRESCENT_IO_LOOP_H
#define CRESCENT_IO_LOOP_H

#include "base/list.h"
#include "base/time.h"
#include <stdbool.h>
#include <stdint.h>

struct loop;
struct counters;

struct loop *loop_new(void);
/* Everything watched must be gone. Leaves NULL. */
void loop_free(struct loop **l);
/* Runs passes until loop_stop. */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);
/* One pass that waits at most `wait` (tests). */
void loop_pass(struct loop *l, dur_t wait);
/* The monotonic clock as read at the start of this pass's callbacks: cheap, good for deadlines. */
mono_t loop_now(const struct loop *l);
/* Observes from now on how long the passes take, as HISTOGRAM_loop_lag; and the longest since the last call. */
void loop_measure(struct loop *l, struct counters *c);
dur_t loop_take_lag(struct loop *l);
/*
 * How long what comes to its turn now may have waited for it: the time since the last pass began, or since this one did
 * where the loop had nothing to do between them. The one thing in it that took longest is left out: a queue is many
 * things that wait for each other; one long stretch, or a process that was stopped for a while, is none. Right to a
 * tick of the kernel's clock.
 */
dur_t loop_lag(struct loop *l);
/* What follows in this pass is another thing, for loop_lag. */
void loop_mark(struct loop *l);
/* How many passes have begun so far: tells whether two callbacks were in the same one, or in one after the other. */
uint64_t loop_passes(const struct loop *l);
/* The h2o_evloop_t (h2o_loop_t *), for server/ and admin/. */
void *loop_evloop(struct loop *l);

/* Watches a descriptor, level-triggered. The descriptor stays the caller's: unwatch before closing it. */
enum { LOOP_READ = 1, LOOP_WRITE = 2 };
struct loop_watch {
    struct loop *loop; /* NULL: not watched */
    int fd;
    unsigned events;
    void (*ready)(struct loop_watch *w, unsigned events);
};
void loop_watch(struct loop *l, struct loop_watch *w, int fd, unsigned events,
                void (*ready)(struct loop_watch *, unsigned));
void loop_watch_events(struct loop_watch *w, unsigned events);
/* Not watched is fine. No callback comes after it, not even in the same pass. */
void loop_unwatch(struct loop_watch *w);

/* Something to do on the next pass: once, unless taken back. */
struct loop_later {
    struct list link;
    void (*run)(struct loop_later *later);
};
void loop_later_init(struct loop_later *later, void (*run)(struct loop_later *));
void loop_later(struct loop *l, struct loop_later *later); /* already waiting: stays as it is */
void loop_later_cancel(struct loop_later *later);

#endif
