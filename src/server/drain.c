/*
 * drain.c: see drain.h. In this order: who has knocked is let in (where nobody else would), the listening sockets are
 * closed, connections are told goodbye, idle ones are closed (where the server stops).
 */
#include "server/drain.h"
#include "base/log.h"
#include "base/panic.h"
#include "server/access.h"
#include "server/exchange.h"
#include "server/goodbye.h"
#include "server/linger.h"
#include "server/listener.h"
#include "server/server_internal.h"
#include "server/streaming.h"
#include <sys/socket.h>

#define LAST_CALL DUR_MS(200) /* a round trip, for handshakes that had begun */
#define TICK DUR_MS(50)

/* --- idle connections --------------------------------------------------------------------------------------------- */

/*
 * Connections that wait for nothing. One that has just been used gets a second, for a request may be on its way: its
 * answer will say `Connection: close`. HTTP/2 ones end by themselves (see goodbye.h); those that have not when it is
 * urgent are cut, and with them bodies that are still received.
 */
static void close_idle(struct server *s, mono_t now, bool hurry)
{
    struct list *all = &s->connections.all;
    for (struct list *l = all->next, *next; l != all; l = next) {
        struct connection *c = CONTAINER_OF(l, struct connection, link);
        next = l->next;
        if (c->sock == NULL || c->live > 0 || (c->http2 ? !hurry || c->over : c->sock->input->size > 0))
            continue;
        if (!hurry && (c->receiving == s->sweep_number || mono_since(now, c->since).ns < DUR_S(1).ns))
            continue;
        c->cut = true;
        shutdown(h2o_socket_get_fd(c->sock), SHUT_RDWR);
    }
}

/* --- what is left at its end -------------------------------------------------------------------------------------- */

static void cut_off(struct server *s, struct list *all)
{
    for (struct list *l = all->next; l != all; l = l->next) {
        struct exchange *ex = CONTAINER_OF(l, struct exchange, link);
        s->drain_cut += !ex->cut; /* else it is counted, or has ended for another reason */
        access_cut_off(ex);
    }
}

/* The process ends next and nothing is taken apart, so what else would be told later is told now. */
static void end(struct server *s)
{
    cut_off(s, &s->waiting);
    cut_off(s, &s->answering);
    cut_off(s, &s->streaming);
    if (s->drain_cut > 0)
        log_at(LOG_WARN, "requests cut off at the end of the drain", LOG_INT("count", s->drain_cut));
    access_record_tell(s);
    s->drained(s->drained_cookie);
}

/* --- the drain ---------------------------------------------------------------------------------------------------- */

static void drain_on(struct timeout *t);

/* The next look; the last one is at the end itself. */
static void look_again(struct server *s, mono_t now)
{
    mono_t next = mono_add(now, TICK);
    if (mono_before(now, s->drain_until) && mono_before(s->drain_until, next))
        next = s->drain_until;
    timeout_set(s->host.loop, &s->drain, next, drain_on);
}

/* What works on for a client that has gone has no connection, and is waited for all the same. */
static bool is_done(const struct server *s)
{
    return s->connections.count == 0 && !s->listening && !linger_any(&s->connections) && list_empty(&s->waiting);
}

static void drain_on(struct timeout *t)
{
    struct server *s = CONTAINER_OF(t, struct server, drain);
    mono_t now = loop_now(s->host.loop);
    dur_t left = mono_since(s->drain_until, now);
    if (s->listening && !mono_before(now, s->last_call))
        listener_close(s);
    /* Who listens to events comes back by himself, and finds the next worker. The others are broken off a moment before
     * the end, so that they hear of it. */
    if (streaming_drain(s, left.ns <= TICK.ns && !s->streams_stopped)) {
        s->streams_stopped = true;
        look_again(s, now);
        return;
    }
    if (s->replaced || !s->listening)
        goodbye_say(s, now);
    if (!s->replaced && !s->listening)
        close_idle(s, now, left.ns < s->drain_hurry.ns);
    if (left.ns <= 0 || is_done(s)) {
        end(s);
        return;
    }
    look_again(s, now);
}

void server_drain(struct server *s, const struct server_drain *how, void (*drained)(void *cookie), void *cookie)
{
    mono_t now = loop_now(s->host.loop);
    if (s->draining && (!s->replaced || how->replaced))
        return;
    if (!s->draining || mono_before(how->deadline, s->drain_until))
        s->drain_until = how->deadline;
    s->draining = true;
    linger_hurry(&s->connections);
    s->replaced = how->replaced;
    s->drained = drained;
    s->drained_cookie = cookie;
    dur_t half = {mono_since(s->drain_until, now).ns / 2};
    s->last_call = mono_add(now, half.ns < LAST_CALL.ns ? half : LAST_CALL);
    if (how->replaced) {
        listener_leave(s, how->gone);
    } else {
        /* The whole server stops, perhaps in the middle of a replacement. Till the hurry all is waited for. */
        s->drain_hurry = half;
        if (s->listening)
            listener_last_call(s);
    }
    timeout_set(s->host.loop, &s->drain, now, drain_on);
}
