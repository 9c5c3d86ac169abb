/*
 * listener.c: see listener.h.
 */
#include "server/listener.h"
#include "base/log.h"
#include "base/panic.h"
#include "server/server_internal.h"
#include <errno.h>

#define ACCEPT_AT_ONCE 16 /* then other descriptors have their turn */
#define SHARED UINT32_MAX

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
    if (accepted == 0 || l->member == SHARED)
        return;
    if (l->member == s->host.index)
        atomic_fetch_add_explicit(&s->host.area->worker[l->member].accepts, accepted, memory_order_relaxed);
    else
        counters_add(s->counters, COUNTER_adopted, accepted);
}

static void accept_some(h2o_socket_t *sock, const char *err)
{
    struct listener *l = sock->data;
    struct server *s = l->server;
    uint64_t accepted = 0;
    if (err != NULL)
        return;
    for (int i = 0; i < ACCEPT_AT_ONCE; i++) {
        errno = 0;
        h2o_socket_t *client = h2o_evloop_socket_accept(sock);
        if (client == NULL) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                pause_accepting(s, errno);
            break;
        }
        accepted++;
        connections_add(&s->connections, client);
        h2o_accept(l->accept, client);
    }
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
        l->member = from->member;
        l->on = from->member == SHARED || from->member == s->host.index;
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

void listener_stop(struct server *s)
{
    s->listening = false;
    timeout_clear(&s->pause);
    update(s);
}

void listener_adopt(struct server *s, uint32_t member, bool on)
{
    for (size_t i = 0; i < s->listener_count; i++) {
        struct listener *l = &s->listeners[i];
        if (l->member == member && member != s->host.index && member != SHARED)
            l->on = on;
    }
    update(s);
}
