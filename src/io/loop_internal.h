/*
 * loop_internal.h: the loop's fields, for loop.c and timeout.c only.
 */
#ifndef CRESCENT_IO_LOOP_INTERNAL_H
#define CRESCENT_IO_LOOP_INTERNAL_H

#include "io/timeout.h"
#include <h2o.h>
#include <sys/epoll.h>

#define LOOP_READY_MAX 64 /* foreign descriptors served in one pass */

struct loop_clock {
    mono_t now;
    bool fresh; /* read since the last wait */

    mono_t begun, ended;  /* this pass; the last one */
    mono_t mark;          /* in this pass: where one thing ended and the next began */
    dur_t longest;        /* thing of this pass so far */
    dur_t before;         /* the last pass, whole; 0: nothing waited for its end */
    dur_t longest_before; /* thing of it */
};

struct loop {
    h2o_evloop_t *evloop;
    bool running, stopping;
    uint64_t passes;          /* begun so far */
    struct loop_clock *clock; /* apart, so that reading the time needs no writable loop */

    int nested; /* epoll set of the descriptors that are not h2o's; belongs to nested_socket */
    h2o_socket_t *nested_socket;
    size_t watched;
    struct epoll_event ready[LOOP_READY_MAX]; /* those being served; data.ptr NULL: unwatched meanwhile */
    int ready_count;

    h2o_timeout_t rest_list;  /* of one entry, for the time it takes to run it */
    h2o_timeout_entry_t rest; /* what comes after h2o's own pass */

    struct list later;
    struct counters *measured; /* or NULL */
    dur_t lag;                 /* the longest pass since somebody asked */

    struct timeout **heap; /* by `at`, the earliest first */
    uint32_t heap_count, heap_room;
};

/* How long the loop may wait for the earliest timeout: milliseconds, rounded up; INT32_MAX when none is set. */
int32_t timeout_wait(const struct loop *l, mono_t now);
/* Fires those that are due at `now`, the earliest first; not those that are set meanwhile. */
void timeout_run(struct loop *l, mono_t now);

#endif
