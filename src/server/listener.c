/*
 * listener.c: see listener.h.
 */
#include "server/listener.h"
#include "base/log.h"
#include "base/panic.h"
#include "server/server_internal.h"
#include "server/tls_handshake.h"
#include <errno.h>
#include <stdlib.h>

#define ACCEPT_AT_ONCE 16    /* then other descriptors have their turn */
#define SHARED_AT_ONCE 1     /* the other workers wait at it too: what one takes at once stays with it */
#define ACCEPT_AT_LAST 65536 /* more than a queue holds: only a bound */

static void accept_some(h2o_socket_t *sock, const char *err);

static void update(struct server *s)
{
    bool may = s->listening && !timeout_is_set(&s->pause);
    for (size_t i = 0; i < s->listener_count; i++) {
        struct listener *l = &s->listeners[i];
        bool reading = h2o_socket_is_reading(l->sock);
        if (may && l->on && !reading)
            h2o_socket_read_start(l->sock, accept_some);
        else if (!(may && l->on) && reading)
            h2o_socket_read_stop(l->sock);
    }
}

static void pause_over(struct timeout *t)
{
    update(CONTAINER_OF(t, struct server, pause));
}

/* With nothing left to accept into, a level-triggered listener would keep the loop spinning. */
static void pause_accepting(struct server *s, int why)
{
    if (timeout_is_set(&s->pause))
        return;
    log_at(LOG_WARN, "cannot accept connections for now", LOG_STR("error", strerror(why)));
    timeout_set(s->host.loop, &s->pause, mono_add(loop_now(s->host.loop), DUR_MS(100)), pause_over);
    update(s);
}

static void count(struct listener *l, uint64_t accepted)
{
    struct server *s = l->server;
    if (accepted == 0 || l->from.member == HERITAGE_SHARED)
        return;
    if (l->own)
        atomic_fetch_add_explicit(&s->host.area->worker[s->host.slot].accepts, accepted, memory_order_relaxed);
    else
        counters_add(s->counters, COUNTER_adopted, accepted);
}

/* False when nobody waits there, or nobody can be let in; errno is accept's. */
static bool accept_one(struct listener *l)
{
    errno = 0;
    h2o_socket_t *client = h2o_evloop_socket_accept(l->sock);
    if (client == NULL)
        return false;
    struct connection *c = connections_add(&l->server->connections, client);
    if (l->accept->ssl_ctx != NULL)
        tls_handshake_begin(l->server, c);
    else
        h2o_accept(l->accept, client);
    return true;
}

static void accept_some(h2o_socket_t *sock, const char *err)
{
    struct listener *l = sock->data;
    uint64_t accepted = 0, most = l->from.member == HERITAGE_SHARED ? SHARED_AT_ONCE : ACCEPT_AT_ONCE;
    if (err != NULL)
        return;
    while (accepted < most && accept_one(l))
        accepted++;
    if (accepted < most && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM))
        pause_accepting(l->server, errno);
    count(l, accepted);
}

void listener_open(struct server *s)
{
    const struct heritage *h = s->host.heritage;
    const struct config *config = s->host.config;
    s->listeners = need_zero(h->socket_count + 1, sizeof(*s->listeners));
    for (size_t i = 0; i < h->socket_count; i++) {
        const struct heritage_socket *from = &h->sockets[i];
        if (from->listener >= config->listen_count)
            continue; /* the admin listener's */
        struct listener *l = &s->listeners[s->listener_count++];
        l->server = s;
        l->from = *from;
        l->own = l->on = heritage_owns(from, s->host.member, config->workers);
        l->accept = config->listen[from->listener].tls ? &s->secure : &s->plain;
        l->sock = h2o_evloop_socket_create(loop_evloop(s->host.loop), from->fd, H2O_SOCKET_FLAG_DONT_READ);
        NEED(l->sock != NULL);
        l->sock->data = l;
    }
}

void listener_start(struct server *s)
{
    s->listening = true;
    update(s);
}

void listener_last_call(struct server *s)
{
    for (size_t i = 0; i < s->listener_count; i++)
        s->listeners[i].on = true;
    update(s);
}

void listener_close(struct server *s)
{
    s->listening = false;
    timeout_clear(&s->pause);
    for (size_t i = 0; i < s->listener_count; i++) {
        struct listener *l = &s->listeners[i];
        for (int n = 0; n < ACCEPT_AT_LAST && accept_one(l); n++)
            continue;
        h2o_socket_read_stop(l->sock);
        h2o_socket_close(l->sock);
    }
    free(s->listeners);
    s->listeners = NULL;
    s->listener_count = 0;
}

void listener_adopt(struct server *s, uint32_t member, bool on)
{
    for (size_t i = 0; i < s->listener_count; i++) {
        struct listener *l = &s->listeners[i];
        if (!l->own && heritage_owns(&l->from, member, s->host.config->workers))
            l->on = on;
    }
    update(s);
}
