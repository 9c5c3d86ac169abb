/*
 * drain.c: see drain.h. In this order: who has knocked is let in, the listening sockets are closed, libh2o says goodbye
 * (once: a connection that came after it would not hear it), idle connections are closed.
 */
#include "server/drain.h"
#include "base/panic.h"
#include "server/listener.h"
#include "server/server_internal.h"
#include "server/streaming.h"
#include "server/sweep.h"
#include <sys/socket.h>

#define LAST_CALL DUR_MS(200) /* a round trip, for handshakes that had begun */

/*
 * Connections that wait for nothing. One that has just been used gets a second, for a request may be on its way: its
 * answer will say `Connection: close`. HTTP/2 ones are told by GOAWAY, and closed by libh2o.
 */
static void close_idle(struct server *s, mono_t now, bool hurry)
{
    struct list *all = &s->connections.all;
    for (struct list *l = all->next, *next; l != all; l = next) {
        struct connection *c = CONTAINER_OF(l, struct connection, link);
        next = l->next;
        if (c->sock == NULL || c->live > 0 || c->sock->input->size > 0 || (c->http2 && !hurry))
            continue;
        if (!hurry && (c->receiving == s->sweep_number || mono_since(now, c->since).ns < DUR_S(1).ns))
            continue;
        c->cut = true;
        shutdown(h2o_socket_get_fd(c->sock), SHUT_RDWR);
    }
}

static void drain_on(struct timeout *t)
{
    struct server *s = CONTAINER_OF(t, struct server, drain);
    mono_t now = loop_now(s->host.loop);
    bool late = !mono_before(now, s->drain_until);
    if (s->listening) {
        if (mono_before(now, s->last_call)) {
            timeout_set(s->host.loop, &s->drain, s->last_call, drain_on);
            return;
        }
        listener_close(s);
    }
    /* Who listens to events comes back by himself, and finds the next worker. */
    if (streaming_drain(s, late && !s->streams_stopped)) {
        s->streams_stopped = true;
        timeout_set(s->host.loop, &s->drain, mono_add(now, DUR_MS(50)), drain_on);
        return;
    }
    /* libh2o's GOAWAY would cut an upload that it promised to take, so it waits for those, up to half the time. */
    bool half = mono_since(s->drain_until, now).ns < s->drain_half.ns;
    if (!s->shutdown_asked && (half || !sweep_receiving(s))) {
        s->shutdown_asked = true;
        h2o_context_request_shutdown(&s->context);
    }
    if (s->shutdown_asked)
        close_idle(s, now, half);
    if (late || s->connections.count == 0) {
        s->drained(s->drained_cookie);
        return;
    }
    timeout_set(s->host.loop, &s->drain, mono_add(now, DUR_MS(50)), drain_on);
}

void server_drain(struct server *s, mono_t deadline, void (*drained)(void *cookie), void *cookie)
{
    if (s->draining)
        return;
    mono_t now = loop_now(s->host.loop);
    s->draining = true;
    s->drain_until = deadline;
    s->drain_half = (dur_t){mono_since(deadline, now).ns / 2};
    s->drained = drained;
    s->drained_cookie = cookie;
    s->last_call = mono_add(now, s->drain_half.ns < LAST_CALL.ns ? s->drain_half : LAST_CALL);
    listener_last_call(s);
    timeout_set(s->host.loop, &s->drain, s->last_call, drain_on);
}
