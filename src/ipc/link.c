/*
 * link.c: a channel on a loop. Sends are gathered and written on the loop's next pass; what arrives goes to the table
 * of handlers, in order; a handler may free the link, which the walk notices through `gone`.
 * Owns: its channel, its watch. Runs in: the loop's thread. Fails: the other side's end is told once.
 */
#include "ipc/link.h"

#include "base/panic.h"

#include <stdlib.h>

struct link {
    struct loop *loop;
    struct channel *channel;
    const struct link_handlers *handlers;
    void *cookie;
    struct loop_watch watch;
    struct loop_later flush;
    bool ended; /* told */
    bool *gone; /* of the innermost walk under way: set by link_free */
};

static void on_ready(struct loop_watch *w, unsigned events);
static void on_flush(struct loop_later *later);

struct link *link_new(struct loop *loop, int fd, const struct link_handlers *handlers, void *cookie)
{
    struct link *l = need_zero(1, sizeof(*l));

    l->loop = loop;
    l->channel = channel_new(fd);
    l->handlers = handlers;
    l->cookie = cookie;
    loop_later_init(&l->flush, on_flush);
    loop_watch(loop, &l->watch, fd, LOOP_READ, on_ready);
    return l;
}

void link_free(struct link **l)
{
    struct link *gone = *l;

    *l = NULL;
    if (gone == NULL)
        return;
    if (gone->gone != NULL)
        *gone->gone = true;
    loop_later_cancel(&gone->flush);
    loop_unwatch(&gone->watch);
    channel_free(&gone->channel);
    free(gone);
}

void link_send(struct link *l, const struct message *m)
{
    channel_queue(l->channel, m);
    if (!l->ended)
        loop_later(l->loop, &l->flush);
}

void link_send_body(struct link *l, enum message_type type, struct slice body)
{
    channel_queue_body(l->channel, type, body);
    if (!l->ended)
        loop_later(l->loop, &l->flush);
}

static void write_out(struct link *l)
{
    channel_write(l->channel);
    if (!l->ended)
        loop_watch_events(&l->watch, LOOP_READ | (channel_wants_write(l->channel) ? LOOP_WRITE : 0));
}

static void on_flush(struct loop_later *later)
{
    write_out(CONTAINER_OF(later, struct link, flush));
}

static void tell_ended(struct link *l)
{
    if (l->ended)
        return;
    l->ended = true;
    loop_later_cancel(&l->flush);
    loop_unwatch(&l->watch);
    l->handlers->ended(l, channel_why(l->channel), l->cookie);
}

/* Hands one message over; without a handler the other side has lost the thread, so the link ends. */
static void handle(struct link *l, struct message *m)
{
    if (l->handlers->on[m->type] != NULL) {
        l->handlers->on[m->type](l, m, l->cookie);
        return;
    }
    messages_close(m);
    channel_end(l->channel, "unexpected message");
}

static void take_all(struct link *l)
{
    bool gone = false, *outer = l->gone;
    struct message m;
    int got = 0;

    l->gone = &gone;
    while (!gone && (got = channel_next(l->channel, &m)) > 0)
        handle(l, &m);
    if (!gone && got < 0)
        tell_ended(l);
    if (!gone)
        l->gone = outer;
    else if (outer != NULL)
        *outer = true;
}

static void on_ready(struct loop_watch *w, unsigned events)
{
    struct link *l = CONTAINER_OF(w, struct link, watch);

    if (events & LOOP_WRITE)
        write_out(l);
    channel_read(l->channel);
    take_all(l);
}

void link_drain(struct link *l)
{
    channel_read(l->channel);
    take_all(l);
}
