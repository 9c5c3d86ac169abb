/*
 * loop.c: one pass after the other: h2o's own sockets (the nested epoll set of foreign descriptors is one of them),
 * then what was put off to the next pass, then the timeouts. See loop.h.
 * The latter two run as a timeout of h2o's, because h2o then runs the callbacks that became due meanwhile (of what was
 * written, say). Left to its next pass, it would wait first, and worse: ask epoll for room for a write that is over,
 * and abort when there is some.
 */
#include "io/loop.h"
#include "base/panic.h"
#include "io/loop_internal.h"
#include "shm/counters.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static uint32_t epoll_bits(unsigned events)
{
    return (events & LOOP_READ ? (uint32_t)EPOLLIN : 0) | (events & LOOP_WRITE ? (uint32_t)EPOLLOUT : 0);
}

static void serve_nested(h2o_socket_t *sock, const char *err)
{
    struct loop *l = sock->data;
    CHECK(err == NULL);
    int count = epoll_wait(l->nested, l->ready, LOOP_READY_MAX, 0);
    CHECK(count >= 0 || errno == EINTR);
    l->ready_count = count > 0 ? count : 0;
    for (int i = 0; i < l->ready_count; i++) {
        struct loop_watch *w = l->ready[i].data.ptr;
        if (w == NULL)
            continue;
        /* An error or a hang-up shows in what the watcher reads or writes next, so it is told as both. */
        uint32_t bits = l->ready[i].events;
        unsigned events = (bits & (EPOLLIN | EPOLLHUP | EPOLLERR) ? (unsigned)LOOP_READ : 0) |
                          (bits & (EPOLLOUT | EPOLLHUP | EPOLLERR) ? (unsigned)LOOP_WRITE : 0);
        if ((events & w->events) != 0)
            w->ready(w, events & w->events);
    }
    l->ready_count = 0;
}

static void run_rest(h2o_timeout_entry_t *rest);

struct loop *loop_new(void)
{
    struct loop *l = need_zero(1, sizeof(*l));
    l->clock = need_zero(1, sizeof(*l->clock));
    list_init(&l->later);
    l->evloop = h2o_evloop_create();
    NEED(l->evloop != NULL);
    l->nested = epoll_create1(EPOLL_CLOEXEC);
    NEED(l->nested != -1);
    l->nested_socket = h2o_evloop_socket_create(l->evloop, l->nested, H2O_SOCKET_FLAG_DONT_READ);
    NEED(l->nested_socket != NULL);
    l->nested_socket->data = l;
    h2o_socket_read_start(l->nested_socket, serve_nested);
    h2o_timeout_init(l->evloop, &l->rest_list, 0);
    l->rest.cb = run_rest;
    return l;
}

void loop_free(struct loop **lp)
{
    struct loop *l = *lp;
    if (l == NULL)
        return;
    CHECK(!l->running && l->watched == 0 && l->heap_count == 0 && list_empty(&l->later));
    h2o_timeout_dispose(l->evloop, &l->rest_list);
    h2o_socket_close(l->nested_socket); /* closes l->nested */
    h2o_evloop_run(l->evloop, 0);       /* libh2o frees a closed socket on the next pass */
    h2o_evloop_destroy(l->evloop);
    free(l->heap);
    free(l->clock);
    free(l);
    *lp = NULL;
}

static void run_later(struct loop *l)
{
    /* What is put off from here waits for the next pass: only those that stand in the list now are run. */
    struct list now;
    list_take(&now, &l->later);
    while (!list_empty(&now)) {
        struct loop_later *later = CONTAINER_OF(now.next, struct loop_later, link);
        list_remove(&later->link);
        later->run(later);
    }
}

/* --- the pass, for loop_lag ------------------------------------------------------------------------------------- */

/*
 * With less than that between two passes there was no wait: what is told now became ready during the one before. More
 * than a tick of the kernel's clock.
 */
#define BETWEEN DUR_MS(10)

static void pass_begins(struct loop_clock *c, mono_t now)
{
    bool waited = mono_since(now, c->ended).ns > BETWEEN.ns;
    c->before = waited ? (dur_t){0} : mono_since(c->ended, c->begun);
    c->longest_before = waited ? (dur_t){0} : c->longest;
    c->longest = (dur_t){0};
    c->begun = c->mark = now;
}

static void mark(struct loop_clock *c, mono_t now)
{
    dur_t took = mono_since(now, c->mark);
    if (took.ns <= 0) /* the tick before the pass began, say */
        return;
    c->longest = took.ns > c->longest.ns ? took : c->longest;
    c->mark = now;
}

static void pass_ends(struct loop_clock *c, mono_t now)
{
    mark(c, now);
    c->ended = now;
}

/* Behind what the timeouts did there may have been callbacks still. */
static void pass_is_over(struct loop_clock *c)
{
    mono_t now = mono_tick();
    if (c->fresh && mono_before(c->ended, now))
        pass_ends(c, now);
}

void loop_mark(struct loop *l)
{
    mark(l->clock, mono_tick());
}

dur_t loop_lag(struct loop *l)
{
    struct loop_clock *c = l->clock;
    loop_mark(l);
    dur_t longest = c->longest.ns > c->longest_before.ns ? c->longest : c->longest_before;
    return (dur_t){c->before.ns + mono_since(c->mark, c->begun).ns - longest.ns};
}

/* --- a pass ----------------------------------------------------------------------------------------------------- */

/* Of a pass in which nobody asked for the time nothing is known; then nothing was to be done. */
static void observe(struct loop *l, dur_t lag)
{
    uint64_t ns = lag.ns > 0 ? (uint64_t)lag.ns : 0;
    counters_observe(l->measured, HISTOGRAM_loop_lag, ns);
    l->lag = lag.ns > l->lag.ns ? lag : l->lag;
}

static void run_timeouts(struct loop *l)
{
    bool asked = l->clock->fresh;
    mono_t now = mono_now();
    if (!asked)
        pass_begins(l->clock, now);
    /* Read anew, not loop_now: callbacks may have taken long, and a deadline is never fired early. */
    l->clock->now = now;
    l->clock->fresh = true;
    bool due = timeout_wait(l, now) == 0;
    timeout_run(l, now);
    if (due)
        now = mono_now();
    pass_ends(l->clock, now);
    if (l->measured != NULL && (asked || due))
        observe(l, mono_since(now, l->clock->begun));
}

static void run_rest(h2o_timeout_entry_t *rest)
{
    struct loop *l = CONTAINER_OF(rest, struct loop, rest);
    run_later(l);
    if (l->heap_count > 0)
        run_timeouts(l);
}

dur_t loop_take_lag(struct loop *l)
{
    dur_t lag = l->lag;
    l->lag = (dur_t){0};
    return lag;
}

void loop_measure(struct loop *l, struct counters *c)
{
    l->measured = c;
}

void loop_pass(struct loop *l, dur_t wait)
{
    CHECK(!l->running);
    l->running = true;
    l->passes++;
    int64_t wait_ms = dur_ms_up(wait);
    int32_t max = wait_ms > INT32_MAX ? INT32_MAX : (int32_t)wait_ms;
    if (!list_empty(&l->later)) {
        max = 0;
    } else if (l->heap_count > 0 && max > 0) {
        int32_t until = timeout_wait(l, mono_now());
        max = until < max ? until : max;
    }
    l->clock->fresh = false;
    h2o_evloop_run(l->evloop, max); /* -1 is EINTR: nothing was run, the next pass goes on */
    h2o_timeout_link(l->evloop, &l->rest_list, &l->rest);
    h2o_timeout_run(l->evloop, &l->rest_list, h2o_now(l->evloop));
    pass_is_over(l->clock);
    l->running = false;
}

void loop_run(struct loop *l)
{
    l->stopping = false;
    while (!l->stopping)
        loop_pass(l, (dur_t){INT64_MAX});
}

void loop_stop(struct loop *l)
{
    l->stopping = true;
}

mono_t loop_now(const struct loop *l)
{
    struct loop_clock *c = l->clock;
    if (!c->fresh || !l->running) {
        c->now = mono_now();
        if (l->running)
            pass_begins(c, c->now);
        c->fresh = true;
    }
    return c->now;
}

uint64_t loop_passes(const struct loop *l)
{
    return l->passes;
}

void *loop_evloop(struct loop *l)
{
    return l->evloop;
}

void loop_watch(struct loop *l, struct loop_watch *w, int fd, unsigned events,
                void (*ready)(struct loop_watch *, unsigned))
{
    *w = (struct loop_watch){.loop = l, .fd = fd, .events = events, .ready = ready};
    struct epoll_event e = {.events = epoll_bits(events), .data.ptr = w};
    NEED(epoll_ctl(l->nested, EPOLL_CTL_ADD, fd, &e) == 0);
    l->watched++;
}

void loop_watch_events(struct loop_watch *w, unsigned events)
{
    CHECK(w->loop != NULL);
    if (events == w->events)
        return;
    w->events = events;
    struct epoll_event e = {.events = epoll_bits(events), .data.ptr = w};
    NEED(epoll_ctl(w->loop->nested, EPOLL_CTL_MOD, w->fd, &e) == 0);
}

void loop_unwatch(struct loop_watch *w)
{
    struct loop *l = w->loop;
    if (l == NULL)
        return;
    CHECK(epoll_ctl(l->nested, EPOLL_CTL_DEL, w->fd, NULL) == 0);
    for (int i = 0; i < l->ready_count; i++) {
        if (l->ready[i].data.ptr == w)
            l->ready[i].data.ptr = NULL;
    }
    l->watched--;
    w->loop = NULL;
}

void loop_later_init(struct loop_later *later, void (*run)(struct loop_later *))
{
    list_init(&later->link);
    later->run = run;
}

void loop_later(struct loop *l, struct loop_later *later)
{
    if (list_empty(&later->link))
        list_add(&l->later, &later->link);
}

void loop_later_cancel(struct loop_later *later)
{
    list_remove(&later->link);
}
